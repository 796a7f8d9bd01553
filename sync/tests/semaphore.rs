//! `Semaphore` and `BoundedSemaphore`: the `SemaphoreTests` of asyncio restated, and what dropping gives back.

mod support;

use loxley_sync::error::ReleaseError;
use loxley_sync::{BoundedSemaphore, Semaphore};
use std::sync::Arc;
use support::{hand, within_limit};

static GLOBAL: Semaphore = Semaphore::new(1);
static BOUNDED: BoundedSemaphore = BoundedSemaphore::new(1);

#[test]
fn semaphores_live_in_statics() {
    assert!(GLOBAL.try_acquire().is_some());
    drop(GLOBAL.blocking_acquire());
    assert!(BOUNDED.try_acquire().is_some());
    drop(BOUNDED.blocking_acquire());
}

#[test]
fn waiters_get_permits_in_order() {
    let semaphore = Semaphore::new(1);
    let first = hand(semaphore.acquire()).ready();
    let mut second = hand(semaphore.acquire()).pending();
    let mut third = hand(semaphore.acquire()).pending();
    assert!(semaphore.is_locked());
    drop(first);
    assert_eq!((second.woken(), third.woken()), (1, 0));
    let second = second.ready();
    third.still_pending();
    drop(second);
    drop(third.ready());
    assert!(!semaphore.is_locked());
    assert_eq!(semaphore.available_permits(), 1);
}

// asyncio's test_acquire_fifo_order and test_acquire_no_hang: the releaser does not get ahead of who waits
#[test]
fn nobody_overtakes_a_waiter() {
    let semaphore = Semaphore::new(1);
    let first = hand(semaphore.acquire()).ready();
    let mut waiting = hand(semaphore.acquire()).pending();
    drop(first);
    assert!(semaphore.try_acquire().is_none());
    assert!(semaphore.is_locked());
    let mut again = hand(semaphore.acquire()).pending();
    drop(waiting.ready());
    drop(again.ready());
}

// asyncio's test_release_no_waiters
#[test]
fn release_adds_to_what_it_began_with() {
    let semaphore = Semaphore::new(0);
    semaphore.release();
    semaphore.release_many(2);
    assert_eq!(semaphore.available_permits(), 3);
    hand(semaphore.acquire_many(3)).ready().forget();
    assert_eq!(semaphore.available_permits(), 0);
}

// asyncio's test_acquire_cancel, test_acquire_cancel_before_awoken, test_acquire_hang
#[test]
fn a_dropped_waiter_that_was_granted_gives_the_permit_to_the_next() {
    let semaphore = Semaphore::new(0);
    let first = hand(semaphore.acquire()).pending();
    let second = hand(semaphore.acquire()).pending();
    let mut third = hand(semaphore.acquire()).pending();
    drop(second);
    semaphore.release();
    drop(first);
    assert_eq!(third.woken(), 1);
    third.ready().forget();
    assert_eq!(semaphore.available_permits(), 0);
}

#[test]
fn a_large_request_is_served_in_its_turn() {
    let semaphore = Semaphore::new(3);
    let one = hand(semaphore.acquire()).ready();
    let mut all = hand(semaphore.acquire_many(3)).pending();
    let mut small = hand(semaphore.acquire()).pending();
    assert!(
        semaphore.try_acquire().is_none(),
        "two are free, but somebody waits"
    );
    drop(one);
    assert_eq!((all.woken(), small.woken()), (1, 0));
    let all = all.ready();
    assert_eq!(all.permits(), 3);
    small.still_pending();
    drop(all);
    drop(small.ready());
    assert_eq!(semaphore.available_permits(), 3);
}

#[test]
fn a_large_request_that_leaves_lets_the_small_ones_go_on() {
    let semaphore = Semaphore::new(1);
    let all = hand(semaphore.acquire_many(2)).pending();
    let mut small = hand(semaphore.acquire()).pending();
    drop(all);
    assert_eq!(small.woken(), 1);
    drop(small.ready());
}

#[test]
fn one_release_of_many_wakes_many() {
    let semaphore = Semaphore::new(0);
    let mut waiting: Vec<_> = (0..100)
        .map(|_| hand(semaphore.acquire()).pending())
        .collect();
    semaphore.release_many(99);
    for waiter in &mut waiting[..99] {
        waiter.ready().forget();
    }
    waiting[99].still_pending();
}

// asyncio's test_release_not_acquired
#[test]
fn releasing_beyond_the_bound_is_an_error_and_changes_nothing() {
    let semaphore = BoundedSemaphore::new(1);
    assert_eq!(semaphore.release(), Err(ReleaseError));
    semaphore.try_acquire().unwrap().forget();
    assert_eq!(semaphore.available_permits(), 0);
    assert_eq!(semaphore.release(), Ok(()));
    assert_eq!(semaphore.release(), Err(ReleaseError));
    assert!(semaphore.try_acquire().is_some());
}

#[test]
fn a_permit_dropped_after_a_release_by_hand_stays_within_the_bound() {
    let semaphore = BoundedSemaphore::new(1);
    let permit = semaphore.try_acquire().unwrap();
    assert_eq!(semaphore.release(), Ok(()));
    drop(permit);
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
#[should_panic(expected = "more than the semaphore can ever hold")]
fn asking_for_more_than_the_bound_panics_and_does_not_wait_for_ever() {
    drop(BoundedSemaphore::new(1).acquire_many(2));
}

#[test]
#[should_panic(expected = "MAX_PERMITS")]
fn releasing_beyond_all_bounds_panics() {
    Semaphore::new(1).release_many(Semaphore::MAX_PERMITS);
}

#[test]
fn owned_permits_outlive_the_borrow() {
    let semaphore = Arc::new(Semaphore::new(2));
    let two = hand(semaphore.clone().acquire_many_owned(2)).ready();
    assert!(semaphore.clone().try_acquire_owned().is_none());
    std::thread::spawn(move || drop(two)).join().unwrap();
    semaphore.clone().try_acquire_owned().unwrap().forget();
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn random_droppers_lose_no_permit() {
    within_limit(|| {
        let semaphore = Semaphore::new(3);
        std::thread::scope(|scope| {
            for seed in 0..4 {
                let semaphore = &semaphore;
                scope.spawn(move || {
                    let mut rng = support::Rng(seed + 1);
                    for _ in 0..3_000 {
                        let n = [1, 2, 3, 1][rng.quarter()];
                        let polls = support::patience(&mut rng);
                        let attempt = support::give_up_after(polls, semaphore.acquire_many(n));
                        drop(loxley_sync::wait::block_on(attempt));
                    }
                });
            }
        });
        assert_eq!(semaphore.available_permits(), 3);
        assert!(!semaphore.is_locked());
    });
}
