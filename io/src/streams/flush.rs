//! Sending what is queued in the background: a task that lives as long as there is something to send.
//!
//! Called by `link.rs`, which decides that there is. On a socket the task waits for room and lets the link send. A sink of
//! somebody else's is carried by a [`Flight`] that owns it, so that its code runs while no mutex is held: first at once, by
//! whoever writes, and if that does not suffice by a task.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use loxley_runtime::{Handle, timeout};
use loxley_sync::ambient::poll_budget;

use super::buffer::Buffer;
use super::errors::Lasting;
use super::link::{Landed, Link, Next, Sink};

/// Starts the task that flushes the link's socket.
#[track_caller]
pub(super) fn start(link: &Arc<Link>) {
    let Some(home) = home(link) else { return };
    drop(home.create_task(flush_socket(Duty::of(link))));
}

/// Writes `data`, and what is queued meanwhile, to the link's sink: now, as far as it goes, and then in a task.
#[track_caller]
pub(super) fn carry(link: &Arc<Link>, sink: Sink, data: &[u8]) {
    let mut flight = Flight {
        duty: Duty::of(link),
        sink: Some(sink),
        hand: Buffer::new(),
        is_closing: false,
    };
    let mut nobody = Context::from_waker(Waker::noop());
    flight.write_at_once(data, &mut nobody);
    if Pin::new(&mut flight).poll(&mut nobody).is_ready() {
        return;
    }
    link.held_up();
    if let Some(home) = home(link) {
        drop(home.create_task(flight));
    }
}

/// The runtime to spawn in; without one the link fails.
fn home(link: &Arc<Link>) -> Option<Handle> {
    if let Some(home) = link.home() {
        return Some(home.clone());
    }
    match Handle::try_current() {
        Ok(home) => Some(home),
        Err(error) => {
            link.fail(Lasting::new(io::Error::other(error)));
            None
        }
    }
}

async fn flush_socket(mut duty: Duty) {
    let link = duty.link.clone();
    let Some(socket) = link.socket() else { return };
    loop {
        if let Err(error) = socket.writable().await {
            link.fail(Lasting::new(error));
        }
        if !link.flush_some(socket) {
            duty.is_done = true;
            return;
        }
    }
}

/// Starts the task that takes leave of a peer behind TLS.
#[track_caller]
pub(super) fn part(link: &Arc<Link>) {
    let Some(home) = home(link) else { return };
    drop(home.create_task(take_leave(Duty::of(link))));
}

/// Waits until everything is sent and the end of the session is answered, for as long as that may take.
async fn take_leave(mut duty: Duty) {
    let link = duty.link.clone();
    if let Some(limit) = link.with_session(|session| session.shutdown_timeout()) {
        let parted = poll_fn(|cx| link.poll_parted(cx));
        if timeout(limit, parted).await.is_err() {
            link.unanswered();
        }
    }
    duty.is_done = true;
}

/// The right to send; whoever drops it before everything is sent breaks the link, so that nobody waits for ever.
struct Duty {
    link: Arc<Link>,
    is_done: bool,
}

impl Duty {
    fn of(link: &Arc<Link>) -> Self {
        Self {
            link: link.clone(),
            is_done: false,
        }
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        if !self.is_done {
            self.link.fail(Lasting::new(io::Error::other(Unsent)));
        }
    }
}

/// A sink on its way: written to, flushed, and put back into its place or closed.
struct Flight {
    duty: Duty,
    /// `None` once it is put back or let go.
    sink: Option<Sink>,
    hand: Buffer,
    /// Closing has begun, after which nothing else may be asked of the sink.
    is_closing: bool,
}

impl Flight {
    /// Writes from the caller's memory as much as goes without waiting, and takes the rest into the hand.
    fn write_at_once(&mut self, mut data: &[u8], cx: &mut Context<'_>) {
        while let (false, Some(sink)) = (data.is_empty(), &mut self.sink) {
            match sink
                .as_mut()
                .poll_write(cx, data)
                .map(|n| written(n, data.len()))
            {
                Poll::Ready(Ok(n)) => {
                    data = &data[n..];
                    self.duty.link.sent(n);
                }
                Poll::Ready(Err(error)) => {
                    self.sink = None;
                    self.duty.link.fail(Lasting::new(error));
                }
                Poll::Pending => return self.hand.extend(data),
            }
        }
    }

    /// Until the sink is out of our hands, in good order.
    fn poll_landed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let link = &self.duty.link;
        while let Some(sink) = &mut self.sink {
            if self.is_closing {
                ready!(sink.as_mut().poll_close(cx))?;
                self.sink = None;
                link.sink_closed();
                break;
            }
            while !self.hand.is_empty() {
                let bytes = self.hand.as_slice();
                let n = written(ready!(sink.as_mut().poll_write(cx, bytes)), bytes.len())?;
                self.hand.consume(n);
                link.sent(n);
                ready!(poll_budget(cx));
            }
            match link.next(&mut self.hand) {
                Next::Gone => break,
                Next::Write => continue,
                Next::Flush => ready!(sink.as_mut().poll_flush(cx))?,
            }
            match link.landed(&mut self.sink) {
                Landed::More => {}
                Landed::Close => self.is_closing = true,
                Landed::Rest => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Future for Flight {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.duty.link.flusher.register(cx.waker());
        let landed = match this.duty.link.is_given_up() {
            true => Ok(()),
            false => ready!(this.poll_landed(cx)),
        };
        this.sink = None;
        this.duty.is_done = true;
        if let Err(error) = landed {
            this.duty.link.fail(Lasting::new(error));
        }
        Poll::Ready(())
    }
}

/// How much a sink says it has written of `asked` bytes, if it makes sense.
fn written(result: io::Result<usize>, asked: usize) -> io::Result<usize> {
    match result? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        n => Ok(n.min(asked)),
    }
}

/// Why a link broke whose flusher did not live to the end.
#[derive(Clone, Copy, Debug)]
struct Unsent;

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the runtime ended before everything was sent; await `drain` or `wait_closed` before its main future ends",
        )
    }
}

impl std::error::Error for Unsent {}
