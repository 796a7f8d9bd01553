//! Models of `sync/src/notify.rs`.

use loxley_sync::Notify;
use loxley_sync::prim::atomic::{AtomicUsize, Ordering};
use loxley_sync::prim::{Arc, model, thread};
use loxley_sync::wait::block_on;
use std::pin::pin;
use std::task::{Context, Waker};

fn look(notify: &Notify) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    pin!(notify.notified()).poll(&mut cx).is_ready()
}

// edges: N1, N2, N5, N6, N7; row A
#[test]
fn notification_between_look_and_sleep() {
    model(|| {
        let shared = Arc::new((Notify::new(), AtomicUsize::new(0)));
        let notifying = {
            let shared = shared.clone();
            thread::spawn(move || {
                // ordering: relaxed on purpose: `notify_one` has to publish it.
                shared.1.store(7, Ordering::Relaxed);
                shared.0.notify_one();
            })
        };
        block_on(shared.0.notified());
        // ordering: relaxed, as above.
        assert_eq!(shared.1.load(Ordering::Relaxed), 7);
        notifying.join().unwrap();
        assert!(!look(&shared.0), "it was one notification");
    });
}

// edges: N2, N6, N7: the chosen waiter leaves
#[test]
fn dropped_waiter_takes_the_notification_along() {
    model(|| {
        let notify = Arc::new(Notify::new());
        let leaving = {
            let notify = notify.clone();
            thread::spawn(move || {
                if look(&notify) {
                    notify.notify_one();
                }
            })
        };
        let notifying = {
            let notify = notify.clone();
            thread::spawn(move || notify.notify_one())
        };
        block_on(notify.notified());
        leaving.join().unwrap();
        notifying.join().unwrap();
    });
}

// edges: N3, N4, N5, N6
#[test]
fn notify_waiters_misses_a_future_made_before_it() {
    model(|| {
        let notify = Arc::new(Notify::new());
        let waiting = notify.notified();
        let notifying = {
            let notify = notify.clone();
            thread::spawn(move || notify.notify_waiters())
        };
        block_on(waiting);
        notifying.join().unwrap();
        assert!(!look(&notify), "nothing is stored");
    });
}

// edges: N2, N4: one for each of two, whoever wakes whom
#[test]
fn notify_one_and_notify_waiters_meet() {
    model(|| {
        let notify = Arc::new(Notify::new());
        let mut cx = Context::from_waker(Waker::noop());
        let mut first = Box::pin(notify.notified());
        assert!(first.as_mut().poll(&mut cx).is_pending());
        let notifying = {
            let notify = notify.clone();
            thread::spawn(move || notify.notify_one())
        };
        notify.notify_waiters();
        notifying.join().unwrap();
        assert!(first.as_mut().poll(&mut cx).is_ready());
    });
}

// edges: N4, N5, N7, row C: a future made before it sees the round by the word alone
#[test]
fn notify_waiters_hides_what_came_before() {
    model(|| {
        let shared = Arc::new((Notify::new(), AtomicUsize::new(0)));
        let mut cx = Context::from_waker(Waker::noop());
        let mut waiting = Box::pin(shared.0.notified());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        let made_before = shared.0.notified();
        let notifying = {
            let shared = shared.clone();
            thread::spawn(move || {
                // ordering: relaxed on purpose: `notify_waiters` has to publish it.
                shared.1.store(7, Ordering::Relaxed);
                shared.0.notify_waiters();
            })
        };
        if pin!(made_before).poll(&mut cx).is_ready() {
            // ordering: relaxed, as above.
            assert_eq!(shared.1.load(Ordering::Relaxed), 7);
        }
        notifying.join().unwrap();
        assert!(
            !format!("{:?}", shared.0).contains("awaited: true"),
            "nobody is left"
        );
    });
}
