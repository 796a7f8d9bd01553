//! Every primitive, dropped and cancelled at every point where it waits: afterwards it serves as before, and nothing is lost.

use loxley_runtime::testing::{Config, cancel_at_every_pending, drop_at_every_pending, run};
use loxley_runtime::{create_task, yield_now};
use loxley_sync::{
    Barrier, Condition, Event, LifoQueue, Lock, Notify, OnceCell, PriorityQueue, Queue, RwLock,
    Semaphore, broadcast, oneshot, watch,
};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// `act` in a task of its own, a few turns from now, whatever becomes of the caller.
fn later(act: impl FnOnce() + Send + 'static) {
    drop(create_task(async {
        for _ in 0..3 {
            yield_now().await;
        }
        act();
    }));
}

/// Both at once.
async fn both<A: Future, B: Future>(first: A, second: B) -> (A::Output, B::Output) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut one, mut two) = (None, None);
    poll_fn(|cx| {
        if one.is_none() {
            if let Poll::Ready(output) = first.as_mut().poll(cx) {
                one = Some(output);
            }
        }
        if two.is_none() {
            if let Poll::Ready(output) = second.as_mut().poll(cx) {
                two = Some(output);
            }
        }
        match (one.take(), two.take()) {
            (Some(first), Some(second)) => Poll::Ready((first, second)),
            (first, second) => {
                (one, two) = (first, second);
                Poll::Pending
            }
        }
    })
    .await
}

/// Ends what `work` does with a fresh state wherever it waits, and has `check` look at the state.
fn everywhere<S, W, C>(
    state: impl Fn() -> S + Send + Sync + Copy + 'static,
    work: impl Fn(S) -> W + Send + Sync + Copy + 'static,
    check: impl Fn(S) -> C + Send + Sync + Copy + 'static,
) where
    S: Clone + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
    C: Future<Output = ()> + Send + 'static,
{
    // With a second worker what is waited for may be there already, at any point and at all of them.
    for (config, least) in [
        (Config::new().current_thread(), 1),
        (Config::new().worker_threads(2), 0),
    ] {
        run(config.leak_check(true), async move {
            let scenario = || {
                let state = state();
                (work(state.clone()), state)
            };
            let check = |_, state| check(state);
            assert!(drop_at_every_pending(scenario, check).await >= least);
            assert!(cancel_at_every_pending(scenario, check).await >= least);
        });
    }
}

#[test]
fn a_lock() {
    everywhere(
        || Arc::new(Lock::new(())),
        |lock| async move {
            let held = lock.clone().acquire_owned().await;
            later(|| drop(held));
            let guard = lock.acquire().await;
            yield_now().await;
            drop(guard);
        },
        |lock| async move {
            drop(lock.acquire().await);
            assert!(!lock.is_locked());
        },
    );
}

#[test]
fn a_read_write_lock() {
    everywhere(
        || Arc::new(RwLock::new(())),
        |lock| async move {
            let writer = create_task({
                let lock = lock.clone();
                async move {
                    let guard = lock.write().await;
                    yield_now().await;
                    yield_now().await;
                    drop(guard);
                }
            });
            yield_now().await;
            let read = async {
                let guard = lock.read().await;
                yield_now().await;
                drop(guard);
            };
            let upgrade = async {
                let guard = lock.upgradable_read().await;
                drop(guard.upgrade().await);
            };
            both(read, upgrade).await;
            drop(lock.write().await);
            drop(writer);
        },
        |lock| async move {
            drop(lock.write().await);
            drop(lock.read().await);
        },
    );
}

#[test]
fn a_semaphore() {
    everywhere(
        || Arc::new(Semaphore::new(2)),
        |semaphore| async move {
            let held = semaphore.clone().acquire_many_owned(2).await;
            later(|| drop(held));
            let (one, two) = both(semaphore.acquire(), semaphore.acquire_many(1)).await;
            yield_now().await;
            drop((one, two));
        },
        |semaphore| async move {
            drop(semaphore.acquire_many(2).await);
            assert_eq!(semaphore.available_permits(), 2);
        },
    );
}

#[test]
fn an_event_and_a_notify() {
    everywhere(
        || Arc::new((Event::new(), Notify::new())),
        |both_kinds| async move {
            let other = both_kinds.clone();
            later(move || {
                other.0.set();
                other.1.notify_one();
            });
            both(both_kinds.0.wait(), both_kinds.1.notified()).await;
        },
        |both_kinds| async move {
            both_kinds.0.set();
            both_kinds.1.notify_one();
            both(both_kinds.0.wait(), both_kinds.1.notified()).await;
        },
    );
}

#[test]
fn a_condition() {
    everywhere(
        || Arc::new((Lock::new(0), Condition::new())),
        |shared| async move {
            let other = shared.clone();
            drop(create_task(async move {
                for _ in 0..2 {
                    yield_now().await;
                    *other.0.acquire().await += 1;
                    other.1.notify(1);
                }
            }));
            let wait = || async {
                shared
                    .1
                    .wait_for(shared.0.acquire().await, |n| *n > 0)
                    .await
            };
            let one = async { drop(wait().await) };
            let two = async { drop(wait().await) };
            both(one, two).await;
        },
        |shared| async move {
            let waiting = create_task({
                let shared = shared.clone();
                async move {
                    *shared
                        .1
                        .wait_for(shared.0.acquire().await, |n| *n >= 100)
                        .await
                }
            });
            yield_now().await;
            *shared.0.acquire().await = 100;
            shared.1.notify_all();
            assert!(waiting.await.unwrap() >= 100);
        },
    );
}

#[test]
fn a_barrier() {
    everywhere(
        || Arc::new(Barrier::new(2)),
        |barrier| async move {
            let late = async {
                yield_now().await;
                barrier.wait().await.unwrap()
            };
            let (first, second) = both(barrier.wait(), late).await;
            assert_eq!((first.unwrap(), second), (0, 1));
        },
        |barrier| async move {
            assert_eq!((barrier.n_waiting(), barrier.is_broken()), (0, false));
            let (first, second) = both(barrier.wait(), barrier.wait()).await;
            assert_eq!((first, second), (Ok(0), Ok(1)));
        },
    );
}

#[test]
fn a_once_cell() {
    everywhere(
        || Arc::new(OnceCell::new()),
        |cell| async move {
            let compute = || async {
                yield_now().await;
                yield_now().await;
                7
            };
            both(cell.get_or_init(compute), cell.get_or_init(compute)).await;
        },
        |cell| async move {
            assert_eq!(*cell.get_or_init(|| async { 7 }).await, 7);
        },
    );
}

macro_rules! queue {
    ($test:ident, $queue:ident) => {
        #[test]
        fn $test() {
            everywhere(
                || ($queue::<u32>::new(1), Arc::new(())),
                |(queue, token)| async move {
                    queue.put_nowait(1).unwrap();
                    let (other, taken) = (queue.clone(), token.clone());
                    drop(create_task(async move {
                        // Takes what comes until only this task and the check know of the token.
                        while Arc::strong_count(&taken) > 2 {
                            yield_now().await;
                            let _ = other.get_nowait();
                        }
                    }));
                    let (put, place) = both(queue.put(2), queue.reserve()).await;
                    put.unwrap();
                    yield_now().await;
                    place.unwrap().put(3).unwrap();
                    drop(token);
                },
                |(queue, token)| async move {
                    alone(token).await;
                    // The places that were promised are free again.
                    while queue.get_nowait().is_ok() {}
                    queue.put(3).await.unwrap();
                    assert!(queue.is_full());
                },
            );
            everywhere(
                || ($queue::<u32>::new(0), Arc::new(())),
                |(queue, token)| async move {
                    let (other, held) = (queue.clone(), token.clone());
                    later(move || {
                        for item in 0..3 {
                            other.put_nowait(item).unwrap();
                            other.task_done().unwrap();
                        }
                        drop(held);
                    });
                    let mut items = Vec::new();
                    queue.get().await.unwrap();
                    while items.len() < 2 {
                        let most = 2 - items.len();
                        queue.get_many(&mut items, most).await.unwrap();
                    }
                    queue.put_nowait(9).unwrap();
                    let other = queue.clone();
                    later(move || {
                        other.task_done().unwrap();
                        drop(token);
                    });
                    queue.join().await;
                },
                |(queue, token)| async move {
                    alone(token).await;
                    queue.put_nowait(3).unwrap();
                    queue.get().await.unwrap();
                    queue.shutdown(false);
                    while queue.get().await.is_ok() {}
                },
            );
        }
    };
}
queue!(a_queue, Queue);
queue!(a_lifo_queue, LifoQueue);
queue!(a_priority_queue, PriorityQueue);

/// Until nobody but the caller has a share of `token`: every value that was sent is received or dropped.
async fn alone(token: Arc<()>) {
    while Arc::strong_count(&token) > 1 {
        yield_now().await;
    }
}

#[test]
fn channels() {
    everywhere(
        || Arc::new(()),
        |token| async move {
            let (sender, receiver) = oneshot::channel();
            let value = token.clone();
            later(move || drop(sender.send(value)));
            receiver.await.unwrap();
        },
        alone,
    );
    everywhere(
        || Arc::new(()),
        |token| async move {
            let (sender, mut one) = broadcast::channel(2);
            let mut two = sender.subscribe();
            let value = token.clone();
            later(move || drop(sender.send(value)));
            let (first, second) = both(one.recv(), two.recv()).await;
            drop((first.unwrap(), second.unwrap()));
        },
        alone,
    );
    everywhere(
        || Arc::new(()),
        |token| async move {
            let (sender, mut one) = watch::channel(None);
            let mut two = sender.subscribe();
            let value = token.clone();
            later(move || drop(sender.send(Some(value))));
            let seen = async { drop(two.wait_for(Option::is_some).await) };
            both(one.changed(), seen).await.0.unwrap();
        },
        alone,
    );
}
