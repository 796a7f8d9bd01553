//! A stand-in for the deque, for loom, shuttle and miri: the same promises over a lock.
//!
//! crossbeam-deque is invisible to the model checkers, and by its own comment undefined behaviour in the letter. What is
//! modelled with this file is everything around the queue; the queue itself is tested in `deque.rs`.

use loxley_sync::prim::Arc;
use loxley_sync::prim::lock::Mutex;
use std::collections::VecDeque;

/// The owner's end.
#[derive(Debug)]
pub struct Local<T>(Arc<Mutex<VecDeque<T>>>);

/// Everybody else's end.
#[derive(Debug)]
pub struct Stealer<T>(Arc<Mutex<VecDeque<T>>>);

impl<T> Local<T> {
    /// Both ends of an empty queue.
    pub fn new() -> (Self, Stealer<T>) {
        let items = Arc::new(Mutex::new(VecDeque::new()));
        (Self(items.clone()), Stealer(items))
    }

    /// Puts an item at the back.
    pub fn push(&self, item: T) {
        self.0.lock().push_back(item);
    }

    /// Takes the item at the front.
    pub fn pop(&self) -> Option<T> {
        self.0.lock().pop_front()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

impl<T> Stealer<T> {
    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// How many items.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Takes up to half of the items: one is returned, the others go to `into`. `None` only if the queue was empty.
    pub fn steal_half(&self, into: &Local<T>) -> Option<T> {
        let (first, more) = {
            let mut items = self.0.lock();
            let first = items.pop_front();
            let half = items.len() / 2;
            (first, items.drain(..half).collect::<Vec<_>>())
        };
        into.0.lock().extend(more);
        first
    }
}
