//! A UDP socket.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{self, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll};

use loxley_runtime::lowlevel::{Attempt, Direction, Interest};
use loxley_sync::prim::atomic::{AtomicBool, Ordering};
use rustix::io::Errno;

use super::udp_batch::{Datagram, RecvBatch};
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
/// assert_eq!(socket.try_recv_from(&mut bytes)?, (3, here));
/// assert_eq!(poll_fn(|cx| socket.poll_recv(cx, &mut bytes)).await?, 3);
/// assert_eq!(poll_fn(|cx| socket.poll_recv_from(cx, &mut bytes)).await?, (5, here));
/// let mut batch = RecvBatch::new(8, 64);
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
pub struct UdpSocket {
    socket: Registered<net::UdpSocket>,
    /// Whether the system may be asked to cut up runs of datagrams; not again once it has refused.
    cuts_runs: AtomicBool,
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
    #[track_caller]
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

    /// Sends datagrams in one system call, as many as the system takes, at most 64; returns how many that was, at least one.
    ///
    /// On Linux, runs of datagrams of one size to one address go through the network stack as one (UDP GSO) where they are
    /// short enough for every path (1232 bytes).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send) or [`send_to`](Self::send_to) of the first one. What is wrong with a later one is said when it
    /// is the first.
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    ///
    /// # Examples
    ///
    /// As many calls as it takes:
    ///
    /// ```
    /// # use loxley_io::{UdpSocket, net::Datagram};
    /// # loxley_runtime::run(async {
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.connect(socket.local_addr()?).await?;
    /// let datagrams = [Datagram::connected(b"tick"); 100];
    /// let mut left = &datagrams[..];
    /// while !left.is_empty() {
    ///     let sent = socket.send_batch(left).await?;
    ///     left = &left[sent..];
    /// }
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn send_batch<'a>(
        &'a self,
        datagrams: &'a [Datagram<'a>],
    ) -> impl Future<Output = io::Result<usize>> {
        let send = self.socket.async_io(Direction::Write, |socket| {
            self.send_batch_now(socket, datagrams)
        });
        async move {
            if datagrams.is_empty() {
                Ok(0)
            } else {
                send.await
            }
        }
    }

    /// Waits for a datagram and receives it and those behind it in one system call, as many as the batch has room for.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// Datagrams are either in the batch, and then the future is ready, or still queued.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UdpSocket, net::RecvBatch};
    /// # loxley_runtime::run(async {
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// # socket.send_to(b"hello", socket.local_addr()?).await?;
    /// let mut batch = RecvBatch::new(16, 1500);
    /// socket.recv_batch(&mut batch).await?;
    /// for datagram in &batch {
    ///     assert_eq!(datagram.payload(), b"hello");
    /// }
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn recv_batch<'a>(
        &'a self,
        batch: &'a mut RecvBatch,
    ) -> impl Future<Output = io::Result<()>> {
        batch.clear();
        self.socket.async_attempt(Direction::Read, || {
            Ok(if batch.fill(self.socket.get_ref())? {
                Attempt::Drained(())
            } else {
                Attempt::More(())
            })
        })
    }

    /// Whether the system may hand over runs of datagrams of one size from one address as one message (UDP GRO, Linux 5.0).
    ///
    /// Only [`recv_batch`](Self::recv_batch) takes such runs apart again, in a batch with room for 64 KiB per message; the
    /// other methods would return several datagrams as one.
    ///
    /// # Errors
    ///
    /// If the system does not know how.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UdpSocket, net::RecvBatch};
    /// # loxley_runtime::run(async {
    /// let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// if socket.set_gro(true).is_ok() {
    ///     let _room_for_runs = RecvBatch::new(8, 65_536);
    /// }
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn set_gro(&self, on: bool) -> io::Result<()> {
        inet::set_gro(self.socket.get_ref(), on)
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
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket
            .try_io(Direction::Read, |socket| socket.recv_from(buf))
    }

    /// [`send_batch`](Self::send_batch) without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if the system takes nothing now; else as
    /// [`send_batch`](Self::send_batch).
    pub fn try_send_batch(&self, datagrams: &[Datagram<'_>]) -> io::Result<usize> {
        if datagrams.is_empty() {
            return Ok(0);
        }
        self.socket.try_io(Direction::Write, |socket| {
            self.send_batch_now(socket, datagrams)
        })
    }

    /// [`recv_batch`](Self::recv_batch) without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is nothing; else as [`recv`](Self::recv).
    pub fn try_recv_batch(&self, batch: &mut RecvBatch) -> io::Result<()> {
        batch.clear();
        self.socket
            .try_io(Direction::Read, |socket| batch.fill(socket).map(drop))
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

    /// [`send_to`](Self::send_to) for hand-written futures. Only the last task that polled in this direction is woken.
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

    fn send_batch_now(
        &self,
        socket: &net::UdpSocket,
        datagrams: &[Datagram<'_>],
    ) -> io::Result<usize> {
        // ordering: Relaxed. A hint; whoever misses a refusal is refused himself.
        let with_runs = self.cuts_runs.load(Ordering::Relaxed);
        match inet::send_many(socket, datagrams, with_runs) {
            Err(error) if with_runs && is_refusal_of_runs(&error) => {
                // Unless it fails for another reason, it was the runs.
                let sent = inet::send_many(socket, datagrams, false)?;
                // ordering: Relaxed, as above.
                self.cuts_runs.store(false, Ordering::Relaxed);
                Ok(sent)
            }
            result => result,
        }
    }
}

/// Options.
impl UdpSocket {
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

    /// Whether datagrams may go to a broadcast address (`SO_BROADCAST`); not at first.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.socket.get_ref().broadcast()
    }

    /// Sets [`broadcast`](Self::broadcast).
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        self.socket.get_ref().set_broadcast(on)
    }

    /// Receives what is sent to the group `multiaddr`, on the interface that has the address `interface`; the system chooses
    /// one for `0.0.0.0`.
    ///
    /// # Errors
    ///
    /// If the address is none of a group, or there is no such interface.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example() -> std::io::Result<()> {
    /// use std::net::Ipv4Addr;
    /// let socket = loxley_io::UdpSocket::bind("0.0.0.0:5353").await?;
    /// socket.join_multicast_v4(Ipv4Addr::new(224, 0, 0, 251), Ipv4Addr::UNSPECIFIED)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket
            .get_ref()
            .join_multicast_v4(&multiaddr, &interface)
    }

    /// Ends [`join_multicast_v4`](Self::join_multicast_v4).
    ///
    /// # Errors
    ///
    /// If the group was not joined there.
    pub fn leave_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket
            .get_ref()
            .leave_multicast_v4(&multiaddr, &interface)
    }

    /// Receives what is sent to the group `multiaddr`, on the interface with this number; the system chooses one for 0.
    ///
    /// # Errors
    ///
    /// If the address is none of a group, or there is no such interface.
    pub fn join_multicast_v6(&self, multiaddr: Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket
            .get_ref()
            .join_multicast_v6(&multiaddr, interface)
    }

    /// Ends [`join_multicast_v6`](Self::join_multicast_v6).
    ///
    /// # Errors
    ///
    /// If the group was not joined there.
    pub fn leave_multicast_v6(&self, multiaddr: Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket
            .get_ref()
            .leave_multicast_v6(&multiaddr, interface)
    }

    /// Whether what is sent to an IPv4 group also comes back to this machine (`IP_MULTICAST_LOOP`); it does at first.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.socket.get_ref().multicast_loop_v4()
    }

    /// Sets [`multicast_loop_v4`](Self::multicast_loop_v4).
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        self.socket.get_ref().set_multicast_loop_v4(on)
    }

    /// Whether what is sent to an IPv6 group also comes back to this machine (`IPV6_MULTICAST_LOOP`); it does at first.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.socket.get_ref().multicast_loop_v6()
    }

    /// Sets [`multicast_loop_v6`](Self::multicast_loop_v6).
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()> {
        self.socket.get_ref().set_multicast_loop_v6(on)
    }

    /// How many networks a datagram to an IPv4 group may cross (`IP_MULTICAST_TTL`); 1 at first, its own.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.socket.get_ref().multicast_ttl_v4()
    }

    /// Sets [`multicast_ttl_v4`](Self::multicast_ttl_v4).
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        self.socket.get_ref().set_multicast_ttl_v4(ttl)
    }

    /// The time-to-live of packets (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    pub fn ttl(&self) -> io::Result<u32> {
        self.socket.get_ref().ttl()
    }

    /// Sets [`ttl`](Self::ttl).
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket.get_ref().set_ttl(ttl)
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

/// Whether this may say that the system, or the device, cannot cut up runs.
fn is_refusal_of_runs(error: &io::Error) -> bool {
    const REFUSALS: [Errno; 5] = [
        Errno::INVAL,
        Errno::IO,
        Errno::OPNOTSUPP,
        Errno::NOPROTOOPT,
        Errno::MSGSIZE,
    ];
    Errno::from_io_error(error).is_some_and(|errno| REFUSALS.contains(&errno))
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
