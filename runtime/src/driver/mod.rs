//! Waiting for the world: sockets, descriptors, signals and the next deadline, in one system call.
//!
//! One thread at a time holds the [`Driver`] and calls [`Driver::turn`]: it waits, then reports every event to the
//! readiness of its source (R2 in `readiness.rs`) and wakes whoever waited for it. Everybody else holds a
//! [`DriverHandle`]: to register sources, to end a wait ([`DriverHandle::unpark`]), to shut down.
//!
//! The driver only ever sees [`std::task::Waker`]: it knows neither tasks nor the scheduler, and it fires no timers
//! itself: the scheduler tells it how long to wait and looks at the wheel afterwards.
//!
//! | file | holds |
//! |---|---|
//! | `readiness.rs` | one source's word and its waiters, edges R1–R6 |
//! | `slab.rs` | token ↔ source |
//! | `registration.rs` | what a socket holds |
//! | `async_io.rs` | a wait of one operation, as a future |
//! | `patience.rs` | whether to look again and again before sleeping |
//! | `reactor.rs` | the only file naming `mio::Poll` and `mio::Waker` |
//! | `linux.rs`, `portable.rs` | the alarm clock of the reactor: timerfd, or the wait's own limit |
//! | `modeled.rs` | the same without an operating system, for models |
//! | `signals.rs` | signal → socket pair → reactor |
//! | `disposition.rs` | what a signal did before us, and the way back to it |
//!
//! **Access.** `Driver` is owned by whoever turns it (the scheduler keeps it behind a lock it only tries). `Shared` is
//! reached by everybody: the slab by its own rules, `unparked` by the two edges below.
//!
//! **Unpark.** `unpark` raises the flag and, if it was down, writes to the operating system's wake-up descriptor. A
//! turn that sees that event lowers the flag, then returns. An unpark that finds the flag raised may skip the write:
//! the event of the one that raised it is still to be seen, by this turn or the next, and the turn's exchange on the
//! flag comes after the unpark's, so what was done before the unpark is visible after the turn.

use std::io;
use std::time::{Duration, Instant};

use crate::clock::real_now;
use loxley_sync::prim::atomic::{AtomicBool, Ordering};
use loxley_sync::prim::{Arc, IS_MODEL, thread};
use loxley_sync::wait::WakeBatch;

pub(crate) mod async_io;
mod disposition;
mod patience;
pub(crate) mod readiness;
pub(crate) mod registration;
pub(crate) mod signals;
pub(crate) mod slab;
pub(crate) mod timers;

#[cfg(any(target_os = "linux", target_os = "android"))]
#[cfg(not(any(loom, shuttle)))]
#[path = "linux.rs"]
mod platform;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[cfg(not(any(loom, shuttle)))]
#[path = "portable.rs"]
mod platform;

#[cfg(any(loom, shuttle))]
#[path = "modeled.rs"]
mod reactor;
#[cfg(not(any(loom, shuttle)))]
mod reactor;

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

/// How many sources the slab makes at a time, as a power of two: 16 KiB of them. A model would only count their number.
#[cfg(not(any(loom, shuttle)))]
const PAGE_BITS: u32 = 8;
#[cfg(any(loom, shuttle))]
const PAGE_BITS: u32 = 1;

/// A look that took longer was not ours alone: another thread wants this processor.
const DISTURBED: Duration = Duration::from_micros(10);

use patience::{Patience, Waited};
use reactor::{Happened, Reactor, Remote};
use slab::{Key, Refused, Slab};

/// How long a turn may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all: report what is there.
    No,
    /// At most this long, exact below a millisecond; zero is [`Wait::No`].
    For(Duration),
    /// At most until `deadline`, as seen from `now`, a fresh reading of the clock.
    ///
    /// Cheaper than [`Wait::For`] for a deadline that was waited for before: the alarm is not set again. A turn may
    /// also end early, at an earlier deadline of an earlier turn.
    Until {
        /// When to stop waiting.
        deadline: Instant,
        /// What time it is.
        now: Instant,
    },
    /// Until something happens.
    Forever,
}

/// What a turn of the driver saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Events of sources, stale ones included.
    pub events: usize,
    /// Whether somebody called [`DriverHandle::unpark`].
    pub unparked: bool,
    /// Whether the deadline of this or an earlier turn has passed.
    pub alarm: bool,
}

/// What the one thread holds that waits. See the module.
#[derive(Debug)]
pub struct Driver {
    reactor: Reactor,
    patience: Patience,
    shared: Arc<Shared>,
}

/// What everybody else holds. See the module.
#[derive(Clone, Debug)]
pub struct DriverHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    remote: Remote,
    slab: Slab,
    unparked: AtomicBool,
    signal_handlers: signals::Handlers,
}

impl Driver {
    /// A driver that takes at most `events_max` events from the operating system per turn.
    ///
    /// # Errors
    ///
    /// If the process or the machine has no descriptor left for it, or the limit of its user is reached.
    pub fn new(events_max: usize) -> io::Result<(Self, DriverHandle)> {
        let (reactor, remote) = Reactor::new(events_max)?;
        let shared = Arc::new(Shared {
            remote,
            slab: Slab::new(),
            unparked: AtomicBool::new(false),
            signal_handlers: signals::Handlers::default(),
        });
        let handle = DriverHandle(shared.clone());
        let driver = Self {
            reactor,
            patience: Patience::new(Duration::ZERO),
            shared,
        };
        Ok((driver, handle))
    }

    /// From now on a turn that may wait looks so long before it sleeps, whenever that has proved to be faster.
    pub(crate) fn set_look_limit(&mut self, limit: Duration) {
        // Models have no time: there, every wait is a sleep.
        self.patience = Patience::new(if IS_MODEL { Duration::ZERO } else { limit });
    }

    /// Waits as told, then reports what happened. Wakers are called here when `batch` is full; what is left in it is
    /// the caller's to wake. A wait that a signal interrupts is a turn without events.
    ///
    /// Call it with no lock held that a waker may want.
    ///
    /// # Errors
    ///
    /// If the operating system refuses to wait, which says that one of the driver's descriptors was closed behind its
    /// back.
    pub fn turn(&mut self, wait: Wait, batch: &mut WakeBatch) -> io::Result<Turn> {
        self.shared.slab.age();
        let waited = self.wait(wait)?;
        let mut turn = Turn::default();
        let shared = &self.shared;
        self.reactor.for_each(|happened| match happened {
            Happened::Unparked => {
                // ordering: AcqRel. Sees what was done before every `unpark` that found the flag up (see **Unpark**).
                shared.unparked.swap(false, Ordering::AcqRel);
                turn.unparked = true;
            }
            Happened::Alarm => turn.alarm = true,
            Happened::Event { token, bits } => {
                shared.slab.report(token, bits, batch);
                turn.events += 1;
            }
        });
        if let Some(mut waited) = waited {
            waited.has_events = turn.events > 0;
            self.patience.learn(waited);
        }
        Ok(turn)
    }

    /// Waits as told, looking first if that is worth it. What is worth learning from it, but for what has come.
    fn wait(&mut self, mut wait: Wait) -> io::Result<Option<Waited>> {
        if !self.patience.learns() || !matches!(wait, Wait::Until { .. } | Wait::Forever) {
            return self.reactor.wait(wait).map(|()| None);
        }
        let began = real_now();
        let look = self.patience.look();
        let found = match look {
            Some(limit) => self.look(began, limit, &mut wait)?,
            None => false,
        };
        if !found {
            self.reactor.wait(wait)?;
        }
        Ok(Some(Waited {
            began,
            ended: real_now(),
            in_vain: look.is_some() && !found,
            has_events: false,
        }))
    }

    /// Asks the system again and again for `limit`, or less if the deadline of `wait` comes first or another thread wants this
    /// processor. True: there is something. False: `wait` is what is left of it.
    fn look(&mut self, began: Instant, limit: Duration, wait: &mut Wait) -> io::Result<bool> {
        let mut now = began;
        loop {
            self.reactor.wait(Wait::No)?;
            if self.reactor.has_events() {
                return Ok(true);
            }
            let asked = now;
            thread::yield_now();
            now = real_now();
            let is_late = match wait {
                Wait::Until { deadline, .. } => now >= *deadline,
                _ => false,
            };
            if is_late || now - began >= limit || now - asked > DISTURBED {
                break;
            }
        }
        if let Wait::Until { now: as_of, .. } = wait {
            *as_of = now;
        }
        Ok(false)
    }
}

impl DriverHandle {
    /// Ends the wait that is going on, or else the next one. From any thread; unparks in a row cost one system call.
    ///
    /// # Panics
    ///
    /// If the wake-up descriptor was closed behind the driver's back.
    pub fn unpark(&self) {
        // ordering: AcqRel, pairs with the exchange in `turn`: what was done before is seen after that turn.
        if !self.0.unparked.swap(true, Ordering::AcqRel) {
            let told = loop {
                match self.0.remote.wake() {
                    // No kernel does that to a write which never waits; tracers and sandboxes do.
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    told => break told,
                }
            };
            told.expect("nobody but the driver closes its wake-up descriptor");
        }
    }

    /// R6 on every source: whoever waits is woken and gets an error, and so does every later registration.
    pub fn shutdown(&self) {
        self.0.slab.shut_down();
    }

    /// How many sources are registered now.
    #[must_use]
    pub fn registered(&self) -> usize {
        self.0.slab.live()
    }

    fn open(&self, readable: bool, writable: bool) -> Result<Key, Refused> {
        self.0.slab.open(readable, writable)
    }

    fn remote(&self) -> &Remote {
        &self.0.remote
    }

    fn slab(&self) -> &Slab {
        &self.0.slab
    }
}
