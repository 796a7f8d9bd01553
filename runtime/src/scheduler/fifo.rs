//! The strict one-thread flavour: one queue, first in, first out, no LIFO slot, no stealing.
//!
//! The injector is the queue. The thread in `block_on` holds the driver's lock for as long as it runs: that is the
//! right to take tasks, and what makes a second `block_on` wait. One round is asyncio's: run exactly the tasks that are
//! queued now, then look at I/O, then fire due timers. (While tasks are ready, I/O is only looked at after a round by
//! which N tasks have run since the last look.)

use super::local::LocalSite;
use super::shared::Shared;
use crate::current;
use crate::driver::{Driver, Wait};
use crate::task::{Host, Main, Place, Reporter, Schedule, Scheduled, Slot, Steps, TaskError, Turn};
use loxley_sync::wait::WakeBatch;
use std::collections::VecDeque;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

/// Runs `future` and everything else of this runtime on this thread, until `future` ends.
pub(super) fn block_on<F: Future>(
    shared: &Arc<Shared>,
    future: F,
    at: &'static Location<'static>,
) -> Result<F::Output, TaskError> {
    let mut driver = shared.driver.lock();
    shared.fifo_park.settle();
    let _outer = current::enter_to_poll(shared.clone(), shared.main_shard());
    let _tokio = shared.bridge.enter();
    let _driving = current::drive(shared);
    let id = shared.foreign.lock().ids.next();
    Main::scoped(
        InQueue(shared.clone()),
        future,
        id,
        at,
        |task| shared.admit_main(task),
        |_, task| {
            LocalSite::open(shared, task);
            let mut round = Round::new(shared);
            while !task.is_finished() {
                round.run(&mut driver, || task.is_finished());
            }
            round.put_back();
        },
    )
}

/// The host of a main task that waits in the queue like all others.
struct InQueue(Arc<Shared>);

impl Host for InQueue {
    fn main_ready(&self, _: &Slot, task: Scheduled) {
        Arc::clone(&self.0).inject(task);
    }

    fn main_leaves(&self, place: Place) {
        self.0.leave_foreign(place);
    }

    fn main_after_end(&self, steps: Steps) {
        self.0.after_end(steps);
    }

    fn main_reporter(&self) -> Reporter {
        self.0.config.reporter.clone()
    }
}

/// The state between rounds.
struct Round<'a> {
    shared: &'a Arc<Shared>,
    batch: VecDeque<Scheduled>,
    since_io: u32,
}

impl<'a> Round<'a> {
    fn new(shared: &'a Arc<Shared>) -> Self {
        Self {
            shared,
            batch: VecDeque::new(),
            since_io: 0,
        }
    }

    fn run(&mut self, driver: &mut Driver, is_over: impl Fn() -> bool) {
        self.shared.injector.swap(&mut self.batch);
        while let Some(task) = self.batch.pop_front() {
            self.since_io += 1;
            poll(self.shared, task);
            if is_over() {
                return;
            }
        }
        let mut wakers = WakeBatch::new();
        if self.shared.injector.is_empty() {
            self.since_io = 0;
            self.wait(driver, &mut wakers);
        } else if self.since_io >= self.shared.config.event_interval {
            self.since_io = 0;
            self.turn(driver, Wait::No, &mut wakers);
        }
        wakers.wake_all_contained();
        let timers = &self.shared.timers;
        if timers.next_deadline().is_some() {
            timers.fire(timers.clock().now_ns(), &mut wakers);
            wakers.wake_all_contained();
        }
    }

    /// Nothing is ready: waits for the world. A paused clock jumps instead, if only time can make something ready.
    fn wait(&self, driver: &mut Driver, wakers: &mut WakeBatch) {
        let shared = self.shared;
        if shared.timers.clock().is_paused() {
            self.turn(driver, Wait::No, wakers);
            wakers.wake_all_contained();
            let pool = shared.pool.stats();
            let pool_is_busy = pool.queued > 0 || pool.threads > pool.idle;
            if !shared.injector.is_empty() {
                return;
            }
            if !pool_is_busy {
                if let Some(deadline) = shared.timers.next_deadline() {
                    shared.timers.clock().jump_to(deadline);
                    return;
                }
            }
            if shared.fifo_park.settle_in_driver() {
                self.turn(driver, Wait::Forever, wakers);
                shared.fifo_park.wake_up();
            }
            return;
        }
        if shared.fifo_park.settle_in_driver() {
            let wait = super::park::wait_until(shared, shared.timers.next_deadline());
            self.turn(driver, wait, wakers);
            shared.fifo_park.wake_up();
        }
    }

    fn turn(&self, driver: &mut Driver, wait: Wait, wakers: &mut WakeBatch) {
        if let Err(error) = driver.turn(wait, wakers) {
            self.shared
                .report(format!("the driver cannot wait: {error}"));
        }
    }

    /// The main task has ended in the middle of a round: the rest keeps its place for the next `block_on`.
    fn put_back(&mut self) {
        self.shared.injector.push_front(&mut self.batch);
    }
}

fn poll(shared: &Arc<Shared>, task: Scheduled) {
    let watched = shared.watched(|| task.as_ref());
    let turn = shared.watch(watched.as_ref(), || Some(task.run()));
    if let Some(Turn::Requeue(task)) = turn {
        shared.injector.push(task);
    }
}

impl Shared {
    /// Steps 2 to 5 of `shutdown.rs` for this flavour, on the calling thread.
    pub(crate) fn drain_fifo(self: &Arc<Self>) {
        let driver = self.driver.lock();
        self.fifo_park.settle();
        let _tokio = self.bridge.enter();
        let outer = current::enter_to_poll(self.clone(), self.main_shard());
        let driving = current::drive(self);
        let tasks = self.close_foreign();
        self.request_all(&tasks);
        drop(tasks);
        let mut batch = VecDeque::new();
        while !self.is_drained() {
            self.injector.swap(&mut batch);
            if batch.is_empty() {
                // A foreign thread has just woken the last ones: they are on their way.
                self.fifo_park.park_alone();
            }
            while let Some(task) = batch.pop_front() {
                poll(self, task);
            }
        }
        drop(driving);
        drop(outer);
        drop(driver);
        self.close_world();
    }
}
