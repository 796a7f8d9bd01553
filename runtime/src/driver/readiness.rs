//! One source's readiness: a word (bits, tick, generation) and the wakers of those who wait for it.
//!
//! The driver reports events here (R2), operations ask and clear (R1, R3, R4), a registration opens and retires it
//! (R5), shutdown ends it (R6). This file never makes a system call and never calls a waker while its lock is held.
//!
//! **State.** `Readiness` is one atomic word:
//!
//! ```text
//!   63          36 35         12 11        9 8      7 6        5      4     3      2      1     0
//!  ┌──────────────┬─────────────┬───────────┬────────┬────────┬──────┬─────┬──────┬──────┬─────┬─────┐
//!  │ generation   │ tick        │ (unused)  │ writer │ shut-  │ ur-  │ er- │ write│ read │ wri-│ rea-│
//!  │              │             │           │ reader │ down   │ gent │ ror │ clsd │ clsd │ able│ able│
//!  └──────────────┴─────────────┴───────────┴────────┴────────┴──────┴─────┴──────┴──────┴─────┴─────┘
//!                                             waits
//!
//!            open                    R2 event
//!  vacant ─────────► maybe ready ◄──────────────┐
//!    ▲                    │ R3 would block      │
//!    │ R5 retire          ▼                     │            R6
//!    └─────────────── not ready ──► R1 waiting ─┘   any ──────────► shut down, for ever
//! ```
//!
//! | edge | method | what it does | duty that comes with it |
//! |---|---|---|---|
//! | R1 | `check`, `announce` | reports the bits, or says "somebody waits" and looks again | `Waits`: return `Pending` |
//! | R2 | `report` | sets bits, bumps the tick, takes "waits" bits back, in one step | `Wake`: call the wakers |
//! | R3 | `clear` | takes bits away if the tick is still the one that was seen | `Newer`: look again |
//! | R4 | `Source::unlink` | a waiter leaves before it was woken | drop the waker after the lock |
//! | R5 | `retire` | next generation, no bits | drop what wakers are left after the lock |
//! | R6 | `shut_down` | the shutdown bit, for ever | wake everybody |
//!
//! A source is opened as *maybe ready*, with tick 0: nothing is known, so the first operation tries its system call,
//! and would-block clears the guess. Hence no operation ever pays a trip through the driver for data that was there
//! already.
//!
//! **Why no event is lost.** Everything happens on one word, so its changes stand in one order. A waiter stores its
//! waker under the lock and then announces itself (R1); the driver sets the bits and sees the announcement in one
//! step (R2). If R2 comes first, `announce` sees the bits and does not wait; if `announce` comes first, R2 sees it
//! and takes the lock, which it gets only after the waker is stored. An event between a system call and the R3 that
//! follows it bumps the tick, so this R3 changes nothing.
//!
//! **Access.**
//!
//! | field | touched by | when |
//! |---|---|---|
//! | word | anybody | at any time, by the edges above only |
//! | waiters | waiting operations, driver, shutdown | under the mutex; wakers are called and dropped after it |
//!
//! **Ordering.** Wakers travel under the mutex, and the data of an event travels through the kernel; all the word
//! itself has to do is stand in one order, which holds for every atomic. Edges nevertheless acquire and release, so
//! that what a thread did before it reported is seen by who acts on the report, for sources that are not in the
//! kernel.

use std::task::{Poll, Waker};

use loxley_sync::prim::atomic::{AtomicU64, Ordering};
use loxley_sync::prim::lock::Mutex;
use loxley_sync::wait::WakeBatch;

/// A read would not block. Set by R2 and by `open` as a guess; cleared by R3 of a reader.
pub const READABLE: u64 = 1 << 0;
/// A write would not block. Set by R2 and by `open` as a guess; cleared by R3 of a writer.
pub const WRITABLE: u64 = 1 << 1;
/// The peer has ended its half, or both halves are gone. Stays until a read would block after all, which disproves it.
pub const READ_CLOSED: u64 = 1 << 2;
/// Writing is over. Stays until a write would block after all: a datagram socket recovers.
pub const WRITE_CLOSED: u64 = 1 << 3;
/// An error was reported; it comes with `READABLE` and `WRITABLE`, so that both directions go and look.
pub const ERROR: u64 = 1 << 4;
/// Urgent data was seen once: reads of this source may stop early at the urgent mark, so a short read proves nothing.
pub const URGENT: u64 = 1 << 5;
/// The runtime is gone. Set by R6, never cleared.
const SHUTDOWN: u64 = 1 << 6;
/// Somebody may wait to read. Set by R1 under the lock, cleared by the R2 that wakes; a hint when set, a proof when
/// clear.
const READER_WAITS: u64 = 1 << 7;
/// Somebody may wait to write; as `READER_WAITS`.
const WRITER_WAITS: u64 = 1 << 8;

const TICK_SHIFT: u32 = 12;
const TICK_BITS: u32 = 24;
const TICK_ONE: u64 = 1 << TICK_SHIFT;
const TICK_MASK: u64 = ((1 << TICK_BITS) - 1) << TICK_SHIFT;
const GENERATION_SHIFT: u32 = TICK_SHIFT + TICK_BITS;
/// How many bits of a generation are kept; fewer fit into a token where pointers are small.
pub(super) const GENERATION_BITS: u32 = 64 - GENERATION_SHIFT;
const GENERATION_ONE: u64 = 1 << GENERATION_SHIFT;
const GENERATION_MASK: u64 = !(GENERATION_ONE - 1);
const BITS_MASK: u64 = TICK_ONE - 1;

const _: () = assert!(WRITER_WAITS < TICK_ONE, "the flags must end below the tick");

/// One of the two ways bytes go.
///
/// # Examples
///
/// ```
/// use loxley_runtime::lowlevel::{Direction, Interest, Registration};
/// use std::{os::fd::AsFd, os::unix::net::UnixStream};
///
/// # loxley_runtime::run(async {
/// let (ours, _theirs) = UnixStream::pair()?;
/// # ours.set_nonblocking(true)?;
/// let registration = Registration::new(ours.as_fd(), Interest::Both)?;
/// // Nothing was sent yet, but there is room for what we have to say.
/// let event = registration.readiness(Direction::Write).await?;
/// assert!(!event.is_write_closed());
/// # drop(registration);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the world to the program: reading, accepting, receiving.
    Read,
    /// From the program to the world: writing, connecting, sending.
    Write,
}

impl Direction {
    const BOTH: [Self; 2] = [Self::Read, Self::Write];

    const fn slot(self) -> usize {
        match self {
            Self::Read => 0,
            Self::Write => 1,
        }
    }

    /// The bits that make an operation of this direction worth trying.
    const fn ready_bits(self) -> u64 {
        match self {
            Self::Read => READABLE | READ_CLOSED,
            Self::Write => WRITABLE | WRITE_CLOSED,
        }
    }

    const fn waits_bit(self) -> u64 {
        match self {
            Self::Read => READER_WAITS,
            Self::Write => WRITER_WAITS,
        }
    }
}

/// What was known about a source when an operation looked, and as of which event: the claim ticket of R3.
///
/// # Examples
///
/// An event is given back if it did not hold what it promised:
///
/// ```
/// use loxley_runtime::lowlevel::{Direction, Interest, Registration};
/// use std::{io::Read, os::fd::AsFd, os::unix::net::UnixStream};
///
/// # loxley_runtime::run(async {
/// let (ours, _theirs) = UnixStream::pair()?;
/// ours.set_nonblocking(true)?;
/// let registration = Registration::new(ours.as_fd(), Interest::Read)?;
/// let event = registration.readiness(Direction::Read).await?;
/// if (&ours).read(&mut [0]).is_err() { // Would block: a new one is taken for ready.
///     registration.clear_ready(event, Direction::Read);
/// }
/// assert_eq!(registration.try_ready(Direction::Read)?, None);
/// # drop(registration);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an operation that then would block must hand it back to `clear_ready`"]
pub struct ReadyEvent {
    bits: u64,
}

impl ReadyEvent {
    fn tick(self) -> u64 {
        self.bits & TICK_MASK
    }

    /// The peer has ended its half: what is left can be read, then comes the end.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::lowlevel::{Direction, Interest, Registration};
    /// # use std::{os::fd::AsFd, os::unix::net::UnixStream};
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// # ours.set_nonblocking(true)?;
    /// drop(theirs);
    /// let registration = Registration::new_unready(ours.as_fd(), Interest::Read)?;
    /// assert!(registration.readiness(Direction::Read).await?.is_read_closed());
    /// # drop(registration);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn is_read_closed(self) -> bool {
        self.bits & READ_CLOSED != 0
    }

    /// Writing is over.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::lowlevel::{Direction, Interest, Registration};
    /// # use std::{os::fd::AsFd, os::unix::net::UnixStream};
    /// # loxley_runtime::run(async {
    /// let (ours, theirs) = UnixStream::pair()?;
    /// # ours.set_nonblocking(true)?;
    /// drop(theirs);
    /// let registration = Registration::new_unready(ours.as_fd(), Interest::Both)?;
    /// assert!(registration.readiness(Direction::Write).await?.is_write_closed());
    /// # drop(registration);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn is_write_closed(self) -> bool {
        self.bits & WRITE_CLOSED != 0
    }

    /// An error was reported for the source; the next operation will say which.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::lowlevel::{Direction, Interest, Registration};
    /// # use std::{os::fd::AsFd, os::unix::net::UnixStream};
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// # ours.set_nonblocking(true)?;
    /// let registration = Registration::new(ours.as_fd(), Interest::Both)?;
    /// assert!(!registration.readiness(Direction::Write).await?.is_error());
    /// # drop(registration);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn is_error(self) -> bool {
        self.bits & ERROR != 0
    }
}

/// The runtime that would have reported events is gone (R6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutDown;

/// What R1 found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
enum Check {
    /// Worth trying now.
    Ready(ReadyEvent),
    /// Nothing yet: whoever has stored its waker and announced itself may return `Pending`.
    Waits,
    /// No event will come any more.
    ShutDown,
}

/// What R2 asks of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
enum Report {
    /// The event was meant for an earlier source in this slot.
    Stale,
    /// Noted; nobody waits.
    Noted,
    /// Wake these directions: (readers, writers).
    Wake(bool, bool),
}

/// What R3 did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "after `Newer` the operation must be tried again before anybody waits"]
pub enum Cleared {
    /// The bits are gone: the next operation waits for an event.
    Cleared,
    /// A newer event has come meanwhile: nothing was changed.
    Newer,
}

/// Why bits are cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClearCause {
    /// The system call would have blocked: whatever was said about this direction is over, even "closed".
    WouldBlock,
    /// The system call did less than it was asked for: nothing is left to do, but "closed" still holds.
    Drained,
}

/// The word.
#[derive(Debug)]
struct Readiness(AtomicU64);

impl Readiness {
    fn vacant() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Gives a vacant slot to a new source, with `guess` as what may be ready. Returns the generation it lives under.
    ///
    /// The slab calls it under its lock, before anybody else knows the slot: no edge.
    fn open(&self, guess: u64) -> u32 {
        // ordering: AcqRel. The slot comes from a `retire` and goes to whoever gets the token; both may be other
        // threads.
        let before = self.0.fetch_or(guess, Ordering::AcqRel);
        debug_assert!(
            before & BITS_MASK & !SHUTDOWN == 0 && before & TICK_MASK == 0,
            "opened a slot in use: {}",
            Decoded(before)
        );
        generation_of(before)
    }

    /// R1, first look, and the look again of a waiter that has announced itself: see [`announce`](Self::announce).
    fn check(word: u64, direction: Direction) -> Check {
        if word & SHUTDOWN != 0 {
            Check::ShutDown
        } else if word & direction.ready_bits() != 0 {
            Check::Ready(ReadyEvent {
                bits: word & (BITS_MASK | TICK_MASK),
            })
        } else {
            Check::Waits
        }
    }

    /// R1 without the intention to wait.
    fn look(&self, direction: Direction) -> Check {
        // ordering: Acquire. Sees what was done before the R2 that set the bits.
        Self::check(self.0.load(Ordering::Acquire), direction)
    }

    /// R1: says that a waker is stored and looks again, in one step. Called with the waiters' lock held.
    fn announce(&self, direction: Direction) -> Check {
        // ordering: AcqRel. One of `announce` and `report` comes first on this word; whichever is second sees the
        // other.
        let before = self.0.fetch_or(direction.waits_bit(), Ordering::AcqRel);
        Self::check(before, direction)
    }

    /// R4: false if nobody's waker is stored, but for one that an R2 is about to take.
    ///
    /// Asked by a waiter that has announced itself.
    #[inline]
    fn may_wait(&self, direction: Direction) -> bool {
        // ordering: Relaxed. The caller's own `announce` comes earlier on this word, so a clear bit is the work of an R2
        // after it, which drains the wakers under the lock; a set bit is only a reason to look there.
        self.0.load(Ordering::Relaxed) & direction.waits_bit() != 0
    }

    /// R2: an event of generation `generation` (as many bits of it as `generation_mask` has) with these `bits`.
    fn report(&self, generation: u32, generation_mask: u32, bits: u64) -> Report {
        debug_assert!(bits & !(BITS_MASK & !SHUTDOWN & !READER_WAITS & !WRITER_WAITS) == 0);
        // ordering: Relaxed. Only the starting point of the exchange below, which checks it.
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if generation_of(word) & generation_mask != generation {
                return Report::Stale;
            }
            let mut taken = 0;
            for direction in Direction::BOTH {
                if bits & direction.ready_bits() != 0 {
                    taken |= word & direction.waits_bit();
                }
            }
            let tick = word.wrapping_add(TICK_ONE) & TICK_MASK;
            let next = (word & !TICK_MASK & !taken) | bits | tick;
            // ordering: AcqRel on success, pairs with `announce` (see there) and with `look`; Relaxed on failure, where
            // the value is only the next starting point.
            match self
                .0
                .compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) if taken == 0 => return Report::Noted,
                Ok(_) => return Report::Wake(taken & READER_WAITS != 0, taken & WRITER_WAITS != 0),
                Err(seen) => word = seen,
            }
        }
    }

    /// R3: takes the bits of `direction` away, unless an event newer than `event` has come.
    fn clear(&self, event: ReadyEvent, direction: Direction, cause: ClearCause) -> Cleared {
        let gone = match (cause, direction) {
            (ClearCause::WouldBlock, _) => direction.ready_bits() | ERROR,
            (ClearCause::Drained, Direction::Read) => READABLE,
            (ClearCause::Drained, Direction::Write) => WRITABLE,
        };
        // ordering: Relaxed. Only the starting point of the exchange below, which checks it.
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if word & TICK_MASK != event.tick() {
                return Cleared::Newer;
            }
            if cause == ClearCause::Drained && word & URGENT != 0 {
                return Cleared::Newer;
            }
            // ordering: AcqRel on success: what the system call saw comes before the bits are gone. Relaxed on failure,
            // where the value is only the next starting point.
            match self.0.compare_exchange_weak(
                word,
                word & !gone,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Cleared::Cleared,
                Err(seen) => word = seen,
            }
        }
    }

    /// R5: no source lives here any more; events under the old generation will miss. Returns the new generation.
    fn retire(&self) -> u32 {
        // ordering: Relaxed. Only the starting point of the exchange below, which checks it.
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let next = (word & GENERATION_MASK).wrapping_add(GENERATION_ONE) | (word & SHUTDOWN);
            // ordering: AcqRel, pairs with `report` of a late event, which sees the new generation or was before; the
            // next `open` is ordered after it by the slab's lock. Relaxed on failure: only the next starting point.
            match self
                .0
                .compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return generation_of(next),
                Err(seen) => word = seen,
            }
        }
    }

    /// R6: no event will come any more, for ever.
    fn shut_down(&self) {
        // ordering: AcqRel. One of `announce` and this comes first on the word; whichever is second sees the other.
        self.0.fetch_or(SHUTDOWN, Ordering::AcqRel);
    }
}

fn generation_of(word: u64) -> u32 {
    (word >> GENERATION_SHIFT) as u32
}

/// A word for people, in assertions.
struct Decoded(u64);

impl std::fmt::Display for Decoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const NAMES: [&str; 9] = [
            "readable",
            "writable",
            "read-closed",
            "write-closed",
            "error",
            "urgent",
            "shutdown",
            "reader-waits",
            "writer-waits",
        ];
        write!(
            f,
            "generation {} tick {}",
            generation_of(self.0),
            (self.0 & TICK_MASK) >> TICK_SHIFT
        )?;
        for (bit, name) in NAMES.iter().enumerate() {
            if self.0 & (1 << bit) != 0 {
                write!(f, " {name}")?;
            }
        }
        Ok(())
    }
}

/// Who waits: a number of its own for each future, or [`WaiterId::POLL`] for the poll functions, which tell each other by
/// their wakers: the last few (`POLLERS_MAX`) of a direction are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaiterId(pub u32);

impl WaiterId {
    /// Whoever waits through a poll function.
    pub const POLL: Self = Self(0);
}

/// How many tasks may wait in one direction through poll functions, which cannot say that they no longer wait. A limit, for one
/// that comes with another waker each time would fill memory until the next event.
const POLLERS_MAX: usize = 8;

/// The wakers of a source. Nearly always there is at most one in a direction, and it needs no allocation.
#[derive(Debug, Default)]
struct Waiters {
    first: [Option<Waker>; 2],
    first_id: [u32; 2],
    more: Option<Box<More>>,
}

/// Waiters beyond the first of their direction. *Unbounded*: one per future that waits on the source.
#[derive(Debug, Default)]
struct More {
    waiters: Vec<(Direction, WaiterId, Waker)>,
}

impl Waiters {
    /// Stores `waker` for `id`; returns what it replaces, to be dropped after the lock.
    fn store(&mut self, direction: Direction, id: WaiterId, waker: &Waker) -> Option<Waker> {
        let slot = direction.slot();
        let first = self.first[slot].as_mut();
        let first = first.map(|waker| (WaiterId(self.first_id[slot]), waker));
        let more = self.more.iter_mut().flat_map(|more| &mut more.waiters);
        let more = more
            .filter(|waiter| waiter.0 == direction)
            .map(|waiter| (waiter.1, &mut waiter.2));
        let mut pollers = 0;
        for (_, known) in first
            .into_iter()
            .chain(more)
            .filter(|(other, _)| *other == id)
        {
            if known.will_wake(waker) {
                return None;
            }
            if id != WaiterId::POLL {
                return Some(std::mem::replace(known, waker.clone()));
            }
            pollers += 1;
        }
        let displaced = if pollers < POLLERS_MAX {
            None
        } else {
            self.remove(direction, id, None)
        };
        if self.first[slot].is_none() {
            self.first_id[slot] = id.0;
            self.first[slot] = Some(waker.clone());
        } else {
            let more = self.more.get_or_insert_default();
            more.waiters.push((direction, id, waker.clone()));
        }
        displaced
    }

    /// Forgets `id`, or the one of that number that `waker` would wake; returns its waker, to be dropped after the lock.
    fn remove(
        &mut self,
        direction: Direction,
        id: WaiterId,
        waker: Option<&Waker>,
    ) -> Option<Waker> {
        let is_meant = |other: WaiterId, known: &Waker| {
            other == id && waker.is_none_or(|waker| known.will_wake(waker))
        };
        let slot = direction.slot();
        let first_id = WaiterId(self.first_id[slot]);
        if let Some(first) = self.first[slot].take_if(|first| is_meant(first_id, first)) {
            return Some(first);
        }
        let waiters = &mut self.more.as_mut()?.waiters;
        let at = waiters
            .iter()
            .position(|waiter| waiter.0 == direction && is_meant(waiter.1, &waiter.2))?;
        Some(waiters.remove(at).2)
    }

    /// Moves wakers of `direction` into the batch, oldest first; false when the batch was full before the end.
    fn drain(&mut self, direction: Direction, batch: &mut WakeBatch) -> bool {
        if let Some(waker) = self.first[direction.slot()].take() {
            if !batch.has_room() {
                self.first[direction.slot()] = Some(waker);
                return false;
            }
            batch.push(waker);
        }
        let Some(more) = &mut self.more else {
            return true;
        };
        while let Some(at) = more.waiters.iter().position(|waiter| waiter.0 == direction) {
            if !batch.has_room() {
                return false;
            }
            batch.push(more.waiters.remove(at).2);
        }
        true
    }
}

/// One source of events: the word and the wakers. Lives in a slot of the slab and serves one source after another.
///
/// One cache line of its own: a worker that reads from one socket must not slow down its neighbour in the slab.
#[derive(Debug)]
#[repr(align(64))]
pub struct Source {
    readiness: Readiness,
    waiters: Mutex<Waiters>,
}

#[cfg(all(not(any(loom, shuttle)), target_pointer_width = "64"))]
const _: () = assert!(size_of::<Source>() == 64, "a source fills one cache line");

impl Source {
    /// A slot in which no source lives yet.
    #[must_use]
    pub fn vacant() -> Self {
        Self {
            readiness: Readiness::vacant(),
            waiters: Mutex::new(Waiters::default()),
        }
    }

    /// Gives the slot to a new source that waits for `readable` and `writable` events; returns its generation.
    pub fn open(&self, readable: bool, writable: bool) -> u32 {
        let guess = if readable { READABLE } else { 0 } | if writable { WRITABLE } else { 0 };
        self.readiness.open(guess)
    }

    /// R1 without waiting: what is known, if it makes an operation worth trying.
    ///
    /// # Errors
    ///
    /// If the runtime is gone.
    pub fn look(&self, direction: Direction) -> Result<Option<ReadyEvent>, ShutDown> {
        match self.readiness.look(direction) {
            Check::Ready(event) => Ok(Some(event)),
            Check::Waits => Ok(None),
            Check::ShutDown => Err(ShutDown),
        }
    }

    /// R1: what is known by now, or `Pending` with `waker` stored for `id`. For use after [`look`](Self::look) found
    /// nothing.
    pub fn poll_wait(
        &self,
        direction: Direction,
        id: WaiterId,
        waker: &Waker,
    ) -> Poll<Result<ReadyEvent, ShutDown>> {
        let mut waiters = self.waiters.lock();
        let replaced = waiters.store(direction, id, waker);
        let found = self.readiness.announce(direction);
        let unused = match found {
            Check::Waits => None,
            Check::Ready(_) | Check::ShutDown => waiters.remove(direction, id, Some(waker)),
        };
        drop(waiters);
        drop((replaced, unused));
        match found {
            Check::Waits => Poll::Pending,
            Check::Ready(event) => Poll::Ready(Ok(event)),
            Check::ShutDown => Poll::Ready(Err(ShutDown)),
        }
    }

    /// R2: an event for the source of `generation`. Wakers go to `batch`, which is flushed here when it is full.
    ///
    /// Returns whether the event was for the source that lives here now.
    pub fn report(
        &self,
        generation: u32,
        generation_mask: u32,
        bits: u64,
        batch: &mut WakeBatch,
    ) -> bool {
        match self.readiness.report(generation, generation_mask, bits) {
            Report::Stale => false,
            Report::Noted => true,
            Report::Wake(readers, writers) => {
                self.wake(readers, writers, batch);
                true
            }
        }
    }

    /// R3 after the system call would have blocked.
    pub fn clear(&self, event: ReadyEvent, direction: Direction) -> Cleared {
        self.readiness
            .clear(event, direction, ClearCause::WouldBlock)
    }

    /// R3 after the system call did less than it was asked for.
    pub fn clear_drained(&self, event: ReadyEvent, direction: Direction) -> Cleared {
        self.readiness.clear(event, direction, ClearCause::Drained)
    }

    /// R4: `id` no longer waits.
    ///
    /// For most it has come to an end before: the event that woke them took their wakers along, and without a look at the
    /// word each of them would take the lock to find that out.
    pub fn unlink(&self, direction: Direction, id: WaiterId) {
        if !self.readiness.may_wait(direction) {
            return;
        }
        let waker = self.waiters.lock().remove(direction, id, None);
        drop(waker);
    }

    /// R5: the source is gone. Whoever it was waited through the registration, which is gone as well: nobody to wake.
    pub fn retire(&self) {
        self.readiness.retire();
        let left = std::mem::take(&mut *self.waiters.lock());
        drop(left);
    }

    /// R6: wakes everybody; waiting is refused from now on.
    pub fn shut_down(&self, batch: &mut WakeBatch) {
        self.readiness.shut_down();
        self.wake(true, true, batch);
    }

    fn wake(&self, readers: bool, writers: bool, batch: &mut WakeBatch) {
        loop {
            let mut waiters = self.waiters.lock();
            let finished = (!readers || waiters.drain(Direction::Read, batch))
                && (!writers || waiters.drain(Direction::Write, batch));
            drop(waiters);
            if finished {
                return;
            }
            batch.wake_all_contained();
        }
    }
}
