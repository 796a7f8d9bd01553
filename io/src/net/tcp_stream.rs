//! A TCP connection.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{self, Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use loxley_runtime::lowlevel::{Attempt, Direction, Interest};

use super::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::async_fd::Registered;
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
    pub async fn connect(addr: impl ToSocketAddrs) -> io::Result<Self> {
        let mut errors = Vec::new();
        for addr in lookup_host(addr).await? {
            match Self::connect_one(addr).await {
                Ok(stream) => return Ok(stream),
                Err(error) => errors.push(naming("connect to", addr, error)),
            }
        }
        Err(naming_all(errors))
    }

    async fn connect_one(addr: SocketAddr) -> io::Result<Self> {
        let socket = sys::stream_socket(&addr)?;
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
    pub fn into_std(self) -> net::TcpStream {
        self.socket.into_inner()
    }

    /// Reads what there is, at most as much as fits: 0 is the end of the peer's half, or says that `buf` is empty.
    ///
    /// # Errors
    ///
    /// If the connection is broken, or the runtime has shut down.
    ///
    /// # Cancel safety
    ///
    /// Bytes are either returned or still unread.
    #[track_caller]
    pub fn read<'a>(&'a self, buf: &'a mut [u8]) -> impl Future<Output = io::Result<usize>> {
        let nothing = buf.is_empty();
        let read = self
            .socket
            .async_attempt(Direction::Read, || self.recv_now(buf));
        async move { if nothing { Ok(0) } else { read.await } }
    }

    /// Reads until `buf` is full.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read); [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the peer ends first.
    ///
    /// # Cancel safety
    ///
    /// None: what was read already is in `buf` and nobody knows how much.
    pub async fn read_exact(&self, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            let n = self.read(buf).await?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            buf = &mut buf[n..];
        }
        Ok(())
    }

    /// Reads what there is and leaves it unread.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    #[track_caller]
    pub fn peek<'a>(&'a self, buf: &'a mut [u8]) -> impl Future<Output = io::Result<usize>> {
        let nothing = buf.is_empty();
        let peek = self.socket.async_attempt(Direction::Read, || {
            sys::peek(self.socket.as_fd(), buf).map(Attempt::More)
        });
        async move { if nothing { Ok(0) } else { peek.await } }
    }

    /// Writes as much as the system takes, and says how much that was.
    ///
    /// # Errors
    ///
    /// If the connection is broken (there is no SIGPIPE), or the runtime has shut down.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has written nothing.
    #[track_caller]
    pub fn write<'a>(&'a self, buf: &'a [u8]) -> impl Future<Output = io::Result<usize>> {
        let write = self
            .socket
            .async_attempt(Direction::Write, || self.send_now(buf));
        async move { if buf.is_empty() { Ok(0) } else { write.await } }
    }

    /// [`write`](Self::write) from several slices in one system call.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # Cancel safety
    ///
    /// As [`write`](Self::write).
    #[track_caller]
    pub fn write_vectored<'a>(
        &'a self,
        bufs: &'a [IoSlice<'a>],
    ) -> impl Future<Output = io::Result<usize>> {
        self.socket
            .async_attempt(Direction::Write, || self.send_vectored_now(bufs))
    }

    /// Writes all of `buf`.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # Cancel safety
    ///
    /// None: some of `buf` may have been written and nobody knows how much.
    pub async fn write_all(&self, mut buf: &[u8]) -> io::Result<()> {
        while !buf.is_empty() {
            let n = self.write(buf).await?;
            buf = &buf[n..];
        }
        Ok(())
    }

    /// Waits until a read is worth trying: there are bytes, or the end, or an error. A guess that
    /// [`try_read`](Self::try_read) disproves is forgotten, so a loop over both does not spin.
    ///
    /// # Errors
    ///
    /// If the runtime has shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readiness(Direction::Read).await.map(drop)
    }

    /// Waits until a write is worth trying.
    ///
    /// # Errors
    ///
    /// If the runtime has shut down.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn writable(&self) -> io::Result<()> {
        self.socket.readiness(Direction::Write).await.map(drop)
    }

    /// Reads without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is nothing; else as [`read`](Self::read).
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket
            .try_io(Direction::Read, |socket| sys::recv(socket.as_fd(), buf))
    }

    /// Writes without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if the system takes nothing now; else as [`write`](Self::write).
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.socket
            .try_io(Direction::Write, |socket| sys::send(socket.as_fd(), buf))
    }

    /// [`try_write`](Self::try_write) from several slices in one system call.
    ///
    /// # Errors
    ///
    /// As [`try_write`](Self::try_write).
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.try_io(Direction::Write, |socket| {
            sys::send_vectored(socket.as_fd(), bufs)
        })
    }

    /// Ends the reading half, the writing half or both. The peer sees the end of ours; what was written before is sent.
    ///
    /// # Errors
    ///
    /// If the connection is broken. A connection that is gone already is no error.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self.socket.get_ref().shutdown(how) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }

    /// Splits the stream into two halves that borrow it.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// Splits the stream into two halves for two tasks. Dropping the writing half ends it.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let stream = Arc::new(self);
        (
            OwnedReadHalf::new(stream.clone()),
            OwnedWriteHalf::new(stream),
        )
    }

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
    /// If the connection is gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().peer_addr()
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.socket.get_ref().nodelay()
    }

    /// Sends small writes at once, or collects them as long as something is unacknowledged (the default, RFC 896).
    ///
    /// # Errors
    ///
    /// If the connection is gone.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.get_ref().set_nodelay(nodelay)
    }

    /// How long closing waits for what was written to be sent (`SO_LINGER`); `None` is in the background.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
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
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        sys::set_linger(&self.socket, linger)
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

    /// The primitive under every trait's reading.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.socket
            .poll_attempt(cx, Direction::Read, || self.recv_now(buf))
    }

    /// The same into memory nobody has written yet: the first bytes, as many as it returns, are initialised then.
    #[cfg_attr(
        not(any(feature = "hyper", feature = "tokio-io")),
        allow(
            dead_code,
            reason = "for the trait families that read into uninitialised memory"
        )
    )]
    pub(crate) fn poll_read_uninit(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [MaybeUninit<u8>],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.socket.poll_attempt(cx, Direction::Read, || {
            let n = sys::recv_uninit(self.socket.as_fd(), buf)?;
            Ok(after_read(n, buf.len()))
        })
    }

    /// The same for the streams, which bring their own call: it says how much it has read of how much.
    pub(crate) fn poll_read_by(
        &self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(BorrowedFd<'_>) -> io::Result<(usize, usize)>,
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_attempt(cx, Direction::Read, || {
            let (n, asked) = read(self.socket.as_fd())?;
            Ok(after_read(n, asked))
        })
    }

    /// The primitive under every trait's writing.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.socket
            .poll_attempt(cx, Direction::Write, || self.send_now(buf))
    }

    /// The same from several slices.
    pub(crate) fn poll_writev(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket
            .poll_attempt(cx, Direction::Write, || self.send_vectored_now(bufs))
    }

    /// Ends the writing half; never waits.
    pub(crate) fn poll_shutdown(&self) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown(Shutdown::Write))
    }

    fn recv_now(&self, buf: &mut [u8]) -> io::Result<Attempt<usize>> {
        let n = sys::recv(self.socket.as_fd(), buf)?;
        Ok(after_read(n, buf.len()))
    }

    fn send_now(&self, buf: &[u8]) -> io::Result<Attempt<usize>> {
        let n = sys::send(self.socket.as_fd(), buf)?;
        Ok(after_write(n, buf.len()))
    }

    fn send_vectored_now(&self, bufs: &[IoSlice<'_>]) -> io::Result<Attempt<usize>> {
        let bufs = &bufs[..bufs.len().min(sys::SLICES_MAX)];
        let n = sys::send_vectored(self.socket.as_fd(), bufs)?;
        let asked = bufs.iter().map(|buf| buf.len()).sum();
        Ok(after_write(n, asked))
    }
}

/// A transfer of this size may have been cut short by the kernel's own limit (2 GiB less a page) and says nothing.
const CUT_BY_KERNEL: usize = 1 << 30;

/// A read that leaves room has taken all there was: the next one waits for an event. The end is no such thing, it
/// stays.
fn after_read(n: usize, asked: usize) -> Attempt<usize> {
    if 0 < n && n < asked && n < CUT_BY_KERNEL {
        Attempt::Drained(n)
    } else {
        Attempt::More(n)
    }
}

/// A write that was cut short has filled the socket: the next one waits for an event.
fn after_write(n: usize, asked: usize) -> Attempt<usize> {
    if n < asked && n < CUT_BY_KERNEL {
        Attempt::Drained(n)
    } else {
        Attempt::More(n)
    }
}

impl AsRef<Self> for TcpStream {
    fn as_ref(&self) -> &Self {
        self
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
