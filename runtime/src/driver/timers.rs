//! Deadlines shared between threads: arm, poll, disarm, fire.
//!
//! Sleeping futures and timer handles arm here; workers and whoever sleeps in the driver fire. This room sees wakers,
//! never tasks. It never calls, clones or drops a waker while a lock is held.
//!
//! # Shards
//!
//! Every worker has a wheel of its own, under a lock that only it takes often, and so has the thread in `block_on`; in
//! this file it counts as a worker. One more wheel, the foreign shard, serves all other threads. A shard may be fired
//! by anybody at any time.
//!
//! # Rounding
//!
//! The wheels count ticks of [`TICK_NS`]. A deadline rounds up to a tick, the time of firing rounds down: a timer is
//! late by less than a tick, and never early.
//!
//! # Who sees a new deadline in time
//!
//! Each shard publishes the earliest of its deadlines in `next`, under its lock. There are two cases.
//!
//! - **A1** A worker arms in its own shard. It is awake, and looks at `next` of its shard before it sleeps, in the
//!   driver or elsewhere. Nobody needs to be told. So that this holds for a task that has moved, rearming takes its
//!   timer along.
//! - **A2** Any other thread arms in the last shard. If that makes the shard's next deadline earlier, it must reach
//!   the one who sleeps in the driver, who watches that shard beside its own:
//!
//! ```text
//!      armer                                    sleeper
//!   1  next.store(earlier)                   1  announce the sleep
//!   2  fence(SeqCst)                         2  fence(SeqCst)            } `next_deadline`
//!   3  poke: wake whoever announced          3  read every next          }
//!                                            4  sleep until then, or until poked
//! ```
//!
//! Of the two fences one comes first. The armer's: the sleeper then reads the earlier deadline. The sleeper's: the
//! poke then sees the announcement. So `poke` may cost nothing while nobody sleeps, provided that a poke between 1
//! and 4 is not forgotten. A poke that asks for no announcement and ends the next sleep if there is none now needs
//! no fence of the sleeper either: [`Timers::next_deadline_of`] will do.
//!
//! # Edges
//!
//! | edge | what | races with |
//! |---|---|---|
//! | A1, A2 arm | insert, publish `next` | A4, A6, the sleeper |
//! | A3 poll | fired, or keep the newest waker | A4 |
//! | A4 fire | take due entries out, publish `next`, wake | all |
//! | A5 disarm, rearm | take out or set anew by key; a key that has fired misses | A4, A6 |
//! | A6 close | every entry is taken out and woken; later ones are refused | A1, A2 |
//!
//! An entry leaves its wheel once, under the lock, by one of A4, A5 and A6: these three cannot disagree.
//!
//! # Ordering
//!
//! The lock orders everything about the wheels. `next` is a hint read without it, all its accesses are relaxed: who
//! reads it too late has either armed in that shard itself (A1) or is covered by the fences above (A2). `is_closed`
//! is set before A6 takes the first lock, so whoever takes a lock after A6 did sees it: an entry is refused, or
//! inserted early enough to be taken out. It too is relaxed, the locks order it.

use crate::clock::Clock;
use crate::wheel::{Key, Step, Wheel};
use loxley_sync::prim::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use loxley_sync::prim::lock::{Mutex, MutexGuard};
use loxley_sync::prim::{Arc, CachePadded};
use loxley_sync::wait::WakeBatch;
use std::task::Waker;

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

/// Binary digits of a nanosecond count below the resolution.
const TICK_BITS: u32 = 14;
/// The resolution in nanoseconds: fine enough that a timer is late by the wake-up, not by the rounding; coarse enough
/// that seven levels reach for years.
pub const TICK_NS: u64 = 1 << TICK_BITS;
/// Published by a shard without deadlines.
const NEVER: u64 = u64::MAX;
/// Steps of the wheel taken under one hold of the lock: a few microseconds, in which another thread may wait to disarm.
const STEPS_PER_HOLD: u32 = 128;

/// Names one armed timer. Once that has fired or was disarmed, the key misses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerKey {
    index: u32,
    generation_low: u32,
    generation_high: u16,
    shard: u16,
}

const _: () = assert!(
    size_of::<TimerKey>() == 12,
    "a key is stored in every sleeping future"
);

impl TimerKey {
    fn new(shard: usize, key: Key) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "taken apart on purpose; shards are counted in `Timers::new`"
        )]
        Self {
            index: key.index,
            generation_low: key.generation as u32,
            generation_high: (key.generation >> 32) as u16,
            shard: shard as u16,
        }
    }

    fn in_wheel(self) -> Key {
        Key {
            index: self.index,
            generation: u64::from(self.generation_high) << 32 | u64::from(self.generation_low),
        }
    }

    /// Which shard the timer is in.
    #[must_use]
    pub fn shard(self) -> usize {
        usize::from(self.shard)
    }
}

/// The timers of one runtime.
pub struct Timers {
    /// One per worker, the thread in `block_on` among them, and the last one for everybody else.
    shards: Box<[CachePadded<Shard>]>,
    clock: Clock,
    poke: Box<dyn Fn() + Send + Sync>,
    /// A6 has begun.
    is_closed: AtomicBool,
}

/// One shard of a runtime's timers: what a sleep keeps of the place where it was armed.
///
/// There is one per shard, padded, so that its count stands on a line of its own: every sleep that begins or ends counts
/// itself there. Counted in one place for all workers, they waited for that line twice as long as for all else.
#[derive(Debug)]
pub(crate) struct TimerSite {
    pub(crate) timers: Arc<Timers>,
    pub(crate) shard: usize,
}

impl TimerSite {
    pub(crate) fn new(timers: Arc<Timers>, shard: usize) -> Site {
        Arc::new(CachePadded::new(Self { timers, shard }))
    }

    /// The shard to arm in for whoever is at `here`, if these are the timers of the same runtime.
    pub(crate) fn shard_at(&self, here: &Self) -> Option<usize> {
        Arc::ptr_eq(&self.timers, &here.timers).then_some(here.shard)
    }
}

/// How threads and sleeps hold a [`TimerSite`].
pub(crate) type Site = Arc<CachePadded<TimerSite>>;

#[derive(Debug)]
struct Shard {
    /// A time in nanoseconds before which nothing here is due, or [`NEVER`]. Written under the lock.
    next: AtomicU64,
    wheel: Mutex<Wheel<Waker>>,
}

impl Shard {
    fn new() -> Self {
        Self {
            next: AtomicU64::new(NEVER),
            wheel: Mutex::new(Wheel::new()),
        }
    }

    #[inline]
    fn next(&self) -> u64 {
        // ordering: a hint, see the file's Ordering section.
        self.next.load(Ordering::Relaxed)
    }

    /// Publishes the next deadline after a change; says whether it became earlier.
    #[inline]
    fn publish(&self, wheel: &MutexGuard<'_, Wheel<Waker>>) -> bool {
        let next = wheel.next_deadline().map_or(NEVER, start_of_tick);
        // ordering: relaxed, only written under the lock, which is held.
        let before = self.next.load(Ordering::Relaxed);
        if next != before {
            // ordering: a hint, see the file's Ordering section.
            self.next.store(next, Ordering::Relaxed);
        }
        next < before
    }
}

/// The first tick that begins at `ns` or later.
#[inline]
fn tick_at_or_after(ns: u64) -> u64 {
    (ns >> TICK_BITS) + u64::from(ns & (TICK_NS - 1) != 0)
}

/// The tick that `ns` lies in.
#[inline]
fn tick_of(ns: u64) -> u64 {
    ns >> TICK_BITS
}

/// When a tick begins, in nanoseconds. What rounded up beyond the range of nanoseconds is never.
#[inline]
fn start_of_tick(tick: u64) -> u64 {
    tick.checked_mul(TICK_NS).unwrap_or(NEVER)
}

impl Timers {
    /// Timers for `worker_shards` workers and everybody else.
    ///
    /// `poke` wakes whoever sleeps in the driver, so that it looks at [`next_deadline`](Self::next_deadline) again.
    /// It is called without a lock.
    ///
    /// # Panics
    ///
    /// If there are more workers than a key can number (65,535).
    #[must_use]
    pub fn new(worker_shards: usize, clock: Clock, poke: Box<dyn Fn() + Send + Sync>) -> Self {
        assert!(
            worker_shards < usize::from(u16::MAX),
            "at most {} workers can have timers, not {worker_shards}",
            u16::MAX - 1
        );
        Self {
            shards: (0..=worker_shards)
                .map(|_| CachePadded::new(Shard::new()))
                .collect(),
            clock,
            poke,
            is_closed: AtomicBool::new(false),
        }
    }

    /// The clock that the deadlines refer to.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The shard for threads that are not workers.
    #[must_use]
    pub fn foreign_shard(&self) -> usize {
        self.shards.len() - 1
    }

    /// A1, A2: wakes `waker` once `deadline_ns` has passed, unless disarmed before.
    ///
    /// `shard` is the calling worker's own, or [`foreign_shard`](Self::foreign_shard). After [`close`](Self::close)
    /// the key returned has fired already, and nobody is woken.
    ///
    /// # Panics
    ///
    /// If there is no such shard.
    #[must_use = "without the key the timer can be neither polled nor disarmed"]
    #[inline]
    pub fn arm(&self, shard: usize, deadline_ns: u64, waker: &Waker) -> TimerKey {
        // A refused waker is dropped here: who arms finds out by itself.
        self.insert(shard, deadline_ns, waker.clone())
            .unwrap_or_else(|_refused| TimerKey::new(shard, Key::NONE))
    }

    /// A1, A2; gives the waker back after [`close`](Self::close).
    #[inline]
    fn insert(&self, shard: usize, deadline_ns: u64, waker: Waker) -> Result<TimerKey, Waker> {
        let place = &self.shards[shard];
        let mut wheel = place.wheel.lock();
        if self.is_closed() {
            drop(wheel);
            return Err(waker);
        }
        let key = wheel.insert(tick_at_or_after(deadline_ns), waker);
        let is_earlier = place.publish(&wheel);
        drop(wheel);
        if is_earlier && shard == self.foreign_shard() {
            self.poke_after_publishing();
        }
        Ok(TimerKey::new(shard, key))
    }

    /// A3: whether the timer has fired (or is gone for another reason). If not, `waker` is the one to be woken.
    #[must_use]
    pub fn poll(&self, key: TimerKey, waker: &Waker) -> bool {
        let shard = &self.shards[key.shard()];
        let mut wheel = shard.wheel.lock();
        match wheel.get_mut(key.in_wheel()) {
            None => return true,
            Some(stored) if stored.will_wake(waker) => return false,
            Some(_) => {}
        }
        drop(wheel);
        // Rare: the task moved, or another one polls. Cloned and dropped without the lock, and so looked up twice.
        let mut newest = waker.clone();
        let mut wheel = shard.wheel.lock();
        let stored = wheel.get_mut(key.in_wheel());
        let has_fired = stored.is_none();
        if let Some(stored) = stored {
            std::mem::swap(stored, &mut newest);
        }
        drop(wheel);
        has_fired
    }

    /// Whether the timer has fired (or is gone for another reason).
    #[must_use]
    pub fn has_fired(&self, key: TimerKey) -> bool {
        let wheel = self.shards[key.shard()].wheel.lock();
        !wheel.contains(key.in_wheel())
    }

    /// A5: takes the timer out. Nothing happens if it has fired already.
    pub fn disarm(&self, key: TimerKey) {
        let shard = &self.shards[key.shard()];
        let mut wheel = shard.wheel.lock();
        let waker = wheel.remove(key.in_wheel());
        if waker.is_some() {
            shard.publish(&wheel);
        }
        drop(wheel);
        drop(waker);
    }

    /// A5: gives the timer another deadline and returns the key to use from now on; `None` if it has fired already.
    ///
    /// `here` is the shard in which the caller arms. A timer armed elsewhere moves there, waker and all: the worker
    /// it was armed on may be asleep, and watches the deadlines it saw before.
    pub fn rearm(&self, key: TimerKey, deadline_ns: u64, here: usize) -> Option<TimerKey> {
        let shard = &self.shards[key.shard()];
        let mut wheel = shard.wheel.lock();
        if key.shard() == here {
            let is_armed = wheel.reset(key.in_wheel(), tick_at_or_after(deadline_ns));
            let is_earlier = shard.publish(&wheel);
            drop(wheel);
            if is_earlier && here == self.foreign_shard() {
                self.poke_after_publishing();
            }
            return is_armed.then_some(key);
        }
        let waker = wheel.remove(key.in_wheel())?;
        shard.publish(&wheel);
        drop(wheel);
        let moved = self.insert(here, deadline_ns, waker);
        Some(moved.unwrap_or_else(|refused| {
            // A6 came between: it would have woken this one.
            refused.wake();
            TimerKey::new(here, Key::NONE)
        }))
    }

    /// The time, in nanoseconds of the clock, at which somebody should next call [`fire`](Self::fire).
    ///
    /// To be read after announcing the sleep that it limits; see "Who sees a new deadline in time".
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        // ordering: the sleeper's fence of A2, between its announcement and the loads below.
        fence(Ordering::SeqCst);
        let earliest = self.shards.iter().map(|shard| shard.next()).min()?;
        (earliest != NEVER).then_some(earliest)
    }

    /// The same for one shard. Without a fence: for the worker that arms there.
    #[must_use]
    #[inline]
    pub fn next_deadline_of(&self, shard: usize) -> Option<u64> {
        let next = self.shards[shard].next();
        (next != NEVER).then_some(next)
    }

    /// A4: fires everything that is due at `now_ns` in every shard; returns how many timers that were.
    ///
    /// Wakers are called as the batch fills up; the last ones are left in it.
    pub fn fire(&self, now_ns: u64, batch: &mut WakeBatch) -> usize {
        (0..self.shards.len())
            .map(|shard| self.fire_shard(shard, now_ns, batch))
            .sum()
    }

    /// A4: the same for one shard.
    #[inline]
    pub fn fire_shard(&self, shard: usize, now_ns: u64, batch: &mut WakeBatch) -> usize {
        if self.shards[shard].next() > now_ns {
            return 0;
        }
        self.fire_due(&self.shards[shard], now_ns, batch)
    }

    fn fire_due(&self, shard: &Shard, now_ns: u64, batch: &mut WakeBatch) -> usize {
        let now = tick_of(now_ns);
        let mut fired = 0;
        let mut limit = None;
        loop {
            if !batch.has_room() {
                batch.wake_all_contained();
            }
            let mut wheel = shard.wheel.lock();
            // No more than were armed when the pass began: timers armed in the past by those just woken come next time.
            let limit = *limit.get_or_insert_with(|| wheel.len());
            let mut is_done = false;
            for _ in 0..STEPS_PER_HOLD {
                if !batch.has_room() {
                    break;
                }
                if fired == limit {
                    is_done = true;
                    break;
                }
                match wheel.step(now) {
                    Step::Due(waker) => {
                        batch.push(waker);
                        fired += 1;
                    }
                    Step::Moved => {}
                    Step::Done => {
                        is_done = true;
                        break;
                    }
                }
            }
            shard.publish(&wheel);
            drop(wheel);
            if is_done {
                return fired;
            }
        }
    }

    /// A6: the runtime is gone. Every armed timer is taken out and its waker woken; from now on none can be armed.
    ///
    /// A waker that panics does not keep the others from being woken.
    pub fn close(&self) {
        // ordering: see A6 in the file's Ordering section.
        self.is_closed.store(true, Ordering::Relaxed);
        let mut batch = WakeBatch::new();
        for shard in &self.shards {
            let mut wheel = shard.wheel.lock();
            let wakers = wheel.take_all();
            shard.publish(&wheel);
            drop(wheel);
            for waker in wakers {
                batch.push(waker);
                if !batch.has_room() {
                    batch.wake_all_contained();
                }
            }
        }
        batch.wake_all_contained();
    }

    /// Whether [`close`](Self::close) has been called. Who finds a timer gone because of that, finds `true`.
    #[must_use]
    #[inline]
    pub fn is_closed(&self) -> bool {
        // ordering: see A6 in the file's Ordering section.
        self.is_closed.load(Ordering::Relaxed)
    }

    /// How many timers are armed, for leak checks.
    #[must_use]
    pub fn armed(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.wheel.lock().len())
            .sum()
    }

    /// The second and third step of A2. The first one was taken under the lock.
    #[cold]
    fn poke_after_publishing(&self) {
        // ordering: the armer's fence of A2, between `next` and what `poke` reads.
        fence(Ordering::SeqCst);
        (self.poke)();
    }
}

impl std::fmt::Debug for Timers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timers")
            .field("shards", &self.shards.len())
            .field("next_deadline_ns", &self.next_deadline())
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
