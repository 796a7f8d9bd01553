//! How one future waits for many tasks, and is told which of them ended.
//!
//! A task that was given gets a waker of its own, a [`Bell`], which notes the task's index and wakes the one who waits. So
//! a poll looks at the tasks that rang and at no others: waiting for n tasks costs n looks, not n².
//!
//! A future that becomes a task here needs no bell: its task carries an [`Announcer`], which acts when the task is complete
//! (`task/after.rs`). The last of them wakes the one who waits, and so does one that has failed; the others cost one
//! atomic step each. A [`Roll`] says of each index which it is.
//!
//! # State
//!
//! `left` counts the announcers that have not acted; while the roll is filled, from far above zero (F1).
//!
//! | edge | by | does |
//! |---|---|---|
//! | F1 | who gathers, `left` − what was too much | the roll is complete |
//! | F2 | announcer, after its task is complete, `left` − 1 | at zero, or if somebody rang: wake the one who waits |
//! | F3 | who waits, registered, `left` is 0 | look at all who announce |
//!
//! # Ordering
//!
//! F2 releases that its task is complete to F3's acquire. The list of indices is behind a lock that is held for a push or a
//! swap; wakers are called after it. Whoever is looked at and has not ended gets a bell, so nothing depends on an
//! announcer acting late.

use crate::task::{AfterEnd, leave_after_end};
use loxley_sync::ambient::scope::is_requested;
use loxley_sync::prim::atomic::{AtomicBool, AtomicUsize, Ordering};
use loxley_sync::prim::lock::Mutex;
use loxley_sync::wait::WaitCell;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// `left` of a roll that is being filled. No roll has so many places.
const OPEN: usize = 1 << (usize::BITS - 1);

/// See the module's head. The default has no roll: every task gets a bell.
#[derive(Default)]
pub struct Arrivals {
    desk: Option<Arc<Desk>>,
    places: Vec<Place>,
    /// Those that rang and have not been looked at.
    rung: Vec<usize>,
    has_begun: bool,
    /// F3 was taken, or nobody announces.
    is_all_here: bool,
}

/// How one hears of a task's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Asked,
    Announced,
    Ended,
}

struct Desk {
    rung: Mutex<Vec<usize>>,
    has_rung: AtomicBool,
    left: AtomicUsize,
    /// Whether every announcer rings, or only those whose futures gave no value.
    rings_each: bool,
    waiter: WaitCell,
}

struct Bell {
    index: usize,
    desk: Arc<Desk>,
}

/// Filled while tasks are made: how one hears of the end of each.
#[doc(hidden)]
pub struct Roll {
    desk: Arc<Desk>,
    places: Vec<Place>,
}

/// Says that its task is complete.
pub(super) struct Announcer {
    desk: Option<Arc<Desk>>,
    index: usize,
    is_quiet: bool,
}

/// A future that becomes a task, and what tells of its end. The future goes first.
pub(super) struct Announced<F> {
    future: F,
    announcer: Announcer,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.desk.rung.lock().push(self.index);
        self.desk.waiter.wake();
    }
}

impl Desk {
    fn new(left: usize, rings_each: bool) -> Arc<Self> {
        Arc::new(Self {
            rung: Mutex::new(Vec::new()),
            has_rung: AtomicBool::new(false),
            left: AtomicUsize::new(left),
            rings_each,
            waiter: WaitCell::new(),
        })
    }
}

impl Roll {
    /// Nobody on it yet. `rings_each`: whoever waits wants to look at each task when it ends, not only at failures.
    #[must_use]
    pub fn new(rings_each: bool) -> Self {
        Self {
            desk: Desk::new(OPEN, rings_each),
            places: Vec::new(),
        }
    }

    /// The next one is a task: it gets a bell.
    pub(super) fn ask(&mut self) {
        self.places.push(Place::Asked);
    }

    /// The next one is a future, to be run by [`announced`].
    pub(super) fn announce<F>(&mut self, future: F) -> Announced<F> {
        let announcer = Announcer {
            desk: Some(self.desk.clone()),
            index: self.places.len(),
            is_quiet: false,
        };
        self.places.push(Place::Announced);
        Announced { future, announcer }
    }

    /// F1.
    #[must_use]
    pub fn close(self) -> Arrivals {
        let announced = self
            .places
            .iter()
            .filter(|place| **place == Place::Announced);
        let announced = announced.count();
        // ordering: relaxed, a count; F3 acquires what it stands for.
        self.desk
            .left
            .fetch_sub(OPEN - announced, Ordering::Relaxed);
        Arrivals {
            desk: Some(self.desk),
            places: self.places,
            rung: Vec::new(),
            has_begun: false,
            is_all_here: announced == 0,
        }
    }

    /// What a task does that is on the roll, for the models.
    pub fn announce_for_model<F: Future>(
        &mut self,
        future: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        announced(self.announce(future))
    }
}

/// Runs a future whose end is announced.
pub(super) async fn announced<F: Future>(work: Announced<F>) -> F::Output {
    // Taken apart in here, so that until the first poll the whole is dropped in its order.
    let Announced {
        future,
        mut announcer,
    } = work;
    let value = future.await;
    // A task that has asked itself to stop gives no value after all.
    announcer.is_quiet = !announcer.rings_each() && !is_requested();
    value
}

impl Announcer {
    fn rings_each(&self) -> bool {
        self.desk.as_ref().is_some_and(|desk| desk.rings_each)
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        let Some(desk) = self.desk.take() else { return };
        if !self.is_quiet {
            desk.rung.lock().push(self.index);
            // ordering: relaxed, this thread's own F2 reads it; others may miss it.
            desk.has_rung.store(true, Ordering::Relaxed);
        }
        leave_after_end(desk);
    }
}

impl AfterEnd for Desk {
    fn after_end(self: Arc<Self>) {
        // ordering: release pairs with F3 (F2); who wakes needs to see nothing.
        let is_last = self.left.fetch_sub(1, Ordering::Release) == 1;
        // ordering: relaxed, see `Announcer::drop`.
        if is_last || self.has_rung.load(Ordering::Relaxed) {
            self.waiter.wake();
        }
    }
}

impl Arrivals {
    /// Calls `look` for each of `count` tasks that was asked at first, then for those that rang; not again for one that has
    /// ended. `look` polls the task of that index with the context given.
    ///
    /// Afterwards whoever waits is registered: it may return `Pending`.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        count: usize,
        mut look: impl FnMut(usize, &mut Context<'_>) -> Poll<()>,
    ) {
        if self.desk.is_none() {
            self.places.resize(count, Place::Asked);
            self.is_all_here = true;
        }
        let desk = self.desk.get_or_insert_with(|| Desk::new(0, true));
        // Registered first: what rings after the swap wakes this future again.
        desk.waiter.register(cx.waker());
        if self.has_begun {
            self.rung.append(&mut desk.rung.lock());
        } else {
            self.has_begun = true;
            let all = 0..count;
            self.rung
                .extend(all.filter(|&index| self.places[index] == Place::Asked));
            self.rung.append(&mut desk.rung.lock());
        }
        // ordering: acquire pairs with F2 (F3): every task that announces is complete.
        if !self.is_all_here && desk.left.load(Ordering::Acquire) == 0 {
            self.is_all_here = true;
            let all = 0..count;
            self.rung
                .extend(all.filter(|&index| self.places[index] == Place::Announced));
        }
        for index in self.rung.drain(..) {
            let place = &mut self.places[index];
            let is_complete = match place {
                Place::Ended => continue,
                Place::Announced => look(index, &mut Context::from_waker(Waker::noop())).is_ready(),
                Place::Asked => false,
            };
            // The task keeps the bell while it runs, and a bell rings when it ends: one is made per look.
            let rings = || {
                Waker::from(Arc::new(Bell {
                    index,
                    desk: desk.clone(),
                }))
            };
            if is_complete || look(index, &mut Context::from_waker(&rings())).is_ready() {
                *place = Place::Ended;
            }
        }
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        if let Some(desk) = &self.desk {
            // Tasks that go on keep their bells, which must not wake a future that no longer waits.
            drop(desk.waiter.take());
        }
    }
}

impl fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrivals").finish_non_exhaustive()
    }
}

impl fmt::Debug for Roll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roll").finish_non_exhaustive()
    }
}
