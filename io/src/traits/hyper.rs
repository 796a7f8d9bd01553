//! `hyper::rt`: what hyper, and through it axum and tonic, speak.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};

use crate::bytes::{self, Carries};

macro_rules! reads {
    ([$($generics:tt)*] $stream:ty) => {
        impl<$($generics)*> Read for $stream {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                cursor: ReadBufCursor<'_>,
            ) -> Poll<io::Result<()>> {
                super::uninit::fill_hyper(self.carrier(), cx, cursor)
            }
        }
    };
}

macro_rules! writes {
    ([$($generics:tt)*] $stream:ty) => {
        impl<$($generics)*> Write for $stream {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                bytes::poll_write(self.carrier(), cx, buf)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                bytes::poll_write_vectored(self.carrier(), cx, bufs)
            }

            fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Carries::end(self.get_mut()))
            }
        }
    };
}

super::for_each_stream!(reads, writes);
