//! What of this crate is a `Stream` of the `futures-core` crate.

use crate::AsCompleted;
use crate::task::Task;
use futures_core::Stream;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The tasks in the order in which they end. It ends when none is left, or when the time is over.
impl<T> Stream for AsCompleted<T> {
    type Item = Task<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Task<T>>> {
        self.get_mut().poll_next_task(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // The time may be over before.
        (0, Some(self.len()))
    }
}
