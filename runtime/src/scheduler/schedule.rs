//! From a task that can go on to a queue, and whom to tell.
//!
//! | who wakes or spawns | where the task goes | who is told |
//! |---|---|---|
//! | a worker | its LIFO slot | nobody: it runs next; the monitor opens the slot if not |
//! | … displacing a task | the displaced one: back of its own queue | a sleeper (I4) |
//! | the same worker, at the end of the poll (T7) | back of its own queue | nobody, this worker is awake |
//! | anybody else | the injector | a sleeper (I4) |
//! | strict flavour, anybody | the injector, its only queue | its thread, if that is another one |

use super::core::Core;
use super::shared::Shared;
use crate::current;
use crate::task::{
    Place, Reporter, Schedule, Scheduled, Task, TaskId, TaskRef, drop_quietly, refuse,
};
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;

impl Schedule for Shared {
    #[inline]
    fn schedule(self: &Arc<Self>, task: Scheduled) {
        let mut task = Some(task);
        let local = current::with_core(self, |core| {
            if let Some(task) = task.take() {
                core.push_next(self, task);
            }
        });
        if local.is_none() {
            // Once the task is in the injector it may run, complete and let the runtime go: this thread keeps its own
            // reference until it has told a sleeper.
            let this = Arc::clone(self);
            this.inject(task.take().expect("not taken above"));
        }
    }

    #[inline]
    fn leave(&self, place: Place) {
        self.leave_registry(place);
    }

    fn reporter(&self) -> Reporter {
        self.config.reporter.clone()
    }

    #[inline]
    fn end_hook(&self) -> Option<&(dyn Fn(&TaskRef) + Send + Sync)> {
        self.config.on_task_terminate.as_deref()
    }
}

impl Core {
    /// Makes `task` the next one to run here.
    #[inline]
    pub(super) fn push_next(&mut self, shared: &Shared, task: Scheduled) {
        let displaced = shared.remotes[self.index()].lifo.put(task);
        if let Some(displaced) = displaced {
            self.local.push(displaced);
            if !self.parking {
                shared.notify();
            }
        }
    }
}

impl Shared {
    /// I4, for a push that was just made.
    #[inline]
    pub(super) fn notify(&self) {
        if let Some(worker) = self.idle.claim() {
            self.unpark(worker);
        }
    }

    pub(super) fn unpark(&self, worker: usize) {
        self.remotes[worker].park.unpark(&self.driver_handle);
    }

    /// Puts a task where every thread may take it.
    pub(super) fn inject(self: Arc<Self>, task: Scheduled) {
        self.injector.push(task);
        if self.is_fifo() {
            if !current::is_driven_by(&self) {
                self.fifo_park.unpark(&self.driver_handle);
            }
        } else {
            self.notify();
        }
    }

    /// G2, on whichever thread the task was polled.
    #[inline]
    fn leave_registry(&self, place: Place) {
        if place == Place::NOWHERE {
            return;
        }
        let local = current::with_core(self, |core| {
            self.registry.leave(place, Some(&mut core.roster));
        });
        if local.is_none() {
            self.leave_foreign(place);
        }
    }

    /// G2 on a thread without a core, or of a task that came from outside.
    pub(super) fn leave_foreign(&self, place: Place) {
        if usize::from(place.shard) == self.foreign_registry_shard() {
            let mut foreign = self.foreign.lock();
            self.registry.leave(place, Some(&mut foreign.roster));
        } else {
            self.registry.leave(place, None);
        }
    }

    /// T1 and G1: makes a task and puts it where it will be run.
    #[inline]
    pub(crate) fn spawn<F>(
        self: &Arc<Self>,
        future: F,
        at: &'static Location<'static>,
        name: Option<Arc<str>>,
    ) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        if name.is_some() || self.config.on_task_spawn.is_some() {
            return self.spawn_announced(future, at, name);
        }
        let mut future = Some(future);
        let spawned = current::with_core(self, |core| {
            let future = future.take()?;
            let (task, handle) = crate::task::spawn(future, self, core.ids.next(), at);
            let refused = match self.registry.join(&mut core.roster, task) {
                Ok(task) => {
                    core.push_next(self, task);
                    None
                }
                Err(task) => Some(task),
            };
            Some((handle, refused))
        });
        match spawned.flatten() {
            Some((handle, None)) => handle,
            Some((handle, Some(refused))) => {
                refuse(refused);
                handle
            }
            None => self.spawn_from_outside(future.take().expect("not taken above"), at),
        }
    }

    fn spawn_from_outside<F>(
        self: &Arc<Self>,
        future: F,
        at: &'static Location<'static>,
    ) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (admitted, handle) = {
            let mut foreign = self.foreign.lock();
            let (task, handle) = crate::task::spawn(future, self, foreign.ids.next(), at);
            (self.registry.join(&mut foreign.roster, task), handle)
        };
        self.place_from_outside(admitted);
        handle
    }

    /// The cold form: a name to give, a hook to call, before anybody can take the task.
    #[cold]
    fn spawn_announced<F>(
        self: &Arc<Self>,
        future: F,
        at: &'static Location<'static>,
        name: Option<Arc<str>>,
    ) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (task, handle) = crate::task::spawn(future, self, self.next_id(), at);
        if let Some(name) = name {
            handle.set_name(name);
        }
        if let Some(hook) = &self.config.on_task_spawn {
            let task = handle.as_ref();
            // A panic in it has been reported by the panic hook: the task is there and must run, whatever the hook says.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| hook(&task))) {
                drop_quietly(payload);
            }
        }
        let mut task = Some(task);
        let joined = current::with_core(self, |core| {
            let task = task.take()?;
            match self.registry.join(&mut core.roster, task) {
                Ok(task) => {
                    core.push_next(self, task);
                    None
                }
                Err(task) => Some(task),
            }
        });
        match joined {
            Some(None) => {}
            Some(Some(refused)) => refuse(refused),
            None => self.admit_from_outside(task.take().expect("not taken above")),
        }
        handle
    }

    fn next_id(self: &Arc<Self>) -> TaskId {
        current::with_core(self, |core| core.ids.next())
            .unwrap_or_else(|| self.foreign.lock().ids.next())
    }

    /// G1 through the foreign roster, then the injector.
    pub(super) fn admit_from_outside(self: &Arc<Self>, task: Scheduled) {
        let admitted = self.registry.join(&mut self.foreign.lock().roster, task);
        self.place_from_outside(admitted);
    }

    fn place_from_outside(self: &Arc<Self>, admitted: Result<Scheduled, Scheduled>) {
        match admitted {
            Ok(task) => Arc::clone(self).inject(task),
            Err(task) => refuse(task),
        }
    }

    /// G1 through the foreign roster for a task that is not queued here; false if the runtime is closed.
    pub(super) fn admit_main(&self, task: Scheduled) -> Result<Scheduled, Scheduled> {
        self.registry.join(&mut self.foreign.lock().roster, task)
    }
}
