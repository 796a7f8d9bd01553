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
use crate::task::{TaskRef, UnhandledError};
use loxley_sync::prim::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use loxley_sync::prim::lock::{Condvar, Mutex};
use std::time::Duration;

/// How far a runtime is on its way out.
#[derive(Debug)]
pub(super) struct Shutdown {
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
    pub(super) fn new(workers: usize) -> Self {
        Self {
            begun: AtomicBool::new(false),
            open_rosters: AtomicUsize::new(workers + 1),
            workers: Mutex::new(workers),
            last_gone: Condvar::new(),
        }
    }

    #[inline]
    pub(super) fn has_begun(&self) -> bool {
        // ordering: relaxed, workers look every round, and once more after the SleepFence that `begin_shutdown` pairs with.
        self.begun.load(Ordering::Relaxed)
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
        // ordering: relaxed, the fence below orders it before the unparks and against SleepFence.
        self.shutdown.begun.store(true, Ordering::Relaxed);
        // ordering: pairs with SleepFence: a worker going to sleep sees the flag, or its park gets the token below.
        fence(Ordering::SeqCst);
        self.pool.begin_shutdown();
        self.unpark_all();
        self.monitor.stop();
    }

    pub(super) fn unpark_all(&self) {
        for worker in 0..self.remotes.len() {
            self.unpark(worker);
        }
    }

    /// Step 2, after one roster was closed.
    pub(super) fn roster_closed(&self) {
        // ordering: release publishes what was spawned through it to `is_drained`; acquire keeps the chain.
        self.shutdown.open_rosters.fetch_sub(1, Ordering::AcqRel);
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
        // ordering: acquire pairs with `roster_closed`: after that the registry's count is exact.
        self.shutdown.open_rosters.load(Ordering::Acquire) == 0 && self.registry.live() == 0
    }

    /// Step 5: called by each worker as its last act.
    pub(super) fn worker_gone(&self) {
        let left = {
            let mut workers = self.shutdown.workers.lock();
            *workers -= 1;
            *workers
        };
        if left == 0 {
            self.close_world();
            self.shutdown.last_gone.notify_all();
        }
    }

    /// Step 5 proper.
    pub(super) fn close_world(&self) {
        self.driver_handle.shutdown();
        self.timers.close();
    }

    /// Step 6. `None` waits for ever.
    pub(crate) fn join(&self, limit: Option<Duration>) -> Unstopped {
        let deadline = limit.and_then(|limit| real_now().checked_add(limit));
        let left = || deadline.map(|at| at.saturating_duration_since(real_now()));
        let workers = {
            let mut workers = self.shutdown.workers.lock();
            while *workers > 0 {
                workers = match left() {
                    None => self.shutdown.last_gone.wait(workers),
                    Some(Duration::ZERO) => break,
                    Some(left) => self.shutdown.last_gone.wait_for(workers, left).0,
                };
            }
            *workers
        };
        self.monitor.join();
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
