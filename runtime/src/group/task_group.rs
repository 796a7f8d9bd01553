//! A group of tasks that ends together: no child outlives it, the first failure cancels the rest.
//!
//! The parent polls the body of the group inside its own task; children are tasks. A child's future is wrapped, so that its
//! error or panic goes into the group's book (`children.rs`) and the child's own task then ends cancelled.

use super::ErrorGroup;
use super::IntoTask;
use super::children::{Children, Payload, SHUTTING_DOWN, Ticket};
use crate::task::{Task, TaskError};
use loxley_sync::CancelledError;
use loxley_sync::ambient::scope::{Kind, Scope, Settled, Verdict};
use loxley_sync::ambient::{self, WaitKind};
use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Runs `body` with a group of tasks, and ends when the body and every child have ended.
///
/// The first child that gives an error or panics, and a body that does, cancels all the others and the body; new children
/// are cancelled before they start. A child that is merely cancelled ends alone.
///
/// # Errors
///
/// Every error of children and body, in the order in which they came. The group is empty if [`TaskGroup::cancel`] ended it
/// before the body had a value.
///
/// # Panics
///
/// With the first panic of a child or the body, after all have ended. It goes before errors.
///
/// # Cancel safety
///
/// If its task is asked to stop, the body hears it, the children are cancelled, all of them are waited for, and then the
/// cancellation goes on; errors go before it, and it is heard at the next wait. Merely dropped before its end, it cancels the
/// children and does not wait for them: drop cannot wait.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{TaskError, TaskGroup, task_group};
///
/// async fn fetch(n: u32) -> Result<u32, TaskError> { Ok(n * 10) }
///
/// loxley_runtime::run(async {
///     let sum = task_group(|tg: TaskGroup<TaskError>| async move {
///         let a = tg.create_task(fetch(1));
///         let b = tg.create_task(fetch(2));
///         tg.create_task(async { /* nobody waits for this one but the group */ });
///         Ok(a.await? + b.await?)
///     });
///     assert_eq!(sum.await.unwrap(), 30);
/// });
/// ```
///
/// **Differs from asyncio**: an error is an `Err`, and what would be a `BaseException` is a panic. A child cannot borrow from
/// the parent; share by `Arc`.
#[track_caller]
#[doc(alias = "JoinSet")]
#[doc(alias = "nursery")]
pub fn task_group<E, R, B, F>(body: B) -> impl Future<Output = Result<R, ErrorGroup<E>>>
where
    B: FnOnce(TaskGroup<E>) -> F,
    F: Future<Output = Result<R, E>>,
    E: Send + 'static,
{
    supervise(TaskGroup::open(None), body, Location::caller())
}

/// The handle of a running group: adds children to it, from its body and from its children, and cancels it.
///
/// Cheap to clone. It does not keep the group open.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{TaskGroup, task_group};
/// use std::convert::Infallible;
///
/// loxley_runtime::run(async {
///     let done = task_group(|tg: TaskGroup<Infallible>| async move {
///         let sibling_maker = tg.clone();
///         tg.create_task(async move {
///             sibling_maker.create_task(async { /* a sibling of its maker */ });
///         });
///         Ok("both will have ended")
///     });
///     assert_eq!(done.await.unwrap(), "both will have ended");
/// });
/// ```
pub struct TaskGroup<E> {
    children: Arc<Children<E>>,
}

impl<E: Send + 'static> TaskGroup<E> {
    /// A group with limits.
    pub fn builder() -> TaskGroupBuilder<E> {
        TaskGroupBuilder {
            limit: None,
            _error: PhantomData,
        }
    }

    fn open(limit: Option<usize>) -> Self {
        Self {
            children: Arc::new(Children::new(limit)),
        }
    }

    /// Starts `future`, of `()` or of a `Result` with the group's error, as a child. Dropping what it returns is fine: the
    /// group waits for the child.
    ///
    /// In a group that is shutting down the child is cancelled before it starts.
    ///
    /// # Panics
    ///
    /// After the group's end and outside a runtime, at the caller's line.
    #[track_caller]
    pub fn create_task<F>(&self, future: F) -> Child<<F::Output as ChildOutput<E>>::Value>
    where
        F: Future + Send + 'static,
        F::Output: ChildOutput<E> + 'static,
        <F::Output as ChildOutput<E>>::Value: Send + 'static,
    {
        let Some(ticket) = self.children.enter() else {
            panic!(
                "this task group has ended: create its tasks in its body or in its children, \
                 or use `create_task` for one that may outlive it"
            );
        };
        let work = Work { future, ticket };
        let task = if self.children.limit.is_some() {
            crate::create_task(run_limited(work))
        } else {
            crate::create_task(run_child(work))
        };
        self.children.adopt(task.as_ref());
        Child(task)
    }

    /// Ends the group early: cancels its children and its body. The errors that come of it are still given. Does nothing
    /// when called twice or after the end.
    pub fn cancel(&self) {
        self.children.abort();
    }
}

impl<E> Clone for TaskGroup<E> {
    fn clone(&self) -> Self {
        Self {
            children: self.children.clone(),
        }
    }
}

impl<E> fmt::Debug for TaskGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("is_shutting_down", &self.children.is_aborting())
            .finish_non_exhaustive()
    }
}

/// A group to be; made by [`TaskGroup::builder`].
#[derive(Debug)]
#[must_use = "nothing runs before `run`"]
pub struct TaskGroupBuilder<E> {
    limit: Option<usize>,
    _error: PhantomData<fn() -> E>,
}

impl<E: Send + 'static> TaskGroupBuilder<E> {
    /// At most so many children run at once; the others wait for their turn, first come first served. Default: no limit.
    ///
    /// # Panics
    ///
    /// If it is zero, at the caller's line.
    #[track_caller]
    pub fn limit(mut self, limit: usize) -> Self {
        assert!(
            limit > 0,
            "a limit of zero children would never let one run"
        );
        self.limit = Some(limit);
        self
    }

    /// [`task_group`] with these limits.
    ///
    /// # Errors
    ///
    /// Those of [`task_group`].
    ///
    /// # Cancel safety
    ///
    /// That of [`task_group`].
    #[track_caller]
    pub fn run<R, B, F>(self, body: B) -> impl Future<Output = Result<R, ErrorGroup<E>>>
    where
        B: FnOnce(TaskGroup<E>) -> F,
        F: Future<Output = Result<R, E>>,
    {
        supervise(TaskGroup::open(self.limit), body, Location::caller())
    }
}

/// What the future of a child may give: `()`, or a `Result` with the error of its group.
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

/// A child of a [`TaskGroup`]: a [`Task`] that may be dropped without a word, since its group waits for it.
///
/// Awaited after it failed, it gives [`TaskError::Cancelled`]: its group has the error. A body that gets to see that, because
/// it did not have to wait, and fails for it, adds an error of its own after the child's.
pub struct Child<T>(Task<T>);

impl<T> Child<T> {
    /// The child as a plain task.
    pub fn into_inner(self) -> Task<T> {
        self.0
    }
}

impl<T> Deref for Child<T> {
    type Target = Task<T>;

    fn deref(&self) -> &Task<T> {
        &self.0
    }
}

impl<T> Future for Child<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> IntoTask<T> for Child<T> {
    fn into_task(self) -> Task<T> {
        self.0
    }
}

impl<T> fmt::Debug for Child<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Child").field(&self.0.as_ref()).finish()
    }
}

/// A child before it runs. Its ticket is its last field, so that it goes after the future.
struct Work<F, E> {
    future: F,
    ticket: Ticket<E>,
}

impl<F, E> Work<F, E> {
    /// Taken apart by a call, so that until then an async block holds the whole and drops it in order.
    fn open(self) -> (F, Ticket<E>) {
        (self.future, self.ticket)
    }
}

/// The task of a child.
async fn run_child<F, E>(work: Work<F, E>) -> <F::Output as ChildOutput<E>>::Value
where
    F: Future,
    F::Output: ChildOutput<E>,
{
    let (future, ticket) = work.open();
    if !ticket.0.is_aborting() {
        match catching(future).await.map(ChildOutput::into_outcome) {
            Ok(Ok(value)) => return value,
            Ok(Err(error)) => ticket.0.fail(error),
            Err(payload) => ticket.0.panicked(payload),
        }
    }
    // What it had to say is said: the task has no value, so it ends cancelled.
    if let Some(task) = crate::current_task() {
        task.cancel_with("it failed, or never started; its task group has the error");
    }
    pending().await
}

/// [`run_child`], one of at most so many.
async fn run_limited<F, E>(work: Work<F, E>) -> <F::Output as ChildOutput<E>>::Value
where
    F: Future,
    F::Output: ChildOutput<E>,
{
    let permit = work.ticket.0.limit.clone();
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

fn poll_catching<F: Future>(
    future: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Poll<Result<F::Output, Payload>> {
    match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(payload) => Poll::Ready(Err(payload)),
    }
}

/// The life of a group, in its parent.
async fn supervise<E, R, B, F>(
    group: TaskGroup<E>,
    body: B,
    at: &'static Location<'static>,
) -> Result<R, ErrorGroup<E>>
where
    B: FnOnce(TaskGroup<E>) -> F,
    F: Future<Output = Result<R, E>>,
{
    let children = group.children.clone();
    let mut abandoned = Abandoned(Some(&children));
    // 1. The body, until it ends or is interrupted.
    let mut value = None;
    let mut outside = None;
    match catch_unwind(AssertUnwindSafe(|| body(group))) {
        Ok(body) => match run_body(&children, body, at).await {
            Body::Ended(Ok(Ok(output))) => value = Some(output),
            Body::Ended(Ok(Err(error))) => children.fail(error),
            Body::Ended(Err(payload)) => children.panicked(payload),
            Body::Interrupted(error) => {
                outside = error;
                children.abort();
            }
        },
        Err(payload) => children.panicked(payload),
    }
    // 2. The children, however often somebody asks this task to stop.
    wait_for_children(&children, &mut outside, at).await;
    abandoned.0 = None;
    // 3. What came of it.
    let (panic, errors) = children.take_outcome();
    if let Some(payload) = panic {
        resume_unwind(payload);
    }
    match (value, outside) {
        (Some(value), None) if errors.is_empty() => Ok(value),
        (_, Some(error)) if errors.is_empty() => error.reraise().await,
        (_, outside) => {
            if let Some(error) = outside {
                ask_again(&error);
            }
            Err(ErrorGroup::new(errors))
        }
    }
}

/// What came of the body.
enum Body<T> {
    /// Its output, or its panic.
    Ended(Result<T, Payload>),
    /// It was dropped, because the group shuts down, or because somebody asked the task to stop: then with the request.
    Interrupted(Option<CancelledError>),
}

/// Polls the body in a scope that catches. When the group shuts down, what is inside the body hears it first, as it may have
/// to clean up.
async fn run_body<E, F: Future>(
    children: &Children<E>,
    body: F,
    at: &'static Location<'static>,
) -> Body<F::Output> {
    let mut body = pin!(body);
    let mut scope = Scope::new(Kind::Catch);
    let (mut has_waited, mut is_interrupted) = (false, false);
    poll_fn(|cx| {
        children.register(cx);
        if !(has_waited && !is_interrupted && children.is_aborting()) {
            match scope.poll_in(cx, |cx| poll_catching(body.as_mut(), cx)) {
                Poll::Ready(Verdict::Done(output)) => return Poll::Ready(Body::Ended(output)),
                Poll::Ready(Verdict::Cancelled(error)) => {
                    let is_outside = !is_interrupted || matches!(scope.settle(), Settled::Outside);
                    return Poll::Ready(Body::Interrupted(is_outside.then_some(error)));
                }
                Poll::Pending => has_waited = true,
            }
        }
        // Before the body is polled again: it must not take a sibling's end for news of its own.
        if !is_interrupted && children.is_aborting() {
            is_interrupted = true;
            if scope.interrupt(SHUTTING_DOWN, at) {
                let is_outside = matches!(scope.settle(), Settled::Outside);
                let error = CancelledError::new(Some(SHUTTING_DOWN.into()), at);
                return Poll::Ready(Body::Interrupted(is_outside.then_some(error)));
            }
        }
        Poll::Pending
    })
    .await
}

/// Waits in a scope that holds: a request cancels the children and is kept in `outside`.
async fn wait_for_children<E>(
    children: &Children<E>,
    outside: &mut Option<CancelledError>,
    at: &'static Location<'static>,
) {
    let mut scope = Scope::new(Kind::Hold);
    poll_fn(|cx| {
        loop {
            let verdict = scope.poll_in(cx, |cx| {
                children.register(cx);
                ready!(ambient::poll_budget(cx));
                if children.poll_end().is_pending() {
                    ambient::wait_reason(WaitKind::Task, Some(at));
                    return Poll::Pending;
                }
                Poll::Ready(())
            });
            match ready!(verdict) {
                Verdict::Done(()) => return Poll::Ready(()),
                Verdict::Cancelled(error) => {
                    outside.get_or_insert(error);
                    children.abort();
                }
            }
        }
    })
    .await;
}

/// A request that gave way to errors is heard at the next place the task waits; the count of requests stays.
#[cold]
fn ask_again(error: &CancelledError) {
    if let Some(task) = crate::current_task() {
        if task.cancelling() > 0 {
            task.uncancel();
            task.cancel_with(
                error
                    .message()
                    .unwrap_or("asked while its task group ended"),
            );
        }
    }
}

/// Cancels the children of a group that is dropped before its end.
struct Abandoned<'a, E>(Option<&'a Children<E>>);

impl<E> Drop for Abandoned<'_, E> {
    fn drop(&mut self) {
        if let Some(children) = self.0 {
            children.abort();
        }
    }
}
