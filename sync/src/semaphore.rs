//! [`Semaphore`] and [`BoundedSemaphore`]: a number of permits.
//!
//! One exchange takes permits that are there and one gives them back; the mutex is for contention alone. While anybody
//! waits the permits move under the mutex only, so that nobody can barge in.
//!
//! | edge | by | word | under the mutex |
//! |---|---|---|---|
//! | S1 | acquire | permits −n, nobody waits and there are enough | no |
//! | S2 | release | permits +n, nobody waits | no |
//! | S3 | acquire | S1, else raise WAITERS and enlist | yes |
//! | S4 | release, a waiter leaving | permits +n; grant from the head as long as they suffice, −n each | yes |
//! | S5 | last waiter gone | lower WAITERS | yes |
//!
//! **Ordering.** Row A: S2, S4 release and S1, S3 acquire: who acquires sees what came before the release. S1 to S3 are
//! read-modify-writes, so that the release sequence of one S2 survives the next. S4 and S5 are a load that acquires and a
//! store that releases, which hands on what was read; no exchange can fall between the two, for with WAITERS up S1 and S2
//! fail, and the mutex excludes the rest. Row B: of S2 and S3 one sees the other.

use crate::ambient::WaitKind;
use crate::error::ReleaseError;
use crate::prim::atomic::{AtomicUsize, Ordering};
use crate::prim::const_fn;
use crate::wait::{Claim, Entry, Locked, Protocol, WaitList, block_on, expect_thread};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

/// The list is not empty. Changes only under the mutex.
const WAITERS: usize = 1;
/// One permit.
const PERMIT: usize = 2;

/// A number of permits that tasks take and give back.
///
/// # Fairness
///
/// First come, first served: who asks for many holds up who asks for few, and nobody overtakes a waiter.
///
/// **Differs from asyncio**: there a waiter that was granted a permit counts as waiting until it runs, and newcomers wait
/// with it even if another permit is free. Here it has its permit from the moment it was granted, and a permit that is
/// free while nobody waits without one goes to whoever asks: none lies idle for as long as a busy worker takes.
///
/// # Examples
///
/// ```
/// use loxley_sync::{Semaphore, wait::block_on};
///
/// static CONNECTIONS: Semaphore = Semaphore::new(2);
/// block_on(async {
///     let first = CONNECTIONS.acquire().await;
///     let _second = CONNECTIONS.acquire().await;
///     assert!(CONNECTIONS.try_acquire().is_none());
///     drop(first);
///     assert!(CONNECTIONS.try_acquire().is_some());
/// });
/// ```
pub struct Semaphore {
    waiters: WaitList<Word>,
}

/// A [`Semaphore`] that cannot be released more often than it was acquired.
///
/// # Fairness
///
/// As [`Semaphore`].
///
/// # Examples
///
/// ```
/// use loxley_sync::{BoundedSemaphore, wait};
///
/// let semaphore = BoundedSemaphore::new(1);
/// let permit = wait::block_on(semaphore.acquire());
/// assert!(semaphore.is_locked());
/// drop(permit);
/// assert!(semaphore.release().is_err()); // Nobody has it.
/// ```
pub struct BoundedSemaphore {
    inner: Semaphore,
}

struct Word {
    word: AtomicUsize,
    bound: usize,
}

impl Semaphore {
    /// The most permits a semaphore can hold. Releasing beyond it panics.
    pub const MAX_PERMITS: usize = usize::MAX >> 2;

    const_fn! {
        /// A semaphore with `permits` permits, at most [`MAX_PERMITS`](Self::MAX_PERMITS).
        ///
        /// # Panics
        ///
        /// If there are more.
        #[must_use]
        pub const fn new(permits: usize) -> Self {
            assert!(permits <= Semaphore::MAX_PERMITS, "more permits than Semaphore::MAX_PERMITS");
            Self {
                waiters: WaitList::new(
                    Word { word: AtomicUsize::new(permits * PERMIT), bound: Semaphore::MAX_PERMITS },
                    (),
                ),
            }
        }
    }

    /// Waits for a permit.
    ///
    /// # Cancel safety
    ///
    /// A future dropped while it waits leaves the queue; a permit it was granted already goes to the next. If a permit is
    /// there the call completes without waiting.
    #[track_caller]
    #[inline]
    pub fn acquire(&self) -> impl Future<Output = Permit<'_>> {
        self.acquire_many(1)
    }

    /// Waits for `n` permits, all at once.
    ///
    /// # Panics
    ///
    /// If `n` is more than the semaphore can ever hold.
    ///
    /// # Cancel safety
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// Something large takes several places at once, and no deadlock comes of two that have half of theirs:
    ///
    /// ```
    /// # use loxley_sync::{Semaphore, wait::block_on};
    /// static MEGABYTES: Semaphore = Semaphore::new(64);
    /// let film = block_on(MEGABYTES.acquire_many(48));
    /// assert_eq!(MEGABYTES.available_permits(), 16);
    /// drop(film); // All of them go back.
    /// assert_eq!(MEGABYTES.available_permits(), 64);
    /// ```
    #[track_caller]
    #[inline]
    pub fn acquire_many(&self, n: usize) -> impl Future<Output = Permit<'_>> {
        self.acquire_at(n, Location::caller())
    }

    /// Takes a permit if one is there and nobody waits.
    #[must_use]
    #[inline]
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.try_acquire_many(1)
    }

    /// Takes `n` permits if they are there and nobody waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::Semaphore;
    /// let tokens = Semaphore::new(3);
    /// assert!(tokens.try_acquire_many(4).is_none(), "all or nothing");
    /// assert_eq!(tokens.try_acquire_many(3).unwrap().permits(), 3);
    /// ```
    #[must_use]
    #[inline]
    pub fn try_acquire_many(&self, n: usize) -> Option<Permit<'_>> {
        let taken = self.waiters.shared().try_take(n);
        taken.then(|| Permit { semaphore: self, n })
    }

    /// [`acquire`](Self::acquire) with a permit that owns a reference to the semaphore.
    ///
    /// # Cancel safety
    ///
    /// As [`acquire`](Self::acquire); the reference is dropped with the future.
    ///
    /// # Examples
    ///
    /// A permit that goes to another thread or task and ends there:
    ///
    /// ```
    /// # use loxley_sync::{Semaphore, wait::block_on};
    /// # use std::sync::Arc;
    /// let limit = Arc::new(Semaphore::new(1));
    /// let permit = block_on(limit.clone().acquire_owned());
    /// let worker = std::thread::spawn(move || drop(permit)); // When the work is done.
    /// let _next = block_on(limit.acquire_owned());
    /// # worker.join().unwrap();
    /// ```
    #[track_caller]
    pub fn acquire_owned(self: Arc<Self>) -> impl Future<Output = OwnedPermit> {
        self.acquire_many_owned(1)
    }

    /// [`acquire_many`](Self::acquire_many) with permits that own a reference to the semaphore.
    ///
    /// # Panics
    ///
    /// If `n` is more than the semaphore can ever hold.
    ///
    /// # Cancel safety
    ///
    /// As [`acquire_many`](Self::acquire_many); the reference is dropped with the future.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::{Semaphore, wait::block_on};
    /// # use std::sync::Arc;
    /// let slots = Arc::new(Semaphore::new(4));
    /// let batch = block_on(slots.clone().acquire_many_owned(3));
    /// let worker = std::thread::spawn(move || batch.permits());
    /// assert_eq!(worker.join().unwrap(), 3);
    /// assert_eq!(slots.available_permits(), 4);
    /// ```
    #[track_caller]
    pub fn acquire_many_owned(self: Arc<Self>, n: usize) -> impl Future<Output = OwnedPermit> {
        let at = Location::caller();
        self.check(n);
        async move {
            self.acquire_at(n, at).await.forget();
            OwnedPermit { semaphore: self, n }
        }
    }

    /// Takes a permit that owns a reference to the semaphore, if one is there and nobody waits.
    ///
    /// # Examples
    ///
    /// Shedding load: who finds no permit is turned away and does not queue.
    ///
    /// ```
    /// # use loxley_sync::Semaphore;
    /// # use std::sync::Arc;
    /// let requests = Arc::new(Semaphore::new(1));
    /// let served = requests.clone().try_acquire_owned();
    /// let refused = requests.clone().try_acquire_owned();
    /// assert!(served.is_some() && refused.is_none());
    /// ```
    #[must_use]
    pub fn try_acquire_owned(self: Arc<Self>) -> Option<OwnedPermit> {
        self.try_acquire_many_owned(1)
    }

    /// Takes `n` permits that own a reference to the semaphore, if they are there and nobody waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::Semaphore;
    /// # use std::sync::Arc;
    /// let lanes = Arc::new(Semaphore::new(4));
    /// // Twice the speed if there is room for it, else at one.
    /// let permit = lanes.clone().try_acquire_many_owned(5).or(lanes.try_acquire_many_owned(2));
    /// assert_eq!(permit.unwrap().permits(), 2);
    /// ```
    #[must_use]
    pub fn try_acquire_many_owned(self: Arc<Self>, n: usize) -> Option<OwnedPermit> {
        let taken = self.waiters.shared().try_take(n);
        taken.then(|| OwnedPermit { semaphore: self, n })
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
    /// # use loxley_sync::Semaphore;
    /// static DISKS: Semaphore = Semaphore::new(2);
    /// let threads: Vec<_> = (0..4)
    ///     .map(|_| std::thread::spawn(|| DISKS.blocking_acquire().permits()))
    ///     .collect();
    /// for thread in threads {
    ///     assert_eq!(thread.join().unwrap(), 1);
    /// }
    /// ```
    #[track_caller]
    pub fn blocking_acquire(&self) -> Permit<'_> {
        expect_thread();
        match self.try_acquire() {
            Some(permit) => permit,
            None => block_on(self.acquire()),
        }
    }

    /// Adds a permit, whether it was acquired before or not.
    ///
    /// # Panics
    ///
    /// If there would be more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    ///
    /// # Examples
    ///
    /// Permits that are made by events and used up, never given back:
    ///
    /// ```
    /// # use loxley_sync::{Semaphore, wait::block_on};
    /// let tickets = Semaphore::new(0);
    /// tickets.release();
    /// block_on(tickets.acquire()).forget();
    /// assert!(tickets.try_acquire().is_none());
    /// ```
    #[track_caller]
    pub fn release(&self) {
        self.release_many(1);
    }

    /// Adds `n` permits.
    ///
    /// # Panics
    ///
    /// If there would be more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    ///
    /// # Examples
    ///
    /// A limit that is raised while it is in use:
    ///
    /// ```
    /// # use loxley_sync::Semaphore;
    /// let limit = Semaphore::new(2);
    /// limit.release_many(3);
    /// assert_eq!(limit.available_permits(), 5);
    /// ```
    #[track_caller]
    pub fn release_many(&self, n: usize) {
        assert!(
            n <= Self::MAX_PERMITS && Word::release(&self.waiters, n).is_ok(),
            "the semaphore would hold more than Semaphore::MAX_PERMITS permits"
        );
    }

    /// How many permits are there.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::Semaphore;
    /// let seats = Semaphore::new(10);
    /// let _group = seats.try_acquire_many(7);
    /// assert_eq!(seats.available_permits(), 3);
    /// ```
    #[must_use]
    pub fn available_permits(&self) -> usize {
        // ordering: relaxed, a glance: whoever acts on it has to acquire.
        self.waiters.shared().word.load(Ordering::Relaxed) / PERMIT
    }

    /// Whether a newcomer would have to wait: no permit is there, or somebody waits already.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::Semaphore;
    /// let seats = Semaphore::new(1);
    /// assert!(!seats.is_locked());
    /// let _taken = seats.try_acquire();
    /// assert!(seats.is_locked());
    /// ```
    #[must_use]
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        // ordering: relaxed, a glance: whoever acts on it has to acquire.
        let word = self.waiters.shared().word.load(Ordering::Relaxed);
        word < PERMIT || word & WAITERS != 0
    }

    #[track_caller]
    #[inline]
    fn check(&self, n: usize) {
        assert!(
            n <= self.waiters.shared().bound,
            "{n} permits are more than the semaphore can ever hold"
        );
    }

    #[track_caller]
    #[inline]
    fn acquire_at(
        &self,
        n: usize,
        at: &'static Location<'static>,
    ) -> impl Future<Output = Permit<'_>> {
        self.check(n);
        self.waiters.claim(at, Acquire { semaphore: self, n })
    }
}

impl BoundedSemaphore {
    const_fn! {
        /// A semaphore with `permits` permits, and never more.
        ///
        /// # Panics
        ///
        /// If there are more than [`Semaphore::MAX_PERMITS`].
        #[must_use]
        pub const fn new(permits: usize) -> Self {
            assert!(permits <= Semaphore::MAX_PERMITS, "more permits than Semaphore::MAX_PERMITS");
            Self {
                inner: Semaphore {
                    waiters: WaitList::new(
                        Word { word: AtomicUsize::new(permits * PERMIT), bound: permits },
                        (),
                    ),
                },
            }
        }
    }

    /// Waits for a permit.
    ///
    /// # Cancel safety
    ///
    /// As [`Semaphore::acquire`].
    #[track_caller]
    #[inline]
    pub fn acquire(&self) -> impl Future<Output = Permit<'_>> {
        self.inner.acquire()
    }

    /// Waits for `n` permits, all at once.
    ///
    /// # Panics
    ///
    /// If `n` is more than the semaphore began with.
    ///
    /// # Cancel safety
    ///
    /// As [`Semaphore::acquire`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::{BoundedSemaphore, wait::block_on};
    /// let rooms = BoundedSemaphore::new(3);
    /// let suite = block_on(rooms.acquire_many(2));
    /// assert_eq!(rooms.available_permits(), 1);
    /// drop(suite);
    /// ```
    #[track_caller]
    #[inline]
    pub fn acquire_many(&self, n: usize) -> impl Future<Output = Permit<'_>> {
        self.inner.acquire_many(n)
    }

    /// Takes a permit if one is there and nobody waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::BoundedSemaphore;
    /// let room = BoundedSemaphore::new(1);
    /// let guest = room.try_acquire();
    /// assert!(guest.is_some());
    /// assert!(room.try_acquire().is_none());
    /// ```
    #[must_use]
    #[inline]
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.inner.try_acquire()
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
    /// # use loxley_sync::BoundedSemaphore;
    /// static ROOM: BoundedSemaphore = BoundedSemaphore::new(1);
    /// let other = std::thread::spawn(|| drop(ROOM.blocking_acquire()));
    /// drop(ROOM.blocking_acquire());
    /// other.join().unwrap();
    /// assert_eq!(ROOM.available_permits(), 1);
    /// ```
    #[track_caller]
    pub fn blocking_acquire(&self) -> Permit<'_> {
        self.inner.blocking_acquire()
    }

    /// Gives back a permit that was [forgotten](Permit::forget).
    ///
    /// # Errors
    ///
    /// If there would be more permits than the semaphore began with; nothing has changed then.
    pub fn release(&self) -> Result<(), ReleaseError> {
        Word::release(&self.inner.waiters, 1)
    }

    /// How many permits are there.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::BoundedSemaphore;
    /// let rooms = BoundedSemaphore::new(2);
    /// let guest = rooms.try_acquire();
    /// assert_eq!(rooms.available_permits(), 1);
    /// drop(guest);
    /// assert_eq!(rooms.available_permits(), 2);
    /// ```
    #[must_use]
    pub fn available_permits(&self) -> usize {
        self.inner.available_permits()
    }

    /// Whether a newcomer would have to wait.
    #[must_use]
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.inner.is_locked()
    }
}

/// What a future of the semaphore wants.
struct Acquire<'a> {
    semaphore: &'a Semaphore,
    n: usize,
}

impl<'a> Claim<Word> for Acquire<'a> {
    type Output = Permit<'a>;
    const KIND: WaitKind = WaitKind::Permit;

    #[inline]
    fn attempt(&mut self, _: &WaitList<Word>) -> Option<Permit<'a>> {
        self.semaphore.try_acquire_many(self.n)
    }

    fn enter(&mut self, locked: &mut Locked<'_, Word>) -> Entry<Permit<'a>, usize> {
        let Self { semaphore, n } = *self;
        match locked.shared().take_or_expect_waiter(n) {
            true => Entry::Done(Permit { semaphore, n }),
            false => Entry::Wait(n),
        }
    }

    #[inline]
    fn granted(self, _: &WaitList<Word>, n: usize) -> Permit<'a> {
        let semaphore = self.semaphore;
        Permit { semaphore, n }
    }
}

impl Word {
    /// S1.
    #[inline]
    fn try_take(&self, n: usize) -> bool {
        // ordering: relaxed, a first guess for the exchange.
        let mut word = self.word.load(Ordering::Relaxed);
        while word & WAITERS == 0 && word / PERMIT >= n {
            // ordering: S1, row A.
            match self.word.compare_exchange_weak(
                word,
                word - n * PERMIT,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// S3, under the mutex.
    fn take_or_expect_waiter(&self, n: usize) -> bool {
        // ordering: relaxed: with WAITERS up the word changes under the mutex only, which is held.
        if self.word.load(Ordering::Relaxed) & WAITERS != 0 {
            return false;
        }
        let enough = |word: usize| word & WAITERS == 0 && word / PERMIT >= n;
        // ordering: S3, rows A and B.
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                Some(if enough(word) {
                    word - n * PERMIT
                } else {
                    word | WAITERS
                })
            })
            .is_ok_and(enough)
    }

    #[inline]
    fn release(list: &WaitList<Self>, n: usize) -> Result<(), ReleaseError> {
        let this = list.shared();
        // ordering: relaxed, a first guess for the exchange.
        let mut word = this.word.load(Ordering::Relaxed);
        loop {
            if word & WAITERS != 0 {
                if let Some(released) = Self::release_contended(list, n) {
                    return released;
                }
                // ordering: relaxed, as above.
                word = this.word.load(Ordering::Relaxed);
                continue;
            }
            if this.bound - word / PERMIT < n {
                return Err(ReleaseError);
            }
            // ordering: S2, row A.
            match this.word.compare_exchange_weak(
                word,
                word + n * PERMIT,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }

    /// S4, or `None` if nobody waits any more.
    #[cold]
    fn release_contended(list: &WaitList<Self>, n: usize) -> Option<Result<(), ReleaseError>> {
        let locked = list.lock();
        let this = list.shared();
        // ordering: S4, row A.
        let word = this.word.load(Ordering::Acquire);
        if word & WAITERS == 0 {
            return None;
        }
        if this.bound - word / PERMIT < n {
            return Some(Err(ReleaseError));
        }
        // ordering: S4, row A.
        this.word.store(word + n * PERMIT, Ordering::Release);
        Self::grant(locked);
        Some(Ok(()))
    }

    /// Grants from the head for as long as the permits suffice.
    fn grant(locked: Locked<'_, Self>) {
        locked.grant_while(|this, (), n| {
            // ordering: S4, row A.
            let word = this.word.load(Ordering::Acquire);
            debug_assert!(word & WAITERS != 0, "somebody waits: {word:#x}");
            let suffice = word / PERMIT >= *n;
            if suffice {
                // ordering: S4, row A.
                this.word.store(word - *n * PERMIT, Ordering::Release);
            }
            suffice
        });
    }
}

impl Protocol for Word {
    type State = ();
    /// How many permits the waiter asked for.
    type Note = usize;

    fn emptied(&self) {
        // ordering: S5, row A.
        let word = self.word.load(Ordering::Acquire);
        // ordering: S5, row A.
        self.word.store(word & !WAITERS, Ordering::Release);
    }

    /// Who asked for many may have held up who asked for few.
    fn left(list: &WaitList<Self>, _: usize) {
        Self::grant(list.lock());
    }

    fn give_back(list: &WaitList<Self>, n: usize) {
        let released = Self::release(list, n);
        debug_assert!(released.is_ok() || list.shared().bound < Semaphore::MAX_PERMITS);
    }
}

/// Permits of a [`Semaphore`] or a [`BoundedSemaphore`]; dropping it gives them back.
///
/// # Examples
///
/// ```
/// use loxley_sync::{Semaphore, wait::block_on};
///
/// let semaphore = Semaphore::new(1);
/// {
///     let _permit = block_on(semaphore.acquire());
///     assert!(semaphore.is_locked());
/// }
/// assert!(!semaphore.is_locked(), "given back at the end of the block");
/// ```
#[must_use = "the permits are given back when this is dropped"]
#[clippy::has_significant_drop]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    n: usize,
}

/// [`Permit`] that owns a reference to its semaphore.
///
/// # Examples
///
/// It may be kept in a value that lives as long as it likes:
///
/// ```
/// use loxley_sync::{OwnedPermit, Semaphore};
/// use std::sync::Arc;
///
/// struct Connection {
///     _counted: OwnedPermit,
/// }
/// let limit = Arc::new(Semaphore::new(1));
/// let connection = limit.clone().try_acquire_owned().map(|_counted| Connection { _counted });
/// assert!(limit.is_locked());
/// drop(connection);
/// assert!(!limit.is_locked());
/// ```
#[must_use = "the permits are given back when this is dropped"]
#[clippy::has_significant_drop]
pub struct OwnedPermit {
    semaphore: Arc<Semaphore>,
    n: usize,
}

impl Permit<'_> {
    /// How many permits these are.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::Semaphore;
    /// let semaphore = Semaphore::new(5);
    /// let permit = semaphore.try_acquire_many(2).unwrap();
    /// assert_eq!(permit.permits(), 2);
    /// ```
    #[must_use]
    pub fn permits(&self) -> usize {
        self.n
    }

    /// Keeps the permits from going back.
    ///
    /// # Examples
    ///
    /// A limit that is lowered: the permit is taken out of circulation.
    ///
    /// ```
    /// # use loxley_sync::{Semaphore, wait::block_on};
    /// let workers = Semaphore::new(3);
    /// block_on(workers.acquire()).forget();
    /// assert_eq!(workers.available_permits(), 2);
    /// ```
    pub fn forget(mut self) {
        self.n = 0;
    }
}

impl OwnedPermit {
    /// How many permits these are.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::Semaphore;
    /// # use std::sync::Arc;
    /// let permit = Arc::new(Semaphore::new(5)).try_acquire_many_owned(4).unwrap();
    /// assert_eq!(permit.permits(), 4, "and it has the semaphore's last reference");
    /// ```
    #[must_use]
    pub fn permits(&self) -> usize {
        self.n
    }

    /// Keeps the permits from going back.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::Semaphore;
    /// # use std::sync::Arc;
    /// let rate = Arc::new(Semaphore::new(1));
    /// rate.clone().try_acquire_owned().unwrap().forget();
    /// assert!(rate.is_locked());
    /// rate.release(); // By a timer, when the next may go.
    /// assert!(!rate.is_locked());
    /// ```
    pub fn forget(mut self) {
        self.n = 0;
    }
}

/// What goes back by itself never overflows: a bounded semaphore that was released by hand meanwhile stays at its bound.
#[inline]
fn give_back(semaphore: &Semaphore, n: usize) {
    if n > 0 {
        let _ = Word::release(&semaphore.waiters, n);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        give_back(self.semaphore, self.n);
    }
}

impl Drop for OwnedPermit {
    #[inline]
    fn drop(&mut self) {
        give_back(&self.semaphore, self.n);
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available_permits", &self.available_permits())
            .field("is_locked", &self.is_locked())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for BoundedSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedSemaphore")
            .field("available_permits", &self.available_permits())
            .field("bound", &self.inner.waiters.shared().bound)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("permits", &self.n).finish()
    }
}

impl fmt::Debug for OwnedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit")
            .field("permits", &self.n)
            .finish()
    }
}
