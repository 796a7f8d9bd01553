//! The sockets of ours that a link goes over without a box, and what a link asks of them.
//!
//! Called by `link.rs`, `flush.rs`, `reader.rs` and `tls/`. Never waits but in `readable`, `writable` and `poll_*`.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};
use std::time::Duration;

use loxley_sync::prim::lock::Mutex;

use super::buffer::Buffer;
use crate::bytes;
use crate::net::{TcpStream, UnixStream};
use crate::sys;

/// A connection.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The same expression for every kind.
macro_rules! each {
    ($socket:expr, $stream:ident => $do:expr) => {
        match $socket {
            Socket::Tcp($stream) => $do,
            Socket::Unix($stream) => $do,
        }
    };
}

impl Socket {
    /// Reads at most `room` bytes behind those in `buffer`. Memory is taken only when there may be something to read, and for
    /// a message no more than it has bytes.
    pub(super) fn poll_fill(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut Buffer,
        room: usize,
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => bytes::poll_read_by(stream, cx, |fd| {
            receive(fd, buffer, room)
        }))
    }

    /// The same for a buffer that others fill and empty, too: it is locked while the system is asked, and no longer.
    pub(super) fn poll_fill_shared(
        &self,
        cx: &mut Context<'_>,
        buffer: &Mutex<Buffer>,
        room: usize,
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => bytes::poll_read_by(stream, cx, |fd| {
            receive(fd, &mut buffer.lock(), room)
        }))
    }

    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => bytes::poll_read(stream, cx, buf))
    }

    pub(super) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        each!(self, stream => stream.try_write(buf))
    }

    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "for TLS"))]
    pub(super) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        each!(self, stream => stream.try_read(buf))
    }

    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "for TLS"))]
    pub(super) fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        each!(self, stream => stream.try_write_vectored(bufs))
    }

    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "for TLS"))]
    pub(super) async fn readable(&self) -> io::Result<()> {
        each!(self, stream => stream.readable().await)
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        each!(self, stream => stream.writable().await)
    }

    /// Ends one half or both. Of a connection that is broken already there is nothing left to end.
    pub(super) fn end(&self, how: Shutdown) {
        let _ = each!(self, stream => stream.shutdown(how));
    }

    /// A TCP peer will see a reset and not an end, when the descriptor is closed. What has come can be read until then.
    pub(super) fn will_reset(&self) {
        if let Self::Tcp(stream) = self {
            // Refused only for a connection that is gone already.
            let _ = stream.set_linger(Some(Duration::ZERO));
        }
    }

    /// Ends both halves at once. A TCP peer sees a reset and not an end, because what was written may not be whole.
    pub(super) fn reset(&self) {
        if let Self::Tcp(stream) = self {
            if sys::disconnect(stream.as_fd()).is_ok() {
                return;
            }
            // Where the system cannot disconnect, the reset comes when the descriptor is closed.
            self.will_reset();
        }
        self.end(Shutdown::Both);
    }
}

/// How much came, and of how much that had room.
fn receive(fd: BorrowedFd<'_>, buffer: &mut Buffer, room: usize) -> io::Result<(usize, usize)> {
    if room <= sys::FRESH_ROOM && buffer.holds_nothing() {
        return sys::recv_fresh(fd, buffer.with_room(0), room);
    }
    sys::recv_behind(fd, buffer.with_room(room))
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        each!(self, stream => stream.as_fd())
    }
}
