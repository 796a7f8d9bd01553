//! Halves of a stream, for two tasks or for two borrowers.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;

use super::TcpStream;
use crate::bytes::{self, Carrier, Carries};

/// A connection that carries bytes both ways and can be split: [`TcpStream`] and [`UnixStream`](super::UnixStream).
/// Sealed.
///
/// # Examples
///
/// ```
/// use loxley_io::UnixStream;
/// use loxley_io::net::{ByteStream, ReadHalf};
///
/// async fn first<S: ByteStream>(mut half: ReadHalf<'_, S>) -> std::io::Result<u8> {
///     let mut byte = [0];
///     half.read_exact(&mut byte).await?;
///     Ok(byte[0])
/// }
///
/// # loxley_runtime::run(async {
/// let (mut ours, theirs) = UnixStream::pair()?;
/// theirs.write_all(b"x").await?;
/// assert_eq!(first(ours.split().0).await?, b'x');
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub trait ByteStream: Carrier {
    /// An address of either end.
    type Addr;

    /// Our address.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::net::{ByteStream, TcpListener, TcpStream};
    /// # loxley_runtime::run(async {
    /// fn name<S: ByteStream>(stream: &S) -> std::io::Result<S::Addr> {
    ///     stream.local_addr()
    /// }
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// assert!(name(&stream)?.ip().is_loopback());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    fn local_addr(&self) -> io::Result<Self::Addr>;

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// If the connection is gone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::net::{ByteStream, TcpListener, TcpStream};
    /// # loxley_runtime::run(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// assert_eq!(ByteStream::peer_addr(&stream)?, listener.local_addr()?);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    fn peer_addr(&self) -> io::Result<Self::Addr>;

    /// Ends the reading half, the writing half or both.
    ///
    /// # Errors
    ///
    /// If the connection is broken. A connection that is gone already is no error.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, net::ByteStream};
    /// # loxley_runtime::run(async {
    /// fn end<S: ByteStream>(stream: &S) -> std::io::Result<()> {
    ///     stream.shutdown(std::net::Shutdown::Write)
    /// }
    /// let (ours, theirs) = UnixStream::pair()?;
    /// end(&ours)?;
    /// assert_eq!(theirs.read(&mut [0; 8]).await?, 0);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;

    /// Splits the stream into two halves that borrow it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, net::ByteStream};
    /// # loxley_runtime::run(async {
    /// async fn echo<S: ByteStream>(stream: &mut S) -> std::io::Result<()> {
    ///     let (mut reader, mut writer) = stream.split();
    ///     let mut byte = [0];
    ///     reader.read_exact(&mut byte).await?;
    ///     writer.write_all(&byte).await
    /// }
    /// let (mut ours, theirs) = UnixStream::pair()?;
    /// theirs.write_all(b"x").await?;
    /// echo(&mut ours).await?;
    /// assert_eq!(theirs.read(&mut [0; 8]).await?, 1);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    fn split(&mut self) -> (ReadHalf<'_, Self>, WriteHalf<'_, Self>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// Splits the stream into two halves for two tasks. Dropping the writing half ends it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, net::ByteStream};
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// let (_reader, writer) = ByteStream::into_split(ours);
    /// drop(writer);
    /// assert_eq!(theirs.read(&mut [0; 8]).await?, 0, "its half has ended");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    fn into_split(self) -> (OwnedReadHalf<Self>, OwnedWriteHalf<Self>) {
        into_split(self)
    }
}

/// The reading half of a borrowed stream: see [`TcpStream::split`].
///
/// # Examples
///
/// ```
/// use loxley_io::UnixStream;
///
/// # loxley_runtime::run(async {
/// let (mut ours, theirs) = UnixStream::pair()?;
/// theirs.write_all(b"hello").await?;
/// let (mut reader, _writer) = ours.split();
/// assert_eq!(reader.read(&mut [0; 8]).await?, 5);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct ReadHalf<'a, S: ByteStream = TcpStream>(&'a S);

/// The writing half of a borrowed stream: see [`TcpStream::split`].
///
/// # Examples
///
/// Both ways at once in one task:
///
/// ```
/// use loxley_io::UnixStream;
///
/// # loxley_runtime::run(async {
/// let (mut ours, theirs) = UnixStream::pair()?;
/// let (mut reader, mut writer) = ours.split();
/// theirs.write_all(b"question").await?;
/// let mut text = [0; 8];
/// let (sent, received) = (writer.write_all(b"answer"), reader.read_exact(&mut text));
/// sent.await?;
/// received.await?;
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct WriteHalf<'a, S: ByteStream = TcpStream>(&'a S);

/// The reading half of a stream: see [`TcpStream::into_split`].
///
/// # Examples
///
/// ```
/// use loxley_io::UnixStream;
///
/// # loxley_runtime::run(async {
/// let (ours, theirs) = UnixStream::pair()?;
/// let (mut reader, mut writer) = ours.into_split();
/// let echo = loxley_runtime::create_task(async move {
///     let mut word = [0; 4];
///     reader.read_exact(&mut word).await?;
///     std::io::Result::Ok((word, reader))
/// });
/// theirs.write_all(b"ping").await?;
/// let (word, reader) = echo.await??;
/// writer.write_all(&word).await?;
/// assert!(reader.reunite(writer).is_ok());
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[doc(alias = "ReadTransport")]
pub struct OwnedReadHalf<S: ByteStream = TcpStream>(Arc<S>);

/// The writing half of a stream: see [`TcpStream::into_split`]. Dropping it ends our half: the peer sees the end.
///
/// # Examples
///
/// ```
/// use loxley_io::UnixStream;
///
/// # loxley_runtime::run(async {
/// let (ours, theirs) = UnixStream::pair()?;
/// let (mut reader, mut writer) = ours.into_split();
/// let sender = loxley_runtime::create_task(async move { writer.write_all(b"bye").await });
/// let mut text = [0; 8];
/// assert_eq!(theirs.read(&mut text).await?, 3);
/// sender.await??;
/// assert_eq!(theirs.read(&mut text).await?, 0, "the end, for the half is dropped");
/// theirs.write_all(b"and you").await?;
/// assert_eq!(reader.read(&mut text).await?, 7, "the other half is good");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[doc(alias = "WriteTransport")]
pub struct OwnedWriteHalf<S: ByteStream = TcpStream> {
    stream: Arc<S>,
    ends: bool,
}

/// Two halves that own the stream together.
fn into_split<S: ByteStream>(stream: S) -> (OwnedReadHalf<S>, OwnedWriteHalf<S>) {
    let stream = Arc::new(stream);
    let writer = OwnedWriteHalf {
        stream: stream.clone(),
        ends: true,
    };
    (OwnedReadHalf(stream), writer)
}

impl<S: ByteStream> OwnedReadHalf<S> {
    /// The whole stream again.
    ///
    /// # Errors
    ///
    /// If the halves are of two streams; both are given back.
    ///
    /// # Panics
    ///
    /// Never: two halves of one stream are its only owners.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixStream;
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// let (reader, writer) = ours.into_split();
    /// let whole: UnixStream = reader.reunite(writer).expect("halves of one stream");
    /// assert_eq!(whole.write(b"hello").await?, 5);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn reunite(self, other: OwnedWriteHalf<S>) -> Result<S, ReuniteError<S>> {
        if !Arc::ptr_eq(&self.0, &other.stream) {
            return Err(ReuniteError(self, other));
        }
        other.forget();
        Ok(Arc::into_inner(self.0).expect("the two halves were the only owners"))
    }
}

impl<S: ByteStream> OwnedWriteHalf<S> {
    /// Drops the half without ending it: the connection is closed with the reading half.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UnixStream;
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// let (reader, writer) = ours.into_split();
    /// writer.forget();
    /// let nothing = theirs.try_read(&mut [0; 8]).unwrap_err();
    /// assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock, "no end was sent");
    /// drop(reader);
    /// assert_eq!(theirs.read(&mut [0; 8]).await?, 0);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn forget(mut self) {
        self.ends = false;
    }
}

impl<S: ByteStream> Drop for OwnedWriteHalf<S> {
    fn drop(&mut self) {
        if self.ends {
            // A broken connection is reported to who reads.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}

/// The halves given to [`OwnedReadHalf::reunite`] are of two streams.
///
/// # Examples
///
/// ```
/// use loxley_io::{UnixStream, net::ReuniteError};
///
/// # loxley_runtime::run(async {
/// let (one, other) = UnixStream::pair()?;
/// let (reader, _writer) = one.into_split();
/// let (_reader, writer) = other.into_split();
/// let mut error: ReuniteError<UnixStream> = reader.reunite(writer).unwrap_err();
/// error.1.write_all(b"both are still good").await?;
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct ReuniteError<S: ByteStream = TcpStream>(
    /// The reading half.
    pub OwnedReadHalf<S>,
    /// The writing half.
    pub OwnedWriteHalf<S>,
);

impl<S: ByteStream> fmt::Display for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these halves are of two streams; reunite halves of one `into_split`")
    }
}

impl<S: ByteStream + fmt::Debug> std::error::Error for ReuniteError<S> {}

/// A stream behind a reference: several tasks may hold one, and any of them may end it.
impl<S: ByteStream> Carries for &S {
    type Carrier = S;

    fn carrier(&self) -> &S {
        self
    }

    fn end(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl<S: ByteStream> AsRef<S> for ReadHalf<'_, S> {
    fn as_ref(&self) -> &S {
        self.0
    }
}

impl<S: ByteStream> AsRef<S> for WriteHalf<'_, S> {
    fn as_ref(&self) -> &S {
        self.0
    }
}

impl<S: ByteStream> AsRef<S> for OwnedReadHalf<S> {
    fn as_ref(&self) -> &S {
        &self.0
    }
}

impl<S: ByteStream> AsRef<S> for OwnedWriteHalf<S> {
    fn as_ref(&self) -> &S {
        &self.stream
    }
}

macro_rules! any_half {
    ($half:ty) => {
        impl<S: ByteStream> Carries for $half {
            type Carrier = S;

            fn carrier(&self) -> &S {
                self.as_ref()
            }

            fn end(&mut self) -> io::Result<()> {
                (*self).as_ref().shutdown(Shutdown::Write)
            }
        }

        impl<S: ByteStream> $half {
            /// Our address.
            ///
            /// # Errors
            ///
            /// If the system refuses to say.
            ///
            /// # Examples
            ///
            /// ```
            /// # use loxley_io::{TcpListener, TcpStream};
            /// # loxley_runtime::run(async {
            /// let listener = TcpListener::bind("127.0.0.1:0").await?;
            /// let stream = TcpStream::connect(listener.local_addr()?).await?;
            /// let ours = stream.local_addr()?;
            /// let (reader, writer) = stream.into_split();
            /// assert_eq!((reader.local_addr()?, writer.local_addr()?), (ours, ours));
            /// # std::io::Result::Ok(())
            /// # }).unwrap();
            /// ```
            pub fn local_addr(&self) -> io::Result<S::Addr> {
                (*self).as_ref().local_addr()
            }

            /// The peer's address.
            ///
            /// # Errors
            ///
            /// If the connection is gone.
            ///
            /// # Examples
            ///
            /// ```
            /// # use loxley_io::{TcpListener, TcpStream};
            /// # loxley_runtime::run(async {
            /// let listener = TcpListener::bind("127.0.0.1:0").await?;
            /// let mut stream = TcpStream::connect(listener.local_addr()?).await?;
            /// let (reader, writer) = stream.split();
            /// assert_eq!(reader.peer_addr()?, listener.local_addr()?);
            /// assert_eq!(writer.peer_addr()?, reader.peer_addr()?);
            /// # std::io::Result::Ok(())
            /// # }).unwrap();
            /// ```
            pub fn peer_addr(&self) -> io::Result<S::Addr> {
                (*self).as_ref().peer_addr()
            }
        }
    };
}

macro_rules! read_half {
    ($half:ty) => {
        any_half!($half);

        impl<S: ByteStream> $half {
            /// As [`TcpStream::read`].
            ///
            /// # Errors
            ///
            /// As [`TcpStream::read`].
            ///
            /// # Cancel safety
            ///
            /// Bytes are either returned or still unread.
            ///
            /// # Examples
            ///
            /// ```
            /// # use loxley_io::UnixStream;
            /// # loxley_runtime::run(async {
            /// let (ours, theirs) = UnixStream::pair()?;
            /// let (mut reader, _writer) = ours.into_split();
            /// theirs.write_all(b"hello").await?;
            /// let mut text = [0; 64];
            /// assert_eq!(reader.read(&mut text).await?, 5);
            /// # std::io::Result::Ok(())
            /// # }).unwrap();
            /// ```
            #[track_caller]
            pub fn read<'b>(
                &'b mut self,
                buf: &'b mut [u8],
            ) -> impl Future<Output = io::Result<usize>> {
                bytes::read(self.carrier(), buf)
            }

            /// As [`TcpStream::read_exact`].
            ///
            /// # Errors
            ///
            /// As [`TcpStream::read_exact`].
            ///
            /// # Cancel safety
            ///
            /// None: what was read already is in `buf` and nobody knows how much.
            ///
            /// # Examples
            ///
            /// ```
            /// # use loxley_io::UnixStream;
            /// # loxley_runtime::run(async {
            /// let (mut ours, theirs) = UnixStream::pair()?;
            /// let (mut reader, _writer) = ours.split();
            /// theirs.write_all(b"short").await?;
            /// drop(theirs);
            /// let error = reader.read_exact(&mut [0; 64]).await.unwrap_err();
            /// assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
            /// # std::io::Result::Ok(())
            /// # }).unwrap();
            /// ```
            pub async fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
                bytes::read_exact(self.carrier(), buf).await
            }

            /// As [`TcpStream::peek`].
            ///
            /// # Errors
            ///
            /// As [`TcpStream::peek`].
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost.
            ///
            /// # Examples
            ///
            /// ```
            /// # use loxley_io::UnixStream;
            /// # loxley_runtime::run(async {
            /// let (ours, theirs) = UnixStream::pair()?;
            /// let (mut reader, _writer) = ours.into_split();
            /// theirs.write_all(b"hello").await?;
            /// assert_eq!(reader.peek(&mut [0; 1]).await?, 1);
            /// assert_eq!(reader.read(&mut [0; 8]).await?, 5, "it was left unread");
            /// # std::io::Result::Ok(())
            /// # }).unwrap();
            /// ```
            #[track_caller]
            pub fn peek<'b>(
                &'b mut self,
                buf: &'b mut [u8],
            ) -> impl Future<Output = io::Result<usize>> {
                bytes::peek(self.carrier(), buf)
            }

            /// As [`TcpStream::try_read`].
            ///
            /// # Errors
            ///
            /// As [`TcpStream::try_read`].
            ///
            /// # Examples
            ///
            /// ```
            /// # use loxley_io::UnixStream;
            /// # loxley_runtime::run(async {
            /// let (mut ours, _theirs) = UnixStream::pair()?;
            /// let (mut reader, _writer) = ours.split();
            /// let nothing = reader.try_read(&mut [0; 8]).unwrap_err();
            /// assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
            /// # std::io::Result::Ok(())
            /// # }).unwrap();
            /// ```
            pub fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                bytes::try_read(self.carrier(), buf)
            }
        }
    };
}

macro_rules! write_half {
    ($half:ty) => {
        any_half!($half);

        impl<S: ByteStream> $half {
            /// As [`TcpStream::write`].
            ///
            /// # Errors
            ///
            /// As [`TcpStream::write`].
            ///
            /// # Cancel safety
            ///
            /// Dropped before it is ready, it has written nothing.
            ///
            /// # Examples
            ///
            /// ```
            /// # use loxley_io::UnixStream;
            /// # loxley_runtime::run(async {
            /// let (ours, _theirs) = UnixStream::pair()?;
            /// let (_reader, mut writer) = ours.into_split();
            /// assert_eq!(writer.write(b"hello").await?, 5);
            /// # std::io::Result::Ok(())
            /// # }).unwrap();
            /// ```
            #[track_caller]
            pub fn write<'b>(
                &'b mut self,
                buf: &'b [u8],
            ) -> impl Future<Output = io::Result<usize>> {
                bytes::write(self.carrier(), buf)
            }

            /// As [`TcpStream::write_vectored`].
            ///
            /// # Errors
            ///
            /// As [`TcpStream::write_vectored`].
            ///
            /// # Cancel safety
            ///
            /// As [`write`](Self::write).
            ///
            /// # Examples
            ///
            /// ```
            /// # use loxley_io::UnixStream;
            /// # use std::io::IoSlice;
            /// # loxley_runtime::run(async {
            /// let (mut ours, _theirs) = UnixStream::pair()?;
            /// let (_reader, mut writer) = ours.split();
            /// let pieces = [IoSlice::new(b"one "), IoSlice::new(b"system call")];
            /// assert_eq!(writer.write_vectored(&pieces).await?, 15);
            /// # std::io::Result::Ok(())
            /// # }).unwrap();
            /// ```
            #[track_caller]
            pub fn write_vectored<'b>(
                &'b mut self,
                bufs: &'b [IoSlice<'b>],
            ) -> impl Future<Output = io::Result<usize>> {
                bytes::write_vectored(self.carrier(), bufs)
            }

            /// As [`TcpStream::write_all`].
            ///
            /// # Errors
            ///
            /// As [`TcpStream::write_all`].
            ///
            /// # Cancel safety
            ///
            /// None: some of `buf` may have been written and nobody knows how much.
            ///
            /// # Examples
            ///
            /// ```
            /// # use loxley_io::UnixStream;
            /// # loxley_runtime::run(async {
            /// let (ours, theirs) = UnixStream::pair()?;
            /// let (_reader, mut writer) = ours.into_split();
            /// writer.write_all(b"all of it").await?;
            /// drop(writer);
            /// assert_eq!(theirs.read(&mut [0; 64]).await?, 9);
            /// # std::io::Result::Ok(())
            /// # }).unwrap();
            /// ```
            pub async fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
                bytes::write_all(self.carrier(), buf).await
            }

            /// As [`TcpStream::try_write`].
            ///
            /// # Errors
            ///
            /// As [`TcpStream::try_write`].
            ///
            /// # Examples
            ///
            /// ```
            /// # use loxley_io::UnixStream;
            /// # loxley_runtime::run(async {
            /// let (mut ours, _theirs) = UnixStream::pair()?;
            /// let (_reader, mut writer) = ours.split();
            /// while writer.try_write(&[0; 4096]).is_ok() {}
            /// let full = writer.try_write(b"!").unwrap_err();
            /// assert_eq!(full.kind(), std::io::ErrorKind::WouldBlock);
            /// # std::io::Result::Ok(())
            /// # }).unwrap();
            /// ```
            pub fn try_write(&mut self, buf: &[u8]) -> io::Result<usize> {
                bytes::try_write(self.carrier(), buf)
            }

            /// Ends the writing half: the peer sees the end.
            ///
            /// # Errors
            ///
            /// As [`TcpStream::shutdown`].
            ///
            /// # Examples
            ///
            /// ```
            /// # use loxley_io::UnixStream;
            /// # loxley_runtime::run(async {
            /// let (mut ours, theirs) = UnixStream::pair()?;
            /// let (mut reader, mut writer) = ours.split();
            /// writer.shutdown()?; // That was all from us.
            /// assert_eq!(theirs.read(&mut [0; 8]).await?, 0);
            /// theirs.write_all(b"answer").await?;
            /// assert_eq!(reader.read(&mut [0; 8]).await?, 6);
            /// # std::io::Result::Ok(())
            /// # }).unwrap();
            /// ```
            pub fn shutdown(&mut self) -> io::Result<()> {
                (*self).as_ref().shutdown(Shutdown::Write)
            }
        }
    };
}

read_half!(ReadHalf<'_, S>);
read_half!(OwnedReadHalf<S>);
write_half!(WriteHalf<'_, S>);
write_half!(OwnedWriteHalf<S>);
