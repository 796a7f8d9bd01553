//! THE STANDING CLOCK beside workers: when nothing can happen any more but by time, time jumps to the next deadline.
//!
//! Only in runtimes that are built paused, and only while some `block_on` goes on. The strict flavour needs none of this: its
//! one thread knows when nothing is ready (`fifo.rs`).
//!
//! A thread *rests* from when it has settled to sleep until it wakes, and says so here. Whoever rests last sees to it that
//! the thread in the driver looks: that one asks the system for events, and if there are none, moves the clock and fires.
//!
//! # Why the clock does not jump too early
//!
//! A thread that gives work to another is awake when it does. It makes the work visible first: a token in the other's
//! [`Park`](super::park::Park), a task in the injector, the flag of a main task. It says that it rests only afterwards. And a
//! thread that was woken says that it is awake before it takes its token. So if nobody is awake at two looks between which
//! nobody woke (`wakes` has not changed), a token, flag or task that is missing in between was not there at all.
//!
//! Threads that are no part of the runtime, and the world, may always come as a surprise: they do to every clock.

use super::shared::Shared;
use crate::driver::{Driver, Wait};
use loxley_sync::prim::atomic::{AtomicBool, Ordering};
use loxley_sync::prim::lock::Mutex;
use loxley_sync::prim::thread;
use loxley_sync::wait::WakeBatch;
use std::io;

/// Who is awake in a runtime whose clock stands.
#[derive(Debug)]
pub(super) struct Quiet(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Workers and threads in `block_on` that do not rest.
    awake: usize,
    /// Main tasks that were woken and whose threads do not know yet.
    ready: usize,
    /// Threads in `block_on`.
    mains: usize,
    /// How often a thread woke.
    wakes: u64,
}

/// Whether a main task was woken since its thread last looked. Written under the lock of [`Quiet`].
pub(super) type Ready = AtomicBool;

impl Quiet {
    /// Every worker is awake.
    pub(super) fn new(workers: usize) -> Self {
        Self(Mutex::new(State {
            awake: workers,
            ready: 0,
            mains: 0,
            wakes: 0,
        }))
    }

    /// This thread has settled to sleep. True: it was the last one awake.
    pub(super) fn rest(&self) -> bool {
        let mut state = self.0.lock();
        state.awake -= 1;
        state.awake == 0
    }

    /// This thread goes on; it has not taken its token yet.
    pub(super) fn rouse(&self) {
        let mut state = self.0.lock();
        state.awake += 1;
        state.wakes += 1;
    }

    /// A thread is in `block_on` from now on, awake.
    pub(super) fn enter_main(&self) {
        let mut state = self.0.lock();
        state.mains += 1;
        state.awake += 1;
        state.wakes += 1;
    }

    /// A thread leaves `block_on`. True: it was the last one awake.
    pub(super) fn leave_main(&self, ready: &Ready) -> bool {
        self.main_looks(ready);
        let mut state = self.0.lock();
        state.mains -= 1;
        state.awake -= 1;
        state.awake == 0
    }

    /// A main task was put into its slot; its thread is about to be unparked.
    pub(super) fn main_ready(&self, ready: &Ready) {
        let mut state = self.0.lock();
        // ordering: relaxed, the lock orders it.
        if !ready.swap(true, Ordering::Relaxed) {
            state.ready += 1;
        }
    }

    /// The thread of a main task, awake, is about to look into its slot.
    pub(super) fn main_looks(&self, ready: &Ready) {
        let mut state = self.0.lock();
        // ordering: relaxed, the lock orders it.
        if ready.swap(false, Ordering::Relaxed) {
            state.ready -= 1;
        }
    }

    /// How often a thread woke, if nobody is awake now.
    fn silence(&self) -> Option<u64> {
        let state = self.0.lock();
        (state.awake == 0 && state.ready == 0 && state.mains > 0).then_some(state.wakes)
    }
}

impl Shared {
    /// Sleeps in the driver, or moves the clock if nothing but that can make anything happen. The caller has settled there.
    pub(super) fn wait_for_quiet(
        &self,
        quiet: &Quiet,
        driver: &mut Driver,
        batch: &mut WakeBatch,
    ) -> io::Result<()> {
        quiet.rest();
        let turn = if self.is_quiet(quiet) {
            self.let_time_pass(quiet, driver, batch)
        } else {
            driver.turn(Wait::Forever, batch).map(drop)
        };
        quiet.rouse();
        turn
    }

    /// Parks this thread; the last one to do so has the driver's holder look. No deadlines are watched: they come when the
    /// clock is moved, which fires them.
    pub(super) fn park_quietly(&self) {
        if let Some(quiet) = &self.quiet {
            if quiet.rest() {
                self.driver_handle.unpark();
            }
            thread::park();
            quiet.rouse();
        }
    }

    fn let_time_pass(
        &self,
        quiet: &Quiet,
        driver: &mut Driver,
        batch: &mut WakeBatch,
    ) -> io::Result<()> {
        let turn = driver.turn(Wait::No, batch)?;
        if turn.events > 0 || !self.is_quiet(quiet) {
            return Ok(());
        }
        let Some(deadline) = self.timers.next_deadline() else {
            return driver.turn(Wait::Forever, batch).map(drop);
        };
        self.timers.clock().jump_to(deadline);
        self.timers.fire(self.timers.clock().now_ns(), batch);
        Ok(())
    }

    /// See the module's argument.
    fn is_quiet(&self, quiet: &Quiet) -> bool {
        let Some(before) = quiet.silence() else {
            return false;
        };
        let pool = self.pool.stats();
        let pool_is_busy = pool.queued > 0 || pool.threads > pool.idle;
        let has_token = self.remotes.iter().any(|remote| remote.park.has_token());
        !pool_is_busy && !has_token && self.injector.is_empty() && quiet.silence() == Some(before)
    }
}
