//! `OnceCell`: computed once, whatever becomes of those who compute.

mod support;

use loxley_sync::error::SetError;
use loxley_sync::{Event, OnceCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use support::hand;

static GLOBAL: OnceCell<u8> = OnceCell::new();

#[test]
fn a_cell_in_a_static_is_computed_once() {
    assert_eq!(hand(GLOBAL.get_or_init(|| async { 1 })).ready(), &1);
    assert_eq!(hand(GLOBAL.get_or_init(|| async { 2 })).ready(), &1);
    assert_eq!(GLOBAL.set(3), Err(SetError::AlreadySet(3)));
}

#[test]
fn others_wait_for_the_one_who_computes() {
    let (cell, event) = (OnceCell::new(), Event::new());
    let mut computing = hand(cell.get_or_init(|| async {
        event.wait().await;
        1
    }))
    .pending();
    let mut waiting = hand(cell.get_or_init(|| async { 2 })).pending();
    assert_eq!(cell.set(3), Err(SetError::Initializing(3)));
    assert!(cell.get().is_none());
    event.set();
    assert_eq!(computing.ready(), &1);
    assert_eq!(waiting.ready(), &1);
}

#[test]
fn a_dropped_computation_is_taken_up_by_the_next() {
    let cell = OnceCell::new();
    let computing = hand(cell.get_or_init(std::future::pending)).pending();
    let mut waiting = hand(cell.get_or_init(|| async { 2 })).pending();
    drop(computing);
    assert_eq!(waiting.ready(), &2);
}

#[test]
fn a_failed_or_panicking_computation_leaves_the_cell_usable() {
    let mut cell = OnceCell::new();
    let failed = hand(cell.get_or_try_init(|| async { Err("no") })).ready();
    assert_eq!(failed, Err("no"));
    let mut panicking = hand(cell.get_or_init(|| async { panic!("in the initialiser") }));
    assert!(catch_unwind(AssertUnwindSafe(|| panicking.poll())).is_err());
    drop(panicking);
    assert_eq!(hand(cell.get_or_init(|| async { 3 })).ready(), &3);
    assert_eq!(cell.take(), Some(3));
    assert_eq!(cell.set(4), Ok(()));
    assert_eq!(cell.into_inner(), Some(4));
}
