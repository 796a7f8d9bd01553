//! A limit against the end of its body and against a request: `runtime/src/time/timeout.rs` over edges S1–S5 and T10–T13.

use std::future::{Future, pending, poll_fn};
use std::sync::Arc as StdArc;
use std::sync::Mutex as StdMutex;
use std::task::{Poll, Waker};

use loxley_loom_tests::support::{Board, Counted, Drops, block_on};
use loxley_runtime::model::limited;
use loxley_sync::prim::{model, thread};
use loxley_sync::{catch_cancelled, oneshot};

type Slot = StdArc<StdMutex<Option<Waker>>>;

/// Pending once, then the value. The waker it was polled with is left in the slot.
fn second_time(value: Counted, slot: Slot) -> impl Future<Output = Counted> + Send {
    let mut value = Some(value);
    let mut polled = false;
    poll_fn(move |cx| {
        if polled {
            return Poll::Ready(value.take().expect("polled once more"));
        }
        polled = true;
        *slot.lock().expect("no panic") = Some(cx.waker().clone());
        Poll::Pending
    })
}

/// Hears that it is to stop, and goes on unwinding.
async fn cleans_up() {
    let error = catch_cancelled(pending::<()>())
        .await
        .expect_err("it waits for ever");
    error.reraise().await;
}

// edges: S1, S5, T3, T4, T7
#[test]
fn limit_is_reached_while_its_body_ends() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let slot = Slot::default();
        let (rings, alarm) = oneshot::channel::<()>();
        let body = second_time(drops.value(), slot.clone());
        let (task, handle) = board.task(limited(body, async move {
            let _ = alarm.await;
        }));
        assert!(!board.run(task), "it waits");
        let waker = slot.lock().expect("no panic").take().expect("polled");
        let wakes = thread::spawn(move || waker.wake());
        let alarms = thread::spawn(move || rings.send(()).is_ok());
        board.work_on(1);
        wakes.join().expect("no panic");
        alarms.join().expect("no panic");
        assert_eq!(handle.cancelling(), 0, "the limit takes back what it asked");
        let outcome = block_on(handle).expect("nobody cancelled it");
        assert_eq!(drops.count(), usize::from(outcome.is_err()));
        drop(outcome);
        assert_eq!(drops.count(), 1);
    });
}

// edges: S1, S2, S3, S4, T8, T10, T13
#[test]
fn request_that_meets_a_limit_is_not_taken_for_it() {
    model(|| {
        let board = Board::new();
        let (rings, alarm) = oneshot::channel::<()>();
        let (task, handle) = board.task(async move {
            let late = limited(cleans_up(), async move {
                let _ = alarm.await;
            })
            .await;
            // Whoever asked is heard here at the latest.
            pending::<()>().await;
            late.is_err()
        });
        assert!(!board.run(task), "it waits");
        let alarms = thread::spawn(move || rings.send(()).is_ok());
        assert!(handle.as_ref().cancel(), "nobody runs it yet");
        board.work_on(1);
        alarms.join().expect("no panic");
        assert_eq!(handle.cancelling(), 1);
        // With the message of either: one cancellation serves both.
        assert!(block_on(handle).expect_err("it was asked").is_cancelled());
    });
}

// edges: S1, S2, S3, S5, T4, T8, T13
#[test]
fn limit_is_heard_by_a_scope_inside_that_nothing_else_would_wake() {
    model(|| {
        let board = Board::new();
        let slot = Slot::default();
        let shows = slot.clone();
        let (rings, alarm) = oneshot::channel::<()>();
        let waits = poll_fn(move |cx| {
            *shows.lock().expect("no panic") = Some(cx.waker().clone());
            Poll::<()>::Pending
        });
        let (task, handle) = board.task(limited(
            async move { catch_cancelled(waits).await.is_err() },
            async move {
                let _ = alarm.await;
            },
        ));
        assert!(!board.run(task), "it waits");
        let waker = slot.lock().expect("no panic").take().expect("polled");
        // A wake for nothing: the poll it asks for may be the one in which the limit is seen.
        let wakes = thread::spawn(move || waker.wake());
        let alarms = thread::spawn(move || rings.send(()).is_ok());
        board.work_on(1);
        wakes.join().expect("no panic");
        alarms.join().expect("no panic");
        assert_eq!(handle.cancelling(), 0);
        assert_eq!(
            block_on(handle).expect("nobody cancelled it").ok(),
            Some(true)
        );
        drop(slot.lock().expect("no panic").take());
    });
}

// edges: S1, S2, S3, S5, T8, T13
#[test]
fn limit_that_interrupts_a_scope_inside_leaves_nothing_behind() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let slot = Slot::default();
        let (rings, alarm) = oneshot::channel::<()>();
        let body = second_time(drops.value(), slot.clone());
        let (task, handle) = board.task(limited(
            async move { catch_cancelled(body).await.is_err() },
            async move {
                let _ = alarm.await;
            },
        ));
        assert!(!board.run(task), "it waits");
        let waker = slot.lock().expect("no panic").take().expect("polled");
        let wakes = thread::spawn(move || waker.wake());
        let alarms = thread::spawn(move || rings.send(()).is_ok());
        board.work_on(1);
        wakes.join().expect("no panic");
        alarms.join().expect("no panic");
        assert_eq!(handle.cancelling(), 0);
        assert!(block_on(handle).is_ok(), "what goes on has its value");
        assert_eq!(drops.count(), 1);
    });
}
