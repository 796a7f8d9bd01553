//! A thread that writes standard output or error, and whose turn it is.
//!
//! Called by `mod.rs`, for handles. One piece is written at a time; its owner is told what became of it, and the others that
//! they may try. The thread never holds the lock while it waits or writes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use loxley_sync::prim::lock::{Condvar, Mutex};
use loxley_sync::prim::thread::spawn_named;

use super::{HandleId, wake_all};
use crate::sys;
use crate::sys::pipe::{Access, Bell, Woken};

/// The most that one turn writes.
const TURN: usize = 64 << 10;

/// The most that one call writes: what a pipe that has room takes without blocking (`PIPE_BUF`), so that a reader who has
/// stopped reading finds the thread at its bell.
const PIECE: usize = 4096;

/// Standard output, for as long as there is a process.
pub(super) fn stdout() -> BorrowedFd<'static> {
    static STDOUT: OnceLock<io::Stdout> = OnceLock::new();
    STDOUT.get_or_init(io::stdout).as_fd()
}

/// Standard error, for as long as there is a process.
pub(super) fn stderr() -> BorrowedFd<'static> {
    static STDERR: OnceLock<io::Stderr> = OnceLock::new();
    STDERR.get_or_init(io::stderr).as_fd()
}

/// See the module.
pub(super) struct Output {
    descriptor: fn() -> BorrowedFd<'static>,
    thread_name: &'static str,
    state: Mutex<State>,
    /// There is a job.
    wanted: Condvar,
    /// Rung when a job is given up that the thread has in hand.
    bell: OnceLock<Bell>,
}

#[derive(Default)]
struct State {
    is_started: bool,
    job: Option<Job>,
    /// What became of jobs whose owners have not looked yet. At most one for each handle: a handle takes its own out before it
    /// has the next one, and when it is dropped.
    done: Vec<(HandleId, Done)>,
    /// The owner, and those who wait for their turn.
    waiting: Vec<(HandleId, Waker)>,
}

struct Job {
    owner: HandleId,
    bytes: Vec<u8>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The thread has not seen it.
    Queued,
    /// The thread has it, bytes included.
    InHand,
    /// The same, and nobody wants to know.
    GivenUp,
}

struct Done {
    bytes: Vec<u8>,
    result: io::Result<usize>,
}

impl Output {
    pub(super) fn stdout() -> Self {
        Self::new(stdout, "loxley-stdout")
    }

    pub(super) fn stderr() -> Self {
        Self::new(stderr, "loxley-stderr")
    }

    fn new(descriptor: fn() -> BorrowedFd<'static>, thread_name: &'static str) -> Self {
        Self {
            descriptor,
            thread_name,
            state: Mutex::new(State::default()),
            wanted: Condvar::new(),
            bell: OnceLock::new(),
        }
    }

    pub(super) fn poll_write(
        &'static self,
        id: HandleId,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state.lock();
        let replaced = take(&mut state.waiting, id);
        if let Some(done) = take(&mut state.done, id) {
            // A trait's write that was given up unseen may have been of other bytes: then this one has its turn to come.
            let is_ours = done.result.is_err() || buf.starts_with(&done.bytes);
            if is_ours {
                drop(state);
                drop(replaced);
                return Poll::Ready(done.result);
            }
        }
        match &mut state.job {
            None => {
                state.job = Some(Job {
                    owner: id,
                    bytes: buf[..buf.len().min(TURN)].to_vec(),
                    stage: Stage::Queued,
                });
            }
            Some(job) if job.owner == id && job.stage == Stage::Queued => {
                job.bytes = buf[..buf.len().min(TURN)].to_vec();
            }
            Some(_) => {}
        }
        state.waiting.push((id, cx.waker().clone()));
        let starts = !std::mem::replace(&mut state.is_started, true);
        drop(state);
        drop(replaced);
        if starts {
            self.start();
        }
        self.wanted.notify_one();
        Poll::Pending
    }

    /// `id` wants nothing any more: what is not begun is not done, and what became of the rest nobody asks.
    pub(super) fn withdraw(&self, id: HandleId) {
        let mut state = self.state.lock();
        let waker = take(&mut state.waiting, id);
        let done = take(&mut state.done, id);
        let mut rings = false;
        let mut others = Vec::new();
        match &mut state.job {
            Some(job) if job.owner == id && job.stage == Stage::Queued => {
                state.job = None;
                others = state.everybody();
            }
            Some(job) if job.owner == id => {
                job.stage = Stage::GivenUp;
                rings = true;
            }
            _ => {}
        }
        drop(state);
        drop((waker, done));
        wake_all(others);
        if rings {
            if let Some(bell) = self.bell.get() {
                bell.ring();
            }
        }
    }

    fn start(&'static self) {
        let started = Bell::new().and_then(|bell| {
            let bell = self.bell.get_or_init(|| bell);
            spawn_named(self.thread_name.into(), None, move || self.work(bell))
        });
        if let Err(error) = started {
            let mut state = self.state.lock();
            state.is_started = false;
            // Whoever it is tries again, and fails with the same error; the others are woken to have their turn.
            let job = state.job.take();
            if let Some(job) = job {
                let done = Done {
                    bytes: job.bytes,
                    result: Err(error),
                };
                state.done.push((job.owner, done));
            }
            let everybody = state.everybody();
            drop(state);
            wake_all(everybody);
        }
    }

    fn work(&self, bell: &Bell) {
        loop {
            let mut state = self.state.lock();
            let bytes = loop {
                match &mut state.job {
                    Some(job) if job.stage == Stage::Queued => {
                        job.stage = Stage::InHand;
                        break std::mem::take(&mut job.bytes);
                    }
                    _ => state = self.wanted.wait(state),
                }
            };
            drop(state);
            let result = self.write(bell, &bytes);
            let mut state = self.state.lock();
            let job = state
                .job
                .take()
                .expect("only this thread ends a job in hand");
            if job.stage == Stage::InHand {
                let bytes = bytes[..*result.as_ref().unwrap_or(&0)].to_vec();
                state.done.push((job.owner, Done { bytes, result }));
            }
            let everybody = state.everybody();
            drop(state);
            wake_all(everybody);
        }
    }

    /// Writes piece by piece, until all is written, something fails or the job is given up.
    fn write(&self, bell: &Bell, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            let piece = &bytes[written..bytes.len().min(written + PIECE)];
            let ready = bell.wait((self.descriptor)(), Access::Write);
            match ready.and_then(|woken| match woken {
                Woken::Rung => Ok(None),
                Woken::Ready => sys::write((self.descriptor)(), piece).map(Some),
            }) {
                Ok(None) if self.is_given_up() => break,
                Ok(None) => {}
                Ok(Some(0)) => break,
                Ok(Some(n)) => written += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Nobody can ever see it: gone, as with `println!`.
                Err(error) if sys::pipe::is_closed(&error) => return Ok(bytes.len()),
                Err(error) if written == 0 => return Err(error),
                // The next write meets it again.
                Err(_) => break,
            }
        }
        Ok(written)
    }

    fn is_given_up(&self) -> bool {
        let state = self.state.lock();
        state
            .job
            .as_ref()
            .is_some_and(|job| job.stage == Stage::GivenUp)
    }
}

impl State {
    fn everybody(&mut self) -> Vec<Waker> {
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_iter().map(|(_, waker)| waker).collect()
    }
}

/// What stands in `list` for `id`.
fn take<T>(list: &mut Vec<(HandleId, T)>, id: HandleId) -> Option<T> {
    let at = list.iter().position(|(owner, _)| *owner == id)?;
    Some(list.remove(at).1)
}
