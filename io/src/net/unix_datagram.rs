//! A Unix-domain socket for single messages.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;
use std::task::{Context, Poll};

use loxley_runtime::lowlevel::{Direction, Interest};

use super::unix_message::{Sort, messages};
use crate::async_fd::Registered;
use crate::resolve::naming;
use crate::sys;

/// A Unix-domain socket for single messages: none is lost, doubled, or overtaken by a later one of the same sender.
///
/// All methods take `&self`, so any number of tasks may send and receive at once. A message that is longer than the buffer
/// is cut off, and the rest of it is lost; one without any bytes is a message too, and not an end.
///
/// # Examples
///
/// ```
/// use loxley_io::UnixDatagram;
///
/// # loxley_runtime::run(async {
/// let (ours, theirs) = UnixDatagram::pair()?;
/// ours.send(b"one").await?;
/// ours.send(b"two").await?;
/// let mut bytes = [0; 16];
/// assert_eq!(theirs.recv(&mut bytes).await?, 3);
/// assert_eq!(&bytes[..3], b"one");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub struct UnixDatagram {
    socket: Registered<net::UnixDatagram>,
}

impl UnixDatagram {
    /// Binds to `path`; one that begins with a NUL byte is an abstract name (Linux), which has no file.
    ///
    /// # Errors
    ///
    /// As [`UnixListener::bind`](super::UnixListener::bind).
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_addr(&sys::unix::address(path.as_ref())?)
    }

    /// [`bind`](Self::bind) to an address.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_addr(addr: &SocketAddr) -> io::Result<Self> {
        match sys::unix::datagram(Some(addr)) {
            Ok(socket) => Self::from_nonblocking(socket.into()),
            Err(error) => Err(naming("bind", sys::unix::display(addr), error)),
        }
    }

    /// A socket without a name: it can send, and only a peer that it is connected to could answer.
    ///
    /// # Errors
    ///
    /// As [`from_std`](Self::from_std).
    pub fn unbound() -> io::Result<Self> {
        Self::from_nonblocking(sys::unix::datagram(None)?.into())
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// As [`from_std`](Self::from_std).
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = net::UnixDatagram::pair()?;
        Ok((Self::from_std(one)?, Self::from_std(other)?))
    }

    /// Takes over a socket and puts it into non-blocking mode.
    ///
    /// # Errors
    ///
    /// If no runtime is running on this thread or it has shut down, or if the system's limits are reached.
    pub fn from_std(socket: net::UnixDatagram) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Self::from_nonblocking(socket)
    }

    fn from_nonblocking(socket: net::UnixDatagram) -> io::Result<Self> {
        Ok(Self {
            socket: Registered::new(socket, Interest::Both)?,
        })
    }

    /// Gives the socket up; it stays in non-blocking mode.
    pub fn into_std(self) -> net::UnixDatagram {
        self.socket.into_inner()
    }

    /// Sends to, and receives from, the socket at `path` alone.
    ///
    /// # Errors
    ///
    /// If the path is none ([`UnixStream::connect`](super::UnixStream::connect) says more), or there is no such socket, naming
    /// it.
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.connect_addr(&sys::unix::address(path.as_ref())?)
    }

    /// [`connect`](Self::connect) to an address.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn connect_addr(&self, addr: &SocketAddr) -> io::Result<()> {
        sys::unix::connect(self.socket.as_fd(), addr)
            .map_err(|error| naming("connect to", sys::unix::display(addr), error))
    }

    /// Sends one message to the peer, waiting until its queue has room; returns the length.
    ///
    /// # Errors
    ///
    /// If the socket is not connected, if the peer is gone, if the message is too long, or if the runtime has shut down.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has sent nothing.
    #[track_caller]
    pub fn send<'a>(&'a self, payload: &'a [u8]) -> impl Future<Output = io::Result<usize>> {
        self.socket
            .async_io(Direction::Write, |socket| socket.send(payload))
    }

    /// Receives one message; returns its length.
    ///
    /// # Errors
    ///
    /// If the runtime has shut down.
    ///
    /// # Cancel safety
    ///
    /// A message is either returned or still queued.
    ///
    /// # Fairness
    ///
    /// Several tasks may receive at once; each message goes to one of them, in no particular order.
    #[track_caller]
    pub fn recv<'a>(&'a self, buf: &'a mut [u8]) -> impl Future<Output = io::Result<usize>> {
        self.socket
            .async_io(Direction::Read, |socket| socket.recv(buf))
    }

    /// Sends one message to the socket at `path`; returns the length.
    ///
    /// # Errors
    ///
    /// If there is no such socket, naming it; if the message is too long; or if the runtime has shut down.
    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) if the receiver's queue is full: only a [`connect`](Self::connect)ed
    /// socket can wait for it.
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    pub async fn send_to(&self, payload: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        let addr = sys::unix::address(path.as_ref())?;
        self.send_to_addr(payload, &addr).await
    }

    /// [`send_to`](Self::send_to) an address.
    ///
    /// # Errors
    ///
    /// As [`send_to`](Self::send_to).
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    pub async fn send_to_addr(&self, payload: &[u8], addr: &SocketAddr) -> io::Result<usize> {
        let send = |socket: &net::UnixDatagram| send_to_now(socket, payload, addr);
        self.socket
            .async_io(Direction::Write, send)
            .await
            .map_err(|error| naming("send to", sys::unix::display(addr), error))
    }

    /// Receives one message; returns its length and where it comes from, unnamed if its sender is not bound.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// As [`recv`](Self::recv).
    #[track_caller]
    pub fn recv_from<'a>(
        &'a self,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<(usize, SocketAddr)>> {
        self.socket
            .async_io(Direction::Read, |socket| socket.recv_from(buf))
    }

    /// [`send`](Self::send) without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room now; else as [`send`](Self::send).
    pub fn try_send(&self, payload: &[u8]) -> io::Result<usize> {
        self.socket
            .try_io(Direction::Write, |socket| socket.send(payload))
    }

    /// [`send_to`](Self::send_to) without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room now; else as [`send_to`](Self::send_to).
    pub fn try_send_to(&self, payload: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        let addr = sys::unix::address(path.as_ref())?;
        self.socket.try_io(Direction::Write, |socket| {
            send_to_now(socket, payload, &addr)
        })
    }

    /// [`recv`](Self::recv) without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is nothing; else as [`recv`](Self::recv).
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket
            .try_io(Direction::Read, |socket| socket.recv(buf))
    }

    /// [`recv_from`](Self::recv_from) without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is nothing; else as [`recv`](Self::recv).
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket
            .try_io(Direction::Read, |socket| socket.recv_from(buf))
    }

    /// [`send`](Self::send) for hand-written futures. Only the last task that polled in this direction is woken.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn poll_send(&self, cx: &mut Context<'_>, payload: &[u8]) -> Poll<io::Result<usize>> {
        self.socket
            .poll_io(cx, Direction::Write, |socket| socket.send(payload))
    }

    /// [`recv`](Self::recv) for hand-written futures. Only the last task that polled in this direction is woken.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.socket
            .poll_io(cx, Direction::Read, |socket| socket.recv(buf))
    }

    /// [`recv_from`](Self::recv_from) for hand-written futures. Only the last task that polled in this direction is woken.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.socket
            .poll_io(cx, Direction::Read, |socket| socket.recv_from(buf))
    }

    /// Waits until a `recv` is worth trying. A guess that [`try_recv`](Self::try_recv) disproves is forgotten, so a loop over
    /// both does not spin.
    ///
    /// # Errors
    ///
    /// If the runtime has shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readiness(Direction::Read).await.map(drop)
    }

    /// Waits until a `send` is worth trying.
    ///
    /// # Errors
    ///
    /// If the runtime has shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn writable(&self) -> io::Result<()> {
        self.socket.readiness(Direction::Write).await.map(drop)
    }

    messages!(Sort::Datagram);

    /// Ends receiving, sending or both.
    ///
    /// # Errors
    ///
    /// If the socket is not connected.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.get_ref().shutdown(how)
    }

    /// Our address.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// If the socket is not connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().peer_addr()
    }

    /// The error that the socket has kept for the next operation, taken away.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.get_ref().take_error()
    }
}

/// Sends without waiting. The poller only tells of room in our own buffer and in the queue of the peer that we are connected
/// to, so a full queue of anybody else must not be waited for.
fn send_to_now(socket: &net::UnixDatagram, payload: &[u8], addr: &SocketAddr) -> io::Result<usize> {
    let send = || sys::unix::send_with(socket.as_fd(), payload, &[], Some(addr));
    match send() {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        result => return result,
    }
    if !sys::unix::has_room(socket.as_fd())? {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    // Room may have come up between the two calls.
    match send() {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "the receiver's queue is full; connect to it to wait until it is not",
        )),
        result => result,
    }
}

impl AsFd for UnixDatagram {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for UnixDatagram {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.get_ref().as_raw_fd()
    }
}

impl fmt::Debug for UnixDatagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.get_ref().fmt(f)
    }
}
