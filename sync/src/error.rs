//! What can go wrong with a lock, a barrier or a queue: one small type per family, the value back where it was not
//! delivered. Each says what to change.
//!
//! Channels keep their errors beside them. Nothing here is ever printed by this crate.

use std::error::Error;
use std::fmt;

/// Declares error types that carry no value: name, docs, text.
macro_rules! plain_errors {
    ($($(#[$meta:meta])* $name:ident => $text:literal;)+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($text)
            }
        }

        impl Error for $name {}
    )+};
}

plain_errors! {
    /// A lock was released that nobody holds.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_sync::{Lock, error::NotLockedError};
    ///
    /// static LOCK: Lock = Lock::new(());
    /// assert_eq!(LOCK.release(), Err(NotLockedError));
    /// ```
    #[doc(alias = "RuntimeError")]
    NotLockedError => "the lock is not held: release it once per acquire, and only after `LockGuard::forget`";

    /// A bounded semaphore was released more often than acquired.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_sync::{BoundedSemaphore, error::ReleaseError};
    ///
    /// let seats = BoundedSemaphore::new(2);
    /// assert_eq!(seats.release(), Err(ReleaseError), "nobody sits");
    /// ```
    #[doc(alias = "ValueError")]
    ReleaseError => "the bounded semaphore would rise above the value it began with: release it once per acquire";

    /// The barrier is broken: it was aborted, or reset while this task waited.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_sync::{Barrier, error::BrokenBarrierError, wait::block_on};
    ///
    /// let barrier = Barrier::new(2);
    /// barrier.abort();
    /// assert_eq!(block_on(barrier.wait()), Err(BrokenBarrierError));
    /// ```
    BrokenBarrierError => "the barrier is broken: it was aborted, or reset while tasks waited";

    /// A barrier for no parties was asked for.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_sync::{Barrier, error::BarrierPartiesError};
    ///
    /// let guests = 0; // From a configuration, say.
    /// assert!(matches!(Barrier::try_new(guests), Err(BarrierPartiesError)));
    /// ```
    #[doc(alias = "ValueError")]
    BarrierPartiesError => "a barrier needs at least one party";

    /// The queue was shut down and has nothing left to give.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_sync::{Queue, error::QueueShutDown, wait::block_on};
    ///
    /// let queue = Queue::<u8>::new(0);
    /// queue.shutdown(false);
    /// assert_eq!(block_on(queue.get()), Err(QueueShutDown));
    /// ```
    QueueShutDown => "the queue was shut down";

    /// `task_done` was called more often than items were put.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_sync::{Queue, error::TaskDoneError};
    ///
    /// let queue = Queue::<u8>::new(0);
    /// assert_eq!(queue.task_done(), Err(TaskDoneError), "nothing was put");
    /// ```
    #[doc(alias = "ValueError")]
    TaskDoneError => "task_done was called more often than items were put into the queue";
}

/// The queue was shut down before the item could be put; here it is.
///
/// # Examples
///
/// ```
/// use loxley_sync::{Queue, error::PutError, wait};
///
/// let queue = Queue::new(1);
/// queue.shutdown(false);
/// assert_eq!(wait::block_on(queue.put(7)), Err(PutError(7)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PutError<T>(pub T);

/// Why an item could not be put at once; here it is.
///
/// # Examples
///
/// ```
/// use loxley_sync::{Queue, error::TryPutError};
///
/// let queue = Queue::new(1);
/// queue.put_nowait(1).unwrap();
/// assert_eq!(queue.put_nowait(2), Err(TryPutError::Full(2)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryPutError<T> {
    /// The queue is full, or what is free is promised to putters who wait.
    #[doc(alias = "QueueFull")]
    Full(T),
    /// The queue was shut down.
    ShutDown(T),
}

/// Why there was no item to get at once.
///
/// # Examples
///
/// ```
/// use loxley_sync::{Queue, error::TryGetError};
///
/// let queue = Queue::<u32>::new(1);
/// assert_eq!(queue.get_nowait(), Err(TryGetError::Empty));
/// queue.shutdown(false);
/// assert_eq!(queue.get_nowait(), Err(TryGetError::ShutDown));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryGetError {
    /// The queue is empty, or what is in it is promised to getters who wait.
    #[doc(alias = "QueueEmpty")]
    Empty,
    /// The queue was shut down and is empty.
    ShutDown,
}

/// Why a cell could not be set; the value comes back.
///
/// # Examples
///
/// ```
/// use loxley_sync::{OnceCell, error::SetError};
///
/// let cell = OnceCell::new();
/// assert_eq!(cell.set("first"), Ok(()));
/// assert_eq!(cell.set("second"), Err(SetError::AlreadySet("second")));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SetError<T> {
    /// The cell has a value already.
    AlreadySet(T),
    /// Somebody is computing a value right now.
    Initializing(T),
}

impl<T> PutError<T> {
    /// The item that was not put.
    ///
    /// # Examples
    ///
    /// What did not go into one queue goes into another:
    ///
    /// ```
    /// # use loxley_sync::{Queue, wait::block_on};
    /// let (gone, other) = (Queue::new(0), Queue::new(0));
    /// gone.shutdown(false);
    /// let refused = block_on(gone.put("letter")).unwrap_err();
    /// assert_eq!(block_on(other.put(refused.into_inner())), Ok(()));
    /// ```
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> TryPutError<T> {
    /// The item that was not put.
    ///
    /// # Examples
    ///
    /// The item comes back whatever the reason, to be logged, say:
    ///
    /// ```
    /// # use loxley_sync::Queue;
    /// let queue = Queue::new(1);
    /// queue.put_nowait("first").unwrap();
    /// let refused = queue.put_nowait("second").unwrap_err();
    /// assert_eq!(refused.into_inner(), "second");
    /// ```
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::ShutDown(item) => item,
        }
    }

    /// Whether the queue was full, so that a later try may succeed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::Queue;
    /// let queue = Queue::new(1);
    /// queue.put_nowait(1).unwrap();
    /// assert!(queue.put_nowait(2).unwrap_err().is_full());
    /// queue.shutdown(false);
    /// assert!(!queue.put_nowait(2).unwrap_err().is_full(), "no use in trying again");
    /// ```
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }
}

impl<T> SetError<T> {
    /// The value that was not set.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::OnceCell;
    /// let port = OnceCell::from(80);
    /// let ours = port.set(8080).unwrap_err().into_inner();
    /// assert_eq!((port.get(), ours), (Some(&80), 8080));
    /// ```
    pub fn into_inner(self) -> T {
        match self {
            Self::AlreadySet(value) | Self::Initializing(value) => value,
        }
    }
}

// The values need not be Debug for the errors to be.
impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PutError(..)")
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        QueueShutDown.fmt(f)
    }
}

impl<T> Error for PutError<T> {}

impl<T> fmt::Debug for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::ShutDown(_) => "ShutDown(..)",
        })
    }
}

impl<T> fmt::Display for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("the queue is full"),
            Self::ShutDown(_) => QueueShutDown.fmt(f),
        }
    }
}

impl<T> Error for TryPutError<T> {}

impl fmt::Display for TryGetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the queue is empty"),
            Self::ShutDown => QueueShutDown.fmt(f),
        }
    }
}

impl Error for TryGetError {}

impl<T> fmt::Debug for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadySet(_) => "AlreadySet(..)",
            Self::Initializing(_) => "Initializing(..)",
        })
    }
}

impl<T> fmt::Display for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadySet(_) => "the cell has a value already",
            Self::Initializing(_) => "the cell's value is being computed",
        })
    }
}

impl<T> Error for SetError<T> {}
