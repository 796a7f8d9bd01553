//! Descriptors in random programs: several tasks read and write one descriptor, in every way there is, give up and try again,
//! while duplicates of it come and go. Nothing is lost, nothing comes twice, nobody sleeps on.
//!
//! `LOXLEY_PROGRAMS` says how many programs are run in place of a few, `LOXLEY_SEED` which is the first.

mod streams_support;

use std::env;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use loxley_io::{Direction, Interest, Registered};
use loxley_runtime::{Handle, Runtime, Task, create_task, timeout, yield_now};
use loxley_sync::Event;
use rustix::event::{EventfdFlags, eventfd};
use streams_support::Dice;

/// How long one program may take before it hangs.
const LIMIT: Duration = Duration::from_secs(30);

/// The two ends, and what one operation moves at most. An event counter is its own other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Socket,
    Pipe,
    Counter,
}

struct World {
    kind: Kind,
    reader: Arc<Registered<OwnedFd>>,
    writer: Arc<Registered<OwnedFd>>,
    /// What is still to be written, in units.
    rest: AtomicUsize,
    /// Units that were written and read, and what they say.
    written: AtomicUsize,
    sent: AtomicU64,
    read: AtomicUsize,
    received: AtomicU64,
    units: usize,
    all_read: Event,
    is_over: AtomicBool,
}

fn ends(kind: Kind) -> (OwnedFd, OwnedFd) {
    match kind {
        Kind::Socket => {
            let (one, other) = StdUnixStream::pair().expect("a pair");
            for end in [&one, &other] {
                end.set_nonblocking(true).expect("set");
                rustix::net::sockopt::set_socket_send_buffer_size(end, 1).expect("set");
            }
            (one.into(), other.into())
        }
        Kind::Pipe => {
            let flags = rustix::pipe::PipeFlags::NONBLOCK | rustix::pipe::PipeFlags::CLOEXEC;
            let (reader, writer) = rustix::pipe::pipe_with(flags).expect("a pipe");
            rustix::pipe::fcntl_setpipe_size(&writer, 4096).expect("set");
            (reader, writer)
        }
        Kind::Counter => {
            let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
            let counter = eventfd(0, flags).expect("a counter");
            let other = counter.try_clone().expect("a duplicate");
            (counter, other)
        }
    }
}

impl World {
    fn new(kind: Kind, units: usize) -> io::Result<Self> {
        let (reader, writer) = ends(kind);
        Ok(Self {
            kind,
            reader: Arc::new(Registered::new(reader, Interest::Read)?),
            writer: Arc::new(Registered::new(writer, Interest::Write)?),
            rest: AtomicUsize::new(units),
            written: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            read: AtomicUsize::new(0),
            received: AtomicU64::new(0),
            units,
            all_read: Event::new(),
            is_over: AtomicBool::new(false),
        })
    }

    fn read_now(&self, fd: &OwnedFd, most: usize) -> io::Result<()> {
        let mut bytes = [0; 8192];
        let is_counter = self.kind == Kind::Counter;
        let room = if is_counter { 8 } else { most };
        let n = rustix::io::read(fd, &mut bytes[..room])?;
        let (count, sum) = if is_counter {
            let count = u64::from_ne_bytes(bytes[..8].try_into().expect("eight"));
            (usize::try_from(count).expect("few"), count)
        } else {
            (n, bytes[..n].iter().map(|byte| u64::from(*byte)).sum())
        };
        self.received.fetch_add(sum, Ordering::AcqRel);
        if self.read.fetch_add(count, Ordering::AcqRel) + count == self.units {
            self.all_read.set();
        }
        Ok(())
    }

    fn write_now(&self, fd: &OwnedFd, seed: usize, most: usize) -> io::Result<()> {
        // Taken first, and what was not written is given back.
        let mut taken = 0;
        self.rest
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |rest| {
                taken = rest.min(most);
                Some(rest - taken)
            })
            .expect("always");
        if taken == 0 {
            return Ok(());
        }
        let (n, sum) = if self.kind == Kind::Counter {
            let written = rustix::io::write(fd, &(taken as u64).to_ne_bytes());
            (written.map(|_| taken), taken as u64)
        } else {
            let bytes: Vec<u8> = (0..taken).map(|i| (seed + i).to_le_bytes()[0]).collect();
            let written = rustix::io::write(fd, &bytes);
            let n = written.unwrap_or(0);
            (
                written,
                bytes[..n].iter().map(|byte| u64::from(*byte)).sum(),
            )
        };
        let count = n.unwrap_or(0);
        self.rest.fetch_add(taken - count, Ordering::AcqRel);
        if count > 0 {
            self.sent.fetch_add(sum, Ordering::AcqRel);
            self.written.fetch_add(count, Ordering::AcqRel);
        }
        n?;
        Ok(())
    }
}

/// One operation, in one of all the ways.
async fn once(
    fd: &Registered<OwnedFd>,
    direction: Direction,
    way: usize,
    mut operation: impl FnMut(&OwnedFd) -> io::Result<()> + Unpin,
) -> io::Result<()> {
    let blocked = |error: &io::Error| error.kind() == ErrorKind::WouldBlock;
    match way {
        0 => fd.async_io(direction, operation).await,
        1 => poll_fn(|cx| fd.poll_io(cx, direction, &mut operation)).await,
        2 => {
            let _event = fd.readiness(direction).await?;
            match fd.try_io(direction, operation) {
                Err(error) if blocked(&error) => Ok(()),
                done => done,
            }
        }
        _ => {
            let event = fd.readiness(direction).await?;
            match operation(fd.get_ref()) {
                Err(error) if blocked(&error) => {
                    fd.clear_ready(event, direction);
                    Ok(())
                }
                done => done,
            }
        }
    }
}

/// Polls `future` as often as that, then gives it up.
async fn at_most<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// Reads or writes until the program is over.
async fn work(world: Arc<World>, direction: Direction, mut dice: Dice) {
    let mut is_stuck = false;
    while !world.is_over.load(Ordering::Acquire) {
        if direction == Direction::Write && world.rest.load(Ordering::Acquire) == 0 {
            // Whoever has to give back what he took goes on himself.
            return;
        }
        let (way, most, seed) = (dice.roll(4), 1 + dice.roll(8000), dice.roll(256));
        let seen = world.clone();
        let acts = async {
            match direction {
                Direction::Read => {
                    let read = |fd: &OwnedFd| seen.read_now(fd, most);
                    once(&seen.reader, direction, way, read).await
                }
                Direction::Write => {
                    let write = |fd: &OwnedFd| seen.write_now(fd, seed, most);
                    once(&seen.writer, direction, way, write).await
                }
            }
        };
        if dice.roll(3) > 0 || is_stuck {
            acts.await.expect("moved");
            is_stuck = false;
        } else {
            // One that gave up waits the next time, or nobody might.
            is_stuck = at_most(dice.roll(3), acts).await.is_none();
        }
        for _ in 0..dice.roll(3) {
            yield_now().await;
        }
    }
}

/// Registers duplicates, asks them, and forgets them.
async fn twin(world: Arc<World>, mut dice: Dice) {
    for _ in 0..100 {
        if world.is_over.load(Ordering::Acquire) {
            return;
        }
        let copy = world
            .reader
            .as_fd()
            .try_clone_to_owned()
            .expect("a duplicate");
        let copy = Registered::new(copy, Interest::Read).expect("registered");
        let _ = at_most(dice.roll(3), copy.readiness(Direction::Read)).await;
        if dice.roll(2) == 0 {
            let copy = copy.into_inner();
            drop(Registered::new_unready(copy, Interest::Read).expect("registered again"));
        }
        yield_now().await;
    }
}

async fn program(seed: u64, home: Option<Handle>) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for _ in 0..8 {
        dice.roll(2);
    }
    let kind = [Kind::Socket, Kind::Pipe, Kind::Counter][dice.roll(3)];
    let units = 1 + dice.roll(60_000);
    let world = {
        let _there = home.as_ref().map(Handle::enter);
        Arc::new(World::new(kind, units).expect("registered"))
    };
    let mut works = |direction| -> Vec<Task<()>> {
        let count = 1 + dice.roll(4);
        let mut own = || Dice(dice.roll(usize::MAX) as u64 | 1);
        (0..count)
            .map(|_| create_task(work(world.clone(), direction, own())))
            .collect()
    };
    let (writers, mut tasks) = (works(Direction::Write), works(Direction::Read));
    if dice.roll(2) == 0 {
        let own = Dice(dice.roll(usize::MAX) as u64 | 1);
        tasks.push(create_task(twin(world.clone(), own)));
    }
    world.all_read.wait().await;
    for writer in writers {
        writer.await.expect("no panic");
    }
    world.is_over.store(true, Ordering::Release);
    assert_eq!(world.written.load(Ordering::Acquire), units);
    assert_eq!(world.read.load(Ordering::Acquire), units);
    let (sent, received) = (&world.sent, &world.received);
    assert_eq!(
        sent.load(Ordering::Acquire),
        received.load(Ordering::Acquire)
    );
    for task in tasks {
        // Those who wait do so for ever.
        task.cancel();
        if let Err(error) = task.await {
            assert!(error.is_cancelled(), "{error}");
        }
    }
}

fn from_environment(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

#[test]
fn nothing_is_lost_between_tasks_that_share_descriptors() {
    let first = from_environment("LOXLEY_SEED").unwrap_or(1);
    let count = from_environment("LOXLEY_PROGRAMS").unwrap_or(40);
    let other = Runtime::builder()
        .worker_threads(1)
        .build()
        .expect("a runtime");
    for seed in first..first + count {
        let builder = match seed % 2 {
            0 => Runtime::builder().worker_threads(3),
            _ => Runtime::builder().current_thread(),
        };
        let runtime = builder.build().expect("a runtime");
        // Now and then it is another runtime's driver that reports.
        let home = (seed % 5 == 0).then(|| other.handle());
        let ended =
            runtime.block_on(async { timeout(LIMIT, create_task(program(seed, home))).await });
        ended
            .unwrap_or_else(|_| panic!("seed {seed} hangs"))
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}
