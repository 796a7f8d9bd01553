//! Where a reader's bytes come from: a socket of ours, a pipe, or anything that somebody else has put into a box.
//!
//! Called by `reader.rs` alone. One pull is one system call at the most; nothing here waits longer than that, and nothing
//! decides what the bytes mean or what becomes of an error.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use super::buffer::Buffer;
use super::link::Link;
use super::socket::Socket;
use crate::pipe::PipeReader;
use crate::traits::AsyncRead;
use crate::{bytes, sys};

/// Where the bytes come from.
pub(super) enum Source {
    Socket(Arc<Link>),
    Pipe(PipeReader),
    /// Somebody else's; the link is that of the writer on the same connection, if there is one.
    Boxed(Exclusive, Option<Arc<Link>>),
}

/// A source that is reached through `&mut` alone. The mutex is never locked: it makes the reader `Sync`, which what is in it
/// need not be.
pub(super) struct Exclusive(Mutex<BoxSource>);

pub(super) type BoxSource = Pin<Box<dyn AsyncRead + Send>>;

impl Exclusive {
    fn get(&mut self) -> Pin<&mut (dyn AsyncRead + Send)> {
        let source = self.0.get_mut();
        source.unwrap_or_else(PoisonError::into_inner).as_mut()
    }
}

impl Source {
    /// Somebody else's source, reached through a box.
    pub(super) fn boxed(source: BoxSource, link: Option<Arc<Link>>) -> Self {
        Self::Boxed(Exclusive(Mutex::new(source)), link)
    }

    /// Pulls once: bytes into `buffer`, which has `room` more, opened first if the peer seals them. `chunk` is
    /// what is likely to come.
    #[inline]
    pub(super) fn poll_pull(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Buffer,
        is_sealed: bool,
        room: usize,
        chunk: usize,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Socket(link) => match (link.socket(), is_sealed) {
                (Some(_), true) => {
                    let opened = link.poll_open(cx, buffer, room, chunk);
                    or_closed(cx, opened, Some(link))
                }
                (Some(socket), false) => socket.poll_fill(cx, buffer, room),
                (None, _) => Poll::Ready(Ok(0)),
            },
            Self::Pipe(pipe) => {
                bytes::poll_read_by(pipe, cx, |fd| sys::read_behind(fd, buffer.with_room(room)))
            }
            Self::Boxed(source, link) => {
                // No more than is likely to be filled, because it has to be zeroed.
                let asked = room.min(chunk);
                let mut tail = Tail::of(buffer.with_room(room), asked);
                let filled = source.get().poll_read(cx, tail.as_mut());
                if let Poll::Ready(Ok(n)) = filled {
                    tail.keep(n);
                }
                drop(tail);
                or_closed(cx, filled, link.as_deref())
            }
        }
    }

    #[inline]
    pub(super) fn link(&self) -> Option<&Arc<Link>> {
        match self {
            Self::Socket(link) => Some(link),
            Self::Pipe(_) => None,
            Self::Boxed(_, link) => link.as_ref(),
        }
    }

    /// The socket to read from, unless a writer has closed it.
    #[inline]
    pub(super) fn open_socket(&self) -> Option<&Socket> {
        match self {
            Self::Socket(link) if !link.is_reading_closed() => link.socket(),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.link().is_some_and(|link| link.is_reading_closed())
    }
}

/// The room behind what a buffer holds, zeroed; what is not kept is cut off again, also when the source panics.
struct Tail<'a> {
    bytes: &'a mut Vec<u8>,
    held: usize,
}

impl<'a> Tail<'a> {
    fn of(bytes: &'a mut Vec<u8>, room: usize) -> Self {
        let held = bytes.len();
        bytes.resize(held + room, 0);
        Self { bytes, held }
    }

    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.held..]
    }

    fn keep(&mut self, count: usize) {
        self.held = self.bytes.len().min(self.held + count);
    }
}

impl Drop for Tail<'_> {
    fn drop(&mut self) {
        self.bytes.truncate(self.held);
    }
}

/// A source of somebody else's knows nothing of `close`, and TLS waits for the peer's: then the end comes from the link.
fn or_closed(
    cx: &mut Context<'_>,
    filled: Poll<io::Result<usize>>,
    link: Option<&Link>,
) -> Poll<io::Result<usize>> {
    let Some(link) = link.filter(|_| filled.is_pending()) else {
        return filled;
    };
    link.reader.register(cx.waker());
    match link.is_reading_closed() {
        true => Poll::Ready(Ok(0)),
        false => Poll::Pending,
    }
}
