//! The reading end: lines, records, exact counts, out of one buffer.
//!
//! Held by users and by the traits of `traits/`. Bytes are pulled when somebody asks for them and the buffer cannot answer,
//! never before and never by a task of ours, so a peer who floods fills the kernel's buffers and has to stop. Every operation
//! looks first, waits, and takes bytes out of the buffer in the very poll in which it completes.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use loxley_sync::ambient::{WaitKind, has_budget_remaining, poll_budgeted, wait_reason};

use super::buffer::Buffer;
use super::errors::{IncompleteReadError, Lasting, LimitOverrunError, LineTooLongError, ReadError};
use super::link::Link;
use super::separators::{List, Match, Separators};
use super::source::{BoxSource, Source};
use crate::pipe::PipeReader;
use crate::sys;
use crate::traits::AsyncRead;

/// How much one system call asks for at first; it doubles while calls fill it.
const CHUNK_MIN: usize = sys::FRESH_ROOM;
/// And to what it grows: the buffers of a socket are seldom fuller.
const CHUNK_MAX: usize = 128 << 10;
/// Who asks for less than this is given it from the buffer, which takes more from the system.
const READ_AHEAD_BELOW: usize = 1 << 10;

/// The reading end of a connection or pipe.
///
/// What comes is kept in a buffer until somebody asks for it. [`readline`](Self::readline) and
/// [`readuntil`](Self::readuntil) look for their end within the *limit* (64 KiB unless set otherwise), and the buffer holds
/// at most twice that; [`read`](Self::read), [`readexactly`](Self::readexactly) and [`read_to_end`](Self::read_to_end) are
/// not bound by it. A reader that nobody reads pulls nothing, and the peer has to wait.
///
/// Once a read has failed with an error of the stream, all later ones do.
///
/// # Cancel safety
///
/// Every method: bytes leave the reader only when the call completes.
///
/// # Examples
///
/// ```
/// use loxley_io::streams::StreamReader;
///
/// # loxley_runtime::run(async {
/// # struct Bytes(&'static [u8]);
/// # use std::{io, pin::Pin, task::{Context, Poll}};
/// # impl futures_io::AsyncRead for Bytes {
/// #     fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
/// #         Poll::Ready(io::Read::read(&mut self.0, buf))
/// #     }
/// # }
/// # let source = Bytes(b"GET /\r\nHost: a\r\n\r\nbody");
/// let mut reader = StreamReader::from_reader(source, 64 << 10);
/// assert_eq!(reader.readline().await?, b"GET /\r\n");
/// assert_eq!(reader.readuntil("\r\n\r\n").await?, b"Host: a\r\n\r\n");
/// assert_eq!(reader.readexactly(4).await?, b"body");
/// assert_eq!(reader.read(100).await?, b"");
/// assert!(reader.at_eof());
/// # Ok::<(), loxley_io::streams::ReadError>(())
/// # }).unwrap();
/// ```
///
/// **Differs from asyncio**: `&mut self` makes two readers at once a compile error; nothing is fed in from outside.
#[doc(alias = "BufReader")]
#[doc(alias = "AsyncBufReadExt")]
pub struct StreamReader {
    source: Source,
    buffer: Buffer,
    limit: usize,
    /// What the next system call asks for.
    chunk: usize,
    is_ended: bool,
    fault: Option<Lasting>,
    /// There is TLS on the connection, which opens what comes.
    is_sealed: bool,
}

impl StreamReader {
    /// A reader over anything that gives bytes: a pipe, TLS, something in memory. `limit` is that of a line or record, in
    /// bytes: see [`set_limit`](Self::set_limit).
    ///
    /// # Panics
    ///
    /// If `limit` is zero.
    #[track_caller]
    pub fn from_reader(source: impl AsyncRead + Send + 'static, limit: usize) -> Self {
        Self::boxed(Box::pin(source), None, limit)
    }

    /// [`from_reader`](Self::from_reader) for a pipe of ours, whose bytes come in without a detour.
    ///
    /// # Panics
    ///
    /// If `limit` is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_io::{pipe, streams::StreamReader};
    ///
    /// # loxley_runtime::run(async {
    /// let (reader, writer) = pipe()?;
    /// writer.write_all(b"one\ntwo\n").await?;
    /// let mut reader = StreamReader::from_pipe(reader, 64 << 10);
    /// assert_eq!(reader.readline().await?, b"one\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn from_pipe(pipe: PipeReader, limit: usize) -> Self {
        Self::new(Source::Pipe(pipe), limit)
    }

    #[track_caller]
    pub(super) fn boxed(source: BoxSource, link: Option<Arc<Link>>, limit: usize) -> Self {
        Self::new(Source::boxed(source, link), limit)
    }

    #[track_caller]
    pub(super) fn over(link: Arc<Link>, limit: usize) -> Self {
        Self::new(Source::Socket(link), limit)
    }

    #[track_caller]
    fn new(source: Source, limit: usize) -> Self {
        check_limit(limit);
        Self {
            source,
            buffer: Buffer::new(),
            limit,
            chunk: CHUNK_MIN,
            is_ended: false,
            fault: None,
            is_sealed: false,
        }
    }

    /// How many bytes may stand before a separator, or in a line before its end.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// let (mut reader, _writer) = streams::from_unix(ours);
    /// assert_eq!(reader.limit(), 64 << 10);
    /// reader.set_limit(1024);
    /// assert_eq!(reader.limit(), 1024);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Sets the limit: at least 1; the buffer grows to twice as much before a line or record is given up. Default: 64 KiB.
    ///
    /// # Panics
    ///
    /// If `limit` is zero.
    ///
    /// # Examples
    ///
    /// A protocol whose lines are short closes the door on those who send none:
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams::{self, ReadError}};
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// let (mut reader, _writer) = streams::from_unix(ours);
    /// reader.set_limit(16);
    /// theirs.write_all(&[b'a'; 64]).await?;
    /// assert!(matches!(reader.readline().await, Err(ReadError::LineTooLong { .. })));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn set_limit(&mut self, limit: usize) {
        check_limit(limit);
        self.limit = limit;
    }

    /// TLS is on the connection from now on.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "for TLS"))]
    pub(super) fn seals(&mut self) {
        self.is_sealed = true;
    }

    /// Every later read fails for this reason.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "for TLS"))]
    pub(super) fn breaks(&mut self, fault: Lasting) {
        self.fault.get_or_insert(fault);
    }

    /// How many bytes have come that nobody has read.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "for TLS"))]
    pub(super) fn buffered(&self) -> usize {
        self.buffer.len()
    }

    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "for TLS"))]
    pub(super) fn link(&self) -> Option<&Arc<Link>> {
        self.source.link()
    }

    /// Whether the end was read, and everything before it. The end is noticed by reading.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// let (mut reader, _writer) = streams::from_unix(ours);
    /// theirs.write_all(b"all").await?;
    /// drop(theirs);
    /// assert_eq!(reader.read(3).await?, b"all");
    /// assert!(!reader.at_eof(), "nobody has looked yet");
    /// assert!(reader.read(1).await?.is_empty());
    /// assert!(reader.at_eof());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn at_eof(&self) -> bool {
        self.is_ended && self.buffer.is_empty()
    }

    /// Reads what there is, waiting for at least one byte: at most `n`, and nothing at the end.
    ///
    /// # Errors
    ///
    /// If the stream is broken.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    #[track_caller]
    pub fn read(&mut self, n: usize) -> impl Future<Output = io::Result<Vec<u8>>> {
        self.operate(Location::caller(), move |this, cx| {
            match n {
                0 => this.check()?,
                _ => ready!(this.poll_some(cx, this.room_for(n)))?,
            }
            Poll::Ready(Ok(this.buffer.take(n.min(this.buffer.len()))))
        })
    }

    /// Reads what there is into `buf`, waiting for at least one byte, and says how much; 0 is the end, or says that `buf` is
    /// empty.
    ///
    /// # Errors
    ///
    /// If the stream is broken.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// Bulk goes past the buffer:
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// let (mut reader, _writer) = streams::from_unix(ours);
    /// theirs.write_all(b"hello").await?;
    /// let mut bytes = [0; 64];
    /// let n = reader.read_into(&mut bytes).await?;
    /// assert_eq!(&bytes[..n], b"hello");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn read_into<'a>(
        &'a mut self,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<usize>> {
        self.operate(Location::caller(), move |this, cx| this.poll_into(cx, buf))
    }

    /// Reads until the end. The buffer is *unbounded* here: a peer that never ends fills the memory.
    ///
    /// # Errors
    ///
    /// If the stream is broken.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// let (mut reader, _writer) = streams::from_unix(ours);
    /// theirs.write_all(b"all there is").await?;
    /// drop(theirs);
    /// assert_eq!(reader.read_to_end().await?, b"all there is");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn read_to_end(&mut self) -> impl Future<Output = io::Result<Vec<u8>>> {
        self.operate(Location::caller(), |this, cx| {
            this.check()?;
            while ready!(this.poll_fill(cx, this.room_to_grow()))? {}
            Poll::Ready(Ok(this.buffer.take(this.buffer.len())))
        })
    }

    /// Reads `n` bytes, not one less. Memory is taken as they come.
    ///
    /// # Errors
    ///
    /// [`Incomplete`](ReadError::Incomplete) if the end comes first, with what there was; if the stream is broken.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: what has come stays in the reader.
    ///
    /// # Examples
    ///
    /// A record with its length in front:
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// let (mut reader, _writer) = streams::from_unix(ours);
    /// theirs.write_all(b"\x05hello").await?;
    /// let length = reader.readexactly(1).await?[0];
    /// assert_eq!(reader.readexactly(length.into()).await?, b"hello");
    /// # Ok::<(), streams::ReadError>(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn readexactly(&mut self, n: usize) -> impl Future<Output = Result<Vec<u8>, ReadError>> {
        self.operate(Location::caller(), move |this, cx| {
            this.check()?;
            while this.buffer.len() < n {
                let missing = (n - this.buffer.len()).max(this.chunk);
                let room = missing.min(this.room_to_grow());
                if !ready!(this.poll_fill(cx, room))? {
                    return Poll::Ready(Err(this.incomplete(Some(n))));
                }
            }
            Poll::Ready(Ok(this.buffer.take(n)))
        })
    }

    /// Reads up to a separator and with it. Of several, the one whose end comes first counts. At most
    /// [`limit`](Self::limit) bytes may stand before it.
    ///
    /// # Errors
    ///
    /// [`LimitOverrun`](ReadError::LimitOverrun) if there is more before it, and nothing leaves the reader;
    /// [`Incomplete`](ReadError::Incomplete) if the end comes first, with what there was;
    /// [`EmptySeparator`](ReadError::EmptySeparator); if the stream is broken.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # async fn example(mut reader: loxley_io::StreamReader) -> Result<(), loxley_io::streams::ReadError> {
    /// let word = reader.readuntil(b" ").await?;
    /// let line = reader.readuntil(["\r\n", "\n"]).await?;
    /// # drop((word, line)); Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn readuntil<'a, S>(
        &'a mut self,
        separator: S,
    ) -> impl Future<Output = Result<Vec<u8>, ReadError>>
    where
        S: Separators + 'a,
    {
        let mut from = 0;
        self.operate(Location::caller(), move |this, cx| {
            let found = ready!(this.poll_until(cx, &separator.list(), &mut from));
            Poll::Ready(found.map(|found| this.buffer.take(found.end)))
        })
    }

    /// Reads a line with its `\n`. At the end it gives what is left, then nothing.
    ///
    /// # Errors
    ///
    /// [`LineTooLong`](ReadError::LineTooLong) if there are more than [`limit`](Self::limit) bytes before the `\n`. The line
    /// leaves the reader, or what has come of it; if the stream is broken.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// The last line may come without its end:
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// let (mut reader, _writer) = streams::from_unix(ours);
    /// theirs.write_all(b"one\ntwo").await?;
    /// drop(theirs);
    /// assert_eq!(reader.readline().await?, b"one\n");
    /// assert_eq!(reader.readline().await?, b"two");
    /// assert_eq!(reader.readline().await?, b"");
    /// # Ok::<(), streams::ReadError>(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn readline(&mut self) -> impl Future<Output = Result<Vec<u8>, ReadError>> {
        let mut from = 0;
        self.operate(Location::caller(), move |this, cx| {
            this.poll_line(cx, &mut from)
        })
    }

    /// The lines that follow, each with its `\n`.
    ///
    /// # Examples
    ///
    /// ```
    /// # async fn example(mut reader: loxley_io::StreamReader) -> Result<(), loxley_io::streams::ReadError> {
    /// let mut lines = reader.lines();
    /// while let Some(line) = lines.next().await? {
    ///     assert!(line.ends_with(b"\n"));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "__aiter__")]
    pub fn lines(&mut self) -> Lines<'_> {
        Lines { reader: self }
    }

    /// An operation as a future that says where it was asked for.
    fn operate<'a, T, F>(
        &'a mut self,
        at: &'static Location<'static>,
        mut operation: F,
    ) -> impl Future<Output = T> + use<'a, T, F>
    where
        F: FnMut(&mut Self, &mut Context<'_>) -> Poll<T> + 'a,
    {
        poll_fn(move |cx| {
            let poll = poll_budgeted(cx, |cx| operation(self, cx));
            // Without budget it waits for a turn, and that has been said.
            if poll.is_pending() && has_budget_remaining() {
                wait_reason(WaitKind::Io, Some(at));
            }
            poll
        })
    }

    /// Until the buffer holds a byte, or the end has come.
    fn poll_some(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<()>> {
        self.check()?;
        if self.buffer.is_empty() {
            ready!(self.poll_fill(cx, room))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Until one of the separators is in the buffer. `from` is where to go on looking.
    fn poll_until(
        &mut self,
        cx: &mut Context<'_>,
        separators: &List<'_>,
        from: &mut usize,
    ) -> Poll<Result<Match, ReadError>> {
        separators.check()?;
        self.check()?;
        let len_max = separators.len_max();
        // Twice the limit; a separator may be longer than that.
        let held_max = (2 * self.limit).max(self.limit + len_max);
        loop {
            if let Some(found) = separators.find(self.buffer.as_slice(), *from) {
                return Poll::Ready(match found.start > self.limit {
                    true => Err(self.overrun(found.start, true)),
                    false => Ok(found),
                });
            }
            // No match begins before this.
            *from = (*from).max((self.buffer.len() + 1).saturating_sub(len_max));
            if *from > self.limit {
                return Poll::Ready(Err(self.overrun(*from, false)));
            }
            let room = held_max.saturating_sub(self.buffer.len()).max(1);
            if !ready!(self.poll_fill(cx, room.min(self.chunk)))? {
                return Poll::Ready(Err(self.incomplete(None)));
            }
        }
    }

    fn poll_line(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut usize,
    ) -> Poll<Result<Vec<u8>, ReadError>> {
        let line = match ready!(self.poll_until(cx, &List::One(b"\n"), from)) {
            Ok(found) => self.buffer.take(found.end),
            Err(ReadError::Incomplete(error)) => error.partial,
            Err(ReadError::LimitOverrun(error)) => {
                if error.is_found {
                    self.buffer.consume(error.consumed + 1);
                } else {
                    self.buffer.clear();
                }
                return Poll::Ready(Err(ReadError::LineTooLong(LineTooLongError {
                    limit: error.limit,
                    is_whole: error.is_found,
                })));
            }
            Err(error) => return Poll::Ready(Err(error)),
        };
        Poll::Ready(Ok(line))
    }

    /// Pulls at most `room` bytes, in one call: whether there were any, or the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<bool>> {
        if self.is_ended || self.source.is_closed() {
            self.is_ended = true;
            return Poll::Ready(Ok(false));
        }
        let filled = self
            .source
            .poll_pull(cx, &mut self.buffer, self.is_sealed, room, self.chunk);
        let Poll::Ready(filled) = filled else {
            // A reader that waits holds no memory.
            self.buffer.release();
            return Poll::Pending;
        };
        let n = self.came(filled)?;
        if n >= self.chunk {
            self.chunk = (2 * self.chunk).min(CHUNK_MAX);
        }
        Poll::Ready(Ok(n > 0))
    }

    /// Notes what a pull has brought.
    fn came(&mut self, result: io::Result<usize>) -> io::Result<usize> {
        match result {
            Ok(n) => {
                self.is_ended = n == 0;
                Ok(n)
            }
            // Closed here meanwhile: what a reset of our own does to a call that is under way is no fault of the connection.
            Err(_) if self.source.is_closed() => {
                self.is_ended = true;
                Ok(0)
            }
            Err(error) => {
                let fault = Lasting::new(error);
                self.buffer.release();
                if let Some(link) = self.source.link() {
                    link.fail(fault.clone());
                }
                Err(self.fault.insert(fault).again())
            }
        }
    }

    /// What a pull asks for when somebody wants `n` bytes: few are worth reading ahead of.
    fn room_for(&self, n: usize) -> usize {
        match n < READ_AHEAD_BELOW {
            true => self.chunk,
            false => self.chunk.min(n),
        }
    }

    /// What a pull without limit asks for: memory doubles when it is full, so that each byte is moved a constant number of
    /// times.
    fn room_to_grow(&self) -> usize {
        match self.buffer.room() >= self.chunk {
            true => self.chunk,
            false => self.chunk.max(self.buffer.len()),
        }
    }

    fn check(&self) -> io::Result<()> {
        match &self.fault {
            Some(fault) => Err(fault.again()),
            None => Ok(()),
        }
    }

    fn incomplete(&mut self, expected: Option<usize>) -> ReadError {
        ReadError::Incomplete(IncompleteReadError {
            partial: self.buffer.take(self.buffer.len()),
            expected,
        })
    }

    fn overrun(&self, consumed: usize, is_found: bool) -> ReadError {
        ReadError::LimitOverrun(LimitOverrunError {
            consumed,
            limit: self.limit,
            is_found,
        })
    }

    fn poll_into(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if buf.len() >= READ_AHEAD_BELOW && self.buffer.is_empty() {
            let is_direct = !self.is_ended && !self.is_sealed;
            if let Some(socket) = self.source.open_socket().filter(|_| is_direct) {
                let read = ready!(socket.poll_read(cx, buf));
                return Poll::Ready(self.came(read));
            }
        }
        ready!(self.poll_some(cx, self.room_for(buf.len())))?;
        Poll::Ready(Ok(self.buffer.take_into(buf)))
    }

    /// The primitive under every trait's reading.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        poll_budgeted(cx, |cx| self.poll_into(cx, buf))
    }

    /// The primitive under every trait's buffered reading: what there is, waiting for at least one byte.
    pub(crate) fn poll_fill_buf(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        ready!(poll_budgeted(cx, |cx| self.poll_some(cx, self.chunk)))?;
        Poll::Ready(Ok(self.buffer.as_slice()))
    }

    /// Forgets the first `count` bytes that [`poll_fill_buf`](Self::poll_fill_buf) has shown.
    pub(crate) fn consume(&mut self, count: usize) {
        self.buffer.consume(count.min(self.buffer.len()));
    }
}

#[track_caller]
pub(super) fn check_limit(limit: usize) {
    assert!(
        limit > 0,
        "a reader whose limit is zero finds no line: give at least 1"
    );
}

impl fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamReader")
            .field("buffered", &self.buffer)
            .field("limit", &self.limit)
            .field("link", &self.source.link())
            .field("is_ended", &self.is_ended)
            .finish_non_exhaustive()
    }
}

/// Lines one after the other: see [`StreamReader::lines`].
///
/// # Examples
///
/// ```
/// use loxley_io::{UnixStream, streams};
///
/// # loxley_runtime::run(async {
/// let (ours, theirs) = UnixStream::pair()?;
/// let (mut reader, _writer) = streams::from_unix(ours);
/// theirs.write_all(b"one\ntwo").await?;
/// drop(theirs);
/// let mut lines = reader.lines();
/// assert_eq!(lines.next().await?.as_deref(), Some(&b"one\n"[..]));
/// assert_eq!(lines.next().await?.as_deref(), Some(&b"two"[..]));
/// assert_eq!(lines.next().await?, None);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Lines<'a> {
    reader: &'a mut StreamReader,
}

impl Lines<'_> {
    /// The next line with its `\n`, the last one as it is; `None` at the end.
    ///
    /// # Errors
    ///
    /// As [`StreamReader::readline`]; after a line that was too long the next call goes on behind it.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// The last one may lack its end:
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// let (mut reader, _writer) = streams::from_unix(ours);
    /// theirs.write_all(b"one\ntwo").await?;
    /// drop(theirs);
    /// let mut lines = reader.lines();
    /// assert_eq!(lines.next().await?.as_deref(), Some(&b"one\n"[..]));
    /// assert_eq!(lines.next().await?.as_deref(), Some(&b"two"[..]));
    /// assert_eq!(lines.next().await?, None);
    /// # Ok::<(), streams::ReadError>(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    #[expect(
        clippy::should_implement_trait,
        reason = "the word of `Incoming::next` and of async iteration everywhere"
    )]
    pub fn next(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, ReadError>> {
        let mut from = 0;
        self.reader.operate(Location::caller(), move |this, cx| {
            let line = ready!(this.poll_line(cx, &mut from));
            Poll::Ready(line.map(|line| (!line.is_empty()).then_some(line)))
        })
    }
}
