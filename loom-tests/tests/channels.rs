//! Models of `sync/src/channels`.

use loxley_sync::prim::{model, thread};
use loxley_sync::wait::block_on;
use loxley_sync::{broadcast, watch};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

// edges: H1, H2, H4, H5
#[test]
fn broadcast_between_look_and_sleep() {
    model(|| {
        let (sender, mut receiver) = broadcast::channel(2);
        let sending = thread::spawn(move || {
            sender.send(1).unwrap();
            sender.send(2).unwrap();
            sender
        });
        assert_eq!(block_on(receiver.recv()), Ok(1));
        assert_eq!(block_on(receiver.recv()), Ok(2));
        drop(sending.join().unwrap());
        assert_eq!(block_on(receiver.recv()), Err(broadcast::RecvError::Closed));
    });
}

// edges: H1, H3: the ring overtakes a reader
#[test]
fn lagging_reader_gets_a_value_twice_or_none() {
    model(|| {
        let (sender, mut receiver) = broadcast::channel(1);
        let sending = thread::spawn(move || {
            sender.send(1).unwrap();
            sender.send(2).unwrap();
        });
        let mut seen = vec![];
        let mut lost = 0;
        loop {
            match block_on(receiver.recv()) {
                Ok(value) => seen.push(value),
                Err(broadcast::RecvError::Lagged(n)) => lost += n,
                Err(broadcast::RecvError::Closed) => break,
            }
        }
        sending.join().unwrap();
        assert!(seen == [1, 2] && lost == 0 || seen == [2] && lost == 1);
    });
}

// edges: J1, J2, J3, J4
#[test]
fn change_between_look_and_sleep() {
    model(|| {
        let (sender, mut receiver) = watch::channel(0);
        let sending = thread::spawn(move || {
            sender.send(1).unwrap();
            sender.send(2).unwrap();
            sender
        });
        let last = block_on(receiver.wait_for(|value| *value == 2)).map(|value| *value);
        assert_eq!(last, Ok(2));
        drop(sending.join().unwrap());
        assert!(block_on(receiver.changed()).is_err());
    });
}

// edges: H1, H2, H3 at the step from one block to the next
#[test]
fn next_block_is_gone_when_the_reader_comes() {
    model(|| {
        let (sender, mut receiver) = broadcast::channel(2);
        sender.send(1).unwrap();
        sender.send(2).unwrap();
        let sending = thread::spawn(move || {
            for value in 3..=5 {
                sender.send(value).unwrap();
            }
        });
        let mut next = 1;
        loop {
            match block_on(receiver.recv()) {
                Ok(value) => {
                    assert_eq!(value, next, "in order, none twice");
                    next += 1;
                }
                Err(broadcast::RecvError::Lagged(lost)) => next += lost,
                Err(broadcast::RecvError::Closed) => break,
            }
        }
        sending.join().unwrap();
        assert_eq!(next, 6);
    });
}

// edges: J1, J3, J5: a bit left up by a waiter that went is lowered beside one that comes
#[test]
fn stale_bit_is_lowered_under_a_newcomer() {
    model(|| {
        let (sender, mut receiver) = watch::channel(0);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(receiver.changed()).poll(&mut cx).is_pending());
        let sending = thread::spawn(move || {
            sender.send(1).unwrap();
            sender.send(2).unwrap();
            sender
        });
        let last = block_on(receiver.wait_for(|value| *value == 2)).map(|value| *value);
        assert_eq!(last, Ok(2));
        drop(sending.join().unwrap());
    });
}

// edges: J1, J3, J5 with two senders: one finds the shard empty while the other has changed the value
#[test]
fn one_sender_hides_the_waiter_from_the_other() {
    model(|| {
        let (sender, mut receiver) = watch::channel(0);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(receiver.changed()).poll(&mut cx).is_pending());
        let other = {
            let sender = sender.clone();
            thread::spawn(move || sender.send_modify(|value| *value += 1))
        };
        let waiting = thread::spawn(move || {
            let last = block_on(receiver.wait_for(|value| *value == 2));
            assert_eq!(last.map(|value| *value), Ok(2));
        });
        sender.send_modify(|value| *value += 1);
        other.join().unwrap();
        waiting.join().unwrap();
    });
}

// edges: J3, J4
#[test]
fn last_sender_goes_between_look_and_sleep() {
    model(|| {
        let (sender, mut receiver) = watch::channel(0);
        let leaving = thread::spawn(move || drop(sender));
        assert!(block_on(receiver.changed()).is_err());
        leaving.join().unwrap();
    });
}

// edges: J1, J5, J6: what the grant carries is older than what was sent since
#[test]
fn value_of_the_grant_hides_a_later_one() {
    model(|| {
        let (sender, mut receiver) = watch::channel(0);
        let sending = thread::spawn(move || {
            sender.send(1).unwrap();
            sender.send(2).unwrap();
            sender
        });
        let mut last = 0;
        while last != 2 {
            block_on(receiver.changed()).unwrap();
            let now = *receiver.borrow_and_update();
            assert!(now > last, "{now} after {last}");
            last = now;
        }
        assert_eq!(receiver.has_changed(), Ok(false));
        drop(sending.join().unwrap());
    });
}
