//! What a leaf future may know about who runs it: a thread-local record, written by the runtime around a poll.
//!
//! Without a runtime the record stands at its defaults, and a leaf behaves as if unbudgeted and never asked to stop.
#![expect(
    unsafe_code,
    reason = "keeps a pointer to the task that is being polled, for as long as it is"
)]

mod budget;
mod catch;
mod context;
#[doc(hidden)]
pub mod grants;
mod reason;
#[doc(hidden)]
pub mod scope;
mod tree;

pub use budget::{POLL_BUDGET, has_budget_remaining, poll_budget, poll_budgeted, unconstrained};
pub use catch::{
    CatchCancelled, Uncancellable, catch_cancelled, checkpoint, uncancellable, with_cleanup,
};
pub use context::{
    Context, ContextVar, Token, copy_context, inherit_context, run_in, swap_context,
};
pub use reason::{WaitKind, WaitReason, wait_reason};

use budget::Budget;
use scope::{Frame, Host};
use std::cell::Cell;
use std::ptr::NonNull;

struct Record {
    budget: Cell<Budget>,
    flags: Cell<Flags>,
    reason: Cell<WaitReason>,
    /// The task that is being polled, for its cancel scopes.
    host: Cell<Option<NonNull<dyn Host>>>,
    /// The innermost scope of that task that is being polled.
    frame: Cell<Option<NonNull<Frame>>>,
}

crate::prim::thread::thread_local! {
    static RECORD: Record = const {
        Record {
            budget: Cell::new(Budget::unlimited()),
            flags: Cell::new(Flags::NONE),
            reason: Cell::new(WaitReason::NONE),
            host: Cell::new(None),
            frame: Cell::new(None),
        }
    };
}

/// What a poll and its scopes tell each other, a bit each: a poll saves and restores them in one go.
#[derive(Clone, Copy, Debug)]
struct Flags(u8);

impl Flags {
    const NONE: Self = Self(0);
    /// Some scope of the task may be marked.
    const MARKED: Self = Self(1 << 0);
    /// The scopes of the task enter its tree in this poll, because a request waits for them.
    const ENTERING: Self = Self(1 << 1);
    /// A scope of the task waits outside its tree, as far as this poll has come.
    const OUTSIDERS: Self = Self(1 << 2);
    /// Waits leave watches with their tasks. The thread's own: it outlives a poll.
    const WATCHES: Self = Self(1 << 3);

    #[inline]
    fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    #[inline]
    fn with(self, flag: Self, on: bool) -> Self {
        if on {
            Self(self.0 | flag.0)
        } else {
            Self(self.0 & !flag.0)
        }
    }
}

impl Record {
    #[inline]
    fn has(&self, flag: Flags) -> bool {
        self.flags.get().has(flag)
    }

    /// Sets or clears a flag, and says how it was.
    #[inline]
    fn put(&self, flag: Flags, on: bool) -> bool {
        let before = self.flags.get();
        self.flags.set(before.with(flag, on));
        before.has(flag)
    }
}

/// The record that stood before [`enter`]; give it back with [`leave`].
///
/// # Examples
///
/// Polls nest, and each finds its own record again:
///
/// ```
/// use loxley_sync::ambient;
/// use std::task::{Context, Waker};
///
/// let cx = &mut Context::from_waker(Waker::noop());
/// let outer = ambient::enter();
/// while ambient::poll_budget(cx).is_ready() {}
/// let inner = ambient::enter();
/// assert!(ambient::has_budget_remaining());
/// ambient::leave(inner);
/// assert!(!ambient::has_budget_remaining());
/// ambient::leave(outer);
/// ```
#[derive(Debug)]
#[must_use = "pass it to `leave`"]
pub struct Outer {
    budget: Budget,
    flags: Flags,
    host: Option<NonNull<dyn Host>>,
    frame: Option<NonNull<Frame>>,
}

impl Outer {
    /// Whether waits leave watches with the task that is being polled.
    #[doc(hidden)]
    #[inline]
    #[must_use]
    pub fn watches_grants(&self) -> bool {
        self.flags.has(Flags::WATCHES)
    }
}

/// What a task's scopes are to know of requests in one poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[doc(hidden)]
pub struct Asked {
    /// Some of them were given one.
    pub marked: bool,
    /// They all pass it on, which they do in the turn in which it was made.
    pub forwards: bool,
    /// There is one for those that wait outside the tree: they enter it in this poll, and act in another, which
    /// must follow at once.
    pub enter: bool,
}

/// What a poll has left behind.
///
/// # Examples
///
/// ```
/// use loxley_sync::ambient::{self, WaitKind};
///
/// let outer = ambient::enter();
/// ambient::wait_reason(WaitKind::Queue, None); // By a leaf of the future that is polled.
/// let left = ambient::leave(outer);
/// assert_eq!(left.reason.kind, WaitKind::Queue);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Left {
    /// What the innermost leaf said it waits for.
    pub reason: WaitReason,
    /// Whether some scope waits without having entered the task's tree.
    #[doc(hidden)]
    pub has_outsiders: bool,
}

/// Installs a fresh record before a poll: a full budget, nothing waited for.
///
/// # Examples
///
/// An executor calls it around each poll, so that no task keeps its thread for ever:
///
/// ```
/// # use loxley_sync::{Event, ambient};
/// # use std::{future::Future, pin::pin, task::{Context, Waker}};
/// let event = Event::new();
/// event.set();
/// let mut greedy = pin!(async {
///     loop {
///         event.wait().await;
///     }
///     # #[allow(unreachable_code)] ()
/// });
/// let outer = ambient::enter();
/// assert!(greedy.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
/// assert!(!ambient::has_budget_remaining());
/// ambient::leave(outer);
/// ```
#[inline]
pub fn enter() -> Outer {
    install(None, Asked::default())
}

/// [`enter`] for a task that can be asked to stop.
///
/// # Safety
///
/// `host` must stay valid until the returned value has been given to [`leave`].
#[doc(hidden)]
#[inline]
pub unsafe fn enter_task(host: NonNull<dyn Host>, asked: Asked) -> Outer {
    install(Some(host), asked)
}

#[inline]
fn install(host: Option<NonNull<dyn Host>>, asked: Asked) -> Outer {
    RECORD.with(|record| {
        record.reason.set(WaitReason::NONE);
        let outer = record.flags.get();
        let flags = Flags(outer.0 & Flags::WATCHES.0)
            .with(Flags::MARKED, asked.marked)
            .with(Flags::ENTERING, asked.enter);
        record.flags.set(flags);
        Outer {
            budget: record.budget.replace(Budget::full()),
            flags: outer,
            host: record.host.replace(host),
            frame: record.frame.replace(None),
        }
    })
}

/// Calls `f` with the task that is being polled on this thread, if it is one of a runtime's.
fn host<R>(f: impl FnOnce(&dyn Host) -> R) -> Option<R> {
    let host = recorded_host()?;
    // SAFETY: valid by the contract of `enter_task`: `leave` has not taken it out of the record yet.
    Some(f(unsafe { host.as_ref() }))
}

#[inline]
fn recorded_host() -> Option<NonNull<dyn Host>> {
    RECORD.try_with(|record| record.host.get()).ok().flatten()
}

/// Puts the outer record back after a poll.
///
/// # Examples
///
/// ```
/// # use loxley_sync::ambient;
/// # use std::task::{Context, Waker};
/// let cx = &mut Context::from_waker(Waker::noop());
/// let outer = ambient::enter();
/// while ambient::poll_budget(cx).is_ready() {}
/// ambient::leave(outer);
/// assert!(ambient::has_budget_remaining(), "what one task spent another has");
/// ```
#[inline]
#[allow(
    clippy::needless_pass_by_value,
    reason = "an outer record is given back once"
)]
pub fn leave(outer: Outer) -> Left {
    RECORD.with(|record| {
        record.budget.set(outer.budget);
        record.host.set(outer.host);
        record.frame.set(outer.frame);
        Left {
            reason: record.reason.get(),
            has_outsiders: record.flags.replace(outer.flags).has(Flags::OUTSIDERS),
        }
    })
}
