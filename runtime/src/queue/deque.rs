//! A worker's own queue: first in, first out for its owner, stolen from the same end by others.
//!
//! The only file that names crossbeam-deque: Chase and Lev's deque ("Dynamic Circular Work-Stealing Deque", 2005) with the
//! orderings of Lê, Pop, Cohen and Zappa Nardelli ("Correct and Efficient Work-Stealing for Weak Memory Models", 2013).

use crossbeam_deque::{Steal, Worker};
use std::fmt;

/// The owner's end.
pub struct Local<T>(Worker<T>);

/// Everybody else's end.
pub struct Stealer<T>(crossbeam_deque::Stealer<T>);

impl<T> Local<T> {
    /// Both ends of an empty queue.
    pub fn new() -> (Self, Stealer<T>) {
        let worker = Worker::new_fifo();
        let stealer = worker.stealer();
        (Self(worker), Stealer(stealer))
    }

    /// Puts an item at the back.
    #[inline]
    pub fn push(&self, item: T) {
        self.0.push(item);
    }

    /// Takes the item at the front.
    #[inline]
    pub fn pop(&self) -> Option<T> {
        self.0.pop()
    }

    /// Whether it is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Stealer<T> {
    /// Whether it is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many items.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes up to half of the items: one is returned, the others go to `into`. `None` only if the queue was empty.
    pub fn steal_half(&self, into: &Local<T>) -> Option<T> {
        loop {
            if self.0.is_empty() {
                return None;
            }
            match self.0.steal_batch_and_pop(&into.0) {
                Steal::Success(item) => return Some(item),
                Steal::Empty => return None,
                // Another thief or the owner got in between: they made progress, so this ends.
                Steal::Retry => {}
            }
        }
    }
}

impl<T> fmt::Debug for Local<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Local({} items)", self.0.len())
    }
}

impl<T> fmt::Debug for Stealer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stealer({} items)", self.len())
    }
}

#[cfg(all(test, not(any(loom, shuttle, miri))))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn the_owner_takes_in_the_order_it_put() {
        let (local, _) = Local::new();
        for n in 0..100 {
            local.push(n);
        }
        assert!((0..100).all(|n| local.pop() == Some(n)));
        assert!(local.is_empty());
    }

    #[test]
    fn under_theft_every_item_comes_out_exactly_once() {
        const ITEMS: usize = 200_000;
        let (local, stealer) = Local::new();
        let done = AtomicBool::new(false);
        let mut out: Vec<usize> = std::thread::scope(|scope| {
            let thieves: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let (mine, _) = Local::new();
                        let mut out = Vec::new();
                        loop {
                            let last = done.load(Ordering::Acquire);
                            while let Some(n) = stealer.steal_half(&mine) {
                                out.push(n);
                                out.extend(std::iter::from_fn(|| mine.pop()));
                            }
                            if last {
                                return out;
                            }
                            std::thread::yield_now();
                        }
                    })
                })
                .collect();
            let mut out = Vec::new();
            for n in 0..ITEMS {
                local.push(n);
                if n % 3 == 0 {
                    out.extend(local.pop());
                }
            }
            out.extend(std::iter::from_fn(|| local.pop()));
            done.store(true, Ordering::Release);
            for thief in thieves {
                out.extend(thief.join().expect("a thief does not panic"));
            }
            out
        });
        out.sort_unstable();
        assert!(out.iter().copied().eq(0..ITEMS), "{} items", out.len());
    }
}
