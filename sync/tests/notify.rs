//! `Notify`: one or all, stored or not, and what dropping passes on.

mod support;

use loxley_sync::Notify;
use support::{hand, within_limit};

static GLOBAL: Notify = Notify::new();

#[test]
fn one_notification_is_stored_and_not_two() {
    GLOBAL.notify_one();
    GLOBAL.notify_one();
    hand(GLOBAL.notified()).ready();
    hand(GLOBAL.notified()).pending();
}

#[test]
fn notify_one_goes_to_the_oldest() {
    let notify = Notify::new();
    let mut first = hand(notify.notified()).pending();
    let mut second = hand(notify.notified()).pending();
    notify.notify_one();
    assert_eq!((first.woken(), second.woken()), (1, 0));
    second.still_pending();
    first.ready();
    notify.notify_one();
    second.ready();
}

#[test]
fn a_dropped_notified_waiter_passes_it_on() {
    let notify = Notify::new();
    let first = hand(notify.notified()).pending();
    let mut second = hand(notify.notified()).pending();
    notify.notify_one();
    drop(first);
    assert_eq!(second.woken(), 1);
    second.ready();
}

#[test]
fn the_last_dropped_notified_waiter_stores_it() {
    let notify = Notify::new();
    let only = hand(notify.notified()).pending();
    notify.notify_one();
    drop(only);
    hand(notify.notified()).ready();
}

#[test]
fn notify_waiters_reaches_futures_made_before_it_and_stores_nothing() {
    let notify = Notify::new();
    let mut polled: Vec<_> = (0..80).map(|_| hand(notify.notified()).pending()).collect();
    let mut unpolled = hand(notify.notified());
    notify.notify_waiters();
    let mut later = hand(notify.notified()).pending();
    for waiter in &mut polled {
        waiter.ready();
    }
    unpolled.ready();
    later.still_pending();
}

#[test]
fn notify_waiters_is_not_passed_on() {
    let notify = Notify::new();
    drop(hand(notify.notified()).pending());
    let waiting = hand(notify.notified()).pending();
    notify.notify_waiters();
    drop(waiting);
    hand(notify.notified()).pending();
}

#[test]
fn a_stored_notification_survives_notify_waiters() {
    let notify = Notify::new();
    notify.notify_one();
    let mut before = hand(notify.notified());
    notify.notify_waiters();
    before.ready();
    hand(notify.notified()).ready();
}

#[test]
fn threads_hand_a_turn_back_and_forth() {
    within_limit(|| {
        let (ping, pong) = (Notify::new(), Notify::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..500 {
                    ping.blocking_notified();
                    pong.notify_one();
                }
            });
            for _ in 0..500 {
                ping.notify_one();
                pong.blocking_notified();
            }
        });
    });
}
