//! [`Notify`]: tells one waiter, or all of them, that something happened, without saying what.
//!
//! The word holds one stored notification, whether anybody waits, and how often everybody was notified.
//!
//! | edge | by | word | under the mutex |
//! |---|---|---|---|
//! | N1 | `notify_one` | raise PERMIT, nobody waits | no |
//! | N2 | `notify_one` | grant the oldest; if it left meanwhile, N1 | yes |
//! | N3 | `notify_waiters` | next round, nobody waits | no |
//! | N4 | `notify_waiters` | next round; grant all of older rounds | yes |
//! | N5 | notified | take PERMIT, or see a later round | no |
//! | N6 | notified | N5, else raise WAITERS; enlist with the round | yes |
//! | N7 | last waiter gone | lower WAITERS | yes |
//!
//! **Ordering.** Row A: N1, N3 release, N5, N6 acquire: who is notified sees what came before. Row B: N1, N3 and N6 are
//! read-modify-writes of one word, so of N1 (N3) and N6 one sees the other. Grants publish through the wait list. Row C:
//! while WAITERS is up the word changes under the mutex alone, so that N2, N4 and N7 are a load that acquires and a store
//! that releases.

use crate::ambient::WaitKind;
use crate::prim::atomic::{AtomicUsize, Ordering};
use crate::prim::const_fn;
use crate::wait::{Claim, Entry, Locked, Protocol, WaitList, block_on};
use std::fmt;
use std::future::Future;
use std::panic::Location;

/// A notification is stored for the next one who asks.
const PERMIT: usize = 1;
/// The list is not empty. Changes only under the mutex.
const WAITERS: usize = 2;
/// The unit of the round: how often `notify_waiters` was called. It may wrap; a future would have to sleep through the
/// whole circle to be deceived.
const ROUND: usize = 4;

/// Wakes tasks that wait for something to happen, without a value.
///
/// [`notify_one`](Self::notify_one) wakes the oldest waiter, or is stored, once, for the next to come.
/// [`notify_waiters`](Self::notify_waiters) wakes everybody whose [`notified`](Self::notified) was called before it, and
/// is not stored.
///
/// # Fairness
///
/// Waiters are notified in the order in which they began to wait.
///
/// # Examples
///
/// ```
/// use loxley_sync::{Notify, wait::block_on};
///
/// let notify = Notify::new();
/// notify.notify_one();
/// block_on(notify.notified()); // was stored
/// ```
pub struct Notify {
    waiters: WaitList<Word>,
}

struct Word(AtomicUsize);

/// What a waiter carries.
#[derive(Debug)]
struct Ask {
    round: usize,
    /// Set by N2: the notification was for one, and is passed on if the waiter does not live to see it.
    for_one: bool,
}

impl Notify {
    const_fn! {
        /// With nothing stored and nobody waiting.
        #[must_use]
        pub const fn new() -> Self {
            Self {
                waiters: WaitList::new(Word(AtomicUsize::new(0)), ()),
            }
        }
    }

    /// Notifies the oldest waiter; without one, the notification is stored for the next to wait. At most one is stored.
    ///
    /// # Examples
    ///
    /// A word that comes before anybody waits is kept, and only one:
    ///
    /// ```
    /// # use loxley_sync::{Notify, wait::block_on};
    /// # use std::{future::Future, pin::pin, task::{Context, Waker}};
    /// let bell = Notify::new();
    /// bell.notify_one();
    /// bell.notify_one();
    /// block_on(bell.notified());
    /// let mut next = pin!(bell.notified());
    /// assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    /// ```
    #[inline]
    pub fn notify_one(&self) {
        Word::notify_one(&self.waiters);
    }

    /// Notifies everybody whose [`notified`](Self::notified) was called before, polled or not.
    ///
    /// # Panics
    ///
    /// If a waker panics; everybody else is woken first.
    ///
    /// # Examples
    ///
    /// Everybody who asked before hears it, and nobody who asks later:
    ///
    /// ```
    /// # use loxley_sync::{Notify, wait::block_on};
    /// # use std::{future::Future, pin::pin, task::{Context, Waker}};
    /// let notify = Notify::new();
    /// let before = notify.notified();
    /// notify.notify_waiters();
    /// block_on(before);
    /// let mut later = pin!(notify.notified());
    /// assert!(later.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    /// ```
    pub fn notify_waiters(&self) {
        // ordering: N3, row A; a failure only leads to the mutex.
        let quiet =
            self.waiters
                .shared()
                .0
                .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| {
                    (word & WAITERS == 0).then(|| word.wrapping_add(ROUND))
                });
        if quiet.is_ok() {
            return;
        }
        let locked = self.waiters.lock();
        // ordering: N4, row A. Whoever waited may have left: then N1, N3 and N5 interfere.
        let before = locked.shared().0.fetch_add(ROUND, Ordering::AcqRel);
        let latest = round(before).wrapping_add(ROUND);
        // Nobody in the list is of a later round than this one while the mutex is held; while it is free between two
        // batches others may come, and they carry a later one.
        locked.grant_while(|_, (), ask| latest.wrapping_sub(ask.round) as isize > 0);
    }

    /// Waits for a notification: one stored, one to come by [`notify_one`](Self::notify_one), or any
    /// [`notify_waiters`](Self::notify_waiters) after this call, whether the future was polled before it or not.
    ///
    /// # Cancel safety
    ///
    /// A future dropped after it was chosen by `notify_one` and before it completed passes the notification on to the next
    /// waiter. If a notification is stored the call completes without waiting. Dropping loses the place in the queue.
    #[track_caller]
    #[inline]
    pub fn notified(&self) -> impl Future<Output = ()> + '_ {
        self.notified_at(Location::caller())
    }

    /// [`notified`](Self::notified) on behalf of who called at `at`.
    #[inline]
    pub(crate) fn notified_at(
        &self,
        at: &'static Location<'static>,
    ) -> impl Future<Output = ()> + '_ {
        // ordering: acquire, so that the round does not come from before what the caller has seen.
        let since = round(self.waiters.shared().0.load(Ordering::Acquire));
        self.waiters.claim(at, Since(since))
    }

    /// [`notified`](Self::notified) on a plain thread, which is blocked. Not for tasks.
    ///
    /// # Panics
    ///
    /// In a task, at the caller's line: it would hold the worker that runs it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::Notify;
    /// # use std::sync::atomic::{AtomicBool, Ordering};
    /// static CHANGED: Notify = Notify::new();
    /// # static DONE: AtomicBool = AtomicBool::new(false);
    /// let thread = std::thread::spawn(|| {
    ///     CHANGED.blocking_notified();
    ///     # assert!(DONE.load(Ordering::Acquire));
    /// });
    /// # DONE.store(true, Ordering::Release);
    /// CHANGED.notify_one(); // Kept, if the thread does not wait yet.
    /// thread.join().unwrap();
    /// ```
    #[track_caller]
    pub fn blocking_notified(&self) {
        block_on(self.notified());
    }
}

fn round(word: usize) -> usize {
    word & !(PERMIT | WAITERS)
}

/// What a future of the notify wants: to be notified in a later round than this, or alone.
struct Since(usize);

impl Claim<Word> for Since {
    type Output = ();
    const KIND: WaitKind = WaitKind::Event;

    #[inline]
    fn attempt(&mut self, list: &WaitList<Word>) -> Option<()> {
        list.shared().take(self.0, 0).then_some(())
    }

    fn enter(&mut self, locked: &mut Locked<'_, Word>) -> Entry<(), Ask> {
        match locked.shared().take(self.0, WAITERS) {
            true => Entry::Done(()),
            false => Entry::Wait(Ask {
                round: self.0,
                for_one: false,
            }),
        }
    }

    #[inline]
    fn granted(self, _: &WaitList<Word>, _: Ask) {}
}

impl Word {
    /// N5 and, with `raise` = WAITERS, N6: whether the one who asks since `since` is notified already.
    #[inline]
    fn take(&self, since: usize, raise: usize) -> bool {
        // ordering: N5, row A.
        let mut word = self.0.load(Ordering::Acquire);
        loop {
            if round(word) != since {
                // A later round notifies without using up the permit.
                return true;
            }
            let notified = word & PERMIT != 0;
            let next = if notified {
                word & !PERMIT
            } else {
                word | raise
            };
            if next == word {
                return false;
            }
            // ordering: N5, N6, rows A and B.
            match self
                .0
                .compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return notified,
                Err(now) => word = now,
            }
        }
    }

    fn notify_one(list: &WaitList<Self>) {
        // ordering: N1, row A; a failure only leads to the mutex.
        let stored = list
            .shared()
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| {
                (word & WAITERS == 0).then_some(word | PERMIT)
            });
        if stored.is_ok() {
            return;
        }
        let mut locked = list.lock();
        if !locked.grant_front(|ask| ask.for_one = true) {
            // ordering: N2 falling back to N1, row A.
            locked.shared().0.fetch_or(PERMIT, Ordering::AcqRel);
        }
    }
}

impl Protocol for Word {
    type State = ();
    type Note = Ask;

    fn emptied(&self) {
        // ordering: N7, row C.
        let word = self.0.load(Ordering::Acquire);
        // ordering: N7, row C.
        self.0.store(word & !WAITERS, Ordering::Release);
    }

    fn left(_: &WaitList<Self>, _: Ask) {}

    fn give_back(list: &WaitList<Self>, ask: Ask) {
        if ask.for_one {
            Self::notify_one(list);
        }
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // ordering: relaxed, a glance for a reader.
        let word = self.waiters.shared().0.load(Ordering::Relaxed);
        f.debug_struct("Notify")
            .field("stored", &(word & PERMIT != 0))
            .field("awaited", &(word & WAITERS != 0))
            .finish_non_exhaustive()
    }
}
