//! `shield`: an await whose cancellation leaves the task alone.
//!
//! | rule | held by |
//! |---|---|
//! | it gives what the task gives, and spawns a future | `[groups] a_shield_gives_the_value_and_spawns_a_future` |
//! | cancelling the awaiter ends the await at once; the task runs on | `[groups] a_shielded_task_outlives_its_cancelled_awaiter` |
//! | … and the task was asked nothing | `a_shielded_task_hears_nothing_of_a_request_to_its_awaiter` |
//! | cancelling the task ends the shield | `[groups] a_task_cancelled_behind_its_shield_ends_the_shield` |
//! | a shield of what is done does not wait | `a_shield_of_a_finished_task_does_not_wait` |
//! | a catch around it may wait for the task after all | `a_cancelled_awaiter_may_still_wait_for_what_it_shielded` |
//! | a failure after the awaiter went is reported, once | `a_failure_behind_a_shield_whose_awaiter_went_is_reported_once` |
//! | … a value is dropped in silence | `a_value_behind_a_shield_whose_awaiter_went_is_dropped_in_silence` |
//! | a limit around a shield leaves the task running | `a_limit_around_a_shield_leaves_the_task_running` |

use std::sync::{Arc, Mutex};

use super::{Count, SECOND, Token, both, cancelled, parked, paused, strict, until};
use loxley::{Event, Runtime, catch_cancelled, create_task, shield, sleep, timeout};

#[test]
fn a_shielded_task_hears_nothing_of_a_request_to_its_awaiter() {
    both(async || {
        let gate = Arc::new(Event::new());
        let opened = gate.clone();
        let inner = create_task(async move { catch_cancelled(opened.wait()).await.is_ok() });
        let seen = inner.as_ref();
        let awaiter = create_task(shield::<bool>(inner));
        parked(&awaiter.as_ref()).await;
        awaiter.cancel_with("outside");
        assert_eq!(cancelled(awaiter.await).message(), Some("outside"));
        assert_eq!((seen.cancelling(), seen.is_finished()), (0, false));
        gate.set();
        until(|| seen.is_finished()).await;
    });
}

#[test]
fn a_shield_of_a_finished_task_does_not_wait() {
    strict(async {
        let task = create_task(async { 7 });
        until(|| task.is_finished()).await;
        let others = Count::default();
        let count = others.clone();
        let other = create_task(async move { count.add() });
        let value: i32 = shield(task).await.unwrap();
        assert_eq!((value, others.get()), (7, 0));
        other.await.unwrap();
    });
}

#[test]
fn a_cancelled_awaiter_may_still_wait_for_what_it_shielded() {
    both(async || {
        let gate = Arc::new(Event::new());
        let opened = gate.clone();
        let awaiter = create_task(async move {
            let inner = create_task(async move {
                opened.wait().await;
                7
            });
            let mut shielded = shield::<i32>(inner);
            let error = catch_cancelled(&mut shielded)
                .await
                .map(|_| ())
                .unwrap_err();
            let inner = shielded.into_inner().expect("it has not ended");
            let value = inner.await.unwrap();
            assert_eq!(value, 7);
            error.reraise().await;
        });
        parked(&awaiter.as_ref()).await;
        awaiter.cancel_with("outside");
        gate.set();
        let ended: Result<(), _> = awaiter.await;
        assert_eq!(cancelled(ended).message(), Some("outside"));
    });
}

#[test]
fn a_failure_behind_a_shield_whose_awaiter_went_is_reported_once() {
    for strict in [false, true] {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let told = reports.clone();
        let mut builder = Runtime::builder().worker_threads(2);
        if strict {
            builder = builder.current_thread();
        }
        let builder =
            builder.unhandled_error(move |error| told.lock().unwrap().push(error.to_string()));
        let runtime = builder.build().unwrap();
        runtime.block_on(async {
            let gate = Arc::new(Event::new());
            let opened = gate.clone();
            let inner = create_task(async move {
                opened.wait().await;
                panic!("behind the shield");
            });
            let seen = inner.as_ref();
            let awaiter = create_task(shield::<()>(inner));
            parked(&awaiter.as_ref()).await;
            awaiter.cancel();
            cancelled(awaiter.await);
            gate.set();
            until(|| seen.is_finished()).await;
        });
        drop(runtime);
        let reports = reports.lock().unwrap();
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert!(reports[0].contains("behind the shield"), "{reports:?}");
    }
}

#[test]
fn a_value_behind_a_shield_whose_awaiter_went_is_dropped_in_silence() {
    // The leak check fails for what was reported.
    both(async || {
        let (gate, dropped) = (Arc::new(Event::new()), Count::default());
        let (opened, token) = (gate.clone(), dropped.token());
        let inner = create_task(async move {
            opened.wait().await;
            token
        });
        let awaiter = create_task(shield::<Token>(inner));
        parked(&awaiter.as_ref()).await;
        awaiter.cancel();
        assert!(awaiter.await.is_err());
        gate.set();
        until(|| dropped.get() == 1).await;
    });
}

#[test]
fn a_limit_around_a_shield_leaves_the_task_running() {
    paused(async {
        let done = Count::default();
        let count = done.clone();
        let inner = create_task(async move {
            sleep(SECOND * 2).await;
            count.add();
        });
        let seen = inner.as_ref();
        assert!(timeout(SECOND, shield::<()>(inner)).await.is_err());
        assert!(!seen.is_finished());
        sleep(SECOND * 2).await;
        assert_eq!((done.get(), seen.is_cancelled()), (1, false));
    });
}
