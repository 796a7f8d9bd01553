//! `futures_io`: what async-tungstenite, futures-rustls and their like speak.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use crate::bytes::{self, Carries};

macro_rules! reads {
    ([$($generics:tt)*] $stream:ty) => {
        impl<$($generics)*> AsyncRead for $stream {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                bytes::poll_read(self.carrier(), cx, buf)
            }
        }
    };
}

macro_rules! writes {
    ([$($generics:tt)*] $stream:ty) => {
        impl<$($generics)*> AsyncWrite for $stream {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                bytes::poll_write(self.carrier(), cx, buf)
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

            fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Carries::end(self.get_mut()))
            }
        }
    };
}

super::for_each_stream!(reads, writes);
