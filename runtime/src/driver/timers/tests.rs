//! The timers of one runtime, seen from one thread. What threads do to each other is in `loom-tests/tests/timers.rs`.

use super::*;
use loxley_sync::prim::Arc;
use loxley_sync::prim::atomic::AtomicUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Wake;

const MS: u64 = 1_000_000;

#[derive(Default)]
struct Counting {
    wakes: AtomicUsize,
    panics: bool,
}

impl Counting {
    fn wakes(&self) -> usize {
        // ordering: a test on one thread.
        self.wakes.load(Ordering::Relaxed)
    }
}

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        // ordering: a test on one thread.
        self.wakes.fetch_add(1, Ordering::Relaxed);
        assert!(!self.panics, "this waker panics");
    }
}

/// Timers for one worker and the count of pokes.
fn timers() -> (Timers, Arc<Counting>) {
    let pokes = Arc::new(Counting::default());
    let counted = pokes.clone();
    let poke = move || counted.clone().wake();
    (Timers::new(1, Clock::paused(), Box::new(poke)), pokes)
}

fn waker() -> (Waker, Arc<Counting>) {
    let counting = Arc::new(Counting::default());
    (counting.clone().into(), counting)
}

fn fire(timers: &Timers, now_ns: u64) -> usize {
    let mut batch = WakeBatch::new();
    let fired = timers.fire(now_ns, &mut batch);
    batch.wake_all();
    fired
}

#[test]
fn a_timer_fires_once_and_never_early() {
    let (timers, _) = timers();
    for deadline in [
        0,
        1,
        TICK_NS - 1,
        TICK_NS,
        TICK_NS + 1,
        MS,
        3_600_000 * MS + 7,
    ] {
        let (waker, woken) = waker();
        let key = timers.arm(0, deadline, &waker);
        let next = timers.next_deadline().unwrap();
        assert!(
            next >= deadline && next - deadline < TICK_NS,
            "{next} for {deadline}"
        );
        if deadline > 0 {
            assert_eq!(fire(&timers, deadline - 1), 0, "{deadline} came early");
            assert!(!timers.poll(key, &waker));
        }
        assert_eq!((fire(&timers, next), fire(&timers, next)), (1, 0));
        assert!(timers.poll(key, &waker));
        assert_eq!(timers.rearm(key, next + MS, 0), None);
        timers.disarm(key);
        assert_eq!(
            (woken.wakes(), timers.armed(), timers.next_deadline()),
            (1, 0, None)
        );
    }
}

#[test]
fn a_disarmed_timer_never_wakes_and_lets_its_waker_go() {
    let (timers, _) = timers();
    let (waker, woken) = waker();
    let key = timers.arm(0, MS, &waker);
    assert_eq!(Arc::strong_count(&woken), 3);
    timers.disarm(key);
    assert_eq!(Arc::strong_count(&woken), 2);
    assert_eq!((fire(&timers, 2 * MS), woken.wakes()), (0, 0));
}

#[test]
fn the_newest_waker_is_woken() {
    let (timers, _) = timers();
    let ((first, first_woken), (second, second_woken)) = (waker(), waker());
    let key = timers.arm(0, MS, &first);
    assert!(!timers.poll(key, &second));
    assert_eq!(fire(&timers, 2 * MS), 1);
    assert_eq!((first_woken.wakes(), second_woken.wakes()), (0, 1));
}

#[test]
fn a_rearmed_timer_keeps_its_key_and_fires_at_the_new_time_only() {
    let (timers, _) = timers();
    let (waker, woken) = waker();
    let key = timers.arm(0, MS, &waker);
    assert_eq!(timers.rearm(key, 5 * MS, 0), Some(key));
    assert_eq!(fire(&timers, 4 * MS), 0);
    assert_eq!(timers.rearm(key, 5 * MS - TICK_NS, 0), Some(key));
    assert_eq!((fire(&timers, 5 * MS), woken.wakes()), (1, 1));
    assert!(timers.has_fired(key));
}

#[test]
fn only_an_earlier_deadline_of_a_foreign_thread_pokes() {
    let (timers, pokes) = timers();
    let (waker, _) = waker();
    let foreign = timers.foreign_shard();
    let own = timers.arm(0, 50 * MS, &waker);
    assert_eq!(timers.rearm(own, 40 * MS, 0), Some(own));
    assert_eq!(pokes.wakes(), 0, "a worker looks by itself");
    let key = timers.arm(foreign, 30 * MS, &waker);
    assert_eq!(pokes.wakes(), 1);
    let later = timers.arm(foreign, 60 * MS, &waker);
    timers.disarm(later);
    assert_eq!(
        pokes.wakes(),
        1,
        "a later deadline changes nothing for the sleeper"
    );
    assert_eq!(timers.rearm(key, 20 * MS, foreign), Some(key));
    assert_eq!(pokes.wakes(), 2);
    let moved = timers.rearm(own, 10 * MS, foreign).unwrap();
    assert_eq!(pokes.wakes(), 3, "the worker whose shard it was may sleep");
    assert_eq!((timers.next_deadline_of(0), timers.armed()), (None, 2));
    assert!(timers.has_fired(own) && !timers.has_fired(moved));
}

#[test]
fn a_timer_rearmed_on_another_worker_moves_there_so_that_it_is_watched() {
    let timers = Timers::new(
        2,
        Clock::paused(),
        Box::new(|| panic!("workers need no poke")),
    );
    let (waker, woken) = waker();
    let key = timers.arm(0, 60_000 * MS, &waker);
    let key = timers.rearm(key, MS, 1).unwrap();
    assert_eq!(timers.next_deadline_of(0), None);
    let next = timers.next_deadline_of(1).unwrap();
    let mut batch = WakeBatch::new();
    assert_eq!(timers.fire_shard(1, next, &mut batch), 1);
    batch.wake_all();
    assert!(timers.has_fired(key));
    assert_eq!(woken.wakes(), 1);
}

#[test]
fn a_great_many_equal_deadlines_fire_in_one_pass_and_in_order() {
    let (timers, _) = timers();
    let (waker, woken) = waker();
    let keys: Vec<_> = (0..20_000).map(|_| timers.arm(0, 7 * MS, &waker)).collect();
    let next = timers.next_deadline().unwrap();
    assert_eq!(fire(&timers, next), keys.len());
    assert_eq!((woken.wakes(), timers.armed()), (keys.len(), 0));
}

#[test]
fn timers_armed_in_the_past_by_those_just_woken_come_in_the_next_pass() {
    /// Arms again in the past whenever it is woken.
    struct Again(Arc<Timers>);
    impl Wake for Again {
        fn wake(self: Arc<Self>) {
            let _ = self.0.clone().arm(0, 0, &self.into());
        }
    }
    let timers = Arc::new(timers().0);
    for _ in 0..40 {
        let _ = timers.arm(0, MS, &Arc::new(Again(timers.clone())).into());
    }
    for _ in 0..3 {
        assert_eq!((fire(&timers, 2 * MS), timers.armed()), (40, 40));
    }
    // The wakers hold the timers that hold them: closing them ends the cycle.
    timers.close();
    assert_eq!((timers.armed(), Arc::strong_count(&timers)), (0, 1));
}

#[test]
fn a_waker_that_panics_robs_nobody() {
    let (timers, _) = timers();
    let angry = Arc::new(Counting {
        panics: true,
        ..Counting::default()
    });
    let (waker, woken) = waker();
    for round in 1..=2 {
        for _ in 0..50 {
            let _ = timers.arm(0, MS, &waker);
            let _ = timers.arm(timers.foreign_shard(), MS, &angry.clone().into());
        }
        if round == 1 {
            // What is left in the batch at the end is the caller's to wake, and its panic the caller's to hear.
            let _ = catch_unwind(AssertUnwindSafe(|| fire(&timers, 2 * MS)));
        } else {
            timers.close();
        }
        assert_eq!((woken.wakes(), angry.wakes()), (50 * round, 50 * round));
        assert_eq!(timers.armed(), 0);
    }
}

#[test]
fn closing_wakes_everybody_and_refuses_newcomers() {
    let (timers, _) = timers();
    let (waker, woken) = waker();
    let keys = [timers.arm(0, MS, &waker), timers.arm(1, MS, &waker)];
    assert!(!timers.is_closed());
    timers.close();
    assert_eq!((woken.wakes(), timers.armed()), (2, 0));
    let late = timers.arm(0, MS, &waker);
    for key in keys.into_iter().chain([late]) {
        assert!(timers.poll(key, &waker));
        timers.disarm(key);
    }
    assert!(timers.is_closed());
    assert_eq!((timers.armed(), timers.next_deadline()), (0, None));
}
