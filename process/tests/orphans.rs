//! Children whose runtime goes before them; alone in its file, because it looks at the threads and handlers of the process.

mod support;

use std::fs;
use std::sync::mpsc::channel;

use loxley_process::{Process, Stdio, create_subprocess_exec};
use loxley_runtime::signal::SIGCHLD;
use loxley_runtime::{Builder, Runtime};
use support::{Way, children, is_caught, is_listed, spin_until, stat};

fn flavours() -> [Builder; 2] {
    [
        Runtime::builder().current_thread(),
        Runtime::builder().worker_threads(2),
    ]
}

/// Runs until its input ends.
async fn cat(way: Way) -> Process {
    let command = way.of(create_subprocess_exec("cat", [""; 0]));
    command
        .stdin(Stdio::piped())
        .spawn()
        .await
        .expect("it starts")
}

/// A child that ends when told by a descriptor that no runtime has.
async fn reads(way: Way, stdin: std::os::unix::net::UnixStream) -> Process {
    let command = way.of(create_subprocess_exec("cat", [""; 0]));
    let stdin = Stdio::from(std::os::fd::OwnedFd::from(stdin));
    command
        .stdin(stdin)
        .stdout(Stdio::null())
        .spawn()
        .await
        .expect("it starts")
}

fn has_reaper() -> bool {
    let tasks = fs::read_dir("/proc/self/task").expect("linux").flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("comm")).ok())
        .any(|name| name.trim() == "loxley-reaper")
}

#[test]
fn children_outlive_their_runtime_and_are_reaped_all_the_same() {
    for way in Way::ALL {
        for builder in flavours() {
            let (theirs, ours) = std::os::unix::net::UnixStream::pair().expect("descriptors");
            let runtime = builder.build().expect("a runtime");
            let (kept, forgotten) = runtime.block_on(async {
                let kept = reads(way, theirs.try_clone().expect("a descriptor")).await;
                let forgotten = reads(way, theirs).await.pid();
                (kept, forgotten)
            });
            drop(runtime);
            // A thread gives itself its name.
            spin_until(has_reaper);
            assert!([kept.pid(), forgotten].into_iter().all(is_listed));

            // A second runtime goes while the first one's children are still looked after.
            let runtime = Runtime::new().expect("a runtime");
            let third = runtime.block_on(cat(way));
            let third_pid = third.pid();
            drop(runtime);
            drop(third);
            spin_until(|| !is_listed(third_pid));

            drop(ours);
            // Waiting works anywhere: no driver is needed for it any more.
            assert_eq!(
                loxley_sync::wait::block_on(kept.wait()).expect("its status"),
                0
            );
            assert_eq!(kept.returncode(), Some(0));
            spin_until(|| !is_listed(forgotten));
            // The last one ends the thread, and what it listened to.
            spin_until(|| !has_reaper());
            spin_until(|| !is_caught(SIGCHLD));
        }
    }
    assert!(children().is_empty());
    let_a_runtime_kill_what_its_tasks_hold();
    nothing_is_left_over_when_children_end_first();
}

/// A task that is dropped at shutdown drops its child, which is to be killed then.
fn let_a_runtime_kill_what_its_tasks_hold() {
    for way in Way::ALL {
        for builder in flavours() {
            let runtime = builder.build().expect("a runtime");
            let (started, has_started) = channel();
            let handle = runtime.handle();
            let task = handle.create_task(async move {
                let command = way.of(create_subprocess_exec("sleep", ["600"]));
                let child = command.kill_on_drop(true).spawn().await.expect("it starts");
                started.send(child.pid()).expect("awaited");
                child.wait().await
            });
            let pid = runtime.block_on(async {
                loop {
                    if let Ok(pid) = has_started.try_recv() {
                        return pid;
                    }
                    loxley_runtime::yield_now().await;
                }
            });
            drop((task, runtime));
            spin_until(|| stat(pid).is_none_or(|stat| stat.parent != std::process::id()));
        }
    }
    spin_until(|| !has_reaper());
}

fn nothing_is_left_over_when_children_end_first() {
    for way in Way::ALL {
        let runtime = Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let mut child = cat(way).await;
            drop(child.stdin.take());
            assert_eq!(child.wait().await.expect("its status"), 0);
        });
        drop(runtime);
        assert!(!has_reaper() && !is_caught(SIGCHLD));
    }
}
