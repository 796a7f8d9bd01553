//! Many datagrams in one call: what goes into [`UdpSocket::send_batch`] and comes out of [`UdpSocket::recv_batch`].

use std::fmt;
use std::io;
use std::net::{self, SocketAddr};

use crate::sys::inet::{self, Arrived, Room};

#[cfg(doc)]
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
