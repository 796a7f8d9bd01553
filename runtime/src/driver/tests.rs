//! The driver on real descriptors. Every wait has a limit, after which the test fails instead of hanging.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use loxley_sync::wait::WakeBatch;

use super::patience::Patience;
use super::readiness::Direction;
use super::registration::{Attempt, Interest, Registration, RuntimeGone};
use super::slab::Slab;
use super::{Driver, DriverHandle, Turn, Wait, signals};

const HANG: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counting() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (count.clone(), count.into())
}

struct World {
    driver: Driver,
    handle: DriverHandle,
}

impl World {
    fn new() -> Self {
        let (driver, handle) = Driver::new(64).expect("a driver");
        Self { driver, handle }
    }

    fn register(&self, fd: &impl AsFd, interest: Interest) -> Registration {
        Registration::with_driver(self.handle.clone(), fd.as_fd(), interest).expect("registered")
    }

    fn turn(&mut self, wait: Wait) -> Turn {
        let mut batch = WakeBatch::new();
        let turn = self.driver.turn(wait, &mut batch).expect("a turn");
        batch.wake_all();
        turn
    }

    /// Turns until there was an event.
    fn turn_until_event(&mut self) {
        while self.turn(Wait::For(HANG)).events == 0 {}
    }

    fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        let (_, waker) = counting();
        let mut cx = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return output;
            }
            assert!(!self.turn(Wait::For(HANG)).alarm, "nothing has happened");
        }
    }
}

fn pair() -> (UnixStream, UnixStream) {
    let (a, b) = UnixStream::pair().expect("a pair");
    a.set_nonblocking(true).expect("non-blocking");
    b.set_nonblocking(true).expect("non-blocking");
    (a, b)
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
    let a = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let (b, _) = listener.accept().expect("accepted");
    a.set_nonblocking(true).expect("non-blocking");
    b.set_nonblocking(true).expect("non-blocking");
    (a, b)
}

fn poll_read(
    registration: &Registration,
    mut from: impl Read,
    waker: &Waker,
) -> Poll<io::Result<usize>> {
    let mut bytes = [0; 16];
    let mut cx = Context::from_waker(waker);
    registration.poll_io(&mut cx, Direction::Read, || from.read(&mut bytes))
}

#[test]
fn an_unpark_before_the_wait_ends_it() {
    let mut world = World::new();
    world.handle.unpark();
    world.handle.unpark();
    assert!(world.turn(Wait::Forever).unparked);
    assert!(
        !world.turn(Wait::No).unparked,
        "two unparks in a row are one"
    );
    world.handle.unpark();
    assert!(world.turn(Wait::Forever).unparked);
}

#[test]
fn an_unpark_from_another_thread_ends_the_wait() {
    let mut world = World::new();
    let handle = world.handle.clone();
    let other = std::thread::spawn(move || handle.unpark());
    assert!(world.turn(Wait::Forever).unparked);
    other.join().expect("no panic");
}

/// A driver that looks before it sleeps, and finds whatever comes within `limit`.
fn looking(limit: Duration) -> World {
    let mut world = World::new();
    world.driver.patience = Patience::proven(limit);
    world
}

#[test]
fn a_look_finds_what_a_sleep_would_be_woken_by() {
    let mut world = looking(HANG);
    let (mut ours, theirs) = pair();
    let registration = world.register(&theirs, Interest::Read);
    let (count, waker) = counting();
    assert!(poll_read(&registration, &theirs, &waker).is_pending());
    ours.write_all(b"x").expect("room");
    while world.turn(Wait::Forever).events == 0 {}
    assert_eq!(count.get(), 1);
    assert!(poll_read(&registration, &theirs, &waker).is_ready());
    world.handle.unpark();
    assert!(world.turn(Wait::Forever).unparked);
}

#[test]
fn a_look_that_is_ended_from_another_thread_ends_the_wait() {
    let mut world = looking(HANG);
    let handle = world.handle.clone();
    let other = std::thread::spawn(move || handle.unpark());
    assert!(world.turn(Wait::Forever).unparked);
    other.join().expect("no panic");
}

#[test]
fn a_look_in_vain_is_followed_by_a_sleep_that_ends_on_time() {
    for look in [Duration::from_micros(50), HANG] {
        let mut world = looking(look);
        let now = Instant::now();
        let deadline = now + Duration::from_micros(500);
        let turn = world.turn(Wait::Until { deadline, now });
        assert!(turn.alarm && Instant::now() >= deadline, "{turn:?}");
        world.handle.unpark();
        assert!(world.turn(Wait::Forever).unparked);
    }
}

#[test]
fn a_wait_below_a_millisecond_is_neither_cut_short_nor_rounded_up() {
    let limit = Duration::from_micros(200);
    let mut world = World::new();
    let best = (0..50)
        .map(|_| {
            let start = Instant::now();
            assert!(world.turn(Wait::For(limit)).alarm);
            start.elapsed()
        })
        .min()
        .expect("fifty of them");
    assert!(best >= limit, "{best:?}");
    #[cfg(target_os = "linux")]
    assert!(best < Duration::from_millis(1), "{best:?}");
}

#[test]
fn a_deadline_that_was_set_before_still_ends_a_later_wait() {
    let mut world = World::new();
    let now = Instant::now();
    let deadline = now + Duration::from_millis(2);
    world.handle.unpark();
    let first = world.turn(Wait::Until { deadline, now });
    assert!(first.unparked && !first.alarm);
    let second = world.turn(Wait::Until {
        deadline,
        now: Instant::now(),
    });
    assert!(second.alarm);
    assert!(Instant::now() >= deadline);
}

#[test]
fn an_earlier_deadline_moves_the_alarm_forward() {
    let mut world = World::new();
    let now = Instant::now();
    world.handle.unpark();
    world.turn(Wait::Until {
        deadline: now + HANG,
        now,
    });
    world.turn(Wait::Until {
        deadline: now + Duration::from_millis(1),
        now,
    });
    assert!(now.elapsed() < HANG);
}

#[test]
fn a_deadline_in_the_past_does_not_wait() {
    let mut world = World::new();
    let now = Instant::now();
    assert_eq!(world.turn(Wait::For(Duration::ZERO)), Turn::default());
    world.turn(Wait::Until { deadline: now, now });
}

#[test]
fn data_that_is_there_already_needs_no_turn() {
    let world = World::new();
    let (a, mut b) = pair();
    b.write_all(b"x").expect("written");
    let registration = world.register(&a, Interest::Both);
    let (_, waker) = counting();
    assert!(matches!(
        poll_read(&registration, &a, &waker),
        Poll::Ready(Ok(1))
    ));
}

#[test]
fn an_event_wakes_the_reader_once() {
    let mut world = World::new();
    let (a, mut b) = pair();
    let registration = world.register(&a, Interest::Both);
    let (count, waker) = counting();
    assert!(poll_read(&registration, &a, &waker).is_pending());
    // The first event says that the socket can be written.
    world.turn_until_event();
    assert_eq!(count.get(), 0);
    b.write_all(b"x").expect("written");
    world.turn_until_event();
    assert_eq!(count.get(), 1);
    assert!(matches!(
        poll_read(&registration, &a, &waker),
        Poll::Ready(Ok(1))
    ));
    assert!(poll_read(&registration, &a, &waker).is_pending());
}

#[test]
fn the_end_of_the_peer_is_an_event_and_stays_one() {
    let mut world = World::new();
    let (a, b) = tcp_pair();
    let registration = world.register(&a, Interest::Both);
    drop(b);
    for _ in 0..3 {
        let mut bytes = [0; 4];
        let read = registration.async_io(Direction::Read, || (&a).read(&mut bytes));
        assert_eq!(world.block_on(read).expect("the end"), 0);
    }
}

#[test]
fn a_reset_reaches_the_reader_as_an_error() {
    let mut world = World::new();
    let (a, b) = tcp_pair();
    let registration = world.register(&a, Interest::Both);
    (&a).write_all(b"never read").expect("written");
    // Closing with unread data is a reset.
    drop(b);
    let mut bytes = [0; 4];
    let read = registration.async_io(Direction::Read, || (&a).read(&mut bytes));
    let error = world.block_on(read).expect_err("reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_full_socket_is_writable_again_after_the_peer_has_read() {
    let mut world = World::new();
    let (a, mut b) = pair();
    let registration = world.register(&a, Interest::Both);
    let (count, waker) = counting();
    let mut cx = Context::from_waker(&waker);
    let chunk = [0; 4096];
    let mut written = 0;
    while let Poll::Ready(result) =
        registration.poll_io(&mut cx, Direction::Write, || (&a).write(&chunk))
    {
        written += result.expect("written");
    }
    world.turn(Wait::No);
    let mut read = 0;
    let mut bytes = vec![0; written];
    while read < written {
        read += b.read(&mut bytes).expect("read");
    }
    while count.get() == 0 {
        world.turn(Wait::For(HANG));
    }
    assert!(
        registration
            .poll_io(&mut cx, Direction::Write, || (&a).write(&chunk))
            .is_ready()
    );
}

#[test]
fn several_readers_all_hear_of_an_event_and_a_dropped_one_leaves_nothing() {
    let mut world = World::new();
    let (a, mut b) = pair();
    let registration = world.register(&a, Interest::Read);
    let (count, waker) = counting();
    let mut cx = Context::from_waker(&waker);
    let read = || {
        Box::pin(registration.async_io(Direction::Read, || {
            let mut byte = [0; 1];
            (&a).read(&mut byte).map(|_| byte[0])
        }))
    };
    let mut readers: Vec<_> = (0..40).map(|_| read()).collect();
    for reader in &mut readers {
        assert!(reader.as_mut().poll(&mut cx).is_pending());
    }
    assert_eq!(Arc::strong_count(&count), 42);
    // Drop the one in the first place and one of those beyond it.
    drop(readers.remove(20));
    drop(readers.remove(0));
    assert_eq!(Arc::strong_count(&count), 40);
    b.write_all(b"ab").expect("written");
    world.turn_until_event();
    assert_eq!(count.get(), 38);
    assert!(matches!(
        readers[30].as_mut().poll(&mut cx),
        Poll::Ready(Ok(b'a'))
    ));
    assert!(matches!(
        readers[0].as_mut().poll(&mut cx),
        Poll::Ready(Ok(b'b'))
    ));
    for reader in &mut readers[1..30] {
        assert!(reader.as_mut().poll(&mut cx).is_pending());
    }
    drop(readers);
    assert_eq!(Arc::strong_count(&count), 2);
}

#[test]
fn a_short_read_waits_without_another_system_call() {
    let mut world = World::new();
    let (a, mut b) = pair();
    let registration = world.register(&a, Interest::Both);
    b.write_all(b"x").expect("written");
    world.turn_until_event();
    let (_, waker) = counting();
    let mut cx = Context::from_waker(&waker);
    let mut bytes = [0; 16];
    let mut calls = 0;
    let mut read = || {
        registration.poll_attempt(&mut cx, Direction::Read, || {
            calls += 1;
            (&a).read(&mut bytes).map(Attempt::Drained)
        })
    };
    assert!(matches!(read(), Poll::Ready(Ok(1))));
    assert!(read().is_pending());
    assert_eq!(calls, 1);
}

#[test]
fn data_between_a_short_read_and_its_clear_is_not_forgotten() {
    let mut world = World::new();
    let (a, mut b) = pair();
    let registration = world.register(&a, Interest::Both);
    let (_, waker) = counting();
    let mut cx = Context::from_waker(&waker);
    let mut bytes = [0; 16];
    b.write_all(b"x").expect("written");
    world.turn_until_event();
    let first = registration.poll_attempt(&mut cx, Direction::Read, || {
        let n = (&a).read(&mut bytes)?;
        b.write_all(b"y")?;
        world.turn_until_event();
        Ok(Attempt::Drained(n))
    });
    assert!(matches!(first, Poll::Ready(Ok(1))));
    assert!(matches!(
        poll_read(&registration, &a, &waker),
        Poll::Ready(Ok(1))
    ));
}

#[test]
#[cfg(target_os = "linux")]
fn a_read_that_stops_at_urgent_data_does_not_hang() {
    let mut world = World::new();
    let (a, b) = tcp_pair();
    let registration = world.register(&a, Interest::Both);
    (&b).write_all(b"before").expect("written");
    assert_eq!(rustix_send_urgent(&b), 1);
    (&b).write_all(b"after").expect("written");
    // All of it is there, and all its events are dealt with, before the first read.
    world.turn_until_event();
    while world.turn(Wait::No).events > 0 {}
    let mut got = Vec::new();
    while got != b"beforeafter" {
        let mut bytes = [0; 64];
        let read = registration.async_attempt(Direction::Read, || {
            (&a).read(&mut bytes).map(Attempt::Drained)
        });
        let n = world.block_on(read).expect("read");
        got.extend_from_slice(&bytes[..n]);
    }
}

#[cfg(target_os = "linux")]
fn rustix_send_urgent(to: &TcpStream) -> usize {
    rustix::net::send(to, b"!", rustix::net::SendFlags::OOB).expect("sent")
}

#[test]
fn an_error_on_a_datagram_socket_is_reported_once_and_then_waits_again() {
    let mut world = World::new();
    let gone = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
    socket
        .connect(gone.local_addr().expect("bound"))
        .expect("connected");
    socket.set_nonblocking(true).expect("non-blocking");
    drop(gone);
    let registration = world.register(&socket, Interest::Both);
    socket.send(b"to nobody").expect("sent");
    let mut bytes = [0; 4];
    let receive = registration.async_io(Direction::Read, || socket.recv(&mut bytes));
    let error = world.block_on(receive).expect_err("refused");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    let (_, waker) = counting();
    let mut cx = Context::from_waker(&waker);
    let mut calls = 0;
    let again = registration.poll_io(&mut cx, Direction::Read, || {
        calls += 1;
        socket.recv(&mut bytes)
    });
    assert!(again.is_pending());
    assert_eq!(calls, 1);
    assert!(
        registration
            .poll_io(&mut cx, Direction::Write, || socket.send(b"x"))
            .is_ready(),
        "an error of the past does not close the socket for writing"
    );
}

#[test]
fn an_event_for_a_dropped_registration_reaches_nobody() {
    let mut world = World::new();
    let (a, mut b) = pair();
    let still_open = a.try_clone().expect("cloned");
    let registration = world.register(&a, Interest::Both);
    let (count, waker) = counting();
    assert!(poll_read(&registration, &a, &waker).is_pending());
    b.write_all(b"x").expect("written");
    drop(registration);
    drop(a);
    world.turn(Wait::No);
    assert_eq!(count.get(), 0);
    assert_eq!(world.handle.registered(), 0);
    drop(still_open);
}

#[test]
fn a_retired_slot_ignores_late_events_and_rests_for_a_turn() {
    let slab = Slab::new();
    let mut batch = WakeBatch::new();
    let first = slab.open(true, true).expect("open");
    assert!(slab.report(first.token(), super::readiness::READABLE, &mut batch));
    slab.retire(first);
    assert!(!slab.report(first.token(), super::readiness::READABLE, &mut batch));
    let second = slab.open(true, true).expect("open");
    slab.age();
    let third = slab.open(true, true).expect("open");
    slab.age();
    let fourth = slab.open(true, true).expect("open");
    let slot = |key: super::slab::Key| key.token() % (1 << 24);
    assert_ne!(slot(first), slot(second));
    assert_ne!(slot(first), slot(third));
    assert_eq!(slot(first), slot(fourth));
    assert_ne!(first.token(), fourth.token());
    assert!(!slab.report(first.token(), super::readiness::READABLE, &mut batch));
    assert_eq!(slab.live(), 3);
}

#[test]
fn many_sources_fill_more_than_one_page_and_give_their_slots_back() {
    let slab = Slab::new();
    for _ in 0..3 {
        let keys: Vec<_> = (0..1000)
            .map(|_| slab.open(true, false).expect("open"))
            .collect();
        let mut tokens: Vec<_> = keys.iter().map(|key| key.token()).collect();
        tokens.sort_unstable();
        tokens.dedup();
        assert_eq!(tokens.len(), keys.len());
        for key in keys {
            slab.retire(key);
        }
        slab.age();
        slab.age();
    }
    assert_eq!(slab.live(), 0);
    let highest = slab.open(true, true).expect("open").token() % (1 << 24);
    assert!(highest < 1000, "slots are used again");
}

#[test]
fn a_token_that_was_never_given_out_is_ignored() {
    let slab = Slab::new();
    let mut batch = WakeBatch::new();
    assert!(!slab.report(0, 1, &mut batch));
    assert!(!slab.report(usize::MAX - 7, 1, &mut batch));
}

#[test]
fn shutdown_wakes_everybody_with_an_error_and_refuses_newcomers() {
    let mut world = World::new();
    let (a, b) = pair();
    let registration = world.register(&a, Interest::Both);
    let (count, waker) = counting();
    assert!(poll_read(&registration, &a, &waker).is_pending());
    world.handle.shutdown();
    assert_eq!(count.get(), 1);
    let is_gone = |error: io::Error| {
        error
            .get_ref()
            .is_some_and(|inner| inner.is::<RuntimeGone>())
    };
    let Poll::Ready(Err(error)) = poll_read(&registration, &a, &waker) else {
        panic!("a wait after shutdown must not hang");
    };
    assert!(is_gone(error));
    let late = Registration::with_driver(world.handle.clone(), b.as_fd(), Interest::Both);
    assert!(is_gone(late.expect_err("refused")));
    assert_eq!(world.handle.registered(), 1);
    drop(registration);
    assert_eq!(world.handle.registered(), 0);
    world.turn(Wait::No);
}

#[test]
fn what_cannot_be_waited_for_is_refused_and_leaves_nothing() {
    let world = World::new();
    let file = File::open("/dev/null").expect("opened");
    let regular = File::open(file!())
        .or_else(|_| File::open("src/driver/tests.rs"))
        .expect("opened");
    drop(file);
    let refused = Registration::with_driver(world.handle.clone(), regular.as_fd(), Interest::Read);
    assert!(refused.is_err());
    let (a, _b) = pair();
    let first = world.register(&a, Interest::Both);
    let second = Registration::with_driver(world.handle.clone(), a.as_fd(), Interest::Both);
    assert_eq!(
        second.expect_err("twice").kind(),
        io::ErrorKind::AlreadyExists
    );
    drop(first);
    assert_eq!(world.handle.registered(), 0);
}

#[test]
fn outside_a_runtime_the_error_says_what_to_do() {
    let (a, _b) = pair();
    let error = Registration::new(a.as_fd(), Interest::Both).expect_err("no runtime");
    assert!(
        error.to_string().contains("inside `loxley::run`"),
        "{error}"
    );
}

#[test]
fn an_interrupted_operation_is_tried_again() {
    let world = World::new();
    let (a, _b) = pair();
    let registration = world.register(&a, Interest::Both);
    let (_, waker) = counting();
    let mut cx = Context::from_waker(&waker);
    let mut calls = 0;
    let done = registration.poll_io(&mut cx, Direction::Write, || {
        calls += 1;
        if calls < 3 {
            Err(io::ErrorKind::Interrupted.into())
        } else {
            Ok(calls)
        }
    });
    assert!(matches!(done, Poll::Ready(Ok(3))));
}

#[test]
fn signals_in_a_row_are_one_and_both_listeners_hear_them() {
    use signal_hook::consts::{SIGKILL, SIGUSR1};
    use signal_hook::low_level::raise;

    let mut world = World::new();
    let first = signals::listen_with(world.handle.clone(), SIGUSR1).expect("listening");
    let second = signals::listen_with(world.handle.clone(), SIGUSR1).expect("listening");
    for _ in 0..200 {
        raise(SIGUSR1).expect("raised");
    }
    world.block_on(first.recv()).expect("received");
    world.block_on(second.recv()).expect("received");
    let (_, waker) = counting();
    let again = pin!(first.recv()).poll(&mut Context::from_waker(&waker));
    assert!(again.is_pending(), "two hundred signals were one");
    raise(SIGUSR1).expect("raised");
    world.block_on(first.recv()).expect("received");
    let refused = signals::listen_with(world.handle.clone(), SIGKILL).expect_err("refused");
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    drop((first, second));
    assert_eq!(world.handle.registered(), 0);
}
