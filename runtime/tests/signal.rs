//! Signals as something to wait for and to be called on. A signal is for the whole process, so each test has its own; where
//! one may still be under way when nobody listens any more, it is one that is ignored by default.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use loxley_runtime::testing::{
    Config, cancel_at_every_pending, drop_at_every_pending, run as run_test,
};
use loxley_runtime::{Builder, Handle, Runtime, create_task, signal, timeout, yield_now};
use rustix::process::{Signal, getpid, kill_process};

fn send(signum: i32) {
    let signal = Signal::from_named_raw(signum).expect("a signal of the system");
    kill_process(getpid(), signal).expect("sent");
}

/// Whether the system calls a handler of this process on the signal.
fn is_caught(signum: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("linux");
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = u64::from_str_radix(caught.expect("a mask").trim(), 16).expect("hexadecimal");
    mask >> (signum - 1) & 1 == 1
}

fn flavours() -> [Builder; 2] {
    [
        Runtime::builder().current_thread(),
        Runtime::builder().worker_threads(2),
    ]
}

#[test]
fn ctrl_c_wakes_everybody_who_waits_for_it() {
    let runtime = Runtime::builder()
        .current_thread()
        .build()
        .expect("a runtime");
    let main = async {
        let waiting: Vec<_> = (0..2).map(|_| create_task(signal::ctrl_c())).collect();
        // On one thread both have been polled, and listen, when the main future gets its next turn.
        yield_now().await;
        send(signal::SIGINT);
        for task in waiting {
            task.await.expect("no panic").expect("listened");
        }
        assert!(is_caught(signal::SIGINT), "for good, as its text says");
    };
    runtime
        .block_on(async { timeout(Duration::from_secs(20), main).await })
        .expect("the test hangs");
}

#[test]
fn ten_thousand_signals_are_at_least_one_and_grow_nothing() {
    run_test(Config::new(), async {
        let stream = signal::stream(signal::SIGCONT).expect("listening");
        for _ in 0..10_000 {
            send(signal::SIGCONT);
        }
        stream.recv().await.expect("heard");
        // What the socket pair held is gone in one go, so this waits for a signal that is to come.
        let again = create_task(async move { stream.recv().await.map(|()| stream) });
        let mut rounds = 0;
        while !again.is_finished() && rounds < 100 {
            yield_now().await;
            rounds += 1;
        }
        send(signal::SIGCONT);
        let _stream = again.await.expect("no panic").expect("heard");
    });
    assert!(!is_caught(signal::SIGCONT));
}

#[test]
fn two_runtimes_hear_the_same_signal_and_the_last_to_go_restores_it() {
    let [one, other] = flavours().map(|builder| builder.build().expect("a runtime"));
    let (heard, hears) = channel();
    for (runtime, name) in [(&one, "one"), (&other, "other")] {
        let heard = heard.clone();
        let handler = move || heard.send(name).expect("awaited");
        runtime
            .handle()
            .add_signal_handler(signal::SIGTERM, handler)
            .expect("listening");
    }
    send(signal::SIGTERM);
    // Each has heard it: what comes later is of the next one, which must not be under way when nobody listens any more.
    let mut both = one.block_on(async {
        let mut both = Vec::new();
        while both.len() < 2 {
            both.extend(hears.try_recv());
            yield_now().await;
        }
        both
    });
    both.sort_unstable();
    assert_eq!(both, ["one", "other"]);
    drop(one);
    assert!(is_caught(signal::SIGTERM), "the other one still listens");
    send(signal::SIGTERM);
    assert_eq!(hears.recv(), Ok("other"));
    drop(other);
    assert!(!is_caught(signal::SIGTERM));
}

/// A handler that says so, and the ear for it.
fn counting() -> (impl FnMut() + Send + 'static, Receiver<usize>) {
    let (said, hears): (Sender<usize>, _) = channel();
    let mut calls = 0;
    let handler = move || {
        calls += 1;
        let _ = said.send(calls);
    };
    (handler, hears)
}

async fn heard(hears: &Receiver<usize>) -> usize {
    loop {
        if let Ok(calls) = hears.try_recv() {
            return calls;
        }
        yield_now().await;
    }
}

#[test]
fn a_handler_is_called_in_the_runtime_until_it_is_removed() {
    for builder in flavours() {
        let runtime = builder.build().expect("a runtime");
        let handle = runtime.handle();
        let (mut handler, hears) = counting();
        let in_runtime = move || {
            assert!(Handle::try_current().is_ok());
            handler();
        };
        handle
            .add_signal_handler(signal::SIGUSR2, in_runtime)
            .expect("listening");
        assert!(is_caught(signal::SIGUSR2));
        runtime.block_on(async {
            for round in 1..=3 {
                send(signal::SIGUSR2);
                assert_eq!(heard(&hears).await, round);
            }
        });
        assert!(handle.remove_signal_handler(signal::SIGUSR2));
        assert!(!is_caught(signal::SIGUSR2));
        assert!(!handle.remove_signal_handler(signal::SIGUSR2));
        // Its task ends and drops what it captured, so nobody can say anything any more.
        runtime.block_on(async {
            while hears.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
                yield_now().await;
            }
        });
    }
}

#[test]
fn a_removed_handler_is_not_called_for_what_came_before() {
    let runtime = Runtime::builder()
        .current_thread()
        .build()
        .expect("a runtime");
    let (handler, hears) = counting();
    let handle = runtime.handle();
    handle
        .add_signal_handler(signal::SIGCHLD, handler)
        .expect("listening");
    send(signal::SIGCHLD);
    assert!(handle.remove_signal_handler(signal::SIGCHLD));
    // The task ends, and drops what it captured without a call.
    runtime.block_on(async {
        while !handle.all_tasks().is_empty() {
            match hears.try_recv() {
                Ok(calls) => panic!("called {calls} times"),
                Err(std::sync::mpsc::TryRecvError::Disconnected) => break,
                Err(std::sync::mpsc::TryRecvError::Empty) => yield_now().await,
            }
        }
    });
}

#[test]
fn a_second_handler_takes_the_place_of_the_first() {
    let runtime = Runtime::builder().build().expect("a runtime");
    let ((first, hears_first), (second, hears_second)) = (counting(), counting());
    let handle = runtime.handle();
    for handler in [Box::new(first) as Box<dyn FnMut() + Send>, Box::new(second)] {
        handle
            .add_signal_handler(signal::SIGWINCH, handler)
            .expect("listening");
    }
    send(signal::SIGWINCH);
    assert_eq!(hears_second.recv(), Ok(1));
    assert!(
        hears_first.recv().is_err(),
        "its handler was dropped uncalled"
    );
    drop(runtime);
    assert!(!is_caught(signal::SIGWINCH));
}

#[test]
fn a_handler_that_panics_is_reported_and_called_again() {
    let (reported, reports) = channel();
    let builder = Runtime::builder().worker_threads(1);
    let runtime = builder
        .unhandled_error(move |error| reported.send(error.to_string()).expect("awaited"))
        .build()
        .expect("a runtime");
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let handler = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        panic!("on purpose");
    };
    runtime
        .handle()
        .add_signal_handler(signal::SIGPROF, handler)
        .expect("listening");
    for round in 1..=2 {
        send(signal::SIGPROF);
        // Where writing a backtrace takes long, the monitor has reported a long poll before.
        let is_panic = |text: &String| text.contains("handler of signal 27 panicked");
        reports.iter().find(is_panic).expect("a report");
        assert_eq!(calls.load(Ordering::Relaxed), round);
    }
}

#[test]
fn a_handler_whose_task_is_cancelled_lets_the_signal_go() {
    let runtime = Runtime::builder().build().expect("a runtime");
    let handle = runtime.handle();
    handle
        .add_signal_handler(signal::SIGTTIN, || {})
        .expect("listening");
    runtime.block_on(async {
        for task in handle.all_tasks() {
            if task.name().contains("handler of signal 21") {
                task.cancel();
            }
        }
        while is_caught(signal::SIGTTIN) {
            yield_now().await;
        }
    });
    assert!(!handle.remove_signal_handler(signal::SIGTTIN));
}

#[test]
fn handlers_are_refused_by_number_and_after_the_end() {
    let runtime = Runtime::builder().build().expect("a runtime");
    let handle = runtime.handle();
    for (signum, words) in [
        (signal::SIGKILL, "signal 9 (SIGKILL) cannot be caught"),
        (signal::SIGSTOP, "signal 19 (SIGSTOP) cannot be caught"),
        (99, "no signal 99"),
    ] {
        let error = handle
            .add_signal_handler(signum, || {})
            .expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(
            error
                .get_ref()
                .is_some_and(|inner| inner.is::<signal::SignalError>())
        );
        assert!(error.to_string().contains(words), "{error}");
        assert!(!handle.remove_signal_handler(signum));
        let error = Runtime::builder()
            .shutdown_signals([signal::SIGTERM, signum])
            .build()
            .expect_err("refused");
        assert!(error.to_string().contains(words), "{error}");
    }
    drop(runtime);
    let error = handle
        .add_signal_handler(signal::SIGTSTP, || {})
        .expect_err("too late");
    assert!(error.to_string().contains("shut down"), "{error}");
    assert!(!is_caught(signal::SIGTSTP));
    let error = signal::stream(signal::SIGTSTP).expect_err("outside");
    assert!(error.to_string().contains("no runtime"), "{error}");
}

#[test]
fn a_wait_given_up_at_any_point_loses_no_signal() {
    run_test(Config::new().current_thread(), async {
        let scenario = || {
            let stream = signal::stream(signal::SIGURG).expect("listening");
            let sender = create_task(async {
                yield_now().await;
                send(signal::SIGURG);
            });
            let wait = async move {
                sender.await.expect("sent");
                stream.recv().await.expect("heard");
            };
            (wait, ())
        };
        let dropped = drop_at_every_pending(scenario, |_, ()| async {}).await;
        let cancelled = cancel_at_every_pending(scenario, |_, ()| async {}).await;
        assert!(dropped > 0 && cancelled > 0);

        let stream = signal::stream(signal::SIGURG).expect("listening");
        drop_at_every_pending(|| (async { yield_now().await }, ()), |_, ()| async {}).await;
        let mut wait = Box::pin(stream.recv());
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(wait.as_mut().poll(&mut cx).is_pending());
        send(signal::SIGURG);
        drop(wait);
        stream.recv().await.expect("kept for the next call");
    });
}

#[test]
fn a_wait_for_ctrl_c_given_up_at_any_point_leaves_nothing_but_the_handler() {
    run_test(Config::new().current_thread(), async {
        let scenario = || {
            let wait = async {
                // In the order of one thread it runs after the first poll of the wait.
                let sender = create_task(async { send(signal::SIGINT) });
                signal::ctrl_c().await.expect("heard");
                sender.await.expect("sent");
            };
            (wait, ())
        };
        let check = |_: usize, ()| async { assert!(is_caught(signal::SIGINT)) };
        assert!(drop_at_every_pending(scenario, check).await > 0);
        assert!(cancel_at_every_pending(scenario, check).await > 0);
    });
}

#[test]
fn a_handler_is_called_with_the_variables_of_whoever_added_it() {
    loxley_sync::context_var! { static NAME: &'static str }
    for builder in flavours() {
        let runtime = builder.build().expect("a runtime");
        let (said, hears) = channel();
        runtime.block_on(async {
            let _before = NAME.set("of the main task");
            let handler = move || said.send(NAME.get()).expect("awaited");
            Handle::current()
                .add_signal_handler(signal::SIGIO, handler)
                .expect("listening");
            drop(NAME.set("changed since"));
            send(signal::SIGIO);
            loop {
                if let Ok(name) = hears.try_recv() {
                    assert_eq!(name, Some("of the main task"));
                    return;
                }
                yield_now().await;
            }
        });
    }
}

/// The variable that makes this program the child of a test.
const CHILD: &str = "LOXLEY_SIGNAL_CHILD";

#[test]
fn a_process_that_dies_by_a_signal_looks_killed_by_it() {
    if let Ok(number) = std::env::var(CHILD) {
        let number = number.parse().expect("a number");
        let runtime = Runtime::builder().build().expect("a runtime");
        let _listens = runtime.handle().add_signal_handler(number, || {});
        signal::die_by(number);
    }
    let program = std::env::current_exe().expect("a path");
    for (signum, killed_by) in [
        (signal::SIGINT, Some(2)),
        (signal::SIGTERM, Some(15)),
        (signal::SIGKILL, Some(9)),
        (40, Some(40)),
        (signal::SIGCHLD, None),
    ] {
        let status = Command::new(&program)
            .args([
                "a_process_that_dies_by_a_signal_looks_killed_by_it",
                "--exact",
            ])
            .env(CHILD, signum.to_string())
            .stdout(Stdio::null())
            .status()
            .expect("a child");
        assert_eq!(status.signal(), killed_by, "{signum}");
        assert!(killed_by.is_some() || status.code() == Some(128 + signum));
    }
}
