//! The memory of the wheel: entries in one growing array, strung on doubly linked lists of array indices.
//!
//! Called by [`Wheel`](super::Wheel) alone. A list is a ring through a *head*; a link says by one bit whether it
//! names an entry or a head, so an entry can be taken out of its list in constant time without knowing which list
//! that is, and a list that becomes empty tells its head's number.

use super::Key;

/// Entries kept for the next ones after the last live entry left. More than that goes back to the allocator.
const KEPT_WHEN_EMPTY: usize = 4096;

/// Set in a link that names a head.
const HEAD: u32 = 1 << 31;

/// The other end of one half of a list element: an entry, or the head of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link(u32);

impl Link {
    fn head(number: usize) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "heads are few")]
        Self(number as u32 | HEAD)
    }

    fn entry(index: u32) -> Self {
        debug_assert!(index & HEAD == 0, "entry {index} is beyond the slab");
        Self(index)
    }

    fn is_head(self) -> bool {
        self.0 & HEAD != 0
    }

    fn number(self) -> usize {
        (self.0 & !HEAD) as usize
    }
}

/// One entry, live or free. A free one has generation 0 and no payload, and `next` leads to the next free one.
#[derive(Debug)]
struct Entry<T> {
    deadline: u64,
    generation: u64,
    next: Link,
    prev: Link,
    payload: Option<T>,
}

/// Where a list begins and ends.
#[derive(Clone, Copy, Debug)]
struct Ends {
    first: Link,
    last: Link,
}

impl Ends {
    fn empty(number: usize) -> Self {
        let itself = Link::head(number);
        Self {
            first: itself,
            last: itself,
        }
    }
}

/// Entries and the `LISTS` lists they hang on.
#[derive(Debug)]
pub(super) struct Slab<T, const LISTS: usize> {
    entries: Vec<Entry<T>>,
    heads: [Ends; LISTS],
    /// The free entry to use next; a head link when there is none.
    free: Link,
    live: usize,
    /// What the latest entry was numbered. It never goes back, not even when memory is given back.
    generation: u64,
}

impl<T, const LISTS: usize> Slab<T, LISTS> {
    /// The end of the list of free entries.
    const NO_FREE: Link = Link(HEAD);

    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            heads: std::array::from_fn(Ends::empty),
            free: Self::NO_FREE,
            live: 0,
            generation: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// How many entries fit without asking the allocator.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    /// A new entry at the end of `list`.
    pub(super) fn insert(&mut self, list: usize, deadline: u64, payload: T) -> Key {
        self.generation = (self.generation + 1) & Key::GENERATION_MAX;
        // 0 marks the free ones.
        self.generation = self.generation.max(1);
        let generation = self.generation;
        let entry = Entry {
            deadline,
            generation,
            next: Self::NO_FREE,
            prev: Self::NO_FREE,
            payload: Some(payload),
        };
        let index = if self.free.is_head() {
            let index = u32::try_from(self.entries.len())
                .ok()
                .filter(|index| index & HEAD == 0)
                .expect("memory ends before two thousand million timers");
            self.entries.push(entry);
            index
        } else {
            let slot = &mut self.entries[self.free.number()];
            let index = self.free.0;
            self.free = slot.next;
            *slot = entry;
            index
        };
        self.live += 1;
        self.push_back(list, index);
        Key { index, generation }
    }

    /// The index of a live entry; `None` for a key whose entry is gone.
    #[inline]
    pub(super) fn find(&self, key: Key) -> Option<u32> {
        let entry = self.entries.get(key.index as usize)?;
        (entry.generation == key.generation && key.generation != 0).then_some(key.index)
    }

    pub(super) fn deadline(&self, index: u32) -> u64 {
        self.entries[index as usize].deadline
    }

    pub(super) fn set_deadline(&mut self, index: u32, deadline: u64) {
        self.entries[index as usize].deadline = deadline;
    }

    pub(super) fn payload_mut(&mut self, index: u32) -> Option<&mut T> {
        self.entries[index as usize].payload.as_mut()
    }

    /// The first entry of `list`.
    #[inline]
    pub(super) fn first(&self, list: usize) -> Option<u32> {
        let first = self.heads[list].first;
        (!first.is_head()).then_some(first.0)
    }

    /// Takes an entry off its list; says which list that left empty, if it did. The entry must then be pushed or freed.
    #[must_use = "an emptied list is marked as such"]
    #[inline]
    pub(super) fn unlink(&mut self, index: u32) -> Option<usize> {
        let Entry { next, prev, .. } = self.entries[index as usize];
        self.set_next(prev, next);
        self.set_prev(next, prev);
        (next == prev && next.is_head()).then(|| next.number())
    }

    /// Puts an unlinked entry at the end of `list`.
    #[inline]
    pub(super) fn push_back(&mut self, list: usize, index: u32) {
        let last = self.heads[list].last;
        let entry = &mut self.entries[index as usize];
        entry.prev = last;
        entry.next = Link::head(list);
        self.set_next(last, Link::entry(index));
        self.heads[list].last = Link::entry(index);
    }

    /// Frees an unlinked entry and returns what it carried.
    #[inline]
    pub(super) fn free(&mut self, index: u32) -> Option<T> {
        let entry = &mut self.entries[index as usize];
        let payload = entry.payload.take();
        entry.generation = 0;
        entry.next = self.free;
        self.free = Link::entry(index);
        self.live -= 1;
        if self.live == 0 && self.entries.len() > KEPT_WHEN_EMPTY {
            self.entries = Vec::new();
            self.free = Self::NO_FREE;
        }
        payload
    }

    /// Moves all of the non-empty list `from` to the empty list `to`, in constant time.
    pub(super) fn move_list(&mut self, from: usize, to: usize) {
        debug_assert!(self.first(from).is_some(), "nothing to move from {from}");
        debug_assert!(self.first(to).is_none(), "list {to} still holds entries");
        let Ends { first, last } = std::mem::replace(&mut self.heads[from], Ends::empty(from));
        self.heads[to] = Ends { first, last };
        self.set_prev(first, Link::head(to));
        self.set_next(last, Link::head(to));
    }

    /// Takes every payload out. Every key misses afterwards.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = T> + use<T, LISTS> {
        self.heads = std::array::from_fn(Ends::empty);
        self.free = Self::NO_FREE;
        self.live = 0;
        std::mem::take(&mut self.entries)
            .into_iter()
            .filter_map(|entry| entry.payload)
    }

    fn set_next(&mut self, of: Link, next: Link) {
        if of.is_head() {
            self.heads[of.number()].first = next;
        } else {
            self.entries[of.number()].next = next;
        }
    }

    fn set_prev(&mut self, of: Link, prev: Link) {
        if of.is_head() {
            self.heads[of.number()].last = prev;
        } else {
            self.entries[of.number()].prev = prev;
        }
    }
}
