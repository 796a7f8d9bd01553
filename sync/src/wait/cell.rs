//! A slot for one waiter: the smallest thing two threads can meet over.
//!
//! A future that waits for one event of which it is the only consumer keeps its waker here. Whoever causes the event calls
//! [`WaitCell::wake`]. The cell settles the race between the two; it never decides *whether* to wait, that is the caller's
//! re-check between `register` and `Pending`. It never calls or drops a waker while it holds the slot; one is cloned there
//! (between W1 and W2), so a clone may wake the cell (W5) and may panic (W2 puts back what was there).
//!
//! # State
//!
//! ```text
//!              W1                 W2               W3
//!     EMPTY ────────▶ HELD ─────────────▶ FULL ────────▶ TAKING
//!       ▲              ▲                   │               │
//!       │              └────── W1 ─────────┘               │
//!       └───────────────────────────────────────── W4 ─────┘
//! ```
//!
//! | edge | by | from → to | duty |
//! |---|---|---|---|
//! | W1 | register | EMPTY, FULL → HELD | the slot is the registrant's until W2 |
//! | W2 | register | HELD → FULL (EMPTY if cloning panicked and there was no waker before) | re-check: a wake-up may have met HELD |
//! | W3 | wake | FULL → TAKING | the slot is the waking thread's until W4 |
//! | W4 | wake | TAKING → EMPTY | call the waker that was taken |
//! | W5 | wake | EMPTY, HELD, TAKING → same | nothing: the waiter's re-check will see the change, or W4 wakes it |
//! | W6 | register | TAKING, HELD → same | wake the waker brought: it could not be left, and the one being taken may be an older task's |
//!
//! # Access
//!
//! The slot is touched only by the thread that made W1 (until W2) or W3 (until W4).
//!
//! # Ordering
//!
//! | row | site | why |
//! |---|---|---|
//! | A | W1, W3 acquire | sees the slot as the last W2 or W4 left it |
//! | B | W2, W4 release | publishes the slot to the next A |
//! | C | all six edges are read-modify-writes that acquire and release | what the waking thread changed before `wake` is visible to a registrant whose W2 or W6 comes later in the word's order than that W3 or W5: its re-check sees the change. A registrant whose W2 came earlier has left its waker for W3. There is no third case |

use crate::prim::atomic::{AtomicU8, Ordering};
use crate::prim::cell::UnsafeCell;
use crate::prim::const_fn;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::task::Waker;

/// No waker in the slot, nobody at it.
const EMPTY: u8 = 0;
/// A waker in the slot, nobody at it.
const FULL: u8 = 1;
/// A registrant is at the slot.
const HELD: u8 = 2;
/// A waking thread is at the slot.
const TAKING: u8 = 3;

/// A slot for the waker of one waiting future.
///
/// # Fairness
///
/// There is one waiter. If two register at once nobody's wake-up is lost, but the loser is woken at once and tries again.
///
/// # Examples
///
/// A flag for one waiter: change first, then wake; register first, then look.
///
/// ```
/// use loxley_sync::wait::{WaitCell, block_on};
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use std::{future::poll_fn, task::Poll};
///
/// static DONE: AtomicBool = AtomicBool::new(false);
/// static WAITER: WaitCell = WaitCell::new();
///
/// let other = std::thread::spawn(|| {
///     DONE.store(true, Ordering::Release);
///     WAITER.wake();
/// });
/// block_on(poll_fn(|cx| {
///     WAITER.register(cx.waker());
///     if DONE.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
/// }));
/// drop(WAITER.take()); // What is left there, if the wake-up came first.
/// # other.join().unwrap();
/// ```
pub struct WaitCell {
    state: AtomicU8,
    slot: UnsafeCell<Option<Waker>>,
}

impl WaitCell {
    const_fn! {
        /// An empty cell.
        #[must_use]
        pub const fn new() -> Self {
            Self {
                state: AtomicU8::new(EMPTY),
                slot: UnsafeCell::new(None),
            }
        }
    }

    /// Leaves `waker` to be called by the next [`wake`](Self::wake), in place of the one left before.
    ///
    /// After it, look again at the condition waited for: a wake-up that came before this call is not remembered.
    pub fn register(&self, waker: &Waker) {
        if !self.hold() {
            // W6: whoever is at the slot wakes an older waker, or is a second registrant. Either way come back soon.
            waker.wake_by_ref();
            return;
        }
        // If cloning panics this guard gives the slot back with its old waker.
        let mut held = Held {
            cell: self,
            waker: self.swap_slot(None),
        };
        let old = match &held.waker {
            Some(old) if old.will_wake(waker) => None,
            _ => held.waker.replace(waker.clone()),
        };
        drop(held);
        drop(old);
    }

    /// Wakes the waiter that is registered, if there is one.
    pub fn wake(&self) {
        if let Some(waker) = self.take() {
            waker.wake();
        }
    }

    /// Takes the waker that is registered, for the caller to call later, outside its locks.
    ///
    /// `None` also when somebody else is about to call it.
    #[must_use = "a waker that is not called is a wake-up lost"]
    pub fn take(&self) -> Option<Waker> {
        // ordering: rows A, C (W3, W5). A failure only reloads; the retry acquires.
        let before = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |state| {
                Some(if state == FULL { TAKING } else { state })
            });
        if before != Ok(FULL) {
            return None;
        }
        let waker = self.swap_slot(None);
        // ordering: rows B, C (W4). A swap, for W5 and W6 may have written the word since W3, and what they released has
        // to reach the next W1.
        self.state.swap(EMPTY, Ordering::AcqRel);
        waker
    }

    /// W1, or `false` for W6.
    fn hold(&self) -> bool {
        // ordering: rows A, C (W1, W6). A failure only reloads; the retry acquires.
        self.state
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |state| {
                Some(match state {
                    EMPTY | FULL => HELD,
                    busy => busy,
                })
            })
            .is_ok_and(|before| matches!(before, EMPTY | FULL))
    }

    /// Exchanges what is in the slot; only between W1 and W2, or W3 and W4.
    #[expect(unsafe_code, reason = "the slot is handed over through the state")]
    fn swap_slot(&self, new: Option<Waker>) -> Option<Waker> {
        self.slot.with_mut(|slot| {
            // SAFETY: the caller is the one thread that moved the state to HELD or TAKING (W1, W3) and has not moved it
            // on; every other thread that finds those states stays away from the slot.
            let slot = unsafe { &mut *slot };
            std::mem::replace(slot, new)
        })
    }
}

/// The slot between W1 and W2.
struct Held<'a> {
    cell: &'a WaitCell,
    waker: Option<Waker>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let next = if self.waker.is_some() { FULL } else { EMPTY };
        let none = self.cell.swap_slot(self.waker.take());
        debug_assert!(none.is_none(), "the slot was emptied when it was taken");
        // ordering: rows B, C (W2). A swap and not a store: what a waking thread released at HELD (W5) is acquired here.
        let before = self.cell.state.swap(next, Ordering::AcqRel);
        debug_assert_eq!(before, HELD, "nobody moves a held cell but its holder");
    }
}

#[expect(unsafe_code, reason = "the slot is handed over through the state")]
// SAFETY: `state` is Send. `slot` holds wakers, which are Send.
unsafe impl Send for WaitCell {}
#[expect(unsafe_code, reason = "the slot is handed over through the state")]
// SAFETY: `state` is Sync. `slot` is only touched by the one thread that W1 or W3 gave it to, and wakers are Send.
unsafe impl Sync for WaitCell {}

// A waker is put, taken and cloned whole; a clone that panics leaves what was there.
impl UnwindSafe for WaitCell {}
impl RefUnwindSafe for WaitCell {}

impl Default for WaitCell {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WaitCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // ordering: relaxed, a glance for a reader; nothing is touched on its strength.
        let state = match self.state.load(Ordering::Relaxed) {
            EMPTY => "empty",
            FULL => "full",
            HELD => "held",
            _ => "taking",
        };
        f.debug_tuple("WaitCell").field(&state).finish()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::{RawWaker, RawWakerVTable, Wake};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_newest_waker_is_woken_once() {
        let (old, new) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let cell = WaitCell::new();
        cell.register(&old.clone().into());
        cell.register(&new.clone().into());
        cell.wake();
        cell.wake();
        assert_eq!(old.0.load(Ordering::Relaxed), 0);
        assert_eq!(new.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn registering_the_same_waker_again_keeps_one_reference() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let cell = WaitCell::new();
        cell.register(&waker);
        cell.register(&waker);
        assert_eq!(Arc::strong_count(&count), 3);
        drop(cell);
        assert_eq!(Arc::strong_count(&count), 2);
    }

    #[test]
    #[expect(
        unsafe_code,
        reason = "a waker whose clone panics has to be built by hand"
    )]
    fn a_waker_that_panics_in_clone_leaves_the_cell_usable() {
        const ANGRY: RawWakerVTable = RawWakerVTable::new(
            |_| panic!("this waker cannot be cloned"),
            |_| {},
            |_| {},
            |_| {},
        );
        // SAFETY: no function of the table reads the pointer.
        let angry = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &ANGRY)) };
        let cell = WaitCell::new();
        let panic = catch_unwind(AssertUnwindSafe(|| cell.register(&angry)));
        assert!(panic.is_err());
        let calm = Arc::new(Count::default());
        cell.register(&calm.clone().into());
        cell.wake();
        assert_eq!(calm.0.load(Ordering::Relaxed), 1);
    }
}
