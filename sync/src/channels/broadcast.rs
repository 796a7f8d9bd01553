//! A channel in which every receiver gets every value.
//!
//! A ring of the latest values stands under the wait list's mutex; each receiver keeps the number of the value it reads
//! next. A waiter's grant carries nothing: what it waits for is in the ring, so that a dropped waiter loses nothing.
//!
//! | edge | by | what, under the mutex |
//! |---|---|---|
//! | H1 | send | the ring takes the value, the oldest may fall out; grant all who wait for it |
//! | H2 | recv | the value is in the ring: take a reference |
//! | H3 | recv | it fell out: skip to the oldest and say how many were lost |
//! | H4 | recv | not sent yet: enlist with the number |
//! | H5 | last sender gone | grant all; they find the channel closed |

use crate::ambient::WaitKind;
use crate::prim::Arc;
use crate::wait::{Entry, Locked, Protocol, WaitList, Waited, block_on};
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::Location;

/// Makes a channel that keeps the latest `capacity` values for receivers that are behind.
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
    let ring = Ring {
        values: VecDeque::new(),
        capacity,
        next: 0,
        senders: 1,
        receivers: 1,
    };
    let channel = Arc::new(WaitList::new(Channel(std::marker::PhantomData), ring));
    (
        Sender {
            channel: channel.clone(),
        },
        Receiver { channel, next: 0 },
    )
}

/// The sending end; clones send into the same channel.
pub struct Sender<T> {
    channel: Arc<WaitList<Channel<T>>>,
}

/// A receiving end: gets what was sent since it was made.
pub struct Receiver<T> {
    channel: Arc<WaitList<Channel<T>>>,
    /// The number of the value to read next.
    next: u64,
}

struct Channel<T>(std::marker::PhantomData<fn() -> T>);

struct Ring<T> {
    values: VecDeque<Arc<T>>,
    capacity: usize,
    /// The number of the value to be sent next.
    next: u64,
    senders: usize,
    receivers: usize,
}

impl<T> Ring<T> {
    fn oldest(&self) -> u64 {
        self.next - self.values.len() as u64
    }

    /// H2, H3; `None` is H4.
    fn read(&self, next: &mut u64) -> Option<Result<Arc<T>, RecvError>> {
        let oldest = self.oldest();
        if *next < oldest {
            let lost = oldest - *next;
            *next = oldest;
            return Some(Err(RecvError::Lagged(lost)));
        }
        // What is in the ring is counted by usize.
        let value = usize::try_from(*next - oldest)
            .ok()
            .and_then(|index| self.values.get(index));
        match value {
            Some(value) => {
                *next += 1;
                Some(Ok(value.clone()))
            }
            None if self.senders == 0 => Some(Err(RecvError::Closed)),
            None => None,
        }
    }
}

impl<T> Sender<T> {
    /// Sends a value to everybody who is subscribed; returns how many they are. It never waits: a receiver that is more
    /// than the capacity behind loses the oldest values, and is told so.
    ///
    /// # Errors
    ///
    /// The value, if nobody is subscribed.
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        let mut locked = self.channel.lock();
        let receivers = locked.receivers;
        if receivers == 0 {
            drop(locked);
            return Err(SendError(value));
        }
        let fallen = if locked.values.len() == locked.capacity {
            locked.values.pop_front()
        } else {
            None
        };
        locked.values.push_back(Arc::new(value));
        locked.next += 1;
        grant_served(locked);
        drop(fallen);
        Ok(receivers)
    }

    /// A new receiver, of what is sent from now on.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        let mut locked = self.channel.lock();
        locked.receivers += 1;
        let next = locked.next;
        drop(locked);
        Receiver {
            channel: self.channel.clone(),
            next,
        }
    }

    /// How many receivers there are.
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
    #[track_caller]
    pub fn recv(&mut self) -> impl Future<Output = Result<T, RecvError>> + '_ {
        let at = Location::caller();
        async move {
            loop {
                let mut next = self.next;
                let enter = |locked: &mut Locked<'_, Channel<T>>| match locked.read(&mut next) {
                    Some(read) => Entry::Done((read, next)),
                    None => Entry::Wait(next),
                };
                let waited = self.channel.wait(WaitKind::Queue, at, || None, enter);
                if let Waited::Done((read, next)) = waited.await {
                    self.next = next;
                    return read.map(|value| T::clone(&value));
                }
            }
        }
    }

    /// The next value, if it was sent already.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if not; else as [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let read = self.channel.lock().read(&mut self.next);
        match read {
            Some(Ok(value)) => Ok(T::clone(&value)),
            Some(Err(RecvError::Lagged(lost))) => Err(TryRecvError::Lagged(lost)),
            Some(Err(RecvError::Closed)) => Err(TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }

    /// [`recv`](Self::recv) on a plain thread, which is blocked. Not for tasks.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Result<T, RecvError> {
        block_on(self.recv())
    }
}

impl<T> Receiver<T> {
    /// Another receiver, of what is sent from now on.
    #[must_use]
    pub fn resubscribe(&self) -> Self {
        let mut locked = self.channel.lock();
        locked.receivers += 1;
        let next = locked.next;
        drop(locked);
        Self {
            channel: self.channel.clone(),
            next,
        }
    }

    /// How many values are there to be read.
    #[must_use]
    pub fn len(&self) -> usize {
        let locked = self.channel.lock();
        let unread = locked.next - self.next.max(locked.oldest());
        usize::try_from(unread).unwrap_or(usize::MAX)
    }

    /// Whether there is nothing to be read right now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// H1, H5: grants everybody for whom there is something to see.
fn grant_served<T>(locked: Locked<'_, Channel<T>>) {
    locked.grant_while(|_, ring, next| *next < ring.next || ring.senders == 0);
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
            std::mem::take(&mut locked.values)
        } else {
            VecDeque::new()
        };
        drop(locked);
        drop(unread);
    }
}

/// Nobody is subscribed; the value comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// Why there was no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// All senders are gone, and everything was read.
    Closed,
    /// So many values fell out of the ring before they were read.
    Lagged(u64),
}

/// Why there was no value at once.
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
