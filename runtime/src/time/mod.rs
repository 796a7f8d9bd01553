//! Waiting for time: [`sleep()`], [`interval()`], [`timeout()`].
//!
//! Everything here is a future over one armed timer of `driver/timers.rs`. Nothing here reads a clock but that of the
//! runtime it is used in, so a paused clock governs all of it, and nothing here spawns.
//!
//! # How exact it is
//!
//! *Guaranteed*: never early. *Currently*: timers resolve 16.4 µs, and a timer is late by up to that plus whatever it
//! takes until its task gets its turn. A worker that has just fired timers wakes for the next ones up to 150 µs late,
//! or 75 µs for each worker there is, if that is more, but never over 1 ms: many sleepers cost few wake-ups, however many
//! workers there are. A sleep on its own is not affected.
//!
//! Time is monotonic: nobody who sets the system's clock can move it. While a machine is suspended it stands still on
//! most systems, so a sleep of an hour may take longer by the wall clock.
//!
//! # Where a timer lives
//!
//! A deadline is settled when a future is made, the timer is armed when that is first polled: in the shard of the
//! worker (or of the `block_on`) that polls, or, on a thread that merely entered a runtime, in the shared one. From
//! then on the future may be polled anywhere, even under another executor; the runtime in which it was armed wakes it.

mod interval;
#[cfg(all(test, not(any(loom, shuttle))))]
mod paused;
mod sleep;
mod timeout;
mod timeout_scope;

pub use interval::{Interval, MissedTicks, interval, interval_at};
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Timeout, TimeoutError, timeout, timeout_at};
pub use timeout_scope::{TimeoutHandle, TimeoutStateError, timeout_scope};

/// What the models of `loom-tests` see of this room.
pub(crate) mod model {
    pub use super::timeout::limited;
}

use crate::clock::real_now;
use crate::current;
use std::time::Instant;

/// The time of the runtime this thread is in, real time outside.
#[inline]
pub(crate) fn now() -> Instant {
    current::with_timer_site(|site| site.timers.clock().now()).unwrap_or_else(real_now)
}
