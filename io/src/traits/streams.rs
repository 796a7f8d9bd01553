//! All three families on `StreamReader` and `StreamWriter`, over their own poll functions.
//!
//! Unlike a socket, a writer flushes: it is ready when everything queued is with the system. Shutting it down ends our half.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};

use crate::streams::{StreamReader, StreamWriter};

impl AsyncRead for StreamReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Self::poll_read(self.get_mut(), cx, buf)
    }
}

impl AsyncBufRead for StreamReader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Self::poll_fill_buf(self.get_mut(), cx)
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        Self::consume(self.get_mut(), count);
    }
}

impl AsyncWrite for StreamWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Self::poll_write(&self, cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_writev(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_flush(&self, cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_shutdown(&self, cx)
    }
}

#[cfg(feature = "tokio-io")]
mod tokio_io {
    use std::task::ready;

    use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

    use super::*;

    impl AsyncRead for StreamReader {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let reader = self.get_mut();
            let bytes = ready!(reader.poll_fill_buf(cx))?;
            let count = bytes.len().min(buf.remaining());
            buf.put_slice(&bytes[..count]);
            reader.consume(count);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncBufRead for StreamReader {
        fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
            Self::poll_fill_buf(self.get_mut(), cx)
        }

        fn consume(self: Pin<&mut Self>, count: usize) {
            Self::consume(self.get_mut(), count);
        }
    }

    impl AsyncWrite for StreamWriter {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Self::poll_write(&self, cx, buf)
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.poll_writev(cx, bufs)
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Self::poll_flush(&self, cx)
        }

        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Self::poll_shutdown(&self, cx)
        }
    }
}

#[cfg(feature = "hyper")]
mod hyper_rt {
    use std::task::ready;

    use hyper::rt::{Read, ReadBufCursor, Write};

    use super::*;

    impl Read for StreamReader {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            mut cursor: ReadBufCursor<'_>,
        ) -> Poll<io::Result<()>> {
            if cursor.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let reader = self.get_mut();
            let bytes = ready!(reader.poll_fill_buf(cx))?;
            let count = bytes.len().min(cursor.remaining());
            cursor.put_slice(&bytes[..count]);
            reader.consume(count);
            Poll::Ready(Ok(()))
        }
    }

    impl Write for StreamWriter {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Self::poll_write(&self, cx, buf)
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.poll_writev(cx, bufs)
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Self::poll_flush(&self, cx)
        }

        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Self::poll_shutdown(&self, cx)
        }
    }
}
