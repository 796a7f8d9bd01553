//! Where a worker looks when its own queues are dry: the injector, then its neighbours.

use super::core::Core;
use super::shared::Shared;
use crate::task::Scheduled;
use loxley_sync::prim::atomic::Ordering;

impl Core {
    /// One search: the injector, then every other worker once, from a random one on. The caller is a
    /// searcher (I1), or drains.
    pub(super) fn search(&mut self, shared: &Shared) -> Option<Scheduled> {
        let workers = shared.remotes.len();
        if let Some(task) = shared.injector.grab(&self.local, workers) {
            return Some(task);
        }
        let first = self.rng.below(workers);
        for step in 0..workers {
            let victim = (first + step) % workers;
            if victim == self.index() {
                continue;
            }
            let remote = &shared.remotes[victim];
            let found = remote.stealer.steal_half(&self.local).or_else(|| {
                // A task in the LIFO slot is about to be run by its owner, on a warm cache; only a stuck owner loses it.
                // ordering: relaxed, a hint of the monitor.
                let stuck = remote.stuck.load(Ordering::Relaxed);
                if stuck { remote.lifo.take() } else { None }
            });
            if found.is_some() {
                let steals = &shared.remotes[self.index()].counters.steals;
                // ordering: relaxed, a counter written by this worker only.
                steals.store(steals.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                return found;
            }
        }
        None
    }
}

impl Shared {
    /// The look after the SleepFence (I3): is there anything that a search would find? (But for the slot of a stuck
    /// worker, for which the monitor wakes a sleeper at its every look.)
    pub(super) fn has_work_for(&self, worker: usize) -> bool {
        !self.injector.is_empty()
            || self
                .remotes
                .iter()
                .enumerate()
                .any(|(index, remote)| index != worker && !remote.stealer.is_empty())
    }
}
