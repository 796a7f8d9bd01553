//! The first of several futures, polled inside the caller's task: nothing is spawned, and nothing of the losers is left.

use loxley_sync::ambient;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Polls futures side by side and gives the output of the first that is ready; the others are dropped before. They come as
/// anything that can be iterated over, or as a tuple of up to eight of different types with one output.
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
///     assert_eq!(race((answer(10_000), async { 2 })).await, 2);
/// });
/// ```
///
/// Waiting for different things, as in a `select!` with branches: each branch says in one type what happened. As the first
/// given wins, the request to stop stands first.
///
/// ```
/// use loxley_runtime::{interval, race};
/// use loxley_sync::{Event, Queue};
/// use std::time::Duration;
///
/// enum Next {
///     Stop,
///     Job(u32),
///     Tick,
/// }
///
/// loxley_runtime::run(async {
///     let (stop, jobs) = (Event::new(), Queue::new(0));
///     let mut clock = interval(Duration::from_millis(1));
///     jobs.put_nowait(7).unwrap();
///     let mut sum = 0;
///     loop {
///         let next = race((
///             async { stop.wait().await; Next::Stop },
///             async { jobs.get().await.map_or(Next::Stop, Next::Job) },
///             async { clock.tick().await; Next::Tick },
///         ));
///         match next.await {
///             Next::Stop => break,
///             Next::Job(job) => sum += job,
///             Next::Tick => stop.set(),
///         }
///     }
///     assert_eq!(sum, 7);
/// });
/// ```
#[track_caller]
#[doc(alias = "select")]
#[doc(alias = "biased")]
pub fn race<Kind, Futures: IntoRace<Kind>>(futures: Futures) -> Race<Futures::Racers> {
    Race {
        racers: Some(futures.into_racers()),
    }
}

/// What can be given to [`race`]: an iterator of futures, or a tuple of up to eight.
///
/// `Kind` only tells the two apart.
///
/// # Examples
///
/// ```
/// use loxley_runtime::race;
/// use std::future::{pending, ready};
///
/// loxley_runtime::run(async {
///     assert_eq!(race(vec![ready(1), ready(2)]).await, 1, "a list of one type");
///     assert_eq!(race((pending(), async { 2 })).await, 2, "a tuple of several");
/// });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no tuple, `Vec` or iterator of futures with one output",
    label = "these cannot race",
    note = "give a tuple of up to eight futures, `race((a, b))`, or an iterator of them; where their outputs differ, let each \
            give a variant of one `enum`"
)]
pub trait IntoRace<Kind> {
    /// The futures, ready to be polled.
    type Racers: Racers;

    /// Puts them where they can be polled.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{IntoRace, race};
    /// # use std::future::ready;
    /// # loxley_runtime::run(async {
    /// let racers = [ready(1), ready(2)].into_racers(); // What `race` does first.
    /// assert_eq!(racers.len(), 2);
    /// assert_eq!(race(racers).await, 1);
    /// # });
    /// ```
    #[doc(hidden)]
    #[track_caller]
    fn into_racers(self) -> Self::Racers;
}

/// Futures with one output. Not to be implemented elsewhere.
#[doc(hidden)]
pub trait Racers: Unpin {
    type Output;

    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Self::Output>;
}

/// Marks what can be iterated over.
#[doc(hidden)]
#[derive(Debug)]
pub struct List;

/// Marks a tuple.
#[doc(hidden)]
#[derive(Debug)]
pub struct Tuple;

impl<F: Future, I: IntoIterator<Item = F>> IntoRace<List> for I {
    type Racers = Vec<Pin<Box<F>>>;

    #[track_caller]
    fn into_racers(self) -> Self::Racers {
        let futures: Vec<_> = self.into_iter().map(Box::pin).collect();
        assert!(
            !futures.is_empty(),
            "race between nothing: there must be at least one future to win"
        );
        futures
    }
}

impl<F: Future> Racers for Vec<Pin<Box<F>>> {
    type Output = F::Output;

    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut polls = self.iter_mut().map(|future| future.as_mut().poll(cx));
        polls.find(Poll::is_ready).unwrap_or(Poll::Pending)
    }
}

macro_rules! tuple {
    ($($F:ident $at:tt),+) => {
        impl<T, $($F: Future<Output = T>),+> IntoRace<Tuple> for ($($F,)+) {
            type Racers = ($(Pin<Box<$F>>,)+);

            fn into_racers(self) -> Self::Racers {
                ($(Box::pin(self.$at),)+)
            }
        }

        impl<T, $($F: Future<Output = T>),+> Racers for ($(Pin<Box<$F>>,)+) {
            type Output = T;

            fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<T> {
                $(
                    if let Poll::Ready(value) = self.$at.as_mut().poll(cx) {
                        return Poll::Ready(value);
                    }
                )+
                Poll::Pending
            }
        }
    };
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

/// Futures of which the first is wanted; made by [`race`].
///
/// # Cancel safety
///
/// Dropping it drops every future.
///
/// # Examples
///
/// Dropped, it drops all that took part:
///
/// ```
/// use loxley_runtime::race;
/// use std::sync::Arc;
///
/// let held = Arc::new(());
/// let theirs = [held.clone(), held.clone()];
/// let undecided = race(theirs.map(|held| async move { drop(held) }));
/// assert_eq!(Arc::strong_count(&held), 3);
/// drop(undecided);
/// assert_eq!(Arc::strong_count(&held), 1);
/// ```
#[must_use = "futures do nothing unless they are awaited"]
pub struct Race<R> {
    racers: Option<R>,
}

impl<R: Racers> Future for Race<R> {
    type Output = R::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R::Output> {
        let Some(racers) = &mut self.racers else {
            panic!("a race was awaited again after it had a winner");
        };
        ready!(ambient::poll_budget(cx));
        let won = racers.poll_first(cx);
        if won.is_ready() {
            // The losers go before the value is handed on: what they held is free by then.
            self.racers = None;
        }
        won
    }
}

impl<R> fmt::Debug for Race<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Race")
            .field("is_over", &self.racers.is_none())
            .finish()
    }
}
