//! Running tasks side by side for their results, in the order given.

use super::arrivals::{Arrivals, Roll};
use super::batch::{Batch, IntoTasks, TryBatch};
use crate::task::{PassedOn, TaskError};
use loxley_sync::CancelledError;
use loxley_sync::ambient::scope::{Kind, Scope, Verdict};
use loxley_sync::ambient::{self, WaitKind};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Runs futures and tasks side by side, and gives their values in the order given: a tuple for a tuple of up to eight, a
/// `Vec` for anything that can be iterated over.
///
/// A list of tasks wants the type of its values, for a task is itself a future, of a `Result`, and stable Rust has no
/// specialisation to tell the two apart: `let results: Vec<u32> = gather(tasks).await?;`.
///
/// Futures are spawned by this call, before anything is awaited.
///
/// # Errors
///
/// The [`TaskError`] of the first task that was cancelled or panicked, at once. The others run on by themselves.
/// [`return_errors`](Gather::return_errors) waits for all instead; [`try_gather`] is for futures of `Result`s.
///
/// # Panics
///
/// Given a future, outside a runtime, at the caller's line.
///
/// # Cancel safety
///
/// If the task that awaits it is asked to stop, so are all of its tasks; the cancellation goes on as soon as one has ended
/// cancelled, and at the latest when all have ended. Merely dropped before its end, it detaches its tasks: they run on, their
/// values are lost.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{create_task, gather};
///
/// loxley_runtime::run(async {
///     let (a, b) = gather((async { 1 }, async { "one" })).await.unwrap();
///     assert_eq!((a, b), (1, "one"));
///
///     let squares = gather((0..4).map(|n| async move { n * n })).await.unwrap();
///     assert_eq!(squares, [0, 1, 4, 9]);
///
///     let tasks: Vec<_> = (0..4).map(|n| create_task(async move { n * n })).collect();
///     let squares: Vec<u32> = gather(tasks).await.unwrap();
///     assert_eq!(squares, [0, 1, 4, 9]);
/// });
/// ```
///
/// **Differs from asyncio**: a task that panics after the gathering has ended is reported to the runtime's handler; there it
/// is dropped in silence.
#[track_caller]
#[doc(alias = "join_all")]
pub fn gather<Values, Tasks: IntoTasks<Values>>(tasks: Tasks) -> Gather<Tasks::Batch> {
    let mut roll = Roll::new(false);
    let tasks = tasks.into_tasks(&mut roll);
    Gather(Gathering::new(tasks, roll.close(), Location::caller()))
}

/// [`gather`] for futures of `Result`s: gives the values if all are `Ok`.
///
/// As there, a list of tasks wants the type of what it gives: `let results: Vec<u32> = try_gather(tasks).await?;`.
///
/// # Errors
///
/// The first error, at once, be it a future's own or that its task was cancelled or panicked. The others run on by
/// themselves; a [`task_group`](crate::task_group) cancels them.
///
/// # Panics
///
/// Given a future, outside a runtime, at the caller's line.
///
/// # Cancel safety
///
/// If the task that awaits it is asked to stop, so are all of its tasks; the cancellation goes on as soon as one has ended
/// cancelled, and at the latest when all have ended. Merely dropped before its end, it detaches its tasks: they run on, their
/// values are lost.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{TaskError, try_gather};
///
/// #[derive(Debug, PartialEq)]
/// enum Error { Odd(u32), Task }
/// impl From<TaskError> for Error { fn from(_: TaskError) -> Self { Self::Task } }
///
/// async fn half(n: u32) -> Result<u32, Error> {
///     if n % 2 == 0 { Ok(n / 2) } else { Err(Error::Odd(n)) }
/// }
///
/// loxley_runtime::run(async {
///     assert_eq!(try_gather((half(2), half(4))).await, Ok((1, 2)));
///     assert_eq!(try_gather([half(2), half(5)]).await, Err(Error::Odd(5)));
/// });
/// ```
#[track_caller]
#[doc(alias = "try_join")]
pub fn try_gather<Values, E, Tasks>(tasks: Tasks) -> TryGather<Tasks::Batch, E>
where
    Tasks: IntoTasks<Values>,
    Tasks::Batch: TryBatch<E>,
    E: From<TaskError>,
{
    let mut roll = Roll::new(true);
    let tasks = tasks.into_tasks(&mut roll);
    TryGather {
        gathering: Gathering::new(tasks, roll.close(), Location::caller()),
        _error: PhantomData,
    }
}

/// The values of several tasks; made by [`gather`].
///
/// # Cancel safety
///
/// Dropping it detaches the tasks.
///
/// # Examples
///
/// Kept and awaited later; what it is made of runs already:
///
/// ```
/// use loxley_runtime::gather;
///
/// loxley_runtime::run(async {
///     let both = gather((async { 1 }, async { 2 }));
///     // … something else …
///     assert_eq!(both.await.unwrap(), (1, 2));
/// });
/// ```
#[must_use = "the tasks run, but nothing waits for their values unless it is awaited"]
pub struct Gather<Tasks>(Gathering<Tasks>);

/// A result for each of several tasks; made by [`Gather::return_errors`].
///
/// # Cancel safety
///
/// Dropping it detaches the tasks.
///
/// # Examples
///
/// ```
/// use loxley_runtime::gather;
///
/// loxley_runtime::run(async {
///     let (right, wrong) = gather((async { 1 }, async { if true { panic!("oh") } })).return_errors().await;
///     assert_eq!(right.unwrap(), 1);
///     assert!(wrong.is_err());
/// });
/// ```
#[must_use = "the tasks run, but nothing waits for their results unless it is awaited"]
pub struct GatherResults<Tasks>(Gathering<Tasks>);

/// The values of several tasks that may fail; made by [`try_gather`].
///
/// # Cancel safety
///
/// Dropping it detaches the tasks.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{TaskError, try_gather};
///
/// loxley_runtime::run(async {
///     let numbers = try_gather((0..3).map(|n| async move { Ok::<_, TaskError>(n) }));
///     assert_eq!(numbers.await.unwrap(), [0, 1, 2]);
/// });
/// ```
#[must_use = "the tasks run, but nothing waits for their values unless it is awaited"]
pub struct TryGather<Tasks, E> {
    gathering: Gathering<Tasks>,
    _error: PhantomData<fn() -> E>,
}

/// What the three kinds of gathering share.
struct Gathering<Tasks> {
    tasks: Tasks,
    arrivals: Arrivals,
    left: usize,
    is_over: bool,
    /// Requests to the awaiter go to the tasks.
    scope: Scope,
    heard: PassedOn,
    at: &'static Location<'static>,
}

/// How far a gathering has come.
enum Progress {
    /// The task of this index ended as the caller had asked about.
    Stopped(usize),
    All,
}

impl<Tasks: Batch> Gather<Tasks> {
    /// Waits for all tasks, whatever becomes of them, and gives a result for each.
    ///
    /// # Examples
    ///
    /// A result for each, where one failure must not hide the others:
    ///
    /// ```
    /// # use loxley_runtime::{create_task, gather};
    /// # loxley_runtime::run(async {
    /// let (good, stopped) = (create_task(async { 1 }), create_task(std::future::pending::<u8>()));
    /// stopped.cancel();
    /// let results: Vec<_> = gather::<Vec<u8>, _>([good, stopped]).return_errors().await;
    /// assert!(matches!(&results[..], [Ok(1), Err(error)] if error.is_cancelled()));
    /// # });
    /// ```
    #[doc(alias = "return_exceptions")]
    pub fn return_errors(self) -> GatherResults<Tasks> {
        GatherResults(self.0)
    }

    /// Asks every task that has not ended to stop. False if there was none.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::gather;
    /// # use std::future::pending;
    /// # loxley_runtime::run(async {
    /// let never = gather([pending::<()>(), pending()]);
    /// assert!(never.cancel());
    /// assert!(never.await.unwrap_err().is_cancelled());
    /// # });
    /// ```
    #[track_caller]
    pub fn cancel(&self) -> bool {
        self.0.cancel()
    }
}

impl<Tasks: Batch> Gathering<Tasks> {
    fn new(tasks: Tasks, arrivals: Arrivals, at: &'static Location<'static>) -> Self {
        Self {
            left: tasks.len(),
            tasks,
            arrivals,
            is_over: false,
            scope: Scope::new(Kind::Forward),
            heard: PassedOn::default(),
            at,
        }
    }

    #[track_caller]
    fn cancel(&self) -> bool {
        let mut any = false;
        for index in 0..self.tasks.len() {
            if let Some(task) = self.tasks.running(index) {
                any |= task.cancel();
            }
        }
        any
    }

    /// Waits until a task ends of which `stops` is true, or all have ended. A request that comes meanwhile is passed on; once
    /// its effect is there, the cancellation goes on outwards and this is never ready.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stops: impl Fn(&Tasks, usize) -> bool,
    ) -> Poll<Progress> {
        loop {
            if self.is_over && self.heard.first().is_some() {
                // Raised below: what awaits this will be dropped.
                return Poll::Pending;
            }
            let mut scope = std::mem::replace(&mut self.scope, Scope::new(Kind::Forward));
            let verdict = scope.poll_in(cx, |cx| self.poll_tasks(cx, &stops));
            self.scope = scope;
            match ready!(verdict) {
                Verdict::Cancelled(error) => {
                    if let Some(error) = self.pass_on(error) {
                        self.is_over = true;
                        self.scope.raise(error, cx);
                    }
                }
                Verdict::Done(Progress::Stopped(index)) if self.tasks.is_panic(index) => {
                    self.heard = PassedOn::default();
                    return Poll::Ready(Progress::Stopped(index));
                }
                Verdict::Done(progress) => match self.heard.first() {
                    Some(error) => self.scope.raise_from(error.clone(), cx),
                    None => return Poll::Ready(progress),
                },
            }
        }
    }

    /// Asks every task that has not ended. If there was none, or the request has come back from them, gives what to raise.
    fn pass_on(&mut self, error: CancelledError) -> Option<CancelledError> {
        if let Ok(error) = self.heard.hear(error) {
            let running = (0..self.tasks.len()).filter_map(|index| self.tasks.running(index));
            // Every one is asked, so no short cut by `any`.
            if running.filter(|task| task.forward(&error)).count() > 0 {
                return None;
            }
        }
        self.heard.first().cloned()
    }

    fn poll_tasks(
        &mut self,
        cx: &mut Context<'_>,
        stops: impl Fn(&Tasks, usize) -> bool,
    ) -> Poll<Progress> {
        assert!(
            !self.is_over,
            "a gathering was awaited again after it had given its result"
        );
        ready!(ambient::poll_budget(cx));
        let Self { tasks, left, .. } = self;
        let mut stopped = None;
        self.arrivals.poll(cx, tasks.len(), |index, cx| {
            ready!(tasks.poll_one(index, cx));
            *left -= 1;
            if stopped.is_none() && stops(tasks, index) {
                stopped = Some(index);
            }
            Poll::Ready(())
        });
        self.is_over = stopped.is_some() || self.left == 0;
        match stopped {
            Some(index) => Poll::Ready(Progress::Stopped(index)),
            None if self.is_over => Poll::Ready(Progress::All),
            None => {
                ambient::wait_reason(WaitKind::Task, Some(self.at));
                Poll::Pending
            }
        }
    }
}

impl<Tasks: Batch> Future for Gather<Tasks> {
    type Output = Result<Tasks::Values, TaskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let gathering = &mut self.get_mut().0;
        if let Progress::Stopped(index) = ready!(gathering.poll(cx, Tasks::is_error)) {
            if let Some(error) = gathering.tasks.take_error(index) {
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(gathering.tasks.values()))
    }
}

impl<Tasks: Batch> Future for GatherResults<Tasks> {
    type Output = Tasks::Results;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let gathering = &mut self.get_mut().0;
        let _ = ready!(gathering.poll(cx, |_, _| false));
        Poll::Ready(gathering.tasks.results())
    }
}

impl<Tasks: TryBatch<E>, E> Future for TryGather<Tasks, E> {
    type Output = Result<Tasks::Successes, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let gathering = &mut self.get_mut().gathering;
        if let Progress::Stopped(index) = ready!(gathering.poll(cx, Tasks::is_failure)) {
            if let Some(error) = gathering.tasks.take_failure(index) {
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(gathering.tasks.successes()))
    }
}

impl<Tasks> fmt::Debug for Gathering<Tasks> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather")
            .field("left", &self.left)
            .field("at", &format_args!("{}", self.at))
            .finish_non_exhaustive()
    }
}

impl<Tasks> fmt::Debug for Gather<Tasks> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<Tasks> fmt::Debug for GatherResults<Tasks> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<Tasks, E> fmt::Debug for TryGather<Tasks, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.gathering.fmt(f)
    }
}
