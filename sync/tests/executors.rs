//! Everything runs under any executor, also with waiters on one and wakers on another.

mod support;

use futures::executor::{ThreadPool, block_on};
use futures::task::SpawnExt;
use loxley_sync::{
    Barrier, Condition, Event, Lock, Notify, OnceCell, PriorityQueue, Queue, RwLock, Semaphore,
    broadcast, oneshot, watch,
};
use std::sync::Arc;
use support::within_limit;

/// One of each, shared by tasks on two executors.
struct All {
    lock: Lock<u32>,
    changed: Condition,
    rwlock: RwLock<u32>,
    semaphore: Semaphore,
    barrier: Barrier,
    event: Event,
    notify: Notify,
    once: OnceCell<u32>,
}

async fn work(all: Arc<All>, queue: Queue<u32>, mut news: broadcast::Receiver<u32>) -> u32 {
    let _permit = all.semaphore.acquire().await;
    *all.lock.acquire().await += 1;
    all.changed.notify_all();
    let reader = all.rwlock.upgradable_read().await;
    *reader.upgrade().await += 1;
    assert_eq!(*all.once.get_or_init(|| async { 7 }).await, 7);
    let index = all.barrier.wait().await.unwrap();
    all.notify.notify_one();
    all.event.wait().await;
    queue.put(u32::try_from(index).unwrap()).await.unwrap();
    news.recv().await.unwrap()
}

#[test]
fn tasks_of_two_executors_meet() {
    within_limit(|| {
        let all = Arc::new(All {
            lock: Lock::new(0),
            changed: Condition::new(),
            rwlock: RwLock::new(0),
            semaphore: Semaphore::new(8),
            barrier: Barrier::new(8),
            event: Event::new(),
            notify: Notify::new(),
            once: OnceCell::new(),
        });
        let queue = Queue::new(2);
        let (sender, receiver) = broadcast::channel(1);
        let (mut first, mut second) = (vec![], vec![]);
        let pool = ThreadPool::builder().pool_size(2).create().unwrap();
        for _ in 0..4 {
            let future = work(all.clone(), queue.clone(), receiver.resubscribe());
            first.push(pool.spawn_with_handle(future).unwrap());
            let future = work(all.clone(), queue.clone(), receiver.resubscribe());
            second.push(smol::spawn(future));
        }
        block_on(async {
            drop(
                all.changed
                    .wait_for(all.lock.acquire().await, |n| *n == 8)
                    .await,
            );
            all.notify.notified().await;
            all.event.set();
            let mut sum = 0;
            for _ in 0..8 {
                sum += queue.get().await.unwrap();
            }
            assert_eq!(sum, (0..8).sum());
            sender.send(1).unwrap();
            let mut done = 0;
            for task in first {
                done += task.await;
            }
            for task in second {
                done += task.await;
            }
            assert_eq!(done, 8);
            assert_eq!(*all.rwlock.read().await, 8);
        });
    });
}

#[test]
fn oneshot_and_watch_cross_executors() {
    within_limit(|| {
        let (sender, receiver) = oneshot::channel();
        let (progress, mut seen) = watch::channel(0);
        let task = smol::spawn(async move {
            seen.wait_for(|n| *n == 3).await.unwrap();
            sender.send("done").unwrap();
        });
        for n in 1..=3 {
            progress.send(n).unwrap();
        }
        assert_eq!(block_on(receiver), Ok("done"));
        block_on(task);
    });
}

#[test]
fn streams_yield_and_end() {
    use futures::StreamExt;
    within_limit(|| {
        let queue = Queue::new(1);
        let priority = PriorityQueue::new(0);
        let (sender, receiver) = broadcast::channel(1);
        let (progress, seen) = watch::channel(0);
        let producer = {
            let (queue, priority) = (queue.clone(), priority.clone());
            smol::spawn(async move {
                for n in [3, 1, 2] {
                    queue.put(n).await.unwrap();
                    priority.put(n).await.unwrap();
                    sender.send(n).unwrap();
                }
                queue.shutdown(false);
                priority.shutdown(false);
                progress.send(9).unwrap();
            })
        };
        block_on(async {
            assert_eq!(queue.into_stream().collect::<Vec<_>>().await, [3, 1, 2]);
            producer.await;
            assert_eq!(priority.into_stream().collect::<Vec<_>>().await, [1, 2, 3]);
            let news: Vec<_> = receiver.into_stream().collect().await;
            assert_eq!(news, [Err(broadcast::RecvError::Lagged(2)), Ok(2)]);
            let seen: Vec<_> = seen.into_stream().map(|value| *value).collect().await;
            assert_eq!(seen, [9]);
        });
    });
}
