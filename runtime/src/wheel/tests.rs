//! The wheel beside an ordered map, and what that comparison cannot see.

use super::{Key, Step, Wheel};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// Everything due at `to`, in the order in which it leaves.
fn drain<T>(wheel: &mut Wheel<T>, to: u64) -> Vec<T> {
    let mut due = Vec::new();
    loop {
        match wheel.step(to) {
            Step::Due(payload) => due.push(payload),
            Step::Moved => {}
            Step::Done => return due,
        }
    }
}

#[test]
fn an_empty_wheel_has_nothing_to_do_for_ever() {
    let mut wheel: Wheel<()> = Wheel::new();
    assert_eq!(wheel.next_deadline(), None);
    assert!(matches!(wheel.step(u64::MAX >> 14), Step::Done));
    assert_eq!(wheel.len(), 0);
}

#[test]
fn entries_leave_at_their_tick_and_not_before() {
    for deadline in [
        0,
        1,
        63,
        64,
        65,
        4095,
        4096,
        262_143,
        1 << 36,
        (1 << 42) - 1,
        1 << 42,
        1 << 49,
    ] {
        let mut wheel = Wheel::new();
        wheel.insert(deadline, deadline);
        if deadline > 0 {
            assert!(
                drain(&mut wheel, deadline - 1).is_empty(),
                "tick {deadline} came early"
            );
        }
        assert_eq!(drain(&mut wheel, deadline), [deadline]);
    }
}

#[test]
fn the_next_deadline_is_exact_on_every_level() {
    for deadline in [
        1,
        63,
        64,
        100,
        5000,
        300_000,
        (1 << 36) + 12_345,
        (1 << 41) + 7,
    ] {
        let mut wheel = Wheel::new();
        wheel.insert(deadline, ());
        assert_eq!(wheel.next_deadline(), Some(deadline));
        wheel.insert(deadline + 1, ());
        assert_eq!(wheel.next_deadline(), Some(deadline));
    }
}

#[test]
fn one_sleep_needs_one_visit() {
    let mut wheel = Wheel::new();
    assert!(matches!(wheel.step(37), Step::Done));
    wheel.insert(1_000_000, ());
    let at = wheel.next_deadline().unwrap();
    assert_eq!(
        drain(&mut wheel, at).len(),
        1,
        "a visit at tick {at} was in vain"
    );
}

#[test]
fn entries_of_one_tick_leave_in_the_order_of_insertion() {
    let mut wheel = Wheel::new();
    wheel.insert(5000, 0);
    wheel.insert(4999, 10);
    wheel.insert(5000, 1);
    assert!(drain(&mut wheel, 4990).is_empty());
    wheel.insert(5000, 2);
    assert_eq!(drain(&mut wheel, 6000), [10, 0, 1, 2]);
}

#[test]
fn an_entry_inserted_while_a_place_is_sorted_keeps_its_turn() {
    let mut wheel = Wheel::new();
    for payload in 0..3 {
        wheel.insert(1000, payload);
    }
    assert!(matches!(wheel.step(1000), Step::Due(0)));
    let late = wheel.insert(1000, 3);
    wheel.insert(1, 4);
    assert_eq!(wheel.next_deadline(), Some(1000));
    assert_eq!(wheel.remove(late), Some(3));
    wheel.insert(1000, 5);
    assert_eq!(drain(&mut wheel, 1000), [1, 2, 4, 5]);
}

#[test]
fn an_entry_inserted_while_a_place_is_sorted_stays_behind_the_older_ones_of_its_tick() {
    let mut wheel = Wheel::new();
    wheel.insert(1000, "first");
    wheel.insert(1005, "older");
    assert!(matches!(wheel.step(1000), Step::Due("first")));
    wheel.insert(1005, "newer");
    assert_eq!(drain(&mut wheel, 1005), ["older", "newer"]);
}

#[test]
fn an_entry_beyond_the_reach_does_not_hide_a_nearer_one() {
    let slot = 1 << 36;
    let mut wheel = Wheel::new();
    wheel.insert(1000 * slot, "far");
    assert!(drain(&mut wheel, slot).is_empty());
    wheel.insert(64 * slot, "near");
    let mut visits = 0;
    loop {
        let next = wheel.next_deadline().unwrap();
        assert!(next <= 64 * slot, "the near one was forgotten until {next}");
        visits += 1;
        if drain(&mut wheel, next) == ["near"] {
            break;
        }
    }
    assert!(visits <= 3, "{visits} visits for one entry");
}

#[test]
fn an_entry_beyond_the_reach_of_the_wheel_is_placed_anew_until_it_is_due() {
    let reach = 1 << 42;
    let mut wheel = Wheel::new();
    wheel.insert(3 * reach + 5, "far");
    wheel.insert(reach + 9, "near");
    assert!(drain(&mut wheel, reach + 8).is_empty());
    assert_eq!(drain(&mut wheel, reach + 9), ["near"]);
    assert!(wheel.next_deadline().unwrap() <= 3 * reach + 5);
    assert!(drain(&mut wheel, 3 * reach + 4).is_empty());
    assert_eq!(drain(&mut wheel, 3 * reach + 5), ["far"]);
}

#[test]
fn time_that_seems_to_go_back_changes_nothing() {
    let mut wheel = Wheel::new();
    wheel.insert(1 << 20, "far");
    assert!(matches!(wheel.step(500), Step::Done));
    wheel.insert(100, "late");
    assert_eq!(wheel.next_deadline(), Some(500));
    assert_eq!(drain(&mut wheel, 200), ["late"]);
}

#[test]
fn a_key_misses_once_its_entry_has_left() {
    let mut wheel = Wheel::new();
    let fired = wheel.insert(1, "fired");
    let removed = wheel.insert(2, "removed");
    assert_eq!(wheel.remove(removed), Some("removed"));
    assert_eq!(drain(&mut wheel, 5), ["fired"]);
    for stale in [fired, removed, Key::NONE] {
        assert_eq!(wheel.remove(stale), None);
        assert!(!wheel.reset(stale, 9));
        assert!(!wheel.contains(stale));
        assert_eq!(wheel.get_mut(stale), None);
    }
    let reused = wheel.insert(7, "new");
    assert!(
        reused.index == fired.index || reused.index == removed.index,
        "memory is not reused"
    );
    assert_eq!(wheel.remove(fired).or(wheel.remove(removed)), None);
    assert_eq!(wheel.remove(reused), Some("new"));
}

#[test]
fn keys_miss_even_after_memory_was_given_back() {
    let mut wheel = Wheel::new();
    let keys: Vec<Key> = (0..100_000).map(|tick| wheel.insert(tick, tick)).collect();
    assert!(wheel.capacity() >= keys.len());
    for key in &keys {
        assert!(wheel.remove(*key).is_some());
    }
    assert!(
        wheel.capacity() < 10_000,
        "memory of {} entries was kept",
        wheel.capacity()
    );
    let new = wheel.insert(3, 3);
    assert_eq!(keys[0].index, new.index);
    assert!(!wheel.contains(keys[0]));
    assert_eq!(wheel.take_all().collect::<Vec<_>>(), [3]);
    assert!(!wheel.contains(new));
    assert_eq!((wheel.len(), wheel.next_deadline()), (0, None));
}

#[test]
fn timers_that_come_and_go_reuse_memory() {
    let mut wheel = Wheel::new();
    for turn in 0..30_000_u64 {
        let keys: Vec<Key> = (0..10)
            .map(|far| wheel.insert(turn + far * 7_000, ()))
            .collect();
        for key in keys {
            wheel.remove(key);
        }
        if turn % 100 == 0 {
            assert!(drain(&mut wheel, turn).is_empty());
        }
    }
    assert!(
        wheel.capacity() <= 16,
        "room for {} where ten live",
        wheel.capacity()
    );
}

#[test]
fn one_timer_reset_without_end_does_not_grow() {
    let mut wheel = Wheel::new();
    let key = wheel.insert(1, ());
    for turn in 0..300_000 {
        assert!(wheel.reset(key, turn + 30_000));
        if turn % 512 == 0 {
            assert!(drain(&mut wheel, turn).is_empty());
        }
    }
    assert!(wheel.capacity() <= 8);
    assert_eq!(drain(&mut wheel, 329_999).len(), 1);
}

/// One move of the random walk.
#[derive(Clone, Debug)]
enum Move {
    /// Insert, so many ticks ahead of the map's time (or behind, if negative).
    Insert(i64),
    /// Remove or reset the live entry chosen by the first number.
    Remove(usize),
    Reset(usize, i64),
    /// Let so many ticks pass.
    Advance(u64),
    /// Take so many steps towards a tick, then stop half-way.
    Steps(u32, u64),
    /// Sleep until the wheel asks for a visit.
    Sleep,
}

/// Distances that touch every level, and the edges between them.
fn distance() -> impl Strategy<Value = u64> {
    (0..44_u32, any::<u64>()).prop_map(|(bits, noise)| {
        let base = 1_u64 << bits;
        (base - 1) + noise % base
    })
}

fn signed(distance: u64) -> i64 {
    i64::try_from(distance).unwrap()
}

fn a_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        6 => (0..300_i64).prop_map(Move::Insert),
        6 => distance().prop_map(|far| Move::Insert(signed(far))),
        1 => (-200..0_i64).prop_map(Move::Insert),
        3 => any::<usize>().prop_map(Move::Remove),
        2 => (any::<usize>(), distance()).prop_map(|(which, far)| Move::Reset(which, signed(far))),
        3 => (0..200_u64).prop_map(Move::Advance),
        2 => distance().prop_map(Move::Advance),
        3 => (1..5_u32, distance()).prop_map(|(steps, far)| Move::Steps(steps, far)),
        3 => Just(Move::Sleep),
    ]
}

/// The wheel and the ordered map that it must agree with.
struct Pair {
    wheel: Wheel<u64>,
    /// (tick, number of insertion) → payload. Numbers grow, so this is the exact order of departure.
    map: BTreeMap<(u64, u64), u64>,
    /// payload → where it stands, and its key.
    live: HashMap<u64, ((u64, u64), Key)>,
    dead: Vec<Key>,
    now: u64,
    numbers: u64,
}

impl Pair {
    fn new() -> Self {
        Self {
            wheel: Wheel::new(),
            map: BTreeMap::new(),
            live: HashMap::new(),
            dead: Vec::new(),
            now: 0,
            numbers: 0,
        }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn tick_in(&self, far: i64) -> u64 {
        self.now.saturating_add_signed(far)
    }

    /// A late entry counts as one of the tick at which the wheel stands.
    fn place(&self, deadline: u64) -> (u64, u64) {
        (deadline.max(self.wheel.now), self.numbers)
    }

    fn insert(&mut self, far: i64) {
        let (payload, deadline) = (self.number(), self.tick_in(far));
        let place = self.place(deadline);
        let key = self.wheel.insert(deadline, payload);
        self.map.insert(place, payload);
        self.live.insert(payload, (place, key));
    }

    fn choose(&self, which: usize) -> Option<u64> {
        self.map
            .values()
            .nth(which % self.map.len().max(1))
            .copied()
    }

    fn forget(&mut self, payload: u64) -> (u64, u64) {
        let (place, key) = self.live.remove(&payload).expect("an entry left twice");
        self.dead.push(key);
        self.map.remove(&place);
        place
    }

    fn remove(&mut self, which: usize) {
        let Some(payload) = self.choose(which) else {
            return;
        };
        let key = self.live[&payload].1;
        assert_eq!(self.wheel.remove(key), Some(payload));
        self.forget(payload);
    }

    fn reset(&mut self, which: usize, far: i64) {
        let Some(payload) = self.choose(which) else {
            return;
        };
        let (old, key) = self.live[&payload];
        self.number();
        let deadline = self.tick_in(far);
        let place = self.place(deadline);
        assert!(self.wheel.reset(key, deadline));
        self.map.remove(&old);
        self.map.insert(place, payload);
        self.live.insert(payload, (place, key));
    }

    /// One step of the wheel; `true` when it has arrived at `to`.
    fn step(&mut self, to: u64) -> bool {
        match self.wheel.step(to) {
            Step::Due(payload) => {
                let first = self.map.first_key_value().map(|(place, _)| *place);
                let place = self.forget(payload);
                assert!(
                    place.0 <= to.max(self.now),
                    "tick {} came early at {to}",
                    place.0
                );
                assert_eq!(Some(place), first, "out of order");
                false
            }
            Step::Moved => false,
            Step::Done => {
                let first = self.map.first_key_value().map(|(place, _)| place.0);
                assert!(
                    first.is_none_or(|first| first > to),
                    "lost: {first:?} at {to}"
                );
                true
            }
        }
    }

    fn advance(&mut self, to: u64) {
        self.now = self.now.max(to);
        while !self.step(self.now) {}
    }

    fn apply(&mut self, chosen: &Move) {
        // Beyond the top level's reach the order within a tick is not kept, so the walk stays inside it: as seen from where the
        // wheel stands, which a few steps may leave far behind.
        const END: u64 = 1 << 41;
        let end = signed(self.wheel.now + END) - signed(self.now);
        match *chosen {
            Move::Insert(far) => self.insert(far.min(end)),
            Move::Remove(which) => self.remove(which),
            Move::Reset(which, far) => self.reset(which, far.min(end)),
            Move::Advance(by) => self.advance(self.now + by),
            Move::Steps(count, by) => {
                self.now += by;
                for _ in 0..count {
                    if self.step(self.now) {
                        break;
                    }
                }
            }
            Move::Sleep => {
                if let Some(next) = self.wheel.next_deadline() {
                    self.advance(next);
                }
            }
        }
        let next = self.wheel.next_deadline();
        let true_next = self.map.first_key_value().map(|(place, _)| place.0);
        assert_eq!(next.is_some(), true_next.is_some());
        assert!(
            next <= true_next,
            "visit asked for at {next:?}, due at {true_next:?}"
        );
        assert_eq!(self.wheel.len(), self.map.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_random_walk_agrees_with_an_ordered_map(moves in prop::collection::vec(a_move(), 1..200)) {
        let mut pair = Pair::new();
        for chosen in moves {
            pair.apply(&chosen);
        }
        for key in std::mem::take(&mut pair.dead) {
            prop_assert!(!pair.wheel.contains(key), "a stale key hit");
        }
        // Whatever is left comes out in the end, by sleeping as the driver does.
        while let Some(next) = pair.wheel.next_deadline() {
            pair.advance(next);
        }
        prop_assert!(pair.map.is_empty());
    }
}
