//! Requests and cancel scopes: edges S1–S5 of `sync/src/ambient/tree.rs` with T8, T10 and T13 of `runtime/src/task/state.rs`.
//!
//! A value that is ready when the request comes must be either handed out or dropped, once; a task that is asked must end.

use std::future::{Future, pending, poll_fn};
use std::sync::Arc as StdArc;
use std::sync::Mutex as StdMutex;
use std::task::{Context, Poll, Wake, Waker};

use loxley_loom_tests::support::{Board, Counted, Drops};
use loxley_runtime::TaskError;
use loxley_sync::prim::{model, thread};
use loxley_sync::{CancelledError, catch_cancelled, uncancellable};

/// Pending once, then the value. The waker it was polled with is left in the slot.
fn second_time(
    value: Counted,
    slot: StdArc<StdMutex<Option<Waker>>>,
) -> impl Future<Output = Counted> + Send {
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

// edges: S1, S2, S3, T3, T10, T13
#[test]
fn request_against_the_wake_for_the_last_poll_inside_a_scope() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let slot = StdArc::new(StdMutex::new(None));
        let (task, handle) = board.task(catch_cancelled(second_time(drops.value(), slot.clone())));
        assert!(!board.run(task), "it waits");
        let waker: Waker = slot.lock().expect("no panic").take().expect("polled");
        let wakes = thread::spawn(move || waker.wake());
        let asked = handle.as_ref();
        let asks = thread::spawn(move || asked.cancel());
        board.work_on(1);
        wakes.join().expect("no panic");
        let was_asked = asks.join().expect("no panic");
        let outcome = loxley_loom_tests::support::block_on(handle).expect("the scope takes it");
        match &outcome {
            Ok(_) => assert_eq!(drops.count(), 0, "handed out and dropped"),
            Err(_) => {
                assert!(was_asked, "cancelled by nobody");
                assert_eq!(drops.count(), 1, "given up and kept");
            }
        }
        drop(outcome);
        assert_eq!(drops.count(), 1);
        assert_eq!(board.left(), 1);
    });
}

// edges: S1, S2, S3, S5, T8, T10, T13
#[test]
fn request_during_the_poll_that_enters_the_scope() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let held = drops.value();
        let (task, handle) = board.task(async move {
            let caught = catch_cancelled(async move {
                let _held = held;
                pending::<()>().await;
            });
            caught.await.is_err()
        });
        let asked = handle.as_ref();
        let asks = thread::spawn(move || asked.cancel());
        board.work(task, 1);
        assert!(asks.join().expect("no panic"), "it had not ended");
        // Asked before its first poll nothing of it runs; after that the scope hears it.
        match loxley_loom_tests::support::block_on(handle) {
            Ok(heard) => assert!(heard),
            Err(error) => assert!(error.is_cancelled()),
        }
        assert_eq!(drops.count(), 1);
    });
}

/// Another waker for the same task.
struct Through(Waker);

impl Wake for Through {
    fn wake(self: StdArc<Self>) {
        self.0.wake_by_ref();
    }
}

// edges: S2, S3, S5
#[test]
fn scope_dropped_by_another_thread_while_its_task_is_asked() {
    model(|| {
        let board = Board::new();
        let shared = StdArc::new(StdMutex::new(None));
        let out = shared.clone();
        let (task, handle) = board.task(async move {
            let mut caught = Box::pin(catch_cancelled(pending::<()>()));
            poll_fn(|cx| {
                // Polled with a waker of its own, it is in the task's tree from its first wait on.
                let own = Waker::from(StdArc::new(Through(cx.waker().clone())));
                let poll = caught.as_mut().poll(&mut Context::from_waker(&own));
                assert!(poll.is_pending());
                Poll::Ready(())
            })
            .await;
            *out.lock().expect("no panic") = Some(caught);
            pending::<()>().await;
        });
        assert!(!board.run(task), "it waits");
        let scope = shared.lock().expect("no panic").take().expect("polled");
        let drops_it = thread::spawn(move || drop(scope));
        let asked = handle.as_ref();
        let asks = thread::spawn(move || asked.cancel());
        board.work_on(1);
        drops_it.join().expect("no panic");
        assert!(asks.join().expect("no panic"));
        let error = loxley_loom_tests::support::block_on(handle)
            .expect_err("nothing in it takes the request");
        assert!(error.is_cancelled());
    });
}

// edges: S1, S2, S4, T9, T10, T11
#[test]
fn request_to_an_awaiter_while_the_awaited_task_completes() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let value = drops.value();
        let (inner, awaited) = board.task(async move { value });
        let (outer, handle) = board.task(async move {
            let caught: Result<Result<Counted, TaskError>, CancelledError> =
                catch_cancelled(awaited).await;
            caught.is_ok()
        });
        assert!(!board.run(outer), "it waits for the other task");
        let asked = handle.as_ref();
        let asks = thread::spawn(move || asked.cancel());
        board.work(inner, 2);
        let was_asked = asks.join().expect("no panic");
        let got_value = loxley_loom_tests::support::block_on(handle).expect("the scope takes it");
        assert!(got_value || was_asked);
        assert_eq!(drops.count(), 1);
    });
}

// edges: S1, S2, S3, T10, T13
#[test]
fn request_while_a_held_body_ends_is_heard_after_it() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let slot = StdArc::new(StdMutex::new(None));
        let body = second_time(drops.value(), slot.clone());
        let (task, handle) = board.task(async move {
            drop(uncancellable(body).await);
            pending::<()>().await;
        });
        assert!(!board.run(task), "it waits");
        let waker: Waker = slot.lock().expect("no panic").take().expect("polled");
        let wakes = thread::spawn(move || waker.wake());
        let asked = handle.as_ref();
        let asks = thread::spawn(move || asked.cancel());
        board.work_on(1);
        wakes.join().expect("no panic");
        assert!(
            asks.join().expect("no panic"),
            "it waits for ever otherwise"
        );
        assert!(
            loxley_loom_tests::support::block_on(handle)
                .expect_err("asked")
                .is_cancelled()
        );
        assert_eq!(drops.count(), 1);
    });
}

// edges: S1, S2, S3, T8, T10, T13
#[test]
fn second_request_while_the_first_is_delivered_is_heard_with_it_or_after_it() {
    model(|| {
        let board = Board::new();
        let slot = StdArc::new(StdMutex::new(None));
        let shows = slot.clone();
        let (task, handle) = board.task(async move {
            let mut heard: Vec<String> = Vec::new();
            while heard.last().is_none_or(|last| last != "second") {
                let waits = poll_fn(|cx| {
                    *shows.lock().expect("no panic") = Some(cx.waker().clone());
                    Poll::<()>::Pending
                });
                let error = catch_cancelled(waits).await.expect_err("it waits for ever");
                heard.extend(error.message().map(str::to_owned));
            }
            heard.len()
        });
        assert!(!board.run(task), "it waits");
        // Woken first, so that a request before the delivery takes the place of the one before it.
        let waker: Waker = slot.lock().expect("no panic").take().expect("polled");
        waker.wake();
        assert!(handle.as_ref().cancel_with("first"));
        let asked = handle.as_ref();
        let asks = thread::spawn(move || asked.cancel_with("second"));
        assert!(board.turn(), "it was woken");
        // False if it was delivered with the first one before it was announced, and the task has ended since.
        let _ = asks.join().expect("no panic");
        while board.turn() {}
        assert!(handle.is_finished(), "the second request was lost");
        let heard = loxley_loom_tests::support::block_on(handle).expect("its scope takes it");
        assert!(heard <= 2);
        drop(slot.lock().expect("no panic").take());
    });
}
