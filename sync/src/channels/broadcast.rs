//! A channel in which every receiver gets every value.
//!
//! Values are numbered in the order in which they are sent. They stand in *blocks*, each filled once and never changed:
//! a receiver keeps the block it reads from, and reads what is in it without a lock and without writing to memory that
//! others use. The mutex is for senders, for the step from one block to the next, and for waiting. What has fallen out is a
//! matter of numbers alone: the latest `capacity` values count, whatever else a block still holds.
//!
//! A waiter's grant carries nothing: what it waits for is in a block, so that a dropped waiter loses nothing.
//!
//! | edge | by | what | under the mutex |
//! |---|---|---|---|
//! | H1 | send | the value goes into the last block, its number is published, blocks that fell out whole are let go; grant all who wait for it | yes |
//! | H2 | recv | the number is published: read it from the block | only to find the next block |
//! | H3 | recv | it fell out: skip to the oldest and say how many were lost | no |
//! | H4 | recv | not published: enlist with the number | yes |
//! | H5 | last sender gone | grant all; they find the channel closed | yes |
//!
//! **Ordering.** Row A: H1 stores `sent` with release after the value stands in its block, H2 loads it with acquire: what
//! is numbered below it is there. Row B: H1 and H4 hold the mutex: of the two one sees the other.

use crate::ambient::WaitKind;
use crate::prim::Arc;
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::wait::{Claim, Entry, Locked, Protocol, WaitList, block_on};
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::OnceLock;

/// The most values in one block: enough to make the step to the next one rare, few enough for what an idle receiver keeps
/// alive with its block.
const BLOCK_LEN_MAX: usize = 32;

/// Makes a channel that keeps the latest `capacity` values for receivers that are behind.
///
/// A value that fell out, or that everybody has read, may stay in memory for as long as one of its neighbours, at most 31,
/// is kept, or the receiver that read it last reads no other.
///
/// # Panics
///
/// If `capacity` is 0.
///
/// # Examples
///
/// ```
/// use loxley_sync::{broadcast, wait::block_on};
///
/// let (sender, mut first) = broadcast::channel(16);
/// let mut second = sender.subscribe();
/// sender.send("news")?;
/// drop(sender);
/// assert_eq!(block_on(first.recv()), Ok("news"));
/// assert_eq!(block_on(second.recv()), Ok("news"));
/// assert_eq!(block_on(second.recv()), Err(broadcast::RecvError::Closed));
/// # Ok::<_, broadcast::SendError<&str>>(())
/// ```
#[track_caller]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(
        capacity > 0,
        "a broadcast channel needs room for at least one value"
    );
    let shared = Channel {
        sent: AtomicU64::new(0),
        capacity,
        _of: std::marker::PhantomData,
    };
    let ring = Ring {
        blocks: VecDeque::new(),
        senders: 1,
        receivers: 1,
    };
    let channel = Arc::new(WaitList::new(shared, ring));
    let receiver = Receiver {
        channel: channel.clone(),
        cursor: Cursor::at(0),
    };
    (Sender { channel }, receiver)
}

/// The sending end; clones send into the same channel.
///
/// # Examples
///
/// ```
/// use loxley_sync::broadcast;
///
/// let (sender, mut receiver) = broadcast::channel(4);
/// let other = sender.clone();
/// sender.send(1).unwrap();
/// other.send(2).unwrap();
/// assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(1), Ok(2)));
/// ```
pub struct Sender<T> {
    channel: Arc<WaitList<Channel<T>>>,
}

/// A receiving end: gets what was sent since it was made.
///
/// # Examples
///
/// ```
/// use loxley_sync::{broadcast, wait::block_on};
///
/// let (sender, mut early) = broadcast::channel(4);
/// sender.send("first").unwrap();
/// let mut late = sender.subscribe();
/// sender.send("second").unwrap();
/// assert_eq!(block_on(early.recv()), Ok("first"));
/// assert_eq!(block_on(late.recv()), Ok("second"));
/// ```
pub struct Receiver<T> {
    channel: Arc<WaitList<Channel<T>>>,
    cursor: Cursor<T>,
}

struct Channel<T> {
    /// How many values were sent: the number of the next. Written under the mutex.
    sent: AtomicU64,
    capacity: usize,
    _of: std::marker::PhantomData<fn() -> T>,
}

struct Ring<T> {
    /// Oldest first; only the last may have room.
    blocks: VecDeque<Arc<Block<T>>>,
    senders: usize,
    receivers: usize,
}

/// Values of successive numbers. Each is set once, by a sender that holds the mutex.
struct Block<T> {
    first: u64,
    values: Box<[OnceLock<T>]>,
}

/// Where a receiver stands.
struct Cursor<T> {
    /// The number of the value to read next.
    next: u64,
    /// The block it last read from.
    block: Option<Arc<Block<T>>>,
}

impl<T> Channel<T> {
    #[inline]
    fn sent(&self) -> u64 {
        // ordering: row A.
        self.sent.load(Ordering::Acquire)
    }

    fn oldest(&self, sent: u64) -> u64 {
        sent.saturating_sub(self.capacity as u64)
    }
}

impl<T> Block<T> {
    /// The place of value `number`, if it belongs into this block.
    #[inline]
    fn place(&self, number: u64) -> Option<&OnceLock<T>> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.values.get(index)
    }
}

impl<T> Ring<T> {
    /// The block of value `number`, which is not older than the oldest.
    fn block_of(&self, number: u64) -> Option<&Arc<Block<T>>> {
        let front = self.blocks.front()?;
        let len = front.values.len() as u64;
        let index = usize::try_from(number.checked_sub(front.first)? / len).ok()?;
        self.blocks.get(index)
    }

    /// Puts value `number`, the next, into its place.
    fn put(&mut self, number: u64, capacity: usize, value: T) {
        if self.block_of(number).is_none() {
            let len = capacity.min(BLOCK_LEN_MAX);
            self.blocks.push_back(Arc::new(Block {
                first: number,
                values: (0..len).map(|_| OnceLock::new()).collect(),
            }));
        }
        let place = self.blocks.back().and_then(|block| block.place(number));
        let put = place.is_some_and(|place| place.set(value).is_ok());
        assert!(put, "each number is sent once and has its place");
    }

    /// The block at the front, if all of it is older than `oldest`. It is to be dropped outside the mutex.
    fn pop_fallen(&mut self, oldest: u64) -> Option<Arc<Block<T>>> {
        let front = self.blocks.front()?;
        let fell = front.first + front.values.len() as u64 <= oldest;
        if fell { self.blocks.pop_front() } else { None }
    }
}

impl<T> Cursor<T> {
    const fn at(next: u64) -> Self {
        Self { next, block: None }
    }

    /// H2, H3; `None` is H4.
    #[inline]
    fn read(&mut self, channel: &WaitList<Channel<T>>) -> Option<Result<T, RecvError>>
    where
        T: Clone,
    {
        let sent = channel.shared().sent();
        if self.next == sent {
            return None;
        }
        let oldest = channel.shared().oldest(sent);
        if self.next < oldest {
            return Some(Err(self.skip(oldest)));
        }
        let place = self.block.as_ref().and_then(|it| it.place(self.next));
        let Some(value) = place.and_then(OnceLock::get) else {
            return Some(self.read_next_block(channel));
        };
        // A clone that panics has been received.
        self.next += 1;
        Some(Ok(value.clone()))
    }

    /// H3.
    #[cold]
    fn skip(&mut self, oldest: u64) -> RecvError {
        let lost = oldest - self.next;
        self.next = oldest;
        RecvError::Lagged(lost)
    }

    /// H2, when the value was published but is not in the block at hand.
    #[inline(never)]
    fn read_next_block(&mut self, channel: &WaitList<Channel<T>>) -> Result<T, RecvError>
    where
        T: Clone,
    {
        let locked = channel.lock();
        // It may have fallen out since the first look.
        let oldest = channel.shared().oldest(channel.shared().sent());
        if self.next < oldest {
            drop(locked);
            return Err(self.skip(oldest));
        }
        let block = locked.block_of(self.next).cloned();
        drop(locked);
        let left = std::mem::replace(&mut self.block, block);
        let number = self.next;
        self.next += 1;
        let place = self.block.as_ref().and_then(|it| it.place(number));
        let value = place.and_then(OnceLock::get).cloned();
        drop(left);
        Ok(value.expect("what is published and not too old is in its block"))
    }
}

impl<T> Sender<T> {
    /// Sends a value to everybody who is subscribed; returns how many they are. It never waits: a receiver that is more
    /// than the capacity behind loses the oldest values, and is told so.
    ///
    /// # Errors
    ///
    /// The value, if nobody is subscribed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::broadcast;
    /// let (sender, receiver) = broadcast::channel(4);
    /// let _other = sender.subscribe();
    /// assert_eq!(sender.send("hello"), Ok(2), "so many will hear it");
    /// # drop((receiver, _other));
    /// assert_eq!(sender.send("anybody?"), Err(broadcast::SendError("anybody?")));
    /// ```
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        let mut locked = self.channel.lock();
        let receivers = locked.receivers;
        if receivers == 0 {
            drop(locked);
            return Err(SendError(value));
        }
        let shared = locked.shared();
        let number = shared.sent();
        locked.put(number, shared.capacity, value);
        // ordering: H1, row A.
        shared.sent.store(number + 1, Ordering::Release);
        let fallen = locked.pop_fallen(shared.oldest(number + 1));
        grant_served(locked);
        drop(fallen);
        Ok(receivers)
    }

    /// A new receiver, of what is sent from now on.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::broadcast;
    /// let (sender, _) = broadcast::channel(4);
    /// let mut receiver = sender.subscribe(); // There may be none in between.
    /// sender.send(7).unwrap();
    /// assert_eq!(receiver.try_recv(), Ok(7));
    /// ```
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        subscribe(&self.channel)
    }

    /// How many receivers there are.
    ///
    /// # Examples
    ///
    /// What nobody hears need not be made:
    ///
    /// ```
    /// # use loxley_sync::broadcast;
    /// let (sender, receiver) = broadcast::channel::<String>(4);
    /// drop(receiver);
    /// if sender.receiver_count() > 0 {
    ///     sender.send("a long report".repeat(1000)).unwrap();
    /// }
    /// # assert_eq!(sender.receiver_count(), 0);
    /// ```
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.channel.lock().receivers
    }
}

impl<T: Clone> Receiver<T> {
    /// Waits for the next value.
    ///
    /// # Errors
    ///
    /// [`RecvError::Lagged`] once, if values fell out before they were read; the next call gets the oldest that is left.
    /// [`RecvError::Closed`] if all senders are gone and everything was read.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has received nothing and lost nothing. If there is a value the call completes without waiting.
    ///
    /// # Examples
    ///
    /// Being told of a loss is no end: one goes on with what is left.
    ///
    /// ```
    /// # use loxley_sync::{broadcast::{self, RecvError}, wait::block_on};
    /// let (sender, mut receiver) = broadcast::channel(1);
    /// sender.send(1).unwrap();
    /// sender.send(2).unwrap();
    /// drop(sender);
    /// # block_on(async {
    /// let mut heard = vec![];
    /// loop {
    ///     match receiver.recv().await {
    ///         Ok(value) => heard.push(value),
    ///         Err(RecvError::Lagged(lost)) => heard.push(-(lost as i32)),
    ///         Err(RecvError::Closed) => break,
    ///     }
    /// }
    /// assert_eq!(heard, [-1, 2]);
    /// # });
    /// ```
    #[track_caller]
    pub fn recv(&mut self) -> impl Future<Output = Result<T, RecvError>> + '_ {
        let at = Location::caller();
        async move {
            loop {
                let cursor = &mut self.cursor;
                if let Some(read) = self.channel.claim(at, Next(cursor)).await {
                    return read;
                }
            }
        }
    }

    /// The next value, if it was sent already.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if not; else as [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::broadcast::{self, TryRecvError};
    /// let (sender, mut receiver) = broadcast::channel(4);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send('a').unwrap();
    /// assert_eq!(receiver.try_recv(), Ok('a'));
    /// ```
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        loop {
            match self.cursor.read(&self.channel) {
                Some(Ok(value)) => return Ok(value),
                Some(Err(RecvError::Lagged(lost))) => return Err(TryRecvError::Lagged(lost)),
                Some(Err(RecvError::Closed)) => return Err(TryRecvError::Closed),
                None => {}
            }
            let locked = self.channel.lock();
            // The last sender may have sent, and gone, since the look.
            if self.cursor.next == locked.shared().sent() {
                return Err(match locked.senders {
                    0 => TryRecvError::Closed,
                    _ => TryRecvError::Empty,
                });
            }
        }
    }

    /// [`recv`](Self::recv) on a plain thread, which is blocked. Not for tasks.
    ///
    /// # Panics
    ///
    /// In a task, at the caller's line: it would hold the worker that runs it.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::broadcast;
    /// let (sender, mut receiver) = broadcast::channel(4);
    /// let thread = std::thread::spawn(move || receiver.blocking_recv());
    /// sender.send("to a thread").unwrap();
    /// assert_eq!(thread.join().unwrap(), Ok("to a thread"));
    /// ```
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Result<T, RecvError> {
        block_on(self.recv())
    }
}

impl<T> Receiver<T> {
    /// Another receiver, of what is sent from now on.
    ///
    /// # Examples
    ///
    /// To forget a backlog and hear only what is new:
    ///
    /// ```
    /// # use loxley_sync::broadcast;
    /// let (sender, receiver) = broadcast::channel(4);
    /// sender.send("old").unwrap();
    /// let mut receiver = receiver.resubscribe();
    /// sender.send("new").unwrap();
    /// assert_eq!(receiver.try_recv(), Ok("new"));
    /// ```
    #[must_use]
    pub fn resubscribe(&self) -> Self {
        subscribe(&self.channel)
    }

    /// How many values are there to be read.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::broadcast;
    /// let (sender, mut receiver) = broadcast::channel(4);
    /// sender.send(1).unwrap();
    /// sender.send(2).unwrap();
    /// receiver.try_recv().unwrap();
    /// assert_eq!(receiver.len(), 1);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        let channel = self.channel.shared();
        let sent = channel.sent();
        let unread = sent - self.cursor.next.max(channel.oldest(sent));
        usize::try_from(unread).unwrap_or(usize::MAX)
    }

    /// Whether there is nothing to be read right now.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::broadcast;
    /// let (sender, receiver) = broadcast::channel(4);
    /// assert!(receiver.is_empty());
    /// sender.send(()).unwrap();
    /// assert!(!receiver.is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A receiver of what is sent from now on.
fn subscribe<T>(channel: &Arc<WaitList<Channel<T>>>) -> Receiver<T> {
    let mut locked = channel.lock();
    locked.receivers += 1;
    let next = locked.shared().sent();
    drop(locked);
    Receiver {
        channel: channel.clone(),
        cursor: Cursor::at(next),
    }
}

/// What a future of a receiver wants. `None` is to look again.
struct Next<'a, T>(&'a mut Cursor<T>);

impl<T: Clone> Claim<Channel<T>> for Next<'_, T> {
    type Output = Option<Result<T, RecvError>>;
    const KIND: WaitKind = WaitKind::Queue;

    #[inline]
    fn attempt(&mut self, channel: &WaitList<Channel<T>>) -> Option<Self::Output> {
        self.0.read(channel).map(Some)
    }

    fn enter(&mut self, locked: &mut Locked<'_, Channel<T>>) -> Entry<Self::Output, u64> {
        if self.0.next < locked.shared().sent() {
            // To be read, and cloned, outside the mutex.
            return Entry::Done(None);
        }
        match locked.senders {
            0 => Entry::Done(Some(Err(RecvError::Closed))),
            _ => Entry::Wait(self.0.next),
        }
    }

    #[inline]
    fn granted(self, channel: &WaitList<Channel<T>>, _: u64) -> Self::Output {
        self.0.read(channel)
    }
}

/// H1, H5: grants everybody for whom there is something to see.
#[inline]
fn grant_served<T>(locked: Locked<'_, Channel<T>>) {
    locked.grant_while(|shared, ring, next| *next < shared.sent() || ring.senders == 0);
}

impl<T> Protocol for Channel<T> {
    type State = Ring<T>;
    /// The number of the value waited for.
    type Note = u64;

    fn left(_: &WaitList<Self>, _: u64) {}

    fn give_back(_: &WaitList<Self>, _: u64) {}
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.channel.lock().senders += 1;
        Self {
            channel: self.channel.clone(),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut locked = self.channel.lock();
        locked.senders -= 1;
        if locked.senders == 0 {
            grant_served(locked);
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut locked = self.channel.lock();
        locked.receivers -= 1;
        // Nobody is left to read them.
        let unread = if locked.receivers == 0 {
            std::mem::take(&mut locked.blocks)
        } else {
            VecDeque::new()
        };
        drop(locked);
        drop(unread);
    }
}

/// Nobody is subscribed; the value comes back.
///
/// # Examples
///
/// ```
/// use loxley_sync::broadcast::{self, SendError};
///
/// let (sender, receiver) = broadcast::channel(4);
/// drop(receiver);
/// let SendError(value) = sender.send("unheard").unwrap_err();
/// assert_eq!(value, "unheard");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// Why there was no value.
///
/// # Examples
///
/// ```
/// use loxley_sync::{broadcast, wait::block_on};
///
/// let (sender, mut receiver) = broadcast::channel(2);
/// for n in 0..5 {
///     sender.send(n).unwrap();
/// }
/// // Two were kept, three have fallen out.
/// assert_eq!(block_on(receiver.recv()), Err(broadcast::RecvError::Lagged(3)));
/// assert_eq!(block_on(receiver.recv()), Ok(3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// All senders are gone, and everything was read.
    Closed,
    /// So many values fell out of the ring before they were read.
    Lagged(u64),
}

/// Why there was no value at once.
///
/// # Examples
///
/// ```
/// use loxley_sync::broadcast::{self, TryRecvError};
///
/// let (sender, mut receiver) = broadcast::channel(1);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
/// sender.send(1).unwrap();
/// sender.send(2).unwrap();
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Lagged(1)));
/// assert_eq!(receiver.try_recv(), Ok(2));
/// drop(sender);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// Nothing new was sent.
    Empty,
    /// All senders are gone, and everything was read.
    Closed,
    /// So many values fell out of the ring before they were read.
    Lagged(u64),
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody is subscribed to the broadcast channel")
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("all senders of the broadcast channel are gone"),
            Self::Lagged(lost) => {
                write!(
                    f,
                    "the receiver was too slow and lost {lost} values: read faster or make the channel larger"
                )
            }
        }
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing new was sent to the broadcast channel"),
            Self::Closed => RecvError::Closed.fmt(f),
            Self::Lagged(lost) => RecvError::Lagged(*lost).fmt(f),
        }
    }
}

impl<T> Error for SendError<T> {}
impl Error for RecvError {}
impl Error for TryRecvError {}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("receivers", &self.receiver_count())
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
