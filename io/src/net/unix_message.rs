//! What goes along with bytes between Unix-domain sockets: descriptors, and who sent them.
//!
//! Used by `UnixStream` and `UnixDatagram`.

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::SocketAddr;

use loxley_runtime::lowlevel::Direction;

use super::UnixCredentials;
use crate::async_fd::Registered;
use crate::sys::unix as sys;

/// A message with what came along: see `recv_fds` of [`UnixStream`](super::UnixStream::recv_fds) and
/// [`UnixDatagram`](super::UnixDatagram::recv_fds).
///
/// # Examples
///
/// ```
/// use loxley_io::UnixStream;
/// use std::os::fd::AsFd;
///
/// # loxley_runtime::run(async {
/// let (ours, theirs) = UnixStream::pair()?;
/// let file = std::fs::File::open("Cargo.toml")?;
/// ours.send_fds(b"a file", &[file.as_fd()]).await?;
/// let mut text = [0; 16];
/// let message = theirs.recv_fds(&mut text, 1).await?;
/// assert_eq!((message.len, message.fds.len()), (6, 1));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct UnixMessage {
    /// How many bytes of the buffer are filled. For a stream, 0 is the end.
    pub len: usize,
    /// The descriptors, not inherited by child processes.
    pub fds: Vec<OwnedFd>,
    /// Who sent it, if credentials were asked for by `set_passcred`.
    pub credentials: Option<UnixCredentials>,
    /// Whether the datagram was longer than the buffer; the rest of it is lost.
    pub is_truncated: bool,
    /// Whether more came along than there was room for; those descriptors are closed.
    pub lost_fds: bool,
    /// Where a datagram comes from: unnamed if its sender is not bound, `None` for a path that is too long to be written to.
    pub from: Option<SocketAddr>,
}

/// What a message without bytes means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// Nothing: descriptors need a byte to go along with.
    Stream,
    /// A message.
    Datagram,
}

#[track_caller]
pub(super) fn send_fds<'a, T: AsFd>(
    socket: &'a Registered<T>,
    sort: Sort,
    payload: &'a [u8],
    fds: &'a [BorrowedFd<'a>],
) -> impl Future<Output = io::Result<usize>> {
    let send = socket.async_io(Direction::Write, |socket| {
        sys::send_with(socket.as_fd(), payload, fds, None)
    });
    async move {
        if sort == Sort::Stream && payload.is_empty() && !fds.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "on a stream, descriptors go along with a byte: send at least one",
            ));
        }
        send.await
    }
}

#[track_caller]
pub(super) fn recv_fds<'a, T: AsFd>(
    socket: &'a Registered<T>,
    buf: &'a mut [u8],
    fds_max: usize,
) -> impl Future<Output = io::Result<UnixMessage>> {
    let mut control = vec![0; sys::control_words(fds_max)];
    socket.async_io(Direction::Read, move |socket| {
        let mut received = sys::receive_with(socket.as_fd(), buf, &mut control)?;
        // Where no credentials came along, their room has served for a few more.
        let extra = received.descriptors.len() > fds_max;
        received.descriptors.truncate(fds_max);
        Ok(UnixMessage {
            len: received.len,
            fds: received.descriptors,
            credentials: received.credentials.map(UnixCredentials::new),
            is_truncated: received.is_truncated,
            lost_fds: received.lost_control || extra,
            from: received.from,
        })
    })
}

/// `send_fds`, `recv_fds`, `set_passcred`, `peer_cred`, for a type with a field `socket`.
macro_rules! messages {
    ($sort:expr) => {
        /// Sends bytes with descriptors along; returns how many bytes. The receiver gets copies of the descriptors, with
        /// the first byte.
        ///
        /// # Errors
        ///
        /// As sending without descriptors; also if there are more than 253 of them, or, on a stream, no byte to send them
        /// with.
        ///
        /// # Cancel safety
        ///
        /// Dropped before it is ready, it has sent nothing.
        ///
        /// **Differs from asyncio**: in place of `socket.send_fds`, which blocks.
        ///
        /// # Examples
        ///
        /// ```
        /// use loxley_io::UnixStream;
        /// use std::{fs::File, io::Read, os::fd::AsFd};
        ///
        /// # loxley_runtime::run(async {
        /// let (ours, theirs) = UnixStream::pair()?;
        /// let zeros = File::open("/dev/zero")?;
        /// ours.send_fds(b"!", &[zeros.as_fd()]).await?;
        ///
        /// let mut bytes = [0; 16];
        /// let mut message = theirs.recv_fds(&mut bytes, 1).await?;
        /// let mut passed = File::from(message.fds.remove(0));
        /// passed.read_exact(&mut bytes)?;
        /// # std::io::Result::Ok(())
        /// # }).unwrap();
        /// ```
        #[track_caller]
        pub fn send_fds<'a>(
            &'a self,
            payload: &'a [u8],
            fds: &'a [::std::os::fd::BorrowedFd<'a>],
        ) -> impl ::std::future::Future<Output = ::std::io::Result<usize>> {
            crate::net::unix_message::send_fds(&self.socket, $sort, payload, fds)
        }

        /// Receives bytes and what came along: at most `fds_max` descriptors (253 are the most in one message), and the
        /// sender's credentials, if [`set_passcred`](Self::set_passcred) asked for them. On a stream this ends with the
        /// bytes that descriptors came along with.
        ///
        /// # Errors
        ///
        /// As receiving without descriptors. If the process has no room for another descriptor, they are lost, and the
        /// message says so.
        ///
        /// # Cancel safety
        ///
        /// A message is either returned or still queued.
        ///
        /// **Differs from asyncio**: in place of `socket.recv_fds`, which blocks.
        ///
        /// # Examples
        ///
        /// ```
        /// # use loxley_io::UnixStream;
        /// # use std::{fs::File, os::fd::AsFd};
        /// # loxley_runtime::run(async {
        /// let (ours, theirs) = UnixStream::pair()?;
        /// let null = File::open("/dev/null")?;
        /// ours.send_fds(b"two", &[null.as_fd(), null.as_fd()]).await?;
        /// let message = theirs.recv_fds(&mut [0; 16], 1).await?;
        /// assert_eq!(message.fds.len(), 1);
        /// assert!(message.lost_fds, "there was room for one");
        /// # std::io::Result::Ok(())
        /// # }).unwrap();
        /// ```
        #[track_caller]
        pub fn recv_fds<'a>(
            &'a self,
            buf: &'a mut [u8],
            fds_max: usize,
        ) -> impl ::std::future::Future<Output = ::std::io::Result<crate::net::UnixMessage>> {
            crate::net::unix_message::recv_fds(&self.socket, buf, fds_max)
        }

        /// Whether the system adds the sender's credentials to what is received (`SO_PASSCRED`, Linux): read them
        /// with [`recv_fds`](Self::recv_fds).
        ///
        /// # Errors
        ///
        /// If the system does not know how.
        ///
        /// # Examples
        ///
        /// ```
        /// # use loxley_io::UnixStream;
        /// # loxley_runtime::run(async {
        /// let (ours, theirs) = UnixStream::pair()?;
        /// theirs.set_passcred(true)?;
        /// ours.write_all(b"it is me").await?;
        /// let message = theirs.recv_fds(&mut [0; 16], 0).await?;
        /// let sender = message.credentials.expect("they were asked for");
        /// assert_eq!(sender.pid(), i32::try_from(std::process::id()).ok());
        /// # std::io::Result::Ok(())
        /// # }).unwrap();
        /// ```
        pub fn set_passcred(&self, on: bool) -> ::std::io::Result<()> {
            crate::sys::unix::set_passcred(self.socket.as_fd(), on)
        }

        /// Who is at the other end: the process as it was when it connected, or when it began to listen.
        ///
        /// # Errors
        ///
        /// If there is nobody, or the system does not know ([`Unsupported`](std::io::ErrorKind::Unsupported), outside Linux).
        ///
        /// # Examples
        ///
        /// ```
        /// # use loxley_io::UnixStream;
        /// # loxley_runtime::run(async {
        /// let (ours, _theirs) = UnixStream::pair()?;
        /// let peer = ours.peer_cred()?;
        /// assert_eq!(peer.pid(), i32::try_from(std::process::id()).ok());
        /// # std::io::Result::Ok(())
        /// # }).unwrap();
        /// ```
        pub fn peer_cred(&self) -> ::std::io::Result<crate::net::UnixCredentials> {
            let peer = crate::sys::unix::peer_credentials(self.socket.as_fd())?;
            Ok(crate::net::UnixCredentials::new(peer))
        }
    };
}

pub(super) use messages;
