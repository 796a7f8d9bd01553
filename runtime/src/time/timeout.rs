//! A future with a limit. Its body is a cancel scope: at the limit the innermost scope inside hears a request, so that it can
//! clean up; without one, the body is dropped.
//!
//! The limit is looked at after the future, and only if that has to wait; a future that is ready at once pays neither
//! for a clock nor for a timer.
#![expect(unsafe_code, reason = "pins the body inside the timeout")]

use super::Sleep;
use crate::task::has_another_turn;
use loxley_sync::ambient::scope::{Settled, Verdict};
use loxley_sync::{CancelledError, CatchCancelled, catch_cancelled};
use std::future::{Future, IntoFuture, poll_fn};
use std::panic::Location;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use std::{fmt, io};

/// Polls `future` until it is ready, or until it has been waiting for longer than `limit`.
///
/// The limit counts from the end of the first poll, or of the second if the task was woken in the first: a future that never
/// waits cannot time out, not even with a limit of zero. When both are ready at once, the future wins.
///
/// # Errors
///
/// [`TimeoutError`] if the limit was reached first and `future` gave way: a scope inside it, such as
/// [`catch_cancelled`](loxley_sync::catch_cancelled), hears a request to stop and may clean up; what goes on and returns a
/// value all the same is not an error. If the task was asked to stop by somebody else too, that request goes on outwards.
///
/// # Panics
///
/// The future returned panics if it has to wait on a thread that is in no runtime.
///
/// # Cancel safety
///
/// Dropping the [`Timeout`] drops `future`, which then says what is lost, and takes the timer out.
///
/// # Fairness
///
/// The limit is looked at even if `future` spends the whole budget of its task.
///
/// # Examples
///
/// ```
/// use loxley_runtime::timeout;
/// use std::time::Duration;
///
/// loxley_runtime::run(async {
///     assert_eq!(timeout(Duration::from_secs(5), async { 7 }).await, Ok(7));
///     let late = timeout(Duration::from_millis(1), std::future::pending::<()>()).await;
///     assert_eq!(late.unwrap_err().to_string(), "not ready within 1ms");
/// });
/// ```
///
/// **Differs from asyncio**: the limit starts with the first wait, not with the call. Of two nested limits that have both
/// passed before their task runs again, the inner one makes the error; there it is the outer one.
#[track_caller]
pub fn timeout<F: IntoFuture>(limit: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout {
        body: catch_cancelled(future),
        alarm: Alarm::Unset {
            limit,
            at: Location::caller(),
            has_turned: false,
        },
        at: Location::caller(),
        reached: None,
    }
}

/// Polls `future` until it is ready, or until `deadline` has passed while it was waiting.
///
/// Like [`timeout`] in everything else.
///
/// # Errors
///
/// [`TimeoutError`] if the deadline was reached first.
///
/// # Panics
///
/// The future returned panics if it has to wait on a thread that is in no runtime.
///
/// # Cancel safety
///
/// Dropping the [`Timeout`] drops `future`, which then says what is lost, and takes the timer out.
///
/// # Examples
///
/// ```
/// use loxley_runtime::timeout_at;
/// use std::time::{Duration, Instant};
///
/// loxley_runtime::run(async {
///     // One deadline for several steps.
///     let deadline = Instant::now() + Duration::from_secs(5);
///     for step in 0..3 {
///         assert_eq!(timeout_at(deadline, async move { step }).await, Ok(step));
///     }
/// });
/// ```
#[track_caller]
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout {
        body: catch_cancelled(future),
        alarm: Alarm::Set {
            sleep: Sleep::until(deadline, Location::caller()),
            limit: None,
        },
        at: Location::caller(),
        reached: None,
    }
}

/// A future with a limit; made by [`timeout`] and [`timeout_at`].
///
/// # Cancel safety
///
/// Dropping it drops the inner future and takes the timer out.
///
/// # Examples
///
/// Awaited by reference, it can be looked into afterwards:
///
/// ```
/// use loxley_runtime::timeout;
/// use std::{future::{Ready, ready}, time::Duration};
///
/// let limited: loxley_runtime::Timeout<Ready<u8>> = timeout(Duration::from_secs(1), ready(7));
/// assert_eq!(loxley_runtime::run(limited), Ok(7));
/// ```
#[derive(Debug)]
#[must_use = "a timeout does nothing unless it is awaited"]
pub struct Timeout<F> {
    body: CatchCancelled<F>,
    alarm: Alarm,
    at: &'static Location<'static>,
    reached: Option<TimeoutError>,
}

#[derive(Debug)]
enum Alarm {
    /// The future has not had to wait yet.
    Unset {
        limit: Duration,
        at: &'static Location<'static>,
        /// It has woken its own task once, and was given that turn without a limit.
        has_turned: bool,
    },
    Set {
        sleep: Sleep,
        limit: Option<Duration>,
    },
}

impl<F> Timeout<F> {
    /// The future inside.
    ///
    /// # Panics
    ///
    /// If it has ended or was given up.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{create_task, timeout};
    /// # use std::time::Duration;
    /// # loxley_runtime::run(async {
    /// let limited = timeout(Duration::from_secs(5), create_task(async { 7 }));
    /// limited.get_ref().set_name("download");
    /// assert_eq!(limited.await.unwrap().unwrap(), 7);
    /// # });
    /// ```
    pub fn get_ref(&self) -> &F {
        self.body.get_ref().expect("the future has not ended")
    }

    /// The future inside.
    ///
    /// # Panics
    ///
    /// If it has ended or was given up.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::timeout;
    /// # use loxley_sync::oneshot;
    /// # use std::time::Duration;
    /// # loxley_runtime::run(async {
    /// let (sender, receiver) = oneshot::channel::<u8>();
    /// let mut limited = timeout(Duration::from_secs(5), receiver);
    /// limited.get_mut().close(); // Not wanted any more.
    /// assert!(sender.send(7).is_err());
    /// # });
    /// ```
    pub fn get_mut(&mut self) -> &mut F {
        self.body.get_mut().expect("the future has not ended")
    }

    /// The future inside, without its limit.
    ///
    /// # Panics
    ///
    /// If it has ended or was given up.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{create_task, timeout};
    /// # use std::time::Duration;
    /// # loxley_runtime::run(async {
    /// let limited = timeout(Duration::from_millis(1), create_task(async { 7 }));
    /// let patient = limited.into_inner(); // As long as it takes.
    /// assert_eq!(patient.await.unwrap(), 7);
    /// # });
    /// ```
    #[must_use = "the future is dropped otherwise"]
    pub fn into_inner(self) -> F {
        self.body.into_inner().expect("the future has not ended")
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, TimeoutError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `body` is pinned with the whole and never moved out of it; the other fields are never pinned.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        let body = unsafe { Pin::new_unchecked(&mut this.body) };
        let alarm = &mut this.alarm;
        poll_limited(body, &mut this.reached, this.at, cx, |cx| alarm.poll(cx))
    }
}

/// What the body hears.
const LIMIT_REACHED: &str = "the limit was reached";

/// One poll of a body with a limit: `alarm` is asked only while the body waits, and never again once it has rung.
#[inline]
pub(super) fn poll_limited<F: Future>(
    mut body: Pin<&mut CatchCancelled<F>>,
    reached: &mut Option<TimeoutError>,
    at: &'static Location<'static>,
    cx: &mut Context<'_>,
    alarm: impl FnOnce(&mut Context<'_>) -> Poll<TimeoutError>,
) -> Poll<Result<F::Output, TimeoutError>> {
    match body.as_mut().poll_caught(cx) {
        Poll::Ready(Verdict::Done(value)) => return Poll::Ready(Ok(value)),
        Poll::Ready(Verdict::Cancelled(error)) => return give_up(body, *reached, error, cx),
        Poll::Pending if reached.is_some() => return Poll::Pending,
        Poll::Pending => {}
    }
    *reached = Some(ready!(alarm(cx)));
    if !body.as_mut().scope().interrupt(LIMIT_REACHED, at) {
        // A scope inside hears it first.
        return Poll::Pending;
    }
    body.as_mut().give_up();
    let error = CancelledError::new(Some(LIMIT_REACHED.into()), at);
    give_up(body, *reached, error, cx)
}

/// A limit as the models of `loom-tests` see it: reached when `alarm` is ready, with no clock.
///
/// # Errors
///
/// If it was reached first and the body gave way.
pub async fn limited<F: Future>(
    body: F,
    alarm: impl Future<Output = ()>,
) -> Result<F::Output, TimeoutError> {
    let (mut body, mut alarm) = (pin!(catch_cancelled(body)), pin!(alarm));
    let mut reached = None;
    poll_fn(|cx| {
        poll_limited(body.as_mut(), &mut reached, Location::caller(), cx, |cx| {
            alarm.as_mut().poll(cx).map(|()| TimeoutError::of(None))
        })
    })
    .await
}

/// The body has been given up for `error`: if nobody but the limit asked for it, that is all; else the request goes on.
#[cold]
fn give_up<F, T>(
    body: Pin<&mut CatchCancelled<F>>,
    reached: Option<TimeoutError>,
    error: CancelledError,
    cx: &Context<'_>,
) -> Poll<Result<T, TimeoutError>> {
    let scope = body.scope();
    match (reached, scope.settle()) {
        (Some(reached), Settled::Mine) => {
            scope.leave();
            Poll::Ready(Err(reached))
        }
        _ => {
            scope.raise(error, cx);
            Poll::Pending
        }
    }
}

impl Alarm {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<TimeoutError> {
        loop {
            match self {
                // The future waits for the first time: now the clock is read.
                Self::Unset {
                    limit,
                    at,
                    has_turned,
                } => {
                    // A turn is certain, and the limit is longer: most futures that wake themselves are ready in it.
                    if !*has_turned && !limit.is_zero() && has_another_turn(cx) {
                        *has_turned = true;
                        return Poll::Pending;
                    }
                    *self = Self::Set {
                        sleep: Sleep::after(*limit, at),
                        limit: Some(*limit),
                    };
                }
                Self::Set { sleep, limit } => {
                    // Without budget and without a word: what the task waits for is what the future inside said.
                    ready!(sleep.poll_deadline(cx));
                    return Poll::Ready(TimeoutError { limit: *limit });
                }
            }
        }
    }
}

/// The limit of a [`timeout`] was reached before its future was ready.
///
/// Converts into an [`io::Error`] of kind [`TimedOut`](io::ErrorKind::TimedOut).
///
/// # Examples
///
/// ```
/// use loxley_runtime::timeout;
/// use std::{future::pending, io, time::Duration};
///
/// loxley_runtime::run(async {
///     let limit = Duration::from_millis(1);
///     let error = timeout(limit, pending::<()>()).await.unwrap_err();
///     assert_eq!(error.limit(), Some(limit));
///     assert_eq!(io::Error::from(error).kind(), io::ErrorKind::TimedOut);
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TimeoutError {
    limit: Option<Duration>,
}

impl TimeoutError {
    pub(crate) fn of(limit: Option<Duration>) -> Self {
        Self { limit }
    }

    /// The limit that was reached; `None` if it was given as a deadline.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{timeout, timeout_at};
    /// # use std::{future::pending, time::{Duration, Instant}};
    /// # loxley_runtime::run(async {
    /// let late = timeout(Duration::from_millis(1), pending::<()>()).await.unwrap_err();
    /// assert_eq!(late.limit(), Some(Duration::from_millis(1)));
    /// let late = timeout_at(Instant::now(), pending::<()>()).await.unwrap_err();
    /// assert_eq!(late.limit(), None);
    /// # });
    /// ```
    #[must_use]
    pub fn limit(&self) -> Option<Duration> {
        self.limit
    }
}

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit {
            Some(limit) => write!(f, "not ready within {limit:?}"),
            None => f.write_str("not ready before the deadline"),
        }
    }
}

impl std::error::Error for TimeoutError {}

impl From<TimeoutError> for io::Error {
    fn from(error: TimeoutError) -> Self {
        Self::new(io::ErrorKind::TimedOut, error)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::super::paused::{Paused, poll_once};
    use super::super::sleep;
    use super::*;
    use std::future::{pending, ready};

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_future_that_is_ready_needs_no_timer_and_not_even_a_runtime() {
        let mut limited = timeout(Duration::ZERO, ready(5));
        assert_eq!(poll_once(&mut limited), Poll::Ready(Ok(5)));
    }

    #[test]
    fn a_future_that_is_not_ready_in_time_is_given_up() {
        let paused = Paused::enter();
        let late = paused.run(timeout(MS * 20, pending::<()>())).unwrap_err();
        assert_eq!(paused.elapsed_ms(), 20);
        assert_eq!(late.limit(), Some(MS * 20));
        assert_eq!(late.to_string(), "not ready within 20ms");
        assert_eq!(io::Error::from(late).kind(), io::ErrorKind::TimedOut);
        assert_eq!(paused.timers.armed(), 0);
    }

    #[test]
    fn a_future_that_is_ready_in_time_gives_its_value_and_the_timer_goes() {
        let paused = Paused::enter();
        let value = paused.run(timeout(MS * 20, async {
            sleep(MS * 19).await;
            7
        }));
        assert_eq!(
            (value, paused.elapsed_ms(), paused.timers.armed()),
            (Ok(7), 19, 0)
        );
    }

    #[test]
    fn when_both_are_ready_the_future_wins() {
        let paused = Paused::enter();
        assert_eq!(paused.run(timeout(MS * 20, sleep(MS * 20))), Ok(()));
    }

    #[test]
    fn a_limit_of_zero_leaves_the_future_one_turn() {
        let paused = Paused::enter();
        let (result, polls) = paused.run_counting(timeout(Duration::ZERO, pending::<()>()));
        assert!(result.is_err());
        assert_eq!((polls, paused.elapsed_ms()), (2, 0));
    }

    #[test]
    fn a_deadline_limits_as_well() {
        let paused = Paused::enter();
        let start = paused.timers.clock().now();
        let late = paused
            .run(timeout_at(start + MS * 4, sleep(MS * 5)))
            .unwrap_err();
        assert_eq!(late.to_string(), "not ready before the deadline");
        assert_eq!((late.limit(), paused.elapsed_ms()), (None, 4));
        assert!(paused.run(timeout_at(start, pending::<()>())).is_err());
    }

    #[test]
    fn a_future_that_burns_its_budget_is_still_limited() {
        let paused = Paused::enter();
        let greedy = poll_fn(|cx| {
            paused.work(1);
            paused.fire();
            while loxley_sync::ambient::poll_budget(cx).is_ready() {}
            Poll::<()>::Pending
        });
        assert!(paused.run(timeout(MS * 20, greedy)).is_err());
        assert!(
            paused.elapsed_ms() <= 22,
            "given up after {} turns",
            paused.elapsed_ms()
        );
    }

    #[test]
    fn of_nested_limits_the_shorter_one_is_reached() {
        let paused = Paused::enter();
        let nested = timeout(MS * 5, timeout(MS * 9, pending::<()>()));
        assert_eq!(paused.run(nested).unwrap_err().limit(), Some(MS * 5));
        let nested = timeout(MS * 9, timeout(MS * 5, pending::<()>()));
        assert_eq!(
            paused.run(nested).unwrap().unwrap_err().limit(),
            Some(MS * 5)
        );
    }

    #[test]
    fn a_dropped_timeout_takes_its_timer_out() {
        let paused = Paused::enter();
        let mut limited = timeout(MS, pending::<()>());
        assert!(poll_once(&mut limited).is_pending());
        assert_eq!(paused.timers.armed(), 1);
        drop(limited.into_inner());
        assert_eq!(paused.timers.armed(), 0);
    }
}
