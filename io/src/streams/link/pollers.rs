//! Who waits for a link through a trait, where a wait is a poll: any number of its writers at once.
//!
//! Called by `link.rs`. No waker is called, cloned or dropped under the mutex here.

use std::mem;
use std::task::Waker;

use loxley_sync::prim::atomic::{AtomicBool, Ordering};
use loxley_sync::prim::lock::Mutex;
use loxley_sync::wait::WakeBatch;

/// The last waker of each writer that waits.
pub(super) struct Pollers {
    waiting: Mutex<Vec<(usize, Waker)>>,
    is_any: AtomicBool,
}

impl Pollers {
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::new(Vec::new()),
            is_any: AtomicBool::new(false),
        }
    }

    /// To be woken when the link changes, if `writer` then looks and finds it unchanged.
    pub(super) fn register(&self, writer: usize, waker: &Waker) {
        let waker = waker.clone();
        let mut waiting = self.waiting.lock();
        // ordering: Relaxed. Who registers looks under the link's mutex afterwards, and who changes the link does so under it
        // before he asks here: if the look missed the change, this came first for him.
        self.is_any.store(true, Ordering::Relaxed);
        let mut replaced = None;
        match waiting.iter_mut().find(|(other, _)| *other == writer) {
            Some((_, old)) => replaced = Some(mem::replace(old, waker)),
            None => waiting.push((writer, waker)),
        }
        drop(waiting);
        drop(replaced);
    }

    /// The writer waits no more.
    pub(super) fn forget(&self, writer: usize) {
        // ordering: Relaxed. What this writer has registered it knows of.
        if !self.is_any.load(Ordering::Relaxed) {
            return;
        }
        let mut waiting = self.waiting.lock();
        let found = waiting.iter().position(|(other, _)| *other == writer);
        let gone = found.map(|at| waiting.swap_remove(at));
        drop(waiting);
        drop(gone);
    }

    /// Wakes all, outside the link's mutex and after the change.
    pub(super) fn wake(&self) {
        // ordering: Relaxed, as in `register`.
        if !self.is_any.load(Ordering::Relaxed) {
            return;
        }
        let mut waiting = self.waiting.lock();
        // ordering: Relaxed. Under the mutex of the list it speaks of.
        self.is_any.store(false, Ordering::Relaxed);
        let woken = mem::take(&mut *waiting);
        drop(waiting);
        let mut batch = WakeBatch::new();
        for (_, waker) in woken {
            if !batch.has_room() {
                batch.wake_all();
            }
            batch.push(waker);
        }
        batch.wake_all();
    }
}
