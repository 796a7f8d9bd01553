//! Wakers collected under a lock and called after it.
//!
//! A waker is user code: it may run anything, take any lock and panic. Whoever finds wakers under one of our locks moves
//! them into a batch, releases the lock, and only then calls [`WakeBatch::wake_all`].

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;

/// How many wakers one batch holds: enough to make the lock round-trips cheap, small enough for the stack.
const CAPACITY: usize = 32;

/// A bounded collection of wakers that must be called outside every lock.
///
/// # Examples
///
/// Everybody who waits is woken once the lock is free:
///
/// ```
/// use loxley_sync::wait::WakeBatch;
/// use std::{sync::Mutex, task::Waker};
///
/// let waiting = Mutex::new(vec![Waker::noop().clone(); 3]);
/// let mut batch = WakeBatch::new();
/// for waker in waiting.lock().unwrap().drain(..) {
///     assert!(batch.has_room());
///     batch.push(waker);
/// }
/// batch.wake_all(); // Or `wake_all_contained`, where a waker's panic must not come out.
/// assert!(batch.is_empty());
/// ```
#[derive(Debug)]
pub struct WakeBatch {
    wakers: [Option<Waker>; CAPACITY],
    len: usize,
}

impl Default for WakeBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl WakeBatch {
    /// An empty batch.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            wakers: [const { None }; CAPACITY],
            len: 0,
        }
    }

    /// Whether another waker fits. When not: release the lock, call [`wake_all`](Self::wake_all), come back.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.len < CAPACITY
    }

    /// Whether nothing is waiting to be woken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a waker.
    ///
    /// # Panics
    ///
    /// If the batch is full; ask [`has_room`](Self::has_room) first.
    pub fn push(&mut self, waker: Waker) {
        assert!(self.has_room(), "a full WakeBatch must be woken first");
        self.wakers[self.len] = Some(waker);
        self.len += 1;
    }

    /// Calls every collected waker in the order they were pushed. Call it with no lock held.
    ///
    /// # Panics
    ///
    /// If a waker panics, the others are still called, then the first panic goes on.
    pub fn wake_all(&mut self) {
        let mut first_panic = None;
        for slot in &mut self.wakers[..self.len] {
            let Some(waker) = slot.take() else { continue };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                first_panic.get_or_insert(panic);
            }
        }
        self.len = 0;
        if let Some(panic) = first_panic {
            resume_unwind(panic);
        }
    }
}

impl WakeBatch {
    /// [`wake_all`](Self::wake_all) for callers whose own work must go on: a waker's panic, which the panic hook has
    /// reported, ends here.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::wait::WakeBatch;
    /// # use std::{sync::Arc, task::{Wake, Waker}};
    /// struct Broken;
    /// impl Wake for Broken {
    ///     fn wake(self: Arc<Self>) {
    ///         panic!("the panic hook tells of it");
    ///     }
    /// }
    /// let mut batch = WakeBatch::new();
    /// batch.push(Waker::from(Arc::new(Broken)));
    /// batch.push(Waker::noop().clone());
    /// batch.wake_all_contained();
    /// assert!(batch.is_empty(), "both were called");
    /// ```
    pub fn wake_all_contained(&mut self) {
        while !self.is_empty() {
            let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.wake_all())) else {
                return;
            };
            if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                // A payload whose drop panics, too, is left where it is.
                let _ = std::mem::ManuallyDrop::new(second);
            }
        }
    }
}

impl Drop for WakeBatch {
    /// A batch dropped in unwinding still owes its wake-ups.
    fn drop(&mut self) {
        if !self.is_empty() {
            self.wake_all();
        }
    }
}

/// One waker on its way out of a lock, called when this is dropped.
///
/// Declare it before the guard: what is declared first is dropped last, also when the code in between panics.
///
/// # Examples
///
/// ```
/// use loxley_sync::wait::WakeLater;
/// use std::{sync::Mutex, task::Waker};
///
/// let slot = Mutex::new(Some(Waker::noop().clone()));
/// let mut later = WakeLater::new();
/// let mut waiting = slot.lock().unwrap();
/// later.set(waiting.take());
/// drop(waiting);
/// drop(later); // Here the waker is called; `take` would have handed it on.
/// ```
#[derive(Debug, Default)]
pub struct WakeLater(Option<Waker>);

impl WakeLater {
    /// Nothing to call yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Takes the waker to call, if there is one.
    ///
    /// # Panics
    ///
    /// If it has one already: it would be lost.
    #[inline]
    pub fn set(&mut self, waker: Option<Waker>) {
        if waker.is_some() {
            assert!(self.0.is_none(), "one waker at a time");
            self.0 = waker;
        }
    }

    /// Hands the waker on: it is the caller's to call.
    #[inline]
    pub fn take(&mut self) -> Option<Waker> {
        self.0.take()
    }
}

impl Drop for WakeLater {
    #[inline]
    fn drop(&mut self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    struct Counting(AtomicUsize, bool);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
            assert!(!self.1, "this waker panics");
        }
    }

    #[test]
    fn a_panicking_waker_does_not_rob_the_others_of_their_wake_up() {
        let calm = Arc::new(Counting(AtomicUsize::new(0), false));
        let angry = Arc::new(Counting(AtomicUsize::new(0), true));
        let mut batch = WakeBatch::new();
        batch.push(angry.clone().into());
        batch.push(calm.clone().into());
        let panic = catch_unwind(AssertUnwindSafe(|| batch.wake_all()));
        assert!(panic.is_err());
        assert_eq!(calm.0.load(Ordering::Relaxed), 1);
        assert_eq!(angry.0.load(Ordering::Relaxed), 1);
        assert!(batch.is_empty());
    }

    #[test]
    fn a_dropped_batch_still_wakes() {
        let calm = Arc::new(Counting(AtomicUsize::new(0), false));
        let mut batch = WakeBatch::new();
        batch.push(calm.clone().into());
        drop(batch);
        assert_eq!(calm.0.load(Ordering::Relaxed), 1);
    }
}
