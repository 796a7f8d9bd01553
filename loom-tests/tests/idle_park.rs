//! The sleep protocol: edges I1–I5 of `runtime/src/scheduler/idle.rs`, P1–P4 of `park.rs`, and the monitor's deep sleep.
//!
//! The words, the lists, the injector, the driver's unpark and the park are the shipped ones; the queues under them are the
//! modelled ones, and the worker below takes the steps of `worker.rs` in their order. A lost wake-up is a deadlock.

use std::collections::VecDeque;
use std::task::Wake;

use loxley_loom_tests::support::Bell;
use loxley_runtime::model::{
    Doze, Driver, DriverHandle, Idle, Injector, Local, Park, Stealer, Wait, Woken,
};
use loxley_sync::prim::atomic::{AtomicBool, Ordering};
use loxley_sync::prim::lock::Mutex;
use loxley_sync::prim::{Arc, model, model_bounded, spin_loop, thread};
use loxley_sync::wait::WakeBatch;

/// What all workers see.
struct World {
    injector: Injector<u32>,
    stealers: Vec<Stealer<u32>>,
    idle: Idle,
    parks: Vec<Park>,
    driver: Mutex<Driver>,
    handle: DriverHandle,
}

/// One worker, which has nothing to do but to take items.
struct Worker {
    world: Arc<World>,
    index: usize,
    local: Local<u32>,
    searching: bool,
}

impl World {
    fn new(workers: usize) -> (Arc<Self>, Vec<Worker>) {
        let (driver, handle) = Driver::new(4).expect("a model has descriptors");
        let (locals, stealers): (Vec<_>, Vec<_>) = (0..workers).map(|_| Local::new()).unzip();
        let world = Arc::new(Self {
            injector: Injector::new(),
            stealers,
            idle: Idle::new(workers),
            parks: (0..workers).map(|_| Park::new()).collect(),
            driver: Mutex::new(driver),
            handle,
        });
        let worker = |(index, local)| Worker {
            world: world.clone(),
            index,
            local,
            searching: false,
        };
        let workers = locals.into_iter().enumerate().map(worker).collect();
        (world, workers)
    }

    /// What a thread from outside does.
    fn push(&self, item: u32) {
        self.injector.push(item);
        self.notify();
    }

    /// I4.
    fn notify(&self) {
        if let Some(worker) = self.idle.claim() {
            self.unpark(worker);
        }
    }

    fn unpark(&self, worker: usize) {
        self.parks[worker].unpark(&self.handle);
    }
}

impl Worker {
    /// Takes an item, and sleeps until there is one.
    fn next(&mut self) -> u32 {
        self.world.parks[self.index].settle();
        loop {
            if let Some(item) = self.local.pop().or_else(|| self.search()) {
                if std::mem::take(&mut self.searching) && self.world.idle.found_work() {
                    self.world.notify();
                }
                return item;
            }
            self.sleep(thread::park);
        }
    }

    /// I1, and one search.
    fn search(&mut self) -> Option<u32> {
        if !self.searching {
            self.searching = self.world.idle.start_searching();
            if !self.searching {
                return None;
            }
        }
        let world = &*self.world;
        world
            .injector
            .grab(&self.local, world.parks.len())
            .or_else(|| {
                let others = world.stealers.iter().enumerate();
                let mut others = others.filter(|(index, _)| *index != self.index);
                others.find_map(|(_, other)| other.steal_half(&self.local))
            })
    }

    /// I3 to I5.
    fn sleep(&mut self, on_thread: impl FnOnce()) {
        let world = &*self.world;
        world
            .idle
            .fall_asleep(self.index, std::mem::take(&mut self.searching));
        let sees_work = self.has_work();
        if !sees_work {
            let mut batch = WakeBatch::new();
            let in_driver = |driver: &mut Driver| driver.turn(Wait::Forever, &mut batch);
            let park = &world.parks[self.index];
            let (_, turn) = park.park_where_free(&world.driver, in_driver, on_thread);
            turn.map(|turn| turn.expect("a model's driver waits"));
        }
        let woken = world.idle.wake_oneself(self.index);
        if sees_work && woken == Woken::ByItself {
            world.idle.search_anyway();
        }
        self.searching = sees_work || woken == Woken::Claimed;
    }

    /// The look after SleepFence.
    fn has_work(&self) -> bool {
        let mut others = self.world.stealers.iter().enumerate();
        !self.world.injector.is_empty()
            || others.any(|(index, other)| index != self.index && !other.is_empty())
    }

    /// What the thread of a worker does that takes so many items and then is busy for ever with the last.
    fn start(mut self, items: usize) -> thread::JoinHandle<u32> {
        thread::spawn(move || (0..items).map(|_| self.next()).sum())
    }
}

// edges: I3, I4, I5, P1, P3, P4
#[test]
fn push_while_the_only_worker_falls_asleep() {
    model(|| {
        let (world, mut workers) = World::new(1);
        let worker = workers.remove(0).start(1);
        world.push(1);
        assert_eq!(worker.join().expect("no panic"), 1);
        assert_eq!(world.idle.asleep(), 0);
        assert!(world.idle.start_searching(), "a searcher was counted twice");
    });
}

// edges: I3, I4, I5, P1, P3, P4
#[test]
fn push_while_the_worker_falls_asleep_on_its_thread() {
    model(|| {
        let (world, mut workers) = World::new(1);
        // Somebody else is in the driver.
        let driver = world.driver.lock();
        let worker = workers.remove(0).start(1);
        world.push(1);
        assert_eq!(worker.join().expect("no panic"), 1);
        drop(driver);
        assert_eq!(world.idle.asleep(), 0);
        assert!(world.idle.start_searching(), "a searcher was counted twice");
    });
}

// edges: I1, I2, I3, I4, I5, P1, P3, P4
#[test]
fn two_pushes_while_two_workers_fall_asleep() {
    // One sleeps in the driver, one on its thread; whoever is woken for the first item must see to the second.
    model_bounded(2, || {
        let (world, workers) = World::new(2);
        let workers: Vec<_> = workers.into_iter().map(|worker| worker.start(1)).collect();
        world.push(1);
        world.push(2);
        let sum: u32 = workers
            .into_iter()
            .map(|worker| worker.join().expect("no panic"))
            .sum();
        assert_eq!(sum, 3, "an item was lost or taken twice");
        assert_eq!(world.idle.asleep(), 0);
    });
}

// edges: I1, I2, I4
#[test]
fn push_while_the_last_searcher_finds_other_work() {
    model_bounded(2, || {
        let (world, mut workers) = World::new(2);
        let (first, mut second) = (workers.remove(0), workers.remove(0));
        world.injector.push(1);
        // It searches already; the pusher sees that and tells nobody.
        assert!(world.idle.start_searching());
        second.searching = true;
        let workers = [first.start(1), second.start(1)];
        world.push(2);
        let sum: u32 = workers
            .into_iter()
            .map(|worker| worker.join().expect("no panic"))
            .sum();
        assert_eq!(sum, 3, "an item was lost or taken twice");
    });
}

// edges: I3, I4, I5, P3, P4
#[test]
fn token_comes_when_the_worker_is_awake_already() {
    model(|| {
        let (world, mut workers) = World::new(1);
        let worker = workers.remove(0).start(2);
        // The worker may find the second one by itself, be claimed for it all the same, and sleep in between.
        world.push(1);
        world.push(2);
        assert_eq!(worker.join().expect("no panic"), 3);
        assert_eq!(world.idle.asleep(), 0);
        assert!(world.idle.start_searching(), "a searcher was counted twice");
    });
}

// edges: P1, P2, P3, P4
#[test]
fn token_comes_while_a_deadline_ends_the_sleep() {
    model(|| {
        let (world, mut workers) = World::new(1);
        let driver = world.driver.lock();
        let mut worker = workers.remove(0);
        let worker = thread::spawn(move || {
            worker.world.parks[0].settle();
            // The deadline has passed by the time the thread would sleep.
            worker.sleep(|| {});
            worker.next()
        });
        world.push(1);
        assert_eq!(worker.join().expect("no panic"), 1);
        drop(driver);
        assert_eq!(world.idle.asleep(), 0);
    });
}

// edges: P1, P3
#[test]
fn two_tokens_at_once_and_what_the_second_brings() {
    model(|| {
        let (world, _) = World::new(1);
        let seen = Arc::new(AtomicBool::new(false));
        let sleeper = {
            let (world, seen) = (world.clone(), seen.clone());
            thread::spawn(move || {
                world.parks[0].settle();
                // Each sleep may be ended by the first token; the reason of the second must be seen by then, or end the next.
                // ordering: relaxed, the token carries it.
                while !seen.load(Ordering::Relaxed) {
                    world.parks[0].park_alone();
                }
            })
        };
        let other = {
            let world = world.clone();
            thread::spawn(move || world.unpark(0))
        };
        // ordering: relaxed, the token carries it.
        seen.store(true, Ordering::Relaxed);
        world.unpark(0);
        other.join().expect("no panic");
        sleeper.join().expect("no panic");
    });
}

// edges: P1, P3, P4
#[test]
fn pushes_while_the_only_thread_of_the_strict_flavour_falls_asleep() {
    model(|| {
        let (world, _) = World::new(1);
        let pushers = [1, 2].map(|item| {
            let world = world.clone();
            thread::spawn(move || {
                world.injector.push(item);
                world.unpark(0);
            })
        });
        let (mut driver, park) = (world.driver.lock(), &world.parks[0]);
        let (mut round, mut batch, mut sum) = (VecDeque::new(), WakeBatch::new(), 0);
        while sum < 3 {
            world.injector.swap(&mut round);
            sum += round.drain(..).sum::<u32>();
            if sum < 3 && world.injector.is_empty() && park.settle_in_driver() {
                driver
                    .turn(Wait::Forever, &mut batch)
                    .expect("a model's driver waits");
                park.wake_up();
            }
        }
        for pusher in pushers {
            pusher.join().expect("no panic");
        }
    });
}

// edges: I4, I5
#[test]
fn monitor_and_pusher_claim_the_same_sleeper() {
    model(|| {
        let (world, mut workers) = World::new(1);
        let worker = workers.remove(0).start(1);
        let monitor = {
            let world = world.clone();
            thread::spawn(move || {
                if let Some(worker) = world.idle.claim_any() {
                    world.unpark(worker);
                }
            })
        };
        world.push(1);
        assert_eq!(worker.join().expect("no panic"), 1);
        monitor.join().expect("no panic");
        assert_eq!(world.idle.asleep(), 0);
        assert!(world.idle.start_searching(), "a searcher was counted twice");
    });
}

// edges: I3, I4, I5, P3
#[test]
fn task_behind_a_stuck_worker_that_only_the_monitor_sees() {
    model(|| {
        let (world, mut workers) = World::new(2);
        // A LIFO slot: nobody else looks into it unless its owner is stuck.
        let slot = Arc::new((AtomicBool::new(false), Mutex::new(Some(7))));
        let mut thief = workers.remove(1);
        let thief = {
            let slot = slot.clone();
            thread::spawn(move || {
                thief.world.parks[1].settle();
                loop {
                    // ordering: relaxed, a hint of the monitor.
                    if slot.0.load(Ordering::Relaxed) {
                        return slot.1.lock().take().expect("one thief");
                    }
                    thief.sleep(thread::park);
                }
            })
        };
        // ordering: relaxed, the unpark carries it.
        slot.0.store(true, Ordering::Relaxed);
        // Every tick again, for as long as the owner is stuck.
        let claimed = loop {
            match world.idle.claim_any() {
                Some(worker) => break Some(worker),
                None if slot.1.lock().is_none() => break None,
                None => spin_loop(),
            }
        };
        if let Some(worker) = claimed {
            world.unpark(worker);
        }
        assert_eq!(thief.join().expect("no panic"), 7);
    });
}

// edges: I3, I4
#[test]
fn task_displaced_to_a_queue_while_the_neighbour_falls_asleep() {
    model(|| {
        let (world, mut workers) = World::new(2);
        let (owner, thief) = (workers.remove(0), workers.remove(0).start(1));
        // The owner goes on with something else and never looks at its queue again.
        owner.local.push(5);
        world.notify();
        assert_eq!(thief.join().expect("no panic"), 5);
    });
}

// edges: I4, I5
#[test]
fn monitor_sleeps_on_while_a_worker_wakes_by_itself() {
    model(|| {
        let world = Arc::new((Idle::new(1), Doze::new(), Mutex::new(None)));
        world.0.fall_asleep(0, false);
        let worker = {
            let world = world.clone();
            thread::spawn(move || {
                let (idle, doze, monitor) = &*world;
                assert_eq!(idle.wake_oneself(0), Woken::ByItself);
                tell(doze, monitor);
            })
        };
        *world.2.lock() = Some(thread::current());
        let (idle, doze, _) = &*world;
        doze.rest(|| idle.all_asleep());
        worker.join().expect("no panic");
    });
}

/// What a worker does that has left the list of sleepers.
fn tell(doze: &Doze, monitor: &Mutex<Option<thread::Thread>>) {
    if doze.must_be_told() {
        doze.end();
        let monitor = monitor.lock().clone();
        monitor.expect("it sleeps, so it runs").unpark();
    }
}

// edges: I4, I5, P3
#[test]
fn monitor_sleeps_on_while_a_claimed_worker_wakes() {
    model(|| {
        let world = Arc::new((Idle::new(1), Doze::new(), Mutex::new(None)));
        world.0.fall_asleep(0, false);
        let bell = Bell::new();
        let worker = {
            let (world, unparked) = (world.clone(), bell.clone());
            thread::spawn(move || {
                let (idle, doze, monitor) = &*world;
                unparked.wait();
                assert_eq!(idle.wake_oneself(0), Woken::Claimed);
                tell(doze, monitor);
            })
        };
        let pusher = {
            let world = world.clone();
            thread::spawn(move || {
                assert_eq!(world.0.claim(), Some(0));
                bell.wake_by_ref();
            })
        };
        *world.2.lock() = Some(thread::current());
        let (idle, doze, _) = &*world;
        doze.rest(|| idle.all_asleep());
        pusher.join().expect("no panic");
        worker.join().expect("no panic");
    });
}

// edges: I3, I5
#[test]
fn monitor_rests_again_while_a_late_token_is_on_its_way() {
    model(|| {
        let world = Arc::new((Idle::new(1), Doze::new(), Mutex::new(None)));
        world.0.fall_asleep(0, false);
        *world.2.lock() = Some(thread::current());
        let worker = {
            let world = world.clone();
            thread::spawn(move || {
                let (idle, doze, monitor) = &*world;
                let _ = idle.wake_oneself(0);
                tell(doze, monitor);
                idle.fall_asleep(0, false);
                let _ = idle.wake_oneself(0);
                tell(doze, monitor);
            })
        };
        let (idle, doze, _) = &*world;
        doze.rest(|| idle.all_asleep());
        doze.rest(|| idle.all_asleep());
        worker.join().expect("no panic");
    });
}

// edges: I3
#[test]
fn monitor_falls_asleep_while_it_is_stopped() {
    model(|| {
        let world = Arc::new((Idle::new(1), Doze::new(), Mutex::new(None)));
        world.0.fall_asleep(0, false);
        *world.2.lock() = Some(thread::current());
        let stopper = {
            let world = world.clone();
            thread::spawn(move || {
                let (_, doze, monitor) = &*world;
                doze.stop();
                doze.end();
                let monitor = monitor.lock().clone();
                monitor.expect("it runs").unpark();
            })
        };
        let (idle, doze, _) = &*world;
        while !doze.is_stopping() {
            doze.rest(|| idle.all_asleep());
        }
        stopper.join().expect("no panic");
    });
}
