//! Who searches and who sleeps: one packed word, and the list of sleepers behind a lock.
//!
//! # Edges
//!
//! | edge | method | meaning | duty that comes with it |
//! |---|---|---|---|
//! | I1 | `start_searching`, `search_anyway` | at most half of the workers, and whoever saw work in the look after I3 | ends with I2 or I3 |
//! | I2 | `found_work` | searching → busy | the last searcher wakes one more, for work may remain |
//! | I3 | `fall_asleep` | publish "asleep", **SleepFence**, then the caller looks at every queue once more | found something → I5 on oneself |
//! | I4 | `claim` | after a push and the **PushFence**: none searching, one asleep → claim it | the caller unparks the one claimed |
//! | I5 | `wake_oneself` | asleep → awake | if somebody claimed it first, it is counted as searching already |
//!
//! # Why no wake-up is lost
//!
//! A pusher makes the item visible, then PushFence, then reads the word. A worker that goes to sleep writes the word, then
//! SleepFence, then looks at the queues. Both fences are sequentially consistent, so one comes first. PushFence first: the
//! sleeper's look comes after it and sees the item. SleepFence first: the pusher's read comes after it and sees the sleeper,
//! or sees that somebody searches. A searcher leaves only by I3, which looks again after its own fence, or by I2, after
//! which it runs what it found and either is not the last searcher or wakes one more: so somebody looks after the push in
//! every case.
//!
//! A push by a worker into its own slot or queue needs none of this: that worker is awake and looks there next. It claims
//! a sleeper only to share the work, and only if it sees one without a fence (`claim_if_seen`). That a task may wait while
//! its worker is stuck in a poll is the monitor's business, not this protocol's.
//!
//! # Ordering
//!
//! The word is read and written relaxed: it publishes nothing but itself, and the two fences order it against the queues.

use loxley_sync::prim::CachePadded;
use loxley_sync::prim::atomic::{AtomicUsize, Ordering, fence};
use loxley_sync::prim::lock::Mutex;

const SEARCHING: usize = 1;
const ASLEEP_SHIFT: u32 = 16;
const ASLEEP: usize = 1 << ASLEEP_SHIFT;

/// The most workers the packed word has room for.
///
/// Two more shards than workers are numbered in 16 bits, with one number to spare.
pub(crate) const WORKERS_MAX: usize = ASLEEP - 3;

/// The word and the list. Models drive it through the same methods as the workers.
#[derive(Debug)]
pub struct Idle {
    word: CachePadded<AtomicUsize>,
    sleepers: CachePadded<Mutex<Vec<usize>>>,
    workers: usize,
}

/// What I5 found.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum Woken {
    /// Nobody had claimed this worker: it is awake and does not search.
    ByItself,
    /// I4 had claimed it: it is counted as searching.
    Claimed,
}

impl Idle {
    /// All workers are awake, none searches.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            word: CachePadded::new(AtomicUsize::new(0)),
            sleepers: CachePadded::new(Mutex::new(Vec::with_capacity(workers))),
            workers,
        }
    }

    fn load(&self) -> (usize, usize) {
        // ordering: relaxed, see the module's Ordering section.
        let word = self.word.load(Ordering::Relaxed);
        (word % ASLEEP, word >> ASLEEP_SHIFT)
    }

    /// I1: true if this worker may look for others' work.
    pub fn start_searching(&self) -> bool {
        let (searching, _) = self.load();
        // More than half would meet at the same victims. The bound may be overshot by racing workers, which costs nothing.
        if 2 * searching >= self.workers {
            return false;
        }
        // ordering: relaxed, see the module's Ordering section.
        self.word.fetch_add(SEARCHING, Ordering::Relaxed);
        true
    }

    /// I1 without its bound, for a worker that has just seen work: refused, it would only look again, and again, until
    /// those who search have been given a processor.
    pub fn search_anyway(&self) {
        // ordering: relaxed, see the module's Ordering section.
        self.word.fetch_add(SEARCHING, Ordering::Relaxed);
    }

    /// I2: true if this was the last searcher, who wakes another one.
    #[must_use]
    pub fn found_work(&self) -> bool {
        // ordering: relaxed; I4, which a last searcher goes on to, has the fence.
        let before = self.word.fetch_sub(SEARCHING, Ordering::Relaxed);
        before % ASLEEP == 1
    }

    /// I3: the caller is asleep from now on, and must look at every queue once more before it parks.
    pub fn fall_asleep(&self, worker: usize, searching: bool) {
        {
            let mut sleepers = self.sleepers.lock();
            sleepers.push(worker);
            let change = if searching {
                ASLEEP - SEARCHING
            } else {
                ASLEEP
            };
            // ordering: relaxed, the fence below orders it before the caller's look at the queues.
            self.word.fetch_add(change, Ordering::Relaxed);
        }
        // SleepFence
        // ordering: sequentially consistent, pairs with PushFence in `claim`.
        fence(Ordering::SeqCst);
    }

    /// I4: after a push. The worker to unpark, if there is reason to.
    #[inline]
    pub fn claim(&self) -> Option<usize> {
        // PushFence
        // ordering: sequentially consistent, pairs with SleepFence in `fall_asleep`.
        fence(Ordering::SeqCst);
        let (searching, asleep) = self.load();
        if searching > 0 || asleep == 0 {
            return None;
        }
        self.claim_slow(false)
    }

    /// I4 without its fence, for a push that needs no protection from being missed.
    #[inline]
    pub(crate) fn claim_if_seen(&self) -> Option<usize> {
        let (searching, asleep) = self.load();
        if searching > 0 || asleep == 0 {
            return None;
        }
        self.claim_slow(false)
    }

    /// Claims a sleeper even though somebody searches: for what searching does not find.
    pub fn claim_any(&self) -> Option<usize> {
        self.claim_slow(true)
    }

    #[cold]
    fn claim_slow(&self, even_if_searched: bool) -> Option<usize> {
        let mut sleepers = self.sleepers.lock();
        let (searching, _) = self.load();
        if searching > 0 && !even_if_searched {
            return None;
        }
        let worker = sleepers.pop()?;
        // The claimed one is counted here, so that no second pusher wakes a second worker for the same reason.
        // ordering: relaxed, see the module's Ordering section.
        self.word.fetch_sub(ASLEEP - SEARCHING, Ordering::Relaxed);
        Some(worker)
    }

    /// I5: a sleeper that found a reason to be awake takes itself off the list.
    pub fn wake_oneself(&self, worker: usize) -> Woken {
        let mut sleepers = self.sleepers.lock();
        let Some(at) = sleepers.iter().position(|&sleeper| sleeper == worker) else {
            return Woken::Claimed;
        };
        sleepers.swap_remove(at);
        // ordering: relaxed, see the module's Ordering section.
        self.word.fetch_sub(ASLEEP, Ordering::Relaxed);
        Woken::ByItself
    }

    /// How many workers sleep.
    pub fn asleep(&self) -> usize {
        self.load().1
    }

    /// Whether every worker sleeps.
    pub fn all_asleep(&self) -> bool {
        self.asleep() == self.workers
    }
}
