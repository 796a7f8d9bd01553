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
    #[track_caller]
    pub fn accept(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> {
        self.socket
            .async_attempt(Direction::Read, || self.accept_now())
    }

    /// [`accept`](Self::accept) for hand-written futures. Only the last task that polled is woken.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.socket
            .poll_attempt(cx, Direction::Read, || self.accept_now())
    }

    /// Connections one after the other, with a pause where the system is short of descriptors or memory.
    #[must_use]
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming::new(self)
    }

    /// The address that is listened on.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }

    /// The error that the socket has kept for the next operation, taken away.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
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
