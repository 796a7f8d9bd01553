//! The steps to silence of `runtime/src/scheduler/shutdown.rs`, with the sleep protocol (I3–I5, P1–P4), the registry's
//! closing (G7) and real tasks under them.
//!
//! A worker below takes the steps of `Worker::drain` in `worker.rs` in their order. A worker that is not told of the end is
//! a deadlock; a task that is left behind leaks, which loom sees.

use std::cell::RefCell;
use std::panic::Location;
use std::sync::Arc as StdArc;

use loxley_loom_tests::support::{Drops, Until};
use loxley_runtime::model::{
    Driver, DriverHandle, Idle, Injector, Local, Park, Place, Registry, Reporter, Roster, Schedule,
    Scheduled, Shutdown, Stealer, Task, TaskIds, TaskRef, TaskTurn, Wait, Woken, refuse, spawn,
};
use loxley_sync::prim::lock::Mutex;
use loxley_sync::prim::{model, model_bounded, thread};
use loxley_sync::wait::WakeBatch;

/// What all threads see.
struct House {
    injector: Injector<Scheduled>,
    stealers: Vec<Stealer<Scheduled>>,
    idle: Idle,
    registry: Registry,
    foreign: Mutex<Roster>,
    parks: Vec<Park>,
    driver: Mutex<Driver>,
    handle: DriverHandle,
    shutdown: Shutdown,
    /// Whether a worker with nothing to do asks the others' tasks too. One more sweep, and minutes more for some models.
    asks_for_others: bool,
    /// How often the world was closed.
    closed: Drops,
}

/// What one worker owns alone.
struct Seat {
    index: usize,
    local: Local<Scheduled>,
    roster: Roster,
}

thread::thread_local! {
    /// The seat of this thread, if it is a worker.
    static SEAT: RefCell<Option<Seat>> = const { RefCell::new(None) };
}

fn with_seat<R>(f: impl FnOnce(&mut Seat) -> R) -> Option<R> {
    SEAT.with(|seat| seat.borrow_mut().as_mut().map(f))
}

impl Schedule for House {
    fn schedule(self: &StdArc<Self>, task: Scheduled) {
        let mut task = Some(task);
        with_seat(|seat| seat.local.push(task.take().expect("one")));
        if let Some(task) = task {
            let this = self.clone();
            this.inject(task);
        }
    }

    fn leave(&self, place: Place) {
        if place == Place::NOWHERE {
            return;
        }
        let mut foreign = None;
        if usize::from(place.shard) == self.parks.len() {
            foreign = Some(self.foreign.lock());
        }
        match foreign {
            Some(mut roster) => self.registry.leave(place, Some(&mut roster)),
            None => with_seat(|seat| self.registry.leave(place, Some(&mut seat.roster)))
                .unwrap_or_else(|| self.registry.leave(place, None)),
        }
    }

    fn reporter(&self) -> Reporter {
        Reporter::default()
    }
}

impl House {
    fn new(workers: usize) -> (StdArc<Self>, Vec<Seat>) {
        Self::with(workers, true)
    }

    fn with(workers: usize, asks_for_others: bool) -> (StdArc<Self>, Vec<Seat>) {
        let (driver, handle) = Driver::new(4).expect("a model has descriptors");
        let (registry, mut rosters) = Registry::new(workers + 1);
        let foreign = rosters.pop().expect("one more than workers");
        let (locals, stealers): (Vec<_>, Vec<_>) = (0..workers).map(|_| Local::new()).unzip();
        let house = Self {
            injector: Injector::new(),
            stealers,
            idle: Idle::new(workers),
            registry,
            foreign: Mutex::new(foreign),
            parks: (0..workers).map(|_| Park::new()).collect(),
            driver: Mutex::new(driver),
            handle,
            shutdown: Shutdown::new(workers),
            asks_for_others,
            closed: Drops::new(),
        };
        let seats = locals.into_iter().zip(rosters).enumerate();
        let seats = seats.map(|(index, (local, roster))| Seat {
            index,
            local,
            roster,
        });
        (StdArc::new(house), seats.collect())
    }

    fn inject(&self, task: Scheduled) {
        self.injector.push(task);
        self.notify();
    }

    fn notify(&self) {
        if let Some(worker) = self.idle.claim() {
            self.parks[worker].unpark(&self.handle);
        }
    }

    fn unpark_all(&self) {
        for park in &self.parks {
            park.unpark(&self.handle);
        }
    }

    /// Step 1.
    fn begin_shutdown(&self) {
        self.shutdown.begin();
        self.unpark_all();
    }

    fn is_drained(&self) -> bool {
        self.shutdown.is_drained(&self.registry)
    }

    /// A task that ends in its first poll.
    #[track_caller]
    fn task(self: &StdArc<Self>, drops: &Drops) -> (Scheduled, Task<()>) {
        let value = drops.value();
        self.task_of(async move { drop(value) })
    }

    #[track_caller]
    fn task_of<F>(self: &StdArc<Self>, future: F) -> (Scheduled, Task<()>)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        spawn(future, self, TaskIds::default().next(), Location::caller())
    }

    /// What `create_task` does on a thread that is no worker.
    fn spawn_from_outside(self: &StdArc<Self>, drops: &Drops) -> Task<()> {
        let (task, handle) = self.task(drops);
        let admitted = {
            let mut foreign = self.foreign.lock();
            self.registry.join(&mut foreign, task)
        };
        match admitted {
            Ok(task) => self.clone().inject(task),
            Err(task) => refuse(task),
        }
        handle
    }

    /// The thread of a worker.
    fn start(self: &StdArc<Self>, seat: Seat, has_begun: bool) -> thread::JoinHandle<()> {
        let house = self.clone();
        thread::spawn(move || {
            let index = seat.index;
            house.parks[index].settle();
            SEAT.with(|held| *held.borrow_mut() = Some(seat));
            while !has_begun && !house.shutdown.has_begun() {
                house.turn(index, |house| house.sleep(index));
            }
            house.drain(index);
            SEAT.with(|held| held.borrow_mut().take());
            if house.shutdown.worker_gone() {
                house.closed.add();
                house.shutdown.announce();
            }
        })
    }

    /// Runs a task, or rests as told.
    fn turn(&self, worker: usize, rest: impl FnOnce(&Self)) {
        let own = || with_seat(|seat| seat.local.pop()).flatten();
        let shared =
            || with_seat(|seat| self.injector.grab(&seat.local, self.parks.len())).flatten();
        match own().or_else(shared).or_else(|| self.steal(worker)) {
            None => rest(self),
            Some(task) => {
                if let TaskTurn::Requeue(task) = task.run() {
                    with_seat(|seat| seat.local.push(task));
                }
            }
        }
    }

    fn steal(&self, thief: usize) -> Option<Scheduled> {
        let victims = self.stealers.iter().enumerate();
        let mut victims = victims.filter(|(index, _)| *index != thief);
        victims.find_map(|(_, victim)| with_seat(|seat| victim.steal_half(&seat.local)).flatten())
    }

    fn has_work(&self, worker: usize) -> bool {
        let mut others = self.stealers.iter().enumerate();
        !self.injector.is_empty()
            || others.any(|(index, other)| index != worker && !other.is_empty())
    }

    /// I3 to I5, before shutdown; nobody is counted as a searcher here.
    fn sleep(&self, worker: usize) {
        self.idle.fall_asleep(worker, false);
        if !self.has_work(worker) && !self.shutdown.has_begun() {
            let mut batch = WakeBatch::new();
            let in_driver = |driver: &mut Driver| driver.turn(Wait::Forever, &mut batch);
            let park = &self.parks[worker];
            let _ = park.park_where_free(&self.driver, in_driver, thread::park);
        }
        self.wake_up(worker);
    }

    fn wake_up(&self, worker: usize) {
        if self.idle.wake_oneself(worker) == Woken::Claimed && self.idle.found_work() {
            self.notify();
        }
    }

    /// Steps 2 to 4.
    fn drain(&self, worker: usize) {
        let mine = with_seat(|seat| {
            self.registry.close(&mut seat.roster);
            self.registry.tasks_of(&seat.roster)
        });
        self.shutdown.roster_closed();
        stop(mine.expect("a worker"));
        stop(self.close_foreign());
        let mut idle_before = !self.asks_for_others;
        while !self.is_drained() {
            self.turn(worker, |house| {
                if std::mem::replace(&mut idle_before, true) {
                    house.rest_while_draining(worker);
                } else {
                    // On behalf of a worker that is stuck in a poll.
                    stop(house.registry.tasks());
                }
            });
        }
        self.unpark_all();
    }

    /// Step 2 for the foreign roster. Its tasks, for the first who comes.
    fn close_foreign(&self) -> Vec<TaskRef> {
        let tasks = {
            let mut foreign = self.foreign.lock();
            if foreign.is_closed() {
                return Vec::new();
            }
            self.registry.close(&mut foreign);
            self.registry.tasks_of(&foreign)
        };
        self.shutdown.roster_closed();
        tasks
    }

    fn rest_while_draining(&self, worker: usize) {
        self.idle.fall_asleep(worker, false);
        if !self.has_work(worker) && !self.is_drained() {
            self.parks[worker].park_alone();
        }
        self.wake_up(worker);
    }

    /// What must be true when all workers have gone.
    fn is_silent(&self) {
        assert_eq!(self.shutdown.join(|| None), 0);
        assert_eq!((self.registry.live(), self.closed.count()), (0, 1));
        assert!(self.injector.is_empty());
    }
}

/// Step 3.
fn stop(tasks: Vec<TaskRef>) {
    for task in tasks {
        task.cancel();
    }
}

fn join_all(workers: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    for worker in workers {
        worker.join().expect("no panic");
    }
}

/// A task of the worker's own, in its queue.
fn give(house: &StdArc<House>, seat: &mut Seat, drops: &Drops) {
    let (task, handle) = house.task(drops);
    drop(handle);
    let task = house.registry.join(&mut seat.roster, task).expect("open");
    seat.local.push(task);
}

// edges: G2, G7, I3, I4, I5, P1, P3
#[test]
fn last_two_tasks_end_on_two_workers_at_once() {
    // Each of the two may see the other's task as the last one, and rest.
    model_bounded(2, || {
        let drops = Drops::new();
        let (house, mut seats) = House::new(2);
        for seat in &mut seats {
            give(&house, seat, &drops);
        }
        let workers: Vec<_> = seats
            .into_iter()
            .map(|seat| house.start(seat, true))
            .collect();
        join_all(workers);
        house.is_silent();
        assert_eq!(drops.count(), 2);
    });
}

// edges: G7, I3, I5, P1, P3
#[test]
fn worker_with_nothing_left_rests_while_the_last_roster_closes() {
    model(|| {
        let (house, seats) = House::new(2);
        join_all(
            seats
                .into_iter()
                .map(|seat| house.start(seat, true))
                .collect::<Vec<_>>(),
        );
        house.is_silent();
    });
}

// edges: G2, G5, T10, I3, I4, I5
#[test]
fn task_stolen_from_a_worker_that_rests() {
    model_bounded(2, || {
        let drops = Drops::new();
        let (house, mut seats) = House::new(2);
        give(&house, &mut seats[0], &drops);
        join_all(
            seats
                .into_iter()
                .map(|seat| house.start(seat, true))
                .collect::<Vec<_>>(),
        );
        house.is_silent();
        assert_eq!(drops.count(), 1);
    });
}

// edges: I3, I5, P1, P3, P4
#[test]
fn shutdown_begins_while_a_worker_falls_asleep() {
    model(|| {
        let (house, mut seats) = House::new(1);
        let worker = house.start(seats.remove(0), false);
        house.begin_shutdown();
        join_all([worker]);
        house.is_silent();
    });
}

// edges: I3, I5, P1, P3, P4
#[test]
fn shutdown_begins_while_two_workers_fall_asleep() {
    model_bounded(2, || {
        let (house, seats) = House::new(2);
        let workers: Vec<_> = seats
            .into_iter()
            .map(|seat| house.start(seat, false))
            .collect();
        house.begin_shutdown();
        join_all(workers);
        house.is_silent();
    });
}

// edges: T3, T10, I3, I4, I5, P3
#[test]
fn foreign_wake_in_flight_while_the_only_worker_drains() {
    model(|| {
        let drops = Drops::new();
        let (house, mut seats) = House::new(1);
        let (future, shown) = Until::new(|| false);
        let (task, handle) = house.task_of(future.counted(&drops));
        let task = house
            .registry
            .join(&mut house.foreign.lock(), task)
            .expect("open");
        let TaskTurn::Rest = task.run() else {
            panic!("nothing was there");
        };
        drop(handle);
        let waker = shown.take();
        let worker = house.start(seats.remove(0), true);
        let other = thread::spawn(move || waker.wake());
        join_all([worker, other]);
        house.is_silent();
        assert_eq!(drops.count(), 1);
    });
}

// edges: T3, T10, I3, I4, I5, P3
#[test]
fn foreign_wake_in_flight_while_two_workers_drain() {
    model_bounded(2, || {
        let drops = Drops::new();
        let (house, seats) = House::with(2, false);
        let (future, shown) = Until::new(|| false);
        let (task, handle) = house.task_of(future.counted(&drops));
        let task = house
            .registry
            .join(&mut house.foreign.lock(), task)
            .expect("open");
        let TaskTurn::Rest = task.run() else {
            panic!("nothing was there");
        };
        drop(handle);
        let waker = shown.take();
        let workers: Vec<_> = seats
            .into_iter()
            .map(|seat| house.start(seat, true))
            .collect();
        waker.wake();
        join_all(workers);
        house.is_silent();
        assert_eq!(drops.count(), 1);
    });
}

// edges: G1, G7, I4, P3
#[test]
fn spawn_from_outside_while_the_foreign_roster_closes() {
    model(|| {
        let drops = Drops::new();
        let (house, mut seats) = House::new(1);
        let worker = house.start(seats.remove(0), true);
        let handle = house.spawn_from_outside(&drops);
        join_all([worker]);
        assert!(handle.is_finished(), "neither run nor refused");
        house.is_silent();
        assert_eq!(drops.count(), 1);
    });
}

// edges: G1, G7, I4, P3
#[test]
fn spawn_from_outside_while_two_workers_drain() {
    model_bounded(2, || {
        let drops = Drops::new();
        let (house, seats) = House::with(2, false);
        let workers: Vec<_> = seats
            .into_iter()
            .map(|seat| house.start(seat, true))
            .collect();
        let handle = house.spawn_from_outside(&drops);
        join_all(workers);
        assert!(handle.is_finished(), "neither run nor refused");
        house.is_silent();
        assert_eq!(drops.count(), 1);
    });
}

// edges: G1, G7, I3, I4, P3
#[test]
fn spawn_from_outside_while_shutdown_begins() {
    model_bounded(2, || {
        let drops = Drops::new();
        let (house, mut seats) = House::new(1);
        let worker = house.start(seats.remove(0), false);
        let spawner = {
            let (house, drops) = (house.clone(), drops.clone());
            thread::spawn(move || drop(house.spawn_from_outside(&drops)))
        };
        house.begin_shutdown();
        join_all([worker, spawner]);
        house.is_silent();
        assert_eq!(drops.count(), 1);
    });
}

// edges: T3, T9, I4
#[test]
fn runtime_goes_while_a_foreign_waker_tells_a_sleeper() {
    model(|| {
        let drops = Drops::new();
        let (house, mut seats) = House::new(1);
        let (future, shown) = Until::new(|| true);
        let (task, handle) = house.task_of(future.counted(&drops));
        drop((handle, shown));
        let task = house
            .registry
            .join(&mut house.foreign.lock(), task)
            .expect("open");
        let worker = house.start(seats.remove(0), true);
        // From here on only the worker and this push keep the house.
        let weak = StdArc::downgrade(&house);
        house.inject(task);
        drop(house);
        join_all([worker]);
        assert_eq!(weak.strong_count(), 0, "somebody keeps the runtime");
        assert_eq!(drops.count(), 1);
    });
}

// edges: I5, P3
#[test]
fn last_worker_goes_while_somebody_waits_for_it() {
    model_bounded(2, || {
        let (house, seats) = House::new(2);
        let workers: Vec<_> = seats
            .into_iter()
            .map(|seat| house.start(seat, true))
            .collect();
        assert_eq!(house.shutdown.join(|| None), 0);
        assert!(house.is_drained());
        join_all(workers);
        house.is_silent();
    });
}
