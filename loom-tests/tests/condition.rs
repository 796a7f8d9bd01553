//! Models of `sync/src/condition.rs`.

use loxley_sync::prim::{Arc, model, thread};
use loxley_sync::wait::block_on;
use loxley_sync::{Condition, Lock};
use std::pin::pin;
use std::task::{Context, Waker};

// edges: C1, C2, C3, C4
#[test]
fn notification_between_release_and_sleep() {
    model(|| {
        let shared = Arc::new((Lock::new(false), Condition::new()));
        let notifying = {
            let shared = shared.clone();
            thread::spawn(move || {
                *block_on(shared.0.acquire()) = true;
                shared.1.notify(1);
            })
        };
        block_on(async {
            let guard = shared.0.acquire().await;
            assert!(*shared.1.wait_for(guard, |ready| *ready).await);
        });
        notifying.join().unwrap();
    });
}

// edges: C2, C3, C5: the notified waiter leaves before it ran, or while it wants the lock
#[test]
fn dropped_waiter_takes_the_notification_along() {
    model(|| {
        let shared = Arc::new((Lock::new(()), Condition::new()));
        let mut cx = Context::from_waker(Waker::noop());
        let mut leaving = Box::pin(shared.1.wait(shared.0.try_acquire().unwrap()));
        assert!(leaving.as_mut().poll(&mut cx).is_pending());
        let mut staying = Box::pin(shared.1.wait(shared.0.try_acquire().unwrap()));
        assert!(staying.as_mut().poll(&mut cx).is_pending());
        let notifying = {
            let shared = shared.clone();
            thread::spawn(move || {
                let guard = block_on(shared.0.acquire());
                shared.1.notify(1);
                drop(guard);
            })
        };
        let done = leaving.as_mut().poll(&mut cx).is_ready();
        drop(leaving);
        if done {
            // It was notified, held the lock and used the notification up.
            shared.1.notify(1);
        }
        drop(block_on(staying));
        notifying.join().unwrap();
        assert!(!shared.0.is_locked());
    });
}

// edges: C2, C5: two notifications for two, whoever leaves
#[test]
fn notification_is_given_to_one_who_is_gone() {
    model(|| {
        let shared = Arc::new((Lock::new(()), Condition::new()));
        let mut cx = Context::from_waker(Waker::noop());
        let mut staying = Box::pin(shared.1.wait(shared.0.try_acquire().unwrap()));
        assert!(staying.as_mut().poll(&mut cx).is_pending());
        let leaving = {
            let shared = shared.clone();
            thread::spawn(move || {
                let mut cx = Context::from_waker(Waker::noop());
                if let Some(guard) = shared.0.try_acquire() {
                    let _ = pin!(shared.1.wait(guard)).poll(&mut cx);
                }
            })
        };
        shared.1.notify(1);
        drop(block_on(staying));
        leaving.join().unwrap();
    });
}
