//! The state word of a task, edges T1–T10 and T12 of `runtime/src/task/state.rs`, with real tasks, wakers and references;
//! only the scheduler is a stand-in. A wake-up that is lost is a deadlock of the model; a cell that is freed too early, twice
//! or never is seen by loom itself.

use std::sync::Arc as StdArc;

use loxley_loom_tests::support::{Board, Drops, Until};
use loxley_runtime::model::{Scheduled, Task};
use loxley_sync::prim::atomic::{AtomicBool, AtomicUsize, Ordering};
use loxley_sync::prim::{Arc, model, spin_loop, thread};

/// Data that a waker's thread writes before it wakes: relaxed, so that only the wake's own ordering carries it.
fn data() -> (
    Arc<AtomicUsize>,
    impl Fn(usize) -> bool + Clone + Unpin + Send + 'static,
) {
    let data = Arc::new(AtomicUsize::new(0));
    let seen = data.clone();
    // ordering: relaxed, on purpose.
    (data, move |all| seen.load(Ordering::Relaxed) == all)
}

fn write(data: &AtomicUsize) {
    // ordering: relaxed, on purpose.
    data.fetch_add(1, Ordering::Relaxed);
}

/// A task that was polled once, found nothing and rests.
fn resting<C: Fn() -> bool + Unpin + Send + 'static>(
    board: &StdArc<Board>,
    condition: C,
    drops: &Drops,
) -> (Task<()>, StdArc<loxley_loom_tests::support::Shown>) {
    let (future, shown) = Until::new(condition);
    let (task, handle) = board.task(future.counted(drops));
    assert!(!board.run(task));
    (handle, shown)
}

/// The same, woken again: scheduled, and in nobody's queue.
fn scheduled<C: Fn() -> bool + Unpin + Send + 'static>(
    board: &StdArc<Board>,
    condition: C,
    drops: &Drops,
) -> (
    Scheduled,
    Task<()>,
    StdArc<loxley_loom_tests::support::Shown>,
) {
    let (future, shown) = Until::new(condition);
    let (task, handle) = board.task(future.counted(drops));
    let loxley_runtime::model::TaskTurn::Rest = task.run() else {
        panic!("nothing was there");
    };
    shown.waker().wake();
    let task = board.take().expect("woken");
    (task, handle, shown)
}

// edges: T2, T3, T4, T5, T6, T7
#[test]
fn wake_by_reference_at_the_end_of_a_poll() {
    model(|| {
        let (board, drops, (data, seen)) = (Board::new(), Drops::new(), data());
        let (task, handle, shown) = scheduled(&board, move || seen(1), &drops);
        let waker = shown.take();
        let other = thread::spawn(move || {
            write(&data);
            waker.wake_by_ref();
        });
        board.work(task, 1);
        other.join().expect("no panic");
        assert!(handle.is_finished());
        assert!(board.is_empty(), "a complete task is in a queue");
        assert!((2..=3).contains(&shown.polls()), "{} polls", shown.polls());
        assert_eq!((drops.count(), board.left()), (1, 1));
    });
}

// edges: T2, T3, T4, T5, T6, T7, T12
#[test]
fn wake_by_value_at_the_end_of_a_poll() {
    model(|| {
        let (board, drops, (data, seen)) = (Board::new(), Drops::new(), data());
        let (task, handle, shown) = scheduled(&board, move || seen(1), &drops);
        let waker = shown.take();
        let other = thread::spawn(move || {
            write(&data);
            waker.wake();
        });
        board.work(task, 1);
        other.join().expect("no panic");
        assert!(handle.is_finished() && board.is_empty());
        assert!((2..=3).contains(&shown.polls()), "{} polls", shown.polls());
        assert_eq!((drops.count(), board.left()), (1, 1));
    });
}

// edges: T3, T4, T5, T7
#[test]
fn two_wakers_and_data_of_both() {
    model(|| {
        let (board, drops, (data, seen)) = (Board::new(), Drops::new(), data());
        let (handle, shown) = resting(&board, move || seen(2), &drops);
        let wakers = [shown.waker(), shown.take()];
        let others = wakers.map(|waker| {
            let data = data.clone();
            thread::spawn(move || {
                write(&data);
                waker.wake();
            })
        });
        board.work_on(1);
        for other in others {
            other.join().expect("no panic");
        }
        assert!(handle.is_finished() && board.is_empty());
        assert!((2..=3).contains(&shown.polls()), "{} polls", shown.polls());
        assert_eq!((drops.count(), board.left()), (1, 1));
    });
}

// edges: T2, T3, T4, T6, T7
#[test]
fn future_moves_to_another_worker_between_two_polls() {
    model(|| {
        let (board, drops, (data, seen)) = (Board::new(), Drops::new(), data());
        // The future itself is the data: loom watches who touches its cell, and whether that came after the last poll.
        let (task, handle, shown) = scheduled(&board, move || seen(1), &drops);
        let waker = shown.take();
        let first = {
            let board = board.clone();
            thread::spawn(move || board.run(task))
        };
        write(&data);
        waker.wake();
        while !handle.is_finished() {
            if !board.turn() {
                spin_loop();
            }
        }
        first.join().expect("no panic");
        assert_eq!((drops.count(), board.left()), (1, 1));
    });
}

// edges: T5, T9, T12
#[test]
fn last_reference_is_a_waker_that_wakes_while_the_task_completes() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let go = Arc::new(AtomicBool::new(false));
        let ready = go.clone();
        // ordering: relaxed, one thread writes it before the others start.
        let (task, handle, shown) =
            scheduled(&board, move || ready.load(Ordering::Relaxed), &drops);
        // ordering: as above.
        go.store(true, Ordering::Relaxed);
        drop(handle);
        let waker = shown.take();
        let other = thread::spawn(move || waker.wake());
        assert!(board.run(task));
        other.join().expect("no panic");
        assert!(board.is_empty(), "a complete task is in a queue");
        assert_eq!((drops.count(), board.left()), (1, 1));
    });
}

// edges: T9, T12
#[test]
fn last_waker_goes_while_a_detached_task_completes() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let go = Arc::new(AtomicBool::new(false));
        let ready = go.clone();
        // ordering: relaxed, one thread writes it before the others start.
        let (task, handle, shown) =
            scheduled(&board, move || ready.load(Ordering::Relaxed), &drops);
        // ordering: as above.
        go.store(true, Ordering::Relaxed);
        drop(handle);
        let waker = shown.take();
        let other = thread::spawn(move || {
            waker.wake_by_ref();
            drop(waker);
        });
        assert!(board.run(task));
        other.join().expect("no panic");
        assert!(board.is_empty());
        assert_eq!((drops.count(), board.left()), (1, 1));
    });
}

// edges: T9, T12
#[test]
fn reference_on_a_third_thread_outlives_a_detached_task() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let kept = drops.value();
        let (task, handle) = board.task(async move { drop(kept) });
        let (first, second) = (handle.as_ref(), handle.as_ref());
        drop(handle);
        let others = [first, second].map(|task| {
            thread::spawn(move || {
                let _ = task.is_finished();
                task
            })
        });
        assert!(board.run(task));
        assert_eq!(drops.count(), 1);
        for other in others {
            assert!(other.join().expect("no panic").is_finished());
        }
    });
}

// edges: T8, T9, T10
#[test]
fn request_during_a_poll_that_stays_pending() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let (task, handle, shown) = scheduled(&board, || false, &drops);
        drop(shown.take());
        let other = handle.as_ref();
        let other = thread::spawn(move || other.cancel());
        board.work(task, 1);
        assert!(other.join().expect("no panic"), "it had not ended");
        assert!(handle.is_finished() && board.is_empty());
        assert!((1..=2).contains(&shown.polls()), "{} polls", shown.polls());
        assert_eq!((drops.count(), board.left()), (1, 1));
    });
}

// edges: T3, T10
#[test]
fn request_and_wake_of_a_resting_task_at_once() {
    model(|| {
        let (board, drops, (data, seen)) = (Board::new(), Drops::new(), data());
        let (handle, shown) = resting(&board, move || seen(1), &drops);
        let waker = shown.take();
        let wakes = thread::spawn(move || {
            write(&data);
            waker.wake();
        });
        let requests = {
            let task = handle.as_ref();
            thread::spawn(move || task.cancel())
        };
        board.work_on(1);
        wakes.join().expect("no panic");
        let accepted = requests.join().expect("no panic");
        let result = loxley_loom_tests::support::block_on(handle);
        assert!(accepted || result.is_ok(), "cancelled by nobody");
        assert!(board.is_empty(), "two rights to poll");
        assert_eq!((drops.count(), board.left()), (1, 1));
    });
}

// edges: T9, T10
#[test]
fn request_while_the_task_completes() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let kept = drops.value();
        let (task, handle) = board.task(async move {
            let _kept = &kept;
        });
        let other = handle.as_ref();
        let other = thread::spawn(move || other.cancel_with("enough"));
        assert!(board.run(task));
        let accepted = other.join().expect("no panic");
        assert!(board.is_empty(), "a complete task is in a queue");
        match loxley_loom_tests::support::block_on(handle) {
            Ok(()) => {}
            Err(error) => {
                assert!(accepted && error.is_cancelled());
                assert!(error.to_string().contains("enough"), "the message: {error}");
            }
        }
        assert_eq!((drops.count(), board.left()), (1, 1));
    });
}

// edges: T10
#[test]
fn two_requests_of_a_resting_task_at_once() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let (handle, shown) = resting(&board, || false, &drops);
        drop(shown.take());
        let others = ["first", "second"].map(|message| {
            let task = handle.as_ref();
            thread::spawn(move || task.cancel_with(message))
        });
        board.work_on(1);
        let accepted = others.map(|other| other.join().expect("no panic"));
        assert!(accepted.contains(&true));
        assert!(board.is_empty(), "two rights to poll");
        let error = loxley_loom_tests::support::block_on(handle).expect_err("cancelled");
        let text = error.to_string();
        assert!(text.contains("first") || text.contains("second"), "{text}");
        assert_eq!((drops.count(), board.left(), shown.polls()), (1, 1, 1));
    });
}

// edges: T3, T5, T10
#[test]
fn rarely_used_part_made_by_two_threads_at_once() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let (handle, shown) = resting(&board, || false, &drops);
        drop(shown.take());
        let names = {
            let task = handle.as_ref();
            thread::spawn(move || task.set_name("named"))
        };
        assert!(handle.cancel_with("stop"));
        names.join().expect("no panic");
        assert_eq!(&*handle.name(), "named");
        assert!(board.turn());
        let error = loxley_loom_tests::support::block_on(handle).expect_err("cancelled");
        assert!(error.to_string().contains("stop"), "{error}");
    });
}
