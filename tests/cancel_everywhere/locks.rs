//! Locks, events and whatever else one task waits for another with.
//!
//! | file | futures | held by |
//! |---|---|---|
//! | `sync/src/event.rs` | `wait` | `waits_for_an_event` |
//! | `sync/src/notify.rs` | `notified` | `a_notification_given_up_goes_to_the_next` |
//! | `sync/src/lock.rs` | `acquire, acquire_owned` | `a_lock_given_up_goes_to_the_next` |
//! | `sync/src/rwlock.rs` | `read, write, upgradable_read, upgrade` | `a_read_or_write_lock_given_up_goes_to_the_next` |
//! | `sync/src/semaphore.rs` | `acquire, acquire_many, acquire_owned, acquire_many_owned` | `permits_given_up_come_back` |
//! | `sync/src/condition.rs` | `wait, wait_for` | `waits_at_a_condition_pass_their_notification_on` |
//! | `sync/src/barrier.rs` | `wait` | `a_place_at_a_barrier_given_up_is_free_again` |
//! | `sync/src/once.rs` | `get_or_init, get_or_try_init` | `a_computation_given_up_is_done_by_the_next` |
//! | `sync/src/wait/future.rs` | `Wait` | `waits_for_an_event, permits_given_up_come_back` |

use std::sync::Arc;

use super::{Boxed, run, soon, sweep, turns};
use loxley::{
    Barrier, BoundedSemaphore, Condition, Event, Lock, Notify, OnceCell, RwLock, Semaphore, Task,
    create_task, oneshot, yield_now,
};

#[test]
fn waits_for_an_event() {
    run(async || {
        sweep(
            || {
                let event = Arc::new(Event::new());
                let [ours, theirs, setter] = [0; 3].map(|_| event.clone());
                let other = create_task(async move {
                    turns().await;
                    theirs.wait().await;
                });
                let sets = soon(move || setter.set());
                (async move { ours.wait().await }, (sets, other))
            },
            async |(sets, other)| {
                sets.await.unwrap();
                other.await.unwrap();
            },
        )
        .await;
    });
}

#[test]
fn a_notification_given_up_goes_to_the_next() {
    run(async || {
        sweep(
            || {
                let notify = Arc::new(Notify::new());
                let [ours, theirs, teller] = [0; 3].map(|_| notify.clone());
                let future = async move { ours.notified().await };
                let other = create_task(async move {
                    turns().await;
                    theirs.notified().await;
                });
                let tells = create_task(async move {
                    turns().await;
                    turns().await;
                    teller.notify_one();
                });
                (future, (notify, tells, other))
            },
            async |(notify, tells, other)| {
                tells.await.unwrap();
                // Collected by the one who ended, or else passed on; stored at the latest now.
                notify.notify_one();
                other.await.unwrap();
            },
        )
        .await;
    });
}

#[test]
fn a_lock_given_up_goes_to_the_next() {
    run(async || {
        let ways: [fn(Arc<Lock<u32>>) -> Boxed; 2] = [
            |lock| Box::pin(async move { *lock.acquire().await += 1 }),
            |lock| Box::pin(async move { *lock.acquire_owned().await += 1 }),
        ];
        for way in ways {
            sweep(
                || {
                    let lock = Arc::new(Lock::new(0));
                    let guard = lock.clone().try_acquire_owned().expect("nobody has it");
                    let frees = soon(move || drop(guard));
                    let future = way(lock.clone());
                    let behind = lock.clone();
                    let other = create_task(async move {
                        turns().await;
                        *behind.acquire().await += 10;
                    });
                    (future, (lock, frees, other))
                },
                async |(lock, frees, other)| {
                    frees.await.unwrap();
                    other.await.unwrap();
                    let value = *lock.try_acquire().expect("free");
                    assert!(value == 10 || value == 11, "{value}");
                },
            )
            .await;
        }
    });
}

type Shared = Arc<RwLock<u32>>;

/// A task that holds the lock as `hold` says, and says when it does.
fn holder(lock: &Shared, writes: bool) -> (Task<()>, oneshot::Receiver<()>) {
    let lock = lock.clone();
    let (tell, told) = oneshot::channel();
    let task = create_task(async move {
        if writes {
            let guard = lock.write().await;
            let _ = tell.send(());
            turns().await;
            drop(guard);
        } else {
            let guard = lock.read().await;
            let _ = tell.send(());
            turns().await;
            drop(guard);
        }
    });
    (task, told)
}

#[test]
fn a_read_or_write_lock_given_up_goes_to_the_next() {
    run(async || {
        let ways: [fn(Shared) -> Boxed; 4] = [
            |lock| Box::pin(async move { drop(lock.read().await) }),
            |lock| Box::pin(async move { drop(lock.write().await) }),
            |lock| Box::pin(async move { drop(lock.upgradable_read().await) }),
            |lock| Box::pin(async move { drop(lock.upgradable_read().await.upgrade().await) }),
        ];
        for way in ways {
            for writes in [true, false] {
                // A read beside a read does not wait for it, so the scenario waits for the holder first.
                sweep(
                    || {
                        let lock = Shared::default();
                        let (holds, held) = holder(&lock, writes);
                        let (future, behind) = (way(lock.clone()), lock.clone());
                        let future = async move {
                            held.await.expect("it will hold it");
                            yield_now().await;
                            future.await;
                        };
                        let other = create_task(async move {
                            turns().await;
                            drop(behind.read().await);
                            *behind.write().await += 1;
                        });
                        (future, (lock, holds, other))
                    },
                    async |(lock, holds, other)| {
                        holds.await.unwrap();
                        other.await.unwrap();
                        assert_eq!(*lock.try_write().expect("free"), 1);
                    },
                )
                .await;
            }
        }
    });
}

#[test]
fn permits_given_up_come_back() {
    run(async || {
        let ways: [fn(Arc<Semaphore>) -> Boxed; 4] = [
            |permits| Box::pin(async move { drop(permits.acquire().await) }),
            |permits| Box::pin(async move { drop(permits.acquire_many(2).await) }),
            |permits| Box::pin(async move { drop(permits.acquire_owned().await) }),
            |permits| Box::pin(async move { drop(permits.acquire_many_owned(2).await) }),
        ];
        for way in ways {
            sweep(
                || {
                    let permits = Arc::new(Semaphore::new(2));
                    let taken = permits.clone().try_acquire_many_owned(2).expect("two");
                    // One comes back, and two turns later the other.
                    let (first, second) = (permits.clone(), permits.clone());
                    taken.forget();
                    let gives = create_task(async move {
                        turns().await;
                        first.release();
                        turns().await;
                        second.release();
                    });
                    let (future, behind) = (way(permits.clone()), permits.clone());
                    let other = create_task(async move {
                        turns().await;
                        drop(behind.acquire().await);
                    });
                    (future, (permits, gives, other))
                },
                async |(permits, gives, other)| {
                    gives.await.unwrap();
                    other.await.unwrap();
                    assert_eq!(permits.available_permits(), 2);
                },
            )
            .await;
        }
        bounded_permits().await;
    });
}

async fn bounded_permits() {
    for n in [1, 2] {
        sweep(
            || {
                let permits = Arc::new(BoundedSemaphore::new(2));
                let (holder, ours, behind) = (permits.clone(), permits.clone(), permits.clone());
                let (tell, told) = oneshot::channel();
                let holds = create_task(async move {
                    let held = holder.acquire_many(2).await;
                    let _ = tell.send(());
                    turns().await;
                    drop(held);
                });
                let future = async move {
                    told.await.expect("it will hold them");
                    match n {
                        1 => drop(ours.acquire().await),
                        n => drop(ours.acquire_many(n).await),
                    }
                };
                let other = create_task(async move {
                    turns().await;
                    drop(behind.acquire().await);
                });
                (future, (permits, holds, other))
            },
            async |(permits, holds, other)| {
                holds.await.unwrap();
                other.await.unwrap();
                assert_eq!(permits.available_permits(), 2);
            },
        )
        .await;
    }
}

#[test]
fn waits_at_a_condition_pass_their_notification_on() {
    run(async || {
        for counts in [false, true] {
            sweep(
                || {
                    let shared = Arc::new((Lock::new(0), Condition::new()));
                    let [ours, theirs, teller] = [0; 3].map(|_| shared.clone());
                    let future = async move {
                        let (lock, changed) = &*ours;
                        let guard = lock.acquire().await;
                        match counts {
                            false => drop(changed.wait(guard).await),
                            true => drop(changed.wait_for(guard, |value| *value > 0).await),
                        }
                    };
                    let other = create_task(async move {
                        turns().await;
                        let (lock, changed) = &*theirs;
                        let guard = lock.acquire().await;
                        drop(changed.wait_for(guard, |value| *value > 0).await);
                    });
                    let tells = create_task(async move {
                        turns().await;
                        let (lock, changed) = &*teller;
                        let mut guard = lock.acquire().await;
                        *guard += 1;
                        changed.notify(2);
                        // They come back to a lock that is held.
                        turns().await;
                        drop(guard);
                    });
                    (future, (shared, tells, other))
                },
                async |(shared, tells, other)| {
                    tells.await.unwrap();
                    other.await.unwrap();
                    assert!(!shared.0.is_locked());
                },
            )
            .await;
        }
    });
}

#[test]
fn a_place_at_a_barrier_given_up_is_free_again() {
    run(async || {
        sweep(
            || {
                let barrier = Arc::new(Barrier::new(2));
                let [ours, theirs] = [0; 2].map(|_| barrier.clone());
                let other = create_task(async move {
                    turns().await;
                    theirs.wait().await.is_ok()
                });
                (async move { ours.wait().await.is_ok() }, (barrier, other))
            },
            async |(barrier, other)| {
                // Whoever came second has met the first, or meets us.
                while !other.is_finished() {
                    if barrier.n_waiting() == 1 {
                        barrier.wait().await.expect("whole");
                    }
                    yield_now().await;
                }
                assert!(other.await.unwrap());
                assert_eq!((barrier.n_waiting(), barrier.is_broken()), (0, false));
            },
        )
        .await;
    });
}

#[test]
fn a_computation_given_up_is_done_by_the_next() {
    run(async || {
        for fails in [false, true] {
            sweep(
                || {
                    let cell = Arc::new(OnceCell::new());
                    let [ours, theirs] = [0; 2].map(|_| cell.clone());
                    let compute = async |value: u32| {
                        turns().await;
                        value
                    };
                    let future = async move {
                        match fails {
                            false => drop(ours.get_or_init(|| compute(1)).await),
                            true => {
                                let failed: Result<_, ()> = ours
                                    .get_or_try_init(async || {
                                        compute(0).await;
                                        Err(())
                                    })
                                    .await;
                                assert!(failed.is_err() || failed == Ok(&2));
                            }
                        }
                    };
                    let other = create_task(async move {
                        turns().await;
                        *theirs.get_or_init(|| async move { compute(2).await }).await
                    });
                    (future, (cell, other))
                },
                async |(cell, other)| {
                    let seen = other.await.unwrap();
                    assert_eq!(cell.get(), Some(&seen));
                },
            )
            .await;
        }
    });
}
