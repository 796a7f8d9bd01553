//! [`Event`]: a flag that tasks wait for.
//!
//! One word holds the flag and whether anybody waits. The flag goes up without the mutex only while nobody waits, so that
//! the mutex orders every *set* that has somebody to free against every waiter that enlists: generations then tell who
//! waited before a *set* from who came after the *clear* that followed it.
//!
//! | edge | by | word | under the mutex |
//! |---|---|---|---|
//! | E1 | set | raise SET, nobody waits | no |
//! | E2 | set | raise SET, somebody waits; next generation; grant all older ones | yes |
//! | E3 | wait | sees SET | no |
//! | E4 | wait | raise WAITERS unless SET; enlist with the generation | yes |
//! | E5 | clear | lower SET | no |
//! | E6 | last waiter gone | lower WAITERS | yes |
//!
//! **Ordering.** Row A: E1, E2 release and E3, E4 acquire: who waited sees what came before the *set*. Row B: all
//! edges are read-modify-writes of one word, so that of E1 and E4 one sees the other. A waiter that is granted sees the
//! granting thread's past through the wait list.

use crate::ambient::WaitKind;
use crate::prim::atomic::{AtomicU8, Ordering};
use crate::prim::const_fn;
use crate::wait::{Claim, Entry, Locked, Protocol, WaitList, block_on, expect_thread};
use std::fmt;
use std::future::Future;
use std::panic::Location;

/// The event is set.
const SET: u8 = 1;
/// The list is not empty. Changes only under the mutex.
const WAITERS: u8 = 2;

/// A flag that any number of tasks can wait for.
///
/// [`set`](Self::set) frees everybody who waits at that moment, even if [`clear`](Self::clear) follows at once. Waiting
/// for an event that is set returns at once.
///
/// **Differs from asyncio**: nothing but the type of `wait`, which returns `()` and not `True`; and threads may use it.
///
/// # Fairness
///
/// Waiters are woken in the order in which they came.
///
/// # Examples
///
/// ```
/// use loxley_sync::{Event, wait::block_on};
///
/// static READY: Event = Event::new();
/// let other = std::thread::spawn(|| block_on(READY.wait()));
/// READY.set();
/// other.join().unwrap();
/// assert!(READY.is_set());
/// ```
#[doc(alias = "CancellationToken")]
pub struct Event {
    waiters: WaitList<Flag>,
}

struct Flag {
    word: AtomicU8,
}

impl Event {
    const_fn! {
        /// An event that is not set.
        #[must_use]
        pub const fn new() -> Self {
            Self {
                waiters: WaitList::new(Flag { word: AtomicU8::new(0) }, 0),
            }
        }
    }

    /// Whether the event is set.
    #[must_use]
    #[inline]
    pub fn is_set(&self) -> bool {
        self.waiters.shared().is_set()
    }

    /// Sets the event and frees everybody who waits for it.
    ///
    /// # Panics
    ///
    /// If a waker panics; everybody else is woken first.
    #[inline]
    pub fn set(&self) {
        // ordering: E1, row A release; acquire so that a chain of setters hands on what each of them saw.
        let quiet = self.waiters.shared().word.fetch_update(
            Ordering::AcqRel,
            // ordering: relaxed, a failure only leads to the mutex.
            Ordering::Relaxed,
            |word| (word & WAITERS == 0).then_some(word | SET),
        );
        if quiet.is_ok() {
            return;
        }
        let mut locked = self.waiters.lock();
        // ordering: E2, row A.
        locked.shared().word.fetch_or(SET, Ordering::AcqRel);
        *locked += 1;
        let generation = *locked;
        locked.grant_while(|_, _, came_in| *came_in < generation);
    }

    /// Takes the flag down: who waits from now on waits for the next [`set`](Self::set).
    ///
    /// # Examples
    ///
    /// A gate that opens and shuts:
    ///
    /// ```
    /// # use loxley_sync::{Event, wait::block_on};
    /// let gate = Event::new();
    /// gate.set();
    /// block_on(gate.wait()); // Goes through.
    /// gate.clear();
    /// assert!(!gate.is_set(), "who comes now waits");
    /// ```
    #[inline]
    pub fn clear(&self) {
        // ordering: E5, acquire and release so that it neither loses what a setter published nor moves before it.
        self.waiters.shared().word.fetch_and(!SET, Ordering::AcqRel);
    }

    /// Waits until the event is set.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the event as it is. If the event is set the call completes without waiting.
    #[track_caller]
    #[inline]
    pub fn wait(&self) -> impl Future<Output = ()> + '_ {
        self.waiters.claim(Location::caller(), Set)
    }

    /// [`wait`](Self::wait) on a plain thread, which is blocked. Not for tasks.
    ///
    /// # Panics
    ///
    /// In a task, at the caller's line: it would hold the worker that runs it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::Event;
    /// static READY: Event = Event::new();
    /// let thread = std::thread::spawn(|| READY.blocking_wait());
    /// READY.set();
    /// thread.join().unwrap();
    /// assert!(READY.is_set());
    /// ```
    #[track_caller]
    pub fn blocking_wait(&self) {
        expect_thread();
        if !self.is_set() {
            block_on(self.wait());
        }
    }
}

/// What a future of the event wants.
struct Set;

impl Claim<Flag> for Set {
    type Output = ();
    const KIND: WaitKind = WaitKind::Event;

    #[inline]
    fn attempt(&mut self, list: &WaitList<Flag>) -> Option<()> {
        list.shared().is_set().then_some(())
    }

    fn enter(&mut self, locked: &mut Locked<'_, Flag>) -> Entry<(), u64> {
        match locked.shared().expect_waiter() {
            true => Entry::Wait(**locked),
            false => Entry::Done(()),
        }
    }

    #[inline]
    fn granted(self, _: &WaitList<Flag>, _: u64) {}
}

impl Flag {
    #[inline]
    fn is_set(&self) -> bool {
        // ordering: E3, row A.
        self.word.load(Ordering::Acquire) & SET != 0
    }

    /// E4, under the mutex: `false` if the event is set.
    fn expect_waiter(&self) -> bool {
        // ordering: E4, rows A and B; a failure means SET, seen with acquire.
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                (word & SET == 0).then_some(word | WAITERS)
            })
            .is_ok()
    }
}

impl Protocol for Flag {
    /// The generation: how many sets have found waiters.
    type State = u64;
    /// The generation in which the waiter came.
    type Note = u64;

    fn emptied(&self) {
        // ordering: E6; the mutex orders WAITERS, and the flag's own publication must pass through this write.
        self.word.fetch_and(!WAITERS, Ordering::AcqRel);
    }

    fn left(_: &WaitList<Self>, _: u64) {}

    fn give_back(_: &WaitList<Self>, _: u64) {}
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("is_set", &self.is_set())
            .finish_non_exhaustive()
    }
}
