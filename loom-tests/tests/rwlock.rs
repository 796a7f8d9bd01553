//! Models of `sync/src/rwlock.rs`; the value's cell lets loom see a writer beside anybody else.

use loxley_sync::RwLock;
use loxley_sync::prim::{Arc, model, thread};
use loxley_sync::wait::block_on;
use std::pin::pin;
use std::task::{Context, Waker};

fn write_once(lock: &RwLock<u32>) -> u32 {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(lock.write()).poll(&mut cx) {
        std::task::Poll::Ready(mut guard) => {
            *guard += 1;
            1
        }
        std::task::Poll::Pending => 0,
    }
}

// edges: G1, G2, G3, G4, G7
#[test]
fn reader_beside_a_writer() {
    model(|| {
        let lock = Arc::new(RwLock::new(0));
        let writing = {
            let lock = lock.clone();
            thread::spawn(move || *block_on(lock.write()) += 1)
        };
        assert!(*block_on(lock.read()) <= 1);
        *block_on(lock.write()) += 1;
        writing.join().unwrap();
        assert_eq!(lock.try_write().map(|guard| *guard), Some(2));
    });
}

// edges: G3, G4: a writer that leaves had readers behind it
#[test]
fn leaving_writer_strands_a_reader() {
    model(|| {
        let lock = Arc::new(RwLock::new(0));
        let held = lock.try_read().unwrap();
        let leaving = {
            let lock = lock.clone();
            thread::spawn(move || write_once(&lock))
        };
        assert_eq!(
            *block_on(lock.read()),
            0,
            "it need not wait for the first reader"
        );
        drop(held);
        let wrote = leaving.join().unwrap();
        assert_eq!(lock.try_write().map(|guard| *guard), Some(wrote));
    });
}

// edges: G2, G4, G5, G7
#[test]
fn upgrade_meets_the_last_reader() {
    model(|| {
        let lock = Arc::new(RwLock::new(0));
        let reader = lock.try_upgradable_read().unwrap();
        let reading = {
            let lock = lock.clone();
            thread::spawn(move || *block_on(lock.read()))
        };
        *block_on(reader.upgrade()) += 1;
        assert!(reading.join().unwrap() <= 1);
        assert_eq!(lock.try_write().map(|guard| *guard), Some(1));
    });
}

// edges: G5, G8: an upgrade that leaves, granted or not
#[test]
fn dropped_upgrade_keeps_the_lock() {
    model(|| {
        let lock = Arc::new(RwLock::new(0));
        let upgradable = lock.try_upgradable_read().unwrap();
        let reader = lock.try_read().unwrap();
        let writing = {
            let lock = lock.clone();
            thread::spawn(move || *block_on(lock.write()) += 1)
        };
        let mut cx = Context::from_waker(Waker::noop());
        let mut upgrade = Box::pin(upgradable.upgrade());
        assert!(upgrade.as_mut().poll(&mut cx).is_pending());
        drop(reader);
        drop(upgrade);
        writing.join().unwrap();
        assert_eq!(lock.try_write().map(|guard| *guard), Some(1));
    });
}

// edges: G3, G5: a writer that waits for the upgradable reader
#[test]
fn upgrade_and_writer_wait_for_each_other() {
    model(|| {
        let lock = Arc::new(RwLock::new(0));
        let reader = lock.try_upgradable_read().unwrap();
        let writing = {
            let lock = lock.clone();
            thread::spawn(move || *block_on(lock.write()) += 1)
        };
        *block_on(reader.upgrade()) += 1;
        writing.join().unwrap();
        assert_eq!(lock.try_write().map(|guard| *guard), Some(2));
    });
}

// edges: G6, G4: readers who wait are let in by a downgrade
#[test]
fn downgrade_leaves_a_reader_asleep() {
    model(|| {
        let lock = Arc::new(RwLock::new(0));
        let guard = lock.try_write().unwrap();
        let reading = {
            let lock = lock.clone();
            thread::spawn(move || *block_on(lock.read()))
        };
        let own = guard.downgrade();
        assert_eq!(reading.join().unwrap(), 0);
        drop(own);
    });
}

// edges: G6
#[test]
fn downgrade_lets_a_writer_in_between() {
    model(|| {
        let lock = Arc::new(RwLock::new(0));
        let mut guard = lock.try_write().unwrap();
        let writing = {
            let lock = lock.clone();
            thread::spawn(move || *block_on(lock.write()) += 1)
        };
        *guard += 5;
        let reader = guard.downgrade();
        assert_eq!(*reader, 5);
        drop(reader);
        writing.join().unwrap();
        assert_eq!(*lock.try_read().unwrap(), 6);
    });
}
