//! Between tasks and plain threads: a closure that blocks, awaited by a task; a task, waited for by a thread.
//!
//! Both directions stand on what others own: [`to_thread`] on the blocking pool, [`ConcurrentFuture`] on a task's handle and
//! the waker that its completion calls. Nothing here runs a closure or polls a future itself.

use std::fmt;
use std::future::{Future, pending};
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use loxley_sync::CancelledError;
use loxley_sync::ambient;
use loxley_sync::prim::lock::{Condvar, Mutex};

use crate::blocking::JobError;
use crate::clock::real_now;
use crate::current;
use crate::payload::contain;
use crate::runtime::Handle;
use crate::scheduler::Shared as Runtime;
use crate::task::{Panic, Task, TaskError, TaskRef};

/// Runs `f` on a thread that may block, and gives its result.
///
/// Workers poll many tasks each, so nothing in a task may wait in the kernel or compute for long. This is the way out: the
/// closure gets a thread of the runtime's pool, of which there are at most `max_blocking_threads` (512 by default). When all
/// are busy it waits its turn, first come first served; the waiting line has no limit. Inside the closure the free functions
/// of the runtime work, and blocking on them is allowed; it sees a copy of the task's context variables.
///
/// Nothing happens before the future is polled.
///
/// # Panics
///
/// The future panics where it is awaited
///
/// - with the closure's own panic, if that panicked;
/// - if it is first polled outside every runtime, or, in code that is no task, after that runtime's shutdown has begun;
/// - if the pool has no thread and the system will not give it one.
///
/// # Cancel safety
///
/// Dropped before the closure has started, the closure never runs and is dropped with the future. Dropped later, it returns
/// at once, while the closure runs to its end unobserved: a thread cannot be stopped.
///
/// # Examples
///
/// ```
/// # loxley_runtime::Runtime::new().unwrap().block_on(async {
/// let sum = loxley_runtime::to_thread(|| (1..=1_000_u64).sum::<u64>()).await;
/// assert_eq!(sum, 500_500);
/// # });
/// ```
///
/// In a task of a runtime that shuts down, a closure that has not begun is dropped, and this waits until the task is, too.
///
/// **Differs from asyncio**: after shutdown this panics, as there is no exception to raise.
#[track_caller]
#[doc(alias = "spawn_blocking")]
#[doc(alias = "run_in_executor")]
pub fn to_thread<F, T>(f: F) -> impl Future<Output = T> + Send
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let at = Location::caller();
    async move {
        let pool = current::with_shared(|shared| shared.pool().clone());
        let Some(pool) = pool else {
            panic!(
                "to_thread at {at} is awaited outside every runtime: await it in a task, or inside `run`"
            );
        };
        let context = ambient::inherit_context();
        let f = move || match context {
            Some(context) => context.run(f),
            None => f(),
        };
        match pool.submit_at(f, at).await {
            Ok(value) => value,
            Err(JobError::Panicked(payload)) => resume_unwind(payload),
            Err(JobError::ShutDown) if ends_with_its_task() => pending().await,
            Err(JobError::ShutDown) => {
                panic!("to_thread at {at} came too late: its runtime has begun to shut down")
            }
            Err(JobError::NoThread(kind)) => {
                panic!(
                    "to_thread at {at} got no thread ({kind}): raise the process's limits, or use fewer threads"
                )
            }
        }
    }
}

/// Whether a task polls this whose runtime shuts down: it is asked to stop, if it was not yet, and nothing in it holds that up.
/// The current runtime may be another one than the task's, by a guard of [`Handle::enter`]: its end is none for the task.
fn ends_with_its_task() -> bool {
    let is_ending = |shared: &Arc<Runtime>| current::polls_for(shared) && shared.is_shutting_down();
    ambient::scope::is_in_task() && current::with_shared(is_ending) == Some(true)
}

/// Runs `future` as a task of the runtime behind `handle`, for a thread that is not part of any runtime.
///
/// This is the door for threads that want to *block* until the result is there. A task is created from any thread by
/// `handle.create_task(…)` as well; that handle is for awaiting.
///
/// # Examples
///
/// ```
/// # let runtime = loxley_runtime::Runtime::new().unwrap();
/// # let handle = runtime.handle();
/// let thread = std::thread::spawn(move || {
///     loxley_runtime::run_coroutine_threadsafe(async { 6 * 7 }, &handle).result(None)
/// });
/// assert_eq!(thread.join().unwrap().unwrap(), 42);
/// ```
#[track_caller]
pub fn run_coroutine_threadsafe<F>(future: F, handle: &Handle) -> ConcurrentFuture<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    ConcurrentFuture::new(handle.create_task(future))
}

/// A task as a plain thread sees it: [`result`](Self::result) blocks until it ends.
///
/// Dropping it detaches the task. Done callbacks that were added still run.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let runtime = loxley_runtime::Runtime::new()?;
/// let forever = std::future::pending::<()>();
/// let mut future = loxley_runtime::run_coroutine_threadsafe(forever, &runtime.handle());
/// assert!(future.result(Some(Duration::from_millis(1))).is_err());
/// assert!(future.cancel());
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "dropping it detaches the task: it runs on, and its result is lost"]
pub struct ConcurrentFuture<T: Send + 'static> {
    shared: Arc<Shared<T>>,
}

/// Why there is no result.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{WaitError, run_coroutine_threadsafe};
/// use std::time::Duration;
///
/// let runtime = loxley_runtime::Runtime::new()?;
/// let mut future = run_coroutine_threadsafe(std::future::pending::<()>(), &runtime.handle());
/// let limit = Some(Duration::from_millis(1));
/// assert!(matches!(future.result(limit), Err(WaitError::TimedOut)));
/// future.cancel();
/// assert!(matches!(future.result(None), Err(WaitError::Cancelled(_))));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum WaitError {
    /// The task has not ended yet; ask again.
    TimedOut,
    /// The task was cancelled.
    Cancelled(CancelledError),
    /// The task panicked.
    Panicked(Panic),
}

type Callback = Box<dyn FnOnce(&TaskRef) + Send>;

struct Shared<T> {
    task: TaskRef,
    state: Mutex<State<T>>,
    /// Notified when the task has ended.
    ended: Condvar,
}

struct State<T> {
    /// The handle, while the result has not been taken. It is out of its place while it is polled.
    handle: Option<Task<T>>,
    /// The result, if it was there when the handle was polled.
    result: Option<Result<T, TaskError>>,
    callbacks: Vec<Callback>,
    has_ended: bool,
    /// Nobody will ask for the result any more.
    is_abandoned: bool,
}

impl<T: Send + 'static> ConcurrentFuture<T> {
    fn new(task: Task<T>) -> Self {
        let shared = Arc::new(Shared {
            task: task.as_ref(),
            state: Mutex::new(State {
                handle: None,
                result: None,
                callbacks: Vec::new(),
                has_ended: false,
                is_abandoned: false,
            }),
            ended: Condvar::new(),
        });
        shared.poll(task);
        Self { shared }
    }

    /// Waits until the task has ended, at most `limit` of real time, and gives its result.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`], after which it may be asked again; [`WaitError::Cancelled`] and [`WaitError::Panicked`] when
    /// the task ended so. A task that is dropped by its runtime's shutdown ended cancelled.
    ///
    /// # Panics
    ///
    /// On a thread that polls tasks, which it would block: create a task there, and await it. And when the result was taken
    /// already.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, run_coroutine_threadsafe};
    /// # use std::time::Duration;
    /// let runtime = Runtime::new()?;
    /// let mut answer = run_coroutine_threadsafe(async { 6 * 7 }, &runtime.handle());
    /// assert_eq!(answer.result(Some(Duration::from_secs(5))).unwrap(), 42);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn result(&mut self, limit: Option<Duration>) -> Result<T, WaitError> {
        assert!(
            !current::polls(),
            "`result` would block a thread that polls tasks: use `create_task` and await the task instead"
        );
        let deadline = limit.and_then(|limit| real_now().checked_add(limit));
        let mut state = self.shared.state.lock();
        while !state.has_ended {
            let Some(deadline) = deadline else {
                state = self.shared.ended.wait(state);
                continue;
            };
            let left = deadline.saturating_duration_since(real_now());
            if left.is_zero() {
                return Err(WaitError::TimedOut);
            }
            state = self.shared.ended.wait_for(state, left).0;
        }
        let handle = state.handle.take();
        drop(state);
        if let Some(handle) = handle {
            self.shared.poll(handle);
        }
        let result = self.shared.state.lock().result.take();
        match result.expect("the result was taken already; `result` gives it once") {
            Ok(value) => Ok(value),
            Err(TaskError::Cancelled(error)) => Err(WaitError::Cancelled(error)),
            Err(TaskError::Panicked(panic)) => Err(WaitError::Panicked(panic)),
        }
    }

    /// Whether the task has ended, in whichever way.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, run_coroutine_threadsafe};
    /// let runtime = Runtime::new()?;
    /// let mut answer = run_coroutine_threadsafe(std::future::pending::<()>(), &runtime.handle());
    /// assert!(!answer.done());
    /// answer.cancel();
    /// assert!(answer.result(None).is_err());
    /// assert!(answer.done());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn done(&self) -> bool {
        self.shared.task.is_finished()
    }

    /// Asks the task to stop. False if it had ended already.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, WaitError, run_coroutine_threadsafe};
    /// let runtime = Runtime::new()?;
    /// let mut search = run_coroutine_threadsafe(std::future::pending::<()>(), &runtime.handle());
    /// assert!(search.cancel());
    /// assert!(matches!(search.result(None), Err(WaitError::Cancelled(_))));
    /// assert!(!search.cancel(), "it has ended");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn cancel(&self) -> bool {
        self.shared.task.cancel()
    }

    /// Calls `f` once the task has ended: on the thread that ended it, or here and now if it has ended already. A panic of
    /// `f` goes to the panic hook and no further.
    ///
    /// **Differs from asyncio**: the callback gets the task, not the future; take the result with
    /// [`result`](Self::result).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, run_coroutine_threadsafe};
    /// # use std::sync::mpsc::channel;
    /// let runtime = Runtime::new()?;
    /// let (tell, told) = channel();
    /// let answer = run_coroutine_threadsafe(async { 7 }, &runtime.handle());
    /// answer.add_done_callback(move |task| tell.send(task.is_finished()).unwrap());
    /// assert_eq!(told.recv(), Ok(true)); // This thread may do something else meanwhile.
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn add_done_callback(&self, f: impl FnOnce(&TaskRef) + Send + 'static) {
        let mut state = self.shared.state.lock();
        if !state.has_ended {
            state.callbacks.push(Box::new(f));
            return;
        }
        drop(state);
        call(Box::new(f), &self.shared.task);
    }

    /// The task, to look at it or cancel it from elsewhere.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, run_coroutine_threadsafe};
    /// let runtime = Runtime::new()?;
    /// let mut future = run_coroutine_threadsafe(std::future::pending::<()>(), &runtime.handle());
    /// let task = future.task();
    /// std::thread::spawn(move || task.cancel()).join().unwrap();
    /// assert!(future.result(None).is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn task(&self) -> TaskRef {
        self.shared.task.clone()
    }
}

impl<T: Send + 'static> Shared<T> {
    /// Registers for the end of the task, or takes its result. No lock is held meanwhile.
    fn poll(self: &Arc<Self>, mut task: Task<T>) {
        let waker = Waker::from(self.clone());
        // A task may call this with its own budget spent; a refusal for that reason would not come back here.
        let outer = ambient::enter();
        let poll = Pin::new(&mut task).poll(&mut Context::from_waker(&waker));
        ambient::leave(outer);
        match poll {
            Poll::Ready(result) => {
                drop(task);
                self.state.lock().result = Some(result);
                self.end();
            }
            Poll::Pending => {
                let mut state = self.state.lock();
                // Ended and abandoned while the handle was out: then nobody else lets go of it.
                if state.is_abandoned && state.has_ended {
                    drop(state);
                    drop(task);
                } else {
                    state.handle = Some(task);
                }
            }
        }
    }

    /// Tells whoever waits. May be called more than once.
    fn end(&self) {
        let mut state = self.state.lock();
        state.has_ended = true;
        let callbacks = std::mem::take(&mut state.callbacks);
        let unwanted = state
            .is_abandoned
            .then(|| (state.handle.take(), state.result.take()));
        drop(state);
        self.ended.notify_all();
        for callback in callbacks {
            call(callback, &self.task);
        }
        drop(unwanted);
    }
}

/// Runs a user's callback. The panic hook has reported what it catches.
fn call(callback: Callback, task: &TaskRef) {
    contain(|| callback(task));
}

/// The task calls this when it ends. Any other call is none of its, and ignored.
impl<T: Send + 'static> Wake for Shared<T> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.task.is_finished() {
            self.end();
        }
    }
}

impl<T: Send + 'static> Drop for ConcurrentFuture<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.is_abandoned = true;
        // With callbacks to come the handle stays, and with it the waker that brings them.
        let keep = !state.has_ended && !state.callbacks.is_empty();
        let unwanted = (!keep).then(|| (state.handle.take(), state.result.take()));
        drop(state);
        drop(unwanted);
    }
}

impl<T: Send + 'static> fmt::Debug for ConcurrentFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConcurrentFuture")
            .field(&self.shared.task)
            .finish()
    }
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("the task has not ended in time"),
            Self::Cancelled(error) => write!(f, "task {error}"),
            Self::Panicked(panic) => write!(f, "task panicked: {}", panic.message()),
        }
    }
}

impl std::error::Error for WaitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Cancelled(error) => Some(error),
            Self::TimedOut | Self::Panicked(_) => None,
        }
    }
}
