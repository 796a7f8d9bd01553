//! Done callbacks as users register them: what `task/callbacks.rs` calls *too late* becomes a task of the current runtime.

use crate::current;
use crate::task::{CallbackId, Schedule, Task, TaskRef, register};
use std::panic::Location;
use std::sync::Arc;

impl TaskRef {
    /// Calls `callback` after the task has ended, in whichever way; at once if it has ended already.
    ///
    /// It runs as a small task of its own, never inside this call or the task, with the values that the context variables
    /// have now; what it sets is seen by nobody else. Callbacks of one task run in the order of their registration. A panic
    /// goes to the unhandled-error handler, and the other callbacks still run. A runtime that stops calls what is left where
    /// it drops the small task. A callback for a task that has ended, registered outside every runtime, is called here.
    ///
    /// # Fairness
    ///
    /// It runs on a worker: like a poll it should be short, and must not block.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// # loxley_runtime::run(async {
    /// let ended = Arc::new(loxley_sync::Event::new());
    /// let task = loxley_runtime::create_task(async { 6 * 7 });
    /// task.add_done_callback({
    ///     let ended = ended.clone();
    ///     move |task| {
    ///         assert!(task.is_finished());
    ///         ended.set();
    ///     }
    /// });
    /// ended.wait().await;
    /// # });
    /// ```
    ///
    /// **Differs from asyncio**: `current_task()` is the small task, not none.
    #[track_caller]
    pub fn add_done_callback(&self, callback: impl FnOnce(&Self) + Send + 'static) -> CallbackId {
        let at = Location::caller();
        let runtime = || current::with_shared(Arc::clone);
        let reporter = || runtime().map(|shared| shared.reporter().clone());
        let (id, steps) = register(self, Box::new(callback), at, || {
            reporter().unwrap_or_default()
        });
        match (steps, runtime()) {
            (Some(steps), Some(shared)) => shared.after_end(steps),
            (steps, _) => drop(steps),
        }
        id
    }
}

impl<T> Task<T> {
    /// See [`TaskRef::add_done_callback`].
    ///
    /// # Examples
    ///
    /// ```
    /// # loxley_runtime::run(async {
    /// let (tell, told) = loxley_sync::oneshot::channel();
    /// let task = loxley_runtime::create_task(async {});
    /// task.add_done_callback(move |task| {
    ///     let _ = tell.send(task.is_cancelled());
    /// });
    /// assert_eq!(told.await, Ok(false));
    /// # });
    /// ```
    #[track_caller]
    pub fn add_done_callback(
        &self,
        callback: impl FnOnce(&TaskRef) + Send + 'static,
    ) -> CallbackId {
        self.as_ref().add_done_callback(callback)
    }

    /// See [`TaskRef::remove_done_callback`].
    ///
    /// # Examples
    ///
    /// ```
    /// # loxley_runtime::run(async {
    /// let task = loxley_runtime::create_task(std::future::pending::<()>());
    /// let id = task.add_done_callback(|_| unreachable!("taken back"));
    /// assert!(task.remove_done_callback(id));
    /// assert!(!task.remove_done_callback(id), "it is gone");
    /// task.cancel();
    /// # });
    /// ```
    pub fn remove_done_callback(&self, id: CallbackId) -> bool {
        self.as_ref().remove_done_callback(id)
    }
}
