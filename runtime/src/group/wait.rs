//! Waiting for some or all of a set of tasks, which are given back as they are.

use super::arrivals::Arrivals;
use crate::task::Task;
use crate::time::{Sleep, sleep};
use loxley_sync::ambient::{self, WaitKind};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// When [`wait`] returns.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{ReturnWhen, create_task, wait};
///
/// loxley_runtime::run(async {
///     let tasks = [create_task(std::future::pending()), create_task(async { if true { panic!("!") } })];
///     let waited = wait(tasks).return_when(ReturnWhen::FirstException).await;
///     assert_eq!((waited.done.len(), waited.pending.len()), (1, 1));
/// });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReturnWhen {
    /// When a task has ended, in whichever way.
    #[doc(alias = "FIRST_COMPLETED")]
    FirstCompleted,
    /// When a task has panicked, or all have ended. One that was cancelled does not count; an `Err` counts where
    /// [`Wait::count_errors`] says so.
    #[doc(alias = "FIRST_EXCEPTION")]
    FirstException,
    /// When all have ended.
    #[default]
    #[doc(alias = "ALL_COMPLETED")]
    AllCompleted,
}

/// Waits for tasks, and gives them back sorted by whether they have ended. By default it waits for all, without limit.
///
/// It cancels nothing, whether it is cancelled itself or runs out of time, and it takes no result: await the tasks that are
/// done for theirs.
///
/// # Panics
///
/// If there are no tasks, at the caller's line.
///
/// # Cancel safety
///
/// The tasks are inside: dropped before its end, it detaches them.
///
/// # Fairness
///
/// A set that is asked for the first may give several: those that have ended when the waiter gets its turn.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{ReturnWhen, create_task, wait};
///
/// loxley_runtime::run(async {
///     let slow = create_task(std::future::pending::<u32>());
///     let fast = create_task(async { 7 });
///     let waited = wait([slow, fast]).return_when(ReturnWhen::FirstCompleted).await;
///     for task in waited.done {
///         assert_eq!(task.await.unwrap(), 7);
///     }
///     assert_eq!(waited.pending.len(), 1);
/// });
/// ```
///
/// **Differs from asyncio**: the two sets keep the order of the tasks given.
#[track_caller]
pub fn wait<T>(tasks: impl IntoIterator<Item = Task<T>>) -> Wait<T> {
    let tasks: Vec<_> = tasks.into_iter().collect();
    assert!(
        !tasks.is_empty(),
        "wait on nothing: there must be at least one task to wait for"
    );
    Wait {
        left: tasks.len(),
        tasks,
        arrivals: Arrivals::default(),
        return_when: ReturnWhen::default(),
        limit: None,
        is_error: |_| false,
        has_failed: false,
        at: Location::caller(),
    }
}

/// What [`wait`] returned with.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{Waited, create_task, wait};
/// use std::time::Duration;
///
/// loxley_runtime::run(async {
///     let ready = create_task(async { 7 });
///     let never = create_task(std::future::pending());
///     let Waited { done, pending } = wait([ready, never]).timeout(Duration::from_millis(100)).await;
///     assert_eq!((done.len(), pending.len()), (1, 1));
///     for task in pending {
///         task.cancel();
///     }
/// });
/// ```
#[derive(Debug)]
#[must_use = "dropping the tasks detaches them"]
pub struct Waited<T> {
    /// The tasks that have ended, in the order given.
    pub done: Vec<Task<T>>,
    /// Those that have not.
    pub pending: Vec<Task<T>>,
}

/// A set of tasks that is waited for; made by [`wait`].
///
/// # Cancel safety
///
/// Dropping it detaches the tasks.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{create_task, wait};
///
/// loxley_runtime::run(async {
///     let tasks: Vec<_> = (0..3).map(|n| create_task(async move { n })).collect();
///     let waited = wait(tasks).await;
///     assert!(waited.pending.is_empty());
///     assert_eq!(waited.done.len(), 3);
/// });
/// ```
#[must_use = "nothing is waited for unless it is awaited"]
pub struct Wait<T> {
    tasks: Vec<Task<T>>,
    arrivals: Arrivals,
    left: usize,
    return_when: ReturnWhen,
    limit: Option<Sleep>,
    /// Whether a value counts as a failure.
    is_error: fn(&T) -> bool,
    has_failed: bool,
    at: &'static Location<'static>,
}

impl<T> Wait<T> {
    /// What to wait for. Default: [`ReturnWhen::AllCompleted`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{ReturnWhen, create_task, wait};
    /// # loxley_runtime::run(async {
    /// let tasks = [create_task(async { 1 }), create_task(std::future::pending())];
    /// let mut waited = wait(tasks).return_when(ReturnWhen::FirstCompleted).await;
    /// assert_eq!(waited.done.pop().unwrap().await.unwrap(), 1);
    /// # });
    /// ```
    pub fn return_when(mut self, return_when: ReturnWhen) -> Self {
        self.return_when = return_when;
        self
    }

    /// How long to wait at most, from this call on. Default: without limit. Running out of time is no error: what has not
    /// ended is in [`Waited::pending`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{create_task, wait};
    /// # use std::time::Duration;
    /// # loxley_runtime::run(async {
    /// let hangs = create_task(std::future::pending::<()>());
    /// let waited = wait([hangs]).timeout(Duration::from_millis(1)).await;
    /// assert!(waited.done.is_empty());
    /// assert!(waited.pending[0].cancel(), "it was left running");
    /// # });
    /// ```
    #[track_caller]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(sleep(limit));
        self
    }
}

impl<T, E> Wait<Result<T, E>> {
    /// Has [`ReturnWhen::FirstException`] return for a task that gives an `Err`, too.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_runtime::{ReturnWhen, create_task, wait};
    /// use std::future::pending;
    ///
    /// loxley_runtime::run(async {
    ///     let tasks = [create_task(pending()), create_task(async { Err::<(), _>("no disk") })];
    ///     let waited = wait(tasks).return_when(ReturnWhen::FirstException).count_errors().await;
    ///     assert_eq!((waited.done.len(), waited.pending.len()), (1, 1));
    /// });
    /// ```
    pub fn count_errors(mut self) -> Self {
        self.is_error = Result::is_err;
        self
    }
}

impl<T> Future for Wait<T> {
    type Output = Waited<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        ready!(ambient::poll_budget(cx));
        let Self {
            tasks,
            left,
            arrivals,
            is_error,
            has_failed,
            ..
        } = &mut *this;
        assert!(
            !tasks.is_empty(),
            "a wait was awaited again after it had returned"
        );
        arrivals.poll(cx, tasks.len(), |index, cx| {
            let finished = tasks[index].poll_finished(cx);
            if finished.is_ready() {
                *left -= 1;
                *has_failed |= tasks[index].has_failed(*is_error);
            }
            finished
        });
        let is_over = match this.return_when {
            ReturnWhen::FirstCompleted => this.left < this.tasks.len(),
            ReturnWhen::FirstException => this.has_failed || this.left == 0,
            ReturnWhen::AllCompleted => this.left == 0,
        };
        if !is_over {
            let timed_out = match &mut this.limit {
                Some(limit) => Pin::new(limit).poll(cx).is_ready(),
                None => false,
            };
            if !timed_out {
                ambient::wait_reason(WaitKind::Task, Some(this.at));
                return Poll::Pending;
            }
        }
        let tasks = std::mem::take(&mut this.tasks);
        let (done, pending) = tasks.into_iter().partition(Task::is_finished);
        Poll::Ready(Waited { done, pending })
    }
}

impl<T> fmt::Debug for Wait<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("tasks", &self.tasks)
            .field("left", &self.left)
            .field("return_when", &self.return_when)
            .finish_non_exhaustive()
    }
}
