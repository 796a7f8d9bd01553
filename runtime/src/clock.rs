//! The only reader of real time in this crate, and the one that tests can stop and move.
//!
//! One [`Clock`] belongs to one runtime; everything that asks for the time there asks it. Never ask the wall clock:
//! all of this is monotonic time, which no administrator and no leap second turns back. A machine that sleeps may
//! stop it.
//!
//! # State
//!
//! ```text
//!              pause                      jump_to, advance
//!   running ───────────► frozen at t ───────────────────────► frozen at a later t
//!      ▲                     │
//!      └──────── resume ─────┘   goes on from t: `shift` makes up for the time that stood still
//! ```
//!
//! # Ordering
//!
//! `shift` is written before `frozen` says "running" with release, and read after an acquire of that word, so a
//! reader never combines a running clock with a shift older than the resume it saw. Nothing else travels through
//! these words.

use loxley_sync::prim::Arc;
use loxley_sync::prim::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The value of `frozen` while time passes by itself.
const RUNNING: u64 = u64::MAX;

/// A handle to one runtime's time. Cloning it is cheap; all clones agree.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// What `now_ns` counts from.
    origin: Instant,
    /// Where the clock stands still, or [`RUNNING`].
    frozen: AtomicU64,
    /// Added (wrapping) to real nanoseconds since `origin`; 0 until the clock was stopped for the first time.
    shift: AtomicU64,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock that runs, starting at 0 ns.
    #[must_use]
    pub fn new() -> Self {
        Self::starting(RUNNING)
    }

    /// A clock that stands at 0 ns and moves only when told to.
    #[must_use]
    pub fn paused() -> Self {
        Self::starting(0)
    }

    fn starting(frozen: u64) -> Self {
        Self(Arc::new(Inner {
            origin: real_now(),
            frozen: AtomicU64::new(frozen),
            shift: AtomicU64::new(0),
        }))
    }

    /// The time.
    #[must_use]
    #[inline]
    pub fn now(&self) -> Instant {
        // ordering: see the file's Ordering section.
        let is_running = self.0.frozen.load(Ordering::Acquire) == RUNNING;
        // ordering: ordered after `frozen` by its acquire.
        if is_running && self.0.shift.load(Ordering::Relaxed) == 0 {
            return real_now();
        }
        self.instant_of(self.now_ns())
    }

    /// Nanoseconds since the clock's origin.
    #[must_use]
    #[inline]
    pub fn now_ns(&self) -> u64 {
        // ordering: see the file's Ordering section.
        match self.0.frozen.load(Ordering::Acquire) {
            // ordering: ordered after `frozen` by its acquire.
            RUNNING => (self.real_ns()).wrapping_add(self.0.shift.load(Ordering::Relaxed)),
            frozen => frozen,
        }
    }

    /// Nanoseconds from the clock's origin to `at`: 0 for what lies before it, `u64::MAX` for what does not fit.
    #[must_use]
    #[inline]
    pub fn ns_of(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.0.origin);
        since
            .as_secs()
            .checked_mul(1_000_000_000)
            .and_then(|ns| ns.checked_add(u64::from(since.subsec_nanos())))
            .unwrap_or(u64::MAX)
    }

    /// The moment `ns` nanoseconds after the clock's origin.
    #[must_use]
    pub fn instant_of(&self, ns: u64) -> Instant {
        later(self.0.origin, Duration::from_nanos(ns))
    }

    /// Whether the clock moves only when told to.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        // ordering: an answer about this very moment; nothing travels along.
        self.0.frozen.load(Ordering::Relaxed) != RUNNING
    }

    /// Stops the clock where it stands. Nothing happens if it stands already.
    pub fn pause(&self) {
        let now = self.now_ns().min(RUNNING - 1);
        // ordering: see the file's Ordering section; a clock stopped by someone else keeps that one's time.
        let _ = self
            .0
            .frozen
            .compare_exchange(RUNNING, now, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Lets a stopped clock run on from where it stands. Nothing happens if it runs already.
    pub fn resume(&self) {
        // ordering: pairs with the release of whoever moved the clock last.
        let frozen = self.0.frozen.load(Ordering::Acquire);
        if frozen == RUNNING {
            return;
        }
        let shift = frozen.wrapping_sub(self.real_ns());
        // ordering: published by the release of `frozen` right below.
        self.0.shift.store(shift, Ordering::Relaxed);
        // ordering: see the file's Ordering section.
        self.0.frozen.store(RUNNING, Ordering::Release);
    }

    /// Moves a stopped clock forward by `by`.
    ///
    /// # Panics
    ///
    /// If the clock is running: real time cannot be moved.
    #[track_caller]
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        // ordering: release for `resume`, which continues from here; the value is all that travels.
        let moved = self
            .0
            .frozen
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |frozen| {
                (frozen != RUNNING).then(|| frozen.saturating_add(by).min(RUNNING - 1))
            });
        assert!(
            moved.is_ok(),
            "only a paused clock can be advanced: pause it first, or start the runtime with a paused clock"
        );
    }

    /// Moves a stopped clock forward to `ns`, never back. A running one is left alone.
    pub fn jump_to(&self, ns: u64) {
        // ordering: as in `advance`; the maximum leaves `RUNNING` as it is.
        self.0
            .frozen
            .fetch_max(ns.min(RUNNING - 1), Ordering::AcqRel);
    }

    #[inline]
    fn real_ns(&self) -> u64 {
        self.ns_of(real_now())
    }
}

/// The time for whoever stands outside every runtime.
#[inline]
pub(crate) fn real_now() -> Instant {
    Instant::now()
}

/// `at + by`, or a moment beyond any program's life where that cannot be expressed.
#[must_use]
pub(crate) fn later(at: Instant, by: Duration) -> Instant {
    /// Thirty years: for platforms whose `Instant` ends early.
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    at.checked_add(by)
        .or_else(|| at.checked_add(Duration::from_nanos(u64::MAX)))
        .or_else(|| at.checked_add(FAR))
        .unwrap_or(at)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_paused_clock_moves_only_when_told_to() {
        let clock = Clock::paused();
        assert_eq!(clock.now_ns(), 0);
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.now_ns(), 2 * SECOND);
        clock.jump_to(SECOND);
        assert_eq!(clock.now_ns(), 2 * SECOND, "time never goes back");
        clock.jump_to(3 * SECOND);
        assert_eq!(clock.now(), clock.instant_of(3 * SECOND));
        assert_eq!(clock.clone().now_ns(), 3 * SECOND, "clones agree");
    }

    #[test]
    fn a_resumed_clock_goes_on_from_where_it_stood() {
        let clock = Clock::paused();
        clock.advance(Duration::from_secs(3600));
        clock.resume();
        assert!(!clock.is_paused());
        let first = clock.now_ns();
        assert!(first >= 3600 * SECOND);
        assert!(clock.now() >= clock.instant_of(first));
        clock.pause();
        let stopped = clock.now_ns();
        assert!(stopped >= first);
        assert_eq!(clock.now_ns(), stopped);
    }

    #[test]
    fn conversions_saturate_both_ways() {
        let clock = Clock::paused();
        assert_eq!(clock.ns_of(clock.instant_of(17)), 17);
        let before = clock.now().checked_sub(Duration::from_secs(1));
        assert_eq!(before.map_or(0, |before| clock.ns_of(before)), 0);
        let never = later(clock.now(), Duration::MAX);
        assert!(clock.ns_of(never) >= 30 * 365 * 24 * 3600 * SECOND);
        let beyond = later(
            later(clock.now(), Duration::from_nanos(u64::MAX)),
            Duration::from_secs(9),
        );
        assert!(clock.ns_of(beyond) > u64::MAX / 2);
        clock.advance(Duration::MAX);
        assert!(
            clock.is_paused(),
            "the end of time is not taken for a running clock"
        );
    }

    #[test]
    #[should_panic(expected = "only a paused clock can be advanced")]
    fn a_running_clock_refuses_to_be_advanced() {
        Clock::new().advance(Duration::from_secs(1));
    }
}
