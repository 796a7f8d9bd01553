//! Queues: items from many tasks to many tasks, in three orders.
//!
//! - `core.rs`: the rules, Q1 to Q11, generic over the order.
//! - `order.rs`: the orders; `ring.rs`: first in, first out without a mutex, V1 to V7.
//! - `ending.rs`: [`ShutdownOnDrop`], which ends a queue with whoever works at it.
//! - here: the public handles, and [`Reserved`].

mod core;
mod ending;
mod order;
mod ring;

pub use self::ending::ShutdownOnDrop;

use self::core::{Core, End};
use self::order::{Fifo, Lifo, Order, Smallest};
use crate::error::{PutError, QueueShutDown, TaskDoneError, TryGetError, TryPutError};
use crate::wait::block_on;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

/// Declares one kind of queue: a handle around the shared core, with the order of its items.
macro_rules! queue {
    ($(#[$meta:meta])* $name:ident<T $(: $bound:ident)?>, $order:ident) => {
        $(#[$meta])*
        pub struct $name<T $(: $bound)?> {
            core: Arc<Core<$order<T>>>,
        }

        impl<T: Send $(+ $bound)?> $name<T> {
            /// An empty queue for at most `maxsize` items; 0 means unbounded.
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!(" # use loxley_sync::", stringify!($name), ";")]
            #[doc = concat!(" let bounded = ", stringify!($name), "::new(1);")]
            /// assert!(bounded.put_nowait('a').is_ok());
            /// assert!(bounded.put_nowait('b').is_err());
            #[doc = concat!(" let unbounded = ", stringify!($name), "::new(0);")]
            /// assert!(('a'..='z').all(|letter| unbounded.put_nowait(letter).is_ok()));
            /// ```
            #[must_use]
            pub fn new(maxsize: usize) -> Self {
                Self { core: Arc::new(Core::new(maxsize)) }
            }

            /// Puts an item, once there is a place for it.
            ///
            /// # Errors
            ///
            /// The item, if the queue is or gets shut down.
            ///
            /// # Cancel safety
            ///
            /// An item whose future is dropped was not put, and is dropped with the future;
            /// [`reserve`](Self::reserve) waits without an item in hand. If there is a place the call completes without
            /// waiting.
            ///
            /// # Fairness
            ///
            /// Putters get their places in the order in which they came; nobody overtakes a waiter.
            ///
            /// # Examples
            ///
            /// Putting into a full queue is how a producer is slowed down to the pace of its consumer:
            ///
            /// ```
            #[doc = concat!(" # use loxley_sync::{", stringify!($name), ", wait::block_on};")]
            #[doc = concat!(" let queue = ", stringify!($name), "::new(1);")]
            /// block_on(queue.put(1))?;
            /// let consumer = queue.clone();
            /// let consumer = std::thread::spawn(move || (consumer.blocking_get(), consumer.blocking_get()));
            /// block_on(queue.put(2))?; // Waits until 1 was fetched.
            /// assert_eq!(consumer.join().unwrap(), (Ok(1), Ok(2)));
            /// # Ok::<_, loxley_sync::error::PutError<i32>>(())
            /// ```
            #[track_caller]
            pub fn put(&self, item: T) -> impl Future<Output = Result<(), PutError<T>>> + '_ {
                self.core.put(item, Location::caller())
            }

            /// Puts an item if there is a place.
            ///
            /// # Errors
            ///
            /// The item, if the queue is full or shut down.
            ///
            /// # Examples
            ///
            /// For a producer that can do without: what finds no place comes back, and is counted or thrown away.
            ///
            /// ```
            #[doc = concat!(" # use loxley_sync::{", stringify!($name), ", error::TryPutError};")]
            #[doc = concat!(" let samples = ", stringify!($name), "::new(2);")]
            /// let mut lost = 0;
            /// for sample in [10, 20, 30] {
            ///     if let Err(TryPutError::Full(_)) = samples.put_nowait(sample) {
            ///         lost += 1;
            ///     }
            /// }
            /// assert_eq!((samples.len(), lost), (2, 1));
            /// ```
            #[inline]
            pub fn put_nowait(&self, item: T) -> Result<(), TryPutError<T>> {
                self.core.put_nowait(item)
            }

            /// Waits for a place, to be filled by [`Reserved::put`] without waiting.
            ///
            /// # Errors
            ///
            /// If the queue is or gets shut down.
            ///
            /// # Cancel safety
            ///
            /// A place that was promised to a dropped future goes to the next putter.
            ///
            /// # Examples
            ///
            /// What is expensive to make is made only once there is a place for it:
            ///
            /// ```
            #[doc = concat!(" # use loxley_sync::{", stringify!($name), ", wait::block_on};")]
            #[doc = concat!(" let queue = ", stringify!($name), "::new(1);")]
            /// # block_on(async {
            /// let place = queue.reserve().await?;
            /// assert!(queue.put_nowait("quick").is_err(), "the place is taken");
            /// place.put("report").unwrap();
            /// assert_eq!(queue.get().await?, "report");
            /// # Ok::<_, loxley_sync::error::QueueShutDown>(())
            /// # }).unwrap();
            /// ```
            #[track_caller]
            pub fn reserve(
                &self,
            ) -> impl Future<Output = Result<Reserved<'_, T>, QueueShutDown>> + '_ {
                let at = Location::caller();
                async move {
                    self.core.wait_for_place(at).await?;
                    Ok(Reserved { queue: Some(&*self.core) })
                }
            }

            /// Gets the next item, once there is one. Say [`task_done`](Self::task_done) when it is dealt with, if
            /// anybody is to [`join`](Self::join).
            ///
            /// # Errors
            ///
            /// If the queue is shut down and empty.
            ///
            /// # Cancel safety
            ///
            /// No item is lost: it leaves the queue in the poll that completes. An item promised to a dropped future goes
            /// to the next getter. If there is an item the call completes without waiting.
            ///
            /// # Fairness
            ///
            /// Getters get items in the order in which they came; nobody overtakes a waiter.
            ///
            /// # Examples
            ///
            /// A consumer that ends with its queue:
            ///
            /// ```
            #[doc = concat!(" # use loxley_sync::{", stringify!($name), ", wait::block_on};")]
            #[doc = concat!(" let queue = ", stringify!($name), "::new(0);")]
            /// queue.put_nowait(4).unwrap();
            /// queue.shutdown(false);
            /// block_on(async {
            ///     let mut sum = 0;
            ///     while let Ok(item) = queue.get().await {
            ///         sum += item;
            ///     }
            ///     assert_eq!(sum, 4);
            /// });
            /// ```
            #[track_caller]
            pub fn get(&self) -> impl Future<Output = Result<T, QueueShutDown>> + '_ {
                self.core.get(Location::caller())
            }

            /// Gets the next item if there is one that is not promised to a waiting getter.
            ///
            /// # Errors
            ///
            /// If there is none, or the queue is shut down and empty.
            ///
            /// # Examples
            ///
            /// Takes what is there and goes on with something else:
            ///
            /// ```
            #[doc = concat!(" # use loxley_sync::{", stringify!($name), ", error::TryGetError};")]
            #[doc = concat!(" let inbox = ", stringify!($name), "::new(0);")]
            /// inbox.put_nowait("hello").unwrap();
            /// assert_eq!(inbox.get_nowait(), Ok("hello"));
            /// assert_eq!(inbox.get_nowait(), Err(TryGetError::Empty));
            /// ```
            #[inline]
            pub fn get_nowait(&self) -> Result<T, TryGetError> {
                self.core.get_nowait()
            }

            /// Waits for an item, then appends all that are there to `items`, at most `max`. Returns how many.
            ///
            /// # Errors
            ///
            /// If the queue is shut down and empty.
            ///
            /// # Cancel safety
            ///
            /// As [`get`](Self::get); items are appended in the poll that completes.
            ///
            /// # Examples
            ///
            /// A batch is dealt with at the price of one wait:
            ///
            /// ```
            #[doc = concat!(" # use loxley_sync::{", stringify!($name), ", wait::block_on};")]
            #[doc = concat!(" let rows = ", stringify!($name), "::new(0);")]
            /// for row in 0..5 {
            ///     rows.put_nowait(row).unwrap();
            /// }
            /// let mut batch = Vec::new();
            /// assert_eq!(block_on(rows.get_many(&mut batch, 3)), Ok(3));
            /// assert_eq!(block_on(rows.get_many(&mut batch, 3)), Ok(2));
            /// batch.sort();
            /// assert_eq!(batch, [0, 1, 2, 3, 4]);
            /// ```
            #[track_caller]
            #[doc(alias = "recv_many")]
            pub fn get_many<'a>(
                &'a self,
                items: &'a mut Vec<T>,
                max: usize,
            ) -> impl Future<Output = Result<usize, QueueShutDown>> + 'a {
                self.core.get_many(items, max, Location::caller())
            }

            /// [`put`](Self::put) on a plain thread, which is blocked. Not for tasks.
            ///
            /// # Panics
            ///
            /// In a task, at the caller's line: it would hold the worker that runs it.
            ///
            /// # Errors
            ///
            /// The item, if the queue is or gets shut down.
            ///
            /// # Examples
            ///
            /// From a thread that is no task, into a queue that tasks read:
            ///
            /// ```
            #[doc = concat!(" # use loxley_sync::{", stringify!($name), ", wait::block_on};")]
            #[doc = concat!(" let lines = ", stringify!($name), "::new(1);")]
            /// let reader = lines.clone();
            /// let thread = std::thread::spawn(move || lines.blocking_put("a line"));
            /// assert_eq!(block_on(reader.get()), Ok("a line"));
            /// assert!(thread.join().unwrap().is_ok());
            /// ```
            #[track_caller]
            pub fn blocking_put(&self, item: T) -> Result<(), PutError<T>> {
                block_on(self.put(item))
            }

            /// [`get`](Self::get) on a plain thread, which is blocked. Not for tasks.
            ///
            /// # Panics
            ///
            /// In a task, at the caller's line: it would hold the worker that runs it.
            ///
            /// # Errors
            ///
            /// If the queue is shut down and empty.
            ///
            /// # Examples
            ///
            /// A thread of its own works off what tasks hand to it:
            ///
            /// ```
            #[doc = concat!(" # use loxley_sync::", stringify!($name), ";")]
            #[doc = concat!(" let jobs = ", stringify!($name), "::new(0);")]
            /// let theirs = jobs.clone();
            /// let thread = std::thread::spawn(move || {
            ///     let mut done = 0;
            ///     while theirs.blocking_get().is_ok() {
            ///         done += 1;
            ///     }
            ///     done
            /// });
            /// jobs.put_nowait("compress").unwrap();
            /// jobs.shutdown(false);
            /// assert_eq!(thread.join().unwrap(), 1);
            /// ```
            #[track_caller]
            pub fn blocking_get(&self) -> Result<T, QueueShutDown> {
                block_on(self.get())
            }

            /// Says that an item fetched before has been dealt with.
            ///
            /// # Errors
            ///
            /// If it was said more often than items were put; nothing has changed then.
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!(" # use loxley_sync::{", stringify!($name), ", error::TaskDoneError};")]
            #[doc = concat!(" let queue = ", stringify!($name), "::new(0);")]
            /// queue.put_nowait("dishes").unwrap();
            /// assert_eq!(queue.get_nowait(), Ok("dishes"));
            /// assert_eq!(queue.task_done(), Ok(()));
            /// assert_eq!(queue.task_done(), Err(TaskDoneError), "once per item");
            /// ```
            pub fn task_done(&self) -> Result<(), TaskDoneError> {
                self.core.task_done()
            }

            /// Waits until every item that was put has been fetched and dealt with ([`task_done`](Self::task_done)).
            ///
            /// Who was freed stays free, even if new items come before it runs.
            ///
            /// # Cancel safety
            ///
            /// Dropping the future changes nothing. If nothing is unfinished the call completes without waiting.
            ///
            /// # Examples
            ///
            /// Waits for the work, not just for an empty queue:
            ///
            /// ```
            #[doc = concat!(" # use loxley_sync::{", stringify!($name), ", wait::block_on};")]
            #[doc = concat!(" let work = ", stringify!($name), "::new(0);")]
            /// work.put_nowait(1).unwrap();
            /// let worker = work.clone();
            /// let worker = std::thread::spawn(move || {
            ///     worker.blocking_get().unwrap();
            ///     // Here it is empty, and the work begins.
            ///     worker.task_done().unwrap();
            /// });
            /// block_on(work.join());
            /// assert!(work.is_empty());
            /// # worker.join().unwrap();
            /// ```
            #[track_caller]
            pub fn join(&self) -> impl Future<Output = ()> + '_ {
                self.core.join(Location::caller())
            }

            /// Ends the queue: putting fails from now on, for those who wait, too; getting fails once the queue is empty.
            /// If `immediate`, what is in it is dropped and counts as done.
            ///
            /// # Panics
            ///
            /// If a waker or the destructor of an item panics; everybody is woken first.
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!(" # use loxley_sync::{", stringify!($name), ", error::{TryGetError, TryPutError}};")]
            #[doc = concat!(" let queue = ", stringify!($name), "::new(0);")]
            /// queue.put_nowait("last").unwrap();
            /// queue.shutdown(false);
            /// assert_eq!(queue.put_nowait("too late"), Err(TryPutError::ShutDown("too late")));
            /// assert_eq!(queue.get_nowait(), Ok("last"), "what is in it can be fetched");
            /// assert_eq!(queue.get_nowait(), Err(TryGetError::ShutDown));
            ///
            #[doc = concat!(" let queue = ", stringify!($name), "::new(0);")]
            /// queue.put_nowait("dropped").unwrap();
            /// queue.shutdown(true);
            /// assert_eq!(queue.get_nowait(), Err(TryGetError::ShutDown));
            /// ```
            pub fn shutdown(&self, immediate: bool) {
                self.core.shutdown(End::new(immediate));
            }

            /// Shuts the queue down, as [`shutdown`](Self::shutdown) does, when the guard that it gives is dropped: by whoever
            /// works at the queue, when they end, fail or are cancelled. See [`ShutdownOnDrop`].
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!(" # use loxley_sync::", stringify!($name), ";")]
            #[doc = concat!(" let queue = ", stringify!($name), "::<u8>::new(0);")]
            /// let guard = queue.shutdown_on_drop(true);
            /// assert!(!queue.is_shut_down());
            /// drop(guard);
            /// assert!(queue.is_shut_down());
            /// ```
            pub fn shutdown_on_drop(&self, immediate: bool) -> ShutdownOnDrop
            where
                T: 'static,
            {
                ShutdownOnDrop::new(self.core.clone(), End::new(immediate))
            }

            /// Whether the queue was shut down.
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!(" # use loxley_sync::", stringify!($name), ";")]
            #[doc = concat!(" let queue = ", stringify!($name), "::<u8>::new(0);")]
            /// let handle = queue.clone();
            /// assert!(!handle.is_shut_down());
            /// queue.shutdown(false);
            /// assert!(handle.is_shut_down(), "all handles are of one queue");
            /// ```
            #[must_use]
            pub fn is_shut_down(&self) -> bool {
                self.core.is_shut_down()
            }

            /// How many items are in the queue, those promised to waiting getters included.
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!(" # use loxley_sync::", stringify!($name), ";")]
            #[doc = concat!(" let backlog = ", stringify!($name), "::new(0);")]
            /// backlog.put_nowait('a').unwrap();
            /// backlog.put_nowait('b').unwrap();
            /// assert_eq!(backlog.len(), 2);
            /// ```
            #[must_use]
            #[doc(alias = "qsize")]
            pub fn len(&self) -> usize {
                self.core.len()
            }

            /// The most items that were in the queue at once; of an unbounded [`Queue`], from 256 on, rounded up by less than
            /// half a percent.
            ///
            /// # Examples
            ///
            /// Whether a bound is well chosen shows after a day of work:
            ///
            /// ```
            #[doc = concat!(" # use loxley_sync::", stringify!($name), ";")]
            #[doc = concat!(" let queue = ", stringify!($name), "::new(100);")]
            /// for item in 0..3 {
            ///     queue.put_nowait(item).unwrap();
            /// }
            /// while queue.get_nowait().is_ok() {}
            /// assert_eq!((queue.len(), queue.len_peak()), (0, 3));
            /// ```
            #[must_use]
            pub fn len_peak(&self) -> usize {
                self.core.len_peak()
            }

            /// Whether there is no item in the queue.
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!(" # use loxley_sync::", stringify!($name), ";")]
            #[doc = concat!(" let queue = ", stringify!($name), "::new(0);")]
            /// assert!(queue.is_empty());
            /// queue.put_nowait(()).unwrap();
            /// assert!(!queue.is_empty());
            /// ```
            #[must_use]
            #[doc(alias = "empty")]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Whether there are `maxsize` items in the queue.
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!(" # use loxley_sync::", stringify!($name), ";")]
            #[doc = concat!(" let queue = ", stringify!($name), "::new(1);")]
            /// queue.put_nowait(()).unwrap();
            /// assert!(queue.is_full());
            #[doc = concat!(" assert!(!", stringify!($name), "::<u8>::new(0).is_full(), \"an unbounded one never is\");")]
            /// ```
            #[must_use]
            #[doc(alias = "full")]
            pub fn is_full(&self) -> bool {
                self.core.is_full()
            }

            /// The most items the queue takes; 0 means unbounded.
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!(" # use loxley_sync::", stringify!($name), ";")]
            #[doc = concat!(" let queue = ", stringify!($name), "::new(8);")]
            /// queue.put_nowait(()).unwrap();
            /// assert_eq!(queue.maxsize() - queue.len(), 7, "that many more");
            /// ```
            #[must_use]
            pub fn maxsize(&self) -> usize {
                self.core.maxsize()
            }
        }

        impl<T $(: $bound)?> Clone for $name<T> {
            /// Another handle to the same queue.
            fn clone(&self) -> Self {
                Self { core: self.core.clone() }
            }
        }

        impl<T: Send $(+ $bound)?> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.core.fmt(f)
            }
        }
    };
}

queue! {
    /// First in, first out.
    ///
    /// A handle: clones share the queue. `maxsize` bounds it, 0 makes it *unbounded*. Also what other libraries call an
    /// mpsc or mpmc channel; [`shutdown`](Self::shutdown) is how it is closed, for dropping handles does not:
    /// [`shutdown_on_drop`](Self::shutdown_on_drop) is for that.
    ///
    /// **Differs from asyncio**: what is promised to a waiter is not for newcomers, so that `get_nowait` may say `Empty`
    /// while [`len`](Self::len) is not 0, for as long as the waiter has not been polled.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_sync::{Queue, wait::block_on};
    ///
    /// let queue = Queue::new(1);
    /// let producer = queue.clone();
    /// std::thread::spawn(move || {
    ///     for i in 0..3 {
    ///         producer.blocking_put(i)?;
    ///     }
    ///     producer.shutdown(false);
    ///     Ok::<_, loxley_sync::error::PutError<i32>>(())
    /// });
    /// let mut got = vec![];
    /// while let Ok(item) = block_on(queue.get()) {
    ///     got.push(item);
    /// }
    /// assert_eq!(got, [0, 1, 2]);
    /// ```
    ///
    /// What is not `Send` does not go through it:
    ///
    /// ```compile_fail
    /// loxley_sync::Queue::new(0).put_nowait(std::rc::Rc::new(()));
    /// ```
    #[doc(alias = "mpsc")]
    #[doc(alias = "unbounded_channel")]
    Queue<T>, Fifo
}

queue! {
    /// Last in, first out; else as [`Queue`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::LifoQueue;
    /// let queue = LifoQueue::new(0);
    /// queue.put_nowait('a')?;
    /// queue.put_nowait('b')?;
    /// assert_eq!(queue.get_nowait(), Ok('b'));
    /// # Ok::<_, loxley_sync::error::TryPutError<char>>(())
    /// ```
    LifoQueue<T>, Lifo
}

queue! {
    /// Smallest first, equals in no particular order; else as [`Queue`]. For largest first put `std::cmp::Reverse`.
    ///
    /// The items' `Ord` runs while the queue is locked: it must not use the queue, and while it takes long others wait.
    /// If it panics the queue stays usable, but an item being fetched may be lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::PriorityQueue;
    /// let queue = PriorityQueue::new(0);
    /// for urgency in [3, 1, 2] {
    ///     queue.put_nowait(urgency)?;
    /// }
    /// assert_eq!(queue.get_nowait(), Ok(1));
    /// # Ok::<_, loxley_sync::error::TryPutError<i32>>(())
    /// ```
    PriorityQueue<T: Ord>, Smallest
}

/// A place in a queue, kept until it is filled or dropped.
///
/// # Examples
///
/// Dropped without an item, the place goes to whoever wants it:
///
/// ```
/// use loxley_sync::{Queue, wait::block_on};
///
/// let queue = Queue::new(1);
/// let place = block_on(queue.reserve())?;
/// assert!(queue.put_nowait(1).is_err());
/// drop(place);
/// assert!(queue.put_nowait(1).is_ok());
/// # Ok::<_, loxley_sync::error::QueueShutDown>(())
/// ```
#[must_use = "the place is given up when this is dropped"]
pub struct Reserved<'a, T> {
    queue: Option<&'a dyn Places<T>>,
}

/// A queue of any order, as far as its places are concerned.
trait Places<T>: Send + Sync {
    fn fill(&self, item: T) -> Result<(), PutError<T>>;
    fn give_up(&self);
}

impl<O: Order + Send + Sync> Places<O::Item> for Core<O>
where
    O::Inner: Send,
{
    fn fill(&self, item: O::Item) -> Result<(), PutError<O::Item>> {
        self.put_promised(item)
    }

    fn give_up(&self) {
        self.give_up_place();
    }
}

impl<T> Reserved<'_, T> {
    /// Puts the item into its place. It does not wait.
    ///
    /// # Errors
    ///
    /// The item, if the queue was shut down meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::{Queue, error::PutError, wait::block_on};
    /// let queue = Queue::new(2);
    /// let first = block_on(queue.reserve())?;
    /// let second = block_on(queue.reserve())?;
    /// assert_eq!(first.put("in time"), Ok(()));
    /// queue.shutdown(false);
    /// assert_eq!(second.put("too late"), Err(PutError("too late")));
    /// # Ok::<_, loxley_sync::error::QueueShutDown>(())
    /// ```
    pub fn put(mut self, item: T) -> Result<(), PutError<T>> {
        match self.queue.take() {
            Some(queue) => queue.fill(item),
            None => Err(PutError(item)),
        }
    }
}

impl<T> Drop for Reserved<'_, T> {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            queue.give_up();
        }
    }
}

impl<T> fmt::Debug for Reserved<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reserved")
    }
}
