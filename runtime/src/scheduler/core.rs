//! What one worker owns alone. Holding the core is the right to put into its queues and to spawn into its shard.

use super::shared::{Config, Seat, Shared};
use crate::id::TaskIds;
use crate::queue::Local;
use crate::rng::Rng;
use crate::task::{Roster, Scheduled};
use std::fmt;

/// After this many polls in a row out of the LIFO slot, the queue has its turn: two tasks that wake each other must not
/// keep all others waiting.
const LIFO_RUN_MAX: u32 = 3;

/// One worker's own state.
pub(crate) struct Core {
    index: usize,
    /// Rounds until timers and driver are looked at.
    until_events: u32,
    /// Rounds until the injector is looked at first.
    until_injector: u32,
    pub(super) local: Local<Scheduled>,
    /// When timers may be fired again, in nanoseconds of their clock.
    pub(super) next_firing: u64,
    /// Polls in a row out of the LIFO slot.
    lifo_run: u32,
    /// Counted as a searcher in the idle word (I1, or I4 by another).
    pub(super) searching: bool,
    /// Off duty between I3 and I5: what is woken here now is noticed by this worker itself, and nobody else is told yet.
    pub(super) parking: bool,
    pub(super) roster: Roster,
    pub(super) ids: TaskIds,
    pub(super) rng: Rng,
}

/// What a worker does next.
#[derive(Debug)]
pub(super) enum Next {
    /// Poll it.
    Run(Scheduled),
    /// Look after timers and driver, then ask again.
    Maintain,
    /// Its own queues are dry.
    Dry,
}

impl Core {
    pub(super) fn new(seat: Seat, config: &Config) -> Self {
        Self {
            index: seat.index,
            until_events: config.event_interval,
            until_injector: config.global_queue_interval,
            local: seat.local,
            next_firing: 0,
            lifo_run: 0,
            searching: false,
            parking: false,
            roster: seat.roster,
            ids: TaskIds::default(),
            rng: Rng::new(config.seed, seat.index as u64),
        }
    }

    /// Which worker.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// The next step, by the order of `mod.rs`.
    #[inline]
    pub(super) fn next(&mut self, shared: &Shared) -> Next {
        self.until_events -= 1;
        if self.until_events == 0 {
            self.until_events = shared.config.event_interval;
            return Next::Maintain;
        }
        self.until_injector -= 1;
        if self.until_injector == 0 {
            self.until_injector = shared.config.global_queue_interval;
            if let Some(task) = shared.injector.grab(&self.local, shared.remotes.len()) {
                return Next::Run(task);
            }
        }
        match self.next_own(shared) {
            Some(task) => Next::Run(task),
            None => Next::Dry,
        }
    }

    #[inline]
    fn next_own(&mut self, shared: &Shared) -> Option<Scheduled> {
        let lifo = &shared.remotes[self.index].lifo;
        if self.lifo_run < LIFO_RUN_MAX {
            if let Some(task) = lifo.take() {
                self.lifo_run += 1;
                return Some(task);
            }
        }
        self.lifo_run = 0;
        self.local.pop().or_else(|| lifo.take())
    }

    /// Whether something is left to run here.
    pub(super) fn has_work(&self, shared: &Shared) -> bool {
        !self.local.is_empty() || !shared.remotes[self.index].lifo.is_empty()
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("index", &self.index)
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}
