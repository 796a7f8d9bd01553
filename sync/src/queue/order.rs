//! In which order a queue gives back what was put: the only thing in which the three kinds differ.
//!
//! A pile has two parts, one that stands under the mutex of the queue's wait list and one that stands beside it. What is
//! first in is first out without the mutex, as long as nobody waits (`ring.rs`); the other orders need it for everything.

use super::ring::{Ends, Hold, Ring};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A pile of items with an opinion on which comes next: the part that is shared without the mutex.
///
/// Of the calls with `inner` the caller has the mutex. Those without are made by anybody at any time.
pub(super) trait Order: Sized {
    /// What is piled.
    type Item;
    /// The part under the mutex.
    type Inner;
    /// All items at once, to be dropped without the mutex.
    type All;

    /// An empty pile for at most `maxsize` items; 0 is no bound.
    fn new(maxsize: usize) -> (Self, Self::Inner);

    /// Puts without the mutex: refused if anybody waits, anything is promised, or there is no room.
    fn try_put(&self, item: Self::Item) -> Result<(), Self::Item> {
        Err(item)
    }

    /// Gets without the mutex: refused if anybody waits, anything is promised, or there is no item.
    fn try_get(&self) -> Option<Self::Item> {
        None
    }

    /// Whether there is surely nothing to get, at a glance; who acts on it looks again under the mutex.
    fn looks_empty(&self) -> bool {
        false
    }

    /// Whether there is surely no room, at a glance; who acts on it looks again under the mutex.
    fn looks_full(&self) -> bool {
        false
    }

    /// From now on [`try_put`](Self::try_put), [`try_get`](Self::try_get) or both are refused.
    fn hold(&self, inner: &mut Self::Inner, ends: Ends) {
        let _ = (inner, ends);
    }

    /// They may be served again, but for those of `keep`.
    fn let_go(&self, inner: &mut Self::Inner, keep: Ends) {
        let _ = (inner, keep);
    }

    /// So many places are promised, and not for [`try_put`](Self::try_put). If they have become more, without an item less,
    /// puts must be held until as many were given up, or an item was put.
    fn promise(&self, inner: &mut Self::Inner, places: usize) {
        let _ = (inner, places);
    }

    /// Adds an item, while puts are held. The count rises even if comparing items panics.
    fn push(&self, inner: &mut Self::Inner, item: Self::Item);

    /// Takes the item that comes next, while gets are held.
    fn pop(&self, inner: &mut Self::Inner) -> Option<Self::Item>;

    /// Takes all items, while gets and puts are held.
    fn take_all(&self, inner: &mut Self::Inner) -> Self::All;

    /// How many items there are.
    fn len(&self, inner: &Self::Inner) -> usize;

    /// The most items that were there at once.
    fn len_peak(&self, inner: &Self::Inner) -> usize;

    /// How many items were ever put.
    fn total(&self, inner: &Self::Inner) -> u64;
}

/// First in, first out.
pub(super) type Fifo<T> = Ring<T>;

impl<T> Order for Ring<T> {
    type Item = T;
    type Inner = Hold;
    type All = Vec<T>;

    fn new(maxsize: usize) -> (Self, Hold) {
        Self::new(maxsize)
    }

    #[inline]
    fn try_put(&self, item: T) -> Result<(), T> {
        self.try_put(item)
    }

    #[inline]
    fn try_get(&self) -> Option<T> {
        self.try_get()
    }

    #[inline]
    fn looks_empty(&self) -> bool {
        self.looks_empty()
    }

    #[inline]
    fn looks_full(&self) -> bool {
        self.looks_full()
    }

    #[inline]
    fn hold(&self, inner: &mut Hold, ends: Ends) {
        inner.hold(self, ends);
    }

    fn let_go(&self, inner: &mut Hold, keep: Ends) {
        inner.let_go(self, keep);
    }

    fn promise(&self, inner: &mut Hold, places: usize) {
        inner.promise(self, places);
    }

    #[inline]
    fn push(&self, inner: &mut Hold, item: T) {
        inner.put(self, item);
    }

    #[inline]
    fn pop(&self, inner: &mut Hold) -> Option<T> {
        inner.get(self)
    }

    fn take_all(&self, inner: &mut Hold) -> Vec<T> {
        std::iter::from_fn(|| inner.get(self)).collect()
    }

    #[inline]
    fn len(&self, _: &Hold) -> usize {
        self.len()
    }

    fn len_peak(&self, _: &Hold) -> usize {
        self.len_peak()
    }

    fn total(&self, _: &Hold) -> u64 {
        self.total()
    }
}

/// An order whose whole pile stands under the mutex.
pub(super) struct Locked<P>(std::marker::PhantomData<fn() -> P>);

/// A pile under the mutex, with its counts.
pub(super) struct Counted<P> {
    pile: P,
    len_peak: usize,
    total: u64,
}

/// A collection that gives back one item after the other.
pub(super) trait Pile: Default {
    /// What is piled.
    type Item;

    fn push(&mut self, item: Self::Item);
    fn pop(&mut self) -> Option<Self::Item>;
    fn len(&self) -> usize;
}

/// Last in, first out.
pub(super) type Lifo<T> = Locked<Vec<T>>;

/// Smallest first.
pub(super) type Smallest<T> = Locked<BinaryHeap<Reverse<T>>>;

impl<P: Pile> Order for Locked<P> {
    type Item = P::Item;
    type Inner = Counted<P>;
    type All = P;

    fn new(_: usize) -> (Self, Counted<P>) {
        let inner = Counted {
            pile: P::default(),
            len_peak: 0,
            total: 0,
        };
        (Self(std::marker::PhantomData), inner)
    }

    fn push(&self, inner: &mut Counted<P>, item: P::Item) {
        // The counts come first: should comparing items panic, the item is in the pile all the same.
        inner.total += 1;
        inner.len_peak = inner.len_peak.max(inner.pile.len() + 1);
        inner.pile.push(item);
    }

    fn pop(&self, inner: &mut Counted<P>) -> Option<P::Item> {
        inner.pile.pop()
    }

    fn take_all(&self, inner: &mut Counted<P>) -> P {
        std::mem::take(&mut inner.pile)
    }

    fn len(&self, inner: &Counted<P>) -> usize {
        inner.pile.len()
    }

    fn len_peak(&self, inner: &Counted<P>) -> usize {
        inner.len_peak
    }

    fn total(&self, inner: &Counted<P>) -> u64 {
        inner.total
    }
}

impl<T> Pile for Vec<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        self.push(item);
    }

    fn pop(&mut self) -> Option<T> {
        self.pop()
    }

    fn len(&self) -> usize {
        self.len()
    }
}

impl<T: Ord> Pile for BinaryHeap<Reverse<T>> {
    type Item = T;

    fn push(&mut self, item: T) {
        self.push(Reverse(item));
    }

    fn pop(&mut self) -> Option<T> {
        self.pop().map(|Reverse(item)| item)
    }

    fn len(&self) -> usize {
        self.len()
    }
}
