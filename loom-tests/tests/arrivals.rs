//! Several tasks that announce their end to the one who waits: edges F1–F3 of `runtime/src/group/arrivals.rs`.
//!
//! Whoever waits for an end that nobody told of waits for ever, which the models report as a deadlock.

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use loxley_loom_tests::support::{Board, block_on};
use loxley_runtime::model::{Arrivals, Roll, Task};
use loxley_sync::prim::{model, thread};

/// Waits for all of them; how often it looked at one.
fn wait_for(mut tasks: Vec<Task<usize>>, mut arrivals: Arrivals) -> Vec<Option<usize>> {
    let mut values: Vec<Option<Option<usize>>> = tasks.iter().map(|_| None).collect();
    block_on(poll_fn(|cx| {
        arrivals.poll(cx, tasks.len(), |index, cx| {
            assert!(values[index].is_none(), "looked at again after its end");
            Pin::new(&mut tasks[index]).poll(cx).map(|result| {
                values[index] = Some(result.ok());
            })
        });
        if values.iter().all(Option::is_some) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }));
    values.into_iter().flatten().collect()
}

// edges: F1, F2, F3
#[test]
fn last_end_is_heard_while_the_roll_is_closed_and_the_first_look_taken() {
    model(|| {
        let board = Board::new();
        let mut roll = Roll::new(false);
        let (mut tasks, mut threads) = (Vec::new(), Vec::new());
        for value in 0..2 {
            let (task, handle) = board.task(roll.announce_for_model(async move { value }));
            tasks.push(handle);
            let board = board.clone();
            threads.push(thread::spawn(move || assert!(board.run(task))));
        }
        let values = wait_for(tasks, roll.close());
        assert_eq!(values, [Some(0), Some(1)]);
        for thread in threads {
            thread.join().expect("no panic");
        }
    });
}

// edges: F1, F2
#[test]
fn failure_is_heard_while_another_runs_on() {
    model(|| {
        let board = Board::new();
        let mut roll = Roll::new(false);
        let (fails, failed) = board.task(roll.announce_for_model(pending::<usize>()));
        let (runs_on, handle) = board.task(roll.announce_for_model(pending()));
        assert!(!board.run(runs_on), "it waits");
        let mut arrivals = roll.close();
        let asked = failed.as_ref();
        let runs = thread::spawn({
            let board = board.clone();
            move || {
                assert!(asked.cancel());
                assert!(board.run(fails));
            }
        });
        let mut tasks = [failed, handle];
        let first = block_on(poll_fn(|cx| {
            let mut ended = None;
            arrivals.poll(cx, 2, |index, cx| {
                let poll = Pin::new(&mut tasks[index]).poll(cx);
                poll.map(|result| ended = Some((index, result.is_err())))
            });
            ended.map_or(Poll::Pending, Poll::Ready)
        }));
        assert_eq!(first, (0, true));
        runs.join().expect("no panic");
        drop(arrivals);
        assert!(tasks[1].cancel() && board.turn());
    });
}
