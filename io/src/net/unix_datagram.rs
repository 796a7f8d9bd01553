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
#[doc(alias = "DatagramTransport")]
pub struct UnixDatagram {
    socket: Registered<net::UnixDatagram>,
}

impl UnixDatagram {
    /// Binds to `path`; one that begins with a NUL byte is an abstract name (Linux), which has no file.
    ///
    /// # Errors
    ///
    /// As [`UnixListener::bind`](super::UnixListener::bind).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-datagram-bind-{}", std::process::id()));
    /// let log = UnixDatagram::bind(&path)?;
    /// UnixDatagram::unbound()?.send_to(b"<13>hello", &path).await?;
    /// assert_eq!(log.recv(&mut [0; 64]).await?, 9);
    /// # std::fs::remove_file(&path)
    /// # }).unwrap();
    /// ```
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_addr(&sys::unix::address(path.as_ref())?)
    }

    /// [`bind`](Self::bind) to an address.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # use std::os::unix::net::SocketAddr;
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-datagram-addr-{}", std::process::id()));
    /// let addr = SocketAddr::from_pathname(&path)?;
    /// let log = UnixDatagram::bind_addr(&addr)?;
    /// assert_eq!(log.local_addr()?.as_pathname(), Some(&*path));
    /// # std::fs::remove_file(&path)
    /// # }).unwrap();
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// let sender = UnixDatagram::unbound()?;
    /// assert!(sender.local_addr()?.is_unnamed());
    /// assert!(sender.send(b"to whom?").await.is_err());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn unbound() -> io::Result<Self> {
        Self::from_nonblocking(sys::unix::datagram(None)?.into())
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// As [`from_std`](Self::from_std).
    ///
    /// # Examples
    ///
    /// Messages between two parts of a program, each whole:
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// let (one, other) = UnixDatagram::pair()?;
    /// one.send(b"first").await?;
    /// one.send(b"second").await?;
    /// let mut bytes = [0; 64];
    /// assert_eq!(other.recv(&mut bytes).await?, 5);
    /// assert_eq!(other.recv(&mut bytes).await?, 6);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = net::UnixDatagram::pair()?;
        Ok((Self::from_std(one)?, Self::from_std(other)?))
    }

    /// Takes over a socket and puts it into non-blocking mode.
    ///
    /// # Errors
    ///
    /// If no runtime is running on this thread or it has shut down, or if the system's limits are reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = std::os::unix::net::UnixDatagram::pair()?;
    /// theirs.send(b"hello")?;
    /// assert_eq!(UnixDatagram::from_std(ours)?.recv(&mut [0; 8]).await?, 5);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixDatagram::pair()?;
    /// let plain = theirs.into_std();
    /// plain.set_nonblocking(false)?; // For a thread that waits in the system.
    /// ours.send(b"hello").await?;
    /// assert_eq!(plain.recv(&mut [0; 8])?, 5);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn into_std(self) -> net::UnixDatagram {
        self.socket.into_inner()
    }

    /// Sends to, and receives from, the socket at `path` alone.
    ///
    /// # Errors
    ///
    /// If the path is none ([`UnixStream::connect`](super::UnixStream::connect) says more), or there is no such socket, naming
    /// it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-datagram-connect-{}", std::process::id()));
    /// let log = UnixDatagram::bind(&path)?;
    /// let sender = UnixDatagram::unbound()?;
    /// sender.connect(&path)?;
    /// sender.send(b"waits while the queue is full").await?;
    /// assert!(log.recv(&mut [0; 64]).await? > 0);
    /// # std::fs::remove_file(&path)
    /// # }).unwrap();
    /// ```
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.connect_addr(&sys::unix::address(path.as_ref())?)
    }

    /// [`connect`](Self::connect) to an address.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-datagram-connaddr-{}", std::process::id()));
    /// let log = UnixDatagram::bind(&path)?;
    /// let sender = UnixDatagram::unbound()?;
    /// sender.connect_addr(&log.local_addr()?)?;
    /// assert_eq!(sender.peer_addr()?.as_pathname(), Some(&*path));
    /// # std::fs::remove_file(&path)
    /// # }).unwrap();
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixDatagram::pair()?;
    /// let reader = loxley_runtime::create_task(async move {
    ///     for _ in 0..1_000 {
    ///         theirs.recv(&mut [0; 64]).await?;
    ///     }
    ///     std::io::Result::Ok(())
    /// });
    /// for _ in 0..1_000 {
    ///     ours.send(b"as fast as it is read").await?;
    /// }
    /// reader.await??;
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixDatagram::pair()?;
    /// ours.send(b"").await?;
    /// assert_eq!(theirs.recv(&mut [0; 8]).await?, 0, "a message, and no end");
    /// ours.send(b"longer than that").await?;
    /// assert_eq!(theirs.recv(&mut [0; 8]).await?, 8, "the rest is lost");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-datagram-none-{}", std::process::id()));
    /// let sender = UnixDatagram::unbound()?;
    /// let error = sender.send_to(b"hello", &path).await.unwrap_err();
    /// assert!(error.to_string().contains("loxley-datagram-none"), "it says who is missing");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
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
    ///
    /// # Examples
    ///
    /// An answer to where a message came from:
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-datagram-answer-{}", std::process::id()));
    /// let client = UnixDatagram::bind(&path)?;
    /// # let server_path = path.with_extension("server");
    /// let server = UnixDatagram::bind(&server_path)?;
    /// client.send_to(b"question", &server_path).await?;
    /// let (_, from) = server.recv_from(&mut [0; 64]).await?;
    /// server.send_to_addr(b"answer", &from).await?;
    /// assert_eq!(client.recv(&mut [0; 64]).await?, 6);
    /// # std::fs::remove_file(&server_path)?;
    /// # std::fs::remove_file(&path)
    /// # }).unwrap();
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixDatagram::pair()?;
    /// ours.send(b"hello").await?;
    /// let (n, from) = theirs.recv_from(&mut [0; 64]).await?;
    /// assert!(n == 5 && from.is_unnamed());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixDatagram::pair()?;
    /// let full = loop {
    ///     if let Err(error) = ours.try_send(b"nobody reads") {
    ///         break error;
    ///     }
    /// };
    /// assert_eq!(full.kind(), std::io::ErrorKind::WouldBlock);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn try_send(&self, payload: &[u8]) -> io::Result<usize> {
        self.socket
            .try_io(Direction::Write, |socket| socket.send(payload))
    }

    /// [`send_to`](Self::send_to) without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room now; else as [`send_to`](Self::send_to).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-datagram-try-{}", std::process::id()));
    /// let _log = UnixDatagram::bind(&path)?;
    /// assert_eq!(UnixDatagram::unbound()?.try_send_to(b"hello", &path)?, 5);
    /// # std::fs::remove_file(&path)
    /// # }).unwrap();
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixDatagram::pair()?;
    /// assert_eq!(theirs.try_recv(&mut [0; 8]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    /// ours.send(b"hello").await?;
    /// theirs.readable().await?;
    /// assert_eq!(theirs.try_recv(&mut [0; 8])?, 5);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket
            .try_io(Direction::Read, |socket| socket.recv(buf))
    }

    /// [`recv_from`](Self::recv_from) without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is nothing; else as [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixDatagram::pair()?;
    /// ours.send(b"hello").await?;
    /// let (n, from) = theirs.try_recv_from(&mut [0; 8])?;
    /// assert!(n == 5 && from.is_unnamed());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket
            .try_io(Direction::Read, |socket| socket.recv_from(buf))
    }

    /// [`send`](Self::send) for hand-written futures. The last eight tasks that polled in this direction are woken.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # use std::future::poll_fn;
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixDatagram::pair()?;
    /// assert_eq!(poll_fn(|cx| ours.poll_send(cx, b"hello")).await?, 5);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn poll_send(&self, cx: &mut Context<'_>, payload: &[u8]) -> Poll<io::Result<usize>> {
        self.socket
            .poll_io(cx, Direction::Write, |socket| socket.send(payload))
    }

    /// [`recv`](Self::recv) for hand-written futures. The last eight tasks that polled in this direction are woken.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # use std::future::poll_fn;
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixDatagram::pair()?;
    /// ours.send(b"hello").await?;
    /// let mut bytes = [0; 8];
    /// assert_eq!(poll_fn(|cx| theirs.poll_recv(cx, &mut bytes)).await?, 5);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.socket
            .poll_io(cx, Direction::Read, |socket| socket.recv(buf))
    }

    /// [`recv_from`](Self::recv_from) for hand-written futures. The last eight tasks that polled in this direction are woken.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # use std::future::poll_fn;
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixDatagram::pair()?;
    /// ours.send(b"hello").await?;
    /// let (_, from) = poll_fn(|cx| theirs.poll_recv_from(cx, &mut [0; 8])).await?;
    /// assert!(from.is_unnamed());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixDatagram::pair()?;
    /// ours.send(b"hello").await?;
    /// theirs.readable().await?;
    /// assert_eq!(theirs.try_recv(&mut [0; 64])?, 5);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixDatagram::pair()?;
    /// ours.writable().await?;
    /// assert_eq!(ours.try_send(b"hello")?, 5);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub async fn writable(&self) -> io::Result<()> {
        self.socket.readiness(Direction::Write).await.map(drop)
    }

    messages!(Sort::Datagram);

    /// Ends receiving, sending or both.
    ///
    /// # Errors
    ///
    /// If the socket is not connected.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixDatagram::pair()?;
    /// ours.shutdown(std::net::Shutdown::Write)?;
    /// assert!(ours.send(b"too late").await.is_err());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.get_ref().shutdown(how)
    }

    /// Our address.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixDatagram::pair()?;
    /// assert!(ours.local_addr()?.is_unnamed());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// If the socket is not connected.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// assert!(UnixDatagram::unbound()?.peer_addr().is_err(), "connected to nobody");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().peer_addr()
    }

    /// The error that the socket has kept for the next operation, taken away.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixDatagram;
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixDatagram::pair()?;
    /// assert!(ours.take_error()?.is_none());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
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
