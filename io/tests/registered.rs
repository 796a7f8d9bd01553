//! `Registered`: what several tasks that wait for one descriptor may count on.

mod support;

use std::fs::File;
use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use futures_io::AsyncRead;
use loxley_io::{Direction, Interest, Registered, UnixStream};
use loxley_runtime::{create_task, yield_now};
use support::run;

fn pair(interest: Interest) -> (Registered<StdUnixStream>, StdUnixStream) {
    let (ours, theirs) = StdUnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("set");
    (Registered::new(ours, interest).expect("registered"), theirs)
}

#[test]
fn every_task_that_polls_a_stream_through_a_trait_is_woken() {
    run(|| async {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let ours = Arc::new(ours);
        let mut readers = Vec::new();
        for _ in 0..8 {
            let ours = ours.clone();
            readers.push(create_task(async move {
                let mut byte = [0];
                poll_fn(|cx| Pin::new(&mut &*ours).poll_read(cx, &mut byte)).await
            }));
        }
        // One by a method, as well, among those who poll.
        let method = {
            let ours = ours.clone();
            create_task(async move { ours.read(&mut [0]).await })
        };
        for _ in 0..50 {
            yield_now().await;
        }
        for _ in 0..9 {
            theirs.write_all(b"!").await.expect("written");
            yield_now().await;
        }
        for reader in readers {
            assert_eq!(reader.await.expect("no panic").expect("read"), 1);
        }
        assert_eq!(method.await.expect("no panic").expect("read"), 1);
    });
}

#[test]
fn who_only_asks_whether_there_is_something_lets_others_have_their_turn() {
    run(|| async {
        let (ours, mut theirs) = pair(Interest::Both);
        theirs.write_all(b"never read").expect("written");
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = is_over.clone();
        let other = create_task(async move { ends.store(true, Ordering::Release) });
        while !is_over.load(Ordering::Acquire) {
            let _event = ours.readiness(Direction::Read).await.expect("readable");
        }
        other.await.expect("no panic");
    });
}

#[test]
fn waiting_for_what_was_not_asked_for_is_an_error_and_no_hang() {
    run(|| async {
        for (interest, direction) in [
            (Interest::Write, Direction::Read),
            (Interest::Read, Direction::Write),
        ] {
            let (ours, _theirs) = pair(interest);
            let error = ours.readiness(direction).await.expect_err("never");
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let waits = ours.async_io(direction, |_| Ok(()));
            assert_eq!(
                waits.await.expect_err("never").kind(),
                ErrorKind::InvalidInput
            );
            let polled = poll_fn(|cx| ours.poll_io(cx, direction, |_| Ok(())));
            assert_eq!(
                polled.await.expect_err("never").kind(),
                ErrorKind::InvalidInput
            );
            let tried = ours.try_io(direction, |_| Ok(()));
            assert_eq!(tried.expect_err("never").kind(), ErrorKind::InvalidInput);
        }
    });
}

#[test]
fn a_descriptor_that_was_given_back_is_registered_again_while_a_duplicate_is_waited_for() {
    run(|| async {
        let (ours, mut theirs) = pair(Interest::Both);
        let twin = ours.get_ref().try_clone().expect("a duplicate");
        let twin = Registered::new(twin, Interest::Both).expect("another descriptor");
        let error = Registered::new(ours.get_ref(), Interest::Read).expect_err("the same one");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        let mut byte = [0];
        let mut waits = Box::pin(twin.async_io(Direction::Read, |mut fd| fd.read(&mut byte)));
        let is_pending = poll_fn(|cx| Poll::Ready(waits.as_mut().poll(cx).is_pending()));
        assert!(is_pending.await);
        let ours = Registered::new(ours.into_inner(), Interest::Both).expect("registered again");
        theirs.write_all(b"1").expect("written");
        assert_eq!(waits.await.expect("read"), 1);
        theirs.write_all(b"2").expect("written");
        let read = ours.async_io(Direction::Read, |mut fd| fd.read(&mut [0; 8]));
        assert_eq!(read.await.expect("read"), 1);
    });
}

#[test]
fn what_the_system_cannot_watch_is_refused_with_a_way_out() {
    run(|| async {
        let file = File::open(std::env::current_exe().expect("a program")).expect("opened");
        let error = Registered::new(file, Interest::Read).expect_err("always ready");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("to_thread"), "{error}");
    });
}
