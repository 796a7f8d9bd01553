//! Models of `sync/src/channels`.

use loxley_sync::prim::{model, thread};
use loxley_sync::wait::block_on;
use loxley_sync::{broadcast, watch};

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
