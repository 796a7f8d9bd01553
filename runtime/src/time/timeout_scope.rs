//! A limit that can be moved while the body runs, by the body or by anybody who was given its handle.
//!
//! The handle and the future share a deadline and a stage behind a small lock; whoever moves the deadline wakes the future,
//! which is the only one to arm a timer. No waker is called under the lock.

use super::timeout::poll_limited;
use super::{Sleep, TimeoutError, now};
use crate::clock::later;
use loxley_sync::catch_cancelled;
use loxley_sync::prim::lock::Mutex;
use loxley_sync::wait::WaitCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Runs `body` with a limit that its handle can move; `None` is no limit until one is set.
///
/// The limit counts from this call. Where it is reached the innermost scope in the body hears a request, as with
/// [`timeout`](crate::timeout); a body that never waits is not interrupted.
///
/// # Errors
///
/// [`TimeoutError`] if the limit was reached first and the body gave way.
///
/// # Panics
///
/// The future returned panics if it has to wait for a limit on a thread that is in no runtime.
///
/// # Cancel safety
///
/// Dropped, it drops the body and takes the timer out.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{sleep, timeout_scope};
/// use std::time::{Duration, Instant};
///
/// loxley_runtime::run(async {
///     let fetched = timeout_scope(Some(Duration::from_millis(20)), |limit| async move {
///         for chunk in 0..3 {
///             sleep(Duration::from_millis(1)).await;
///             // It goes on: give the rest more time.
///             let more = Instant::now() + Duration::from_secs(5);
///             limit.reschedule(Some(more)).expect("it runs");
///             # let _ = chunk;
///         }
///         assert!(!limit.expired());
///         3
///     });
///     assert_eq!(fetched.await, Ok(3));
/// });
/// ```
#[track_caller]
#[doc(alias = "timeout")]
pub fn timeout_scope<B, F>(
    limit: Option<Duration>,
    body: B,
) -> impl Future<Output = Result<F::Output, TimeoutError>>
where
    B: FnOnce(TimeoutHandle) -> F,
    F: Future,
{
    let handle = TimeoutHandle(Arc::new(Shared {
        state: Mutex::new(State {
            when: limit.map(|limit| later(now(), limit)),
            limit,
            stage: Stage::Created,
        }),
        owner: WaitCell::new(),
    }));
    run(handle.clone(), body(handle), Location::caller())
}

/// Reads and moves the limit of a [`timeout_scope`]; cheap to clone, usable from any task or thread.
///
/// # Examples
///
/// ```
/// use loxley_runtime::timeout_scope;
/// use std::time::Instant;
///
/// loxley_runtime::run(async {
///     let result = timeout_scope(None, |limit| async move {
///         assert_eq!(limit.when(), None);
///         limit.reschedule(Some(Instant::now())).unwrap();
///         std::future::pending::<()>().await;
///     });
///     assert!(result.await.is_err());
/// });
/// ```
#[derive(Clone)]
#[doc(alias = "Timeout")]
pub struct TimeoutHandle(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    owner: WaitCell,
}

struct State {
    when: Option<Instant>,
    /// As it was given, until the deadline is moved.
    limit: Option<Duration>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not awaited yet.
    Created,
    Active,
    /// The limit was reached; the body has not ended.
    Expiring,
    /// The limit was reached, and the body has ended.
    Expired,
    /// The body ended before the limit.
    Finished,
}

impl TimeoutHandle {
    /// When the limit is reached; `None` is never.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::timeout_scope;
    /// # use std::time::{Duration, Instant};
    /// # loxley_runtime::run(async {
    /// let left = timeout_scope(Some(Duration::from_secs(5)), |limit| async move {
    ///     limit.when().unwrap() - Instant::now() // For a step that wants to know.
    /// });
    /// assert!(left.await.unwrap() <= Duration::from_secs(5));
    /// # });
    /// ```
    #[must_use]
    pub fn when(&self) -> Option<Instant> {
        self.0.state.lock().when
    }

    /// Moves the limit; `None` is never. One in the past is reached as soon as the body waits.
    ///
    /// # Errors
    ///
    /// If the scope does not run: it was not awaited yet, the limit has been reached, or the body has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::timeout_scope;
    /// # use std::time::Duration;
    /// # loxley_runtime::run(async {
    /// let fetched = timeout_scope(Some(Duration::from_secs(5)), |limit| async move {
    ///     limit.reschedule(None).unwrap(); // The head has come: the rest may take its time.
    ///     limit.when()
    /// });
    /// assert_eq!(fetched.await, Ok(None));
    /// # });
    /// ```
    pub fn reschedule(&self, when: Option<Instant>) -> Result<(), TimeoutStateError> {
        {
            let mut state = self.0.state.lock();
            if state.stage != Stage::Active {
                return Err(TimeoutStateError(state.stage));
            }
            state.when = when;
            state.limit = None;
        }
        self.0.owner.wake();
        Ok(())
    }

    /// Whether the limit was reached before the body ended.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::timeout_scope;
    /// # use std::{future::pending, time::Duration};
    /// # loxley_runtime::run(async {
    /// let outcome = timeout_scope(Some(Duration::from_millis(1)), |limit| async move {
    ///     let _ = loxley_sync::catch_cancelled(pending::<()>()).await;
    ///     if limit.expired() { "what there is so far" } else { "everything" }
    /// });
    /// assert_eq!(outcome.await, Ok("what there is so far"));
    /// # });
    /// ```
    #[must_use]
    pub fn expired(&self) -> bool {
        matches!(self.0.state.lock().stage, Stage::Expiring | Stage::Expired)
    }

    fn set_stage(&self, stage: Stage) {
        self.0.state.lock().stage = stage;
    }
}

impl fmt::Debug for TimeoutHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (when, stage) = {
            let state = self.0.state.lock();
            (state.when, state.stage)
        };
        f.debug_struct("TimeoutHandle")
            .field("when", &when)
            .field("stage", &stage)
            .finish()
    }
}

/// The limit of a [`timeout_scope`] cannot be moved now.
///
/// # Examples
///
/// ```
/// use loxley_runtime::timeout_scope;
///
/// loxley_runtime::run(async {
///     let handle = timeout_scope(None, |limit| async move { limit }).await.unwrap();
///     assert!(handle.reschedule(None).is_err(), "its body has ended");
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeoutStateError(Stage);

impl fmt::Display for TimeoutStateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Stage::Created => {
                "this timeout scope has not begun: await it, and move its limit in its body"
            }
            Stage::Expiring => {
                "this timeout scope is expiring: its limit was reached and its body told to stop"
            }
            Stage::Expired => "this timeout scope has expired",
            Stage::Active | Stage::Finished => "this timeout scope has finished",
        })
    }
}

impl std::error::Error for TimeoutStateError {}

/// Says that the body is over, however it ended.
struct Ending<'a>(&'a TimeoutHandle);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut state = self.0.0.state.lock();
        state.stage = match state.stage {
            Stage::Expiring | Stage::Expired => Stage::Expired,
            Stage::Created | Stage::Active | Stage::Finished => Stage::Finished,
        };
    }
}

async fn run<F: Future>(
    handle: TimeoutHandle,
    body: F,
    at: &'static Location<'static>,
) -> Result<F::Output, TimeoutError> {
    handle.set_stage(Stage::Active);
    let ending = Ending(&handle);
    let mut body = pin!(catch_cancelled(body));
    let mut alarm = Alarm { sleep: None, at };
    let mut reached = None;
    let result = poll_fn(|cx| {
        // Before the body, which may hand its own handle to somebody else.
        handle.0.owner.register(cx.waker());
        poll_limited(body.as_mut(), &mut reached, at, cx, |cx| {
            alarm.poll(&handle, cx)
        })
    })
    .await;
    drop(ending);
    result
}

struct Alarm {
    sleep: Option<Sleep>,
    at: &'static Location<'static>,
}

impl Alarm {
    /// Waits for the deadline as it stands; once it is reached it cannot be moved.
    fn poll(&mut self, handle: &TimeoutHandle, cx: &mut Context<'_>) -> Poll<TimeoutError> {
        loop {
            let Some(when) = handle.when() else {
                self.sleep = None;
                return Poll::Pending;
            };
            match &mut self.sleep {
                // In the past already: the body has had the turn it gets.
                None if when <= now() => {}
                Some(sleep) if sleep.deadline() == when => ready!(sleep.poll_deadline(cx)),
                Some(sleep) => {
                    Pin::new(sleep).reset(when);
                    continue;
                }
                None => {
                    self.sleep = Some(Sleep::until(when, self.at));
                    continue;
                }
            }
            let mut state = handle.0.state.lock();
            if state.when == Some(when) {
                state.stage = Stage::Expiring;
                return Poll::Ready(TimeoutError::of(state.limit));
            }
        }
    }
}
