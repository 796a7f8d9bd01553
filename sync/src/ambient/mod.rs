//! What a leaf future may know about who runs it: a thread-local record, written by the runtime around a poll.
//!
//! Without a runtime the record stands at its defaults, and a leaf behaves as if unbudgeted.

mod budget;
mod reason;

pub use budget::{POLL_BUDGET, has_budget_remaining, poll_budget, poll_budgeted, unconstrained};
pub use reason::{WaitKind, WaitReason, wait_reason};

use budget::Budget;
use std::cell::Cell;

struct Record {
    budget: Cell<Budget>,
    reason: Cell<WaitReason>,
}

crate::prim::thread::thread_local! {
    static RECORD: Record = const {
        Record {
            budget: Cell::new(Budget::unlimited()),
            reason: Cell::new(WaitReason::NONE),
        }
    };
}

/// The record that stood before [`enter`]; give it back with [`leave`].
#[derive(Debug)]
#[must_use = "pass it to `leave`"]
pub struct Outer {
    budget: Budget,
}

/// Installs a fresh record before a poll: a full budget, nothing waited for.
#[inline]
pub fn enter() -> Outer {
    RECORD.with(|record| {
        record.reason.set(WaitReason::NONE);
        Outer {
            budget: record.budget.replace(Budget::full()),
        }
    })
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
        record.reason.replace(WaitReason::NONE)
    })
}
