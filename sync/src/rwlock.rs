//! [`RwLock`]: many readers or one writer, and a reader who may become the writer.
//!
//! One exchange takes the lock and one gives it back while nobody waits. Newcomers stand behind whoever waits, readers
//! behind writers too, in one lane; who upgrades holds a place in the lock already and stands in the side lane, which is
//! served first.
//!
//! | edge | by | word | under the mutex |
//! |---|---|---|---|
//! | G1 | read, upgradable, write | admitted if the word allows it and nobody waits | no |
//! | G2 | release | the share goes back, nobody waits | no |
//! | G3 | read, upgradable, write | G1, else raise WAITERS and enlist | yes |
//! | G4 | release, a waiter leaving | the share goes back; the upgrade, then the heads are admitted as far as the word allows | yes |
//! | G5 | upgrade | UPGRADABLE → WRITER once no reader is left; else raise WAITERS and enlist aside | yes |
//! | G6 | downgrade | WRITER → one reader, or UPGRADABLE; then G4 | yes |
//! | G7 | last waiter gone | lower WAITERS | yes |
//! | G8 | upgrade dropped after it was granted | WRITER → UPGRADABLE; then G4 | yes |
//!
//! *Legal*: WRITER excludes readers and UPGRADABLE.
//!
//! **Ordering.** Row A: G2, G4, G6 release and G1, G3, G5 acquire: who is admitted sees what was written before. All
//! edges are read-modify-writes, so a release sequence runs through them and a writer synchronizes with every reader that
//! left. Row B: of G2 and G3 one sees the other.

#![expect(
    unsafe_code,
    reason = "the guards' shares in the lock are what makes the value theirs"
)]

use crate::ambient::WaitKind;
use crate::prim::atomic::{AtomicUsize, Ordering};
use crate::prim::cell::UnsafeCell;
use crate::prim::const_fn;
use crate::wait::{Claim, Entry, Lane, Locked, Protocol, WaitList, block_on};
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::Location;

/// The list is not empty. Changes only under the mutex.
const WAITERS: usize = 1;
/// A writer holds the lock.
const WRITER: usize = 2;
/// The one reader who may upgrade holds the lock.
const UPGRADABLE: usize = 4;
/// One plain reader. There is room for more than memory has.
const READER: usize = 8;

/// A value that many may read or one may write, across `.await`s.
///
/// An *upgradable* reader reads beside the others, excludes writers and other upgradable readers, and may become the
/// writer without letting anybody in between. A panic releases the lock and leaves no mark.
///
/// # Fairness
///
/// First come, first served: a reader does not overtake a waiting writer. Hence a task that reads must not ask to read
/// again before it lets go: with a writer between the two it would wait for itself.
///
/// # Examples
///
/// ```
/// use loxley_sync::{RwLock, wait::block_on};
///
/// static NAMES: RwLock<Vec<&str>> = RwLock::new(Vec::new());
/// block_on(async {
///     NAMES.write().await.push("Robin");
///     let reader = NAMES.upgradable_read().await;
///     if !reader.contains(&"Marian") {
///         reader.upgrade().await.push("Marian");
///     }
///     assert_eq!(NAMES.read().await.len(), 2);
/// });
/// ```
///
/// A value that cannot be shared cannot be read by many:
///
/// ```compile_fail
/// # use loxley_sync::RwLock;
/// fn shared<T: Sync>() {}
/// shared::<RwLock<std::cell::Cell<u8>>>();
/// ```
pub struct RwLock<T> {
    waiters: WaitList<Word>,
    value: UnsafeCell<T>,
}

struct Word(AtomicUsize);

/// What a waiter asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    Read,
    Upgradable,
    Write,
    /// From upgradable to write.
    Upgrade,
}

impl Share {
    /// The word after this share was taken, if `word` allows it.
    fn admit(self, word: usize) -> Option<usize> {
        match self {
            Self::Read => (word & WRITER == 0).then_some(word + READER),
            Self::Upgradable => (word & (WRITER | UPGRADABLE) == 0).then_some(word | UPGRADABLE),
            Self::Write => (word & !WAITERS == 0).then_some(word | WRITER),
            Self::Upgrade => (word & !WAITERS == UPGRADABLE).then_some((word & WAITERS) | WRITER),
        }
    }

    /// The word after this share was given back.
    fn give_back(self, word: usize) -> usize {
        match self {
            Self::Read => word - READER,
            Self::Upgradable => word & !UPGRADABLE,
            Self::Write => word & !WRITER,
            Self::Upgrade => word & !WRITER | UPGRADABLE,
        }
    }
}

impl<T> RwLock<T> {
    const_fn! {
        /// A lock that nobody holds.
        #[must_use]
        pub const fn new(value: T) -> Self {
            Self {
                waiters: WaitList::new(Word(AtomicUsize::new(0)), ()),
                value: UnsafeCell::new(value),
            }
        }
    }

    /// Waits to read.
    ///
    /// # Cancel safety
    ///
    /// A future dropped while it waits leaves the queue; a share it was granted already goes back. If nobody writes or
    /// waits the call completes without waiting.
    #[track_caller]
    pub fn read(&self) -> impl Future<Output = ReadGuard<'_, T>> {
        self.waiters.claim(Location::caller(), Reading(self))
    }

    /// Waits to write.
    ///
    /// # Cancel safety
    ///
    /// As [`read`](Self::read).
    #[track_caller]
    pub fn write(&self) -> impl Future<Output = WriteGuard<'_, T>> {
        self.waiters.claim(Location::caller(), Writing(self))
    }

    /// Waits to read with the right to [upgrade](UpgradableGuard::upgrade).
    ///
    /// # Cancel safety
    ///
    /// As [`read`](Self::read).
    ///
    /// # Examples
    ///
    /// Look first, and write only where there is a need:
    ///
    /// ```
    /// # use loxley_sync::{RwLock, wait::block_on};
    /// # block_on(async {
    /// let cache = RwLock::new(Vec::new());
    /// let seen = cache.upgradable_read().await;
    /// if seen.is_empty() {
    ///     let mut held = seen.upgrade().await; // Nobody has written in between.
    ///     held.push("computed");
    /// }
    /// assert_eq!(*cache.read().await, ["computed"]);
    /// # });
    /// ```
    #[track_caller]
    pub fn upgradable_read(&self) -> impl Future<Output = UpgradableGuard<'_, T>> {
        self.waiters
            .claim(Location::caller(), ReadingUpgradable(self))
    }

    /// Reads, if nobody writes or waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::RwLock;
    /// let page = RwLock::new("text");
    /// let (mine, yours) = (page.try_read(), page.try_read());
    /// assert!(mine.is_some() && yours.is_some());
    /// # drop((mine, yours));
    /// let _author = page.try_write();
    /// assert!(page.try_read().is_none());
    /// ```
    #[must_use]
    #[inline]
    pub fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        let admitted = self.waiters.shared().try_admit(Share::Read);
        admitted.then(|| ReadGuard { lock: self })
    }

    /// Writes, if nobody reads, writes or waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::RwLock;
    /// let page = RwLock::new(1);
    /// *page.try_write().unwrap() += 1;
    /// let reader = page.try_read().unwrap();
    /// assert!(page.try_write().is_none());
    /// assert_eq!(*reader, 2);
    /// ```
    #[must_use]
    #[inline]
    pub fn try_write(&self) -> Option<WriteGuard<'_, T>> {
        let admitted = self.waiters.shared().try_admit(Share::Write);
        admitted.then(|| WriteGuard { lock: self })
    }

    /// Reads with the right to upgrade, if nobody else has it, writes or waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::RwLock;
    /// let page = RwLock::new(1);
    /// let _reader = page.try_read();
    /// let _editor = page.try_upgradable_read().expect("readers do not mind");
    /// assert!(page.try_upgradable_read().is_none(), "one has the right to upgrade");
    /// assert!(page.try_read().is_some());
    /// ```
    #[must_use]
    pub fn try_upgradable_read(&self) -> Option<UpgradableGuard<'_, T>> {
        let admitted = self.waiters.shared().try_admit(Share::Upgradable);
        admitted.then(|| UpgradableGuard { lock: self })
    }

    /// [`read`](Self::read) on a plain thread, which is blocked. Not for tasks.
    ///
    /// # Panics
    ///
    /// In a task, at the caller's line: it would hold the worker that runs it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::RwLock;
    /// static CONFIG: RwLock<u32> = RwLock::new(80);
    /// let threads = [0, 1].map(|_| std::thread::spawn(|| *CONFIG.blocking_read()));
    /// assert_eq!(threads.map(|thread| thread.join().unwrap()), [80, 80]);
    /// ```
    #[track_caller]
    pub fn blocking_read(&self) -> ReadGuard<'_, T> {
        block_on(self.read())
    }

    /// [`write`](Self::write) on a plain thread, which is blocked. Not for tasks.
    ///
    /// # Panics
    ///
    /// In a task, at the caller's line: it would hold the worker that runs it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::{RwLock, wait::block_on};
    /// static CONFIG: RwLock<u32> = RwLock::new(80);
    /// let watcher = std::thread::spawn(|| *CONFIG.blocking_write() = 8080);
    /// watcher.join().unwrap();
    /// assert_eq!(*block_on(CONFIG.read()), 8080);
    /// ```
    #[track_caller]
    pub fn blocking_write(&self) -> WriteGuard<'_, T> {
        block_on(self.write())
    }

    /// The value, when nobody else can have the lock.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::RwLock;
    /// let mut table = RwLock::new(vec![1]);
    /// table.get_mut().push(2); // `&mut`: nobody reads.
    /// assert_eq!(table.into_inner(), [1, 2]);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: the mutable borrow of the lock is the only way to it.
        unsafe { &mut *self.value_mut() }
    }

    /// The value, taken out.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::RwLock;
    /// let total = RwLock::new(1);
    /// *total.try_write().unwrap() = 2;
    /// assert_eq!(total.into_inner(), 2);
    /// ```
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }

    fn value_ref(&self) -> *const T {
        self.value.with(|value| value)
    }

    fn value_mut(&self) -> *mut T {
        self.value.with_mut(|value| value)
    }
}

/// Declares what a future of the lock wants: which share, for which guard.
macro_rules! claims {
    ($($name:ident: $share:expr, $try:ident => $guard:ident;)+) => {$(
        struct $name<'a, T>(&'a RwLock<T>);

        impl<'a, T> Claim<Word> for $name<'a, T> {
            type Output = $guard<'a, T>;
            const KIND: WaitKind = WaitKind::Lock;

            #[inline]
            fn attempt(&mut self, _: &WaitList<Word>) -> Option<$guard<'a, T>> {
                self.0.$try()
            }

            fn enter(&mut self, locked: &mut Locked<'_, Word>) -> Entry<$guard<'a, T>, Share> {
                match locked.shared().admit_or_expect_waiter($share) {
                    true => Entry::Done($guard { lock: self.0 }),
                    false => Entry::Wait($share),
                }
            }

            #[inline]
            fn granted(self, _: &WaitList<Word>, _: Share) -> $guard<'a, T> {
                $guard { lock: self.0 }
            }
        }
    )+};
}

claims! {
    Reading: Share::Read, try_read => ReadGuard;
    ReadingUpgradable: Share::Upgradable, try_upgradable_read => UpgradableGuard;
    Writing: Share::Write, try_write => WriteGuard;
}

/// What an upgrade wants. The guard gives its share back if the wait is dropped, behind the waiter (G8).
struct Upgrading<'a, T>(Option<UpgradableGuard<'a, T>>);

impl<'a, T> Upgrading<'a, T> {
    /// The upgradable share has become the writer's.
    fn upgraded(&mut self) -> WriteGuard<'a, T> {
        let guard = self.0.take().expect("an upgrade completes once");
        let lock = guard.lock;
        #[expect(clippy::mem_forget, reason = "its share has become the writer's")]
        std::mem::forget(guard);
        WriteGuard { lock }
    }
}

impl<'a, T> Claim<Word> for Upgrading<'a, T> {
    type Output = WriteGuard<'a, T>;
    const KIND: WaitKind = WaitKind::Lock;

    fn enter(&mut self, locked: &mut Locked<'_, Word>) -> Entry<WriteGuard<'a, T>, Share> {
        match locked.shared().admit_or_expect_waiter(Share::Upgrade) {
            true => Entry::Done(self.upgraded()),
            false => Entry::WaitAside(Share::Upgrade),
        }
    }

    fn granted(mut self, _: &WaitList<Word>, _: Share) -> WriteGuard<'a, T> {
        self.upgraded()
    }
}

impl Word {
    /// G1.
    #[inline]
    fn try_admit(&self, share: Share) -> bool {
        // ordering: relaxed, a first guess for the exchange.
        let mut word = self.0.load(Ordering::Relaxed);
        while word & WAITERS == 0 {
            let Some(next) = share.admit(word) else {
                return false;
            };
            // ordering: G1, row A; release as well, so that a reader's arrival does not end a release sequence.
            match self
                .0
                .compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// G3 and G5, under the mutex.
    fn admit_or_expect_waiter(&self, share: Share) -> bool {
        let admitted = |word: usize| {
            // An upgrade does not stand behind those who wait: they wait for it.
            let in_turn = word & WAITERS == 0 || share == Share::Upgrade;
            if in_turn { share.admit(word) } else { None }
        };
        // ordering: G3, G5, rows A and B.
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                Some(admitted(word).unwrap_or(word | WAITERS))
            })
            .is_ok_and(|before| admitted(before).is_some())
    }

    #[inline]
    fn release(list: &WaitList<Self>, share: Share) {
        let this = list.shared();
        // ordering: relaxed, a first guess for the exchange.
        let mut word = this.0.load(Ordering::Relaxed);
        while word & WAITERS == 0 {
            // ordering: G2, row A.
            match this.0.compare_exchange_weak(
                word,
                share.give_back(word),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
        Self::release_contended(list, share);
    }

    /// G4, G6, G8.
    #[cold]
    fn release_contended(list: &WaitList<Self>, share: Share) {
        let locked = list.lock();
        locked.shared().change(|word| share.give_back(word));
        Self::admit_waiters(locked);
    }

    /// Under the mutex: one exchange that cannot fail.
    fn change(&self, next: impl Fn(usize) -> usize) {
        // ordering: G4, G6, G8, row A.
        let changed = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| Some(next(word)));
        debug_assert!(changed.is_ok(), "it never says no");
    }

    /// The upgrade first, then the heads, as far as the word allows.
    fn admit_waiters(mut locked: Locked<'_, Self>) {
        let pick = |this: &Self, share: Share| {
            // ordering: G4, row A: what is given back passes through here to the one admitted.
            this.0
                .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| {
                    share.admit(word)
                })
                .is_ok()
        };
        if locked.waiters_in(Lane::Side) > 0 {
            if !pick(locked.shared(), Share::Upgrade) {
                // Everybody else stands behind the upgrade, but for its being granted they wait for nothing new.
                return;
            }
            locked.grant_front_in(Lane::Side, |_| {});
            return;
        }
        locked.grant_while(|this, (), share| pick(this, *share));
    }
}

impl Protocol for Word {
    type State = ();
    type Note = Share;

    fn emptied(&self) {
        // ordering: G7, relaxed: the mutex orders WAITERS, and a read-modify-write keeps row A's release sequence whole.
        self.0.fetch_and(!WAITERS, Ordering::Relaxed);
    }

    /// A writer, or an upgrade, may have held up readers.
    fn left(list: &WaitList<Self>, _: Share) {
        Self::admit_waiters(list.lock());
    }

    fn give_back(list: &WaitList<Self>, share: Share) {
        Self::release(list, share);
    }
}

// SAFETY: sending the lock sends the value; the rest is Send.
unsafe impl<T: Send> Send for RwLock<T> {}
// SAFETY: sharing the lock shares the value between readers (Sync) and sends it from writer to writer (Send). It is
// reached through guards only, whose shares exclude each other as `Share::admit` says. The rest is Sync.
unsafe impl<T: Send + Sync> Sync for RwLock<T> {}

/// A reader's share of a [`RwLock`]; dropping it gives it back.
///
/// # Examples
///
/// ```
/// use loxley_sync::{RwLock, wait::block_on};
///
/// let names = RwLock::new(vec!["Robin"]);
/// let one = block_on(names.read());
/// let other = block_on(names.read()); // At the same time.
/// assert_eq!(one.len(), other.len());
/// ```
#[must_use = "the share is given back when the guard is dropped"]
#[clippy::has_significant_drop]
pub struct ReadGuard<'a, T> {
    lock: &'a RwLock<T>,
}

/// An upgradable reader's share of a [`RwLock`]; dropping it gives it back.
///
/// # Examples
///
/// To look first, and to keep others from changing what was seen until it is changed:
///
/// ```
/// use loxley_sync::{RwLock, wait::block_on};
///
/// let cache = RwLock::new(None);
/// block_on(async {
///     let seen = cache.upgradable_read().await;
///     if seen.is_none() {
///         *seen.upgrade().await = Some("computed once");
///     }
///     assert!(cache.read().await.is_some());
/// });
/// ```
#[must_use = "the share is given back when the guard is dropped"]
#[clippy::has_significant_drop]
pub struct UpgradableGuard<'a, T> {
    lock: &'a RwLock<T>,
}

/// Possession of a [`RwLock`]; dropping it gives it back.
///
/// # Examples
///
/// ```
/// use loxley_sync::{RwLock, wait::block_on};
///
/// let names = RwLock::new(vec!["Robin"]);
/// let mut writer = block_on(names.write());
/// writer.push("Marian");
/// assert!(names.try_read().is_none());
/// drop(writer);
/// assert_eq!(names.try_read().unwrap().len(), 2);
/// ```
#[must_use = "the lock is released when the guard is dropped"]
#[clippy::has_significant_drop]
pub struct WriteGuard<'a, T> {
    lock: &'a RwLock<T>,
}

impl<'a, T> UpgradableGuard<'a, T> {
    /// Waits until the other readers are gone, and becomes the writer. Nobody writes in between, and no new reader is
    /// let in while it waits.
    ///
    /// # Cancel safety
    ///
    /// A future dropped while it waits gives the share back.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::{RwLock, wait::block_on};
    /// let hits = RwLock::new(1);
    /// block_on(async {
    ///     let seen = hits.upgradable_read().await;
    ///     let next = *seen + 1;
    ///     *seen.upgrade().await = next; // Still what was seen: nobody wrote in between.
    ///     assert_eq!(*hits.read().await, 2);
    /// });
    /// ```
    #[track_caller]
    pub fn upgrade(self) -> impl Future<Output = WriteGuard<'a, T>> {
        let list = &self.lock.waiters;
        list.claim(Location::caller(), Upgrading(Some(self)))
    }

    /// Becomes the writer if there is no other reader.
    ///
    /// # Errors
    ///
    /// The guard, if there is.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::RwLock;
    /// let lock = RwLock::new(0);
    /// let reader = lock.try_read();
    /// let upgradable = lock.try_upgradable_read().unwrap();
    /// let upgradable = upgradable.try_upgrade().expect_err("somebody reads");
    /// drop(reader);
    /// *upgradable.try_upgrade().unwrap() = 1;
    /// assert_eq!(*lock.try_read().unwrap(), 1);
    /// ```
    pub fn try_upgrade(self) -> Result<WriteGuard<'a, T>, Self> {
        let lock = self.lock;
        // ordering: G5, row A.
        let upgraded =
            lock.waiters
                .shared()
                .0
                .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| {
                    Share::Upgrade.admit(word)
                });
        if upgraded.is_err() {
            return Err(self);
        }
        #[expect(clippy::mem_forget, reason = "its share has become the writer's")]
        std::mem::forget(self);
        Ok(WriteGuard { lock })
    }

    /// Becomes a plain reader.
    ///
    /// # Examples
    ///
    /// It was not needed after all; another may have the right:
    ///
    /// ```
    /// # use loxley_sync::RwLock;
    /// let lock = RwLock::new(7);
    /// let reader = lock.try_upgradable_read().unwrap().downgrade();
    /// assert!(lock.try_upgradable_read().is_some());
    /// assert_eq!(*reader, 7);
    /// ```
    pub fn downgrade(self) -> ReadGuard<'a, T> {
        let lock = self.lock;
        #[expect(clippy::mem_forget, reason = "its share is exchanged below")]
        std::mem::forget(self);
        lock.exchange(|word| (word & !UPGRADABLE) + READER);
        ReadGuard { lock }
    }
}

impl<'a, T> WriteGuard<'a, T> {
    /// Becomes a reader; nobody writes in between.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::RwLock;
    /// let lock = RwLock::new(0);
    /// let mut writer = lock.try_write().unwrap();
    /// *writer = 1;
    /// let reader = writer.downgrade();
    /// assert_eq!(*lock.try_read().unwrap(), 1, "others may read again");
    /// assert!(lock.try_write().is_none());
    /// # drop(reader);
    /// ```
    pub fn downgrade(self) -> ReadGuard<'a, T> {
        let lock = self.lock;
        #[expect(clippy::mem_forget, reason = "its share is exchanged below")]
        std::mem::forget(self);
        lock.exchange(|word| (word & !WRITER) + READER);
        ReadGuard { lock }
    }

    /// Becomes an upgradable reader; nobody writes in between.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::RwLock;
    /// let lock = RwLock::new(0);
    /// let seen = lock.try_write().unwrap().downgrade_to_upgradable();
    /// assert!(lock.try_read().is_some());
    /// *seen.try_upgrade().unwrap() += 1; // And back.
    /// assert_eq!(lock.into_inner(), 1);
    /// ```
    pub fn downgrade_to_upgradable(self) -> UpgradableGuard<'a, T> {
        let lock = self.lock;
        #[expect(clippy::mem_forget, reason = "its share is exchanged below")]
        std::mem::forget(self);
        lock.exchange(|word| word & !WRITER | UPGRADABLE);
        UpgradableGuard { lock }
    }
}

impl<T> RwLock<T> {
    /// G6.
    fn exchange(&self, next: impl Fn(usize) -> usize) {
        let locked = self.waiters.lock();
        locked.shared().change(next);
        Word::admit_waiters(locked);
    }
}

impl<T> Deref for ReadGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: a reader's share is ours since G1, G3 or G4 until this guard is dropped; no writer is admitted.
        unsafe { &*self.lock.value_ref() }
    }
}

impl<T> Deref for UpgradableGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the upgradable share is ours since G1, G3, G4 or G6 until this guard is dropped; no writer is admitted.
        unsafe { &*self.lock.value_ref() }
    }
}

impl<T> Deref for WriteGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: WRITER is ours since G1, G3, G4 or G5 until this guard is dropped; nobody else is admitted.
        unsafe { &*self.lock.value_ref() }
    }
}

impl<T> DerefMut for WriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: WRITER is ours since G1, G3, G4 or G5 until this guard is dropped; nobody else is admitted.
        unsafe { &mut *self.lock.value_mut() }
    }
}

impl<T> Drop for ReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        Word::release(&self.lock.waiters, Share::Read);
    }
}

impl<T> Drop for UpgradableGuard<'_, T> {
    fn drop(&mut self) {
        Word::release(&self.lock.waiters, Share::Upgradable);
    }
}

impl<T> Drop for WriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        Word::release(&self.lock.waiters, Share::Write);
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RwLock");
        match self.try_read() {
            Some(guard) => debug.field("value", &*guard),
            None => debug.field("value", &format_args!("<locked>")),
        };
        debug.finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for ReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for UpgradableGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for WriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
