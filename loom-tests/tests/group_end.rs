//! The end of a task group against its last child: edges E0–E4 of `runtime/src/group/children.rs`.
//!
//! A parent whose wake-up is lost waits for ever, which the models report as a deadlock.

use std::future::{pending, poll_fn};
use std::sync::Arc as StdArc;
use std::task::Poll;

use loxley_loom_tests::support::{Board, block_on};
use loxley_runtime::model::{Children, Closed};
use loxley_sync::prim::atomic::{AtomicUsize, Ordering};
use loxley_sync::prim::{Arc, model, thread};

fn open() -> StdArc<Children<u8>> {
    let group = StdArc::new(Children::new(None));
    assert!(group.claim());
    group.open();
    group
}

/// What the parent does after its body.
fn wait_for_the_end(group: &Children<u8>) {
    block_on(poll_fn(|cx| {
        group.register(cx);
        group.poll_end()
    }));
}

// edges: E1, E2, E4
#[test]
fn last_children_go_while_the_parent_looks() {
    model(|| {
        let group = open();
        let work = Arc::new(AtomicUsize::new(0));
        let children: Vec<_> = (0..2)
            .map(|_| {
                let (ticket, work) = (group.enter().ok(), work.clone());
                assert!(ticket.is_some(), "it is open");
                thread::spawn(move || {
                    // ordering: relaxed, E4 publishes it to E1.
                    work.fetch_add(1, Ordering::Relaxed);
                    drop(ticket);
                })
            })
            .collect();
        wait_for_the_end(&group);
        // ordering: relaxed, E1 acquired what both did.
        assert_eq!(work.load(Ordering::Relaxed), 2, "it ended without a child");
        for child in children {
            child.join().expect("no panic");
        }
    });
}

// edges: E1, E4
#[test]
fn group_that_has_ended_has_no_child_that_has_not() {
    model(|| {
        let board = Board::new();
        let group = open();
        let ticket = group.enter().ok();
        let (child, handle) = board.task(async move { drop(ticket) });
        let runs = thread::spawn({
            let board = board.clone();
            move || assert!(board.run(child))
        });
        wait_for_the_end(&group);
        assert!(handle.is_finished(), "the group ended before its child");
        assert_eq!(board.left(), 1, "a child is listed after the end");
        runs.join().expect("no panic");
    });
}

// edges: E1, E2, E4
#[test]
fn child_that_enters_as_the_group_ends_is_waited_for_or_refused() {
    model(|| {
        let group = open();
        let work = Arc::new(AtomicUsize::new(0));
        let first = group.enter().ok();
        let enters = thread::spawn({
            let (group, work) = (group.clone(), work.clone());
            move || {
                drop(first);
                match group.enter() {
                    Ok(_ticket) => {
                        // ordering: relaxed, E4 publishes it to E1.
                        work.fetch_add(1, Ordering::Relaxed);
                        true
                    }
                    Err(closed) => {
                        assert_eq!(closed, Closed::Ended);
                        false
                    }
                }
            }
        });
        wait_for_the_end(&group);
        // ordering: relaxed, E1 acquired what a child did.
        let seen = work.load(Ordering::Relaxed);
        assert!(group.enter().is_err(), "nobody enters after the end");
        let entered = enters.join().expect("no panic");
        assert_eq!(seen, usize::from(entered));
    });
}

// edges: E2, E3
#[test]
fn child_made_while_its_group_aborts_is_cancelled_once() {
    model(|| {
        let board = Board::new();
        let group = open();
        let (child, handle) = board.task(pending::<()>());
        let made = handle.as_ref();
        let adopts = thread::spawn({
            let group = group.clone();
            move || group.adopt(made)
        });
        group.fail(7);
        adopts.join().expect("no panic");
        assert_eq!(handle.cancelling(), 1);
        assert!(board.run(child), "it was asked to stop");
    });
}

// edges: E3
#[test]
fn who_sees_the_group_abort_sees_why() {
    model(|| {
        let group = open();
        let fails = thread::spawn({
            let group = group.clone();
            move || group.fail(7)
        });
        block_on(poll_fn(|cx| {
            group.register(cx);
            if group.is_aborting() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        wait_for_the_end(&group);
        assert_eq!(group.take_errors(), [7]);
        fails.join().expect("no panic");
    });
}
