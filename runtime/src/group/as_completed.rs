//! Tasks one by one, in the order in which they end.

use super::arrivals::Arrivals;
use crate::task::Task;
use crate::time::{Sleep, sleep};
use loxley_sync::ambient::{self, WaitKind};
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Gives tasks one by one as they end: the very tasks, which are then awaited for their results.
///
/// Nothing is cancelled when it is dropped, cancelled or out of time. With feature `stream` it is a `Stream`, too.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{as_completed, create_task};
///
/// loxley_runtime::run(async {
///     let tasks = (1..=3_u32).map(|n| create_task(async move { n }));
///     let mut ended = as_completed(tasks);
///     let mut sum = 0;
///     while let Some(task) = ended.next().await {
///         sum += task.await.unwrap();
///     }
///     assert_eq!(sum, 6);
/// });
/// ```
#[track_caller]
pub fn as_completed<T>(tasks: impl IntoIterator<Item = Task<T>>) -> AsCompleted<T> {
    let tasks: Vec<_> = tasks.into_iter().map(Some).collect();
    AsCompleted {
        left: tasks.len(),
        tasks,
        ended: VecDeque::new(),
        arrivals: Arrivals::default(),
        limit: None,
        at: Location::caller(),
    }
}

/// Tasks in the order in which they end; made by [`as_completed`].
///
/// # Cancel safety
///
/// Dropping it detaches the tasks not given out.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{as_completed, create_task, sleep};
/// use std::time::Duration;
///
/// loxley_runtime::run(async {
///     let tasks = [50, 1].map(|ms| {
///         create_task(async move {
///             sleep(Duration::from_millis(ms)).await;
///             ms
///         })
///     });
///     let mut ended = as_completed(tasks);
///     let mut sum = 0;
///     while let Some(task) = ended.next().await {
///         sum += task.await.unwrap();
///     }
///     assert_eq!(sum, 51);
/// });
/// ```
#[must_use = "ask it for the `next` task"]
pub struct AsCompleted<T> {
    tasks: Vec<Option<Task<T>>>,
    /// Those that have ended and were not given out, in order.
    ended: VecDeque<usize>,
    /// Those not given out.
    left: usize,
    arrivals: Arrivals,
    limit: Option<Sleep>,
    at: &'static Location<'static>,
}

impl<T> AsCompleted<T> {
    /// How long to wait at most for all of them together, from this call on. When it is over [`next`](Self::next) gives
    /// what has ended, then `None` although tasks are left: they are in [`into_pending`](Self::into_pending). Default:
    /// without limit.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{as_completed, create_task};
    /// # use std::time::Duration;
    /// # loxley_runtime::run(async {
    /// let tasks = [create_task(async {}), create_task(std::future::pending())];
    /// let mut ended = as_completed(tasks).timeout(Duration::from_millis(10));
    /// assert!(ended.next().await.is_some());
    /// assert!(ended.next().await.is_none(), "the time is over");
    /// for late in ended.into_pending() {
    ///     late.cancel();
    /// }
    /// # });
    /// ```
    #[track_caller]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(sleep(limit));
        self
    }

    /// The next task that has ended. `None` when none is left, or the time is over.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: a task is taken out by the poll that returns it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{as_completed, create_task};
    /// # loxley_runtime::run(async {
    /// let never = create_task(std::future::pending());
    /// let seven = create_task(async { 7 });
    /// let mut ended = as_completed([never, seven]);
    /// assert_eq!(ended.next().await.unwrap().await.unwrap(), 7); // Whichever is first.
    /// # });
    /// ```
    #[expect(
        clippy::should_implement_trait,
        reason = "it waits; this is the word of every stream"
    )]
    pub fn next(&mut self) -> impl Future<Output = Option<Task<T>>> {
        poll_fn(move |cx| self.poll_next_task(cx))
    }

    /// How many tasks were not given out yet.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{as_completed, create_task};
    /// # loxley_runtime::run(async {
    /// let mut ended = as_completed((0..3).map(|n| create_task(async move { n })));
    /// assert_eq!(ended.len(), 3);
    /// ended.next().await;
    /// assert_eq!(ended.len(), 2, "to go");
    /// # });
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.left
    }

    /// Whether every task was given out.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{as_completed, create_task};
    /// # loxley_runtime::run(async {
    /// let mut ended = as_completed([create_task(async {})]);
    /// assert!(!ended.is_empty());
    /// ended.next().await;
    /// assert!(ended.is_empty());
    /// # });
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// The tasks not given out, in the order given.
    ///
    /// # Examples
    ///
    /// The first answer is enough; the other tasks are told so:
    ///
    /// ```
    /// # use loxley_runtime::{as_completed, create_task};
    /// # loxley_runtime::run(async {
    /// let tasks = [create_task(std::future::pending()), create_task(async { 7 })];
    /// let mut ended = as_completed(tasks);
    /// let first = ended.next().await.unwrap();
    /// assert_eq!(ended.into_pending().iter().filter(|task| task.cancel()).count(), 1);
    /// # first.await.unwrap();
    /// # });
    /// ```
    #[must_use = "dropping the tasks detaches them"]
    pub fn into_pending(mut self) -> Vec<Task<T>> {
        std::mem::take(&mut self.tasks)
            .into_iter()
            .flatten()
            .collect()
    }

    pub(crate) fn poll_next_task(&mut self, cx: &mut Context<'_>) -> Poll<Option<Task<T>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        ready!(ambient::poll_budget(cx));
        let Self {
            tasks,
            ended,
            arrivals,
            ..
        } = &mut *self;
        arrivals.poll(cx, tasks.len(), |index, cx| {
            let Some(task) = &mut tasks[index] else {
                return Poll::Ready(());
            };
            let finished = task.poll_finished(cx);
            if finished.is_ready() {
                ended.push_back(index);
            }
            finished
        });
        if let Some(index) = self.ended.pop_front() {
            let task = self.tasks[index].take();
            self.left -= 1;
            return Poll::Ready(task);
        }
        if let Some(limit) = &mut self.limit {
            if limit.is_elapsed() || Pin::new(limit).poll(cx).is_ready() {
                return Poll::Ready(None);
            }
        }
        ambient::wait_reason(WaitKind::Task, Some(self.at));
        Poll::Pending
    }
}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
