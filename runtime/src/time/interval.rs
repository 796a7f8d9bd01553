//! A deadline that comes again and again.
//!
//! One [`Sleep`] that is set anew after every tick, and the rule for ticks that nobody was waiting for.

use super::{Sleep, now};
use crate::clock::later;
use loxley_sync::ambient::{WaitKind, poll_budget, wait_reason};
use std::future::poll_fn;
use std::panic::Location;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Ticks every `period`, for the first time at once.
///
/// # Panics
///
/// If `period` is zero. Its ticks panic if they have to wait on a thread that is in no runtime.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{MissedTicks, interval};
/// use std::time::Duration;
///
/// loxley_runtime::run(async {
///     let period = Duration::from_millis(2);
///     let mut heartbeat = interval(period).missed_ticks(MissedTicks::Skip);
///     let first = heartbeat.tick().await;
///     assert!(heartbeat.tick().await >= first + period);
/// });
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    Interval::new(now(), period, Location::caller())
}

/// Ticks every `period`, for the first time at `start`.
///
/// # Panics
///
/// If `period` is zero. Its ticks panic if they have to wait on a thread that is in no runtime.
///
/// # Examples
///
/// ```
/// use loxley_runtime::interval_at;
/// use std::time::{Duration, Instant};
///
/// loxley_runtime::run(async {
///     let start = Instant::now() + Duration::from_millis(5);
///     let mut ticks = interval_at(start, Duration::from_millis(5));
///     assert_eq!(ticks.tick().await, start);
/// });
/// ```
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    Interval::new(start, period, Location::caller())
}

/// What an [`Interval`] does about ticks that came due while nobody was waiting for them.
///
/// With a period of 10, and a caller who is busy from 5 to 37:
///
/// ```text
///               due at:     10         20         30         40         50
///   Burst   ticks at        37 37 37 .................. 40 ........ 50
///   Delay   ticks at        37 ................................. 47 ........ 57
///   Skip    ticks at        37 ........................ 40 ........ 50
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[doc(alias = "MissedTickBehavior")]
pub enum MissedTicks {
    /// Every missed tick is made up for, at once: as many ticks as periods, no two of them further apart.
    #[default]
    Burst,
    /// The schedule starts anew from the late tick: at least a period between any two ticks.
    Delay,
    /// What was missed is left out: the schedule stays as it was.
    Skip,
}

/// Ticks at a fixed period; made by [`interval`] and [`interval_at`].
///
/// A tick is *missed* if the caller had not asked for it by the time it was due, or if it came later than a whole
/// period. A tick that was asked for in time never moves the schedule, however late it is: intervals do not drift.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{Runtime, interval, lowlevel::now, sleep};
/// use std::time::Duration;
///
/// let runtime = Runtime::builder().current_thread().paused(true).build()?;
/// runtime.block_on(async {
///     let mut ticks = interval(Duration::from_secs(10));
///     let first = ticks.tick().await;
///     sleep(Duration::from_secs(7)).await; // Work between two ticks…
///     ticks.tick().await;
///     assert_eq!((now() - first).as_secs(), 10, "… does not move the next");
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "an interval does nothing unless its ticks are awaited"]
pub struct Interval {
    /// Set to when the next tick is due.
    sleep: Sleep,
    period: Duration,
    missed_ticks: MissedTicks,
    at: &'static Location<'static>,
}

impl Interval {
    #[track_caller]
    fn new(start: Instant, period: Duration, at: &'static Location<'static>) -> Self {
        assert!(
            !period.is_zero(),
            "an interval needs a period longer than zero: `yield_now` lets others run between two rounds of a loop"
        );
        Self {
            sleep: Sleep::until(start, at),
            period,
            missed_ticks: MissedTicks::default(),
            at,
        }
    }

    /// Sets what happens about missed ticks; [`MissedTicks::Burst`] if this is not called.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{MissedTicks, Runtime, interval, sleep};
    /// # use std::time::Duration;
    /// # let runtime = Runtime::builder().current_thread().paused(true).build()?;
    /// # runtime.block_on(async {
    /// let mut ticks = interval(Duration::from_secs(10)).missed_ticks(MissedTicks::Skip);
    /// let first = ticks.tick().await;
    /// sleep(Duration::from_secs(35)).await; // Three go by.
    /// ticks.tick().await;
    /// assert_eq!(ticks.tick().await - first, Duration::from_secs(40), "and are not made up for");
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn missed_ticks(mut self, rule: MissedTicks) -> Self {
        self.missed_ticks = rule;
        self
    }

    /// The time between two ticks.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::interval;
    /// # use std::time::Duration;
    /// let ticks = interval(Duration::from_secs(10));
    /// assert_eq!(ticks.period(), Duration::from_secs(10));
    /// ```
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Waits for the next tick and returns the moment it was due.
    ///
    /// # Panics
    ///
    /// If it has to wait on a thread that is in no runtime.
    ///
    /// # Cancel safety
    ///
    /// A tick is taken only when this returns: dropped before, it is there for the next call.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, interval};
    /// # use std::time::Duration;
    /// # let runtime = Runtime::builder().current_thread().paused(true).build()?;
    /// # runtime.block_on(async {
    /// let mut ticks = interval(Duration::from_secs(1));
    /// let first = ticks.tick().await; // At once.
    /// let second = ticks.tick().await;
    /// assert_eq!(second - first, Duration::from_secs(1));
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// [`tick`](Self::tick) for futures written by hand.
    ///
    /// # Panics
    ///
    /// If it has to wait on a thread that is in no runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::interval;
    /// # use std::future::poll_fn;
    /// # use std::time::Duration;
    /// # loxley_runtime::run(async {
    /// let mut ticks = interval(Duration::from_secs(3_600));
    /// poll_fn(|cx| ticks.poll_tick(cx)).await;
    /// poll_fn(|cx| {
    ///     assert!(ticks.poll_tick(cx).is_pending(), "an hour to go");
    ///     std::task::Poll::Ready(())
    /// }).await;
    /// # });
    /// ```
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        let due = self.sleep.deadline();
        let was_waiting = self.sleep.is_armed();
        if (was_waiting || now() < due) && self.sleep.poll_deadline(cx).is_pending() {
            wait_reason(WaitKind::Timer, Some(self.at));
            return Poll::Pending;
        }
        ready!(poll_budget(cx));
        let now = now();
        let is_missed =
            !was_waiting && now > due || now.saturating_duration_since(due) >= self.period;
        let next = if is_missed {
            self.after_missed(due, now)
        } else {
            later(due, self.period)
        };
        self.sleep = Sleep::until(next, self.at);
        Poll::Ready(due)
    }

    /// Starts anew: the next tick is due a period from now.
    ///
    /// # Examples
    ///
    /// A heartbeat that is due a while after the last sign of life:
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, interval, lowlevel::now, sleep};
    /// # use std::time::Duration;
    /// # let runtime = Runtime::builder().current_thread().paused(true).build()?;
    /// # runtime.block_on(async {
    /// let mut heartbeat = interval(Duration::from_secs(10));
    /// heartbeat.tick().await;
    /// sleep(Duration::from_secs(7)).await;
    /// heartbeat.reset(); // Something was sent: silence begins anew.
    /// let silence = now();
    /// heartbeat.tick().await;
    /// assert_eq!((now() - silence).as_secs(), 10);
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn reset(&mut self) {
        self.sleep.set_deadline(later(now(), self.period));
    }

    /// When the tick after a missed one is due.
    fn after_missed(&self, due: Instant, now: Instant) -> Instant {
        match self.missed_ticks {
            MissedTicks::Burst => later(due, self.period),
            MissedTicks::Delay => later(now, self.period),
            MissedTicks::Skip => {
                let behind = now.saturating_duration_since(due);
                later(now, self.period - remainder(behind, self.period))
            }
        }
    }
}

/// What is left of `whole` after as many `part`s as fit.
fn remainder(whole: Duration, part: Duration) -> Duration {
    const NANOS: u128 = 1_000_000_000;
    let left = whole.as_nanos() % part.as_nanos();
    let secs = u64::try_from(left / NANOS).unwrap_or(u64::MAX);
    let nanos = u32::try_from(left % NANOS).unwrap_or(0);
    Duration::new(secs, nanos)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::super::paused::Paused;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// The moments, in ms since the start, of so many ticks.
    fn ticks(paused: &Paused, interval: &mut Interval, count: usize) -> Vec<u128> {
        (0..count)
            .map(|_| {
                paused.run(interval.tick());
                paused.elapsed_ms()
            })
            .collect()
    }

    #[test]
    fn the_first_tick_comes_at_once_and_the_others_do_not_drift() {
        let paused = Paused::enter();
        let mut interval = interval(MS * 10);
        let start = paused.run(interval.tick());
        assert_eq!(paused.elapsed_ms(), 0);
        for count in 1..100 {
            assert_eq!(paused.run(interval.tick()), start + MS * 10 * count);
        }
        assert_eq!(paused.elapsed_ms(), 990);
    }

    #[test]
    fn work_shorter_than_a_period_does_not_move_the_schedule() {
        for rule in [MissedTicks::Burst, MissedTicks::Delay, MissedTicks::Skip] {
            let paused = Paused::enter();
            let mut interval = interval(MS * 10).missed_ticks(rule);
            for count in 0..5 {
                paused.run(interval.tick());
                assert_eq!(paused.elapsed_ms(), count * 10);
                paused.work(7);
            }
        }
    }

    #[test]
    fn ticks_missed_by_a_busy_caller_follow_the_rule() {
        for (rule, expected) in [
            (MissedTicks::Burst, [37, 37, 37, 40, 50, 60]),
            (MissedTicks::Delay, [37, 47, 57, 67, 77, 87]),
            (MissedTicks::Skip, [37, 40, 50, 60, 70, 80]),
        ] {
            let paused = Paused::enter();
            let mut interval = interval(MS * 10).missed_ticks(rule);
            paused.run(interval.tick());
            paused.work(37);
            assert_eq!(ticks(&paused, &mut interval, 6), expected, "{rule:?}");
        }
    }

    #[test]
    fn a_tick_that_fires_periods_late_follows_the_rule_too() {
        for (rule, expected) in [
            (MissedTicks::Burst, [35, 35, 40]),
            (MissedTicks::Delay, [45, 55, 65]),
            (MissedTicks::Skip, [40, 50, 60]),
        ] {
            let paused = Paused::enter();
            let mut interval = interval(MS * 10).missed_ticks(rule);
            paused.run(interval.tick());
            let mut was_blocked = false;
            paused.run(poll_fn(|cx| {
                let tick = interval.poll_tick(cx);
                if !std::mem::replace(&mut was_blocked, true) {
                    // Asked for in time, but the thread was kept busy by others.
                    paused.work(35);
                }
                tick
            }));
            assert_eq!(paused.elapsed_ms(), 35);
            assert_eq!(ticks(&paused, &mut interval, 3), expected, "{rule:?}");
        }
    }

    #[test]
    fn a_tick_whose_future_was_dropped_is_not_lost() {
        let paused = Paused::enter();
        let mut interval = interval_at(paused.timers.clock().now() + MS * 3, MS * 10);
        {
            let mut tick = Box::pin(interval.tick());
            assert!(super::super::paused::poll_once(&mut tick).is_pending());
            paused.work(4);
            assert_eq!(paused.fire(), 1);
        }
        assert_eq!(ticks(&paused, &mut interval, 2), [4, 13]);
        assert_eq!(paused.timers.armed(), 0);
    }

    #[test]
    fn a_reset_starts_anew() {
        let paused = Paused::enter();
        let mut interval = interval(MS * 10);
        paused.run(interval.tick());
        paused.work(6);
        interval.reset();
        assert_eq!(ticks(&paused, &mut interval, 2), [16, 26]);
        assert_eq!(interval.period(), MS * 10);
    }

    #[test]
    #[should_panic(expected = "an interval needs a period longer than zero")]
    fn a_period_of_zero_is_refused() {
        let _ = interval(Duration::ZERO);
    }

    #[test]
    fn remainders_of_durations_are_exact() {
        let day = Duration::from_secs(86_400);
        assert_eq!(
            remainder(day + MS * 3, MS * 7),
            MS * u32::try_from((86_400_003_u64) % 7).unwrap()
        );
        assert_eq!(remainder(MS, day), MS);
        assert_eq!(remainder(day, MS), Duration::ZERO);
    }
}
