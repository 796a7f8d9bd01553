//! The geometry of the wheel: which slot a tick belongs to, and which occupied slot comes first.
//!
//! Called by [`Wheel`](super::Wheel) alone. Nothing here owns an entry; this file only computes.
//!
//! ```text
//!   level 0   64 slots of          1 tick     the block of 64 ticks that holds `now`
//!   level 1   64 slots of         64 ticks    the block of 64² ticks that holds `now`, without the part above
//!     …
//!   level 6   64 slots of 64⁶ ticks           the rest; what lies further waits in the last slot and is placed anew
//! ```
//!
//! Below the top a tick lives on the level of the highest digit (base 64) in which it differs from `now`. Hence all of
//! level *n* comes before all of level *n + 1*, and inside a level slots come in numerical order. The top level alone
//! wraps around: its slots are counted from the one that holds `now`.

/// Binary digits that one level resolves.
const SLOT_BITS: u32 = 6;
/// Slots of one level: as many as one word has bits.
pub(super) const SLOTS: usize = 1 << SLOT_BITS;
/// Levels of the wheel: 64⁷ ticks, which at 16.4 µs is a little more than two years.
pub(super) const LEVELS: usize = 7;
/// The level that wraps around.
const TOP: usize = LEVELS - 1;

/// One slot of one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u16);

impl Place {
    /// How many places there are.
    pub(super) const COUNT: usize = LEVELS * SLOTS;

    fn new(level: usize, slot: u64) -> Self {
        debug_assert!(level < LEVELS, "level {level} is beyond the wheel");
        #[expect(clippy::cast_possible_truncation, reason = "less than Place::COUNT")]
        Self((level * SLOTS) as u16 | (slot % SLOTS as u64) as u16)
    }

    /// The number of this place, below [`COUNT`](Self::COUNT).
    #[inline]
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The place numbered `index`.
    #[inline]
    pub(super) fn at(index: usize) -> Self {
        debug_assert!(index < Self::COUNT, "place {index} is beyond the wheel");
        #[expect(clippy::cast_possible_truncation, reason = "less than Place::COUNT")]
        Self(index as u16)
    }

    #[inline]
    fn level(self) -> usize {
        self.index() / SLOTS
    }

    #[inline]
    fn slot(self) -> usize {
        self.index() % SLOTS
    }

    /// Whether this is a slot of a single tick, whose entries are all due at once.
    #[inline]
    pub(super) fn is_single_tick(self) -> bool {
        self.level() == 0
    }
}

/// How far a tick must be shifted so that its slot number on `level` stands in the lowest digit.
#[inline]
fn shift(level: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "less than LEVELS")]
    let level = level as u32;
    level * SLOT_BITS
}

/// Where an entry of tick `deadline` belongs while the wheel stands at `now`. `deadline` is not before `now`.
#[inline]
pub(super) fn place_of(now: u64, deadline: u64) -> Place {
    debug_assert!(deadline >= now, "tick {deadline} lies before {now}");
    let differing = now ^ deadline;
    let highest_bit = 63 - (differing | 1).leading_zeros();
    let level = ((highest_bit / SLOT_BITS) as usize).min(TOP);
    let mut slot = deadline >> shift(level);
    if level == TOP {
        // Too far for the wheel: wait in the slot that comes last, and be placed anew when it does.
        slot = slot.min((now >> shift(TOP)) + (SLOTS as u64 - 1));
    }
    Place::new(level, slot)
}

/// The ticks that a place covers while the wheel stands at `now`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) last: u64,
}

/// The ticks that the occupied `place` covers while the wheel stands at `now`.
#[inline]
pub(super) fn span_of(now: u64, place: Place) -> Span {
    let (level, slot) = (place.level(), place.slot() as u64);
    let here = now >> shift(level);
    let base = SLOTS as u64 - 1;
    let number = if level == TOP {
        here + (slot.wrapping_sub(here) & base)
    } else {
        (here & !base) | slot
    };
    let first = number << shift(level);
    Span {
        first,
        last: first | ((1 << shift(level)) - 1),
    }
}

/// Which places hold entries: one bit each, so that an empty stretch of any length is skipped in a few instructions.
#[derive(Debug)]
pub(super) struct Occupied {
    words: [u64; LEVELS],
}

impl Occupied {
    pub(super) const fn new() -> Self {
        Self { words: [0; LEVELS] }
    }

    #[inline]
    pub(super) fn set(&mut self, place: Place) {
        self.words[place.level()] |= 1 << place.slot();
    }

    #[inline]
    pub(super) fn clear(&mut self, place: Place) {
        self.words[place.level()] &= !(1 << place.slot());
    }

    #[inline]
    pub(super) fn contains(&self, place: Place) -> bool {
        self.words[place.level()] & (1 << place.slot()) != 0
    }

    /// The occupied place whose ticks come first while the wheel stands at `now`.
    #[inline]
    pub(super) fn first(&self, now: u64) -> Option<Place> {
        let level = self.words.iter().position(|word| *word != 0)?;
        let word = self.words[level];
        if level < TOP {
            return Some(Place::new(level, u64::from(word.trailing_zeros())));
        }
        let here = now >> shift(TOP);
        #[expect(clippy::cast_possible_truncation, reason = "less than SLOTS")]
        let rotation = (here % SLOTS as u64) as u32;
        let distance = word.rotate_right(rotation).trailing_zeros();
        Some(Place::new(TOP, here + u64::from(distance)))
    }
}
