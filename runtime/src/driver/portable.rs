//! The reactor's alarm clock where there is no timer descriptor: the wait's own limit, as exact as mio makes it.
//!
//! Called by `reactor.rs` only; `linux.rs` is its twin.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use mio::Interest;
use mio::event::Event;

use super::Wait;

#[derive(Debug)]
pub(super) struct Alarm;

impl Alarm {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// The limit to give to the wait itself.
    pub(super) fn prepare(&mut self, wait: Wait) -> io::Result<Option<Duration>> {
        Ok(match wait {
            Wait::No => Some(Duration::ZERO),
            Wait::Forever => None,
            Wait::For(limit) => Some(limit),
            Wait::Until { deadline, now } => Some(deadline.saturating_duration_since(now)),
        })
    }

    pub(super) fn fired(&mut self) {}
}

/// mio reports no urgent data here: a peer that sends some may stall reads of its own connection until it sends again.
pub(super) fn with_urgent(interest: Interest) -> Interest {
    interest
}

pub(super) fn is_urgent(_event: &Event) -> bool {
    false
}
