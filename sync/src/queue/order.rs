//! In which order a queue gives back what was put: the only thing in which the three kinds differ.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// A pile of items with an opinion on which comes next.
pub(super) trait Order: Default {
    /// What is piled.
    type Item;

    /// Adds an item.
    fn push(&mut self, item: Self::Item);
    /// Takes the item that comes next.
    fn pop(&mut self) -> Option<Self::Item>;
    /// How many items there are.
    fn len(&self) -> usize;
}

/// First in, first out.
#[derive(Debug)]
pub(super) struct Fifo<T>(VecDeque<T>);

/// Last in, first out.
#[derive(Debug)]
pub(super) struct Lifo<T>(Vec<T>);

/// Smallest first.
#[derive(Debug)]
pub(super) struct Smallest<T>(BinaryHeap<Reverse<T>>);

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Default for Lifo<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Ord> Default for Smallest<T> {
    fn default() -> Self {
        Self(BinaryHeap::new())
    }
}

impl<T> Order for Fifo<T> {
    type Item = T;

    #[inline]
    fn push(&mut self, item: T) {
        self.0.push_back(item);
    }

    #[inline]
    fn pop(&mut self) -> Option<T> {
        self.0.pop_front()
    }

    #[inline]
    fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T> Order for Lifo<T> {
    type Item = T;

    #[inline]
    fn push(&mut self, item: T) {
        self.0.push(item);
    }

    #[inline]
    fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }

    #[inline]
    fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T: Ord> Order for Smallest<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        self.0.push(Reverse(item));
    }

    fn pop(&mut self) -> Option<T> {
        self.0.pop().map(|Reverse(item)| item)
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}
