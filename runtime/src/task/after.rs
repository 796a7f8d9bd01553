//! What waits for a task to be complete, and not only for its future to be gone.
//!
//! A value inside a future that wants to act after T9 leaves itself here when it is dropped ([`leave`]); the completing
//! worker takes it up before T9 and lets it act after ([`Last`]). Called by `run.rs` and by the tickets of task groups. What
//! is left never crosses threads: a future is dropped by the thread that completes its task.

use super::run::is_polling;
use crate::payload::contain;
use std::cell::Cell;
use std::sync::Arc;

/// Acts when its task is complete.
pub(crate) trait AfterEnd {
    /// Called once, on the thread that completed the task, with nothing of the task borrowed.
    fn after_end(self: Arc<Self>);
}

loxley_sync::prim::thread::thread_local! {
    /// Left by the future that is being dropped on this thread.
    static LEFT: Cell<Option<Arc<dyn AfterEnd>>> = const { Cell::new(None) };
}

/// `what` acts once the task that is being polled, whose future it belongs to, is complete; outside of tasks at once.
pub(crate) fn leave(what: Arc<dyn AfterEnd>) {
    let mut what = Some(what);
    if is_polling() {
        // Only the root of a task leaves anything. Were there something already, it would act now rather than never.
        if let Ok(before) = LEFT.try_with(|left| left.replace(what.take())) {
            what = before;
        }
    }
    if let Some(what) = what {
        what.after_end();
    }
}

/// What the future left that was just dropped; it acts when this is dropped.
pub(super) struct Last(Option<Arc<dyn AfterEnd>>);

impl Last {
    #[inline]
    pub(super) fn take() -> Self {
        Self(LEFT.try_with(Cell::take).ok().flatten())
    }
}

impl Drop for Last {
    #[inline]
    fn drop(&mut self) {
        if let Some(what) = self.0.take() {
            act(what);
        }
    }
}

/// The last share of what is left may hold values of the user, whose drop may panic.
#[cold]
fn act(what: Arc<dyn AfterEnd>) {
    contain(|| what.after_end());
}
