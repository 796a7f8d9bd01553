//! A channel that holds one value and tells its receivers that it changed.
//!
//! One atomic word holds the version of the value; each receiver keeps the version it has seen, and compares. The value
//! itself stands under a mutex of its own. Receivers wait in one of several *shards*, each a wait list, so that a
//! thousand of them that come back do not meet at one mutex while the sender is still waking the rest.
//!
//! A waiter's grant carries a share in the value, so that those who look as soon as they are woken need not meet at the
//! value's mutex; it is no more than what they would find there. So a dropped waiter loses nothing, and finds the change the
//! next time it looks.
//!
//! | edge | by | word | under |
//! |---|---|---|---|
//! | J1 | send | the version rises; then J5 for every shard whose bit is up | the value's mutex |
//! | J2 | changed | the version is another than the one seen | nothing |
//! | J3 | changed | it is the same: raise the shard's bit, unless it is up; enlist with the version | the shard's mutex |
//! | J4 | last sender gone | raise CLOSED; then as J1 | nothing |
//! | J5 | send | grant all in the shard who have seen less, with the value that was sent and its version; if nobody was there lower the bit | the shard's mutex |
//! | J6 | changed, borrow | the version is that of the grant: its value is the latest | nothing |
//!
//! *Legal*: if anybody is in a shard its bit is up. The bit may stay up when they are gone; the next sender finds out.
//!
//! **Ordering.** Row A: J1 and J4 release, J2 acquires: who sees the version sees what came before the *send*. Row B,
//! no change is slept through: J1 and the raising in J3 are read-modify-writes of one word. If J3's comes first, J1 sees the
//! bit and goes to the shard, after the waiter enlisted, for both hold its mutex. If J1 comes first, J3 sees the version.
//! When J3 finds the bit up and only loads, its load may be too old: but then J1 saw the bit, too, and J5 either comes later
//! and finds the waiter, or came earlier and showed it the version with the mutex. (J5 lowers the bit under that mutex.)

use crate::ambient::WaitKind;
use crate::prim::atomic::{AtomicU64, Ordering};
use crate::prim::lock::Mutex;
use crate::prim::{Arc, IS_MODEL};
use crate::wait::{Claim, Entry, Locked, Protocol, WaitList, block_on};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

/// How many wait lists the receivers of a channel are spread over.
const SHARDS: usize = if IS_MODEL { 2 } else { 8 };
/// One bit per shard, from the lowest on: somebody may be in it.
const SHARD_BITS: u64 = (1 << SHARDS) - 1;
/// All senders are gone.
const CLOSED: u64 = 1 << SHARDS;
/// The unit of the version. It may wrap; a receiver would have to sleep through the whole circle to be deceived.
const VERSION: u64 = CLOSED << 1;

/// Makes a channel that holds `value` at first. The receiver counts it as seen.
///
/// # Examples
///
/// ```
/// use loxley_sync::{wait::block_on, watch};
///
/// let (sender, mut receiver) = watch::channel(1);
/// sender.send(2)?;
/// sender.send(3)?; // 2 may never be seen
/// block_on(receiver.changed()).unwrap();
/// assert_eq!(*receiver.borrow_and_update(), 3);
/// # Ok::<_, watch::SendError<i32>>(())
/// ```
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Channel {
        word: AtomicU64::new(0),
        held: Mutex::new(Held {
            value: Arc::new(value),
            senders: 1,
            receivers: 1,
            next_shard: 1,
        }),
        shards: std::array::from_fn(|_| WaitList::new(Shard(PhantomData), ())),
    });
    let receiver = Receiver {
        channel: channel.clone(),
        seen: 0,
        shard: 0,
        told: None,
    };
    (Sender { channel }, receiver)
}

/// A value and its version.
type Told<T> = (u64, Arc<T>);

/// The end that changes the value; clones change the same one.
///
/// # Examples
///
/// ```
/// use loxley_sync::watch;
///
/// let (sender, receiver) = watch::channel("starting");
/// let other = sender.clone();
/// other.send("ready").unwrap();
/// assert_eq!((*sender.borrow(), *receiver.borrow()), ("ready", "ready"));
/// ```
pub struct Sender<T> {
    channel: Arc<Channel<T>>,
}

/// An end that sees the value; a clone has seen what its origin had.
///
/// # Examples
///
/// ```
/// use loxley_sync::watch;
///
/// let (sender, mut receiver) = watch::channel(0);
/// sender.send(1).unwrap();
/// let same = receiver.clone();
/// receiver.borrow_and_update();
/// assert_eq!(receiver.has_changed(), Ok(false));
/// assert_eq!(same.has_changed(), Ok(true), "each counts for itself");
/// ```
pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
    /// The version, as it stands in the word.
    seen: u64,
    shard: usize,
    /// What the last grant carried, until it is looked at or the next wait begins.
    told: Option<Told<T>>,
}

/// The value as it was when it was asked for. It holds no lock: the channel may go on meanwhile.
///
/// # Examples
///
/// ```
/// use loxley_sync::watch;
///
/// let (sender, receiver) = watch::channel(vec![1]);
/// let seen = receiver.borrow();
/// sender.send(vec![1, 2]).unwrap(); // Not held up by `seen`.
/// assert_eq!((seen.len(), receiver.borrow().len()), (1, 2));
/// ```
pub struct Ref<T>(Arc<T>);

struct Channel<T> {
    /// Version, CLOSED, one bit per shard.
    word: AtomicU64,
    held: Mutex<Held<T>>,
    shards: [WaitList<Shard<T>>; SHARDS],
}

struct Held<T> {
    value: Arc<T>,
    senders: usize,
    receivers: usize,
    /// Where the next receiver will wait.
    next_shard: usize,
}

/// What is shared of a shard without its mutex: nothing, the word is the channel's.
struct Shard<T>(PhantomData<fn() -> T>);

/// What a receiver in a shard has seen, and what it is told.
struct Note<T> {
    seen: u64,
    told: Option<Told<T>>,
}

fn version(word: u64) -> u64 {
    word & !(CLOSED | SHARD_BITS)
}

impl<T> Sender<T> {
    /// Replaces the value and tells everybody. It does not wait.
    ///
    /// # Errors
    ///
    /// The value, if there is no receiver; nothing has changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::watch;
    /// let (sender, receiver) = watch::channel(1);
    /// assert_eq!(sender.send(2), Ok(()));
    /// drop(receiver);
    /// assert_eq!(sender.send(3), Err(watch::SendError(3)));
    /// assert_eq!(*sender.borrow(), 2);
    /// ```
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        let mut held = self.channel.held.lock();
        if held.receivers == 0 {
            drop(held);
            return Err(SendError(value));
        }
        let value = Arc::new(value);
        let (old, before) = self.channel.replace(&mut held, &value);
        drop(held);
        self.channel.wake(before, Some(&value));
        drop(old);
        Ok(())
    }

    /// Replaces the value, whether there is a receiver or not, and returns the old one.
    ///
    /// # Examples
    ///
    /// A state that is kept up to date whether somebody looks or not:
    ///
    /// ```
    /// # use loxley_sync::watch;
    /// let (state, _) = watch::channel("idle");
    /// assert_eq!(*state.send_replace("busy"), "idle");
    /// assert_eq!(*state.subscribe().borrow(), "busy");
    /// ```
    pub fn send_replace(&self, value: T) -> Ref<T> {
        let value = Arc::new(value);
        let mut held = self.channel.held.lock();
        let (old, before) = self.channel.replace(&mut held, &value);
        drop(held);
        self.channel.wake(before, Some(&value));
        Ref(old)
    }

    /// Changes a copy of the value and sends it, unless `modify` returns `false`. If the value is sent by another sender
    /// meanwhile, `modify` is called again.
    ///
    /// # Examples
    ///
    /// Nobody is woken for what makes no difference:
    ///
    /// ```
    /// # use loxley_sync::watch;
    /// let (level, receiver) = watch::channel(3);
    /// let raise = |to: u8| level.send_if_modified(|level| {
    ///     let rises = to > *level;
    ///     *level = to.max(*level);
    ///     rises
    /// });
    /// assert!(!raise(2));
    /// assert_eq!(receiver.has_changed(), Ok(false));
    /// assert!(raise(5));
    /// assert_eq!(receiver.has_changed(), Ok(true));
    /// ```
    pub fn send_if_modified(&self, mut modify: impl FnMut(&mut T) -> bool) -> bool
    where
        T: Clone,
    {
        loop {
            let origin = self.channel.value();
            let mut value = T::clone(&origin);
            if !modify(&mut value) {
                return false;
            }
            let mut held = self.channel.held.lock();
            // While it is in our hands no other value can have its place in memory.
            if !Arc::ptr_eq(&held.value, &origin) {
                drop(held);
                continue;
            }
            let value = Arc::new(value);
            let (old, before) = self.channel.replace(&mut held, &value);
            drop(held);
            self.channel.wake(before, Some(&value));
            drop(old);
            return true;
        }
    }

    /// Changes a copy of the value and sends it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::watch;
    /// let (peers, mut receiver) = watch::channel(vec!["a"]);
    /// peers.send_modify(|peers| peers.push("b"));
    /// assert_eq!(*receiver.borrow_and_update(), ["a", "b"]);
    /// ```
    pub fn send_modify(&self, mut modify: impl FnMut(&mut T))
    where
        T: Clone,
    {
        self.send_if_modified(|value| {
            modify(value);
            true
        });
    }

    /// The value as it is now.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::watch;
    /// let (sender, _receiver) = watch::channel(80);
    /// let port = *sender.borrow();
    /// sender.send(port + 1).unwrap();
    /// assert_eq!(*sender.borrow(), 81);
    /// ```
    #[must_use]
    pub fn borrow(&self) -> Ref<T> {
        Ref(self.channel.value())
    }

    /// A new receiver, which has seen the value as it is now.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::watch;
    /// let (sender, _) = watch::channel(1);
    /// let receiver = sender.subscribe();
    /// assert_eq!(receiver.has_changed(), Ok(false), "it begins with what is");
    /// sender.send(2).unwrap();
    /// assert_eq!(receiver.has_changed(), Ok(true));
    /// ```
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver::new(&self.channel, None)
    }

    /// How many receivers there are.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::watch;
    /// let (sender, receiver) = watch::channel(());
    /// let other = receiver.clone();
    /// assert_eq!(sender.receiver_count(), 2);
    /// # drop((receiver, other));
    /// ```
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.channel.held.lock().receivers
    }

    /// Whether there is no receiver.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::watch;
    /// let (sender, receiver) = watch::channel(0);
    /// drop(receiver);
    /// assert!(sender.is_closed());
    /// let _receiver = sender.subscribe();
    /// assert!(!sender.is_closed(), "not for ever");
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }
}

impl<T> Receiver<T> {
    /// The value as it is now, not counted as seen.
    ///
    /// # Examples
    ///
    /// To look without missing the change afterwards:
    ///
    /// ```
    /// # use loxley_sync::{wait::block_on, watch};
    /// let (sender, mut receiver) = watch::channel(1);
    /// sender.send(2).unwrap();
    /// assert_eq!(*receiver.borrow(), 2);
    /// assert_eq!(block_on(receiver.changed()), Ok(()), "it still counts as new");
    /// ```
    #[must_use]
    pub fn borrow(&self) -> Ref<T> {
        match &self.told {
            Some((sent, value)) if *sent == version(self.channel.word()) => Ref(value.clone()),
            _ => Ref(self.channel.value()),
        }
    }

    /// The value as it is now, counted as seen.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::watch;
    /// let (sender, mut receiver) = watch::channel(1);
    /// sender.send(2).unwrap();
    /// assert_eq!(*receiver.borrow_and_update(), 2);
    /// assert_eq!(receiver.has_changed(), Ok(false));
    /// ```
    #[inline]
    pub fn borrow_and_update(&mut self) -> Ref<T> {
        if let Some((sent, value)) = self.told.take() {
            // J6.
            if sent == version(self.channel.word()) {
                self.seen = sent;
                return Ref(value);
            }
        }
        let held = self.channel.held.lock();
        // Under the mutex it is the version of this very value.
        self.seen = version(self.channel.word());
        Ref(held.value.clone())
    }

    /// Whether the value is another than the one seen.
    ///
    /// # Errors
    ///
    /// If it is not and all senders are gone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::watch;
    /// let (sender, receiver) = watch::channel(1);
    /// assert_eq!(receiver.has_changed(), Ok(false));
    /// sender.send(2).unwrap();
    /// drop(sender);
    /// assert_eq!(receiver.has_changed(), Ok(true), "the last value is news, too");
    /// ```
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        let word = self.channel.word();
        match version(word) != self.seen {
            true => Ok(true),
            false if word & CLOSED != 0 => Err(RecvError),
            false => Ok(false),
        }
    }

    /// Waits until the value is another than the one seen, and counts it as seen.
    ///
    /// A value that is replaced stays in memory until the receivers that were woken for it look at the value or wait again.
    ///
    /// # Errors
    ///
    /// If it is not and all senders are gone.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has seen nothing. If the value has changed the call completes without waiting.
    ///
    /// # Examples
    ///
    /// The loop of those who follow a value:
    ///
    /// ```
    /// # use loxley_sync::{wait::block_on, watch};
    /// let (sender, mut receiver) = watch::channel(0);
    /// let follower = std::thread::spawn(move || block_on(async {
    ///     let mut last = *receiver.borrow();
    ///     while receiver.changed().await.is_ok() {
    ///         last = *receiver.borrow();
    ///     }
    ///     last
    /// }));
    /// for value in 1..=100 {
    ///     sender.send(value).unwrap();
    /// }
    /// drop(sender);
    /// assert_eq!(follower.join().unwrap(), 100, "some may be skipped, the last is not");
    /// ```
    #[track_caller]
    pub fn changed(&mut self) -> impl Future<Output = Result<(), RecvError>> + '_ {
        self.changed_at(Location::caller())
    }

    /// Waits until `condition` holds for the value; at once, if it does already. The value counts as seen.
    ///
    /// # Errors
    ///
    /// If it does not and all senders are gone.
    ///
    /// # Cancel safety
    ///
    /// As [`changed`](Self::changed), but values for which `condition` did not hold count as seen.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::{wait::block_on, watch};
    /// let (sender, mut state) = watch::channel("starting");
    /// let server = std::thread::spawn(move || {
    ///     sender.send("binding").unwrap();
    ///     sender.send("ready").unwrap();
    /// });
    /// assert_eq!(*block_on(state.wait_for(|state| *state == "ready")).unwrap(), "ready");
    /// # server.join().unwrap();
    /// ```
    #[track_caller]
    pub fn wait_for<'a>(
        &'a mut self,
        mut condition: impl FnMut(&T) -> bool + 'a,
    ) -> impl Future<Output = Result<Ref<T>, RecvError>> + 'a {
        let at = Location::caller();
        async move {
            loop {
                let value = self.borrow_and_update();
                if condition(&value) {
                    return Ok(value);
                }
                drop(value);
                self.changed_at(at).await?;
            }
        }
    }

    /// [`changed`](Self::changed) on a plain thread, which is blocked. Not for tasks.
    ///
    /// # Panics
    ///
    /// In a task, at the caller's line: it would hold the worker that runs it.
    ///
    /// # Errors
    ///
    /// As [`changed`](Self::changed).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::watch;
    /// let (sender, mut receiver) = watch::channel(1);
    /// let thread = std::thread::spawn(move || {
    ///     receiver.blocking_changed()?;
    ///     Ok::<_, watch::RecvError>(*receiver.borrow())
    /// });
    /// sender.send(2).unwrap();
    /// assert_eq!(thread.join().unwrap(), Ok(2));
    /// ```
    #[track_caller]
    pub fn blocking_changed(&mut self) -> Result<(), RecvError> {
        block_on(self.changed())
    }

    fn changed_at(
        &mut self,
        at: &'static Location<'static>,
    ) -> impl Future<Output = Result<(), RecvError>> + '_ {
        let shard = self.shard;
        self.told = None;
        let change = Change {
            channel: &self.channel,
            seen: &mut self.seen,
            told: &mut self.told,
            shard,
        };
        self.channel.shards[shard].claim(at, change)
    }

    /// Another receiver of `channel`, which has seen what `origin` has, or else the value as it is now.
    fn new(channel: &Arc<Channel<T>>, origin: Option<u64>) -> Self {
        let mut held = channel.held.lock();
        held.receivers += 1;
        let shard = held.next_shard % SHARDS;
        held.next_shard = shard + 1;
        let seen = origin.unwrap_or_else(|| version(channel.word()));
        drop(held);
        Self {
            channel: channel.clone(),
            seen,
            shard,
            told: None,
        }
    }
}

impl<T> Channel<T> {
    #[inline]
    fn word(&self) -> u64 {
        // ordering: J2, row A.
        self.word.load(Ordering::Acquire)
    }

    fn value(&self) -> Arc<T> {
        self.held.lock().value.clone()
    }

    /// J1; the old value, to be dropped outside the mutex, and the word before, for [`wake`](Self::wake).
    fn replace(&self, held: &mut Held<T>, value: &Arc<T>) -> (Arc<T>, u64) {
        let old = mem::replace(&mut held.value, value.clone());
        // ordering: J1, rows A and B.
        (old, self.word.fetch_add(VERSION, Ordering::AcqRel))
    }

    /// J5 for every shard whose bit is up in `word`, the word before J1, with the value sent there, or before J4.
    fn wake(&self, word: u64, value: Option<&Arc<T>>) {
        let sent = version(word.wrapping_add(VERSION));
        let mut first_panic = None;
        for shard in (0..SHARDS).filter(|shard| word & (1 << shard) != 0) {
            // A waker that panics does not keep the other shards waiting.
            if let Err(panic) =
                catch_unwind(AssertUnwindSafe(|| self.wake_shard(shard, sent, value)))
            {
                first_panic.get_or_insert(panic);
            }
        }
        if let Some(panic) = first_panic {
            resume_unwind(panic);
        }
    }

    /// J5.
    fn wake_shard(&self, shard: usize, sent: u64, value: Option<&Arc<T>>) {
        let locked = self.shards[shard].lock();
        if locked.waiters() == 0 {
            // ordering: J5, relaxed: nothing travels with a bit going down, and the mutex orders it against J3.
            self.word.fetch_and(!(1 << shard), Ordering::Relaxed);
            return;
        }
        let word = self.word();
        locked.grant_while(|_, (), note| {
            let grant = note.seen != version(word) || word & CLOSED != 0;
            if grant {
                note.told = value.map(|value| (sent, value.clone()));
            }
            grant
        });
    }

    /// J3 as far as the word goes: whether there is a need to wait.
    fn expect_waiter(&self, seen: u64, shard: usize) -> Result<(), u64> {
        let same = |word: u64| version(word) == seen && word & CLOSED == 0;
        let word = self.word();
        if !same(word) {
            return Err(word);
        }
        if word & (1 << shard) != 0 {
            return Ok(());
        }
        // ordering: J3, rows A and B.
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                same(word).then_some(word | 1 << shard)
            })
            .map(drop)
    }
}

/// What a future of a receiver wants.
struct Change<'a, T> {
    channel: &'a Channel<T>,
    seen: &'a mut u64,
    told: &'a mut Option<Told<T>>,
    shard: usize,
}

impl<T> Change<'_, T> {
    /// J2; `None` if nothing has changed.
    #[inline]
    fn look(&mut self, word: u64) -> Option<Result<(), RecvError>> {
        if version(word) != *self.seen {
            *self.seen = version(word);
            return Some(Ok(()));
        }
        (word & CLOSED != 0).then_some(Err(RecvError))
    }
}

impl<T> Claim<Shard<T>> for Change<'_, T> {
    type Output = Result<(), RecvError>;
    const KIND: WaitKind = WaitKind::Event;

    #[inline]
    fn attempt(&mut self, _: &WaitList<Shard<T>>) -> Option<Self::Output> {
        self.look(self.channel.word())
    }

    fn enter(&mut self, _: &mut Locked<'_, Shard<T>>) -> Entry<Self::Output, Note<T>> {
        let seen = *self.seen;
        match self.channel.expect_waiter(seen, self.shard) {
            Ok(()) => Entry::Wait(Note { seen, told: None }),
            Err(word) => Entry::Done(self.look(word).unwrap_or(Ok(()))),
        }
    }

    #[inline]
    fn granted(mut self, _: &WaitList<Shard<T>>, note: Note<T>) -> Self::Output {
        *self.told = note.told;
        let word = self.channel.word();
        self.look(word).unwrap_or(Ok(()))
    }
}

impl<T> Protocol for Shard<T> {
    type State = ();
    type Note = Note<T>;

    fn left(_: &WaitList<Self>, _: Note<T>) {}

    fn give_back(_: &WaitList<Self>, _: Note<T>) {}
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.channel.held.lock().senders += 1;
        Self {
            channel: self.channel.clone(),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut held = self.channel.held.lock();
        held.senders -= 1;
        let last = held.senders == 0;
        drop(held);
        if last {
            // ordering: J4, rows A and B.
            let before = self.channel.word.fetch_or(CLOSED, Ordering::AcqRel);
            self.channel.wake(before, None);
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self::new(&self.channel, Some(self.seen))
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.channel.held.lock().receivers -= 1;
    }
}

impl<T> Deref for Ref<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// There is no receiver; the value comes back.
///
/// # Examples
///
/// ```
/// use loxley_sync::watch::{self, SendError};
///
/// let (sender, receiver) = watch::channel(1);
/// drop(receiver);
/// let SendError(unseen) = sender.send(2).unwrap_err();
/// assert_eq!(unseen, 2);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// All senders are gone and the value has been seen.
///
/// # Examples
///
/// ```
/// use loxley_sync::{wait::block_on, watch};
///
/// let (sender, mut receiver) = watch::channel(1);
/// drop(sender);
/// assert_eq!(block_on(receiver.changed()), Err(watch::RecvError));
/// assert_eq!(*receiver.borrow(), 1, "the value stays");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvError;

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the watch channel has no receiver")
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("all senders of the watch channel are gone")
    }
}

impl<T> Error for SendError<T> {}
impl Error for RecvError {}

impl<T: fmt::Debug> fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("value", &self.borrow())
            .finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("value", &self.borrow())
            .finish_non_exhaustive()
    }
}
