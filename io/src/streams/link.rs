//! What a reader and the writers of one connection share: the queue of what could not be sent at once, its water marks, and
//! how the connection ends.
//!
//! Called by `writer.rs`, `reader.rs` and `flush.rs`. Under its mutex it sends on sockets, which never waits; a sink of
//! somebody else's is taken out of it first. No waker is called, nothing of others runs and nothing of theirs is dropped
//! while the mutex is held: all that is left to [`Later`].
//!
//! # Stages
//!
//! ```text
//!            write_eof              close, last writer gone
//!    OPEN ───────────────► ENDING ────────────────► CLOSING ── all is sent ──► CLOSED
//!      └──────────────────── close, last writer gone ──►┘                        ▲
//!      └─────── a write or read fails, abort: from every stage ──────────────────┘
//! ```
//!
//! Whoever raises `is_flushing` has the right to send until it is lowered: the task of `flush.rs`, or a call that tries at
//! once. Where it is down the queue is empty, and a sink is in its place.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use loxley_runtime::{Handle, yield_now};
use loxley_sync::Notify;
use loxley_sync::ambient::{WaitKind, poll_budgeted, wait_reason};
use loxley_sync::prim::atomic::{AtomicBool, AtomicUsize, Ordering};
use loxley_sync::prim::lock::{Mutex, MutexGuard};
use loxley_sync::wait::WaitCell;

use super::buffer::Buffer;
use super::errors::Lasting;
use super::flush;
use super::marks::WaterMarks;
use super::server::Guest;
use super::socket::Socket;
use super::tls::Session;
use crate::traits::AsyncWrite;

mod cover;
mod pollers;

use pollers::Pollers;

/// The writing half of a connection that is no socket of ours.
pub(super) type Sink = Pin<Box<dyn AsyncWrite + Send>>;

/// The most one system call sends: what a call holds the mutex for.
pub(super) const SEND_MAX: usize = 256 << 10;

/// See the module. In this order, because with many connections every line of the cache that is touched is a miss: what each
/// read and write looks at stands at the front, and so it does in [`Outgoing`].
#[repr(C)]
pub(super) struct Link {
    is_reading_closed: AtomicBool,
    /// `None`: a sink of somebody else's.
    socket: Option<Socket>,
    out: Mutex<Outgoing>,
    /// What has come from a peer behind TLS and is not opened yet: of the reader, and then of the task that takes leave. Locked
    /// inside `out`, never around it.
    sealed: Mutex<Buffer>,
    /// Room in the queue, or the end.
    changed: Notify,
    /// The same for those who poll a writer through a trait.
    pollers: Pollers,
    /// The task that flushes a sink or takes leave, to be told of an abort.
    pub(super) flusher: WaitCell,
    /// A reader behind TLS, or that is no socket of ours, to be told of `close`.
    pub(super) reader: WaitCell,
    writers: AtomicUsize,
    /// The number of the next writer that is made.
    next_writer: AtomicUsize,
    /// Where tasks that flush are spawned; `None` if the link was made outside every runtime.
    home: Option<Handle>,
    peer: OnceLock<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// No more is written; the end is sent behind what is queued.
    Ending,
    /// The same, and then everything is over.
    Closing,
    Closed,
}

/// What is under the mutex.
#[repr(C)]
struct Outgoing {
    stage: Stage,
    is_flushing: bool,
    /// The queue has grown over the high mark and not yet fallen to the low one.
    is_paused: bool,
    /// It was closed before everything was sent.
    is_cut_short: bool,
    is_end_sent: bool,
    /// There is a task that sees to it that the end of the session is answered, or not waited for too long.
    is_parting: bool,
    /// TLS, which the queue is behind: what is in it is sealed.
    session: Option<Box<Session>>,
    queue: Buffer,
    /// Bytes of the queue that somebody who is sending has in his hands.
    in_flight: usize,
    marks: WaterMarks,
    /// Why it was closed, if not in good order.
    fault: Option<Lasting>,
    sink: Option<Sink>,
    /// The place among the connections of a server, until both ways are closed.
    guest: Option<Guest>,
}

/// What has to wait until the mutex is free.
#[derive(Default)]
struct Later {
    is_changed: bool,
    flush: Flush,
    /// Let go: closing and freeing it is work, or runs code of others.
    gone: (Option<Sink>, Buffer),
    guest: Option<Guest>,
    /// The task that takes leave is to be started.
    parts: bool,
    /// What was written may not be whole: the peer must not take the end of it for a good one.
    is_broken: bool,
}

/// Who has to be set to work.
#[derive(Default)]
enum Flush {
    #[default]
    Nothing,
    Socket,
    Sink(Sink),
}

/// What whoever carries a sink does next.
pub(super) enum Next {
    /// There are more bytes in the hand.
    Write,
    /// All is written: flush.
    Flush,
    /// The link was closed meanwhile: let the sink go.
    Gone,
}

/// What becomes of a sink that has been flushed.
pub(super) enum Landed {
    /// There is more to write.
    More,
    /// The sink is to be closed.
    Close,
    /// The sink is back in its place, or to be let go.
    Rest,
}

impl Outgoing {
    fn held(&self) -> usize {
        self.queue.len() + self.in_flight
    }

    fn pause_if_high(&mut self) {
        self.is_paused |= self.held() > self.marks.high();
    }

    fn resume_if_low(&mut self, later: &mut Later) {
        if self.is_paused && self.held() <= self.marks.low() {
            self.is_paused = false;
            later.is_changed = true;
        }
    }

    /// Closed, for this reason; what is queued is given up.
    fn close_at_once(&mut self, fault: Option<Lasting>, later: &mut Later) {
        if self.stage == Stage::Closed {
            return;
        }
        self.stage = Stage::Closed;
        later.is_broken = fault.is_some();
        self.fault = fault;
        self.is_cut_short = self.held() > 0;
        self.is_paused = false;
        self.in_flight = 0;
        later.gone = (self.sink.take(), std::mem::take(&mut self.queue));
        later.is_changed = true;
    }

    fn lost(&self) -> io::Error {
        self.fault.as_ref().map_or_else(
            || io::Error::new(io::ErrorKind::ConnectionReset, "the connection is closed"),
            Lasting::again,
        )
    }
}

impl Link {
    pub(super) fn over(socket: Socket) -> Self {
        Self::new(Some(socket), None)
    }

    /// Of a server's connection. None if the server was closed first: then the connection is reset.
    pub(super) fn served(
        socket: Socket,
        peer: Option<SocketAddr>,
        guest: Guest,
    ) -> Option<Arc<Self>> {
        let link = Arc::new(Self::new(Some(socket), None));
        if let Some(peer) = peer {
            link.knows_peer(peer);
        }
        // Whoever finds the link in the roster may close it at once, and then finds its guest here: it waits for the mutex.
        let mut out = link.out.lock();
        let is_in_time = guest.is(&link);
        out.guest = Some(guest);
        drop(out);
        if !is_in_time {
            link.abort();
            return None;
        }
        Some(link)
    }

    /// The peer's address is known, and need not be asked for when the connection is gone.
    pub(super) fn knows_peer(&self, peer: SocketAddr) {
        // Who is first is right: it does not change.
        let _ = self.peer.set(peer);
    }

    pub(super) fn boxed(sink: Sink) -> Self {
        Self::new(None, Some(sink))
    }

    fn new(socket: Option<Socket>, sink: Option<Sink>) -> Self {
        Self {
            socket,
            peer: OnceLock::new(),
            home: Handle::try_current().ok(),
            out: Mutex::new(Outgoing {
                queue: Buffer::new(),
                in_flight: 0,
                marks: WaterMarks::default(),
                is_paused: false,
                stage: Stage::Open,
                fault: None,
                is_cut_short: false,
                is_flushing: false,
                is_end_sent: false,
                session: None,
                is_parting: false,
                sink,
                guest: None,
            }),
            sealed: Mutex::new(Buffer::new()),
            changed: Notify::new(),
            pollers: Pollers::new(),
            flusher: WaitCell::new(),
            reader: WaitCell::new(),
            is_reading_closed: AtomicBool::new(false),
            writers: AtomicUsize::new(0),
            next_writer: AtomicUsize::new(0),
        }
    }

    pub(super) fn socket(&self) -> Option<&Socket> {
        self.socket.as_ref()
    }

    pub(super) fn home(&self) -> Option<&Handle> {
        self.home.as_ref()
    }

    /// A writer more, and its number.
    pub(super) fn writer_made(&self) -> usize {
        // ordering: Relaxed. A count; who makes a writer has one, or is alone with the link.
        self.writers.fetch_add(1, Ordering::Relaxed);
        // ordering: Relaxed. A number that no other writer has; nothing travels along.
        self.next_writer.fetch_add(1, Ordering::Relaxed)
    }

    /// The last writer's going closes the connection behind what it wrote. The peer may still be read to its end.
    pub(super) fn writer_gone(self: &Arc<Self>, writer: usize) {
        self.pollers.forget(writer);
        // ordering: AcqRel. The last one sees what the others did.
        if self.writers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.advance(Stage::Closing);
        }
    }

    /// Sends what can be sent at once, and queues the rest. `false` if our half has been ended.
    #[track_caller]
    #[must_use = "writing after the end is misuse"]
    pub(super) fn write(self: &Arc<Self>, data: &[u8]) -> bool {
        let mut later = Later::default();
        let mut out = self.out.lock();
        match out.stage {
            Stage::Open => {}
            Stage::Ending => return false,
            // Told to whoever drains.
            Stage::Closing | Stage::Closed => return true,
        }
        let mut rest = data;
        if out.session.is_some() {
            self.write_sealed(&mut out, data, &mut later);
            rest = &[];
        } else if out.is_flushing {
            // Others' bytes come first.
        } else if let Some(socket) = &self.socket {
            rest = send(socket, &mut out, data, &mut later);
        } else if let Some(sink) = out.sink.take() {
            out.is_flushing = true;
            out.in_flight = data.len();
            drop(out);
            flush::carry(self, sink, data);
            return true;
        }
        if out.stage == Stage::Open && !rest.is_empty() {
            out.queue.extend(rest);
            out.pause_if_high();
            if !std::mem::replace(&mut out.is_flushing, true) {
                later.flush = Flush::Socket;
            }
        }
        self.finish(out, later);
        true
    }

    /// One step of the task that flushes a socket: whether there is more to do.
    pub(super) fn flush_some(self: &Arc<Self>, socket: &Socket) -> bool {
        let mut later = Later::default();
        let mut out = self.out.lock();
        if out.stage != Stage::Closed {
            let queued = out.queue.as_slice();
            match socket.try_write(&queued[..queued.len().min(SEND_MAX)]) {
                Ok(n) => {
                    out.queue.consume(n);
                    out.resume_if_low(&mut later);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => out.close_at_once(Some(Lasting::new(error)), &mut later),
            }
        }
        let is_done = out.queue.is_empty();
        if is_done {
            out.is_flushing = false;
            out.queue.release();
            self.end_if_asked(&mut out, &mut later);
        }
        self.finish(out, later);
        !is_done
    }

    /// Everything is sent and nobody is sending: what was to follow follows.
    fn end_if_asked(&self, out: &mut Outgoing, later: &mut Later) {
        // Somebody may wait for an empty queue.
        later.is_changed = true;
        if !matches!(out.stage, Stage::Ending | Stage::Closing) {
            return;
        }
        if let Some(socket) = &self.socket {
            if self.is_saying_end(out, later) {
                return;
            }
            let waits = out.waits_for_answer();
            if out.stage == Stage::Closing && self.is_reading_closed() && !waits {
                socket.end(Shutdown::Both);
            } else if !out.is_end_sent {
                socket.end(Shutdown::Write);
            }
            out.is_end_sent = true;
            if waits && self.is_reading_closed() {
                return;
            }
        } else if let Some(sink) = out.sink.take() {
            // Closing it may wait.
            out.is_flushing = true;
            later.flush = Flush::Sink(sink);
            return;
        }
        if out.stage == Stage::Closing {
            out.stage = Stage::Closed;
        }
    }

    /// Ends our half behind what is queued.
    #[track_caller]
    pub(super) fn write_eof(self: &Arc<Self>) {
        self.advance(Stage::Ending);
    }

    /// Closes the connection, both ways, behind what is queued.
    #[track_caller]
    pub(super) fn close(self: &Arc<Self>) {
        // ordering: AcqRel. Pairs with `is_reading_closed`: a reader that is told sees what came before.
        if self.is_reading_closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let is_seen_to = self.advance(Stage::Closing);
        if let (Some(socket), false) = (&self.socket, is_seen_to) {
            // Wakes a reader that waits in the driver.
            socket.end(Shutdown::Read);
        }
    }

    /// Says whether the end of reading is seen to, now or by the task that takes leave.
    #[track_caller]
    fn advance(self: &Arc<Self>, stage: Stage) -> bool {
        let mut later = Later::default();
        let mut out = self.out.lock();
        let is_news = match out.stage {
            Stage::Open => true,
            Stage::Ending => stage == Stage::Closing,
            Stage::Closing | Stage::Closed => false,
        };
        if is_news {
            out.stage = stage;
            out.is_parting = stage == Stage::Closing && out.session.is_some();
        }
        let ends_now = is_news && !out.is_flushing;
        if ends_now {
            self.end_if_asked(&mut out, &mut later);
        }
        out.is_parting &= out.stage == Stage::Closing;
        later.parts = is_news && out.is_parting;
        later.is_changed = true;
        let is_reading_left = ends_now || out.is_parting;
        self.finish(out, later);
        is_reading_left
    }

    /// Closes the connection, both ways, and gives up what is queued.
    pub(super) fn abort(self: &Arc<Self>) {
        // ordering: AcqRel, as in `close`.
        let was_closed = self.is_reading_closed.swap(true, Ordering::AcqRel);
        let mut later = Later::default();
        let mut out = self.out.lock();
        let was_over = was_closed && out.stage == Stage::Closed;
        out.close_at_once(None, &mut later);
        later.guest = out.guest.take();
        later.is_changed = true;
        drop(out);
        if let (Some(socket), false) = (&self.socket, was_over) {
            socket.reset();
        }
        self.settle(later);
    }

    /// Closes the connection because of `fault`, of which everybody is told.
    pub(super) fn fail(self: &Arc<Self>, fault: Lasting) {
        let mut later = Later::default();
        let mut out = self.out.lock();
        out.close_at_once(Some(fault), &mut later);
        self.finish(out, later);
    }

    /// Gives the mutex back, and then [`settle`](Self::settle)s. A connection that is over both ways has left its server then,
    /// however it came to that: closed and all sent, or closed and what was left could not be sent.
    #[track_caller]
    fn finish(self: &Arc<Self>, mut out: MutexGuard<'_, Outgoing>, mut later: Later) {
        if out.stage == Stage::Closed && self.is_reading_closed() {
            later.guest = out.guest.take();
        }
        drop(out);
        self.settle(later);
    }

    /// Does what had to wait for the mutex.
    #[track_caller]
    fn settle(self: &Arc<Self>, later: Later) {
        let Later {
            is_changed,
            flush,
            gone,
            guest,
            parts,
            is_broken,
        } = later;
        if let (true, Some(socket)) = (is_broken, &self.socket) {
            socket.will_reset();
        }
        drop(gone);
        drop(guest);
        if is_changed {
            self.changed.notify_waiters();
            self.pollers.wake();
            self.flusher.wake();
            self.reader.wake();
        }
        match flush {
            Flush::Nothing => {}
            Flush::Socket => flush::start(self),
            Flush::Sink(sink) => flush::carry(self, sink, &[]),
        }
        if parts {
            flush::part(self);
        }
    }
}

/// What whoever carries a sink asks.
impl Link {
    /// `count` bytes of those in the hand are written.
    pub(super) fn sent(self: &Arc<Self>, count: usize) {
        let mut later = Later::default();
        let mut out = self.out.lock();
        out.in_flight = out.in_flight.saturating_sub(count);
        out.resume_if_low(&mut later);
        self.finish(out, later);
    }

    /// What comes next, when the hand is empty; it is filled for [`Next::Write`].
    pub(super) fn next(&self, hand: &mut Buffer) -> Next {
        let mut out = self.out.lock();
        if out.stage == Stage::Closed {
            return Next::Gone;
        }
        if out.queue.is_empty() {
            return Next::Flush;
        }
        std::mem::swap(&mut out.queue, hand);
        out.in_flight = hand.len();
        Next::Write
    }

    /// The bytes in the hand are more than could be written at once.
    pub(super) fn held_up(&self) {
        self.out.lock().pause_if_high();
    }

    /// The sink is flushed.
    pub(super) fn landed(self: &Arc<Self>, sink: &mut Option<Sink>) -> Landed {
        let mut later = Later::default();
        let mut out = self.out.lock();
        let landed = match out.stage {
            _ if !out.queue.is_empty() => Landed::More,
            Stage::Ending | Stage::Closing => Landed::Close,
            Stage::Open => {
                out.sink = sink.take();
                out.is_flushing = false;
                later.is_changed = true;
                Landed::Rest
            }
            Stage::Closed => Landed::Rest,
        };
        self.finish(out, later);
        landed
    }

    /// The sink is closed, and let go.
    pub(super) fn sink_closed(self: &Arc<Self>) {
        let mut later = Later::default();
        let mut out = self.out.lock();
        out.is_flushing = false;
        self.end_if_asked(&mut out, &mut later);
        self.finish(out, later);
    }

    /// Whether the link was closed while somebody carries its sink.
    pub(super) fn is_given_up(&self) -> bool {
        self.out.lock().stage == Stage::Closed
    }
}

/// What writers and readers ask.
impl Link {
    pub(super) fn is_reading_closed(&self) -> bool {
        // ordering: Acquire. Pairs with the swap of `close` and `abort`.
        self.is_reading_closed.load(Ordering::Acquire)
    }

    /// The peer's address, from the first answer on also when the connection is gone.
    pub(super) fn peer_addr(&self) -> io::Result<SocketAddr> {
        match (self.peer.get(), &self.socket) {
            (Some(peer), _) => Ok(*peer),
            (None, Some(Socket::Tcp(stream))) => {
                let peer = stream.peer_addr()?;
                self.knows_peer(peer);
                Ok(peer)
            }
            _ => Err(no_address()),
        }
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.socket {
            Some(Socket::Tcp(stream)) => stream.local_addr(),
            _ => Err(no_address()),
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        matches!(self.out.lock().stage, Stage::Closing | Stage::Closed)
    }

    pub(super) fn held(&self) -> usize {
        self.out.lock().held()
    }

    pub(super) fn marks(&self) -> WaterMarks {
        self.out.lock().marks
    }

    pub(super) fn set_marks(self: &Arc<Self>, marks: WaterMarks) {
        let mut later = Later::default();
        let mut out = self.out.lock();
        out.marks = marks;
        out.pause_if_high();
        out.resume_if_low(&mut later);
        self.finish(out, later);
    }

    /// Waits until there is room in the queue.
    pub(super) async fn drained(&self, at: &'static Location<'static>) -> io::Result<()> {
        let look = |out: &mut Outgoing| match out.stage {
            Stage::Closed => Some(Err(out.lost())),
            _ if out.is_paused => None,
            _ => Some(Ok(())),
        };
        let is_closing = |out: &Outgoing| matches!(out.stage, Stage::Closing | Stage::Closed);
        match self.look_once(|out| (look(out), is_closing(out))).await {
            (Some(done), false) => return done,
            (None, false) => {}
            // As in asyncio: a loop that writes on a closed connection lets others see it.
            (_, true) => yield_now().await,
        }
        self.wait_for_change(at, look).await
    }

    /// Waits until the connection is closed.
    pub(super) async fn closed(&self, at: &'static Location<'static>) -> io::Result<()> {
        self.wait(at, |out| match (out.stage, &out.fault) {
            (Stage::Closed, Some(fault)) => Some(Err(fault.again())),
            (Stage::Closed, None) => Some(Ok(())),
            _ => None,
        })
        .await
    }

    async fn wait<T>(
        &self,
        at: &'static Location<'static>,
        look: impl Fn(&mut Outgoing) -> Option<T>,
    ) -> T {
        if let Some(done) = self.look_once(&look).await {
            return done;
        }
        self.wait_for_change(at, look).await
    }

    fn look_once<T>(&self, look: impl Fn(&mut Outgoing) -> T) -> impl Future<Output = T> {
        poll_fn(move |cx| poll_budgeted(cx, |_| Poll::Ready(look(&mut self.out.lock()))))
    }

    async fn wait_for_change<T>(
        &self,
        at: &'static Location<'static>,
        look: impl Fn(&mut Outgoing) -> Option<T>,
    ) -> T {
        loop {
            // Asked for before the look: a change after it is not missed.
            let mut changed = pin!(self.changed.notified());
            if let Some(done) = look(&mut self.out.lock()) {
                return done;
            }
            poll_fn(|cx| {
                let poll = changed.as_mut().poll(cx);
                if poll.is_pending() {
                    wait_reason(WaitKind::Io, Some(at));
                }
                poll
            })
            .await;
        }
    }

    /// For the traits: ready when a write would not grow the queue past its mark.
    pub(super) fn poll_room(&self, writer: usize, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(writer, cx, |out| match out.stage {
            Stage::Open if out.is_paused => None,
            Stage::Open => Some(Ok(())),
            Stage::Ending | Stage::Closing => Some(Err(ended())),
            Stage::Closed => Some(Err(out.lost())),
        })
    }

    /// For the traits: ready when everything queued is sent.
    pub(super) fn poll_sent(&self, writer: usize, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(writer, cx, |out| match out.stage {
            Stage::Closed if out.fault.is_some() || out.is_cut_short => Some(Err(out.lost())),
            // Who carried a sink then does not tell.
            Stage::Closed => Some(Ok(())),
            _ if out.is_flushing => None,
            _ => Some(Ok(())),
        })
    }

    /// The mutex is free again when this returns.
    fn look<T>(&self, look: impl Fn(&Outgoing) -> Option<T>) -> Option<T> {
        look(&self.out.lock())
    }

    fn poll<T>(
        &self,
        writer: usize,
        cx: &mut Context<'_>,
        look: impl Fn(&Outgoing) -> Option<T>,
    ) -> Poll<T> {
        let poll = poll_budgeted(cx, |cx| {
            if let Some(found) = self.look(&look) {
                return Poll::Ready(found);
            }
            self.pollers.register(writer, cx.waker());
            self.look(&look).map_or(Poll::Pending, Poll::Ready)
        });
        if poll.is_pending() {
            wait_reason(WaitKind::Io, None);
        }
        poll
    }
}

/// What the traits say of a write after the end.
pub(super) fn ended() -> io::Error {
    io::Error::new(
        io::ErrorKind::BrokenPipe,
        "this writer was closed; nothing can follow",
    )
}

fn no_address() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "this stream is no internet connection and has no such address",
    )
}

/// Sends as much of `data` as the socket takes and returns the rest.
fn send<'a>(
    socket: &Socket,
    out: &mut Outgoing,
    mut data: &'a [u8],
    later: &mut Later,
) -> &'a [u8] {
    while !data.is_empty() {
        match socket.try_write(&data[..data.len().min(SEND_MAX)]) {
            Ok(n) => data = &data[n..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => {
                out.close_at_once(Some(Lasting::new(error)), later);
                break;
            }
        }
    }
    data
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (queued, stage) = {
            let out = self.out.lock();
            (out.held(), out.stage)
        };
        f.debug_struct("Link")
            .field("socket", &self.socket)
            .field("queued", &queued)
            .field("stage", &stage)
            .finish_non_exhaustive()
    }
}
