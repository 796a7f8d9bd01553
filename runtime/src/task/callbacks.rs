//! Who wants to hear that a task has ended, and the small task that tells them.
//!
//! A registration is pushed under the list's lock, then T14 says so in the state word. Either T9 sees that, and its worker
//! closes the list after the edge; or T14 comes too late, and whoever registered closes it. The list is closed once, and
//! what is registered afterwards is [`Steps`] at once.
//!
//! Every callback is called exactly once, unless it is removed before: [`Steps`] that are dropped unpolled, because the
//! runtime goes, call them where they are dropped. None is called or dropped while the list is locked.

use super::TaskRef;
use super::failure::panic_message;
use super::state::Watch;
use super::unhandled::{Cause, Reporter, UnhandledError};
use crate::payload::drop_quietly;
use loxley_sync::Context;
use loxley_sync::ambient::{inherit_context, run_in};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::task::{Context as PollContext, Poll};
use std::vec;

/// What a user gives us.
pub(crate) type Callback = Box<dyn FnOnce(&TaskRef) + Send>;

/// Which registration of a task: what takes it back.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{create_task, task::CallbackId};
///
/// loxley_runtime::run(async {
///     let task = create_task(std::future::pending::<()>());
///     let id: CallbackId = task.add_done_callback(|_| {});
///     assert!(task.remove_done_callback(id));
///     task.cancel();
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallbackId(u64);

/// The list in a task's cold part.
#[derive(Default)]
pub(crate) struct Callbacks {
    list: Vec<Entry>,
    next_id: u64,
    closed: bool,
}

struct Entry {
    id: CallbackId,
    context: Option<Context>,
    callback: Callback,
    at: &'static Location<'static>,
}

/// Registers `callback` in the current context. The steps to run at once, if the task has ended.
pub(crate) fn register(
    task: &TaskRef,
    callback: Callback,
    at: &'static Location<'static>,
    reporter: impl FnOnce() -> Reporter,
) -> (CallbackId, Option<Steps>) {
    let context = inherit_context();
    let mut late = None;
    let id = {
        let mut callbacks = task.header().cold.made().callbacks.lock();
        let id = CallbackId(callbacks.next_id);
        callbacks.next_id += 1;
        let entry = Entry {
            id,
            context,
            callback,
            at,
        };
        if callbacks.closed {
            late = Some(entry);
        } else {
            callbacks.list.push(entry);
        }
        id
    };
    let steps = match late {
        Some(entry) => Some(Steps {
            task: task.clone(),
            reporter: reporter(),
            list: vec![entry].into_iter(),
        }),
        None => match task.header().state.watch() {
            Watch::Noted => None,
            Watch::TooLate => close(task.clone(), reporter()),
        },
    };
    (id, steps)
}

/// Closes the list of a task that has ended: what is to be called, if this was the first to close it.
pub(super) fn close(task: TaskRef, reporter: Reporter) -> Option<Steps> {
    let list = {
        let mut callbacks = task.header().cold.get()?.callbacks.lock();
        callbacks.closed = true;
        std::mem::take(&mut callbacks.list)
    };
    (!list.is_empty()).then(|| Steps {
        task,
        reporter,
        list: list.into_iter(),
    })
}

/// Takes a registration back, and drops it. False: it is not there any more.
pub(super) fn remove(task: &TaskRef, id: CallbackId) -> bool {
    let Some(cold) = task.header().cold.get() else {
        return false;
    };
    let removed = {
        let mut callbacks = cold.callbacks.lock();
        let place = callbacks.list.iter().position(|entry| entry.id == id);
        place.map(|place| callbacks.list.remove(place))
    };
    removed.is_some()
}

/// The callbacks of a task that has ended, each in its own context: the future of a small task.
#[must_use = "dropped, they are called here"]
pub struct Steps {
    task: TaskRef,
    reporter: Reporter,
    list: vec::IntoIter<Entry>,
}

impl Steps {
    /// The line that registered the first of them.
    pub(crate) fn registered_at(&self) -> &'static Location<'static> {
        let first = self.list.as_slice().first();
        first.map_or_else(|| self.task.spawned_at(), |entry| entry.at)
    }

    fn run(&mut self) {
        let Self {
            task,
            reporter,
            list,
        } = self;
        for entry in list {
            let Entry {
                context, callback, ..
            } = entry;
            let call = AssertUnwindSafe(|| run_in(context, || callback(task)));
            if let Err(payload) = catch_unwind(call) {
                let cause = Cause::Callback(panic_message(&*payload).to_owned());
                drop_quietly(payload);
                reporter.report(&UnhandledError::new(task.clone(), cause));
            }
        }
    }
}

impl Future for Steps {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut PollContext<'_>) -> Poll<()> {
        self.run();
        Poll::Ready(())
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.run();
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steps")
            .field("task", &self.task)
            .field("callbacks", &self.list.len())
            .finish()
    }
}

impl TaskRef {
    /// Takes back what [`add_done_callback`](Self::add_done_callback) registered; false if it has been called, or is about
    /// to be.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::create_task;
    /// # loxley_runtime::run(async {
    /// let (tell, told) = loxley_sync::oneshot::channel();
    /// let task = create_task(async {}).as_ref();
    /// let id = task.add_done_callback(move |_| drop(tell.send("called")));
    /// assert_eq!(told.await, Ok("called"));
    /// assert!(!task.remove_done_callback(id), "too late");
    /// # });
    /// ```
    pub fn remove_done_callback(&self, id: CallbackId) -> bool {
        remove(self, id)
    }
}
