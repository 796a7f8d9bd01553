//! A one-thread executor on a paused clock, for the tests of this room: when nothing is ready, time jumps.

use crate::clock::Clock;
use crate::current;
use crate::driver::timers::{Site, TimerSite, Timers};
use loxley_sync::ambient;
use loxley_sync::prim::Arc;
use loxley_sync::prim::atomic::{AtomicBool, Ordering};
use loxley_sync::wait::WakeBatch;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// Makes the current thread a worker of a runtime that consists of timers.
pub(super) struct Paused {
    pub(super) timers: Arc<Timers>,
    outer: Option<Site>,
    start: Instant,
}

/// Whether the only task was woken.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        // ordering: one thread, no other data.
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Paused {
    pub(super) fn enter() -> Self {
        let clock = Clock::paused();
        let start = clock.now();
        let timers = Arc::new(Timers::new(1, clock, Box::new(|| {})));
        let outer = current::set_timer_site(Some(TimerSite::new(timers.clone(), 0)));
        Self {
            timers,
            outer,
            start,
        }
    }

    /// How far the clock has come.
    pub(super) fn elapsed(&self) -> Duration {
        self.timers.clock().now() - self.start
    }

    pub(super) fn elapsed_ms(&self) -> u128 {
        self.elapsed().as_millis()
    }

    /// As if the task had computed for so long.
    pub(super) fn work(&self, ms: u64) {
        self.timers.clock().advance(Duration::from_millis(ms));
    }

    /// Fires what is due and wakes.
    pub(super) fn fire(&self) -> usize {
        let mut batch = WakeBatch::new();
        let fired = self.timers.fire(self.timers.clock().now_ns(), &mut batch);
        batch.wake_all();
        fired
    }

    pub(super) fn run<F: Future>(&self, future: F) -> F::Output {
        self.run_counting(future).0
    }

    /// Runs `future` to its end; also says in how many polls.
    pub(super) fn run_counting<F: Future>(&self, future: F) -> (F::Output, usize) {
        let mut future = pin!(future);
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(woken.clone());
        for polls in 1.. {
            let outer = ambient::enter();
            let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            let _ = ambient::leave(outer);
            if let Poll::Ready(output) = polled {
                return (output, polls);
            }
            // ordering: one thread, no other data.
            while !woken.0.swap(false, Ordering::Relaxed) {
                let next = self.timers.next_deadline();
                self.timers
                    .clock()
                    .jump_to(next.expect("nothing would ever wake this task"));
                self.fire();
            }
        }
        unreachable!("the polls were counted to the end")
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        current::set_timer_site(self.outer.take());
    }
}

/// One poll with a waker that does nothing.
pub(super) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}
