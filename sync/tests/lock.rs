//! `Lock`: the `LockTests` of asyncio restated, and what dropping passes on.

mod support;

use loxley_sync::error::NotLockedError;
use loxley_sync::{Lock, LockGuard, OwnedLockGuard};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use support::{Angry, hand, within_limit};

static GLOBAL: Lock<Vec<u8>> = Lock::new(Vec::new());

#[test]
fn a_lock_in_a_static_protects_its_value() {
    hand(GLOBAL.acquire()).ready().push(1);
    assert_eq!(*GLOBAL.blocking_acquire(), [1]);
}

// asyncio's test_acquire
#[test]
fn waiters_get_the_lock_in_order() {
    let lock = Lock::new(());
    let guard = lock.try_acquire().unwrap();
    let mut a = hand(lock.acquire()).pending();
    let mut b = hand(lock.acquire()).pending();
    let mut c = hand(lock.acquire()).pending();
    drop(guard);
    assert_eq!((a.woken(), b.woken(), c.woken()), (1, 0, 0));
    b.still_pending();
    c.still_pending();
    drop(a.ready());
    c.still_pending();
    drop(b.ready());
    drop(c.ready());
    assert!(!lock.is_locked());
}

#[test]
fn nobody_barges_in_between_release_and_the_waiter() {
    let lock = Lock::new(());
    let guard = lock.try_acquire().unwrap();
    let mut waiting = hand(lock.acquire()).pending();
    drop(guard);
    assert!(lock.is_locked(), "it was handed over");
    assert!(lock.try_acquire().is_none());
    let mut newcomer = hand(lock.acquire()).pending();
    drop(waiting.ready());
    drop(newcomer.ready());
}

// asyncio's test_acquire_cancel
#[test]
fn a_dropped_waiter_leaves_the_queue() {
    let lock = Lock::new(());
    let guard = lock.try_acquire().unwrap();
    let first = hand(lock.acquire()).pending();
    let mut second = hand(lock.acquire()).pending();
    drop(first);
    drop(guard);
    drop(second.ready());
    assert!(!lock.is_locked());
}

// asyncio's test_cancel_release_race and test_finished_waiter_cancelled
#[test]
fn a_dropped_waiter_that_was_handed_the_lock_passes_it_on() {
    let lock = Lock::new(());
    let guard = lock.try_acquire().unwrap();
    let first = hand(lock.acquire()).pending();
    let mut second = hand(lock.acquire()).pending();
    drop(guard);
    drop(first);
    assert_eq!(second.woken(), 1);
    drop(second.ready());
    assert!(!lock.is_locked());
}

#[test]
fn the_last_dropped_waiter_frees_the_lock() {
    let lock = Lock::new(());
    let guard = lock.try_acquire().unwrap();
    let only = hand(lock.acquire()).pending();
    drop(guard);
    drop(only);
    assert!(lock.try_acquire().is_some());
    let guard = lock.try_acquire().unwrap();
    drop(hand(lock.acquire()).pending());
    drop(guard);
    assert!(lock.try_acquire().is_some());
}

// asyncio's test_release_not_acquired
#[test]
fn releasing_a_free_lock_is_an_error_and_changes_nothing() {
    let lock = Lock::new(());
    assert_eq!(lock.release(), Err(NotLockedError));
    LockGuard::forget(lock.try_acquire().unwrap());
    assert!(lock.is_locked());
    let mut waiting = hand(lock.acquire()).pending();
    assert_eq!(lock.release(), Ok(()));
    drop(waiting.ready());
    assert_eq!(lock.release(), Err(NotLockedError));
    assert!(lock.try_acquire().is_some());
}

#[test]
fn a_panic_releases_and_leaves_no_mark() {
    let lock = Lock::new(0);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let mut guard = lock.try_acquire().unwrap();
        *guard = 7;
        panic!("while it is held");
    }));
    assert!(panic.is_err());
    assert_eq!(*lock.try_acquire().unwrap(), 7);
}

#[test]
fn a_panicking_waker_does_not_lose_the_lock() {
    let lock = Lock::new(());
    let guard = lock.try_acquire().unwrap();
    let mut angry = hand(lock.acquire());
    assert!(angry.poll_with(&Arc::new(Angry).into()).is_pending());
    let mut next = hand(lock.acquire()).pending();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(guard))).is_err());
    drop(angry.ready());
    drop(next.ready());
}

#[test]
fn owned_guards_outlive_the_borrow() {
    let lock = Arc::new(Lock::new(1));
    let guard: OwnedLockGuard<i32> = hand(lock.clone().acquire_owned()).ready();
    assert!(lock.clone().try_acquire_owned().is_none());
    let mut waiting = hand(lock.clone().acquire_owned()).pending();
    std::thread::spawn(move || drop(guard)).join().unwrap();
    *waiting.ready() += 1;
    let mut lock = Arc::into_inner(lock).unwrap();
    *lock.get_mut() += 1;
    assert_eq!(lock.into_inner(), 3);
}

#[test]
fn threads_exclude_each_other_and_random_droppers_lose_nothing() {
    within_limit(|| {
        let lock = Lock::new(0u64);
        let done: u64 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|seed| {
                    let lock = &lock;
                    scope.spawn(move || {
                        let mut rng = support::Rng(seed + 1);
                        let mut done = 0;
                        for _ in 0..3_000 {
                            let polls = support::patience(&mut rng);
                            let attempt = support::give_up_after(polls, lock.acquire());
                            if let Some(mut guard) = loxley_sync::wait::block_on(attempt) {
                                let before = *guard;
                                *guard = before + 1;
                                done += 1;
                            }
                        }
                        done
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!(*lock.try_acquire().unwrap(), done);
    });
}
