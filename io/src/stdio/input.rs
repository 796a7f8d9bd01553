//! The thread that reads standard input, and what it has read.
//!
//! Called by `mod.rs`, for handles. The thread reads only while somebody wants something and nothing is there, and never
//! holds the lock while it waits or reads.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use loxley_sync::prim::lock::{Condvar, Mutex};
use loxley_sync::prim::thread::spawn_named;

use super::{HandleId, wake_all};
use crate::sys;
use crate::sys::pipe::{Access, Bell, Woken};

/// The most one read takes.
const PIECE: usize = 64 << 10;

/// Standard input, for as long as there is a process.
pub(super) fn descriptor() -> BorrowedFd<'static> {
    static STDIN: OnceLock<io::Stdin> = OnceLock::new();
    STDIN.get_or_init(io::stdin).as_fd()
}

/// See the module.
pub(super) struct Input {
    state: Mutex<State>,
    /// Somebody wants something.
    wanted: Condvar,
    /// Rung when nobody does any more.
    bell: OnceLock<Bell>,
}

#[derive(Default)]
struct State {
    is_started: bool,
    wanting: Vec<(HandleId, Waker)>,
    found: Found,
}

/// What the thread has brought.
#[derive(Default)]
enum Found {
    #[default]
    Nothing,
    /// Not empty behind the second field.
    Bytes(Vec<u8>, usize),
    /// For one reader: a terminal may go on.
    End,
    /// For one reader.
    Failed(io::Error),
}

impl Input {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State::default()),
            wanted: Condvar::new(),
            bell: OnceLock::new(),
        }
    }

    pub(super) fn poll_read(
        &'static self,
        id: HandleId,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state.lock();
        if let Some(taken) = state.found.take(buf) {
            let waker = state.forget(id);
            drop(state);
            drop(waker);
            return Poll::Ready(taken);
        }
        let replaced = state.forget(id);
        state.wanting.push((id, cx.waker().clone()));
        let starts = !std::mem::replace(&mut state.is_started, true);
        drop(state);
        drop(replaced);
        if starts {
            self.start();
        }
        self.wanted.notify_one();
        Poll::Pending
    }

    /// `id` wants nothing any more.
    pub(super) fn withdraw(&self, id: HandleId) {
        let mut state = self.state.lock();
        let waker = state.forget(id);
        let rings = waker.is_some() && state.wanting.is_empty();
        drop(state);
        drop(waker);
        if rings {
            if let Some(bell) = self.bell.get() {
                bell.ring();
            }
        }
    }

    fn start(&'static self) {
        let started = Bell::new().and_then(|bell| {
            // Not rung before there is a thread: nobody else gets here.
            let bell = self.bell.get_or_init(|| bell);
            spawn_named("loxley-stdin".into(), None, move || self.work(bell))
        });
        if let Err(error) = started {
            self.state.lock().is_started = false;
            self.bring(Found::Failed(error));
        }
    }

    fn work(&self, bell: &Bell) {
        let mut buf = vec![0; PIECE];
        loop {
            let mut state = self.state.lock();
            while state.wanting.is_empty() || !matches!(state.found, Found::Nothing) {
                state = self.wanted.wait(state);
            }
            drop(state);
            let found = match bell.wait(descriptor(), Access::Read) {
                // Nobody wants anything any more, or did not a moment ago.
                Ok(Woken::Rung) => continue,
                Ok(Woken::Ready) => match sys::read(descriptor(), &mut buf) {
                    Ok(0) => Found::End,
                    Ok(n) => Found::Bytes(buf[..n].to_vec(), 0),
                    // Somebody else was quicker.
                    Err(error) if is_passing(&error) => continue,
                    Err(error) if sys::pipe::is_closed(&error) => Found::End,
                    Err(error) => Found::Failed(error),
                },
                Err(error) => Found::Failed(error),
            };
            self.bring(found);
        }
    }

    /// Tells everybody; the first to look takes what fits, the others what is left or ask again.
    fn bring(&self, found: Found) {
        let mut state = self.state.lock();
        let replaced = std::mem::replace(&mut state.found, found);
        let wakers = std::mem::take(&mut state.wanting);
        drop(state);
        drop(replaced);
        wake_all(wakers.into_iter().map(|(_, waker)| waker).collect());
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

impl State {
    fn forget(&mut self, id: HandleId) -> Option<Waker> {
        let at = self.wanting.iter().position(|(other, _)| *other == id)?;
        Some(self.wanting.remove(at).1)
    }
}

impl Found {
    fn take(&mut self, buf: &mut [u8]) -> Option<io::Result<usize>> {
        match std::mem::take(self) {
            Self::Nothing => None,
            Self::End => Some(Ok(0)),
            Self::Failed(error) => Some(Err(error)),
            Self::Bytes(bytes, at) => {
                let n = buf.len().min(bytes.len() - at);
                buf[..n].copy_from_slice(&bytes[at..at + n]);
                if at + n < bytes.len() {
                    *self = Self::Bytes(bytes, at + n);
                }
                Some(Ok(n))
            }
        }
    }
}
