//! `CancelledError`: what is left of a task that was asked to stop, and did. Every room above knows it.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// A task was asked to stop, and did.
///
/// It carries the message of the request, if there was one, and the line that made the request.
#[derive(Clone)]
pub struct CancelledError {
    message: Option<Arc<str>>,
    origin: &'static Location<'static>,
}

impl CancelledError {
    /// For runtimes: a cancellation requested at `origin`.
    #[doc(hidden)]
    #[must_use]
    pub fn new(message: Option<Arc<str>>, origin: &'static Location<'static>) -> Self {
        Self { message, origin }
    }

    /// What the one who asked said, if anything.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// The line that asked.
    #[must_use]
    pub fn origin(&self) -> &'static Location<'static> {
        self.origin
    }
}

impl fmt::Debug for CancelledError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelledError")
            .field("message", &self.message)
            .field("origin", &format_args!("{}", self.origin))
            .finish()
    }
}

impl fmt::Display for CancelledError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => write!(f, "cancelled at {}: {message}", self.origin),
            None => write!(f, "cancelled at {}", self.origin),
        }
    }
}

impl std::error::Error for CancelledError {}
