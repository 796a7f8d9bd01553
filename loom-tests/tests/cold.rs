//! The word that holds a task's one request, or the part made for more: edges C1–C5 of `runtime/src/task/cold.rs`, with T10
//! and T13 of `runtime/src/task/state.rs`.
//!
//! A task that waits without a scope ends by whatever request comes, and what stood in the word is never lost.

use std::future::pending;
use std::sync::Arc as StdArc;

use loxley_loom_tests::support::{Board, Counted, Drops, block_on};
use loxley_runtime::model::{Scheduled, Task};
use loxley_runtime::{TaskError, TaskRef};
use loxley_sync::prim::{model, thread};
use loxley_sync::{CancelledError, context_var};

context_var! { static HELD: StdArc<Counted> }

/// A task that waits for ever and holds `held`.
fn waiting(board: &StdArc<Board>, held: Counted) -> (Scheduled, Task<()>) {
    board.task(async move {
        let _held = held;
        pending::<()>().await;
    })
}

fn end(handle: Task<()>) -> CancelledError {
    match block_on(handle) {
        Err(TaskError::Cancelled(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// A request without words beside another one: the task ends by one of the two, whole, and once.
fn ends_by_one_of_two(other: fn(&TaskRef) -> bool, words: Option<&'static str>) {
    model(move || {
        let (board, drops) = (Board::new(), Drops::new());
        let (task, handle) = waiting(&board, drops.value());
        assert!(!board.run(task), "it waits");
        let (one, two) = (handle.as_ref(), handle.as_ref());
        let first = thread::spawn(move || one.cancel());
        let second = thread::spawn(move || other(&two));
        board.work_on(1);
        let first = first.join().expect("no panic");
        let second = second.join().expect("no panic");
        assert!(first || second, "ended by nobody");
        assert!(handle.as_ref().is_cancelled());
        let error = end(handle);
        let is_one = error.message().is_none() || error.message() == words;
        assert!(is_one, "{error:?}");
        assert_eq!((drops.count(), board.left()), (1, 1));
    });
}

// edges: C1, C2, C3, C4, T3, T10, T13
#[test]
fn request_without_words_against_one_with_words() {
    ends_by_one_of_two(|task| task.cancel_with("words"), Some("words"));
}

// edges: C1, C2, C3, C4, T3, T10, T13
#[test]
fn two_requests_without_words() {
    ends_by_one_of_two(|task| task.cancel(), None);
}

// edges: C1, C2, C3, C4, C5, T10, T13
#[test]
fn request_without_words_while_its_word_becomes_a_part() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let (task, handle) = waiting(&board, drops.value());
        assert!(!board.run(task), "it waits");
        let (one, two) = (handle.as_ref(), handle.as_ref());
        let asks = thread::spawn(move || one.cancel());
        let names = thread::spawn(move || two.set_name("named"));
        board.work_on(1);
        assert!(asks.join().expect("no panic"), "nobody else asked");
        names.join().expect("no panic");
        let task = handle.as_ref();
        assert_eq!(
            (&*task.name(), task.is_cancelled(), task.cancelling()),
            ("named", true, 1)
        );
        assert_eq!(end(handle).message(), None);
        assert_eq!((drops.count(), board.left()), (1, 1));
    });
}

// edges: C1, C2, C3, C4, T10, T13
#[test]
fn request_without_words_against_one_who_takes_it_back() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let (task, handle) = waiting(&board, drops.value());
        assert!(!board.run(task), "it waits");
        let (one, two) = (handle.as_ref(), handle.as_ref());
        let asks = thread::spawn(move || one.cancel());
        let forgives = thread::spawn(move || two.uncancel());
        asks.join().expect("no panic");
        assert_eq!(forgives.join().expect("no panic"), 0);
        // Taken back before it interrupted anything, or too late; in both cases the task had its turn.
        board.turn();
        let task = handle.as_ref();
        if !task.is_finished() {
            assert_eq!((task.cancelling(), drops.count()), (0, 0));
            assert!(task.cancel(), "it waits still");
            board.work_on(1);
        }
        assert!(task.is_cancelled());
        assert_eq!(end(handle).message(), None);
        assert_eq!((drops.count(), board.left()), (1, 1));
    });
}

// edges: C1, C2, C3, T10
#[test]
fn request_that_found_the_task_waiting_while_its_word_becomes_a_part() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let (task, handle) = waiting(&board, drops.value());
        assert!(!board.run(task), "it waits");
        let one = handle.as_ref();
        let asks = thread::spawn(move || one.cancel());
        handle.as_ref().set_name("named");
        assert!(asks.join().expect("no panic"), "it waits");
        // It interrupts the wait it has found, so taking it back takes it off the count and no more.
        assert_eq!(handle.as_ref().uncancel(), 0);
        assert!(board.turn());
        assert!(handle.as_ref().is_cancelled());
        drop(handle);
        assert_eq!((drops.count(), board.left()), (1, 1));
    });
}

// edges: C2, T2, T6, T7, T10
#[test]
fn request_ends_a_task_whose_first_poll_sets_a_variable() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let held = StdArc::new(drops.value());
        let (task, handle) = board.task(async move {
            HELD.set(held);
            pending::<()>().await;
        });
        let (first, asks) = (board.clone(), handle.as_ref());
        let first = thread::spawn(move || first.run(task));
        assert!(asks.cancel(), "it does not end by itself");
        // The poll that ends it, here or there, takes the variables that the first has left.
        let here = board.turn();
        let there = first.join().expect("no panic");
        if !here && !there {
            board.work_on(1);
        }
        assert_eq!(drops.count(), 1, "the variables went with the task");
        assert!(HELD.get().is_none(), "and are nobody else's");
        drop(end(handle));
    });
}
