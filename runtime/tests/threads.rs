//! `to_thread`, and tasks that plain threads wait for.

use loxley_runtime::{
    Handle, Runtime, TaskError, WaitError, create_task, current_task, run_coroutine_threadsafe,
    timeout, to_thread,
};
use loxley_sync::wait::block_on;
use loxley_sync::{
    Barrier, BoundedSemaphore, Event, Lock, Notify, Queue, RwLock, Semaphore, broadcast, oneshot,
    watch,
};
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::task::Poll;
use std::thread;
use std::time::Duration;

fn flavours() -> [Runtime; 2] {
    [
        Runtime::builder()
            .worker_threads(2)
            .build()
            .expect("threads"),
        Runtime::builder()
            .current_thread()
            .build()
            .expect("descriptors"),
    ]
}

fn text(payload: &(dyn std::any::Any + Send)) -> String {
    match payload.downcast_ref::<&str>() {
        Some(text) => (*text).to_owned(),
        None => payload
            .downcast_ref::<String>()
            .cloned()
            .unwrap_or_default(),
    }
}

#[test]
fn a_closure_runs_elsewhere_and_its_value_comes_back() {
    for runtime in flavours() {
        let here = thread::current().id();
        let there = runtime.block_on(to_thread(|| thread::current().id()));
        assert_ne!(here, there);
        let there =
            runtime.block_on(async { create_task(to_thread(|| thread::current().id())).await });
        assert_ne!(here, there.expect("the task ends"));
    }
}

#[test]
fn nothing_runs_before_the_future_is_polled() {
    for runtime in flavours() {
        let (ran, has_run) = channel();
        runtime.block_on(async {
            drop(to_thread(move || ran.send(())));
            to_thread(|| ()).await;
        });
        assert!(has_run.try_recv().is_err());
    }
}

#[test]
fn the_closures_panic_goes_on_where_it_is_awaited() {
    for runtime in flavours() {
        let panic = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(to_thread(|| panic!("from the closure")));
        }));
        assert_eq!(text(&*panic.expect_err("it panics")), "from the closure");
        assert_eq!(runtime.block_on(to_thread(|| 7)), 7, "the thread lives");
    }
}

#[test]
fn the_free_functions_work_in_a_closure_and_so_does_blocking_on_them() {
    for runtime in flavours() {
        let value = runtime.block_on(async {
            let task = to_thread(|| create_task(async { 6 * 7 })).await;
            assert_eq!(task.await.expect("the task ends"), 42);
            // The one-thread flavour is driven by the very thread that waits for this closure.
            to_thread(|| run_coroutine_threadsafe(async { 7 }, &Handle::current()).result(None))
                .await
        });
        assert_eq!(value.expect("the task ends"), 7);
    }
}

#[test]
fn outside_every_runtime_the_panic_says_where_it_was_written() {
    let line = line!() + 1;
    let mut future = Box::pin(to_thread(|| ()));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let _: Poll<()> = Future::poll(future.as_mut(), &mut cx);
    }));
    let text = text(&*panic.expect_err("it panics"));
    assert!(text.contains("outside every runtime"), "{text}");
    assert!(text.contains(&format!("{}:{line}", file!())), "{text}");
}

#[test]
fn a_cancelled_awaiter_does_not_wait_for_its_closure() {
    for runtime in flavours() {
        let (release, released) = channel::<()>();
        let (started, has_started) = channel();
        let (ended, has_ended) = channel();
        runtime.block_on(async {
            let task = create_task(to_thread(move || {
                started.send(()).expect("the test listens");
                let _ = released.recv();
                ended.send(()).expect("the test listens");
            }));
            to_thread(move || has_started.recv().expect("the closure starts")).await;
            assert!(task.cancel());
            assert!(task.await.expect_err("it was cancelled").is_cancelled());
        });
        drop(release);
        has_ended.recv().expect("the closure runs to its end");
    }
}

#[test]
fn a_thread_waits_for_a_task() {
    let [runtime, _] = flavours();
    let mut future =
        run_coroutine_threadsafe(async { current_task().is_some() }, &runtime.handle());
    assert!(future.result(None).expect("the task ends"));
    assert!(future.done());
    assert!(!future.cancel());
}

#[test]
fn waiting_ends_at_the_limit_and_can_be_taken_up_again() {
    let [runtime, _] = flavours();
    let (release, released) = sent_by_a_thread();
    let mut future = run_coroutine_threadsafe(released, &runtime.handle());
    assert!(matches!(
        future.result(Some(Duration::ZERO)),
        Err(WaitError::TimedOut)
    ));
    assert!(!future.done());
    release.send(7).expect("the task listens");
    assert_eq!(
        future.result(Some(Duration::MAX)).expect("the task ends"),
        7
    );
}

/// A value from a plain thread to a task, by way of the pool.
fn sent_by_a_thread() -> (Sender<u8>, impl Future<Output = u8> + Send) {
    let (sender, receiver) = channel();
    (
        sender,
        to_thread(move || receiver.recv().expect("the test sends")),
    )
}

#[test]
fn cancelling_and_panicking_are_told_apart() {
    let [runtime, _] = flavours();
    let mut cancelled = run_coroutine_threadsafe(pending::<()>(), &runtime.handle());
    assert!(cancelled.cancel());
    assert!(matches!(
        cancelled.result(None),
        Err(WaitError::Cancelled(_))
    ));
    let mut panicked = run_coroutine_threadsafe(async { panic!("boom") }, &runtime.handle());
    match panicked.result(None) {
        Err(WaitError::Panicked(panic)) => assert_eq!(panic.message(), "boom"),
        other => panic!("unexpected: {other:?}"),
    }
}

#[test]
fn a_runtime_that_goes_ends_the_wait() {
    for runtime in flavours() {
        let mut future = run_coroutine_threadsafe(pending::<()>(), &runtime.handle());
        drop(runtime);
        assert!(matches!(future.result(None), Err(WaitError::Cancelled(_))));
    }
}

#[test]
fn done_callbacks_run_once_also_when_the_future_is_gone_and_may_panic() {
    let [runtime, _] = flavours();
    let (called, calls) = channel();
    let (release, released) = sent_by_a_thread();
    let future = run_coroutine_threadsafe(released, &runtime.handle());
    let id = future.task().id();
    future.add_done_callback(|_| panic!("a callback's panic goes no further"));
    let sender = called.clone();
    future.add_done_callback(move |task| {
        sender
            .send((task.id(), task.is_finished()))
            .expect("the test listens");
    });
    drop(future);
    release.send(7).expect("the task listens");
    assert_eq!(calls.recv().expect("called"), (id, true));

    let mut future = run_coroutine_threadsafe(async { 7 }, &runtime.handle());
    assert_eq!(future.result(None).expect("the task ends"), 7);
    future.add_done_callback(move |_| called.send((id, false)).expect("the test listens"));
    assert_eq!(calls.try_recv().expect("called at once"), (id, false));
    assert!(
        calls.recv().is_err(),
        "every callback has been dropped after its one call"
    );
}

#[test]
fn dropping_the_future_detaches_the_task() {
    let [runtime, _] = flavours();
    let (release, released) = sent_by_a_thread();
    let (ended, has_ended) = channel();
    drop(run_coroutine_threadsafe(
        async move {
            let value = released.await;
            ended.send(value).expect("the test listens");
        },
        &runtime.handle(),
    ));
    release.send(7).expect("the task listens");
    assert_eq!(has_ended.recv().expect("the task runs on"), 7);
}

#[test]
fn waiting_on_a_thread_that_polls_tasks_is_refused() {
    for runtime in flavours() {
        let panic = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                let mut future = run_coroutine_threadsafe(async {}, &Handle::current());
                let _ = future.result(None);
            });
        }));
        let text = text(&*panic.expect_err("it panics"));
        assert!(
            text.contains("would block a thread that polls tasks"),
            "{text}"
        );
    }
}

#[test]
fn a_task_with_a_spent_budget_may_still_hand_a_future_to_a_thread() {
    let [runtime, _] = flavours();
    runtime.block_on(async {
        let mut future = None;
        let handle = Handle::current();
        poll_fn(|cx| {
            while loxley_sync::ambient::poll_budget(cx).is_ready() {}
            future.get_or_insert_with(|| run_coroutine_threadsafe(async { 7 }, &handle));
            Poll::Ready(())
        })
        .await;
        let mut future = future.expect("made above");
        assert_eq!(
            to_thread(move || future.result(None))
                .await
                .expect("the task ends"),
            7
        );
    });
}

#[test]
fn a_task_that_hands_a_closure_over_too_late_ends_with_its_runtime_and_does_not_panic() {
    struct Tells(Sender<bool>);
    impl Drop for Tells {
        fn drop(&mut self) {
            let _ = self.0.send(thread::panicking());
        }
    }
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let (begins, begun) = channel();
    let (goes_on, go_on) = channel::<()>();
    let (ends, ended) = channel();
    drop(runtime.handle().create_task(async move {
        let _tells = Tells(ends);
        begins.send(()).unwrap();
        // One poll holds the worker until the shutdown has begun.
        go_on.recv().unwrap();
        to_thread(|| ()).await;
        unreachable!("the pool takes nothing any more");
    }));
    begun.recv().unwrap();
    runtime.shutdown_background();
    goes_on.send(()).unwrap();
    assert_eq!(ended.recv(), Ok(false));
}

#[test]
fn a_closure_for_another_runtime_that_has_gone_is_refused_and_does_not_hang_the_task() {
    for runtime in flavours() {
        let other = Runtime::builder().current_thread().build().unwrap();
        let handle = other.handle();
        drop(other);
        let waits = async {
            let _other = handle.enter();
            to_thread(|| ()).await;
        };
        let bounded = timeout(Duration::from_secs(10), waits);
        let payload = catch_unwind(AssertUnwindSafe(|| runtime.block_on(bounded))).unwrap_err();
        assert!(text(&*payload).contains("came too late"));
    }
}

/// What the panic says that `call` ends with.
async fn panic_of(call: impl FnOnce() + Send + 'static) -> String {
    match create_task(async move { call() }).await {
        Err(TaskError::Panicked(panic)) => text(&*panic.into_payload()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_form_that_blocks_is_refused_in_a_task_and_works_on_a_thread() {
    for runtime in flavours() {
        runtime.block_on(async {
            let said = [
                panic_of(|| {
                    let _ = Lock::new(1).blocking_acquire();
                })
                .await,
                panic_of(|| {
                    let _ = Semaphore::new(1).blocking_acquire();
                })
                .await,
                panic_of(|| {
                    let _ = BoundedSemaphore::new(1).blocking_acquire();
                })
                .await,
                panic_of(|| {
                    let _ = RwLock::new(1).blocking_read();
                })
                .await,
                panic_of(|| {
                    let _ = RwLock::new(1).blocking_write();
                })
                .await,
                panic_of(|| {
                    let _ = Queue::new(0).blocking_put(1);
                })
                .await,
                panic_of(|| {
                    let _ = Queue::<u8>::new(0).blocking_get();
                })
                .await,
                panic_of(|| {
                    let _ = oneshot::channel::<u8>().1.blocking_recv();
                })
                .await,
                panic_of(|| {
                    let _ = broadcast::channel::<u8>(1).1.blocking_recv();
                })
                .await,
                panic_of(|| {
                    let _ = watch::channel(1).1.blocking_changed();
                })
                .await,
                panic_of(|| {
                    let _ = Barrier::new(1).blocking_wait();
                })
                .await,
                panic_of(|| Notify::new().blocking_notified()).await,
                panic_of(|| {
                    let event = Event::new();
                    event.set();
                    event.blocking_wait();
                })
                .await,
                panic_of(|| block_on(async {})).await,
            ];
            for text in said {
                assert!(text.contains("`to_thread`"), "{text:?}");
            }
            // What a task hands to a thread is no task.
            let queue = Queue::new(0);
            let theirs = queue.clone();
            let waits = create_task(to_thread(move || theirs.blocking_get()));
            queue.put(7).await.expect("it is open");
            assert_eq!(waits.await.expect("the task ends"), Ok(7));
        });
    }
}
