//! Many datagrams in one call: [`UdpSocket::send_batch`], [`UdpSocket::recv_batch`], what goes into the one and comes out of
//! the other.
//!
//! Called by the user. How the kernel is asked is in `sys/inet.rs`; here is what is handed over, and what a refusal means.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{self, SocketAddr};

use loxley_runtime::lowlevel::{Attempt, Direction};
use loxley_sync::prim::atomic::Ordering;
use rustix::io::Errno;

use crate::sys::inet::{self, Arrived, Room};

use super::UdpSocket;

/// A datagram, on its way out or just received.
///
/// # Examples
///
/// ```
/// use loxley_io::net::Datagram;
///
/// let datagram = Datagram::to(b"hello", ([127, 0, 0, 1], 7).into());
/// assert_eq!(datagram.payload(), b"hello");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    payload: &'a [u8],
    peer: Option<SocketAddr>,
    is_truncated: bool,
}

impl<'a> Datagram<'a> {
    /// To this address.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::net::Datagram;
    /// let peer = ([127, 0, 0, 1], 7).into();
    /// assert_eq!(Datagram::to(b"hello", peer).peer(), Some(peer));
    /// ```
    #[must_use]
    pub fn to(payload: &'a [u8], peer: SocketAddr) -> Self {
        Self {
            payload,
            peer: Some(peer),
            is_truncated: false,
        }
    }

    /// To where the socket is connected.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::net::Datagram;
    /// let hello = Datagram::connected(b"hello");
    /// assert_eq!(hello.peer(), None, "the socket knows");
    /// ```
    #[must_use]
    pub fn connected(payload: &'a [u8]) -> Self {
        Self {
            payload,
            peer: None,
            is_truncated: false,
        }
    }

    /// What is in it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::net::Datagram;
    /// let batch = ["one", "three"].map(|text| Datagram::connected(text.as_bytes()));
    /// assert_eq!(batch.map(|datagram| datagram.payload().len()), [3, 5]);
    /// ```
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Where it comes from or goes to; `None` for [`connected`](Self::connected).
    ///
    /// # Examples
    ///
    /// Where an answer goes:
    ///
    /// ```
    /// # use loxley_io::{UdpSocket, net::{Datagram, RecvBatch}};
    /// # loxley_runtime::run(async {
    /// let (client, server) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// client.send_to(b"question", server.local_addr()?).await?;
    /// let mut batch = RecvBatch::new(8, 1500);
    /// server.recv_batch(&mut batch).await?;
    /// let peer = batch.iter().next().unwrap().peer().expect("it comes from somewhere");
    /// assert_eq!(peer, client.local_addr()?);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Whether it was longer than the batch has room for; the rest is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UdpSocket, net::RecvBatch};
    /// # loxley_runtime::run(async {
    /// let (client, server) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// client.send_to(b"too much for it", server.local_addr()?).await?;
    /// let mut batch = RecvBatch::new(1, 4);
    /// server.recv_batch(&mut batch).await?;
    /// let datagram = batch.iter().next().unwrap();
    /// assert!(datagram.is_truncated() && datagram.payload() == b"too ");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.is_truncated
    }
}

/// Room for datagrams, to be used again and again: see [`UdpSocket::recv_batch`].
///
/// # Examples
///
/// ```
/// use loxley_io::UdpSocket;
/// use loxley_io::net::{Datagram, RecvBatch};
///
/// # loxley_runtime::run(async {
/// let (client, server) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
/// client.connect(server.local_addr()?).await?;
/// let messages = [Datagram::connected(b"one"), Datagram::connected(b"two")];
/// assert_eq!(client.send_batch(&messages).await?, 2);
///
/// let mut batch = RecvBatch::new(16, 1500);
/// server.recv_batch(&mut batch).await?;
/// let echo: Vec<_> = batch.iter().collect();
/// server.send_batch(&echo).await?;
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub struct RecvBatch {
    bytes: Vec<u8>,
    size: usize,
    room: Room,
    arrived: Vec<Arrived>,
}

impl RecvBatch {
    /// Room for `messages` messages of `size` bytes each: for datagrams of at most that, or, on a socket with
    /// [`set_gro`](UdpSocket::set_gro), for runs of datagrams, which may take 64 KiB (`size` 65 536).
    ///
    /// At most 64 messages are received in one call.
    ///
    /// # Panics
    ///
    /// If either is zero, or both together are more than a `usize` holds.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::net::RecvBatch;
    /// let batch = RecvBatch::new(32, 1500); // Made once, for the life of the socket.
    /// assert!(batch.is_empty());
    /// ```
    #[must_use]
    #[track_caller]
    pub fn new(messages: usize, size: usize) -> Self {
        assert!(
            messages > 0 && size > 0,
            "a batch needs room for at least one message of one byte"
        );
        let messages = messages.min(inet::BATCH_MAX);
        let bytes = messages
            .checked_mul(size)
            .expect("fewer or smaller messages");
        Self {
            bytes: vec![0; bytes],
            size,
            room: Room::new(messages),
            arrived: Vec::with_capacity(messages),
        }
    }

    /// The datagrams of the last call, in the order in which they came.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UdpSocket, net::RecvBatch};
    /// # loxley_runtime::run(async {
    /// # let (client, server) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// client.send_to(b"hello", server.local_addr()?).await?;
    /// let mut batch = RecvBatch::new(8, 1500);
    /// server.recv_batch(&mut batch).await?;
    /// let bytes: usize = batch.iter().map(|datagram| datagram.payload().len()).sum();
    /// assert_eq!(bytes, 5);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn iter(&self) -> Datagrams<'_> {
        Datagrams {
            batch: self,
            next: 0,
            rest: None,
        }
    }

    /// Whether nothing was received yet.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UdpSocket, net::RecvBatch};
    /// # loxley_runtime::run(async {
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// let mut batch = RecvBatch::new(8, 1500);
    /// assert!(batch.is_empty());
    /// socket.send_to(b"to ourselves", socket.local_addr()?).await?;
    /// socket.recv_batch(&mut batch).await?;
    /// assert!(!batch.is_empty());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.arrived.is_empty()
    }

    /// Forgets the last call.
    pub(super) fn clear(&mut self) {
        self.arrived.clear();
    }

    /// Receives what there is; whether there was less than there is room for.
    pub(super) fn fill(&mut self, socket: &net::UdpSocket) -> io::Result<bool> {
        self.clear();
        let (size, room) = (self.size, &mut self.room);
        inet::receive_many(socket, &mut self.bytes, size, room, &mut self.arrived)?;
        Ok(self.arrived.len() < self.bytes.len() / size)
    }
}

impl<'a> IntoIterator for &'a RecvBatch {
    type Item = Datagram<'a>;
    type IntoIter = Datagrams<'a>;

    fn into_iter(self) -> Datagrams<'a> {
        self.iter()
    }
}

impl fmt::Debug for RecvBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The datagrams of a batch: see [`RecvBatch::iter`].
///
/// # Examples
///
/// ```
/// use loxley_io::{UdpSocket, net::{Datagram, Datagrams, RecvBatch}};
///
/// fn longest<'a>(datagrams: Datagrams<'a>) -> Option<Datagram<'a>> {
///     datagrams.max_by_key(|datagram| datagram.payload().len())
/// }
/// # loxley_runtime::run(async {
/// let socket = UdpSocket::bind("127.0.0.1:0").await?;
/// socket.send_to(b"hello", socket.local_addr()?).await?;
/// let mut batch = RecvBatch::new(8, 1500);
/// socket.recv_batch(&mut batch).await?;
/// assert_eq!(longest(batch.iter()).unwrap().payload(), b"hello");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Datagrams<'a> {
    batch: &'a RecvBatch,
    /// The next message.
    next: usize,
    /// What is left of the current one, if that is a run of several datagrams.
    rest: Option<(&'a [u8], Arrived)>,
}

impl<'a> Iterator for Datagrams<'a> {
    type Item = Datagram<'a>;

    fn next(&mut self) -> Option<Datagram<'a>> {
        let (bytes, arrived) = match self.rest.take() {
            Some(rest) => rest,
            None => {
                let arrived = *self.batch.arrived.get(self.next)?;
                let start = self.next * self.batch.size;
                self.next += 1;
                (&self.batch.bytes[start..start + arrived.len], arrived)
            }
        };
        let (payload, rest) = bytes.split_at(arrived.segment.min(bytes.len()));
        if !rest.is_empty() {
            self.rest = Some((rest, arrived));
        }
        Some(Datagram {
            payload,
            peer: Some(arrived.from),
            // Only the last one of a run can be.
            is_truncated: arrived.is_truncated && rest.is_empty(),
        })
    }
}

impl fmt::Debug for Datagrams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// Many datagrams at once.
impl UdpSocket {
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
