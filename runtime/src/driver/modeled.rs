//! The reactor without an operating system, under the names of `reactor.rs`: for models, which have no sockets and no
//! time.
//!
//! A wait with a limit waits like one without: what a model must show is that somebody ends it. Events are made by
//! `DriverHandle::inject`.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;

use loxley_sync::prim::Arc;
use loxley_sync::prim::lock::{Condvar, Mutex};

use super::{DriverHandle, Wait};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a model has no time, hence no alarm")]
pub(super) enum Happened {
    Unparked,
    Alarm,
    Event { token: usize, bits: u64 },
}

#[derive(Debug)]
struct World {
    pending: Mutex<VecDeque<Happened>>,
    changed: Condvar,
}

#[derive(Debug)]
pub(super) struct Reactor {
    world: Arc<World>,
    events: VecDeque<Happened>,
}

#[derive(Debug)]
pub(super) struct Remote {
    world: Arc<World>,
}

impl Reactor {
    pub(super) fn new(_events_max: usize) -> io::Result<(Self, Remote)> {
        let world = Arc::new(World {
            pending: Mutex::new(VecDeque::new()),
            changed: Condvar::new(),
        });
        let reactor = Self {
            world: world.clone(),
            events: VecDeque::new(),
        };
        Ok((reactor, Remote { world }))
    }

    pub(super) fn wait(&mut self, wait: Wait) -> io::Result<()> {
        let mut pending = self.world.pending.lock();
        let may_wait = match wait {
            Wait::No => false,
            Wait::For(limit) => !limit.is_zero(),
            Wait::Until { deadline, now } => deadline > now,
            Wait::Forever => true,
        };
        while may_wait && pending.is_empty() {
            pending = self.world.changed.wait(pending);
        }
        self.events = std::mem::take(&mut *pending);
        Ok(())
    }

    pub(super) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    pub(super) fn for_each(&mut self, f: impl FnMut(Happened)) {
        self.events.drain(..).for_each(f);
    }
}

impl Remote {
    fn push(&self, happened: Happened) {
        self.world.pending.lock().push_back(happened);
        self.world.changed.notify_one();
    }

    pub(super) fn wake(&self) -> io::Result<()> {
        self.push(Happened::Unparked);
        Ok(())
    }

    pub(super) fn register(
        &self,
        _fd: RawFd,
        _token: usize,
        _readable: bool,
        _writable: bool,
    ) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn deregister(&self, _fd: RawFd) -> io::Result<()> {
        Ok(())
    }
}

impl DriverHandle {
    /// Makes an event for the source that was registered under `token`.
    pub fn inject(&self, token: usize, bits: u64) {
        self.remote().push(Happened::Event { token, bits });
    }
}
