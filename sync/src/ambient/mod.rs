//! What a leaf future may know about who runs it: a thread-local record, written by the runtime around a poll.
//!
//! Without a runtime the record stands at its defaults, and a leaf behaves as if unbudgeted and never asked to stop.
#![expect(
    unsafe_code,
    reason = "keeps a pointer to the task that is being polled, for as long as it is"
)]

mod budget;
mod catch;
mod context;
#[doc(hidden)]
pub mod grants;
mod reason;
#[doc(hidden)]
pub mod scope;
mod tree;

pub use budget::{POLL_BUDGET, has_budget_remaining, poll_budget, poll_budgeted, unconstrained};
pub use catch::{
    CatchCancelled, Uncancellable, catch_cancelled, checkpoint, uncancellable, with_cleanup,
};
pub use context::{
    Context, ContextVar, Token, copy_context, inherit_context, run_in, swap_context,
};
pub use reason::{WaitKind, WaitReason, wait_reason};

use budget::Budget;
use scope::Host;
use std::cell::Cell;
use std::ptr::NonNull;

struct Record {
    budget: Cell<Budget>,
    reason: Cell<WaitReason>,
    /// The task that is being polled, for its cancel scopes.
    host: Cell<Option<NonNull<dyn Host>>>,
    /// How many of the scopes on this thread's stack are that task's.
    depth: Cell<usize>,
    /// Whether some scope of that task may be marked.
    is_marked: Cell<bool>,
    /// Whether waits leave watches with their tasks.
    watches: Cell<bool>,
}

crate::prim::thread::thread_local! {
    static RECORD: Record = const {
        Record {
            budget: Cell::new(Budget::unlimited()),
            reason: Cell::new(WaitReason::NONE),
            host: Cell::new(None),
            depth: Cell::new(0),
            is_marked: Cell::new(false),
            watches: Cell::new(false),
        }
    };
}

/// The record that stood before [`enter`]; give it back with [`leave`].
#[derive(Debug)]
#[must_use = "pass it to `leave`"]
pub struct Outer {
    budget: Budget,
    host: Option<NonNull<dyn Host>>,
    depth: usize,
    is_marked: bool,
    watches: bool,
}

impl Outer {
    /// Whether waits leave watches with the task that is being polled.
    #[doc(hidden)]
    #[inline]
    #[must_use]
    pub fn watches_grants(&self) -> bool {
        self.watches
    }
}

/// Installs a fresh record before a poll: a full budget, nothing waited for.
#[inline]
pub fn enter() -> Outer {
    install(None, false)
}

/// [`enter`] for a task that can be asked to stop. `is_marked`: some of its scopes were given a request.
///
/// # Safety
///
/// `host` must stay valid until the returned value has been given to [`leave`].
#[doc(hidden)]
#[inline]
pub unsafe fn enter_task(host: NonNull<dyn Host>, is_marked: bool) -> Outer {
    install(Some(host), is_marked)
}

#[inline]
fn install(host: Option<NonNull<dyn Host>>, is_marked: bool) -> Outer {
    RECORD.with(|record| {
        record.reason.set(WaitReason::NONE);
        Outer {
            budget: record.budget.replace(Budget::full()),
            host: record.host.replace(host),
            depth: record.depth.replace(0),
            is_marked: record.is_marked.replace(is_marked),
            watches: record.watches.get(),
        }
    })
}

/// Calls `f` with the task that is being polled on this thread, if it is one of a runtime's.
fn host<R>(f: impl FnOnce(&dyn Host) -> R) -> Option<R> {
    let host = RECORD.try_with(|record| record.host.get()).ok().flatten()?;
    // SAFETY: valid by the contract of `enter_task`: `leave` has not taken it out of the record yet.
    Some(f(unsafe { host.as_ref() }))
}

/// Puts the outer record back after a poll and returns what the innermost leaf said it waits for.
#[inline]
#[allow(
    clippy::needless_pass_by_value,
    reason = "an outer record is given back once"
)]
pub fn leave(outer: Outer) -> WaitReason {
    RECORD.with(|record| {
        record.budget.set(outer.budget);
        record.host.set(outer.host);
        record.depth.set(outer.depth);
        record.is_marked.set(outer.is_marked);
        record.reason.replace(WaitReason::NONE)
    })
}
