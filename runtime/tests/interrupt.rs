//! Ctrl-C as a shell sees it: each test starts this binary again as a child and signals it once or twice.
#![cfg(unix)]

use loxley_runtime::{RunError, Runner, create_task, run, signal};
use loxley_sync::{catch_cancelled, context_var};
use rustix::process::{Pid, Signal, kill_process};
use std::future::pending;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

/// What makes this binary a child, and which one.
const ROLE: &str = "LOXLEY_TEST_ROLE";

fn say(word: &str) {
    let mut out = std::io::stderr();
    writeln!(out, "\n{word}").expect("the parent reads");
}

struct Says(&'static str);

impl Drop for Says {
    fn drop(&mut self) {
        say(self.0);
    }
}

/// Not a test of its own: what the children do.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    match &*role {
        "waits" => run(async {
            let _says = Says("main is dropped");
            drop(create_task(async {
                let _says = Says("leftover is dropped");
                pending::<()>().await;
            }));
            say("ready");
            pending::<()>().await;
        }),
        "cleans up for ever" => run(async {
            let waits = catch_cancelled(async {
                say("ready");
                pending::<()>().await;
            });
            assert!(waits.await.is_err());
            say("cleaning");
            pending::<()>().await;
        }),
        "goes on" => run(async {
            let waits = catch_cancelled(async {
                say("ready");
                pending::<()>().await;
            });
            assert!(waits.await.is_err());
            say("goes on");
        }),
        "listens itself" => run(async {
            let stream = signal::stream(signal::SIGINT).expect("it listens");
            say("ready");
            stream.recv().await.expect("it comes");
            say("heard");
        }),
        role => panic!("no role {role}"),
    }
}

struct Running {
    child: Child,
    lines: BufReader<std::process::ChildStderr>,
}

fn start(role: &str) -> Running {
    let mut child = Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child");
    let lines = BufReader::new(child.stderr.take().expect("piped"));
    Running { child, lines }
}

impl Running {
    fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        while line.trim() != word {
            line.clear();
            let read = self.lines.read_line(&mut line).expect("readable");
            assert!(read > 0, "the child ended without {word:?}");
        }
    }

    fn interrupt(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).expect("sent");
    }

    fn end(mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }
}

const SIGINT: Option<i32> = Some(2);

#[test]
fn first_interrupt_cancels_main_and_its_leftovers_and_ends_the_process_by_the_signal() {
    let mut child = start("waits");
    child.wait_for("ready");
    child.interrupt();
    child.wait_for("main is dropped");
    child.wait_for("leftover is dropped");
    assert_eq!(child.end().signal(), SIGINT);
}

#[test]
fn second_interrupt_kills_during_the_clean_up() {
    let mut child = start("cleans up for ever");
    child.wait_for("ready");
    child.interrupt();
    child.wait_for("cleaning");
    child.interrupt();
    assert_eq!(child.end().signal(), SIGINT);
}

#[test]
fn main_that_goes_on_after_an_interrupt_ends_as_it_likes() {
    let mut child = start("goes on");
    child.wait_for("ready");
    child.interrupt();
    child.wait_for("goes on");
    assert_eq!(child.end().code(), Some(0));
}

#[test]
fn program_that_listens_itself_is_not_cancelled() {
    let mut child = start("listens itself");
    child.wait_for("ready");
    child.interrupt();
    child.wait_for("heard");
    assert_eq!(child.end().code(), Some(0));
}

#[test]
fn runs_of_one_runner_share_a_context() {
    context_var! { static DEPTH: u32 }
    let mut runner = Runner::new().expect("a runner");
    runner.run(async { drop(DEPTH.set(1)) }).expect("it ends");
    let seen = runner.run(async { DEPTH.get() });
    assert_eq!(seen.expect("it ends"), Some(1));
    assert_eq!(DEPTH.get(), None);
}

#[test]
fn main_cancelled_by_somebody_else_is_no_interrupt() {
    let mut runner = Runner::new().expect("a runner");
    let result = runner.run(async {
        let main = loxley_runtime::current_task().expect("a task");
        main.cancel_with("enough");
        pending::<()>().await;
    });
    let Err(RunError::Cancelled(error)) = result else {
        panic!("{result:?}");
    };
    assert_eq!(error.message(), Some("enough"));
}

#[test]
fn close_lets_leftovers_clean_up_and_a_second_close_does_nothing() {
    let cleaned = std::sync::Arc::new(loxley_sync::prim::lock::Mutex::new(false));
    let mut runner = Runner::new().expect("a runner");
    let kept = cleaned.clone();
    runner
        .run(async {
            let started = loxley_sync::oneshot::channel();
            let (tell, told) = started;
            drop(create_task(async move {
                let waits = catch_cancelled(async move {
                    let _ = tell.send(());
                    pending::<()>().await;
                });
                assert!(waits.await.is_err());
                loxley_runtime::yield_now().await;
                *kept.lock() = true;
            }));
            told.await.expect("it starts");
        })
        .expect("it ends");
    assert!(runner.close().is_clean());
    assert!(*cleaned.lock());
    assert!(runner.handle().is_none());
    assert!(runner.close().is_clean());
    assert!(matches!(runner.run(async {}), Err(RunError::Closed)));
}
