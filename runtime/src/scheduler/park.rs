//! How one thread sleeps: inside the driver if nobody else is there, else by itself, and how it is woken.
//!
//! # State
//!
//! ```text
//!           P1 sleep                    P3 unpark
//!   empty ───────────► on thread / in driver ───────────► notified
//!     ▲                     │ P2 woke by itself             │ P4 take the token
//!     └─────────────────────┴───────────────────────────────┘
//! ```
//!
//! P3 from *empty* leaves the token for the next P1, which then does not sleep. P3 wakes the thread where it is: a thread
//! unpark, or the driver's. A token may come late (the thread was awake already); sleepers look at their reasons again.
//!
//! # Who watches which deadline
//!
//! A thread that sleeps by itself watches its own shard of timers; the one in the driver watches its own and the foreign
//! one. So a worker never has to tell another about a deadline: it is awake when it arms a timer, and looks before it sleeps.
//!
//! # Ordering
//!
//! P3 releases what its caller did before; P1's failed exchange and P4 acquire it.

use super::shared::Shared;
use crate::driver::{Driver, DriverHandle, Wait};
use loxley_sync::prim::atomic::{AtomicU8, Ordering};
use loxley_sync::prim::lock::Mutex;
use loxley_sync::prim::thread::{self, Thread};
use loxley_sync::wait::WakeBatch;
use std::time::Duration;

const EMPTY: u8 = 0;
const ON_THREAD: u8 = 1;
const IN_DRIVER: u8 = 2;
const NOTIFIED: u8 = 3;

/// One thread's sleep. Models drive it through the same methods as the workers.
#[derive(Debug)]
pub struct Park {
    state: AtomicU8,
    /// The thread, once it runs.
    thread: Mutex<Option<Thread>>,
}

impl Park {
    /// Nobody sleeps here yet.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "one is made on purpose")]
    pub fn new() -> Self {
        Self {
            state: AtomicU8::new(EMPTY),
            thread: Mutex::new(None),
        }
    }

    /// Says which thread sleeps here; on that thread, before it first does.
    pub fn settle(&self) {
        *self.thread.lock() = Some(thread::current());
    }

    /// P3, from any thread.
    ///
    /// # Panics
    ///
    /// If a thread sleeps here that has not settled.
    pub fn unpark(&self, driver: &DriverHandle) {
        // ordering: release publishes the reason to wake; acquire keeps the chain of earlier ones.
        match self.state.swap(NOTIFIED, Ordering::AcqRel) {
            ON_THREAD => {
                // A thread settles before it sleeps, so there is one.
                let thread = self.thread.lock().clone();
                if let Some(thread) = thread {
                    thread.unpark();
                }
            }
            IN_DRIVER => driver.unpark(),
            _ => {}
        }
    }

    /// P1 to P2 or P4: sleeps until unparked, until something happens that this thread watches, until `limit`, or a little
    /// less. True if a token was taken. Timers due before `not_before` are watched for at that time. Both are in nanoseconds
    /// of the timers' clock.
    pub(super) fn park(
        &self,
        shared: &Shared,
        timer_shard: usize,
        not_before: u64,
        limit: Option<u64>,
        batch: &mut WakeBatch,
    ) -> bool {
        let timers = &shared.timers;
        let own = || {
            let deadline = timers.next_deadline_of(timer_shard);
            let deadline = deadline.map(|at| at.max(not_before));
            deadline.into_iter().chain(limit).min()
        };
        let in_driver = |driver: &mut Driver| {
            if let Some(quiet) = &shared.quiet {
                return shared.wait_for_quiet(quiet, driver, batch);
            }
            let foreign = timers.next_deadline_of(timers.foreign_shard());
            let wait = wait_until(shared, own().into_iter().chain(foreign).min());
            shared.set_driver_attended(true);
            let turn = driver.turn(wait, batch);
            shared.set_driver_attended(false);
            turn.map(drop)
        };
        let on_thread = || match own() {
            _ if shared.quiet.is_some() => shared.park_quietly(),
            None => thread::park(),
            Some(deadline) => {
                let now = timers.clock().now_ns();
                if deadline > now {
                    thread::park_timeout(Duration::from_nanos(deadline - now));
                }
            }
        };
        let (notified, turn) = self.park_where_free(&shared.driver, in_driver, on_thread);
        if let Some(Err(error)) = turn {
            shared.report(format!("the driver cannot wait: {error}"));
        }
        notified
    }

    /// Whether there is a token that was not taken.
    pub(super) fn has_token(&self) -> bool {
        // ordering: acquire, with P3; see `quiet.rs` for who asks.
        self.state.load(Ordering::Acquire) == NOTIFIED
    }

    /// P1 to P2 or P4, in the driver if nobody else is there. Whether a token was taken, and what was done in the driver.
    pub fn park_where_free<R>(
        &self,
        driver: &Mutex<Driver>,
        in_driver: impl FnOnce(&mut Driver) -> R,
        on_thread: impl FnOnce(),
    ) -> (bool, Option<R>) {
        let mut turn = None;
        match driver.try_lock() {
            Some(mut driver) => {
                if !self.settle_down(IN_DRIVER) {
                    return (true, None);
                }
                turn = Some(in_driver(&mut driver));
            }
            None => {
                if !self.settle_down(ON_THREAD) {
                    return (true, None);
                }
                on_thread();
            }
        }
        (self.wake_up(), turn)
    }

    /// P1 in a driver that the caller holds anyway; false if a token was there.
    #[must_use]
    pub fn settle_in_driver(&self) -> bool {
        self.settle_down(IN_DRIVER)
    }

    /// P2 or P4; true if a token was taken.
    pub fn wake_up(&self) -> bool {
        // ordering: acquire sees what the unparker published.
        self.state.swap(EMPTY, Ordering::AcqRel) == NOTIFIED
    }

    /// P1 to P4 on the thread alone, with no deadline to watch: while a runtime drains, its timers and sockets are nobody's.
    pub fn park_alone(&self) {
        if self.settle_down(ON_THREAD) {
            thread::park();
            self.wake_up();
        }
    }

    /// P1; false if a token was there, which is then taken (P4).
    fn settle_down(&self, place: u8) -> bool {
        // ordering: acquire for the token's publisher; release keeps the chain.
        let before = self
            .state
            .compare_exchange(EMPTY, place, Ordering::AcqRel, Ordering::Acquire);
        if before.is_err() {
            // An exchange, not a store: another P3 may have come since, and what it published belongs to the same token.
            // ordering: acquire sees what the last unparker published.
            self.state.swap(EMPTY, Ordering::Acquire);
        }
        before.is_ok()
    }
}

/// The driver's wait for a deadline of the timers' clock.
pub(super) fn wait_until(shared: &Shared, deadline: Option<u64>) -> Wait {
    let clock = shared.timers.clock();
    match deadline {
        None => Wait::Forever,
        Some(ns) => {
            let now = clock.now();
            if ns <= clock.ns_of(now) {
                Wait::No
            } else {
                Wait::Until {
                    deadline: clock.instant_of(ns),
                    now,
                }
            }
        }
    }
}
