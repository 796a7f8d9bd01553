//! A channel that holds one value and tells its receivers that it changed.
//!
//! The value and its version stand under the wait list's mutex; each receiver keeps the version it has seen. A waiter's
//! grant carries nothing: a dropped waiter loses nothing, and finds the change the next time it looks.
//!
//! | edge | by | what, under the mutex |
//! |---|---|---|
//! | J1 | send | the value is replaced, the version rises; grant all who have seen less |
//! | J2 | changed | the version is another than the one seen |
//! | J3 | changed | it is the same: enlist with it |
//! | J4 | last sender gone | grant all; they find the channel closed |

use crate::ambient::WaitKind;
use crate::prim::Arc;
use crate::wait::{Entry, Locked, Protocol, WaitList, Waited, block_on};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem;
use std::ops::Deref;
use std::panic::Location;

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
    let held = Held {
        value: Arc::new(value),
        version: 0,
        senders: 1,
        receivers: 1,
    };
    let channel = Arc::new(WaitList::new(Channel(PhantomData), held));
    (
        Sender {
            channel: channel.clone(),
        },
        Receiver { channel, seen: 0 },
    )
}

/// The end that changes the value; clones change the same one.
pub struct Sender<T> {
    channel: Arc<WaitList<Channel<T>>>,
}

/// An end that sees the value; a clone has seen what its origin had.
pub struct Receiver<T> {
    channel: Arc<WaitList<Channel<T>>>,
    seen: u64,
}

/// The value as it was when it was asked for. It holds no lock: the channel may go on meanwhile.
pub struct Ref<T>(Arc<T>);

struct Channel<T>(PhantomData<fn() -> T>);

struct Held<T> {
    value: Arc<T>,
    version: u64,
    senders: usize,
    receivers: usize,
}

impl<T> Sender<T> {
    /// Replaces the value and tells everybody. It does not wait.
    ///
    /// # Errors
    ///
    /// The value, if there is no receiver; nothing has changed then.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        let mut locked = self.channel.lock();
        if locked.receivers == 0 {
            drop(locked);
            return Err(SendError(value));
        }
        let old = locked.replace(value);
        grant_behind(locked);
        drop(old);
        Ok(())
    }

    /// Replaces the value, whether there is a receiver or not, and returns the old one.
    pub fn send_replace(&self, value: T) -> Ref<T> {
        let mut locked = self.channel.lock();
        let old = locked.replace(value);
        grant_behind(locked);
        Ref(old)
    }

    /// Changes a copy of the value and sends it, unless `modify` returns `false`. If the value is sent by another sender
    /// meanwhile, `modify` is called again.
    pub fn send_if_modified(&self, mut modify: impl FnMut(&mut T) -> bool) -> bool
    where
        T: Clone,
    {
        loop {
            let (origin, version) = {
                let locked = self.channel.lock();
                (locked.value.clone(), locked.version)
            };
            let mut value = T::clone(&origin);
            if !modify(&mut value) {
                return false;
            }
            let mut locked = self.channel.lock();
            if locked.version != version {
                drop(locked);
                continue;
            }
            let old = locked.replace(value);
            grant_behind(locked);
            drop(old);
            return true;
        }
    }

    /// Changes a copy of the value and sends it.
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
    #[must_use]
    pub fn borrow(&self) -> Ref<T> {
        Ref(self.channel.lock().value.clone())
    }

    /// A new receiver, which has seen the value as it is now.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        let mut locked = self.channel.lock();
        locked.receivers += 1;
        let seen = locked.version;
        drop(locked);
        Receiver {
            channel: self.channel.clone(),
            seen,
        }
    }

    /// How many receivers there are.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.channel.lock().receivers
    }

    /// Whether there is no receiver.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }
}

impl<T> Receiver<T> {
    /// The value as it is now, not counted as seen.
    #[must_use]
    pub fn borrow(&self) -> Ref<T> {
        Ref(self.channel.lock().value.clone())
    }

    /// The value as it is now, counted as seen.
    pub fn borrow_and_update(&mut self) -> Ref<T> {
        let locked = self.channel.lock();
        self.seen = locked.version;
        Ref(locked.value.clone())
    }

    /// Whether the value is another than the one seen.
    ///
    /// # Errors
    ///
    /// If it is not and all senders are gone.
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        let locked = self.channel.lock();
        match locked.version != self.seen {
            true => Ok(true),
            false if locked.senders == 0 => Err(RecvError),
            false => Ok(false),
        }
    }

    /// Waits until the value is another than the one seen, and counts it as seen.
    ///
    /// # Errors
    ///
    /// If it is not and all senders are gone.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has seen nothing. If the value has changed the call completes without waiting.
    #[track_caller]
    pub fn changed(&mut self) -> impl Future<Output = Result<(), RecvError>> + '_ {
        let at = Location::caller();
        async move { self.changed_at(at).await }
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
    /// # Errors
    ///
    /// As [`changed`](Self::changed).
    #[track_caller]
    pub fn blocking_changed(&mut self) -> Result<(), RecvError> {
        block_on(self.changed())
    }

    async fn changed_at(&mut self, at: &'static Location<'static>) -> Result<(), RecvError> {
        loop {
            let seen = self.seen;
            let enter = |locked: &mut Locked<'_, Channel<T>>| {
                if locked.version != seen {
                    return Entry::Done(Ok(locked.version));
                }
                if locked.senders == 0 {
                    return Entry::Done(Err(RecvError));
                }
                Entry::Wait(seen)
            };
            let waited = self.channel.wait(WaitKind::Event, at, || None, enter);
            if let Waited::Done(looked) = waited.await {
                self.seen = looked?;
                return Ok(());
            }
        }
    }
}

impl<T> Held<T> {
    /// J1; the old value is to be dropped outside the mutex.
    fn replace(&mut self, value: T) -> Arc<T> {
        self.version += 1;
        mem::replace(&mut self.value, Arc::new(value))
    }
}

/// J1, J4: grants everybody for whom there is something to see.
fn grant_behind<T>(locked: Locked<'_, Channel<T>>) {
    locked.grant_while(|_, held, seen| *seen != held.version || held.senders == 0);
}

impl<T> Protocol for Channel<T> {
    type State = Held<T>;
    /// The version seen.
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
            grant_behind(locked);
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.channel.lock().receivers += 1;
        Self {
            channel: self.channel.clone(),
            seen: self.seen,
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.channel.lock().receivers -= 1;
    }
}

impl<T> Deref for Ref<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// There is no receiver; the value comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// All senders are gone and the value has been seen.
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
