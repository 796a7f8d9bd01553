//! The memory of task cells: blocks of a few sizes, kept by the thread that freed them last.
//!
//! Programs make and end tasks in bursts, for which the general allocator's per-thread cache is too short: a thousand
//! blocks allocated and then freed cost several times what one block does. A thread keeps up to two magazines of free
//! blocks per size; full ones go to a shared depot, empty threads are filled from there. So a block that one thread
//! allocates and another one frees finds its way home, at one lock per [`MAGAZINE`] blocks. The scheme is J. Bonwick's
//! ("Magazines and Vmem", 2001).
//!
//! What is kept is bounded: [`DEPOT`] magazines per size for the process, two per size and thread; the rest goes back to
//! the allocator, and all of a thread's does when it ends. Larger or more aligned cells go to the allocator directly, and
//! so does everything in debug builds and models, where a checker should see each block's true life.
//!
//! This is shared by all runtimes of the process, as the allocator below it is.
#![expect(unsafe_code, reason = "an allocator")]

use loxley_sync::prim::atomic::{AtomicUsize, Ordering};
use loxley_sync::prim::lock::Mutex;
use std::alloc::{Layout, LayoutError, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::{self, NonNull};

/// Sizes are a multiple of this many bytes, less the word that the usual allocators put before each block.
const STEP: usize = 16;
const HEAD: usize = size_of::<usize>();

/// So many sizes are kept: cells of up to a kilobyte.
const SIZES: usize = 64;

/// The strictest alignment of a kept block; the allocator serves it without extra cost.
const ALIGN: usize = 16;

/// Blocks per magazine: what one lock of the depot moves.
const MAGAZINE: usize = 64;

/// Full magazines per size in the depot.
const DEPOT: usize = 32;

/// Whether blocks are kept at all.
const KEPT: bool = cfg!(not(any(debug_assertions, miri, loom, shuttle)));

/// A free block: the rest of its chain.
struct Free {
    next: *mut Self,
}

/// A chain of free blocks of one size.
struct Magazine {
    first: Cell<*mut Free>,
    len: Cell<usize>,
}

/// One thread's free blocks of one size: one magazine in use, one full or empty.
struct Shelf {
    loaded: Magazine,
    spare: Magazine,
}

/// One thread's free blocks.
struct Shelves([Shelf; SIZES]);

/// Everybody's full magazines of one size.
struct Depot {
    magazines: Mutex<Vec<Chain>>,
    len: AtomicUsize,
}

/// The first block of a full magazine on its way to another thread.
struct Chain(*mut Free);

// SAFETY: a chain owns its blocks, which are plain memory.
unsafe impl Send for Chain {}

#[cfg(not(loom))]
static DEPOTS: [Depot; SIZES] = [const {
    Depot {
        magazines: Mutex::new(Vec::new()),
        len: AtomicUsize::new(0),
    }
}; SIZES];

std::thread_local! {
    static SHELVES: Shelves = const { Shelves([const { Shelf::new() }; SIZES]) };
}

/// The shelf for cells of this layout, and the layout of its blocks.
#[inline]
const fn shelf_of(layout: Layout) -> Option<(usize, Layout)> {
    let index = (layout.size() + HEAD - 1) / STEP;
    if !KEPT || index >= SIZES || layout.align() > ALIGN {
        return None;
    }
    match block_of(index) {
        Ok(block) => Some((index, block)),
        Err(_) => None,
    }
}

/// The layout of the blocks on a shelf.
#[inline]
const fn block_of(index: usize) -> Result<Layout, LayoutError> {
    Layout::from_size_align((index + 1) * STEP - HEAD, ALIGN)
}

/// A block for a cell of this layout.
#[inline]
pub(super) fn allocate(layout: Layout) -> NonNull<u8> {
    let Some((index, block)) = shelf_of(layout) else {
        return from_system(layout);
    };
    let kept = SHELVES.try_with(|shelves| shelves.0[index].take(index));
    match kept.ok().flatten() {
        Some(free) => free.cast(),
        None => from_system(block),
    }
}

/// Takes a block back.
///
/// # Safety
///
/// `memory` must come from [`allocate`] with the same layout and be used no more.
#[inline]
pub(super) unsafe fn free(memory: NonNull<u8>, layout: Layout) {
    let Some((index, block)) = shelf_of(layout) else {
        // SAFETY: from the system, by the same decision in `allocate`.
        return unsafe { dealloc(memory.as_ptr(), layout) };
    };
    let kept = SHELVES.try_with(|shelves| {
        // SAFETY: a block of this shelf's size, given up by the caller.
        unsafe { shelves.0[index].keep(memory.cast(), index) }
    });
    if kept.is_err() {
        // SAFETY: blocks of a shelf are allocated with its layout; this thread is ending and keeps nothing.
        unsafe { dealloc(memory.as_ptr(), block) };
    }
}

fn from_system(layout: Layout) -> NonNull<u8> {
    debug_assert!(layout.size() > 0, "a cell has a header");
    // SAFETY: not of size zero.
    let memory = unsafe { alloc(layout) };
    NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout))
}

impl Magazine {
    const fn new() -> Self {
        Self {
            first: Cell::new(ptr::null_mut()),
            len: Cell::new(0),
        }
    }

    #[inline]
    fn pop(&self) -> Option<NonNull<Free>> {
        let first = NonNull::new(self.first.get())?;
        // SAFETY: blocks in a chain are free memory, with their link written by `push`.
        self.first.set(unsafe { first.as_ref() }.next);
        self.len.set(self.len.get() - 1);
        Some(first)
    }

    /// # Safety
    ///
    /// The block must be free memory, large and aligned enough for a link.
    #[inline]
    unsafe fn push(&self, block: NonNull<Free>) {
        let next = self.first.get();
        // SAFETY: ours to write, by the contract.
        unsafe { block.write(Free { next }) };
        self.first.set(block.as_ptr());
        self.len.set(self.len.get() + 1);
    }

    fn is_full(&self) -> bool {
        self.len.get() == MAGAZINE
    }

    /// Empties it.
    fn unload(&self) -> Chain {
        self.len.set(0);
        Chain(self.first.replace(ptr::null_mut()))
    }

    /// Fills it, which must be empty, with a full magazine's chain.
    fn load(&self, chain: &Chain) {
        self.first.set(chain.0);
        self.len.set(MAGAZINE);
    }
}

impl Shelf {
    const fn new() -> Self {
        Self {
            loaded: Magazine::new(),
            spare: Magazine::new(),
        }
    }

    #[inline]
    fn take(&self, index: usize) -> Option<NonNull<Free>> {
        self.loaded.pop().or_else(|| self.take_more(index))
    }

    #[cold]
    fn take_more(&self, index: usize) -> Option<NonNull<Free>> {
        if self.spare.is_full() {
            self.loaded.load(&self.spare.unload());
        } else if let Some(chain) = depot(index)?.take() {
            self.loaded.load(&chain);
        }
        self.loaded.pop()
    }

    /// # Safety
    ///
    /// As `Magazine::push`, for this shelf's size.
    #[inline]
    unsafe fn keep(&self, block: NonNull<Free>, index: usize) {
        if self.loaded.is_full() {
            self.make_room(index);
        }
        // SAFETY: the same contract.
        unsafe { self.loaded.push(block) };
    }

    #[cold]
    fn make_room(&self, index: usize) {
        if self.spare.is_full() {
            let chain = self.spare.unload();
            let refused = match depot(index) {
                Some(depot) => depot.put(chain),
                None => Some(chain),
            };
            if let Some(chain) = refused {
                give_back(&chain, index);
            }
        }
        self.spare.load(&self.loaded.unload());
    }
}

impl Drop for Shelves {
    fn drop(&mut self) {
        for (index, shelf) in self.0.iter().enumerate() {
            give_back(&shelf.loaded.unload(), index);
            give_back(&shelf.spare.unload(), index);
        }
    }
}

#[cfg(not(loom))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "models have no statics, and keep nothing"
)]
fn depot(index: usize) -> Option<&'static Depot> {
    Some(&DEPOTS[index])
}

#[cfg(loom)]
fn depot(_: usize) -> Option<&'static Depot> {
    None
}

impl Depot {
    fn take(&self) -> Option<Chain> {
        // ordering: relaxed, a hint; the lock decides.
        if self.len.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut magazines = self.magazines.lock();
        let chain = magazines.pop();
        // ordering: relaxed, written under the lock.
        self.len.store(magazines.len(), Ordering::Relaxed);
        chain
    }

    /// Gives the chain back if the depot is full.
    fn put(&self, chain: Chain) -> Option<Chain> {
        let mut magazines = self.magazines.lock();
        if magazines.len() == DEPOT {
            return Some(chain);
        }
        magazines.push(chain);
        // ordering: relaxed, written under the lock.
        self.len.store(magazines.len(), Ordering::Relaxed);
        None
    }
}

/// Returns every block of a chain to the allocator.
fn give_back(chain: &Chain, index: usize) {
    let layout = block_of(index).expect("as in `shelf_of`");
    let mut next = chain.0;
    while let Some(block) = NonNull::new(next) {
        // SAFETY: a free block with its link.
        next = unsafe { block.as_ref() }.next;
        // SAFETY: allocated with this layout, and out of every chain.
        unsafe { dealloc(block.as_ptr().cast(), layout) };
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// A shelf works the same whether the build keeps blocks or not.
    #[test]
    fn a_shelf_gives_back_what_it_was_given_and_overflows_into_the_depot() {
        const INDEX: usize = 5;
        let layout = block_of(INDEX).unwrap();
        let shelf = Shelf::new();
        let blocks: Vec<_> = (0..3 * MAGAZINE).map(|_| from_system(layout)).collect();
        for &block in &blocks {
            // SAFETY: fresh from the system, of this shelf's size.
            unsafe { shelf.keep(block.cast(), INDEX) };
        }
        assert!(shelf.loaded.is_full() && shelf.spare.is_full());
        let mut out: Vec<_> = std::iter::from_fn(|| shelf.take(INDEX)).collect();
        out.sort();
        let mut all: Vec<_> = blocks.iter().map(|block| block.cast()).collect();
        all.sort();
        // Other tests of this process may use the same depot; what came out is never more than was put in, and no block
        // comes out twice.
        assert!(out.len() >= 2 * MAGAZINE, "{}", out.len());
        out.dedup();
        assert!(out.iter().all(|block| all.binary_search(block).is_ok()));
        for block in out {
            // SAFETY: out of every chain, allocated with this layout.
            unsafe { dealloc(block.as_ptr().cast(), layout) };
        }
    }

    #[test]
    fn large_cells_are_not_kept() {
        assert_eq!(
            shelf_of(Layout::from_size_align(SIZES * STEP + 1, 8).unwrap()),
            None
        );
        assert_eq!(shelf_of(Layout::from_size_align(64, 32).unwrap()), None);
    }
}
