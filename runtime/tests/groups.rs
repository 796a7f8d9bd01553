//! Several tasks as one: what `shield`, `wait`, `as_completed` and the groups promise, on both flavours.

use loxley_runtime::{
    ErrorGroup, ReturnWhen, Runtime, Task, TaskGroup, as_completed, create_task, gather, race,
    shield, staggered_race, task_group, try_gather, wait, wait_for, yield_now,
};
use loxley_runtime::{TaskRef, all_tasks, current_task};
use loxley_sync::ambient::WaitKind;
use loxley_sync::{Event, catch_cancelled, oneshot};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn both<F: Future>(test: impl Fn() -> F) {
    let two = Runtime::builder().worker_threads(2).build().unwrap();
    two.block_on(test());
    let strict = Runtime::builder().current_thread().build().unwrap();
    strict.block_on(test());
}

/// A runtime whose clock jumps.
fn paused<F: Future>(test: F) -> F::Output {
    let builder = Runtime::builder().current_thread().paused(true);
    builder.build().unwrap().block_on(test)
}

/// What a panic says.
fn panic_of(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("this should panic");
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string))
        .expect("a panic with a text")
}

/// Until `count` has come that far.
async fn until(count: &AtomicUsize, target: usize) {
    while count.load(Ordering::Acquire) < target {
        yield_now().await;
    }
}

/// Until the task waits for something.
async fn until_waiting(task: &TaskRef) {
    while task.is_runnable() || task.waiting_for().kind != WaitKind::Task {
        yield_now().await;
    }
}

async fn until_finished<T>(task: &Task<T>) {
    while !task.is_finished() {
        yield_now().await;
    }
}

#[test]
fn a_shielded_task_outlives_its_cancelled_awaiter() {
    both(|| async {
        let (done, is_done) = oneshot::channel();
        let go = Arc::new(Event::new());
        let inner = create_task({
            let go = go.clone();
            async move {
                go.wait().await;
                let _ = done.send(7);
            }
        });
        let waiter = create_task(shield::<()>(inner));
        yield_now().await;
        waiter.cancel();
        assert!(waiter.await.unwrap_err().is_cancelled());
        go.set();
        assert_eq!(is_done.await.unwrap(), 7);
    });
}

#[test]
fn a_shield_gives_the_value_and_spawns_a_future() {
    both(|| async {
        assert_eq!(shield(async { 3 }).await.unwrap(), 3);
        let value: u32 = shield(create_task(async { 4 })).await.unwrap();
        assert_eq!(value, 4);
    });
}

#[test]
fn a_task_cancelled_behind_its_shield_ends_the_shield() {
    both(|| async {
        let inner = create_task(pending::<()>());
        let seen = inner.as_ref();
        let waiter = create_task(shield::<()>(inner));
        yield_now().await;
        seen.cancel();
        assert!(waiter.await.unwrap().unwrap_err().is_cancelled());
    });
}

#[test]
fn wait_gives_all_tasks_back_in_their_order() {
    both(|| async {
        let tasks: Vec<_> = (0..100).map(|n| create_task(async move { n })).collect();
        let waited = wait(tasks).await;
        assert!(waited.pending.is_empty());
        for (n, task) in waited.done.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), n);
        }
    });
}

#[test]
fn wait_for_the_first_leaves_the_others_running() {
    both(|| async {
        let go = Arc::new(Event::new());
        let slow = create_task({
            let go = go.clone();
            async move {
                go.wait().await;
                1
            }
        });
        let fast = create_task(async { 2 });
        let waited = wait([slow, fast])
            .return_when(ReturnWhen::FirstCompleted)
            .await;
        assert_eq!((waited.done.len(), waited.pending.len()), (1, 1));
        go.set();
        for task in waited.pending {
            assert_eq!(task.await.unwrap(), 1);
        }
    });
}

#[test]
fn wait_that_runs_out_of_time_cancels_nothing() {
    paused(async {
        let slow = create_task(loxley_runtime::sleep(Duration::from_secs(5)));
        let mut waited = wait([slow]).timeout(Duration::from_secs(1)).await;
        assert!(waited.done.is_empty());
        waited.pending.pop().unwrap().await.unwrap();
    });
}

#[test]
fn a_cancelled_wait_cancels_nothing() {
    both(|| async {
        let (done, is_done) = oneshot::channel();
        let go = Arc::new(Event::new());
        let inner = create_task({
            let go = go.clone();
            async move {
                go.wait().await;
                let _ = done.send(());
            }
        });
        let waiter = create_task(wait([inner]));
        yield_now().await;
        waiter.cancel();
        assert!(waiter.await.unwrap_err().is_cancelled());
        go.set();
        is_done.await.unwrap();
    });
}

#[test]
fn wait_on_nothing_panics_at_the_callers_line() {
    let text = panic_of(|| drop(wait::<()>([])));
    assert!(text.contains("wait on nothing"), "{text}");
}

#[test]
fn tasks_come_in_the_order_in_which_they_end() {
    paused(async {
        let tasks = [30, 10, 20].map(|ms| {
            create_task(async move {
                loxley_runtime::sleep(Duration::from_millis(ms)).await;
                ms
            })
        });
        let mut ended = as_completed(tasks);
        let mut order = Vec::new();
        while let Some(task) = ended.next().await {
            order.push(task.await.unwrap());
        }
        assert_eq!(order, [10, 20, 30]);
    });
}

#[test]
fn as_completed_out_of_time_gives_the_rest_back_running() {
    paused(async {
        let tasks = [1, 9].map(|s| create_task(loxley_runtime::sleep(Duration::from_secs(s))));
        let mut ended = as_completed(tasks).timeout(Duration::from_secs(3));
        assert!(ended.next().await.is_some());
        assert!(ended.next().await.is_none());
        assert!(ended.next().await.is_none());
        assert_eq!(ended.len(), 1);
        for task in ended.into_pending() {
            task.await.unwrap();
        }
    });
}

#[test]
fn many_tasks_on_many_workers_come_exactly_once() {
    both(|| async {
        let tasks = (0..2_000_usize).map(|n| {
            create_task(async move {
                for _ in 0..n % 4 {
                    yield_now().await;
                }
                n
            })
        });
        let mut ended = as_completed(tasks);
        let mut seen = vec![false; 2_000];
        while let Some(task) = ended.next().await {
            let n = task.await.unwrap();
            assert!(!std::mem::replace(&mut seen[n], true));
        }
        assert!(seen.into_iter().all(|seen| seen));
    });
}

#[test]
fn a_task_that_had_ended_before_is_found_at_once() {
    both(|| async {
        let task = create_task(async { 5 });
        until_finished(&task).await;
        let mut waited = wait([task]).await;
        assert_eq!(waited.done.pop().unwrap().await.unwrap(), 5);
    });
}

#[test]
fn gather_gives_values_in_the_order_given() {
    both(|| async {
        let task = create_task(async { 2 });
        let (a, b, c): (i32, i32, &str) = gather((async { 1 }, task, async { "c" })).await.unwrap();
        assert_eq!((a, b, c), (1, 2, "c"));
        let many = gather((0..300).map(|n| async move {
            for _ in 0..n % 3 {
                yield_now().await;
            }
            n
        }));
        assert_eq!(many.await.unwrap(), (0..300).collect::<Vec<_>>());
        let nothing: [Task<()>; 0] = [];
        assert_eq!(gather::<Vec<()>, _>(nothing).await.unwrap(), []);
    });
}

#[test]
fn the_first_failure_ends_a_gathering_and_the_others_run_on() {
    both(|| async {
        let go = Arc::new(Event::new());
        let (done, is_done) = oneshot::channel();
        let slow = {
            let go = go.clone();
            async move {
                go.wait().await;
                let _ = done.send(());
            }
        };
        let failed = gather((slow, async { panic!("on purpose") })).await;
        assert!(failed.map(|((), ())| ()).unwrap_err().is_panic());
        go.set();
        is_done.await.unwrap();
    });
}

#[test]
fn gather_with_errors_waits_for_all() {
    both(|| async {
        let cancelled = create_task(pending::<()>());
        cancelled.cancel();
        let (a, b): (Result<(), _>, _) = gather((cancelled, async { 1 })).return_errors().await;
        assert!(a.unwrap_err().is_cancelled());
        assert_eq!(b.unwrap(), 1);
    });
}

#[test]
fn a_gathering_that_is_cancelled_cancels_its_tasks() {
    both(|| async {
        let all = gather((0..3).map(|_| pending::<()>()));
        assert!(all.cancel());
        for result in all.return_errors().await {
            assert!(result.unwrap_err().is_cancelled());
        }
    });
}

#[derive(Debug, PartialEq)]
enum Trouble {
    Own(u32),
    Task(String),
}

impl From<loxley_runtime::TaskError> for Trouble {
    fn from(error: loxley_runtime::TaskError) -> Self {
        Self::Task(error.to_string())
    }
}

#[test]
fn try_gather_gives_the_first_error_whichever_kind_it_is() {
    both(|| async {
        let fine = |n: u32| async move { Ok::<_, Trouble>(n) };
        assert_eq!(try_gather((fine(1), fine(2))).await, Ok((1, 2)));
        assert_eq!(try_gather([fine(1), fine(2)]).await, Ok(vec![1, 2]));
        let bad = async { Err::<(), _>(Trouble::Own(7)) };
        let never = pending::<Result<(), Trouble>>();
        assert_eq!(try_gather((never, bad)).await, Err(Trouble::Own(7)));
        let panics = async { panic!("on purpose") };
        let result: Result<((), u32), _> = try_gather((panics, fine(1))).await;
        assert!(matches!(result, Err(Trouble::Task(text)) if text.contains("on purpose")));
    });
}

type Outcome<T> = Result<T, ErrorGroup<Trouble>>;

/// Counts how many are there now, and were at most.
#[derive(Default)]
struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
    started: AtomicUsize,
    asked: AtomicUsize,
}

struct Present(Arc<Crowd>);

impl Present {
    fn enter(crowd: &Arc<Crowd>) -> Self {
        let now = crowd.now.fetch_add(1, Ordering::AcqRel) + 1;
        crowd.most.fetch_max(now, Ordering::AcqRel);
        Self(crowd.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::AcqRel);
    }
}

#[test]
fn a_group_ends_after_all_its_children() {
    both(|| async {
        let crowd = Arc::new(Crowd::default());
        let sum = task_group(|tg: TaskGroup<Trouble>| {
            let crowd = crowd.clone();
            async move {
                let mut sum = 0;
                for n in 0..200 {
                    let present = Present::enter(&crowd);
                    let child = tg.create_task(async move {
                        let _present = present;
                        yield_now().await;
                        Ok(n)
                    });
                    if n % 2 == 0 {
                        sum += child.await?;
                    }
                }
                Ok(sum)
            }
        })
        .await;
        assert_eq!(sum.unwrap(), 9_900);
        assert_eq!(crowd.now.load(Ordering::Acquire), 0);
    });
}

#[test]
fn the_first_error_cancels_body_and_siblings_and_all_errors_are_given() {
    both(|| async {
        let crowd = Arc::new(Crowd::default());
        let failed: Outcome<()> = task_group(|tg: TaskGroup<Trouble>| {
            let crowd = crowd.clone();
            async move {
                for _ in 0..5 {
                    let present = Present::enter(&crowd);
                    tg.create_task(async move {
                        let _present = present;
                        pending::<()>().await;
                    });
                }
                tg.create_task(async { Err::<(), _>(Trouble::Own(1)) });
                let _body = Present::enter(&crowd);
                pending().await
            }
        })
        .await;
        assert_eq!(failed.unwrap_err().errors(), [Trouble::Own(1)]);
        assert_eq!(crowd.now.load(Ordering::Acquire), 0);
    });
}

#[test]
fn an_error_of_the_body_joins_those_of_the_children() {
    both(|| async {
        let failed: Outcome<()> = task_group(|tg: TaskGroup<Trouble>| async move {
            let child = tg.create_task(async {
                yield_now().await;
                Err::<(), _>(Trouble::Own(1))
            });
            until_finished(&child).await;
            Err(Trouble::Own(2))
        })
        .await;
        assert!(failed.unwrap_err().errors().contains(&Trouble::Own(1)));
        let failed: Outcome<()> =
            task_group(|_: TaskGroup<Trouble>| async { Err(Trouble::Own(2)) }).await;
        assert_eq!(failed.unwrap_err().into_errors(), [Trouble::Own(2)]);
    });
}

#[test]
fn a_child_that_is_merely_cancelled_ends_alone() {
    both(|| async {
        let value = task_group(|tg: TaskGroup<Trouble>| async move {
            let child = tg.create_task(pending::<()>());
            child.cancel();
            assert!(child.await.unwrap_err().is_cancelled());
            Ok(3)
        });
        assert_eq!(value.await.unwrap(), 3);
    });
}

#[test]
fn the_handle_of_a_child_that_failed_says_so() {
    both(|| async {
        let (give, take) = oneshot::channel();
        let failed: Outcome<()> = task_group(|tg: TaskGroup<Trouble>| async move {
            let child = tg.create_task(async { Err::<(), _>(Trouble::Own(1)) });
            let _ = give.send(child);
            Ok(())
        })
        .await;
        assert_eq!(failed.unwrap_err().into_errors(), [Trouble::Own(1)]);
        assert!(take.await.unwrap().await.unwrap_err().is_cancelled());
    });
}

#[test]
fn children_add_siblings_while_the_group_waits_for_its_end() {
    both(|| async {
        fn grow(tg: &TaskGroup<Trouble>, depth: u32, count: &Arc<AtomicUsize>) {
            count.fetch_add(1, Ordering::AcqRel);
            if depth == 0 {
                return;
            }
            for _ in 0..2 {
                let (tg2, count) = (tg.clone(), count.clone());
                tg.create_task(async move {
                    yield_now().await;
                    grow(&tg2, depth - 1, &count);
                });
            }
        }
        let count = Arc::new(AtomicUsize::new(0));
        task_group(|tg| {
            grow(&tg, 7, &count);
            async { Ok(()) }
        })
        .await
        .unwrap();
        assert_eq!(count.load(Ordering::Acquire), 255);
    });
}

#[test]
fn a_panic_of_a_child_goes_on_in_the_parent_after_all_have_ended() {
    both(|| async {
        let crowd = Arc::new(Crowd::default());
        let parent = create_task({
            let crowd = crowd.clone();
            task_group(move |tg: TaskGroup<Trouble>| async move {
                for _ in 0..5 {
                    let present = Present::enter(&crowd);
                    tg.create_task(async move {
                        let _present = present;
                        pending::<()>().await;
                    });
                }
                // Of type `Result`, which a lone panic would not be.
                tg.create_task(async {
                    if all_tasks().is_empty() {
                        return Err::<(), _>(Trouble::Own(0));
                    }
                    panic!("on purpose")
                });
                pending::<Result<(), Trouble>>().await
            })
        });
        let error = parent.await.unwrap_err();
        assert!(error.to_string().contains("on purpose"), "{error}");
        assert_eq!(crowd.now.load(Ordering::Acquire), 0);
    });
}

#[test]
fn a_panic_of_the_body_waits_for_the_children() {
    both(|| async {
        let crowd = Arc::new(Crowd::default());
        let parent = create_task({
            let crowd = crowd.clone();
            task_group::<Trouble, (), _, _>(move |tg| async move {
                let present = Present::enter(&crowd);
                tg.create_task(async move {
                    let _present = present;
                    pending::<()>().await;
                });
                panic!("on purpose")
            })
        });
        assert!(parent.await.unwrap_err().is_panic());
        assert_eq!(crowd.now.load(Ordering::Acquire), 0);
    });
}

#[test]
fn a_group_that_cancels_itself_ends_without_errors() {
    both(|| async {
        let cancelled: Outcome<()> = task_group(|tg: TaskGroup<Trouble>| async move {
            let canceller = tg.clone();
            tg.create_task(async move {
                canceller.cancel();
                canceller.cancel();
                pending::<()>().await;
            });
            pending().await
        })
        .await;
        assert!(cancelled.unwrap_err().is_cancelled());
        // A body that needs no wait keeps its value.
        let kept: Outcome<u32> = task_group(|tg: TaskGroup<Trouble>| async move {
            tg.create_task(pending::<()>());
            tg.cancel();
            Ok(5)
        })
        .await;
        assert_eq!(kept.unwrap(), 5);
        yield_now().await;
    });
}

#[test]
fn no_child_starts_in_a_group_that_shuts_down() {
    both(|| async {
        let started = Arc::new(AtomicUsize::new(0));
        task_group(|tg: TaskGroup<Trouble>| {
            let started = started.clone();
            async move {
                tg.cancel();
                tg.create_task(async move {
                    started.fetch_add(1, Ordering::AcqRel);
                });
                Ok(())
            }
        })
        .await
        .unwrap();
        assert_eq!(started.load(Ordering::Acquire), 0);
    });
}

#[test]
fn a_child_of_a_group_that_has_ended_panics_at_the_callers_line() {
    both(|| async {
        let tg = task_group(|tg: TaskGroup<Trouble>| async move { Ok(tg) });
        let tg = tg.await.unwrap();
        let text = panic_of(|| drop(tg.create_task(async {})));
        assert!(text.contains("this task group has ended"), "{text}");
        tg.cancel();
    });
}

#[test]
fn a_group_with_a_limit_runs_no_more_at_once_and_all_in_the_end() {
    both(|| async {
        let crowd = Arc::new(Crowd::default());
        let ran = TaskGroup::<Trouble>::builder().limit(3).run(|tg| {
            let crowd = crowd.clone();
            async move {
                for _ in 0..50 {
                    let crowd = crowd.clone();
                    tg.create_task(async move {
                        let _present = Present::enter(&crowd);
                        yield_now().await;
                        yield_now().await;
                    });
                }
                Ok(())
            }
        });
        ran.await.unwrap();
        assert_eq!(crowd.now.load(Ordering::Acquire), 0);
        assert!(crowd.most.load(Ordering::Acquire) <= 3);
    });
}

#[test]
fn a_group_that_is_dropped_cancels_its_children() {
    both(|| async {
        let gone = Arc::new(Event::new());
        struct Tells(Arc<Event>);
        impl Drop for Tells {
            fn drop(&mut self) {
                self.0.set();
            }
        }
        let tells = Tells(gone.clone());
        let parent = create_task(task_group(|tg: TaskGroup<Trouble>| async move {
            tg.create_task(async move {
                let _tells = tells;
                pending::<()>().await;
            });
            pending::<Result<(), Trouble>>().await
        }));
        yield_now().await;
        parent.cancel();
        assert!(parent.await.unwrap_err().is_cancelled());
        gone.wait().await;
    });
}

#[test]
fn groups_nest_and_pass_their_errors_outwards() {
    both(|| async {
        let failed: Result<(), ErrorGroup<ErrorGroup<Trouble>>> =
            task_group(|outer: TaskGroup<ErrorGroup<Trouble>>| async move {
                outer.create_task(task_group(|inner: TaskGroup<Trouble>| async move {
                    inner.create_task(async { Err::<(), _>(Trouble::Own(1)) });
                    Ok(())
                }));
                Ok(())
            })
            .await;
        let inner = failed.unwrap_err().into_errors().pop().unwrap();
        assert_eq!(inner.into_errors(), [Trouble::Own(1)]);
    });
}

#[test]
fn an_error_group_is_split_by_what_its_errors_are() {
    both(|| async {
        let failed: Outcome<()> = task_group(|tg: TaskGroup<Trouble>| async move {
            tg.create_task(async { Err::<(), _>(Trouble::Own(1)) });
            Ok(())
        })
        .await;
        let (own, others) = failed.unwrap_err().split(|e| matches!(e, Trouble::Own(_)));
        assert_eq!((own.unwrap().errors().len(), others), (1, None));
    });
}

/// A task that, asked to stop, waits for `go` before it ends.
fn cleans_up(go: &Arc<Event>, crowd: &Arc<Crowd>) -> impl Future<Output = ()> + Send + 'static {
    let (go, present) = (go.clone(), Present::enter(crowd));
    async move {
        let crowd = present.0.clone();
        let _present = present;
        crowd.started.fetch_add(1, Ordering::AcqRel);
        if let Err(cancelled) = catch_cancelled(pending::<()>()).await {
            crowd.asked.fetch_add(1, Ordering::AcqRel);
            go.wait().await;
            cancelled.reraise().await;
        }
    }
}

#[test]
fn a_cancelled_group_waits_for_the_clean_up_of_its_children_then_goes_on_unwinding() {
    both(|| async {
        let (go, crowd) = (Arc::new(Event::new()), Arc::new(Crowd::default()));
        let parent = create_task({
            let (go, crowd) = (go.clone(), crowd.clone());
            async move {
                task_group(|tg: TaskGroup<Trouble>| async move {
                    for _ in 0..3 {
                        tg.create_task(cleans_up(&go, &crowd));
                    }
                    drop(tg);
                    pending::<Result<(), Trouble>>().await
                })
                .await
            }
        });
        until(&crowd.started, 3).await;
        parent.cancel_with("outside");
        until(&crowd.asked, 3).await;
        parent.cancel_with("again");
        yield_now().await;
        assert!(!parent.is_finished());
        go.set();
        let error = parent.await.unwrap_err();
        assert!(
            error.is_cancelled() && error.to_string().contains("outside"),
            "{error}"
        );
        assert_eq!(crowd.now.load(Ordering::Acquire), 0);
    });
}

#[test]
fn a_body_may_clean_up_when_a_child_fails() {
    both(|| async {
        let cleaned = Arc::new(AtomicUsize::new(0));
        let failed: Outcome<()> = task_group(|tg: TaskGroup<Trouble>| {
            let cleaned = cleaned.clone();
            async move {
                tg.create_task(async { Err::<(), _>(Trouble::Own(1)) });
                let error = catch_cancelled(pending::<()>()).await.unwrap_err();
                yield_now().await;
                cleaned.fetch_add(1, Ordering::AcqRel);
                error.reraise().await
            }
        })
        .await;
        assert_eq!(failed.unwrap_err().errors(), [Trouble::Own(1)]);
        assert_eq!(cleaned.load(Ordering::Acquire), 1);
        assert_eq!(current_task().unwrap().cancelling(), 0);
        yield_now().await;
    });
}

#[test]
fn a_body_that_awaits_the_child_that_fails_adds_no_error_of_its_own() {
    both(|| async {
        for _ in 0..50 {
            let failed: Outcome<()> = task_group(|tg: TaskGroup<Trouble>| async move {
                let child = tg.create_task(async {
                    yield_now().await;
                    Err::<(), _>(Trouble::Own(1))
                });
                Ok(child.await?)
            })
            .await;
            assert_eq!(failed.unwrap_err().into_errors(), [Trouble::Own(1)]);
        }
    });
}

#[test]
fn a_request_from_outside_that_meets_errors_is_heard_at_the_next_wait() {
    both(|| async {
        let go = Arc::new(Event::new());
        let started = Arc::new(AtomicUsize::new(0));
        let parent = create_task({
            let (go, started) = (go.clone(), started.clone());
            async move {
                let failed: Outcome<()> = task_group(|tg: TaskGroup<Trouble>| async move {
                    tg.create_task(async move {
                        started.fetch_add(1, Ordering::AcqRel);
                        let _ = catch_cancelled(pending::<()>()).await;
                        go.wait().await;
                        Err::<(), _>(Trouble::Own(1))
                    });
                    pending().await
                })
                .await;
                assert_eq!(failed.unwrap_err().errors(), [Trouble::Own(1)]);
                assert_eq!(current_task().unwrap().cancelling(), 1);
                pending::<()>().await;
            }
        });
        until(&started, 1).await;
        parent.cancel();
        go.set();
        let error = parent.await.unwrap_err();
        assert!(error.is_cancelled(), "{error}");
    });
}

#[test]
fn cancelling_the_awaiter_of_a_gathering_cancels_every_task_of_it() {
    both(|| async {
        let (go, crowd) = (Arc::new(Event::new()), Arc::new(Crowd::default()));
        let (a, b) = (
            create_task(cleans_up(&go, &crowd)),
            create_task(cleans_up(&go, &crowd)),
        );

        let parent = create_task(async move { gather::<((), ()), _>((a, b)).await });
        until(&crowd.started, 2).await;
        until_waiting(&parent.as_ref()).await;
        parent.cancel();
        until(&crowd.asked, 2).await;
        assert!(!parent.is_finished());
        go.set();
        assert!(parent.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_gathering_whose_tasks_all_refuse_is_cancelled_when_they_have_ended() {
    both(|| async {
        let refuses = || async {
            let _ = catch_cancelled(pending::<()>()).await;
            3
        };
        let (a, b) = (create_task(refuses()), create_task(refuses()));
        let (seen_a, seen_b) = (a.as_ref(), b.as_ref());
        let parent = create_task(gather::<(i32, i32), _>((a, b)));
        for task in [seen_a, seen_b] {
            while task.is_runnable() {
                yield_now().await;
            }
        }
        until_waiting(&parent.as_ref()).await;
        parent.cancel();
        assert!(parent.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn the_losers_of_a_race_are_gone_before_its_value_is_there() {
    both(|| async {
        let crowd = Arc::new(Crowd::default());
        let runners = [3_u32, 1, 2].map(|turns| {
            let present = Present::enter(&crowd);
            async move {
                let _present = present;
                for _ in 0..turns {
                    yield_now().await;
                }
                turns
            }
        });
        assert_eq!(race(runners).await, 1);
        assert_eq!(crowd.now.load(Ordering::Acquire), 0);
    });
}

#[test]
fn a_race_between_nothing_panics_at_the_callers_line() {
    let text = panic_of(|| drop(race([(); 0].map(std::future::ready))));
    assert!(text.contains("race between nothing"), "{text}");
}

#[test]
fn a_staggered_race_starts_the_next_when_one_fails_or_takes_too_long() {
    paused(async {
        let started = AtomicUsize::new(0);
        let attempt = |after: u64, outcome: Result<u64, u64>| {
            let started = &started;
            move || async move {
                started.fetch_add(1, Ordering::AcqRel);
                loxley_runtime::sleep(Duration::from_secs(after)).await;
                outcome
            }
        };
        let delay = Some(Duration::from_secs(2));
        let attempts = [
            attempt(1, Err(1)),
            attempt(9, Ok(2)),
            attempt(3, Ok(3)),
            attempt(0, Ok(4)),
        ];
        // 1 fails after 1 s, 2 starts; 3 starts after 3 s, 4 after 5 s and wins at once.
        assert_eq!(staggered_race(attempts, delay).await, Ok(4));
        assert_eq!(started.load(Ordering::Acquire), 4);
        let failing = [attempt(2, Err(1)), attempt(1, Err(2))];
        assert_eq!(staggered_race(failing, None).await, Err(vec![1, 2]));
        let mut nothing = vec![attempt(0, Ok(0))];
        nothing.clear();
        assert_eq!(staggered_race(nothing, None).await, Err(vec![]));
    });
}

#[test]
fn wait_for_waits_for_the_clean_up_of_the_task_it_had_to_cancel() {
    paused(async {
        let began = create_task(async {
            let _ = catch_cancelled(pending::<()>()).await;
            loxley_runtime::sleep(Duration::from_secs(5)).await;
            7
        });
        // It refuses and gives a value.
        let value = wait_for(began, Duration::from_secs(1)).await;
        assert_eq!(value.unwrap().unwrap(), 7);
        let task = create_task(pending::<()>());
        let seen = task.as_ref();
        wait_for(task, Duration::from_secs(1)).await.unwrap_err();
        assert!(seen.is_cancelled());
    });
}
