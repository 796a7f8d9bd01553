//! Bytes from one end to another: through a buffer between any two, inside the kernel between two sockets.
//!
//! Called by users. `mod.rs` knows the traits of futures-io alone; `splice.rs` and `sendfile.rs` know descriptors. Nothing
//! here opens or closes what it is given, but [`copy_bidirectional`] passes on the end of either half.

mod sendfile;
mod splice;

pub use sendfile::{SendfileError, sendfile};
pub use splice::splice;

use std::any::Any;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use loxley_sync::ambient::{WaitKind, poll_budget, wait_reason};

use crate::traits::{AsyncRead, AsyncWrite};

/// Between reading and writing, in each direction. Allocated when the first byte is waited for.
const BUFFER: usize = 32 << 10;

/// Reads until the end, writes all of it, and flushes; returns how many bytes that were. Closes nothing.
///
/// Between two sockets, [`splice`] does the same without carrying the bytes through this process.
///
/// # Errors
///
/// The first one of either; what was read and not written is lost.
///
/// # Cancel safety
///
/// None: up to 32 KiB may have been read and not written, and nobody knows how much was.
///
/// # Examples
///
/// ```
/// use loxley_io::{UnixStream, copy};
///
/// # loxley_runtime::run(async {
/// let (mut ours, theirs) = UnixStream::pair()?;
/// assert_eq!(copy(&mut &b"hello"[..], &mut ours).await?, 5);
/// assert_eq!(theirs.read(&mut [0; 16]).await?, 5);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub async fn copy<R, W>(reader: &mut R, writer: &mut W) -> io::Result<u64>
where
    R: AsyncRead + Unpin + ?Sized,
    W: AsyncWrite + Unpin + ?Sized,
{
    let mut transfer = Transfer::new(AtEnd::Flush);
    let (mut reader, mut writer) = (Pin::new(reader), Pin::new(writer));
    poll_fn(|cx| transfer.poll(cx, reader.as_mut(), writer.as_mut())).await
}

/// Copies in both directions at once until both have ended; returns how many bytes went from `a` to `b` and from `b` to `a`.
/// The end of one direction is passed on: the writing half of the other side is closed, and the second direction goes on.
///
/// Where both are a [`TcpStream`](crate::TcpStream) or a [`UnixStream`](crate::UnixStream), the bytes stay inside the
/// kernel (Linux, splice(2)); that costs two pipes while it lasts. The kernel may raise SIGPIPE there, which Rust programs
/// ignore from their start.
///
/// # Errors
///
/// The first one of either side; the other direction is given up with it.
///
/// # Cancel safety
///
/// None: in each direction some bytes may have been read and not written.
///
/// # Examples
///
/// ```
/// use loxley_io::{UnixStream, copy_bidirectional};
/// use std::net::Shutdown;
///
/// # loxley_runtime::run(async {
/// let (client, mut front) = UnixStream::pair()?;
/// let (mut back, server) = UnixStream::pair()?;
/// client.write_all(b"question").await?;
/// client.shutdown(Shutdown::Write)?;
/// server.write_all(b"answer").await?;
/// server.shutdown(Shutdown::Write)?;
/// assert_eq!(copy_bidirectional(&mut front, &mut back).await?, (8, 6));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub async fn copy_bidirectional<A, B>(a: &mut A, b: &mut B) -> io::Result<(u64, u64)>
where
    A: AsyncRead + AsyncWrite + Unpin + 'static,
    B: AsyncRead + AsyncWrite + Unpin + 'static,
{
    if let (Some(a), Some(b)) = (
        splice::End::of(a as &dyn Any),
        splice::End::of(b as &dyn Any),
    ) {
        return splice::bidirectional(a, b).await;
    }
    let (mut forth, mut back) = (Transfer::new(AtEnd::Close), Transfer::new(AtEnd::Close));
    let (mut a, mut b) = (Pin::new(a), Pin::new(b));
    poll_fn(|cx| {
        let forth = forth.poll(cx, a.as_mut(), b.as_mut())?;
        let back = back.poll(cx, b.as_mut(), a.as_mut())?;
        // Each says the same again once it is done.
        Poll::Ready(Ok((ready!(forth), ready!(back))))
    })
    .await
}

/// What the writer gets when the reader has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AtEnd {
    Flush,
    Close,
}

/// How far one direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Bytes go through.
    Moving,
    /// The reader has ended and all is written.
    Ending,
    /// Done.
    Ended,
}

/// One direction.
#[derive(Debug)]
struct Transfer {
    buffer: Box<[u8]>,
    /// What of the buffer is read and not written.
    start: usize,
    end: usize,
    moved: u64,
    phase: Phase,
    needs_flush: bool,
    at_end: AtEnd,
}

impl Transfer {
    fn new(at_end: AtEnd) -> Self {
        Self {
            buffer: Box::default(),
            start: 0,
            end: 0,
            moved: 0,
            phase: Phase::Moving,
            needs_flush: false,
            at_end,
        }
    }

    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        mut reader: Pin<&mut R>,
        mut writer: Pin<&mut W>,
    ) -> Poll<io::Result<u64>>
    where
        R: AsyncRead + ?Sized,
        W: AsyncWrite + ?Sized,
    {
        while self.phase == Phase::Moving {
            // Ends that are always ready have no budget of their own.
            if poll_budget(cx).is_pending() {
                wait_reason(WaitKind::Turn, None);
                return Poll::Pending;
            }
            if self.start < self.end {
                ready!(self.poll_write(cx, writer.as_mut()))?;
            } else {
                ready!(self.poll_read(cx, reader.as_mut(), writer.as_mut()))?;
            }
        }
        if self.phase == Phase::Ending {
            ready!(match self.at_end {
                AtEnd::Flush => writer.as_mut().poll_flush(cx),
                AtEnd::Close => writer.as_mut().poll_close(cx),
            })?;
            self.phase = Phase::Ended;
        }
        Poll::Ready(Ok(self.moved))
    }

    fn poll_read<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: Pin<&mut R>,
        writer: Pin<&mut W>,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + ?Sized,
        W: AsyncWrite + ?Sized,
    {
        if self.buffer.is_empty() {
            self.buffer = vec![0; BUFFER].into();
        }
        match reader.poll_read(cx, &mut self.buffer) {
            Poll::Ready(read) => {
                (self.start, self.end) = (0, read?);
                if self.end == 0 {
                    self.phase = Phase::Ending;
                }
                Poll::Ready(Ok(()))
            }
            Poll::Pending => {
                // While we wait, the other side must not wait for what its writer holds back.
                if self.needs_flush {
                    ready!(writer.poll_flush(cx))?;
                    self.needs_flush = false;
                }
                Poll::Pending
            }
        }
    }

    fn poll_write<W>(&mut self, cx: &mut Context<'_>, writer: Pin<&mut W>) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + ?Sized,
    {
        let written = ready!(writer.poll_write(cx, &self.buffer[self.start..self.end]))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.start += written;
        self.moved += u64::try_from(written).expect("at most a buffer");
        self.needs_flush = true;
        Poll::Ready(Ok(()))
    }
}
