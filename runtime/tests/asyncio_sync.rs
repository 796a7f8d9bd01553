//! The cases of Python's `test_asyncio/test_locks.py` and `test_queues.py` that need tasks, restated for the one-thread
//! flavour; each test is named after its case. What needs none stands in `sync/tests`, likewise.

use loxley_runtime::testing::{Config, run};
use loxley_runtime::{Task, TaskError, create_task, current_task, timeout, yield_now};
use loxley_sync::error::BrokenBarrierError;
use loxley_sync::{Barrier, Condition, Lock, Queue, Semaphore, oneshot};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn asyncio<F: Future<Output = ()>>(case: F) {
    run(Config::new().current_thread().leak_check(true), case);
}

type Log = Arc<Mutex<Vec<u32>>>;

fn logged(log: &Log) -> Vec<u32> {
    log.lock().unwrap().clone()
}

async fn is_cancelled<T>(task: Task<T>) -> bool {
    matches!(task.await, Err(TaskError::Cancelled(_)))
}

#[test]
fn lock_cancel_race() {
    asyncio(async {
        let lock = Arc::new(Lock::new(()));
        let (go, blocker) = oneshot::channel::<()>();
        let holder = create_task({
            let lock = lock.clone();
            async move {
                let _guard = lock.acquire().await;
                blocker.await.unwrap();
            }
        });
        yield_now().await;
        let [second, third] = [(); 2].map(|()| {
            let lock = lock.clone();
            create_task(async move { drop(lock.acquire().await) })
        });
        yield_now().await;
        go.send(()).unwrap();
        second.cancel();
        yield_now().await;
        assert!(holder.is_finished());
        assert!(is_cancelled(second).await);
        third.await.unwrap();
        assert!(!lock.is_locked());
    });
}

#[test]
fn lock_cancel_release_race() {
    asyncio(async {
        let (lock, count) = (Arc::new(Lock::new(())), Log::default());
        LockForget::take(&lock).await;
        let [first, second, third] = [1, 2, 3].map(|tag| {
            let (lock, count) = (lock.clone(), count.clone());
            create_task(async move {
                LockForget::take(&lock).await;
                count.lock().unwrap().push(tag);
            })
        });
        yield_now().await;
        first.cancel();
        lock.release().unwrap();
        assert!(is_cancelled(first).await);
        second.await.unwrap();
        assert_eq!(logged(&count), [2], "one lock was taken");
        third.cancel();
        assert!(is_cancelled(third).await);
        lock.release().unwrap();
    });
}

/// asyncio's lock, which is released by hand.
struct LockForget;

impl LockForget {
    async fn take(lock: &Lock) {
        loxley_sync::LockGuard::forget(lock.acquire().await);
    }
}

#[test]
fn lock_finished_waiter_cancelled() {
    asyncio(async {
        let lock = Arc::new(Lock::new(()));
        LockForget::take(&lock).await;
        let [second, third] = [(); 2].map(|()| {
            let lock = lock.clone();
            create_task(async move { LockForget::take(&lock).await })
        });
        yield_now().await;
        second.cancel();
        lock.release().unwrap();
        yield_now().await;
        assert!(lock.is_locked());
        assert!(is_cancelled(second).await);
        third.await.unwrap();
    });
}

#[test]
fn condition_wait_cancel_after_notify_and_cancelled_error_re_aquire() {
    asyncio(async {
        let shared = Arc::new((Lock::new(false), Condition::new()));
        let waiter = create_task({
            let shared = shared.clone();
            async move {
                let guard = shared
                    .1
                    .wait_for(shared.0.acquire().await, |wake| *wake)
                    .await;
                assert!(current_task().is_some() && *guard, "the lock is held again");
                drop(guard);
                yield_now().await;
            }
        });
        yield_now().await;
        let mut guard = shared.0.acquire().await;
        *guard = true;
        shared.1.notify(1);
        yield_now().await;
        waiter.cancel_with("foo");
        yield_now().await;
        drop(guard);
        match waiter.await {
            Err(TaskError::Cancelled(error)) => assert_eq!(error.message(), Some("foo")),
            other => panic!("{other:?}"),
        }
        assert!(!shared.0.is_locked());
    });
}

#[test]
fn condition_cancelled_error_wakeup() {
    asyncio(async {
        let shared = Arc::new((Lock::new(false), Condition::new()));
        let waiter = create_task({
            let shared = shared.clone();
            async move {
                drop(
                    shared
                        .1
                        .wait_for(shared.0.acquire().await, |wake| *wake)
                        .await,
                );
            }
        });
        yield_now().await;
        waiter.cancel_with("foo");
        match waiter.await {
            Err(TaskError::Cancelled(error)) => assert_eq!(error.message(), Some("foo")),
            other => panic!("{other:?}"),
        }
    });
}

/// The two `cancelled_wakeup` cases: `turns` between the notification and the cancellation of whom it went to.
async fn cancelled_wakeup(turns: u32) {
    let shared = Arc::new((Lock::new(0), Condition::new()));
    let consume = || {
        let shared = shared.clone();
        create_task(async move {
            let mut guard = shared.0.acquire().await;
            loop {
                guard = shared.1.wait_for(guard, |state| *state != 0).await;
                if *guard < 0 {
                    return;
                }
                *guard -= 1;
                shared.1.notify_all();
            }
        })
    };
    let (first, second) = (consume(), consume());
    yield_now().await;
    let mut guard = shared.0.acquire().await;
    *guard += 1;
    shared.1.notify(1);
    for _ in 0..turns {
        yield_now().await;
    }
    first.cancel();
    let consumed = shared.1.wait_for(guard, |state| *state == 0);
    let mut guard = timeout(Duration::from_secs(5), consumed)
        .await
        .expect("the wake-up is not lost");
    *guard = -1;
    drop(guard);
    shared.1.notify_all();
    second.await.unwrap();
    let _ = first.await;
}

#[test]
fn condition_cancelled_wakeup() {
    asyncio(cancelled_wakeup(0));
}

#[test]
fn condition_cancelled_wakeup_relock() {
    asyncio(cancelled_wakeup(1));
}

#[test]
fn condition_timeout_in_block() {
    asyncio(async {
        let (lock, condition) = (Lock::new(()), Condition::new());
        let waited = timeout(
            Duration::from_millis(1),
            condition.wait(lock.acquire().await),
        )
        .await;
        assert!(waited.is_err());
        assert!(lock.try_acquire().is_some());
    });
}

/// A task that takes a permit, keeps it for good and says so.
fn take(semaphore: &Arc<Semaphore>, log: &Log, tag: u32) -> Task<()> {
    let (semaphore, log) = (semaphore.clone(), log.clone());
    create_task(async move {
        semaphore.acquire().await.forget();
        log.lock().unwrap().push(tag);
    })
}

#[test]
fn semaphore_acquire_cancel_before_awoken() {
    asyncio(async {
        let (semaphore, log) = (Arc::new(Semaphore::new(0)), Log::default());
        let tasks = [1, 2, 3, 4].map(|tag| take(&semaphore, &log, tag));
        yield_now().await;
        tasks[0].cancel();
        tasks[1].cancel();
        semaphore.release();
        yield_now().await;
        yield_now().await;
        assert_eq!(logged(&log), [3]);
        assert!(!tasks[3].is_finished());
        tasks[3].cancel();
        for task in tasks {
            let _ = task.await;
        }
    });
}

#[test]
fn semaphore_acquire_hang_and_fifo_order_3() {
    asyncio(async {
        let (semaphore, log) = (Arc::new(Semaphore::new(0)), Log::default());
        let [first, second, third] = [1, 2, 3].map(|tag| take(&semaphore, &log, tag));
        yield_now().await;
        first.cancel();
        semaphore.release();
        yield_now().await;
        yield_now().await;
        assert!(semaphore.is_locked() && second.is_finished());
        semaphore.release();
        third.await.unwrap();
        assert!(is_cancelled(first).await);
        assert_eq!(logged(&log), [2, 3]);
    });
}

#[test]
fn semaphore_acquire_no_hang() {
    asyncio(async {
        let semaphore = Arc::new(Semaphore::new(1));
        let (tell, told) = oneshot::channel::<Task<()>>();
        let first = create_task({
            let semaphore = semaphore.clone();
            async move {
                let permit = semaphore.acquire().await;
                yield_now().await;
                drop(permit);
                let second = told.await.unwrap();
                second.cancel();
                assert!(is_cancelled(second).await);
            }
        });
        let second = create_task({
            let semaphore = semaphore.clone();
            async move {
                std::future::pending::<()>().await;
                drop(semaphore.acquire().await);
            }
        });
        tell.send(second).unwrap();
        first.await.unwrap();
        let permit = timeout(Duration::from_secs(1), semaphore.acquire()).await;
        assert!(permit.is_ok());
    });
}

#[test]
fn semaphore_acquire_fifo_order() {
    asyncio(async {
        let (semaphore, log) = (Arc::new(Semaphore::new(1)), Log::default());
        let tasks = [1, 2, 3].map(|tag| {
            let (semaphore, log) = (semaphore.clone(), log.clone());
            create_task(async move {
                for round in [0, 10] {
                    let permit = semaphore.acquire().await;
                    log.lock().unwrap().push(tag + round);
                    yield_now().await;
                    drop(permit);
                }
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(logged(&log), [1, 2, 3, 11, 12, 13]);
    });
}

/// Differs from asyncio, which has [1, 2, 3, 4]: there a granted waiter that has not run yet holds newcomers up, though a
/// permit is free that nobody else is to have. Here the third has its permit already, and the free one is the second's.
#[test]
fn semaphore_acquire_fifo_order_2() {
    asyncio(async {
        let (semaphore, log) = (Arc::new(Semaphore::new(1)), Log::default());
        let first = take(&semaphore, &log, 1);
        let second = create_task({
            let (semaphore, log) = (semaphore.clone(), log.clone());
            async move {
                semaphore.acquire().await.forget();
                log.lock().unwrap().push(2);
                semaphore.release();
                semaphore.acquire().await.forget();
                log.lock().unwrap().push(4);
            }
        });
        let third = take(&semaphore, &log, 3);
        yield_now().await;
        semaphore.release();
        semaphore.release();
        for task in [first, second, third] {
            task.await.unwrap();
        }
        assert_eq!(logged(&log), [1, 2, 4, 3]);
    });
}

#[test]
fn queue_get_cancelled_race() {
    asyncio(async {
        let queue = Queue::new(0);
        let [first, second] = [(); 2].map(|()| {
            let queue = queue.clone();
            create_task(async move { queue.get().await })
        });
        yield_now().await;
        first.cancel();
        yield_now().await;
        assert!(first.is_finished());
        queue.put('a').await.unwrap();
        assert_eq!(second.await.unwrap(), Ok('a'));
        assert!(is_cancelled(first).await);
    });
}

#[test]
fn queue_get_cancel_drop_pending_readers() {
    asyncio(async {
        let queue = Queue::new(0);
        let [first, second, third] = [(); 3].map(|()| {
            let queue = queue.clone();
            create_task(async move { queue.get().await.unwrap() })
        });
        yield_now().await;
        queue.put_nowait(1).unwrap();
        queue.put_nowait(2).unwrap();
        first.cancel();
        assert!(
            is_cancelled(first).await,
            "it was promised an item and leaves it"
        );
        let mut got = [second.await.unwrap(), third.await.unwrap()];
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

#[test]
fn queue_put_cancel_drop() {
    asyncio(async {
        let queue = Queue::new(1);
        queue.put_nowait(1).unwrap();
        let put = || {
            let queue = queue.clone();
            create_task(async move { queue.put(2).await.unwrap() })
        };
        let writer = put();
        yield_now().await;
        assert_eq!(queue.get_nowait(), Ok(1));
        writer.cancel();
        if is_cancelled(writer).await {
            put().await.unwrap();
        }
        assert_eq!(queue.get_nowait(), Ok(2));
        assert!(queue.is_empty());
    });
}

#[test]
fn queue_put_cancelled_race() {
    asyncio(async {
        let queue = Queue::new(1);
        let [first, second, third] = ['a', 'b', 'x'].map(|item| {
            let queue = queue.clone();
            create_task(async move { queue.put(item).await.unwrap() })
        });
        yield_now().await;
        assert!(first.is_finished() && !second.is_finished());
        third.cancel();
        yield_now().await;
        assert!(third.is_finished());
        assert_eq!(queue.get_nowait(), Ok('a'));
        yield_now().await;
        assert_eq!(queue.get_nowait(), Ok('b'));
        second.await.unwrap();
        assert!(is_cancelled(third).await);
        first.await.unwrap();
    });
}

#[test]
fn queue_why_are_getters_and_putters_waiting() {
    asyncio(async {
        let queue = Queue::new(1);
        let producer = create_task({
            let queue = queue.clone();
            async move {
                for item in 0..5 {
                    queue.put(item).await.unwrap();
                }
            }
        });
        for item in 0..5 {
            assert_eq!(queue.get().await, Ok(item));
        }
        producer.await.unwrap();

        let queue = Queue::new(2);
        let putters = [0, 1, 2, 3].map(|item| {
            let queue = queue.clone();
            create_task(async move { queue.put(item).await.unwrap() })
        });
        yield_now().await;
        for _ in 0..queue.len() {
            queue.get_nowait().unwrap();
        }
        for putter in putters {
            putter.await.unwrap();
        }
        assert_eq!(queue.len(), 2);
    });
}

const PARTIES: u32 = 5;

fn barrier() -> Arc<Barrier> {
    Arc::new(Barrier::new(usize::try_from(PARTIES).unwrap()))
}

/// Tasks that wait at `barrier` and tell their index.
fn wait_at(barrier: &Arc<Barrier>, tasks: u32) -> Vec<Task<Result<usize, BrokenBarrierError>>> {
    let wait = |_| {
        let barrier = barrier.clone();
        create_task(async move { barrier.wait().await })
    };
    (0..tasks).map(wait).collect()
}

#[test]
fn barrier_filling_tasks_wait_twice() {
    asyncio(async {
        let (barrier, log) = (barrier(), Log::default());
        let tasks: Vec<_> = (0..PARTIES)
            .map(|_| {
                let (barrier, log) = (barrier.clone(), log.clone());
                create_task(async move {
                    for round in [1, 2] {
                        barrier.wait().await.unwrap();
                        log.lock().unwrap().push(round);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(logged(&log), [1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
        assert_eq!((barrier.n_waiting(), barrier.is_broken()), (0, false));
    });
}

#[test]
fn barrier_filling_tasks_check_return_value() {
    asyncio(async {
        let barrier = barrier();
        let mut indices = Vec::new();
        for task in wait_at(&barrier, 3 * PARTIES) {
            indices.push(task.await.unwrap().unwrap());
        }
        assert_eq!(indices, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    });
}

#[test]
fn barrier_filling_tasks_cancel_one() {
    asyncio(async {
        let barrier = barrier();
        let mut tasks = wait_at(&barrier, PARTIES - 1);
        yield_now().await;
        let one = tasks.remove(1);
        one.cancel();
        assert!(is_cancelled(one).await);
        assert_eq!((barrier.n_waiting(), barrier.is_broken()), (3, false));
        tasks.extend(wait_at(&barrier, 2));
        let mut indices = Vec::new();
        for task in tasks {
            indices.push(task.await.unwrap().unwrap());
        }
        assert_eq!(indices, [0, 1, 2, 3, 4]);
    });
}

#[test]
fn barrier_reset_while_tasks_waiting_and_waiting_again() {
    asyncio(async {
        let (barrier, log) = (barrier(), Log::default());
        let tasks: Vec<_> = (1..PARTIES)
            .map(|_| {
                let (barrier, log) = (barrier.clone(), log.clone());
                create_task(async move {
                    assert_eq!(barrier.wait().await, Err(BrokenBarrierError));
                    log.lock().unwrap().push(1);
                    barrier.wait().await.unwrap();
                    log.lock().unwrap().push(2);
                })
            })
            .collect();
        yield_now().await;
        barrier.reset();
        assert_eq!((barrier.n_waiting(), barrier.is_broken()), (0, false));
        yield_now().await;
        assert_eq!(logged(&log), [1, 1, 1, 1]);
        assert_eq!(barrier.wait().await, Ok(4));
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(logged(&log), [1, 1, 1, 1, 2, 2, 2, 2]);
    });
}

#[test]
fn barrier_abort_when_exception_then_resetting() {
    asyncio(async {
        let barrier = barrier();
        let tasks = wait_at(&barrier, PARTIES - 1);
        yield_now().await;
        let failing = create_task({
            let barrier = barrier.clone();
            async move {
                let outcome: Result<(), &str> = Err("no table is free");
                if outcome.is_err() {
                    barrier.abort();
                }
                outcome
            }
        });
        assert!(failing.await.unwrap().is_err());
        for task in tasks {
            assert_eq!(task.await.unwrap(), Err(BrokenBarrierError));
        }
        assert!(barrier.is_broken());
        assert_eq!(barrier.wait().await, Err(BrokenBarrierError));
        barrier.reset();
        for (index, task) in wait_at(&barrier, PARTIES).into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), Ok(index));
        }
    });
}

#[test]
fn queue_join_and_shutdown_free_those_who_wait() {
    asyncio(async {
        let (queue, log) = (Queue::new(0), Log::default());
        let workers = [(); 2].map(|()| {
            let (queue, log) = (queue.clone(), log.clone());
            create_task(async move {
                while let Ok(item) = queue.get().await {
                    log.lock().unwrap().push(item);
                    yield_now().await;
                    queue.task_done().unwrap();
                }
            })
        });
        for item in 0..100 {
            queue.put(item).await.unwrap();
        }
        queue.join().await;
        assert_eq!(logged(&log).iter().sum::<u32>(), (0..100).sum());
        assert!(queue.task_done().is_err());
        queue.shutdown(false);
        for worker in workers {
            worker.await.unwrap();
        }
        queue.join().await;
    });
}
