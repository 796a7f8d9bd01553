//! THE HOT PATH: take the next task, poll it, look after timers and driver now and then, sleep when there is nothing.
//!
//! A worker never runs user code while its core is borrowed.

use super::core::{Core, Next};
use super::idle::Woken;
use super::monitor::{self, Monitor};
use super::shared::{Config, Remote, Seat, Shared};
use crate::blocking::Pool;
use crate::current::{self, Current};
use crate::driver::Wait;
use crate::payload::contain;
use crate::task::{Scheduled, Turn};
use loxley_sync::prim::Backoff;
use loxley_sync::prim::atomic::Ordering;
use loxley_sync::prim::thread::{self, JoinHandle};
use loxley_sync::wait::WakeBatch;
use std::cell::RefMut;
use std::io;
use std::sync::Arc;

/// What the builder gives for a worker's thread.
pub(crate) struct ThreadStyle<'a> {
    pub(crate) name: &'a dyn Fn() -> String,
    pub(crate) stack_size: Option<usize>,
}

/// Starts a runtime: its shared part and its worker threads.
///
/// # Errors
///
/// If the driver or a thread cannot be made; workers that run already are stopped and joined.
pub(crate) fn start(
    config: Config,
    pool: Pool,
    style: &ThreadStyle<'_>,
) -> io::Result<(Arc<Shared>, Vec<JoinHandle<()>>)> {
    // All names before the first thread: the function that gives them may panic.
    let names = thread_names(config.workers, style.name)?;
    let (shared, seats) = Shared::new(config, pool)?;
    let mut threads = Vec::with_capacity(seats.len());
    let mut seats = seats.into_iter().zip(names);
    while let Some((seat, name)) = seats.next() {
        let worker_shared = shared.clone();
        let body = move || run(&worker_shared, seat);
        match thread::spawn_named(name, style.stack_size, body) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                // This seat and the rest are never taken.
                shared.shutdown.forgo(1 + seats.len());
                shared.begin_shutdown();
                for thread in threads {
                    // A worker that panicked has said so.
                    let _ = thread.join();
                }
                return Err(error);
            }
        }
    }
    Ok((shared, threads))
}

fn thread_names(workers: usize, name: &dyn Fn() -> String) -> io::Result<Vec<String>> {
    let names: Vec<_> = (0..workers).map(|_| name()).collect();
    if names.iter().any(|name| name.contains('\0')) {
        let text = "thread_name: the operating system takes no name with a NUL in it";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(names)
}

fn run(shared: &Arc<Shared>, seat: Seat) {
    let _gone = Gone(shared);
    let index = seat.index;
    let core = Box::new(Core::new(seat, &shared.config));
    let remote = &shared.remotes[index];
    remote.park.settle();
    precise_sleep();
    let _tokio = shared.bridge.enter();
    current::with_worker(shared, core, |current| {
        let worker = Worker {
            shared,
            remote,
            index,
            current,
        };
        call_hook(shared.config.on_thread_start.as_ref());
        worker.work();
        worker.drain();
        call_hook(shared.config.on_thread_stop.as_ref());
    });
}

/// Step 5 of `shutdown.rs`, also if the worker panics.
struct Gone<'a>(&'a Shared);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.worker_gone();
    }
}

/// Lets this thread's sleeps end on time: the kernel's default slack for a thread's timed sleeps is 50 µs.
pub(super) fn precise_sleep() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // Refused, sleeps are as late as everybody's.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    }
}

/// Runs a callback of the user; its panic has been reported by the panic hook and must not end the worker.
pub(super) fn call_hook(hook: Option<&super::Hook>) {
    if let Some(hook) = hook {
        contain(|| hook());
    }
}

/// One worker at work.
struct Worker<'a> {
    shared: &'a Arc<Shared>,
    remote: &'a Remote,
    index: usize,
    current: &'a Current,
}

impl Worker<'_> {
    fn core(&self) -> RefMut<'_, Core> {
        RefMut::map(self.current.core.borrow_mut(), |core| {
            &mut **core
                .as_mut()
                .expect("the core is here while the worker runs")
        })
    }

    /// Until shutdown begins.
    fn work(&self) {
        loop {
            if self.shared.shutdown.has_begun() {
                return;
            }
            // Not inline in the match: its scrutinee would keep the core borrowed.
            let next = self.core().next(self.shared);
            match next {
                Next::Run(task) => self.poll(task),
                Next::Maintain => self.maintain(),
                Next::Dry => match self.search() {
                    Some(task) => self.poll(task),
                    None => self.sleep(),
                },
            }
        }
    }

    /// Polls one task once.
    #[inline]
    fn poll(&self, task: Scheduled) {
        {
            let mut core = self.core();
            if core.searching {
                core.searching = false;
                drop(core);
                self.stop_searching();
            }
        }
        Monitor::begin_poll(&self.remote.counters, &task);
        let turn = task.run();
        match turn {
            Turn::Rest | Turn::Done => {}
            // T7: to the back, so that a task that yields lets all others run first.
            Turn::Requeue(task) => self.core().local.push(task),
        }
    }

    /// I2.
    #[cold]
    fn stop_searching(&self) {
        if self.shared.idle.found_work() {
            self.shared.notify();
        }
    }

    /// Fires what is due and asks the driver, without waiting.
    #[cold]
    fn maintain(&self) {
        self.shared.monitor.ensure_started(self.shared);
        let now = self.shared.timers.clock().now_ns();
        self.core().pace(now, self.shared.config.event_interval);
        let mut batch = WakeBatch::new();
        self.fire_timers(&mut batch);
        if let Some(mut driver) = self.shared.driver.try_lock() {
            let turn = driver.turn(Wait::No, &mut batch);
            drop(driver);
            if let Err(error) = turn {
                self.shared
                    .report(format!("the driver cannot look: {error}"));
            }
        }
        batch.wake_all_contained();
    }

    /// Fires this worker's timers, and the foreign ones.
    fn fire_timers(&self, batch: &mut WakeBatch) {
        let timers = &self.shared.timers;
        let foreign = timers.foreign_shard();
        let own = timers.next_deadline_of(self.index);
        let theirs = timers.next_deadline_of(foreign);
        if own.is_none() && theirs.is_none() {
            return;
        }
        let now = timers.clock().now_ns();
        if own.is_some_and(|deadline| deadline <= now) {
            timers.fire_shard(self.index, now, batch);
            self.core().has_fired(now);
        }
        if theirs.is_some_and(|deadline| deadline <= now) {
            timers.fire_shard(foreign, now, batch);
        }
    }

    /// I1, and one search.
    fn search(&self) -> Option<Scheduled> {
        let mut core = self.core();
        if !core.searching {
            core.searching = self.shared.idle.start_searching();
            if !core.searching {
                return None;
            }
        }
        let found = core.search(self.shared);
        drop(core);
        if found.is_none() {
            self.rescue_timers();
        }
        found
    }

    /// Fires what a worker that is stuck in a poll should have fired.
    fn rescue_timers(&self) {
        if self.shared.monitor.timers_are_late() {
            let mut batch = WakeBatch::new();
            let now = self.shared.timers.clock().now_ns();
            self.shared.timers.fire(now, &mut batch);
            batch.wake_all_contained();
        }
    }

    /// I3 to I5: sleeps until there is a reason not to.
    fn sleep(&self) {
        let shared = self.shared;
        let was_searching = {
            let mut core = self.core();
            if core.has_work(shared) {
                // A rescue has woken something here.
                return;
            }
            core.parking = true;
            std::mem::take(&mut core.searching)
        };
        shared.idle.fall_asleep(self.index, was_searching);
        // The look after SleepFence.
        let sees_work = shared.has_work_for(self.index);
        if !sees_work && !self.must_stop() {
            self.park();
        }
        let woken = shared.idle.wake_oneself(self.index);
        if sees_work && woken == Woken::ByItself {
            shared.idle.search_anyway();
        }
        let has_more = {
            let mut core = self.core();
            core.parking = false;
            core.looked_at = 0;
            core.searching = sees_work || woken == Woken::Claimed;
            !core.local.is_empty()
        };
        shared.monitor.worker_woke();
        if has_more {
            // What was woken here while nobody was told.
            shared.notify();
        }
    }

    /// Parks until a token comes or something was woken here.
    fn park(&self) {
        let counters = &self.remote.counters;
        // ordering: relaxed, written by this worker only, read by the monitor as a hint.
        counters.polling.store(0, Ordering::Relaxed);
        // ordering: relaxed, a counter written by this worker only.
        let parks = counters.parks.load(Ordering::Relaxed);
        // ordering: as above.
        counters.parks.store(parks + 1, Ordering::Relaxed);
        call_hook(self.shared.config.on_thread_park.as_ref());
        // The hook may have woken a task here, of which nobody was told.
        while !self.core().has_work(self.shared) {
            let mut batch = WakeBatch::new();
            let clock = self.shared.timers.clock();
            let is_watched = self.shared.monitor.is_started();
            let look_at = (!is_watched).then(|| monitor::first_look(clock.now_ns()));
            // In a statement of its own: what is woken during the turn wants the core.
            let not_before = self.core().next_firing;
            let park = &self.remote.park;
            let notified = park.park(self.shared, self.index, not_before, look_at, &mut batch);
            batch.wake_all_contained();
            if look_at.is_some_and(|at| at <= clock.now_ns()) && !self.must_stop() {
                self.shared.monitor.ensure_started(self.shared);
            }
            self.fire_timers(&mut batch);
            batch.wake_all_contained();
            if notified || self.must_stop() {
                break;
            }
        }
        call_hook(self.shared.config.on_thread_unpark.as_ref());
    }

    /// A reason to be awake that is in no queue.
    fn must_stop(&self) -> bool {
        self.shared.shutdown.has_begun()
    }

    /// From the beginning of shutdown until no task of this runtime is left; see `shutdown.rs`.
    fn drain(&self) {
        let shared = self.shared;
        {
            let mut core = self.core();
            if std::mem::take(&mut core.searching) {
                drop(core);
                self.stop_searching();
            }
        }
        let mine = {
            let mut core = self.core();
            shared.registry.close(&mut core.roster);
            shared.registry.tasks_of(&core.roster)
        };
        shared.roster_closed();
        shared.request_all(&mine);
        drop(mine);
        shared.request_all(&shared.close_foreign());
        let mut idle_before = false;
        // The one that sees the end tells the others. Two workers that take out the last two tasks at once cannot both miss
        // the other's: each looks again after its SleepFence.
        while !shared.is_drained() {
            let task = {
                let mut core = self.core();
                match core.next(shared) {
                    Next::Run(task) => Some(task),
                    Next::Maintain => continue,
                    Next::Dry => core.search(shared),
                }
            };
            match task {
                Some(task) => self.poll(task),
                None if idle_before => self.rest_while_draining(),
                None => {
                    // A worker that is stuck in a poll does not ask its tasks: so they are asked by whoever has time.
                    idle_before = true;
                    shared.request_all(&shared.tasks());
                }
            }
        }
        shared.unpark_all();
    }

    /// As [`sleep`](Self::sleep), but for the last tasks, which are in other threads' hands; in the driver nobody is needed.
    fn rest_while_draining(&self) {
        let shared = self.shared;
        // The others are usually as far as this one: a look or two at them is cheaper than a sleep.
        let backoff = Backoff::new();
        while !backoff.is_completed() {
            if shared.is_drained() || shared.has_work_for(self.index) {
                return;
            }
            backoff.snooze();
        }
        shared.idle.fall_asleep(self.index, false);
        if !shared.has_work_for(self.index) && !shared.is_drained() && !self.core().has_work(shared)
        {
            self.remote.park.park_alone();
        }
        if shared.idle.wake_oneself(self.index) == Woken::Claimed {
            self.stop_searching();
        }
    }
}
