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

/// How many units are left, or `UNLIMITED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget(u8);

const UNLIMITED: u8 = u8::MAX;
const _: () = assert!(
    POLL_BUDGET < UNLIMITED as u32,
    "a full budget is a limited one"
);

impl Budget {
    pub(super) const fn unlimited() -> Self {
        Self(UNLIMITED)
    }

    #[expect(clippy::cast_possible_truncation, reason = "asserted above")]
    pub(super) const fn full() -> Self {
        Self(POLL_BUDGET as u8)
    }

    /// What is left after one more operation; none if nothing was left for it.
    #[inline]
    fn spend(self) -> Option<Self> {
        match self.0 {
            0 => None,
            UNLIMITED => Some(self),
            left => Some(Self(left - 1)),
        }
    }
}

/// Spends one unit of the budget: `Pending`, with the task woken, when it is used up.
///
/// A leaf calls this first, and once per operation that it completes.
///
/// # Examples
///
/// A leaf of one's own, of which one poll gives no more than its share:
///
/// ```
/// use loxley_sync::ambient::{self, POLL_BUDGET};
/// use std::task::{Context, Poll, Waker, ready};
///
/// fn poll_next(cx: &mut Context<'_>) -> Poll<u32> {
///     ready!(ambient::poll_budget(cx));
///     Poll::Ready(7)
/// }
/// let cx = &mut Context::from_waker(Waker::noop());
/// let outer = ambient::enter();
/// let got = (0..1000).filter(|_| poll_next(cx).is_ready()).count();
/// assert_eq!(got, POLL_BUDGET as usize);
/// ambient::leave(outer);
/// ```
#[inline]
#[doc(alias = "consume_budget")]
pub fn poll_budget(cx: &mut Context<'_>) -> Poll<()> {
    let left = RECORD.with(|record| {
        let left = record.budget.get().spend();
        record.budget.set(left.unwrap_or(Budget(0)));
        left
    });
    match left {
        Some(_) => Poll::Ready(()),
        None => wait_for_turn(cx),
    }
}

/// The budget is spent: the task goes to the back of its queue.
#[cold]
fn wait_for_turn(cx: &Context<'_>) -> Poll<()> {
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Whether a leaf may still complete an operation in this poll.
///
/// # Examples
///
/// ```
/// # use loxley_sync::ambient;
/// # use std::task::{Context, Waker};
/// let outer = ambient::enter();
/// assert!(ambient::has_budget_remaining());
/// while ambient::poll_budget(&mut Context::from_waker(Waker::noop())).is_ready() {}
/// assert!(!ambient::has_budget_remaining(), "time to return `Pending`");
/// ambient::leave(outer);
/// ```
#[must_use]
#[inline]
pub fn has_budget_remaining() -> bool {
    RECORD.with(|record| record.budget.get() != Budget(0))
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
///
/// # Examples
///
/// What is not there yet costs nothing:
///
/// ```
/// # use loxley_sync::ambient;
/// # use std::task::{Context, Poll, Waker};
/// let cx = &mut Context::from_waker(Waker::noop());
/// let outer = ambient::enter();
/// for _ in 0..1000 {
///     assert!(ambient::poll_budgeted(cx, |_| Poll::<()>::Pending).is_pending());
/// }
/// assert_eq!(ambient::poll_budgeted(cx, |_| Poll::Ready(7)), Poll::Ready(7));
/// ambient::leave(outer);
/// ```
#[inline]
pub fn poll_budgeted<T>(
    cx: &mut Context<'_>,
    operation: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    RECORD.with(|record| {
        if record.budget.get() == Budget(0) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let outcome = operation(cx);
        if outcome.is_ready() {
            let left = record.budget.get().spend();
            record.budget.set(left.unwrap_or(Budget(0)));
        }
        outcome
    })
}
