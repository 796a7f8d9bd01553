//! `block_on` beside the workers: the main task is polled on the calling thread, which sleeps by itself in between.

use super::fifo;
use super::local::LocalSite;
use super::monitor;
use super::quiet::Ready;
use super::shared::Shared;
use crate::current;
use crate::task::{
    Host, Main, Place, Reporter, Schedule, Scheduled, Slot, Steps, TaskError, WithLocals,
};
use loxley_sync::prim::atomic::Ordering;
use loxley_sync::prim::thread::{self, Thread};
use loxley_sync::wait::WakeBatch;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// Runs `future` to its end on this thread, as a task of `shared`.
pub(crate) fn block_on<F: Future>(
    shared: &Arc<Shared>,
    future: F,
    at: &'static Location<'static>,
) -> Result<F::Output, TaskError> {
    let future = WithLocals::new(future, LocalSite);
    if shared.is_fifo() {
        return fifo::block_on(shared, future, at);
    }
    let shard = MainShard::take(shared);
    let presence = Presence::new(shared);
    let _outer = current::enter_to_poll(shared.clone(), shard.index());
    let _tokio = shared.bridge.enter();
    let _slack = PreciseSleep::new();
    let host = Beside {
        shared: shared.clone(),
        thread: thread::current(),
        ready: presence.ready.clone(),
    };
    let id = shared.foreign.lock().ids.next();
    Main::scoped(
        host,
        future,
        id,
        at,
        |task| shared.admit_main(task),
        |main, task| {
            LocalSite::open(shared, task);
            let watched = shared.watched(|| task.clone());
            let mut turns = 0;
            while !task.is_finished() {
                presence.look();
                if shared.watch(watched.as_ref(), || main.turn()).is_none() {
                    shard.sleep();
                    turns = 0;
                    continue;
                }
                turns += 1;
                // A main task that never rests must not wait for its own timers in vain.
                if turns >= shared.config.event_interval {
                    shard.fire_due();
                    turns = 0;
                }
            }
        },
    )
}

/// The host of a main task that has a thread of its own.
struct Beside {
    shared: Arc<Shared>,
    thread: Thread,
    ready: Option<Arc<Ready>>,
}

impl Host for Beside {
    fn main_ready(&self, slot: &Slot, task: Scheduled) {
        let put = slot.put(task);
        debug_assert!(put.is_ok(), "one main task, one right to poll");
        if let (Some(quiet), Some(ready)) = (&self.shared.quiet, &self.ready) {
            quiet.main_ready(ready);
        }
        self.thread.unpark();
    }

    fn main_leaves(&self, place: Place) {
        self.shared.leave_foreign(place);
    }

    fn main_after_end(&self, steps: Steps) {
        self.shared.after_end(steps);
    }

    fn main_reporter(&self) -> Reporter {
        self.shared.config.reporter.clone()
    }
}

/// This thread, as seen by a clock that stands; of no account otherwise.
struct Presence<'a> {
    shared: &'a Shared,
    ready: Option<Arc<Ready>>,
}

impl<'a> Presence<'a> {
    fn new(shared: &'a Shared) -> Self {
        let ready = shared.quiet.as_ref().map(|quiet| {
            quiet.enter_main();
            Arc::new(Ready::new(false))
        });
        Self { shared, ready }
    }

    fn look(&self) {
        if let (Some(quiet), Some(ready)) = (&self.shared.quiet, &self.ready) {
            quiet.main_looks(ready);
        }
    }
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        if let (Some(quiet), Some(ready)) = (&self.shared.quiet, &self.ready) {
            if quiet.leave_main(ready) {
                self.shared.driver_handle.unpark();
            }
        }
    }
}

/// The shard for main tasks: one `block_on` at a time has it and fires its own timers; others arm in the foreign shard.
struct MainShard<'a> {
    shared: &'a Arc<Shared>,
    taken: bool,
}

impl<'a> MainShard<'a> {
    fn take(shared: &'a Arc<Shared>) -> Self {
        // ordering: acquire pairs with the release in `drop`: the last holder's timers are gone.
        let taken = !shared.main_shard_taken.swap(true, Ordering::Acquire);
        Self { shared, taken }
    }

    fn index(&self) -> usize {
        if self.taken {
            self.shared.main_shard()
        } else {
            self.shared.timers.foreign_shard()
        }
    }

    /// Until unparked, or until one of this shard's timers is due.
    fn sleep(&self) {
        if self.shared.quiet.is_some() {
            return self.shared.park_quietly();
        }
        let timers = &self.shared.timers;
        let deadline = self.next_deadline();
        let is_watched = self.shared.monitor.is_started();
        if is_watched && deadline.is_none() {
            return thread::park();
        }
        let mut now = timers.clock().now_ns();
        let look_at = (!is_watched).then(|| monitor::first_look(now));
        let until = deadline.into_iter().chain(look_at).min().unwrap_or(now);
        if until > now {
            thread::park_timeout(Duration::from_nanos(until - now));
            now = timers.clock().now_ns();
        }
        if look_at.is_some_and(|at| at <= now) {
            self.shared.monitor.ensure_started(self.shared);
        }
        if deadline.is_some_and(|at| at <= now) {
            self.fire(now);
        }
    }

    /// Fires what is due, without sleeping.
    fn fire_due(&self) {
        let Some(deadline) = self.next_deadline() else {
            return;
        };
        let now = self.shared.timers.clock().now_ns();
        if deadline <= now {
            self.fire(now);
        }
    }

    fn next_deadline(&self) -> Option<u64> {
        let timers = &self.shared.timers;
        self.taken
            .then(|| timers.next_deadline_of(self.index()))
            .flatten()
    }

    fn fire(&self, now: u64) {
        let mut batch = WakeBatch::new();
        self.shared.timers.fire_shard(self.index(), now, &mut batch);
        batch.wake_all_contained();
    }
}

impl Drop for MainShard<'_> {
    fn drop(&mut self) {
        if self.taken {
            // ordering: release pairs with `take`.
            self.shared.main_shard_taken.store(false, Ordering::Release);
        }
    }
}

/// While it lives, this thread's timed sleeps end on time; see `precise_sleep` in `worker.rs`.
struct PreciseSleep {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    before: Option<std::num::NonZeroU64>,
}

impl PreciseSleep {
    fn new() -> Self {
        Self {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            before: {
                let before = rustix::thread::current_timer_slack().ok();
                super::worker::precise_sleep();
                before.and_then(std::num::NonZeroU64::new)
            },
        }
    }
}

impl Drop for PreciseSleep {
    fn drop(&mut self) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if self.before.is_some() {
            // Refused, the thread stays precise.
            let _ = rustix::thread::set_current_timer_slack(self.before);
        }
    }
}
