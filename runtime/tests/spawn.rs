//! Spawning, joining, cancelling, panicking: what a task's handle promises, on both flavours.

use loxley_runtime::{Runtime, TaskError, all_tasks, create_task, current_task, task, yield_now};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn both(test: impl Fn(Runtime)) {
    test(Runtime::builder().worker_threads(2).build().unwrap());
    test(Runtime::builder().current_thread().build().unwrap());
}

struct CountsDrops(Arc<AtomicUsize>);

impl Drop for CountsDrops {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_task_gives_its_output_to_whoever_awaits_it() {
    both(|runtime| {
        let sum = runtime.block_on(async {
            let tasks: Vec<_> = (0..100_u64)
                .map(|n| create_task(async move { n }))
                .collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await.unwrap();
            }
            sum
        });
        assert_eq!(sum, 4950);
    });
}

#[test]
fn many_tasks_that_yield_all_end() {
    both(|runtime| {
        let count = Arc::new(AtomicUsize::new(0));
        runtime.block_on(async {
            let tasks: Vec<_> = (0..1_000)
                .map(|_| {
                    let count = count.clone();
                    create_task(async move {
                        for _ in 0..10 {
                            yield_now().await;
                        }
                        count.fetch_add(1, Ordering::Relaxed);
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        assert_eq!(count.load(Ordering::Relaxed), 1_000);
    });
}

#[test]
fn a_panic_stays_in_its_task_and_reaches_the_awaiter() {
    both(|runtime| {
        let result = runtime.block_on(create_task_in(&runtime, async { panic!("on purpose") }));
        let Err(TaskError::Panicked(panic)) = result else {
            panic!("{result:?}")
        };
        assert_eq!(panic.message(), "on purpose");
        assert_eq!(runtime.block_on(async { 1 }), 1);
    });
}

fn create_task_in<F>(runtime: &Runtime, future: F) -> task::Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    runtime.handle().create_task(future)
}

#[test]
fn a_cancelled_task_drops_its_future_and_says_why() {
    both(|runtime| {
        let drops = Arc::new(AtomicUsize::new(0));
        let result = runtime.block_on(async {
            let held = CountsDrops(drops.clone());
            let task = create_task(async move {
                let _held = held;
                pending::<()>().await;
            });
            yield_now().await;
            assert!(task.cancel_with("no longer needed"));
            task.await
        });
        let Err(TaskError::Cancelled(error)) = result else {
            panic!("{result:?}")
        };
        assert_eq!(error.message(), Some("no longer needed"));
        assert!(error.origin().file().ends_with("spawn.rs"));
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn cancelling_a_finished_task_says_that_it_was_too_late() {
    both(|runtime| {
        runtime.block_on(async {
            let task = create_task(async {});
            while !task.is_finished() {
                yield_now().await;
            }
            assert!(!task.cancel());
            task.await.unwrap();
        });
    });
}

#[test]
fn a_dropped_handle_detaches_its_task() {
    both(|runtime| {
        let (sender, receiver) = std::sync::mpsc::channel();
        drop(create_task_in(&runtime, async move {
            yield_now().await;
            sender.send(7).unwrap();
        }));
        runtime.block_on(async {
            loop {
                if let Ok(n) = receiver.try_recv() {
                    return assert_eq!(n, 7);
                }
                yield_now().await;
            }
        });
    });
}

#[test]
fn a_task_has_a_name_a_number_and_a_spawn_site() {
    both(|runtime| {
        runtime.block_on(async {
            let named = task::Builder::new().name("poller").create_task(async {
                (current_task().unwrap().name(), current_task().unwrap().id())
            });
            let id = named.id();
            assert!(named.as_ref().spawned_at().file().ends_with("spawn.rs"));
            assert_eq!(named.await.unwrap(), ("poller".into(), id));
            let plain = create_task(async { current_task().unwrap().name() });
            let name = format!("Task-{}", plain.id());
            assert_eq!(*plain.await.unwrap(), *name);
            assert!(current_task().is_some(), "main is a task");
        });
        assert!(current_task().is_none());
    });
}

#[test]
fn all_tasks_lists_the_live_ones() {
    both(|runtime| {
        runtime.block_on(async {
            let tasks: Vec<_> = (0..50).map(|_| create_task(pending::<()>())).collect();
            let main = current_task().unwrap();
            let live = all_tasks();
            assert_eq!(live.len(), 51);
            assert!(live.contains(&main));
            assert!(tasks.iter().all(|task| live.contains(&task.as_ref())));
            for task in tasks {
                task.cancel();
                assert!(task.await.unwrap_err().is_cancelled());
            }
            assert_eq!(all_tasks(), [main]);
        });
    });
}

#[test]
fn dropping_the_runtime_drops_every_future_once() {
    both(|runtime| {
        let drops = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..1_000)
            .map(|_| {
                let held = CountsDrops(drops.clone());
                create_task_in(&runtime, async move {
                    let _held = held;
                    pending::<()>().await;
                })
            })
            .collect();
        runtime.block_on(yield_now());
        let report = runtime.shutdown_timeout(Duration::from_secs(10));
        assert!(report.is_clean(), "{report}");
        assert_eq!(drops.load(Ordering::Relaxed), 1_000);
        assert!(tasks.iter().all(|task| task.is_finished()));
    });
}

#[test]
fn a_spawn_after_shutdown_ends_at_once_as_cancelled() {
    both(|runtime| {
        let handle = runtime.handle();
        drop(runtime);
        let drops = Arc::new(AtomicUsize::new(0));
        let held = CountsDrops(drops.clone());
        let task = handle.create_task(async move {
            let _held = held;
        });
        assert!(task.is_finished());
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn wakes_from_plain_threads_are_not_lost() {
    both(|runtime| {
        runtime.block_on(async {
            for _ in 0..200 {
                let (sender, receiver) = loxley_sync::oneshot::channel();
                let thread = std::thread::spawn(move || sender.send(5).unwrap());
                assert_eq!(receiver.await.unwrap(), 5);
                thread.join().unwrap();
            }
        });
    });
}
