//! How one future waits for many tasks, and is told which of them ended.
//!
//! Each task watched gets a waker of its own, a [`Bell`], which notes the task's index and wakes the one who waits. So a
//! poll looks at the tasks that rang and at no others: waiting for n tasks costs n looks, not n².
//!
//! The list of indices is behind a lock that is held for a push or a swap; wakers are called after it.

use loxley_sync::prim::lock::Mutex;
use loxley_sync::wait::WaitCell;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// What one future has heard of the tasks it waits for.
#[derive(Default)]
pub(super) struct Arrivals {
    desk: Option<Arc<Desk>>,
    /// Those that rang and have not been looked at.
    rung: Vec<usize>,
    /// Those known to have ended, by index.
    ended: Vec<bool>,
}

struct Desk {
    rung: Mutex<Vec<usize>>,
    waiter: WaitCell,
}

struct Bell {
    index: usize,
    desk: Arc<Desk>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.desk.rung.lock().push(self.index);
        self.desk.waiter.wake();
    }
}

impl Arrivals {
    /// Calls `look` for each of `count` tasks at first, then for those that rang; not again for one that has ended. `look`
    /// polls the task of that index with the context given.
    ///
    /// Afterwards whoever waits is registered: it may return `Pending`.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        count: usize,
        mut look: impl FnMut(usize, &mut Context<'_>) -> Poll<()>,
    ) {
        let desk = if let Some(desk) = &self.desk {
            // Registered first: what rings after the swap wakes this future again.
            desk.waiter.register(cx.waker());
            self.rung.append(&mut desk.rung.lock());
            desk
        } else {
            let desk = self.desk.insert(Arc::new(Desk {
                rung: Mutex::new(Vec::new()),
                waiter: WaitCell::new(),
            }));
            desk.waiter.register(cx.waker());
            self.rung.extend(0..count);
            self.ended.resize(count, false);
            desk
        };
        for index in self.rung.drain(..) {
            if self.ended[index] {
                continue;
            }
            // The task keeps the bell while it runs, and a bell rings when it ends: one is made per look.
            let bell = Waker::from(Arc::new(Bell {
                index,
                desk: desk.clone(),
            }));
            self.ended[index] = look(index, &mut Context::from_waker(&bell)).is_ready();
        }
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        if let Some(desk) = &self.desk {
            // Tasks that go on keep their bells, which must not wake a future that no longer waits.
            drop(desk.waiter.take());
        }
    }
}
