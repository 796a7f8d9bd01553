//! A task that is asked to stop.
//!
//! | rule | held by |
//! |---|---|
//! | a task that is done refuses a request | `cancel_is_refused_once_the_task_is_done` |
//! | an accepted request promises nothing | `an_accepted_request_promises_no_cancelled_end` |
//! | each accepted request counts one; only `uncancel` takes it off | `each_request_counts_one_until_uncancel_takes_it_off` |
//! | the count has a floor of zero, and does nothing once the task is done | `the_count_never_falls_below_zero_and_decides_nothing_after_the_end` |
//! | waiting: the innermost await hears it | `[cancel] the_innermost_catch_hears_the_request_and_may_wait` |
//! | waiting: it hears it on its next turn, not inline | `[order] a_cancelled_task_hears_of_it_in_its_turn` |
//! | waiting for a task: it is passed on | `[cancel] a_request_to_the_awaiter_goes_to_the_task_it_awaits` |
//! | … through every task in between | `a_request_goes_down_a_chain_of_awaits_to_its_end` |
//! | … and again on every further request | `every_further_request_is_passed_on_again` |
//! | … a task that refuses gives its value | `[cancel] an_awaited_task_that_refuses_gives_its_value` |
//! | … a catch further out hears it last | `[cancel] a_catch_around_an_awaited_task_hears_it_after_the_task` |
//! | woken, not yet run: the request beats the value, which is given back | `a_request_to_a_woken_task_beats_the_value_which_the_next_one_gets` |
//! | running: the next await that waits hears it | `[cancel] a_task_that_asks_itself_hears_it_where_it_next_waits` |
//! | … and passes it on at once to a task that it waits for there, which may not have started | `a_task_that_asked_itself_stops_what_it_awaits_before_that_starts` |
//! | … while a catch there hears it one turn later | `a_catch_in_a_task_that_asked_itself_hears_it_on_the_next_turn` |
//! | running, asked by code that it calls | `a_task_asked_by_what_it_calls_hears_it_where_it_next_waits` |
//! | running, returns before it waits: cancelled, the value is gone | `[cancel] a_task_that_asks_itself_and_returns_ends_cancelled_and_its_value_is_dropped` |
//! | running, fails before it waits: the failure wins | `a_panic_after_the_request_is_the_outcome` |
//! | not started: nothing of the body runs | `[cancel] a_task_that_never_ran_runs_nothing` |
//! | … but what it owns is dropped | `a_task_that_never_ran_drops_what_it_owns` |
//! | two requests while waiting: one error, the first message | `[cancel] of_two_requests_to_a_waiting_task_the_first_message_stands` |
//! | two requests while woken: the last message | `of_two_requests_to_a_woken_task_the_last_message_stands` |
//! | two requests while running: the last message | `of_two_requests_while_it_runs_the_last_message_stands` |
//! | clean-up may wait, and can be interrupted itself | `[cancel] clean_up_can_be_interrupted_by_a_further_request` |
//! | caught and returned: the result stands | `a_task_that_catches_and_returns_is_not_cancelled` |
//! | … and whoever suppresses takes the count off | `a_suppressor_takes_its_count_off` |
//! | an error let through ends the task cancelled, though nobody asked it | `an_error_of_another_task_raised_here_ends_this_one_cancelled_with_a_count_of_zero` |
//! | `uncancel` to zero forgets what was not heard | `[cancel] uncancel_takes_back_what_has_not_been_heard` |
//! | … but not what has interrupted a wait already | `uncancel_does_not_take_back_what_has_interrupted_a_wait` |
//! | … nor while the count is above zero | `uncancel_to_one_leaves_the_request` |
//! | the message reaches whoever awaits | `[cancel] a_request_that_is_raised_again_ends_the_task_cancelled` |
//! | … with the line that asked | `the_error_names_the_line_that_asked` |
//! | `is_cancelled` is true only after the end | `a_task_counts_as_cancelled_only_after_its_clean_up` |
//! | a value made while another thread asks is kept | `a_request_from_another_thread_during_the_last_poll_loses_to_the_value` |
//! | a cancelled condition wait does not keep its lock (asyncio takes it once more; here the guard goes with the wait) | `a_cancelled_condition_wait_leaves_the_lock_free` |
//! | … but on its way back to the lock it keeps what it was given | `a_condition_wait_on_its_way_back_is_not_interrupted_before_it_has_the_lock` |
//! | items popped by cancelled tasks are given back | `[cancel] items_popped_by_cancelled_tasks_are_not_lost` |

use std::future::pending;
use std::sync::Arc;
use std::sync::mpsc;

use super::{Count, HOUR, both, cancelled, me, parked, said, strict, turns, until};
use loxley::{
    Condition, Event, Lock, Queue, Semaphore, Task, all_tasks, catch_cancelled, create_task,
    gather, oneshot, timeout, yield_now,
};

#[test]
fn cancel_is_refused_once_the_task_is_done() {
    both(async || {
        let task = create_task(async { 7 });
        until(|| task.is_finished()).await;
        assert!(!task.cancel());
        assert!(!task.cancel_with("too late"));
        assert_eq!((task.cancelling(), task.is_cancelled()), (0, false));
        assert_eq!(task.await.unwrap(), 7);
    });
}

#[test]
fn an_accepted_request_promises_no_cancelled_end() {
    both(async || {
        let task = create_task(async { catch_cancelled(pending::<()>()).await.is_err() });
        parked(&task.as_ref()).await;
        assert!(task.cancel());
        assert!(task.await.unwrap());
    });
}

#[test]
fn each_request_counts_one_until_uncancel_takes_it_off() {
    strict(async {
        let task = create_task(async {
            let error = catch_cancelled(pending::<()>()).await;
            yield_now().await;
            (error.is_err(), me().cancelling())
        });
        parked(&task.as_ref()).await;
        for count in 1..=3 {
            assert!(task.cancel());
            assert_eq!(task.cancelling(), count);
        }
        assert_eq!(task.uncancel(), 2);
        assert_eq!(task.await.unwrap(), (true, 2));
    });
}

#[test]
fn the_count_never_falls_below_zero_and_decides_nothing_after_the_end() {
    both(async || {
        let task = create_task(pending::<()>());
        let seen = task.as_ref();
        assert_eq!(seen.uncancel(), 0);
        seen.cancel();
        cancelled(task.await);
        assert_eq!(seen.cancelling(), 1);
        assert_eq!(seen.uncancel(), 0);
        assert_eq!(seen.uncancel(), 0);
        assert!(seen.is_cancelled());
    });
}

/// A task that awaits a task that awaits … `depth` times.
fn chain(depth: usize, end: Task<()>) -> Task<()> {
    (0..depth).fold(end, |inner, _| {
        create_task(async move { inner.await.expect("unwinds instead") })
    })
}

#[test]
fn a_request_goes_down_a_chain_of_awaits_to_its_end() {
    both(async || {
        let cleaned = Count::default();
        let (started, count) = (Arc::new(Event::new()), cleaned.clone());
        let begun = started.clone();
        let end = create_task(async move {
            begun.set();
            let error = catch_cancelled(pending::<()>()).await.unwrap_err();
            yield_now().await;
            count.add();
            error.reraise().await;
        });
        let top = chain(5, end);
        started.wait().await;
        // One that has not begun would only be dropped, and leave what it holds alone.
        for task in all_tasks().iter().filter(|task| **task != me()) {
            parked(task).await;
        }
        assert!(top.cancel_with("down"));
        assert_eq!(cancelled(top.await).message(), Some("down"));
        assert_eq!(
            cleaned.get(),
            1,
            "the innermost cleaned up before the others ended"
        );
    });
}

#[test]
fn every_further_request_is_passed_on_again() {
    strict(async {
        let inner = create_task(async {
            let mut heard = Vec::new();
            for _ in 0..3 {
                let error = catch_cancelled(pending::<()>()).await.unwrap_err();
                heard.push(said(&error).expect("a message"));
            }
            (heard, me().cancelling())
        });
        let outer = create_task(async move { (inner.await.unwrap(), me().cancelling()) });
        parked(&outer.as_ref()).await;
        for word in ["one", "two", "three"] {
            assert!(outer.cancel_with(word));
            turns(3).await;
        }
        let ((heard, inner_count), outer_count) = outer.await.unwrap();
        assert_eq!(heard, ["one", "two", "three"]);
        assert_eq!((inner_count, outer_count), (3, 3));
    });
}

#[test]
fn a_request_to_a_woken_task_beats_the_value_which_the_next_one_gets() {
    strict(async {
        let queue = Queue::new(0);
        let getter = |queue: Queue<u32>| create_task(async move { queue.get().await.unwrap() });
        let (first, second) = (getter(queue.clone()), getter(queue.clone()));
        turns(1).await;
        queue.put_nowait(7).unwrap();
        assert!(first.as_ref().is_runnable(), "woken, but not run");
        assert!(first.cancel());
        cancelled(first.await);
        assert_eq!(second.await.unwrap(), 7);

        let permits = Arc::new(Semaphore::new(0));
        let taker =
            |permits: Arc<Semaphore>| create_task(async move { drop(permits.acquire().await) });
        let (first, second) = (taker(permits.clone()), taker(permits.clone()));
        turns(1).await;
        permits.release();
        assert!(first.cancel());
        cancelled(first.await);
        second.await.unwrap();
        drop(permits.try_acquire().expect("it came back"));
    });
}

#[test]
fn a_task_that_asked_itself_stops_what_it_awaits_before_that_starts() {
    strict(async {
        let ran = Count::default();
        for in_a_limit in [false, true] {
            let count = ran.clone();
            let outer = create_task(async move {
                me().cancel();
                let inner = create_task(async move { count.add() });
                if in_a_limit {
                    let _ = timeout(HOUR, inner).await;
                } else {
                    let _ = inner.await;
                }
            });
            cancelled(outer.await);
        }
        let count = ran.clone();
        let outer = create_task(async move {
            me().cancel();
            let _ = gather((0..3).map(|_| {
                let count = count.clone();
                async move { count.add() }
            }))
            .await;
        });
        cancelled(outer.await);
        assert_eq!(ran.get(), 0);
    });
}

#[test]
fn a_catch_in_a_task_that_asked_itself_hears_it_on_the_next_turn() {
    strict(async {
        let order = Count::default();
        let (first, second) = (order.clone(), order.clone());
        let task = create_task(async move {
            me().cancel();
            let heard = catch_cancelled(pending::<()>()).await.is_err();
            (heard, first.add())
        });
        let other = create_task(async move { second.add() });
        assert_eq!(task.await.expect("it was caught"), (true, 2));
        assert_eq!(other.await.expect("it ran meanwhile"), 1);
    });
}

#[test]
fn a_task_asked_by_what_it_calls_hears_it_where_it_next_waits() {
    both(async || {
        let (give, mut take) = oneshot::channel::<loxley::TaskRef>();
        let mut asks =
            move || assert!(take.try_recv().expect("it was given").cancel_with("called"));
        let task = create_task(async move {
            give.send(me()).unwrap();
            asks();
            drop(Lock::new(()).acquire().await);
            let error = catch_cancelled(pending::<()>()).await.unwrap_err();
            said(&error)
        });
        assert_eq!(task.await.unwrap().as_deref(), Some("called"));
    });
}

#[test]
fn a_panic_after_the_request_is_the_outcome() {
    both(async || {
        let task = create_task(async {
            me().cancel();
            panic!("wins");
        });
        let error: loxley::TaskError = task.await.map(|(): ()| ()).unwrap_err();
        assert!(
            error.is_panic() && error.to_string().contains("wins"),
            "{error}"
        );
    });
}

#[test]
fn a_task_that_never_ran_drops_what_it_owns() {
    strict(async {
        let (dropped, ran) = (Count::default(), Count::default());
        let (token, count) = (dropped.token(), ran.clone());
        let task = create_task(async move {
            let _token = token;
            count.add();
        });
        task.cancel();
        cancelled(task.await);
        assert_eq!((dropped.get(), ran.get()), (1, 0));
    });
}

#[test]
fn of_two_requests_to_a_woken_task_the_last_message_stands() {
    strict(async {
        let event = Arc::new(Event::new());
        let waits = event.clone();
        let task = create_task(async move {
            let error = catch_cancelled(waits.wait()).await.unwrap_err();
            (said(&error), me().cancelling())
        });
        turns(1).await;
        event.set();
        task.cancel_with("first");
        task.cancel_with("last");
        assert_eq!(task.await.unwrap(), (Some("last".to_owned()), 2));
    });
}

#[test]
fn of_two_requests_while_it_runs_the_last_message_stands() {
    both(async || {
        let task = create_task(async {
            let caught = catch_cancelled(async {
                me().cancel_with("first");
                me().cancel_with("last");
                pending::<()>().await;
            });
            said(&caught.await.unwrap_err())
        });
        assert_eq!(task.await.unwrap().as_deref(), Some("last"));
    });
}

#[test]
fn a_task_that_catches_and_returns_is_not_cancelled() {
    both(async || {
        let task = create_task(async {
            let _ = catch_cancelled(pending::<()>()).await;
            yield_now().await; // The request has been heard: it interrupts nothing more.
            7
        });
        let seen = task.as_ref();
        parked(&seen).await;
        task.cancel();
        assert_eq!(task.await.unwrap(), 7);
        assert_eq!((seen.is_cancelled(), seen.cancelling()), (false, 1));
    });
}

#[test]
fn a_suppressor_takes_its_count_off() {
    both(async || {
        let task = create_task(async {
            let _ = catch_cancelled(pending::<()>()).await;
            me().uncancel()
        });
        let seen = task.as_ref();
        parked(&seen).await;
        task.cancel();
        assert_eq!(task.await.unwrap(), 0);
        assert_eq!((seen.is_cancelled(), seen.cancelling()), (false, 0));
    });
}

#[test]
fn an_error_of_another_task_raised_here_ends_this_one_cancelled_with_a_count_of_zero() {
    both(async || {
        let inner = create_task(pending::<()>());
        inner.cancel_with("from within");
        let outer = create_task(async move {
            let error = cancelled(inner.await);
            error.reraise().await
        });
        let seen = outer.as_ref();
        let ended: Result<u32, _> = outer.await;
        assert_eq!(cancelled(ended).message(), Some("from within"));
        assert_eq!((seen.is_cancelled(), seen.cancelling()), (true, 0));
    });
}

#[test]
fn uncancel_does_not_take_back_what_has_interrupted_a_wait() {
    strict(async {
        let task = create_task(async {
            let caught = catch_cancelled(pending::<()>()).await;
            (caught.is_err(), me().cancelling())
        });
        parked(&task.as_ref()).await;
        task.cancel();
        assert_eq!(task.uncancel(), 0);
        assert_eq!(task.await.unwrap(), (true, 0));
    });
}

#[test]
fn uncancel_to_one_leaves_the_request() {
    both(async || {
        let task = create_task(async {
            me().cancel();
            me().cancel();
            assert_eq!(me().uncancel(), 1);
            catch_cancelled(yield_now()).await.is_err()
        });
        assert!(task.await.unwrap());
    });
}

#[test]
fn the_error_names_the_line_that_asked() {
    both(async || {
        let task = create_task(pending::<()>());
        parked(&task.as_ref()).await;
        let line = line!() + 1;
        task.cancel_with("here");
        let error = cancelled(task.await);
        assert_eq!(
            (error.origin().file(), error.origin().line()),
            (file!(), line)
        );
    });
}

#[test]
fn a_task_counts_as_cancelled_only_after_its_clean_up() {
    both(async || {
        let (cleaning, go) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (begun, may_end) = (cleaning.clone(), go.clone());
        let task = create_task(async move {
            let error = catch_cancelled(pending::<()>()).await.unwrap_err();
            begun.set();
            may_end.wait().await;
            error.reraise().await;
        });
        let seen = task.as_ref();
        parked(&seen).await;
        task.cancel();
        assert!(!seen.is_cancelled() || seen.is_finished());
        cleaning.wait().await;
        assert_eq!((seen.is_cancelled(), seen.is_finished()), (false, false));
        go.set();
        cancelled(task.await);
        assert_eq!((seen.is_cancelled(), seen.is_finished()), (true, true));
    });
}

#[test]
fn a_request_from_another_thread_during_the_last_poll_loses_to_the_value() {
    use loxley::testing::{Config, run};
    run(Config::new().worker_threads(2).leak_check(true), async {
        let (polling, is_polling) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let task = create_task(async move {
            polling.send(()).unwrap();
            released.recv().unwrap();
            7
        });
        // It is in its only poll, on a worker, while main asks from its own thread.
        is_polling.recv().unwrap();
        assert!(task.cancel());
        release.send(()).unwrap();
        let seen = task.as_ref();
        assert_eq!(task.await.unwrap(), 7);
        assert_eq!((seen.is_cancelled(), seen.cancelling()), (false, 1));
    });
}

#[test]
fn a_cancelled_condition_wait_leaves_the_lock_free() {
    both(async || {
        let shared = Arc::new((Lock::new(0), Condition::new()));
        let ours = shared.clone();
        let task = create_task(async move {
            let (lock, changed) = &*ours;
            let caught = catch_cancelled(changed.wait(lock.acquire().await)).await;
            // The guard went with the wait: the clean-up takes the lock like anybody else.
            assert!(caught.is_err());
            *lock.acquire().await += 1;
        });
        parked(&task.as_ref()).await;
        task.cancel();
        task.await.unwrap();
        assert_eq!(*shared.0.try_acquire().expect("free"), 1);
    });
}

#[test]
fn a_condition_wait_on_its_way_back_is_not_interrupted_before_it_has_the_lock() {
    strict(async {
        let shared = Arc::new((Lock::new(()), Condition::new()));
        let waiter = |shared: Arc<(Lock<()>, Condition)>| {
            create_task(async move {
                let (lock, changed) = &*shared;
                drop(changed.wait(lock.acquire().await).await);
            })
        };
        let (first, second) = (waiter(shared.clone()), waiter(shared.clone()));
        turns(2).await;
        // Notified, and on its way back to a lock that is held: the request waits until it has it.
        let guard = shared.0.try_acquire().expect("both have let go of it");
        shared.1.notify(1);
        turns(2).await;
        first.cancel();
        turns(2).await;
        assert!(!first.is_finished());
        drop(guard);
        // It waited for nothing more, so it was not interrupted, and the notification was its own.
        first.await.unwrap();
        turns(2).await;
        assert!(!second.is_finished());
        shared.1.notify(1);
        second.await.unwrap();
        assert!(!shared.0.is_locked());
    });
}
