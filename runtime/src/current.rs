//! Which runtime this thread is in, and as what: the one thread-local of the scheduler.
//!
//! Written by workers, by `block_on`, by `Handle::enter` and by the blocking pool; read by everything that needs "the
//! current runtime". It never decides anything.

use crate::driver::DriverHandle;
use crate::driver::timers::Site;
use crate::scheduler::{Core, Shared};
use loxley_sync::ambient::grants::watch_grants;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::Arc;

/// What one thread knows.
pub(crate) struct Current {
    /// The runtime whose free functions work here.
    shared: RefCell<Option<Arc<Shared>>>,
    /// The shard this thread's timers go to.
    timer_shard: Cell<usize>,
    /// How many [`Outer`]s stand below what is current, those of `skipped` included.
    depth: Cell<usize>,
    /// What stood below those that were dropped before the ones made after them: where they would have been, that comes back.
    skipped: RefCell<Vec<(usize, Before)>>,
    /// The runtime whose tasks this thread polls, so that blocking it would be wrong, as an address to compare; or null.
    polls: Cell<*const Shared>,
    /// The runtime this thread is a worker of, as an address to compare.
    worker_of: Cell<*const Shared>,
    /// The worker's own state, while it is not in the worker's hands.
    pub(crate) core: RefCell<Option<Box<Core>>>,
}

loxley_sync::prim::thread::thread_local! {
    /// Without drop glue, so that it still stands while a thread's other thread-locals go: one of them may hold a runtime,
    /// whose tasks are then dropped here. `AT_EXIT` empties it.
    static CURRENT: ManuallyDrop<Current> = const {
        ManuallyDrop::new(Current {
            shared: RefCell::new(None),
            timer_shard: Cell::new(0),
            depth: Cell::new(0),
            skipped: RefCell::new(Vec::new()),
            polls: Cell::new(ptr::null()),
            worker_of: Cell::new(ptr::null()),
            core: RefCell::new(None),
        })
    };
}

loxley_sync::prim::thread::thread_local! {
    static AT_EXIT: AtExit = const { AtExit };
}

/// Lets go of what is still current when its thread ends: always on a thread of a pool, elsewhere if a guard was forgotten.
struct AtExit;

impl Drop for AtExit {
    fn drop(&mut self) {
        let left = CURRENT.try_with(|current| {
            let guards = (current.shared.take(), current.skipped.take());
            // There if the worker panicked, which only a mistake of ours can make it do.
            (guards, current.core.take())
        });
        drop(left);
    }
}

/// A runtime that was current, if there was one, and the shard of its timers.
#[derive(Debug)]
struct Before {
    shared: Option<Arc<Shared>>,
    timer_shard: usize,
}

/// What stood before [`enter`]; dropped, it stands again, as soon as whatever was entered after it is gone too.
#[derive(Debug)]
pub(crate) struct Outer {
    before: Option<Before>,
    depth: usize,
    /// `None`: what was made current says nothing about it.
    polls: Option<*const Shared>,
    /// `None`: the same.
    watches: Option<bool>,
}

impl Drop for Outer {
    fn drop(&mut self) {
        if let Some(watches) = self.watches {
            watch_grants(watches);
        }
        let before = self.before.take();
        // A thread that is going away in a model has no current runtime any more.
        let inner = CURRENT.try_with(|current| {
            if let Some(polls) = self.polls {
                current.polls.set(polls);
            }
            before.map(|before| current.leave(self.depth, before))
        });
        drop(inner);
    }
}

impl Current {
    /// Ends the stay number `depth`, before which there was `before`. What is to be dropped with nothing borrowed.
    fn leave(&self, depth: usize, mut before: Before) -> (Option<Arc<Shared>>, Vec<Before>) {
        let mut skipped = self.skipped.borrow_mut();
        let mut unwanted = Vec::new();
        if depth != self.depth.get() {
            // Something entered later outlives it, and would bring back what is left here, a runtime that may be long gone.
            // So what was below waits until that has gone, too.
            skipped.push((depth, before));
            return (None, unwanted);
        }
        let mut below = depth - 1;
        while let Some(place) = skipped.iter().position(|(depth, _)| *depth == below) {
            unwanted.push(std::mem::replace(&mut before, skipped.swap_remove(place).1));
            below -= 1;
        }
        self.depth.set(below);
        self.timer_shard.set(before.timer_shard);
        (self.shared.replace(before.shared), unwanted)
    }
}

/// Makes `shared` the current runtime of this thread, on which nothing is polled for that.
pub(crate) fn enter(shared: Arc<Shared>, timer_shard: usize) -> Outer {
    // Refused by a thread that is about to end.
    let _ = AT_EXIT.try_with(|_| ());
    CURRENT.with(|current| {
        let depth = current.depth.get() + 1;
        current.depth.set(depth);
        Outer {
            before: Some(Before {
                shared: current.shared.replace(Some(shared)),
                timer_shard: current.timer_shard.replace(timer_shard),
            }),
            depth,
            polls: None,
            watches: None,
        }
    })
}

/// Makes `shared` the current runtime of this thread, which polls tasks from now on.
pub(crate) fn enter_to_poll(shared: Arc<Shared>, timer_shard: usize) -> Outer {
    let (address, debug) = (Arc::as_ptr(&shared), shared.config.debug);
    let mut outer = enter(shared, timer_shard);
    outer.watches = Some(watch_grants(debug));
    outer.polls = Some(CURRENT.with(|current| current.polls.replace(address)));
    outer
}

/// Makes `shared` the current runtime for the rest of this thread's life: for the threads of its blocking pool.
pub(crate) fn enter_for_good(shared: Arc<Shared>) {
    let _ = AT_EXIT.try_with(|_| ());
    CURRENT.with(|current| {
        current.timer_shard.set(shared.timers().foreign_shard());
        current.shared.replace(Some(shared));
    });
}

/// Makes this thread a worker of `shared` for as long as `f` runs.
pub(crate) fn with_worker(shared: &Arc<Shared>, core: Box<Core>, f: impl FnOnce(&Current)) {
    let _outer = enter_to_poll(shared.clone(), core.index());
    CURRENT.with(|current| {
        current.worker_of.set(Arc::as_ptr(shared));
        current.core.replace(Some(core));
        f(current);
        let core = current.core.take();
        current.worker_of.set(ptr::null());
        drop(core);
    });
}

/// Makes this thread the one that takes from the strict flavour's queue, until the guard is dropped.
pub(crate) fn drive(shared: &Arc<Shared>) -> Driving {
    CURRENT.with(|current| Driving(current.worker_of.replace(Arc::as_ptr(shared))))
}

/// See [`drive`].
#[derive(Debug)]
pub(crate) struct Driving(*const Shared);

impl Drop for Driving {
    fn drop(&mut self) {
        let _ = CURRENT.try_with(|current| current.worker_of.set(self.0));
    }
}

/// Whether this thread runs `shared`'s tasks.
pub(crate) fn is_driven_by(shared: &Shared) -> bool {
    CURRENT
        .try_with(|current| ptr::eq(current.worker_of.get(), shared))
        .unwrap_or(false)
}

/// Calls `f` with the core and `arg`, if this thread is a worker of `shared` and its core is free; else gives `arg` back.
#[inline]
pub(crate) fn with_core<A, R>(
    shared: &Shared,
    arg: A,
    f: impl FnOnce(&mut Core, A) -> R,
) -> Result<R, A> {
    // A thread that is going away has no core any more; asking first keeps `arg` out of the closure that may not run.
    let is_worker = CURRENT.try_with(|current| ptr::eq(current.worker_of.get(), shared));
    if !is_worker.unwrap_or(false) {
        return Err(arg);
    }
    CURRENT.with(|current| match current.core.try_borrow_mut() {
        Ok(mut core) => match core.as_deref_mut() {
            Some(core) => Ok(f(core, arg)),
            None => Err(arg),
        },
        Err(_) => Err(arg),
    })
}

/// Calls `f` with the current runtime, if there is one.
#[inline]
pub(crate) fn with_shared<R>(f: impl FnOnce(&Arc<Shared>) -> R) -> Option<R> {
    CURRENT
        .try_with(|current| current.shared.borrow().as_ref().map(f))
        .ok()
        .flatten()
}

/// Whether this thread polls tasks.
pub(crate) fn polls() -> bool {
    CURRENT
        .try_with(|current| !current.polls.get().is_null())
        .unwrap_or(false)
}

/// Whether this thread polls tasks of `shared`.
pub(crate) fn polls_for(shared: &Shared) -> bool {
    CURRENT
        .try_with(|current| ptr::eq(current.polls.get(), shared))
        .unwrap_or(false)
}

/// Calls `f` with the shard of timers that this thread arms in; `None` outside every runtime.
#[inline]
pub(crate) fn with_timer_site<R>(f: impl FnOnce(&Site) -> R) -> Option<R> {
    #[cfg(test)]
    if let Some(site) = test_site::get() {
        return Some(f(&site));
    }
    CURRENT
        .try_with(|current| {
            let shared = current.shared.borrow();
            shared
                .as_ref()
                .map(|shared| f(shared.timer_site(current.timer_shard.get())))
        })
        .ok()
        .flatten()
}

/// The driver of the runtime that this thread's code runs in.
pub(crate) fn driver_handle() -> Option<DriverHandle> {
    with_shared(|shared| shared.driver_handle().clone())
}

/// Unit tests of the rooms below the scheduler put their own timers here.
#[cfg(test)]
pub(crate) use test_site::set as set_timer_site;

#[cfg(test)]
mod test_site {
    use crate::driver::timers::Site;
    use std::cell::RefCell;

    std::thread_local! {
        static SITE: RefCell<Option<Site>> = const { RefCell::new(None) };
    }

    pub(super) fn get() -> Option<Site> {
        SITE.with_borrow(Clone::clone)
    }

    pub(crate) fn set(site: Option<Site>) -> Option<Site> {
        SITE.replace(site)
    }
}
