//! [`Lock`]: mutual exclusion that tasks wait for.
//!
//! One exchange takes a free lock and one gives it back; the wait list's mutex is for contention alone. Release hands the
//! lock to the oldest waiter inside the call: it is never free in between, so nobody can barge in.
//!
//! | edge | by | word | under the mutex |
//! |---|---|---|---|
//! | K1 | acquire | 0 → LOCKED | no |
//! | K2 | release | LOCKED → 0, nobody waits | no |
//! | K3 | acquire | K1, else raise WAITERS and enlist | yes |
//! | K4 | release | grant the oldest: LOCKED stays | yes |
//! | K5 | release | everybody who waited has left: lower LOCKED | yes |
//! | K6 | last waiter gone | lower WAITERS | yes |
//!
//! *Legal*: WAITERS only together with LOCKED.
//!
//! **Ordering.** Row A: K2, K5 release and K1, K3 acquire: the next holder sees what the last one wrote. K4 publishes
//! through the wait list's grant. Row B: K2 and K3 are read-modify-writes of one word: either K3 finds the lock free, or K2
//! fails and goes through the mutex.

#![expect(
    unsafe_code,
    reason = "the guard's possession of the lock is what makes the value its own"
)]

use crate::ambient::WaitKind;
use crate::error::NotLockedError;
use crate::prim::atomic::{AtomicU8, Ordering};
use crate::prim::cell::UnsafeCell;
use crate::prim::const_fn;
use crate::wait::{Claim, Entry, Locked, Protocol, WaitList, block_on, expect_thread};
use std::fmt;
use std::future::Future;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::Arc;

/// Somebody holds the lock.
const LOCKED: u8 = 1;
/// The list is not empty. Changes only under the mutex.
const WAITERS: u8 = 2;

/// Mutual exclusion for tasks, with the value it protects.
///
/// It may be held across an `.await`. `Lock<()>`, or just `Lock`, protects nothing but itself. It is not re-entrant, is
/// not bound to a task, and a panic while it is held releases it and leaves no mark.
///
/// **Differs from asyncio**: the lock passes to the next waiter inside release, so that
/// [`is_locked`](Self::is_locked) stays true in between.
///
/// # Fairness
///
/// First come, first served; nobody overtakes a waiter.
///
/// # Futurelock
///
/// A future that stands in line and is polled no more keeps everybody behind it waiting: the lock is handed to it and it
/// does not take it. That happens where one task keeps a future of [`acquire`](Self::acquire) aside, borrowed by a `select!`
/// say, and then waits for something else. Poll it on, or drop it first. A runtime in debug mode reports it, with the line
/// that asked for the lock and the line the task waits at instead; so it does for permits and for items of queues.
/// See [RFD 609](https://rfd.shared.oxide.computer/rfd/0609).
///
/// # Examples
///
/// ```
/// use loxley_sync::{Lock, wait::block_on};
///
/// static TOTAL: Lock<u32> = Lock::new(0);
/// block_on(async {
///     *TOTAL.acquire().await += 1;
///     assert_eq!(*TOTAL.acquire().await, 1);
/// });
/// ```
///
/// A guard borrows its lock:
///
/// ```compile_fail
/// # use loxley_sync::Lock;
/// let guard = {
///     let lock = Lock::new(1);
///     lock.try_acquire().unwrap()
/// };
/// ```
///
/// What is not `Send` is not shared through it:
///
/// ```compile_fail
/// # use loxley_sync::Lock;
/// fn shared<T: Sync>() {}
/// shared::<Lock<std::rc::Rc<()>>>();
/// ```
#[doc(alias = "Mutex")]
pub struct Lock<T = ()> {
    waiters: WaitList<Word>,
    value: UnsafeCell<T>,
}

struct Word(AtomicU8);

impl<T> Lock<T> {
    const_fn! {
        /// A lock that nobody holds.
        #[must_use]
        pub const fn new(value: T) -> Self {
            Self {
                waiters: WaitList::new(Word(AtomicU8::new(0)), ()),
                value: UnsafeCell::new(value),
            }
        }
    }

    /// Waits for the lock.
    ///
    /// # Cancel safety
    ///
    /// A future dropped while it waits leaves the queue; one that was handed the lock already passes it on. If the lock
    /// is free the call completes without waiting.
    #[track_caller]
    #[inline]
    #[doc(alias = "lock")]
    pub fn acquire(&self) -> impl Future<Output = LockGuard<'_, T>> {
        self.acquire_at(Location::caller())
    }

    /// Takes the lock if it is free.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::Lock;
    /// let cache = Lock::new(vec![1, 2]);
    /// if let Some(mut held) = cache.try_acquire() {
    ///     held.push(3);
    ///     assert!(cache.try_acquire().is_none(), "one holder at a time");
    /// }
    /// assert_eq!(cache.try_acquire().unwrap().len(), 3);
    /// ```
    #[must_use]
    #[inline]
    pub fn try_acquire(&self) -> Option<LockGuard<'_, T>> {
        let locked = self.waiters.shared().try_lock();
        locked.then(|| LockGuard { lock: self })
    }

    /// [`acquire`](Self::acquire) with a guard that owns a reference to the lock, and may outlive the borrow.
    ///
    /// # Cancel safety
    ///
    /// As [`acquire`](Self::acquire); the reference is dropped with the future.
    ///
    /// # Examples
    ///
    /// A guard that travels:
    ///
    /// ```
    /// # use loxley_sync::{Lock, wait::block_on};
    /// # use std::sync::Arc;
    /// let log = Arc::new(Lock::new(Vec::new()));
    /// let mut guard = block_on(log.clone().acquire_owned());
    /// let writer = std::thread::spawn(move || guard.push("from another thread"));
    /// writer.join().unwrap();
    /// assert_eq!(log.blocking_acquire().len(), 1);
    /// ```
    #[track_caller]
    pub fn acquire_owned(self: Arc<Self>) -> impl Future<Output = OwnedLockGuard<T>> {
        let at = Location::caller();
        async move {
            LockGuard::forget(self.acquire_at(at).await);
            OwnedLockGuard { lock: self }
        }
    }

    /// Takes the lock, if it is free, with a guard that owns a reference to it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::Lock;
    /// # use std::sync::Arc;
    /// let printer = Arc::new(Lock::new(()));
    /// let job = printer.clone().try_acquire_owned();
    /// assert!(job.is_some());
    /// assert!(printer.try_acquire_owned().is_none(), "it prints");
    /// ```
    #[must_use]
    pub fn try_acquire_owned(self: Arc<Self>) -> Option<OwnedLockGuard<T>> {
        let locked = self.waiters.shared().try_lock();
        locked.then(|| OwnedLockGuard { lock: self })
    }

    /// [`acquire`](Self::acquire) on a plain thread, which is blocked. Not for tasks.
    ///
    /// # Panics
    ///
    /// In a task, at the caller's line: it would hold the worker that runs it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::{Lock, wait::block_on};
    /// static SHARED: Lock<u32> = Lock::new(0);
    /// let thread = std::thread::spawn(|| *SHARED.blocking_acquire() += 1);
    /// block_on(async { *SHARED.acquire().await += 1 });
    /// thread.join().unwrap();
    /// assert_eq!(*SHARED.blocking_acquire(), 2);
    /// ```
    #[track_caller]
    pub fn blocking_acquire(&self) -> LockGuard<'_, T> {
        expect_thread();
        match self.try_acquire() {
            Some(guard) => guard,
            None => block_on(self.acquire()),
        }
    }

    /// Whether somebody holds the lock.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::Lock;
    /// let lock = Lock::new(());
    /// let guard = lock.try_acquire();
    /// assert!(lock.is_locked());
    /// drop(guard);
    /// assert!(!lock.is_locked());
    /// ```
    #[must_use]
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        // ordering: relaxed, a glance: whoever acts on it has to acquire.
        self.waiters.shared().0.load(Ordering::Relaxed) & LOCKED != 0
    }

    /// The value, when nobody else can have the lock.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::Lock;
    /// let mut names = Lock::new(vec!["Robin"]);
    /// names.get_mut().push("Marian"); // Before it is shared nobody need wait.
    /// assert_eq!(names.into_inner().len(), 2);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: the mutable borrow of the lock is the only way to it.
        unsafe { &mut *self.value_ptr() }
    }

    /// The value, taken out.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::{Lock, wait::block_on};
    /// let result = Lock::new(String::new());
    /// block_on(async { result.acquire().await.push_str("done") });
    /// assert_eq!(result.into_inner(), "done");
    /// ```
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }

    #[inline]
    pub(crate) fn acquire_at(
        &self,
        at: &'static Location<'static>,
    ) -> impl Future<Output = LockGuard<'_, T>> {
        self.waiters.claim(at, Acquire(self))
    }

    fn value_ptr(&self) -> *mut T {
        self.value.with_mut(|value| value)
    }

    #[inline]
    fn release_held(&self) {
        let released = Word::unlock(&self.waiters);
        debug_assert!(released.is_ok(), "a guard's lock was released by another");
    }
}

impl Lock<()> {
    /// Releases a lock whose guard was [forgotten](LockGuard::forget), from anywhere.
    ///
    /// # Errors
    ///
    /// If nobody holds the lock.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::{Lock, LockGuard, error::NotLockedError, wait::block_on};
    /// let gate = Lock::new(());
    /// LockGuard::forget(block_on(gate.acquire()));
    /// assert_eq!(gate.release(), Ok(()));
    /// assert_eq!(gate.release(), Err(NotLockedError), "once is enough");
    /// ```
    pub fn release(&self) -> Result<(), NotLockedError> {
        Word::unlock(&self.waiters)
    }
}

/// What a future of the lock wants.
struct Acquire<'a, T>(&'a Lock<T>);

impl<'a, T> Claim<Word> for Acquire<'a, T> {
    type Output = LockGuard<'a, T>;
    const KIND: WaitKind = WaitKind::Lock;

    #[inline]
    fn attempt(&mut self, _: &WaitList<Word>) -> Option<LockGuard<'a, T>> {
        self.0.try_acquire()
    }

    fn enter(&mut self, locked: &mut Locked<'_, Word>) -> Entry<LockGuard<'a, T>, ()> {
        match locked.shared().lock_or_expect_waiter() {
            true => Entry::Done(LockGuard { lock: self.0 }),
            false => Entry::Wait(()),
        }
    }

    #[inline]
    fn granted(self, _: &WaitList<Word>, (): ()) -> LockGuard<'a, T> {
        LockGuard { lock: self.0 }
    }
}

impl Word {
    /// K1.
    #[inline]
    fn try_lock(&self) -> bool {
        // ordering: K1, row A.
        self.0
            .compare_exchange(0, LOCKED, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// K3, under the mutex.
    fn lock_or_expect_waiter(&self) -> bool {
        // ordering: relaxed: with WAITERS up the word changes under the mutex only, which is held.
        if self.0.load(Ordering::Relaxed) & WAITERS != 0 {
            return false;
        }
        // ordering: K3, rows A and B.
        self.0
            .fetch_update(Ordering::Acquire, Ordering::Acquire, |word| {
                Some(if word & LOCKED == 0 {
                    LOCKED
                } else {
                    LOCKED | WAITERS
                })
            })
            .is_ok_and(|before| before & LOCKED == 0)
    }

    #[inline]
    fn unlock(list: &WaitList<Self>) -> Result<(), NotLockedError> {
        let word = &list.shared().0;
        // ordering: K2, row A; a failure leads to the mutex, or to an error.
        match word.compare_exchange(LOCKED, 0, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            Err(0) => Err(NotLockedError),
            Err(_) => Self::unlock_contended(list),
        }
    }

    #[cold]
    fn unlock_contended(list: &WaitList<Self>) -> Result<(), NotLockedError> {
        let mut locked = list.lock();
        let word = &list.shared().0;
        // ordering: relaxed: only its being 0 is acted upon, and that is an error either way.
        if word.load(Ordering::Relaxed) & LOCKED == 0 {
            return Err(NotLockedError);
        }
        if !locked.grant_front(|()| {}) {
            // ordering: K5, row A. A store will do: WAITERS went down when the last waiter left, and nobody else changes
            // a word with LOCKED.
            word.store(0, Ordering::Release);
        }
        Ok(())
    }
}

impl Protocol for Word {
    type State = ();
    type Note = ();

    fn emptied(&self) {
        // ordering: K6, relaxed: the mutex orders WAITERS. A store will do: with LOCKED and WAITERS up every exchange
        // without the mutex fails, and row A's release is still to come from the lock's holder.
        self.0.store(LOCKED, Ordering::Relaxed);
    }

    fn left(_: &WaitList<Self>, (): ()) {}

    fn give_back(list: &WaitList<Self>, (): ()) {
        let released = Self::unlock(list);
        debug_assert!(released.is_ok(), "a waiter that was granted held the lock");
    }
}

// SAFETY: sending the lock sends the value; the rest is Send.
unsafe impl<T: Send> Send for Lock<T> {}
// SAFETY: `value` is reached through guards only, one at a time (K1, K3, K4), so sharing the lock at most sends the
// value from holder to holder. The rest is Sync.
unsafe impl<T: Send> Sync for Lock<T> {}

/// Possession of a [`Lock`]; dropping it releases the lock.
///
/// # Examples
///
/// ```
/// use loxley_sync::{Lock, wait::block_on};
///
/// let count = Lock::new(1);
/// let mut guard = block_on(count.acquire());
/// *guard += 1;
/// drop(guard); // Or the end of its block.
/// assert_eq!(count.into_inner(), 2);
/// ```
#[must_use = "the lock is released when the guard is dropped"]
#[clippy::has_significant_drop]
pub struct LockGuard<'a, T = ()> {
    lock: &'a Lock<T>,
}

// SAFETY: a shared guard gives `&T`. (A guard is Send when Lock<T> is Sync, which is when T is Send.)
unsafe impl<T: Sync> Sync for LockGuard<'_, T> {}

impl<'a, T> LockGuard<'a, T> {
    /// The lock that this guard holds.
    ///
    /// # Examples
    ///
    /// Whoever was lent a guard may let go and take the lock again:
    ///
    /// ```
    /// # use loxley_sync::{Lock, LockGuard, wait::block_on};
    /// async fn pause(guard: LockGuard<'_, u32>) -> LockGuard<'_, u32> {
    ///     let lock = LockGuard::lock(&guard);
    ///     drop(guard); // The others have their turn.
    ///     lock.acquire().await
    /// }
    /// let lock = Lock::new(5);
    /// assert_eq!(*block_on(async { pause(lock.acquire().await).await }), 5);
    /// ```
    #[must_use]
    pub fn lock(guard: &Self) -> &'a Lock<T> {
        guard.lock
    }

    /// Gives up the guard and keeps the lock locked.
    ///
    /// Only a lock without a value can be [released](Lock::release) after that.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::{Lock, LockGuard};
    /// let once = Lock::new(());
    /// LockGuard::forget(once.try_acquire().unwrap());
    /// assert!(once.try_acquire().is_none(), "until somebody calls `release`");
    /// ```
    pub fn forget(guard: Self) {
        #[expect(
            clippy::mem_forget,
            reason = "the whole point: the destructor is what releases"
        )]
        mem::forget(guard);
    }
}

impl<T> Deref for LockGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is ours since K1, K3 or K4, and until this guard is dropped.
        unsafe { &*self.lock.value_ptr() }
    }
}

impl<T> DerefMut for LockGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is ours since K1, K3 or K4, and until this guard is dropped.
        unsafe { &mut *self.lock.value_ptr() }
    }
}

impl<T> Drop for LockGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.release_held();
    }
}

/// [`LockGuard`] that owns a reference to its lock.
///
/// # Examples
///
/// It lives in a value that borrows nothing:
///
/// ```
/// use loxley_sync::{Lock, OwnedLockGuard};
/// use std::sync::Arc;
///
/// struct Editor(OwnedLockGuard<String>);
///
/// let file = Arc::new(Lock::new(String::new()));
/// let mut editor = Editor(file.clone().try_acquire_owned().unwrap());
/// editor.0.push_str("chapter one");
/// drop(editor);
/// assert_eq!(*file.blocking_acquire(), "chapter one");
/// ```
#[must_use = "the lock is released when the guard is dropped"]
#[clippy::has_significant_drop]
pub struct OwnedLockGuard<T = ()> {
    lock: Arc<Lock<T>>,
}

// SAFETY: a shared guard gives `&T`. (A guard is Send when Lock<T> is Send and Sync, which is when T is Send.)
unsafe impl<T: Send + Sync> Sync for OwnedLockGuard<T> {}

impl<T> OwnedLockGuard<T> {
    /// The lock that this guard holds.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::{Lock, OwnedLockGuard};
    /// # use std::sync::Arc;
    /// let guard = Arc::new(Lock::new(1)).try_acquire_owned().unwrap();
    /// let again = OwnedLockGuard::lock(&guard).clone();
    /// drop(guard);
    /// assert!(again.try_acquire().is_some());
    /// ```
    #[must_use]
    pub fn lock(guard: &Self) -> &Arc<Lock<T>> {
        &guard.lock
    }
}

impl<T> Deref for OwnedLockGuard<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is ours since K1, K3 or K4, and until this guard is dropped.
        unsafe { &*self.lock.value_ptr() }
    }
}

impl<T> DerefMut for OwnedLockGuard<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is ours since K1, K3 or K4, and until this guard is dropped.
        unsafe { &mut *self.lock.value_ptr() }
    }
}

impl<T> Drop for OwnedLockGuard<T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.release_held();
    }
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Lock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: fmt::Debug> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Lock");
        match self.try_acquire() {
            Some(guard) => debug.field("value", &*guard),
            None => debug.field("value", &format_args!("<locked>")),
        };
        debug.finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for LockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for OwnedLockGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
