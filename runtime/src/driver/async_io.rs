//! Waiting for a descriptor as a future: any number of them at once, each with a place of its own among the waiters.
//!
//! Called like `registration.rs`, whose few places per direction serve futures written by hand. What a wait does is written
//! there; here is who waits, from the first `Pending` to the drop (R4). Never registers and never closes anything.

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use loxley_sync::ambient::{WaitKind, poll_budget, wait_reason};
use loxley_sync::prim::atomic::Ordering;

use super::readiness::{Direction, ReadyEvent, WaiterId};
use super::registration::{Attempt, Registration, poll_ready_as};

impl Registration {
    /// [`poll_io`](Self::poll_io) as a future; any number of them may wait at once.
    ///
    /// # Errors
    ///
    /// As [`poll_io`](Self::poll_io).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the future has done nothing that `operation` does not do when it would block.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::lowlevel::{Direction, Interest, Registration};
    /// # use std::{io::Write, os::fd::AsFd, os::unix::net::UnixStream};
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// # ours.set_nonblocking(true)?;
    /// let registration = Registration::new(ours.as_fd(), Interest::Write)?;
    /// let sent = registration.async_io(Direction::Write, || (&ours).write(b"hello")).await?;
    /// assert_eq!(sent, 5);
    /// # drop(registration);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn async_io<T, F>(
        &self,
        direction: Direction,
        mut operation: F,
    ) -> impl Future<Output = io::Result<T>>
    where
        F: FnMut() -> io::Result<T> + Unpin,
    {
        self.async_attempt(direction, move || operation().map(Attempt::More))
    }

    /// [`poll_attempt`](Self::poll_attempt) as a future; any number of them may wait at once.
    ///
    /// # Errors
    ///
    /// As [`poll_io`](Self::poll_io).
    ///
    /// # Cancel safety
    ///
    /// As [`async_io`](Self::async_io).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::lowlevel::{Attempt, Direction, Interest, Registration};
    /// # use std::{io::{Read, Write}, os::fd::AsFd, os::unix::net::UnixStream};
    /// # loxley_runtime::run(async {
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// # ours.set_nonblocking(true)?;
    /// let registration = Registration::new(ours.as_fd(), Interest::Read)?;
    /// theirs.write_all(b"short")?;
    /// let mut bytes = [0; 64];
    /// let read = registration.async_attempt(Direction::Read, || {
    ///     let n = (&ours).read(&mut bytes)?;
    ///     Ok(if n < 64 { Attempt::Drained(n) } else { Attempt::More(n) })
    /// });
    /// assert_eq!(read.await?, 5);
    /// # drop(registration);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn async_attempt<T, F>(&self, direction: Direction, operation: F) -> AsyncIo<'_, F>
    where
        F: FnMut() -> io::Result<Attempt<T>> + Unpin,
    {
        AsyncIo {
            waiting: Waiting {
                registration: self,
                direction,
                id: WaiterId::POLL,
            },
            operation,
            at: Location::caller(),
        }
    }

    /// Waits until an operation of this direction is worth trying. Any number of futures may wait at once.
    ///
    /// # Errors
    ///
    /// If the runtime has shut down, or this direction was not asked for.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: what was reported stays reported.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::lowlevel::{Direction, Interest, Registration};
    /// # use std::{io::{Read, Write}, os::fd::AsFd, os::unix::net::UnixStream};
    /// # loxley_runtime::run(async {
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// # ours.set_nonblocking(true)?;
    /// let registration = Registration::new_unready(ours.as_fd(), Interest::Read)?;
    /// theirs.write_all(b"x")?;
    /// let _event = registration.readiness(Direction::Read).await?;
    /// assert_eq!((&ours).read(&mut [0; 8])?, 1, "worth trying it was");
    /// # drop(registration);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn readiness(&self, direction: Direction) -> impl Future<Output = io::Result<ReadyEvent>> {
        let at = Location::caller();
        let mut waiting = Waiting {
            registration: self,
            direction,
            id: WaiterId::POLL,
        };
        std::future::poll_fn(move |cx| {
            let event = ready!(poll_ready_as(
                self,
                cx,
                direction,
                || waiting.id(),
                Some(at)
            ))?;
            // Whoever only asks, again and again, must not keep the others from their turn.
            if poll_budget(cx).is_pending() {
                wait_reason(WaitKind::Turn, Some(at));
                return Poll::Pending;
            }
            Poll::Ready(Ok(event))
        })
    }
}

/// A future's place among the waiters; leaves it on drop (R4).
struct Waiting<'a> {
    registration: &'a Registration,
    direction: Direction,
    /// `POLL` until the first wait.
    id: WaiterId,
}

impl Waiting<'_> {
    fn id(&mut self) -> WaiterId {
        while self.id == WaiterId::POLL {
            // ordering: Relaxed. A number that nobody else has; nothing travels along.
            self.id = WaiterId(
                self.registration
                    .next_waiter
                    .fetch_add(1, Ordering::Relaxed),
            );
        }
        self.id
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.id != WaiterId::POLL {
            self.registration.source().unlink(self.direction, self.id);
        }
    }
}

/// An operation on a descriptor, tried whenever it may succeed: see [`Registration::async_attempt`].
///
/// # Examples
///
/// It has a name, so that a future written by hand can hold it:
///
/// ```
/// use loxley_runtime::lowlevel::{AsyncIo, Attempt, Direction, Interest, Registration};
/// use std::{io::{self, Write}, os::fd::AsFd, os::unix::net::UnixStream};
///
/// # loxley_runtime::run(async {
/// let (ours, _theirs) = UnixStream::pair()?;
/// # ours.set_nonblocking(true)?;
/// let registration = Registration::new(ours.as_fd(), Interest::Write)?;
/// let greet = || (&ours).write(b"hi").map(Attempt::More);
/// let pending: AsyncIo<'_, _> = registration.async_attempt(Direction::Write, greet);
/// assert_eq!(pending.await?, 2);
/// # drop(registration);
/// # io::Result::Ok(())
/// # }).unwrap();
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct AsyncIo<'a, F> {
    waiting: Waiting<'a>,
    operation: F,
    at: &'static Location<'static>,
}

impl<T, F> Future for AsyncIo<'_, F>
where
    F: FnMut() -> io::Result<Attempt<T>> + Unpin,
{
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let registration = this.waiting.registration;
        let direction = this.waiting.direction;
        let waiting = &mut this.waiting;
        // Nearly every operation is done at its first try: a number is drawn only by those that wait.
        registration.poll_attempt_as(
            cx,
            direction,
            || waiting.id(),
            Some(this.at),
            &mut this.operation,
        )
    }
}

impl<F> fmt::Debug for AsyncIo<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncIo")
            .field("registration", self.waiting.registration)
            .field("direction", &self.waiting.direction)
            .finish_non_exhaustive()
    }
}
