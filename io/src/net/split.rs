//! Halves of a stream, for two tasks or for two borrowers.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;

use super::TcpStream;

/// The reading half of a borrowed stream: see [`TcpStream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a>(pub(super) &'a TcpStream);

/// The writing half of a borrowed stream: see [`TcpStream::split`].
#[derive(Debug)]
pub struct WriteHalf<'a>(pub(super) &'a TcpStream);

/// The reading half of a stream: see [`TcpStream::into_split`].
#[derive(Debug)]
pub struct OwnedReadHalf(Arc<TcpStream>);

/// The writing half of a stream: see [`TcpStream::into_split`]. Dropping it ends our half: the peer sees the end.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    stream: Arc<TcpStream>,
    ends: bool,
}

impl OwnedReadHalf {
    pub(super) fn new(stream: Arc<TcpStream>) -> Self {
        Self(stream)
    }

    /// The whole stream again.
    ///
    /// # Errors
    ///
    /// If the halves are of two streams; both are given back.
    ///
    /// # Panics
    ///
    /// Never: two halves of one stream are its only owners.
    pub fn reunite(self, other: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        if !Arc::ptr_eq(&self.0, &other.stream) {
            return Err(ReuniteError(self, other));
        }
        other.forget();
        Ok(Arc::into_inner(self.0).expect("the two halves were the only owners"))
    }
}

impl OwnedWriteHalf {
    pub(super) fn new(stream: Arc<TcpStream>) -> Self {
        Self { stream, ends: true }
    }

    /// Drops the half without ending it: the connection is closed with the reading half.
    pub fn forget(mut self) {
        self.ends = false;
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.ends {
            // A broken connection is reported to who reads.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}

/// The halves given to [`OwnedReadHalf::reunite`] are of two streams.
#[derive(Debug)]
#[non_exhaustive]
pub struct ReuniteError(
    /// The reading half.
    pub OwnedReadHalf,
    /// The writing half.
    pub OwnedWriteHalf,
);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these halves are of two streams; reunite halves of one `into_split`")
    }
}

impl std::error::Error for ReuniteError {}

impl AsRef<TcpStream> for ReadHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.0
    }
}

impl AsRef<TcpStream> for WriteHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.0
    }
}

impl AsRef<TcpStream> for OwnedReadHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.0
    }
}

impl AsRef<TcpStream> for OwnedWriteHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

macro_rules! addresses {
    ($half:ty) => {
        impl $half {
            /// Our address.
            ///
            /// # Errors
            ///
            /// If the system refuses to say.
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                (*self).as_ref().local_addr()
            }

            /// The peer's address.
            ///
            /// # Errors
            ///
            /// If the connection is gone.
            pub fn peer_addr(&self) -> io::Result<SocketAddr> {
                (*self).as_ref().peer_addr()
            }
        }
    };
}

macro_rules! read_half {
    ($half:ty) => {
        addresses!($half);

        impl $half {
            /// As [`TcpStream::read`].
            ///
            /// # Errors
            ///
            /// As [`TcpStream::read`].
            ///
            /// # Cancel safety
            ///
            /// Bytes are either returned or still unread.
            #[track_caller]
            pub fn read<'b>(
                &'b mut self,
                buf: &'b mut [u8],
            ) -> impl Future<Output = io::Result<usize>> {
                (*self).as_ref().read(buf)
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
            pub async fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
                (*self).as_ref().read_exact(buf).await
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
            #[track_caller]
            pub fn peek<'b>(
                &'b mut self,
                buf: &'b mut [u8],
            ) -> impl Future<Output = io::Result<usize>> {
                (*self).as_ref().peek(buf)
            }

            /// As [`TcpStream::try_read`].
            ///
            /// # Errors
            ///
            /// As [`TcpStream::try_read`].
            pub fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                (*self).as_ref().try_read(buf)
            }
        }
    };
}

macro_rules! write_half {
    ($half:ty) => {
        addresses!($half);

        impl $half {
            /// As [`TcpStream::write`].
            ///
            /// # Errors
            ///
            /// As [`TcpStream::write`].
            ///
            /// # Cancel safety
            ///
            /// Dropped before it is ready, it has written nothing.
            #[track_caller]
            pub fn write<'b>(
                &'b mut self,
                buf: &'b [u8],
            ) -> impl Future<Output = io::Result<usize>> {
                (*self).as_ref().write(buf)
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
            #[track_caller]
            pub fn write_vectored<'b>(
                &'b mut self,
                bufs: &'b [IoSlice<'b>],
            ) -> impl Future<Output = io::Result<usize>> {
                (*self).as_ref().write_vectored(bufs)
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
            pub async fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
                (*self).as_ref().write_all(buf).await
            }

            /// As [`TcpStream::try_write`].
            ///
            /// # Errors
            ///
            /// As [`TcpStream::try_write`].
            pub fn try_write(&mut self, buf: &[u8]) -> io::Result<usize> {
                (*self).as_ref().try_write(buf)
            }

            /// Ends the writing half: the peer sees the end.
            ///
            /// # Errors
            ///
            /// As [`TcpStream::shutdown`].
            pub fn shutdown(&mut self) -> io::Result<()> {
                (*self).as_ref().shutdown(Shutdown::Write)
            }
        }
    };
}

read_half!(ReadHalf<'_>);
read_half!(OwnedReadHalf);
write_half!(WriteHalf<'_>);
write_half!(OwnedWriteHalf);
