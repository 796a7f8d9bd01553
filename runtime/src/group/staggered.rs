//! A race whose runners start one after the other: the pattern of Happy Eyeballs (RFC 8305).

use crate::time::{Sleep, sleep};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Starts the first attempt, and each next one when the one before it has failed or `delay` has passed; the first success
/// wins, and the others are dropped before it is handed on. Without a delay the attempts are strictly one after the other.
///
/// The attempts run inside the task that awaits, and may borrow from it.
///
/// # Errors
///
/// If every attempt failed: their errors, in the order in which the attempts were given. None, if none was given.
///
/// # Cancel safety
///
/// Dropping it drops every attempt that runs.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{sleep, staggered_race};
/// use std::time::Duration;
///
/// loxley_runtime::run(async {
///     let connect = |host: &'static str| move || async move {
///         if host == "broken" {
///             return Err("refused");
///         }
///         sleep(Duration::from_millis(1)).await;
///         Ok(host)
///     };
///     let hosts = ["broken", "fine", "not needed"].map(connect);
///     let won = staggered_race(hosts, Some(Duration::from_millis(250))).await;
///     assert_eq!(won, Ok("fine"));
/// });
/// ```
///
/// **Differs from asyncio**: gives a `Result`; the attempts are futures of the caller's task, not tasks.
#[track_caller]
pub fn staggered_race<A, F, T, E>(
    attempts: impl IntoIterator<Item = A>,
    delay: Option<Duration>,
) -> impl Future<Output = Result<T, Vec<E>>>
where
    A: FnOnce() -> F,
    F: Future<Output = Result<T, E>>,
{
    Staggered {
        waiting: attempts.into_iter().collect::<Vec<_>>().into_iter(),
        running: Vec::new(),
        errors: Vec::new(),
        delay,
        next: None,
        at: Location::caller(),
    }
}

struct Staggered<A, F, E> {
    waiting: std::vec::IntoIter<A>,
    running: Vec<Option<Pin<Box<F>>>>,
    /// One place for each attempt that was started.
    errors: Vec<Option<E>>,
    delay: Option<Duration>,
    next: Option<Sleep>,
    at: &'static Location<'static>,
}

/// Nothing in it is pinned: the futures are boxed.
impl<A, F, E> Unpin for Staggered<A, F, E> {}

impl<A: FnOnce() -> F, F, E> Staggered<A, F, E> {
    /// Starts the next attempt, if one is left.
    #[track_caller]
    fn start(&mut self) -> bool {
        let Some(attempt) = self.waiting.next() else {
            self.next = None;
            return false;
        };
        self.running.push(Some(Box::pin(attempt())));
        self.errors.push(None);
        self.next = self.delay.map(sleep);
        true
    }
}

impl<A, F, T, E> Future for Staggered<A, F, E>
where
    A: FnOnce() -> F,
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, Vec<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.running.is_empty() {
            this.start();
        }
        loop {
            let mut last_failed = this.running.is_empty();
            for index in 0..this.running.len() {
                let Some(future) = &mut this.running[index] else {
                    continue;
                };
                match future.as_mut().poll(cx) {
                    Poll::Pending => {}
                    Poll::Ready(Ok(value)) => {
                        // The losers go before the value is handed on.
                        this.running.clear();
                        this.waiting = Vec::new().into_iter();
                        return Poll::Ready(Ok(value));
                    }
                    Poll::Ready(Err(error)) => {
                        this.running[index] = None;
                        this.errors[index] = Some(error);
                        last_failed |= index + 1 == this.running.len();
                    }
                }
            }
            let is_due = match &mut this.next {
                Some(next) if !last_failed => Pin::new(next).poll(cx).is_ready(),
                _ => false,
            };
            if (last_failed || is_due) && this.start() {
                // The one just started is polled, and so registered, before this waits.
                continue;
            }
            if this.running.iter().all(Option::is_none) {
                let errors = std::mem::take(&mut this.errors);
                return Poll::Ready(Err(errors.into_iter().flatten().collect()));
            }
            return Poll::Pending;
        }
    }
}

impl<A, F, E> fmt::Debug for Staggered<A, F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staggered")
            .field("started", &self.running.len())
            .field("at", &format_args!("{}", self.at))
            .finish_non_exhaustive()
    }
}
