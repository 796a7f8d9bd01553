//! What a task hears when it is asked to stop, and where; the rules are asyncio's.

use loxley_runtime::{
    Runtime, Task, TaskError, TaskRef, create_task, current_task, gather, run, sleep, timeout,
    yield_now,
};
use loxley_sync::ambient::WaitKind;
use loxley_sync::{
    CancelledError, Condition, Event, Lock, Queue, catch_cancelled, checkpoint, oneshot,
    uncancellable, with_cleanup,
};
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

const MS: std::time::Duration = std::time::Duration::from_millis(1);

/// Runs the test on both flavours.
fn on_both<F: Future<Output = ()>>(test: impl Fn() -> F) {
    run(test());
    let strict = Runtime::builder().current_thread().build().unwrap();
    strict.block_on(test());
}

fn me() -> TaskRef {
    current_task().expect("a task runs this")
}

fn cancelled(result: Result<impl Sized, TaskError>) -> CancelledError {
    match result {
        Err(TaskError::Cancelled(error)) => error,
        Err(TaskError::Panicked(panic)) => panic.resume(),
        _ => panic!("it was not cancelled"),
    }
}

#[test]
fn the_innermost_catch_hears_the_request_and_may_wait() {
    on_both(|| async {
        let (started, cleaned) = (Event::new(), Event::new());
        let (started, cleaned) = (Arc::new(started), Arc::new(cleaned));
        let (begin, end) = (started.clone(), cleaned.clone());
        let task = create_task(async move {
            let outer = catch_cancelled(async {
                let inner = catch_cancelled(async {
                    begin.set();
                    pending::<()>().await;
                });
                let error = inner.await.unwrap_err();
                yield_now().await;
                end.set();
                error
            });
            outer
                .await
                .expect("the inner one took it")
                .message()
                .map(str::to_owned)
        });
        started.wait().await;
        assert!(task.cancel_with("enough"));
        cleaned.wait().await;
        assert_eq!(task.await.unwrap().as_deref(), Some("enough"));
    });
}

#[test]
fn a_request_that_is_raised_again_ends_the_task_cancelled() {
    on_both(|| async {
        let task = create_task(async {
            if let Err(error) = catch_cancelled(pending::<()>()).await {
                yield_now().await;
                error.reraise().await;
            }
            7
        });
        yield_now().await;
        task.cancel_with("stop");
        let watcher = task.as_ref();
        assert_eq!(cancelled(task.await).message(), Some("stop"));
        assert!(watcher.is_cancelled());
        assert_eq!(watcher.cancelling(), 1);
    });
}

#[test]
fn a_task_that_never_ran_runs_nothing() {
    let strict = Runtime::builder().current_thread().build().unwrap();
    strict.block_on(async {
        let ran = Arc::new(AtomicUsize::new(0));
        let count = ran.clone();
        let task = create_task(async move {
            count.fetch_add(1, Ordering::Relaxed);
            let _ = catch_cancelled(pending::<()>()).await;
        });
        assert!(task.cancel_with("first"));
        assert!(task.cancel_with("last"));
        assert_eq!(task.cancelling(), 2);
        assert!(!task.is_cancelled(), "not before it has ended");
        // Not waiting yet, so the last message stands.
        assert_eq!(cancelled(task.await).message(), Some("last"));
        assert_eq!(ran.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn of_two_requests_to_a_waiting_task_the_first_message_stands() {
    let strict = Runtime::builder().current_thread().build().unwrap();
    strict.block_on(async {
        let task = create_task(async {
            let error = catch_cancelled(pending::<()>()).await.unwrap_err();
            (error.message().map(str::to_owned), me().cancelling())
        });
        yield_now().await;
        task.cancel_with("first");
        task.cancel_with("last");
        assert_eq!(task.await.unwrap(), (Some("first".to_owned()), 2));
    });
}

#[test]
fn a_task_that_asks_itself_hears_it_where_it_next_waits() {
    on_both(|| async {
        let lock = Arc::new(Lock::new(()));
        let free = lock.clone();
        let task = create_task(async move {
            let caught = catch_cancelled(async {
                assert!(me().cancel_with("myself"));
                // Awaits that are ready at once do not hear it.
                drop(free.acquire().await);
                yield_now().await;
                unreachable!("it was asked before it waited");
            });
            let error: CancelledError = caught.await.unwrap_err();
            assert_eq!(error.message(), Some("myself"));
            me().uncancel()
        });
        assert_eq!(task.await.unwrap(), 0);
    });
}

#[test]
fn a_task_that_asks_itself_and_returns_ends_cancelled_and_its_value_is_dropped() {
    on_both(|| async {
        let value = Arc::new(());
        let given = value.clone();
        let task = create_task(async move {
            me().cancel_with("myself");
            given
        });
        assert_eq!(cancelled(task.await).message(), Some("myself"));
        assert_eq!(Arc::strong_count(&value), 1);
    });
}

#[test]
fn clean_up_can_be_interrupted_by_a_further_request() {
    let strict = Runtime::builder().current_thread().build().unwrap();
    strict.block_on(async {
        let task = create_task(async {
            let first = catch_cancelled(pending::<()>()).await.unwrap_err();
            let second = catch_cancelled(pending::<()>()).await.unwrap_err();
            format!("{first} / {second}")
        });
        yield_now().await;
        task.cancel_with("one");
        yield_now().await;
        task.cancel_with("two");
        let said = task.await.unwrap();
        assert!(said.contains("one") && said.contains("two"), "{said}");
    });
}

#[test]
fn what_waits_inside_a_scope_makes_no_step_once_the_task_was_asked() {
    let strict = Runtime::builder().current_thread().build().unwrap();
    strict.block_on(async {
        let steps = Arc::new(AtomicUsize::new(0));
        let ours = steps.clone();
        let task = create_task(async move {
            let walks = async {
                loop {
                    yield_now().await;
                    ours.fetch_add(1, Ordering::Relaxed);
                }
            };
            let caught: Result<(), _> = catch_cancelled(walks).await;
            assert!(caught.is_err());
            ours.load(Ordering::Relaxed)
        });
        for _ in 0..3 {
            yield_now().await;
        }
        let before = steps.load(Ordering::Relaxed);
        assert!(before > 0);
        task.cancel();
        assert_eq!(task.await.unwrap(), before);
    });
}

#[test]
fn a_member_of_a_set_with_a_waker_of_its_own_hears_a_request() {
    let strict = Runtime::builder().current_thread().build().unwrap();
    strict.block_on(async {
        let inner = create_task(pending::<()>());
        let seen = inner.as_ref();
        let outer = create_task(async move {
            let mut member = pin!(catch_cancelled(inner));
            let flag = Arc::new(Flag::default());
            let own = Waker::from(flag.clone());
            let mut polled = false;
            poll_fn(|cx| {
                *flag.parent.lock().unwrap() = Some(cx.waker().clone());
                // As a set does: only a member whose own waker was called is polled.
                if polled && !flag.is_up.swap(false, Ordering::Relaxed) {
                    return Poll::Pending;
                }
                polled = true;
                member.as_mut().poll(&mut Context::from_waker(&own))
            })
            .await
        });
        yield_now().await;
        assert!(outer.cancel());
        assert!(outer.await.unwrap().is_err());
        assert!(seen.is_cancelled());
    });
}

/// The waker of one member of a set.
#[derive(Default)]
struct Flag {
    is_up: AtomicBool,
    parent: Mutex<Option<Waker>>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.is_up.store(true, Ordering::Relaxed);
        let parent = self.parent.lock().unwrap().clone();
        if let Some(parent) = parent {
            parent.wake();
        }
    }
}

#[test]
fn uncancel_takes_back_what_has_not_been_heard() {
    let strict = Runtime::builder().current_thread().build().unwrap();
    strict.block_on(async {
        let task = create_task(async {
            me().cancel();
            assert_eq!(me().uncancel(), 0);
            yield_now().await;
            7
        });
        assert_eq!(task.await.unwrap(), 7);
    });
}

#[test]
fn a_request_to_the_awaiter_goes_to_the_task_it_awaits() {
    let strict = Runtime::builder().current_thread().build().unwrap();
    strict.block_on(async {
        let inner = create_task(pending::<()>());
        let seen = inner.as_ref();
        let outer = create_task(async move { inner.await.expect("unwinds instead") });
        yield_now().await;
        assert!(outer.cancel_with("through"));
        assert_eq!(cancelled(outer.await).message(), Some("through"));
        assert!(seen.is_cancelled());
    });
}

/// A task that waits until it is given another one, and awaits that: alone, or as one of a gathering.
fn awaits_what_it_is_given(gathered: bool) -> (oneshot::Sender<Task<()>>, Task<()>) {
    let (give, given) = oneshot::channel::<Task<()>>();
    let task = create_task(async move {
        let next = given.await.unwrap();
        if gathered {
            let ended = gather::<(u8, ()), _>((create_task(async { 1 }), next)).await;
            ended.unwrap();
        } else {
            next.await.unwrap();
        }
    });
    (give, task)
}

#[test]
fn tasks_that_await_each_other_in_a_ring_end_when_one_of_them_is_asked() {
    for (length, gathered, requests) in [(2, false, 1), (3, true, 1), (2, true, 3), (7, false, 7)] {
        on_both(|| async {
            let (gives, tasks): (Vec<_>, Vec<_>) = (0..length)
                .map(|_| awaits_what_it_is_given(gathered))
                .unzip();
            let seen: Vec<_> = tasks.iter().map(Task::as_ref).collect();
            let mut tasks = tasks.into_iter();
            let first = tasks.next().unwrap();
            for (give, next) in gives.into_iter().zip(tasks.chain([first])) {
                give.send(next).unwrap();
            }
            while seen
                .iter()
                .any(|task| task.waiting_for().kind != WaitKind::Task)
            {
                yield_now().await;
            }
            for task in seen.iter().take(requests) {
                task.cancel_with("enough");
            }
            while !seen.iter().all(TaskRef::is_finished) {
                yield_now().await;
            }
            assert!(seen.iter().all(TaskRef::is_cancelled));
        });
    }
}

#[test]
fn an_awaited_task_that_refuses_gives_its_value() {
    let strict = Runtime::builder().current_thread().build().unwrap();
    strict.block_on(async {
        let inner = create_task(async {
            let _ = catch_cancelled(pending::<()>()).await;
            7
        });
        let outer = create_task(async move {
            yield_now().await;
            (inner.await.unwrap(), me().cancelling())
        });
        for _ in 0..3 {
            yield_now().await;
        }
        assert!(outer.cancel());
        assert_eq!(outer.await.unwrap(), (7, 1));
    });
}

#[test]
fn a_catch_around_an_awaited_task_hears_it_after_the_task() {
    let strict = Runtime::builder().current_thread().build().unwrap();
    strict.block_on(async {
        let inner = create_task(async {
            with_cleanup(pending::<()>(), |_| yield_now()).await;
        });
        let seen = inner.as_ref();
        let outer = create_task(async move {
            let caught = catch_cancelled(inner).await;
            assert!(seen.is_finished(), "the inner one has cleaned up");
            caught.is_err()
        });
        for _ in 0..3 {
            yield_now().await;
        }
        outer.cancel();
        assert!(outer.await.unwrap());
    });
}

#[test]
fn nothing_inside_uncancellable_hears_a_request_and_the_next_wait_does() {
    let strict = Runtime::builder().current_thread().build().unwrap();
    strict.block_on(async {
        let gate = Arc::new(Event::new());
        let open = gate.clone();
        let done = Arc::new(AtomicUsize::new(0));
        let steps = done.clone();
        let task = create_task(async move {
            uncancellable(async {
                catch_cancelled(open.wait())
                    .await
                    .expect("not heard in here");
                steps.fetch_add(1, Ordering::Relaxed);
            })
            .await;
            steps.fetch_add(1, Ordering::Relaxed);
            checkpoint().await;
            steps.fetch_add(1, Ordering::Relaxed);
        });
        yield_now().await;
        task.cancel_with("later");
        yield_now().await;
        assert!(!task.is_finished());
        gate.set();
        assert_eq!(cancelled(task.await).message(), Some("later"));
        assert_eq!(done.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn a_marked_scope_that_loses_a_race_gives_the_request_back() {
    let strict = Runtime::builder().current_thread().build().unwrap();
    strict.block_on(async {
        let queue = Queue::new(0);
        let items = queue.clone();
        let task = create_task(async move {
            let mut caught = Box::pin(catch_cancelled(pending::<()>()));
            let item = poll_fn(|cx| {
                // The branch with the scope is polled once, and never again when there is an item.
                if let Ok(item) = items.get_nowait() {
                    return Poll::Ready(item);
                }
                assert!(caught.as_mut().poll(cx).is_pending());
                Poll::Pending
            })
            .await;
            drop(caught);
            let after = catch_cancelled(yield_now()).await;
            (item, after.is_err())
        });
        yield_now().await;
        queue.put_nowait(7).unwrap();
        task.cancel();
        assert_eq!(task.await.unwrap(), (7, true));
    });
}

#[test]
fn a_scope_that_moves_to_another_task_hears_that_one() {
    let strict = Runtime::builder().current_thread().build().unwrap();
    strict.block_on(async {
        let mut caught = Box::pin(catch_cancelled(pending::<()>()));
        poll_fn(|cx| {
            assert!(caught.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        let task =
            create_task(async move { caught.await.unwrap_err().message().map(str::to_owned) });
        yield_now().await;
        task.cancel_with("here");
        assert_eq!(task.await.unwrap().as_deref(), Some("here"));
        assert_eq!(me().cancelling(), 0);
    });
}

#[test]
fn items_popped_by_cancelled_tasks_are_not_lost() {
    run(async {
        const TASKS: usize = 10_000;
        let queue = Queue::new(0);
        for item in 0..TASKS {
            queue.put_nowait(item).unwrap();
        }
        let held = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let (queue, held) = (queue.clone(), held.clone());
                create_task(async move {
                    let item = queue.get().await.unwrap();
                    held.fetch_add(1, Ordering::Relaxed);
                    let kept = catch_cancelled(yield_now()).await;
                    if kept.is_err() {
                        held.fetch_sub(1, Ordering::Relaxed);
                        queue.put_nowait(item).unwrap();
                    }
                })
            })
            .collect();
        let refs: Arc<[_]> = tasks.iter().map(|task| task.as_ref()).collect();
        let cancellers: Vec<_> = (0..2)
            .map(|offset| {
                let refs = refs.clone();
                std::thread::spawn(move || {
                    for task in refs.iter().skip(offset).step_by(3) {
                        task.cancel();
                    }
                })
            })
            .collect();
        for task in tasks {
            let _ = task.await;
        }
        for canceller in cancellers {
            canceller.join().unwrap();
        }
        assert_eq!(held.load(Ordering::Relaxed) + queue.len(), TASKS);
    });
}

#[test]
fn a_limit_lets_the_body_clean_up_and_is_an_error_only_if_it_gives_way() {
    let strict = Runtime::builder()
        .current_thread()
        .paused(true)
        .build()
        .unwrap();
    strict.block_on(async {
        let cleaned = Arc::new(AtomicUsize::new(0));
        let count = cleaned.clone();
        let late = timeout(MS, async move {
            let error = catch_cancelled(pending::<()>()).await.unwrap_err();
            sleep(MS).await;
            count.fetch_add(1, Ordering::Relaxed);
            error.reraise().await
        });
        assert!(late.await.is_err());
        assert_eq!(cleaned.load(Ordering::Relaxed), 1);
        assert_eq!(me().cancelling(), 0);
        let swallowed = timeout(MS, async {
            let _ = catch_cancelled(pending::<()>()).await;
            7
        });
        assert_eq!(swallowed.await, Ok(7));
        assert_eq!(me().cancelling(), 0);
    });
}

#[test]
fn a_catch_around_a_limit_hears_a_request_from_outside() {
    let strict = Runtime::builder()
        .current_thread()
        .paused(true)
        .build()
        .unwrap();
    strict.block_on(async {
        let second = create_task(async {
            let limited = catch_cancelled(timeout(MS, pending::<()>()));
            limited.await.is_err()
        });
        yield_now().await;
        second.cancel();
        assert!(second.await.unwrap());
    });
}

#[test]
fn of_two_limits_the_outer_one_interrupts_the_inner_and_makes_the_error() {
    let strict = Runtime::builder()
        .current_thread()
        .paused(true)
        .build()
        .unwrap();
    strict.block_on(async {
        let inner_heard = Arc::new(AtomicUsize::new(0));
        let heard = inner_heard.clone();
        let outer = timeout(MS, async move {
            let inner = catch_cancelled(timeout(MS * 50, pending::<()>())).await;
            heard.fetch_add(1, Ordering::Relaxed);
            inner.unwrap_err().reraise().await
        });
        assert_eq!(outer.await.unwrap_err().limit(), Some(MS));
        assert_eq!(inner_heard.load(Ordering::Relaxed), 1);
        assert_eq!(me().cancelling(), 0);
    });
}

#[test]
fn a_cancelled_task_in_a_limit_ends_cancelled_and_its_timer_goes() {
    on_both(|| async {
        let task = create_task(async {
            let _ = timeout(std::time::Duration::from_secs(3600), pending::<()>()).await;
            unreachable!("the limit is far away");
        });
        yield_now().await;
        task.cancel_with("outside");
        assert_eq!(cancelled(task.await).message(), Some("outside"));
    });
}

#[test]
fn a_request_while_a_condition_takes_its_lock_again_is_heard_under_the_lock() {
    on_both(|| async {
        let shared = Arc::new((Lock::new(0), Condition::new()));
        let task = create_task({
            let shared = shared.clone();
            async move {
                let (lock, changed) = &*shared;
                let mut guard = changed.wait(lock.acquire().await).await;
                *guard += 1;
                drop(guard);
                pending::<()>().await;
            }
        });
        let rests = || async {
            while task.as_ref().is_runnable() {
                yield_now().await;
            }
        };
        while task.as_ref().waiting_for().kind != WaitKind::Lock {
            yield_now().await;
        }
        rests().await;
        let (lock, changed) = &*shared;
        let held = lock.acquire().await;
        // It wakes the task, which then rests again, now for the lock.
        changed.notify(1);
        rests().await;
        task.cancel();
        rests().await;
        assert!(!task.is_finished(), "the request is held back");
        drop(held);
        cancelled(task.await);
        assert_eq!(*lock.acquire().await, 1, "it went on under the lock");
    });
}
