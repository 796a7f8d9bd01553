//! `oneshot`: every order in which its two ends can end.

mod support;

use loxley_sync::oneshot::{self, RecvError, TryRecvError};
use std::sync::Arc;
use support::{Count, hand, within_limit};

/// A value that tells how many of its kind are alive.
fn alive() -> (Arc<()>, impl Fn() -> Arc<()>) {
    let all = Arc::new(());
    let maker = all.clone();
    (all, move || maker.clone())
}

#[test]
fn send_before_the_receiver_looks() {
    let (sender, receiver) = oneshot::channel();
    assert_eq!(sender.send(5), Ok(()));
    assert_eq!(hand(receiver).ready(), Ok(5));
}

#[test]
fn send_wakes_the_waiting_receiver() {
    let (sender, receiver) = oneshot::channel();
    let mut receiver = hand(receiver).pending();
    sender.send(5).unwrap();
    assert_eq!(receiver.woken(), 1);
    assert_eq!(receiver.ready(), Ok(5));
}

#[test]
fn a_dropped_sender_is_an_error() {
    let (sender, receiver) = oneshot::channel::<u8>();
    let mut receiver = hand(receiver).pending();
    drop(sender);
    assert_eq!(receiver.woken(), 1);
    assert_eq!(receiver.ready(), Err(RecvError));
}

#[test]
fn a_dropped_receiver_gives_the_value_back() {
    let (sender, receiver) = oneshot::channel();
    assert!(!sender.is_closed());
    drop(receiver);
    assert!(sender.is_closed());
    assert_eq!(sender.send("mine"), Err("mine"));
}

#[test]
fn a_dropped_waiting_receiver_gives_the_value_back() {
    let (sender, receiver) = oneshot::channel();
    drop(hand(receiver).pending());
    assert_eq!(sender.send("mine"), Err("mine"));
}

#[test]
fn close_refuses_later_values_and_keeps_an_earlier_one() {
    let (sender, mut receiver) = oneshot::channel();
    receiver.close();
    assert_eq!(sender.send(1), Err(1));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));

    let (sender, mut receiver) = oneshot::channel();
    sender.send(1).unwrap();
    receiver.close();
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn try_recv_tells_not_yet_from_never() {
    let (sender, mut receiver) = oneshot::channel::<u8>();
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    drop(sender);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn closed_waits_for_the_receiver_to_go() {
    let (mut sender, receiver) = oneshot::channel::<u8>();
    let mut closed = hand(sender.closed()).pending();
    drop(receiver);
    assert_eq!(closed.woken(), 1);
    closed.ready();
}

#[test]
fn every_value_and_waker_is_dropped_once() {
    let (all, value) = alive();
    let count = Arc::new(Count::default());
    // received
    let (sender, mut receiver) = oneshot::channel();
    sender.send(value()).unwrap();
    drop(receiver.try_recv());
    drop(receiver);
    // sent and not received
    let (sender, receiver) = oneshot::channel();
    sender.send(value()).unwrap();
    drop(receiver);
    // refused
    let (sender, receiver) = oneshot::channel();
    drop(receiver);
    drop(sender.send(value()));
    // parked, then sent, then dropped
    let (sender, receiver) = oneshot::channel();
    let mut receiver = hand(receiver);
    assert!(receiver.poll_with(&count.clone().into()).is_pending());
    sender.send(value()).unwrap();
    drop(receiver);
    // parked, then dropped, then the sender
    let (sender, receiver) = oneshot::channel::<Arc<()>>();
    let mut receiver = hand(receiver);
    assert!(receiver.poll_with(&count.clone().into()).is_pending());
    drop(receiver);
    drop(sender);
    assert_eq!(Arc::strong_count(&all), 2, "ours and the maker's");
    assert_eq!(Arc::strong_count(&count), 1);
}

#[test]
#[should_panic(expected = "polled after it completed")]
fn polling_a_finished_receiver_panics() {
    let (sender, mut receiver) = oneshot::channel();
    sender.send(1).unwrap();
    assert_eq!(hand(&mut receiver).ready(), Ok(1));
    let _ = hand(&mut receiver).poll();
}

#[test]
fn threads_send_to_threads() {
    within_limit(|| {
        for i in 0..500 {
            let (sender, receiver) = oneshot::channel();
            let thread = std::thread::spawn(move || receiver.blocking_recv());
            sender.send(i).unwrap();
            assert_eq!(thread.join().unwrap(), Ok(i));
        }
    });
}
