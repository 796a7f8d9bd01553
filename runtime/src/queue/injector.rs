//! The shared queue: where threads that are not workers put their tasks, and where workers look now and then.
//!
//! A short lock around a ring, taken a worker's share at a time, after measuring: with all workers busy it was several
//! times faster than a lock-free segment queue taken 32 at a time, because the lock is taken once per share of the
//! backlog. The length is mirrored in an atomic so that looking costs a load.

use super::deque::Local;
use loxley_sync::prim::CachePadded;
use loxley_sync::prim::atomic::{AtomicUsize, Ordering};
use loxley_sync::prim::lock::Mutex;
use std::collections::VecDeque;
use std::fmt;

/// At most this many items move in one grab: enough to make the lock cheap, few enough to leave work for the others.
const GRAB_MAX: usize = 256;

/// A queue anybody may put into.
pub struct Injector<T> {
    items: CachePadded<Mutex<VecDeque<T>>>,
    len: CachePadded<AtomicUsize>,
}

impl<T> Injector<T> {
    /// An empty queue.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "one is made on purpose")]
    pub fn new() -> Self {
        Self {
            items: CachePadded::new(Mutex::new(VecDeque::new())),
            len: CachePadded::new(AtomicUsize::new(0)),
        }
    }

    /// Puts an item at the back.
    pub fn push(&self, item: T) {
        let mut items = self.items.lock();
        items.push_back(item);
        // ordering: relaxed, written under the lock; who must not miss it has a fence between (I3, I4 of
        // `scheduler/idle.rs`), or, in the strict flavour, the token of its park (P3, P4).
        self.len.store(items.len(), Ordering::Relaxed);
    }

    /// Whether it is empty: a hint, exact for whoever has a fence between.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many items: a hint, as [`is_empty`](Self::is_empty).
    #[inline]
    pub fn len(&self) -> usize {
        // ordering: relaxed, see `push`.
        self.len.load(Ordering::Relaxed)
    }

    /// Takes one item, and this worker's share of the rest into its own queue.
    pub fn grab(&self, into: &Local<T>, workers: usize) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let mut items = self.items.lock();
        let first = items.pop_front()?;
        // Half, or a worker's fair share if that is less.
        let more = (items.len() / workers.max(2)).min(GRAB_MAX);
        for item in items.drain(..more) {
            into.push(item);
        }
        // ordering: relaxed, see `push`.
        self.len.store(items.len(), Ordering::Relaxed);
        Some(first)
    }

    /// Puts items back to the front, in their order.
    pub fn push_front(&self, batch: &mut VecDeque<T>) {
        let mut items = self.items.lock();
        while let Some(item) = batch.pop_back() {
            items.push_front(item);
        }
        // ordering: relaxed, see `push`.
        self.len.store(items.len(), Ordering::Relaxed);
    }

    /// Swaps the whole queue for an empty one.
    pub fn swap(&self, batch: &mut VecDeque<T>) {
        debug_assert!(batch.is_empty(), "a batch is run to its end first");
        if self.is_empty() {
            return;
        }
        let mut items = self.items.lock();
        std::mem::swap(&mut *items, batch);
        // ordering: relaxed, see `push`.
        self.len.store(items.len(), Ordering::Relaxed);
    }
}

impl<T> fmt::Debug for Injector<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Injector({} items)", self.len())
    }
}
