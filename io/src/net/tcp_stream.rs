//! A TCP connection.

use std::fmt;
use std::io;
use std::net::{self, Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use loxley_runtime::lowlevel::{Direction, Interest};

use super::split::{ByteStream, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::async_fd::Registered;
use crate::bytes::{Carrier, Kind};
use crate::methods::{byte_peeking, byte_reading, byte_writing};
use crate::resolve::{ToSocketAddrs, lookup_host, naming, naming_all};
use crate::sys;

/// A TCP connection.
///
/// Reading and writing take `&self`, so one task may read while another writes; or [`split`](Self::split) it.
/// Dropping the stream closes the connection; what was written is still sent.
///
/// # Examples
///
/// ```no_run
/// use loxley_io::TcpStream;
///
/// # async fn example() -> std::io::Result<()> {
/// let stream = TcpStream::connect("127.0.0.1:7").await?;
/// stream.write_all(b"hello").await?;
/// let mut answer = [0; 5];
/// stream.read_exact(&mut answer).await?;
/// # Ok(())
/// # }
/// ```
pub struct TcpStream {
    socket: Registered<net::TcpStream>,
}

impl TcpStream {
    /// Connects to the first of the addresses that answers, one after the other.
    ///
    /// # Errors
    ///
    /// If none answers, naming each; or as [`from_std`](Self::from_std).
    ///
    /// # Cancel safety
    ///
    /// A connection that is not finished is given up.
    ///
    /// **Differs from asyncio**: nobody is connected to himself, which the system does now and then with a port of this machine
    /// where nobody listens; it is refused.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{TcpListener, TcpStream};
    /// # loxley_runtime::run(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let addr = listener.local_addr()?;
    /// assert_eq!(TcpStream::connect(addr).await?.peer_addr()?, addr);
    /// drop(listener);
    /// assert!(TcpStream::connect(addr).await.is_err());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[doc(alias = "sock_connect")]
    pub async fn connect(addr: impl ToSocketAddrs) -> io::Result<Self> {
        let mut errors = Vec::new();
        for addr in lookup_host(addr).await? {
            match Self::connect_one(addr, None).await {
                Ok(stream) => return Ok(stream),
                Err(error) => errors.push(naming("connect to", addr, error)),
            }
        }
        Err(naming_all(errors))
    }

    /// Connects to one address; from the first of the `local` ones that fits, if there are any.
    pub(crate) async fn connect_one(
        addr: SocketAddr,
        local: Option<&[SocketAddr]>,
    ) -> io::Result<Self> {
        let socket = sys::stream_socket(&addr)?;
        if let Some(local) = local {
            sys::bind_any(socket.as_fd(), &addr, local)?;
        }
        sys::connect(socket.as_fd(), &addr)?;
        let stream = Self::from_nonblocking(net::TcpStream::from(socket))?;
        stream
            .socket
            .async_io(Direction::Write, |socket| sys::connected(socket.as_fd()))
            .await?;
        Ok(stream)
    }

    /// Takes over a connected socket and puts it into non-blocking mode.
    ///
    /// # Errors
    ///
    /// If no runtime is running on this thread or it has shut down, or if the system's limits are reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::TcpStream;
    /// # loxley_runtime::run(async {
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let plain = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// let stream = TcpStream::from_std(plain)?;
    /// assert_eq!(stream.write(b"hello").await?, 5);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn from_std(stream: net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Self::from_nonblocking(stream)
    }

    pub(super) fn from_nonblocking(stream: net::TcpStream) -> io::Result<Self> {
        Ok(Self {
            socket: Registered::new(stream, Interest::Both)?,
        })
    }

    /// Gives the socket up; it stays in non-blocking mode.
    ///
    /// # Examples
    ///
    /// Back to code that waits in the system:
    ///
    /// ```
    /// # use loxley_io::{TcpListener, TcpStream};
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// let plain = stream.into_std();
    /// plain.set_nonblocking(false)?;
    /// # let (peer, _) = listener.accept().await?;
    /// # peer.write_all(b"hello").await?;
    /// assert_eq!(std::io::Read::read(&mut &plain, &mut [0; 8])?, 5);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn into_std(self) -> net::TcpStream {
        self.socket.into_inner()
    }

    byte_reading!();
    byte_peeking!();
    byte_writing!();

    /// Ends the reading half, the writing half or both. The peer sees the end of ours; what was written before is sent.
    ///
    /// # Errors
    ///
    /// If the connection is broken. A connection that is gone already is no error.
    ///
    /// # Examples
    ///
    /// The peer hears that this was all, and may still answer:
    ///
    /// ```
    /// # use loxley_io::{TcpListener, TcpStream};
    /// # use std::net::Shutdown;
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let client = TcpStream::connect(listener.local_addr()?).await?;
    /// let (server, _) = listener.accept().await?;
    /// client.shutdown(Shutdown::Write)?;
    /// assert_eq!(server.read(&mut [0; 8]).await?, 0);
    /// server.write_all(b"answer").await?;
    /// assert_eq!(client.read(&mut [0; 8]).await?, 6);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self.socket.get_ref().shutdown(how) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }

    /// Splits the stream into two halves that borrow it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{TcpListener, TcpStream};
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let client = TcpStream::connect(listener.local_addr()?).await?;
    /// let (mut server, _) = listener.accept().await?;
    /// client.write_all(b"echo").await?;
    /// let (mut reader, mut writer) = server.split();
    /// let mut text = [0; 4];
    /// reader.read_exact(&mut text).await?;
    /// writer.write_all(&text).await?;
    /// client.read_exact(&mut text).await?;
    /// assert_eq!(&text, b"echo");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        ByteStream::split(self)
    }

    /// Splits the stream into two halves for two tasks. Dropping the writing half ends it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{TcpListener, TcpStream};
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let client = TcpStream::connect(listener.local_addr()?).await?;
    /// let (server, _) = listener.accept().await?;
    /// let (_reader, mut writer) = server.into_split();
    /// let sender = loxley_runtime::create_task(async move { writer.write_all(b"hello").await });
    /// client.read_exact(&mut [0; 5]).await?;
    /// sender.await??;
    /// assert_eq!(client.read(&mut [0; 8]).await?, 0, "the task has dropped its half");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        ByteStream::into_split(self)
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
    /// # use loxley_io::{TcpListener, TcpStream};
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let client = TcpStream::connect(listener.local_addr()?).await?;
    /// let (_server, peer) = listener.accept().await?;
    /// assert_eq!(client.local_addr()?, peer);
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
    /// If the connection is gone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{TcpListener, TcpStream};
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let client = TcpStream::connect(listener.local_addr()?).await?;
    /// assert_eq!(client.peer_addr()?, listener.local_addr()?);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().peer_addr()
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{TcpListener, TcpStream};
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// assert!(!stream.nodelay()?, "the system's default");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn nodelay(&self) -> io::Result<bool> {
        self.socket.get_ref().nodelay()
    }

    /// Sends small writes at once, or collects them as long as something is unacknowledged (the default, RFC 896).
    ///
    /// # Errors
    ///
    /// If the connection is gone.
    ///
    /// # Examples
    ///
    /// For small questions with an answer each:
    ///
    /// ```
    /// # use loxley_io::{TcpListener, TcpStream};
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// stream.set_nodelay(true)?;
    /// assert!(stream.nodelay()?);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.get_ref().set_nodelay(nodelay)
    }

    /// How long closing waits for what was written to be sent (`SO_LINGER`); `None` is in the background.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{TcpListener, TcpStream};
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// assert_eq!(stream.linger()?, None, "in the background");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        sys::linger(&self.socket)
    }

    /// Sets [`linger`](Self::linger), in whole seconds. Zero makes dropping the stream reset the connection.
    ///
    /// Anything longer makes **dropping the stream block its thread**: prefer [`shutdown`](Self::shutdown) and
    /// reading to the end.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    ///
    /// # Examples
    ///
    /// Broken off, so that the peer does not take what came for the whole:
    ///
    /// ```
    /// # use loxley_io::{TcpListener, TcpStream};
    /// # use std::time::Duration;
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// let (peer, _) = listener.accept().await?;
    /// stream.set_linger(Some(Duration::ZERO))?;
    /// drop(stream);
    /// let error = peer.read(&mut [0; 8]).await.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        sys::set_linger(&self.socket, linger)
    }

    /// The time-to-live of packets (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{TcpListener, TcpStream};
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// assert!(stream.ttl()? > 0);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        self.socket.get_ref().ttl()
    }

    /// Sets [`ttl`](Self::ttl).
    ///
    /// # Errors
    ///
    /// If the system refuses.
    ///
    /// # Examples
    ///
    /// Peers in the same network only:
    ///
    /// ```
    /// # use loxley_io::{TcpListener, TcpStream};
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// stream.set_ttl(1)?;
    /// assert_eq!(stream.ttl()?, 1);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket.get_ref().set_ttl(ttl)
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
    /// # use loxley_io::{TcpListener, TcpStream};
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// assert!(stream.take_error()?.is_none(), "all is well");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.get_ref().take_error()
    }
}

impl Carrier for TcpStream {
    type Fd = net::TcpStream;

    fn registered(&self) -> Option<&Registered<net::TcpStream>> {
        Some(&self.socket)
    }

    fn kind(&self) -> Kind {
        Kind::Tcp
    }

    fn end(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl ByteStream for TcpStream {
    type Addr = SocketAddr;

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.peer_addr()
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.get_ref().as_raw_fd()
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.get_ref().fmt(f)
    }
}
