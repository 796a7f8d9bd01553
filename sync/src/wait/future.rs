//! [`Wait`]: one whole wait at a [`WaitList`] as a future, from the first look to the grant.
//!
//! It is written by hand and not as an `async` block, because every task that waits for anything holds one: it is the
//! waiter, the line that asked, and what the primitive's [`Claim`] brings along, once each. The waiter is made when there
//! is a need to wait and not before.

use super::list::{Entry, Locked, Protocol, WaitList, Waiter};
use crate::ambient::{WaitKind, poll_budgeted, wait_reason};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// What somebody wants of a [`WaitList`], in three steps of which each follows only if the one before did not suffice.
pub trait Claim<P: Protocol> {
    /// What the wait ends with.
    type Output;

    /// What the task is said to wait for.
    const KIND: WaitKind;

    /// Tries to do without the list. It is called once, and must leave nothing behind if it fails.
    #[inline]
    fn attempt(&mut self, list: &WaitList<P>) -> Option<Self::Output> {
        let _ = list;
        None
    }

    /// Decides under the mutex whether there is a need to wait.
    fn enter(&mut self, locked: &mut Locked<'_, P>) -> Entry<Self::Output, P::Note>;

    /// The waiter was granted; its note is as the granting side left it. The mutex is free.
    fn granted(self, list: &WaitList<P>, note: P::Note) -> Self::Output;
}

pin_project! {
    /// A wait at a [`WaitList`]; made by [`WaitList::claim`].
    ///
    /// Spends one unit of the budget, and none before it completes.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it enlisted: nothing happened. While waiting: [`Protocol::left`]. With a grant:
    /// [`Protocol::give_back`].
    #[must_use = "a future does nothing unless it is awaited"]
    pub struct Wait<'a, P: Protocol, C> {
        // None until there is a need to wait. Dropped before the claim, which may hold what the waiter gives back to.
        #[pin]
        waiter: Option<Waiter<'a, P>>,
        // None once it was granted or needed no grant.
        claim: Option<C>,
        list: &'a WaitList<P>,
        at: &'static Location<'static>,
    }
}

impl<P: Protocol> WaitList<P> {
    /// The future of what `claim` wants of this list, for the caller at `at`.
    #[inline]
    pub fn claim<C: Claim<P>>(&self, at: &'static Location<'static>, claim: C) -> Wait<'_, P, C> {
        Wait {
            waiter: None,
            claim: Some(claim),
            list: self,
            at,
        }
    }
}

impl<P: Protocol, C: Claim<P>> Future for Wait<'_, P, C> {
    type Output = C::Output;

    /// # Panics
    ///
    /// If it is polled again after it completed.
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let mut this = self;
        let outcome = poll_budgeted(cx, |cx| this.as_mut().go_on(cx));
        if outcome.is_pending() {
            wait_reason(C::KIND, Some(this.at));
        }
        outcome
    }
}

impl<P: Protocol, C: Claim<P>> Wait<'_, P, C> {
    #[inline]
    fn go_on(mut self: Pin<&mut Self>, cx: &Context<'_>) -> Poll<C::Output> {
        let this = self.as_mut().project();
        if let Some(waiter) = this.waiter.as_pin_mut() {
            let note = ready!(waiter.poll_grant(cx));
            let claim = this.claim.take().expect(POLLED_AGAIN);
            return Poll::Ready(claim.granted(this.list, note));
        }
        let claim = this.claim.as_mut().expect(POLLED_AGAIN);
        if let Some(done) = claim.attempt(this.list) {
            *this.claim = None;
            return Poll::Ready(done);
        }
        self.enlist(cx)
    }

    fn enlist(self: Pin<&mut Self>, cx: &Context<'_>) -> Poll<C::Output> {
        let mut this = self.project();
        this.waiter.set(Some(Waiter::new(this.list)));
        let waiter = this.waiter.as_pin_mut().expect("it was just made");
        let claim = this.claim.as_mut().expect(POLLED_AGAIN);
        let done = ready!(waiter.enter(cx, |locked| claim.enter(locked)));
        *this.claim = None;
        Poll::Ready(done)
    }
}

const POLLED_AGAIN: &str = "a wait is polled after it completed";

impl<P: Protocol, C> fmt::Debug for Wait<'_, P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("at", &format_args!("{}", self.at))
            .field("enlisted", &self.waiter.is_some())
            .finish_non_exhaustive()
    }
}
