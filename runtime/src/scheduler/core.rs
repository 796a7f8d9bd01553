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

/// While polls take long, timers and driver are looked at about this often, however few rounds that is. A look costs a
/// hundredth of it.
const LOOK_WITHIN_NS: u64 = 100_000;

/// All workers together wake about this often for timers that are close to each other: a hundred thousand sleepers would
/// cost as many wake-ups. A sleep that ends by itself keeps its precision.
const FIRING_SPACING_NS: u64 = 75_000;

/// One worker's own state.
pub(crate) struct Core {
    index: usize,
    /// Rounds until timers and driver are looked at.
    until_events: u32,
    /// Rounds from the last such look to the next; at most what the builder says.
    event_interval: u32,
    /// When the last look was, in nanoseconds of the timers' clock; 0 if this worker has slept since.
    pub(super) looked_at: u64,
    /// Rounds until the injector is looked at first.
    until_injector: u32,
    pub(super) local: Local<Scheduled>,
    /// When this worker may wake for timers again, in nanoseconds of their clock.
    pub(super) next_firing: u64,
    /// From one firing to the next wake-up for one.
    firing_spacing: u64,
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
            event_interval: config.event_interval,
            looked_at: 0,
            until_injector: config.global_queue_interval,
            local: seat.local,
            next_firing: 0,
            firing_spacing: firing_spacing(config.workers),
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
            self.until_events = self.event_interval;
            return Next::Maintain;
        }
        self.until_injector -= 1;
        if self.until_injector == 0 {
            // Long polls bring both looks forward.
            let most = shared.config.global_queue_interval;
            self.until_injector = most.min(self.event_interval);
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

    /// At a look at timers and driver: how many rounds until the next, judged by how long those since the last took.
    pub(super) fn pace(&mut self, now: u64, most: u32) {
        if self.looked_at != 0 {
            let elapsed = now.saturating_sub(self.looked_at);
            self.event_interval = rounds_until_look(elapsed, self.event_interval, most);
            self.until_events = self.event_interval;
        }
        self.looked_at = now;
    }

    /// Timers have been fired at `now`: no wake-up for others right after.
    pub(super) fn has_fired(&mut self, now: u64) {
        self.next_firing = now.saturating_add(self.firing_spacing);
    }

    /// Whether something is left to run here.
    pub(super) fn has_work(&self, shared: &Shared) -> bool {
        !self.local.is_empty() || !shared.remotes[self.index].lifo.is_empty()
    }
}

/// How many rounds until the next look, after `rounds` that took `elapsed` nanoseconds: at most `most`, and 2 at the least, for
/// the look itself is one.
fn rounds_until_look(elapsed: u64, rounds: u32, most: u32) -> u32 {
    let round = (elapsed / u64::from(rounds)).max(1);
    u32::try_from(LOOK_WITHIN_NS / round)
        .unwrap_or(most)
        .clamp(2, most)
}

/// Each worker has timers of its own, and wakes for them by itself: the more there are, the more seldom each of them, down to
/// once in a millisecond.
fn firing_spacing(workers: usize) -> u64 {
    (FIRING_SPACING_NS.saturating_mul(workers as u64)).clamp(2 * FIRING_SPACING_NS, 1_000_000)
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("index", &self.index)
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::{firing_spacing, rounds_until_look};

    #[test]
    fn timers_and_driver_are_looked_at_sooner_while_polls_take_long() {
        // Short polls: as the builder says.
        assert_eq!(rounds_until_look(0, 61, 61), 61);
        assert_eq!(rounds_until_look(61 * 50, 61, 61), 61);
        // 5 us each: after 20 of them.
        assert_eq!(rounds_until_look(61 * 5_000, 61, 61), 20);
        // The first short ones make up for it at once.
        assert_eq!(rounds_until_look(20 * 50, 20, 61), 61);
        // However long: there is a round between two looks.
        assert_eq!(rounds_until_look(u64::MAX, 61, 61), 2);
        assert_eq!(rounds_until_look(u64::MAX, 2, 2), 2);
    }

    #[test]
    fn many_workers_do_not_wake_for_timers_many_times_as_often() {
        assert_eq!([1, 2, 3].map(firing_spacing), [150_000, 150_000, 225_000]);
        assert_eq!(firing_spacing(8), 600_000);
        assert_eq!(
            [64, usize::MAX].map(firing_spacing),
            [1_000_000; 2],
            "as late as a coarse timer is"
        );
    }
}
