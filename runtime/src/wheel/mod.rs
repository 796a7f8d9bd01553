//! A pure timing wheel: entries by tick, inserted and removed in constant time, taken out in order.
//!
//! Called by `driver/timers.rs` alone. It never names an atomic, a waker or a clock: a tick is a number, the payload is
//! generic, and time passes because a caller says so.
//!
//! The scheme is the hierarchical wheel of Varghese and Lauck ("Hashed and Hierarchical Timing Wheels", SOSP 1987),
//! with three turns of its own:
//!
//! - Each place remembers the earliest deadline ever put into it. A place above the bottom then need not be visited
//!   when its stretch begins, only when something in it is due: a sleeping thread is not woken for bookkeeping.
//! - The wheel goes straight to the first occupied place; what lies between costs nothing.
//! - A place whose time has come is moved to one side as a whole (the *unsorted* list) and looked at entry by entry, so
//!   one [`step`](Wheel::step) is a constant amount of work and the caller may release its lock between any two.
//!
//! # State
//!
//! `now` is the tick up to which the wheel has been brought. It never goes back. While the unsorted list is not empty,
//! every level below the one it came from is empty, and new entries join its end, so the order stays exact.
//!
//! # Order
//!
//! Entries come out by tick, and in the order of insertion within a tick. An entry inserted late counts as one of the
//! tick at which the wheel stands. (Beyond the reach of the top level, two years at our resolution, the order within
//! one tick is not kept.)

mod level;
mod slab;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

use level::{Occupied, Place, Span, place_of, span_of};
use slab::Slab;

/// The number of the list of entries that wait to be placed anew.
const UNSORTED: usize = Place::COUNT;

/// Names one entry for its lifetime. Afterwards it misses: numbers are not used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Where the entry is stored.
    pub(crate) index: u32,
    /// Which entry stored there is meant; 0 means none, ever.
    pub(crate) generation: u64,
}

impl Key {
    /// The largest generation: 48 bits, so that a key packs into twelve bytes together with a shard number. At ten
    /// million insertions a second the numbers begin anew after most of a year.
    pub(crate) const GENERATION_MAX: u64 = (1 << 48) - 1;

    /// A key that misses, always.
    pub(crate) const NONE: Self = Self {
        index: u32::MAX,
        generation: 0,
    };
}

/// What one [`Wheel::step`] did.
#[derive(Debug)]
#[must_use = "a due entry must be acted on, and anything but `Done` asks for another step"]
pub(crate) enum Step<T> {
    /// An entry was due and has left the wheel.
    Due(T),
    /// An entry was placed anew; more work remains.
    Moved,
    /// Nothing is due any more.
    Done,
}

/// Entries of type `T`, ordered by tick.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    now: u64,
    occupied: Occupied,
    /// Per place, the earliest deadline put into it since it was empty. An entry that was removed may have left it too
    /// early, never too late.
    earliest: [u64; Place::COUNT],
    slab: Slab<T, { Place::COUNT + 1 }>,
}

impl<T> Wheel<T> {
    /// An empty wheel that stands at tick 0.
    pub(crate) fn new() -> Self {
        Self {
            now: 0,
            occupied: Occupied::new(),
            earliest: [0; Place::COUNT],
            slab: Slab::new(),
        }
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Adds an entry that is due at tick `deadline`, or at once if that has passed.
    pub(crate) fn insert(&mut self, deadline: u64, payload: T) -> Key {
        let deadline = deadline.max(self.now);
        let list = self.list_for(deadline);
        self.slab.insert(list, deadline, payload)
    }

    /// Takes an entry out; `None` if it has left already.
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let index = self.slab.find(key)?;
        self.unlink(index);
        self.slab.free(index)
    }

    /// Gives an entry another deadline; `false` if it has left already. Its key stays valid.
    pub(crate) fn reset(&mut self, key: Key, deadline: u64) -> bool {
        let Some(index) = self.slab.find(key) else {
            return false;
        };
        self.unlink(index);
        let deadline = deadline.max(self.now);
        self.slab.set_deadline(index, deadline);
        let list = self.list_for(deadline);
        self.slab.push_back(list, index);
        true
    }

    /// What an entry carries; `None` if it has left already.
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let index = self.slab.find(key)?;
        self.slab.payload_mut(index)
    }

    /// Whether an entry is still in the wheel.
    pub(crate) fn contains(&self, key: Key) -> bool {
        self.slab.find(key).is_some()
    }

    /// A tick before which no entry is due, and at which a visit is worth while; `None` if there are no entries.
    ///
    /// It is exact but for removed entries and for those beyond the top level's reach, for which it may be too early.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        if self.slab.first(UNSORTED).is_some() {
            return Some(self.now);
        }
        let place = self.occupied.first(self.now)?;
        let Span { first, last } = span_of(self.now, place);
        if place.is_single_tick() {
            return Some(first);
        }
        Some(self.earliest[place.index()].min(last))
    }

    /// Brings the wheel one step nearer to tick `to`: takes out one due entry, or places one anew, or has arrived.
    pub(crate) fn step(&mut self, to: u64) -> Step<T> {
        let to = to.max(self.now);
        if let Some(index) = self.slab.first(UNSORTED) {
            return self.sort(index);
        }
        let Some(place) = self.occupied.first(self.now) else {
            self.now = to;
            return Step::Done;
        };
        let Span { first, last } = span_of(self.now, place);
        if first > to {
            self.now = to;
            return Step::Done;
        }
        if place.is_single_tick() {
            self.now = first;
        } else {
            // Nothing here, and so nothing at all, is due before the earliest of it: no need to stop on the way.
            self.now = self.earliest[place.index()].min(last).min(to);
            debug_assert!(self.now >= first, "an entry lies before its place");
            self.occupied.clear(place);
            self.slab.move_list(place.index(), UNSORTED);
        }
        let list = if place.is_single_tick() {
            place.index()
        } else {
            UNSORTED
        };
        match self.slab.first(list) {
            Some(index) => self.sort(index),
            None => unreachable!("an occupied place has an entry"),
        }
    }

    /// Takes every entry out, in no particular order. Their keys miss afterwards.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = T> + use<T> {
        self.occupied = Occupied::new();
        self.slab.take_all()
    }

    /// The list for an entry of tick `deadline`, which is then no longer empty.
    #[inline]
    fn list_for(&mut self, deadline: u64) -> usize {
        if self.slab.first(UNSORTED).is_some() {
            return UNSORTED;
        }
        self.place(deadline)
    }

    #[inline]
    fn place(&mut self, deadline: u64) -> usize {
        let place = place_of(self.now, deadline);
        let earliest = &mut self.earliest[place.index()];
        *earliest = if self.occupied.contains(place) {
            deadline.min(*earliest)
        } else {
            deadline
        };
        self.occupied.set(place);
        place.index()
    }

    /// Takes the entry at `index` out if it is due, else puts it where it now belongs.
    fn sort(&mut self, index: u32) -> Step<T> {
        let deadline = self.slab.deadline(index);
        self.unlink(index);
        if deadline <= self.now {
            return match self.slab.free(index) {
                Some(payload) => Step::Due(payload),
                None => unreachable!("a linked entry carries a payload"),
            };
        }
        let list = self.place(deadline);
        self.slab.push_back(list, index);
        Step::Moved
    }

    #[inline]
    fn unlink(&mut self, index: u32) {
        if let Some(emptied) = self.slab.unlink(index) {
            if emptied != UNSORTED {
                self.occupied.clear(Place::at(emptied));
            }
        }
    }

    /// How many entries fit without asking the allocator.
    #[cfg(test)]
    fn capacity(&self) -> usize {
        self.slab.capacity()
    }
}
