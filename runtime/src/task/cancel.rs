//! Asking a task to stop.
//!
//! A request's message is kept before T10 makes it visible, so whoever hears of the request finds the message. It is
//! counted after T10, once it is known not to have come too late. Today the root of the task answers every request: the
//! whole future is dropped.
#![expect(
    unsafe_code,
    reason = "hands a task that T10 made runnable to its scheduler"
)]

use super::join::TaskRef;
use super::state::Request;
use super::{cell, raw};
use loxley_sync::CancelledError;
use loxley_sync::prim::atomic::Ordering;
use std::panic::Location;
use std::sync::Arc;

impl TaskRef {
    /// Asks the task to stop: its future is dropped at the next place it waits, and awaiting it gives
    /// [`TaskError::Cancelled`](super::TaskError::Cancelled). False if it had ended already.
    ///
    /// True does not promise that it ends cancelled: it may be about to return.
    #[track_caller]
    #[doc(alias = "abort")]
    pub fn cancel(&self) -> bool {
        self.request(None, Location::caller())
    }

    /// [`cancel`](Self::cancel) with a message for whoever awaits the task.
    #[track_caller]
    pub fn cancel_with(&self, message: impl Into<Arc<str>>) -> bool {
        self.request(Some(message.into()), Location::caller())
    }

    /// How often the task was asked to stop.
    #[must_use]
    pub fn cancelling(&self) -> usize {
        // ordering: relaxed, a count for people and for later comparison by the task itself.
        self.header().requests.load(Ordering::Relaxed) as usize
    }

    /// The runtime shuts down: the task's next turn drops its future.
    pub(crate) fn stop(&self) {
        match self.header().state.request() {
            Request::TooLate | Request::Noted => {}
            // SAFETY: T10 gave the right to poll.
            Request::Enqueue => unsafe { raw::enqueue(self.as_ptr()) },
        }
    }

    fn request(&self, message: Option<Arc<str>>, origin: &'static Location<'static>) -> bool {
        let header = self.header();
        if header.state.load().is_complete() {
            return false;
        }
        {
            // The first request is the one that interrupts the wait, so its message stands.
            let mut request = header.cold().request.lock();
            if request.is_none() {
                *request = Some(cell::Request { message, origin });
            }
        }
        match header.state.request() {
            Request::TooLate => return false,
            Request::Noted => {}
            // SAFETY: T10 gave the right to poll.
            Request::Enqueue => unsafe { raw::enqueue(self.as_ptr()) },
        }
        // ordering: relaxed, see `cancelling`.
        header.requests.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// The error an awaiter gets after this task ended cancelled.
    pub(super) fn cancelled_error(&self) -> CancelledError {
        let request = self.header().cold_if_any();
        let request = request.and_then(|cold| cold.request.lock().clone());
        // Without a request it was the runtime that ended, before or while the task was spawned.
        let request = request.unwrap_or_else(|| cell::Request {
            message: Some("the runtime shut down".into()),
            origin: self.spawned_at(),
        });
        CancelledError::new(request.message, request.origin)
    }
}
