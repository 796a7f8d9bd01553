//! The steps to silence.
//!
//! 1. `begin_shutdown` raises a flag and unparks every worker.
//! 2. Each worker closes its own roster, on the thread that would spawn through it, so no spawn slips by; the first one
//!    closes the foreign roster too, under its lock. From here on a spawn is refused: its future is dropped at once.
//! 3. Each worker asks every task of its shard to stop (T10). A task's next turn drops its future, without another poll. A
//!    worker that runs dry asks the tasks of all shards once: another may be stuck in a poll and never get to its own.
//! 4. Workers run what is queued until every roster is closed and the registry is empty. A task that a foreign thread has
//!    just woken is in the registry, so nobody leaves before it has arrived in the injector.
//! 5. The last worker to go shuts the driver (R6) and closes the timers: whoever waits for them elsewhere is woken.
//! 6. Whoever began it waits for the workers and for the pool until a deadline, and reports what is left.

use super::shared::Shared;
use crate::blocking::StuckThread;
use crate::clock::real_now;
use crate::task::{Registry, TaskRef, UnhandledError};
use loxley_sync::prim::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use loxley_sync::prim::lock::{Condvar, Mutex};
use std::time::Duration;

/// How far a runtime is on its way out. Models drive it through the same methods as the workers.
#[derive(Debug)]
pub struct Shutdown {
    begun: AtomicBool,
    /// Rosters still open: one per worker, and the foreign one.
    open_rosters: AtomicUsize,
    workers: Mutex<usize>,
    last_gone: Condvar,
}

/// What did not stop in time.
#[derive(Debug, Default)]
pub(crate) struct Unstopped {
    pub(crate) tasks: Vec<TaskRef>,
    pub(crate) threads: Vec<StuckThread>,
    pub(crate) workers: usize,
}

impl Shutdown {
    /// Nothing has begun, so many workers are at work.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            begun: AtomicBool::new(false),
            open_rosters: AtomicUsize::new(workers + 1),
            workers: Mutex::new(workers),
            last_gone: Condvar::new(),
        }
    }

    /// Step 1 proper; the caller unparks every worker.
    pub fn begin(&self) {
        // ordering: relaxed, the fence below orders it before the unparks and against SleepFence.
        self.begun.store(true, Ordering::Relaxed);
        // ordering: pairs with SleepFence: a worker going to sleep sees the flag, or its park gets the token that follows.
        fence(Ordering::SeqCst);
    }

    /// Whether step 1 was taken.
    #[inline]
    #[must_use]
    pub fn has_begun(&self) -> bool {
        // ordering: relaxed, workers look every round, and once more after the SleepFence that `begin_shutdown` pairs with.
        self.begun.load(Ordering::Relaxed)
    }

    /// Step 2, after one roster was closed.
    pub fn roster_closed(&self) {
        // ordering: release publishes what was spawned through it to `is_drained`; acquire keeps the chain.
        self.open_rosters.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether step 4 is over.
    #[must_use]
    pub fn is_drained(&self, registry: &Registry) -> bool {
        // ordering: acquire pairs with `roster_closed`: after that the registry's count is exact.
        self.open_rosters.load(Ordering::Acquire) == 0 && registry.live() == 0
    }

    /// Step 5: a worker's last act. True for the last one, who closes the world and then calls [`announce`](Self::announce).
    #[must_use]
    pub fn worker_gone(&self) -> bool {
        let mut workers = self.workers.lock();
        *workers -= 1;
        *workers == 0
    }

    /// Tells whoever waits in step 6 to look again.
    pub fn announce(&self) {
        self.last_gone.notify_all();
    }

    /// Step 6 proper: waits for the workers at most until `left` says zero. How many are left.
    pub fn join(&self, left: impl Fn() -> Option<Duration>) -> usize {
        let mut workers = self.workers.lock();
        while *workers > 0 {
            workers = match left() {
                None => self.last_gone.wait(workers),
                Some(Duration::ZERO) => break,
                Some(left) => self.last_gone.wait_for(workers, left).0,
            };
        }
        *workers
    }

    /// So many workers were never started.
    pub(super) fn forgo(&self, workers: usize) {
        // ordering: relaxed, followed by `begin_shutdown`.
        self.open_rosters.fetch_sub(workers, Ordering::Relaxed);
        *self.workers.lock() -= workers;
    }
}

impl Shared {
    /// Step 1. Returns at once; from any thread, any number of times.
    pub(crate) fn begin_shutdown(&self) {
        self.shutdown.begin();
        self.pool.begin_shutdown();
        self.unpark_all();
        self.monitor.stop();
    }

    /// Whether step 1 was taken: every task is asked to stop, or was.
    pub(crate) fn is_shutting_down(&self) -> bool {
        self.shutdown.has_begun()
    }

    pub(super) fn unpark_all(&self) {
        for worker in 0..self.remotes.len() {
            self.unpark(worker);
        }
    }

    /// Step 2, after one roster was closed.
    pub(super) fn roster_closed(&self) {
        self.shutdown.roster_closed();
    }

    /// Step 2 for the foreign roster. Its tasks, for the first who comes.
    pub(super) fn close_foreign(&self) -> Vec<TaskRef> {
        let tasks = {
            let mut foreign = self.foreign.lock();
            if foreign.roster.is_closed() {
                return Vec::new();
            }
            self.registry.close(&mut foreign.roster);
            self.registry.tasks_of(&foreign.roster)
        };
        self.roster_closed();
        tasks
    }

    /// Step 3.
    pub(super) fn request_all(&self, tasks: &[TaskRef]) {
        for task in tasks {
            task.stop();
        }
    }

    /// Whether step 4 is over.
    pub(super) fn is_drained(&self) -> bool {
        self.shutdown.is_drained(&self.registry)
    }

    /// Step 5: called by each worker as its last act.
    pub(super) fn worker_gone(&self) {
        if self.shutdown.worker_gone() {
            self.close_world();
            self.shutdown.announce();
        }
    }

    /// Step 5 proper.
    pub(super) fn close_world(&self) {
        self.driver_handle.shutdown();
        self.timers.close();
        self.bridge.stop();
    }

    /// Step 6. `None` waits for ever.
    pub(crate) fn join(&self, limit: Option<Duration>) -> Unstopped {
        let deadline = limit.and_then(|limit| real_now().checked_add(limit));
        let left = || deadline.map(|at| at.saturating_duration_since(real_now()));
        let workers = self.shutdown.join(left);
        self.monitor.join();
        if workers == 0 {
            self.bridge.join(left());
        }
        Unstopped {
            tasks: if workers == 0 {
                Vec::new()
            } else {
                self.registry.tasks()
            },
            threads: self.pool.join(left()),
            workers,
        }
    }

    /// Tells the handler something that concerns no single task.
    pub(super) fn report(&self, what: String) {
        self.config.reporter.report(&UnhandledError::other(what));
    }
}
