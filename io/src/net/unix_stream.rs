//! A connection between Unix-domain sockets, and who is at its other end.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;

use loxley_runtime::lowlevel::Interest;
use loxley_runtime::{Handle, to_thread};
use loxley_sync::prim::Arc;
use loxley_sync::prim::atomic::{AtomicBool, Ordering};
use rustix::net::SocketType;

use super::split::{ByteStream, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use super::unix_message::{Sort, messages};
use crate::async_fd::Registered;
use crate::bytes::{Carrier, Kind};
use crate::methods::{byte_peeking, byte_reading, byte_writing};
use crate::resolve::naming;
use crate::sys;

/// A connection between Unix-domain sockets of one machine.
///
/// Reading and writing take `&self`, so one task may read while another writes; or [`split`](Self::split) it.
/// Dropping the stream closes the connection; what was written can still be read by the peer.
///
/// # Examples
///
/// ```
/// use loxley_io::UnixStream;
///
/// # loxley_runtime::run(async {
/// let (ours, theirs) = UnixStream::pair()?;
/// ours.write_all(b"hello").await?;
/// let mut bytes = [0; 5];
/// theirs.read_exact(&mut bytes).await?;
/// assert_eq!(&bytes, b"hello");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub struct UnixStream {
    socket: Registered<net::UnixStream>,
}

impl UnixStream {
    /// Connects to the socket that listens at `path`; a path that begins with a NUL byte is an abstract name (Linux).
    ///
    /// Where the listener's queue is full this waits until it accepts. No event tells of that, so such a connect blocks a
    /// thread of the runtime's pool meanwhile.
    ///
    /// # Errors
    ///
    /// If the path is empty, has a NUL byte inside, or has more than 107 bytes (all of them
    /// [`InvalidInput`](io::ErrorKind::InvalidInput)); if nobody listens there, naming the path; or as
    /// [`from_std`](Self::from_std).
    ///
    /// # Panics
    ///
    /// If the listener's queue is full and the runtime's shutdown has begun.
    ///
    /// # Cancel safety
    ///
    /// A connection that is not finished is given up.
    ///
    /// **Differs from asyncio**: waits in a full queue, where `sock_connect` takes the refusal for a connection.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixListener, UnixStream};
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-stream-connect-{}", std::process::id()));
    /// let _listener = UnixListener::bind(&path)?;
    /// let stream = UnixStream::connect(&path).await?;
    /// assert_eq!(stream.peer_addr()?.as_pathname(), Some(&*path));
    /// # std::fs::remove_file(&path)
    /// # }).unwrap();
    /// ```
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::connect_addr(&sys::unix::address(path.as_ref())?).await
    }

    /// [`connect`](Self::connect) to an address.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Panics
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixListener, UnixStream};
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-stream-addr-{}", std::process::id()));
    /// let listener = UnixListener::bind(&path)?;
    /// let stream = UnixStream::connect_addr(&listener.local_addr()?).await?;
    /// assert!(stream.local_addr()?.is_unnamed());
    /// # std::fs::remove_file(&path)
    /// # }).unwrap();
    /// ```
    pub async fn connect_addr(addr: &SocketAddr) -> io::Result<Self> {
        let mut socket = sys::unix::socket(SocketType::STREAM)?;
        let connected = match sys::unix::connect(socket.as_fd(), addr) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                match connect_in_queue(socket, addr.clone()).await {
                    Ok(connected) => {
                        socket = connected;
                        Ok(())
                    }
                    Err(error) => return Err(refused(addr, error)),
                }
            }
            result => result,
        };
        connected.map_err(|error| refused(addr, error))?;
        Self::from_nonblocking(socket.into())
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// As [`from_std`](Self::from_std).
    ///
    /// # Examples
    ///
    /// One end for a child process, one for us:
    ///
    /// ```
    /// # use loxley_io::UnixStream;
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// drop(theirs);
    /// assert_eq!(ours.read(&mut [0; 8]).await?, 0);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[doc(alias = "duplex")]
    #[doc(alias = "socketpair")]
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = net::UnixStream::pair()?;
        Ok((Self::from_std(one)?, Self::from_std(other)?))
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
    /// # use loxley_io::UnixStream;
    /// # loxley_runtime::run(async {
    /// let (plain, other) = std::os::unix::net::UnixStream::pair()?;
    /// let stream = UnixStream::from_std(plain)?;
    /// assert_eq!(stream.write(b"hello").await?, 5);
    /// # drop(other);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn from_std(stream: net::UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Self::from_nonblocking(stream)
    }

    pub(super) fn from_nonblocking(stream: net::UnixStream) -> io::Result<Self> {
        Ok(Self {
            socket: Registered::new(stream, Interest::Both)?,
        })
    }

    /// Gives the socket up; it stays in non-blocking mode.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixStream;
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// ours.write_all(b"hello").await?;
    /// let plain = theirs.into_std();
    /// plain.set_nonblocking(false)?;
    /// assert_eq!(std::io::Read::read(&mut &plain, &mut [0; 8])?, 5);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn into_std(self) -> net::UnixStream {
        self.socket.into_inner()
    }

    byte_reading!();
    byte_peeking!();
    byte_writing!();

    /// Ends the reading half, the writing half or both. The peer sees the end of ours; what was written before can be
    /// read.
    ///
    /// # Errors
    ///
    /// If the connection is broken. A connection that is gone already is no error.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixStream;
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// ours.shutdown(std::net::Shutdown::Write)?;
    /// assert_eq!(theirs.read(&mut [0; 8]).await?, 0, "the end of our half");
    /// assert_eq!(theirs.write(b"answer").await?, 6, "theirs is good");
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
    /// # use loxley_io::UnixStream;
    /// # loxley_runtime::run(async {
    /// let (mut ours, theirs) = UnixStream::pair()?;
    /// theirs.write_all(b"ping").await?;
    /// let (mut reader, mut writer) = ours.split();
    /// let mut word = [0; 4];
    /// reader.read_exact(&mut word).await?;
    /// writer.write_all(&word).await?;
    /// assert_eq!(theirs.read(&mut word).await?, 4);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn split(&mut self) -> (ReadHalf<'_, Self>, WriteHalf<'_, Self>) {
        ByteStream::split(self)
    }

    /// Splits the stream into two halves for two tasks. Dropping the writing half ends it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixStream;
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// let (mut reader, writer) = ours.into_split();
    /// drop(writer);
    /// assert_eq!(theirs.read(&mut [0; 8]).await?, 0);
    /// theirs.write_all(b"still heard").await?;
    /// assert_eq!(reader.read(&mut [0; 64]).await?, 11);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn into_split(self) -> (OwnedReadHalf<Self>, OwnedWriteHalf<Self>) {
        ByteStream::into_split(self)
    }

    /// Our address; unnamed unless we were accepted.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixStream;
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// assert!(ours.local_addr()?.is_unnamed());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }

    /// The peer's address; unnamed if the peer is the one that connected.
    ///
    /// # Errors
    ///
    /// If the connection is gone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixStream;
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// assert!(ours.peer_addr()?.is_unnamed());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().peer_addr()
    }

    messages!(Sort::Stream);

    /// The error that the socket has kept for the next operation, taken away.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixStream;
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// assert!(ours.take_error()?.is_none());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.get_ref().take_error()
    }
}

/// Names the address in an error of connecting.
fn refused(addr: &SocketAddr, error: io::Error) -> io::Error {
    naming("connect to", sys::unix::display(addr), error)
}

/// Connects on a thread that may block, which gives up soon after this future is dropped.
async fn connect_in_queue(socket: OwnedFd, addr: SocketAddr) -> io::Result<OwnedFd> {
    struct Unwanted(Arc<AtomicBool>);

    impl Drop for Unwanted {
        fn drop(&mut self) {
            // ordering: Relaxed. A hint to stop; nothing travels along.
            self.0.store(true, Ordering::Relaxed);
        }
    }

    Handle::try_current().map_err(io::Error::other)?;
    let guard = Unwanted(Arc::new(AtomicBool::new(false)));
    let unwanted = guard.0.clone();
    to_thread(move || {
        // ordering: Relaxed, as in `Unwanted`.
        let is_wanted = || !unwanted.load(Ordering::Relaxed);
        sys::unix::connect_blocking(socket.as_fd(), &addr, is_wanted)?;
        Ok(socket)
    })
    .await
}

impl Carrier for UnixStream {
    type Fd = net::UnixStream;

    fn registered(&self) -> Option<&Registered<net::UnixStream>> {
        Some(&self.socket)
    }

    fn kind(&self) -> Kind {
        Kind::Unix
    }

    fn end(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl ByteStream for UnixStream {
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

impl AsFd for UnixStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for UnixStream {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.get_ref().as_raw_fd()
    }
}

impl fmt::Debug for UnixStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.get_ref().fmt(f)
    }
}

/// A process as the kernel vouches for it: see [`UnixStream::peer_cred`].
///
/// # Examples
///
/// ```
/// use loxley_io::UnixStream;
///
/// # loxley_runtime::run(async {
/// let (ours, theirs) = UnixStream::pair()?;
/// let peer = ours.peer_cred()?;
/// assert_eq!(peer.pid(), i32::try_from(std::process::id()).ok());
/// # drop(theirs);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnixCredentials {
    pid: i32,
    uid: u32,
    gid: u32,
}

impl UnixCredentials {
    pub(super) fn new((pid, uid, gid): (i32, u32, u32)) -> Self {
        Self { pid, uid, gid }
    }

    /// The process; `None` if it has no number in our PID namespace. The number may have passed to another process since.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixStream;
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// let pid = ours.peer_cred()?.pid().expect("in our namespace");
    /// assert!(pid > 0);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        (self.pid > 0).then_some(self.pid)
    }

    /// Its effective user.
    ///
    /// # Examples
    ///
    /// Only one's own user is served:
    ///
    /// ```
    /// # use loxley_io::UnixStream;
    /// # use std::os::unix::fs::MetadataExt;
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// # let me = std::fs::metadata("/proc/self")?.uid();
    /// assert_eq!(ours.peer_cred()?.uid(), me);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Its effective group.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixStream;
    /// # use std::os::unix::fs::MetadataExt;
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// # let my_group = std::fs::metadata("/proc/self")?.gid();
    /// assert_eq!(ours.peer_cred()?.gid(), my_group);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.gid
    }
}
