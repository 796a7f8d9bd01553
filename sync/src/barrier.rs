//! [`Barrier`]: tasks wait until there are enough of them.
//!
//! Everything stands under the wait list's mutex. Those who wait for the current filling form a *round*; when the last of
//! them arrives the next round begins in the same step, and those of the old one are granted right after it, each with its
//! index. asyncio's *draining* is thus never seen by anybody: who is of an old round no longer counts.
//!
//! ```text
//!              B1 arrive, B2 leave                 B5 abort
//!               ┌─────┐                     ┌─────────────────────┐
//!               ▼     │                     │                     ▼
//!             FILLING ┴──── B3 last arrives: next round         BROKEN ── wait: error
//!               ▲  ▲ └───── B4 reset: waiters fail, next round    │
//!               │  └──────────────────── B4 reset ────────────────┘
//! ```

use crate::ambient::WaitKind;
use crate::error::{BarrierPartiesError, BrokenBarrierError};
use crate::prim::const_fn;
use crate::wait::{Claim, Entry, Locked, Protocol, WaitList, block_on};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::Location;

/// A meeting point for a fixed number of tasks, over and over.
///
/// **Differs from asyncio**: nothing is ever seen between the arrival of the last party and the departure of the others;
/// [`reset`](Self::reset) and [`abort`](Self::abort) do not wait.
///
/// # Fairness
///
/// Indices are given in the order of arrival.
///
/// # Examples
///
/// ```
/// use loxley_sync::{Barrier, wait::block_on};
///
/// static MEETING: Barrier = Barrier::new(2);
/// let other = std::thread::spawn(|| block_on(MEETING.wait()));
/// let indices = [block_on(MEETING.wait())?, other.join().unwrap()?];
/// assert_eq!(indices.iter().sum::<usize>(), 1); // one was first, one was last
/// # Ok::<_, loxley_sync::error::BrokenBarrierError>(())
/// ```
pub struct Barrier {
    waiters: WaitList<Parties>,
}

struct Parties(usize);

struct Filling {
    round: u64,
    /// How many of this round wait.
    waiting: usize,
    broken: bool,
    /// Rounds that are over and have waiters not granted yet, oldest first. They are granted in batches, by whichever
    /// thread comes to it, hence what is left to hand out stands here.
    over: VecDeque<Over>,
}

struct Over {
    round: u64,
    /// What the next waiter of the round gets.
    next: Result<usize, BrokenBarrierError>,
}

/// What a waiter knows, and learns from its grant.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    round: u64,
    outcome: Result<usize, BrokenBarrierError>,
}

impl Barrier {
    const_fn! {
        /// A barrier for `parties` tasks.
        ///
        /// # Panics
        ///
        /// If there are none; see [`try_new`](Self::try_new).
        #[must_use]
        #[track_caller]
        pub const fn new(parties: usize) -> Self {
            assert!(parties > 0, "a barrier needs at least one party");
            Self {
                waiters: WaitList::new(
                    Parties(parties),
                    Filling { round: 0, waiting: 0, broken: false, over: VecDeque::new() },
                ),
            }
        }
    }

    /// A barrier for `parties` tasks.
    ///
    /// # Errors
    ///
    /// If there are none.
    ///
    /// # Examples
    ///
    /// For a number that comes from outside:
    ///
    /// ```
    /// # use loxley_sync::Barrier;
    /// assert_eq!(Barrier::try_new(3)?.parties(), 3);
    /// assert!(Barrier::try_new(0).is_err());
    /// # Ok::<_, loxley_sync::error::BarrierPartiesError>(())
    /// ```
    pub fn try_new(parties: usize) -> Result<Self, BarrierPartiesError> {
        match parties {
            0 => Err(BarrierPartiesError),
            _ => Ok(Self::new(parties)),
        }
    }

    /// Waits until `parties` tasks wait. Returns how many came earlier: 0 for the first, `parties` − 1 for the last,
    /// who does not wait at all.
    ///
    /// # Errors
    ///
    /// If the barrier is broken, or gets broken or reset meanwhile.
    ///
    /// # Cancel safety
    ///
    /// A future dropped while the barrier fills is taken off the count, and another has to come.
    #[track_caller]
    pub fn wait(&self) -> impl Future<Output = Result<usize, BrokenBarrierError>> + '_ {
        let arrived = self.waiters.claim(Location::caller(), Arrive);
        async move {
            let index = arrived.await?;
            if index + 1 == self.parties() {
                grant_over(self.waiters.lock());
            }
            Ok(index)
        }
    }

    /// [`wait`](Self::wait) on a plain thread, which is blocked. Not for tasks.
    ///
    /// # Panics
    ///
    /// In a task, at the caller's line: it would hold the worker that runs it.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::Barrier;
    /// static START: Barrier = Barrier::new(3);
    /// let threads = [0, 1].map(|_| std::thread::spawn(|| START.blocking_wait()));
    /// START.blocking_wait()?; // All three go on together.
    /// for thread in threads {
    ///     thread.join().unwrap()?;
    /// }
    /// # Ok::<_, loxley_sync::error::BrokenBarrierError>(())
    /// ```
    #[track_caller]
    pub fn blocking_wait(&self) -> Result<usize, BrokenBarrierError> {
        block_on(self.wait())
    }

    /// Brings the barrier back to its beginning, also from being broken. Who waits gets an error.
    ///
    /// # Panics
    ///
    /// If a waker panics; everybody else is woken first.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::{Barrier, wait::block_on};
    /// let barrier = Barrier::new(1);
    /// barrier.abort();
    /// assert!(block_on(barrier.wait()).is_err());
    /// barrier.reset();
    /// assert_eq!(block_on(barrier.wait()), Ok(0));
    /// ```
    pub fn reset(&self) {
        let mut locked = self.waiters.lock();
        locked.broken = false;
        locked.end_round(Err(BrokenBarrierError));
        grant_over(locked);
    }

    /// Breaks the barrier: who waits, and who comes before a [`reset`](Self::reset), gets an error.
    ///
    /// # Panics
    ///
    /// If a waker panics; everybody else is woken first.
    ///
    /// # Examples
    ///
    /// A party that fails lets the others know that it will not come:
    ///
    /// ```
    /// # use loxley_sync::{Barrier, error::BrokenBarrierError};
    /// static MEETING: Barrier = Barrier::new(2);
    /// let waiting = std::thread::spawn(|| MEETING.blocking_wait());
    /// MEETING.abort();
    /// assert_eq!(waiting.join().unwrap(), Err(BrokenBarrierError));
    /// ```
    pub fn abort(&self) {
        let mut locked = self.waiters.lock();
        locked.broken = true;
        locked.end_round(Err(BrokenBarrierError));
        grant_over(locked);
    }

    /// How many tasks the barrier waits for.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::Barrier;
    /// let barrier = Barrier::new(3);
    /// assert_eq!(barrier.parties() - barrier.n_waiting(), 3, "so many are missing");
    /// ```
    #[must_use]
    pub fn parties(&self) -> usize {
        self.waiters.shared().0
    }

    /// How many tasks wait right now.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::Barrier;
    /// # use std::{future::Future, pin::pin, task::{Context, Waker}};
    /// let barrier = Barrier::new(2);
    /// let mut first = pin!(barrier.wait());
    /// assert_eq!(barrier.n_waiting(), 0);
    /// assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    /// assert_eq!(barrier.n_waiting(), 1);
    /// ```
    #[must_use]
    pub fn n_waiting(&self) -> usize {
        self.waiters.lock().waiting
    }

    /// Whether the barrier was aborted and not reset since.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::Barrier;
    /// let barrier = Barrier::new(2);
    /// barrier.abort();
    /// assert!(barrier.is_broken());
    /// barrier.reset();
    /// assert!(!barrier.is_broken());
    /// ```
    #[must_use]
    #[doc(alias = "broken")]
    pub fn is_broken(&self) -> bool {
        self.waiters.lock().broken
    }
}

/// What a future of the barrier wants.
struct Arrive;

impl Claim<Parties> for Arrive {
    type Output = Result<usize, BrokenBarrierError>;
    const KIND: WaitKind = WaitKind::Barrier;

    /// B1, or B3, whose grants are for the caller to make.
    fn enter(&mut self, locked: &mut Locked<'_, Parties>) -> Entry<Self::Output, Arrival> {
        if locked.broken {
            return Entry::Done(Err(BrokenBarrierError));
        }
        let index = locked.waiting;
        if index + 1 == locked.shared().0 {
            locked.end_round(Ok(0));
            return Entry::Done(Ok(index));
        }
        let round = locked.round;
        locked.waiting += 1;
        // The outcome is replaced by the grant.
        Entry::Wait(Arrival {
            round,
            outcome: Err(BrokenBarrierError),
        })
    }

    fn granted(self, _: &WaitList<Parties>, arrival: Arrival) -> Self::Output {
        arrival.outcome
    }
}

impl Filling {
    /// Ends the current round: its waiters get `first`, and so on by one.
    fn end_round(&mut self, first: Result<usize, BrokenBarrierError>) {
        if self.waiting > 0 {
            self.over.push_back(Over {
                round: self.round,
                next: first,
            });
        }
        self.round += 1;
        self.waiting = 0;
    }

    /// What the oldest waiter gets if its round is over.
    fn outcome(&mut self, round: u64) -> Option<Result<usize, BrokenBarrierError>> {
        // Waiters stand in the order of their rounds: nobody is left of an earlier one.
        while self.over.front().is_some_and(|over| over.round < round) {
            self.over.pop_front();
        }
        let over = self.over.front_mut().filter(|over| over.round == round)?;
        let outcome = over.next;
        over.next = outcome.map(|index| index + 1);
        Some(outcome)
    }
}

/// B3, B4, B5: grants everybody whose round is over.
fn grant_over(locked: Locked<'_, Parties>) {
    locked.grant_while(|_, filling, arrival| match filling.outcome(arrival.round) {
        Some(outcome) => {
            arrival.outcome = outcome;
            true
        }
        None => false,
    });
}

impl Protocol for Parties {
    type State = Filling;
    type Note = Arrival;

    /// B2.
    fn leaving(state: &mut Filling, arrival: &mut Arrival) {
        if arrival.round == state.round {
            state.waiting -= 1;
        }
    }

    fn left(_: &WaitList<Self>, _: Arrival) {}

    fn give_back(_: &WaitList<Self>, _: Arrival) {}
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties())
            .field("n_waiting", &self.n_waiting())
            .field("is_broken", &self.is_broken())
            .finish()
    }
}
