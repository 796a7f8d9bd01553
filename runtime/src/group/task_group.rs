//! A group of tasks that ends together: no child outlives it, the first failure cancels the rest.
//!
//! The parent polls the body of the group inside its own task; children are tasks (`child.rs`), whose errors and panics go
//! into the group's book (`children.rs`).

use super::ErrorGroup;
use super::child::{Child, ChildOutput, Work, poll_catching, run_child, run_limited};
use super::children::{Children, Closed, Payload, SHUTTING_DOWN};
use crate::spawn::{NO_RUNTIME, create_known};
use loxley_sync::CancelledError;
use loxley_sync::ambient::scope::{Kind, Scope, Settled, Verdict};
use loxley_sync::ambient::{self, WaitKind};
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};

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
    TaskGroup::new().scope(body)
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
#[doc(alias = "TaskTracker")]
pub struct TaskGroup<E> {
    children: Arc<Children<E>>,
}

impl<E: Send + 'static> TaskGroup<E> {
    /// A group with limits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::TaskGroup;
    /// # use std::convert::Infallible;
    /// # loxley_runtime::run(async {
    /// let one_by_one = TaskGroup::builder().limit(1).run(|tg: TaskGroup<Infallible>| async move {
    ///     for _ in 0..3 {
    ///         tg.create_task(async {});
    ///     }
    ///     Ok("all three")
    /// });
    /// assert_eq!(one_by_one.await.unwrap(), "all three");
    /// # });
    /// ```
    pub fn builder() -> TaskGroupBuilder<E> {
        TaskGroupBuilder {
            limit: None,
            _error: PhantomData,
        }
    }

    /// A group without a body yet: for who has to [`cancel`](Self::cancel) it from elsewhere, perhaps before it begins.
    /// Otherwise [`task_group`] is all there is to it.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_runtime::TaskGroup;
    /// use std::convert::Infallible;
    /// use std::future::pending;
    ///
    /// loxley_runtime::run(async {
    ///     let group = TaskGroup::<Infallible>::new();
    ///     group.cancel(); // The body begins and is interrupted where it first waits.
    ///     let ended = group.scope(|_| pending::<Result<(), Infallible>>()).await;
    ///     assert!(ended.unwrap_err().is_cancelled());
    /// });
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(None)
    }

    fn with_limit(limit: Option<usize>) -> Self {
        Self {
            children: Arc::new(Children::new(limit)),
        }
    }

    /// [`task_group`] with this group, once.
    ///
    /// # Errors
    ///
    /// Those of [`task_group`].
    ///
    /// # Panics
    ///
    /// If the group has or had a body, at the caller's line.
    ///
    /// # Cancel safety
    ///
    /// That of [`task_group`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{TaskGroup, create_task};
    /// # use std::convert::Infallible;
    /// # loxley_runtime::run(async {
    /// let group = TaskGroup::<Infallible>::new();
    /// let stopper = group.clone();
    /// create_task(async move { stopper.cancel() }); // Somebody who is no child of it.
    /// let ended = group.scope(|_| std::future::pending::<Result<(), Infallible>>()).await;
    /// assert!(ended.unwrap_err().is_cancelled());
    /// # });
    /// ```
    #[track_caller]
    pub fn scope<R, B, F>(
        &self,
        body: B,
    ) -> impl Future<Output = Result<R, ErrorGroup<E>>> + use<E, R, B, F>
    where
        B: FnOnce(Self) -> F,
        F: Future<Output = Result<R, E>>,
    {
        assert!(
            self.children.claim(),
            "this task group has a body already: a group is used once, make another one"
        );
        supervise(self.clone(), body, Location::caller())
    }

    /// Starts `future`, of `()` or of a `Result` with the group's error, as a child. Dropping what it returns is fine: the
    /// group waits for the child.
    ///
    /// In a group that is shutting down the child is cancelled before it starts.
    ///
    /// # Panics
    ///
    /// After the group's end and outside a runtime, at the caller's line.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{TaskGroup, task_group};
    /// # use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    /// # use std::sync::Arc;
    /// # loxley_runtime::run(async {
    /// let done = Arc::new(AtomicU32::new(0));
    /// let counter = done.clone();
    /// let group = task_group(|tg: TaskGroup<String>| async move {
    ///     for _ in 0..10 {
    ///         let counter = counter.clone();
    ///         tg.create_task(async move { _ = counter.fetch_add(1, Relaxed) });
    ///     }
    ///     Ok(())
    /// });
    /// group.await.unwrap();
    /// assert_eq!(done.load(Relaxed), 10, "all have ended by now");
    /// # });
    /// ```
    #[track_caller]
    pub fn create_task<F>(&self, future: F) -> Child<<F::Output as ChildOutput<E>>::Value>
    where
        F: Future + Send + 'static,
        F::Output: ChildOutput<E> + 'static,
        <F::Output as ChildOutput<E>>::Value: Send + 'static,
    {
        let ticket = match self.children.enter() {
            Ok(ticket) => ticket,
            Err(Closed::Ended) => panic!(
                "this task group has ended: create its tasks in its body or in its children, \
                 or use `create_task` for one that may outlive it"
            ),
            Err(Closed::NotYet) => panic!(
                "this task group has not been entered: create its tasks in the body given to `scope`, which has to run"
            ),
        };
        let (work, at) = (Work::new(future, ticket), Location::caller());
        // Before it can run: a child that sees a sibling fail must be among those that are asked to stop for it.
        let adopt = |child| self.children.adopt(child);
        let task = if self.children.limit.is_some() {
            create_known(run_limited(work), at, adopt)
        } else {
            create_known(run_child(work), at, adopt)
        };
        match task {
            Some(task) => Child::new(task),
            None => panic!("{NO_RUNTIME}"),
        }
    }

    /// Ends the group early: cancels its children and its body. The errors that come of it are still given. Does nothing
    /// when called twice or after the end.
    ///
    /// # Examples
    ///
    /// One child has found what all were looking for:
    ///
    /// ```
    /// # use loxley_runtime::{TaskGroup, task_group};
    /// # use std::convert::Infallible;
    /// # use std::sync::{Arc, OnceLock};
    /// # loxley_runtime::run(async {
    /// let found = Arc::new(OnceLock::new());
    /// let place = found.clone();
    /// let group = task_group(|tg: TaskGroup<Infallible>| async move {
    ///     let finder = tg.clone();
    ///     tg.create_task(async move {
    ///         place.set("the arrow").unwrap();
    ///         finder.cancel();
    ///     });
    ///     tg.create_task(std::future::pending::<()>()).await.unwrap(); // Searches on and on.
    ///     Ok(())
    /// });
    /// assert!(group.await.unwrap_err().is_cancelled());
    /// assert_eq!(found.get(), Some(&"the arrow"));
    /// # });
    /// ```
    #[doc(alias = "CancellationToken")]
    pub fn cancel(&self) {
        self.children.abort();
    }
}

impl<E: Send + 'static> Default for TaskGroup<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Clone for TaskGroup<E> {
    fn clone(&self) -> Self {
        Self {
            children: self.children.clone(),
        }
    }
}

impl<E: Send + 'static> fmt::Debug for TaskGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("is_shutting_down", &self.children.is_aborting())
            .finish_non_exhaustive()
    }
}

/// A group to be; made by [`TaskGroup::builder`].
///
/// # Examples
///
/// ```
/// use loxley_runtime::{TaskError, TaskGroup};
///
/// loxley_runtime::run(async {
///     // A thousand children, ten at a time.
///     let group = TaskGroup::builder().limit(10).run(|tg: TaskGroup<TaskError>| async move {
///         let children: Vec<_> = (0..1_000).map(|n| tg.create_task(async move { Ok(n) })).collect();
///         let mut sum = 0;
///         for child in children {
///             sum += child.await?;
///         }
///         Ok(sum)
///     });
///     assert_eq!(group.await.unwrap(), 499_500);
/// });
/// ```
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
    ///
    /// # Examples
    ///
    /// Never more than two at once:
    ///
    /// ```
    /// # use loxley_runtime::{TaskGroup, yield_now};
    /// # use std::{convert::Infallible, sync::Arc, sync::atomic::{AtomicU32, Ordering::Relaxed}};
    /// # loxley_runtime::run(async {
    /// let running = Arc::new(AtomicU32::new(0));
    /// let group = TaskGroup::<Infallible>::builder().limit(2).run(|group| async move {
    ///     for _ in 0..10 {
    ///         let running = running.clone();
    ///         group.create_task(async move {
    ///             assert!(running.fetch_add(1, Relaxed) < 2);
    ///             yield_now().await;
    ///             running.fetch_sub(1, Relaxed);
    ///         });
    ///     }
    ///     Ok(())
    /// });
    /// group.await.unwrap();
    /// # });
    /// ```
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
        TaskGroup::with_limit(self.limit).scope(body)
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
    E: Send + 'static,
{
    let children = group.children.clone();
    children.open();
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
async fn run_body<E: Send + 'static, F: Future>(
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
async fn wait_for_children<E: Send + 'static>(
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
struct Abandoned<'a, E: Send + 'static>(Option<&'a Children<E>>);

impl<E: Send + 'static> Drop for Abandoned<'_, E> {
    fn drop(&mut self) {
        if let Some(children) = self.0 {
            children.abort();
        }
    }
}
