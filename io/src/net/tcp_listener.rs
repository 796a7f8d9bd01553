//! A TCP socket that takes connections.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll};

use loxley_runtime::lowlevel::{Attempt, Direction, Interest};

use super::TcpStream;
use super::accept::is_of_one_connection;
use super::incoming::{Accepts, Incoming};
use crate::async_fd::Registered;
use crate::resolve::{ToSocketAddrs, lookup_host, naming, naming_all};
use crate::sys;

/// A TCP socket that takes connections.
///
/// # Examples
///
/// ```no_run
/// use loxley_io::TcpListener;
///
/// # async fn example() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let (stream, peer) = listener.accept().await?;
/// # let _ = (stream, peer); Ok(())
/// # }
/// ```
pub struct TcpListener {
    socket: Registered<net::TcpListener>,
}

impl TcpListener {
    /// Binds to the first of the addresses that can be bound, and listens. Port 0 lets the system choose; ask
    /// [`local_addr`](Self::local_addr). The address may be one whose last connections are still closing
    /// (`SO_REUSEADDR`).
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
    /// ```
    /// # use loxley_io::TcpListener;
    /// # loxley_runtime::run(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// assert_ne!(listener.local_addr()?.port(), 0, "the system has chosen one");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub async fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        let mut errors = Vec::new();
        for addr in lookup_host(addr).await? {
            match sys::listener(&addr) {
                Ok(listener) => return Self::from_nonblocking(listener.into()),
                Err(error) => errors.push(naming("bind", addr, error)),
            }
        }
        Err(naming_all(errors))
    }

    /// Takes over a listening socket and puts it into non-blocking mode.
    ///
    /// # Errors
    ///
    /// If no runtime is running on this thread or it has shut down, or if the system's limits are reached.
    ///
    /// # Examples
    ///
    /// A socket that was bound before there was a runtime, or inherited:
    ///
    /// ```
    /// # use loxley_io::TcpListener;
    /// let bound = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// # loxley_runtime::run(async {
    /// let listener = TcpListener::from_std(bound)?;
    /// assert!(listener.local_addr()?.ip().is_loopback());
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn from_std(listener: net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Self::from_nonblocking(listener)
    }

    fn from_nonblocking(listener: net::TcpListener) -> io::Result<Self> {
        Ok(Self {
            socket: Registered::new(listener, Interest::Read)?,
        })
    }

    /// Gives the socket up; it stays in non-blocking mode.
    ///
    /// # Examples
    ///
    /// To be handed on to a child process, say:
    ///
    /// ```
    /// # use loxley_io::TcpListener;
    /// # loxley_runtime::run(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let addr = listener.local_addr()?;
    /// let bound: std::net::TcpListener = listener.into_std();
    /// assert_eq!(bound.local_addr()?, addr, "it listens on");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn into_std(self) -> net::TcpListener {
        self.socket.into_inner()
    }

    /// Waits for a connection. One that died before it could be taken is skipped.
    ///
    /// # Errors
    ///
    /// If the process or the system has run out of descriptors or memory: the connection stays queued, so pause before
    /// the next try, as [`incoming`](Self::incoming) does by itself. Or if the runtime has shut down.
    ///
    /// # Cancel safety
    ///
    /// A connection is either returned or still queued.
    ///
    /// # Fairness
    ///
    /// Several tasks may accept at once; each connection goes to one of them, in no particular order.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{TcpListener, TcpStream};
    /// # loxley_runtime::run(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let client = TcpStream::connect(listener.local_addr()?).await?;
    /// let (stream, peer) = listener.accept().await?;
    /// assert_eq!(peer, client.local_addr()?);
    /// stream.write_all(b"welcome").await?;
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    #[doc(alias = "sock_accept")]
    pub fn accept(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> {
        self.socket
            .async_attempt(Direction::Read, || self.accept_now())
    }

    /// [`accept`](Self::accept) for hand-written futures. The last eight tasks that polled are woken.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{TcpListener, TcpStream};
    /// # use std::future::poll_fn;
    /// # loxley_runtime::run(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let client = TcpStream::connect(listener.local_addr()?).await?;
    /// let (_stream, peer) = poll_fn(|cx| listener.poll_accept(cx)).await?;
    /// assert_eq!(peer, client.local_addr()?);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.socket
            .poll_attempt(cx, Direction::Read, || self.accept_now())
    }

    /// Connections one after the other, with a pause where the system is short of descriptors or memory.
    ///
    /// # Examples
    ///
    /// The loop of a server that outlives a shortage:
    ///
    /// ```
    /// # use loxley_io::{TcpListener, TcpStream};
    /// # loxley_runtime::run(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let addr = listener.local_addr()?;
    /// let server = loxley_runtime::create_task(async move {
    ///     let mut incoming = listener.incoming();
    ///     while let Ok((stream, _)) = incoming.next().await {
    ///         let _ = stream.write_all(b"hello").await;
    ///     }
    /// });
    /// let client = TcpStream::connect(addr).await?;
    /// client.read_exact(&mut [0; 5]).await?;
    /// server.cancel();
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming::new(self)
    }

    /// The address that is listened on.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::TcpListener;
    /// # loxley_runtime::run(async {
    /// let (one, other) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
    /// assert_ne!(one.local_addr()?, other.local_addr()?);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
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
    /// # use loxley_io::TcpListener;
    /// # loxley_runtime::run(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// assert!(listener.take_error()?.is_none());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.get_ref().take_error()
    }

    fn accept_now(&self) -> io::Result<Attempt<(TcpStream, SocketAddr)>> {
        loop {
            match sys::accept(self.socket.as_fd()) {
                Ok((socket, peer)) => {
                    let stream = TcpStream::from_nonblocking(net::TcpStream::from(socket))?;
                    return Ok(Attempt::More((stream, peer)));
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Accepts for TcpListener {
    type Connection = (TcpStream, SocketAddr);

    fn accept(&self) -> impl Future<Output = io::Result<Self::Connection>> + Send {
        self.accept()
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.get_ref().as_raw_fd()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.get_ref().fmt(f)
    }
}
