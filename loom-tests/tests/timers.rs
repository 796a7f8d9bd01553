//! Timers: what could go wrong between those who arm, rearm, drop and poll, and those who fire, close and sleep.
//!
//! The protocol and its edges are described in `runtime/src/driver/timers.rs`. Time itself is a number here.

use loxley_runtime::model::{Clock, TICK_NS, Timers};
use loxley_sync::prim::atomic::{AtomicBool, AtomicUsize, Ordering};
use loxley_sync::prim::lock::{Condvar, Mutex};
use loxley_sync::prim::{Arc, model, thread};
use loxley_sync::wait::WakeBatch;
use std::sync::Arc as StdArc;
use std::task::{Wake, Waker};

/// A deadline, and one well after it.
const DUE: u64 = TICK_NS;
const LATER: u64 = 100 * TICK_NS;

fn timers(poke: impl Fn() + Send + Sync + 'static) -> Arc<Timers> {
    Arc::new(Timers::new(2, Clock::paused(), Box::new(poke)))
}

fn fire(timers: &Timers, now_ns: u64) -> usize {
    let mut batch = WakeBatch::new();
    let fired = timers.fire(now_ns, &mut batch);
    batch.wake_all();
    fired
}

/// Counts the wake-ups of one task. The counter is the shim's, the pointer std's, as `Wake` demands.
struct Counted(AtomicUsize);

impl Counted {
    fn new() -> StdArc<Self> {
        StdArc::new(Self(AtomicUsize::new(0)))
    }

    fn wakes(&self) -> usize {
        // ordering: read after the threads were joined.
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Counted {
    fn wake(self: StdArc<Self>) {
        // ordering: a count, nothing travels along.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

// edges: A1, A4
#[test]
fn a_timer_armed_while_others_fire_is_lost_or_fires_twice() {
    model(|| {
        let timers = timers(|| ());
        let task = Counted::new();
        let firing = {
            let timers = timers.clone();
            thread::spawn(move || fire(&timers, DUE))
        };
        let key = timers.arm(0, DUE, &Waker::from(task.clone()));
        // The worker that armed looks at its own shard before it sleeps.
        let seen = timers.next_deadline_of(0);
        let fired = firing.join().unwrap();
        assert_eq!(fired, task.wakes());
        assert!(
            fired == 1 || seen == Some(DUE),
            "not fired, and not seen by the one who armed"
        );
        assert_eq!(fired + fire(&timers, DUE), 1);
        assert_eq!(task.wakes(), 1);
        assert!(timers.poll(key, Waker::noop()));
    });
}

// edges: A4, A5
#[test]
fn a_dropped_timer_wakes_after_its_drop_or_takes_another_with_it() {
    model(|| {
        let timers = timers(|| ());
        let (dropped, kept) = (Counted::new(), Counted::new());
        let key = timers.arm(0, DUE, &Waker::from(dropped.clone()));
        let firing = {
            let timers = timers.clone();
            thread::spawn(move || fire(&timers, DUE))
        };
        timers.disarm(key);
        // The freed entry is used anew at once: the stale key must miss it.
        let other = timers.arm(0, LATER, &Waker::from(kept.clone()));
        timers.disarm(key);
        let fired = firing.join().unwrap();
        assert_eq!(fired, dropped.wakes());
        assert!(
            !timers.poll(other, &Waker::from(kept.clone())),
            "the other timer is gone"
        );
        assert_eq!((timers.armed(), kept.wakes()), (1, 0));
        assert_eq!(timers.next_deadline(), Some(LATER));
        // Every waker is let go with its entry: ours are the only ones left.
        timers.disarm(other);
        assert_eq!(StdArc::strong_count(&dropped), 1);
        assert_eq!(StdArc::strong_count(&kept), 1);
    });
}

// edges: A4, A5
#[test]
fn a_rearmed_timer_fires_at_both_times_or_at_neither() {
    model(|| {
        let timers = timers(|| ());
        let task = Counted::new();
        let key = timers.arm(0, DUE, &Waker::from(task.clone()));
        let firing = {
            let timers = timers.clone();
            thread::spawn(move || fire(&timers, DUE))
        };
        let was_moved = timers.rearm(key, LATER, 0) == Some(key);
        let fired = firing.join().unwrap();
        assert_eq!(fired, usize::from(!was_moved));
        assert_eq!(timers.has_fired(key), !was_moved);
        assert_eq!(fired + fire(&timers, LATER), 1);
        assert_eq!((task.wakes(), timers.armed()), (1, 0));
    });
}

// edges: A3, A4
#[test]
fn a_timer_wakes_the_waker_that_was_replaced() {
    model(|| {
        let timers = timers(|| ());
        let (first, newest) = (Counted::new(), Counted::new());
        let key = timers.arm(0, DUE, &Waker::from(first.clone()));
        let firing = {
            let timers = timers.clone();
            thread::spawn(move || fire(&timers, DUE))
        };
        let has_fired = timers.poll(key, &Waker::from(newest.clone()));
        assert_eq!(firing.join().unwrap(), 1);
        // Pending means that the newest waker will be called; fired, that nothing more is owed to it.
        assert_eq!(newest.wakes(), usize::from(!has_fired));
        assert_eq!(first.wakes() + newest.wakes(), 1);
    });
}

// edges: A4
#[test]
fn two_who_fire_at_once_wake_one_timer_twice() {
    model(|| {
        let timers = timers(|| ());
        let task = Counted::new();
        for _ in 0..2 {
            let _ = timers.arm(0, DUE, &Waker::from(task.clone()));
        }
        let firing = {
            let timers = timers.clone();
            thread::spawn(move || fire(&timers, DUE))
        };
        let here = fire(&timers, DUE);
        let there = firing.join().unwrap();
        assert_eq!((here + there, task.wakes()), (2, 2));
        assert_eq!(timers.next_deadline(), None);
    });
}

// edges: A1, A6
#[test]
fn a_timer_armed_while_the_runtime_ends_waits_for_ever() {
    model(|| {
        let timers = timers(|| ());
        let task = Counted::new();
        let closing = {
            let timers = timers.clone();
            thread::spawn(move || timers.close())
        };
        let key = timers.arm(0, DUE, &Waker::from(task.clone()));
        let was_refused = timers.has_fired(key);
        if was_refused {
            assert!(timers.is_closed(), "gone, but not because of the end");
        }
        closing.join().unwrap();
        assert!(timers.has_fired(key));
        assert_eq!(timers.armed(), 0);
        assert!(
            was_refused || task.wakes() == 1,
            "neither told at once nor woken later"
        );
    });
}

/// One who sleeps in the driver until the next deadline, as a worker would: announced by a flag, so that a poke costs a
/// system call only if somebody sleeps.
struct Driver {
    is_asleep: AtomicBool,
    is_poked: Mutex<bool>,
    woken: Condvar,
}

impl Driver {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            is_asleep: AtomicBool::new(false),
            is_poked: Mutex::new(false),
            woken: Condvar::new(),
        })
    }

    fn poke(&self) {
        // ordering: the fence in front of the poke orders it after the new deadline.
        if self.is_asleep.load(Ordering::Relaxed) {
            *self.is_poked.lock() = true;
            self.woken.notify_one();
        }
    }

    /// Sleeps once, for good unless the deadline seen is `wanted`: whoever sees that would wake up in time.
    fn sleep_until(&self, timers: &Timers, wanted: u64) {
        // ordering: the fence in `next_deadline` orders it before the deadlines.
        self.is_asleep.store(true, Ordering::Relaxed);
        if timers.next_deadline() == Some(wanted) {
            return;
        }
        let mut is_poked = self.is_poked.lock();
        while !*is_poked {
            is_poked = self.woken.wait(is_poked);
        }
        drop(is_poked);
        assert_eq!(
            timers.next_deadline(),
            Some(wanted),
            "poked, but for nothing"
        );
    }
}

// edges: A2
#[test]
fn the_driver_sleeps_past_a_deadline_armed_by_another_thread() {
    model(|| {
        let driver = Driver::new();
        let poked = driver.clone();
        let timers = timers(move || poked.poke());
        let sleeping = {
            let (driver, timers) = (driver.clone(), timers.clone());
            thread::spawn(move || driver.sleep_until(&timers, DUE))
        };
        let _ = timers.arm(timers.foreign_shard(), DUE, Waker::noop());
        sleeping.join().unwrap();
    });
}

// edges: A2, A5
#[test]
fn the_driver_sleeps_past_a_deadline_moved_forward_by_another_thread() {
    // Armed by that thread itself, or by a worker that sleeps elsewhere.
    for armed_in_foreign_shard in [true, false] {
        model(move || {
            let driver = Driver::new();
            let poked = driver.clone();
            let timers = timers(move || poked.poke());
            let foreign = timers.foreign_shard();
            let shard = if armed_in_foreign_shard { foreign } else { 0 };
            let key = timers.arm(shard, LATER, Waker::noop());
            let sleeping = {
                let (driver, timers) = (driver.clone(), timers.clone());
                thread::spawn(move || driver.sleep_until(&timers, DUE))
            };
            assert!(timers.rearm(key, DUE, foreign).is_some());
            sleeping.join().unwrap();
        });
    }
}

// edges: A1, A4, A5
#[test]
fn a_timer_that_moves_to_another_worker_fires_in_both_places_or_in_neither() {
    model(|| {
        let timers = timers(|| ());
        let task = Counted::new();
        let key = timers.arm(0, DUE, &Waker::from(task.clone()));
        let firing = {
            let timers = timers.clone();
            thread::spawn(move || fire(&timers, DUE))
        };
        let moved = timers.rearm(key, LATER, 1);
        assert!(moved.is_none() || timers.next_deadline_of(1) == Some(LATER));
        let fired = firing.join().unwrap();
        assert_eq!(fired, usize::from(moved.is_none()));
        assert_eq!(fired + fire(&timers, LATER), 1);
        assert!(moved.is_none_or(|key| timers.has_fired(key)));
        assert_eq!((task.wakes(), timers.armed()), (1, 0));
    });
}

// edges: A5, A6
#[test]
fn a_timer_that_moves_while_the_runtime_ends_waits_for_ever() {
    model(|| {
        let timers = timers(|| ());
        let task = Counted::new();
        let key = timers.arm(0, DUE, &Waker::from(task.clone()));
        let closing = {
            let timers = timers.clone();
            thread::spawn(move || timers.close())
        };
        let moved = timers.rearm(key, LATER, 1);
        closing.join().unwrap();
        assert!(moved.is_none_or(|key| timers.has_fired(key)));
        assert_eq!((task.wakes(), timers.armed()), (1, 0));
    });
}
