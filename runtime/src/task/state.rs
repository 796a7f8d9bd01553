//! THE STATE WORD of one task: who owns the future right now, how many references there are, who waits for the outcome.
//!
//! Every change is one method doing one read-modify-write and returning what its caller must do now. The callers are in
//! `run.rs` (the poller), `waker.rs`, `join.rs` (the handle) and `cancel.rs`. This file must never look at anything but the
//! word.
//!
//! # State
//!
//! ```text
//!   T1 new
//!      │
//!      ▼           T2 start_poll             T9 complete
//!  ┌───────────┐ ────────────► ┌─────────┐ ────────────► ┌──────────┐
//!  │ scheduled │               │ running │               │ complete │
//!  └───────────┘ ◄──────┐      └─────────┘               └──────────┘
//!      ▲                │       │       │ T4 wake                ▲
//!      │ T3 wake        │       │ T6    ▼                        │ T9
//!  ┌────────┐           │       │   ┌───────────────────┐        │
//!  │  idle  │ ◄─────────┼───────┘   │ running+scheduled │ ───────┘
//!  └────────┘           │ T7        └───────────────────┘
//!                       └─────────────────────┘
//! ```
//!
//! | edge | method | from → to | duty returned |
//! |---|---|---|---|
//! | T1 | `new` | → scheduled, 2 references (runtime, handle) | – |
//! | T2 | `start_poll` | scheduled → running | `Poll`, `Deliver` |
//! | T3 | `wake_by_ref`, `wake_by_val` | idle → scheduled | `Enqueue` |
//! | T4 | same | running → running+scheduled | `Nothing` |
//! | T5 | same | scheduled or complete: lifecycle unchanged | `Nothing`, `Free` |
//! | T6 | `end_poll` | running → idle | `Rest` |
//! | T7 | `end_poll` | running+scheduled → scheduled | `Requeue` |
//! | T8 | `requested` | running, request bit seen after a poll: stays running | `bool` |
//! | T9 | `complete` | running → complete, −1 reference unless a joiner must be woken | `WakeJoiner`, `Done`, `Free`, `DropOutput`, `Watched` |
//! | T10 | `request` | + request bit; idle → scheduled | `Enqueue`, `Nothing`, `TooLate` |
//! | T11 | `set_join`, `clear_join`, `drop_join` | join bits only | see each |
//! | T13 | `take_request`, `keep_request` | − request bit, or + again while a scope has yet to act; holder of *running* only | `bool` |
//! | T12 | `release` | −1 reference | `Nothing`, `Free` |
//! | T14 | `watch` | + watched bit | `Noted`, `TooLate` |
//! | T15 | `unwatch` | running: − watched bit, right before T9 | – |
//!
//! # References
//!
//! The runtime holds one reference from T1 to T9; the handle, each waker and each `TaskRef` hold one. A queue holds none: the
//! bits *scheduled* and *running* stand for it, because a task with either bit is not complete, and the runtime's reference
//! lives until it is. So a wake changes no count, and neither does a poll.
//!
//! # Access
//!
//! | who | may touch |
//! |---|---|
//! | holder of *running* (T2 to T6, T7 or T9) | the future, and the output until T9 |
//! | the handle, once *complete* is set | the output |
//! | T9, if it dropped the output's only reader (*join* clear) | the output |
//! | the handle while *join waker* is clear | the joiner's waker slot |
//! | T9, if *join waker* was set | the joiner's waker slot, for good |
//!
//! # Ordering
//!
//! Every edge is a read-modify-write on this one word, so all edges of a task are totally ordered, and each continues the
//! release sequence of the ones before. T6, T7 and T9 release what the poller wrote; T2 acquires it for the next poller, the
//! handle's loads acquire it for the joiner. T3, T4 and T5 release what the waker's thread wrote before the wake, even when no
//! bit changes, and T2 (or T7 for a wake during the poll, followed by its T2) acquires it. T12 is the usual count:
//! release on each decrement, acquire before the memory is freed.

use loxley_sync::prim::atomic::{AtomicUsize, Ordering};
use loxley_sync::prim::expect_unshared;
use std::fmt;

/// A worker owns the future. Set by T2, cleared by T6, T7 and T9.
const RUNNING: usize = 1 << 0;
/// The task sits in a queue, or must go back to one when its poll ends. Set by T1, T3, T4 and T10, cleared by T2. After
/// *complete* it means nothing: a late wake may leave it behind.
const SCHEDULED: usize = 1 << 1;
/// The future is gone, the outcome is fixed. Set by T9, never cleared.
const COMPLETE: usize = 1 << 2;
/// Somebody asked the task to stop, and not every scope concerned has acted on it. Set by T10, taken by T13.
const REQUEST: usize = 1 << 3;
/// The handle that may take the output exists. Set by T1, cleared by `drop_join`.
const JOIN: usize = 1 << 4;
/// The joiner's waker is stored and belongs to T9. Set and cleared by the handle; a set that comes after *complete* is void.
const JOIN_WAKER: usize = 1 << 5;
/// The runtime shuts down: the next request delivered ends the task whatever scopes it is in. Set by T10, never cleared.
const STOP: usize = 1 << 6;

/// Done callbacks may have been registered. Set by T14 after one was; cleared by T15, when the completing worker has taken
/// what it needs to run them. After *complete* it means nothing.
const WATCHED: usize = 1 << 7;

const REF_SHIFT: u32 = 8;
const REF: usize = 1 << REF_SHIFT;
const _: () = assert!(
    RUNNING | SCHEDULED | COMPLETE | REQUEST | JOIN | JOIN_WAKER | STOP | WATCHED == REF - 1,
    "every flag has a bit of its own, below the count"
);
const LIFECYCLE: usize = RUNNING | SCHEDULED | COMPLETE;

/// The word.
pub struct State(AtomicUsize);

/// A copy of the word, for decisions and messages.
#[derive(Clone, Copy)]
pub struct Snapshot(usize);

/// What T2 found.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum StartPoll {
    /// Poll the future.
    Poll,
    /// A request is waiting: deliver it instead of polling.
    Deliver,
}

/// What a poller does after a poll that returned pending.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum EndPoll {
    /// T6: the task waits; touch it no more.
    Rest,
    /// T7: it was woken meanwhile; the caller puts it back into a queue.
    Requeue,
}

/// What the caller of a wake or a request does.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The caller puts the task into a queue.
    Enqueue,
    /// Somebody else has seen to it, or will.
    Nothing,
    /// The last reference is gone: free the cell.
    Free,
}

/// What became of a request.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// Accepted, and the caller puts the task into a queue.
    Enqueue,
    /// Accepted; whoever owns the task will see it.
    Noted,
    /// The task is complete.
    TooLate,
}

/// What the completing worker does.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum Complete {
    /// The joiner's waker is yours: wake it, then `release`.
    WakeJoiner,
    /// Nobody will read the output: drop it, then call `complete` again.
    DropOutput,
    /// Somebody wants to hear of the end: get ready to tell, `unwatch`, then call `complete` again.
    Watched,
    /// Others still hold references; touch the task no more.
    Done,
    /// The last reference is gone: free the cell.
    Free,
}

/// What became of a registration.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum Watch {
    /// T9 will see it.
    Noted,
    /// The task is complete: whoever registered sees to it.
    TooLate,
}

/// What a handle that goes away does.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum DropJoin {
    /// The handle's reference is gone; touch the task no more.
    Done,
    /// Not complete and a waker is stored, which is yours again: drop it, then `release`.
    DropWaker,
    /// Complete: the output is yours to drop, then `release`.
    DropOutput,
}

impl State {
    /// T1: a task about to be put into a queue, with a reference for the runtime and one for the handle.
    #[expect(clippy::new_without_default, reason = "T1 is an edge, not a default")]
    #[must_use]
    pub fn new() -> Self {
        Self(AtomicUsize::new(SCHEDULED | JOIN | (2 * REF)))
    }

    /// The word as it stands. Only *complete* and *join* are stable enough to act on.
    #[inline]
    pub fn load(&self) -> Snapshot {
        // ordering: acquire pairs with T9, so that whoever sees *complete* may read the output.
        Snapshot(self.0.load(Ordering::Acquire))
    }

    /// T2: the caller took the task out of a queue and now owns the future.
    #[inline]
    pub fn start_poll(&self) -> StartPoll {
        // ordering: acquire sees what T6/T7 of the last poller and every T3/T4/T5 before published; release keeps the chain.
        // One instruction on x86, where the bit operations that return the old value are loops.
        let before = Snapshot(self.0.fetch_sub(SCHEDULED - RUNNING, Ordering::AcqRel));
        debug_assert!(
            before.0 & LIFECYCLE == SCHEDULED,
            "T2 start_poll from {before:?}"
        );
        if before.0 & REQUEST == 0 {
            StartPoll::Poll
        } else {
            StartPoll::Deliver
        }
    }

    /// T8: whether a request came in during the poll that just returned pending.
    #[inline]
    pub fn requested(&self) -> bool {
        // ordering: relaxed, it is a hint; a request missed here set *scheduled* too, and T2 of the next poll acquires it.
        self.0.load(Ordering::Relaxed) & REQUEST != 0
    }

    /// T6 or T7: the poll returned pending; the caller gives the future up.
    #[inline]
    pub fn end_poll(&self) -> EndPoll {
        // ordering: release publishes the future to the next poller's T2; acquire sees a T4 waker's data when requeueing.
        let before = Snapshot(self.0.fetch_sub(RUNNING, Ordering::AcqRel));
        debug_assert!(
            before.0 & (RUNNING | COMPLETE) == RUNNING,
            "T6 end_poll from {before:?}"
        );
        if before.0 & SCHEDULED == 0 {
            EndPoll::Rest
        } else {
            EndPoll::Requeue
        }
    }

    /// T3, T4 or T5 for a waker that lives on.
    #[inline]
    pub fn wake_by_ref(&self) -> Wake {
        // ordering: release publishes the waker's data to the next T2, also when the bit was set already (T5).
        let before = Snapshot(self.0.fetch_or(SCHEDULED, Ordering::AcqRel));
        if before.0 & LIFECYCLE == 0 {
            Wake::Enqueue
        } else {
            Wake::Nothing
        }
    }

    /// T3, T4 or T5 for a waker that is used up: its reference goes in the same step.
    #[inline]
    pub fn wake_by_val(&self) -> Wake {
        // ordering: relaxed, the exchange below decides.
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            debug_assert!(Snapshot(seen).refs() >= 1, "wake of {:?}", Snapshot(seen));
            let next = (seen | SCHEDULED) - REF;
            // ordering: release as in `wake_by_ref` and T12; acquire for the case that this was the last reference.
            match self
                .0
                .compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) if seen & LIFECYCLE == 0 => return Wake::Enqueue,
                Ok(_) if Snapshot(next).refs() == 0 => return Wake::Free,
                Ok(_) => return Wake::Nothing,
                Err(now) => seen = now,
            }
        }
    }

    /// T10: asks the task to stop, and sees to it that it gets a turn to hear it.
    pub fn request(&self) -> Request {
        // ordering: release publishes the request's message to T2 or T8; acquire pairs with T9 for the answer *too late*.
        let before = Snapshot(self.0.fetch_or(REQUEST | SCHEDULED, Ordering::AcqRel));
        if before.0 & COMPLETE != 0 {
            Request::TooLate
        } else if before.0 & LIFECYCLE == 0 {
            Request::Enqueue
        } else {
            Request::Noted
        }
    }

    /// T10 by the runtime that shuts down: no scope can hold the task up.
    pub fn stop(&self) -> Request {
        // ordering: relaxed, the request that follows releases it, and T13 reads the word that both changed.
        self.0.fetch_or(STOP, Ordering::Relaxed);
        self.request()
    }

    /// T13: the poller takes the request bit and will look at the requests. True: the runtime stops the task.
    pub fn take_request(&self) -> bool {
        // ordering: acquire pairs with T10's release: the requests it announced are seen; release keeps the chain.
        self.0.fetch_and(!REQUEST, Ordering::AcqRel) & STOP != 0
    }

    /// T13 in part: some scope is marked and has not acted yet, so the next poll must look again.
    pub fn keep_request(&self) {
        // ordering: relaxed, the caller holds *running*, and T6 or T7 release it to the next T2.
        self.0.fetch_or(REQUEST, Ordering::Relaxed);
    }

    /// T9: the future is dropped and the output stored; the runtime's reference goes with the edge where it can.
    #[inline]
    pub fn complete(&self, output_dropped: bool) -> Complete {
        // ordering: acquire, for the sole owner below: it sees what the last waker to go released.
        let mut seen = self.0.load(Ordering::Acquire);
        loop {
            debug_assert!(
                seen & (RUNNING | COMPLETE) == RUNNING,
                "T9 complete from {:?}",
                Snapshot(seen)
            );
            if seen & WATCHED != 0 {
                return Complete::Watched;
            }
            if seen & JOIN == 0 && !output_dropped {
                return Complete::DropOutput;
            }
            if seen & JOIN == 0 && Snapshot(seen).refs() == 1 {
                // Nobody else can reach the task: no handle, no waker, and it has left the registry. No edge is needed.
                return Complete::Free;
            }
            let wake = seen & JOIN_WAKER != 0;
            let next = (seen ^ (RUNNING | COMPLETE)) - if wake { 0 } else { REF };
            // ordering: release publishes the output to the joiner, and T12's duty; acquire sees the stored waker of T11.
            match self
                .0
                .compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) if wake => return Complete::WakeJoiner,
                Ok(_) if Snapshot(next).refs() == 0 => return Complete::Free,
                Ok(_) => return Complete::Done,
                Err(now) => seen = now,
            }
        }
    }

    /// T14: a done callback was registered.
    pub fn watch(&self) -> Watch {
        // ordering: release publishes the registration to T9; acquire pairs with T9 for the answer *too late*.
        let before = Snapshot(self.0.fetch_or(WATCHED, Ordering::AcqRel));
        if before.is_complete() {
            Watch::TooLate
        } else {
            Watch::Noted
        }
    }

    /// T15: the completing worker will look for callbacks after T9. One registered from now on sets the bit again.
    pub fn unwatch(&self) {
        // ordering: acquire sees the registrations of T14; release keeps the chain.
        let before = Snapshot(self.0.fetch_and(!WATCHED, Ordering::AcqRel));
        debug_assert!(before.is_running(), "T15 unwatch of {before:?}");
    }

    /// T11: the handle has stored a waker and hands it over. False: the task is complete, the waker stays the handle's.
    pub fn set_join(&self) -> bool {
        // ordering: release publishes the waker to T9; acquire sees the output when it is too late.
        let before = self.0.fetch_or(JOIN_WAKER, Ordering::AcqRel);
        before & COMPLETE == 0
    }

    /// T11: the handle wants its stored waker back. False: the task is complete and the waker belongs to T9.
    pub fn clear_join(&self) -> bool {
        // ordering: acquire sees the output when it is too late; release keeps the chain.
        let before = self.0.fetch_and(!JOIN_WAKER, Ordering::AcqRel);
        before & COMPLETE == 0
    }

    /// T11: the handle goes away. Once *complete* is set nobody looks at the join bit any more, and it may stay.
    pub fn drop_join(&self) -> DropJoin {
        // ordering: acquire sees the output if T9 came first.
        let mut seen = self.0.load(Ordering::Acquire);
        loop {
            debug_assert!(seen & JOIN != 0, "drop_join of {:?}", Snapshot(seen));
            if seen & COMPLETE != 0 {
                return DropJoin::DropOutput;
            }
            let (next, duty) = if seen & JOIN_WAKER != 0 {
                (seen & !(JOIN | JOIN_WAKER), DropJoin::DropWaker)
            } else {
                // Not complete: the runtime still holds its reference, so this one is not the last.
                ((seen & !JOIN) - REF, DropJoin::Done)
            };
            // ordering: release is T12's; acquire as above.
            match self
                .0
                .compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return duty,
                Err(now) => seen = now,
            }
        }
    }

    /// One more reference, made from an existing one.
    ///
    /// # Panics
    ///
    /// If there are so many that one more could overflow the count.
    #[inline]
    pub fn retain(&self) {
        // ordering: relaxed, as for any count made from a reference that is itself alive.
        let before = self.0.fetch_add(REF, Ordering::Relaxed);
        // A leak of 2^55 wakers must not turn into a use after free.
        assert!(
            before <= isize::MAX as usize,
            "too many references to one task"
        );
    }

    /// T12: one reference less. True: it was the last, free the cell.
    #[inline]
    pub fn release(&self) -> bool {
        // ordering: acquire, as below: the sole owner frees what all the others did.
        let seen = Snapshot(self.0.load(Ordering::Acquire));
        if seen.refs() == 1 {
            // The runtime's reference and the registry are gone (a task with either has more, or is not ours to release), so
            // nobody is left who could make a second one.
            return true;
        }
        // ordering: release for what this holder did, acquire for freeing what all the others did.
        let before = Snapshot(self.0.fetch_sub(REF, Ordering::AcqRel));
        debug_assert!(before.refs() >= 1, "T12 release of {before:?}");
        before.refs() == 1
    }
}

impl Drop for State {
    fn drop(&mut self) {
        expect_unshared(&mut self.0);
    }
}

impl Snapshot {
    pub fn is_complete(self) -> bool {
        self.0 & COMPLETE != 0
    }

    pub fn has_join_waker(self) -> bool {
        self.0 & JOIN_WAKER != 0
    }

    pub fn is_running(self) -> bool {
        self.0 & RUNNING != 0
    }

    pub fn is_scheduled(self) -> bool {
        self.0 & SCHEDULED != 0
    }

    fn refs(self) -> usize {
        self.0 >> REF_SHIFT
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (RUNNING, "running"),
            (SCHEDULED, "scheduled"),
            (COMPLETE, "complete"),
            (REQUEST, "request"),
            (JOIN, "join"),
            (JOIN_WAKER, "join_waker"),
            (WATCHED, "watched"),
        ];
        let idle = (self.0 & LIFECYCLE == 0).then_some("idle");
        let set = names.iter().filter(|(bit, _)| self.0 & bit != 0);
        let mut between = "";
        for name in idle.into_iter().chain(set.map(|(_, name)| *name)) {
            write!(f, "{between}{name}")?;
            between = "+";
        }
        write!(f, " refs={}", self.refs())
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load().fmt(f)
    }
}
