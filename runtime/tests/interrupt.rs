//! Ctrl-C as a shell sees it: each test starts this binary again as a child and signals it once or twice.
#![cfg(unix)]

use loxley_runtime::{RunError, Runner, create_task, run, signal};
use loxley_sync::{catch_cancelled, context_var, oneshot};
use rustix::process::{Pid, Signal, kill_process};
use std::future::pending;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

/// What makes this binary a child, and which one.
const ROLE: &str = "LOXLEY_TEST_ROLE";
/// Makes the clean-up of a child last.
const FOR_EVER: &str = "LOXLEY_TEST_FOR_EVER";

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
#[expect(clippy::too_many_lines, reason = "one arm for each program")]
fn child() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    say(&format!("pid {}", std::process::id()));
    match &*role {
        "waits" => run(async {
            let _says = Says("main is dropped");
            let (runs, is_running) = oneshot::channel();
            drop(create_task(async {
                let _says = Says("leftover is dropped");
                runs.send(()).expect("main waits for it");
                pending::<()>().await;
            }));
            is_running.await.expect("it says so");
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
        "polls nothing" => run(async {
            say("ready");
            loop {
                std::thread::park();
            }
        }),
        "blocks" => run(async {
            let _says = Says("main is dropped");
            say("ready");
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).expect("a line");
            say("no longer blocked");
            pending::<()>().await;
        }),
        "blocks the only worker" => Runner::builder().worker_threads(1).run(async {
            let _says = Says("main is dropped");
            let blocked = create_task(async {
                say("ready");
                let mut line = String::new();
                std::io::stdin().read_line(&mut line).expect("a line");
                say("no longer blocked");
                pending::<()>().await;
            });
            blocked.await.expect("it never ends");
        }),
        "serves" => Runner::builder()
            .shutdown_signals([signal::SIGTERM, signal::SIGHUP])
            .run(async {
                let waits = catch_cancelled(async {
                    say("ready");
                    pending::<()>().await;
                });
                let error = waits.await.expect_err("it never ends");
                say("cleaning");
                if std::env::var(FOR_EVER).is_ok() {
                    pending::<()>().await;
                }
                error.reraise().await;
            }),
        "is cancelled by others as well" => {
            let mut runner = Runner::new().expect("a runner");
            let result = runner.run(async {
                let waits = catch_cancelled(async {
                    say("ready");
                    pending::<()>().await;
                });
                assert!(waits.await.is_err());
                let main = loxley_runtime::current_task().expect("a task");
                main.cancel_with("by others");
                pending::<()>().await;
            });
            let Err(RunError::Cancelled(error)) = result else {
                panic!("{result:?}");
            };
            assert_eq!(error.message(), Some("by others"));
            say("cancelled by others");
        }
        "forgives and is cancelled" => {
            let mut runner = Runner::new().expect("a runner");
            let result = runner.run(async {
                let waits = catch_cancelled(async {
                    say("ready");
                    pending::<()>().await;
                });
                assert!(waits.await.is_err());
                let main = loxley_runtime::current_task().expect("a task");
                assert_eq!(main.uncancel(), 0);
                main.cancel_with("by others");
                pending::<()>().await;
            });
            // As asyncio has it: one request is left, and a signal came.
            assert!(matches!(result, Err(RunError::Interrupted)), "{result:?}");
            say("interrupted");
        }
        "waits between two runs" => {
            let mut runner = Runner::new().expect("a runner");
            runner.run(async {}).expect("it ends");
            say("ready");
            loop {
                std::thread::park();
            }
        }
        "cleans its leftovers up for ever" => run(async {
            let (waits, is_waiting) = oneshot::channel();
            drop(create_task(async {
                let waits = catch_cancelled(async {
                    waits.send(()).expect("main waits for it");
                    pending::<()>().await;
                });
                assert!(waits.await.is_err());
                say("ready");
                pending::<()>().await;
            }));
            is_waiting.await.expect("it says so");
        }),
        "has a handler of its own" => {
            let came = std::sync::Arc::default();
            signal_hook::flag::register(signal::SIGINT, std::sync::Arc::clone(&came))
                .expect("a handler");
            run(async {
                say("ready");
                // ordering: Relaxed. Nothing travels along.
                while !came.load(std::sync::atomic::Ordering::Relaxed) {
                    loxley_runtime::yield_now().await;
                }
                say("goes on");
            });
        }
        role => panic!("no role {role}"),
    }
}

struct Running {
    child: Child,
    lines: BufReader<std::process::ChildStderr>,
}

/// What a child of this binary is told to do.
const WORDS: [&str; 4] = ["--exact", "child", "--nocapture", "--test-threads=1"];

fn start(role: &str) -> Running {
    start_command(program().args(WORDS).env(ROLE, role))
}

/// This binary with every signal at its default: whoever started the tests may have had some ignored (`nohup`, a shell's `&`),
/// which a runtime respects.
fn program() -> Command {
    let mut command = Command::new("env");
    let program = std::env::current_exe().expect("a path");
    command.arg("--default-signal").arg(program);
    command
}

/// One of the sets of signals that the system keeps of process `pid`: `SigCgt` those that are caught, `SigIgn` those ignored.
fn mask_of(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let mask = line.expect("a mask").trim_start_matches(':').trim();
    u64::from_str_radix(mask, 16).expect("a number")
}

fn start_command(command: &mut Command) -> Running {
    let mut child = command
        .stdin(Stdio::piped())
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
        self.signal(Signal::INT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("sent");
    }

    /// Waits until the child's handler has run: it is good for one call, and the system takes it off then. Two signals that
    /// come before that are one.
    fn wait_until_first_is_taken(&self, signal: Signal) {
        while mask_of(self.child.id(), "SigCgt") >> (signal.as_raw() - 1) & 1 == 1 {
            std::thread::yield_now();
        }
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
fn second_interrupt_kills_a_program_that_polls_nothing() {
    let mut child = start("polls nothing");
    child.wait_for("ready");
    child.interrupt();
    child.wait_until_first_is_taken(Signal::INT);
    child.interrupt();
    assert_eq!(child.end().signal(), SIGINT);
}

#[test]
fn interrupt_during_a_call_that_blocks_is_noticed_after_it() {
    for role in ["blocks", "blocks the only worker"] {
        let mut child = start(role);
        child.wait_for("ready");
        child.interrupt();
        child.wait_until_first_is_taken(Signal::INT);
        let mut stdin = child.child.stdin.take().expect("piped");
        stdin.write_all(b"go on\n").expect("it reads");
        // With a worker to block, the main task has a thread of its own; but it waits for the task that it has cancelled.
        child.wait_for("no longer blocked");
        child.wait_for("main is dropped");
        assert_eq!(child.end().signal(), SIGINT, "{role}");
    }
}

#[test]
fn second_interrupt_kills_while_the_only_worker_is_blocked() {
    let mut child = start("blocks the only worker");
    child.wait_for("ready");
    child.interrupt();
    child.wait_until_first_is_taken(Signal::INT);
    child.interrupt();
    assert_eq!(child.end().signal(), SIGINT);
}

#[test]
fn a_shell_sees_which_signal_ended_the_program() {
    for (role, signal, status) in [
        ("waits", Signal::INT, "status 130"),
        ("serves", Signal::TERM, "status 143"),
        ("goes on", Signal::INT, "status 0"),
    ] {
        let program = std::env::current_exe().expect("a path");
        let line = r#""$0" "$@"; echo "status $?" >&2"#;
        let mut command = Command::new("env");
        command.args(["--default-signal", "/bin/sh", "-c", line]);
        command.arg(program).args(WORDS);
        let mut shell = start_command(command.env(ROLE, role));
        let mut text = String::new();
        while !text.starts_with("pid ") {
            text.clear();
            shell.lines.read_line(&mut text).expect("readable");
        }
        let pid = text["pid ".len()..].trim().parse().expect("a number");
        shell.wait_for("ready");
        kill_process(Pid::from_raw(pid).expect("not zero"), signal).expect("sent");
        shell.wait_for(status);
        assert!(shell.end().success());
    }
}

#[test]
fn shutdown_signals_are_taken_like_an_interrupt() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut child = start("serves");
        child.wait_for("ready");
        child.signal(signal);
        child.wait_for("cleaning");
        assert_eq!(child.end().signal(), Some(signal.as_raw()));
    }
}

#[test]
fn a_second_shutdown_signal_of_any_kind_kills_during_the_clean_up() {
    for (first, second) in [
        (Signal::TERM, Signal::TERM),
        (Signal::TERM, Signal::INT),
        (Signal::INT, Signal::TERM),
    ] {
        let mut command = program();
        let command = command.args(WORDS).env(ROLE, "serves").env(FOR_EVER, "yes");
        let mut child = start_command(command);
        child.wait_for("ready");
        child.signal(first);
        child.wait_for("cleaning");
        child.signal(second);
        assert_eq!(child.end().signal(), Some(second.as_raw()));
    }
}

#[test]
fn main_that_others_have_cancelled_as_well_is_not_interrupted() {
    for (role, word) in [
        ("is cancelled by others as well", "cancelled by others"),
        ("forgives and is cancelled", "interrupted"),
    ] {
        let mut child = start(role);
        child.wait_for("ready");
        child.interrupt();
        child.wait_for(word);
        assert_eq!(child.end().code(), Some(0));
    }
}

#[test]
fn where_nothing_is_run_the_first_interrupt_kills() {
    for role in ["waits between two runs", "cleans its leftovers up for ever"] {
        let mut child = start(role);
        child.wait_for("ready");
        child.interrupt();
        assert_eq!(child.end().signal(), SIGINT, "{role}");
    }
}

#[test]
fn a_handler_from_before_is_left_in_charge() {
    let mut child = start("has a handler of its own");
    child.wait_for("ready");
    child.interrupt();
    child.wait_for("goes on");
    assert_eq!(child.end().code(), Some(0));
}

#[test]
fn a_signal_that_the_program_was_told_to_ignore_stays_ignored() {
    for (role, ignored) in [("waits", Signal::INT), ("serves", Signal::HUP)] {
        let program = std::env::current_exe().expect("a path");
        let line = format!(r#"trap '' {}; exec "$0" "$@""#, ignored.as_raw());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &line]).arg(program).args(WORDS);
        let mut child = start_command(command.env(ROLE, role));
        child.wait_for("ready");
        let mask = mask_of(child.child.id(), "SigIgn");
        assert_eq!(mask >> (ignored.as_raw() - 1) & 1, 1, "{role}");
        child.signal(ignored);
        child.signal(Signal::KILL);
        assert_eq!(child.end().signal(), Some(9), "{role}");
    }
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
            let started = oneshot::channel();
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
    let late = runner.handle().create_task(async {});
    let error = loxley_sync::wait::block_on(late).expect_err("it is closed");
    assert!(error.to_string().contains("shut down"), "{error}");
    assert!(runner.close().is_clean());
    assert!(matches!(runner.run(async {}), Err(RunError::Closed)));
}
