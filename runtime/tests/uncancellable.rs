//! What goes on inside `uncancellable`: limits, groups and cancellations of its own, while a request from outside is held.

use loxley_runtime::{
    Runtime, Task, TaskError, TaskGroup, create_task, current_task, sleep, task_group, timeout,
    yield_now,
};
use loxley_sync::{CancelledError, Event, catch_cancelled, checkpoint, uncancellable};
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// Runs the test on both flavours, by a clock that jumps.
fn on_both<F: Future<Output = ()>>(test: impl Fn() -> F) {
    let builders = [
        Runtime::builder().current_thread(),
        Runtime::builder().worker_threads(2),
    ];
    for builder in builders {
        let runtime = builder.paused(true).build().unwrap();
        runtime.block_on(test());
    }
}

/// Starts `body` and asks it to stop when it has waited for a millisecond.
async fn asked<T: Send + 'static>(body: impl Future<Output = T> + Send + 'static) -> Task<T> {
    let task = create_task(body);
    sleep(MS).await;
    assert!(task.cancel_with("from outside"));
    task
}

/// Ends when the task that runs it is asked to stop, with the request.
async fn heard() -> CancelledError {
    catch_cancelled(pending::<()>()).await.unwrap_err()
}

fn message<T>(result: Result<T, TaskError>) -> Option<String> {
    match result {
        Err(TaskError::Cancelled(error)) => error.message().map(str::to_owned),
        Err(TaskError::Panicked(panic)) => panic.resume(),
        _ => panic!("it was not cancelled"),
    }
}

#[test]
fn a_limit_is_reached_although_the_task_was_asked_meanwhile() {
    on_both(|| async {
        let seen = Arc::new(Event::new());
        let sets = seen.clone();
        let task = asked(async move {
            let late = uncancellable(timeout(MS * 5, pending::<()>())).await;
            assert_eq!(late.unwrap_err().limit(), Some(MS * 5));
            assert_eq!(current_task().unwrap().cancelling(), 1);
            sets.set();
            checkpoint().await;
        });
        assert_eq!(message(task.await.await), Some("from outside".into()));
        assert!(seen.is_set());
    });
}

#[test]
fn a_limit_around_a_body_that_cleans_up_is_reached_too() {
    on_both(|| async {
        let task = asked(async {
            uncancellable(async {
                let body = async {
                    let limit = heard().await;
                    sleep(MS).await;
                    limit.reraise().await
                };
                assert!(timeout(MS * 5, body).await.is_err());
                // With the request held already, and with none inside.
                assert!(timeout(MS * 5, pending::<()>()).await.is_err());
                assert_eq!(timeout(MS * 5, async { 7 }).await, Ok(7));
            })
            .await;
            heard().await.message().map(str::to_owned)
        });
        assert_eq!(task.await.await.unwrap(), Some("from outside".into()));
    });
}

#[test]
fn of_two_limits_inside_the_outer_one_interrupts_the_inner_and_makes_the_error() {
    on_both(|| async {
        let task = asked(async {
            let limits = timeout(MS * 5, async {
                let inner = timeout(MS * 500, pending::<()>()).await;
                panic!("the outer one was reached, not {inner:?}");
            });
            let late: Result<(), _> = uncancellable(limits).await;
            late.unwrap_err().limit()
        });
        assert_eq!(task.await.await.unwrap(), Some(MS * 5));
    });
}

#[test]
fn a_group_that_ends_itself_is_no_request_from_outside() {
    on_both(|| async {
        let task = asked(async {
            let group = task_group(|tg: TaskGroup<()>| async move {
                tg.create_task(async {
                    pending::<()>().await;
                });
                let waits = async {
                    sleep(MS * 5).await;
                    tg.cancel();
                    pending::<()>().await;
                };
                waits.await;
                Ok(())
            });
            uncancellable(group)
                .await
                .is_err_and(|group| group.errors().is_empty())
        });
        assert!(task.await.await.unwrap());
    });
}

#[test]
fn what_raises_inside_ends_and_its_cancellation_goes_on_outwards() {
    on_both(|| async {
        let task = create_task(async {
            let error = heard().await;
            let caught = catch_cancelled(uncancellable(error.reraise())).await;
            let raised = caught.map(drop).unwrap_err();
            assert_eq!(raised.message(), Some("from outside"));
            uncancellable(timeout(MS, raised.reraise())).await.map(drop)
        });
        yield_now().await;
        sleep(MS).await;
        task.cancel_with("from outside");
        assert_eq!(message(task.await), Some("from outside".into()));
    });
}

#[test]
fn what_raises_inside_goes_on_outwards_although_another_request_comes_with_it() {
    on_both(|| async {
        let task = create_task(async {
            let error = heard().await;
            let raises = async move {
                current_task().unwrap().cancel_with("another");
                yield_now().await;
                error.reraise().await
            };
            let caught = catch_cancelled(uncancellable(raises)).await;
            assert_eq!(current_task().unwrap().cancelling(), 2);
            caught.map(drop).unwrap_err().message().map(str::to_owned)
        });
        sleep(MS).await;
        task.cancel_with("the first");
        assert_eq!(task.await.unwrap(), Some("the first".into()));
    });
}
