//! The sockets of ours that a link goes over without a box, and what a link asks of them.
//!
//! Called by `link.rs`, `flush.rs` and `reader.rs`. Never waits but in `writable` and `poll_*`.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};

use super::buffer::Buffer;
use crate::net::TcpStream;
use crate::sys;

/// A connection.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
}

impl Socket {
    /// Reads at most `room` bytes behind those in `buffer`. Memory is asked for only when there may be something to read.
    pub(super) fn poll_fill(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut Buffer,
        room: usize,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => {
                stream.poll_read_by(cx, |fd| sys::recv_behind(fd, buffer.with_room(room)))
            }
        }
    }

    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => stream.poll_read(cx, buf),
        }
    }

    pub(super) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(buf),
        }
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.writable().await,
        }
    }

    /// Ends one half or both. Of a connection that is broken already there is nothing left to end.
    pub(super) fn end(&self, how: Shutdown) {
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(how),
        };
    }

    /// Ends both halves at once. The peer sees a reset and not an end, because what was written may not be whole.
    pub(super) fn reset(&self) {
        match self {
            Self::Tcp(stream) => {
                // Where the system cannot disconnect, the reset comes when the descriptor is closed.
                if sys::disconnect(stream.as_fd()).is_err() {
                    let _ = stream.set_linger(Some(std::time::Duration::ZERO));
                    self.end(Shutdown::Both);
                }
            }
        }
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr(),
        }
    }

    pub(super) fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr(),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}
