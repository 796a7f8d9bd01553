//! [`Wait`]: one whole wait at a [`WaitList`] as a future, from the first look to the grant.
//!
//! It is written by hand and not as an `async` block, because every task that waits for anything holds one: it is the
//! waiter, the line that asked, and what the primitive's [`Claim`] brings along, once each. The waiter is made when there
//! is a need to wait and not before.

#![expect(
    unsafe_code,
    reason = "projects a pinned wait to the waiter in it, which is pinned too"
)]

use super::list::{Entry, Locked, Protocol, WaitList, Waiter};
use crate::ambient::grants::{self, Watched};
use crate::ambient::{WaitKind, poll_budgeted, wait_reason};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// What somebody wants of a [`WaitList`], in three steps of which each follows only if the one before did not suffice.
///
/// # Examples
///
/// To pass a gate that is open for ever, once it was opened:
///
/// ```
/// use loxley_sync::ambient::WaitKind;
/// use loxley_sync::wait::{Claim, Entry, Locked, WaitList, block_on};
/// use std::sync::atomic::{AtomicBool, Ordering::{Acquire, Release}};
/// # use loxley_sync::wait::Protocol;
/// # use std::panic::Location;
///
/// struct Gate(AtomicBool);
/// # impl Protocol for Gate {
/// #     type State = ();
/// #     type Note = ();
/// #     fn left(_: &WaitList<Self>, (): ()) {}
/// #     fn give_back(_: &WaitList<Self>, (): ()) {}
/// # }
/// struct Pass;
///
/// impl Claim<Gate> for Pass {
///     type Output = ();
///     const KIND: WaitKind = WaitKind::Event;
///
///     fn attempt(&mut self, gate: &WaitList<Gate>) -> Option<()> {
///         gate.shared().0.load(Acquire).then_some(()) // No mutex.
///     }
///     fn enter(&mut self, locked: &mut Locked<'_, Gate>) -> Entry<(), ()> {
///         match locked.shared().0.load(Acquire) {
///             true => Entry::Done(()), // It was opened in between.
///             false => Entry::Wait(()),
///         }
///     }
///     fn granted(self, _: &WaitList<Gate>, (): ()) {}
/// }
///
/// let gate = WaitList::new(Gate(AtomicBool::new(false)), ());
/// std::thread::scope(|scope| {
///     scope.spawn(|| block_on(gate.claim(Location::caller(), Pass)));
///     let locked = gate.lock();
///     locked.shared().0.store(true, Release);
///     locked.grant_while(|_, (), ()| true);
/// });
/// ```
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

/// A wait at a [`WaitList`]; made by [`WaitList::claim`].
///
/// Spends one unit of the budget, and none before it completes.
///
/// # Cancel safety
///
/// Dropped before it enlisted: nothing happened. While waiting: [`Protocol::left`]. With a grant:
/// [`Protocol::give_back`].
///
/// # Examples
///
/// Dropped, it has left the queue:
///
/// ```
/// # use loxley_sync::{ambient::WaitKind, wait::{Claim, Entry, Locked, Protocol, Wait, WaitList}};
/// # use std::{future::Future, panic::Location, pin::Pin, task::{Context, Waker}};
/// # struct Gate;
/// # impl Protocol for Gate {
/// #     type State = ();
/// #     type Note = ();
/// #     fn left(_: &WaitList<Self>, (): ()) {}
/// #     fn give_back(_: &WaitList<Self>, (): ()) {}
/// # }
/// # struct Pass;
/// # impl Claim<Gate> for Pass {
/// #     type Output = ();
/// #     const KIND: WaitKind = WaitKind::Event;
/// #     fn enter(&mut self, _: &mut Locked<'_, Gate>) -> Entry<(), ()> { Entry::Wait(()) }
/// #     fn granted(self, _: &WaitList<Gate>, (): ()) {}
/// # }
/// let gate = WaitList::new(Gate, ());
/// let mut wait: Pin<Box<Wait<'_, Gate, Pass>>> = Box::pin(gate.claim(Location::caller(), Pass));
/// assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
/// assert_eq!(gate.lock().waiters(), 1);
/// drop(wait);
/// assert_eq!(gate.lock().waiters(), 0);
/// ```
#[must_use = "a future does nothing unless it is awaited"]
pub struct Wait<'a, P: Protocol, C> {
    /// None until there is a need to wait. Pinned with the whole. Dropped before the claim, which may hold what the waiter
    /// gives back to.
    waiter: Option<Waiter<'a, P>>,
    /// None once it was granted or needed no grant.
    claim: Option<C>,
    list: &'a WaitList<P>,
    at: &'static Location<'static>,
    /// Debug mode: tells the task when the grant is picked up.
    watch: Option<Watched>,
}

/// The fields of a pinned [`Wait`]: the waiter pinned, the others free to move.
struct Parts<'p, 'a, P: Protocol, C> {
    waiter: Pin<&'p mut Option<Waiter<'a, P>>>,
    claim: &'p mut Option<C>,
    list: &'a WaitList<P>,
    at: &'static Location<'static>,
    watch: &'p mut Option<Watched>,
}

impl<'a, P: Protocol, C> Wait<'a, P, C> {
    #[inline]
    fn parts(self: Pin<&mut Self>) -> Parts<'_, 'a, P, C> {
        // SAFETY: nothing is moved out of it here, and of what is handed on only the waiter is ever pinned: it alone makes
        // this type `!Unpin`. There is no destructor beside those of the fields.
        let this = unsafe { self.get_unchecked_mut() };
        Parts {
            // SAFETY: it is in the pinned whole and moves no more; see above.
            waiter: unsafe { Pin::new_unchecked(&mut this.waiter) },
            claim: &mut this.claim,
            list: this.list,
            at: this.at,
            watch: &mut this.watch,
        }
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
            watch: None,
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
        let this = self.as_mut().parts();
        if let Some(waiter) = this.waiter.as_pin_mut() {
            let note = match this.watch {
                None => ready!(waiter.poll_grant(cx)),
                Some(_) => ready!(poll_watched(waiter, this.watch, cx)),
            };
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
        let mut this = self.parts();
        this.waiter.set(Some(Waiter::new(this.list)));
        let waiter = this.waiter.as_pin_mut().expect("it was just made");
        let claim = this.claim.as_mut().expect(POLLED_AGAIN);
        if is_exclusive(C::KIND) {
            *this.watch = grants::watch(cx, C::KIND, this.at);
        }
        let done = match this.watch {
            None => ready!(waiter.enter(cx, |locked| claim.enter(locked))),
            Some(watch) => {
                let waker = watch.waker();
                let cx = Context::from_waker(&waker);
                ready!(waiter.enter(&cx, |locked| claim.enter(locked)))
            }
        };
        *this.watch = None;
        *this.claim = None;
        Poll::Ready(done)
    }
}

/// Whether what is granted to one waiter is kept from all others until it is picked up.
const fn is_exclusive(kind: WaitKind) -> bool {
    matches!(kind, WaitKind::Lock | WaitKind::Permit | WaitKind::Queue)
}

/// [`Waiter::poll_grant`] with the waker that tells the task's watch.
#[cold]
fn poll_watched<P: Protocol>(
    waiter: Pin<&mut Waiter<'_, P>>,
    watch: &mut Option<Watched>,
    cx: &Context<'_>,
) -> Poll<P::Note> {
    *watch = watch.take().and_then(|watch| watch.follow(cx));
    let polled = match watch {
        None => waiter.poll_grant(cx),
        Some(watch) => waiter.poll_grant(&Context::from_waker(&watch.waker())),
    };
    if polled.is_ready() {
        *watch = None;
    }
    polled
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
