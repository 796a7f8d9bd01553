//! The live tasks of one runtime: who is there, and who is still there at the end.
//!
//! One shard per worker, one more for everybody else. A shard is an array of slots; a slot holds a task's pointer, or the
//! index of the next free slot. The worker that owns a shard puts tasks in without any read-modify-write; whoever completes
//! a task takes it out, with one compare-and-swap.
//!
//! # State of a slot
//!
//! ```text
//!            G1 join (owner)              G2 leave (completing thread)
//!   free ───────────────────────► live ───────────────────────────────► free
//!                                 │  ▲
//!                        G3 visit │  │ G4 visited: a reference was made
//!                                 ▼  │
//!                                visited          G2 waits here: a visit is a few instructions
//! ```
//!
//! A visitor may follow the pointer because a task gives up its registry slot (G2) before the runtime's reference (T9): while
//! the slot is *visited*, G2 waits, so the task is alive and the visitor can make a reference of its own.
//!
//! Free slots are chained through the slots themselves. The owner's chain is its own ([`Roster`]); a thread that completes
//! somebody else's task pushes the slot onto the shard's return chain (G5), which the owner takes whole (G6). Nobody pops
//! single slots off that chain, so it has no ABA problem.
//!
//! # Closing
//!
//! Only the holder of a roster adds to its shard, so closing is a plain flag in the roster (G7): a worker closes its own.
//! No spawn can slip in between the flag and the sweep that follows it, as both happen on the thread that would spawn.
//!
//! # Ordering
//!
//! G1 releases the pointer and the header behind it to G3's acquire. G2 and G4 are on the same word. G5 releases the link it
//! wrote to G6's acquire.
#![expect(unsafe_code, reason = "follows task pointers while G2 is held off")]

use super::cell::{Header, Place};
use super::join::TaskRef;
use super::raw::Scheduled;
use loxley_sync::prim::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use loxley_sync::prim::{CachePadded, IS_MODEL, spin_loop};
use std::fmt;
use std::ptr::{self, NonNull};

/// The slot is being visited (G3).
const VISITED: usize = 0b01;
/// The slot is free; the rest of the word is the next free index.
const FREE: usize = 0b10;
const LINK_SHIFT: u32 = 2;

/// The end of a chain of free slots.
const NONE: u32 = u32::MAX >> LINK_SHIFT;

/// Chunk `k` has `FIRST_CHUNK << k` slots, so that slots never move and 24 chunks reach a thousand million tasks. A model
/// would only count slots.
const FIRST_CHUNK: usize = if IS_MODEL { 2 } else { 64 };
const CHUNKS: usize = if IS_MODEL { 12 } else { 24 };

const _: () = assert!(align_of::<Header>() >= 4, "two low bits must be free");

/// All live tasks of one runtime.
pub struct Registry {
    shards: Box<[CachePadded<Shard>]>,
}

struct Shard {
    chunks: [AtomicPtr<AtomicUsize>; CHUNKS],
    /// Slots ever used; written by the roster's holder.
    len: AtomicU32,
    /// Tasks ever put in; written by the roster's holder.
    joined: AtomicUsize,
    /// Tasks taken out by the roster's holder.
    left: AtomicUsize,
    /// Tasks taken out by others, and the chain of their slots.
    returned: CachePadded<(AtomicUsize, AtomicU32)>,
}

/// The right to put tasks into one shard. A worker owns its own for life; the last one sits behind a mutex.
#[derive(Debug)]
pub struct Roster {
    shard: u16,
    free: u32,
    closed: bool,
}

impl Registry {
    /// A registry of `shards` shards, and the right to each.
    ///
    /// # Panics
    ///
    /// With more shards than a place can number.
    #[must_use]
    pub fn new(shards: usize) -> (Self, Vec<Roster>) {
        let registry = Self {
            shards: (0..shards)
                .map(|_| CachePadded::new(Shard::new()))
                .collect(),
        };
        let roster = |shard: usize| Roster {
            shard: u16::try_from(shard).expect("worker counts are limited by the builder"),
            free: NONE,
            closed: false,
        };
        (registry, (0..shards).map(roster).collect())
    }

    /// G1: puts a fresh task in. Gives it back if the roster is closed.
    ///
    /// # Errors
    ///
    /// The task, if the roster is closed.
    #[inline]
    pub fn join(&self, roster: &mut Roster, mut task: Scheduled) -> Result<Scheduled, Scheduled> {
        if roster.closed {
            return Err(task);
        }
        let shard = &self.shards[usize::from(roster.shard)];
        let index = match roster.free {
            NONE => shard.more_slots(roster),
            index => index,
        };
        let slot = shard.slot(index);
        // ordering: relaxed, a free slot's link is ours: we wrote it, or G6 acquired it.
        roster.free = unlink(slot.load(Ordering::Relaxed));
        task.set_place(Place {
            index,
            shard: roster.shard,
        });
        // Counted first, so that `live` never misses a task that `visit` can see.
        // ordering: relaxed load, only the roster's holder writes it; release pairs with `live`.
        let joined = shard.joined.load(Ordering::Relaxed);
        // ordering: release, as above.
        shard
            .joined
            .store(joined.wrapping_add(1), Ordering::Release);
        let header = ptr::from_ref(task.header());
        // ordering: release publishes the header to G3.
        slot.store(header.expose_provenance(), Ordering::Release);
        Ok(task)
    }

    /// G2: takes a task out, right before T9. `roster` is given if the caller holds that of the task's own shard.
    #[inline]
    pub fn leave(&self, place: Place, roster: Option<&mut Roster>) {
        let shard = &self.shards[usize::from(place.shard)];
        let slot = shard.slot(place.index);
        match roster {
            Some(roster) if roster.shard == place.shard => {
                vacate(slot, roster.free);
                roster.free = place.index;
                // ordering: relaxed load, only the roster's holder writes it; release pairs with `live`.
                let left = shard.left.load(Ordering::Relaxed);
                // ordering: release, as above.
                shard.left.store(left.wrapping_add(1), Ordering::Release);
            }
            _ => {
                let (count, chain) = &*shard.returned;
                // ordering: relaxed, the exchange below decides.
                let mut head = chain.load(Ordering::Relaxed);
                vacate(slot, head);
                // G5
                // ordering: release publishes the link to G6.
                while let Err(now) = chain.compare_exchange_weak(
                    head,
                    place.index,
                    Ordering::Release,
                    Ordering::Relaxed,
                ) {
                    head = now;
                    // ordering: relaxed, the slot is ours until the exchange succeeds.
                    slot.store(link(head), Ordering::Relaxed);
                }
                // ordering: release pairs with `live`.
                count.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// G7: no more tasks through this roster.
    pub fn close(&self, roster: &mut Roster) {
        roster.closed = true;
    }

    /// The number of live tasks. Exact once spawning has ended; before that, a snapshot.
    pub fn live(&self) -> usize {
        self.shards.iter().map(|shard| shard.live()).sum()
    }

    /// G3 and G4 for every live task: a reference to each, in no particular order.
    pub fn tasks(&self) -> Vec<TaskRef> {
        let mut tasks = Vec::new();
        for shard in &self.shards {
            shard.visit(|task| tasks.push(task));
        }
        tasks
    }

    /// G3 and G4 for every live task of one shard.
    pub fn tasks_of(&self, roster: &Roster) -> Vec<TaskRef> {
        let mut tasks = Vec::new();
        self.shards[usize::from(roster.shard)].visit(|task| tasks.push(task));
        tasks
    }
}

impl Roster {
    /// Whether [`Registry::close`] has been called.
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}

impl Shard {
    fn new() -> Self {
        Self {
            chunks: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            len: AtomicU32::new(0),
            joined: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
            returned: CachePadded::new((AtomicUsize::new(0), AtomicU32::new(NONE))),
        }
    }

    /// The owner's chain is empty: takes the return chain, or grows.
    #[cold]
    fn more_slots(&self, roster: &mut Roster) -> u32 {
        // G6
        // ordering: acquire sees the links that G5 published.
        let returned = self.returned.1.swap(NONE, Ordering::Acquire);
        if returned != NONE {
            roster.free = returned;
            return returned;
        }
        // ordering: relaxed, only the roster's holder writes it.
        let index = self.len.load(Ordering::Relaxed);
        let (chunk, offset) = position(index);
        assert!(chunk < CHUNKS, "more than a thousand million live tasks");
        if offset == 0 {
            let slots: Box<[AtomicUsize]> = (0..chunk_len(chunk))
                .map(|_| AtomicUsize::new(FREE))
                .collect();
            let slots = Box::into_raw(slots).cast::<AtomicUsize>();
            // ordering: release publishes the chunk to visitors.
            self.chunks[chunk].store(slots, Ordering::Release);
        }
        // ordering: relaxed, the slot is ours and not yet counted in `len`.
        self.slot(index).store(link(NONE), Ordering::Relaxed);
        // ordering: release, so that a visitor who sees the length sees the chunk and the slot.
        self.len.store(index + 1, Ordering::Release);
        index
    }

    #[inline]
    fn slot(&self, index: u32) -> &AtomicUsize {
        let (chunk, offset) = position(index);
        // ordering: acquire pairs with the release of `more_slots`.
        let slots = self.chunks[chunk].load(Ordering::Acquire);
        debug_assert!(
            !slots.is_null(),
            "slot {index} of a chunk that is not there"
        );
        // SAFETY: `offset` is within the chunk by `position`.
        let slot = unsafe { slots.add(offset) };
        // SAFETY: chunks are made whole by `more_slots` and live as long as the shard.
        unsafe { &*slot }
    }

    fn live(&self) -> usize {
        // Leavers first: a task that joins and leaves in between is then at most counted too often.
        // ordering: acquire pairs with the releases of G2.
        let left = self.left.load(Ordering::Acquire);
        // ordering: acquire pairs with the release of G5.
        let returned = self.returned.0.load(Ordering::Acquire);
        // ordering: acquire pairs with the release of G1.
        let joined = self.joined.load(Ordering::Acquire);
        joined.wrapping_sub(left).wrapping_sub(returned)
    }

    fn visit(&self, mut f: impl FnMut(TaskRef)) {
        // ordering: acquire pairs with the release of `more_slots`.
        for index in 0..self.len.load(Ordering::Acquire) {
            if let Some(task) = visit_slot(self.slot(index)) {
                f(task);
            }
        }
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        for (chunk, slots) in self.chunks.iter().enumerate() {
            // ordering: relaxed, the shard is no longer shared.
            let slots = slots.load(Ordering::Relaxed);
            if !slots.is_null() {
                let slots = ptr::slice_from_raw_parts_mut(slots, chunk_len(chunk));
                // SAFETY: made by `Box::into_raw` of a slice of this length.
                drop(unsafe { Box::from_raw(slots) });
            }
        }
    }
}

/// G3 and G4 for one slot.
fn visit_slot(slot: &AtomicUsize) -> Option<TaskRef> {
    // ordering: relaxed, the exchange below decides.
    let mut seen = slot.load(Ordering::Relaxed);
    loop {
        if seen & FREE != 0 {
            return None;
        }
        if seen & VISITED != 0 {
            spin_loop();
            // ordering: relaxed, as above.
            seen = slot.load(Ordering::Relaxed);
            continue;
        }
        // ordering: acquire sees the header that G1 published.
        match slot.compare_exchange_weak(seen, seen | VISITED, Ordering::Acquire, Ordering::Relaxed)
        {
            Ok(_) => break,
            Err(now) => seen = now,
        }
    }
    let header = NonNull::new(ptr::with_exposed_provenance_mut::<Header>(seen))
        .expect("a live slot holds a task");
    // SAFETY: the slot is visited, so G2 and hence T9 have not happened and the runtime's reference keeps the task alive.
    let task = unsafe { TaskRef::retained(header) };
    // ordering: release, so that G2 comes after the new reference.
    slot.store(seen, Ordering::Release);
    Some(task)
}

/// G2 on the slot itself.
#[inline]
fn vacate(slot: &AtomicUsize, next: u32) {
    // ordering: relaxed, the exchange below decides.
    let mut seen = slot.load(Ordering::Relaxed) & !VISITED;
    loop {
        // ordering: acquire pairs with G4, so that T9's decision comes after the visitor's reference.
        match slot.compare_exchange_weak(seen, link(next), Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => return,
            Err(now) if now & VISITED != 0 => spin_loop(),
            Err(now) => seen = now,
        }
    }
}

fn link(next: u32) -> usize {
    ((next as usize) << LINK_SHIFT) | FREE
}

#[expect(clippy::cast_possible_truncation, reason = "undoes `link`")]
fn unlink(word: usize) -> u32 {
    debug_assert!(word & FREE != 0, "unlink of a slot in use");
    (word >> LINK_SHIFT) as u32
}

fn chunk_len(chunk: usize) -> usize {
    FIRST_CHUNK << chunk
}

/// The chunk of a slot and its offset there.
#[inline]
fn position(index: u32) -> (usize, usize) {
    let n = index as usize + FIRST_CHUNK;
    let chunk = (n.ilog2() - FIRST_CHUNK.ilog2()) as usize;
    (chunk, n - chunk_len(chunk))
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registry({} live)", self.live())
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn every_index_has_a_place_of_its_own_in_its_chunk() {
        let mut expected = (0, 0);
        for index in 0..10_000 {
            assert_eq!(position(index), expected, "index {index}");
            expected.1 += 1;
            if expected.1 == chunk_len(expected.0) {
                expected = (expected.0 + 1, 0);
            }
        }
    }
}
