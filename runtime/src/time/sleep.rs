//! One deadline as a future.
//!
//! Used directly, and as the alarm inside [`Timeout`](super::Timeout) and [`Interval`](super::Interval). It holds no
//! lock and calls no waker but the caller's own.
//!
//! # State
//!
//! ```text
//!   sleep(0) ──► Turn ───────────────── poll: wakes itself ──────────────┐
//!                                                                        ▼
//!   sleep(d), sleep_until(t) ──► Idle ── poll: arms ──► Armed ──fires──► Elapsed
//!                                 ▲                       │                │
//!                                 └──── reset (unless it could be ─────────┘
//!                                          rearmed)
//! ```
//!
//! Only the owner of the future moves between these states. That an armed timer has fired is seen by its key, which
//! then misses: fire and drop, fire and reset cannot disagree.

use super::now;
use crate::clock::later;
use crate::current;
use crate::driver::timers::{Site, TimerKey};
use loxley_sync::ambient::{WaitKind, poll_budget, wait_reason};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Waits until `duration` has passed since this call.
///
/// A duration of zero gives every other ready task a turn, once. One too long to be expressed never ends.
///
/// # Panics
///
/// The future panics if it is first polled on a thread that is in no runtime, unless `duration` is zero.
///
/// # Cancel safety
///
/// Dropping the future takes its timer out, in constant time.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
///
/// loxley_runtime::run(async {
///     let began = Instant::now();
///     loxley_runtime::sleep(Duration::from_millis(20)).await;
///     assert!(began.elapsed() >= Duration::from_millis(20));
/// });
/// ```
///
/// **Differs from asyncio**: the time counts from the call, not from the first `await`; and it never ends early, where
/// asyncio may by one tick of its clock.
#[track_caller]
#[doc(alias = "call_later")]
pub fn sleep(duration: Duration) -> Sleep {
    Sleep::after(duration, Location::caller())
}

/// Waits until `deadline`. If that has passed, the wait ends at the runtime's next look at its timers.
///
/// # Panics
///
/// The future panics if it is first polled on a thread that is in no runtime.
///
/// # Cancel safety
///
/// Dropping the future takes its timer out, in constant time.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
///
/// loxley_runtime::run(async {
///     let deadline = Instant::now() + Duration::from_millis(5);
///     loxley_runtime::sleep_until(deadline).await;
///     assert!(Instant::now() >= deadline);
/// });
/// ```
///
/// **Differs from asyncio**: takes the place of `call_at` with a future that is set.
#[track_caller]
#[doc(alias = "call_at")]
#[doc(alias = "TimerHandle")]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep::until(deadline, Location::caller())
}

/// A wait for a moment; made by [`sleep`] and [`sleep_until`].
///
/// # Cancel safety
///
/// Dropping it takes its timer out, in constant time.
///
/// # Fairness
///
/// Sleeps that end at the same time wake in the order in which they were first polled, as long as that happened on one
/// worker. Ending spends a unit of the task's budget.
///
/// # Examples
///
/// A deadline that is pushed back whenever something happens:
///
/// ```
/// use loxley_runtime::{Runtime, lowlevel::now, sleep};
/// use std::{pin::pin, time::Duration};
///
/// let runtime = Runtime::builder().current_thread().paused(true).build()?;
/// runtime.block_on(async {
///     let idle = Duration::from_secs(30);
///     let mut alarm = pin!(sleep(idle));
///     sleep(Duration::from_secs(20)).await;
///     alarm.as_mut().reset(now() + idle);
///     let reset = now();
///     alarm.await;
///     assert_eq!((now() - reset).as_secs(), 30);
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "a sleep does nothing unless it is awaited"]
pub struct Sleep {
    deadline: Instant,
    state: State,
    at: &'static Location<'static>,
}

enum State {
    /// Nothing is armed yet.
    Idle,
    /// Others get a turn first, then it is over.
    Turn,
    /// Armed, and perhaps fired since.
    Armed { site: Site, key: TimerKey },
    /// Over.
    Elapsed,
}

impl Sleep {
    pub(super) fn after(duration: Duration, at: &'static Location<'static>) -> Self {
        let mut sleep = Self::until(later(now(), duration), at);
        if duration.is_zero() {
            sleep.state = State::Turn;
        }
        sleep
    }

    pub(super) fn until(deadline: Instant, at: &'static Location<'static>) -> Self {
        Self {
            deadline,
            state: State::Idle,
            at,
        }
    }

    /// The moment waited for.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::sleep_until;
    /// # use std::time::{Duration, Instant};
    /// let noon = Instant::now() + Duration::from_secs(60);
    /// assert_eq!(sleep_until(noon).deadline(), noon);
    /// ```
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the wait is over, so that the next poll will say so (unless the task has spent its budget).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::sleep;
    /// # use std::{pin::pin, time::Duration};
    /// # loxley_runtime::run(async {
    /// let mut wait = pin!(sleep(Duration::from_millis(1)));
    /// assert!(!sleep(Duration::from_secs(3_600)).is_elapsed());
    /// wait.as_mut().await;
    /// assert!(wait.is_elapsed());
    /// # });
    /// ```
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        match &self.state {
            State::Idle | State::Turn => false,
            State::Armed { site, key } => site.timers.has_fired(*key),
            State::Elapsed => true,
        }
    }

    /// Waits until `deadline` instead, whether the earlier wait is over or not.
    ///
    /// An armed timer is set anew in constant time; nothing grows, however often that is done. A sleep that was over
    /// arms again when it is next polled.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, lowlevel::now, sleep};
    /// # use std::{pin::pin, time::Duration};
    /// # let runtime = Runtime::builder().current_thread().paused(true).build()?;
    /// # runtime.block_on(async {
    /// let start = now();
    /// let mut wait = pin!(sleep(Duration::from_secs(1)));
    /// wait.as_mut().await;
    /// wait.as_mut().reset(start + Duration::from_secs(5)); // Used once more.
    /// wait.await;
    /// assert_eq!((now() - start).as_secs(), 5);
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn reset(self: Pin<&mut Self>, deadline: Instant) {
        self.get_mut().set_deadline(deadline);
    }

    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
        if let State::Armed { site, key } = &mut self.state {
            let timers = &site.timers;
            let here = current::with_timer_site(|here| site.shard_at(here))
                .flatten()
                .unwrap_or_else(|| timers.foreign_shard());
            if let Some(rearmed) = timers.rearm(*key, timers.clock().ns_of(deadline), here) {
                *key = rearmed;
                return;
            }
        }
        self.state = State::Idle;
    }

    /// Whether a timer is armed, or has fired without having been polled since.
    pub(super) fn is_armed(&self) -> bool {
        matches!(self.state, State::Armed { .. })
    }

    /// Whether the deadline has been reached; if not, the caller's task will be woken. Neither spends budget nor says
    /// what is waited for.
    ///
    /// # Panics
    ///
    /// See [`arm`](Self::arm).
    pub(super) fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.state {
            State::Elapsed => Poll::Ready(()),
            State::Idle => self.arm(cx),
            State::Turn => {
                self.state = State::Elapsed;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            State::Armed { site, key } => {
                let timers = &site.timers;
                if !timers.poll(*key, cx.waker()) {
                    return self.follow(cx);
                }
                if timers.is_closed() && timers.clock().now() < self.deadline {
                    // Woken because its runtime ended. Somebody else polls it, perhaps in another runtime.
                    self.state = State::Idle;
                    return self.arm(cx);
                }
                Poll::Ready(())
            }
        }
    }

    /// Pending: the timer is moved to where it is polled now, for a thread that sleeps watches its own shard only. Outside of
    /// the timer's runtime that is the foreign shard: nobody watches that of a `block_on` that has returned.
    fn follow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let State::Armed { site, key } = &mut self.state else {
            return Poll::Pending;
        };
        let timers = &site.timers;
        let here = current::with_timer_site(|here| site.shard_at(here))
            .flatten()
            .unwrap_or_else(|| timers.foreign_shard());
        if here == key.shard() {
            return Poll::Pending;
        }
        match timers.rearm(*key, timers.clock().ns_of(self.deadline), here) {
            Some(moved) => {
                *key = moved;
                Poll::Pending
            }
            // It fired in between, or was closed: the next look says which.
            None => self.poll_deadline(cx),
        }
    }

    /// # Panics
    ///
    /// If this thread is in no runtime, or in one that has shut down.
    fn arm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(site) = current::with_timer_site(Site::clone) else {
            self.refuse(
                "there is no running Loxley runtime on this thread: use `run`, or `Handle::enter`",
            )
        };
        let timers = &site.timers;
        let key = timers.arm(site.shard, timers.clock().ns_of(self.deadline), cx.waker());
        if timers.is_closed() {
            timers.disarm(key);
            self.refuse(
                "its runtime has shut down: await it before `run` or `Runtime::block_on` returns",
            )
        }
        self.state = State::Armed { site, key };
        Poll::Pending
    }

    #[cold]
    fn refuse(&self, why: &str) -> ! {
        panic!("the timer made at {} cannot wait: {why}", self.at)
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let kind = match this.state {
            State::Turn => WaitKind::Turn,
            _ => WaitKind::Timer,
        };
        if this.poll_deadline(cx).is_pending() {
            wait_reason(kind, Some(this.at));
            return Poll::Pending;
        }
        ready!(poll_budget(cx));
        this.state = State::Elapsed;
        Poll::Ready(())
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let State::Armed { site, key } = &self.state {
            site.timers.disarm(*key);
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .field("is_elapsed", &self.is_elapsed())
            .field("at", &format_args!("{}", self.at))
            .finish()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::super::paused::{Paused, poll_once};
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    const MS: Duration = Duration::from_millis(1);

    /// What a panic says.
    fn panic_of(f: impl FnOnce()) -> String {
        let panic = catch_unwind(AssertUnwindSafe(f)).expect_err("this should panic");
        panic
            .downcast_ref::<String>()
            .cloned()
            .expect("a panic with a text")
    }

    #[test]
    fn a_sleep_is_small_since_a_sleeping_task_is_mostly_that() {
        assert_eq!(size_of::<Sleep>(), 48);
    }

    #[test]
    fn a_sleep_ends_when_its_time_has_come_and_not_before() {
        let paused = Paused::enter();
        for ms in [1, 2, 40, 1000, 86_400_000] {
            let before = paused.elapsed();
            let (_, polls) = paused.run_counting(sleep(MS * ms));
            let slept = paused.elapsed() - before;
            assert!(slept >= MS * ms, "{slept:?} is less than {ms} ms");
            assert!(
                slept < MS * ms + Duration::from_micros(17),
                "{slept:?} is more than {ms} ms"
            );
            assert_eq!(polls, 2);
        }
        assert_eq!(paused.timers.armed(), 0);
    }

    #[test]
    fn a_sleep_of_zero_gives_others_one_turn() {
        let paused = Paused::enter();
        let (_, polls) = paused.run_counting(sleep(Duration::ZERO));
        assert_eq!((polls, paused.elapsed_ms()), (2, 0));
    }

    #[test]
    fn a_sleep_of_zero_needs_no_runtime() {
        let mut sleep = sleep(Duration::ZERO);
        assert!(poll_once(&mut sleep).is_pending());
        assert!(poll_once(&mut sleep).is_ready());
    }

    #[test]
    fn the_longest_sleep_neither_overflows_nor_ends() {
        let paused = Paused::enter();
        let mut sleep = sleep(Duration::MAX);
        assert!(poll_once(&mut sleep).is_pending());
        paused.work(1000 * 365 * 24 * 3600 * 1000);
        paused.fire();
        assert!(poll_once(&mut sleep).is_pending());
        assert_eq!(
            paused.timers.next_deadline(),
            None,
            "there is nothing to wait for"
        );
    }

    #[test]
    fn a_deadline_in_the_past_ends_at_the_next_look() {
        let paused = Paused::enter();
        paused.work(50);
        let mut sleep = sleep_until(paused.timers.clock().instant_of(7));
        assert!(poll_once(&mut sleep).is_pending());
        assert_eq!(paused.fire(), 1);
        assert!(sleep.is_elapsed());
        assert!(poll_once(&mut sleep).is_ready());
        assert_eq!(paused.elapsed_ms(), 50);
    }

    #[test]
    fn the_time_counts_from_the_call() {
        let paused = Paused::enter();
        let sleep = sleep(MS * 10);
        paused.work(8);
        paused.run(sleep);
        assert_eq!(paused.elapsed_ms(), 10);
    }

    #[test]
    fn a_dropped_sleep_takes_its_timer_out() {
        let paused = Paused::enter();
        let mut sleep = sleep(MS);
        assert_eq!(paused.timers.armed(), 0, "armed before the first poll");
        assert!(poll_once(&mut sleep).is_pending());
        assert_eq!(paused.timers.armed(), 1);
        drop(sleep);
        assert_eq!(
            (paused.timers.armed(), paused.timers.next_deadline()),
            (0, None)
        );
    }

    #[test]
    fn a_reset_moves_the_deadline_both_ways() {
        let paused = Paused::enter();
        let start = paused.timers.clock().now();
        let mut sleep = sleep(MS * 10);
        for ms in [30, 20] {
            assert!(poll_once(&mut sleep).is_pending());
            Pin::new(&mut sleep).reset(start + MS * ms);
            assert_eq!(sleep.deadline(), start + MS * ms);
            assert_eq!(paused.timers.armed(), 1);
        }
        paused.run(&mut sleep);
        assert_eq!(paused.elapsed_ms(), 20);
        Pin::new(&mut sleep).reset(start + MS * 25);
        assert!(!sleep.is_elapsed());
        paused.run(&mut sleep);
        assert_eq!(paused.elapsed_ms(), 25);
    }

    #[test]
    fn a_reset_between_firing_and_poll_waits_again() {
        let paused = Paused::enter();
        let start = paused.timers.clock().now();
        let mut sleep = sleep(MS);
        assert!(poll_once(&mut sleep).is_pending());
        paused.work(2);
        assert_eq!(paused.fire(), 1);
        Pin::new(&mut sleep).reset(start + MS * 9);
        paused.run(&mut sleep);
        assert_eq!(paused.elapsed_ms(), 9);
    }

    #[test]
    fn sleeps_spend_the_budget_of_their_task() {
        let paused = Paused::enter();
        let (_, polls) = paused.run_counting(async {
            let mut over: Vec<_> = (0..1000).map(|_| sleep(MS)).collect();
            std::future::poll_fn(|cx| {
                for sleep in &mut over {
                    let _ = sleep.poll_deadline(cx);
                }
                Poll::Ready(())
            })
            .await;
            paused.work(5);
            paused.fire();
            for sleep in over {
                sleep.await;
            }
        });
        assert!(
            polls > 1000 / 128,
            "{polls} polls are too few for a thousand sleeps"
        );
    }

    #[test]
    fn a_sleep_outside_every_runtime_panics_with_its_line() {
        let mut sleep = sleep(MS);
        let line = line!() - 1;
        let text = panic_of(|| _ = poll_once(&mut sleep));
        assert!(text.contains(&format!("sleep.rs:{line}")), "{text}");
        assert!(
            text.contains("no running Loxley runtime on this thread"),
            "{text}"
        );
        assert!(text.contains("Handle::enter"), "{text}");
    }

    #[test]
    fn a_sleep_whose_runtime_ended_says_so_but_one_that_is_over_is_over() {
        let paused = Paused::enter();
        let (mut short, mut long) = (sleep(MS), sleep(MS * 60));
        assert!(poll_once(&mut short).is_pending());
        assert!(poll_once(&mut long).is_pending());
        paused.work(30);
        paused.timers.close();
        assert_eq!(paused.timers.armed(), 0);
        assert!(poll_once(&mut short).is_ready());
        let text = panic_of(|| _ = poll_once(&mut long));
        assert!(text.contains("its runtime has shut down"), "{text}");
    }

    #[test]
    fn a_sleep_whose_runtime_ended_goes_on_in_the_one_that_polls_it() {
        let mut sleep = {
            let gone = Paused::enter();
            let mut sleep = sleep(MS * 20);
            assert!(poll_once(&mut sleep).is_pending());
            gone.timers.close();
            sleep
        };
        let paused = Paused::enter();
        paused.run(&mut sleep);
        assert!(paused.timers.clock().now() >= sleep.deadline());
    }

    #[test]
    fn a_sleep_wakes_whoever_polled_it_last() {
        let paused = Paused::enter();
        let mut sleep = sleep(MS);
        assert!(poll_once(&mut sleep).is_pending());
        // The second poll is of another task: were the first waker kept, this would never end.
        paused.run(&mut sleep);
    }
}
