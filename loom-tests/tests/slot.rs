//! The LIFO slot of a worker, `runtime/src/task/slot.rs`: the owner puts and takes, a thief takes. Each task that goes in
//! comes out exactly once; one that is lost is a task that never completes and so leaks, which loom sees.

use std::sync::Arc as StdArc;

use loxley_loom_tests::support::{Board, Drops};
use loxley_runtime::model::{Scheduled, Slot, Task};
use loxley_sync::prim::{Arc, model, thread};

fn tasks<const N: usize>(board: &StdArc<Board>, drops: &Drops) -> [(Scheduled, Task<()>); N] {
    std::array::from_fn(|_| {
        let value = drops.value();
        board.task(async move { drop(value) })
    })
}

/// Takes and runs; the number of tasks that were there.
fn steal(slot: &Slot, board: &Board) -> usize {
    slot.take().map_or(0, |task| {
        assert!(board.run(task));
        1
    })
}

// Not an edge of a word of its own: the hand-over of the right to poll (T1, T3, T7 to T2).
// edges: T2
#[test]
fn owner_and_thief_take_the_same_task() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let slot = Arc::new(Slot::new());
        let [(task, handle)] = tasks(&board, &drops);
        slot.put(task).expect("empty");
        let thief = {
            let (slot, board) = (slot.clone(), board.clone());
            thread::spawn(move || steal(&slot, &board))
        };
        let own = steal(&slot, &board);
        assert_eq!(own + thief.join().expect("no panic"), 1);
        assert!(handle.is_finished());
        assert_eq!(drops.count(), 1);
    });
}

// edges: T2
#[test]
fn thief_takes_while_the_owner_puts_the_next() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let slot = Arc::new(Slot::new());
        let [(first, one), (second, two)] = tasks(&board, &drops);
        slot.put(first).expect("empty");
        let thief = {
            let (slot, board) = (slot.clone(), board.clone());
            thread::spawn(move || steal(&slot, &board))
        };
        let mut own = 0;
        if let Err(second) = slot.put(second) {
            assert!(board.run(second));
            own += 1;
        }
        let stolen = thief.join().expect("no panic");
        own += steal(&slot, &board);
        assert_eq!(own + stolen, 2, "a task was lost");
        assert!(one.is_finished() && two.is_finished() && slot.is_empty());
        assert_eq!(drops.count(), 2);
    });
}

// edges: T1, T2
#[test]
fn thief_sees_the_whole_task_that_the_owner_has_just_put() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let slot = Arc::new(Slot::new());
        let thief = {
            let (slot, board) = (slot.clone(), board.clone());
            thread::spawn(move || steal(&slot, &board))
        };
        let [(task, handle)] = tasks(&board, &drops);
        slot.put(task).expect("empty");
        let stolen = thief.join().expect("no panic");
        let own = steal(&slot, &board);
        assert_eq!(own + stolen, 1);
        assert!(handle.is_finished());
        assert_eq!(drops.count(), 1);
    });
}

// edges: T2
#[test]
fn two_thieves_at_a_full_slot() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let slot = Arc::new(Slot::new());
        let [(task, handle)] = tasks(&board, &drops);
        slot.put(task).expect("empty");
        let thieves: [_; 2] = std::array::from_fn(|_| {
            let (slot, board) = (slot.clone(), board.clone());
            thread::spawn(move || steal(&slot, &board))
        });
        let stolen: usize = thieves
            .map(|thief| thief.join().expect("no panic"))
            .iter()
            .sum();
        assert_eq!(stolen, 1);
        assert!(handle.is_finished() && slot.is_empty());
    });
}

// edges: T2
#[test]
#[cfg_attr(
    loom,
    ignore = "loom lets the owner's plain store fall between the two halves of the thief's exchange; shuttle does not"
)]
fn owner_takes_and_puts_again_behind_a_slow_thief() {
    model(|| {
        let (board, drops) = (Board::new(), Drops::new());
        let slot = Arc::new(Slot::new());
        let [(first, one), (second, two)] = tasks(&board, &drops);
        slot.put(first).expect("empty");
        let thief = {
            let (slot, board) = (slot.clone(), board.clone());
            thread::spawn(move || steal(&slot, &board))
        };
        // The thief may have looked at the first and take the second.
        let mut own = steal(&slot, &board);
        if let Err(second) = slot.put(second) {
            assert!(board.run(second));
            own += 1;
        }
        let stolen = thief.join().expect("no panic");
        own += steal(&slot, &board);
        assert_eq!(own + stolen, 2, "a task was lost");
        assert!(one.is_finished() && two.is_finished());
        assert_eq!(drops.count(), 2);
    });
}
