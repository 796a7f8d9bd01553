//! The writing end: `write` never waits, `drain` does.
//!
//! Held by users and by the traits of `traits/`. Everything that is shared or has to be ordered is in `link.rs`.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::link::{Link, SEND_MAX, ended};
use super::marks::WaterMarks;
use crate::traits::AsyncWrite;

/// The writing end of a connection or pipe.
///
/// [`write`](Self::write) sends at once what the system takes and queues the rest, which is sent in the background. Nobody
/// waits in it, so whoever writes much calls [`drain`](Self::drain) in between: it waits while more is queued than the high
/// [water mark](WaterMarks) says. Without that the queue is *unbounded*.
///
/// A writer is a handle: clones write to the same connection. When the last one is dropped, our half is ended behind what is
/// queued, as by [`write_eof`](Self::write_eof); the reader stays good. [`close`](Self::close) ends both ways.
///
/// # Examples
///
/// ```
/// # loxley_runtime::run(async {
/// # use loxley_io::{TcpListener, TcpStream, streams};
/// # let listener = TcpListener::bind("127.0.0.1:0").await?;
/// # let peer = TcpStream::connect(listener.local_addr()?).await?;
/// # let task = loxley_runtime::create_task(async move {
/// #     let mut all = vec![0; 120_000];
/// #     peer.read_exact(&mut all).await
/// # });
/// # let (_reader, writer) = streams::from_tcp(listener.accept().await?.0);
/// for number in 0..10_000 {
///     writer.write(format!("number {number:04}\n").as_bytes());
///     writer.drain().await?;
/// }
/// writer.close();
/// writer.wait_closed().await?;
/// # task.await.unwrap()?;
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// **Differs from asyncio**: clones; dropping ends the half in place of a warning.
#[doc(alias = "BufWriter")]
pub struct StreamWriter {
    link: Arc<Link>,
    /// Which of the link's writers it is.
    number: usize,
}

impl StreamWriter {
    /// A writer over anything that takes bytes: a pipe, TLS, something in memory.
    ///
    /// What cannot be written at once is written by a task of the runtime in which this is called; called outside, of the
    /// one in which the first such write is. The sink is polled with different wakers, the newest of which counts.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_io::{StreamWriter, TcpListener, TcpStream};
    ///
    /// # loxley_runtime::run(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// let writer = StreamWriter::from_writer(stream);
    /// writer.write(b"hello");
    /// writer.drain().await?;
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn from_writer(sink: impl AsyncWrite + Send + 'static) -> Self {
        Self::over(Arc::new(Link::boxed(Box::pin(sink))))
    }

    pub(super) fn over(link: Arc<Link>) -> Self {
        let number = link.writer_made();
        Self { link, number }
    }

    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Sends `bytes`: at once, as far as the system takes them, and the rest in the background. Writes of all clones follow
    /// each other whole.
    ///
    /// What goes wrong is told by [`drain`](Self::drain) and [`wait_closed`](Self::wait_closed); on a connection that is
    /// closed or broken nothing is written.
    ///
    /// # Panics
    ///
    /// After [`write_eof`](Self::write_eof).
    #[track_caller]
    pub fn write(&self, bytes: &[u8]) {
        assert!(
            self.link.write(bytes),
            "written after `write_eof`, which has told the peer that nothing follows"
        );
    }

    /// Sends several pieces as one.
    ///
    /// # Panics
    ///
    /// As [`write`](Self::write).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// let (_reader, writer) = streams::from_unix(ours);
    /// writer.writelines(["GET / HTTP/1.1\r\n", "Host: a\r\n", "\r\n"]);
    /// drop(writer);
    /// let (mut reader, _writer) = streams::from_unix(theirs);
    /// assert_eq!(reader.readline().await?, b"GET / HTTP/1.1\r\n");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn writelines<I>(&self, pieces: I)
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let mut pieces = pieces.into_iter();
        let Some(first) = pieces.next() else { return };
        let Some(second) = pieces.next() else {
            return self.write(first.as_ref());
        };
        let mut all = [first.as_ref(), second.as_ref()].concat();
        for piece in pieces {
            all.extend_from_slice(piece.as_ref());
        }
        self.write(&all);
    }

    /// Waits until there is room for more: returns at once unless more than the high water mark is queued, and then when at
    /// most the low one is. Any number of tasks may wait.
    ///
    /// # Errors
    ///
    /// Why the connection is broken, whether reading or writing found out; or that it is closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: what is queued is sent whether anybody waits or not.
    ///
    /// # Examples
    ///
    /// In a loop that may be faster than the peer; it ends when the peer has gone:
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// let (_reader, writer) = streams::from_unix(ours);
    /// let (mut theirs, mut chunks) = (Some(theirs), 0);
    /// let reason = loop {
    ///     writer.write(&[0; 16 << 10]);
    ///     if let Err(error) = writer.drain().await {
    ///         break error;
    ///     }
    ///     chunks += 1;
    ///     if chunks == 2 {
    ///         drop(theirs.take()); // It hangs up.
    ///     }
    /// };
    /// assert!(chunks >= 2);
    /// println!("after {chunks} chunks: {reason}");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn drain(&self) -> impl Future<Output = io::Result<()>> {
        let at = Location::caller();
        async move { self.link.drained(at).await }
    }

    /// Ends our half behind what is queued: the peer sees the end, and may still write. A second call changes nothing.
    ///
    /// # Examples
    ///
    /// The end of a question, on a connection that stays for the answer:
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// let (mut reader, writer) = streams::from_unix(ours);
    /// writer.write(b"question");
    /// writer.write_eof();
    /// let (mut their_reader, their_writer) = streams::from_unix(theirs);
    /// assert_eq!(their_reader.read_to_end().await?, b"question");
    /// their_writer.write(b"answer");
    /// assert_eq!(reader.readexactly(6).await?, b"answer");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn write_eof(&self) {
        self.link.write_eof();
    }

    /// Closes the connection, both ways, behind what is queued. The reader sees the end. A second call changes nothing.
    ///
    /// A peer that never reads delays that for ever: see [`abort`](Self::abort).
    #[track_caller]
    pub fn close(&self) {
        self.link.close();
    }

    /// Closes the connection at once and gives up what is queued. The peer of a TCP connection sees a reset, so that it does
    /// not take what came for the whole.
    ///
    /// **Differs from asyncio**: there it is a method of the transport, and the peer sees an end.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// let (_reader, writer) = streams::from_unix(ours);
    /// writer.write(&[0; 16 << 20]); // Nobody reads it.
    /// writer.abort();
    /// writer.wait_closed().await?;
    /// assert_eq!(writer.get_write_buffer_size(), 0, "given up");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn abort(&self) {
        self.link.abort();
    }

    /// Whether the connection is closed, or about to be.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// let (_reader, writer) = streams::from_unix(ours);
    /// assert!(!writer.is_closing());
    /// writer.clone().close(); // By whichever clone.
    /// assert!(writer.is_closing());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.link.is_closing()
    }

    /// Waits until the connection is closed: by [`close`](Self::close), [`abort`](Self::abort), or because it broke.
    ///
    /// # Errors
    ///
    /// Why the connection is broken.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// What was written has left this process when it returns:
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// let (_reader, writer) = streams::from_unix(ours);
    /// writer.write(b"goodbye");
    /// writer.close();
    /// writer.wait_closed().await?;
    /// let (mut reader, _writer) = streams::from_unix(theirs);
    /// assert_eq!(reader.read_to_end().await?, b"goodbye");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn wait_closed(&self) -> impl Future<Output = io::Result<()>> {
        let at = Location::caller();
        async move { self.link.closed(at).await }
    }

    /// How many bytes are queued; behind TLS as many as will go over the wire, some more than were written.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// let (_reader, writer) = streams::from_unix(ours);
    /// writer.write(b"hello");
    /// assert_eq!(writer.get_write_buffer_size(), 0, "the system has taken it");
    /// writer.write(&[0; 16 << 20]);
    /// assert!(writer.get_write_buffer_size() > 0, "more than it takes");
    /// # writer.abort();
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn get_write_buffer_size(&self) -> usize {
        self.link.held()
    }

    /// The water marks.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams, streams::WaterMarks};
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// let (_reader, writer) = streams::from_unix(ours);
    /// assert_eq!(writer.get_write_buffer_limits(), WaterMarks::default());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn get_write_buffer_limits(&self) -> WaterMarks {
        self.link.marks()
    }

    /// Sets the water marks.
    ///
    /// # Examples
    ///
    /// More may be under way on a long, fast line:
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams, streams::WaterMarks};
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// let (_reader, writer) = streams::from_unix(ours);
    /// writer.set_write_buffer_limits(WaterMarks::high_at(8 << 20));
    /// assert_eq!(writer.get_write_buffer_limits().low(), 2 << 20);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn set_write_buffer_limits(&self, marks: WaterMarks) {
        self.link.set_marks(marks);
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// If this is no internet connection, or it is gone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{TcpListener, open_connection};
    /// # loxley_runtime::run(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let (_reader, writer) = open_connection(listener.local_addr()?).await?;
    /// assert_eq!(writer.peer_addr()?, listener.local_addr()?);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[doc(alias = "get_extra_info")]
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.link.peer_addr()
    }

    /// Our address.
    ///
    /// # Errors
    ///
    /// If this is no internet connection.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{TcpListener, open_connection};
    /// # loxley_runtime::run(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let (_reader, writer) = open_connection(listener.local_addr()?).await?;
    /// assert_eq!(writer.local_addr()?, listener.accept().await?.1);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[doc(alias = "get_extra_info")]
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.link.local_addr()
    }

    /// The socket, to set its options; `None` if this is no socket of ours. It stays in non-blocking mode.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{TcpListener, open_connection};
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let (_reader, writer) = open_connection(listener.local_addr()?).await?;
    /// let socket = writer.socket().expect("TCP has one").try_clone_to_owned()?;
    /// assert!(std::net::TcpStream::from(socket).nodelay()?); // Any option there is.
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    #[doc(alias = "get_extra_info")]
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.link.socket().map(AsFd::as_fd)
    }

    /// The primitive under every trait's writing: when there is room it takes as much as one system call may.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.link.poll_room(self.number, cx))?;
        let bytes = &bytes[..bytes.len().min(SEND_MAX)];
        match self.link.write(bytes) {
            true => Poll::Ready(Ok(bytes.len())),
            false => Poll::Ready(Err(ended())),
        }
    }

    /// The same from several slices.
    pub(crate) fn poll_writev(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = slices.iter().filter(|slice| !slice.is_empty());
        let first = filled.next();
        if filled.next().is_none() {
            return self.poll_write(cx, first.map_or(&[], |slice| slice));
        }
        ready!(self.link.poll_room(self.number, cx))?;
        let mut bytes = Vec::new();
        for slice in slices {
            let room = SEND_MAX - bytes.len();
            bytes.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        match self.link.write(&bytes) {
            true => Poll::Ready(Ok(bytes.len())),
            false => Poll::Ready(Err(ended())),
        }
    }

    /// Ready when all is with the system.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.poll_sent(self.number, cx)
    }

    /// Ends our half, and is ready when the end is sent.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.write_eof();
        self.link.poll_sent(self.number, cx)
    }
}

impl Clone for StreamWriter {
    fn clone(&self) -> Self {
        Self::over(self.link.clone())
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        self.link.writer_gone(self.number);
    }
}

impl fmt::Debug for StreamWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StreamWriter").field(&self.link).finish()
    }
}
