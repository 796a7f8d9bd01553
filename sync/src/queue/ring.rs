//! [`Ring`]: the pile of a first-in-first-out queue, which any thread may put into and get from with one exchange.
//!
//! Each end is one word. As long as nobody waits, a putter claims the next place by raising the tail, a getter the next
//! item by raising the head, and neither writes the other's word. Every cell carries the number of the operation whose turn
//! it is there, so that the two ends meet cell by cell. `core.rs` *holds* an end, under the mutex of its wait list, whenever
//! somebody waits or was promised something: claims fail from then on, everybody comes to the mutex, and the rules of the
//! queue decide. Room is made in that way as well: the ring doubles with both ends held.
//!
//! The ring of numbered cells is that of D. Vyukov's bounded queue; that an end can be held is our addition.
//!
//! # State
//!
//! A word is `index << 8 | generation << 1 | HELD`. Indices count operations from the beginning, and 2⁵⁶ of them will not
//! be seen; the generation is the binary logarithm of the number of cells, 0 for none.
//!
//! | edge | by | word or cell | under the mutex |
//! |---|---|---|---|
//! | V1 | put | tail +1, if it is not held and the cell's turn is this index | no |
//! | V2 | put | the item is in; the cell's turn: index → index + 1 | no |
//! | V3 | get | head +1, if it is not held and the cell's turn is its index + 1 | no |
//! | V4 | get | the item is out; the cell's turn: index + 1 → index + number of cells | no |
//! | V5 | hold, let go | raise, lower HELD of one end | yes |
//! | V6 | put, get at an end that is held | as V1 and V2, V3 and V4, by plain stores, behind whoever is still at the cell | yes |
//! | V7 | grow, both ends held | the items move to twice as many cells, the generation of both words rises | yes |
//!
//! *Legal*: head ≤ tail ≤ head + number of cells; tail + places promised ≤ head + maxsize; without cells both ends are held.
//!
//! # Access
//!
//! | what | whose |
//! |---|---|
//! | the item of an index | the putter's from V1 to V2, the getter's from V3 to V4; between V2 and V3 that of V7 |
//! | an array of cells | everybody's until the ring is dropped. V7 retires the old one; it is written no more, but for the V4 of those who had claimed before. The retired ones together are smaller than the one in use |
//!
//! # Ordering
//!
//! | row | site | why |
//! |---|---|---|
//! | A | V2 releases the turn, V3, V6 and V7 acquire it | the item is seen |
//! | B | V4 releases the turn, V1 and V6 acquire it | the item is out before the next one goes in |
//! | C | V5 lowering HELD and V7 release, loads of a word acquire, and the array is loaded after the word | a claim knows the array that its word speaks of, or a newer one: and then the generation is another, and the exchange fails |
//! | D | V1, V3 and V5 are read-modify-writes | of a claim and a hold one sees the other: who holds an end knows of every claim, and none comes after |
//! | E | the room that V1 went by is not too much when its exchange succeeds | the word is the same as before, so nothing was put since: tail − head + promised has not risen, unless places were promised that no item left. `core.rs` holds the putting end until one is put, or they are given up |

#![expect(
    unsafe_code,
    reason = "items lie in cells that the turn of each gives to one thread at a time"
)]

use crate::prim::atomic::{AtomicPtr, AtomicU64, Ordering};
use crate::prim::cell::UnsafeCell;
use crate::prim::{Backoff, CachePadded, GlobalCounter, IS_MODEL, snooze};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr;

/// The end is held: only who has the mutex may claim.
const HELD: u64 = 1;
/// The unit of the generation.
const GENERATION: u64 = 2;
/// The unit of the index.
const INDEX: u64 = 1 << 8;

/// How many cells a ring begins with, as a power of two: enough for most queues, little beside the queue itself.
const FIRST_GENERATION: u64 = if IS_MODEL { 1 } else { 3 };

/// Which ring a [`Hold`] belongs to.
static IDS: GlobalCounter = GlobalCounter::new(0);

/// See the file.
pub(super) struct Ring<T> {
    tail: CachePadded<Tail>,
    head: CachePadded<AtomicU64>,
    /// Null before the first item.
    array: AtomicPtr<Array<T>>,
    /// The most items at once.
    maxsize: u64,
    id: u64,
    _owns: PhantomData<Box<Array<T>>>,
}

struct Tail {
    word: AtomicU64,
    /// Some index the head had: it is not below it.
    head_seen: AtomicU64,
    /// The most items that were there at once.
    peak: AtomicU64,
    /// How many items there may be beside those for which a place is promised. Written under the mutex.
    room: AtomicU64,
}

struct Array<T> {
    cells: Box<[Cell<T>]>,
    /// The one it replaced, with no items in it.
    retired: *mut Self,
}

struct Cell<T> {
    turn: AtomicU64,
    item: UnsafeCell<MaybeUninit<T>>,
}

/// The right to hold the ends of a ring, of which there is one. It stands under the mutex.
pub(super) struct Hold {
    ends: Ends,
    ring: u64,
}

/// Both ends of a ring, or what is to be done with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) put: bool,
    pub(super) get: bool,
}

// SAFETY: sending the ring sends its items; the pointers are the ring's own.
unsafe impl<T: Send> Send for Ring<T> {}
// SAFETY: sharing it sends items from thread to thread, and no two ever have the same one (table Access). The pointers lead
// to arrays whose cells are shared by atomics and turns.
unsafe impl<T: Send> Sync for Ring<T> {}

// Items are moved in and out whole: no panic leaves one half done.
impl<T> UnwindSafe for Ring<T> {}
impl<T> RefUnwindSafe for Ring<T> {}

fn index(word: u64) -> u64 {
    word / INDEX
}

fn generation(word: u64) -> u64 {
    word % INDEX / GENERATION
}

impl<T> Ring<T> {
    /// An empty ring for at most `maxsize` items, where 0 is no bound, and the right to hold it, which holds both ends.
    pub(super) fn new(maxsize: usize) -> (Self, Hold) {
        let id = IDS.take(1);
        let maxsize = if maxsize == 0 {
            u64::MAX
        } else {
            maxsize as u64
        };
        let ring = Self {
            tail: CachePadded::new(Tail {
                word: AtomicU64::new(HELD),
                head_seen: AtomicU64::new(0),
                peak: AtomicU64::new(0),
                room: AtomicU64::new(maxsize),
            }),
            head: CachePadded::new(AtomicU64::new(HELD)),
            array: AtomicPtr::new(ptr::null_mut()),
            maxsize,
            id,
            _owns: PhantomData,
        };
        let ends = Ends {
            put: true,
            get: true,
        };
        (ring, Hold { ends, ring: id })
    }

    /// V1 and V2; the item comes back if the end is held, if there is no place, or if a getter is still at it.
    #[inline]
    pub(super) fn try_put(&self, item: T) -> Result<(), T> {
        // ordering: row C.
        let mut word = self.tail.word.load(Ordering::Acquire);
        loop {
            if word & HELD != 0 || !self.is_within(index(word)) {
                return Err(item);
            }
            let Some(cell) = self.array().map(|array| array.cell(index(word))) else {
                return Err(item);
            };
            // ordering: row B.
            let ready = cell.turn.load(Ordering::Acquire) == index(word);
            let claimed = if ready {
                // ordering: V1, relaxed: V2 publishes. As an exchange it hands on what V5 and V7 released (row C).
                self.tail.word.compare_exchange_weak(
                    word,
                    word + INDEX,
                    Ordering::Relaxed,
                    Ordering::Acquire,
                )
            } else {
                // ordering: row C.
                Err(self.tail.word.load(Ordering::Acquire))
            };
            match claimed {
                Ok(_) => {
                    cell.fill(index(word), item);
                    return Ok(());
                }
                // Nobody has claimed the place: it is not free.
                Err(now) if now == word && !ready => return Err(item),
                Err(now) => word = now,
            }
        }
    }

    /// V3 and V4; `None` if the end is held, if there is no item, or if a putter is still at it.
    #[inline]
    pub(super) fn try_get(&self) -> Option<T> {
        // ordering: row C.
        let mut word = self.head.load(Ordering::Acquire);
        loop {
            if word & HELD != 0 {
                return None;
            }
            let array = self.array()?;
            let cell = array.cell(index(word));
            // ordering: row A.
            let ready = cell.turn.load(Ordering::Acquire) == index(word) + 1;
            let claimed = if ready {
                // ordering: V3, relaxed: V4 publishes. As an exchange it hands on what V5 and V7 released (row C).
                self.head.compare_exchange_weak(
                    word,
                    word + INDEX,
                    Ordering::Relaxed,
                    Ordering::Acquire,
                )
            } else {
                // ordering: row C.
                Err(self.head.load(Ordering::Acquire))
            };
            match claimed {
                Ok(_) => return Some(cell.empty(index(word), array)),
                // Nobody has claimed the item: it is not there.
                Err(now) if now == word && !ready => return None,
                Err(now) => word = now,
            }
        }
    }

    /// How many items there are, those included that are just being put. It stays so while both ends are held.
    pub(super) fn len(&self) -> usize {
        // ordering: acquire, so that the loads are made in this order: where the tail is the same before and after, the head
        // was seen in between.
        let mut tail = self.tail.word.load(Ordering::Acquire);
        loop {
            // ordering: as above.
            let head = self.head.load(Ordering::Acquire);
            // ordering: as above.
            let now = self.tail.word.load(Ordering::Acquire);
            if index(now) == index(tail) {
                return usize::try_from(index(tail) - index(head)).unwrap_or(usize::MAX);
            }
            tail = now;
        }
    }

    /// Whether there is no item, at a glance.
    #[inline]
    pub(super) fn looks_empty(&self) -> bool {
        // ordering: relaxed, a glance: whoever acts on it looks again under the mutex.
        let head = index(self.head.load(Ordering::Relaxed));
        // ordering: as above.
        head == index(self.tail.word.load(Ordering::Relaxed))
    }

    /// Whether there is no room, at a glance.
    #[inline]
    pub(super) fn looks_full(&self) -> bool {
        // ordering: relaxed, a glance: whoever acts on it looks again under the mutex.
        let tail = index(self.tail.word.load(Ordering::Relaxed));
        // ordering: as above.
        let len = tail.saturating_sub(index(self.head.load(Ordering::Relaxed)));
        // ordering: as above.
        len >= self.tail.room.load(Ordering::Relaxed)
    }

    /// How many items were ever put.
    pub(super) fn total(&self) -> u64 {
        // ordering: acquire, so that the count is not older than anything the caller has seen.
        index(self.tail.word.load(Ordering::Acquire))
    }

    /// The most items that were there at once; it may count one that was being got while another was put. See `raise_peak`.
    pub(super) fn len_peak(&self) -> usize {
        // ordering: relaxed, a number for a reader.
        let peak = self.tail.peak.load(Ordering::Relaxed);
        usize::try_from(peak).unwrap_or(usize::MAX)
    }

    /// Whether there is room for an item at index `at`, by a tail that was loaded before.
    #[inline]
    fn is_within(&self, at: u64) -> bool {
        let Tail {
            head_seen,
            peak,
            room,
            ..
        } = &*self.tail;
        // ordering: relaxed, all three: a head that was seen once is not too high later; the peak is a number for readers; for
        // the room see row C: it is not older than the word, and if it gets less while the word stays, row E.
        let bound = room
            .load(Ordering::Relaxed)
            .min(peak.load(Ordering::Relaxed));
        at.saturating_sub(head_seen.load(Ordering::Relaxed)) < bound || self.look_at_head(at)
    }

    /// The head may have risen, or there will be more items than ever.
    #[inline(never)]
    fn look_at_head(&self, at: u64) -> bool {
        // ordering: relaxed: an older head is a stricter one. Whether the cell may be used is for its turn to say.
        let head = index(self.head.load(Ordering::Relaxed));
        // ordering: relaxed: of two putters the later may store the lower one, and both are right.
        self.tail.head_seen.store(head, Ordering::Relaxed);
        let len = at.saturating_sub(head);
        // ordering: relaxed, as in `is_within`.
        let within = len < self.tail.room.load(Ordering::Relaxed);
        if within {
            self.raise_peak(len + 1);
        }
        within
    }

    /// An unbounded queue that grows would write a new peak with every item: from 256 on it is rounded up, by less than half
    /// a percent.
    fn raise_peak(&self, len: u64) {
        let len = match self.maxsize {
            u64::MAX => len + len / 256,
            _ => len,
        };
        // ordering: relaxed, a number that stands for itself.
        if len > self.tail.peak.load(Ordering::Relaxed) {
            // ordering: relaxed, as above.
            self.tail.peak.fetch_max(len, Ordering::Relaxed);
        }
    }

    #[inline]
    fn array(&self) -> Option<&Array<T>> {
        // ordering: row C.
        let array = self.array.load(Ordering::Acquire);
        // SAFETY: null, or from `Box::into_raw` in V7, and not freed before the ring is dropped. It was complete when it was
        // stored with release; what changes in it since is atomic or in a cell.
        unsafe { array.as_ref() }
    }
}

impl<T> Array<T> {
    /// Two to the power of `generation` cells, the first of which is to be filled at index `first`.
    fn new(generation: u64, first: u64, retired: *mut Self) -> Self {
        let len = 1 << generation;
        let turn = |offset: u64| first + (offset.wrapping_sub(first) & (len - 1));
        let cell = |offset| Cell {
            turn: AtomicU64::new(turn(offset)),
            item: UnsafeCell::new(MaybeUninit::uninit()),
        };
        Self {
            cells: (0..len).map(cell).collect(),
            retired,
        }
    }

    #[inline]
    fn cell(&self, at: u64) -> &Cell<T> {
        // Masked, nothing is lost by truncation, and the bounds are plain to the compiler.
        #[expect(clippy::cast_possible_truncation, reason = "masked right after")]
        let offset = at as usize & (self.cells.len() - 1);
        &self.cells[offset]
    }
}

impl<T> Cell<T> {
    /// V2, for the one who claimed index `at` here.
    #[inline]
    fn fill(&self, at: u64, item: T) {
        self.item.with_mut(|slot| {
            // SAFETY: the place is the putter's from V1 to V2 (table Access), and empty by row B.
            let slot = unsafe { &mut *slot };
            slot.write(item);
        });
        // ordering: row A.
        self.turn.store(at + 1, Ordering::Release);
    }

    /// V4, for the one who claimed index `at` here, in `array`.
    #[inline]
    fn empty(&self, at: u64, array: &Array<T>) -> T {
        let item = self.take();
        // ordering: row B.
        self.turn
            .store(at + array.cells.len() as u64, Ordering::Release);
        item
    }

    /// Takes the item out. For whoever it belongs to, once.
    fn take(&self) -> T {
        self.item.with_mut(|slot| {
            // SAFETY: the item belongs to the getter from V3 to V4, to V7, or to the ring's destructor (table Access), each
            // of which takes it once.
            let slot = unsafe { &mut *slot };
            // SAFETY: it is there by row A, and is not read again before another one is put.
            unsafe { slot.assume_init_read() }
        })
    }

    /// Waits for whoever claimed before the end was held. They are between two instructions, not between two polls: V2 and V4
    /// follow their claims without a wait, and nobody is waited for but them. So the wait is as long as the system keeps such a
    /// thread off its processor, as with a mutex whose holder it takes off; who waits sleeps soon, and takes nobody's turn.
    fn await_turn(&self, turn: u64) {
        let backoff = Backoff::new();
        // ordering: rows A, B.
        while self.turn.load(Ordering::Acquire) != turn {
            snooze(&backoff);
        }
    }
}

impl Hold {
    /// V5: raises HELD at the ends that `ends` says and are not held.
    #[inline]
    pub(super) fn hold<T>(&mut self, ring: &Ring<T>, ends: Ends) {
        self.change(
            ring,
            Ends {
                put: self.ends.put || ends.put,
                get: self.ends.get || ends.get,
            },
        );
    }

    /// V5: lowers HELD at the ends that `keep` does not say and are held. A ring without cells stays held.
    pub(super) fn let_go<T>(&mut self, ring: &Ring<T>, keep: Ends) {
        if ring.array().is_some() {
            self.change(
                ring,
                Ends {
                    put: self.ends.put && keep.put,
                    get: self.ends.get && keep.get,
                },
            );
        }
    }

    /// So many places are promised. If they have become more, without an item less, the putting end is held.
    pub(super) fn promise<T>(&mut self, ring: &Ring<T>, places: usize) {
        self.check(ring);
        let room = ring.maxsize.saturating_sub(places as u64);
        // ordering: relaxed: under the mutex; letting go publishes it (row C).
        ring.tail.room.store(room, Ordering::Relaxed);
    }

    #[inline]
    fn change<T>(&mut self, ring: &Ring<T>, ends: Ends) {
        self.check(ring);
        let change = |word: &AtomicU64, was: bool, is: bool| match (was, is) {
            (false, true) => {
                // ordering: V5, rows C, D.
                word.fetch_or(HELD, Ordering::AcqRel);
            }
            (true, false) => {
                // ordering: V5, rows C, D.
                word.fetch_and(!HELD, Ordering::AcqRel);
            }
            (true, true) | (false, false) => {}
        };
        change(&ring.tail.word, self.ends.put, ends.put);
        change(&ring.head, self.ends.get, ends.get);
        self.ends = ends;
    }

    /// What is safe about this type hangs on it.
    #[inline]
    fn check<T>(&self, ring: &Ring<T>) {
        assert!(self.ring == ring.id, "a hold is for its own ring");
    }

    /// V6: puts an item; makes room for it first, if need be.
    pub(super) fn put<T>(&mut self, ring: &Ring<T>, item: T) {
        self.check(ring);
        assert!(self.ends.put, "the putting end is held");
        // ordering: relaxed: the end is held, nobody else writes it.
        let word = ring.tail.word.load(Ordering::Relaxed);
        // ordering: relaxed: an older head is a stricter one.
        let len = index(word) - index(ring.head.load(Ordering::Relaxed));
        let array = match ring.array() {
            Some(array) if len < array.cells.len() as u64 => array,
            _ => self.grow(ring),
        };
        ring.raise_peak(len + 1);
        let cell = array.cell(index(word));
        cell.await_turn(index(word));
        cell.fill(index(word), item);
        // The generation may have risen.
        // ordering: relaxed: as above.
        let word = ring.tail.word.load(Ordering::Relaxed);
        // ordering: V6, row C. A plain store: every claim fails.
        ring.tail.word.store(word + INDEX, Ordering::Release);
    }

    /// V6: gets the oldest item.
    pub(super) fn get<T>(&mut self, ring: &Ring<T>) -> Option<T> {
        self.check(ring);
        assert!(self.ends.get, "the getting end is held");
        // ordering: relaxed: the end is held, nobody else writes it.
        let word = ring.head.load(Ordering::Relaxed);
        if index(word) == ring.total() {
            return None;
        }
        let array = ring.array()?;
        let cell = array.cell(index(word));
        cell.await_turn(index(word) + 1);
        let item = cell.empty(index(word), array);
        // ordering: V6, row C. A plain store: every claim fails.
        ring.head.store(word + INDEX, Ordering::Release);
        Some(item)
    }

    /// V7.
    #[cold]
    fn grow<'a, T>(&mut self, ring: &'a Ring<T>) -> &'a Array<T> {
        let before = self.ends;
        let both = Ends {
            put: true,
            get: true,
        };
        self.hold(ring, both);
        // ordering: relaxed: both ends are held, nobody else writes them.
        let tail = ring.tail.word.load(Ordering::Relaxed);
        // ordering: as above.
        let head = ring.head.load(Ordering::Relaxed);
        let generation = (generation(tail) + 1).max(FIRST_GENERATION);
        // ordering: relaxed: only V7 writes it, under the mutex.
        let retired = ring.array.load(Ordering::Relaxed);
        let fresh = Array::new(generation, index(head), retired);
        if let Some(old) = ring.array() {
            for at in index(head)..index(tail) {
                let cell = old.cell(at);
                cell.await_turn(at + 1);
                fresh.cell(at).fill(at, cell.take());
            }
        }
        // ordering: row C: the array before its generation.
        ring.array
            .store(Box::into_raw(Box::new(fresh)), Ordering::Release);
        for word in [&ring.tail.word, &*ring.head] {
            // ordering: relaxed: as above.
            let at = index(word.load(Ordering::Relaxed));
            // ordering: V7, row C. A plain store: every claim fails.
            word.store(
                (at * INDEX) | (generation * GENERATION) | HELD,
                Ordering::Release,
            );
        }
        self.change(ring, before);
        ring.array().expect("it was just made")
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        // ordering: relaxed: nobody else has the ring any more.
        let (head, tail) = (
            self.head.load(Ordering::Relaxed),
            self.tail.word.load(Ordering::Relaxed),
        );
        let left: Vec<T> = self.array().map_or_else(Vec::new, |array| {
            let left = index(head)..index(tail);
            left.map(|at| array.cell(at).take()).collect()
        });
        // ordering: relaxed, as above.
        let mut next = self.array.load(Ordering::Relaxed);
        while !next.is_null() {
            // SAFETY: each array came from `Box::into_raw` in V7 and is in this chain once.
            let array = unsafe { Box::from_raw(next) };
            next = array.retired;
        }
        // A destructor that panics does so when nothing else is left to do.
        drop(left);
    }
}
