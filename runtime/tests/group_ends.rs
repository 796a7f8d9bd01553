//! How groups and limits end: whose error it is, what is left, what was never begun.

use loxley_runtime::{
    Builder, ErrorGroup, Runtime, TaskError, TaskGroup, all_tasks, create_task, current_task,
    task_group, wait_for, yield_now,
};
use loxley_sync::catch_cancelled;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

#[derive(Debug)]
enum Trouble {
    Own(u32),
    Task,
}

impl From<TaskError> for Trouble {
    fn from(_: TaskError) -> Self {
        Self::Task
    }
}

type Outcome<T> = Result<T, ErrorGroup<Trouble>>;

fn runtime(workers: usize) -> Runtime {
    let builder: Builder = Runtime::builder();
    let builder = match workers {
        0 => builder.current_thread(),
        workers => builder.worker_threads(workers),
    };
    builder.build().unwrap()
}

fn both<F: Future>(test: impl Fn() -> F) {
    runtime(2).block_on(test());
    runtime(0).block_on(test());
}

/// What a panic says.
fn panic_of(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("this should panic");
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string))
        .expect("a panic with a text")
}

#[track_caller]
fn assert_only_own<T: std::fmt::Debug>(failed: Outcome<T>, number: u32) {
    let errors = failed.unwrap_err().into_errors();
    assert!(
        matches!(errors[..], [Trouble::Own(seen)] if seen == number),
        "{errors:?}"
    );
}

#[test]
fn a_body_that_finds_its_child_failed_adds_no_error_of_its_own() {
    runtime(2).block_on(async {
        let failed: Outcome<()> = task_group(|tg: TaskGroup<Trouble>| async move {
            let child = tg.create_task(async { Err::<(), _>(Trouble::Own(1)) });
            while !child.is_finished() {
                // Not a wait of the task: the body has not heard of it.
                std::thread::yield_now();
            }
            Ok(child.await?)
        })
        .await;
        assert_only_own(failed, 1);
    });
}

#[test]
fn a_sibling_that_finds_another_failed_adds_no_error_of_its_own() {
    both(|| async {
        for _ in 0..50 {
            let failed: Outcome<()> = task_group(|tg: TaskGroup<Trouble>| async move {
                let child = tg.create_task(async {
                    yield_now().await;
                    Err::<(), _>(Trouble::Own(1))
                });
                tg.create_task(async move { Ok::<(), Trouble>(child.await?) });
                Ok(())
            })
            .await;
            assert_only_own(failed, 1);
        }
    });
}

#[test]
fn a_child_is_among_those_that_are_asked_to_stop_from_its_first_step_on() {
    runtime(2).block_on(async {
        let missed = Arc::new(AtomicUsize::new(0));
        for _ in 0..500 {
            let missed = missed.clone();
            let group = task_group(|tg: TaskGroup<Infallible>| async move {
                let inner = tg.clone();
                tg.create_task(async move {
                    inner.cancel();
                    let asked = current_task().map(|task| task.cancelling());
                    missed.fetch_add(usize::from(asked != Some(1)), Ordering::Relaxed);
                });
                Ok(())
            });
            let _ = group.await;
        }
        assert_eq!(missed.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn a_clean_up_that_awaits_the_failed_child_is_told_and_does_not_hang() {
    both(|| async {
        let failed: Outcome<()> = task_group(|tg: TaskGroup<Trouble>| async move {
            let child = tg.create_task(async { Err::<(), _>(Trouble::Own(1)) });
            let heard = catch_cancelled(pending::<()>()).await.unwrap_err();
            assert!(child.await.unwrap_err().is_cancelled());
            heard.reraise().await
        })
        .await;
        assert_only_own(failed, 1);
    });
}

#[test]
fn a_group_that_has_ended_has_no_child_among_the_tasks() {
    let runtime = runtime(3);
    runtime.block_on(async {
        for _ in 0..200 {
            let group = task_group(|tg: TaskGroup<Infallible>| async move {
                for _ in 0..20 {
                    tg.create_task(async {});
                }
                let children = (0..5).map(|_| tg.create_task(async {}).as_ref());
                Ok(children.collect::<Vec<_>>())
            });
            let children = group.await.unwrap();
            assert!(children.iter().all(|child| child.is_finished()));
            assert_eq!(all_tasks().len(), 1, "only the one that asks");
        }
    });
}

#[test]
fn a_group_cancelled_before_its_body_interrupts_it_where_it_first_waits() {
    both(|| async {
        let begun = AtomicUsize::new(0);
        let group = TaskGroup::<Infallible>::new();
        group.cancel();
        let ended = group.scope(|tg| {
            let begun = &begun;
            async move {
                begun.fetch_add(1, Ordering::Relaxed);
                tg.create_task(async {
                    let starts = || -> () { panic!("no child starts") };
                    starts();
                });
                yield_now().await;
                begun.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        });
        assert!(ended.await.unwrap_err().is_cancelled());
        assert_eq!(begun.load(Ordering::Relaxed), 1);
        yield_now().await;
        assert_eq!(current_task().unwrap().cancelling(), 0);
        // A body that does not wait is not interrupted.
        let group = TaskGroup::<Infallible>::new();
        group.cancel();
        assert_eq!(group.scope(|_| async { Ok(7) }).await.unwrap(), 7);
    });
}

#[test]
fn a_group_refuses_children_before_its_body_and_a_second_body() {
    both(|| async {
        let group = TaskGroup::<Infallible>::new();
        let early = panic_of(|| drop(group.create_task(async {})));
        assert!(early.contains("has not been entered"), "{early}");
        let body = group.scope(|_| async { Ok(()) });
        let second = panic_of(|| drop(group.scope(|_| async { Ok(()) })));
        assert!(second.contains("used once"), "{second}");
        body.await.unwrap();
        let third = panic_of(|| drop(group.scope(|_| async { Ok(()) })));
        assert!(third.contains("used once"), "{third}");
        let late = panic_of(|| drop(group.create_task(async {})));
        assert!(late.contains("has ended"), "{late}");
    });
}

#[test]
fn a_task_dropped_with_its_runtime_is_cancelled() {
    for workers in [0, 2] {
        let runtime = runtime(workers);
        let task = runtime.handle().create_task(pending::<()>());
        runtime.block_on(yield_now());
        assert!(!task.is_cancelled());
        let handle = runtime.handle();
        drop(runtime);
        assert!(task.is_finished() && task.is_cancelled());
        let refused = handle.create_task(async {});
        assert!(refused.is_finished() && refused.is_cancelled());
    }
}

#[test]
fn a_limit_of_zero_begins_nothing() {
    both(|| async {
        let begun = Arc::new(AtomicBool::new(false));
        let seen = begun.clone();
        let late = wait_for(
            async move { seen.store(true, Ordering::Relaxed) },
            Duration::ZERO,
        );
        assert_eq!(late.await.unwrap_err().limit(), Some(Duration::ZERO));
        assert!(!begun.load(Ordering::Relaxed));
    });
}

#[test]
fn a_limit_of_zero_takes_the_result_of_a_task_that_has_ended_and_cancels_another() {
    both(|| async {
        let mut done = create_task(async { 7 });
        while !done.is_finished() {
            yield_now().await;
        }
        assert_eq!(
            wait_for(&mut done, Duration::ZERO).await.unwrap().unwrap(),
            7
        );
        let task = create_task(pending::<()>());
        let seen = task.as_ref();
        wait_for(task, Duration::ZERO).await.unwrap_err();
        assert!(seen.is_finished() && seen.is_cancelled());
    });
}
