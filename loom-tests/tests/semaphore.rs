//! Models of `sync/src/semaphore.rs`.

use loxley_sync::prim::atomic::{AtomicUsize, Ordering};
use loxley_sync::prim::{Arc, model, thread};
use loxley_sync::wait::block_on;
use loxley_sync::{BoundedSemaphore, Semaphore};
use std::pin::pin;
use std::task::{Context, Waker};

/// Tries for one poll, then leaves; a permit taken goes back.
fn try_once(semaphore: &Semaphore, n: usize) {
    let mut cx = Context::from_waker(Waker::noop());
    let _ = pin!(semaphore.acquire_many(n)).poll(&mut cx);
}

// edges: S1, S2, S3, S4, S5; row A: who acquires sees what came before the release
#[test]
fn release_between_look_and_sleep() {
    model(|| {
        let shared = Arc::new((Semaphore::new(0), AtomicUsize::new(0)));
        let releasing = {
            let shared = shared.clone();
            thread::spawn(move || {
                // ordering: relaxed on purpose: the release has to publish it.
                shared.1.store(7, Ordering::Relaxed);
                shared.0.release();
            })
        };
        block_on(shared.0.acquire()).forget();
        // ordering: relaxed, as above.
        assert_eq!(shared.1.load(Ordering::Relaxed), 7);
        releasing.join().unwrap();
        assert_eq!(shared.0.available_permits(), 0);
    });
}

// edges: S1, S2, S3, S4: two share one permit
#[test]
fn permit_is_lost_or_doubled() {
    model(|| {
        let shared = Arc::new((Semaphore::new(1), AtomicUsize::new(0)));
        let work = |shared: &(Semaphore, AtomicUsize)| {
            let permit = block_on(shared.0.acquire());
            // ordering: relaxed on purpose: the permit excludes the other and publishes.
            let before = shared.1.load(Ordering::Relaxed);
            shared.1.store(before + 1, Ordering::Relaxed);
            drop(permit);
        };
        let other = {
            let shared = shared.clone();
            thread::spawn(move || work(&shared))
        };
        work(&shared);
        other.join().unwrap();
        // ordering: relaxed, after the join.
        assert_eq!(shared.1.load(Ordering::Relaxed), 2);
        assert_eq!(shared.0.available_permits(), 1);
    });
}

// edges: S2, S3, S4, S5 with a waiter that leaves at any moment
#[test]
fn dropped_waiter_keeps_the_permit() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let leaving = {
            let semaphore = semaphore.clone();
            thread::spawn(move || try_once(&semaphore, 1))
        };
        let releasing = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.release())
        };
        block_on(semaphore.acquire()).forget();
        leaving.join().unwrap();
        releasing.join().unwrap();
        assert_eq!(semaphore.available_permits(), 0);
        assert!(semaphore.is_locked());
    });
}

// edges: S4 by a waiter that leaves: who asked for much held up who asks for little
#[test]
fn leaving_head_strands_the_small_request() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let leaving = {
            let semaphore = semaphore.clone();
            thread::spawn(move || try_once(&semaphore, 2))
        };
        block_on(semaphore.acquire()).forget();
        leaving.join().unwrap();
        assert_eq!(semaphore.available_permits(), 0);
    });
}

// edges: S1, S4, S5: the waiter leaves, and permits are taken, while a release goes through the mutex
#[test]
fn release_overwrites_what_the_fast_path_took() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let taking = {
            let semaphore = semaphore.clone();
            thread::spawn(move || {
                try_once(&semaphore, 3);
                semaphore.try_acquire().map_or(0, |permit| {
                    permit.forget();
                    1
                })
            })
        };
        semaphore.release();
        let taken = taking.join().unwrap();
        assert_eq!(semaphore.available_permits(), 2 - taken);
    });
}

// edges: S4, S5, S1, row A: what a release published passes through the mutex to the fast path
#[test]
fn release_under_the_mutex_hides_what_came_before() {
    model(|| {
        let shared = Arc::new((Semaphore::new(1), AtomicUsize::new(0)));
        let mut cx = Context::from_waker(Waker::noop());
        let mut waiting = Box::pin(shared.0.acquire_many(3));
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        let releasing = {
            let shared = shared.clone();
            thread::spawn(move || {
                // ordering: relaxed on purpose: the release has to publish it.
                shared.1.store(7, Ordering::Relaxed);
                shared.0.release();
            })
        };
        let taking = {
            let shared = shared.clone();
            thread::spawn(move || {
                if let Some(permits) = shared.0.try_acquire_many(2) {
                    // ordering: relaxed, as above.
                    assert_eq!(shared.1.load(Ordering::Relaxed), 7);
                    permits.forget();
                }
            })
        };
        drop(waiting);
        releasing.join().unwrap();
        taking.join().unwrap();
    });
}

// edges: S1, S2 at the bound
#[test]
fn two_releases_pass_the_bound_together() {
    model(|| {
        let semaphore = Arc::new(BoundedSemaphore::new(2));
        semaphore.try_acquire().unwrap().forget();
        let releasing = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.release().is_ok())
        };
        let here = semaphore.release().is_ok();
        let there = releasing.join().unwrap();
        assert!(here != there, "one of them was too many");
        assert_eq!(semaphore.available_permits(), 2);
    });
}
