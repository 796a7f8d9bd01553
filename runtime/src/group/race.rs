//! The first of several futures, polled inside the caller's task: nothing is spawned, and nothing of the losers is left.

use loxley_sync::ambient;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Polls futures side by side and gives the output of the first that is ready; the others are dropped before.
///
/// The futures run inside the task that awaits, not in parallel, and may borrow from it. Of several that are ready at once the
/// first given wins. A [`Task`](crate::Task) among them that loses is dropped like the others, which detaches it.
///
/// # Panics
///
/// If there are no futures, at the caller's line.
///
/// # Cancel safety
///
/// Dropping it drops every future, which then says what is lost. A request to stop is heard by every scope inside.
///
/// # Fairness
///
/// Each wake-up polls every future, in the order given.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{race, sleep};
/// use std::time::Duration;
///
/// async fn answer(after_ms: u64) -> u64 {
///     sleep(Duration::from_millis(after_ms)).await;
///     after_ms
/// }
///
/// loxley_runtime::run(async {
///     assert_eq!(race([answer(10_000), answer(1)]).await, 1);
/// });
/// ```
#[track_caller]
#[doc(alias = "select")]
pub fn race<F: Future>(futures: impl IntoIterator<Item = F>) -> Race<F> {
    let futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    assert!(
        !futures.is_empty(),
        "race between nothing: there must be at least one future to win"
    );
    Race { futures }
}

/// Futures of which the first is wanted; made by [`race`].
///
/// # Cancel safety
///
/// Dropping it drops every future.
#[must_use = "futures do nothing unless they are awaited"]
pub struct Race<F> {
    futures: Vec<Pin<Box<F>>>,
}

impl<F: Future> Future for Race<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        assert!(
            !self.futures.is_empty(),
            "a race was awaited again after it had a winner"
        );
        ready!(ambient::poll_budget(cx));
        let mut ready = self
            .futures
            .iter_mut()
            .map(|future| future.as_mut().poll(cx));
        let won = ready.find(Poll::is_ready).unwrap_or(Poll::Pending);
        if won.is_ready() {
            // The losers go before the value is handed on: what they held is free by then.
            self.futures.clear();
        }
        won
    }
}

impl<F> fmt::Debug for Race<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Race")
            .field("futures", &self.futures.len())
            .finish()
    }
}
