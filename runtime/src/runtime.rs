//! The runtime as user code holds it: [`Runtime`] owns the threads, [`Handle`] reaches them from anywhere.

use crate::blocking::StuckThread;
use crate::builder::Builder;
use crate::current;
use crate::metrics::Metrics;
use crate::scheduler::{self, Shared};
use crate::spawn::{NO_RUNTIME, create_in};
use crate::task::{Task, TaskError, TaskRef, UnhandledError};
use loxley_sync::prim::thread::{self, JoinHandle};
use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

/// How long a runtime that is dropped waits for polls and blocking jobs that do not end, before it reports and leaves them.
const DROP_GRACE: Duration = Duration::from_secs(10);

/// Runs `main` on a fresh runtime with one worker per core, and returns its output.
///
/// `main` need not be `Send`: it is polled on the calling thread, as a task like any other. Whatever it spawned and did not
/// wait for is cancelled when it ends, and has ten seconds to clean up.
///
/// The first Ctrl-C cancels `main`, whose clean-up runs; if it then ends cancelled, the process ends by SIGINT, so that a
/// shell sees it. The second Ctrl-C kills at once. A program that listens to SIGINT itself decides for itself, and one that was
/// started with SIGINT ignored, as by a shell's `&`, ignores it.
///
/// # Panics
///
/// Inside a runtime; if the operating system refuses threads or descriptors; and with `main`'s own panic.
///
/// # Examples
///
/// ```
/// let answer = loxley_runtime::run(async { 6 * 7 });
/// assert_eq!(answer, 42);
/// ```
#[track_caller]
#[doc(alias = "run_forever")]
pub fn run<F: Future>(main: F) -> F::Output {
    refuse_nesting("run");
    Runtime::builder().run(main)
}

/// An engine: worker threads, driver, timers and blocking pool.
///
/// Dropped, it drops every future it still holds, each once and on one of its own threads (the one-thread flavour: on
/// the thread that drops it, or on a fresh one if that polls tasks), and waits up to ten seconds for polls and blocking
/// jobs that do not end; those go to the unhandled-error handler. [`shutdown_timeout`](Self::shutdown_timeout) gives
/// the report as a value. Dropped on a thread that polls tasks, it does not wait.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let runtime = loxley_runtime::Runtime::new()?;
/// runtime.block_on(async { loxley_runtime::create_task(std::future::pending::<()>()) });
/// let report = runtime.shutdown_timeout(Duration::from_secs(5));
/// assert!(report.is_clean(), "{report}");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Two runtimes in one process share no tasks, threads, timers or limits.
///
/// A process that was forked without becoming another program has none of the runtime's threads: there, `block_on` panics and
/// the drop leaves everything as it is.
#[doc(alias = "EventLoop")]
#[doc(alias = "SelectorEventLoop")]
#[doc(alias = "AbstractEventLoop")]
#[doc(alias = "BaseEventLoop")]
pub struct Runtime {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    finished: bool,
    /// The process that the threads are in.
    process: u32,
}

// As `Shared`; of its threads there are only handles here.
impl UnwindSafe for Runtime {}
impl RefUnwindSafe for Runtime {}

impl Runtime {
    /// A runtime with one worker per core.
    ///
    /// # Errors
    ///
    /// If the operating system refuses a thread or a descriptor.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::Runtime;
    /// let runtime = Runtime::new()?;
    /// assert_eq!(runtime.block_on(async { "from plain code" }), "from plain code");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "new_event_loop")]
    pub fn new() -> io::Result<Self> {
        Self::builder().build()
    }

    /// Every knob there is.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::Runtime;
    /// let small = Runtime::builder().worker_threads(1).max_blocking_threads(1).build()?;
    /// assert_eq!(small.block_on(async { 7 }), 7);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn from_parts(shared: Arc<Shared>, threads: Vec<JoinHandle<()>>) -> Self {
        Self {
            shared,
            threads,
            finished: false,
            process: std::process::id(),
        }
    }

    /// A handle that any thread may keep.
    ///
    /// # Examples
    ///
    /// Plain threads put work in without keeping the runtime alive:
    ///
    /// ```
    /// # use loxley_runtime::Runtime;
    /// let runtime = Runtime::new()?;
    /// let handle = runtime.handle();
    /// drop(runtime);
    /// let too_late = handle.create_task(async {});
    /// assert!(loxley_sync::wait::block_on(too_late).unwrap_err().is_cancelled());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(self.shared.clone())
    }

    /// Polls `future` on this thread until it is done, while the workers run everything else. On the one-thread flavour
    /// everything runs here, and a second `block_on` on another thread waits for the first.
    ///
    /// The future need not be `Send`. It is a task like any other: [`current_task`](crate::current_task) works in it.
    ///
    /// # Panics
    ///
    /// On a thread that polls tasks (await the future there instead), with the future's own panic, if the future's
    /// task is cancelled, and in a process forked from the one that started the runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = loxley_runtime::Runtime::builder().worker_threads(2).build()?;
    /// assert_eq!(runtime.block_on(async { 1 + 1 }), 2);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    #[doc(alias = "run_until_complete")]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        refuse_nesting("block_on");
        self.refuse_fork();
        match scheduler::block_on(&self.shared, future, Location::caller()) {
            Ok(output) => output,
            Err(TaskError::Panicked(panic)) => panic.resume(),
            Err(TaskError::Cancelled(error)) => {
                panic!("the future given to `block_on` was {error}")
            }
        }
    }

    /// [`block_on`](Self::block_on) without its panics.
    pub(crate) fn block_on_at<F: Future>(
        &self,
        future: F,
        at: &'static Location<'static>,
    ) -> Result<F::Output, TaskError> {
        self.refuse_fork();
        scheduler::block_on(&self.shared, future, at)
    }

    /// Whether this is a fork of the process that the threads are in.
    fn is_fork(&self) -> bool {
        self.process != std::process::id()
    }

    #[track_caller]
    fn refuse_fork(&self) {
        assert!(
            !self.is_fork(),
            "this process was forked from the one that started the runtime and has none of its threads: make a new `Runtime` here"
        );
    }

    /// Makes this the current runtime of the thread; see [`Handle::enter`].
    ///
    /// # Examples
    ///
    /// What needs a runtime at hand works while the guard lives:
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, create_task};
    /// let runtime = Runtime::new()?;
    /// let task = {
    ///     let _current = runtime.enter();
    ///     create_task(async { 7 })
    /// };
    /// assert_eq!(runtime.block_on(task).unwrap(), 7);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn enter(&self) -> EnterGuard<'_> {
        EnterGuard::new(&self.shared)
    }

    /// Stops: drops every task, waits for the workers and the blocking pool at most `limit`, and says what is left.
    ///
    /// Tasks are not polled again: their futures are dropped where they wait. What cannot be stopped is a poll that does
    /// not return and a blocking job that has begun.
    ///
    /// # Panics
    ///
    /// On a thread that polls tasks of any runtime: it would wait for itself.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::Runtime;
    /// # use std::time::Duration;
    /// let runtime = Runtime::new()?;
    /// let waits = runtime.handle().create_task(std::future::pending::<()>());
    /// let report = runtime.shutdown_timeout(Duration::from_secs(5));
    /// assert!(report.is_clean(), "who waits is dropped where it waits: {report}");
    /// assert!(waits.is_cancelled());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    #[doc(alias = "shutdown_default_executor")]
    pub fn shutdown_timeout(mut self, limit: Duration) -> ShutdownReport {
        assert!(
            !current::polls(),
            "`shutdown_timeout` would block a thread that polls tasks; use `shutdown_background`, or call it outside"
        );
        self.stop(Some(limit))
    }

    /// Stops without waiting for anything.
    ///
    /// # Examples
    ///
    /// From where waiting is out of the question:
    ///
    /// ```
    /// # use loxley_runtime::Runtime;
    /// let (tell, told) = std::sync::mpsc::channel::<()>();
    /// let runtime = Runtime::new()?;
    /// runtime.handle().create_task(async move {
    ///     std::future::pending::<()>().await;
    ///     drop(tell);
    /// });
    /// runtime.shutdown_background();
    /// assert!(told.recv().is_err(), "the task is dropped, if not at once");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn shutdown_background(mut self) {
        self.finished = true;
        self.begin();
    }

    fn begin(&self) {
        if self.abandon_in_fork() {
            return;
        }
        self.shared.begin_shutdown();
        if !self.shared.is_fifo() {
            return;
        }
        if current::polls() {
            // Its tasks are dropped on a thread that is free; without one here, a new one does it.
            let shared = self.shared.clone();
            let body = move || shared.drain_fifo();
            let name = "loxley-shutdown".to_owned();
            if thread::spawn_named(name, None, body).is_ok() {
                return;
            }
            // The system gives no thread. Between two lines of another runtime's poll is no good place, but a wake-up of a
            // task that is left behind would reach for a runtime that has gone. This thread polls another one: whoever
            // polls this one has borrowed it.
        }
        self.shared.drain_fifo();
    }

    /// In a fork there is nobody to wait for, and a thread that is not here may hold any lock: nothing is touched or dropped.
    fn abandon_in_fork(&self) -> bool {
        let is_fork = self.is_fork();
        if is_fork {
            let _ = ManuallyDrop::new(self.shared.clone());
        }
        is_fork
    }

    fn stop(&mut self, limit: Option<Duration>) -> ShutdownReport {
        self.finished = true;
        if self.abandon_in_fork() {
            return ShutdownReport::default();
        }
        self.begin();
        let left = self.shared.join(limit);
        if left.workers == 0 {
            for thread in self.threads.drain(..) {
                // A worker only panics if the runtime is wrong, and the panic hook has said so.
                let _ = thread.join();
            }
        }
        ShutdownReport {
            tasks: left.tasks,
            threads: left.threads,
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        if current::polls() {
            self.begin();
            return;
        }
        let report = self.stop(Some(DROP_GRACE));
        if !report.is_clean() {
            let error = UnhandledError::other(report.to_string());
            self.shared.reporter().report(&error);
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

/// What was still there when a runtime had to stop waiting.
///
/// Its `Display` names every task with its spawn site and every thread.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let runtime = loxley_runtime::Runtime::new()?;
/// let report = runtime.shutdown_timeout(Duration::from_secs(1));
/// assert!(report.is_clean(), "{report}");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "it says what did not stop"]
pub struct ShutdownReport {
    tasks: Vec<TaskRef>,
    threads: Vec<StuckThread>,
}

impl ShutdownReport {
    /// The same, with tasks that had to be dropped.
    pub(crate) fn naming(mut self, dropped: Vec<TaskRef>) -> Self {
        let unknown = dropped
            .into_iter()
            .filter(|task| !self.tasks.contains(task));
        let unknown: Vec<_> = unknown.collect();
        self.tasks.extend(unknown);
        self
    }

    /// Whether everything stopped.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::Runtime;
    /// # use std::time::Duration;
    /// let report = Runtime::new()?.shutdown_timeout(Duration::from_secs(5));
    /// if !report.is_clean() {
    ///     eprintln!("{report}"); // Names what did not stop, and where it was started.
    /// }
    /// # assert!(report.is_clean());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.tasks.is_empty() && self.threads.is_empty()
    }

    /// The tasks that did not stop: one of them is in a poll that does not return; or a [`Runner`](crate::Runner) that ended
    /// has asked them in vain, and dropped them.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::Runtime;
    /// # use std::time::Duration;
    /// let runtime = Runtime::new()?;
    /// runtime.handle().create_task(std::future::pending::<()>());
    /// let report = runtime.shutdown_timeout(Duration::from_secs(5));
    /// assert!(report.tasks().is_empty(), "none is stuck in a poll");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn tasks(&self) -> &[TaskRef] {
        &self.tasks
    }

    /// The blocking jobs that did not end, one line each: the thread, the line that submitted the job, how long it runs.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, to_thread};
    /// # use std::sync::mpsc::channel;
    /// # use std::time::Duration;
    /// let (release, released) = channel::<()>();
    /// let (tell, told) = channel();
    /// let runtime = Runtime::new()?;
    /// runtime.handle().create_task(to_thread(move || {
    ///     tell.send(()).unwrap();
    ///     let _ = released.recv(); // Blocks, and nobody can stop that.
    /// }));
    /// told.recv().unwrap();
    /// let report = runtime.shutdown_timeout(Duration::from_millis(10));
    /// assert_eq!(report.threads().len(), 1, "{report}");
    /// # drop(release);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn threads(&self) -> Vec<String> {
        self.threads.iter().map(describe).collect()
    }
}

/// One line about a blocking job that does not end.
fn describe(thread: &StuckThread) -> String {
    let mut text = format!("thread {:?}", thread.name);
    if let Some(at) = thread.submitted_at {
        text.push_str(&format!(", in a job submitted at {at}"));
    }
    text.push_str(&format!(", running for {:.1?}", thread.running_for));
    text
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            return f.write_str("everything stopped");
        }
        f.write_str("the runtime did not stop in time:")?;
        for task in &self.tasks {
            let state = if task.is_runnable() {
                "running"
            } else {
                "waiting"
            };
            write!(f, "\n  {task}, {state}")?;
        }
        for thread in &self.threads {
            write!(f, "\n  {}", describe(thread))?;
        }
        Ok(())
    }
}

/// A runtime, from anywhere: cheap to clone, usable on every thread, and no reason for the runtime to live on.
///
/// After the runtime has gone, tasks created through a handle end at once as cancelled.
///
/// # Examples
///
/// ```
/// let runtime = loxley_runtime::Runtime::new()?;
/// let handle = runtime.handle();
/// let task = std::thread::spawn(move || handle.create_task(async { 6 * 7 })).join().unwrap();
/// assert_eq!(runtime.block_on(task).unwrap(), 42);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
#[doc(alias = "get_running_loop")]
#[doc(alias = "get_event_loop")]
pub struct Handle(Arc<Shared>);

impl Handle {
    /// The current runtime of this thread.
    ///
    /// # Panics
    ///
    /// Outside a runtime, at the caller's line.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{Handle, create_task};
    /// # loxley_runtime::run(async {
    /// let handle = Handle::current();
    /// let thread = std::thread::spawn(move || handle.create_task(async { 7 }));
    /// assert_eq!(thread.join().unwrap().await.unwrap(), 7);
    /// # });
    /// ```
    #[must_use]
    #[track_caller]
    pub fn current() -> Self {
        match Self::try_current() {
            Ok(handle) => handle,
            Err(error) => panic!("{error}"),
        }
    }

    /// The current runtime of this thread.
    ///
    /// # Errors
    ///
    /// Outside a runtime.
    ///
    /// # Examples
    ///
    /// A library that may be called from anywhere:
    ///
    /// ```
    /// # use loxley_runtime::Handle;
    /// fn where_am_i() -> &'static str {
    ///     if Handle::try_current().is_ok() { "in a runtime" } else { "outside" }
    /// }
    /// assert_eq!(where_am_i(), "outside");
    /// assert_eq!(loxley_runtime::run(async { where_am_i() }), "in a runtime");
    /// ```
    #[doc(alias = "_get_running_loop")]
    pub fn try_current() -> Result<Self, NotInRuntime> {
        current::with_shared(|shared| Self(shared.clone())).ok_or(NotInRuntime(()))
    }

    /// Starts `future` as a task of this runtime, from any thread.
    ///
    /// # Examples
    ///
    /// From a thread that has nothing to do with it:
    ///
    /// ```
    /// # use loxley_runtime::Runtime;
    /// let runtime = Runtime::new()?;
    /// let handle = runtime.handle();
    /// let (tell, told) = std::sync::mpsc::channel();
    /// std::thread::spawn(move || handle.create_task(async move { tell.send(7) }));
    /// assert_eq!(told.recv(), Ok(7));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    #[doc(alias = "spawn")]
    #[doc(alias = "call_soon_threadsafe")]
    pub fn create_task<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        create_in(&self.0, future, Location::caller())
    }

    /// Makes this the current runtime of the thread until the guard is dropped, so that
    /// [`create_task`](crate::create_task) and everything that needs a runtime works outside `block_on`. Guards may be
    /// dropped in any order: the newest of those that are left counts.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{Handle, Runtime};
    /// let runtime = Runtime::new()?;
    /// let handle = runtime.handle();
    /// std::thread::spawn(move || {
    ///     let _current = handle.enter();
    ///     assert!(Handle::try_current().is_ok());
    /// }).join().unwrap();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "set_event_loop")]
    #[doc(alias = "_set_running_loop")]
    pub fn enter(&self) -> EnterGuard<'_> {
        EnterGuard::new(&self.0)
    }

    /// Numbers, as they stand.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::Runtime;
    /// let runtime = Runtime::builder().worker_threads(2).build()?;
    /// let task = runtime.handle().create_task(std::future::pending::<()>());
    /// let metrics = runtime.handle().metrics();
    /// assert_eq!((metrics.live_tasks, metrics.workers.len()), (1, 2));
    /// # drop(task);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.0.metrics()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// Every task of this runtime that has not ended.
    ///
    /// # Examples
    ///
    /// A watchdog that says what everybody waits for:
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, task};
    /// let runtime = Runtime::new()?;
    /// let _current = runtime.enter();
    /// let _task = task::Builder::new().name("importer").create_task(std::future::pending::<()>());
    /// let names: Vec<_> = runtime.handle().all_tasks().iter().map(|task| task.name()).collect();
    /// assert_eq!(*names[0], *"importer");
    /// # drop(_current);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn all_tasks(&self) -> Vec<TaskRef> {
        self.0.tasks()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.0).finish()
    }
}

/// There is no current runtime on this thread.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{Handle, NotInRuntime};
///
/// fn handle() -> Result<Handle, NotInRuntime> {
///     Handle::try_current()
/// }
/// assert!(handle().is_err());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct NotInRuntime(());

impl fmt::Display for NotInRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NO_RUNTIME)
    }
}

impl std::error::Error for NotInRuntime {}

/// While it lives, its runtime is the current one of this thread.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{Handle, Runtime};
///
/// let runtime = Runtime::new()?;
/// let guard = runtime.enter();
/// assert!(Handle::try_current().is_ok());
/// drop(guard);
/// assert!(Handle::try_current().is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the runtime is current only while the guard lives"]
pub struct EnterGuard<'a> {
    _outer: current::Outer,
    /// Bound to the runtime's life, and to this thread.
    _handle: PhantomData<(&'a Shared, *const ())>,
}

impl EnterGuard<'_> {
    fn new(shared: &Arc<Shared>) -> Self {
        let shard = shared.timers().foreign_shard();
        Self {
            _outer: current::enter(shared.clone(), shard),
            _handle: PhantomData,
        }
    }
}

#[track_caller]
pub(crate) fn refuse_nesting(what: &str) {
    assert!(
        !current::polls(),
        "`{what}` would block a thread that polls tasks: await the future instead, start it with `create_task`, or move \
         the call to `to_thread`"
    );
}
