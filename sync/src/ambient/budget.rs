//! The cooperative budget: refilled for every poll of a task, spent by leaves, so that a task whose leaves are always
//! ready still lets others run.
//!
//! A leaf that finds the budget spent wakes itself and returns `Pending`; the task goes to the back of its queue.

use super::RECORD;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// How many leaf operations one poll of a task may complete before it must let others run.
pub const POLL_BUDGET: u32 = 128;

#[derive(Clone, Copy, Debug)]
pub(super) struct Budget(Option<u32>);

impl Budget {
    pub(super) const fn unlimited() -> Self {
        Self(None)
    }

    pub(super) const fn full() -> Self {
        Self(Some(POLL_BUDGET))
    }
}

/// Spends one unit of the budget: `Pending`, with the task woken, when it is used up.
///
/// A leaf calls this first, and once per operation that it completes.
#[inline]
pub fn poll_budget(cx: &mut Context<'_>) -> Poll<()> {
    let is_spent = RECORD.with(|record| match record.budget.get().0 {
        None => false,
        Some(0) => true,
        Some(left) => {
            record.budget.set(Budget(Some(left - 1)));
            false
        }
    });
    if is_spent {
        return wait_for_turn(cx);
    }
    Poll::Ready(())
}

/// The budget is spent: the task goes to the back of its queue.
#[cold]
fn wait_for_turn(cx: &Context<'_>) -> Poll<()> {
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Whether a leaf may still complete an operation in this poll.
#[must_use]
#[inline]
pub fn has_budget_remaining() -> bool {
    RECORD.with(|record| record.budget.get().0 != Some(0))
}

/// Polls `future` without a budget: for code that brings its own fairness. It is boxed, so that it can be polled wherever the
/// result is moved.
///
/// # Cancel safety
///
/// That of `future`, which is dropped with it.
///
/// # Fairness
///
/// None: a `future` whose leaves are always ready keeps its worker until it ends.
///
/// # Examples
///
/// ```
/// use loxley_sync::{Event, ambient, wait};
///
/// let event = Event::new();
/// event.set();
/// wait::block_on(ambient::unconstrained(async {
///     for _ in 0..1_000 {
///         event.wait().await;
///     }
/// }));
/// ```
pub fn unconstrained<F: Future>(future: F) -> impl Future<Output = F::Output> {
    Unconstrained {
        future: Box::pin(future),
    }
}

struct Unconstrained<F> {
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Unconstrained<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        struct Restore(Budget);
        impl Drop for Restore {
            fn drop(&mut self) {
                RECORD.with(|record| record.budget.set(self.0));
            }
        }
        let _restore = Restore(RECORD.with(|record| record.budget.replace(Budget::unlimited())));
        self.future.as_mut().poll(cx)
    }
}

/// Polls one leaf operation under the budget: it is not begun when the budget is spent, and costs one unit when it
/// completes. An operation that stays pending costs nothing, so that a task may wait for any number of leaves at once.
#[inline]
pub fn poll_budgeted<T>(
    cx: &mut Context<'_>,
    operation: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    RECORD.with(|record| {
        let budget = record.budget.get().0;
        if budget == Some(0) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let outcome = operation(cx);
        if let (Poll::Ready(_), Some(left)) = (&outcome, record.budget.get().0) {
            record.budget.set(Budget(Some(left.saturating_sub(1))));
        }
        outcome
    })
}
