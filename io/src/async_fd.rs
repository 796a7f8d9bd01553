//! Any pollable descriptor, made awaitable: the way out for sockets of other crates, and what our own are made of.

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};

use loxley_runtime::lowlevel::{AsyncIo, Attempt, Direction, Interest, ReadyEvent, Registration};

/// A descriptor together with its registration in the runtime.
///
/// The descriptor must be in non-blocking mode. Operations go through closures: they are tried when they may succeed,
/// and wait when they say that they would block.
///
/// **Differs from asyncio**: takes the place of `loop.add_reader` and `add_writer`.
///
/// # Examples
///
/// ```no_run
/// use loxley_io::{Direction, Interest, Registered};
/// use std::io::Read;
///
/// # async fn example() -> std::io::Result<()> {
/// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
/// ours.set_nonblocking(true)?;
/// let ours = Registered::new(ours, Interest::Both)?;
/// let mut bytes = [0; 64];
/// let n = ours.async_io(Direction::Read, |mut fd| fd.read(&mut bytes)).await?;
/// # let _ = n; Ok(())
/// # }
/// ```
#[derive(Debug)]
#[doc(alias = "AsyncFd")]
#[doc(alias = "add_reader")]
#[doc(alias = "add_writer")]
pub struct Registered<T> {
    // Dropped first: it deregisters the descriptor by its number.
    registration: Registration,
    inner: T,
}

impl<T: AsFd> Registered<T> {
    /// Registers `inner` with the runtime this code runs in.
    ///
    /// # Errors
    ///
    /// If no runtime is running on this thread or it has shut down, if the descriptor is of a kind that cannot be
    /// waited for (a regular file), if it is registered already, or if the system's limits are reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{Interest, Registered};
    /// # loxley_runtime::run(async {
    /// let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// socket.set_nonblocking(true)?;
    /// let socket = Registered::new(socket, Interest::Both)?;
    /// assert!(socket.get_ref().local_addr()?.port() > 0);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn new(inner: T, interest: Interest) -> io::Result<Self> {
        let registration = Registration::new(inner.as_fd(), interest).map_err(explained)?;
        Ok(Self {
            registration,
            inner,
        })
    }

    /// [`new`](Self::new) for a descriptor that is most likely not ready yet, such as a pipe that was just made: the first
    /// operation waits for an event and is not tried in vain. If it is ready after all, that is an event at once.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{Direction, Interest, Registered};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream};
    /// # loxley_runtime::run(async {
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// ours.set_nonblocking(true)?;
    /// let ours = Registered::new_unready(ours, Interest::Read)?; // Nothing can have come yet.
    /// theirs.write_all(b"x")?;
    /// assert_eq!(ours.async_io(Direction::Read, |mut fd| fd.read(&mut [0; 8])).await?, 1);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn new_unready(inner: T, interest: Interest) -> io::Result<Self> {
        let registration = Registration::new_unready(inner.as_fd(), interest).map_err(explained)?;
        Ok(Self {
            registration,
            inner,
        })
    }
}

/// What the system says of a descriptor that is registered twice sounds like a file, and of one that it cannot watch like a lack
/// of rights.
fn explained(error: io::Error) -> io::Error {
    let (kind, text) = match error.kind() {
        io::ErrorKind::AlreadyExists => (
            io::ErrorKind::AlreadyExists,
            "this descriptor is registered with the runtime already: share what registered it, or register a duplicate",
        ),
        io::ErrorKind::PermissionDenied => (
            io::ErrorKind::InvalidInput,
            "a descriptor of this kind cannot be waited for (a regular file, a folder, some devices): use it inside `to_thread`",
        ),
        _ => return error,
    };
    io::Error::new(kind, text)
}

impl<T> Registered<T> {
    /// The descriptor's owner. Do not replace what it owns.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{Interest, Registered};
    /// # loxley_runtime::run(async {
    /// # let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// # socket.set_nonblocking(true)?;
    /// let socket = Registered::new(socket, Interest::Both)?;
    /// socket.get_ref().set_broadcast(true)?; // An option that we have no method for.
    /// assert!(socket.get_ref().broadcast()?);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Deregisters the descriptor and gives its owner back; it stays in non-blocking mode.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{Interest, Registered};
    /// # loxley_runtime::run(async {
    /// # let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// # socket.set_nonblocking(true)?;
    /// let registered = Registered::new(socket, Interest::Both)?;
    /// let socket = registered.into_inner();
    /// socket.set_nonblocking(false)?; // For code that waits in the system.
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn into_inner(self) -> T {
        let Self {
            registration,
            inner,
        } = self;
        drop(registration);
        inner
    }

    /// Tries `operation` whenever it may succeed, until it does not say that it would block.
    ///
    /// The last eight tasks that polled in one direction are remembered; any number may wait by [`async_io`](Self::async_io).
    ///
    /// # Errors
    ///
    /// The operation's own, or that the runtime has shut down.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{Direction, Interest, Registered};
    /// # use std::{future::poll_fn, io::Write, os::unix::net::UnixStream};
    /// # loxley_runtime::run(async {
    /// # let (ours, _theirs) = UnixStream::pair()?;
    /// # ours.set_nonblocking(true)?;
    /// let ours = Registered::new(ours, Interest::Write)?;
    /// let sent = poll_fn(|cx| ours.poll_io(cx, Direction::Write, |mut fd| fd.write(b"hello")));
    /// assert_eq!(sent.await?, 5);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn poll_io<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.registration
            .poll_io(cx, direction, || operation(&self.inner))
    }

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
    /// # Fairness
    ///
    /// An event wakes every waiter of its direction; the first to try wins.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{Direction, Interest, Registered};
    /// # use std::{io::Read, os::unix::net::UnixStream};
    /// # loxley_runtime::run(async {
    /// # let (ours, theirs) = UnixStream::pair()?;
    /// # ours.set_nonblocking(true)?;
    /// let ours = Registered::new(ours, Interest::Read)?;
    /// drop(theirs);
    /// let end = ours.async_io(Direction::Read, |mut fd| fd.read(&mut [0; 8])).await?;
    /// assert_eq!(end, 0);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn async_io<R, F>(
        &self,
        direction: Direction,
        mut operation: F,
    ) -> impl Future<Output = io::Result<R>>
    where
        F: FnMut(&T) -> io::Result<R> + Unpin,
    {
        self.registration
            .async_io(direction, move || operation(&self.inner))
    }

    /// Tries `operation` once, now.
    ///
    /// # Errors
    ///
    /// The operation's own; [`WouldBlock`](io::ErrorKind::WouldBlock) also where it is known that trying is no use.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{Direction, Interest, Registered};
    /// # use std::{io::{ErrorKind, Read}, os::unix::net::UnixStream};
    /// # loxley_runtime::run(async {
    /// # let (ours, _theirs) = UnixStream::pair()?;
    /// # ours.set_nonblocking(true)?;
    /// let ours = Registered::new(ours, Interest::Read)?;
    /// let nothing = ours.try_io(Direction::Read, |mut fd| fd.read(&mut [0; 8]));
    /// assert_eq!(nothing.unwrap_err().kind(), ErrorKind::WouldBlock);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn try_io<R>(
        &self,
        direction: Direction,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.registration
            .try_io(direction, || operation(&self.inner))
    }

    /// Waits until an operation of this direction is worth trying. It may would-block all the same: then say so with
    /// [`clear_ready`](Self::clear_ready), or the next wait ends at once.
    ///
    /// # Errors
    ///
    /// If the runtime has shut down, or this direction was not asked for.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{Direction, Interest, Registered};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream};
    /// # loxley_runtime::run(async {
    /// # let (ours, mut theirs) = UnixStream::pair()?;
    /// # ours.set_nonblocking(true)?;
    /// let ours = Registered::new_unready(ours, Interest::Read)?;
    /// theirs.write_all(b"x")?;
    /// let _event = ours.readiness(Direction::Read).await?;
    /// assert_eq!(ours.get_ref().read(&mut [0; 8])?, 1);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn readiness(&self, direction: Direction) -> impl Future<Output = io::Result<ReadyEvent>> {
        self.registration.readiness(direction)
    }

    /// Says that the operation which `event` promised would have blocked. What newer events have said stays.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{Direction, Interest, Registered};
    /// # use std::{io::{ErrorKind, Read}, os::unix::net::UnixStream};
    /// # loxley_runtime::run(async {
    /// # let (ours, _theirs) = UnixStream::pair()?;
    /// # ours.set_nonblocking(true)?;
    /// let ours = Registered::new(ours, Interest::Read)?;
    /// let event = ours.readiness(Direction::Read).await?;
    /// let error = ours.get_ref().read(&mut [0; 8]).unwrap_err();
    /// if error.kind() == ErrorKind::WouldBlock {
    ///     ours.clear_ready(event, Direction::Read); // The next wait is for a new event.
    /// }
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn clear_ready(&self, event: ReadyEvent, direction: Direction) {
        self.registration.clear_ready(event, direction);
    }

    pub(crate) fn registration(&self) -> &Registration {
        &self.registration
    }

    pub(crate) fn poll_attempt<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        operation: impl FnMut() -> io::Result<Attempt<R>>,
    ) -> Poll<io::Result<R>> {
        self.registration.poll_attempt(cx, direction, operation)
    }

    #[track_caller]
    pub(crate) fn async_attempt<R, F>(&self, direction: Direction, operation: F) -> AsyncIo<'_, F>
    where
        F: FnMut() -> io::Result<Attempt<R>> + Unpin,
    {
        self.registration.async_attempt(direction, operation)
    }
}

impl<T: AsFd> AsFd for Registered<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}
