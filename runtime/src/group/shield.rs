//! Awaiting a task without the power to cancel it.

use super::IntoTask;
use crate::task::{Task, TaskError};
use loxley_sync::ambient::{self, WaitKind};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Awaits a task, or a future that it spawns, without passing a cancellation on: if the awaiter is cancelled, the task runs
/// on.
///
/// Given a task it wants the type of the value, for a task is itself a future, of a `Result`, and stable Rust has no
/// specialisation to tell the two apart: `let value: u32 = shield(task).await?;`, or `shield::<u32>(task)`.
///
/// # Panics
///
/// Given a future, outside a runtime, at the caller's line.
///
/// # Errors
///
/// The future's: [`TaskError`], if the task itself was cancelled or panicked.
///
/// # Cancel safety
///
/// Dropped or cancelled, the task goes on by itself. Its value is lost then; if it panics, the runtime's handler is told.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{create_task, shield};
/// use loxley_sync::oneshot;
///
/// loxley_runtime::run(async {
///     let (saved, is_saved) = oneshot::channel();
///     let work = create_task(async move {
///         loxley_runtime::yield_now().await;
///         let _ = saved.send(7);
///     });
///     let waiter = create_task(shield::<()>(work));
///     waiter.cancel();
///     assert_eq!(is_saved.await.unwrap(), 7); // The waiter is gone; the work is done all the same.
/// });
/// ```
#[track_caller]
pub fn shield<T>(task: impl IntoTask<T>) -> Shield<T> {
    Shield {
        task: Some(task.into_task()),
    }
}

/// A task awaited from behind a shield; made by [`shield`].
///
/// # Cancel safety
///
/// Dropping it lets the task run on.
///
/// # Examples
///
/// ```
/// use loxley_runtime::shield;
/// use std::{future::pending, time::Duration};
///
/// loxley_runtime::run(async {
///     let mut work = shield(async { pending::<()>().await });
///     let limit = Duration::from_millis(1);
///     assert!(loxley_runtime::timeout(limit, &mut work).await.is_err());
///     let task = work.into_inner().expect("it runs on");
///     assert!(!task.is_finished());
///     task.cancel();
/// });
/// ```
#[must_use = "a shield waits only when it is awaited; the task runs in any case"]
pub struct Shield<T> {
    task: Option<Task<T>>,
}

impl<T> Shield<T> {
    /// The task behind the shield, to be awaited or cancelled after all. `None` if its result was handed out.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::shield;
    /// # loxley_runtime::run(async {
    /// let shielded = shield(std::future::pending::<()>());
    /// let task = shielded.into_inner().unwrap();
    /// task.cancel(); // Now it is asked to stop after all.
    /// assert!(task.await.unwrap_err().is_cancelled());
    /// # });
    /// ```
    #[must_use = "dropping the task detaches it"]
    pub fn into_inner(self) -> Option<Task<T>> {
        self.task
    }
}

impl<T> Future for Shield<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(ambient::poll_budget(cx));
        let Some(task) = &mut self.task else {
            panic!("a shield was awaited again after it had given its result");
        };
        if task.poll_finished(cx).is_pending() {
            ambient::wait_reason(WaitKind::Task, Some(task.as_ref().spawned_at()));
            return Poll::Pending;
        }
        let task = self.task.take().expect("seen above");
        Poll::Ready(task.into_result())
    }
}

impl<T> fmt::Debug for Shield<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shield").field(&self.task).finish()
    }
}
