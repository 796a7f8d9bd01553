//! Models of `sync/src/lock.rs`; the value's cell lets loom see two holders at once.

use loxley_sync::Lock;
use loxley_sync::prim::{Arc, model, thread};
use loxley_sync::wait::block_on;
use std::pin::pin;
use std::task::{Context, Waker};

/// Tries for one poll, then leaves.
fn try_once(lock: &Lock<u32>) -> u32 {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(lock.acquire()).poll(&mut cx) {
        std::task::Poll::Ready(mut guard) => {
            *guard += 1;
            1
        }
        std::task::Poll::Pending => 0,
    }
}

// edges: K1, K2, K3, K4, K6
#[test]
fn two_holders_or_a_lost_hand_over() {
    model(|| {
        let lock = Arc::new(Lock::new(0));
        let other = {
            let lock = lock.clone();
            thread::spawn(move || *block_on(lock.acquire()) += 1)
        };
        *block_on(lock.acquire()) += 1;
        other.join().unwrap();
        assert_eq!(*lock.try_acquire().unwrap(), 2);
    });
}

// edges: K1, K2, K3, K4, K5, K6: a waiter that leaves at any moment
#[test]
fn dropped_waiter_keeps_the_lock() {
    model(|| {
        let lock = Arc::new(Lock::new(0));
        let leaving = {
            let lock = lock.clone();
            thread::spawn(move || try_once(&lock))
        };
        *block_on(lock.acquire()) += 1;
        let got = leaving.join().unwrap();
        let guard = lock.try_acquire();
        assert_eq!(
            guard.map(|guard| *guard),
            Some(1 + got),
            "the lock is free again"
        );
    });
}

// edges: K3, K4, K5: one holds, one waits, one leaves
#[test]
fn leaving_waiter_strands_the_next() {
    model(|| {
        let lock = Arc::new(Lock::new(0));
        let held = lock.try_acquire().unwrap();
        let threads = [
            {
                let lock = lock.clone();
                thread::spawn(move || try_once(&lock))
            },
            {
                let lock = lock.clone();
                thread::spawn(move || {
                    *block_on(lock.acquire()) += 1;
                    1
                })
            },
        ];
        drop(held);
        let got: u32 = threads.into_iter().map(|t| t.join().unwrap()).sum();
        assert_eq!(lock.try_acquire().map(|guard| *guard), Some(got));
    });
}

// edges: K2, K4 by hand
#[test]
fn release_by_hand_meets_a_waiter() {
    model(|| {
        let lock = Arc::new(Lock::new(()));
        loxley_sync::LockGuard::forget(lock.try_acquire().unwrap());
        let other = {
            let lock = lock.clone();
            thread::spawn(move || drop(block_on(lock.acquire())))
        };
        assert_eq!(lock.release(), Ok(()));
        other.join().unwrap();
        assert!(!lock.is_locked());
    });
}

// edges: K5, K1, row A: the lock freed under the mutex, after the only waiter left, is taken by the fast path
#[test]
fn lock_freed_under_the_mutex_hides_what_its_holder_wrote() {
    model(|| {
        let lock = Arc::new(Lock::new(0));
        let other = {
            let lock = lock.clone();
            thread::spawn(move || {
                if let Some(mut guard) = lock.try_acquire() {
                    *guard += 1;
                }
            })
        };
        let mut guard = block_on(lock.acquire());
        *guard += 1;
        let leaving = {
            let lock = lock.clone();
            thread::spawn(move || try_once(&lock))
        };
        drop(guard);
        leaving.join().unwrap();
        other.join().unwrap();
    });
}
