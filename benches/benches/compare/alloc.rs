//! A global allocator that counts live bytes while a memory case asks it to, and is the system's otherwise.
//!
//! The switch is off in every timing case: there the cost is one load of a shared, unwritten flag per call.
#![expect(unsafe_code, reason = "implementing GlobalAlloc needs it")]

use std::alloc::{GlobalAlloc, Layout, System};

use loxley_sync::prim::atomic::{AtomicBool, AtomicUsize, Ordering};

static COUNTING: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// See the file's head.
pub struct Counting;

/// Starts counting from zero.
pub fn start_counting() {
    // ordering: Relaxed; the count is read after the work was joined, nothing else hangs on it.
    LIVE.store(0, Ordering::Relaxed);
    COUNTING.store(true, Ordering::Relaxed);
}

/// Bytes allocated and not freed since [`start_counting`], as requested by layout.
pub fn live_bytes() -> usize {
    // ordering: Relaxed; see `start_counting`.
    LIVE.load(Ordering::Relaxed)
}

#[inline]
fn count(grown: usize, shrunk: usize) {
    // ordering: Relaxed; a flag set once before the work that is counted.
    if COUNTING.load(Ordering::Relaxed) {
        // ordering: Relaxed; a sum, order does not matter. Wraps if a block from before is freed, and wraps back.
        LIVE.fetch_add(grown.wrapping_sub(shrunk), Ordering::Relaxed);
    }
}

// SAFETY: every call goes to `System` with its arguments unchanged; counting touches no memory of the block.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller promises a layout of non-zero size.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller promises a layout of non-zero size.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller promises that `block` came from here, hence from `System`, with this layout.
        unsafe { System.dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size, layout.size());
        // SAFETY: the caller promises that `block` came from here with this layout and that `new_size` is not zero.
        unsafe { System.realloc(block, layout, new_size) }
    }
}
