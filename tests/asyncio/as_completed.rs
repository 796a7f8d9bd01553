//! `as_completed`: tasks one by one, as they end.
//!
//! | rule | held by |
//! |---|---|
//! | tasks come in the order in which they end | `[groups] tasks_come_in_the_order_in_which_they_end` |
//! | … exactly once each | `[groups] many_tasks_on_many_workers_come_exactly_once` |
//! | … and are the very tasks that were given | `the_tasks_given_out_are_those_that_were_given` |
//! | nothing gives nothing | `as_completed_of_nothing_ends_at_once` |
//! | failures come like values | `a_task_that_failed_comes_like_any_other` |
//! | out of time the rest is given back, running | `[groups] as_completed_out_of_time_gives_the_rest_back_running` |
//! | … what ended in time is given out first | `what_ended_in_time_comes_although_the_time_is_over` |
//! | a cancelled wait loses no task | `a_next_that_was_cancelled_loses_no_task` |
//! | cancelling the awaiter cancels no task | `cancelling_the_awaiter_cancels_none_of_the_tasks` |
//! | dropped, it leaves its tasks running | `dropping_it_leaves_the_tasks_running` |

use std::future::pending;
use std::sync::Arc;

use super::{Count, SECOND, both, cancelled, parked, paused, strict, turns, until};
use loxley::{Event, Task, as_completed, catch_cancelled, create_task, sleep};

#[test]
fn the_tasks_given_out_are_those_that_were_given() {
    both(async || {
        let tasks: Vec<_> = (0..20).map(|n| create_task(async move { n })).collect();
        let numbers: Vec<_> = tasks.iter().map(Task::id).collect();
        let mut ended = as_completed(tasks);
        while let Some(task) = ended.next().await {
            let id = task.id();
            let n: usize = task.await.unwrap();
            assert_eq!(numbers[n], id);
        }
        assert!(ended.is_empty());
    });
}

#[test]
fn as_completed_of_nothing_ends_at_once() {
    both(async || {
        let mut nothing = as_completed::<()>([]);
        assert!(nothing.next().await.is_none());
        assert!(nothing.next().await.is_none());
    });
}

#[test]
fn a_task_that_failed_comes_like_any_other() {
    both(async || {
        let ended = create_task(pending::<()>());
        ended.cancel();
        let fails = create_task(async { panic!("like any other") });
        let mut all = as_completed([ended, fails]);
        let (mut cancels, mut panics) = (0, 0);
        while let Some(task) = all.next().await {
            let error = task.await.unwrap_err();
            cancels += usize::from(error.is_cancelled());
            panics += usize::from(error.is_panic());
        }
        assert_eq!((cancels, panics), (1, 1));
    });
}

#[test]
fn what_ended_in_time_comes_although_the_time_is_over() {
    paused(async {
        let tasks = [1, 2, 9].map(|n| create_task(sleep(SECOND * n)));
        let mut all = as_completed(tasks).timeout(SECOND * 5);
        // Nobody asks before the time is over.
        sleep(SECOND * 6).await;
        assert!(all.next().await.is_some());
        assert!(all.next().await.is_some());
        assert!(all.next().await.is_none());
        for task in all.into_pending() {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_next_that_was_cancelled_loses_no_task() {
    strict(async {
        let gate = Arc::new(Event::new());
        let opened = gate.clone();
        let task = create_task(async move { opened.wait().await });
        let awaiter = create_task(async move {
            let mut all = as_completed([task]);
            assert!(catch_cancelled(all.next()).await.is_err());
            all.next().await.expect("it is still there").await.unwrap();
        });
        turns(2).await;
        awaiter.cancel();
        gate.set();
        awaiter.await.unwrap();
    });
}

#[test]
fn cancelling_the_awaiter_cancels_none_of_the_tasks() {
    both(async || {
        let gate = Arc::new(Event::new());
        let opened = gate.clone();
        let task = create_task(async move { opened.wait().await });
        let seen = task.as_ref();
        let awaiter = create_task(async move {
            let _ = as_completed([task]).next().await;
        });
        parked(&awaiter.as_ref()).await;
        awaiter.cancel();
        cancelled(awaiter.await);
        assert_eq!(seen.cancelling(), 0);
        gate.set();
        until(|| seen.is_finished()).await;
    });
}

#[test]
fn dropping_it_leaves_the_tasks_running() {
    both(async || {
        let (gate, done) = (Arc::new(Event::new()), Count::default());
        let all = as_completed([0; 3].map(|_| {
            let (gate, done) = (gate.clone(), done.clone());
            create_task(async move {
                gate.wait().await;
                done.add();
            })
        }));
        drop(all);
        gate.set();
        until(|| done.get() == 3).await;
    });
}
