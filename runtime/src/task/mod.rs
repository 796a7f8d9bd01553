//! ONE TASK: a future, who may poll it, and who hears what became of it.
//!
//! A task is one heap cell (`cell.rs`) with one atomic word (`state.rs`) that says who owns which part of it. The right to
//! poll is a value, [`Scheduled`], and there is at most one of it. `run.rs` turns it into one poll; `waker.rs` makes it
//! again; `join.rs` and `cancel.rs` are what user code holds. This room knows no queue, no worker and no clock: it knows
//! [`Schedule`] and nothing above it.
//!
//! # Who keeps what alive
//!
//! The runtime's reference keeps a cell alive until T9. The cell keeps a plain pointer to its scheduler: it is followed only
//! by whoever holds the task's right to poll or *running*, and a scheduler does not go before its tasks are complete.

mod after;
mod callbacks;
mod cancel;
mod cell;
mod cold;
mod failure;
mod join;
mod local;
mod main;
mod memory;
mod nesting;
mod raw;
mod registry;
mod run;
mod slot;
mod state;
mod trace;
mod unhandled;
mod waker;

pub use crate::id::TaskId;
pub(crate) use after::{AfterEnd, leave as leave_after_end};
pub use callbacks::CallbackId;
#[doc(hidden)]
pub use callbacks::Steps;
pub(crate) use callbacks::register;
pub(crate) use cancel::PassedOn;
pub(crate) use cell::AwaiterKey;
#[doc(hidden)]
pub use cell::Place;
pub use failure::{Panic, TaskError};
pub(crate) use join::make;
pub use join::{Task, TaskRef};
pub(crate) use local::{Locals, Site, WithLocals};
pub(crate) use main::{Host, Main};
pub(crate) use raw::Fresh;
#[doc(hidden)]
pub use raw::{Scheduled, Turn};
pub(crate) use registry::{Registry, Roster};
pub(crate) use run::{current_id, current_task};
pub(crate) use slot::Slot;
#[doc(hidden)]
pub use unhandled::Reporter;
pub use unhandled::UnhandledError;
pub(crate) use waker::{has_another_turn, waker_of};

use failure::{Failure, panic_message};
use loxley_sync::Context;
use std::sync::Arc;

/// A task to be, with more to say than its future.
///
/// # Examples
///
/// ```
/// # loxley_runtime::run(async {
/// let poller = loxley_runtime::task::Builder::new().name("poller").create_task(async {});
/// assert_eq!(&*poller.name(), "poller");
/// poller.await.unwrap();
/// # });
/// ```
#[derive(Debug, Default)]
#[must_use = "nothing runs before `create_task`"]
pub struct Builder {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) context: Option<Context>,
    pub(crate) is_eager: bool,
    /// Its maker awaits it.
    pub(crate) is_awaited: bool,
}

impl Builder {
    /// No name, nothing special.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::task;
    /// # loxley_runtime::run(async {
    /// let plain = task::Builder::new().create_task(async { 7 }); // As by `create_task`.
    /// assert_eq!(plain.await.unwrap(), 7);
    /// # });
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the task. Default: `Task-` and its number.
    ///
    /// # Examples
    ///
    /// A name that says what a task is for turns up in every report about it:
    ///
    /// ```
    /// # use loxley_runtime::task;
    /// # loxley_runtime::run(async {
    /// let task = task::Builder::new().name("cache sweeper").create_task(async {});
    /// assert!(task.as_ref().to_string().contains("cache sweeper"));
    /// # });
    /// ```
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Runs the task in `context` itself: what it sets there is seen by everybody who has it. Default: a copy of the
    /// context in which the task is made.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_runtime::task;
    /// use loxley_sync::{Context, context_var};
    ///
    /// context_var! { static USER: String }
    ///
    /// # loxley_runtime::run(async {
    /// let context = Context::new();
    /// let login = async { drop(USER.set("alice".to_owned())) };
    /// task::Builder::new().context(context.clone()).create_task(login).await.unwrap();
    /// assert_eq!(USER.get_in(&context).as_deref(), Some("alice"));
    /// # });
    /// ```
    pub fn context(mut self, context: Context) -> Self {
        self.context = Some(context);
        self
    }

    /// Whether the task runs up to its first wait within `create_task`, on the caller's stack. One that ends there is done
    /// when `create_task` returns, and was never in a queue. Default: no.
    ///
    /// Inside, [`current_task`](crate::current_task) is the new task, its context variables and its budget are its own, and
    /// a panic ends that task alone. On a thread that does not poll tasks of this runtime, and in the 65th eager task inside
    /// another, it makes no difference.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_runtime::task;
    ///
    /// loxley_runtime::run(async {
    ///     let task = task::Builder::new().eager(true).create_task(async { 6 * 7 });
    ///     assert!(task.is_finished());
    ///     assert_eq!(task.await.unwrap(), 42);
    /// });
    /// ```
    #[doc(alias = "eager_start")]
    #[doc(alias = "eager_task_factory")]
    #[doc(alias = "create_eager_task_factory")]
    pub fn eager(mut self, eager: bool) -> Self {
        self.is_eager = eager;
        self
    }
}

/// Who runs a task: the one thing a task knows about the world above it.
#[doc(hidden)]
pub trait Schedule: Send + Sync + 'static {
    /// Puts a task that was woken or asked to stop into a queue. Called on any thread, with no lock of ours held.
    ///
    /// Once the task is where another thread can take it, that thread may complete it and the runtime may go: a caller that
    /// is not one of the scheduler's own threads clones the `Arc` first.
    fn schedule(self: &Arc<Self>, task: Scheduled);

    /// Takes a task off the registry; called once, right before T9, on the thread that polled it.
    fn leave(&self, place: Place);

    /// Whom to tell about failures nobody awaits.
    fn reporter(&self) -> Reporter;

    /// Whom to tell about every task that ends; called right before T9.
    fn end_hook(&self) -> Option<&(dyn Fn(&TaskRef) + Send + Sync)> {
        None
    }

    /// Runs the done callbacks of a task that has just ended, as a task of their own. Default: right here.
    fn after_end(self: &Arc<Self>, steps: Steps) {
        drop(steps);
    }
}

/// Ends a fresh task that no registry would take: its future is dropped on this thread, its outcome is *cancelled*.
#[doc(hidden)]
pub fn refuse(task: Scheduled) {
    // The task is scheduled, so the request is noted, and the turn delivers it.
    let _ = task.header().state.stop();
    let Turn::Done = task.run() else {
        unreachable!("a requested task ends in its next turn");
    };
}

/// What the models of `loom-tests` see of this room.
#[doc(hidden)]
pub mod model {
    pub use super::cell::Place;
    pub use super::failure::TaskError;
    pub use super::join::{Task, TaskRef, spawn};
    pub use super::raw::{Scheduled, Turn};
    pub use super::registry::{Registry, Roster};
    pub use super::slot::Slot;
    pub use super::state::{Complete, DropJoin, EndPoll, Request, StartPoll, State, Wake, Watch};
    pub use super::unhandled::{Reporter, UnhandledError};
    pub use super::{Schedule, TaskId, refuse};
    pub use crate::id::TaskIds;
}
