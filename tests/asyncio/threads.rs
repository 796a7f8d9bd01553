//! `to_thread` and `run_coroutine_threadsafe`.
//!
//! | rule | held by |
//! |---|---|
//! | a closure runs on another thread, its value comes back | `[threads] a_closure_runs_elsewhere_and_its_value_comes_back` |
//! | … its panic, too | `[threads] the_closures_panic_goes_on_where_it_is_awaited` |
//! | … context variables come along | `[context] closure_of_to_thread_sees_a_copy` |
//! | … nothing runs before it is awaited | `[threads] nothing_runs_before_the_future_is_polled` |
//! | cancelling the awaiter returns at once | `[threads] a_cancelled_awaiter_does_not_wait_for_its_closure` |
//! | … a job that has not begun never runs | `a_job_whose_awaiter_went_before_it_began_never_runs` |
//! | a catch around it hears the request | `a_catch_around_a_job_hears_the_request` |
//! | a thread waits for a future of the runtime | `[threads] a_thread_waits_for_a_task` |
//! | … with a limit, and again | `[threads] waiting_ends_at_the_limit_and_can_be_taken_up_again` |
//! | … told how it failed | `[threads] cancelling_and_panicking_are_told_apart` |
//! | … its `cancel` cancels the task, which may clean up | `cancelling_from_a_thread_lets_the_task_clean_up` |
//! | … its callbacks run once | `[threads] done_callbacks_run_once_also_when_the_future_is_gone_and_may_panic` |
//! | … on a thread that polls tasks it is refused | `[threads] waiting_on_a_thread_that_polls_tasks_is_refused` |
//! | … dropped, its task goes on | `[threads] dropping_the_future_detaches_the_task` |

use std::future::pending;
use std::sync::{Arc, mpsc};

use super::{Count, both, cancelled, parked};
use loxley::{
    Event, Runtime, WaitError, catch_cancelled, create_task, run_coroutine_threadsafe, to_thread,
    with_cleanup, yield_now,
};

#[test]
fn a_job_whose_awaiter_went_before_it_began_never_runs() {
    for strict in [false, true] {
        let mut builder = Runtime::builder().worker_threads(2).max_blocking_threads(1);
        if strict {
            builder = builder.current_thread();
        }
        let runtime = builder.build().unwrap();
        let ran = Count::default();
        runtime.block_on(async {
            let (begun, has_begun) = mpsc::channel();
            let (release, released) = mpsc::channel::<()>();
            let first = create_task(to_thread(move || {
                begun.send(()).unwrap();
                released.recv().unwrap();
            }));
            while has_begun.try_recv().is_err() {
                yield_now().await;
            }
            // The only thread is taken.
            let (count, owned) = (ran.clone(), Count::default());
            let token = owned.token();
            let second = create_task(to_thread(move || {
                let _token = token;
                count.add();
            }));
            parked(&second.as_ref()).await;
            second.cancel();
            cancelled(second.await);
            release.send(()).unwrap();
            first.await.unwrap();
            to_thread(|| ()).await;
            assert_eq!(owned.get(), 1, "its closure was dropped");
        });
        assert_eq!(ran.get(), 0);
    }
}

#[test]
fn a_catch_around_a_job_hears_the_request() {
    both(async || {
        let (release, released) = mpsc::channel::<()>();
        let task = create_task(async move {
            let caught = catch_cancelled(to_thread(move || {
                let _ = released.recv();
            }));
            caught.await.is_err()
        });
        parked(&task.as_ref()).await;
        task.cancel();
        assert!(task.await.unwrap());
        drop(release);
    });
}

#[test]
fn cancelling_from_a_thread_lets_the_task_clean_up() {
    both(async || {
        let (begun, cleaned) = (Arc::new(Event::new()), Count::default());
        let (begins, count) = (begun.clone(), cleaned.clone());
        let handle = loxley::Handle::current();
        let work = with_cleanup(
            async move {
                begins.set();
                pending::<()>().await;
            },
            |_| async move {
                yield_now().await;
                count.add();
            },
        );
        let mut future = run_coroutine_threadsafe(work, &handle);
        begun.wait().await;
        let waited = to_thread(move || {
            assert!(future.cancel());
            future.result(None)
        });
        assert!(matches!(waited.await, Err(WaitError::Cancelled(_))));
        assert_eq!(cleaned.get(), 1);
    });
}
