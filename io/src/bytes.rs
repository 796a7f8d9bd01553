//! How bytes move through a descriptor: the one primitive under every type of this crate that reads or writes.
//!
//! Called by the sockets of `net`, by `pipe`, by `split` and by the traits of `traits/`. Knows which system calls a kind of
//! descriptor wants and what a short transfer says about it; never buffers, never retries beyond what the registration does.

use std::future::Future;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};

use loxley_runtime::lowlevel::{Attempt, Direction};

use crate::async_fd::Registered;
use crate::sys;

/// What sort of descriptor it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(unnameable_types, reason = "part of a sealed trait")]
pub enum Kind {
    /// A TCP connection.
    Tcp,
    /// A stream between Unix-domain sockets. The kernel ends a read where descriptors or credentials came along, so only
    /// a short read without any says that nothing is left.
    Unix,
    /// A pipe. A short read says nothing: in packet mode (`O_DIRECT`), which the writer alone decides about, each read
    /// ends with a packet.
    Pipe,
    /// A socket of any other sort: a short read may be a whole message with another one behind it.
    Socket,
    /// A character device: a terminal hands out one line at a time, however many there are.
    Device,
}

/// A type that bytes go through. Sealed: public only because the halves of a split stream name it.
#[allow(unnameable_types, reason = "part of a sealed trait")]
pub trait Carrier: Send + Sync + Unpin + Sized + 'static {
    /// What owns the descriptor.
    type Fd: AsFd + Send + Sync;

    /// The descriptor; `None` after [`end`](Self::end) has closed it.
    fn registered(&self) -> Option<&Registered<Self::Fd>>;

    /// What sort it is.
    fn kind(&self) -> Kind;

    /// Ends the writing half; never waits.
    fn end(&mut self) -> io::Result<()>;
}

/// What has a carrier inside: itself, a reference to it, a half of it. The trait families go through this.
pub(crate) trait Carries {
    type Carrier: Carrier;

    fn carrier(&self) -> &Self::Carrier;

    /// Ends the writing half; never waits.
    fn end(&mut self) -> io::Result<()>;
}

macro_rules! carries_itself {
    ($($carrier:ty),*) => {$(
        impl Carries for $carrier {
            type Carrier = Self;

            fn carrier(&self) -> &Self {
                self
            }

            fn end(&mut self) -> io::Result<()> {
                Carrier::end(self)
            }
        }
    )*};
}

carries_itself!(
    crate::TcpStream,
    crate::UnixStream,
    crate::PipeReader,
    crate::PipeWriter
);

/// What every operation says after the descriptor was closed.
pub(crate) fn closed() -> io::Error {
    io::Error::new(
        io::ErrorKind::BrokenPipe,
        "this end was closed by `close` or `shutdown`; nothing can follow",
    )
}

/// An operation tried whenever it may succeed. With `nothing` to do it is never tried.
#[track_caller]
#[expect(
    clippy::manual_map,
    reason = "a closure would take the caller's line away"
)]
fn attempt<'a, C: Carrier>(
    carrier: &'a C,
    direction: Direction,
    nothing: bool,
    mut operation: impl FnMut(Kind, BorrowedFd<'_>) -> io::Result<Attempt<usize>> + Unpin + 'a,
) -> impl Future<Output = io::Result<usize>> {
    let kind = carrier.kind();
    let attempt = match carrier.registered() {
        Some(registered) => {
            Some(registered.async_attempt(direction, move || operation(kind, registered.as_fd())))
        }
        None => None,
    };
    async move {
        match attempt {
            _ if nothing => Ok(0),
            Some(attempt) => attempt.await,
            None => Err(closed()),
        }
    }
}

#[track_caller]
pub(crate) fn read<'a, C: Carrier>(
    carrier: &'a C,
    buf: &'a mut [u8],
) -> impl Future<Output = io::Result<usize>> {
    let nothing = buf.is_empty();
    attempt(carrier, Direction::Read, nothing, |kind, fd| {
        read_now(kind, fd, buf)
    })
}

pub(crate) async fn read_exact<C: Carrier>(carrier: &C, mut buf: &mut [u8]) -> io::Result<()> {
    while !buf.is_empty() {
        let n = read(carrier, buf).await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buf = &mut buf[n..];
    }
    Ok(())
}

/// Sockets only.
#[track_caller]
pub(crate) fn peek<'a, C: Carrier>(
    carrier: &'a C,
    buf: &'a mut [u8],
) -> impl Future<Output = io::Result<usize>> {
    let nothing = buf.is_empty();
    attempt(carrier, Direction::Read, nothing, |_, fd| {
        sys::peek(fd, buf).map(Attempt::More)
    })
}

#[track_caller]
pub(crate) fn write<'a, C: Carrier>(
    carrier: &'a C,
    buf: &'a [u8],
) -> impl Future<Output = io::Result<usize>> {
    let nothing = buf.is_empty();
    attempt(carrier, Direction::Write, nothing, |kind, fd| {
        write_now(kind, fd, buf)
    })
}

#[track_caller]
pub(crate) fn write_vectored<'a, C: Carrier>(
    carrier: &'a C,
    bufs: &'a [IoSlice<'a>],
) -> impl Future<Output = io::Result<usize>> {
    attempt(carrier, Direction::Write, false, |kind, fd| {
        write_vectored_now(kind, fd, bufs)
    })
}

pub(crate) async fn write_all<C: Carrier>(carrier: &C, mut buf: &[u8]) -> io::Result<()> {
    while !buf.is_empty() {
        let n = write(carrier, buf).await?;
        buf = &buf[n..];
    }
    Ok(())
}

/// Waits until an operation of this direction is worth trying.
pub(crate) async fn ready<C: Carrier>(carrier: &C, direction: Direction) -> io::Result<()> {
    let registered = carrier.registered().ok_or_else(closed)?;
    registered.readiness(direction).await.map(drop)
}

pub(crate) fn try_read<C: Carrier>(carrier: &C, buf: &mut [u8]) -> io::Result<usize> {
    let registered = carrier.registered().ok_or_else(closed)?;
    registered.try_io(Direction::Read, |fd| {
        read_now(carrier.kind(), fd.as_fd(), buf).map(done)
    })
}

pub(crate) fn try_write<C: Carrier>(carrier: &C, buf: &[u8]) -> io::Result<usize> {
    let registered = carrier.registered().ok_or_else(closed)?;
    registered.try_io(Direction::Write, |fd| {
        write_now(carrier.kind(), fd.as_fd(), buf).map(done)
    })
}

pub(crate) fn try_write_vectored<C: Carrier>(
    carrier: &C,
    bufs: &[IoSlice<'_>],
) -> io::Result<usize> {
    let registered = carrier.registered().ok_or_else(closed)?;
    registered.try_io(Direction::Write, |fd| {
        write_vectored_now(carrier.kind(), fd.as_fd(), bufs).map(done)
    })
}

/// The primitive under every trait's reading.
pub(crate) fn poll_read<C: Carrier>(
    carrier: &C,
    cx: &mut Context<'_>,
    buf: &mut [u8],
) -> Poll<io::Result<usize>> {
    if buf.is_empty() {
        return Poll::Ready(Ok(0));
    }
    let Some(registered) = carrier.registered() else {
        return Poll::Ready(Err(closed()));
    };
    registered.poll_attempt(cx, Direction::Read, || {
        read_now(carrier.kind(), registered.as_fd(), buf)
    })
}

/// The same into memory nobody has written yet: the first bytes, as many as it returns, are initialised then.
#[cfg_attr(
    not(any(feature = "hyper", feature = "tokio-io")),
    allow(
        dead_code,
        reason = "for the trait families that read into uninitialised memory"
    )
)]
pub(crate) fn poll_read_uninit<C: Carrier>(
    carrier: &C,
    cx: &mut Context<'_>,
    buf: &mut [MaybeUninit<u8>],
) -> Poll<io::Result<usize>> {
    if buf.is_empty() {
        return Poll::Ready(Ok(0));
    }
    let Some(registered) = carrier.registered() else {
        return Poll::Ready(Err(closed()));
    };
    registered.poll_attempt(cx, Direction::Read, || {
        read_uninit_now(carrier.kind(), registered.as_fd(), buf)
    })
}

/// The same for the streams, who bring memory and call: `read` says how much it has read of how much. It is asked only when
/// there may be something.
pub(crate) fn poll_read_by<C: Carrier>(
    carrier: &C,
    cx: &mut Context<'_>,
    mut read: impl FnMut(BorrowedFd<'_>) -> io::Result<(usize, usize)>,
) -> Poll<io::Result<usize>> {
    let Some(registered) = carrier.registered() else {
        return Poll::Ready(Err(closed()));
    };
    registered.poll_attempt(cx, Direction::Read, || {
        let (n, asked) = read(registered.as_fd())?;
        Ok(match carrier.kind() {
            Kind::Tcp => after_read(n, asked),
            // As in `read_uninit_now`.
            Kind::Unix | Kind::Pipe | Kind::Socket | Kind::Device => Attempt::More(n),
        })
    })
}

/// The primitive under every trait's writing.
pub(crate) fn poll_write<C: Carrier>(
    carrier: &C,
    cx: &mut Context<'_>,
    buf: &[u8],
) -> Poll<io::Result<usize>> {
    if buf.is_empty() {
        return Poll::Ready(Ok(0));
    }
    let Some(registered) = carrier.registered() else {
        return Poll::Ready(Err(closed()));
    };
    registered.poll_attempt(cx, Direction::Write, || {
        write_now(carrier.kind(), registered.as_fd(), buf)
    })
}

/// The same from several slices.
pub(crate) fn poll_write_vectored<C: Carrier>(
    carrier: &C,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let Some(registered) = carrier.registered() else {
        return Poll::Ready(Err(closed()));
    };
    registered.poll_attempt(cx, Direction::Write, || {
        write_vectored_now(carrier.kind(), registered.as_fd(), bufs)
    })
}

fn read_now(kind: Kind, fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<Attempt<usize>> {
    let asked = buf.len();
    Ok(match kind {
        Kind::Tcp => after_read(sys::recv(fd, buf)?, asked),
        Kind::Unix => match sys::recv_alone(fd, buf)? {
            (n, false) => after_read(n, asked),
            (n, true) => Attempt::More(n),
        },
        Kind::Socket => Attempt::More(sys::recv(fd, buf)?),
        Kind::Pipe | Kind::Device => Attempt::More(sys::read(fd, buf)?),
    })
}

fn read_uninit_now(
    kind: Kind,
    fd: BorrowedFd<'_>,
    buf: &mut [MaybeUninit<u8>],
) -> io::Result<Attempt<usize>> {
    let asked = buf.len();
    Ok(match kind {
        Kind::Tcp => after_read(sys::recv_uninit(fd, buf)?, asked),
        // Only `recvmsg` says what came along, and there is none for such memory.
        Kind::Unix | Kind::Socket => Attempt::More(sys::recv_uninit(fd, buf)?),
        Kind::Pipe | Kind::Device => Attempt::More(sys::read_uninit(fd, buf)?),
    })
}

fn write_now(kind: Kind, fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<Attempt<usize>> {
    Ok(match kind {
        Kind::Tcp | Kind::Unix => after_write(sys::send(fd, buf)?, buf.len()),
        Kind::Pipe => after_write(sys::write(fd, buf)?, buf.len()),
        Kind::Socket => Attempt::More(sys::send(fd, buf)?),
        Kind::Device => Attempt::More(sys::write(fd, buf)?),
    })
}

fn write_vectored_now(
    kind: Kind,
    fd: BorrowedFd<'_>,
    bufs: &[IoSlice<'_>],
) -> io::Result<Attempt<usize>> {
    let bufs = &bufs[..bufs.len().min(sys::SLICES_MAX)];
    let n = match kind {
        Kind::Tcp | Kind::Unix | Kind::Socket => sys::send_vectored(fd, bufs)?,
        Kind::Pipe | Kind::Device => sys::write_vectored(fd, bufs)?,
    };
    Ok(match kind {
        Kind::Tcp | Kind::Unix | Kind::Pipe => {
            after_write(n, bufs.iter().map(|buf| buf.len()).sum())
        }
        Kind::Socket | Kind::Device => Attempt::More(n),
    })
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

/// A write that was cut short has filled the descriptor: the next one waits for an event.
fn after_write(n: usize, asked: usize) -> Attempt<usize> {
    if n < asked && n < CUT_BY_KERNEL {
        Attempt::Drained(n)
    } else {
        Attempt::More(n)
    }
}

fn done<T>(attempt: Attempt<T>) -> T {
    match attempt {
        Attempt::More(value) | Attempt::Drained(value) => value,
    }
}
