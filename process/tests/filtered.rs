//! Systems that lack something: no process descriptors, no process left.

#[path = "support/seccomp.rs"]
mod seccomp;
mod support;

use std::io;
use std::thread;

use loxley_process::{
    SendSignalError, SpawnError, Stdio, create_subprocess_exec, create_subprocess_shell,
};
use loxley_runtime::testing::{self, Config};
use loxley_runtime::{create_task, signal};
use seccomp::deny;
use support::is_listed;

/// Runs a test on a thread of its own, where the calls fail; the runtimes are made there, too.
fn without(calls: &'static [(libc::c_long, i32)], test: impl Fn() + Send + 'static) {
    let thread = thread::spawn(move || {
        deny(calls);
        test();
    });
    thread.join().expect("no panic");
}

/// What says that a child has exited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    ByDescriptor,
    BySigchld,
}

/// What children can do, in short; the same whatever makes and watches them.
fn live_a_full_life(told: Told) {
    for config in [
        Config::new().worker_threads(2),
        Config::new().current_thread(),
    ] {
        testing::run(config.leak_check(true), async {
            let tasks: Vec<_> = (0..20)
                .map(|number| {
                    create_task(async move {
                        let child = create_subprocess_shell(format!("exit {number}"));
                        let child = child.spawn().await.expect("it starts");
                        assert_eq!(child.wait().await.expect("its status"), number);
                        assert!(!is_listed(child.pid()));
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("no panic");
            }
            let cat = create_subprocess_exec("cat", [""; 0]);
            let mut cat = cat
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .await
                .expect("it starts");
            assert_eq!(
                cat.communicate(Some(b"meow"))
                    .await
                    .expect("it ends")
                    .stdout,
                b"meow"
            );
            let sleeper = create_subprocess_exec("sleep", ["600"])
                .spawn()
                .await
                .expect("it starts");
            assert_eq!(
                support::is_caught(signal::SIGCHLD),
                told == Told::BySigchld,
                "the other way was meant"
            );
            sleeper.send_signal(signal::SIGTERM).expect("it runs");
            assert_eq!(sleeper.wait().await.expect("its status"), -15);
            assert!(matches!(
                sleeper.kill(),
                Err(SendSignalError::Finished { .. })
            ));
        });
    }
}

/// The C library asks for it as well, and does with the older call where there is none.
const NO_CLONE3: (libc::c_long, i32) = (libc::SYS_clone3, libc::ENOSYS);

/// One test, because whether a signal is caught is the whole process's.
#[test]
fn whatever_the_kernel_or_a_filter_lacks_children_live_and_end_the_same() {
    without(&[], || live_a_full_life(Told::ByDescriptor));
    without(&[NO_CLONE3], || live_a_full_life(Told::ByDescriptor));
    without(&[NO_CLONE3, (libc::SYS_pidfd_open, libc::ENOSYS)], || {
        live_a_full_life(Told::BySigchld);
    });
    without(&[NO_CLONE3, (libc::SYS_pidfd_open, libc::EPERM)], || {
        live_a_full_life(Told::BySigchld);
    });
    without(&[NO_CLONE3, (libc::SYS_pidfd_open, libc::EACCES)], || {
        live_a_full_life(Told::BySigchld);
    });
    without(&[(libc::SYS_pidfd_send_signal, libc::ENOSYS)], || {
        live_a_full_life(Told::ByDescriptor);
    });
    without(&[(libc::SYS_pidfd_send_signal, libc::EPERM)], || {
        live_a_full_life(Told::ByDescriptor);
    });
}

/// Where std has to make the process, what it takes a fork for is made on the pool.
#[test]
fn without_our_own_call_every_option_still_works() {
    without(&[NO_CLONE3], || {
        testing::run(Config::new().leak_check(true), async {
            let command = create_subprocess_exec("sh", ["-c", "umask; pwd; echo $A; echo $0"])
                .arg0("sh-by-another-name")
                .umask(0o027)
                .new_session(true)
                .cwd("/")
                .env("PATH", "/bin:/usr/bin")
                .env("A", "a")
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::to_stdout());
            let mut child = command.spawn().await.expect("it starts");
            let said = child.communicate(None).await.expect("it ends").stdout;
            let said = String::from_utf8(said).expect("text");
            assert_eq!(said, "0027\n/\na\nsh-by-another-name\n");
        });
    });
}

#[test]
fn without_a_process_left_a_spawn_fails_and_leaves_nothing() {
    const CLONE: &[(libc::c_long, i32)] = &[
        (libc::SYS_clone, libc::EAGAIN),
        (libc::SYS_clone3, libc::EAGAIN),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_fork, libc::EAGAIN),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_vfork, libc::EAGAIN),
    ];
    thread::spawn(|| {
        testing::run(Config::new().current_thread().leak_check(true), async {
            // The runtime and its watchdog have their threads.
            deny(CLONE);
            let command = || {
                create_subprocess_exec("true", [""; 0])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
            };
            // In place, and on the pool, which gets no thread.
            for command in [
                command(),
                command().by_std(),
                command().by_std().umask(0o22),
            ] {
                let error = command.spawn().await.expect_err("no process is left");
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                assert!(
                    error
                        .get_ref()
                        .is_some_and(|inner| inner.is::<SpawnError>())
                );
                let text = error.to_string();
                assert!(
                    text.contains("\"true\"") && text.contains("ulimit -u"),
                    "{text}"
                );
            }
        });
    })
    .join()
    .expect("no panic");
}
