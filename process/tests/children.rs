//! Children: how they end, who hears of it, who may be signalled, and that none is left behind.

mod support;

use std::fs::File;
use std::io;
use std::process as std_process;
use std::sync::Arc;
use std::time::Duration;

use loxley_process::{
    Process, SendSignalError, StatusLost, Stdio, create_subprocess_exec, create_subprocess_shell,
};
use loxley_runtime::{Handle, create_task, signal, timeout, to_thread};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use support::{Way, is_listed, run, spin_until, stat, until};

const NONE: [&str; 0] = [];

async fn shell(way: Way, line: &str) -> Process {
    way.of(create_subprocess_shell(line))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .await
        .expect("it starts")
}

async fn line(child: &mut Process) -> String {
    let stdout = child.stdout.as_mut().expect("it was piped");
    let line = stdout.readline().await.expect("a line");
    String::from_utf8(line).expect("text").trim().to_owned()
}

fn pid_of(number: u32) -> Pid {
    Pid::from_raw(number.try_into().expect("a pid")).expect("not zero")
}

#[test]
fn a_child_says_how_it_ended() {
    run(|way| async move {
        for (line, code) in [
            ("exit 0", 0),
            ("exit 3", 3),
            ("exit 255", 255),
            ("kill -9 $$", -9),
            ("kill -TERM $$", -15),
            ("kill -40 $$", -40),
        ] {
            let child = shell(way, line).await;
            assert_eq!(child.wait().await.expect("its status"), code, "{line}");
            assert_eq!(child.returncode(), Some(code));
            assert_eq!(
                child.exit_status().expect("ended").code().is_some(),
                code >= 0
            );
            assert!(!is_listed(child.pid()), "a zombie");
        }
    });
}

#[test]
fn any_number_of_tasks_wait_for_one_child() {
    run(|way| async move {
        let mut child = shell(way, "read x; exit 5").await;
        assert_eq!(child.returncode(), None);
        let stdin = child.stdin.take().expect("it was piped");
        let child = Arc::new(child);
        let waiting: Vec<_> = (0..10)
            .map(|_| {
                let child = child.clone();
                create_task(async move { child.wait().await })
            })
            .collect();
        // One that has given up does not keep the others from being told.
        waiting[3].cancel();
        stdin.write(b"go\n");
        for (number, task) in waiting.into_iter().enumerate() {
            match task.await {
                Ok(code) => assert_eq!(code.expect("its status"), 5),
                Err(_) => assert_eq!(number, 3),
            }
        }
        assert_eq!(child.wait().await.expect("once more"), 5);
    });
}

#[test]
fn a_child_whose_handle_is_gone_runs_on_and_is_reaped() {
    run(|way| async move {
        let mut child = shell(way, "read x").await;
        let (pid, stdin) = (child.pid(), child.stdin.take());
        drop(child);
        assert!(
            stat(pid).is_some_and(|stat| stat.state != 'Z'),
            "it runs on"
        );
        drop(stdin);
        until(|| !is_listed(pid)).await;
    });
}

#[test]
fn kill_on_drop_kills_the_child_or_the_whole_group_that_it_leads() {
    run(|way| async move {
        let command = way.of(create_subprocess_exec("sleep", ["600"]));
        let child = command.kill_on_drop(true).spawn().await.expect("it starts");
        let pid = child.pid();
        drop(child);
        until(|| !is_listed(pid)).await;

        let command = way.of(create_subprocess_shell("sleep 600 & echo $!; wait"));
        let command = command.process_group(0).stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().await.expect("it starts");
        let grandchild: u32 = line(&mut child).await.parse().expect("a pid");
        let pid = child.pid();
        drop(child);
        until(|| !is_listed(pid)).await;
        // Whoever inherits it reaps it in his own time.
        until(|| stat(grandchild).is_none_or(|stat| stat.state == 'Z')).await;
    });
}

#[test]
fn a_hundred_children_that_exit_at_once_are_all_seen() {
    run(|way| async move {
        let (theirs, ours) = std::os::unix::net::UnixStream::pair().expect("descriptors");
        let mut children = Vec::new();
        for number in 0..100 {
            let stdin = std::os::fd::OwnedFd::from(theirs.try_clone().expect("a descriptor"));
            let command = create_subprocess_shell(format!("read x; exit {number}"));
            let child = way.of(command).stdin(stdin).spawn().await;
            children.push(child.expect("it starts"));
        }
        // The end of their input, for all of them.
        drop((ours, theirs));
        for (number, child) in children.iter().enumerate() {
            let code = child.wait().await.expect("its status");
            assert_eq!(usize::try_from(code), Ok(number));
        }
        assert!(!children.iter().any(|child| is_listed(child.pid())));
    });
}

#[test]
fn children_of_others_are_left_alone() {
    run(|way| async move {
        let foreign = || {
            let mut command = std_process::Command::new("/bin/sh");
            command.args(["-c", "exit 7"]).spawn().expect("it starts")
        };
        let mut foreign = [foreign(), foreign()];
        // One is a zombie already, waiting for its own parent to ask.
        spin_until(|| stat(foreign[0].id()).is_some_and(|stat| stat.state == 'Z'));
        for _ in 0..10 {
            let ours = shell(way, "exit 3").await;
            assert_eq!(ours.wait().await.expect("its status"), 3);
        }
        for theirs in &mut foreign {
            let status = theirs.wait().expect("still there to be asked");
            assert_eq!(status.code(), Some(7));
        }
    });
}

#[test]
fn a_child_that_exited_takes_signals_without_effect_until_it_is_reaped_and_none_after() {
    let config = loxley_runtime::testing::Config::new().current_thread();
    for way in Way::ALL {
        loxley_runtime::testing::run(config.clone(), async move {
            let command = way.of(create_subprocess_shell("read x; exit 4"));
            let command = command.process_group(0).stdin(Stdio::piped());
            let mut child = command.spawn().await.expect("it starts");
            child.stdin.take().expect("it was piped").write(b"go\n");
            // Nothing is polled meanwhile, so nobody reaps.
            spin_until(|| stat(child.pid()).is_some_and(|stat| stat.state == 'Z'));
            child.send_signal(signal::SIGTERM).expect("as processes do");
            child.kill().expect("as processes do");
            child.kill_tree().expect("as process groups do");
            assert_eq!(child.returncode(), None);
            assert_eq!(child.wait().await.expect("its status"), 4);

            for sent in [child.terminate(), child.kill(), child.kill_tree()] {
                let error = sent.expect_err("it has finished");
                let pid = child.pid();
                assert!(matches!(error, SendSignalError::Finished { pid: p } if p == pid));
                assert!(error.to_string().contains(&pid.to_string()), "{error}");
                assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
            }
        });
    }
}

#[test]
fn impossible_signals_and_trees_are_refused_by_name() {
    run(|way| async move {
        let child = shell(way, "read x").await;
        for signum in [0, -1, 65, 1000, i32::MAX, i32::MIN] {
            let error = child.send_signal(signum).expect_err("no such signal");
            assert!(matches!(error, SendSignalError::NoSuchSignal { signum: n } if n == signum));
            assert!(error.to_string().contains(&signum.to_string()), "{error}");
        }
        let error = child.kill_tree().expect_err("it is in our group");
        assert!(error.to_string().contains("process_group(0)"), "{error}");
        assert_eq!(child.returncode(), None);
        child.kill().expect("it runs");
        assert_eq!(child.wait().await.expect("its status"), -9);
    });
}

#[test]
fn a_status_that_others_have_taken_is_an_error_and_no_hang() {
    let config = loxley_runtime::testing::Config::new().current_thread();
    for way in Way::ALL {
        loxley_runtime::testing::run(config.clone(), async move {
            let mut child = shell(way, "read x").await;
            child.stdin.take().expect("it was piped").write(b"go\n");
            // Nothing is polled meanwhile: this one is first.
            waitpid(Some(pid_of(child.pid())), WaitOptions::empty()).expect("a child");
            assert!(matches!(
                child.kill(),
                Err(SendSignalError::Finished { .. })
            ));
            let error = child.wait().await.expect_err("nobody knows");
            assert!(
                error
                    .get_ref()
                    .is_some_and(|inner| inner.is::<StatusLost>())
            );
            assert!(error.to_string().contains("SIGCHLD"), "{error}");
            assert_eq!((child.returncode(), child.exit_status()), (None, None));
            let error = child.kill().expect_err("it is gone");
            assert!(matches!(error, SendSignalError::Finished { .. }));
        });
    }
}

#[test]
fn a_grandchild_that_holds_the_pipe_keeps_communicate_but_not_wait() {
    run(|way| async move {
        let mut child = shell(way, "echo first; sleep 600 & echo $!; exit 2").await;
        assert_eq!(line(&mut child).await, "first");
        let grandchild: u32 = line(&mut child).await.parse().expect("a pid");
        assert_eq!(child.wait().await.expect("its status"), 2);
        let tried = timeout(Duration::from_millis(10), child.communicate(None)).await;
        assert!(tried.is_err(), "the end has not come");
        kill_process(pid_of(grandchild), Signal::KILL).expect("it runs");
        let output = child.communicate(None).await.expect("now it has");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    });
}

#[test]
fn a_child_that_ignores_sigterm_is_killed_after_the_grace_and_a_polite_one_is_not() {
    run(|way| async move {
        let mut child = shell(way, "trap '' TERM; echo ready; exec cat").await;
        assert_eq!(line(&mut child).await, "ready");
        let grace = Duration::from_millis(20);
        assert_eq!(child.terminate_then_kill(grace).await.expect("ended"), -9);
        assert!(!is_listed(child.pid()));
        assert_eq!(
            child
                .terminate_then_kill(grace)
                .await
                .expect("finished before"),
            -9
        );

        // Not `read`: a shell that is asked just before it blocks in that call never looks whether it was.
        let polite = "trap 'exit 6' TERM; echo ready; while :; do sleep 0.01; done";
        let mut child = shell(way, polite).await;
        assert_eq!(line(&mut child).await, "ready");
        let grace = Duration::from_secs(600);
        assert_eq!(child.terminate_then_kill(grace).await.expect("ended"), 6);
    });
}

#[test]
fn kill_tree_reaches_what_the_child_has_started() {
    run(|way| async move {
        for by_session in [false, true] {
            let command = way.of(create_subprocess_shell("sleep 600 & echo $!; wait"));
            let command = match by_session {
                true => command.new_session(true),
                false => command.process_group(0),
            };
            let mut child = command
                .stdout(Stdio::piped())
                .spawn()
                .await
                .expect("it starts");
            let grandchild: u32 = line(&mut child).await.parse().expect("a pid");
            child.kill_tree().expect("it runs");
            assert_eq!(
                child.communicate(None).await.expect("ended").status.code(),
                None
            );
            until(|| stat(grandchild).is_none_or(|stat| stat.state == 'Z')).await;
        }
    });
}

#[test]
fn children_are_started_from_pool_threads_and_waited_for_elsewhere() {
    run(|way| async move {
        let handle = Handle::current();
        let child = to_thread(move || {
            let _guard = handle.enter();
            loxley_sync::wait::block_on(way.of(create_subprocess_exec("true", NONE)).spawn())
        });
        let child = child.await.expect("it starts");
        assert_eq!(child.wait().await.expect("its status"), 0);
    });
}

#[test]
fn outside_a_runtime_no_child_is_made() {
    let command = create_subprocess_exec("true", NONE).stdout(File::open("/dev/null").expect("it"));
    let error = loxley_sync::wait::block_on(command.spawn()).expect_err("no runtime");
    assert!(error.to_string().contains("loxley::run"), "{error}");
}
