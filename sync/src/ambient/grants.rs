//! Grants that nobody picks up: found, in debug mode, at the end of a poll of the task that was granted something.
//!
//! A fair lock goes to whoever asked first. If that future is still there but its task polls others and not this one, as a
//! `select!` over a borrowed future does that goes on to wait inside an arm, the lock is nobody's and everybody's behind it
//! waits: the deadlock that Oxide's RFD 609 calls *futurelock*.
//!
//! A wait that is about to rest leaves a [`Watch`] with its task ([`scope::Host::watch`](super::scope::Host::watch)) and hands
//! the primitive a waker that notes when it was called. The runtime looks before each poll whose wakers were called by then
//! ([`Watches::before_poll`]), and after it who of them has still not been back ([`Watches::after_poll`]).
//!
//! | flag of a watch | set by | means |
//! |---|---|---|
//! | `WAKING` | the waker, before it wakes | the poll that follows is perhaps too early: it is asked for once more |
//! | `WOKEN` | the waker, after it has woken | a future that is polled only if its own waker was called is polled from now on |
//! | `DUE` | `before_poll` | it was woken before the poll that goes on |
//! | `GONE` | the wait | it took the grant, gave it back, or waits in another task |
//! | `TOLD` | `after_poll` | it was reported |
//!
//! Nothing here decides anything. Where no task polls, or its runtime is not in debug mode, there are no watches.

use super::scope::Host;
use super::{Flags, RECORD, WaitKind, WaitReason};
use crate::prim::atomic::{AtomicU8, Ordering};
use crate::prim::lock::Mutex;
use std::fmt;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};

const WOKEN: u8 = 1 << 0;
const DUE: u8 = 1 << 1;
const GONE: u8 = 1 << 2;
const TOLD: u8 = 1 << 3;
const WAKING: u8 = 1 << 4;

/// One wait at a primitive, as its task remembers it.
#[derive(Debug)]
pub struct Watch {
    waker: Waker,
    /// The task, as an address to compare.
    host: usize,
    reason: WaitReason,
    flags: AtomicU8,
}

/// The end of a [`Watch`] that the wait holds; dropped when the wait is over.
#[derive(Debug)]
pub(crate) struct Watched(Arc<Watch>);

/// The waits of one task that are being watched.
#[derive(Default)]
pub struct Watches(Mutex<Vec<Weak<Watch>>>);

/// Switches the watching on this thread on or off and says how it was. A runtime in debug mode switches it on where it polls.
#[doc(hidden)]
pub fn watch_grants(on: bool) -> bool {
    RECORD
        .try_with(|record| record.put(Flags::WATCHES, on))
        .unwrap_or(false)
}

/// A watch for a wait that is about to rest, if anybody looks after it.
#[inline]
pub(crate) fn watch(
    cx: &Context<'_>,
    kind: WaitKind,
    at: &'static Location<'static>,
) -> Option<Watched> {
    RECORD
        .try_with(|record| record.has(Flags::WATCHES))
        .unwrap_or(false)
        .then(|| Watched::new(cx, kind, at))?
}

impl Watched {
    #[cold]
    fn new(cx: &Context<'_>, kind: WaitKind, at: &'static Location<'static>) -> Option<Self> {
        let at = Some(at);
        let watch = Arc::new(Watch {
            waker: cx.waker().clone(),
            host: current_host()?,
            reason: WaitReason { kind, at },
            flags: AtomicU8::new(0),
        });
        super::host(|host| host.watch(Arc::downgrade(&watch)))?;
        Some(Self(watch))
    }

    /// The waker to give to the primitive.
    pub(crate) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.0))
    }

    /// The watch for the poll that goes on: this one, unless the wait has moved.
    pub(crate) fn follow(self, cx: &Context<'_>) -> Option<Self> {
        let Watch {
            waker,
            host,
            reason,
            ..
        } = &*self.0;
        if current_host() == Some(*host) && waker.will_wake(cx.waker()) {
            return Some(self);
        }
        let at = reason.at?;
        watch(cx, reason.kind, at)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.raise(GONE);
    }
}

impl Watch {
    fn raise(&self, flags: u8) {
        // ordering: relaxed: whoever reads it either polled after the wake, which orders it, or shows a hint to people.
        self.flags.fetch_or(flags, Ordering::Relaxed);
    }

    fn has(&self, flags: u8, of: u8) -> bool {
        // ordering: relaxed, as in `raise`.
        self.flags.load(Ordering::Relaxed) & of == flags
    }
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.raise(WAKING);
        self.waker.wake_by_ref();
        self.raise(WOKEN);
    }
}

impl Watches {
    /// Adds one.
    pub fn add(&self, watch: Weak<Watch>) {
        self.0.lock().push(watch);
    }

    /// The task is about to be polled.
    pub fn before_poll(&self) {
        let mut seen = Vec::new();
        self.0.lock().retain(|watch| {
            // What it holds, a waker, is not dropped under the mutex.
            let Some(watch) = watch.upgrade() else {
                return false;
            };
            let stays = watch.has(0, GONE | TOLD);
            if stays && watch.has(WOKEN, WOKEN) {
                watch.raise(DUE);
            }
            seen.push(watch);
            stays
        });
    }

    /// The task was polled and waits. What was granted to it before that poll, and not picked up in it, goes to `tell`, once
    /// each. True: the task is to be polled again, for somebody was about to wake it.
    #[must_use]
    pub fn after_poll(&self, mut tell: impl FnMut(WaitReason)) -> bool {
        let watches: Vec<_> = self.0.lock().iter().filter_map(Weak::upgrade).collect();
        let mut again = false;
        for watch in watches {
            if watch.has(DUE, DUE | GONE | TOLD) {
                watch.raise(TOLD);
                tell(watch.reason);
            } else {
                again |= watch.has(WAKING, WAKING | GONE | TOLD);
            }
        }
        again
    }
}

impl fmt::Debug for Watches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watches").finish_non_exhaustive()
    }
}

/// The task that is being polled, as an address to compare.
fn current_host() -> Option<usize> {
    let host: NonNull<dyn Host> = RECORD.try_with(|record| record.host.get()).ok().flatten()?;
    Some(host.cast::<()>().as_ptr().addr())
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn watched(waker: Waker) -> (Arc<Watches>, Watched) {
        let watch = Watch {
            waker,
            host: 0,
            reason: WaitReason {
                kind: WaitKind::Lock,
                at: Some(Location::caller()),
            },
            flags: AtomicU8::new(0),
        };
        let (watches, watched) = (Arc::<Watches>::default(), Watched(Arc::new(watch)));
        watches.add(Arc::downgrade(&watched.0));
        (watches, watched)
    }

    /// One poll in which nobody is back; how many were reported, and whether another poll is asked for.
    fn poll(watches: &Watches) -> (usize, bool) {
        watches.before_poll();
        let mut told = 0;
        let again = watches.after_poll(|_| told += 1);
        (told, again)
    }

    #[test]
    fn a_grant_that_was_there_before_the_poll_is_reported_once() {
        let (watches, watched) = watched(Waker::noop().clone());
        assert_eq!(poll(&watches), (0, false));
        watched.waker().wake();
        assert_eq!(poll(&watches), (1, false));
        assert_eq!(poll(&watches), (0, false));
    }

    #[test]
    fn a_grant_that_comes_during_the_poll_is_for_the_next_one() {
        let (watches, watched) = watched(Waker::noop().clone());
        watches.before_poll();
        watched.waker().wake();
        assert!(watches.after_poll(|reason| panic!("too early: {reason:?}")));
        assert_eq!(poll(&watches), (1, false));
    }

    #[test]
    fn a_wait_that_is_over_is_not_reported_though_somebody_still_has_its_waker() {
        let (watches, watched) = watched(Waker::noop().clone());
        let waker = watched.waker();
        waker.wake_by_ref();
        watches.before_poll();
        drop(watched);
        assert!(!watches.after_poll(|reason| panic!("it is over: {reason:?}")));
        assert_eq!(poll(&watches), (0, false));
        drop(waker);
    }

    /// Polls the task while it is being woken.
    struct Hasty(Mutex<Option<Polled>>);

    type Polled = (Arc<Watches>, (usize, bool));

    impl Wake for Hasty {
        fn wake(self: Arc<Self>) {
            if let Some((watches, seen)) = &mut *self.0.lock() {
                *seen = poll(watches);
            }
        }
    }

    #[test]
    fn a_poll_while_the_waker_is_at_work_comes_too_early() {
        let hasty = Arc::new(Hasty(Mutex::new(None)));
        let (watches, watched) = watched(hasty.clone().into());
        *hasty.0.lock() = Some((watches.clone(), (0, false)));
        watched.waker().wake();
        let seen = hasty.0.lock().take().map(|(_, seen)| seen);
        assert_eq!(seen, Some((0, true)), "asked for again");
        assert_eq!(poll(&watches), (1, false));
    }
}
