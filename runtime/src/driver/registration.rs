//! What a socket holds: its place in the driver, and what it means to wait there.
//!
//! Called by `io`, `process` and outsiders through `lowlevel`, and by `signals.rs`. A registration never owns its
//! descriptor and never reads or writes it: operations come in as closures. Waiting as a future, which any number may do at
//! once, is in `async_io.rs`.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::panic::Location;
use std::task::{Context, Poll, ready};

use loxley_sync::ambient::{WaitKind, poll_budget, wait_reason};
use loxley_sync::prim::atomic::AtomicU32;

use super::DriverHandle;
use super::readiness::{Cleared, Direction, ReadyEvent, ShutDown, Source, WaiterId};
use super::slab::{Key, Refused, SOURCES_MAX};

/// Which events a registration asks for. To wait for others is an error.
///
/// # Examples
///
/// Who only reads is not woken for room to write:
///
/// ```
/// use loxley_runtime::lowlevel::{Direction, Interest, Registration};
/// use std::{net::UdpSocket, os::fd::AsFd};
///
/// # loxley_runtime::run(async {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// socket.set_nonblocking(true)?;
/// let registration = Registration::new_unready(socket.as_fd(), Interest::Read)?;
/// assert_eq!(registration.try_ready(Direction::Read)?, None, "no datagram yet");
/// # drop(registration);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Interest {
    /// Readable, and the end of the peer's half.
    Read,
    /// Writable, and the end of ours.
    Write,
    /// Both.
    Both,
}

impl Interest {
    fn is_in(self, direction: Direction) -> bool {
        match direction {
            Direction::Read => self != Self::Write,
            Direction::Write => self != Self::Read,
        }
    }
}

/// How far an operation got; the answer of a closure given to [`Registration::poll_attempt`].
///
/// # Examples
///
/// A read that got less than it asked for has emptied the pipe:
///
/// ```
/// use loxley_runtime::lowlevel::Attempt;
///
/// fn attempt(read: usize, asked: usize) -> Attempt<usize> {
///     if read < asked { Attempt::Drained(read) } else { Attempt::More(read) }
/// }
/// assert_eq!(attempt(10, 4096), Attempt::Drained(10));
/// assert_eq!(attempt(4096, 4096), Attempt::More(4096));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt<T> {
    /// Done, and trying again at once may succeed.
    More(T),
    /// Done, and the descriptor has nothing left (a read or write that did less than it was asked for): the next
    /// operation waits for an event and saves a system call that would only be refused.
    Drained(T),
}

/// A descriptor known to the driver of a runtime.
///
/// Operations are tried first and wait when they would block. A new registration counts as ready in both directions
/// until an operation would block, so the first operation never waits for the driver.
///
/// The descriptor must outlive the registration: drop the registration first, or deregistering may hit another
/// descriptor that got the same number. `loxley_io::Registered` keeps both in the right order.
///
/// # Examples
///
/// ```
/// use loxley_runtime::lowlevel::{Direction, Interest, Registration};
/// use std::{io::{Read, Write}, os::fd::AsFd, os::unix::net::UnixStream};
///
/// # loxley_runtime::run(async {
/// let (ours, mut theirs) = UnixStream::pair()?;
/// ours.set_nonblocking(true)?;
/// let registration = Registration::new(ours.as_fd(), Interest::Read)?;
/// theirs.write_all(b"hello")?;
/// let mut bytes = [0; 8];
/// let n = registration.async_io(Direction::Read, || (&ours).read(&mut bytes)).await?;
/// assert_eq!(&bytes[..n], b"hello");
/// # drop(registration);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// # Fairness
///
/// Any number of futures may wait in one direction, each with its own [`async_io`](Self::async_io); an event wakes them
/// all and the first to try wins. The same goes for the last eight tasks that wait in one direction through poll functions.
pub struct Registration {
    driver: DriverHandle,
    key: Key,
    fd: RawFd,
    interest: Interest,
    pub(super) next_waiter: AtomicU32,
}

/// What is taken for true of a new descriptor until the first event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guess {
    Ready,
    Unready,
}

impl Registration {
    /// Registers `fd` with the runtime this code runs in. The descriptor must be in non-blocking mode.
    ///
    /// # Errors
    ///
    /// If no runtime is running on this thread or it has shut down, if `fd` is of a kind that cannot be waited for (a
    /// regular file), if it is registered already, or if the system's limits are reached.
    ///
    /// # Examples
    ///
    /// A regular file is always ready and cannot be waited for:
    ///
    /// ```
    /// # use loxley_runtime::lowlevel::{Interest, Registration};
    /// # use std::os::fd::AsFd;
    /// # loxley_runtime::run(async {
    /// let file = std::fs::File::open(std::env::current_exe()?)?;
    /// assert!(Registration::new(file.as_fd(), Interest::Read).is_err());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn new(fd: BorrowedFd<'_>, interest: Interest) -> io::Result<Self> {
        let Some(driver) = crate::current::driver_handle() else {
            return Err(io::Error::other(NoRuntime));
        };
        Self::with_driver(driver, fd, interest)
    }

    /// [`new`](Self::new) for a descriptor that is most likely not ready yet: the first operation waits for an event and is
    /// not tried in vain. If it is ready after all, the system says so at once.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::lowlevel::{Direction, Interest, Registration};
    /// # use std::{os::fd::AsFd, os::unix::net::UnixStream};
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// # ours.set_nonblocking(true)?;
    /// let registration = Registration::new_unready(ours.as_fd(), Interest::Read)?;
    /// assert_eq!(registration.try_ready(Direction::Read)?, None);
    /// # drop(registration);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn new_unready(fd: BorrowedFd<'_>, interest: Interest) -> io::Result<Self> {
        let Some(driver) = crate::current::driver_handle() else {
            return Err(io::Error::other(NoRuntime));
        };
        Self::register(driver, fd, interest, Guess::Unready)
    }

    /// Registers `fd` with this driver.
    pub(crate) fn with_driver(
        driver: DriverHandle,
        fd: BorrowedFd<'_>,
        interest: Interest,
    ) -> io::Result<Self> {
        Self::register(driver, fd, interest, Guess::Ready)
    }

    fn register(
        driver: DriverHandle,
        fd: BorrowedFd<'_>,
        interest: Interest,
        guess: Guess,
    ) -> io::Result<Self> {
        let readable = interest.is_in(Direction::Read);
        let writable = interest.is_in(Direction::Write);
        let is_ready = guess == Guess::Ready;
        let key = driver
            .open(readable && is_ready, writable && is_ready)
            .map_err(|refused| match refused {
                Refused::ShutDown => io::Error::other(RuntimeGone),
                Refused::Full => io::Error::other(DriverFull),
            })?;
        let fd = fd.as_raw_fd();
        if let Err(error) = driver
            .remote()
            .register(fd, key.token(), readable, writable)
        {
            driver.slab().retire(key);
            return Err(error);
        }
        Ok(Self {
            driver,
            key,
            fd,
            interest,
            next_waiter: AtomicU32::new(WaiterId::POLL.0 + 1),
        })
    }

    /// R1: `Ready` when an operation of this direction is worth trying. Spends no budget.
    ///
    /// If the operation then would block, hand the event to [`clear_ready`](Self::clear_ready) and poll again.
    ///
    /// # Errors
    ///
    /// If the runtime has shut down, or this direction was not asked for.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::lowlevel::{Direction, Interest, Registration};
    /// # use std::{future::poll_fn, os::fd::AsFd, os::unix::net::UnixStream};
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// # ours.set_nonblocking(true)?;
    /// let registration = Registration::new(ours.as_fd(), Interest::Write)?;
    /// let event = poll_fn(|cx| registration.poll_ready(cx, Direction::Write)).await?;
    /// assert!(!event.is_error());
    /// # drop(registration);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<io::Result<ReadyEvent>> {
        poll_ready_as(self, cx, direction, || WaiterId::POLL, None)
    }

    /// R1 without waiting: the event that makes an operation of this direction worth trying, if there is one.
    ///
    /// # Errors
    ///
    /// If the runtime has shut down, or this direction was not asked for.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::lowlevel::{Direction, Interest, Registration};
    /// # use std::{os::fd::AsFd, os::unix::net::UnixStream};
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// # ours.set_nonblocking(true)?;
    /// let registration = Registration::new(ours.as_fd(), Interest::Read)?;
    /// assert!(registration.try_ready(Direction::Read)?.is_some(), "not known to be empty yet");
    /// # drop(registration);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn try_ready(&self, direction: Direction) -> io::Result<Option<ReadyEvent>> {
        match self.source().look(direction) {
            Ok(None) if !self.interest.is_in(direction) => Err(not_asked_for(direction)),
            found => found.map_err(|ShutDown| io::Error::other(RuntimeGone)),
        }
    }

    /// R3: the operation that `event` promised would have blocked. Keeps what a newer event has said.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::lowlevel::{Direction, Interest, Registration};
    /// # use std::{io::Read, os::fd::AsFd, os::unix::net::UnixStream};
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// ours.set_nonblocking(true)?;
    /// let registration = Registration::new(ours.as_fd(), Interest::Read)?;
    /// let event = registration.readiness(Direction::Read).await?;
    /// let error = (&ours).read(&mut [0]).unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    /// registration.clear_ready(event, Direction::Read);
    /// assert_eq!(registration.try_ready(Direction::Read)?, None, "until something comes");
    /// # drop(registration);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn clear_ready(&self, event: ReadyEvent, direction: Direction) {
        // Either answer asks for the same: the caller polls again, and that looks at the word first.
        let (Cleared::Cleared | Cleared::Newer) = self.source().clear(event, direction);
    }

    /// R3: the operation did less than it was asked for, so there is nothing left to do until the next event.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::lowlevel::{Direction, Interest, Registration};
    /// # use std::{io::{Read, Write}, os::fd::AsFd, os::unix::net::UnixStream};
    /// # loxley_runtime::run(async {
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// # ours.set_nonblocking(true)?;
    /// theirs.write_all(b"short")?;
    /// let registration = Registration::new_unready(ours.as_fd(), Interest::Read)?;
    /// let event = registration.readiness(Direction::Read).await?;
    /// let n = (&ours).read(&mut [0; 64])?;
    /// if n < 64 {
    ///     registration.clear_drained(event, Direction::Read); // Spares a read in vain.
    /// }
    /// assert_eq!(registration.try_ready(Direction::Read)?, None);
    /// # drop(registration);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn clear_drained(&self, event: ReadyEvent, direction: Direction) {
        // As in `clear_ready`.
        let (Cleared::Cleared | Cleared::Newer) = self.source().clear_drained(event, direction);
    }

    /// Tries `operation` whenever it may succeed, until it does not say [`WouldBlock`](io::ErrorKind::WouldBlock).
    /// [`Interrupted`](io::ErrorKind::Interrupted) is tried again at once. Spends budget once.
    ///
    /// # Errors
    ///
    /// The operation's own, or that the runtime has shut down while it would have waited.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::lowlevel::{Direction, Interest, Registration};
    /// # use std::{future::poll_fn, io::{Read, Write}, os::fd::AsFd, os::unix::net::UnixStream};
    /// # loxley_runtime::run(async {
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// # ours.set_nonblocking(true)?;
    /// let registration = Registration::new(ours.as_fd(), Interest::Read)?;
    /// theirs.write_all(b"!")?;
    /// let mut byte = [0];
    /// let read = poll_fn(|cx| registration.poll_io(cx, Direction::Read, || (&ours).read(&mut byte)));
    /// assert_eq!((read.await?, byte), (1, *b"!"));
    /// # drop(registration);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn poll_io<T>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut operation: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        self.poll_attempt(cx, direction, || operation().map(Attempt::More))
    }

    /// [`poll_io`](Self::poll_io) for operations that know when the descriptor has nothing left.
    ///
    /// # Errors
    ///
    /// As [`poll_io`](Self::poll_io).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::lowlevel::{Attempt, Direction, Interest, Registration};
    /// # use std::{future::poll_fn, io::Write, os::fd::AsFd, os::unix::net::UnixStream};
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// # ours.set_nonblocking(true)?;
    /// let registration = Registration::new(ours.as_fd(), Interest::Write)?;
    /// let send = poll_fn(|cx| {
    ///     registration.poll_attempt(cx, Direction::Write, || (&ours).write(b"hi").map(Attempt::More))
    /// });
    /// assert_eq!(send.await?, 2);
    /// # drop(registration);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn poll_attempt<T>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        operation: impl FnMut() -> io::Result<Attempt<T>>,
    ) -> Poll<io::Result<T>> {
        self.poll_attempt_as(cx, direction, || WaiterId::POLL, None, operation)
    }

    /// Tries `operation` once, now, without waiting.
    ///
    /// # Errors
    ///
    /// The operation's own; [`WouldBlock`](io::ErrorKind::WouldBlock) also where it is known that trying is no use.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::lowlevel::{Direction, Interest, Registration};
    /// # use std::{io::{ErrorKind, Read}, os::fd::AsFd, os::unix::net::UnixStream};
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// # ours.set_nonblocking(true)?;
    /// let registration = Registration::new(ours.as_fd(), Interest::Read)?;
    /// let nothing = registration.try_io(Direction::Read, || (&ours).read(&mut [0; 8]));
    /// assert_eq!(nothing.unwrap_err().kind(), ErrorKind::WouldBlock);
    /// # drop(registration);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn try_io<T>(
        &self,
        direction: Direction,
        mut operation: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        let Some(event) = self.try_ready(direction)? else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        loop {
            match operation() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.clear_ready(event, direction);
                    return Err(error);
                }
                done => return done,
            }
        }
    }

    #[inline]
    pub(super) fn source(&self) -> &Source {
        self.driver.slab().get(self.key)
    }

    pub(super) fn poll_attempt_as<T>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut id: impl FnMut() -> WaiterId,
        at: Option<&'static Location<'static>>,
        mut operation: impl FnMut() -> io::Result<Attempt<T>>,
    ) -> Poll<io::Result<T>> {
        let source = self.source();
        let mut event = ready!(poll_ready_as(self, cx, direction, &mut id, at))?;
        if poll_budget(cx).is_pending() {
            wait_reason(WaitKind::Turn, at);
            return Poll::Pending;
        }
        loop {
            match operation() {
                Ok(Attempt::More(value)) => return Poll::Ready(Ok(value)),
                Ok(Attempt::Drained(value)) => {
                    // As in `clear_ready`.
                    let (Cleared::Cleared | Cleared::Newer) =
                        source.clear_drained(event, direction);
                    return Poll::Ready(Ok(value));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let (Cleared::Cleared | Cleared::Newer) = source.clear(event, direction);
                    event = ready!(poll_ready_as(self, cx, direction, &mut id, at))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// R1 for the waiter `id`, which is drawn only if it has to wait.
#[inline]
pub(super) fn poll_ready_as(
    registration: &Registration,
    cx: &mut Context<'_>,
    direction: Direction,
    id: impl FnOnce() -> WaiterId,
    at: Option<&'static Location<'static>>,
) -> Poll<io::Result<ReadyEvent>> {
    let source = registration.source();
    let found = match source.look(direction) {
        Ok(Some(event)) => return Poll::Ready(Ok(event)),
        // No event would ever end that wait.
        Ok(None) if !registration.interest.is_in(direction) => {
            return Poll::Ready(Err(not_asked_for(direction)));
        }
        Ok(None) => source.poll_wait(direction, id(), cx.waker()),
        Err(ShutDown) => Poll::Ready(Err(ShutDown)),
    };
    match found {
        Poll::Ready(Ok(event)) => Poll::Ready(Ok(event)),
        Poll::Ready(Err(ShutDown)) => Poll::Ready(Err(io::Error::other(RuntimeGone))),
        Poll::Pending => {
            wait_reason(WaitKind::Io, at);
            Poll::Pending
        }
    }
}

#[cold]
fn not_asked_for(direction: Direction) -> io::Error {
    let text = match direction {
        Direction::Read => {
            "this descriptor was registered for writing alone; to read, register it with `Interest::Both`"
        }
        Direction::Write => {
            "this descriptor was registered for reading alone; to write, register it with `Interest::Both`"
        }
    };
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

impl Drop for Registration {
    /// Deregisters, then R5. The order keeps events for a dead source short; the generation makes them harmless.
    fn drop(&mut self) {
        // Refused only if the descriptor was closed before: then the kernel has forgotten it already.
        let _ = self.driver.remote().deregister(self.fd);
        self.driver.slab().retire(self.key);
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("fd", &self.fd)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Inside the [`io::Error`] of a wait whose runtime has shut down, or of a registration that comes too late.
///
/// # Examples
///
/// ```
/// use loxley_runtime::lowlevel::{Direction, Interest, Registration, RuntimeGone};
/// use std::{os::fd::AsFd, os::unix::net::UnixStream};
///
/// let (ours, _theirs) = UnixStream::pair()?;
/// # ours.set_nonblocking(true)?;
/// let registration =
///     loxley_runtime::run(async { Registration::new(ours.as_fd(), Interest::Read) })?;
/// let error = registration.try_ready(Direction::Read).unwrap_err();
/// assert!(error.get_ref().is_some_and(|inner| inner.is::<RuntimeGone>()));
/// # drop(registration);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuntimeGone;

impl fmt::Display for RuntimeGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the runtime that waited for this descriptor has shut down; await I/O before its main future ends")
    }
}

impl std::error::Error for RuntimeGone {}

/// Inside the [`io::Error`] of a registration outside every runtime.
///
/// # Examples
///
/// ```
/// use loxley_runtime::lowlevel::{Interest, NoRuntime, Registration};
/// use std::{os::fd::AsFd, os::unix::net::UnixStream};
///
/// let (ours, _theirs) = UnixStream::pair()?;
/// let error = Registration::new(ours.as_fd(), Interest::Read).unwrap_err();
/// assert!(error.get_ref().is_some_and(|inner| inner.is::<NoRuntime>()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoRuntime;

impl fmt::Display for NoRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no runtime runs on this thread; do I/O inside `loxley::run`, a task, or under `Handle::enter`")
    }
}

impl std::error::Error for NoRuntime {}

#[derive(Clone, Copy, Debug)]
struct DriverFull;

impl fmt::Display for DriverFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this runtime's driver holds {SOURCES_MAX} descriptors, its limit; close some or start another runtime"
        )
    }
}

impl std::error::Error for DriverFull {}
