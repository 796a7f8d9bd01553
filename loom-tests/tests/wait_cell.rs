//! Models of `sync/src/wait/cell.rs`: one waiter, and whoever wakes it.

use loxley_sync::prim::atomic::{AtomicBool, AtomicUsize, Ordering};
use loxley_sync::prim::{Arc, model, thread};
use loxley_sync::wait::{WaitCell, block_on};
use std::future::poll_fn;
use std::sync::{Arc as StdArc, Mutex};
use std::task::{Poll, Wake, Waker};

/// Waits in `cell` until `flag` is set, by the contract of the cell: register, then look again.
fn wait_for(cell: &WaitCell, flag: &AtomicBool) {
    block_on(poll_fn(|cx| {
        cell.register(cx.waker());
        // ordering: relaxed on purpose: the cell's own edges have to make the flag visible (rows C, D).
        if flag.load(Ordering::Relaxed) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }));
}

/// Counts its wake-ups without being part of the model.
#[derive(Default)]
struct Count(Mutex<usize>);

impl Count {
    fn times(&self) -> usize {
        *self.0.lock().unwrap()
    }
}

impl Wake for Count {
    fn wake(self: StdArc<Self>) {
        *self.0.lock().unwrap() += 1;
    }
}

fn counting() -> (StdArc<Count>, Waker) {
    let count = StdArc::new(Count::default());
    (count.clone(), count.into())
}

// edges: W1, W2, W3, W4, W5
#[test]
fn wake_between_register_and_sleep() {
    model(|| {
        let shared = Arc::new((WaitCell::new(), AtomicBool::new(false)));
        let waking = {
            let shared = shared.clone();
            thread::spawn(move || {
                // ordering: relaxed, see `wait_for`.
                shared.1.store(true, Ordering::Relaxed);
                shared.0.wake();
            })
        };
        wait_for(&shared.0, &shared.1);
        waking.join().unwrap();
    });
}

// edges: W3, W4, W5: the second of two wake-ups meets the first one in TAKING; the waiter must see both changes.
#[test]
fn second_wake_while_the_first_is_taking() {
    model(|| {
        let shared = Arc::new((WaitCell::new(), AtomicUsize::new(0)));
        let waking: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || {
                    // ordering: relaxed, as in `wait_for`.
                    shared.1.fetch_add(1, Ordering::Relaxed);
                    shared.0.wake();
                })
            })
            .collect();
        block_on(poll_fn(|cx| {
            shared.0.register(cx.waker());
            // ordering: relaxed, as in `wait_for`.
            if shared.1.load(Ordering::Relaxed) == 2 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        for thread in waking {
            thread.join().unwrap();
        }
    });
}

// edges: W1 from FULL, W3, W6: a waiter that changes its waker while the old one is taken, and waits for a second change
#[test]
fn newer_waker_is_not_woken() {
    model(|| {
        let shared = Arc::new((WaitCell::new(), AtomicUsize::new(0)));
        let (_, old) = counting();
        let (count, newer) = counting();
        shared.0.register(&old);
        let waking = {
            let shared = shared.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    // ordering: relaxed, see `wait_for`.
                    shared.1.fetch_add(1, Ordering::Relaxed);
                    shared.0.wake();
                }
            })
        };
        shared.0.register(&newer);
        // ordering: relaxed, see `wait_for`.
        let seen = shared.1.load(Ordering::Relaxed) == 2;
        waking.join().unwrap();
        assert!(
            seen || count.times() > 0,
            "neither the change nor a wake-up reached the newer waiter"
        );
    });
}

// edges: W1, W6: misuse by two registrants costs spurious wake-ups, never a lost one
#[test]
fn two_registrants_and_a_wake() {
    model(|| {
        let cell = Arc::new(WaitCell::new());
        let (first, waker) = counting();
        let other = {
            let cell = cell.clone();
            thread::spawn(move || cell.register(&waker))
        };
        let (second, waker) = counting();
        cell.register(&waker);
        other.join().unwrap();
        cell.wake();
        let sum = [first, second].map(|count| count.times());
        assert!(
            sum.iter().sum::<usize>() >= 1,
            "a waker was registered last"
        );
    });
}
