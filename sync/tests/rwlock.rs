//! `RwLock`: who excludes whom, in which order, and what dropping gives back.

mod support;

use loxley_sync::RwLock;
use loxley_sync::wait::block_on;
use std::panic::{AssertUnwindSafe, catch_unwind};
use support::{Rng, give_up_after, hand, patience, within_limit};

static GLOBAL: RwLock<u8> = RwLock::new(1);

#[test]
fn readers_share_and_writers_do_not() {
    let first = hand(GLOBAL.read()).ready();
    let second = GLOBAL.try_read().unwrap();
    assert_eq!(*first + *second, 2);
    assert!(GLOBAL.try_write().is_none());
    drop((first, second));
    let mut writer = GLOBAL.try_write().unwrap();
    *writer += 1;
    assert!(GLOBAL.try_read().is_none());
    assert!(GLOBAL.try_upgradable_read().is_none());
    drop(writer);
    assert_eq!(*GLOBAL.blocking_read(), 2);
    *GLOBAL.blocking_write() = 1;
}

#[test]
fn readers_stand_behind_a_waiting_writer() {
    let lock = RwLock::new(0);
    let reader = lock.try_read().unwrap();
    let mut writer = hand(lock.write()).pending();
    let mut late: Vec<_> = (0..40).map(|_| hand(lock.read()).pending()).collect();
    assert!(lock.try_read().is_none());
    drop(reader);
    assert_eq!((writer.woken(), late[0].woken()), (1, 0));
    let guard = writer.ready();
    let mut last = hand(lock.write()).pending();
    drop(guard);
    let guards: Vec<_> = late.iter_mut().map(support::Hand::ready).collect();
    last.still_pending();
    drop(guards);
    drop(last.ready());
}

#[test]
fn a_writer_that_leaves_lets_the_readers_behind_it_go_on() {
    let lock = RwLock::new(0);
    let reader = lock.try_read().unwrap();
    let writer = hand(lock.write()).pending();
    let mut late = hand(lock.read()).pending();
    drop(writer);
    assert_eq!(late.woken(), 1);
    drop((late.ready(), reader));
    assert!(lock.try_write().is_some());
}

#[test]
fn a_dropped_waiter_that_was_admitted_gives_its_share_back() {
    let lock = RwLock::new(0);
    let guard = lock.try_write().unwrap();
    let writer = hand(lock.write()).pending();
    let reader = hand(lock.read()).pending();
    let mut last = hand(lock.write()).pending();
    drop(guard);
    drop(writer);
    drop(reader);
    drop(last.ready());
    assert!(lock.try_write().is_some());
}

#[test]
fn an_upgradable_reader_excludes_its_like_and_writers_only() {
    let lock = RwLock::new(0);
    let upgradable = hand(lock.upgradable_read()).ready();
    assert!(lock.try_upgradable_read().is_none());
    assert!(lock.try_write().is_none());
    let reader = lock.try_read().unwrap();
    let upgradable = upgradable.try_upgrade().expect_err("there is a reader");
    drop(reader);
    let mut writer = upgradable.try_upgrade().expect("it is alone");
    *writer += 1;
    let upgradable = writer.downgrade_to_upgradable();
    assert_eq!(*upgradable, 1);
    let reader = upgradable.downgrade();
    assert!(lock.try_upgradable_read().is_some());
    drop(reader);
    let reader = lock.try_write().unwrap().downgrade();
    assert!(lock.try_read().is_some());
    drop(reader);
    assert!(lock.try_write().is_some());
}

#[test]
fn an_upgrade_goes_before_those_who_wait_for_it() {
    let lock = RwLock::new(0);
    let upgradable = lock.try_upgradable_read().unwrap();
    let reader = lock.try_read().unwrap();
    let mut writer = hand(lock.write()).pending();
    let mut upgrade = hand(upgradable.upgrade()).pending();
    let mut late = hand(lock.read()).pending();
    drop(reader);
    assert_eq!((writer.woken(), upgrade.woken(), late.woken()), (0, 1, 0));
    drop(upgrade.ready());
    drop(writer.ready());
    drop(late.ready());
}

#[test]
fn an_upgrade_does_not_wait_for_a_writer_who_waits_for_it() {
    let lock = RwLock::new(0);
    let upgradable = lock.try_upgradable_read().unwrap();
    let mut writer = hand(lock.write()).pending();
    let guard = hand(upgradable.upgrade()).ready();
    writer.still_pending();
    drop(guard);
    drop(writer.ready());
}

#[test]
fn a_downgrade_lets_waiting_readers_in() {
    let lock = RwLock::new(0);
    let guard = lock.try_write().unwrap();
    let mut reader = hand(lock.read()).pending();
    let own = guard.downgrade();
    assert_eq!(reader.woken(), 1);
    drop((own, reader.ready()));
}

#[test]
fn a_dropped_upgrade_gives_its_share_back_granted_or_not() {
    for granted in [false, true] {
        let lock = RwLock::new(0);
        let upgradable = lock.try_upgradable_read().unwrap();
        let reader = lock.try_read().unwrap();
        let upgrade = hand(upgradable.upgrade()).pending();
        let mut late = hand(lock.read()).pending();
        let mut writer = hand(lock.write()).pending();
        let mut reader = Some(reader);
        if granted {
            drop(reader.take());
        }
        drop(upgrade);
        drop((late.ready(), reader));
        drop(writer.ready());
        assert!(lock.try_write().is_some());
    }
    let lock = RwLock::new(0);
    drop(lock.try_upgradable_read().unwrap().upgrade());
    assert!(lock.try_write().is_some(), "an upgrade never polled");
}

#[test]
fn a_panic_releases_and_leaves_no_mark() {
    let lock = RwLock::new(0);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let _guard = lock.try_write().unwrap();
        panic!("while it is held");
    }));
    assert!(panic.is_err());
    assert_eq!(lock.into_inner(), 0);
}

#[test]
fn random_droppers_lose_no_share_and_writers_are_alone() {
    within_limit(|| {
        let lock = RwLock::new(0_u64);
        let written: u64 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|seed| {
                    let lock = &lock;
                    scope.spawn(move || {
                        let mut rng = Rng(seed + 1);
                        let mut written = 0;
                        for _ in 0..1_500 {
                            let polls = patience(&mut rng);
                            match rng.quarter() {
                                0 => {
                                    let attempt = give_up_after(polls, lock.write());
                                    if let Some(mut guard) = block_on(attempt) {
                                        *guard += 1;
                                        written += 1;
                                    }
                                }
                                1 => {
                                    let attempt = give_up_after(polls, async {
                                        lock.upgradable_read().await.upgrade().await
                                    });
                                    if let Some(mut guard) = block_on(attempt) {
                                        *guard += 1;
                                        written += 1;
                                    }
                                }
                                _ => {
                                    if let Some(guard) = block_on(give_up_after(polls, lock.read()))
                                    {
                                        let seen = *guard;
                                        std::thread::yield_now();
                                        assert_eq!(*guard, seen);
                                    }
                                }
                            }
                        }
                        written
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!(*lock.try_write().unwrap(), written);
    });
}
