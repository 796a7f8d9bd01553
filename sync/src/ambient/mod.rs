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
    /// Whether the scopes of that task enter its tree in this poll, because a request waits for them.
    is_entering: Cell<bool>,
    /// Whether a scope of that task waits outside its tree, as far as this poll has come.
    has_outsiders: Cell<bool>,
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
            is_entering: Cell::new(false),
            has_outsiders: Cell::new(false),
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
    is_entering: bool,
    has_outsiders: bool,
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

/// What a task's scopes are to know of requests in one poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[doc(hidden)]
pub struct Asked {
    /// Some of them were given one.
    pub marked: bool,
    /// There is one for those that wait outside the tree: they enter it in this poll, and act in another, which
    /// must follow at once.
    pub enter: bool,
}

/// What a poll has left behind.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    /// What the innermost leaf said it waits for.
    pub reason: WaitReason,
    /// Whether some scope waits without having entered the task's tree.
    #[doc(hidden)]
    pub has_outsiders: bool,
}

/// Installs a fresh record before a poll: a full budget, nothing waited for.
#[inline]
pub fn enter() -> Outer {
    install(None, Asked::default())
}

/// [`enter`] for a task that can be asked to stop.
///
/// # Safety
///
/// `host` must stay valid until the returned value has been given to [`leave`].
#[doc(hidden)]
#[inline]
pub unsafe fn enter_task(host: NonNull<dyn Host>, asked: Asked) -> Outer {
    install(Some(host), asked)
}

#[inline]
fn install(host: Option<NonNull<dyn Host>>, asked: Asked) -> Outer {
    RECORD.with(|record| {
        record.reason.set(WaitReason::NONE);
        Outer {
            budget: record.budget.replace(Budget::full()),
            host: record.host.replace(host),
            depth: record.depth.replace(0),
            is_marked: record.is_marked.replace(asked.marked),
            is_entering: record.is_entering.replace(asked.enter),
            has_outsiders: record.has_outsiders.replace(false),
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

/// Puts the outer record back after a poll.
#[inline]
#[allow(
    clippy::needless_pass_by_value,
    reason = "an outer record is given back once"
)]
pub fn leave(outer: Outer) -> Left {
    RECORD.with(|record| {
        record.budget.set(outer.budget);
        record.host.set(outer.host);
        record.depth.set(outer.depth);
        record.is_marked.set(outer.is_marked);
        record.is_entering.set(outer.is_entering);
        Left {
            reason: record.reason.replace(WaitReason::NONE),
            has_outsiders: record.has_outsiders.replace(outer.has_outsiders),
        }
    })
}
