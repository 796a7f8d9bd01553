//! One closure on its way to a result: the hand-over between the pool's thread and the awaiter.
//!
//! The pool calls [`Run`], the awaiter holds [`Job`]; both point at one allocation that holds the closure first and its
//! result later. Nothing here knows about threads or queues, and no user code runs while the stage is locked.
//!
//! # State
//!
//! ```text
//!              B1 new
//!                │
//!                ▼    B2 start          B3 finish         B4 take
//!           ┌────────┐ ──────► ┌─────────┐ ──────► ┌──────┐ ──────► ┌──────┐
//!           │ queued │         │ running │         │ done │         │ over │
//!           └────────┘         └─────────┘         └──────┘         └──────┘
//!              │   │ B5 refuse      │ B7 abandon      ▲                 ▲
//!              │   └────────────────┼─────────────────┘                 │
//!              │ B6 withdraw        ▼   B8 finish unobserved            │
//!              │               ┌───────────┐ ───────────────────────────┤
//!              │               │ abandoned │                            │
//!              │               └───────────┘                            │
//!              └────────────────────────────────────────────────────────┘
//! ```
//!
//! | edge | by | duty of the caller, after unlocking |
//! |---|---|---|
//! | B1 | submitter | queue it |
//! | B2 | pool thread | call the closure, or forget the job if it was withdrawn |
//! | B3 | pool thread | wake the awaiter |
//! | B4 | awaiter's poll or drop | hand out, or drop, the result |
//! | B5 | pool at shutdown or without threads | drop the closure, then wake |
//! | B6 | awaiter's drop | drop the closure |
//! | B7 | awaiter's drop | none |
//! | B8 | pool thread | drop the result |
//!
//! # Access
//!
//! The stage is behind a mutex that is held for a few moves only. It never pays to be cleverer here: the two wake-ups
//! around a job cost a thousand times what the lock does, and this room stays free of `unsafe`.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use loxley_sync::ambient::{self, WaitKind};
use loxley_sync::prim::atomic::{AtomicBool, Ordering};
use loxley_sync::prim::lock::{Mutex, MutexGuard};

use crate::payload::{self, contain};

// std's in every flavour: models need the unsized coercion, and the stage has a lock of its own.
use std::sync::Arc;

/// Why a job has no result.
#[non_exhaustive]
pub enum JobError {
    /// The closure panicked; this is what it panicked with.
    Panicked(Box<dyn Any + Send>),
    /// The pool was shut down before the job started; the closure was dropped without running.
    ShutDown,
    /// The pool had no thread and the system would not give it one; the closure was dropped without running.
    NoThread(io::ErrorKind),
}

/// Why a job is refused before it started.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    ShutDown,
    NoThread(io::ErrorKind),
}

/// The result of a closure in the pool.
///
/// # Cancel safety
///
/// Dropping it withdraws a job that has not started: the closure is dropped where the `Job` is. A job that has started runs
/// on unobserved and its result is dropped on the pool's thread.
#[must_use = "a job that is dropped before it starts never runs"]
pub struct Job<T> {
    slot: Option<Arc<dyn Fetch<T> + Send + Sync>>,
    at: &'static Location<'static>,
}

/// What the pool may do with a job.
pub(super) trait Run {
    /// Runs the closure, unless the awaiter has gone (B2, B3, B8). Never panics.
    fn run(&self);
    /// Ends the job without running it (B5). Never panics.
    fn refuse(&self, why: Refusal);
    /// Whether the awaiter took the closure back (B6): the entry is an empty shell. May lag behind.
    fn is_withdrawn(&self) -> bool;
    /// The line that submitted the job.
    fn submitted_at(&self) -> &'static Location<'static>;
}

/// What the awaiter may do with a job.
trait Fetch<T> {
    fn poll_result(&self, cx: &mut Context<'_>) -> Poll<Result<T, JobError>>;
    fn leave(&self);
    fn is_done(&self) -> bool;
}

pub(super) type Runnable = Arc<dyn Run + Send + Sync>;

struct Slot<F, T> {
    stage: Mutex<Stage<F, T>>,
    /// A hint for the pool's sweep, set after B6.
    withdrawn: AtomicBool,
    at: &'static Location<'static>,
}

struct Stage<F, T> {
    work: Work<F, T>,
    /// The awaiter's newest waker; none once it was taken to be called or the awaiter has gone.
    waker: Option<Waker>,
}

enum Work<F, T> {
    Queued(F),
    Running,
    Abandoned,
    Done(Result<T, JobError>),
    Over,
}

impl<F, T> Work<F, T> {
    fn name(&self) -> &'static str {
        match self {
            Self::Queued(_) => "queued",
            Self::Running => "running",
            Self::Abandoned => "abandoned",
            Self::Done(_) => "done",
            Self::Over => "over",
        }
    }
}

/// B1: one allocation, seen from both sides.
pub(super) fn new<F, T>(f: F, at: &'static Location<'static>) -> (Runnable, Job<T>)
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let slot = Arc::new(Slot {
        stage: Mutex::new(Stage {
            work: Work::Queued(f),
            waker: None,
        }),
        withdrawn: AtomicBool::new(false),
        at,
    });
    let job = Job {
        slot: Some(slot.clone()),
        at,
    };
    (slot, job)
}

impl<F, T> Slot<F, T>
where
    F: FnOnce() -> T,
{
    /// B2: the closure, unless the awaiter took it back.
    fn start(&self) -> Option<F> {
        let mut stage = self.stage.lock();
        match mem::replace(&mut stage.work, Work::Running) {
            Work::Queued(f) => Some(f),
            Work::Over => {
                stage.work = Work::Over;
                None
            }
            other => unreachable!("a job is started once, and this one is {}", other.name()),
        }
    }

    /// B3 or B8: stores the result, or gives it back when nobody awaits it.
    fn finish(&self, result: Result<T, JobError>) -> Finished<T> {
        let mut stage = self.stage.lock();
        match stage.work {
            Work::Running => {
                stage.work = Work::Done(result);
                Finished::Wake(stage.waker.take())
            }
            Work::Abandoned => {
                stage.work = Work::Over;
                Finished::Drop(result)
            }
            ref other => unreachable!(
                "a running job finishes once, and this one is {}",
                other.name()
            ),
        }
    }
}

/// What the pool's thread owes after a job finished.
#[must_use = "the awaiter must be woken, or the result dropped outside the lock"]
enum Finished<T> {
    Wake(Option<Waker>),
    Drop(Result<T, JobError>),
}

impl<F, T> Run for Slot<F, T>
where
    F: FnOnce() -> T,
{
    fn run(&self) {
        let Some(f) = self.start() else { return };
        let result = catch_unwind(AssertUnwindSafe(f)).map_err(JobError::Panicked);
        match self.finish(result) {
            Finished::Wake(None) => {}
            Finished::Wake(Some(waker)) => contain(|| waker.wake()),
            Finished::Drop(result) => contain(|| drop(result)),
        }
    }

    fn refuse(&self, why: Refusal) {
        let mut stage = self.stage.lock();
        if !matches!(stage.work, Work::Queued(_)) {
            return; // Withdrawn.
        }
        let error = match why {
            Refusal::ShutDown => JobError::ShutDown,
            Refusal::NoThread(kind) => JobError::NoThread(kind),
        };
        let unrun = mem::replace(&mut stage.work, Work::Done(Err(error)));
        let waker = stage.waker.take();
        drop(stage);
        contain(|| drop(unrun));
        if let Some(waker) = waker {
            contain(|| waker.wake());
        }
    }

    fn is_withdrawn(&self) -> bool {
        // ordering: Relaxed, a hint: whoever acts on it only drops its own reference.
        self.withdrawn.load(Ordering::Relaxed)
    }

    fn submitted_at(&self) -> &'static Location<'static> {
        self.at
    }
}

impl<F, T> Slot<F, T> {
    /// B4, when the result is there.
    fn take(stage: &mut MutexGuard<'_, Stage<F, T>>) -> Option<Result<T, JobError>> {
        if !matches!(stage.work, Work::Done(_)) {
            return None;
        }
        match mem::replace(&mut stage.work, Work::Over) {
            Work::Done(result) => Some(result),
            _ => None,
        }
    }
}

impl<F, T> Fetch<T> for Slot<F, T> {
    fn poll_result(&self, cx: &mut Context<'_>) -> Poll<Result<T, JobError>> {
        // 1. Ready, or already waiting with this waker: one visit is enough.
        {
            let mut stage = self.stage.lock();
            if let Some(result) = Self::take(&mut stage) {
                return Poll::Ready(result);
            }
            if stage
                .waker
                .as_ref()
                .is_some_and(|old| old.will_wake(cx.waker()))
            {
                return Poll::Pending;
            }
        }
        // 2. Cloning a waker may run foreign code, so it is done between two visits; the second one looks again.
        let waker = cx.waker().clone();
        let mut stage = self.stage.lock();
        if let Some(result) = Self::take(&mut stage) {
            drop(stage);
            return Poll::Ready(result);
        }
        let old = stage.waker.replace(waker);
        drop(stage);
        drop(old);
        Poll::Pending
    }

    fn leave(&self) {
        let mut stage = self.stage.lock();
        let waker = stage.waker.take();
        let next = match stage.work {
            Work::Running => Work::Abandoned,
            Work::Queued(_) | Work::Done(_) | Work::Over => Work::Over,
            Work::Abandoned => unreachable!("a job has one awaiter, and it left already"),
        };
        let before = mem::replace(&mut stage.work, next);
        drop(stage);
        if matches!(before, Work::Queued(_)) {
            // ordering: Relaxed, a hint for the sweep; the stage says the truth under its lock.
            self.withdrawn.store(true, Ordering::Relaxed);
        }
        drop(waker);
        drop(before);
    }

    fn is_done(&self) -> bool {
        matches!(self.stage.lock().work, Work::Done(_))
    }
}

impl<T> Job<T> {
    /// Whether the result is there to be taken.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.slot.as_ref().is_none_or(|slot| slot.is_done())
    }
}

impl<T> Future for Job<T> {
    type Output = Result<T, JobError>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        std::task::ready!(ambient::poll_budget(cx));
        let slot = self
            .slot
            .as_ref()
            .expect("a finished job was polled again; await it once");
        let poll = slot.poll_result(cx);
        match poll {
            Poll::Ready(_) => self.slot = None,
            Poll::Pending => ambient::wait_reason(WaitKind::Thread, Some(self.at)),
        }
        poll
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            slot.leave();
        }
    }
}

impl<T> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(payload) => f
                .debug_tuple("Panicked")
                .field(&payload::text(payload.as_ref()))
                .finish(),
            Self::ShutDown => f.write_str("ShutDown"),
            Self::NoThread(kind) => f.debug_tuple("NoThread").field(kind).finish(),
        }
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(payload) => write!(
                f,
                "the closure panicked: {}",
                payload::text(payload.as_ref()).unwrap_or("(no text)")
            ),
            Self::ShutDown => f.write_str("the pool was shut down before the closure started"),
            Self::NoThread(kind) => write!(f, "the pool could not start a thread: {kind}"),
        }
    }
}

impl std::error::Error for JobError {}
