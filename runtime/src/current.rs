//! Which runtime this thread is in: a stand-in until the scheduler's own arrives.

use crate::driver::timers::Timers;
use loxley_sync::prim::Arc;
use std::cell::RefCell;

thread_local! {
    static SITE: RefCell<Option<(Arc<Timers>, usize)>> = const { RefCell::new(None) };
}

/// Calls `f` with this thread's timers and the shard to arm in; `None` outside every runtime.
pub(crate) fn with_timer_site<R>(f: impl FnOnce(&Arc<Timers>, usize) -> R) -> Option<R> {
    SITE.try_with(|site| {
        site.borrow()
            .as_ref()
            .map(|(timers, shard)| f(timers, *shard))
    })
    .ok()
    .flatten()
}

/// This thread's timers and the shard to arm in; `None` outside every runtime.
pub(crate) fn timer_site() -> Option<(Arc<Timers>, usize)> {
    with_timer_site(|timers, shard| (timers.clone(), shard))
}

/// Replaces this thread's site.
#[cfg(test)]
pub(crate) fn set_timer_site(site: Option<(Arc<Timers>, usize)>) -> Option<(Arc<Timers>, usize)> {
    SITE.replace(site)
}
