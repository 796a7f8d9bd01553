//! The reaper: the only one who waits for the children of this crate, and the only one who signals them.
//!
//! Called by `start.rs` for each child that was started, by `process.rs` for those who ask, and by the driver, which
//! wakes a child when there may be something to reap. It never waits for a child that it did not start, and never signals
//! a number that it has reaped.
//!
//! There is no reaper task and no reaper thread. A [`Child`] is its own waker: registered once with the driver of the
//! runtime that started it, it is called when its process descriptor says *exited*, or, where there are none, when SIGCHLD
//! has come. It then reaps itself, on the worker that turned the driver, and sets the event that any number of `wait`s
//! wait for. The registration holds the child and the child the registration; reaping cuts that circle. So a child whose
//! [`Process`](crate::Process) was dropped is reaped like any other, and one whose runtime goes is handed to
//! `orphans.rs`.
//!
//! # State
//!
//! ```text
//!                 D1 watch                D3 reap
//!     unwatched ───────────▶ watched ───────────────▶ ended
//!         ▲  │                  │                       ▲
//!         │  └───── D3 reap ────┼───────────────────────┘
//!         └───────── D2 orphan ─┘
//! ```
//!
//! # Access
//!
//! `life` is the reaper's lock. It is held while a child is reaped, and while a signal is sent: between the two lies the
//! whole reason for it, because a number that has been reaped may be another process's a moment later. Both calls return
//! at once. Watches are dropped, and the event is set, after it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitStatus;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loxley_io::{Direction, Interest, Registered};
use loxley_runtime::signal::{self, SIGCHLD, SignalStream};
use loxley_sync::Event;
use loxley_sync::ambient;
use loxley_sync::prim::lock::Mutex;

use crate::error::SendSignalError;
use crate::orphans;
use crate::sys::{self, PidFd};

/// How a child is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// By its process descriptor, or by SIGCHLD where there are none.
    Best,
    /// By SIGCHLD.
    Sigchld,
}

/// One process that was started here, until it is reaped.
pub(crate) struct Child {
    pid: u32,
    /// Whether it is the first of a process group of its own, whose number is `pid`.
    leads_group: bool,
    means: Means,
    life: Mutex<Life>,
    ended: Event,
}

enum Life {
    /// `None`: nobody watches, because nobody does yet, or because the runtime has gone.
    Running(Option<Arc<Watch>>),
    Ended(Exit),
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Status(ExitStatus),
    /// Somebody else has reaped it.
    Lost,
}

/// What says that there may be something to reap.
enum Watch {
    PidFd(Registered<OwnedFd>),
    Sigchld(SignalStream),
}

impl Child {
    pub(crate) fn new(pid: u32, leads_group: bool, means: Means) -> Arc<Self> {
        Arc::new(Self {
            pid,
            leads_group,
            means,
            life: Mutex::new(Life::Running(None)),
            ended: Event::new(),
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it was reaped.
    pub(crate) fn exit(&self) -> Option<Exit> {
        match &*self.life.lock() {
            Life::Running(_) => None,
            Life::Ended(exit) => Some(*exit),
        }
    }

    /// Set when the child has been reaped.
    pub(crate) fn ended(&self) -> &Event {
        &self.ended
    }

    /// D1: has the runtime that this code runs in watch the child, which is reaped by itself from now on. By its process
    /// descriptor, if it was born with one.
    ///
    /// # Errors
    ///
    /// If there is no runtime or it has shut down, or no descriptor is left. The child runs on unwatched.
    pub(crate) fn watch(self: &Arc<Self>, pidfd: Option<OwnedFd>) -> io::Result<()> {
        let watch = match Watch::new(self.pid, self.means, pidfd)? {
            Some(watch) => Arc::new(watch),
            None => return self.try_reap(None),
        };
        match &mut *self.life.lock() {
            Life::Running(slot) => *slot = Some(watch),
            Life::Ended(_) => return Ok(()),
        }
        self.look();
        Ok(())
    }

    /// Reaps the child if it has exited, else sees to it that the watch calls again.
    fn look(self: &Arc<Self>) {
        let watch = match &*self.life.lock() {
            Life::Running(Some(watch)) => watch.clone(),
            Life::Running(None) | Life::Ended(_) => return,
        };
        let waker = Waker::from(self.clone());
        let mut cx = Context::from_waker(&waker);
        // Neither the budget nor the wait reason of the task that happens to be polled here is ours.
        let outer = ambient::enter();
        let looked = watch.poll_reap(&mut cx, || self.try_reap(watch.pidfd()));
        ambient::leave(outer);
        match looked {
            Poll::Pending | Poll::Ready(Ok(())) => {}
            // The runtime has shut down.
            Poll::Ready(Err(_)) => {
                if self.orphan(&watch) {
                    orphans::adopt(self);
                }
            }
        }
    }

    /// D2: nobody watches any more. Whether it was `gone` that watched, and not a newer one.
    fn orphan(&self, gone: &Arc<Watch>) -> bool {
        let mut life = self.life.lock();
        let Life::Running(slot) = &mut *life else {
            return false;
        };
        // The caller's share keeps the watch alive, so nothing of it is dropped under the lock.
        slot.take_if(|watch| Arc::ptr_eq(watch, gone)).is_some()
    }

    /// D3: reaps the child if it has exited; would block while it runs.
    fn try_reap(&self, pidfd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let before = {
            let mut life = self.life.lock();
            if let Life::Ended(_) = *life {
                return Ok(());
            }
            let exit = match sys::reap(self.pid, pidfd) {
                Ok(Some(status)) => Exit::Status(status),
                Ok(None) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                Err(_) => Exit::Lost,
            };
            std::mem::replace(&mut *life, Life::Ended(exit))
        };
        drop(before);
        self.ended.set();
        Ok(())
    }

    /// Blocks this thread until the child has been reaped; for a thread that has nothing else to do.
    pub(crate) fn reap_blocking(&self) {
        while self.exit().is_none() {
            // Refused means that somebody else has reaped it, which the next line finds out as well.
            let _ = sys::wait_until_exit(self.pid);
            let _ = self.try_reap(None);
        }
    }

    /// Sends signal `signum`, unless the child has been reaped. One that has exited and not been reaped takes it as
    /// processes do: without effect.
    pub(crate) fn send_signal(&self, signum: i32) -> Result<(), SendSignalError> {
        self.while_unreaped(|pidfd| sys::kill(self.pid, pidfd, signum))
            .map_err(|error| match error {
                SendSignalError::Os(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    SendSignalError::NoSuchSignal { signum }
                }
                error => error,
            })
    }

    /// Kills every process of the group that the child leads.
    pub(crate) fn kill_group(&self) -> Result<(), SendSignalError> {
        if !self.leads_group {
            return Err(SendSignalError::NoGroup { pid: self.pid });
        }
        self.while_unreaped(|_| sys::kill_group(self.pid))
    }

    /// The end that nobody asked for: of a child whose spawn was given up, or that is killed on drop.
    pub(crate) fn kill_silently(&self) {
        // Nothing to do about a child that has finished, or that has become another user's.
        let _ = match self.leads_group {
            true => self.kill_group(),
            false => self.send_signal(signal::SIGKILL),
        };
    }

    /// Runs `send` while the child's number is its own.
    fn while_unreaped(
        &self,
        send: impl FnOnce(Option<BorrowedFd<'_>>) -> io::Result<()>,
    ) -> Result<(), SendSignalError> {
        let life = self.life.lock();
        let pidfd = match &*life {
            Life::Running(Some(watch)) => watch.pidfd(),
            Life::Running(None) => None,
            Life::Ended(_) => return Err(SendSignalError::Finished { pid: self.pid }),
        };
        send(pidfd).map_err(|error| {
            const ESRCH: i32 = 3;
            match error.raw_os_error() {
                // Somebody else has reaped it.
                Some(ESRCH) => SendSignalError::Finished { pid: self.pid },
                _ => SendSignalError::Os(error),
            }
        })
    }
}

impl Wake for Child {
    fn wake(self: Arc<Self>) {
        self.look();
    }
}

impl Watch {
    /// `None` if the child is gone already.
    fn new(pid: u32, means: Means, pidfd: Option<OwnedFd>) -> io::Result<Option<Self>> {
        if means == Means::Best {
            let pidfd = pidfd.map_or_else(|| sys::open_pidfd(pid), |fd| Ok(PidFd::Open(fd)));
            match pidfd? {
                PidFd::Open(fd) => {
                    // Most children have not exited yet; one that has is an event at once.
                    let fd = Registered::new_unready(fd, Interest::Read)?;
                    return Ok(Some(Self::PidFd(fd)));
                }
                PidFd::Gone => return Ok(None),
                PidFd::Missing => {}
            }
        }
        Ok(Some(Self::Sigchld(signal::stream(SIGCHLD)?)))
    }

    fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::PidFd(fd) => Some(fd.as_fd()),
            Self::Sigchld(_) => None,
        }
    }

    /// Tries `reap` whenever it may succeed, until it does not say that it would block.
    fn poll_reap(
        &self,
        cx: &mut Context<'_>,
        mut reap: impl FnMut() -> io::Result<()>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::PidFd(fd) => fd.poll_io(cx, Direction::Read, |_| reap()),
            Self::Sigchld(stream) => loop {
                match reap() {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        // A signal that came since then is kept, so it is not missed between the two.
                        std::task::ready!(stream.poll_recv(cx))?;
                    }
                    done => return Poll::Ready(done),
                }
            },
        }
    }
}
