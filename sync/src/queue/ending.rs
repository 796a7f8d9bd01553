//! [`ShutdownOnDrop`]: the end of a queue tied to the end of whoever works at it.
//!
//! Called by users, who get it from a queue. It holds a queue of any order, and never an item of it.

use super::core::{Core, End};
use super::order::Order;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

/// Shuts a queue down when it is dropped, however that comes: at the end of a task, by its failure, panic or cancellation.
/// Made by [`Queue::shutdown_on_drop`](crate::Queue::shutdown_on_drop), and that of the other queues.
///
/// # Panics
///
/// When it is dropped, as [`shutdown`](crate::Queue::shutdown): if a waker or the destructor of an item panics.
///
/// # Examples
///
/// Held by the one who gets, it lets nobody wait for an answer that cannot come. What is in the queue is dropped:
///
/// ```
/// use loxley_sync::{Queue, oneshot, wait::block_on};
///
/// let inbox = Queue::new(0);
/// let (reply, answer) = oneshot::channel::<u32>();
/// inbox.put_nowait(reply).unwrap();
/// let guard = inbox.shutdown_on_drop(true);
/// let actor = std::thread::spawn(move || {
///     let _guard = guard;
///     Err::<(), _>("it fails before it looks into its inbox")
/// });
/// assert!(block_on(answer).is_err(), "its sender was in the inbox");
/// assert!(actor.join().unwrap().is_err());
/// assert!(inbox.is_shut_down(), "nobody can ask any more");
/// ```
///
/// Shared by those who put, it ends the queue with the last of them, as a channel ends with its last sender:
///
/// ```
/// use loxley_sync::{Queue, wait::block_on};
/// use std::sync::Arc;
///
/// let queue = Queue::new(0);
/// let guard = Arc::new(queue.shutdown_on_drop(false));
/// for n in 1..=3 {
///     let (queue, guard) = (queue.clone(), guard.clone());
///     std::thread::spawn(move || {
///         queue.put_nowait(n).unwrap();
///         drop(guard);
///     });
/// }
/// drop(guard);
/// let mut sum = 0;
/// while let Ok(n) = block_on(queue.get()) {
///     sum += n;
/// }
/// assert_eq!(sum, 6);
/// ```
#[must_use = "the queue is shut down when this is dropped"]
pub struct ShutdownOnDrop {
    queue: Arc<dyn Ends>,
    end: End,
}

impl ShutdownOnDrop {
    pub(super) fn new(queue: Arc<dyn Ends>, end: End) -> Self {
        Self { queue, end }
    }
}

impl Drop for ShutdownOnDrop {
    fn drop(&mut self) {
        self.queue.end(self.end);
    }
}

// A queue's state is under its lock, or moved in and out whole.
impl UnwindSafe for ShutdownOnDrop {}
impl RefUnwindSafe for ShutdownOnDrop {}

impl fmt::Debug for ShutdownOnDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_immediate = matches!(self.end, End::Immediate);
        f.debug_struct("ShutdownOnDrop")
            .field("immediate", &is_immediate)
            .finish_non_exhaustive()
    }
}

/// A queue of any order, as far as its end is concerned.
pub(super) trait Ends: Send + Sync {
    fn end(&self, how: End);
}

impl<O: Order + Send + Sync> Ends for Core<O>
where
    O::Inner: Send,
{
    fn end(&self, how: End) {
        self.shutdown(how);
    }
}
