//! Tasks: making, naming, awaiting and looking at them; callbacks; sleeping; the order of turns.
//!
//! | rule | held by |
//! |---|---|
//! | making a task runs none of it | `[order] creating_a_task_runs_none_of_it_before_the_first_await_that_waits` |
//! | tasks start in the order in which they were made | `[order] tasks_start_in_the_order_of_their_spawns` |
//! | what is ready runs before what descriptors and then timers make ready | `[order] what_is_ready_comes_before_descriptors_and_those_before_timers` |
//! | tasks that yield take turns | `[order] ten_tasks_that_yield_take_turns` |
//! | awaiting a future does not yield, awaiting a task does | `[order] awaiting_a_coroutine_does_not_yield_but_awaiting_a_task_does` |
//! | awaiting a finished task does not yield | `[order] awaiting_a_finished_task_returns_without_yielding` |
//! | completing something runs nobody inline | `[order] completing_a_wait_runs_nobody_inline` |
//! | those who wait run in the order in which they came | `[order] waiters_run_in_the_order_in_which_they_came` |
//! | between two awaits nobody else runs (one thread) | `between_two_awaits_nobody_else_runs` |
//! | outside a runtime no task can be made | `[life] create_task_outside_a_runtime_panics_and_says_where_it_would_work` |
//! | a task not named is `Task-N`, with a number of its own | `a_task_without_a_name_is_called_by_its_number` |
//! | a name can be given and changed | `a_name_is_given_at_the_start_or_later` |
//! | a number is never used twice, not by two runtimes | `numbers_are_unique_in_the_process` |
//! | a handle that is dropped leaves its task running | `[spawn] a_dropped_handle_detaches_its_task` |
//! | a future that is not `Send` is a task of its maker's thread | `[local] a_local_task_is_a_task_like_any_other` |
//! | … which others may wake and cancel | `[local] other_threads_wake_and_cancel_local_tasks` |
//! | … and which ends with the main future | `[local] local_tasks_end_with_the_main_future_and_on_its_thread` |
//! | the runtime holds a task strongly, asyncio weakly | `a_task_nobody_holds_runs_to_its_end` |
//! | the value comes to whoever awaits | `[spawn] a_task_gives_its_output_to_whoever_awaits_it` |
//! | … once: a second await says so | `a_handle_awaited_again_panics_instead_of_hanging` |
//! | a panic comes to whoever awaits | `[spawn] a_panic_stays_in_its_task_and_reaches_the_awaiter` |
//! | a failure that nobody awaits is reported, once | `[panics] a_detached_tasks_panic_is_reported_exactly_once_whenever_the_handle_went` |
//! | … one that was awaited is not | `a_failure_that_was_awaited_is_not_reported` |
//! | a task that awaits itself is an error, not a hang | `a_task_that_awaits_itself_panics_instead_of_hanging` |
//! | `current_task` is the task that runs | `[order] the_current_task_is_the_one_that_runs` |
//! | … and nothing on a plain thread; in a callback a small task of its own (asyncio has none) | `a_callback_and_a_plain_thread_are_not_inside_the_task_that_ended` |
//! | `all_tasks` lists those not done | `[spawn] all_tasks_lists_the_live_ones` |
//! | … the one that asks, too | `all_tasks_lists_the_one_that_asks_and_not_those_done` |
//! | references to one task are equal | `references_to_one_task_are_equal_and_hash_alike` |
//! | `is_finished` is false until the very end | `a_task_is_not_finished_while_its_clean_up_runs` |
//! | callbacks run in the order of registration, after the end | `[callbacks] callbacks_run_after_the_end_in_the_order_of_their_registration` |
//! | … registered late, soon, and not inline | `[callbacks] callback_registered_after_the_end_runs_at_once_but_not_inline` |
//! | … after every kind of end | `[callbacks] callback_of_a_cancelled_or_panicked_task_runs_too` |
//! | … unless removed | `[callbacks] removed_callback_is_dropped_and_never_called` |
//! | … and see the task done | `a_callback_sees_its_task_done_and_may_ask_it_anything` |
//! | … their panics are reported and stop nothing | `[callbacks] panic_in_a_callback_is_reported_and_the_others_run` |
//! | a sleep for no time is one turn | `[order] sleeping_for_no_time_is_a_turn_like_any_other` |
//! | a sleep waits at least once, and is not early | `[time] nothing_is_ever_early` |
//! | a sleep for ever does not overflow | `a_sleep_for_ever_is_none_that_overflows` |
//! | a point in the past is one turn | `a_sleep_until_the_past_is_one_turn` |
//! | sleeps end by deadline, then by start | `[time] sleeps_end_in_the_order_of_their_deadlines_and_then_of_their_start` |
//! | a cancelled sleep leaves no timer | `[time] a_cancelled_task_leaves_no_timer_behind` |

use std::collections::HashSet;
use std::future::{pending, poll_fn};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use super::{HOUR, both, cancelled, me, parked, paused, strict, until};
use loxley::testing::{Config, run};
use loxley::{
    Event, Runtime, Task, all_tasks, catch_cancelled, create_task, current_task, oneshot, sleep,
    sleep_until, task, timeout, yield_now,
};

#[test]
fn between_two_awaits_nobody_else_runs() {
    strict(async {
        let shared = Arc::new(Mutex::new(0_usize));
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let shared = shared.clone();
                create_task(async move {
                    for _ in 0..10 {
                        let before = *shared.lock().unwrap();
                        assert_eq!(*shared.lock().unwrap(), before);
                        *shared.lock().unwrap() = before + 1;
                        yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*shared.lock().unwrap(), 100);
    });
}

#[test]
fn a_task_without_a_name_is_called_by_its_number() {
    both(async || {
        let task = create_task(async { me().name() });
        let name = task.name();
        let number = name.strip_prefix("Task-").expect("its kind of name");
        number.parse::<u64>().expect("a number");
        assert_eq!(task.await.unwrap(), name);
    });
}

#[test]
fn a_name_is_given_at_the_start_or_later() {
    both(async || {
        let task = task::Builder::new()
            .name("poller")
            .create_task(async { me().name() });
        assert_eq!(&*task.await.unwrap(), "poller");
        let task = create_task(pending::<()>());
        task.set_name("renamed");
        assert_eq!(&*task.as_ref().name(), "renamed");
        task.cancel();
        cancelled(task.await);
    });
}

#[test]
fn numbers_are_unique_in_the_process() {
    let mut numbers = HashSet::new();
    for _ in 0..3 {
        let runtime = Runtime::builder().current_thread().build().unwrap();
        runtime.block_on(async {
            assert!(numbers.insert(me().id()));
            for _ in 0..5 {
                let task = create_task(async {});
                assert!(numbers.insert(task.id()));
                task.await.unwrap();
            }
        });
    }
    assert_eq!(numbers.len(), 18);
}

#[test]
fn a_task_nobody_holds_runs_to_its_end() {
    both(async || {
        let (give, take) = oneshot::channel();
        drop(create_task(async move {
            // Held by nothing but the runtime while it waits for its own turns.
            for _ in 0..10 {
                yield_now().await;
            }
            give.send(7).unwrap();
        }));
        assert_eq!(take.await.unwrap(), 7);
    });
}

#[test]
fn a_handle_awaited_again_panics_instead_of_hanging() {
    both(async || {
        let outer = create_task(async {
            let mut task = create_task(async { 7 });
            assert_eq!((&mut task).await.unwrap(), 7);
            let _ = (&mut task).await;
        });
        assert!(outer.await.unwrap_err().is_panic());
    });
}

#[test]
fn a_failure_that_was_awaited_is_not_reported() {
    // The leak check fails for what nobody handled.
    both(async || {
        let task = create_task(async { panic!("awaited") });
        let error: loxley::TaskError = task.await.map(|(): ()| ()).unwrap_err();
        assert!(error.is_panic());
    });
}

#[test]
fn a_task_that_awaits_itself_panics_instead_of_hanging() {
    for is_strict in [false, true] {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let told = reports.clone();
        let mut builder = Runtime::builder().worker_threads(2);
        if is_strict {
            builder = builder.current_thread();
        }
        let builder =
            builder.unhandled_error(move |error| told.lock().unwrap().push(error.to_string()));
        let runtime = builder.build().unwrap();
        let line = runtime.block_on(async {
            let (give, take) = oneshot::channel::<Task<()>>();
            let line = line!() + 1;
            let task = create_task(async move {
                let myself = take.await.expect("it was given");
                let _ = myself.await;
            });
            let seen = task.as_ref();
            assert!(give.send(task).is_ok());
            until(|| seen.is_finished()).await;
            line
        });
        drop(runtime);
        let [report] = <[String; 1]>::try_from(reports.lock().unwrap().clone()).unwrap();
        let place = format!("{}:{line}", file!());
        assert!(
            report.contains("cannot await itself") && report.contains(&place),
            "{report}"
        );
    }
}

#[test]
fn a_callback_and_a_plain_thread_are_not_inside_the_task_that_ended() {
    assert!(current_task().is_none());
    both(async || {
        let (give, take) = oneshot::channel();
        let task = create_task(async {});
        task.add_done_callback(move |task| {
            // A small task of its own; asyncio has none here.
            give.send(me() != *task).unwrap();
        });
        task.await.unwrap();
        assert!(take.await.unwrap());
        assert!(loxley::to_thread(|| current_task().is_none()).await);
    });
}

#[test]
fn all_tasks_lists_the_one_that_asks_and_not_those_done() {
    strict(async {
        let done = create_task(async {});
        let waits = create_task(pending::<()>());
        let fresh = create_task(async {
            let me = me();
            all_tasks().contains(&me)
        });
        let listed: HashSet<_> = all_tasks().into_iter().collect();
        for task in [me(), done.as_ref(), waits.as_ref(), fresh.as_ref()] {
            assert!(listed.contains(&task), "{task}");
        }
        assert!(fresh.await.unwrap());
        assert!(!all_tasks().contains(&done.as_ref()));
        waits.cancel();
        cancelled(waits.await);
        done.await.unwrap();
        assert_eq!(all_tasks(), [me()]);
    });
}

#[test]
fn references_to_one_task_are_equal_and_hash_alike() {
    both(async || {
        let task = create_task(async { me() });
        let other = create_task(async {});
        let mut known = HashSet::from([task.as_ref()]);
        assert!(!known.contains(&other.as_ref()));
        let itself = task.await.unwrap();
        assert!(!known.insert(itself.clone()) && known.contains(&itself));
        other.await.unwrap();
    });
}

#[test]
fn a_task_is_not_finished_while_its_clean_up_runs() {
    both(async || {
        let (begun, go) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (begins, may_go) = (begun.clone(), go.clone());
        let task = create_task(async move {
            let _ = catch_cancelled(pending::<()>()).await;
            begins.set();
            may_go.wait().await;
        });
        parked(&task.as_ref()).await;
        task.cancel();
        begun.wait().await;
        assert!(!task.is_finished());
        go.set();
        task.await.unwrap();
    });
}

#[test]
fn a_callback_sees_its_task_done_and_may_ask_it_anything() {
    both(async || {
        let (give, take) = oneshot::channel();
        let task = create_task(pending::<()>());
        let seen = task.as_ref();
        task.add_done_callback(move |task| {
            let answers = (task.is_finished(), task.is_cancelled(), task.cancel());
            give.send((task.clone(), answers)).unwrap();
        });
        task.cancel();
        cancelled(task.await);
        let (told, answers) = take.await.unwrap();
        assert_eq!((told, answers), (seen, (true, true, false)));
    });
}

#[test]
fn a_sleep_for_ever_is_none_that_overflows() {
    paused(async {
        let started = Instant::now();
        assert!(timeout(HOUR, sleep(Duration::MAX)).await.is_err());
        assert!(started.elapsed() < HOUR, "the clock stood");
        let task = create_task(sleep(Duration::MAX));
        parked(&task.as_ref()).await;
        task.cancel();
        cancelled(task.await);
    });
}

#[test]
fn a_sleep_until_the_past_is_one_turn() {
    run(Config::new().current_thread(), async {
        let mut pending_polls = 0;
        let mut past = std::pin::pin!(sleep_until(Instant::now()));
        poll_fn(|cx| {
            let poll = past.as_mut().poll(cx);
            pending_polls += usize::from(poll.is_pending());
            match poll {
                Poll::Pending => Poll::Pending,
                Poll::Ready(()) => Poll::Ready(()),
            }
        })
        .await;
        assert_eq!(pending_polls, 1);
    });
}
