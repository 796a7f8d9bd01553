//! What user code holds of a task: [`Task`], which may take its output, and [`TaskRef`], which may only ask and tell.
#![expect(unsafe_code, reason = "takes the output through the erased cell")]

use super::cell::{AwaiterKey, Header, Through};
use super::failure::{Failure, TaskError};
use super::raw::{self, Counted, Fresh, Scheduled};
use super::run;
use super::state::DropJoin;
use super::{PassedOn, Schedule, TaskId};
use loxley_sync::ambient::scope::{self, Kind, Scope, Verdict};
use loxley_sync::ambient::{self, WaitKind, WaitReason};
use std::fmt;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Makes a task and gives it to a scheduler of a model.
pub fn spawn<F, S>(
    future: F,
    scheduler: &Arc<S>,
    id: TaskId,
    at: &'static Location<'static>,
) -> (Scheduled, Task<F::Output>)
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    S: Schedule,
{
    let (fresh, handle) = make(future, at);
    (fresh.with_context(None).launch(scheduler, id), handle)
}

/// Makes a task for a future that may be polled anywhere. It must be launched before the handle is used.
#[inline]
pub(crate) fn make<F, S>(future: F, at: &'static Location<'static>) -> (Fresh<S>, Task<F::Output>)
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    S: Schedule,
{
    // SAFETY: `F` and its output are `Send + 'static`; the scheduler outlives its tasks by its own contract.
    unsafe { make_unchecked(future, at) }
}

/// Makes a task for a future that is bound to one thread or to a lifetime.
///
/// # Safety
///
/// As `raw::make`.
#[inline]
pub(super) unsafe fn make_unchecked<F: Future, S: Schedule>(
    future: F,
    at: &'static Location<'static>,
) -> (Fresh<S>, Task<F::Output>) {
    // SAFETY: the same contract.
    let (fresh, header) = unsafe { raw::make(future, at) };
    let handle = Task {
        // SAFETY: T1 made the handle's reference.
        task: std::mem::ManuallyDrop::new(unsafe { Counted::from_raw(header) }),
        forwarding: None,
        _output: PhantomData,
    };
    (fresh, handle)
}

/// A spawned task: await it for its result, [`cancel`](Self::cancel) it, or drop it to let it run on by itself.
///
/// The result is `Err` if the task was cancelled or panicked. A panic that nobody awaits goes to the runtime's
/// unhandled-error handler; it is never lost.
///
/// # Cancel safety
///
/// Dropping a `Task` detaches it: the task runs on. Dropping the future that awaits `&mut task` loses nothing; await it
/// again.
///
/// # Panics
///
/// When awaited again after it has given its result, and when a task awaits itself.
///
/// # Examples
///
/// ```
/// # loxley_runtime::Runtime::new().unwrap().block_on(async {
/// let task = loxley_runtime::create_task(async { 6 * 7 });
/// assert_eq!(task.await.unwrap(), 42);
/// # });
/// ```
///
/// **Differs from asyncio**: a task is held until it ends, so one whose handle is gone never vanishes.
#[must_use = "dropping a task detaches it: it runs on, and its result is lost; write `drop(task)` if you mean it"]
#[doc(alias = "JoinHandle")]
#[doc(alias = "result")]
#[doc(alias = "exception")]
pub struct Task<T> {
    /// Dropped by hand: the handle's reference may go in the same step as its join bit.
    task: std::mem::ManuallyDrop<Counted>,
    /// While a task waits for this one and the scope of that has entered.
    forwarding: Option<Box<Forwarding>>,
    _output: PhantomData<fn() -> T>,
}

// SAFETY: a handle gives access to the `T` it takes, on whichever thread it is; all else is `Counted`.
unsafe impl<T: Send> Send for Task<T> {}
// SAFETY: a shared handle gives no access to the `T`.
unsafe impl<T: Send> Sync for Task<T> {}

// As `Counted`; and a result that is taken is moved out whole.
impl<T> UnwindSafe for Task<T> {}
impl<T> RefUnwindSafe for Task<T> {}

impl<T> Unpin for Task<T> {}

/// A task, without its output: ask it for its name, what it waits for, or tell it to stop.
///
/// Cheap to clone; two are equal if they mean the same task. Holding one keeps the task's memory alive, never its future or
/// its output.
///
/// # Examples
///
/// ```
/// # loxley_runtime::run(async {
/// let task = loxley_runtime::create_task(std::future::pending::<()>());
/// let seen = task.as_ref();
/// assert!(seen.cancel());
/// assert!(task.await.unwrap_err().is_cancelled());
/// assert!(seen.is_finished());
/// # });
/// ```
#[derive(Clone)]
#[doc(alias = "AbortHandle")]
pub struct TaskRef(Counted);

impl TaskRef {
    /// # Safety
    ///
    /// One reference passes from the caller to the new value.
    pub(super) unsafe fn from_raw(header: NonNull<Header>) -> Self {
        // SAFETY: the same contract.
        Self(unsafe { Counted::from_raw(header) })
    }

    /// Makes one more reference.
    ///
    /// # Safety
    ///
    /// Something must keep the task alive during the call.
    pub(super) unsafe fn retained(header: NonNull<Header>) -> Self {
        // SAFETY: alive by the contract.
        unsafe { header.as_ref() }.state.retain();
        // SAFETY: the reference just made passes on.
        unsafe { Self::from_raw(header) }
    }

    pub(super) fn header(&self) -> &Header {
        self.0.header()
    }

    pub(super) fn as_ptr(&self) -> NonNull<Header> {
        self.0.as_ptr()
    }

    /// The task's number.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{create_task, current_task};
    /// # loxley_runtime::run(async {
    /// let task = create_task(async { current_task().unwrap().id() });
    /// let seen = task.as_ref();
    /// assert_eq!(task.await.unwrap(), seen.id());
    /// # });
    /// ```
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.header().id
    }

    /// The task's name: the one it was given, else `Task-` and its number.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{create_task, task};
    /// # loxley_runtime::run(async {
    /// let named = task::Builder::new().name("importer").create_task(async {});
    /// assert_eq!(&*named.as_ref().name(), "importer");
    /// assert!(create_task(async {}).as_ref().name().starts_with("Task-"));
    /// # });
    /// ```
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        let given = self.header().cold.get();
        let given = given.and_then(|cold| cold.name.lock().clone());
        given.unwrap_or_else(|| format!("Task-{}", self.id()).into())
    }

    /// Gives the task another name.
    ///
    /// # Examples
    ///
    /// A task that finds out later what it is about:
    ///
    /// ```
    /// # use loxley_runtime::{create_task, current_task};
    /// # loxley_runtime::run(async {
    /// let task = create_task(async {
    ///     let me = current_task().unwrap();
    ///     me.set_name("serving 127.0.0.1:49152");
    ///     me.name()
    /// });
    /// assert_eq!(&*task.await.unwrap(), "serving 127.0.0.1:49152");
    /// # });
    /// ```
    pub fn set_name(&self, name: impl Into<Arc<str>>) {
        let name = name.into();
        let before = self.header().cold.made().name.lock().replace(name);
        drop(before);
    }

    /// The line that spawned the task.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::create_task;
    /// # loxley_runtime::run(async {
    /// let task = create_task(async {});
    /// let next_line = line!();
    /// assert_eq!(task.as_ref().spawned_at().line() + 1, next_line);
    /// # });
    /// ```
    #[must_use]
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.header().spawned_at
    }

    /// What the task said it waits for when it was last polled. A snapshot: it may have gone on since.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{create_task, sleep, yield_now};
    /// # use loxley_sync::ambient::WaitKind;
    /// # use std::time::Duration;
    /// # loxley_runtime::run(async {
    /// let task = create_task(sleep(Duration::from_secs(3_600)));
    /// let seen = task.as_ref();
    /// while seen.waiting_for().kind == WaitKind::Unknown {
    ///     yield_now().await; // It has not been polled yet.
    /// }
    /// assert_eq!(seen.waiting_for().kind, WaitKind::Timer);
    /// assert!(seen.waiting_for().at.is_some(), "the line of the `sleep`");
    /// # });
    /// ```
    #[must_use]
    #[doc(alias = "get_stack")]
    #[doc(alias = "print_stack")]
    pub fn waiting_for(&self) -> WaitReason {
        self.header().wait_reason()
    }

    /// What tells whether another task awaits this one.
    pub(crate) fn awaiter(&self) -> Option<AwaiterKey> {
        self.header().awaiter()
    }

    /// From now on a task group awaits this task, in the task of this number.
    pub(crate) fn mark_child_of(&self, parent: TaskId) {
        self.header().set_awaiter(Some(parent), Through::Group);
    }

    /// Whether the task has ended, in whichever way.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::create_task;
    /// # loxley_runtime::run(async {
    /// let task = create_task(async {});
    /// let seen = task.as_ref();
    /// task.await.unwrap();
    /// assert!(seen.is_finished());
    /// # });
    /// ```
    #[must_use]
    #[doc(alias = "done")]
    pub fn is_finished(&self) -> bool {
        self.header().state.load().is_complete()
    }

    /// Whether the task is being polled right now, or sits in a queue for it. A snapshot.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{create_task, current_task};
    /// # loxley_runtime::run(async {
    /// assert!(current_task().unwrap().is_runnable(), "it is being polled right now");
    /// let task = create_task(async {});
    /// let seen = task.as_ref();
    /// task.await.unwrap();
    /// assert!(!seen.is_runnable());
    /// # });
    /// ```
    #[must_use]
    pub fn is_runnable(&self) -> bool {
        let state = self.header().state.load();
        !state.is_complete() && (state.is_running() || state.is_scheduled())
    }
}

impl PartialEq for TaskRef {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for TaskRef {}

impl Hash for TaskRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskRef")
            .field("id", &self.id().get())
            .field("name", &self.name())
            .field("spawned_at", &format_args!("{}", self.spawned_at()))
            .field("finished", &self.is_finished())
            .finish()
    }
}

impl fmt::Display for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "task {:?} spawned at {}",
            &*self.name(),
            self.spawned_at()
        )
    }
}

impl<T> Task<T> {
    fn header(&self) -> &Header {
        self.task.header()
    }

    /// The same task without its output.
    ///
    /// # Examples
    ///
    /// To be asked about after the task was awaited, or from elsewhere:
    ///
    /// ```
    /// # use loxley_runtime::create_task;
    /// # loxley_runtime::run(async {
    /// let task = create_task(async { 7 });
    /// let seen = task.as_ref();
    /// assert_eq!(task.await.unwrap(), 7);
    /// assert!(seen.is_finished());
    /// # });
    /// ```
    #[must_use]
    pub fn as_ref(&self) -> TaskRef {
        TaskRef((*self.task).clone())
    }

    /// See [`TaskRef::id`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::create_task;
    /// # loxley_runtime::run(async {
    /// let (one, other) = (create_task(async {}), create_task(async {}));
    /// assert_ne!(one.id(), other.id());
    /// # });
    /// ```
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.header().id
    }

    /// See [`TaskRef::name`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::create_task;
    /// # loxley_runtime::run(async {
    /// let task = create_task(async {});
    /// assert!(task.name().starts_with("Task-"), "it was given none");
    /// # });
    /// ```
    #[must_use]
    #[doc(alias = "get_name")]
    pub fn name(&self) -> Arc<str> {
        self.as_ref().name()
    }

    /// See [`TaskRef::set_name`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::create_task;
    /// # loxley_runtime::run(async {
    /// let task = create_task(async {});
    /// task.set_name("warm-up");
    /// assert_eq!(&*task.name(), "warm-up");
    /// # });
    /// ```
    pub fn set_name(&self, name: impl Into<Arc<str>>) {
        self.as_ref().set_name(name);
    }

    /// See [`TaskRef::is_finished`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{create_task, yield_now};
    /// # loxley_runtime::run(async {
    /// let task = create_task(async { 7 });
    /// while !task.is_finished() {
    ///     yield_now().await;
    /// }
    /// assert_eq!(task.await.unwrap(), 7, "its result waits for whoever awaits it");
    /// # });
    /// ```
    #[must_use]
    #[doc(alias = "done")]
    pub fn is_finished(&self) -> bool {
        self.header().state.load().is_complete()
    }

    /// Asks the task to stop: its future is dropped at the next place it waits, and awaiting it gives
    /// [`TaskError::Cancelled`]. False if it had ended already.
    ///
    /// True does not promise that it ends cancelled: it may be about to return.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::create_task;
    /// # loxley_runtime::run(async {
    /// let task = create_task(std::future::pending::<()>());
    /// assert!(task.cancel());
    /// assert!(task.await.unwrap_err().is_cancelled());
    /// # });
    /// ```
    #[track_caller]
    #[doc(alias = "abort")]
    pub fn cancel(&self) -> bool {
        self.as_ref().cancel()
    }

    /// [`cancel`](Self::cancel) with a message for whoever awaits the task.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::create_task;
    /// # loxley_runtime::run(async {
    /// let task = create_task(std::future::pending::<()>());
    /// task.cancel_with("shutting down");
    /// assert!(task.await.unwrap_err().to_string().contains("shutting down"));
    /// # });
    /// ```
    #[track_caller]
    pub fn cancel_with(&self, message: impl Into<Arc<str>>) -> bool {
        self.as_ref().cancel_with(message)
    }

    /// See [`TaskRef::cancelling`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::create_task;
    /// # loxley_runtime::run(async {
    /// let task = create_task(async {});
    /// assert_eq!(task.cancelling(), 0, "nobody asked it to stop");
    /// # });
    /// ```
    #[must_use]
    pub fn cancelling(&self) -> usize {
        self.as_ref().cancelling()
    }

    /// See [`TaskRef::uncancel`].
    ///
    /// # Examples
    ///
    /// Taken back before the task has heard of it:
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, create_task};
    /// let runtime = Runtime::builder().current_thread().build()?;
    /// runtime.block_on(async {
    ///     let task = create_task(async { 7 });
    ///     task.cancel();
    ///     assert_eq!(task.uncancel(), 0);
    ///     assert_eq!(task.await.unwrap(), 7);
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn uncancel(&self) -> usize {
        self.as_ref().uncancel()
    }

    /// See [`TaskRef::is_cancelled`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::create_task;
    /// # loxley_runtime::run(async {
    /// let mut task = create_task(std::future::pending::<()>());
    /// assert!(!task.is_cancelled());
    /// task.cancel();
    /// let _ = (&mut task).await;
    /// assert!(task.is_cancelled());
    /// # });
    /// ```
    #[must_use]
    #[doc(alias = "cancelled")]
    pub fn is_cancelled(&self) -> bool {
        self.as_ref().is_cancelled()
    }

    /// The output, if the task is complete. The caller saw *complete*.
    fn take(&self) -> Result<T, TaskError> {
        let mut output = MaybeUninit::<Result<T, Failure>>::uninit();
        // SAFETY: the handle reads the vtable of a living task.
        let take_output = self.header().vtable.take_output;
        // SAFETY: complete and the join bit is ours, so the output is ours; the place is of the type the task was made with.
        unsafe { take_output(self.task.as_ptr(), output.as_mut_ptr().cast()) };
        // SAFETY: written by the call above, which does not return otherwise.
        unsafe { output.assume_init() }.map_err(|failure| self.error(failure))
    }

    /// Whether the task has ended; if not, `cx` is woken when it does. Unlike an await it takes nothing, spends no budget
    /// and passes no request on: for those who watch many tasks at once.
    pub(crate) fn poll_finished(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let state = &self.header().state;
        let seen = state.load();
        if seen.is_complete() || (seen.has_join_waker() && !state.clear_join()) {
            return Poll::Ready(());
        }
        assert!(
            !run::is_current(self.task.as_ptr()),
            "a task cannot await itself: the one spawned at {} would never end",
            self.header().spawned_at
        );
        // SAFETY: *join waker* is clear and only this handle sets it, so the slot is ours.
        let old = unsafe {
            self.header().with_joiner(|slot| match slot {
                Some(waker) if waker.will_wake(cx.waker()) => None,
                _ => slot.replace(cx.waker().clone()),
            })
        };
        let complete = !state.set_join();
        drop(old);
        if complete {
            return Poll::Ready(());
        }
        self.mark_awaited_here();
        ambient::wait_reason(WaitKind::Task, Some(self.header().spawned_at));
        Poll::Pending
    }

    /// From now on the task that is being polled on this thread awaits this one, for people to see.
    #[inline]
    pub(crate) fn mark_awaited_here(&self) {
        self.header()
            .set_awaiter(run::current_id(), Through::Handle);
    }

    /// Whether a finished task panicked, or gave a value of which `is_error` says so. It keeps its result.
    pub(crate) fn has_failed(&self, is_error: fn(&T) -> bool) -> bool {
        assert!(self.is_finished(), "only a finished task has a result");
        let peek_output = self.header().vtable.peek_output;
        // SAFETY: complete and the join bit is ours, so the output is ours.
        let output = unsafe { peek_output(self.task.as_ptr()) };
        // SAFETY: of the type the task was made with; nobody takes it while this handle is borrowed, for only the handle does.
        let output = unsafe { output.cast::<Result<T, Failure>>().as_ref() };
        output.is_some_and(|output| match output {
            Ok(value) => is_error(value),
            Err(Failure::Panicked(_)) => true,
            Err(Failure::Cancelled) => false,
        })
    }

    /// The result of a task that is known to be finished.
    pub(crate) fn into_result(self) -> Result<T, TaskError> {
        assert!(self.is_finished(), "only a finished task has a result");
        self.take()
    }

    #[cold]
    fn error(&self, failure: Failure) -> TaskError {
        match failure {
            Failure::Panicked(panic) => TaskError::Panicked(*panic),
            Failure::Cancelled => TaskError::Cancelled(self.as_ref().cancelled_error()),
        }
    }
}

/// The scope of an await: requests to the awaiter go to the awaited task.
struct Forwarding {
    scope: Scope,
    heard: PassedOn,
}

impl<T> Future for Task<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.forwarding.is_none() && scope::may_wait_outside(cx) {
            return this.poll_outside(cx);
        }
        std::task::ready!(ambient::poll_budget(cx));
        if this.forwarding.is_none() && !scope::is_entering() {
            if this.is_finished() {
                return Poll::Ready(this.take());
            }
            if !scope::is_in_task() {
                return this.poll_outcome(cx);
            }
        }
        this.poll_forwarding(cx)
    }
}

impl<T> Task<T> {
    /// Waits in a scope that passes requests on. If the awaited task ends cancelled for it, so does the code that awaits.
    fn poll_forwarding(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, TaskError>> {
        let mut forwarding = self.forwarding.take().unwrap_or_else(|| {
            let has_waited = self.header().state.load().has_join_waker();
            Box::new(Forwarding {
                scope: if has_waited {
                    Scope::waiting(Kind::Forward)
                } else {
                    Scope::new(Kind::Forward)
                },
                heard: PassedOn::default(),
            })
        });
        loop {
            let verdict = forwarding.scope.poll_in(cx, |cx| self.poll_outcome(cx));
            match verdict {
                Poll::Pending => {
                    self.forwarding = Some(forwarding);
                    return Poll::Pending;
                }
                Poll::Ready(Verdict::Done(Err(TaskError::Cancelled(error))))
                    if forwarding.heard.first().is_some() =>
                {
                    forwarding.scope.raise_from(error, cx);
                    return Poll::Pending;
                }
                Poll::Ready(Verdict::Done(result)) => return Poll::Ready(result),
                Poll::Ready(Verdict::Cancelled(error)) => {
                    match forwarding.heard.hear(error) {
                        Ok(error) if self.as_ref().forward(&error) => {}
                        // It has ended, and what it left is given up, as the request came first; or it awaits us.
                        Ok(error) | Err(error) => {
                            forwarding.scope.raise(error, cx);
                            return Poll::Pending;
                        }
                    }
                }
            }
        }
    }

    /// Waits without a scope, which is made when a request comes.
    #[inline]
    fn poll_outside(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, TaskError>> {
        if ambient::poll_budget(cx).is_ready() {
            if let Poll::Ready(result) = self.poll_outcome(cx) {
                return Poll::Ready(result);
            }
        }
        scope::wait_outside();
        Poll::Pending
    }

    fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, TaskError>> {
        std::task::ready!(self.poll_finished(cx));
        Poll::Ready(self.take())
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        let header = self.task.as_ptr();
        if !self.is_finished() {
            self.header().forget_awaiter();
        }
        match self.header().state.drop_join() {
            DropJoin::Done => return,
            DropJoin::DropWaker => {
                // SAFETY: the edge cleared *join waker* before T9, so the slot is ours.
                drop(unsafe { self.header().with_joiner(Option::take) });
            }
            DropJoin::DropOutput => {
                // Often taken already, by the await that ended.
                // SAFETY: the vtable of a living task.
                let drop_output = self.header().vtable.drop_output;
                // SAFETY: complete, and the join bit was ours: so is the output.
                unsafe { drop_output(header) };
            }
        }
        // SAFETY: in both cases the edge left the handle's reference to be given up here.
        unsafe { raw::release(header) };
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Task").field(&self.as_ref()).finish()
    }
}
