//! `broadcast` and `watch`: who sees what, and what dropping changes.

mod support;

use loxley_sync::broadcast::{self, RecvError, TryRecvError};
use loxley_sync::watch;
use std::sync::Arc;
use support::{hand, within_limit};

#[test]
fn every_subscriber_gets_every_value() {
    let (sender, mut first) = broadcast::channel(4);
    let mut second = sender.subscribe();
    let mut waiting = hand(first.recv()).pending();
    assert_eq!(sender.send(1), Ok(2));
    assert_eq!(waiting.woken(), 1);
    assert_eq!(waiting.ready(), Ok(1));
    drop(waiting);
    sender.send(2).unwrap();
    assert_eq!(first.try_recv(), Ok(2));
    assert_eq!(first.try_recv(), Err(TryRecvError::Empty));
    assert_eq!((second.len(), second.try_recv()), (2, Ok(1)));
    let mut late = sender.clone().subscribe();
    assert_eq!(late.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(sender.receiver_count(), 3);
}

#[test]
fn who_lags_is_told_how_much_is_lost() {
    let (sender, mut receiver) = broadcast::channel(2);
    for i in 0..5 {
        sender.send(i).unwrap();
    }
    assert_eq!(hand(receiver.recv()).ready(), Err(RecvError::Lagged(3)));
    assert_eq!(receiver.try_recv(), Ok(3));
    assert_eq!(receiver.blocking_recv(), Ok(4));
}

#[test]
fn the_last_sender_closes_and_leaves_what_was_sent() {
    let (sender, mut receiver) = broadcast::channel(2);
    let other = sender.clone();
    sender.send(1).unwrap();
    drop(sender);
    assert_eq!(receiver.try_recv(), Ok(1));
    let mut waiting = hand(receiver.recv()).pending();
    drop(other);
    assert_eq!(waiting.ready(), Err(RecvError::Closed));
}

#[test]
fn sending_to_nobody_gives_the_value_back_and_values_are_freed() {
    let value = Arc::new(());
    let (sender, receiver) = broadcast::channel(2);
    sender.send(value.clone()).unwrap();
    drop(receiver);
    assert_eq!(Arc::strong_count(&value), 1);
    assert_eq!(sender.send(value).unwrap_err().0, Arc::new(()));
}

#[test]
fn a_dropped_receive_loses_nothing() {
    let (sender, mut receiver) = broadcast::channel(2);
    let waiting = hand(receiver.recv()).pending();
    sender.send(1).unwrap();
    drop(waiting);
    assert_eq!(receiver.try_recv(), Ok(1));
}

#[test]
#[should_panic(expected = "at least one value")]
fn a_broadcast_without_room_panics() {
    let _ = broadcast::channel::<()>(0);
}

/// A value whose clone uses the channel it came from.
struct Nosy(broadcast::Sender<Self>);

impl Clone for Nosy {
    fn clone(&self) -> Self {
        assert_eq!(self.0.receiver_count(), 1);
        Self(self.0.clone())
    }
}

#[test]
fn values_are_cloned_outside_the_mutex() {
    within_limit(|| {
        let (sender, mut receiver) = broadcast::channel(1);
        assert!(sender.send(Nosy(sender.clone())).is_ok());
        assert!(receiver.try_recv().is_ok());
    });
}

#[test]
fn broadcasting_threads_lose_nothing() {
    within_limit(|| {
        let (sender, receiver) = broadcast::channel(2_000);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let mut receiver = receiver.resubscribe();
                scope.spawn(move || {
                    let mut sum = 0;
                    while let Ok(value) = receiver.blocking_recv() {
                        sum += value;
                    }
                    assert_eq!(sum, 2 * (0..500).sum::<u32>());
                });
            }
            for sender in [sender.clone(), sender] {
                scope.spawn(move || (0..500).for_each(|i| assert!(sender.send(i).is_ok())));
            }
        });
    });
}

#[test]
fn watch_shows_the_latest_value() {
    let (sender, mut receiver) = watch::channel(0);
    assert_eq!(receiver.has_changed(), Ok(false));
    let mut waiting = hand(receiver.changed()).pending();
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    assert_eq!(waiting.woken(), 1);
    waiting.ready().unwrap();
    drop(waiting);
    assert_eq!(*receiver.borrow(), 2);
    hand(receiver.changed()).pending();
    assert_eq!(*sender.send_replace(3), 2);
    let old = receiver.borrow_and_update();
    sender.send_modify(|value| *value += 1);
    assert!(!sender.send_if_modified(|_| false));
    assert_eq!((*old, *sender.borrow()), (3, 4));
    receiver.blocking_changed().unwrap();
}

#[test]
fn watch_waits_for_a_value() {
    let (sender, mut receiver) = watch::channel(1);
    assert_eq!(
        hand(receiver.wait_for(|value| *value == 1))
            .ready()
            .map(|value| *value),
        Ok(1)
    );
    let mut waiting = hand(receiver.wait_for(|value| *value > 2)).pending();
    sender.send(2).unwrap();
    waiting.still_pending();
    sender.send(3).unwrap();
    assert_eq!(waiting.ready().map(|value| *value), Ok(3));
}

#[test]
fn watch_ends_with_its_last_sender_and_refuses_without_receivers() {
    let (sender, mut receiver) = watch::channel(1);
    let mut late = sender.subscribe();
    sender.send(2).unwrap();
    let mut other = receiver.clone();
    receiver.borrow_and_update();
    let mut waiting = hand(receiver.changed()).pending();
    drop(sender);
    assert_eq!(waiting.ready(), Err(watch::RecvError));
    assert!(
        hand(late.changed()).ready().is_ok(),
        "the last value is seen first"
    );
    assert!(hand(late.changed()).ready().is_err());
    assert_eq!(other.has_changed(), Ok(true));
    other.borrow_and_update();
    assert_eq!(other.has_changed(), Err(watch::RecvError));
    let (sender, receiver) = watch::channel(1);
    drop(receiver);
    assert!(sender.is_closed());
    assert_eq!(sender.send(2), Err(watch::SendError(2)));
    assert_eq!(*sender.borrow(), 1);
    drop(sender.send_replace(3));
    assert_eq!(*sender.subscribe().borrow(), 3);
}

#[test]
fn a_dropped_wait_for_change_sees_it_later() {
    let (sender, mut receiver) = watch::channel(1);
    let waiting = hand(receiver.changed()).pending();
    sender.send(2).unwrap();
    drop(waiting);
    assert_eq!(receiver.has_changed(), Ok(true));
}

#[test]
fn a_replaced_value_stays_until_those_who_were_told_of_it_wait_again() {
    let token = Arc::new(());
    let (sender, mut receiver) = watch::channel(None);
    let mut changed = hand(receiver.changed()).pending();
    sender.send(Some(token.clone())).unwrap();
    assert_eq!(changed.ready(), Ok(()));
    drop(changed);
    assert_eq!(Arc::strong_count(&token), 2);
    sender.send(None).unwrap();
    assert_eq!(
        Arc::strong_count(&token),
        2,
        "the receiver has a share in it"
    );
    assert!(receiver.borrow().is_none(), "but does not show it");
    drop(receiver.changed());
    assert_eq!(Arc::strong_count(&token), 1);
    assert!(receiver.borrow_and_update().is_none());
}
