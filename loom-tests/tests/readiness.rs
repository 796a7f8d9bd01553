//! Readiness of a source: edges R1–R6 of `runtime/src/driver/readiness.rs`, the slab, and the driver's unpark.
//!
//! The kernel is a flag: "there is data". A waiter sleeps on a condition variable, so a wake-up that is lost is a
//! deadlock, which loom reports.

use std::sync::Arc as StdArc;
use std::task::{Context, Poll, Wake, Waker};

use loxley_runtime::model::{
    Cleared, Direction, Driver, READABLE, ReadyEvent, Refused, ShutDown, Slab, Source, Turn,
    WRITABLE, Wait, WaiterId,
};
use loxley_sync::prim::atomic::{AtomicBool, AtomicUsize, Ordering};
use loxley_sync::prim::lock::{Condvar, Mutex};
use loxley_sync::prim::{Arc, model, thread};
use loxley_sync::wait::WakeBatch;

/// A thread that waits for its waker.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Bell {
    fn wake(self: StdArc<Self>) {
        *self.rung.lock() = true;
        self.changed.notify_one();
    }
}

fn block_on<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let bell = StdArc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(value) = poll(&mut cx) {
            return value;
        }
        let mut rung = bell.rung.lock();
        while !*rung {
            rung = bell.changed.wait(rung);
        }
        *rung = false;
    }
}

fn poll_ready(
    source: &Source,
    direction: Direction,
    id: WaiterId,
    cx: &mut Context<'_>,
) -> Poll<Result<ReadyEvent, ShutDown>> {
    match source.look(direction) {
        Ok(Some(event)) => Poll::Ready(Ok(event)),
        Ok(None) => source.poll_wait(direction, id, cx.waker()),
        Err(ShutDown) => Poll::Ready(Err(ShutDown)),
    }
}

/// What a socket does: tries when told to, clears when there was nothing, waits.
fn poll_take(
    source: &Source,
    data: &AtomicBool,
    id: WaiterId,
    cx: &mut Context<'_>,
) -> Poll<Result<(), ShutDown>> {
    loop {
        let event = match poll_ready(source, Direction::Read, id, cx) {
            Poll::Ready(Ok(event)) => event,
            Poll::Ready(Err(ShutDown)) => return Poll::Ready(Err(ShutDown)),
            Poll::Pending => return Poll::Pending,
        };
        // ordering: AcqRel. The kernel's own lock stands behind a real read.
        if data.swap(false, Ordering::AcqRel) {
            return Poll::Ready(Ok(()));
        }
        let (Cleared::Cleared | Cleared::Newer) = source.clear(event, Direction::Read);
    }
}

/// What the kernel and the driver do: data first, event second.
fn arrive(source: &Source, data: &AtomicBool) {
    // ordering: AcqRel, with the swap of `poll_take`. An exchange and not a store: loom lets a store that is
    // concurrent with an exchange fall between its two halves.
    data.swap(true, Ordering::AcqRel);
    report(source, READABLE);
}

fn report(source: &Source, bits: u64) {
    let mut batch = WakeBatch::new();
    assert!(source.report(0, u32::MAX, bits, &mut batch));
    batch.wake_all();
}

fn opened(readable: bool, writable: bool) -> Arc<Source> {
    let source = Source::vacant();
    assert_eq!(source.open(readable, writable), 0);
    Arc::new(source)
}

// edges: R1, R2, R3
#[test]
fn event_between_a_system_call_and_its_clear() {
    model(|| {
        let source = opened(true, false);
        let data = Arc::new(AtomicBool::new(false));
        let driver = {
            let (source, data) = (source.clone(), data.clone());
            thread::spawn(move || arrive(&source, &data))
        };
        let got = block_on(|cx| poll_take(&source, &data, WaiterId::POLL, cx));
        assert_eq!(got, Ok(()));
        driver.join().expect("no panic");
    });
}

// edges: R1, R2, R3
#[test]
fn data_between_a_short_read_and_its_clear() {
    model(|| {
        let source = opened(true, false);
        let arrived = Arc::new(AtomicUsize::new(1));
        let driver = {
            let (source, arrived) = (source.clone(), arrived.clone());
            thread::spawn(move || {
                // ordering: Release, with the load below. The kernel's own lock stands behind real data.
                arrived.fetch_add(1, Ordering::Release);
                report(&source, READABLE);
            })
        };
        let mut taken = 0;
        while taken < 2 {
            taken += block_on(|cx| {
                loop {
                    let Poll::Ready(event) =
                        poll_ready(&source, Direction::Read, WaiterId::POLL, cx)
                    else {
                        return Poll::Pending;
                    };
                    let event = event.expect("not shut down");
                    // ordering: Acquire, with the addition above.
                    let more = arrived.load(Ordering::Acquire) - taken;
                    // A read that takes less than it could hold has taken all there was.
                    let (Cleared::Cleared | Cleared::Newer) =
                        source.clear_drained(event, Direction::Read);
                    if more > 0 {
                        return Poll::Ready(more);
                    }
                }
            });
        }
        driver.join().expect("no panic");
    });
}

// edges: R1, R2
#[test]
fn one_event_for_two_waiters_of_one_direction() {
    model(|| {
        let source = opened(false, false);
        let other = {
            let source = source.clone();
            thread::spawn(move || {
                block_on(|cx| poll_ready(&source, Direction::Read, WaiterId(1), cx)).map(|_| ())
            })
        };
        let driver = {
            let source = source.clone();
            thread::spawn(move || report(&source, READABLE))
        };
        assert!(block_on(|cx| poll_ready(&source, Direction::Read, WaiterId(2), cx)).is_ok());
        assert_eq!(other.join().expect("no panic"), Ok(()));
        driver.join().expect("no panic");
    });
}

// edges: R1, R2
#[test]
fn one_event_for_two_tasks_that_poll_in_one_direction() {
    model(|| {
        let source = opened(false, false);
        let other = {
            let source = source.clone();
            thread::spawn(move || {
                block_on(|cx| poll_ready(&source, Direction::Read, WaiterId::POLL, cx)).map(|_| ())
            })
        };
        let driver = {
            let source = source.clone();
            thread::spawn(move || report(&source, READABLE))
        };
        assert!(block_on(|cx| poll_ready(&source, Direction::Read, WaiterId::POLL, cx)).is_ok());
        assert_eq!(other.join().expect("no panic"), Ok(()));
        driver.join().expect("no panic");
    });
}

// edges: R1, R2
#[test]
fn one_event_for_a_reader_and_a_writer() {
    model(|| {
        let source = opened(false, false);
        let writer = {
            let source = source.clone();
            thread::spawn(move || {
                block_on(|cx| poll_ready(&source, Direction::Write, WaiterId::POLL, cx)).map(|_| ())
            })
        };
        let driver = {
            let source = source.clone();
            thread::spawn(move || report(&source, READABLE | WRITABLE))
        };
        assert!(block_on(|cx| poll_ready(&source, Direction::Read, WaiterId::POLL, cx)).is_ok());
        assert_eq!(writer.join().expect("no panic"), Ok(()));
        driver.join().expect("no panic");
    });
}

// edges: R1, R2
#[test]
fn event_of_one_direction_while_the_other_waits() {
    model(|| {
        let source = opened(false, false);
        let driver = {
            let source = source.clone();
            thread::spawn(move || {
                report(&source, READABLE);
                report(&source, WRITABLE);
            })
        };
        assert!(block_on(|cx| poll_ready(&source, Direction::Write, WaiterId::POLL, cx)).is_ok());
        driver.join().expect("no panic");
    });
}

// edges: R1, R2, R3
#[test]
fn clear_of_one_direction_while_the_other_waits() {
    model(|| {
        let source = opened(true, false);
        let reader = {
            let source = source.clone();
            thread::spawn(move || {
                if let Ok(Some(event)) = source.look(Direction::Read) {
                    let (Cleared::Cleared | Cleared::Newer) = source.clear(event, Direction::Read);
                }
            })
        };
        let driver = {
            let source = source.clone();
            thread::spawn(move || report(&source, WRITABLE))
        };
        assert!(block_on(|cx| poll_ready(&source, Direction::Write, WaiterId::POLL, cx)).is_ok());
        reader.join().expect("no panic");
        driver.join().expect("no panic");
    });
}

// edges: R1, R2, R4
#[test]
fn waiter_dropped_while_the_event_arrives() {
    model(|| {
        let source = opened(false, false);
        let bell = StdArc::new(Bell::default());
        let waker = Waker::from(bell.clone());
        assert!(
            source
                .poll_wait(Direction::Read, WaiterId(1), &waker)
                .is_pending()
        );
        let driver = {
            let source = source.clone();
            thread::spawn(move || report(&source, READABLE))
        };
        let leaver = {
            let source = source.clone();
            thread::spawn(move || source.unlink(Direction::Read, WaiterId(1)))
        };
        assert!(block_on(|cx| poll_ready(&source, Direction::Read, WaiterId(2), cx)).is_ok());
        driver.join().expect("no panic");
        leaver.join().expect("no panic");
        drop(waker);
        assert_eq!(
            StdArc::strong_count(&bell),
            1,
            "a waiter that left is forgotten"
        );
    });
}

// edges: R2, R5
#[test]
fn late_event_meets_a_successor_in_its_slot() {
    model(|| {
        let slab = Arc::new(Slab::new());
        let first = slab.open(false, false).expect("open");
        let driver = {
            let slab = slab.clone();
            thread::spawn(move || {
                let mut batch = WakeBatch::new();
                for _ in 0..2 {
                    slab.age();
                    slab.report(first.token(), READABLE, &mut batch);
                }
            })
        };
        slab.retire(first);
        let second = slab.open(false, false).expect("open");
        driver.join().expect("no panic");
        assert_eq!(slab.get(second).look(Direction::Read), Ok(None));
        slab.age();
        slab.age();
        let third = slab.open(false, false).expect("open");
        let mut batch = WakeBatch::new();
        assert!(!slab.report(first.token(), READABLE, &mut batch));
        assert_eq!(slab.get(third).look(Direction::Read), Ok(None));
        assert_eq!(slab.live(), 2);
    });
}

// edges: R1, R2, R5
#[test]
fn deregistration_while_the_event_is_dispatched() {
    model(|| {
        let slab = Arc::new(Slab::new());
        let bell = StdArc::new(Bell::default());
        let waker = Waker::from(bell.clone());
        let key = slab.open(false, false).expect("open");
        assert!(
            slab.get(key)
                .poll_wait(Direction::Read, WaiterId::POLL, &waker)
                .is_pending()
        );
        drop(waker);
        let driver = {
            let slab = slab.clone();
            thread::spawn(move || {
                let mut batch = WakeBatch::new();
                slab.age();
                slab.report(key.token(), READABLE, &mut batch);
                batch.wake_all();
            })
        };
        slab.retire(key);
        driver.join().expect("no panic");
        assert_eq!(
            StdArc::strong_count(&bell),
            1,
            "no waker outlives its source"
        );
        assert_eq!(slab.live(), 0);
    });
}

// edges: R1, R6
#[test]
fn shutdown_between_a_check_and_the_wait() {
    model(|| {
        let slab = Arc::new(Slab::new());
        let key = slab.open(true, false).expect("open");
        let closer = {
            let slab = slab.clone();
            thread::spawn(move || slab.shut_down())
        };
        let data = AtomicBool::new(false);
        let got = block_on(|cx| poll_take(slab.get(key), &data, WaiterId::POLL, cx));
        assert_eq!(got, Err(ShutDown));
        closer.join().expect("no panic");
    });
}

// edges: R1, R2, R6
#[test]
fn shutdown_and_an_event_at_once() {
    model(|| {
        let slab = Arc::new(Slab::new());
        let key = slab.open(false, false).expect("open");
        let closer = {
            let slab = slab.clone();
            thread::spawn(move || slab.shut_down())
        };
        let driver = {
            let slab = slab.clone();
            thread::spawn(move || {
                let mut batch = WakeBatch::new();
                assert!(slab.report(key.token(), READABLE, &mut batch));
                batch.wake_all();
            })
        };
        let _either = block_on(|cx| poll_ready(slab.get(key), Direction::Read, WaiterId(1), cx));
        closer.join().expect("no panic");
        driver.join().expect("no panic");
        assert_eq!(slab.get(key).look(Direction::Read), Err(ShutDown));
    });
}

// edges: R6
#[test]
fn shutdown_and_a_newcomer_at_once() {
    model(|| {
        let slab = Arc::new(Slab::new());
        let closer = {
            let slab = slab.clone();
            thread::spawn(move || slab.shut_down())
        };
        let opened = slab.open(false, false);
        closer.join().expect("no panic");
        match opened {
            Ok(key) => assert_eq!(slab.get(key).look(Direction::Read), Err(ShutDown)),
            Err(refused) => assert_eq!(refused, Refused::ShutDown),
        }
    });
}

// edges: unpark
#[test]
fn second_unpark_that_finds_the_flag_up() {
    model(|| {
        let (mut driver, handle) = Driver::new(8).expect("a driver");
        let work = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let pushers = [0, 1].map(|which| {
            let (work, handle) = (work.clone(), handle.clone());
            thread::spawn(move || {
                // ordering: Relaxed. The flag of `unpark` is what publishes it.
                work[which].store(true, Ordering::Relaxed);
                handle.unpark();
            })
        });
        let mut batch = WakeBatch::new();
        // ordering: Relaxed. As above.
        while !work.iter().all(|item| item.load(Ordering::Relaxed)) {
            let turn: Turn = driver.turn(Wait::Forever, &mut batch).expect("a turn");
            assert!(turn.unparked);
        }
        for pusher in pushers {
            pusher.join().expect("no panic");
        }
    });
}
