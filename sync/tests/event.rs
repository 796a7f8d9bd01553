//! `Event`: the `EventTests` of asyncio restated, and what dropping does.

mod support;

use loxley_sync::Event;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use support::{Angry, hand, within_limit};

static GLOBAL: Event = Event::new();

#[test]
fn an_event_in_a_static_can_be_set_from_anywhere() {
    let mut waiting = hand(GLOBAL.wait()).pending();
    std::thread::spawn(|| GLOBAL.set()).join().unwrap();
    waiting.ready();
    assert!(GLOBAL.is_set());
}

#[test]
fn set_frees_everybody_in_order() {
    let event = Event::new();
    let mut waiting: Vec<_> = (0..100).map(|_| hand(event.wait()).pending()).collect();
    event.set();
    for waiter in &mut waiting {
        assert_eq!(waiter.woken(), 1);
        waiter.ready();
    }
}

#[test]
fn wait_on_a_set_event_returns_at_once() {
    let event = Event::new();
    event.set();
    hand(event.wait()).ready();
    event.blocking_wait();
}

#[test]
fn clear_makes_newcomers_wait_again() {
    let event = Event::new();
    assert!(!event.is_set());
    event.set();
    event.set();
    event.clear();
    event.clear();
    assert!(!event.is_set());
    hand(event.wait()).pending();
}

// asyncio's test_clear_with_waiters
#[test]
fn set_then_clear_at_once_still_frees_who_waited() {
    let event = Event::new();
    let mut before: Vec<_> = (0..3).map(|_| hand(event.wait()).pending()).collect();
    event.set();
    event.clear();
    let mut after = hand(event.wait()).pending();
    for waiter in &mut before {
        waiter.ready();
    }
    after.still_pending();
    event.set();
    after.ready();
}

#[test]
fn a_dropped_waiter_changes_nothing_for_the_others() {
    let event = Event::new();
    let mut first = hand(event.wait()).pending();
    let middle = hand(event.wait()).pending();
    let mut last = hand(event.wait()).pending();
    drop(middle);
    event.set();
    first.ready();
    last.ready();
    drop(hand(event.wait()));
}

#[test]
fn a_panicking_waker_does_not_keep_the_others_waiting() {
    let event = Event::new();
    let mut angry = hand(event.wait());
    assert!(angry.poll_with(&Arc::new(Angry).into()).is_pending());
    let mut calm: Vec<_> = (0..100).map(|_| hand(event.wait()).pending()).collect();
    assert!(catch_unwind(AssertUnwindSafe(|| event.set())).is_err());
    for waiter in &mut calm {
        assert_eq!(waiter.woken(), 1);
        waiter.ready();
    }
    angry.ready();
}

#[test]
fn the_newest_waker_is_woken() {
    let event = Event::new();
    let old = Arc::new(support::Count::default());
    let mut waiting = hand(event.wait());
    assert!(waiting.poll_with(&old.clone().into()).is_pending());
    let mut waiting = waiting.pending();
    event.set();
    assert_eq!((old.get(), waiting.woken()), (0, 1));
    waiting.ready();
}

#[test]
fn threads_wait_for_threads() {
    within_limit(|| {
        for _ in 0..200 {
            let event = Event::new();
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| event.blocking_wait());
                }
                event.set();
            });
        }
    });
}
