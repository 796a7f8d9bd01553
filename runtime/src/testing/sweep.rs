//! A future dropped, or its task cancelled, at every point where it waits.
//!
//! The shape is that of a test which fails the first, the second, … allocation until the operation passes: run 1 ends at the
//! first pending poll, run 2 at the second, and so on until a run reaches its end untouched. After each, the caller checks
//! that nothing was lost and that the objects involved still serve.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use loxley_sync::prim::atomic::{AtomicBool, Ordering};

use crate::spawn::{create_task, current_task};
use crate::task::TaskError;

/// More pending polls than any scenario worth sweeping has; one that reaches it never ends.
const POINTS_MAX: usize = 100_000;

/// Runs a scenario again and again, and drops its future at its first, second, … pending poll, until it once ends by itself.
/// Returns the number of pending polls it was dropped at.
///
/// `scenario` makes a fresh future and whatever state `check` needs to look at; `check` is awaited after each run, with
/// the number of the pending poll and that state, the last untouched run included.
///
/// # Panics
///
/// With the scenario's or the check's own panic, and when a run is pending for the 100 000th time.
///
/// # Cancel safety
///
/// Dropped, it drops the run that is going on; the rest of the sweep is not done.
///
/// # Examples
///
/// ```
/// use loxley_runtime::testing::drop_at_every_pending;
/// use loxley_runtime::yield_now;
///
/// # loxley_runtime::run(async {
/// let points = drop_at_every_pending(
///     || {
///         let state = std::sync::Arc::new(());
///         let held = state.clone();
///         let future = async move {
///             yield_now().await;
///             yield_now().await;
///             drop(held);
///         };
///         (future, state)
///     },
///     |_, state| async move { assert_eq!(std::sync::Arc::strong_count(&state), 1) },
/// )
/// .await;
/// assert_eq!(points, 2);
/// # });
/// ```
pub async fn drop_at_every_pending<F, S, C>(
    mut scenario: impl FnMut() -> (F, S),
    mut check: impl FnMut(usize, S) -> C,
) -> usize
where
    F: Future,
    C: Future<Output = ()>,
{
    for point in 1..=POINTS_MAX {
        let (future, state) = scenario();
        let dropped = {
            let mut future = pin!(future);
            let mut seen = 0;
            poll_fn(|cx| match future.as_mut().poll(cx) {
                Poll::Ready(_) => Poll::Ready(false),
                Poll::Pending => {
                    seen += 1;
                    if seen == point {
                        Poll::Ready(true)
                    } else {
                        Poll::Pending
                    }
                }
            })
            .await
        };
        check(point, state).await;
        if !dropped {
            return point - 1;
        }
    }
    panic!("the scenario was pending {POINTS_MAX} times: it never ends");
}

/// [`drop_at_every_pending`], with the scenario as a task that is cancelled while it is pending: its own scopes may take the
/// request, clean up and go on.
///
/// # Panics
///
/// As [`drop_at_every_pending`].
///
/// # Cancel safety
///
/// Dropped, it detaches the run that is going on, which ends cancelled or by itself; the rest of the sweep is not done.
///
/// # Examples
///
/// Wherever it is stopped, the place is given back:
///
/// ```
/// use loxley_runtime::{testing::cancel_at_every_pending, yield_now};
/// use loxley_sync::Semaphore;
/// use std::sync::Arc;
/// # loxley_runtime::run(async {
/// let points = cancel_at_every_pending(
///     || {
///         let places = Arc::new(Semaphore::new(1));
///         let ours = places.clone();
///         let future = async move {
///             let _place = ours.acquire().await;
///             yield_now().await;
///         };
///         (future, places)
///     },
///     |_, places| async move { assert_eq!(places.available_permits(), 1) },
/// )
/// .await;
/// assert_eq!(points, 1);
/// # });
/// ```
pub async fn cancel_at_every_pending<F, S, C>(
    mut scenario: impl FnMut() -> (F, S),
    mut check: impl FnMut(usize, S) -> C,
) -> usize
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    C: Future<Output = ()>,
{
    for point in 1..=POINTS_MAX {
        let (future, state) = scenario();
        let reached = Arc::new(AtomicBool::new(false));
        let is_reached = reached.clone();
        let task = create_task(async move {
            let mut future = pin!(future);
            let mut seen = 0;
            poll_fn(|cx| {
                let poll = future.as_mut().poll(cx);
                if poll.is_pending() {
                    seen += 1;
                    if seen == point {
                        // ordering: Relaxed, read after the task was awaited.
                        is_reached.store(true, Ordering::Relaxed);
                        // A request made during a poll is delivered at its end.
                        current_task().expect("a task runs this").cancel();
                    }
                }
                poll
            })
            .await
        });
        if let Err(TaskError::Panicked(panic)) = task.await {
            panic.resume();
        }
        check(point, state).await;
        // ordering: Relaxed, the task has been awaited.
        if !reached.load(Ordering::Relaxed) {
            return point - 1;
        }
    }
    panic!("the scenario was pending {POINTS_MAX} times: it never ends");
}
