//! [`Condition`]: waiting, while a lock is held, for another holder to change something.
//!
//! A waiter enlists first and releases the lock second, so that whoever takes the lock after it finds it in the list. It
//! owes its notification until it holds the lock again: dropped before that, it notifies somebody else.
//!
//! | edge | by | what |
//! |---|---|---|
//! | C1 | wait | enlist, then release the lock |
//! | C2 | notify | grant the oldest |
//! | C3 | wait | collect the grant, wait for the lock |
//! | C4 | wait | the lock is held: the notification is used up |
//! | C5 | waiter dropped between C2 and C4 | C2 for the next |

use crate::ambient::{WaitKind, poll_budgeted, uncancellable, wait_reason};
use crate::lock::LockGuard;
use crate::prim::const_fn;
use crate::wait::{Entry, Protocol, WaitList, Waiter, block_on};
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::task::Poll;

/// Lets the holders of a [`Lock`](crate::Lock) wait for each other.
///
/// Waiting takes the guard and gives one back: that the lock is held is checked by the compiler. Several conditions may
/// share one lock, since the guard says which it is.
///
/// **Differs from asyncio**: `notify` may be called without the lock, as in other languages; who wants asyncio's exactness
/// calls it while it holds the guard. A future dropped while it waits leaves the lock released and not taken again.
///
/// # Fairness
///
/// The oldest waiter is notified first. The lock, too, is taken in turn.
///
/// # Examples
///
/// ```
/// use loxley_sync::{Condition, Lock, wait::block_on};
///
/// static READY: Lock<bool> = Lock::new(false);
/// static CHANGED: Condition = Condition::new();
/// let other = std::thread::spawn(|| {
///     *block_on(READY.acquire()) = true;
///     CHANGED.notify_all();
/// });
/// block_on(async {
///     let guard = CHANGED.wait_for(READY.acquire().await, |ready| *ready).await;
///     assert!(*guard);
/// });
/// other.join().unwrap();
/// ```
///
/// Without the lock nobody can wait:
///
/// ```compile_fail
/// # use loxley_sync::Condition;
/// let condition = Condition::new();
/// let _ = condition.wait();
/// ```
#[doc(alias = "Condvar")]
pub struct Condition {
    waiters: WaitList<Notified>,
}

struct Notified;

impl Condition {
    const_fn! {
        /// A condition for which nobody waits.
        #[must_use]
        pub const fn new() -> Self {
            Self {
                waiters: WaitList::new(Notified, ()),
            }
        }
    }

    /// Releases the lock, waits to be notified, and takes the lock again.
    ///
    /// It may also return without a reason, when a notification was passed on; [`wait_for`](Self::wait_for) looks
    /// again by itself.
    ///
    /// # Cancel safety
    ///
    /// A future dropped while it waits leaves the lock released. If it was notified, and did not hold the lock again, it
    /// notifies the next waiter. A request to stop the task that comes while it takes the lock again is held back until it
    /// has it: code after this call runs under the lock, and the request is heard where the task waits next.
    #[track_caller]
    pub fn wait<'l, T>(&self, guard: LockGuard<'l, T>) -> impl Future<Output = LockGuard<'l, T>> {
        self.wait_at(guard, Location::caller())
    }

    /// Waits until `condition` holds for the value; at once, if it does already.
    ///
    /// # Cancel safety
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// A buffer with room for one:
    ///
    /// ```
    /// # use loxley_sync::{Condition, Lock, wait::block_on};
    /// let (item, changed) = (Lock::new(None), Condition::new());
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| block_on(async {
    ///         *item.acquire().await = Some("tea");
    ///         changed.notify(1);
    ///     }));
    ///     block_on(async {
    ///         let mut item = changed.wait_for(item.acquire().await, |item| item.is_some()).await;
    ///         assert_eq!(item.take(), Some("tea"));
    ///     });
    /// });
    /// ```
    #[track_caller]
    pub fn wait_for<'l, T>(
        &self,
        guard: LockGuard<'l, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> impl Future<Output = LockGuard<'l, T>> {
        let at = Location::caller();
        async move {
            let mut guard = guard;
            while !condition(&mut guard) {
                guard = self.wait_at(guard, at).await;
            }
            guard
        }
    }

    /// [`wait`](Self::wait) on a plain thread, which is blocked. Not for tasks.
    ///
    /// # Panics
    ///
    /// In a task, at the caller's line: it would hold the worker that runs it.
    ///
    /// # Examples
    ///
    /// A thread looks again whenever it was notified:
    ///
    /// ```
    /// # use loxley_sync::{Condition, Lock};
    /// static OPEN: Lock<bool> = Lock::new(false);
    /// static CHANGED: Condition = Condition::new();
    /// let opener = std::thread::spawn(|| {
    ///     *OPEN.blocking_acquire() = true;
    ///     CHANGED.notify_all();
    /// });
    /// let mut open = OPEN.blocking_acquire();
    /// while !*open {
    ///     open = CHANGED.blocking_wait(open);
    /// }
    /// # opener.join().unwrap();
    /// ```
    #[track_caller]
    pub fn blocking_wait<'l, T>(&self, guard: LockGuard<'l, T>) -> LockGuard<'l, T> {
        block_on(self.wait(guard))
    }

    /// Notifies the `n` oldest waiters, or all if there are fewer. Nothing is stored.
    ///
    /// # Panics
    ///
    /// If a waker panics; everybody else is woken first.
    ///
    /// # Examples
    ///
    /// One more thing to fetch is a reason to wake one, not all:
    ///
    /// ```
    /// # use loxley_sync::{Condition, Lock};
    /// static THINGS: Lock<u32> = Lock::new(0);
    /// static MORE: Condition = Condition::new();
    /// let fetcher = std::thread::spawn(|| {
    ///     let things = loxley_sync::wait::block_on(async {
    ///         MORE.wait_for(THINGS.acquire().await, |things| *things > 0).await
    ///     });
    ///     assert_eq!(*things, 1);
    /// });
    /// *THINGS.blocking_acquire() += 1;
    /// MORE.notify(1);
    /// fetcher.join().unwrap();
    /// ```
    pub fn notify(&self, n: usize) {
        Notified::notify(&self.waiters, n);
    }

    /// Notifies everybody who waits.
    ///
    /// # Panics
    ///
    /// If a waker panics; everybody else is woken first.
    pub fn notify_all(&self) {
        let locked = self.waiters.lock();
        // Who comes while the mutex is free between two batches is not meant.
        let n = locked.waiters();
        drop(locked);
        self.notify(n);
    }

    async fn wait_at<'l, T>(
        &self,
        guard: LockGuard<'l, T>,
        at: &'static Location<'static>,
    ) -> LockGuard<'l, T> {
        let lock = LockGuard::lock(&guard);
        self.wait_notified(guard, at).await;
        let owed = Owed(self);
        // A request to stop is heard once the lock is held again, and whatever is under it can be put in order.
        let guard = uncancellable(lock.acquire_at(at)).await;
        owed.settle();
        guard
    }

    /// C1, and C3 up to the grant.
    async fn wait_notified<T>(&self, guard: LockGuard<'_, T>, at: &'static Location<'static>) {
        let mut waiter = pin!(Waiter::new(&self.waiters));
        let mut guard = Some(guard);
        poll_fn(|cx| {
            let outcome = match guard.take() {
                Some(guard) => {
                    let enlisted: Poll<()> = waiter.as_mut().enter(cx, |_| Entry::Wait(()));
                    drop(guard);
                    enlisted
                }
                None => poll_budgeted(cx, |cx| waiter.as_mut().poll_grant(cx)),
            };
            if outcome.is_pending() {
                wait_reason(WaitKind::Lock, Some(at));
            }
            outcome
        })
        .await;
    }
}

/// A notification that was collected and not used up.
struct Owed<'a>(&'a Condition);

impl Owed<'_> {
    /// C4.
    fn settle(self) {
        #[expect(clippy::mem_forget, reason = "the destructor is for the other case")]
        std::mem::forget(self);
    }
}

impl Drop for Owed<'_> {
    /// C5.
    fn drop(&mut self) {
        self.0.notify(1);
    }
}

impl Notified {
    fn notify(list: &WaitList<Self>, n: usize) {
        let mut left = n;
        if left > 0 {
            list.lock().grant_while(|_, (), ()| {
                let meant = left > 0;
                left = left.saturating_sub(1);
                meant
            });
        }
    }
}

impl Protocol for Notified {
    type State = ();
    type Note = ();

    fn left(_: &WaitList<Self>, (): ()) {}

    /// C5.
    fn give_back(list: &WaitList<Self>, (): ()) {
        Self::notify(list, 1);
    }
}

impl Default for Condition {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiters = self.waiters.lock().waiters();
        f.debug_struct("Condition")
            .field("waiters", &waiters)
            .finish()
    }
}
