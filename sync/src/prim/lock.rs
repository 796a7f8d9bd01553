//! One `Mutex` and `Condvar` without poisoning, over parking_lot, loom or shuttle.
//!
//! Rule N7 of ARCHITECTURE.md hangs on these guards: no waker is called, no user code runs and no user value is dropped
//! while one is alive.

use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

#[cfg(loom)]
use loom::sync as imp;
#[cfg(not(any(loom, shuttle)))]
use parking_lot as imp;
#[cfg(shuttle)]
use shuttle::sync as imp;

/// Mutual exclusion without poisoning.
#[derive(Debug, Default)]
pub struct Mutex<T>(imp::Mutex<T>);

/// Proof that the lock is held.
#[must_use = "the lock is released when the guard is dropped"]
pub struct MutexGuard<'a, T>(imp::MutexGuard<'a, T>);

// No user code runs under a lock (N7), so that no panic leaves behind it what is half done.
impl<T> UnwindSafe for Mutex<T> {}
impl<T> RefUnwindSafe for Mutex<T> {}

impl<T> Mutex<T> {
    #[cfg(not(loom))]
    pub const fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    #[cfg(loom)]
    pub fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        #[cfg(any(loom, shuttle))]
        return MutexGuard(unpoison(self.0.lock()));
        #[cfg(not(any(loom, shuttle)))]
        MutexGuard(self.0.lock())
    }

    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        #[cfg(any(loom, shuttle))]
        return self.0.try_lock().ok().map(MutexGuard);
        #[cfg(not(any(loom, shuttle)))]
        self.0.try_lock().map(MutexGuard)
    }

    pub fn into_inner(self) -> T {
        #[cfg(any(loom, shuttle))]
        return unpoison(self.0.into_inner());
        #[cfg(not(any(loom, shuttle)))]
        self.0.into_inner()
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

/// A condition variable for [`Mutex`].
#[derive(Debug, Default)]
pub struct Condvar(imp::Condvar);

impl Condvar {
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self(imp::Condvar::new())
    }

    #[cfg(loom)]
    pub fn new() -> Self {
        Self(imp::Condvar::new())
    }

    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    pub fn notify_all(&self) {
        self.0.notify_all();
    }

    #[cfg(any(loom, shuttle))]
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        MutexGuard(unpoison(self.0.wait(guard.0)))
    }

    #[cfg(not(any(loom, shuttle)))]
    pub fn wait<'a, T>(&self, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(&mut guard.0);
        guard
    }

    /// Waits at most `limit`; says whether it was the limit that ended the wait. Models have no time: there it never is.
    #[cfg(any(loom, shuttle))]
    pub fn wait_for<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        _limit: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        (self.wait(guard), false)
    }

    /// Waits at most `limit`; says whether it was the limit that ended the wait. Models have no time: there it never is.
    #[cfg(not(any(loom, shuttle)))]
    pub fn wait_for<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        let result = self.0.wait_for(&mut guard.0, limit);
        (guard, result.timed_out())
    }
}

#[cfg(any(loom, shuttle))]
pub(super) fn unpoison<G>(result: std::sync::LockResult<G>) -> G {
    result.unwrap_or_else(std::sync::PoisonError::into_inner)
}
