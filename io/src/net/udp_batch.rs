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
    #[must_use]
    pub fn to(payload: &'a [u8], peer: SocketAddr) -> Self {
        Self {
            payload,
            peer: Some(peer),
            is_truncated: false,
        }
    }

    /// To where the socket is connected.
    #[must_use]
    pub fn connected(payload: &'a [u8]) -> Self {
        Self {
            payload,
            peer: None,
            is_truncated: false,
        }
    }

    /// What is in it.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Where it comes from or goes to; `None` for [`connected`](Self::connected).
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Whether it was longer than the batch has room for; the rest is lost.
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
    #[must_use]
    pub fn iter(&self) -> Datagrams<'_> {
        Datagrams {
            batch: self,
            next: 0,
            rest: None,
        }
    }

    /// Whether nothing was received yet.
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
