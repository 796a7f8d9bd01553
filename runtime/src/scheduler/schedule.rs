//! From a task that can go on to a queue, and whom to tell.
//!
//! | who wakes or spawns | where the task goes | who is told |
//! |---|---|---|
//! | a worker | its LIFO slot, if empty | nobody: it runs next; the monitor opens the slot if not |
//! | … if the slot is full | back of its own queue | a sleeper, if one is seen in passing |
//! | the same worker, at the end of the poll (T7) | back of its own queue | nobody, this worker is awake |
//! | anybody else | the injector | a sleeper (I4) |
//! | strict flavour, anybody | the injector, its only queue | its thread, if that is another one |

use super::core::Core;
use super::shared::Shared;
use crate::current;
use crate::task::{Place, Reporter, Schedule, Scheduled, Task, TaskId, TaskRef, refuse};
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

impl Schedule for Shared {
    #[inline]
    fn schedule(self: &Arc<Self>, task: Scheduled) {
        if let Err(task) = current::with_core(self, task, |core, task| core.push_next(self, task)) {
            // Once the task is in the injector it may run, complete and let the runtime go: this thread keeps its own
            // reference until it has told a sleeper.
            Arc::clone(self).inject(task);
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
    /// Makes `task` the next one to run here, or puts it into the queue if there is such a one already.
    #[inline]
    pub(super) fn push_next(&mut self, shared: &Shared, task: Scheduled) {
        let Err(task) = shared.remotes[self.index()].lifo.put(task) else {
            return;
        };
        self.local.push(task);
        if !self.parking {
            shared.notify_in_passing();
        }
    }
}

impl Core {
    /// G1, and the first place in a queue. Gives the task back if the runtime is closed.
    #[inline]
    fn admit(&mut self, shared: &Shared, task: Scheduled) -> Result<(), Scheduled> {
        let task = shared.registry.join(&mut self.roster, task)?;
        self.push_next(shared, task);
        Ok(())
    }
}

impl Shared {
    /// For a push into a worker's own queue: a sleeper is woken to share the work, if one is seen.
    ///
    /// There is no PushFence here, so a worker that is about to fall asleep this very moment may be missed. No wake-up is
    /// lost by that: this worker is awake and runs what it pushed; the next push looks again, and the monitor finds a
    /// backlog or a stuck worker within a millisecond.
    #[inline]
    pub(super) fn notify_in_passing(&self) {
        if let Some(worker) = self.idle.claim_if_seen() {
            self.unpark(worker);
        }
    }

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
        let left = current::with_core(self, place, |core, place| {
            self.registry.leave(place, Some(&mut core.roster));
        });
        if left.is_err() {
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
        let spawned = current::with_core(self, future, |core, future| {
            let (task, handle) = crate::task::spawn(future, self, core.ids.next(), at);
            (core.admit(self, task), handle)
        });
        match spawned {
            Ok((Ok(()), handle)) => handle,
            Ok((Err(refused), handle)) => {
                refuse(refused);
                handle
            }
            Err(future) => self.spawn_from_outside(future, at),
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
        if !current::polls() {
            self.monitor.ensure_started(self);
        }
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
            hook(&handle.as_ref());
        }
        match current::with_core(self, task, |core, task| core.admit(self, task)) {
            Ok(Ok(())) => {}
            Ok(Err(refused)) => refuse(refused),
            Err(task) => self.admit_from_outside(task),
        }
        handle
    }

    fn next_id(self: &Arc<Self>) -> TaskId {
        current::with_core(self, (), |core, ()| core.ids.next())
            .unwrap_or_else(|()| self.foreign.lock().ids.next())
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
