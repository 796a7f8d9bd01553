//! From a task that can go on to a queue, and whom to tell.
//!
//! | who wakes or spawns | where the task goes | who is told |
//! |---|---|---|
//! | a worker | its LIFO slot, if empty | nobody: it runs next; the monitor, put into its fast gear, opens the slot if not |
//! | … if the slot is full | back of its own queue | a sleeper, if one is seen in passing |
//! | the same worker, at the end of the poll (T7) | back of its own queue | nobody, this worker is awake |
//! | anybody else | the injector | a sleeper (I4) |
//! | strict flavour, anybody | the injector, its only queue | its thread, if that is another one |

use super::core::Core;
use super::shared::Shared;
use crate::current;
use crate::payload::contain;
use crate::task::{
    self, Fresh, Place, Reporter, Schedule, Scheduled, Steps, TaskId, TaskRef, Turn, refuse,
};
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

    fn after_end(self: &Arc<Self>, steps: Steps) {
        let at = steps.registered_at();
        let (fresh, task) = task::make(steps, at);
        if self.has_spawn_hook() {
            self.launch_announced(fresh, None);
        } else if let Some(refused) = self.launch(fresh) {
            refuse(refused);
        }
        drop(task);
    }
}

impl Core {
    /// Makes `task` the next one to run here, or puts it into the queue if there is such a one already.
    #[inline]
    pub(super) fn push_next(&mut self, shared: &Shared, task: Scheduled) {
        let Err(task) = shared.remotes[self.index()].lifo.put(task) else {
            if !self.parking {
                shared.monitor.hurry(shared);
            }
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

    /// Puts a task where every thread may take it. The caller keeps the runtime alive until this returns: the task may have
    /// completed by then.
    pub(super) fn inject(self: &Arc<Self>, task: Scheduled) {
        self.injector.push(task);
        if self.is_fifo() {
            if !current::is_driven_by(self) {
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

    /// G1: takes a new task in and puts it where it will be run. A task that comes back is refused: the caller ends it,
    /// with nothing of the runtime borrowed.
    #[inline]
    #[must_use]
    pub(crate) fn launch(self: &Arc<Self>, fresh: Fresh<Self>) -> Option<Scheduled> {
        let admitted = current::with_core(self, fresh, |core, fresh| {
            let task = fresh.launch(self, core.ids.next());
            core.admit(self, task)
        });
        match admitted {
            Ok(admitted) => admitted.err(),
            Err(fresh) => self.launch_from_outside(fresh),
        }
    }

    fn launch_from_outside(self: &Arc<Self>, fresh: Fresh<Self>) -> Option<Scheduled> {
        let admitted = {
            let mut foreign = self.foreign.lock();
            let task = fresh.launch(self, foreign.ids.next());
            self.registry.join(&mut foreign.roster, task)
        };
        self.place_from_outside(admitted)
    }

    /// Whether a new task must be announced to a hook first.
    #[inline]
    pub(crate) fn has_spawn_hook(&self) -> bool {
        self.config.on_task_spawn.is_some()
    }

    /// [`launch`](Self::launch), but with a name to give and a hook to call before anybody can take the task.
    #[cold]
    pub(crate) fn launch_announced(self: &Arc<Self>, fresh: Fresh<Self>, name: Option<Arc<str>>) {
        self.launch_known(fresh, name, |_| {});
    }

    /// [`launch_announced`](Self::launch_announced), where whoever makes the task is told of it too before it can run.
    pub(crate) fn launch_known(
        self: &Arc<Self>,
        fresh: Fresh<Self>,
        name: Option<Arc<str>>,
        tell: impl FnOnce(TaskRef),
    ) {
        let task = self.announce(fresh, name);
        tell(task.as_ref());
        match current::with_core(self, task, |core, task| core.admit(self, task)) {
            Ok(Ok(())) => {}
            Ok(Err(refused)) => refuse(refused),
            Err(task) => {
                let admitted = self.registry.join(&mut self.foreign.lock().roster, task);
                if let Some(refused) = self.place_from_outside(admitted) {
                    refuse(refused);
                }
            }
        }
    }

    fn announce(self: &Arc<Self>, fresh: Fresh<Self>, name: Option<Arc<str>>) -> Scheduled {
        let task = fresh.launch(self, self.next_id());
        if let Some(name) = name {
            task.as_ref().set_name(name);
        }
        if let Some(hook) = &self.config.on_task_spawn {
            let task_ref = task.as_ref();
            contain(|| hook(&task_ref));
        }
        task
    }

    /// [`launch_announced`](Self::launch_announced), with the task's first poll right here, before this returns.
    pub(crate) fn launch_eager(self: &Arc<Self>, fresh: Fresh<Self>, name: Option<Arc<str>>) {
        let task = self.announce(fresh, name);
        let admitted = current::with_core(self, task, |core, task| {
            self.registry.join(&mut core.roster, task)
        });
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(task) => self.admit_main(task),
        };
        match admitted.map(Scheduled::run) {
            Ok(Turn::Rest | Turn::Done) => {}
            Ok(Turn::Requeue(task)) => self.schedule(task),
            Err(refused) => refuse(refused),
        }
    }

    fn next_id(self: &Arc<Self>) -> TaskId {
        current::with_core(self, (), |core, ()| core.ids.next())
            .unwrap_or_else(|()| self.foreign.lock().ids.next())
    }

    #[must_use]
    fn place_from_outside(
        self: &Arc<Self>,
        admitted: Result<Scheduled, Scheduled>,
    ) -> Option<Scheduled> {
        if !current::polls() {
            self.monitor.ensure_started(self);
        }
        match admitted {
            Ok(task) => {
                // Whoever spawns from outside has a handle.
                self.inject(task);
                None
            }
            Err(task) => Some(task),
        }
    }

    /// G1 through the foreign roster for a task that is not put into a queue; gives it back if the runtime is closed.
    pub(super) fn admit_main(&self, task: Scheduled) -> Result<Scheduled, Scheduled> {
        self.registry.join(&mut self.foreign.lock().roster, task)
    }
}
