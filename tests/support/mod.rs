//! What the fault tests share: flavours, a limit for hangs that names the live tasks, counters of drops and reports, child
//! processes.
//!
//! Nothing here sleeps: whoever waits for another thread yields until a condition holds, and the hang limit ends it.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "a module of test crates")]

use loxley_runtime::{Builder, Handle, Runtime, yield_now};
use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::thread;
use std::time::Duration;

/// A case that takes longer hangs.
const HANG_LIMIT: Duration = Duration::from_secs(20);

/// How a runtime runs its tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    OneThread,
    Workers(usize),
}

pub const BOTH: [Flavour; 2] = [Flavour::OneThread, Flavour::Workers(2)];
pub const ALL: [Flavour; 3] = [Flavour::OneThread, Flavour::Workers(2), Flavour::Workers(8)];

impl Flavour {
    pub fn builder(self) -> Builder {
        match self {
            Self::OneThread => Runtime::builder().current_thread(),
            Self::Workers(count) => Runtime::builder().worker_threads(count),
        }
    }

    /// Threads that poll tasks beside `block_on`.
    pub fn workers(self) -> usize {
        match self {
            Self::OneThread => 0,
            Self::Workers(count) => count,
        }
    }
}

/// The runtimes of one case, so that a hang can be told by name.
#[derive(Clone, Default)]
pub struct Watch(Arc<Mutex<Vec<Handle>>>);

impl Watch {
    /// Builds a runtime whose tasks are listed if the case hangs.
    pub fn build(&self, builder: Builder) -> Runtime {
        let runtime = builder.build().expect("threads and descriptors");
        self.0.lock().unwrap().push(runtime.handle());
        runtime
    }

    fn list(&self) -> String {
        let mut text = String::new();
        for handle in self.0.lock().unwrap().iter() {
            text.push_str(&format!("\n{:#?}", handle.metrics()));
            for task in handle.all_tasks() {
                let reason = task.waiting_for();
                let runnable = task.is_runnable();
                text.push_str(&format!(
                    "\n  {task}: {:?} at {:?}, runnable: {runnable}",
                    reason.kind, reason.at
                ));
            }
        }
        text
    }
}

/// Runs `body` on a thread of its own; when the limit has passed, fails with the list of live tasks.
#[track_caller]
pub fn bounded(body: impl FnOnce(&Watch) + Send + 'static) {
    let watch = Watch::default();
    let (done, ended) = channel();
    let theirs = watch.clone();
    thread::spawn(move || {
        let result = catch_unwind(AssertUnwindSafe(|| body(&theirs)));
        let _ = done.send(result);
    });
    match ended.recv_timeout(HANG_LIMIT) {
        Ok(Ok(())) => {}
        Ok(Err(payload)) => resume_unwind(payload),
        Err(RecvTimeoutError::Timeout) => panic!("hangs; what still lives:{}", watch.list()),
        Err(RecvTimeoutError::Disconnected) => panic!("the case's thread is gone"),
    }
}

/// Runs `body` once per flavour, each with a fresh runtime of it.
#[track_caller]
pub fn each(flavours: &[Flavour], body: impl Fn(Runtime) + Send + Sync + 'static) {
    each_with(flavours, |builder| builder, move |_, runtime| body(runtime));
}

/// Runs `body` once per flavour, with settings of its own.
#[track_caller]
pub fn each_with(
    flavours: &[Flavour],
    configure: impl Fn(Builder) -> Builder,
    body: impl Fn(Flavour, Runtime) + Send + Sync + 'static,
) {
    let body = Arc::new(body);
    for &flavour in flavours {
        let builder = configure(flavour.builder());
        let body = body.clone();
        bounded(move |watch| body(flavour, watch.build(builder)));
    }
}

/// Runs the runtime's tasks until `condition` holds; on both flavours.
pub fn drive_until(runtime: &Runtime, condition: impl Fn() -> bool) {
    runtime.block_on(until(condition));
}

/// Yields until `condition` holds.
pub async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

/// Lets other threads run until `condition` holds.
pub fn spin_until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

/// Counts something, from any thread.
#[derive(Clone, Debug, Default)]
pub struct Count(Arc<AtomicUsize>);

impl Count {
    pub fn add(&self) -> usize {
        self.0.fetch_add(1, Ordering::AcqRel) + 1
    }

    pub fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    /// Counts its own drop.
    pub fn token(&self) -> Token {
        Token(self.clone())
    }
}

/// See [`Count::token`].
#[derive(Debug)]
pub struct Token(Count);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.add();
    }
}

/// Panics when dropped, unless the thread is panicking already, after it has been counted.
#[derive(Debug)]
pub struct PanicsInDrop(pub Count);

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        self.0.add();
        if !thread::panicking() {
            panic!("in drop");
        }
    }
}

/// What went to the unhandled-error handler.
#[derive(Clone, Debug, Default)]
pub struct Reports(Arc<Mutex<Vec<String>>>);

impl Reports {
    pub fn install(&self, builder: Builder) -> Builder {
        let this = self.clone();
        builder.unhandled_error(move |error| this.0.lock().unwrap().push(error.to_string()))
    }

    pub fn list(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// A waker that counts its wakes.
pub struct CountingWaker(pub Count);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.add();
    }
}

pub fn counting_waker(count: &Count) -> Waker {
    Waker::from(Arc::new(CountingWaker(count.clone())))
}

/// Polls `future` once with `waker`, on this thread and outside every task.
pub fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> std::task::Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut std::task::Context::from_waker(waker))
}

/// The text of a panic's payload.
pub fn text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no text)")
}

/// The panic that `f` must end with, as text.
#[track_caller]
pub fn panic_text<R>(f: impl FnOnce() -> R) -> String {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => panic!("it should have panicked"),
        Err(payload) => text(&*payload).to_owned(),
    }
}

/// Every worker of `handle`'s runtime is alive: all of them at once sit in a task.
pub fn assert_workers_alive(runtime: &Runtime, workers: usize) {
    let meeting = Arc::new(std::sync::Barrier::new(workers));
    let handle = runtime.handle();
    let tasks: Vec<_> = (0..workers)
        .map(|_| {
            let meeting = meeting.clone();
            handle.create_task(async move {
                let _ = meeting.wait();
            })
        })
        .collect();
    runtime.block_on(async {
        for task in tasks {
            task.await.expect("nobody cancels it");
        }
    });
}

/// Small, seeded, good enough to choose by: G. Marsaglia's xorshift, whose seed must not be 0.
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    pub fn index(&mut self, sides: usize) -> usize {
        usize::try_from(self.roll(sides as u64)).unwrap()
    }

    pub fn another(&mut self) -> Self {
        Self(
            self.roll(u64::MAX >> 11)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                | 1,
        )
    }

    /// A millisecond or so.
    pub fn short(&mut self) -> Duration {
        Duration::from_micros(self.roll(1_500))
    }
}

/// The variable that tells a child process which case it is.
const CHILD: &str = "LOXLEY_TEST_CHILD";

/// Whether this process is the child of the test of that name.
pub fn is_child(test: &str) -> bool {
    std::env::var(CHILD).is_ok_and(|name| name == test)
}

/// Runs this test again in a process of its own, where [`is_child`] is true.
pub fn in_child(test: &str, variables: &[(&str, &str)]) -> Output {
    let program = std::env::current_exe().expect("a test program has a path");
    let mut command = Command::new(program);
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    command.env(CHILD, test).envs(variables.iter().copied());
    command.output().expect("a child process")
}

/// Whether this process is the child of that test, which goes on then. In its parent the child was run, and it succeeded.
#[track_caller]
#[must_use = "the parent has nothing left to do"]
pub fn is_alone(test: &str, variables: &[(&str, &str)]) -> bool {
    let is_child = is_child(test);
    if !is_child {
        let output = in_child(test, variables);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
    is_child
}

/// Threads of this process.
pub fn thread_count() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// Descriptors of this process.
pub fn descriptor_count() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
