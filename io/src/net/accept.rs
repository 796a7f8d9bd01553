//! What to do when accepting fails: pure decisions, no sockets and no clocks.
//!
//! Called by `Incoming` and by servers. The kernel keeps a connection queued when there is no descriptor for it, so a
//! loop that only tries again would spin; one that gives up would leave a server deaf after a peak. Hence pauses that
//! grow, as in Go's `net/http`.

use std::io;
use std::time::Duration;

use rustix::io::Errno;

const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long a server pauses accepting when the system has no descriptors or memory for another connection, or its policy
/// refuses one: 5 ms at first, doubling up to one second, back to nothing with the next connection.
///
/// # Examples
///
/// ```
/// use loxley_io::net::{AcceptPause, AcceptVerdict};
/// use std::{io, time::Duration};
///
/// let mut pause = AcceptPause::new();
/// let no_descriptors = io::Error::from_raw_os_error(24); // EMFILE
/// let first = pause.judge(&no_descriptors);
/// assert_eq!(first, AcceptVerdict::Pause { delay: Duration::from_millis(5), first: true });
/// let second = pause.judge(&no_descriptors);
/// assert_eq!(second, AcceptVerdict::Pause { delay: Duration::from_millis(10), first: false });
/// ```
#[derive(Clone, Debug, Default)]
pub struct AcceptPause {
    last: Option<Duration>,
}

/// What to do after an error of accept.
///
/// # Examples
///
/// ```
/// use loxley_io::net::{AcceptPause, AcceptVerdict};
/// use std::io;
///
/// let mut pause = AcceptPause::new();
/// let gone = io::Error::from(io::ErrorKind::ConnectionAborted);
/// assert_eq!(pause.judge(&gone), AcceptVerdict::Next);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcceptVerdict {
    /// The error was that of one connection, which is gone: accept the next.
    Next,
    /// The system is short of something, or its policy refuses a connection: accept again after this pause. `first` says
    /// that no error came just before, so this is the one to report.
    Pause {
        /// How long.
        delay: Duration,
        /// Whether this is the first of a series.
        first: bool,
    },
    /// The listener itself is broken.
    Fail,
}

impl AcceptPause {
    /// No errors so far.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::net::{AcceptPause, AcceptVerdict};
    /// let emfile = std::io::Error::from_raw_os_error(24);
    /// let verdict = AcceptPause::new().judge(&emfile);
    /// assert!(matches!(verdict, AcceptVerdict::Pause { first: true, .. }), "to be reported");
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Judges an error of accept.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::net::{AcceptPause, AcceptVerdict};
    /// let broken = std::io::Error::from_raw_os_error(9); // EBADF: there is no such socket.
    /// assert_eq!(AcceptPause::new().judge(&broken), AcceptVerdict::Fail);
    /// ```
    pub fn judge(&mut self, error: &io::Error) -> AcceptVerdict {
        if is_of_one_connection(error) {
            AcceptVerdict::Next
        } else if may_pass(error) {
            let first = self.last.is_none();
            let delay = self
                .last
                .map_or(PAUSE_MIN, |last| (last * 2).min(PAUSE_MAX));
            self.last = Some(delay);
            AcceptVerdict::Pause { delay, first }
        } else {
            AcceptVerdict::Fail
        }
    }

    /// A connection was accepted.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::net::{AcceptPause, AcceptVerdict};
    /// let emfile = std::io::Error::from_raw_os_error(24);
    /// let mut pause = AcceptPause::new();
    /// pause.judge(&emfile);
    /// pause.accepted(); // The shortage is over.
    /// assert!(matches!(pause.judge(&emfile), AcceptVerdict::Pause { first: true, .. }));
    /// ```
    pub fn accepted(&mut self) {
        self.last = None;
    }
}

/// Whether the error is that of a connection which died in the queue (accept(2), "Error handling").
pub(crate) fn is_of_one_connection(error: &io::Error) -> bool {
    const OF_ONE: &[Errno] = &[
        Errno::CONNABORTED,
        Errno::CONNRESET,
        Errno::PROTO,
        Errno::NETDOWN,
        Errno::NETUNREACH,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::NOPROTOOPT,
        #[cfg(target_os = "linux")]
        Errno::NONET,
    ];
    error.kind() == io::ErrorKind::ConnectionAborted
        || Errno::from_io_error(error).is_some_and(|errno| OF_ONE.contains(&errno))
}

/// Whether it may pass: the process or the system has run out of descriptors, memory or (`ENOSPC`) what the driver may watch;
/// or a policy of the system refuses this connection, and may refuse every one.
fn may_pass(error: &io::Error) -> bool {
    const PASSING: [Errno; 7] = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::NOSPC,
        Errno::PERM,
        Errno::ACCESS,
    ];
    Errno::from_io_error(error).is_some_and(|errno| PASSING.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_second_are_reported_once_and_end_with_a_connection() {
        let mut pause = AcceptPause::new();
        let short = io::Error::from(Errno::MFILE);
        let mut delays = Vec::new();
        for round in 0..10 {
            let AcceptVerdict::Pause { delay, first } = pause.judge(&short) else {
                panic!("a shortage passes");
            };
            assert_eq!(first, round == 0);
            delays.push(delay.as_millis());
        }
        assert_eq!(delays, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        pause.accepted();
        assert_eq!(
            pause.judge(&short),
            AcceptVerdict::Pause {
                delay: PAUSE_MIN,
                first: true
            }
        );
    }

    #[test]
    fn a_connection_that_died_in_the_queue_is_skipped() {
        let mut pause = AcceptPause::new();
        for errno in [Errno::CONNABORTED, Errno::PROTO] {
            assert_eq!(pause.judge(&errno.into()), AcceptVerdict::Next);
        }
    }

    #[test]
    fn what_a_policy_or_a_quota_refuses_costs_a_pause_and_not_the_listener() {
        for errno in [Errno::PERM, Errno::ACCESS, Errno::NOSPC] {
            let verdict = AcceptPause::new().judge(&errno.into());
            assert!(matches!(verdict, AcceptVerdict::Pause { first: true, .. }));
        }
    }

    #[test]
    fn a_broken_listener_is_not_tried_again() {
        let mut pause = AcceptPause::new();
        for errno in [Errno::BADF, Errno::INVAL, Errno::NOTSOCK] {
            assert_eq!(pause.judge(&errno.into()), AcceptVerdict::Fail);
        }
    }
}
