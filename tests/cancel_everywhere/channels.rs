//! Queues and channels.
//!
//! | file | futures | held by |
//! |---|---|---|
//! | `sync/src/queue/mod.rs` | `get, get_many` | `gets_given_up_lose_no_item` |
//! | `sync/src/queue/mod.rs` | `put, reserve` | `puts_given_up_leave_their_place_to_the_next` |
//! | `sync/src/queue/mod.rs` | `join` | `a_join_given_up_leaves_the_count_alone` |
//! | `sync/src/oneshot.rs` | `Receiver, closed` | `both_ends_of_a_oneshot` |
//! | `sync/src/channels/broadcast.rs` | `recv` | `a_broadcast_receiver_given_up_has_missed_nothing` |
//! | `sync/src/channels/watch.rs` | `changed, wait_for` | `a_watch_given_up_sees_the_change_afterwards` |

use std::sync::{Arc, Mutex};

use super::{Boxed, run, soon, sweep, turns};
use loxley::{LifoQueue, Lock, PriorityQueue, Queue, broadcast, create_task, oneshot, watch};

/// What the three kinds have in common, as far as it is needed here.
macro_rules! of_each_kind {
    ($kind:ident => $body:block) => {{
        {
            type $kind<T> = Queue<T>;
            $body
        }
        {
            type $kind<T> = LifoQueue<T>;
            $body
        }
        {
            type $kind<T> = PriorityQueue<T>;
            $body
        }
    }};
}

#[test]
fn gets_given_up_lose_no_item() {
    run(async || {
        of_each_kind!(Kind => {
            let ways: [fn(Kind<u32>, Arc<Mutex<Vec<u32>>>) -> Boxed; 2] = [
                |queue, taken| Box::pin(async move {
                    let item = queue.get().await.unwrap();
                    taken.lock().unwrap().push(item);
                }),
                |queue, taken| Box::pin(async move {
                    let mut items = Vec::new();
                    queue.get_many(&mut items, 2).await.unwrap();
                    taken.lock().unwrap().append(&mut items);
                }),
            ];
            for way in ways {
                sweep(
                    || {
                        let (queue, taken) = (Kind::new(0), Arc::<Mutex<Vec<u32>>>::default());
                        let putter = queue.clone();
                        let puts = soon(move || {
                            for item in 0..3 {
                                putter.put_nowait(item).unwrap();
                            }
                        });
                        let behind = (queue.clone(), taken.clone());
                        let other = create_task(async move {
                            turns().await;
                            let item = behind.0.get().await.unwrap();
                            behind.1.lock().unwrap().push(item);
                        });
                        (way(queue.clone(), taken.clone()), (queue, taken, puts, other))
                    },
                    async |(queue, taken, puts, other)| {
                        puts.await.unwrap();
                        other.await.unwrap();
                        let mut all = std::mem::take(&mut *taken.lock().unwrap());
                        while let Ok(item) = queue.get_nowait() {
                            all.push(item);
                        }
                        all.sort_unstable();
                        assert_eq!(all, [0, 1, 2]);
                    },
                )
                .await;
            }
        });
    });
}

#[test]
fn puts_given_up_leave_their_place_to_the_next() {
    run(async || {
        of_each_kind!(Kind => {
            let ways: [fn(Kind<u32>) -> Boxed; 2] = [
                |queue| Box::pin(async move { queue.put(1).await.unwrap() }),
                |queue| Box::pin(async move { queue.reserve().await.unwrap().put(1).unwrap() }),
            ];
            for way in ways {
                sweep(
                    || {
                        let queue = Kind::new(1);
                        queue.put_nowait(0).unwrap();
                        let (getter, behind) = (queue.clone(), queue.clone());
                        let gets = create_task(async move {
                            turns().await;
                            assert_eq!(getter.get().await.unwrap(), 0);
                        });
                        let other = create_task(async move {
                            turns().await;
                            behind.put(2).await.unwrap();
                        });
                        (way(queue.clone()), (queue, gets, other))
                    },
                    async |(queue, gets, other)| {
                        gets.await.unwrap();
                        let mut got = Vec::new();
                        while !got.contains(&2) {
                            got.push(queue.get().await.unwrap());
                        }
                        other.await.unwrap();
                        assert!(got == [2] || got == [1, 2], "{got:?}");
                        assert!(queue.is_empty());
                    },
                )
                .await;
            }
        });
    });
}

#[test]
fn a_join_given_up_leaves_the_count_alone() {
    run(async || {
        of_each_kind!(Kind => {
            sweep(
                || {
                    let queue = Kind::new(0);
                    queue.put_nowait(0).unwrap();
                    let [ours, theirs, worker] = [0; 3].map(|_| queue.clone());
                    let works = soon(move || {
                        worker.get_nowait().unwrap();
                        worker.task_done().unwrap();
                    });
                    let other = create_task(async move {
                        turns().await;
                        theirs.join().await;
                    });
                    (async move { ours.join().await }, (queue, works, other))
                },
                async |(queue, works, other)| {
                    works.await.unwrap();
                    other.await.unwrap();
                    assert!(queue.task_done().is_err(), "nothing is owed");
                },
            )
            .await;
        });
    });
}

#[test]
fn both_ends_of_a_oneshot() {
    run(async || {
        sweep(
            || {
                let (give, take) = oneshot::channel();
                let sends = create_task(async move {
                    turns().await;
                    // Nobody wants it where the receiver was given up.
                    give.send(Arc::new(7)).is_ok()
                });
                (async move { *take.await.unwrap() }, sends)
            },
            async |sends| {
                sends.await.unwrap();
            },
        )
        .await;
        sweep(
            || {
                let (mut give, take) = oneshot::channel::<u32>();
                let closes = soon(move || drop(take));
                (async move { give.closed().await }, closes)
            },
            async |closes| closes.await.unwrap(),
        )
        .await;
    });
}

#[test]
fn a_broadcast_receiver_given_up_has_missed_nothing() {
    run(async || {
        sweep(
            || {
                let (sender, receiver) = broadcast::channel(8);
                let other = sender.subscribe();
                let receiver = Arc::new(Lock::new((receiver, Vec::new())));
                let ours = receiver.clone();
                let sends = create_task(async move {
                    for value in 0..3 {
                        turns().await;
                        sender.send(value).unwrap();
                    }
                });
                let future = async move {
                    let (receiver, seen) = &mut *ours.acquire().await;
                    while let Ok(value) = receiver.recv().await {
                        seen.push(value);
                    }
                };
                (future, (receiver, other, sends))
            },
            async |(receiver, mut other, sends)| {
                sends.await.unwrap();
                let (receiver, seen) = &mut *receiver.acquire().await;
                while let Ok(value) = receiver.recv().await {
                    seen.push(value);
                }
                assert_eq!(*seen, [0, 1, 2]);
                assert_eq!(other.recv().await, Ok(0));
            },
        )
        .await;
    });
}

#[test]
fn a_watch_given_up_sees_the_change_afterwards() {
    run(async || {
        for waits_for in [false, true] {
            sweep(
                || {
                    let (sender, receiver) = watch::channel(0);
                    let receiver = Arc::new(Lock::new(receiver));
                    let ours = receiver.clone();
                    let sends = create_task(async move {
                        for value in 1..=2 {
                            turns().await;
                            sender.send(value).unwrap();
                        }
                        sender
                    });
                    let future = async move {
                        let mut receiver = ours.acquire().await;
                        match waits_for {
                            true => drop(receiver.wait_for(|value| *value == 2).await.unwrap()),
                            false => receiver.changed().await.unwrap(),
                        }
                    };
                    (future, (receiver, sends))
                },
                async |(receiver, sends)| {
                    let sender = sends.await.unwrap();
                    let mut receiver = receiver.acquire().await;
                    assert_eq!(*receiver.wait_for(|value| *value == 2).await.unwrap(), 2);
                    assert_eq!(sender.receiver_count(), 1);
                },
            )
            .await;
        }
    });
}
