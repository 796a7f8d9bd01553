//! asyncio's rules as a user of the facade meets them: one module per chapter, one test per rule that shows.
//!
//! Each module begins with a table, rule by rule, of the test that holds it. A name in brackets is a file of
//! `runtime/tests`, where the rule was tested first; it is not tested twice. [`the_tables_are_true`] holds both ways.
//!
//! | here | runs a case on |
//! |---|---|
//! | [`both`] | two workers, then the strict flavour, with a leak check |
//! | [`strict`] | the strict flavour alone: rules of order, and requests that must meet a task in one certain state |
//! | [`paused`] | the strict flavour with a clock that stands |
//!
//! Nothing here sleeps to put things in order: a case yields until what it waits for can be seen.

mod as_completed;
mod cancellation;
mod context;
mod eager;
mod gather;
mod groups;
mod races;
mod runner;
mod scopes;
mod shield;
#[path = "../support/tables.rs"]
mod tables;
mod tasks;
mod threads;
mod timeouts;
mod wait;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loxley::testing::{Config, run};
use loxley::{CancelledError, TaskError, TaskRef, current_task, yield_now};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// Runs `case` on two workers and on the strict flavour; nothing may be left behind.
#[track_caller]
fn both(case: impl AsyncFn()) {
    run(Config::new().worker_threads(2).leak_check(true), case());
    run(Config::new().current_thread().leak_check(true), case());
}

/// Runs `case` on the strict flavour.
#[track_caller]
fn strict(case: impl Future<Output = ()>) {
    run(Config::new().current_thread().leak_check(true), case);
}

/// Runs `case` on the strict flavour, with a clock that jumps to the next deadline when nothing can run.
#[track_caller]
fn paused(case: impl Future<Output = ()>) {
    let config = Config::new().current_thread().paused(true);
    run(config.leak_check(true), case);
}

/// The task that runs this.
fn me() -> TaskRef {
    current_task().expect("a task runs this")
}

/// Yields until `task` waits for something, or has ended.
async fn parked(task: &TaskRef) {
    until(|| !task.is_runnable()).await;
}

/// Yields until `condition` holds.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

/// Lets everything that is ready run a few turns, on the strict flavour.
async fn turns(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

/// The error of a task that must have ended cancelled.
#[track_caller]
fn cancelled<T>(result: Result<T, TaskError>) -> CancelledError {
    match result {
        Err(TaskError::Cancelled(error)) => error,
        Err(TaskError::Panicked(panic)) => panic.resume(),
        _ => panic!("it was not cancelled"),
    }
}

/// What the one who asked said.
fn said(error: &CancelledError) -> Option<String> {
    error.message().map(str::to_owned)
}

/// What `f` panics with.
#[track_caller]
fn panic_text<T>(f: impl FnOnce() -> T) -> String {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => panic!("it should have panicked"),
        Err(payload) => payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_default(),
    }
}

/// Counts something, from any thread.
#[derive(Clone, Debug, Default)]
struct Count(Arc<AtomicUsize>);

impl Count {
    fn add(&self) -> usize {
        self.0.fetch_add(1, Ordering::AcqRel) + 1
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    /// Counts its own drop.
    fn token(&self) -> Token {
        Token(self.clone())
    }
}

/// See [`Count::token`].
#[derive(Debug)]
struct Token(Count);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.add();
    }
}

#[test]
fn the_tables_are_true() {
    let mut wrong = Vec::new();
    let mut rules = 0;
    for module in tables::sources("tests/asyncio") {
        if !module.ends_with("main.rs") {
            rules += tables::rows(&tables::read(&module)).len();
            wrong.extend(tables::wrong_names(&module, "runtime/tests"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rules >= 150, "only {rules} rules");
}
