//! The memory of one task: a header every task shares, then the future or its output.
//!
//! The header and an empty future fit in 128 bytes, asserted below. It is not over-aligned: glibc serves blocks aligned to
//! a cache line several times slower, and they cost twice the resident memory.
#![expect(
    unsafe_code,
    reason = "the task cell: one allocation shared by owners of different parts"
)]

use super::cold::ColdSlot;
use super::raw::Vtable;
use super::state::State;
use super::trace::Trace;
use super::{Failure, TaskId};
use loxley_sync::Context;
use loxley_sync::ambient::{Left, WaitKind, WaitReason};
use loxley_sync::prim::atomic::{AtomicPtr, AtomicU8, Ordering};
use loxley_sync::prim::cell::{Tracked, UnsafeCell};
use std::future::Future;
use std::panic::Location;
use std::ptr;
use std::task::Waker;

/// Where the registry keeps a task: which shard, which slot in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The slot.
    pub index: u32,
    /// The shard: a worker's index, or the one for everybody else.
    pub shard: u16,
}

impl Place {
    /// In no registry: a task that was refused.
    pub const NOWHERE: Self = Self {
        index: u32::MAX,
        shard: u16::MAX,
    };
}

/// What every task has, whatever its future.
///
/// | field | written by | read by |
/// |---|---|---|
/// | `state` | T-edges | all |
/// | `vtable`, `spawned_at` | T1 | all |
/// | `scheduler`, `id` | `Fresh::launch`, before the task is published | all |
/// | `place` | registry (G1), before the task is published | completing worker |
/// | `wait_at`, `wait_kind` | holder of *running* | all, as a hint |
/// | `cold` | see the edges of `cold.rs` | all |
/// | `joiner` | see the access table of `state.rs` | same |
/// | `trace` | holder of *running*; nothing without feature `tracing` | wakers |
#[repr(C)]
pub(crate) struct Header {
    pub(crate) state: State,
    pub(crate) vtable: &'static Vtable,
    /// The `S: Schedule` of this task. Alive while the task is not complete; see [`super::Schedule`].
    pub(crate) scheduler: *const (),
    pub(crate) id: TaskId,
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) place: Place,
    wait_kind: AtomicU8,
    wait_at: AtomicPtr<Location<'static>>,
    pub(crate) cold: ColdSlot,
    joiner: UnsafeCell<Option<Waker>>,
    pub(super) trace: Trace,
    _tracked: Tracked,
}

/// In `wait_kind`, beside the number: scopes wait outside the tree.
const OUTSIDERS: u8 = 1 << 7;

/// What the future's place holds.
pub(crate) enum Stage<F: Future> {
    /// The future, until it is done.
    Pending(F),
    /// What it left behind.
    Done(Result<F::Output, Failure>),
    /// The output was taken or dropped.
    Taken,
}

/// A whole task.
#[repr(C)]
pub(crate) struct Cell<F: Future> {
    pub(crate) header: Header,
    pub(crate) stage: UnsafeCell<Stage<F>>,
}

#[cfg(not(any(loom, shuttle, feature = "tracing")))]
const _: () = {
    type Empty = std::future::Ready<()>;
    assert!(size_of::<Cell<Empty>>() <= 128, "a task must stay small");
    assert!(align_of::<Cell<Empty>>() <= 16, "and not be over-aligned");
};

impl Header {
    pub(crate) fn new(vtable: &'static Vtable, spawned_at: &'static Location<'static>) -> Self {
        Self {
            state: State::new(),
            vtable,
            scheduler: ptr::null(),
            id: TaskId::NONE,
            spawned_at,
            place: Place::NOWHERE,
            wait_kind: AtomicU8::new(0),
            wait_at: AtomicPtr::new(ptr::null_mut()),
            cold: ColdSlot::new(),
            joiner: UnsafeCell::new(None),
            trace: Trace::new(),
            _tracked: Tracked::new(),
        }
    }

    /// Remembers what the poll that just ended waits for.
    #[inline]
    pub(crate) fn set_left(&self, left: Left) {
        let WaitReason { kind, at } = left.reason;
        let at = at.map_or(ptr::null(), ptr::from_ref).cast_mut();
        let outsiders = if left.has_outsiders { OUTSIDERS } else { 0 };
        // ordering: relaxed, both are hints for people, but for the bit, which the holder of *running* alone reads; the
        // pointer is to a static.
        self.wait_kind
            .store(kind as u8 | outsiders, Ordering::Relaxed);
        // ordering: relaxed, as above.
        self.wait_at.store(at, Ordering::Relaxed);
    }

    /// Whether scopes of this task wait outside its tree since the last poll. For the holder of *running*.
    pub(crate) fn has_outsiders(&self) -> bool {
        // ordering: relaxed, written by the poller before T6 or T7, which T2 acquired.
        self.wait_kind.load(Ordering::Relaxed) & OUTSIDERS != 0
    }

    /// What the task waits for, as far as the last poll said.
    pub(crate) fn wait_reason(&self) -> WaitReason {
        // ordering: relaxed, a pointer to a static and a number; a mix of two polls is possible and harmless.
        let at = self.wait_at.load(Ordering::Relaxed);
        WaitReason {
            // ordering: relaxed, as above.
            kind: WaitKind::from_raw(self.wait_kind.load(Ordering::Relaxed) & !OUTSIDERS),
            // SAFETY: only `set_wait_reason` writes it: null, or a `&'static Location`.
            at: unsafe { at.as_ref() },
        }
    }

    /// Takes the context to poll in: none as long as no variable was ever set.
    ///
    /// # Safety
    ///
    /// The caller must hold *running*.
    #[inline]
    pub(crate) unsafe fn take_context(&self) -> Option<Context> {
        // SAFETY: the contract of this function.
        unsafe { self.cold.get()?.variables.replace(None) }
    }

    /// Gives a task that has none a context, or gives it back.
    ///
    /// # Safety
    ///
    /// The caller must be the maker of a task that was not launched yet, or hold *running*.
    pub(crate) unsafe fn put_context(&self, context: Context) {
        // SAFETY: the contract of this function.
        let before = unsafe { self.cold.made().variables.replace(Some(context)) };
        debug_assert!(before.is_none(), "a task has one context");
    }

    /// The joiner's waker slot.
    ///
    /// # Safety
    ///
    /// The caller must own the slot by the access table of `state.rs`, until the closure returns.
    pub(crate) unsafe fn with_joiner<R>(&self, f: impl FnOnce(&mut Option<Waker>) -> R) -> R {
        self.joiner.with_mut(|slot| {
            // SAFETY: exclusive, by the contract of this function.
            f(unsafe { &mut *slot })
        })
    }
}
