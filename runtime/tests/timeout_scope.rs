//! A limit that moves: what `timeout_scope` and its handle promise, on the paused clock.

use loxley_runtime::{
    Runtime, TimeoutHandle, create_task, current_task, sleep, timeout_scope, yield_now,
};
use loxley_sync::{Event, catch_cancelled, oneshot};
use std::cell::OnceCell;
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

fn paused<F: Future>(test: F) -> F::Output {
    let builder = Runtime::builder().current_thread().paused(true);
    builder.build().unwrap().block_on(test)
}

/// The time of the runtime that this is called in.
fn now() -> Instant {
    sleep(Duration::ZERO).deadline()
}

#[test]
fn a_limit_that_is_not_moved_is_a_timeout() {
    paused(async {
        let began = now();
        let late = timeout_scope(Some(MS * 20), |_| pending::<()>()).await;
        assert_eq!(late.unwrap_err().limit(), Some(MS * 20));
        assert_eq!((now() - began).as_millis(), 20);
        assert_eq!(current_task().unwrap().cancelling(), 0);
        assert_eq!(timeout_scope(Some(MS), |_| async { 7 }).await, Ok(7));
    });
}

#[test]
fn no_limit_is_none_until_one_is_set() {
    paused(async {
        let began = now();
        let late = timeout_scope(None, |limit: TimeoutHandle| async move {
            assert_eq!(limit.when(), None);
            sleep(MS * 1_000).await;
            limit.reschedule(Some(now() + MS * 5)).unwrap();
            pending::<()>().await;
        });
        assert_eq!(late.await.unwrap_err().limit(), None);
        assert_eq!((now() - began).as_millis(), 1_005);
    });
}

#[test]
fn the_body_moves_its_limit_later_earlier_and_away() {
    paused(async {
        let value = timeout_scope(Some(MS * 10), |limit: TimeoutHandle| async move {
            limit.reschedule(Some(now() + MS * 100)).unwrap();
            sleep(MS * 50).await;
            limit.reschedule(None).unwrap();
            sleep(MS * 500).await;
            assert!(!limit.expired());
            7
        });
        assert_eq!(value.await, Ok(7));
        let began = now();
        let late = timeout_scope(Some(MS * 100), |limit: TimeoutHandle| async move {
            limit.reschedule(Some(now() + MS * 10)).unwrap();
            pending::<()>().await;
        });
        late.await.unwrap_err();
        assert_eq!((now() - began).as_millis(), 10);
    });
}

#[test]
fn another_task_moves_the_limit_of_a_body_that_waits() {
    paused(async {
        let (give, take) = oneshot::channel::<TimeoutHandle>();
        let mover = create_task(async move {
            let limit = take.await.unwrap();
            sleep(MS * 5).await;
            limit.reschedule(Some(now())).unwrap();
            limit
        });
        let began = now();
        let late = timeout_scope(None, |limit| async move {
            let _ = give.send(limit);
            pending::<()>().await;
        });
        late.await.unwrap_err();
        assert_eq!((now() - began).as_millis(), 5);
        let limit = mover.await.unwrap();
        assert!(limit.expired());
    });
}

#[test]
fn a_limit_of_zero_leaves_a_body_that_does_not_wait_alone() {
    paused(async {
        assert_eq!(
            timeout_scope(Some(Duration::ZERO), |_| async { 7 }).await,
            Ok(7)
        );
        timeout_scope(Some(Duration::ZERO), |_| yield_now())
            .await
            .unwrap_err();
    });
}

#[test]
fn the_limit_moves_only_while_the_scope_runs() {
    paused(async {
        let early = OnceCell::new();
        let scope = timeout_scope(Some(MS), |limit| {
            early.set(limit).unwrap();
            async {}
        });
        let limit = early.get().unwrap();
        let refused = limit.reschedule(None).unwrap_err().to_string();
        assert!(refused.contains("has not begun"), "{refused}");
        scope.await.unwrap();
        let refused = limit.reschedule(None).unwrap_err().to_string();
        assert!(refused.contains("has finished"), "{refused}");
        assert!(!limit.expired());
    });
}

#[test]
fn a_body_that_cleans_up_is_expiring_and_what_goes_on_gives_its_value() {
    paused(async {
        let value = timeout_scope(Some(MS), |limit: TimeoutHandle| async move {
            catch_cancelled(pending::<()>()).await.unwrap_err();
            assert!(limit.expired());
            let refused = limit.reschedule(None).unwrap_err().to_string();
            assert!(refused.contains("is expiring"), "{refused}");
            sleep(MS * 50).await;
            (7, limit)
        });
        let (value, limit) = value.await.unwrap();
        assert_eq!((value, limit.expired()), (7, true));
        let refused = limit.reschedule(None).unwrap_err().to_string();
        assert!(refused.contains("has expired"), "{refused}");
    });
}

#[test]
fn a_request_from_outside_goes_on_outwards() {
    paused(async {
        let began = Arc::new(Event::new());
        let seen = began.clone();
        let task = create_task(async move {
            let scope = timeout_scope(Some(MS * 1_000), |_| async move {
                seen.set();
                pending::<()>().await;
            });
            scope.await.unwrap_err();
        });
        began.wait().await;
        task.cancel_with("enough");
        let error = task.await.unwrap_err();
        assert!(error.to_string().contains("enough"), "{error}");
    });
}
