//! Token ↔ source: slots with generations, so that an event for a source that is gone misses its successor.
//!
//! Registrations take and give back slots, the driver looks them up. A look-up takes no lock: slots live in pages that
//! are made when they are first needed and stay for the driver's life, and the generation is part of the source's word.
//!
//! **Access.** Pages are written once each, under the ledger's lock; the ledger is under its lock. A slot goes free →
//! open → retired → (one turn of the driver) → aging → (one more) → free: nothing that is reported in the batch in
//! which a source was retired can reach the next one in its slot, even if generations wrapped around.

use std::sync::OnceLock;

use loxley_sync::prim::atomic::{AtomicBool, Ordering};
use loxley_sync::prim::lock::Mutex;
use loxley_sync::wait::WakeBatch;

use super::PAGE_BITS;
use super::readiness::{GENERATION_BITS, Source};

const PAGE_LEN: usize = 1 << PAGE_BITS;
/// How many bits of a token are the index; the rest is generation.
const INDEX_BITS: u32 = 3 * PAGE_BITS;
/// The limit of sources per driver. The two highest indices are never used, nor are the tokens the driver keeps to
/// itself.
pub(super) const SOURCES_MAX: u32 = (1 << INDEX_BITS) - 2;

const TOKEN_GENERATION_BITS: u32 = {
    let room = usize::BITS - INDEX_BITS;
    if room < GENERATION_BITS {
        room
    } else {
        GENERATION_BITS
    }
};
const TOKEN_GENERATION_MASK: u32 = (1 << TOKEN_GENERATION_BITS) - 1;

/// Where a source lives, and which of the sources that lived there it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// The number the operating system hands back with every event.
    #[must_use]
    pub fn token(self) -> usize {
        let generation = (self.generation & TOKEN_GENERATION_MASK) as usize;
        (generation << INDEX_BITS) | self.index as usize
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "both halves are masked to fewer bits"
    )]
    fn of_token(token: usize) -> Self {
        Self {
            index: (token & ((1 << INDEX_BITS) - 1)) as u32,
            generation: (token >> INDEX_BITS) as u32 & TOKEN_GENERATION_MASK,
        }
    }
}

/// Why no slot could be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The driver has shut down.
    ShutDown,
    /// As many sources as a driver can hold are registered.
    Full,
}

type Page = Box<[Source]>;
type Chapter = Box<[OnceLock<Page>]>;

/// All sources of one driver. Bounded by `SOURCES_MAX`; memory stays at the highest number that lived at once.
#[derive(Debug)]
pub struct Slab {
    chapters: [OnceLock<Chapter>; 1 << PAGE_BITS],
    ledger: Mutex<Ledger>,
    /// Whether the ledger has retired or aging slots; spares the driver a lock per turn.
    has_retired: AtomicBool,
}

#[derive(Debug, Default)]
struct Ledger {
    free: Vec<u32>,
    retired: Vec<u32>,
    aging: Vec<u32>,
    /// Slots ever used: those below have a page.
    used: u32,
    live: usize,
    shut_down: bool,
}

impl Default for Slab {
    fn default() -> Self {
        Self::new()
    }
}

impl Slab {
    /// A slab without pages.
    #[must_use]
    pub fn new() -> Self {
        Self {
            chapters: [const { OnceLock::new() }; 1 << PAGE_BITS],
            ledger: Mutex::new(Ledger::default()),
            has_retired: AtomicBool::new(false),
        }
    }

    /// Opens a slot for a source with interest in these directions.
    ///
    /// # Errors
    ///
    /// If the driver has shut down, or is full.
    ///
    /// # Panics
    ///
    /// Never: a slot that is given out has a page.
    pub fn open(&self, readable: bool, writable: bool) -> Result<Key, Refused> {
        let mut ledger = self.ledger.lock();
        if ledger.shut_down {
            return Err(Refused::ShutDown);
        }
        let index = match ledger.free.pop() {
            Some(index) => index,
            None if ledger.used == SOURCES_MAX => return Err(Refused::Full),
            None => {
                let index = ledger.used;
                self.make_page(index);
                ledger.used += 1;
                index
            }
        };
        ledger.live += 1;
        let source = self
            .slot(index)
            .expect("the page was made before the index was given out");
        // Under the lock, so that a shutdown that comes later finds the source open.
        let generation = source.open(readable, writable);
        Ok(Key { index, generation })
    }

    /// R5: gives the slot back. It is opened again only after the driver's next turn.
    pub fn retire(&self, key: Key) {
        self.get(key).retire();
        let mut ledger = self.ledger.lock();
        ledger.retired.push(key.index);
        ledger.live -= 1;
        // ordering: Relaxed. A hint; the ledger itself is under the lock, and a turn that misses it leaves it to the
        // next.
        self.has_retired.store(true, Ordering::Relaxed);
    }

    /// Frees the slots that were retired before the turn that now is over. The driver calls it once at each turn's
    /// start.
    pub fn age(&self) {
        // ordering: Relaxed. See `retire`.
        if !self.has_retired.load(Ordering::Relaxed) {
            return;
        }
        let mut ledger = self.ledger.lock();
        let ledger = &mut *ledger;
        ledger.free.append(&mut ledger.aging);
        std::mem::swap(&mut ledger.aging, &mut ledger.retired);
        let more = !ledger.aging.is_empty();
        // ordering: Relaxed. See `retire`; both stores are under the lock, so the later one tells the truth.
        self.has_retired.store(more, Ordering::Relaxed);
    }

    /// The source behind a key that has not been retired.
    ///
    /// # Panics
    ///
    /// If the key is of another slab.
    #[inline]
    pub fn get(&self, key: Key) -> &Source {
        self.slot(key.index)
            .expect("a key is used with the slab that made it")
    }

    /// R2 for the source behind `token`; says whether there was one. Wakers go to `batch`.
    pub fn report(&self, token: usize, bits: u64, batch: &mut WakeBatch) -> bool {
        let key = Key::of_token(token);
        self.slot(key.index)
            .is_some_and(|source| source.report(key.generation, TOKEN_GENERATION_MASK, bits, batch))
    }

    /// R6 for every source; [`open`](Self::open) refuses from now on.
    pub fn shut_down(&self) {
        let mut ledger = self.ledger.lock();
        ledger.shut_down = true;
        let used = ledger.used;
        drop(ledger);
        let mut batch = WakeBatch::new();
        for index in 0..used {
            if let Some(source) = self.slot(index) {
                source.shut_down(&mut batch);
            }
        }
        batch.wake_all_contained();
    }

    /// How many sources are registered.
    pub fn live(&self) -> usize {
        self.ledger.lock().live
    }

    #[inline]
    fn slot(&self, index: u32) -> Option<&Source> {
        let (chapter, page, line) = split(index);
        let page = self.chapters[chapter].get()?[page].get()?;
        Some(&page[line])
    }

    fn make_page(&self, index: u32) {
        let (chapter, page, _) = split(index);
        let chapter =
            self.chapters[chapter].get_or_init(|| (0..PAGE_LEN).map(|_| OnceLock::new()).collect());
        chapter[page].get_or_init(|| (0..PAGE_LEN).map(|_| Source::vacant()).collect());
    }
}

fn split(index: u32) -> (usize, usize, usize) {
    let index = index as usize;
    (
        (index >> (2 * PAGE_BITS)) % PAGE_LEN,
        (index >> PAGE_BITS) % PAGE_LEN,
        index % PAGE_LEN,
    )
}
