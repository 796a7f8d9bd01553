//! What few tasks need: allocated when it is first asked for. And, in the same word, the one request that is all most
//! cancelled tasks ever get: a line of source, which needs no allocation.
//!
//! Called by the header and by `cancel.rs`. It decides nothing: which request ends the task is `cancel.rs`'s business.
//!
//! # The word
//!
//! ```text
//!            C1 ask_plainly         C4 end_plainly
//!   empty ───────────────► asked ─────────────────► ended
//!     │                    │  ▲ C3 commit             │
//!     │ C2                 │ C2                       │ C2
//!     └────────────────────┴──────────► made ◄────────┘
//! ```
//!
//! | edge | method | from → to | what stood there |
//! |---|---|---|---|
//! | C1 | `ask_plainly` | empty → asked | nothing |
//! | C2 | `made` | empty, asked, ended → made, for good | becomes a request, or the end, in the part made |
//! | C3 | `commit_plainly` | asked → asked and committed | stays |
//! | C4 | `end_plainly` | asked → ended | the request becomes the end |
//! | C5 | `forget_end` | ended → asked | the end becomes a request |
//!
//! Every edge is an exchange of this one word, so whoever loses looks again and finds what the winner left. Once made, the
//! part is what counts, and the word stays as it is. C3 to C5 are the right of whoever may poll the task.
#![expect(
    unsafe_code,
    reason = "one word that is a line of source or a shared allocation"
)]

use super::callbacks::Callbacks;
use loxley_sync::ambient::grants::Watches;
use loxley_sync::ambient::scope::{Planted, Tree};
use loxley_sync::prim::atomic::{AtomicBool, AtomicPtr, Ordering};
use loxley_sync::prim::cell::UnsafeCell;
use loxley_sync::prim::lock::Mutex;
use loxley_sync::{CancelledError, Context};
use std::panic::Location;
use std::ptr;
use std::sync::Arc;

/// The word is the line that asked.
const ASKED: usize = 1;
/// The same, and the request interrupts what the task waited for when it was made, whatever comes after.
const COMMITTED: usize = 2;
/// The word is the line whose request ended the task.
const ENDED: usize = 3;
/// One of these numbers stands in the lowest bits of a word that is a line.
const TAGS: usize = 3;
const _: () = assert!(align_of::<Location<'static>>() > TAGS && align_of::<Cold>() > TAGS);

/// The allocated part. A task's scopes share it, for a future may be dropped elsewhere.
#[derive(Default)]
pub(crate) struct Cold {
    pub(crate) name: Mutex<Option<Arc<str>>>,
    /// The context variables between polls.
    pub(crate) variables: Variables,
    /// Who wants to hear of the end; see `callbacks.rs`.
    pub(crate) callbacks: Mutex<Callbacks>,
    /// Its cancel scopes and the requests it was given.
    pub(crate) tree: Tree,
    /// In debug mode: the waits whose grants it must pick up.
    pub(crate) watches: Watches,
    /// It was asked because its runtime ends, as every task was: what others pass on to it would be the same request again.
    pub(crate) asked_at_the_end: AtomicBool,
    /// The request that ended it.
    pub(crate) ended_by: Mutex<Option<CancelledError>>,
}

/// A task's context variables while nobody polls it, until it ends; during a poll they are its thread's. Whoever makes the
/// task may touch them until it is launched, the holder of *running* from then on, and nobody else: so they need no lock.
#[derive(Default)]
pub(crate) struct Variables(UnsafeCell<Option<Context>>);

// SAFETY: one thread at a time touches them, see above; which hands them on like the future itself (rows of `state.rs`), and
// a context is Send.
unsafe impl Sync for Variables {}

impl Variables {
    /// What is here goes, `context` comes.
    ///
    /// # Safety
    ///
    /// The caller must be the maker of a task that was not launched yet, or hold *running*.
    #[inline]
    pub(crate) unsafe fn replace(&self, context: Option<Context>) -> Option<Context> {
        self.0.with_mut(|slot| {
            // SAFETY: exclusive, by the contract of this function.
            let slot = unsafe { &mut *slot };
            std::mem::replace(slot, context)
        })
    }
}

impl Planted for Cold {
    fn tree(&self) -> &Tree {
        &self.tree
    }
}

/// The word of one task.
pub(crate) struct ColdSlot(AtomicPtr<Cold>);

/// What the word says.
#[derive(Clone, Copy)]
enum Seen {
    Empty,
    Asked {
        origin: &'static Location<'static>,
        committed: bool,
    },
    Ended {
        origin: &'static Location<'static>,
    },
    Made(*mut Cold),
}

impl Seen {
    fn of(word: *mut Cold) -> Self {
        let tag = word.addr() & TAGS;
        if tag == 0 {
            return if word.is_null() {
                Self::Empty
            } else {
                Self::Made(word)
            };
        }
        let line = word.map_addr(|word| word & !TAGS).cast_const();
        // SAFETY: a word with a tag was made of a `&'static Location` by `to_word`.
        let origin = unsafe { &*line.cast::<Location<'static>>() };
        match tag {
            ENDED => Self::Ended { origin },
            tag => Self::Asked {
                origin,
                committed: tag == COMMITTED,
            },
        }
    }
}

fn to_word(origin: &'static Location<'static>, tag: usize) -> *mut Cold {
    let line = ptr::from_ref(origin).cast_mut().cast::<Cold>();
    line.map_addr(|line| line | tag)
}

impl ColdSlot {
    /// Nothing.
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// C1: the request of one line, if it is the first thing that is ever kept here. False: it belongs into the tree.
    #[must_use]
    pub(crate) fn ask_plainly(&self, origin: &'static Location<'static>) -> bool {
        self.exchange(ptr::null_mut(), to_word(origin, ASKED))
    }

    /// C3: the request of C1 found the task waiting. False: it stands in the tree by now.
    #[must_use]
    pub(crate) fn commit_plainly(&self, origin: &'static Location<'static>) -> bool {
        self.exchange(to_word(origin, ASKED), to_word(origin, COMMITTED))
    }

    /// C4: the request of C1 ends the task. False: there is none, or more than that.
    #[must_use]
    pub(crate) fn end_plainly(&self) -> bool {
        // ordering: relaxed, the exchange decides; the request was seen by T13, which acquired it.
        let seen = self.0.load(Ordering::Relaxed);
        let Seen::Asked { origin, .. } = Seen::of(seen) else {
            return false;
        };
        self.exchange(seen, to_word(origin, ENDED))
    }

    /// C5: the task ends for another reason after all.
    pub(crate) fn forget_end(&self) {
        // ordering: acquire pairs with the release of C2.
        let seen = self.0.load(Ordering::Acquire);
        if let Seen::Ended { origin } = Seen::of(seen) {
            if self.exchange(seen, to_word(origin, ASKED)) {
                return;
            }
        }
        if let Some(cold) = self.get() {
            let forgotten = cold.ended_by.lock().take();
            drop(forgotten);
        }
    }

    /// Whether nothing was ever kept here.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        // ordering: acquire pairs with the release of C2.
        self.0.load(Ordering::Acquire).is_null()
    }

    /// How often the task was asked to stop, less what was taken back.
    #[must_use]
    pub(crate) fn count(&self) -> usize {
        // ordering: acquire pairs with the release of C2.
        match Seen::of(self.0.load(Ordering::Acquire)) {
            Seen::Empty => 0,
            Seen::Asked { .. } | Seen::Ended { .. } => 1,
            // SAFETY: published by C2, and freed only with the task.
            Seen::Made(cold) => unsafe { &*cold }.tree.count(),
        }
    }

    /// The request that ended the task.
    #[must_use]
    pub(crate) fn ended_by(&self) -> Option<CancelledError> {
        // ordering: acquire pairs with the release of C2.
        match Seen::of(self.0.load(Ordering::Acquire)) {
            Seen::Empty | Seen::Asked { .. } => None,
            Seen::Ended { origin } => Some(CancelledError::new(None, origin)),
            // SAFETY: as in `count`.
            Seen::Made(cold) => unsafe { &*cold }.ended_by.lock().clone(),
        }
    }

    /// The allocated part, if it was ever needed.
    #[inline]
    pub(crate) fn get(&self) -> Option<&Cold> {
        // ordering: acquire pairs with the release of C2.
        let word = self.0.load(Ordering::Acquire);
        if word.is_null() || word.addr() & TAGS != 0 {
            return None;
        }
        // SAFETY: published by C2, and freed only with the task.
        Some(unsafe { &*word })
    }

    /// C2: the allocated part, made if need be.
    pub(crate) fn made(&self) -> &Cold {
        if let Some(cold) = self.get() {
            return cold;
        }
        // SAFETY: published by C2, and freed only with the task.
        unsafe { &*self.make() }
    }

    /// The allocated part as a share of it.
    pub(crate) fn shared(&self) -> Arc<Cold> {
        let cold = ptr::from_ref(self.made());
        // SAFETY: made by `Arc::into_raw`, and the slot holds one count.
        unsafe { Arc::increment_strong_count(cold) };
        // SAFETY: the count just made passes on.
        unsafe { Arc::from_raw(cold) }
    }

    /// Whether `place` is the allocated part.
    pub(crate) fn is(&self, place: *const ()) -> bool {
        // ordering: relaxed, only compared.
        ptr::addr_eq(self.0.load(Ordering::Relaxed), place)
    }

    #[cold]
    fn make(&self) -> *mut Cold {
        // ordering: acquire pairs with the release of C2.
        let mut word = self.0.load(Ordering::Acquire);
        loop {
            let seen = Seen::of(word);
            if let Seen::Made(cold) = seen {
                return cold;
            }
            let fresh = Arc::into_raw(Arc::new(Cold::after(seen))).cast_mut();
            // ordering: release publishes the part, acquire sees the winner's.
            match self
                .0
                .compare_exchange(word, fresh, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return fresh,
                Err(now) => {
                    // SAFETY: made above, never published.
                    drop(unsafe { Arc::from_raw(fresh) });
                    word = now;
                }
            }
        }
    }

    fn exchange(&self, from: *mut Cold, to: *mut Cold) -> bool {
        // ordering: release for whoever makes the part of it; the loser acquires what C2 published.
        self.0
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

impl Cold {
    /// With what the word said before.
    fn after(seen: Seen) -> Self {
        let cold = Self::default();
        match seen {
            Seen::Empty | Seen::Made(_) => {}
            Seen::Asked { origin, committed } => {
                cold.tree.request(CancelledError::new(None, origin), false);
                if committed {
                    cold.tree.commit();
                }
            }
            Seen::Ended { origin } => {
                let error = CancelledError::new(None, origin);
                cold.tree.request(error.clone(), false);
                // The root took it.
                drop(cold.tree.deliver(false));
                *cold.ended_by.lock() = Some(error);
            }
        }
        cold
    }
}

impl Drop for ColdSlot {
    fn drop(&mut self) {
        // ordering: relaxed, the last reference is here and T12 acquired everything before it.
        if let Seen::Made(cold) = Seen::of(self.0.load(Ordering::Relaxed)) {
            // SAFETY: published by C2, and nobody else can reach the slot any more.
            drop(unsafe { Arc::from_raw(cold) });
        }
    }
}
