//! A chain of finished tasks, each holding the next one's handle in its output, is dropped without recursion.
//!
//! Called by `raw.rs` where an output that nobody read is dropped. Up to [`DEPTH_MAX`] outputs deep the drop happens at
//! once; deeper ones are put aside and dropped by the outermost, before it returns. Nothing is put aside for longer.

use super::TaskRef;
use std::cell::{Cell, RefCell};

/// So many outputs inside each other are dropped by recursion: more than honest nesting needs, few enough for any stack.
const DEPTH_MAX: u32 = 16;

std::thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static ASIDE: RefCell<Vec<TaskRef>> = const { RefCell::new(Vec::new()) };
}

/// The right to drop an output now; dropped, it hands back what was put aside meanwhile, if it is the outermost.
#[derive(Debug)]
pub(super) struct Nested(u32);

/// One level deeper; `None` where that is too deep, and `task` has been put aside.
pub(super) fn descend(task: impl FnOnce() -> TaskRef) -> Option<Nested> {
    let depth = DEPTH.get();
    if depth >= DEPTH_MAX
        && ASIDE
            .try_with(|aside| aside.borrow_mut().push(task()))
            .is_ok()
    {
        return None;
    }
    // On a thread that has lost its thread-locals only recursion is left.
    DEPTH.set(depth + 1);
    Some(Nested(depth))
}

impl Nested {
    /// The next task that was put aside below the outermost level.
    pub(super) fn next_aside(&self) -> Option<TaskRef> {
        if self.0 > 0 {
            return None;
        }
        ASIDE.try_with(|aside| aside.borrow_mut().pop()).ok()?
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        DEPTH.set(self.0);
    }
}
