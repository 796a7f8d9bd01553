//! Every public future of this crate, dropped and cancelled at every point where it waits.

mod support;

use std::fs;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use loxley_process::{Process, Stdio, create_subprocess_exec, create_subprocess_shell};
use loxley_runtime::testing::{cancel_at_every_pending, drop_at_every_pending};
use loxley_runtime::{Task, create_task, yield_now};
use loxley_sync::catch_cancelled;
use support::{Way, is_listed, run, until};

/// Where a scenario leaves something for its check.
type Slot<T> = Arc<Mutex<Option<T>>>;

async fn cat(way: Way) -> Process {
    way.of(create_subprocess_exec("cat", [""; 0]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .await
        .expect("it starts")
}

/// Processes of this machine that were started with that argument.
fn with_argument(argument: &str) -> usize {
    let entries = fs::read_dir("/proc").expect("linux").flatten();
    entries
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| {
            line.split(|&byte| byte == 0)
                .any(|word| word == argument.as_bytes())
        })
        .count()
}

#[test]
fn a_spawn_given_up_leaves_no_child() {
    run(|way| async move {
        // Nobody else sleeps for so long.
        let seconds = format!("{}.25", 100_000 + std::process::id());
        let scenario = || {
            let command = way
                .of(create_subprocess_exec("sleep", [&seconds]))
                .kill_on_drop(true);
            // It takes a fork, which is made on the pool: the future waits.
            (command.by_std().umask(0o022).spawn(), ())
        };
        let mut points = 0;
        for _ in 0..20 {
            points += drop_at_every_pending(scenario, |_, ()| async {}).await;
            points += cancel_at_every_pending(scenario, |_, ()| async {}).await;
        }
        // Now and then the pool is done before anybody looks.
        assert!(points > 0);
        until(|| with_argument(&seconds) == 0).await;
    });
}

#[test]
fn a_wait_given_up_leaves_the_child_and_the_others_who_wait() {
    run(|way| async move {
        let scenario = || {
            let other = Slot::default();
            let theirs = other.clone();
            let future = async move {
                let mut child = cat(way).await;
                let stdin = child.stdin.take();
                let child = Arc::new(child);
                let ours = child.clone();
                let waits = create_task(async move { (ours.wait().await, ours.pid()) });
                *theirs.lock().expect("no panic") = Some(waits);
                let ends = create_task(async move {
                    yield_now().await;
                    drop(stdin);
                });
                let code = child.wait().await.expect("its status");
                ends.await.expect("no panic");
                assert_eq!(code, 0);
            };
            (future, other)
        };
        let check = |_: usize, other: Slot<Task<(io::Result<i32>, u32)>>| async move {
            let other = other
                .lock()
                .expect("no panic")
                .take()
                .expect("it was begun");
            let (code, pid) = other.await.expect("nobody cancels it");
            assert_eq!(code.expect("its status"), 0);
            assert!(!is_listed(pid));
        };
        // Now and then the child has ended before anybody has to wait.
        while drop_at_every_pending(scenario, check).await == 0 {}
        while cancel_at_every_pending(scenario, check).await == 0 {}
    });
}

#[test]
fn a_talk_given_up_loses_no_byte_of_either_side() {
    run(|way| async move {
        let input: Vec<u8> = (0..=250).cycle().take(400_000).collect();
        let mut point = 0;
        loop {
            point += 1;
            let mut child = cat(way).await;
            let mut polls = 0;
            let first = {
                let mut talk = Box::pin(child.communicate(Some(&input)));
                poll_fn(|cx| match talk.as_mut().poll(cx) {
                    Poll::Ready(output) => Poll::Ready(Some(output)),
                    Poll::Pending => {
                        polls += 1;
                        match polls == point {
                            true => Poll::Ready(None),
                            false => Poll::Pending,
                        }
                    }
                })
                .await
            };
            let is_whole = first.is_some();
            let output = match first {
                Some(output) => output,
                None => child.communicate(Some(&input)).await,
            };
            assert!(
                output.expect("it ends").stdout == input,
                "dropped at its pending poll {point}"
            );
            match (is_whole, point) {
                // Now and then the child is done before anybody has to wait.
                (true, 1) => point = 0,
                (true, _) | (_, 100) => break,
                _ => {}
            }
        }
    });
}

#[test]
fn a_talk_whose_task_is_asked_to_stop_goes_on_where_it_was() {
    run(|way| async move {
        let scenario = || {
            let future = async move {
                let input: Vec<u8> = (0..=250).cycle().take(100_000).collect();
                let mut child = cat(way).await;
                let first = catch_cancelled(child.communicate(Some(&input))).await;
                let output = match first {
                    Ok(output) => output,
                    Err(_) => child.communicate(Some(&input)).await,
                };
                assert!(output.expect("it ends").stdout == input);
                assert!(!is_listed(child.pid()));
            };
            (future, ())
        };
        // Now and then the child is done before anybody has to wait.
        while cancel_at_every_pending(scenario, |_, ()| async {}).await == 0 {}
    });
}

#[test]
fn an_escalation_given_up_has_asked_politely_and_no_more() {
    run(|way| async move {
        let scenario = || {
            let pid = Slot::default();
            let theirs = pid.clone();
            let future = async move {
                let line = create_subprocess_shell("trap '' TERM; echo ready; exec cat");
                let line = way.of(line).stdin(Stdio::piped()).stdout(Stdio::piped());
                let mut child = line.spawn().await.expect("it starts");
                *theirs.lock().expect("no panic") = Some(child.pid());
                child
                    .stdout
                    .as_mut()
                    .expect("it was piped")
                    .readline()
                    .await
                    .expect("a line");
                child
                    .terminate_then_kill(Duration::from_millis(1))
                    .await
                    .expect("it ends")
            };
            (future, pid)
        };
        // Whoever is dropped takes the child's stdin along, so that it ends by itself.
        let check = |_: usize, pid: Slot<u32>| async move {
            let pid = pid.lock().expect("no panic").expect("it was started");
            until(|| !is_listed(pid)).await;
        };
        assert!(drop_at_every_pending(scenario, check).await > 0);
        assert!(cancel_at_every_pending(scenario, check).await > 0);
    });
}
