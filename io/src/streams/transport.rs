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
#[doc(alias = "BaseTransport")]
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
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{TcpListener, open_connection};
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let (_reader, writer) = open_connection(listener.local_addr()?).await?;
    /// assert_eq!(writer.transport().peer_addr()?, listener.local_addr()?);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.link.peer_addr()
    }

    /// Our address.
    ///
    /// # Errors
    ///
    /// If this is no internet connection.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{TcpListener, open_connection};
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let (_reader, writer) = open_connection(listener.local_addr()?).await?;
    /// assert!(writer.transport().local_addr()?.ip().is_loopback());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.link.local_addr()
    }

    /// The socket, to set its options; `None` if this is no socket of ours. It stays in non-blocking mode.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{TcpListener, open_connection};
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let (_reader, writer) = open_connection(listener.local_addr()?).await?;
    /// let transport = writer.transport();
    /// let socket = transport.socket().expect("TCP has one").try_clone_to_owned()?;
    /// std::net::TcpStream::from(socket).set_ttl(8)?;
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.link.socket().map(AsFd::as_fd)
    }

    /// As [`StreamWriter::close`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// # let (ours, _theirs) = UnixStream::pair()?;
    /// let (mut reader, writer) = streams::from_unix(ours);
    /// writer.transport().close(); // By somebody who watches over connections.
    /// assert_eq!(reader.read_to_end().await?, b"");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn close(&self) {
        self.link.close();
    }

    /// As [`StreamWriter::abort`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// # let (ours, _theirs) = UnixStream::pair()?;
    /// let (_reader, writer) = streams::from_unix(ours);
    /// writer.write(&[0; 16 << 20]);
    /// writer.transport().abort();
    /// assert_eq!(writer.transport().get_write_buffer_size(), 0);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn abort(&self) {
        self.link.abort();
    }

    /// As [`StreamWriter::write_eof`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// let (_reader, writer) = streams::from_unix(ours);
    /// writer.write(b"that was all");
    /// writer.transport().write_eof();
    /// let (mut reader, _writer) = streams::from_unix(theirs);
    /// assert_eq!(reader.read_to_end().await?, b"that was all");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn write_eof(&self) {
        self.link.write_eof();
    }

    /// Whether one half can be ended alone: always; TLS says so to its peer, too.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// # let (ours, _theirs) = UnixStream::pair()?;
    /// let (_reader, writer) = streams::from_unix(ours);
    /// assert!(writer.transport().can_write_eof());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn can_write_eof(&self) -> bool {
        true
    }

    /// As [`StreamWriter::is_closing`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// # let (ours, _theirs) = UnixStream::pair()?;
    /// let (_reader, writer) = streams::from_unix(ours);
    /// let transport = writer.transport();
    /// writer.close();
    /// assert!(transport.is_closing());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.link.is_closing()
    }

    /// As [`StreamWriter::get_write_buffer_size`].
    ///
    /// # Examples
    ///
    /// The connections that are furthest behind:
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// # let (ours, _theirs) = UnixStream::pair()?;
    /// let (_reader, writer) = streams::from_unix(ours);
    /// let watched = [writer.transport()];
    /// writer.write(&[0; 16 << 20]);
    /// assert!(watched.iter().any(|transport| transport.get_write_buffer_size() > 1 << 20));
    /// # writer.abort();
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn get_write_buffer_size(&self) -> usize {
        self.link.held()
    }

    /// The water marks.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams, streams::WaterMarks};
    /// # loxley_runtime::run(async {
    /// # let (ours, _theirs) = UnixStream::pair()?;
    /// let (_reader, writer) = streams::from_unix(ours);
    /// writer.set_write_buffer_limits(WaterMarks::high_at(1024));
    /// assert_eq!(writer.transport().get_write_buffer_limits().high(), 1024);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn get_write_buffer_limits(&self) -> WaterMarks {
        self.link.marks()
    }

    /// Sets the water marks.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams, streams::WaterMarks};
    /// # loxley_runtime::run(async {
    /// # let (ours, _theirs) = UnixStream::pair()?;
    /// let (_reader, writer) = streams::from_unix(ours);
    /// writer.transport().set_write_buffer_limits(WaterMarks::between(0, 0));
    /// assert_eq!(writer.get_write_buffer_limits().high(), 0, "one connection, one set of marks");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// let (_reader, writer) = streams::from_unix(ours);
    /// let transport = writer.transport();
    /// drop(writer); // Our half ends with its last writer; a transport is none.
    /// assert_eq!(theirs.read(&mut [0; 8]).await?, 0);
    /// # drop(transport);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn transport(&self) -> Transport {
        Transport {
            link: self.link().clone(),
        }
    }

    /// As [`Transport::get_extra_info`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, net::UnixCredentials, streams};
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// let (_reader, writer) = streams::from_unix(ours);
    /// let peer: UnixCredentials = writer.get_extra_info().expect("of a Unix-domain socket");
    /// assert_eq!(peer.pid(), i32::try_from(std::process::id()).ok());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn get_extra_info<I: ExtraInfo>(&self) -> Option<I> {
        self.transport().get_extra_info()
    }

    /// As [`Transport::can_write_eof`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// # let (ours, _theirs) = UnixStream::pair()?;
    /// let (_reader, writer) = streams::from_unix(ours);
    /// if writer.can_write_eof() {
    ///     writer.write_eof(); // Code from asyncio asks first.
    /// }
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
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
///
/// # Examples
///
/// ```
/// use loxley_io::{TcpListener, open_connection, net::UnixCredentials, streams::PeerName};
///
/// # loxley_runtime::run(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let (_reader, writer) = open_connection(listener.local_addr()?).await?;
/// assert!(writer.get_extra_info::<PeerName>().is_some());
/// assert!(writer.get_extra_info::<UnixCredentials>().is_none(), "TCP has none");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub trait ExtraInfo: sealed::Sealed + Sized {}

pub(super) mod sealed {
    pub trait Sealed: Sized {
        fn of(transport: &super::Transport) -> Option<Self>;
    }
}

/// The other end's name: see [`ExtraInfo`].
///
/// # Examples
///
/// ```
/// use loxley_io::{TcpListener, open_connection, streams::PeerName};
///
/// # loxley_runtime::run(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let (_reader, writer) = open_connection(listener.local_addr()?).await?;
/// let PeerName(name) = writer.get_extra_info().unwrap();
/// assert_eq!(name.as_inet(), Some(listener.local_addr()?));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct PeerName(pub Endpoint);

/// Our end's name: see [`ExtraInfo`].
///
/// # Examples
///
/// ```
/// use loxley_io::{TcpListener, open_connection, streams::SockName};
///
/// # loxley_runtime::run(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let (_reader, writer) = open_connection(listener.local_addr()?).await?;
/// let SockName(name) = writer.get_extra_info().unwrap();
/// assert_eq!(name.as_inet(), Some(listener.accept().await?.1));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
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
