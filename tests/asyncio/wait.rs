//! `wait`: several tasks, sorted by whether they have ended.
//!
//! | rule | held by |
//! |---|---|
//! | by default it waits for all, and keeps their order | `[groups] wait_gives_all_tasks_back_in_their_order` |
//! | it is a panic to wait on nothing | `[groups] wait_on_nothing_panics_at_the_callers_line` |
//! | the first completed: the others run on | `[groups] wait_for_the_first_leaves_the_others_running` |
//! | … several may be done when the waiter has its turn | `several_may_be_done_when_the_first_was_asked_for` |
//! | … however it ended | `a_cancelled_or_panicked_task_counts_as_completed` |
//! | what is done already is there at once | `[groups] a_task_that_had_ended_before_is_found_at_once` |
//! | out of time it gives what there is, and cancels nothing | `[groups] wait_that_runs_out_of_time_cancels_nothing` |
//! | … with no time at all, too | `a_wait_with_no_time_looks_once` |
//! | a cancelled wait cancels nothing | `[groups] a_cancelled_wait_cancels_nothing` |
//! | it takes no result: failures are found by awaiting | `failures_are_found_by_awaiting_what_is_done` |
//! | it can be taken up again with what is pending | `what_is_pending_can_be_waited_for_again` |

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use super::{SECOND, both, cancelled, paused, strict, turns};
use loxley::{Event, ReturnWhen, Task, create_task, sleep, wait};

#[test]
fn several_may_be_done_when_the_first_was_asked_for() {
    strict(async {
        let gate = Arc::new(Event::new());
        let tasks = [1, 2, 3].map(|n| {
            let gate = gate.clone();
            create_task(async move {
                if n < 3 {
                    gate.wait().await;
                } else {
                    pending::<()>().await;
                }
            })
        });
        turns(1).await;
        gate.set();
        let mut waited = wait(tasks).return_when(ReturnWhen::FirstCompleted).await;
        assert_eq!((waited.done.len(), waited.pending.len()), (2, 1));
        let last = waited.pending.pop().unwrap();
        last.cancel();
        cancelled(last.await);
    });
}

#[test]
fn a_cancelled_or_panicked_task_counts_as_completed() {
    both(async || {
        let never = || create_task(pending::<()>());
        let ended = never();
        ended.cancel();
        let fails = create_task(async { panic!("counts") });
        for (n, task) in [ended, fails].into_iter().enumerate() {
            let waited = wait([never(), task])
                .return_when(ReturnWhen::FirstCompleted)
                .await;
            let [task] = <[Task<()>; 1]>::try_from(waited.done).unwrap();
            assert_eq!(task.await.unwrap_err().is_panic(), n == 1);
            for task in waited.pending {
                task.cancel();
                cancelled(task.await);
            }
        }
    });
}

#[test]
fn a_wait_with_no_time_looks_once() {
    both(async || {
        let gate = Arc::new(Event::new());
        let opened = gate.clone();
        let task = create_task(async move { opened.wait().await });
        let mut waited = wait([task]).timeout(Duration::ZERO).await;
        assert!(waited.done.is_empty());
        gate.set();
        waited.pending.pop().unwrap().await.unwrap();
    });
}

#[test]
fn failures_are_found_by_awaiting_what_is_done() {
    both(async || {
        let fails = create_task(async { panic!("found later") });
        let mut waited = wait::<()>([fails]).await;
        let error = waited.done.pop().unwrap().await.unwrap_err();
        assert!(error.to_string().contains("found later"), "{error}");
    });
}

#[test]
fn what_is_pending_can_be_waited_for_again() {
    paused(async {
        let mut left: Vec<_> = (1..=3).map(|n| create_task(sleep(SECOND * n))).collect();
        let mut rounds = 0;
        while !left.is_empty() {
            let waited = wait(left).return_when(ReturnWhen::FirstCompleted).await;
            for task in waited.done {
                task.await.unwrap();
            }
            left = waited.pending;
            rounds += 1;
        }
        assert_eq!(rounds, 3);
    });
}
