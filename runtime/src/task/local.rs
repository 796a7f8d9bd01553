//! Tasks of one thread, for futures that are not `Send`: they live inside the main task of a `block_on`, and end with it.
//!
//! [`WithLocals`] is the future that a main task really runs: the user's, and after each of its polls the local tasks that
//! were woken. [`Locals`] is their scheduler. It keeps their right to poll in a queue that only its own thread takes from;
//! whoever wakes one puts it there and wakes the main task. When the main task's future goes, [`Locals::close`] ends them
//! all, on this thread, before it returns.
//!
//! A program without local tasks pays for a look at a thread-local per poll of its main task.
#![expect(
    unsafe_code,
    reason = "makes tasks of futures that only one thread may touch, and pins the main future"
)]

use super::join::{self, Task, TaskRef};
use super::raw::{Scheduled, Turn};
use super::unhandled::Reporter;
use super::{Place, Schedule, Steps, TaskId};
use loxley_sync::prim::lock::{Condvar, Mutex};
use loxley_sync::prim::thread::{self, ThreadId};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A list of live tasks shorter than this is not swept.
const SWEEP_MIN: usize = 64;

/// The local tasks of one `block_on`; `S` is the scheduler of the runtime around it.
pub(crate) struct Locals<S> {
    base: Arc<S>,
    thread: ThreadId,
    inner: Mutex<Inner>,
    came: Condvar,
    /// The main task.
    owner: Waker,
}

struct Inner {
    /// Those that can go on.
    queue: VecDeque<Scheduled>,
    /// All that are live, and some that have ended.
    list: Vec<TaskRef>,
    sweep_at: usize,
    /// How many are in the registry.
    live: usize,
    is_closed: bool,
}

impl<S: Schedule> Locals<S> {
    /// None yet, of a main task that is woken through `owner` and polled on this thread.
    pub(crate) fn new(base: Arc<S>, owner: Waker) -> Arc<Self> {
        Arc::new(Self {
            base,
            thread: thread::current().id(),
            inner: Mutex::new(Inner {
                queue: VecDeque::new(),
                list: Vec::new(),
                sweep_at: SWEEP_MIN,
                live: 0,
                is_closed: false,
            }),
            came: Condvar::new(),
            owner,
        })
    }

    fn assert_here(&self) {
        assert_eq!(
            self.thread,
            thread::current().id(),
            "local tasks are made, polled and dropped on one thread"
        );
    }

    /// Makes a local task. `admit` announces it and puts it into the registry.
    pub(crate) fn create<F: Future + 'static>(
        self: &Arc<Self>,
        future: F,
        id: TaskId,
        at: &'static Location<'static>,
        admit: impl FnOnce(Scheduled) -> Result<Scheduled, Scheduled>,
    ) -> Task<F::Output> {
        self.assert_here();
        // SAFETY: `F` and its output are `'static`. This scheduler gives up a right to poll only in `run_queued` and `close`,
        // which run on this thread alone, as does `refuse` below; so the future is polled and dropped here. A handle to an
        // output that is not `Send` is not `Send` itself. `close` keeps the scheduler alive until every task is complete.
        let (fresh, handle) = unsafe { join::make_unchecked(future, at) };
        let task = fresh.with_context(None).launch(self, id);
        let is_closed = self.inner.lock().is_closed;
        let admitted = if is_closed { Err(task) } else { admit(task) };
        match admitted {
            Ok(task) => {
                let gone = self.inner.lock().keep(task.as_ref());
                drop(gone);
                self.schedule(task);
            }
            Err(task) => super::refuse(task),
        }
        handle
    }

    /// Polls, once each, the tasks that can go on. True if there are more by now.
    pub(crate) fn run_queued(self: &Arc<Self>) -> bool {
        self.assert_here();
        let batch = std::mem::take(&mut self.inner.lock().queue);
        for task in batch {
            self.run(task);
        }
        !self.inner.lock().queue.is_empty()
    }

    fn run(&self, task: Scheduled) {
        if let Turn::Requeue(task) = task.run() {
            self.inner.lock().queue.push_back(task);
        }
    }

    /// Ends every task: its future is dropped on this thread.
    pub(crate) fn close(self: &Arc<Self>) {
        self.assert_here();
        let list = {
            let mut inner = self.inner.lock();
            inner.is_closed = true;
            std::mem::take(&mut inner.list)
        };
        for task in &list {
            task.stop();
        }
        loop {
            let mut inner = self.inner.lock();
            // A thread that has just woken one is about to put it into the queue.
            while inner.queue.is_empty() && inner.live > 0 {
                inner = self.came.wait(inner);
            }
            let Some(task) = inner.queue.pop_front() else {
                return;
            };
            drop(inner);
            self.run(task);
        }
    }
}

impl Inner {
    /// Notes a live task; those that have ended, to be dropped outside.
    fn keep(&mut self, task: TaskRef) -> Vec<TaskRef> {
        let mut gone = Vec::new();
        if self.list.len() >= self.sweep_at {
            let list = std::mem::take(&mut self.list);
            (gone, self.list) = list.into_iter().partition(TaskRef::is_finished);
            self.sweep_at = SWEEP_MIN.max(2 * self.list.len());
        }
        self.list.push(task);
        self.live += 1;
        gone
    }
}

impl<S: Schedule> Schedule for Locals<S> {
    fn schedule(self: &Arc<Self>, task: Scheduled) {
        // Once it is in the queue it may run, end, and let all this go.
        let this = Arc::clone(self);
        this.inner.lock().queue.push_back(task);
        this.came.notify_one();
        this.owner.wake_by_ref();
    }

    fn leave(&self, place: Place) {
        if place != Place::NOWHERE {
            self.base.leave(place);
            self.inner.lock().live -= 1;
        }
    }

    fn reporter(&self) -> Reporter {
        self.base.reporter()
    }

    fn end_hook(&self) -> Option<&(dyn Fn(&TaskRef) + Send + Sync)> {
        self.base.end_hook()
    }

    fn after_end(self: &Arc<Self>, steps: Steps) {
        self.base.after_end(steps);
    }
}

/// What a main task asks its thread about local tasks.
pub(crate) trait Site {
    /// Polls the local tasks that can go on. True if there are more.
    fn run_queued(&self) -> bool;
    /// Ends them all.
    fn close(&self);
}

/// A main future with the local tasks of its thread.
pub(crate) struct WithLocals<F, S: Site> {
    /// Pinned; goes before the tasks do.
    future: F,
    site: Closing<S>,
}

struct Closing<S: Site>(S);

impl<S: Site> Drop for Closing<S> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<F, S: Site> WithLocals<F, S> {
    pub(crate) fn new(future: F, site: S) -> Self {
        Self {
            future,
            site: Closing(site),
        }
    }
}

impl<F: Future, S: Site> Future for WithLocals<F, S> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned with the whole and never moved; the other fields are never pinned.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        let poll = unsafe { Pin::new_unchecked(&mut this.future) }.poll(cx);
        if poll.is_pending() && this.site.0.run_queued() {
            cx.waker().wake_by_ref();
        }
        poll
    }
}
