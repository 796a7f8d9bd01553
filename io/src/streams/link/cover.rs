//! A link with TLS: what is written is sealed before it is queued, what is read is opened, and the end is said and answered.
//!
//! Called by `link.rs`, `reader.rs`, `flush.rs` and `tls/`. The session stands under the link's mutex beside the queue, so
//! that records are queued in the order in which they are sealed.

use std::io;
use std::net::Shutdown;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use loxley_sync::ambient::poll_budget;
use loxley_sync::prim::atomic::Ordering;

use super::{Flush, Later, Link, Outgoing, SEND_MAX, Stage, ended};
use crate::streams::buffer::Buffer;
use crate::streams::errors::Lasting;
use crate::streams::tls::{Opened, Session};

/// What one look for the peer's end takes from the socket.
const DISCARD_CHUNK: usize = 16 << 10;

impl Outgoing {
    /// Whether the connection stays until the peer has answered the end of the session.
    pub(super) fn waits_for_answer(&self) -> bool {
        let is_open = self
            .session
            .as_ref()
            .is_some_and(|session| !session.is_peer_ended());
        self.is_parting && is_open
    }
}

/// Sending.
impl Link {
    /// Seals `data`, sends what can be sent at once and queues the rest.
    pub(super) fn write_sealed(&self, out: &mut Outgoing, data: &[u8], later: &mut Later) {
        for plain in data.chunks(SEND_MAX) {
            let Some(session) = &mut out.session else {
                return;
            };
            if let Err(error) = session.seal(plain) {
                return out.close_at_once(Some(Lasting::new(error)), later);
            }
            self.send_sealed(out, later);
            if out.stage == Stage::Closed {
                return;
            }
        }
    }

    /// Sends the records that there are, or queues them.
    fn send_sealed(&self, out: &mut Outgoing, later: &mut Later) {
        let (Some(session), Some(socket)) = (&mut out.session, &self.socket) else {
            return;
        };
        if !out.is_flushing {
            match session.send_to(socket) {
                Ok(()) => return,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return out.close_at_once(Some(Lasting::new(error)), later),
            }
        }
        session.take_sealed(&mut out.queue);
        out.pause_if_high();
        if !out.queue.is_empty() && !std::mem::replace(&mut out.is_flushing, true) {
            later.flush = Flush::Socket;
        }
    }

    /// Says the end of the session if it has not been said: whether it is on its way still, after which whoever sends it asks
    /// again.
    pub(super) fn is_saying_end(&self, out: &mut Outgoing, later: &mut Later) -> bool {
        if out
            .session
            .as_mut()
            .is_some_and(|session| session.say_end())
        {
            self.send_sealed(out, later);
        }
        out.is_flushing || out.stage == Stage::Closed
    }
}

/// Reading.
impl Link {
    /// Appends at most `room` bytes to `plain`: how many, and none at the end of the session. The socket is asked for
    /// `chunk` bytes at once.
    pub(in crate::streams) fn poll_open(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        plain: &mut Buffer,
        room: usize,
        chunk: usize,
    ) -> Poll<io::Result<usize>> {
        let Some(socket) = &self.socket else {
            return Poll::Ready(Ok(0));
        };
        loop {
            let Opened { count, is_hungry } = self.open(plain, room)?;
            if count > 0 || !is_hungry {
                return Poll::Ready(Ok(count));
            }
            let Poll::Ready(filled) = socket.poll_fill_shared(cx, &self.sealed, chunk) else {
                // Who waits holds no memory.
                self.sealed.lock().release();
                return Poll::Pending;
            };
            if filled? == 0 {
                let truncated = self.with_session(|session| session.truncated());
                return Poll::Ready(truncated.map_or(Ok(0), Err));
            }
            // Records without a byte in them cost a turn, too.
            ready!(poll_budget(cx));
        }
    }

    fn open(self: &Arc<Self>, plain: &mut Buffer, room: usize) -> io::Result<Opened> {
        let mut later = Later::default();
        let mut out = self.out.lock();
        let opened = match &mut out.session {
            Some(session) => session.open(&mut self.sealed.lock(), plain, room),
            None => Err(out.lost()),
        };
        if out.stage != Stage::Closed {
            // Opening may call for an answer: new keys, an alert.
            self.send_sealed(&mut out, &mut later);
        }
        self.finish(out, later);
        opened
    }
}

/// The end.
impl Link {
    /// Looks at the session, if there is one.
    pub(in crate::streams) fn with_session<T>(
        &self,
        look: impl FnOnce(&Session) -> T,
    ) -> Option<T> {
        self.out.lock().session.as_deref().map(look)
    }

    /// What the task that takes leave does: ready when the connection is closed.
    pub(in crate::streams) fn poll_parted(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.flusher.register(cx.waker());
        let Some(socket) = &self.socket else {
            return Poll::Ready(());
        };
        loop {
            let mut later = Later::default();
            let mut out = self.out.lock();
            if out.stage == Stage::Closed {
                return Poll::Ready(());
            }
            if !out.is_end_sent || !self.is_reading_closed() {
                // Somebody is sending, and tells of its end.
                return Poll::Pending;
            }
            if let Some(session) = out.session.as_mut() {
                session.discard(&mut self.sealed.lock());
            }
            if !out.waits_for_answer() {
                out.stage = Stage::Closed;
                later.guest = out.guest.take();
                later.is_changed = true;
                drop(out);
                socket.end(Shutdown::Both);
                self.settle(later);
                return Poll::Ready(());
            }
            drop(out);
            ready!(poll_budget(cx));
            // A peer who is gone has nothing to answer.
            if !matches!(
                ready!(socket.poll_fill_shared(cx, &self.sealed, DISCARD_CHUNK)),
                Ok(1..)
            ) {
                self.out.lock().is_parting = false;
            }
        }
    }

    /// The peer has not answered in time.
    pub(in crate::streams) fn unanswered(self: &Arc<Self>) {
        let is_all_sent = self.out.lock().is_end_sent;
        if let Some(error) = self.with_session(|session| session.unanswered()) {
            self.break_off(Lasting::new(error), is_all_sent);
        }
    }

    /// Closes the connection, both ways, because of `fault`. The peer sees an end behind what was sent, or a reset.
    pub(in crate::streams) fn break_off(self: &Arc<Self>, fault: Lasting, is_all_sent: bool) {
        // ordering: AcqRel, as in `close`.
        self.is_reading_closed.swap(true, Ordering::AcqRel);
        let mut later = Later::default();
        let mut out = self.out.lock();
        out.close_at_once(Some(fault), &mut later);
        // The socket ends here, and in a way that lets an alert arrive.
        later.is_broken = false;
        later.guest = out.guest.take();
        drop(out);
        match &self.socket {
            Some(socket) if is_all_sent => socket.end(Shutdown::Both),
            Some(socket) => socket.reset(),
            None => {}
        }
        self.settle(later);
    }
}

/// The beginning.
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "for TLS"))]
impl Link {
    /// Sends nothing until [`cover`](Self::cover): on a connection that nobody has written to yet.
    pub(in crate::streams) fn hold(&self) {
        self.out.lock().is_flushing = true;
    }

    /// The same when everything that was written is sent.
    pub(in crate::streams) async fn held_when_sent(
        &self,
        at: &'static Location<'static>,
    ) -> io::Result<()> {
        self.wait(at, |out| match out.stage {
            Stage::Closed => Some(Err(out.lost())),
            Stage::Ending | Stage::Closing => Some(Err(ended())),
            Stage::Open if out.is_flushing => None,
            Stage::Open => {
                out.is_flushing = true;
                Some(Ok(()))
            }
        })
        .await
    }

    /// Puts `session` between: what was written meanwhile is sealed and sent, and sending goes on.
    pub(in crate::streams) fn cover(self: &Arc<Self>, session: Box<Session>) -> io::Result<()> {
        let mut later = Later::default();
        let mut out = self.out.lock();
        if out.stage == Stage::Closed {
            return Err(out.lost());
        }
        out.session = Some(session);
        out.is_flushing = false;
        let mut early = std::mem::take(&mut out.queue);
        self.write_sealed(&mut out, early.as_slice(), &mut later);
        out.resume_if_low(&mut later);
        early.clear();
        if !out.is_flushing {
            self.end_if_asked(&mut out, &mut later);
        }
        self.finish(out, later);
        Ok(())
    }
}
