//! `CancelledError`: what is left of a task that was asked to stop, and did. Every room above knows it.

use crate::ambient::scope;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::sync::Arc;
use std::task::Poll;

/// The type `!`, which may not be written as a future's output yet.
#[doc(hidden)]
pub trait Returns {
    /// What a function of this type returns.
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}

/// No value: what awaits it goes no further.
#[doc(hidden)]
pub type Never = <fn() -> ! as Returns>::Output;

/// A task was asked to stop, and did.
///
/// It carries the message of the request, if there was one, and the line that made the request.
///
/// # Examples
///
/// ```
/// use loxley_sync::{CancelledError, catch_cancelled, wait};
///
/// // Outside a task nobody can ask, so nothing is cancelled.
/// let result: Result<u32, CancelledError> = wait::block_on(catch_cancelled(async { 7 }));
/// assert_eq!(result.unwrap(), 7);
/// ```
#[derive(Clone)]
pub struct CancelledError {
    /// The message, in what tells this request from all others. Most never need either.
    request: Option<Arc<Request>>,
    origin: &'static Location<'static>,
}

struct Request {
    message: Option<Arc<str>>,
}

impl CancelledError {
    /// For runtimes: a cancellation requested at `origin`.
    #[doc(hidden)]
    #[must_use]
    pub fn new(message: Option<Arc<str>>, origin: &'static Location<'static>) -> Self {
        let named = |message| {
            Arc::new(Request {
                message: Some(message),
            })
        };
        Self {
            request: message.map(named),
            origin,
        }
    }

    /// For runtimes: the same request, and from now on one that can be told from all others.
    #[doc(hidden)]
    #[must_use]
    pub fn named(mut self) -> Self {
        self.request
            .get_or_insert_with(|| Arc::new(Request { message: None }));
        self
    }

    /// For runtimes: whether both are of one request. Always false before it was [`named`](Self::named).
    #[doc(hidden)]
    #[must_use]
    pub fn is_same_request(&self, other: &Self) -> bool {
        match (&self.request, &other.request) {
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs),
            _ => false,
        }
    }

    /// For runtimes: whether anybody else has the request still. Once false, it stays false.
    #[doc(hidden)]
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        let holders = self.request.as_ref().map_or(0, Arc::strong_count);
        holders > 1
    }

    /// What the one who asked said, if anything.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn work() {}
    /// # async fn example() {
    /// if let Err(cancelled) = loxley_sync::catch_cancelled(work()).await {
    ///     if cancelled.message() == Some("reload") {
    ///         // Not the end: whoever asked wants it done anew.
    ///     }
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.request.as_ref()?.message.as_deref()
    }

    /// Goes on unwinding: hands the cancellation to the scope around this code, or to the whole task, which drops the future
    /// that awaits this. The usual end of a clean-up.
    ///
    /// # Panics
    ///
    /// The returned future panics outside a task of a loxley runtime, where nothing can be unwound.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it was polled, nothing happens.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn work() {} async fn undo() {}
    /// # async fn example() {
    /// if let Err(cancelled) = loxley_sync::catch_cancelled(work()).await {
    ///     undo().await;
    ///     cancelled.reraise().await
    /// }
    /// # }
    /// ```
    pub fn reraise(self) -> impl Future<Output = Never> + Send {
        let mut error = Some(self);
        poll_fn(move |cx| {
            if let Some(error) = error.take() {
                scope::raise_here(error, cx);
            }
            Poll::Pending
        })
    }

    /// The line that asked.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn work() {}
    /// # async fn example() {
    /// if let Err(cancelled) = loxley_sync::catch_cancelled(work()).await {
    ///     eprintln!("stopped by {}", cancelled.origin()); // src/server.rs:31:9
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn origin(&self) -> &'static Location<'static> {
        self.origin
    }
}

impl fmt::Debug for CancelledError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelledError")
            .field("message", &self.message())
            .field("origin", &format_args!("{}", self.origin))
            .finish()
    }
}

impl fmt::Display for CancelledError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message() {
            Some(message) => write!(f, "cancelled at {}: {message}", self.origin),
            None => write!(f, "cancelled at {}", self.origin),
        }
    }
}

impl std::error::Error for CancelledError {}
