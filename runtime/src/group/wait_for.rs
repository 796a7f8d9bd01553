//! Waiting for something with a limit, and for its end when the limit is reached.

use crate::time::{Timeout, timeout};
use std::future::IntoFuture;
use std::time::Duration;

/// Waits for a future or a task, at most for `limit`; what was not ready by then is cancelled *and waited for*.
///
/// A task is asked to stop and may take its time to clean up, so this may last longer than `limit`. A task that refuses to be
/// cancelled and gives a value has it returned. A future is dropped, after scopes inside it had their say. It is
/// [`timeout`] under asyncio's name: awaiting a task passes cancellation on, so the two are the same here.
///
/// # Errors
///
/// [`TimeoutError`](crate::TimeoutError) if the limit was reached first.
///
/// # Panics
///
/// The future returned panics if it has to wait on a thread that is in no runtime.
///
/// # Cancel safety
///
/// If its task is asked to stop, so is the task waited for, which is waited for. Merely dropped, it detaches that task.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{create_task, wait_for};
/// use std::time::Duration;
///
/// loxley_runtime::run(async {
///     let task = create_task(std::future::pending::<()>());
///     let seen = task.as_ref();
///     assert!(wait_for(task, Duration::from_millis(1)).await.is_err());
///     assert!(seen.is_cancelled()); // It has ended: nothing of it is left.
/// });
/// ```
///
/// **Differs from asyncio**: with a limit of zero a future still gets its first turn.
#[track_caller]
pub fn wait_for<F: IntoFuture>(future: F, limit: Duration) -> Timeout<F::IntoFuture> {
    timeout(limit, future)
}
