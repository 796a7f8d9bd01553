//! Models of `sync/src/barrier.rs`.

use loxley_sync::Barrier;
use loxley_sync::prim::{Arc, model, thread};
use loxley_sync::wait::block_on;
use std::pin::pin;
use std::task::{Context, Waker};

// edges: B1, B3, twice over: a second round may be full before the first one's waiters were granted
#[test]
fn rounds_overtake_each_other() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let other = {
            let barrier = barrier.clone();
            thread::spawn(move || [(); 2].map(|()| block_on(barrier.wait()).unwrap()))
        };
        let own = [(); 2].map(|()| block_on(barrier.wait()).unwrap());
        let others = other.join().unwrap();
        assert_eq!([own[0] + others[0], own[1] + others[1]], [1, 1]);
    });
}

// edges: B1, B2, B3
#[test]
fn dropped_waiter_still_counts() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let leaving = {
            let barrier = barrier.clone();
            thread::spawn(move || {
                let mut cx = Context::from_waker(Waker::noop());
                pin!(barrier.wait()).poll(&mut cx).is_ready()
            })
        };
        let mut cx = Context::from_waker(Waker::noop());
        let mut staying = Box::pin(barrier.wait());
        let last = staying.as_mut().poll(&mut cx).is_ready();
        let met = leaving.join().unwrap();
        assert!(!(last && met), "both cannot have been the last");
        if !last {
            assert_eq!(staying.as_mut().poll(&mut cx).is_ready(), met);
            assert_eq!(barrier.n_waiting(), usize::from(!met));
        }
    });
}

// edges: B1, B4, B5: a waiter hears of the end
#[test]
fn abort_between_arrival_and_sleep() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let aborting = {
            let barrier = barrier.clone();
            thread::spawn(move || barrier.abort())
        };
        assert!(block_on(barrier.wait()).is_err());
        aborting.join().unwrap();
        barrier.reset();
        assert_eq!(barrier.n_waiting(), 0);
    });
}

// edges: B2 against B3: who leaves after its round was over is not taken off the next one
#[test]
fn leaving_late_is_taken_off_the_next_round() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let mut cx = Context::from_waker(Waker::noop());
        let last = {
            let barrier = barrier.clone();
            thread::spawn(move || {
                let mut cx = Context::from_waker(Waker::noop());
                pin!(barrier.wait()).poll(&mut cx).is_ready()
            })
        };
        let mut leaving = Box::pin(barrier.wait());
        let _ = leaving.as_mut().poll(&mut cx);
        drop(leaving);
        let _ = last.join().unwrap();
        assert_eq!(barrier.n_waiting(), 0);
    });
}
