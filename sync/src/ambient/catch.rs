//! What user code writes to hear a request: [`catch_cancelled`], [`with_cleanup`], [`uncancellable`], [`checkpoint`].
//!
//! Each boxes nothing and is one scope around one future. Without a request they are plain polls.
#![expect(unsafe_code, reason = "pins the inner future inside its scope")]

use super::scope::{Scope, Verdict};
use super::tree::Kind;
use super::{WaitKind, wait_reason};
use crate::CancelledError;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Awaits `future`; if the task is asked to stop meanwhile, drops it and says so, and the code goes on.
///
/// This is where clean-up that has to wait belongs. Afterwards either go on unwinding with
/// [`reraise`](CancelledError::reraise), or keep going: then also call `uncancel` on the task, so that timeouts and groups
/// around this code know that the request was dealt with.
///
/// # Errors
///
/// [`CancelledError`] if the task was asked to stop and no scope inside `future` took the request. A request beats a value
/// that is ready in the same poll.
///
/// # Cancel safety
///
/// Dropped, it drops `future`. A request that it was given and has not acted on goes back to the task.
///
/// # Examples
///
/// ```
/// // Outside a task of the runtime nothing is ever cancelled.
/// let done = loxley_sync::wait::block_on(loxley_sync::catch_cancelled(async { 7 }));
/// assert_eq!(done.unwrap(), 7);
/// ```
///
/// **Differs from asyncio**: takes the place of `except CancelledError`. The future is dropped first; its own scopes have had
/// the first go.
pub fn catch_cancelled<F: IntoFuture>(future: F) -> CatchCancelled<F::IntoFuture> {
    CatchCancelled {
        scope: Scope::new(Kind::Catch),
        future: Some(future.into_future()),
    }
}

/// A future that hears a request to stop; made by [`catch_cancelled`].
///
/// # Examples
///
/// It has a name, so that a future written by hand can hold it:
///
/// ```
/// use loxley_sync::{CatchCancelled, catch_cancelled, wait};
/// use std::future::Ready;
///
/// struct Job {
///     work: CatchCancelled<Ready<u8>>,
/// }
/// let job = Job { work: catch_cancelled(std::future::ready(7)) };
/// assert_eq!(wait::block_on(job.work).unwrap(), 7);
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless they are awaited"]
pub struct CatchCancelled<F> {
    /// Pinned; dropped before the scope's end is told.
    future: Option<F>,
    scope: Scope,
}

impl<F> CatchCancelled<F> {
    fn project(self: Pin<&mut Self>) -> (&mut Scope, Pin<&mut Option<F>>) {
        // SAFETY: `future` is pinned with the whole and never moved out; `scope` is `Unpin` and never pinned.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        (&mut this.scope, unsafe {
            Pin::new_unchecked(&mut this.future)
        })
    }

    /// The scope around the future.
    #[doc(hidden)]
    pub fn scope(self: Pin<&mut Self>) -> &mut Scope {
        self.project().0
    }

    /// Drops the future where it stands.
    #[doc(hidden)]
    pub fn give_up(self: Pin<&mut Self>) {
        self.project().1.set(None);
    }

    /// The future, if it has not ended.
    #[doc(hidden)]
    pub fn get_ref(&self) -> Option<&F> {
        self.future.as_ref()
    }

    /// The future, if it has not ended.
    #[doc(hidden)]
    pub fn get_mut(&mut self) -> Option<&mut F> {
        self.future.as_mut()
    }

    /// The future, if it has not ended.
    #[doc(hidden)]
    pub fn into_inner(self) -> Option<F> {
        self.future
    }
}

impl<F: Future> CatchCancelled<F> {
    /// Polls the future in its scope. It is dropped when it is ready or was given a request; in the second case the scope
    /// stands until its owner has settled what the request means.
    #[doc(hidden)]
    #[inline]
    pub fn poll_caught(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Verdict<F::Output>> {
        let (scope, mut future) = self.project();
        let verdict = scope.poll_in(cx, |cx| match future.as_mut().as_pin_mut() {
            Some(future) => future.poll(cx),
            None => panic!("polled after it was ready"),
        });
        if verdict.is_ready() {
            future.set(None);
        }
        verdict
    }
}

impl<F: Future> Future for CatchCancelled<F> {
    type Output = Result<F::Output, CancelledError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(self.as_mut().poll_caught(cx)) {
            Verdict::Done(value) => Ok(value),
            Verdict::Cancelled(error) => {
                self.scope().leave();
                Err(error)
            }
        })
    }
}

/// Awaits `future`, then always the clean-up, which is told how it ended; a request to stop goes on unwinding afterwards.
///
/// `try`/`finally` with a `finally` that may wait. A second request interrupts the clean-up, which is dropped then.
/// `cleanup` only looks at the outcome, so its future owns what it uses: a closure that gives an `async move` block, not an
/// `async` closure.
///
/// # Cancel safety
///
/// Dropped (which is not being asked to stop), it drops what it was doing: no clean-up runs but `Drop`.
///
/// # Examples
///
/// ```
/// use loxley_sync::{wait, with_cleanup};
///
/// let value = wait::block_on(with_cleanup(async { 7 }, |outcome| {
///     assert!(outcome.is_ok());
///     async { /* give back what was taken */ }
/// }));
/// assert_eq!(value, 7);
/// ```
pub async fn with_cleanup<F, C>(
    future: F,
    cleanup: impl FnOnce(Result<&F::Output, &CancelledError>) -> C,
) -> F::Output
where
    F: Future,
    C: Future<Output = ()>,
{
    match catch_cancelled(future).await {
        Ok(value) => {
            cleanup(Ok(&value)).await;
            value
        }
        Err(error) => {
            cleanup(Err(&error)).await;
            error.reraise().await
        }
    }
}

/// Awaits `future` to its end, whatever is asked of the task meanwhile; a request waits until then, and is heard at the next
/// place the task waits.
///
/// Limits and groups inside `future` go by their own rules: those requests come from inside. A cancellation that code inside
/// [raises](CancelledError::reraise) ends `future`, and goes on outwards.
///
/// # Cancel safety
///
/// Dropped, it drops `future`: this keeps requests away, not drops.
///
/// # Examples
///
/// ```
/// let value = loxley_sync::wait::block_on(loxley_sync::uncancellable(async { 7 }));
/// assert_eq!(value, 7);
/// ```
pub fn uncancellable<F: IntoFuture>(future: F) -> Uncancellable<F::IntoFuture> {
    Uncancellable {
        inner: CatchCancelled {
            scope: Scope::new(Kind::Hold),
            future: Some(future.into_future()),
        },
        held: None,
    }
}

/// A future that no request interrupts; made by [`uncancellable`].
///
/// # Examples
///
/// ```
/// use loxley_sync::{Uncancellable, uncancellable, wait};
/// use std::future::Ready;
///
/// let commit: Uncancellable<Ready<&str>> = uncancellable(std::future::ready("committed"));
/// assert_eq!(wait::block_on(commit), "committed");
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless they are awaited"]
pub struct Uncancellable<F> {
    inner: CatchCancelled<F>,
    held: Option<CancelledError>,
}

impl<F> Drop for Uncancellable<F> {
    fn drop(&mut self) {
        if let Some(error) = self.held.take() {
            super::scope::request_again(error);
        }
    }
}

impl<F: Future> Future for Uncancellable<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `inner` is pinned with the whole; `held` is `Unpin` and never pinned.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        let (scope, mut future) = unsafe { Pin::new_unchecked(&mut this.inner) }.project();
        let value = loop {
            let verdict = scope.poll_in(cx, |cx| match future.as_mut().as_pin_mut() {
                Some(future) => future.poll(cx),
                None => panic!("polled after it was ready"),
            });
            match ready!(verdict) {
                Verdict::Done(value) => break value,
                Verdict::Cancelled(error) if scope.was_raised() => {
                    // Also in the name of what was held: one error serves all.
                    this.held = None;
                    future.set(None);
                    scope.raise(error, cx);
                    return Poll::Pending;
                }
                Verdict::Cancelled(error) => {
                    this.held.get_or_insert(error);
                }
            }
        };
        future.set(None);
        if let Some(error) = this.held.take() {
            super::scope::request_again(error);
        }
        Poll::Ready(value)
    }
}

/// A place to stop: if the task was asked to, it hears it here; otherwise the code goes on at once.
///
/// A long computation that never waits for anything calls it now and then.
///
/// # Cancel safety
///
/// Nothing is lost if it is dropped.
///
/// # Examples
///
/// ```
/// loxley_sync::wait::block_on(async {
///     for step in 0..10 {
///         # let _ = step;
///         loxley_sync::checkpoint().await;
///     }
/// });
/// ```
pub async fn checkpoint() {
    let mut asked = false;
    std::future::poll_fn(|cx| {
        if asked || !super::scope::is_requested() {
            return Poll::Ready(());
        }
        asked = true;
        cx.waker().wake_by_ref();
        wait_reason(WaitKind::Turn, None);
        Poll::Pending
    })
    .await;
}
