//! The way back to what a signal did before, field by field. Each test has a signal of its own: they share a process.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};

use signal_hook::low_level::raise;

use super::super::Driver;
use super::super::disposition::Disposition;
use super::number::*;
use super::{DriverHandle, SignalError, SignalListener, listen_with};

fn driver() -> (Driver, DriverHandle) {
    Driver::new(16).expect("descriptors")
}

/// Whether the listener has heard something; its driver is not turned, so this asks the descriptor itself.
fn has_heard(listener: &SignalListener) -> bool {
    super::drain(&listener.arrivals.inbox).is_ok()
}

#[test]
fn the_last_listener_brings_the_very_handler_back_with_its_flags_and_mask() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn theirs(_: i32) {
        // ordering: Relaxed. The signal is raised and counted on one thread.
        CALLS.fetch_add(1, Ordering::Relaxed);
    }
    let calls = || CALLS.load(Ordering::Relaxed);
    let (_driver, handle) = driver();
    Disposition::calling(theirs, SIGWINCH)
        .install(SIGUSR2)
        .expect("a handler");
    let before = Disposition::of(SIGUSR2).expect("a signal").parts(SIGWINCH);
    for round in 1..=3 {
        let first = listen_with(handle.clone(), SIGUSR2).expect("listening");
        let second = listen_with(handle.clone(), SIGUSR2).expect("listening");
        raise(SIGUSR2).expect("raised");
        assert!(has_heard(&first) && has_heard(&second));
        assert_eq!(
            calls(),
            2 * round - 1,
            "the handler before us is called, too"
        );
        drop(first);
        let now = Disposition::of(SIGUSR2).expect("a signal");
        assert_ne!(now.parts(SIGWINCH), before, "one still listens");
        drop(second);
        let now = Disposition::of(SIGUSR2).expect("a signal");
        assert_eq!(now.parts(SIGWINCH), before);
        raise(SIGUSR2).expect("raised");
        assert_eq!(calls(), 2 * round);
    }
}

#[test]
fn a_signal_that_was_ignored_is_ignored_again() {
    let (_driver, handle) = driver();
    Disposition::ignored().install(SIGHUP).expect("ignored");
    let before = Disposition::of(SIGHUP).expect("a signal").parts(SIGINT);
    for _ in 0..2 {
        let listener = listen_with(handle.clone(), SIGHUP).expect("listening");
        raise(SIGHUP).expect("raised");
        assert!(has_heard(&listener));
        drop(listener);
        let now = Disposition::of(SIGHUP).expect("a signal");
        assert_eq!(now.parts(SIGINT), before);
        raise(SIGHUP).expect("raised");
    }
}

#[test]
fn what_somebody_else_installed_meanwhile_stays_and_blocks_the_next_listener() {
    extern "C" fn theirs(_: i32) {}
    let (_driver, handle) = driver();
    let listener = listen_with(handle.clone(), SIGALRM).expect("listening");
    Disposition::calling(theirs, SIGWINCH)
        .install(SIGALRM)
        .expect("a handler");
    let before = Disposition::of(SIGALRM).expect("a signal").parts(SIGWINCH);
    drop(listener);
    let now = Disposition::of(SIGALRM).expect("a signal");
    assert_eq!(now.parts(SIGWINCH), before);

    // signal-hook would call what it found the first time, not this one: better refused than silently cut off.
    let error = listen_with(handle.clone(), SIGALRM).expect_err("their handler is not known");
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert!(error.to_string().contains("14 (SIGALRM)"), "{error}");
    Disposition::default_action()
        .install(SIGALRM)
        .expect("the default");
    listen_with(handle, SIGALRM).expect("as it was at first");
}

#[test]
fn a_number_that_no_listener_can_be_made_for_is_named() {
    let (_driver, handle) = driver();
    let (numbers, words) = ([SIGKILL, SIGSTOP, SIGSEGV], "cannot be caught");
    let wrong = (
        [0, -1, 32, 65, 1000, i32::MAX, i32::MIN],
        "there is no signal",
    );
    let all = numbers
        .map(|n| (n, words))
        .into_iter()
        .chain(wrong.0.map(|n| (n, wrong.1)));
    for (signum, words) in all {
        let error = listen_with(handle.clone(), signum).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<SignalError>());
        assert_eq!(inner.expect("typed").signum(), signum);
        let text = error.to_string();
        assert!(
            text.contains(words) && text.contains(&signum.to_string()),
            "{text}"
        );
    }
    assert_eq!(handle.registered(), 0);
}

#[test]
fn a_thousand_listeners_come_and_go_without_a_trace() {
    let (mut driver, handle) = driver();
    let before = Disposition::of(SIGIO).expect("a signal").parts(SIGINT);
    for _ in 0..1000 {
        let listener = listen_with(handle.clone(), SIGIO).expect("listening");
        let mut cx = Context::from_waker(Waker::noop());
        assert!(listener.poll_recv(&mut cx).is_pending());
    }
    let now = Disposition::of(SIGIO).expect("a signal");
    assert_eq!((now.parts(SIGINT), handle.registered()), (before, 0));
    let mut batch = loxley_sync::wait::WakeBatch::new();
    driver
        .turn(super::super::Wait::No, &mut batch)
        .expect("a turn");
}
