//! The hand-over of an outcome, edges T9, T11 and T12 of `runtime/src/task/state.rs`, with real tasks and handles.
//!
//! An outcome is a value that counts its drop, so it must be gone exactly once whoever took it; a joiner that is not woken is
//! a deadlock of the model.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc as StdArc;
use std::task::{Context, Poll, Waker};

use loxley_loom_tests::support::{Bell, Board, Counted, Drops, block_on};
use loxley_runtime::model::{Scheduled, Task};
use loxley_sync::prim::{model, thread};

/// A task whose output is counted, and the thread that runs it.
fn giving(board: &StdArc<Board>, drops: &Drops) -> (Scheduled, Task<Counted>) {
    let output = drops.value();
    board.task(async move { output })
}

fn complete(board: &StdArc<Board>, task: Scheduled) -> thread::JoinHandle<()> {
    let board = board.clone();
    thread::spawn(move || assert!(board.run(task)))
}

fn poll<T>(task: &mut Task<T>, bell: &StdArc<Bell>) -> Poll<T> {
    let waker = Waker::from(bell.clone());
    Pin::new(task)
        .poll(&mut Context::from_waker(&waker))
        .map(|result| result.expect("nobody stops it"))
}

// edges: T9, T11, T12
#[test]
fn joiner_registers_while_the_task_completes() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let (task, handle) = giving(&board, &drops);
        let worker = complete(&board, task);
        let output = block_on(handle).expect("nobody stops it");
        assert_eq!(drops.count(), 0, "dropped before it was taken");
        drop(output);
        worker.join().expect("no panic");
        assert_eq!(drops.count(), 1);
    });
}

// edges: T9, T11, T12
#[test]
fn handle_dropped_while_the_task_completes() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let (task, handle) = giving(&board, &drops);
        let worker = complete(&board, task);
        drop(handle);
        worker.join().expect("no panic");
        assert_eq!(drops.count(), 1);
    });
}

// edges: T9, T11, T12
#[test]
fn handle_with_a_stored_waker_dropped_while_the_task_completes() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let (task, mut handle) = giving(&board, &drops);
        let bell = Bell::new();
        assert!(poll(&mut handle, &bell).is_pending());
        let worker = complete(&board, task);
        drop(handle);
        worker.join().expect("no panic");
        assert_eq!(drops.count(), 1);
        assert_eq!(StdArc::strong_count(&bell), 1, "the joiner's waker leaked");
    });
}

// edges: T9, T11
#[test]
fn waker_replaced_while_the_task_completes() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let (task, mut handle) = giving(&board, &drops);
        let (first, second) = (Bell::new(), Bell::new());
        assert!(poll(&mut handle, &first).is_pending());
        let worker = complete(&board, task);
        // The joiner moved to another task: only the second waker counts from now on.
        let output = match poll(&mut handle, &second) {
            Poll::Ready(output) => output,
            Poll::Pending => {
                second.wait();
                let Poll::Ready(output) = poll(&mut handle, &second) else {
                    panic!("woken for nothing");
                };
                output
            }
        };
        worker.join().expect("no panic");
        drop((handle, output));
        assert_eq!(drops.count(), 1);
        let left = [&first, &second].map(StdArc::strong_count);
        assert_eq!(left, [1, 1], "a joiner's waker leaked");
    });
}

// edges: T9, T11
#[test]
fn same_waker_again_while_the_task_completes() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let (task, mut handle) = giving(&board, &drops);
        let bell = Bell::new();
        assert!(poll(&mut handle, &bell).is_pending());
        let worker = complete(&board, task);
        let output = loop {
            match poll(&mut handle, &bell) {
                Poll::Ready(output) => break output,
                Poll::Pending => bell.wait(),
            }
        };
        worker.join().expect("no panic");
        drop((handle, output));
        assert_eq!(drops.count(), 1);
    });
}

// edges: T9, T11, T12
#[test]
fn joiner_gives_up_and_another_takes_the_handle() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let (task, mut handle) = giving(&board, &drops);
        let worker = complete(&board, task);
        let bell = Bell::new();
        let early = poll(&mut handle, &bell);
        // What a timeout does: the awaiting future goes, the handle stays and moves to another thread.
        let joiner = thread::spawn(move || match early {
            Poll::Ready(output) => output,
            Poll::Pending => block_on(handle).expect("nobody stops it"),
        });
        drop(joiner.join().expect("no panic"));
        worker.join().expect("no panic");
        assert_eq!(drops.count(), 1);
    });
}

// edges: T9, T12
#[test]
fn reference_dropped_while_the_joiner_takes_the_output() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let (task, handle) = giving(&board, &drops);
        let reference = handle.as_ref();
        let other = thread::spawn(move || {
            let finished = reference.is_finished();
            drop(reference);
            finished
        });
        let worker = complete(&board, task);
        drop(block_on(handle).expect("nobody stops it"));
        let _ = other.join().expect("no panic");
        worker.join().expect("no panic");
        assert_eq!(drops.count(), 1);
    });
}

// edges: T9, T10, T11
#[test]
fn task_is_stopped_and_joined_while_it_completes() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let (task, handle) = giving(&board, &drops);
        let worker = complete(&board, task);
        let accepted = handle.cancel();
        match block_on(handle) {
            Ok(output) => drop(output),
            Err(error) => assert!(accepted && error.is_cancelled()),
        }
        worker.join().expect("no panic");
        assert_eq!(drops.count(), 1);
    });
}

// edges: T3, T4, T9, T11
#[test]
fn joiner_is_a_task_that_is_being_polled() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let (inner, handle) = giving(&board, &drops);
        let (outer, joined) = board.task(async move { drop(handle.await) });
        let worker = complete(&board, inner);
        board.work(outer, 1);
        worker.join().expect("no panic");
        assert!(joined.is_finished() && board.is_empty());
        assert_eq!(drops.count(), 1);
    });
}

// edges: T9, T11
#[test]
fn output_is_seen_by_whoever_saw_the_task_complete() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let (task, handle) = giving(&board, &drops);
        let worker = complete(&board, task);
        // No waker and no edge of the joiner's in between: the load alone must carry the output.
        let seen = handle.is_finished();
        let output = seen.then(|| block_on(handle).expect("nobody stops it"));
        assert!(!seen || drops.count() == 0, "dropped before it was taken");
        drop(output);
        worker.join().expect("no panic");
        assert_eq!(drops.count(), 1);
    });
}
