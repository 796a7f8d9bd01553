//! How a task ends without a value: what its cell keeps ([`Failure`]), and what whoever awaits it gets ([`TaskError`]).
//!
//! Made by `run.rs`, handed out by `join.rs`. A payload of a panic is the user's: nothing here drops one under a lock.

use super::unhandled::Reporter;
use crate::payload::{self, drop_quietly};
use loxley_sync::CancelledError;
use loxley_sync::prim::lock::Mutex;
use std::any::Any;
use std::fmt;
use std::io;

/// Why a task has no result.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{TaskError, create_task};
///
/// loxley_runtime::run(async {
///     let task = create_task(std::future::pending::<()>());
///     task.cancel_with("not needed any more");
///     match task.await {
///         Err(TaskError::Cancelled(error)) => assert_eq!(error.message(), Some("not needed any more")),
///         other => panic!("{other:?}"),
///     }
/// });
/// ```
#[derive(Debug)]
#[non_exhaustive]
#[doc(alias = "JoinError")]
pub enum TaskError {
    /// It was asked to stop, and did.
    Cancelled(CancelledError),
    /// It panicked. Not in a program that is built with `panic = "abort"`: there, the first panic ends the process.
    Panicked(Panic),
}

impl TaskError {
    /// Whether the task was cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::create_task;
    /// # loxley_runtime::run(async {
    /// let task = create_task(std::future::pending::<()>());
    /// task.cancel();
    /// assert!(task.await.is_err_and(|error| error.is_cancelled()));
    /// # });
    /// ```
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }

    /// Whether the task panicked.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::create_task;
    /// # loxley_runtime::run(async {
    /// let task = create_task(async { if true { panic!("out of luck") } });
    /// assert!(task.await.unwrap_err().is_panic(), "and the awaiter lives on");
    /// # });
    /// ```
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self, Self::Panicked(_))
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled(error) => write!(f, "task {error}"),
            Self::Panicked(panic) => write!(f, "task panicked: {panic}"),
        }
    }
}

impl std::error::Error for TaskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Cancelled(error) => Some(error),
            Self::Panicked(_) => None,
        }
    }
}

/// So that `task.await?` works where errors are those of I/O.
impl From<TaskError> for io::Error {
    fn from(error: TaskError) -> Self {
        Self::other(error)
    }
}

/// How a task ended without an output, as kept in its cell: one word.
pub(crate) enum Failure {
    Cancelled,
    Panicked(Box<Panic>),
}

/// A panic caught in a task, with what it was thrown with.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{TaskError, create_task};
///
/// loxley_runtime::run(async {
///     let task = create_task(async { if true { panic!("out of {}", "luck") } });
///     let Err(TaskError::Panicked(panic)) = task.await else { unreachable!() };
///     assert_eq!(panic.message(), "out of luck");
/// });
/// ```
pub struct Panic {
    message: Box<str>,
    /// Behind a lock only because a payload is `Send` and an error should be `Sync` too.
    payload: Mutex<Option<Box<dyn Any + Send>>>,
    reporter: Option<Reporter>,
}

impl Panic {
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Self {
        Self {
            message: panic_message(&*payload).into(),
            payload: Mutex::new(Some(payload)),
            reporter: None,
        }
    }

    /// What the panic said, or that it said nothing readable.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{TaskError, create_task};
    /// # loxley_runtime::run(async {
    /// let task = create_task(async { if true { panic!("bad weather") } });
    /// if let Err(TaskError::Panicked(panic)) = task.await {
    ///     assert_eq!(panic.message(), "bad weather");
    /// }
    /// # });
    /// ```
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the panic was thrown with.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{TaskError, create_task};
    /// # loxley_runtime::run(async {
    /// let task = create_task(async { std::panic::panic_any(7_u8); });
    /// let Err(TaskError::Panicked(panic)) = task.await else { unreachable!() };
    /// assert_eq!(panic.into_payload().downcast_ref(), Some(&7_u8));
    /// # });
    /// ```
    #[must_use]
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        let payload = self.payload.lock().take();
        payload.unwrap_or_else(|| Box::new("the payload was taken"))
    }

    /// Lets the panic go on in this thread.
    ///
    /// # Panics
    ///
    /// Always: that is its purpose.
    ///
    /// # Examples
    ///
    /// A panic of the task becomes one of the awaiter:
    ///
    /// ```
    /// # use loxley_runtime::{TaskError, create_task};
    /// let outcome = std::panic::catch_unwind(|| loxley_runtime::run(async {
    ///     let task = create_task(async { if true { panic!("passed on") } });
    ///     if let Err(TaskError::Panicked(panic)) = task.await {
    ///         panic.resume();
    ///     }
    /// }));
    /// assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"passed on"));
    /// ```
    pub fn resume(self) -> ! {
        std::panic::resume_unwind(self.into_payload())
    }

    pub(super) fn set_reporter(&mut self, reporter: Reporter) {
        self.reporter = Some(reporter);
    }

    pub(super) fn reporter(&self) -> Option<Reporter> {
        self.reporter.clone()
    }
}

impl Drop for Panic {
    /// A payload whose own drop panics is the last thing that should end whoever handles an error.
    fn drop(&mut self) {
        let payload = self.payload.lock().take();
        if let Some(payload) = payload {
            drop_quietly(payload);
        }
    }
}

/// As [`message`](Self::message).
impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Panic").field(&self.message).finish()
    }
}

/// The text of a panic, where it has one.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload::text(payload).unwrap_or("(a payload that is no text)")
}
