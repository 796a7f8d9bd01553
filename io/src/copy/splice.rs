//! Bytes between two sockets that never enter this process: into a pipe and out of it again (splice(2)).
//!
//! Called by `copy_bidirectional` and by users. Where there is no such call, or no descriptor left for a pipe, the bytes go
//! through a buffer instead; nothing of that is seen outside.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use loxley_runtime::lowlevel::{Attempt, Direction, Registration};

use crate::bytes::{Carrier, closed};
use crate::net::ByteStream;
use crate::sys::{self, pipe};
use crate::{TcpStream, UnixStream};

/// The most bytes in one call. A pipe holds 16 pieces, whose sizes the socket decides about.
const AT_ONCE: usize = 1 << 20;

/// Who moves so much in one call is given a larger pipe, once: each call wakes both peers, and fewer calls cost half as much CPU
/// time per byte. Others keep the small one, because a user's pipes together may hold 64 MiB (`pipe-user-pages-soft`).
const MUCH: usize = 48 << 10;
const LARGE: usize = 256 << 10;

/// Between reading and writing, where the kernel cannot do it.
const BUFFER: usize = 64 << 10;

/// Moves bytes from one socket to another until the reader ends; returns how many. Closes nothing.
///
/// On Linux they stay inside the kernel; that costs a pipe while it lasts. The kernel may raise SIGPIPE there, which Rust
/// programs ignore from their start. Elsewhere this is [`copy`](crate::copy).
///
/// # Errors
///
/// The first one of either; what was read and not written is lost.
///
/// # Cancel safety
///
/// None: some bytes may have been read and not written, and nobody knows how many were.
///
/// # Examples
///
/// ```
/// use loxley_io::{UnixStream, splice};
///
/// # loxley_runtime::run(async {
/// let (client, front) = UnixStream::pair()?;
/// let (back, server) = UnixStream::pair()?;
/// client.write_all(b"through").await?;
/// drop(client);
/// assert_eq!(splice(&front, &back).await?, 7);
/// assert_eq!(server.read(&mut [0; 16]).await?, 7);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub async fn splice<R: ByteStream, W: ByteStream>(reader: &R, writer: &W) -> io::Result<u64> {
    let end = |end: Option<_>| end.ok_or_else(closed);
    one_way(end(End::new(reader))?, end(End::new(writer))?).await
}

/// A socket whose bytes may stay inside the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct End<'a> {
    registration: &'a Registration,
    fd: BorrowedFd<'a>,
}

impl<'a> End<'a> {
    fn new<C: Carrier>(carrier: &'a C) -> Option<Self> {
        let registered = carrier.registered()?;
        Some(Self {
            registration: registered.registration(),
            fd: registered.as_fd(),
        })
    }

    /// Whatever it is, if it is one of our sockets.
    pub(super) fn of(any: &'a dyn Any) -> Option<Self> {
        if let Some(tcp) = any.downcast_ref::<TcpStream>() {
            return Self::new(tcp);
        }
        Self::new(any.downcast_ref::<UnixStream>()?)
    }

    async fn read<T>(
        self,
        mut operation: impl FnMut(BorrowedFd<'a>) -> io::Result<T> + Unpin,
    ) -> io::Result<T> {
        let attempt = || operation(self.fd).map(Attempt::More);
        self.registration
            .async_attempt(Direction::Read, attempt)
            .await
    }

    async fn write<T>(
        self,
        mut operation: impl FnMut(BorrowedFd<'a>) -> io::Result<T> + Unpin,
    ) -> io::Result<T> {
        let attempt = || operation(self.fd).map(Attempt::More);
        self.registration
            .async_attempt(Direction::Write, attempt)
            .await
    }

    async fn write_all(self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let n = self.write(|fd| sys::send(fd, bytes)).await?;
            bytes = &bytes[n..];
        }
        Ok(())
    }
}

/// Both directions at once; the end of each is passed on.
pub(super) async fn bidirectional(a: End<'_>, b: End<'_>) -> io::Result<(u64, u64)> {
    async fn and_end(from: End<'_>, to: End<'_>) -> io::Result<u64> {
        let moved = one_way(from, to).await?;
        match sys::shutdown(to.fd, Shutdown::Write) {
            // It is gone, with all that it was sent.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(moved),
            result => result.map(|()| moved),
        }
    }
    let (mut forth, mut back) = (pin!(and_end(a, b)), pin!(and_end(b, a)));
    let (mut from_a, mut from_b) = (None, None);
    poll_fn(|cx| {
        poll_once(&mut forth, &mut from_a, cx)?;
        poll_once(&mut back, &mut from_b, cx)?;
        match (from_a, from_b) {
            (Some(from_a), Some(from_b)) => Poll::Ready(Ok((from_a, from_b))),
            _ => Poll::Pending,
        }
    })
    .await
}

/// Polls what is not done yet.
fn poll_once<T>(
    future: &mut Pin<&mut impl Future<Output = io::Result<T>>>,
    done: &mut Option<T>,
    cx: &mut Context<'_>,
) -> io::Result<()> {
    if done.is_none() {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            *done = Some(value?);
        }
    }
    Ok(())
}

async fn one_way(from: End<'_>, to: End<'_>) -> io::Result<u64> {
    // Without a descriptor left, the buffer serves.
    let Ok((outlet, inlet)) = pipe::pipe() else {
        return through_buffer(from, to, 0).await;
    };
    let mut moved = 0;
    let mut is_large = false;
    loop {
        let read = from.read(|fd| pipe::splice(fd, inlet.as_fd(), AT_ONCE));
        let mut left = match read.await {
            Ok(0) => return Ok(moved),
            Ok(n) => n,
            Err(error) if is_unknown(&error) => return through_buffer(from, to, moved).await,
            Err(error) => return Err(error),
        };
        if left >= MUCH && !is_large {
            is_large = true;
            pipe::enlarge(inlet.as_fd(), LARGE);
        }
        // The pipe is empty before more goes in: else a refusal to fill it could not be told from a dry socket.
        while left > 0 {
            let write = to.write(|fd| pipe::splice(outlet.as_fd(), fd, left));
            match write.await {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    left -= n;
                    moved += n as u64;
                }
                Err(error) if is_unknown(&error) => {
                    moved += empty(&outlet, left, to).await?;
                    return through_buffer(from, to, moved).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Writes what is left in a pipe.
async fn empty(outlet: &OwnedFd, len: usize, to: End<'_>) -> io::Result<u64> {
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match sys::read(outlet.as_fd(), &mut bytes[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    to.write_all(&bytes[..filled]).await?;
    Ok(filled as u64)
}

async fn through_buffer(from: End<'_>, to: End<'_>, mut moved: u64) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(|fd| sys::recv(fd, &mut buffer)).await? {
            0 => return Ok(moved),
            n => {
                to.write_all(&buffer[..n]).await?;
                moved += n as u64;
            }
        }
    }
}

/// Whether the system does not splice such descriptors.
fn is_unknown(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
    )
}
