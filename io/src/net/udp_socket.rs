//! A UDP socket: datagrams one by one, in the three forms of every operation (waiting, trying, polling).
//!
//! Called by the user. Many at once are in `udp_batch.rs`, options in `udp_options.rs`. Never looks into a datagram.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll};

use loxley_runtime::lowlevel::{Direction, Interest};
use loxley_sync::prim::atomic::AtomicBool;

use crate::async_fd::Registered;
use crate::resolve::{ToSocketAddrs, lookup_host, naming, naming_all};
use crate::sys::inet;

/// A UDP socket: single messages to anybody, or with [`connect`](Self::connect) to one peer.
///
/// All methods take `&self`, so any number of tasks may send and receive at once. A datagram that is longer than the
/// buffer is cut off, and the rest of it is lost; one without any bytes is a message too, and not an end.
///
/// # Examples
///
/// ```
/// use loxley_io::UdpSocket;
///
/// # loxley_runtime::run(async {
/// let (one, other) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
/// one.send_to(b"hello", other.local_addr()?).await?;
/// let mut bytes = [0; 1500];
/// let (n, from) = other.recv_from(&mut bytes).await?;
/// assert_eq!((&bytes[..n], from), (&b"hello"[..], one.local_addr()?));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// Without waiting; every method that waits has such a form, and one for futures written by hand:
///
/// ```
/// use loxley_io::{UdpSocket, net::{Datagram, RecvBatch}};
/// use std::{future::poll_fn, io::ErrorKind};
///
/// # loxley_runtime::run(async {
/// let socket = UdpSocket::bind("127.0.0.1:0").await?;
/// let (here, mut bytes) = (socket.local_addr()?, [0; 64]);
/// assert_eq!(socket.try_recv(&mut bytes).unwrap_err().kind(), ErrorKind::WouldBlock);
/// socket.try_send_to(b"one", here)?;
/// socket.try_send_batch(&[Datagram::to(b"two", here)])?;
/// poll_fn(|cx| socket.poll_send_to(cx, b"three", here)).await?;
/// socket.connect(here).await?;
/// socket.try_send(b"four")?;
/// poll_fn(|cx| socket.poll_send(cx, b"five")).await?;
///
/// socket.readable().await?;
/// assert_eq!(socket.try_recv_from(&mut bytes)?, (3, here));
/// assert_eq!(poll_fn(|cx| socket.poll_recv(cx, &mut bytes)).await?, 3);
/// assert_eq!(poll_fn(|cx| socket.poll_recv_from(cx, &mut bytes)).await?, (5, here));
/// let mut batch = RecvBatch::new(8, 64);
/// socket.readable().await?;
/// socket.try_recv_batch(&mut batch)?;
/// assert_eq!(batch.iter().next().unwrap().payload(), b"four");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// The options of a socket:
///
/// ```
/// use loxley_io::UdpSocket;
/// use std::net::{Ipv4Addr, Ipv6Addr};
///
/// # loxley_runtime::run(async {
/// let socket = UdpSocket::bind("127.0.0.1:0").await?;
/// socket.set_broadcast(true)?;
/// socket.set_ttl(8)?;
/// socket.set_multicast_ttl_v4(2)?;
/// socket.set_multicast_loop_v4(false)?;
/// assert!(socket.broadcast()? && !socket.multicast_loop_v4()?);
/// assert_eq!((socket.ttl()?, socket.multicast_ttl_v4()?), (8, 2));
/// assert!(socket.take_error()?.is_none());
///
/// // Not joined, so there is nothing to leave.
/// assert!(socket.leave_multicast_v4(Ipv4Addr::new(224, 0, 0, 251), Ipv4Addr::LOCALHOST).is_err());
/// if let Ok(six) = UdpSocket::bind("[::1]:0").await {
///     six.set_multicast_loop_v6(true)?;
///     assert!(six.multicast_loop_v6()?);
///     let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
///     if six.join_multicast_v6(group, 0).is_ok() {
///         six.leave_multicast_v6(group, 0)?;
///     }
/// }
/// let plain: std::net::UdpSocket = socket.into_std();
/// assert!(plain.broadcast()?);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[doc(alias = "DatagramTransport")]
#[doc(alias = "DatagramProtocol")]
#[doc(alias = "create_datagram_endpoint")]
pub struct UdpSocket {
    pub(super) socket: Registered<net::UdpSocket>,
    /// Whether the system may be asked to cut up runs of datagrams; not again once it has refused.
    pub(super) cuts_runs: AtomicBool,
}

impl UdpSocket {
    /// Binds to the first of the addresses that can be bound. Port 0 lets the system choose; ask
    /// [`local_addr`](Self::local_addr).
    ///
    /// # Errors
    ///
    /// If no address can be bound, naming each; or as [`from_std`](Self::from_std).
    ///
    /// # Cancel safety
    ///
    /// Nothing stays bound.
    ///
    /// # Examples
    ///
    /// IPv6, or IPv4 where there is none:
    ///
    /// ```
    /// # use loxley_io::UdpSocket;
    /// # loxley_runtime::run(async {
    /// let socket = UdpSocket::bind("[::]:0").await.or(UdpSocket::bind("0.0.0.0:0").await)?;
    /// assert_ne!(socket.local_addr()?.port(), 0, "the system has chosen one");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub async fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        let mut errors = Vec::new();
        for addr in lookup_host(addr).await? {
            match inet::datagram(&addr) {
                Ok(socket) => return Self::from_nonblocking(socket),
                Err(error) => errors.push(naming("bind", addr, error)),
            }
        }
        Err(naming_all(errors))
    }

    /// Takes over a socket and puts it into non-blocking mode.
    ///
    /// # Errors
    ///
    /// If no runtime is running on this thread or it has shut down, or if the system's limits are reached.
    ///
    /// # Examples
    ///
    /// With an option that is set before it is bound, by another library:
    ///
    /// ```
    /// # use loxley_io::UdpSocket;
    /// # loxley_runtime::run(async {
    /// let bound = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// let addr = bound.local_addr()?;
    /// assert_eq!(UdpSocket::from_std(bound)?.local_addr()?, addr);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn from_std(socket: net::UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Self::from_nonblocking(socket)
    }

    fn from_nonblocking(socket: net::UdpSocket) -> io::Result<Self> {
        Ok(Self {
            socket: Registered::new(socket, Interest::Both)?,
            cuts_runs: AtomicBool::new(true),
        })
    }

    /// Gives the socket up; it stays in non-blocking mode.
    pub fn into_std(self) -> net::UdpSocket {
        self.socket.into_inner()
    }

    /// Sends to, and receives from, this peer alone: the first of the addresses that can be reached from here. Nothing is
    /// sent by that.
    ///
    /// # Errors
    ///
    /// If there is no way to any of the addresses, naming each.
    ///
    /// # Cancel safety
    ///
    /// Dropped while a name is looked up, it has done nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UdpSocket;
    /// # loxley_runtime::run(async {
    /// let (client, server) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// client.connect(server.local_addr()?).await?;
    /// client.send(b"question").await?;
    /// let (_, from) = server.recv_from(&mut [0; 64]).await?;
    /// server.send_to(b"answer", from).await?;
    /// assert_eq!(client.recv(&mut [0; 64]).await?, 6);
    /// assert_eq!(client.peer_addr()?, server.local_addr()?);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub async fn connect(&self, addr: impl ToSocketAddrs) -> io::Result<()> {
        let mut errors = Vec::new();
        for addr in lookup_host(addr).await? {
            match self.socket.get_ref().connect(addr) {
                Ok(()) => return Ok(()),
                Err(error) => errors.push(naming("connect to", addr, error)),
            }
        }
        Err(naming_all(errors))
    }

    /// Sends one datagram to the peer; returns its length.
    ///
    /// # Errors
    ///
    /// If the socket is not connected; if the datagram is too long; if an earlier one was refused
    /// ([`ConnectionRefused`](io::ErrorKind::ConnectionRefused), said once); or if the runtime has shut down.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has sent nothing.
    ///
    /// # Examples
    ///
    /// It takes a peer:
    ///
    /// ```
    /// # use loxley_io::UdpSocket;
    /// # loxley_runtime::run(async {
    /// let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// assert!(socket.send(b"to whom?").await.is_err(), "it is not connected");
    /// socket.connect(socket.local_addr()?).await?;
    /// assert_eq!(socket.send(b"hello").await?, 5);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn send<'a>(&'a self, payload: &'a [u8]) -> impl Future<Output = io::Result<usize>> {
        self.socket
            .async_io(Direction::Write, |socket| socket.send(payload))
    }

    /// Receives one datagram from the peer, or from anybody if the socket is not connected; returns its length.
    ///
    /// # Errors
    ///
    /// If an earlier datagram was refused ([`ConnectionRefused`](io::ErrorKind::ConnectionRefused), said once, on a connected
    /// socket); or if the runtime has shut down.
    ///
    /// # Cancel safety
    ///
    /// A datagram is either returned or still queued.
    ///
    /// # Fairness
    ///
    /// Several tasks may receive at once; each datagram goes to one of them, in no particular order.
    ///
    /// # Examples
    ///
    /// What does not fit is lost, and a datagram may be empty:
    ///
    /// ```
    /// # use loxley_io::UdpSocket;
    /// # loxley_runtime::run(async {
    /// let (one, other) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// one.connect(other.local_addr()?).await?;
    /// one.send(b"hello").await?;
    /// one.send(b"").await?;
    /// let mut bytes = [0; 2];
    /// assert_eq!((other.recv(&mut bytes).await?, &bytes), (2, b"he"));
    /// assert_eq!(other.recv(&mut bytes).await?, 0);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn recv<'a>(&'a self, buf: &'a mut [u8]) -> impl Future<Output = io::Result<usize>> {
        self.socket
            .async_io(Direction::Read, |socket| socket.recv(buf))
    }

    /// Sends one datagram to `target`; returns its length. Names are not looked up: see [`lookup_host`].
    ///
    /// # Errors
    ///
    /// If there is no way to the target, if the datagram is too long, or if the runtime has shut down.
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    #[track_caller]
    pub fn send_to<'a>(
        &'a self,
        payload: &'a [u8],
        target: impl Into<SocketAddr>,
    ) -> impl Future<Output = io::Result<usize>> {
        let target = target.into();
        self.socket.async_io(Direction::Write, move |socket| {
            socket.send_to(payload, target)
        })
    }

    /// Receives one datagram; returns its length and where it comes from.
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
    /// A server of one line: whatever comes goes back.
    ///
    /// ```
    /// # use loxley_io::UdpSocket;
    /// # loxley_runtime::run(async {
    /// # let server = UdpSocket::bind("127.0.0.1:0").await?;
    /// # let client = UdpSocket::bind("127.0.0.1:0").await?;
    /// # client.send_to(b"hello", server.local_addr()?).await?;
    /// let mut bytes = [0; 1500];
    /// let (n, from) = server.recv_from(&mut bytes).await?;
    /// server.send_to(&bytes[..n], from).await?;
    /// # assert_eq!(client.recv(&mut bytes).await?, 5);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    #[doc(alias = "datagram_received")]
    pub fn recv_from<'a>(
        &'a self,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<(usize, SocketAddr)>> {
        self.socket
            .async_io(Direction::Read, |socket| socket.recv_from(buf))
    }

    /// [`recv`](Self::recv) that leaves the datagram queued.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// To see how large it is before there is room for it:
    ///
    /// ```
    /// # use loxley_io::UdpSocket;
    /// # loxley_runtime::run(async {
    /// let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.send_to(b"hello", socket.local_addr()?).await?;
    /// assert_eq!(socket.peek(&mut [0; 64]).await?, 5);
    /// assert_eq!(socket.recv(&mut [0; 64]).await?, 5, "it was left");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn peek<'a>(&'a self, buf: &'a mut [u8]) -> impl Future<Output = io::Result<usize>> {
        self.socket
            .async_io(Direction::Read, |socket| socket.peek(buf))
    }

    /// [`recv_from`](Self::recv_from) that leaves the datagram queued.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UdpSocket;
    /// # loxley_runtime::run(async {
    /// let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.send_to(b"hello", socket.local_addr()?).await?;
    /// let (_, from) = socket.peek_from(&mut [0; 1]).await?;
    /// assert_eq!(from, socket.local_addr()?);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn peek_from<'a>(
        &'a self,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<(usize, SocketAddr)>> {
        self.socket
            .async_io(Direction::Read, |socket| socket.peek_from(buf))
    }

    /// [`send`](Self::send) without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if the system takes nothing now; else as [`send`](Self::send).
    pub fn try_send(&self, payload: &[u8]) -> io::Result<usize> {
        self.socket
            .try_io(Direction::Write, |socket| socket.send(payload))
    }

    /// [`send_to`](Self::send_to) without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if the system takes nothing now; else as [`send_to`](Self::send_to).
    pub fn try_send_to(&self, payload: &[u8], target: impl Into<SocketAddr>) -> io::Result<usize> {
        let target = target.into();
        self.socket
            .try_io(Direction::Write, |socket| socket.send_to(payload, target))
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
    ///
    /// # Examples
    ///
    /// Everything that is there, and not a moment longer:
    ///
    /// ```
    /// # use loxley_io::UdpSocket;
    /// # use std::io::ErrorKind;
    /// # loxley_runtime::run(async {
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// # socket.send_to(b"a", socket.local_addr()?).await?;
    /// # socket.send_to(b"b", socket.local_addr()?).await?;
    /// let (mut bytes, mut count) = ([0; 1500], 0);
    /// socket.readable().await?;
    /// let end = loop {
    ///     match socket.try_recv_from(&mut bytes) {
    ///         Ok(_) => count += 1,
    ///         Err(error) => break error,
    ///     }
    /// };
    /// assert!(count > 0 && end.kind() == ErrorKind::WouldBlock);
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
    pub fn poll_send(&self, cx: &mut Context<'_>, payload: &[u8]) -> Poll<io::Result<usize>> {
        self.socket
            .poll_io(cx, Direction::Write, |socket| socket.send(payload))
    }

    /// [`send_to`](Self::send_to) for hand-written futures. The last eight tasks that polled in this direction are woken.
    ///
    /// # Errors
    ///
    /// As [`send_to`](Self::send_to).
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        payload: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_io(cx, Direction::Write, |socket| {
            socket.send_to(payload, target)
        })
    }

    /// [`recv`](Self::recv) for hand-written futures. The last eight tasks that polled in this direction are woken.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
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
    /// In a future that looks at two sockets at once:
    ///
    /// ```
    /// # use loxley_io::UdpSocket;
    /// # use std::{future::poll_fn, task::Poll};
    /// # loxley_runtime::run(async {
    /// # let (one, other) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// other.send_to(b"hello", other.local_addr()?).await?;
    /// let mut bytes = [0; 64];
    /// let (n, _from) = poll_fn(|cx| {
    ///     for socket in [&one, &other] {
    ///         if let Poll::Ready(got) = socket.poll_recv_from(cx, &mut bytes) {
    ///             return Poll::Ready(got);
    ///         }
    ///     }
    ///     Poll::Pending
    /// })
    /// .await?;
    /// assert_eq!(&bytes[..n], b"hello");
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
    /// # use loxley_io::UdpSocket;
    /// # loxley_runtime::run(async {
    /// let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.send_to(b"hello", socket.local_addr()?).await?;
    /// loop {
    ///     socket.readable().await?;
    ///     if let Ok(n) = socket.try_recv(&mut [0; 64]) {
    ///         break assert_eq!(n, 5);
    ///     }
    /// }
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
    /// # use loxley_io::UdpSocket;
    /// # loxley_runtime::run(async {
    /// let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.writable().await?;
    /// assert_eq!(socket.try_send_to(b"now", socket.local_addr()?)?, 3);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub async fn writable(&self) -> io::Result<()> {
        self.socket.readiness(Direction::Write).await.map(drop)
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for UdpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.get_ref().as_raw_fd()
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.get_ref().fmt(f)
    }
}
