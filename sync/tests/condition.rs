//! `Condition`: the `ConditionTests` of asyncio restated, and what dropping passes on.

mod support;

use loxley_sync::{Condition, Lock};
use support::{hand, within_limit};

static LOCK: Lock<u32> = Lock::new(0);
static CHANGED: Condition = Condition::new();

#[test]
fn conditions_live_in_statics_and_serve_threads() {
    within_limit(|| {
        let thread = std::thread::spawn(|| {
            let mut guard = LOCK.blocking_acquire();
            while *guard == 0 {
                guard = CHANGED.blocking_wait(guard);
            }
            *guard
        });
        *LOCK.blocking_acquire() = 7;
        CHANGED.notify(1);
        assert_eq!(thread.join().unwrap(), 7);
    });
}

// asyncio's test_wait
#[test]
fn waiting_releases_the_lock_and_takes_it_again() {
    let (lock, condition) = (Lock::new(()), Condition::new());
    let mut first = hand(condition.wait(lock.try_acquire().unwrap())).pending();
    assert!(!lock.is_locked());
    let mut second = hand(condition.wait(lock.try_acquire().unwrap())).pending();
    let guard = lock.try_acquire().unwrap();
    condition.notify(2);
    assert_eq!((first.woken(), second.woken()), (1, 1));
    first.still_pending();
    second.still_pending();
    drop(guard);
    let guard = first.ready();
    second.still_pending();
    drop(guard);
    drop(second.ready());
    assert!(!lock.is_locked());
}

// asyncio's test_notify, test_notify_all
#[test]
fn notify_counts_and_goes_by_age() {
    let (lock, condition) = (Lock::new(()), Condition::new());
    let mut waiting: Vec<_> = (0..4)
        .map(|_| hand(condition.wait(lock.try_acquire().unwrap())).pending())
        .collect();
    condition.notify(0);
    condition.notify(1);
    drop(waiting[0].ready());
    for waiter in &mut waiting[1..] {
        waiter.still_pending();
    }
    condition.notify(2);
    drop(waiting[1].ready());
    drop(waiting[2].ready());
    waiting[3].still_pending();
    condition.notify_all();
    drop(waiting[3].ready());
    condition.notify_all();
    condition.notify(9);
    hand(condition.wait(lock.try_acquire().unwrap())).pending();
}

// asyncio's test_wait_for
#[test]
fn wait_for_looks_first_and_after_every_notification() {
    let (lock, condition) = (Lock::new(0), Condition::new());
    let guard = hand(condition.wait_for(lock.try_acquire().unwrap(), |n| *n == 0)).ready();
    let mut waiting = hand(condition.wait_for(guard, |n| *n >= 2)).pending();
    for expected in 1..=2 {
        *lock.try_acquire().unwrap() = expected;
        condition.notify_all();
        if expected == 1 {
            waiting.still_pending();
        }
    }
    assert_eq!(*waiting.ready(), 2);
}

// asyncio's test_wait_cancel_contested, gh-112202
#[test]
fn a_notified_waiter_dropped_before_it_ran_notifies_the_next() {
    let (lock, condition) = (Lock::new(()), Condition::new());
    let first = hand(condition.wait(lock.try_acquire().unwrap())).pending();
    let mut second = hand(condition.wait(lock.try_acquire().unwrap())).pending();
    condition.notify(1);
    drop(first);
    drop(second.ready());
}

#[test]
fn a_notified_waiter_dropped_while_it_wants_the_lock_notifies_the_next() {
    let (lock, condition) = (Lock::new(()), Condition::new());
    let mut first = hand(condition.wait(lock.try_acquire().unwrap())).pending();
    let mut second = hand(condition.wait(lock.try_acquire().unwrap())).pending();
    let guard = lock.try_acquire().unwrap();
    condition.notify(1);
    first.still_pending();
    drop(first);
    assert_eq!(second.woken(), 1);
    drop(guard);
    drop(second.ready());
    assert!(!lock.is_locked());
}

#[test]
fn a_waiter_dropped_before_it_was_notified_takes_nothing_along() {
    let (lock, condition) = (Lock::new(()), Condition::new());
    let first = hand(condition.wait(lock.try_acquire().unwrap())).pending();
    let mut second = hand(condition.wait(lock.try_acquire().unwrap())).pending();
    drop(first);
    condition.notify(1);
    drop(second.ready());
}

#[test]
fn a_wait_never_polled_releases_the_lock_when_it_is_dropped() {
    let (lock, condition) = (Lock::new(()), Condition::new());
    drop(condition.wait(lock.try_acquire().unwrap()));
    assert!(!lock.is_locked());
}

#[test]
fn two_conditions_share_a_lock() {
    let (lock, one, two) = (Lock::new(()), Condition::new(), Condition::new());
    let mut first = hand(one.wait(lock.try_acquire().unwrap())).pending();
    let mut second = hand(two.wait(lock.try_acquire().unwrap())).pending();
    two.notify(1);
    drop(second.ready());
    first.still_pending();
}
