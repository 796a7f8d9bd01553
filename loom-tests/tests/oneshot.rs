//! Models of `sync/src/oneshot.rs`: the ends of a channel end in every order; loom also finds a block freed twice, never,
//! or too early.

use loxley_sync::oneshot;
use loxley_sync::prim::{Arc, model, thread};
use loxley_sync::wait::block_on;
use std::pin::Pin;
use std::task::{Context, Waker};

// edges: O1 with and without PARKED, O3, O4, O7
#[test]
fn value_or_wake_up_is_lost() {
    model(|| {
        let (sender, receiver) = oneshot::channel();
        let sending = thread::spawn(move || sender.send(Arc::new(7)).unwrap());
        assert_eq!(block_on(receiver).map(|value| *value), Ok(7));
        sending.join().unwrap();
    });
}

// edges: O2 with and without PARKED, O3, O4, O7
#[test]
fn receiver_sleeps_for_ever_when_the_sender_goes() {
    model(|| {
        let (sender, receiver) = oneshot::channel::<Arc<u8>>();
        let leaving = thread::spawn(move || drop(sender));
        assert!(block_on(receiver).is_err());
        leaving.join().unwrap();
    });
}

// edges: O1, O2 refused, O3, O4, O6, O7
#[test]
fn block_is_freed_twice_or_never_when_the_receiver_goes() {
    model(|| {
        let (sender, mut receiver) = oneshot::channel();
        let value = Arc::new(7);
        let sent = value.clone();
        let sending = thread::spawn(move || sender.send(sent).is_ok());
        let mut cx = Context::from_waker(Waker::noop());
        let _ = Future::poll(Pin::new(&mut receiver), &mut cx);
        drop(receiver);
        let _ = sending.join().unwrap();
        assert_eq!(
            Arc::strong_count(&value),
            1,
            "the value is dropped exactly once"
        );
    });
}

// edges: O4, O5 against O1
#[test]
fn changing_the_waker_meets_the_send() {
    model(|| {
        let (sender, mut receiver) = oneshot::channel();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Future::poll(Pin::new(&mut receiver), &mut cx).is_pending());
        let sending = thread::spawn(move || sender.send(Arc::new(7)).unwrap());
        assert_eq!(block_on(receiver).map(|value| *value), Ok(7));
        sending.join().unwrap();
    });
}

// edges: O1 against O6: a value is either received after `close` or given back
#[test]
fn value_is_in_neither_hand_after_close() {
    model(|| {
        let (sender, mut receiver) = oneshot::channel();
        let sending = thread::spawn(move || sender.send(7));
        receiver.close();
        let received = receiver.try_recv();
        let given_back = sending.join().unwrap();
        assert!(received.is_ok() != given_back.is_err());
    });
}

// edges: O6 and the sender's cell
#[test]
fn sender_sleeps_for_ever_when_the_receiver_goes() {
    model(|| {
        let (mut sender, receiver) = oneshot::channel::<u8>();
        let leaving = thread::spawn(move || drop(receiver));
        block_on(sender.closed());
        drop(sender);
        leaving.join().unwrap();
    });
}
