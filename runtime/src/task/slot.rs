//! A place for one scheduled task that another thread may empty: the LIFO slot of a worker, and the slot of a main task.
#![expect(
    unsafe_code,
    reason = "turns the right to poll into an atomic pointer and back"
)]

use super::cell::Header;
use super::raw::Scheduled;
use loxley_sync::prim::atomic::{AtomicPtr, Ordering};
use std::fmt;
use std::ptr::{self, NonNull};

/// At most one scheduled task. One thread at a time may put: the worker it belongs to, or, where only one task ever
/// goes in, whoever holds that task. Anybody may take.
pub struct Slot(AtomicPtr<Header>);

impl Slot {
    /// An empty slot.
    #[expect(clippy::new_without_default, reason = "a slot belongs to a worker")]
    #[must_use]
    pub fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Puts a task in, or gives it back if one is there. Only by whoever may; see the type.
    ///
    /// # Errors
    ///
    /// The task, if the slot is full.
    #[inline]
    pub fn put(&self, task: Scheduled) -> Result<(), Scheduled> {
        // Nobody else may put now, so an empty slot stays empty until the store: no read-modify-write is needed.
        if !self.is_empty() {
            return Err(task);
        }
        // ordering: release publishes the task to a thread that takes it.
        self.0.store(task.into_raw().as_ptr(), Ordering::Release);
        Ok(())
    }

    /// Takes the task out, if there is one. Any thread.
    #[inline]
    pub fn take(&self) -> Option<Scheduled> {
        if self.is_empty() {
            return None;
        }
        // ordering: acquire pairs with the release of `put`.
        revive(self.0.swap(ptr::null_mut(), Ordering::Acquire))
    }

    /// Whether no task is there: a hint for everybody, but that what is empty stays so for whoever may put.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        // ordering: relaxed, a hint; `take` decides.
        self.0.load(Ordering::Relaxed).is_null()
    }
}

/// The right to poll that a swap took out.
fn revive(task: *mut Header) -> Option<Scheduled> {
    // SAFETY: non-null values come from `into_raw` in `put`, and a swap gives each to one thread only.
    NonNull::new(task).map(|task| unsafe { Scheduled::from_raw(task) })
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() {
            "Slot(empty)"
        } else {
            "Slot(full)"
        })
    }
}
