//! What is under a writer: a connection that can be asked about, told to end and given its water marks by somebody who does not
//! write.
//!
//! Made by [`StreamWriter::transport`]. Holds the link and is no writer: it keeps nothing open.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::link::Link;
use super::socket::Socket;
use super::{Endpoint, StreamWriter, WaterMarks};
use crate::net::UnixCredentials;

/// The connection under a [`StreamWriter`].
///
/// A handle for whoever watches over connections and does not write: it asks about them, sets their water marks, and ends
/// them. It is no writer, so that a connection ends with its last writer however many transports there are. Clones are the
/// same connection.
///
/// # Examples
///
/// A connection that has queued more than it should is given up:
///
/// ```
/// # loxley_runtime::run(async {
/// # use loxley_io::{TcpListener, TcpStream, streams};
/// # let listener = TcpListener::bind("127.0.0.1:0").await?;
/// # let _peer = TcpStream::connect(listener.local_addr()?).await?;
/// # let (_reader, writer) = streams::from_tcp(listener.accept().await?.0);
/// let transport = writer.transport();
/// for _ in 0..100 {
///     writer.write(&[0; 1 << 20]); // A peer that does not read, and a writer that does not drain.
///     if transport.get_write_buffer_size() > 1 << 22 {
///         transport.abort();
///     }
/// }
/// assert!(writer.wait_closed().await.is_ok());
/// assert_eq!(transport.get_write_buffer_size(), 0);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// **Differs from asyncio**: reading is not paused and resumed, because nothing is read that nobody asks for; there is no
/// protocol to set; bytes are written by the writer alone.
#[derive(Clone)]
pub struct Transport {
    link: Arc<Link>,
}

impl Transport {
    /// What is known of the connection, by its type: `None` if it has no such thing. See [`ExtraInfo`] for what there is.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_io::streams::{self, PeerName, SockName};
    ///
    /// # loxley_runtime::run(async {
    /// # use loxley_io::{TcpListener, TcpStream};
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let peer = TcpStream::connect(listener.local_addr()?).await?;
    /// let (_reader, writer) = streams::from_tcp(listener.accept().await?.0);
    /// let PeerName(name) = writer.transport().get_extra_info().expect("TCP has names");
    /// assert_eq!(name.as_inet(), Some(peer.local_addr()?));
    /// let SockName(name) = writer.get_extra_info().expect("TCP has names");
    /// assert_eq!(name.to_string(), peer.peer_addr()?.to_string());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn get_extra_info<I: ExtraInfo>(&self) -> Option<I> {
        I::of(self)
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// If this is no internet connection, or it is gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.link.peer_addr()
    }

    /// Our address.
    ///
    /// # Errors
    ///
    /// If this is no internet connection.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.link.local_addr()
    }

    /// The socket, to set its options; `None` if this is no socket of ours. It stays in non-blocking mode.
    #[must_use]
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.link.socket().map(AsFd::as_fd)
    }

    /// As [`StreamWriter::close`].
    #[track_caller]
    pub fn close(&self) {
        self.link.close();
    }

    /// As [`StreamWriter::abort`].
    pub fn abort(&self) {
        self.link.abort();
    }

    /// As [`StreamWriter::write_eof`].
    #[track_caller]
    pub fn write_eof(&self) {
        self.link.write_eof();
    }

    /// Whether one half can be ended alone: always; TLS says so to its peer, too.
    #[must_use]
    pub fn can_write_eof(&self) -> bool {
        true
    }

    /// As [`StreamWriter::is_closing`].
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.link.is_closing()
    }

    /// As [`StreamWriter::get_write_buffer_size`].
    #[must_use]
    pub fn get_write_buffer_size(&self) -> usize {
        self.link.held()
    }

    /// The water marks.
    #[must_use]
    pub fn get_write_buffer_limits(&self) -> WaterMarks {
        self.link.marks()
    }

    /// Sets the water marks.
    pub fn set_write_buffer_limits(&self, marks: WaterMarks) {
        self.link.set_marks(marks);
    }

    #[cfg(feature = "tls")]
    pub(super) fn link(&self) -> &Link {
        &self.link
    }
}

impl StreamWriter {
    /// The connection itself, to be watched over by somebody who does not write.
    #[must_use]
    pub fn transport(&self) -> Transport {
        Transport {
            link: self.link().clone(),
        }
    }

    /// As [`Transport::get_extra_info`].
    #[must_use]
    pub fn get_extra_info<I: ExtraInfo>(&self) -> Option<I> {
        self.transport().get_extra_info()
    }

    /// As [`Transport::can_write_eof`].
    #[must_use]
    pub fn can_write_eof(&self) -> bool {
        true
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transport").field(&self.link).finish()
    }
}

/// What [`Transport::get_extra_info`] can be asked for: the type is the key.
///
/// | type | asyncio's key | there is one |
/// |---|---|---|
/// | [`PeerName`] | `peername` | on sockets; also after a TCP peer is gone, if it was asked for before, and on a server |
/// | [`SockName`] | `sockname` | on sockets |
/// | [`UnixCredentials`] | none | on Unix-domain sockets |
/// | `TlsInfo` | `cipher`, `peercert`, `sslcontext`, `ssl_object` | after a handshake, with feature `tls` |
///
/// `socket` is [`Transport::socket`]. Sealed.
pub trait ExtraInfo: sealed::Sealed + Sized {}

pub(super) mod sealed {
    pub trait Sealed: Sized {
        fn of(transport: &super::Transport) -> Option<Self>;
    }
}

/// The other end's name: see [`ExtraInfo`].
#[derive(Clone, Debug)]
pub struct PeerName(pub Endpoint);

/// Our end's name: see [`ExtraInfo`].
#[derive(Clone, Debug)]
pub struct SockName(pub Endpoint);

impl ExtraInfo for PeerName {}

impl sealed::Sealed for PeerName {
    fn of(transport: &Transport) -> Option<Self> {
        let name = match transport.link.socket()? {
            Socket::Tcp(_) => Endpoint::Inet(transport.peer_addr().ok()?),
            Socket::Unix(stream) => Endpoint::Unix(stream.peer_addr().ok()?),
        };
        Some(Self(name))
    }
}

impl ExtraInfo for SockName {}

impl sealed::Sealed for SockName {
    fn of(transport: &Transport) -> Option<Self> {
        let name = match transport.link.socket()? {
            Socket::Tcp(stream) => Endpoint::Inet(stream.local_addr().ok()?),
            Socket::Unix(stream) => Endpoint::Unix(stream.local_addr().ok()?),
        };
        Some(Self(name))
    }
}

impl ExtraInfo for UnixCredentials {}

impl sealed::Sealed for UnixCredentials {
    fn of(transport: &Transport) -> Option<Self> {
        match transport.link.socket()? {
            Socket::Tcp(_) => None,
            Socket::Unix(stream) => stream.peer_cred().ok(),
        }
    }
}
