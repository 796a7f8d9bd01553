//! Models of `sync/src/event.rs`.

use loxley_sync::Event;
use loxley_sync::prim::atomic::{AtomicUsize, Ordering};
use loxley_sync::prim::{Arc, model, thread};
use loxley_sync::wait::block_on;
use std::pin::pin;
use std::task::{Context, Waker};

// edges: E1, E2, E3, E4, E6; row A: what came before `set` is seen after `wait`
#[test]
fn set_between_look_and_sleep() {
    model(|| {
        let shared = Arc::new((Event::new(), AtomicUsize::new(0)));
        let setting = {
            let shared = shared.clone();
            thread::spawn(move || {
                // ordering: relaxed on purpose: `set` has to publish it.
                shared.1.store(7, Ordering::Relaxed);
                shared.0.set();
            })
        };
        block_on(shared.0.wait());
        // ordering: relaxed, as above.
        assert_eq!(shared.1.load(Ordering::Relaxed), 7);
        setting.join().unwrap();
    });
}

// edges: E2, E4, E5: clear follows set at once
#[test]
fn clear_takes_the_wake_up_back() {
    model(|| {
        let event = Arc::new(Event::new());
        let mut waiting = Box::pin(event.wait());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        let setting = {
            let event = event.clone();
            thread::spawn(move || {
                event.set();
                event.clear();
            })
        };
        block_on(waiting);
        setting.join().unwrap();
    });
}

// edges: E2, E4, E5, E6: who came after the clear is not freed by the set before it
#[test]
fn newcomer_after_clear_is_freed_by_the_old_set() {
    model(|| {
        let event = Arc::new(Event::new());
        let mut cx = Context::from_waker(Waker::noop());
        let mut old = Box::pin(event.wait());
        assert!(old.as_mut().poll(&mut cx).is_pending());
        let setting = {
            let event = event.clone();
            thread::spawn(move || event.set())
        };
        let freed_before = event.is_set();
        event.clear();
        let mut newer = pin!(event.wait());
        let mut done = newer.as_mut().poll(&mut cx).is_ready();
        setting.join().unwrap();
        done = done || newer.as_mut().poll(&mut cx).is_ready();
        assert!(
            !(freed_before && done),
            "this set was taken down before the newcomer came"
        );
        assert!(old.as_mut().poll(&mut cx).is_ready());
    });
}

// edges: E1, E4, E6: a waiter leaves while the event is set
#[test]
fn leaving_hides_the_others() {
    model(|| {
        let event = Arc::new(Event::new());
        let leaving = {
            let event = event.clone();
            thread::spawn(move || {
                let mut cx = Context::from_waker(Waker::noop());
                let _ = pin!(event.wait()).poll(&mut cx);
            })
        };
        let setting = {
            let event = event.clone();
            thread::spawn(move || event.set())
        };
        block_on(event.wait());
        leaving.join().unwrap();
        setting.join().unwrap();
    });
}
