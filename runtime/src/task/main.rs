//! The task of `block_on`: a future that need be neither `Send` nor `'static`, polled on the thread that waits for it.
//!
//! [`Main`] is its scheduler: it hands the task's right to poll to its host. The host keeps it in the slot of the [`Main`],
//! from which [`Main::turn`] takes it, or in a queue that only the waiting thread takes from (the strict flavour).
#![expect(
    unsafe_code,
    reason = "lets a borrowing future be a task for as long as `scoped` runs"
)]

use super::failure::TaskError;
use super::join::{self, TaskRef};
use super::raw::{Scheduled, Turn};
use super::slot::Slot;
use super::unhandled::Reporter;
use super::{Place, Schedule, Steps, TaskId};
use loxley_sync::prim::thread::{self, ThreadId};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

/// What [`Main`] needs from the scheduler it lives beside.
pub(crate) trait Host: Send + Sync + 'static {
    /// The main task can go on: keep its right to poll, in `slot` or in a queue that only the main task's thread takes
    /// from. Called on any thread.
    fn main_ready(&self, slot: &Slot, task: Scheduled);
    /// The main task leaves the registry.
    fn main_leaves(&self, place: Place);
    /// Runs the main task's done callbacks.
    fn main_after_end(&self, steps: Steps);
    /// Whom to tell about failures nobody awaits.
    fn main_reporter(&self) -> Reporter;
}

/// The scheduler of one main task.
pub(crate) struct Main<H> {
    slot: Slot,
    thread: ThreadId,
    host: H,
}

impl<H: Host> Main<H> {
    /// Runs `future` as a task. `admit` puts it into the registry, then `drive` must call [`Main::turn`] on this thread
    /// until the task is finished.
    ///
    /// # Panics
    ///
    /// If `drive` panics or returns early the process is aborted: the future could not be kept alive any longer.
    pub(crate) fn scoped<F: Future>(
        host: H,
        future: F,
        id: TaskId,
        at: &'static Location<'static>,
        admit: impl FnOnce(Scheduled) -> Result<Scheduled, Scheduled>,
        drive: impl FnOnce(&Self, &TaskRef),
    ) -> Result<F::Output, TaskError> {
        let main = Arc::new(Self {
            slot: Slot::new(),
            thread: thread::current().id(),
            host,
        });
        let mut bomb = Abort { armed: true };
        // SAFETY: the right to poll only ever passes through `slot`, which `turn` empties on this thread only, or
        // through a queue that only this thread takes from (`Host::main_ready`), so the future is polled and dropped
        // here; `bomb` sees to it that the task is complete before `F`'s lifetime can end; the handle stays in this
        // function.
        let (fresh, handle) = unsafe { join::make_unchecked(future, at) };
        let task = fresh.with_context(None).launch(&main, id);
        let task_ref = handle.as_ref();
        match admit(task) {
            Ok(task) => {
                main.host.main_ready(&main.slot, task);
                drive(&main, &task_ref);
            }
            Err(task) => super::refuse(task),
        }
        assert!(task_ref.is_finished(), "driven to its end");
        bomb.armed = false;
        handle.into_result()
    }

    /// Polls the main task if it can go on. Only on the thread that called `scoped`.
    pub(crate) fn turn(&self) -> Option<Turn> {
        assert_eq!(
            self.thread,
            thread::current().id(),
            "a main task is polled on its own thread"
        );
        match self.slot.take()?.run() {
            Turn::Requeue(task) => {
                self.host.main_ready(&self.slot, task);
                Some(Turn::Rest)
            }
            turn => Some(turn),
        }
    }
}

impl<H: Host> Schedule for Main<H> {
    fn schedule(self: &Arc<Self>, task: Scheduled) {
        // The task may run and end before the host has been told.
        let this = Arc::clone(self);
        this.host.main_ready(&this.slot, task);
    }

    fn leave(&self, place: Place) {
        if place != Place::NOWHERE {
            self.host.main_leaves(place);
        }
    }

    fn reporter(&self) -> Reporter {
        self.host.main_reporter()
    }

    fn after_end(self: &Arc<Self>, steps: Steps) {
        self.host.main_after_end(steps);
    }
}

/// Dropped in unwinding, it ends the process: a borrowing future must not outlive its frame.
struct Abort {
    armed: bool,
}

impl Drop for Abort {
    fn drop(&mut self) {
        if self.armed {
            std::process::abort();
        }
    }
}

impl<H> fmt::Debug for Main<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Main").field(&self.slot).finish()
    }
}
