//! The only file naming `mio::Poll` and `mio::Waker`: waits for events and translates them.
//!
//! Called by `driver/mod.rs` (wait, translate) and `registration.rs` (register, deregister). Knows neither sources nor
//! wakers: a number goes in at registration and comes back with every event.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};

use super::Wait;
use super::platform::{Alarm, is_urgent, with_urgent};
use super::readiness::{ERROR, READ_CLOSED, READABLE, URGENT, WRITABLE, WRITE_CLOSED};

const UNPARK: Token = Token(usize::MAX);
const ALARM: Token = Token(usize::MAX - 1);

/// One thing that a wait has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happened {
    /// Somebody called `wake`.
    Unparked,
    /// The deadline has passed.
    Alarm,
    /// A source is ready, as the readiness bits say.
    Event { token: usize, bits: u64 },
}

/// The waiting half.
#[derive(Debug)]
pub(super) struct Reactor {
    poll: Poll,
    events: Events,
    alarm: Alarm,
    timed_out: bool,
}

/// The half that every thread may use.
#[derive(Debug)]
pub(super) struct Remote {
    registry: Registry,
    waker: mio::Waker,
}

impl Reactor {
    pub(super) fn new(events_max: usize) -> io::Result<(Self, Remote)> {
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), UNPARK)?;
        let alarm = Alarm::new()?;
        if let Some(fd) = alarm.fd() {
            poll.registry()
                .register(&mut SourceFd(&fd.as_raw_fd()), ALARM, Interest::READABLE)?;
        }
        let remote = Remote {
            registry: poll.registry().try_clone()?,
            waker,
        };
        let reactor = Self {
            poll,
            events: Events::with_capacity(events_max.max(1)),
            alarm,
            timed_out: false,
        };
        Ok((reactor, remote))
    }

    /// Waits; what came is then read with [`for_each`](Self::for_each).
    pub(super) fn wait(&mut self, wait: Wait) -> io::Result<()> {
        let (wait, asked) = match wait {
            Wait::For(Duration::ZERO) => (Wait::No, false),
            Wait::Until { deadline, now } if deadline <= now => (Wait::No, true),
            wait => (wait, matches!(wait, Wait::For(_) | Wait::Until { .. })),
        };
        let limit = self.alarm.prepare(wait)?;
        match self.poll.poll(&mut self.events, limit) {
            Ok(()) => {
                // Where the alarm is the wait's own limit, a wait that brings nothing is the alarm.
                self.timed_out = asked && limit.is_some() && self.events.is_empty();
                Ok(())
            }
            // A signal came: a turn without events. mio leaves the list empty.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                self.timed_out = false;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the last wait has brought anything.
    pub(super) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    pub(super) fn for_each(&mut self, mut f: impl FnMut(Happened)) {
        for event in &self.events {
            f(match event.token() {
                UNPARK => Happened::Unparked,
                ALARM => {
                    self.alarm.fired();
                    Happened::Alarm
                }
                Token(token) => Happened::Event {
                    token,
                    bits: bits_of(event),
                },
            });
        }
        if self.timed_out {
            f(Happened::Alarm);
        }
    }
}

impl Remote {
    pub(super) fn wake(&self) -> io::Result<()> {
        self.waker.wake()
    }

    /// Reports events of `fd` under `token` from now on, and at once if it is ready already.
    pub(super) fn register(
        &self,
        fd: RawFd,
        token: usize,
        readable: bool,
        writable: bool,
    ) -> io::Result<()> {
        let interest = match (readable, writable) {
            (true, true) => with_urgent(Interest::READABLE | Interest::WRITABLE),
            (true, false) => with_urgent(Interest::READABLE),
            (false, _) => Interest::WRITABLE,
        };
        self.registry
            .register(&mut SourceFd(&fd), Token(token), interest)
    }

    pub(super) fn deregister(&self, fd: RawFd) -> io::Result<()> {
        self.registry.deregister(&mut SourceFd(&fd))
    }
}

fn bits_of(event: &Event) -> u64 {
    let mut bits = 0;
    let mut note = |happened: bool, bit: u64| {
        if happened {
            bits |= bit;
        }
    };
    note(event.is_readable(), READABLE);
    note(event.is_writable(), WRITABLE);
    note(event.is_read_closed(), READ_CLOSED);
    note(event.is_write_closed(), WRITE_CLOSED);
    // An error alone names no direction: let both go and look.
    note(event.is_error(), ERROR | READABLE | WRITABLE);
    note(is_urgent(event), URGENT);
    bits
}
