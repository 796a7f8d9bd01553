//! `Barrier`: the `BarrierTests` of asyncio restated, and what dropping takes off.

mod support;

use loxley_sync::Barrier;
use loxley_sync::error::{BarrierPartiesError, BrokenBarrierError};
use support::{hand, within_limit};

static MEETING: Barrier = Barrier::new(1);

#[test]
fn a_barrier_for_one_never_waits() {
    assert_eq!(hand(MEETING.wait()).ready(), Ok(0));
    assert_eq!(MEETING.blocking_wait(), Ok(0));
}

#[test]
fn a_barrier_for_nobody_is_an_error() {
    assert_eq!(Barrier::try_new(0).err(), Some(BarrierPartiesError));
    assert_eq!(Barrier::try_new(2).map(|barrier| barrier.parties()), Ok(2));
}

#[test]
#[should_panic(expected = "at least one party")]
fn new_for_nobody_panics() {
    drop(Barrier::new(0));
}

// asyncio's test_barrier, test_filling_one_task, test_filling_tasks_wait_all_exit
#[test]
fn indices_are_the_order_of_arrival_over_and_over() {
    let barrier = Barrier::new(3);
    for _ in 0..3 {
        let mut first = hand(barrier.wait()).pending();
        let mut second = hand(barrier.wait()).pending();
        assert_eq!(barrier.n_waiting(), 2);
        assert_eq!(hand(barrier.wait()).ready(), Ok(2));
        assert_eq!(barrier.n_waiting(), 0);
        let mut newcomer = hand(barrier.wait()).pending();
        assert_eq!(barrier.n_waiting(), 1, "of the next filling");
        assert_eq!(second.ready(), Ok(1));
        assert_eq!(first.ready(), Ok(0));
        newcomer.still_pending();
    }
    assert_eq!(barrier.n_waiting(), 0);
}

#[test]
fn many_parties_all_get_their_index() {
    let barrier = Barrier::new(101);
    let mut waiting: Vec<_> = (0..100).map(|_| hand(barrier.wait()).pending()).collect();
    assert_eq!(hand(barrier.wait()).ready(), Ok(100));
    for (index, waiter) in waiting.iter_mut().enumerate() {
        assert_eq!(waiter.ready(), Ok(index));
    }
}

// asyncio's test_filling_task_cancelled
#[test]
fn a_dropped_waiter_is_taken_off_the_count() {
    let barrier = Barrier::new(2);
    drop(hand(barrier.wait()).pending());
    assert_eq!(barrier.n_waiting(), 0);
    let mut first = hand(barrier.wait()).pending();
    assert_eq!(hand(barrier.wait()).ready(), Ok(1));
    assert_eq!(first.ready(), Ok(0));
    assert!(!barrier.is_broken());
}

// asyncio's test_draining_check_barrier_state with a cancelled task
#[test]
fn a_waiter_dropped_after_the_meeting_changes_nothing() {
    let barrier = Barrier::new(2);
    let first = hand(barrier.wait()).pending();
    assert_eq!(hand(barrier.wait()).ready(), Ok(1));
    let mut next = hand(barrier.wait()).pending();
    drop(first);
    assert_eq!(barrier.n_waiting(), 1);
    assert_eq!(hand(barrier.wait()).ready(), Ok(1));
    assert_eq!(next.ready(), Ok(0));
}

// asyncio's test_reset_barrier, test_reset_barrier_when_tasks_half_draining
#[test]
fn reset_fails_who_waits_and_starts_again() {
    let barrier = Barrier::new(3);
    barrier.reset();
    let mut first = hand(barrier.wait()).pending();
    let mut second = hand(barrier.wait()).pending();
    barrier.reset();
    assert_eq!(barrier.n_waiting(), 0);
    assert!(!barrier.is_broken());
    let mut next: Vec<_> = (0..2).map(|_| hand(barrier.wait()).pending()).collect();
    assert_eq!(first.ready(), Err(BrokenBarrierError));
    assert_eq!(second.ready(), Err(BrokenBarrierError));
    assert_eq!(hand(barrier.wait()).ready(), Ok(2));
    assert_eq!(next[0].ready(), Ok(0));
    assert_eq!(next[1].ready(), Ok(1));
}

#[test]
fn who_met_before_the_reset_has_met() {
    let barrier = Barrier::new(2);
    let mut first = hand(barrier.wait()).pending();
    assert_eq!(hand(barrier.wait()).ready(), Ok(1));
    barrier.reset();
    assert_eq!(first.ready(), Ok(0));
}

// asyncio's test_abort_barrier and test_abort_barrier_when_exception_then_resetting
#[test]
fn abort_breaks_it_until_a_reset() {
    let barrier = Barrier::new(2);
    let mut waiting = hand(barrier.wait()).pending();
    barrier.abort();
    assert!(barrier.is_broken());
    assert_eq!(waiting.ready(), Err(BrokenBarrierError));
    assert_eq!(hand(barrier.wait()).ready(), Err(BrokenBarrierError));
    assert_eq!(barrier.n_waiting(), 0);
    barrier.reset();
    assert!(!barrier.is_broken());
    let mut first = hand(barrier.wait()).pending();
    assert_eq!(hand(barrier.wait()).ready(), Ok(1));
    assert_eq!(first.ready(), Ok(0));
}

#[test]
fn threads_meet_many_times() {
    within_limit(|| {
        let barrier = Barrier::new(3);
        std::thread::scope(|scope| {
            let sums: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        (0..200)
                            .map(|_| barrier.blocking_wait().unwrap())
                            .sum::<usize>()
                    })
                })
                .collect();
            let sum: usize = sums.into_iter().map(|sum| sum.join().unwrap()).sum();
            assert_eq!(sum, 200 * 3);
        });
    });
}
