//! `gather` and `try_gather`: several tasks for their values.
//!
//! | rule | held by |
//! |---|---|
//! | values come in the order given, of futures and of tasks; nothing gives nothing | `[groups] gather_gives_values_in_the_order_given` |
//! | futures become tasks in the order given, when it is called | `futures_start_in_the_order_given_before_anything_is_awaited` |
//! | what is done already is there at once | `a_gathering_of_finished_tasks_does_not_wait` |
//! | the first failure comes at once; the others run on | `[groups] the_first_failure_ends_a_gathering_and_the_others_run_on` |
//! | … a cancelled task counts as a failure | `a_cancelled_task_is_a_failure_of_its_gathering` |
//! | … and cancelling one does not cancel the others | `cancelling_one_task_leaves_the_others_of_its_gathering_alone` |
//! | … a task that asked itself to stop gives no value, and is one at once | `a_task_that_asked_itself_to_stop_fails_its_gathering_at_once` |
//! | … a panic is one at once | `a_panic_fails_its_gathering_at_once` |
//! | with `return_errors` all are waited for, failures are values | `[groups] gather_with_errors_waits_for_all` |
//! | cancelling the awaiter cancels every task | `[groups] cancelling_the_awaiter_of_a_gathering_cancels_every_task_of_it` |
//! | … and goes on when the first has ended cancelled, slower ones still cleaning up | `a_cancelled_gathering_goes_on_when_the_first_task_has_ended_cancelled` |
//! | … with `return_errors` when all have ended | `a_cancelled_gathering_of_errors_goes_on_when_all_have_ended` |
//! | … if all refuse, when all have ended | `[groups] a_gathering_whose_tasks_all_refuse_is_cancelled_when_they_have_ended` |
//! | `cancel` cancels every task | `[groups] a_gathering_that_is_cancelled_cancels_its_tasks` |
//! | … and says whether there was anything to cancel | `cancelling_a_gathering_that_is_done_is_refused` |
//! | a gathering awaited in a gathering passes requests on | `a_request_goes_through_nested_gatherings` |
//! | a gathering dropped leaves its tasks running | `a_gathering_that_is_dropped_leaves_its_tasks_running` |
//! | `try_gather` gives the first error of either kind | `[groups] try_gather_gives_the_first_error_whichever_kind_it_is` |
//! | … the others run on | `the_first_error_of_a_try_gather_leaves_the_others_running` |

use std::future::pending;
use std::sync::{Arc, Mutex};

use super::{Count, both, cancelled, me, parked, strict, turns, until};
use loxley::{
    Event, Task, TaskError, catch_cancelled, create_task, gather, try_gather, with_cleanup,
};

#[test]
fn futures_start_in_the_order_given_before_anything_is_awaited() {
    strict(async {
        let order = Arc::new(Mutex::new(Vec::new()));
        let all = gather((0..5).map(|n| {
            let order = order.clone();
            async move { order.lock().unwrap().push(n) }
        }));
        assert!(order.lock().unwrap().is_empty());
        turns(1).await;
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
        let _: Vec<()> = all.await.unwrap();
    });
}

#[test]
fn a_task_that_asked_itself_to_stop_fails_its_gathering_at_once() {
    both(async || {
        let event = Arc::new(Event::new());
        let waits = event.clone();
        let asks = async {
            assert!(me().cancel());
            7
        };
        let other = async move { waits.wait().await };
        assert!(gather((asks, other)).await.unwrap_err().is_cancelled());
        event.set();
    });
}

#[test]
fn a_panic_fails_its_gathering_at_once() {
    both(async || {
        let event = Arc::new(Event::new());
        let waits = event.clone();
        let fails = async { panic!("on purpose") };
        let other = async move { waits.wait().await };
        let both: Result<((), ()), _> = gather((fails, other)).await;
        assert!(both.unwrap_err().is_panic());
        event.set();
    });
}

#[test]
fn a_gathering_of_finished_tasks_does_not_wait() {
    strict(async {
        let tasks = [1, 2].map(|n| create_task(async move { n }));
        turns(1).await;
        let others = Count::default();
        let count = others.clone();
        let other = create_task(async move { count.add() });
        let values: Vec<i32> = gather(tasks).await.unwrap();
        assert_eq!((values, others.get()), (vec![1, 2], 0));
        other.await.unwrap();
    });
}

#[test]
fn a_cancelled_task_is_a_failure_of_its_gathering() {
    both(async || {
        let task = create_task(pending::<()>());
        task.cancel_with("one of them");
        let failed: Result<((), ()), _> = gather((task, async {})).await;
        assert_eq!(cancelled(failed).message(), Some("one of them"));
    });
}

#[test]
fn cancelling_one_task_leaves_the_others_of_its_gathering_alone() {
    both(async || {
        let gate = Arc::new(Event::new());
        let opened = gate.clone();
        let (first, second) = (
            create_task(pending::<()>()),
            create_task(async move { opened.wait().await }),
        );
        let (one, two) = (first.as_ref(), second.as_ref());
        let all = gather((first, second)).return_errors();
        one.cancel();
        until(|| one.is_finished()).await;
        assert_eq!(two.cancelling(), 0);
        gate.set();
        let (first, second): (Result<(), _>, Result<(), _>) = all.await;
        cancelled(first);
        second.unwrap();
    });
}

/// A task that, asked to stop, waits for `gate` before it ends.
fn cleans_up(gate: &Arc<Event>, begun: &Count) -> Task<()> {
    let (gate, begun) = (gate.clone(), begun.clone());
    create_task(async move {
        let waits = async {
            begun.add();
            pending::<()>().await;
        };
        with_cleanup(waits, |_| async move { gate.wait().await }).await;
    })
}

#[test]
fn a_cancelled_gathering_goes_on_when_the_first_task_has_ended_cancelled() {
    both(async || {
        let (gate, open, begun) = (
            Arc::new(Event::new()),
            Arc::new(Event::new()),
            Count::default(),
        );
        open.set();
        let (slow, quick) = (cleans_up(&gate, &begun), cleans_up(&open, &begun));
        let slow_one = slow.as_ref();
        let parent = create_task(gather::<((), ()), _>((slow, quick)));
        until(|| begun.get() == 2).await;
        parked(&parent.as_ref()).await;
        parent.cancel();
        cancelled(parent.await);
        assert!(!slow_one.is_finished(), "it still cleans up");
        gate.set();
        until(|| slow_one.is_finished()).await;
    });
}

#[test]
fn a_cancelled_gathering_of_errors_goes_on_when_all_have_ended() {
    strict(async {
        let (gate, open, begun) = (
            Arc::new(Event::new()),
            Arc::new(Event::new()),
            Count::default(),
        );
        open.set();
        let (slow, quick) = (cleans_up(&gate, &begun), cleans_up(&open, &begun));
        let slow_one = slow.as_ref();
        let parent = create_task(async move {
            let _: (Result<(), _>, Result<(), _>) = gather((slow, quick)).return_errors().await;
        });
        turns(2).await;
        parent.cancel_with("outside");
        turns(5).await;
        assert!(!parent.is_finished());
        gate.set();
        assert_eq!(cancelled(parent.await).message(), Some("outside"));
        assert!(slow_one.is_finished());
    });
}

#[test]
fn cancelling_a_gathering_that_is_done_is_refused() {
    both(async || {
        let tasks = [1, 2].map(|n| create_task(async move { n }));
        until(|| tasks.iter().all(Task::is_finished)).await;
        let all = gather::<Vec<i32>, _>(tasks);
        assert!(!all.cancel());
        assert_eq!(all.await.unwrap(), [1, 2]);
    });
}

#[test]
fn a_request_goes_through_nested_gatherings() {
    both(async || {
        let (gate, begun) = (Arc::new(Event::new()), Count::default());
        gate.set();
        let leaves = [0; 4].map(|_| cleans_up(&gate, &begun));
        let seen: Vec<_> = leaves.iter().map(Task::as_ref).collect();
        let [a, b, c, d] = leaves;
        let parent = create_task(async move {
            let left = async move { gather::<((), ()), _>((a, b)).await.map(|_| ()) };
            let right = async move { gather::<((), ()), _>((c, d)).await.map(|_| ()) };
            let _ =
                gather::<(Result<(), TaskError>, Result<(), TaskError>), _>((left, right)).await;
        });
        until(|| begun.get() == 4).await;
        parked(&parent.as_ref()).await;
        parent.cancel();
        cancelled(parent.await);
        until(|| seen.iter().all(|task| task.is_cancelled())).await;
    });
}

#[test]
fn a_gathering_that_is_dropped_leaves_its_tasks_running() {
    both(async || {
        let (gate, done) = (Arc::new(Event::new()), Count::default());
        let all = gather::<Vec<()>, _>((0..3).map(|_| {
            let (gate, done) = (gate.clone(), done.clone());
            async move {
                gate.wait().await;
                done.add();
            }
        }));
        drop(all);
        gate.set();
        until(|| done.get() == 3).await;
    });
}

#[test]
fn the_first_error_of_a_try_gather_leaves_the_others_running() {
    both(async || {
        let (gate, done) = (Arc::new(Event::new()), Count::default());
        let (opened, count) = (gate.clone(), done.clone());
        let slow = async move {
            let heard = catch_cancelled(opened.wait()).await.is_err();
            assert!(!heard);
            count.add();
            Ok::<(), Failure>(())
        };
        let failed = try_gather((slow, async { Err::<(), _>(Failure) })).await;
        assert_eq!(failed, Err(Failure));
        gate.set();
        until(|| done.get() == 1).await;
    });
}

#[derive(Debug, PartialEq)]
struct Failure;

impl From<TaskError> for Failure {
    fn from(_: TaskError) -> Self {
        Self
    }
}
