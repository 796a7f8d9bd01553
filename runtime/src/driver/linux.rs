//! The reactor's alarm clock on Linux: a timer descriptor, because `epoll_wait` counts in whole milliseconds.
//!
//! Called by `reactor.rs` only. The alarm is absolute in effect and stays set across turns: the kernel is asked only
//! when an earlier deadline comes up. A deadline that is given up, or moves to later, leaves the alarm as it is; at
//! worst one turn then ends early.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::Interest;
use mio::event::Event;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::Wait;

/// A wait longer than this is cut: far below what the kernel's time can hold, far above what anybody notices.
const ALARM_MAX: Duration = Duration::from_secs(60 * 60 * 24 * 365);

#[derive(Debug)]
pub(super) struct Alarm {
    timer: OwnedFd,
    /// The deadline the timer is set to, if it is known and has not been seen to pass.
    set_to: Option<Instant>,
}

impl Alarm {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self {
            timer: timerfd_create(TimerfdClockId::Monotonic, flags)?,
            set_to: None,
        })
    }

    /// The descriptor that becomes readable when the alarm goes off; reading it is not needed, every expiry is an edge.
    #[expect(clippy::unnecessary_wraps, reason = "the portable alarm has none")]
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.timer.as_fd())
    }

    /// Sets the alarm for a wait; returns the limit to give to the wait itself.
    pub(super) fn prepare(&mut self, wait: Wait) -> io::Result<Option<Duration>> {
        match wait {
            Wait::No => return Ok(Some(Duration::ZERO)),
            Wait::Forever => {}
            Wait::For(limit) => {
                self.set(limit)?;
                self.set_to = None;
            }
            Wait::Until { deadline, now } => {
                if self.set_to.is_none_or(|set_to| deadline < set_to) {
                    self.set(deadline.saturating_duration_since(now))?;
                    self.set_to = Some(deadline);
                }
            }
        }
        Ok(None)
    }

    /// The descriptor has become readable.
    pub(super) fn fired(&mut self) {
        self.set_to = None;
    }

    fn set(&self, limit: Duration) -> io::Result<()> {
        let limit = limit.clamp(Duration::from_nanos(1), ALARM_MAX);
        let alarm = Itimerspec {
            it_interval: timespec(Duration::ZERO),
            it_value: timespec(limit),
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &alarm)?;
        Ok(())
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Asks to be told of urgent data as well (see `URGENT` in `readiness.rs`).
pub(super) fn with_urgent(interest: Interest) -> Interest {
    interest | Interest::PRIORITY
}

pub(super) fn is_urgent(event: &Event) -> bool {
    event.is_priority()
}
