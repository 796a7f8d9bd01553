//! Failures nobody awaits: what is reported, and to whom.
//!
//! The handler is user code. It is called with no lock held, and a panic in it is caught: it must not take a worker along.

use super::TaskRef;
use crate::payload::drop_quietly;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Something failed, and no code is left that could be told.
///
/// Its `Display` is one line that names the task, where it was spawned and what happened.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{Runtime, create_task};
/// use std::sync::mpsc::channel;
///
/// let (tell, told) = channel();
/// let runtime = Runtime::builder()
///     .unhandled_error(move |error| {
///         let _ = tell.send(error.message().to_owned());
///     })
///     .build()?;
/// runtime.block_on(async { drop(create_task(async { if true { panic!("nobody looks") } })) });
/// let message = told.recv().unwrap();
/// assert!(message.contains("nobody looks"), "{message}");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct UnhandledError {
    task: Option<TaskRef>,
    cause: Cause,
}

/// What kind of failure it was.
#[derive(Debug)]
pub(crate) enum Cause {
    /// A task panicked and its handle was dropped, before or after.
    Panic(String),
    /// A task's future or output panicked when it was dropped.
    DropPanic(String),
    /// A done callback of a task panicked.
    Callback(String),
    /// Anything else, in words.
    Other(String),
}

impl UnhandledError {
    pub(crate) fn new(task: TaskRef, cause: Cause) -> Self {
        Self {
            task: Some(task),
            cause,
        }
    }

    pub(crate) fn other(what: String) -> Self {
        Self {
            task: None,
            cause: Cause::Other(what),
        }
    }

    /// The task that failed, if it was one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, task};
    /// # use std::sync::mpsc::channel;
    /// let (tell, told) = channel();
    /// let runtime = Runtime::builder()
    ///     .unhandled_error(move |error| {
    ///         let _ = tell.send(error.task().map(|task| task.name()));
    ///     })
    ///     .build()?;
    /// let _current = runtime.enter();
    /// drop(task::Builder::new().name("importer").create_task(async { if true { panic!("!") } }));
    /// assert_eq!(told.recv().unwrap().as_deref(), Some("importer"));
    /// # drop(_current);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn task(&self) -> Option<&TaskRef> {
        self.task.as_ref()
    }

    /// The message of the panic, or a description.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, lowlevel::report_unhandled};
    /// # use std::sync::mpsc::channel;
    /// let (tell, told) = channel();
    /// let runtime = Runtime::builder()
    ///     .unhandled_error(move |error| {
    ///         let _ = tell.send(error.message().to_owned());
    ///     })
    ///     .build()?;
    /// runtime.block_on(async { report_unhandled(&"the disk is full") });
    /// assert_eq!(told.recv().unwrap(), "the disk is full");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn message(&self) -> &str {
        match &self.cause {
            Cause::Panic(text)
            | Cause::DropPanic(text)
            | Cause::Callback(text)
            | Cause::Other(text) => text,
        }
    }
}

impl fmt::Display for UnhandledError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(task) = &self.task {
            write!(f, "{task} ")?;
        }
        match &self.cause {
            Cause::Panic(text) => write!(f, "panicked and nobody awaits it: {text}"),
            Cause::DropPanic(text) => write!(f, "panicked while its value was dropped: {text}"),
            Cause::Callback(text) => {
                write!(f, "has ended, and a done callback of it panicked: {text}")
            }
            Cause::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for UnhandledError {}

/// The handler of one runtime, shared with every outcome that may have to be reported after it is gone.
#[derive(Clone)]
pub struct Reporter(Arc<dyn Fn(&UnhandledError) + Send + Sync>);

impl Reporter {
    pub(crate) fn new(handler: impl Fn(&UnhandledError) + Send + Sync + 'static) -> Self {
        Self(Arc::new(handler))
    }

    /// Calls the handler; if that panics, the panic hook has said so and the report goes to stderr.
    pub(crate) fn report(&self, error: &UnhandledError) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (self.0)(error))) {
            log_to_stderr(error);
            drop_quietly(payload);
        }
    }
}

impl Default for Reporter {
    fn default() -> Self {
        Self::new(log_to_stderr)
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reporter")
    }
}

fn log_to_stderr(error: &UnhandledError) {
    use std::io::Write;
    // Nothing is left to do if stderr is closed.
    let _ = writeln!(std::io::stderr(), "loxley: {error}");
}
