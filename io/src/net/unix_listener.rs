//! A Unix-domain socket that takes connections.

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;
use std::task::{Context, Poll};

use loxley_runtime::lowlevel::{Attempt, Direction, Interest};

use super::UnixStream;
use super::accept::is_of_one_connection;
use super::incoming::{Accepts, Incoming};
use crate::async_fd::Registered;
use crate::resolve::naming;
use crate::sys;

/// A Unix-domain socket that takes connections.
///
/// Dropping it does not remove its file: whoever binds the same path next must do that, or `start_unix_server`, which
/// does it by itself.
///
/// # Examples
///
/// ```
/// use loxley_io::{UnixListener, UnixStream};
///
/// # loxley_runtime::run(async {
/// # let path = std::env::temp_dir().join(format!("loxley-listener-doc-{}", std::process::id()));
/// let listener = UnixListener::bind(&path)?;
/// let client = UnixStream::connect(&path).await?;
/// let (server, _) = listener.accept().await?;
/// server.write_all(b"hello").await?;
/// assert_eq!(client.read(&mut [0; 8]).await?, 5);
/// # std::fs::remove_file(&path)
/// # }).unwrap();
/// ```
pub struct UnixListener {
    socket: Registered<net::UnixListener>,
}

impl UnixListener {
    /// Listens at `path`; one that begins with a NUL byte is an abstract name (Linux), which has no file.
    ///
    /// # Errors
    ///
    /// If the path is empty, has a NUL byte inside, or has more than 107 bytes (all of them
    /// [`InvalidInput`](io::ErrorKind::InvalidInput)); [`AddrInUse`](io::ErrorKind::AddrInUse) if there is a file at the
    /// path, be it a socket in use, a stale one or something else; all of them naming the path. Or as
    /// [`from_std`](Self::from_std).
    ///
    /// # Examples
    ///
    /// A file that was left behind is in the way:
    ///
    /// ```
    /// # use loxley_io::UnixListener;
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-listener-bind-{}", std::process::id()));
    /// drop(UnixListener::bind(&path)?);
    /// assert_eq!(UnixListener::bind(&path).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    /// std::fs::remove_file(&path)?;
    /// assert!(UnixListener::bind(&path).is_ok());
    /// # std::fs::remove_file(&path)
    /// # }).unwrap();
    /// ```
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_addr(&sys::unix::address(path.as_ref())?)
    }

    /// [`bind`](Self::bind) to an address.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixListener;
    /// # use std::os::unix::net::SocketAddr;
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-listener-addr-{}", std::process::id()));
    /// let listener = UnixListener::bind_addr(&SocketAddr::from_pathname(&path)?)?;
    /// assert_eq!(listener.local_addr()?.as_pathname(), Some(&*path));
    /// # std::fs::remove_file(&path)
    /// # }).unwrap();
    /// ```
    pub fn bind_addr(addr: &SocketAddr) -> io::Result<Self> {
        match sys::unix::listener(addr) {
            Ok(listener) => Self::from_nonblocking(listener.into()),
            Err(error) => Err(naming("bind", sys::unix::display(addr), error)),
        }
    }

    /// Takes over a listening socket and puts it into non-blocking mode.
    ///
    /// # Errors
    ///
    /// If no runtime is running on this thread or it has shut down, or if the system's limits are reached.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixListener;
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-listener-std-{}", std::process::id()));
    /// let bound = std::os::unix::net::UnixListener::bind(&path)?; // Before there was a runtime.
    /// let listener = UnixListener::from_std(bound)?;
    /// # assert!(listener.take_error()?.is_none());
    /// # std::fs::remove_file(&path)
    /// # }).unwrap();
    /// ```
    pub fn from_std(listener: net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Self::from_nonblocking(listener)
    }

    fn from_nonblocking(listener: net::UnixListener) -> io::Result<Self> {
        Ok(Self {
            socket: Registered::new(listener, Interest::Read)?,
        })
    }

    /// Gives the socket up; it stays in non-blocking mode.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixListener;
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-listener-into-{}", std::process::id()));
    /// let plain = UnixListener::bind(&path)?.into_std();
    /// assert_eq!(plain.local_addr()?.as_pathname(), Some(&*path), "it listens on");
    /// # std::fs::remove_file(&path)
    /// # }).unwrap();
    /// ```
    pub fn into_std(self) -> net::UnixListener {
        self.socket.into_inner()
    }

    /// Waits for a connection. The peer's address is unnamed unless the peer has bound its socket.
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
    /// # use loxley_io::{UnixListener, UnixStream};
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-listener-accept-{}", std::process::id()));
    /// let listener = UnixListener::bind(&path)?;
    /// let _client = UnixStream::connect(&path).await?;
    /// let (_stream, peer) = listener.accept().await?;
    /// assert!(peer.is_unnamed());
    /// # std::fs::remove_file(&path)
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn accept(&self) -> impl Future<Output = io::Result<(UnixStream, SocketAddr)>> {
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
    /// # use loxley_io::{UnixListener, UnixStream};
    /// # use std::future::poll_fn;
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-listener-poll-{}", std::process::id()));
    /// let listener = UnixListener::bind(&path)?;
    /// let client = UnixStream::connect(&path).await?;
    /// let (stream, _) = poll_fn(|cx| listener.poll_accept(cx)).await?;
    /// stream.write_all(b"hello").await?;
    /// assert_eq!(client.read(&mut [0; 8]).await?, 5);
    /// # std::fs::remove_file(&path)
    /// # }).unwrap();
    /// ```
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        self.socket
            .poll_attempt(cx, Direction::Read, || self.accept_now())
    }

    /// Connections one after the other, with a pause where the system is short of descriptors or memory.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixListener, UnixStream};
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-listener-incoming-{}", std::process::id()));
    /// let listener = UnixListener::bind(&path)?;
    /// let mut incoming = listener.incoming();
    /// for _ in 0..3 {
    ///     let _client = UnixStream::connect(&path).await?;
    ///     incoming.next().await?;
    /// }
    /// # std::fs::remove_file(&path)
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn incoming(&self) -> Incoming<'_, Self> {
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
    /// # use loxley_io::UnixListener;
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-listener-local-{}", std::process::id()));
    /// let listener = UnixListener::bind(&path)?;
    /// assert_eq!(listener.local_addr()?.as_pathname(), Some(&*path));
    /// # std::fs::remove_file(&path)
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
    /// # use loxley_io::UnixListener;
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-listener-error-{}", std::process::id()));
    /// assert!(UnixListener::bind(&path)?.take_error()?.is_none());
    /// # std::fs::remove_file(&path)
    /// # }).unwrap();
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.get_ref().take_error()
    }

    fn accept_now(&self) -> io::Result<Attempt<(UnixStream, SocketAddr)>> {
        loop {
            match sys::unix::accept(self.socket.as_fd()) {
                Ok((socket, peer)) => {
                    let stream = UnixStream::from_nonblocking(net::UnixStream::from(socket))?;
                    let peer = match peer {
                        Some(peer) => peer,
                        None => stream.peer_addr()?,
                    };
                    return Ok(Attempt::More((stream, peer)));
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Accepts for UnixListener {
    type Connection = (UnixStream, SocketAddr);

    fn accept(&self) -> impl Future<Output = io::Result<Self::Connection>> + Send {
        self.accept()
    }
}

impl AsFd for UnixListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for UnixListener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.get_ref().as_raw_fd()
    }
}

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.get_ref().fmt(f)
    }
}
