//! A fair queue of waiting futures: the base of every lock, semaphore, queue and barrier of this crate.
//!
//! A [`WaitList`] is a mutex around two things: the *state* that a primitive keeps about its waiters, and the waiters
//! themselves, oldest first. A waiter is a node inside the waiting future, so that waiting never allocates. Whoever has
//! something to give pops the head under the mutex, *grants* it, unlocks and wakes. What the grant means is the
//! primitive's business ([`Protocol`]); that it is never lost is this file's:
//!
//! - a waiter that is dropped while it waits leaves the list, and the primitive hears of it ([`Protocol::left`]);
//! - a waiter that is dropped after it was granted hands the grant back ([`Protocol::give_back`]).
//!
//! Only this file holds pointers between futures. It never runs user code and never calls, clones or drops a waker while
//! the mutex is held.
//!
//! # State
//!
//! One stage per waiter:
//!
//! ```text
//!              L1 enlist               L2 grant
//!     IDLE ───────────────▶ WAITING ───────────────▶ GRANTED
//!      ▲ ▲                    │                        │ │
//!      │ └──── L3 leave ──────┘                        │ │
//!      └────── L4 collect (poll), L5 give back (drop) ─┴─┘
//! ```
//!
//! # Access
//!
//! | field | IDLE | WAITING | GRANTED |
//! |---|---|---|---|
//! | `stage` | its future | L2, L3: under the mutex | its future |
//! | `prev`, `next`, `waker`, `note` | its future | holder of the mutex | its future |
//! | the node's memory | its future | lives until L2 or L3 | its future may free it |
//!
//! # Ordering
//!
//! | row | site | why |
//! |---|---|---|
//! | A | L2 release | publishes the note, and everything the granting thread did before, to row B; it is the granting thread's last touch of the node |
//! | B | L4, L5 acquire | pairs with row A: the node is the future's again |
//! | C | L1, L3 and reads under the mutex relaxed | the mutex orders them |
//!
//! The shape, an intrusive list whose nodes are unlinked by the destructor of a pinned future, is that of
//! `pthread` wait queues brought to futures by the `futures-intrusive` crate and described by T. Mandry and W. Boats in the
//! discussion of `Pin`'s drop guarantee.

#![expect(
    unsafe_code,
    reason = "the one room of intrusive links: pointers between pinned futures, under one mutex"
)]

use super::{WakeBatch, WakeLater};
use crate::prim::atomic::{AtomicU8, Ordering};
use crate::prim::cell::UnsafeCell;
use crate::prim::const_fn;
use crate::prim::lock::{Mutex, MutexGuard};
use std::fmt;
use std::marker::PhantomPinned;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};

/// Not in the list: the node belongs to its future.
const IDLE: u8 = 0;
/// In the list: the node belongs to the holder of the mutex. Which lane it is in follows.
const WAITING: u8 = 1;
const WAITING_ASIDE: u8 = 2;
/// Out of the list with a grant not yet collected: the node belongs to its future.
const GRANTED: u8 = 3;

/// What a primitive adds to a [`WaitList`]; the type itself is what threads share without the mutex, such as a fast path's
/// atomic word.
///
/// # Examples
///
/// Waiters that weigh something, what they weigh together, and a fast look at whether there are any:
///
/// ```
/// use loxley_sync::wait::{Entry, Protocol, WaitList, Waiter};
/// use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
/// use std::{pin::pin, task::{Context, Waker}};
///
/// struct Scale {
///     somebody_waits: AtomicBool,
/// }
///
/// impl Protocol for Scale {
///     type State = u32; // What all of them weigh.
///     type Note = u32; // What one weighs.
///
///     fn emptied(&self) {
///         self.somebody_waits.store(false, Relaxed);
///     }
///     fn leaving(total: &mut u32, weight: &mut u32) {
///         *total -= *weight;
///     }
///     fn left(_: &WaitList<Self>, _: u32) {} // It held up nobody.
///     fn give_back(list: &WaitList<Self>, _: u32) {
///         let mut weight = 0; // It was its turn and it did not come: the next one's.
///         let mut locked = list.lock();
///         locked.grant_front(|note| weight = *note);
///         *locked -= weight;
///     }
/// }
///
/// let list = WaitList::new(Scale { somebody_waits: AtomicBool::new(false) }, 0);
/// {
///     let mut waiter = pin!(Waiter::new(&list));
///     let entered = waiter.as_mut().enter(&Context::from_waker(Waker::noop()), |locked| {
///         locked.shared().somebody_waits.store(true, Relaxed);
///         **locked += 7;
///         Entry::<(), u32>::Wait(7)
///     });
///     assert!(entered.is_pending());
///     assert_eq!(*list.lock(), 7);
/// } // Here it leaves.
/// assert_eq!(*list.lock(), 0);
/// assert!(!list.shared().somebody_waits.load(Relaxed));
/// ```
pub trait Protocol: Sized {
    /// What the mutex guards beside the waiters.
    type State;
    /// What a waiter says when it enlists, and finds, perhaps changed, in its grant.
    type Note;

    /// The last waiter was granted or has left; the mutex is held. The place to clear a *somebody waits* bit.
    fn emptied(&self) {}

    /// A waiter leaves without a grant; the mutex is held. The place to keep counts exact.
    fn leaving(state: &mut Self::State, note: &mut Self::Note) {
        let _ = (state, note);
    }

    /// A waiter left without a grant, and is out of the list: look whether others can go on now. The mutex is free.
    fn left(list: &WaitList<Self>, note: Self::Note);

    /// A waiter was dropped with a grant that it had not collected: pass it on. The mutex is free.
    fn give_back(list: &WaitList<Self>, note: Self::Note);
}

/// A fair queue of waiting futures around the state of one primitive.
///
/// # Fairness
///
/// Strictly first come, first served in the order of enlisting.
///
/// # Examples
///
/// A turnstile that lets as many pass as it is told to:
///
/// ```
/// use loxley_sync::ambient::WaitKind;
/// use loxley_sync::wait::{Claim, Entry, Locked, Protocol, WaitList, block_on};
/// use std::panic::Location;
///
/// struct Turnstile; // Nothing is shared without the mutex.
///
/// impl Protocol for Turnstile {
///     type State = usize; // How many may pass.
///     type Note = ();
///
///     fn left(_: &WaitList<Self>, (): ()) {} // Holds up nobody behind it.
///     fn give_back(list: &WaitList<Self>, (): ()) {
///         let mut locked = list.lock(); // It was let through and does not come: the next, please.
///         if !locked.grant_front(|()| {}) {
///             *locked += 1;
///         }
///     }
/// }
///
/// struct Pass;
///
/// impl Claim<Turnstile> for Pass {
///     type Output = ();
///     const KIND: WaitKind = WaitKind::Unknown;
///
///     fn enter(&mut self, locked: &mut Locked<'_, Turnstile>) -> Entry<(), ()> {
///         if **locked == 0 {
///             return Entry::Wait(());
///         }
///         **locked -= 1;
///         Entry::Done(())
///     }
///     fn granted(self, _: &WaitList<Turnstile>, (): ()) {}
/// }
///
/// static GATE: WaitList<Turnstile> = WaitList::new(Turnstile, 0);
/// let people = [0; 3].map(|_| std::thread::spawn(|| block_on(GATE.claim(Location::caller(), Pass))));
/// *GATE.lock() += 3; // For those to come …
/// GATE.lock().grant_while(|_, free, ()| {
///     let passes = *free > 0; // … and for those who wait already.
///     *free -= usize::from(passes);
///     passes
/// });
/// people.map(|person| person.join().unwrap());
/// let gate = GATE.lock();
/// assert_eq!((*gate, gate.waiters()), (0, 0));
/// ```
pub struct WaitList<P: Protocol> {
    shared: P,
    inner: Mutex<Inner<P>>,
}

struct Inner<P: Protocol> {
    state: P::State,
    lanes: [Ends<P::Note>; 2],
}

/// The two ends of one lane.
struct Ends<N> {
    head: Link<N>,
    tail: Link<N>,
    len: usize,
}

/// One of the two queues of a list. Most primitives use [`Lane::Main`] alone.
///
/// # Examples
///
/// Staff stands in a queue of its own, and is let in first:
///
/// ```
/// use loxley_sync::wait::{Entry, Lane, Waiter};
/// # use loxley_sync::wait::{Protocol, WaitList};
/// # use std::{pin::pin, task::{Context, Waker}};
/// # struct Hall;
/// # impl Protocol for Hall {
/// #     type State = ();
/// #     type Note = ();
/// #     fn left(_: &WaitList<Self>, (): ()) {}
/// #     fn give_back(_: &WaitList<Self>, (): ()) {}
/// # }
/// # let hall = WaitList::new(Hall, ());
/// # let cx = Context::from_waker(Waker::noop());
/// let (mut guest, mut staff) = (pin!(Waiter::new(&hall)), pin!(Waiter::new(&hall)));
/// assert!(guest.as_mut().enter(&cx, |_| Entry::<(), ()>::Wait(())).is_pending());
/// assert!(staff.as_mut().enter(&cx, |_| Entry::<(), ()>::WaitAside(())).is_pending());
/// hall.lock().grant_while_in(Lane::Side, |_, (), ()| true);
/// assert!(!staff.is_waiting() && guest.is_waiting());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lane {
    /// The queue in which waiters stand unless they say otherwise.
    #[default]
    Main,
    /// A second queue under the same mutex: putters beside getters, an upgrade beside newcomers.
    Side,
}

type Link<N> = Option<NonNull<Node<N>>>;

// SAFETY: the links point to nodes that are touched only through this value's mutex (table Access), and dropping the
// value touches none: a node borrows its list. What moves along are the state, and notes and wakers, which are Send.
unsafe impl<P: Protocol> Send for Inner<P>
where
    P::State: Send,
    P::Note: Send,
{
}

struct Node<N> {
    stage: AtomicU8,
    slot: UnsafeCell<Slot<N>>,
    /// Neighbours point here.
    _pinned: PhantomPinned,
}

struct Slot<N> {
    prev: Link<N>,
    next: Link<N>,
    waker: Option<Waker>,
    note: Option<N>,
}

// SAFETY: the node as a whole moves only while IDLE (it is pinned later), when its links are unused. `stage` is Send,
// notes by the bound, wakers always.
unsafe impl<N: Send> Send for Node<N> {}
// SAFETY: shared access touches `stage`, which is Sync, and `slot` by the table Access, one thread at a time.
unsafe impl<N: Send> Sync for Node<N> {}

/// What a waiter found when it looked, under the mutex, whether it has to wait.
///
/// # Examples
///
/// A seat is taken at once if one is free; else one stands in line:
///
/// ```
/// use loxley_sync::wait::{Entry, Waiter};
/// # use loxley_sync::wait::{Protocol, WaitList};
/// # use std::{pin::pin, task::{Context, Poll, Waker}};
/// # struct Seats;
/// # impl Protocol for Seats {
/// #     type State = u32;
/// #     type Note = ();
/// #     fn left(_: &WaitList<Self>, (): ()) {}
/// #     fn give_back(_: &WaitList<Self>, (): ()) {}
/// # }
/// # let cx = Context::from_waker(Waker::noop());
/// let seats = WaitList::new(Seats, 1);
/// let (mut first, mut second) = (pin!(Waiter::new(&seats)), pin!(Waiter::new(&seats)));
/// let [one, other] = [&mut first, &mut second].map(|waiter| {
///     waiter.as_mut().enter(&cx, |free| match **free {
///         0 => Entry::Wait(()),
///         _ => {
///             **free -= 1;
///             Entry::Done("sits")
///         }
///     })
/// });
/// assert_eq!((one, other), (Poll::Ready("sits"), Poll::Pending));
/// ```
#[derive(Debug)]
#[must_use]
pub enum Entry<R, N> {
    /// No need to wait.
    Done(R),
    /// Enlist with this note.
    Wait(N),
    /// Enlist in the side lane with this note.
    WaitAside(N),
}

impl<P: Protocol> WaitList<P> {
    const_fn! {
        /// An empty list.
        #[must_use]
        pub const fn new(shared: P, state: P::State) -> Self {
            Self {
                shared,
                inner: Mutex::new(Inner {
                    state,
                    lanes: [
                        Ends { head: None, tail: None, len: 0 },
                        Ends { head: None, tail: None, len: 0 },
                    ],
                }),
            }
        }
    }

    /// What is shared without the mutex.
    #[inline]
    pub fn shared(&self) -> &P {
        &self.shared
    }

    /// Takes the mutex.
    #[inline]
    pub fn lock(&self) -> Locked<'_, P> {
        Locked {
            list: self,
            inner: self.inner.lock(),
            granted: WakeLater::new(),
        }
    }
}

/// The mutex of a [`WaitList`], held. Dereferences to the primitive's state.
///
/// A waiter granted through it is woken once the mutex is released: when this is dropped.
///
/// # Examples
///
/// ```
/// # use loxley_sync::wait::{Entry, Lane, Protocol, WaitList, Waiter};
/// # use std::{pin::pin, task::{Context, Poll, Waker}};
/// # struct Hall;
/// # impl Protocol for Hall {
/// #     type State = ();
/// #     type Note = u8;
/// #     fn left(_: &WaitList<Self>, _: u8) {}
/// #     fn give_back(_: &WaitList<Self>, _: u8) {}
/// # }
/// # let hall = WaitList::new(Hall, ());
/// # let cx = Context::from_waker(Waker::noop());
/// # let (mut guest, mut staff) = (pin!(Waiter::new(&hall)), pin!(Waiter::new(&hall)));
/// # let _ = guest.as_mut().enter(&cx, |_| Entry::<(), u8>::Wait(0));
/// # let _ = staff.as_mut().enter(&cx, |_| Entry::<(), u8>::WaitAside(0));
/// let mut locked = hall.lock();
/// let Hall = locked.shared(); // What needs no mutex can be had with it, too.
/// assert_eq!((locked.waiters(), locked.waiters_in(Lane::Side)), (1, 1));
/// assert!(locked.grant_front_in(Lane::Side, |note| *note = 7));
/// drop(locked); // Unlocks, and then wakes.
/// assert_eq!(staff.as_mut().poll_grant(&cx), Poll::Ready(7));
/// hall.lock().grant_front(|note| *note = 1);
/// assert_eq!(guest.as_mut().poll_grant(&cx), Poll::Ready(1));
/// ```
#[must_use = "the mutex is released when this is dropped"]
pub struct Locked<'a, P: Protocol> {
    list: &'a WaitList<P>,
    inner: MutexGuard<'a, Inner<P>>,
    /// Behind the guard: what is declared later is dropped later.
    granted: WakeLater,
}

impl<'a, P: Protocol> Locked<'a, P> {
    /// What is shared without the mutex.
    #[inline]
    pub fn shared(&self) -> &'a P {
        &self.list.shared
    }

    /// How many wait in the main lane.
    #[inline]
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.waiters_in(Lane::Main)
    }

    /// How many wait in `lane`.
    #[inline]
    #[must_use]
    pub fn waiters_in(&self, lane: Lane) -> usize {
        self.inner.lanes[lane as usize].len
    }

    /// L2: grants the oldest waiter of the main lane, after `edit` changed its note; whether there was one. It is woken
    /// when this is dropped. One such grant per [`Locked`].
    #[inline]
    pub fn grant_front(&mut self, edit: impl FnOnce(&mut P::Note)) -> bool {
        self.grant_front_in(Lane::Main, edit)
    }

    /// [`grant_front`](Self::grant_front) of `lane`.
    #[inline]
    pub fn grant_front_in(&mut self, lane: Lane, edit: impl FnOnce(&mut P::Note)) -> bool {
        let granted = self.grant_next(lane, |_, _, note| {
            edit(note);
            true
        });
        let any = granted.is_some();
        self.granted.set(granted);
        any
    }

    /// Grants from the head of the main lane for as long as `pick`, which sees the state and the head's note, says so;
    /// releases the mutex; wakes whom it granted. Many are granted in batches, the mutex free in between.
    ///
    /// # Panics
    ///
    /// With the first panic of a waker, after everybody was granted and woken.
    #[inline]
    pub fn grant_while(self, pick: impl FnMut(&P, &mut P::State, &mut P::Note) -> bool) {
        self.grant_while_in(Lane::Main, pick);
    }

    /// [`grant_while`](Self::grant_while) of `lane`.
    ///
    /// # Panics
    ///
    /// With the first panic of a waker, after everybody was granted and woken.
    #[inline]
    pub fn grant_while_in(
        mut self,
        lane: Lane,
        mut pick: impl FnMut(&P, &mut P::State, &mut P::Note) -> bool,
    ) {
        // Most often there is one, and no need for a batch. It is woken whatever `pick` does next.
        let first = self.grant_next(lane, &mut pick);
        if first.is_none() {
            return;
        }
        self.granted.set(first);
        if let Some(second) = self.grant_next(lane, &mut pick) {
            self.grant_batches(lane, second, pick);
        }
    }

    /// L2 if there is a waiter and `pick` says so; the waker that comes back is to be called once the mutex is released.
    #[inline]
    fn grant_next(
        &mut self,
        lane: Lane,
        pick: impl FnOnce(&P, &mut P::State, &mut P::Note) -> bool,
    ) -> Option<Waker> {
        let inner = &mut *self.inner;
        let node = inner.lanes[lane as usize].head?;
        // SAFETY: it is in the list, so it is alive; it stays alive until its future sees GRANTED, stored below.
        let waiter = unsafe { node.as_ref() };
        // What a protocol brings along may panic: `pick` runs while the node is still in the list and WAITING, `emptied`
        // when it is out and GRANTED. In between nothing can.
        let waker = waiter.slot.with_mut(|slot| {
            // SAFETY: the node is WAITING and we hold the mutex (table Access).
            let slot = unsafe { &mut *slot };
            let note = slot.note.as_mut()?;
            pick(&self.list.shared, &mut inner.state, note).then(|| slot.waker.take())
        })?;
        debug_assert!(waker.is_some(), "a node in the list has a waker");
        inner.lanes[lane as usize].unlink(node);
        // ordering: row A. The node may be gone right after this store.
        waiter.stage.store(GRANTED, Ordering::Release);
        self.look_if_emptied();
        waker
    }

    /// Goes on where [`grant_while`](Self::grant_while) found more than one.
    #[cold]
    #[inline(never)]
    fn grant_batches(
        mut self,
        lane: Lane,
        second: Waker,
        mut pick: impl FnMut(&P, &mut P::State, &mut P::Note) -> bool,
    ) {
        let list = self.list;
        let mut wakes = WakeBatch::new();
        if let Some(first) = self.granted.take() {
            wakes.push(first);
        }
        wakes.push(second);
        let mut next = Some(self);
        let mut first_panic = None;
        while let Some(mut locked) = next.take() {
            let more = locked.fill_batch(lane, &mut wakes, &mut pick);
            drop(locked);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| wakes.wake_all())) {
                first_panic.get_or_insert(panic);
            }
            if more {
                next = Some(list.lock());
            }
        }
        if let Some(panic) = first_panic {
            resume_unwind(panic);
        }
    }

    /// One batch; whether it ended because it was full.
    fn fill_batch(
        &mut self,
        lane: Lane,
        wakes: &mut WakeBatch,
        pick: &mut impl FnMut(&P, &mut P::State, &mut P::Note) -> bool,
    ) -> bool {
        while wakes.has_room() {
            let Some(waker) = self.grant_next(lane, &mut *pick) else {
                return false;
            };
            wakes.push(waker);
        }
        true
    }

    #[inline]
    fn look_if_emptied(&self) {
        if self.inner.lanes.iter().all(|lane| lane.head.is_none()) {
            self.list.shared.emptied();
        }
    }
}

impl<N> Ends<N> {
    /// Appends `node`. The caller makes it WAITING, and holds the mutex.
    fn push_back(&mut self, node: NonNull<Node<N>>) {
        let prev = self.tail.replace(node);
        match prev {
            // SAFETY: a node in the list is alive, see `unlink`.
            Some(tail) => unsafe { tail.as_ref() }.set_next(Some(node)),
            None => self.head = Some(node),
        }
        // SAFETY: the caller's node is alive: it is pinned in the future that enlists.
        unsafe { node.as_ref() }.set_prev(prev);
        self.len += 1;
    }

    /// Takes `node`, which is in this lane, out of it. The caller moves it out of WAITING, and holds the mutex.
    fn unlink(&mut self, node: NonNull<Node<N>>) {
        // SAFETY: a node in the list is alive: L2 and L3 unlink it before its future may free it.
        let (prev, next) = unsafe { node.as_ref() }.take_links();
        match prev {
            // SAFETY: a neighbour in the list is alive, as above.
            Some(prev) => unsafe { prev.as_ref() }.set_next(next),
            None => self.head = next,
        }
        match next {
            // SAFETY: a neighbour in the list is alive, as above.
            Some(next) => unsafe { next.as_ref() }.set_prev(prev),
            None => self.tail = prev,
        }
        self.len -= 1;
    }
}

impl<N> Node<N> {
    fn set_next(&self, next: Link<N>) {
        self.slot.with_mut(|slot| {
            // SAFETY: called by `Ends`, whose callers hold the mutex (table Access).
            let slot = unsafe { &mut *slot };
            slot.next = next;
        });
    }

    fn set_prev(&self, prev: Link<N>) {
        self.slot.with_mut(|slot| {
            // SAFETY: called by `Ends`, whose callers hold the mutex (table Access).
            let slot = unsafe { &mut *slot };
            slot.prev = prev;
        });
    }

    fn take_links(&self) -> (Link<N>, Link<N>) {
        self.slot.with_mut(|slot| {
            // SAFETY: called by `Ends`, whose callers hold the mutex (table Access).
            let slot = unsafe { &mut *slot };
            (slot.prev.take(), slot.next.take())
        })
    }
}

impl<P: Protocol> Deref for Locked<'_, P> {
    type Target = P::State;
    #[inline]
    fn deref(&self) -> &P::State {
        &self.inner.state
    }
}

impl<P: Protocol> DerefMut for Locked<'_, P> {
    #[inline]
    fn deref_mut(&mut self) -> &mut P::State {
        &mut self.inner.state
    }
}

/// One waiter of a [`WaitList`], to be pinned inside the future that waits.
///
/// Most primitives use it through [`WaitList::claim`].
///
/// # Examples
///
/// Step by step, as [`Wait`](super::Wait) does it:
///
/// ```
/// use loxley_sync::wait::{Entry, Waiter, block_on};
/// # use loxley_sync::wait::{Protocol, WaitList};
/// # use std::{future::poll_fn, pin::pin, task::{Context, Waker}};
/// # struct Post;
/// # impl Protocol for Post {
/// #     type State = ();
/// #     type Note = &'static str;
/// #     fn left(_: &WaitList<Self>, _: &'static str) {}
/// #     fn give_back(_: &WaitList<Self>, _: &'static str) {}
/// # }
/// # let post = WaitList::new(Post, ());
/// # let cx = Context::from_waker(Waker::noop());
/// let mut waiter = pin!(Waiter::new(&post));
/// assert!(waiter.as_mut().enter(&cx, |_| Entry::<(), _>::Wait("nothing yet")).is_pending());
/// assert!(waiter.is_waiting());
/// assert!(post.lock().grant_front(|note| *note = "a letter"));
/// assert_eq!(block_on(poll_fn(|cx| waiter.as_mut().poll_grant(cx))), "a letter");
/// ```
pub struct Waiter<'a, P: Protocol> {
    list: &'a WaitList<P>,
    node: Node<P::Note>,
}

impl<'a, P: Protocol> Waiter<'a, P> {
    /// A waiter that is not in the list yet.
    pub fn new(list: &'a WaitList<P>) -> Self {
        Self {
            list,
            node: Node {
                stage: AtomicU8::new(IDLE),
                slot: UnsafeCell::new(Slot {
                    prev: None,
                    next: None,
                    waker: None,
                    note: None,
                }),
                _pinned: PhantomPinned,
            },
        }
    }

    /// L1: looks under the mutex whether there is a need to wait, and enlists if so.
    ///
    /// # Panics
    ///
    /// If this waiter is enlisted or granted already.
    pub fn enter<R>(
        self: Pin<&mut Self>,
        cx: &Context<'_>,
        enter: impl FnOnce(&mut Locked<'_, P>) -> Entry<R, P::Note>,
    ) -> Poll<R> {
        let this = self.into_ref().get_ref();
        // ordering: row C, our own node.
        let stage = this.node.stage.load(Ordering::Relaxed);
        assert!(stage == IDLE, "a waiter enters its list once");
        let waker = cx.waker().clone();
        let mut locked = this.list.lock();
        let (lane, stage, note) = match enter(&mut locked) {
            Entry::Done(done) => {
                drop(locked);
                return Poll::Ready(done);
            }
            Entry::Wait(note) => (Lane::Main, WAITING, note),
            Entry::WaitAside(note) => (Lane::Side, WAITING_ASIDE, note),
        };
        assert!(
            std::ptr::eq(locked.list, this.list),
            "a waiter enlists in its own list"
        );
        this.node.slot.with_mut(|slot| {
            // SAFETY: the node is IDLE, so it is ours; the mutable borrow of the pinned waiter is in our hands.
            let slot = unsafe { &mut *slot };
            slot.waker = Some(waker);
            slot.note = Some(note);
        });
        // ordering: row C, under the mutex.
        this.node.stage.store(stage, Ordering::Relaxed);
        // The waiter is pinned, so the node keeps its place until its destructor has run, which unlinks it.
        locked.inner.lanes[lane as usize].push_back(NonNull::from(&this.node));
        Poll::Pending
    }

    /// L4: ready, with the note, once somebody granted. Otherwise the newest waker is kept.
    ///
    /// # Panics
    ///
    /// If this waiter was never enlisted, or has collected its grant.
    pub fn poll_grant(self: Pin<&mut Self>, cx: &Context<'_>) -> Poll<P::Note> {
        let this = self.into_ref().get_ref();
        if let Some(note) = this.collect() {
            return Poll::Ready(note);
        }
        let mut newer: Option<Waker> = None;
        loop {
            let locked = this.list.lock();
            // ordering: row C, under the mutex.
            match this.node.stage.load(Ordering::Relaxed) {
                WAITING | WAITING_ASIDE => {}
                GRANTED => {
                    drop(locked);
                    // ordering is taken care of in `collect`, which reads the stage again.
                    let note = this.collect();
                    return note.map_or(Poll::Pending, Poll::Ready);
                }
                _ => panic!("a waiter is polled again after it collected its grant"),
            }
            let (same, old) = this.node.slot.with_mut(|slot| {
                // SAFETY: the node is WAITING and we hold the mutex (table Access).
                let slot = unsafe { &mut *slot };
                match newer.take() {
                    Some(newer) => (true, slot.waker.replace(newer)),
                    None => (
                        slot.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())),
                        None,
                    ),
                }
            });
            drop(locked);
            // A waker is cloned and dropped with the mutex free.
            drop(old);
            if same {
                return Poll::Pending;
            }
            newer = Some(cx.waker().clone());
        }
    }

    /// Whether the waiter is enlisted and not granted.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        // ordering: relaxed, a hint; whoever acts on it takes the mutex or collects.
        let stage = self.node.stage.load(Ordering::Relaxed);
        matches!(stage, WAITING | WAITING_ASIDE)
    }

    /// L4 and L5: takes the note if the node is GRANTED.
    fn collect(&self) -> Option<P::Note> {
        // ordering: row B.
        if self.node.stage.load(Ordering::Acquire) != GRANTED {
            return None;
        }
        // ordering: row C: since GRANTED nobody else touches the node.
        self.node.stage.store(IDLE, Ordering::Relaxed);
        self.take_note()
    }

    fn take_note(&self) -> Option<P::Note> {
        self.node.slot.with_mut(|slot| {
            // SAFETY: called after the node left WAITING and by its future: it is ours (table Access).
            let slot = unsafe { &mut *slot };
            slot.note.take()
        })
    }

    /// L3: takes the node out of the list, unless a grant came first.
    fn leave(&self) -> Option<P::Note> {
        let mut locked = self.list.lock();
        // ordering: row C, under the mutex.
        let lane = match self.node.stage.load(Ordering::Relaxed) {
            WAITING => Lane::Main,
            WAITING_ASIDE => Lane::Side,
            _ => return None,
        };
        locked.inner.lanes[lane as usize].unlink(NonNull::from(&self.node));
        // ordering: row C, under the mutex.
        self.node.stage.store(IDLE, Ordering::Relaxed);
        // The node is out and ours: what a protocol brings along may panic from here on.
        let mut note = self.take_note()?;
        P::leaving(&mut locked.inner.state, &mut note);
        locked.look_if_emptied();
        Some(note)
    }
}

impl<P: Protocol> Drop for Waiter<'_, P> {
    fn drop(&mut self) {
        let this = &*self;
        // ordering: row C, a first look: IDLE is stable, it is ours alone.
        if this.node.stage.load(Ordering::Relaxed) == IDLE {
            return;
        }
        if let Some(note) = this.leave() {
            P::left(this.list, note);
        } else if let Some(note) = this.collect() {
            P::give_back(this.list, note);
        }
    }
}

impl<P: Protocol + fmt::Debug> fmt::Debug for WaitList<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitList")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

impl<P: Protocol> fmt::Debug for Locked<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locked")
            .field("waiters", &self.waiters())
            .finish_non_exhaustive()
    }
}

impl<P: Protocol> fmt::Debug for Waiter<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter")
            .field("waiting", &self.is_waiting())
            .finish_non_exhaustive()
    }
}
