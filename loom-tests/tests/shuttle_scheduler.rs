//! The real scheduler with up to eight workers under random schedules: what no model of a single protocol can show, namely
//! that they fit together. Queues and driver are the modelled ones; tasks, workers, parking, registry and shutdown are those
//! that ship. A task that is lost, or a worker that is not woken, is a deadlock, which shuttle reports with its schedule.
//!
//! Only under `--cfg shuttle`.
#![cfg(shuttle)]

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use loxley_loom_tests::support::{Drops, block_on};
use loxley_runtime::{Handle, Runtime, Task, create_task, yield_now};
use loxley_sync::prim::{explore, thread};

const SCHEDULES: usize = 1_000;

fn runtime(workers: usize) -> Runtime {
    let builder = Runtime::builder().worker_threads(workers).rng_seed(7);
    builder.build().expect("a model has threads")
}

/// Waits for a task on a thread that is no worker.
fn wait<T>(task: Task<T>) -> T {
    block_on(task).expect("nobody stops it")
}

#[test]
fn tasks_that_spawn_tasks_on_eight_workers() {
    explore(SCHEDULES, 3, || {
        let drops = Drops::new();
        let runtime = runtime(8);
        let root = {
            let drops = drops.clone();
            runtime.handle().create_task(async move {
                let children: Vec<_> = (0..8)
                    .map(|_| {
                        let value = drops.value();
                        create_task(async move {
                            yield_now().await;
                            drop(value);
                        })
                    })
                    .collect();
                for child in children {
                    child.await.expect("nobody stops it");
                }
            })
        };
        wait(root);
        assert_eq!(drops.count(), 8);
        drop(runtime);
    });
}

#[test]
fn main_task_beside_the_workers() {
    explore(SCHEDULES, 3, || {
        let runtime = runtime(4);
        let sum = runtime.block_on(async {
            let tasks: Vec<_> = (0..6)
                .map(|n| {
                    create_task(async move {
                        yield_now().await;
                        n
                    })
                })
                .collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await.expect("nobody stops it");
            }
            sum
        });
        assert_eq!(sum, 15);
    });
}

/// Hands `turns` back and forth with its twin through two notifications.
async fn play(own: Arc<loxley_sync::Notify>, twin: Arc<loxley_sync::Notify>, turns: usize) {
    for _ in 0..turns {
        own.notified().await;
        twin.notify_one();
    }
}

#[test]
fn pairs_of_tasks_that_wake_each_other() {
    explore(SCHEDULES, 3, || {
        let runtime = runtime(8);
        let handle = runtime.handle();
        let mut tasks = Vec::new();
        for _ in 0..3 {
            let (a, b) = (
                Arc::new(loxley_sync::Notify::new()),
                Arc::new(loxley_sync::Notify::new()),
            );
            tasks.push(handle.create_task(play(a.clone(), b.clone(), 3)));
            tasks.push(handle.create_task(play(b, a.clone(), 3)));
            a.notify_one();
        }
        tasks.into_iter().for_each(wait);
    });
}

#[test]
fn spawns_from_three_outside_threads() {
    explore(SCHEDULES, 3, || {
        let runtime = runtime(4);
        let done = Arc::new(AtomicUsize::new(0));
        let spawners: Vec<_> = (0..3)
            .map(|_| {
                let (handle, done) = (runtime.handle(), done.clone());
                thread::spawn(move || {
                    let tasks: Vec<_> = (0..3)
                        .map(|_| {
                            let done = done.clone();
                            handle.create_task(async move {
                                yield_now().await;
                                // ordering: relaxed, a count.
                                done.fetch_add(1, Ordering::Relaxed);
                            })
                        })
                        .collect();
                    tasks.into_iter().for_each(wait);
                })
            })
            .collect();
        for spawner in spawners {
            spawner.join().expect("no panic");
        }
        // ordering: relaxed, a count.
        assert_eq!(done.load(Ordering::Relaxed), 9);
    });
}

/// A task that waits for ever.
fn waits_for_ever(handle: &Handle, drops: &Drops) -> Task<()> {
    let value = drops.value();
    handle.create_task(async move {
        let _value = value;
        poll_fn(|_| Poll::<()>::Pending).await;
    })
}

#[test]
fn shutdown_with_tasks_left_on_eight_workers() {
    explore(SCHEDULES, 3, || {
        let drops = Drops::new();
        let runtime = runtime(8);
        let handle = runtime.handle();
        let tasks: Vec<_> = (0..6).map(|_| waits_for_ever(&handle, &drops)).collect();
        drop(runtime);
        assert_eq!(drops.count(), 6);
        assert!(tasks.iter().all(Task::is_finished));
    });
}

#[test]
fn shutdown_while_others_spawn_and_cancel() {
    explore(SCHEDULES, 3, || {
        let drops = Drops::new();
        let runtime = runtime(4);
        let others: Vec<_> = (0..2)
            .map(|_| {
                let (handle, drops) = (runtime.handle(), drops.clone());
                thread::spawn(move || {
                    let tasks = [(); 3].map(|()| waits_for_ever(&handle, &drops));
                    tasks[0].cancel();
                    for task in tasks {
                        // Cancelled by us, by the shutdown, or refused by it.
                        block_on(task).expect_err("it waits for ever");
                    }
                })
            })
            .collect();
        drop(runtime);
        for other in others {
            other.join().expect("no panic");
        }
        assert_eq!(drops.count(), 6);
    });
}

#[test]
fn foreign_wakes_while_the_runtime_shuts_down() {
    explore(SCHEDULES, 3, || {
        let runtime = runtime(4);
        let notify = Arc::new(loxley_sync::Notify::new());
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let notify = notify.clone();
                runtime
                    .handle()
                    .create_task(async move { notify.notified().await })
            })
            .collect();
        let waker = {
            let notify = notify.clone();
            thread::spawn(move || (0..3).for_each(|_| notify.notify_one()))
        };
        drop(runtime);
        waker.join().expect("no panic");
        assert!(tasks.iter().all(Task::is_finished));
    });
}

#[test]
fn strict_flavour_with_wakes_from_outside() {
    explore(SCHEDULES, 3, || {
        let runtime = Runtime::builder()
            .current_thread()
            .rng_seed(7)
            .build()
            .expect("a driver");
        let notifies = [(); 2].map(|()| Arc::new(loxley_sync::Notify::new()));
        let wakers = notifies
            .clone()
            .map(|notify| thread::spawn(move || notify.notify_one()));
        runtime.block_on(async {
            let tasks = notifies.map(|notify| create_task(async move { notify.notified().await }));
            for task in tasks {
                task.await.expect("nobody stops it");
            }
        });
        for waker in wakers {
            waker.join().expect("no panic");
        }
    });
}
