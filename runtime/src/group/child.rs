//! One child of a task group: its task, and what its handle gives.
//!
//! A child's future is wrapped, so that its error or panic goes into the group's book (`children.rs`) and the child's own
//! task then ends cancelled.

use super::IntoTask;
use super::children::{FAILED, Payload, SHUTTING_DOWN, Ticket};
use crate::task::{Task, TaskError};
use loxley_sync::CancelledError;
use loxley_sync::ambient::{self, WaitKind};
use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

/// What the future of a child may give: `()`, or a `Result` with the error of its group.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{TaskGroup, task_group};
///
/// loxley_runtime::run(async {
///     let group = task_group(|tg: TaskGroup<String>| async move {
///         tg.create_task(async { /* gives `()` and cannot fail */ });
///         let parsed = tg.create_task(async { "7".parse::<u8>().map_err(|error| error.to_string()) });
///         parsed.await.map_err(|error| error.to_string())
///     });
///     assert_eq!(group.await.unwrap(), 7);
/// });
/// ```
#[diagnostic::on_unimplemented(
    message = "a child of this group cannot give `{Self}`",
    label = "this future gives `{Self}`",
    note = "a child gives `()`, or a `Result` with the error of its group: end it with `Ok(value)`, or turn its error into `{E}`"
)]
pub trait ChildOutput<E>: Send {
    /// What the child's handle gives.
    type Value;

    /// The value, or what the group fails with.
    ///
    /// # Errors
    ///
    /// The error for the group.
    #[doc(hidden)]
    fn into_outcome(self) -> Result<Self::Value, E>;
}

impl<E> ChildOutput<E> for () {
    type Value = ();

    fn into_outcome(self) -> Result<(), E> {
        Ok(self)
    }
}

impl<U: Send, E: Send> ChildOutput<E> for Result<U, E> {
    type Value = U;

    fn into_outcome(self) -> Self {
        self
    }
}

/// A child of a [`TaskGroup`](crate::TaskGroup): a [`Task`] that may be dropped without a word, since its group waits for it.
///
/// Awaited after it failed, or was cancelled with its group, it gives [`TaskError::Cancelled`]: its group has the error. The
/// body and the siblings hear that the group shuts down before they get to see that, so that no error comes of an error.
/// Given to [`gather`](crate::gather) and its like a child is a plain task, without that courtesy.
///
/// # Cancel safety
///
/// Dropping a child leaves it to its group, which waits for it. Dropping the future that awaits `&mut child` loses nothing;
/// await it again.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{TaskError, TaskGroup, task_group};
///
/// loxley_runtime::run(async {
///     let group = task_group(|tg: TaskGroup<TaskError>| async move {
///         let child = tg.create_task(async { Ok(7) });
///         tg.create_task(async { /* not awaited by anybody but the group */ });
///         Ok(child.await?)
///     });
///     assert_eq!(group.await.unwrap(), 7);
/// });
/// ```
pub struct Child<T> {
    task: Task<T>,
    /// What the await gives one turn later.
    news: Option<TaskError>,
}

impl<T> Child<T> {
    pub(super) fn new(task: Task<T>) -> Self {
        Self { task, news: None }
    }

    /// The child as a plain task.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{TaskError, TaskGroup, gather, task_group};
    /// # loxley_runtime::run(async {
    /// let group = task_group(|tg: TaskGroup<TaskError>| async move {
    ///     let children = [1, 2].map(|n| tg.create_task(async move { Ok(n) }).into_inner());
    ///     gather::<Vec<i32>, _>(children).await
    /// });
    /// assert_eq!(group.await.unwrap(), [1, 2]);
    /// # });
    /// ```
    pub fn into_inner(self) -> Task<T> {
        self.task
    }
}

impl<T> Deref for Child<T> {
    type Target = Task<T>;

    fn deref(&self) -> &Task<T> {
        &self.task
    }
}

impl<T> Future for Child<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(error) = self.news.take() {
            return Poll::Ready(Err(error));
        }
        match ready!(Pin::new(&mut self.task).poll(cx)) {
            Err(TaskError::Cancelled(error)) if is_of_its_group(&error) => {
                // The awaiter was asked to stop, or is about to be: it hears that first, at the end of this poll.
                self.news = Some(TaskError::Cancelled(error));
                cx.waker().wake_by_ref();
                ambient::wait_reason(WaitKind::Turn, None);
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }
}

/// Whether a child ended for its own failure or for that of its group.
fn is_of_its_group(error: &CancelledError) -> bool {
    matches!(error.message(), Some(FAILED | SHUTTING_DOWN))
}

impl<T> IntoTask<T> for Child<T> {
    fn into_task(self) -> Task<T> {
        self.task
    }
}

impl<T> fmt::Debug for Child<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Child").field(&self.task.as_ref()).finish()
    }
}

/// A child before it runs. Its ticket is its last field, so that it goes after the future.
pub(super) struct Work<F, E: Send + 'static> {
    future: F,
    ticket: Ticket<E>,
}

impl<F, E: Send + 'static> Work<F, E> {
    pub(super) fn new(future: F, ticket: Ticket<E>) -> Self {
        Self { future, ticket }
    }

    /// Taken apart by a call, so that until then an async block holds the whole and drops it in order.
    fn open(self) -> (F, Ticket<E>) {
        (self.future, self.ticket)
    }
}

/// The task of a child.
pub(super) async fn run_child<F, E>(work: Work<F, E>) -> <F::Output as ChildOutput<E>>::Value
where
    F: Future,
    F::Output: ChildOutput<E>,
    E: Send + 'static,
{
    let (future, ticket) = work.open();
    if !ticket.group().is_aborting() {
        match catching(future).await.map(ChildOutput::into_outcome) {
            Ok(Ok(value)) => return value,
            Ok(Err(error)) => ticket.group().fail(error),
            Err(payload) => ticket.group().panicked(payload),
        }
    }
    // What it had to say is said: the task has no value, so it ends cancelled.
    if let Some(task) = crate::current_task() {
        task.cancel_with(FAILED);
    }
    pending().await
}

/// [`run_child`], one of at most so many.
pub(super) async fn run_limited<F, E>(work: Work<F, E>) -> <F::Output as ChildOutput<E>>::Value
where
    F: Future,
    F::Output: ChildOutput<E>,
    E: Send + 'static,
{
    let permit = work.ticket.group().limit.clone();
    let _permit = match permit {
        Some(limit) => Some(limit.acquire_owned().await),
        None => None,
    };
    run_child(work).await
}

/// The output of `future`, which is dropped by then, or its panic.
async fn catching<F: Future>(future: F) -> Result<F::Output, Payload> {
    let mut future = pin!(future);
    poll_fn(|cx| poll_catching(future.as_mut(), cx)).await
}

pub(super) fn poll_catching<F: Future>(
    future: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Poll<Result<F::Output, Payload>> {
    match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(payload) => Poll::Ready(Err(payload)),
    }
}
