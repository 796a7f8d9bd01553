//! Running a program: [`Runner`] owns a runtime, one context of variables, and what Ctrl-C means.
//!
//! While a future runs, SIGINT (and each of `Builder::shutdown_signals`) whose disposition is the default is listened to.
//! The listener is polled with the main future, so it costs no task. The first arrival brings the default back, so that a
//! second one kills the process at once, and asks the main task to stop. A signal that the program listens to itself is
//! left to the program.

use crate::Builder;
use crate::driver::signals::{self, SignalListener, die_by};
use crate::runtime::{Handle, Runtime, ShutdownReport, refuse_nesting};
use crate::task::{TaskError, TaskRef, UnhandledError};
use loxley_sync::{CancelledError, Context, Event, copy_context};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

/// How long leftovers may clean up, and then, again, how long polls and blocking jobs that do not end are waited for.
const CLOSE_GRACE: Duration = Duration::from_secs(10);

/// Several runs on one runtime and one context; the signal policy of a program.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{RunError, Runner};
///
/// let mut runner = Runner::new()?;
/// assert_eq!(runner.run(async { 6 * 7 }).unwrap(), 42);
/// assert!(runner.close().is_clean());
/// assert!(matches!(runner.run(async {}), Err(RunError::Closed)));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Runner {
    /// `None` once closed.
    runtime: Option<Runtime>,
    handle: Handle,
    context: Context,
    /// The signal that ended the last run.
    signal: Option<i32>,
}

/// Why a run has no output.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{RunError, Runner, current_task};
///
/// let mut runner = Runner::new()?;
/// let ended = runner.run(async {
///     current_task().unwrap().cancel(); // By somebody else, as a rule.
///     std::future::pending::<()>().await;
/// });
/// assert!(matches!(ended, Err(RunError::Cancelled(_))));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// Ctrl-C, or another shutdown signal, and the main task ended cancelled by nobody else.
    Interrupted,
    /// The main task was cancelled by somebody else, whether or not a signal came as well.
    Cancelled(CancelledError),
    /// The runner was closed before.
    Closed,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("the program was interrupted by a signal"),
            Self::Cancelled(error) => write!(f, "the main task was {error}"),
            Self::Closed => f.write_str("the runner is closed: make a new one"),
        }
    }
}

impl std::error::Error for RunError {}

impl From<RunError> for io::Error {
    fn from(error: RunError) -> Self {
        let kind = match error {
            RunError::Interrupted => io::ErrorKind::Interrupted,
            RunError::Cancelled(_) | RunError::Closed => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl Runner {
    /// A runner with one worker per core.
    ///
    /// # Errors
    ///
    /// If the operating system refuses a thread or a descriptor.
    ///
    /// # Examples
    ///
    /// Setting up, working and tidying up are runs of their own, on the same runtime:
    ///
    /// ```
    /// # use loxley_runtime::{Runner, create_task};
    /// let mut runner = Runner::new()?;
    /// let background = runner.run(async { create_task(async { 7 }) }).unwrap();
    /// assert_eq!(runner.run(background).unwrap().unwrap(), 7);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new() -> io::Result<Self> {
        Self::builder().build_runner()
    }

    /// Every knob there is; [`Builder::build_runner`] makes the runner.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::Runner;
    /// let mut runner = Runner::builder().current_thread().build_runner()?;
    /// assert_eq!(runner.run(async { 7 }).unwrap(), 7);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Polls `future` on this thread until it is done. Context variables that it sets are seen by the next run.
    ///
    /// # Errors
    ///
    /// See [`RunError`].
    ///
    /// # Panics
    ///
    /// On a thread that polls tasks, and with the future's own panic.
    ///
    /// # Examples
    ///
    /// One context for all runs:
    ///
    /// ```
    /// # use loxley_runtime::Runner;
    /// loxley_sync::context_var! { static USER: &'static str }
    /// let mut runner = Runner::new()?;
    /// runner.run(async { drop(USER.set("alice")) }).unwrap();
    /// assert_eq!(runner.run(async { USER.get() }).unwrap(), Some("alice"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn run<F: Future>(&mut self, future: F) -> Result<F::Output, RunError> {
        refuse_nesting("run");
        let at = Location::caller();
        let Some(runtime) = &self.runtime else {
            return Err(RunError::Closed);
        };
        let mut policy = Policy::new(runtime);
        let main = async {
            let mut future = pin!(self.context.within(future));
            poll_fn(|cx| {
                policy.poll(cx);
                future.as_mut().poll(cx)
            })
            .await
        };
        let result = runtime.block_on_at(main, at);
        self.signal = policy.ends();
        match result {
            Ok(output) => Ok(output),
            Err(TaskError::Panicked(panic)) => panic.resume(),
            Err(TaskError::Cancelled(_)) if self.signal.is_some() => Err(RunError::Interrupted),
            Err(TaskError::Cancelled(error)) => Err(RunError::Cancelled(error)),
        }
    }

    /// The runtime's handle. Once the runner is closed, whatever it is asked for says that the runtime has shut down.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_runtime::Runner;
    ///
    /// let mut runner = Runner::new()?;
    /// let answer = runner.handle().create_task(async { 6 * 7 });
    /// assert_eq!(runner.run(answer).unwrap().unwrap(), 42);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// **Differs from asyncio**: `get_loop` of a closed runner raises; this gives the handle all the same.
    #[must_use]
    #[doc(alias = "get_loop")]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Ends: cancels every task that is left, all at once, gives them ten seconds to clean up, then drops those that have not
    /// stopped, stops the runtime and gives its threads ten more. Closing twice does nothing. Dropping the runner does the
    /// same, and tells the unhandled-error handler what did not stop.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{Runner, create_task};
    /// let mut runner = Runner::new()?;
    /// let left = runner.run(async { create_task(std::future::pending::<()>()) }).unwrap();
    /// let report = runner.close();
    /// assert!(report.is_clean(), "{report}");
    /// assert!(left.is_cancelled());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn close(&mut self) -> ShutdownReport {
        let Some(runtime) = self.runtime.take() else {
            return ShutdownReport::default();
        };
        if crate::current::polls() {
            // Nothing may wait here.
            drop(runtime);
            return ShutdownReport::default();
        }
        let stubborn = cancel_leftovers(&runtime);
        runtime.shutdown_timeout(CLOSE_GRACE).naming(stubborn)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let report = self.close();
        if !report.is_clean() {
            let error = UnhandledError::other(report.to_string());
            self.handle.shared().reporter().report(&error);
        }
    }
}

/// Asks every task to stop and waits until they have, or the grace is over. What they spawn meanwhile is asked when they have
/// ended: it may be part of their clean-up. Gives those that did not stop.
fn cancel_leftovers(runtime: &Runtime) -> Vec<TaskRef> {
    let handle = runtime.handle();
    if handle.all_tasks().is_empty() {
        return Vec::new();
    }
    let others = || {
        let me = crate::current_task();
        let mut left = handle.all_tasks();
        left.retain(|task| Some(task) != me.as_ref());
        left
    };
    let ending = async {
        loop {
            let left = others();
            if left.is_empty() {
                return;
            }
            // All at once: each may take its time, and they share the grace.
            for task in &left {
                task.cancel_at_the_end();
            }
            for task in left {
                let ended = Arc::new(Event::new());
                let told = ended.clone();
                task.add_done_callback(move |_| told.set());
                ended.wait().await;
            }
        }
    };
    let all = async {
        match crate::timeout(CLOSE_GRACE, ending).await {
            Ok(()) => Vec::new(),
            // The shutdown that follows drops them.
            Err(_) => others(),
        }
    };
    let stubborn = runtime.block_on_at(all, Location::caller());
    stubborn.unwrap_or_default()
}

impl Builder {
    /// Makes a [`Runner`]: a runtime with a signal policy.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::Builder;
    /// let mut runner = Builder::new().worker_threads(2).build_runner()?;
    /// assert_eq!(runner.run(async { "ready" }).unwrap(), "ready");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn build_runner(self) -> io::Result<Runner> {
        let runtime = self.build()?;
        Ok(Runner {
            handle: runtime.handle(),
            runtime: Some(runtime),
            context: copy_context(),
            signal: None,
        })
    }

    /// [`run`](crate::run) with these settings.
    ///
    /// # Panics
    ///
    /// As [`run`](crate::run), and for a knob beyond its limits.
    ///
    /// # Examples
    ///
    /// `main` with settings:
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, signal};
    /// let code = Runtime::builder().worker_threads(2).shutdown_signals([signal::SIGTERM]).run(async {
    ///     7 // … serve until told to stop …
    /// });
    /// assert_eq!(code, 7);
    /// ```
    #[track_caller]
    pub fn run<F: Future>(self, main: F) -> F::Output {
        refuse_nesting("run");
        let mut runner = match self.build_runner() {
            Ok(runner) => runner,
            Err(error) => panic!("the runtime cannot start: {error}"),
        };
        let result = runner.run(main);
        let signal = runner.signal;
        drop(runner);
        match (result, signal) {
            (Ok(output), _) => output,
            (Err(RunError::Interrupted), Some(signum)) => die_by(signum),
            (Err(error), _) => panic!("{error}"),
        }
    }
}

/// What is listened to during one run.
struct Policy {
    listeners: Vec<SignalListener>,
    heard: Option<i32>,
    /// The task that was asked to stop.
    interrupted: Option<TaskRef>,
}

impl Policy {
    fn new(runtime: &Runtime) -> Self {
        let handle = runtime.handle();
        let shared = handle.shared();
        let mut signums = vec![signals::number::SIGINT];
        signums.extend(&shared.config.shutdown_signals);
        signums.dedup();
        signums.retain(|&signum| signals::is_default(signum));
        // Without descriptors left there is no policy: the signal kills, as it does by default.
        let listeners = signums
            .into_iter()
            .filter_map(|signum| {
                signals::listen_to_first(shared.driver_handle().clone(), signum).ok()
            })
            .collect();
        Self {
            listeners,
            heard: None,
            interrupted: None,
        }
    }

    /// The signal that the main task has ended by, if it has ended cancelled: one that came, if it alone asked the task to
    /// stop. Where somebody else did, too, the end is his.
    fn ends(self) -> Option<i32> {
        let is_only_ours = self.interrupted.is_some_and(|main| main.uncancel() == 0);
        self.heard.filter(|_| is_only_ours)
    }

    /// Called with each poll of the main task.
    fn poll(&mut self, cx: &mut task::Context<'_>) {
        for listener in &self.listeners {
            if let Poll::Ready(Ok(())) = listener.poll_recv(cx) {
                if !signals::is_listened_to(listener.signum()) {
                    self.heard = Some(listener.signum());
                } else {
                    // The program listens too: it is the one to act. This poll must listen on.
                    cx.waker().wake_by_ref();
                }
            }
        }
        if self.heard.is_some() && !self.listeners.is_empty() {
            // What the signals did before stands again: the next one kills.
            self.listeners.clear();
            if let Some(main) = crate::current_task() {
                main.cancel_with("the program was interrupted");
                self.interrupted = Some(main);
            }
        }
    }
}
