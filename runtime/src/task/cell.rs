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
use loxley_sync::prim::IS_MODEL;
use loxley_sync::prim::atomic::{AtomicPtr, AtomicU8, AtomicU16, AtomicU32, Ordering};
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
/// | `awaiter_high`, `awaiter_low` | who awaits the task, or makes it to await it; its handle's drop | all, as a hint |
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
    // In what the alignment leaves free.
    awaiter_high: AtomicU16,
    awaiter_low: AtomicU32,
    wait_at: AtomicPtr<Location<'static>>,
    pub(crate) cold: ColdSlot,
    joiner: UnsafeCell<Option<Waker>>,
    pub(super) trace: Trace,
    _tracked: Tracked,
}

/// In `wait_kind`, beside the number: scopes wait outside the tree.
const OUTSIDERS: u8 = 1 << 7;

/// In `awaiter_high`, beside the upper bits: it awaits the task as a child of its group, with or without a handle.
const OF_GROUP: u16 = 1 << 15;

/// How a task awaits another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Through {
    /// Its handle.
    Handle,
    /// A task group.
    Group,
}

/// As much of a task's number as a header keeps of who awaits it. No two tasks alive at once share it, unless one of them
/// outlives 2^47 others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AwaiterKey(u64);

impl From<TaskId> for AwaiterKey {
    fn from(id: TaskId) -> Self {
        Self(id.get() & (u64::MAX >> 17))
    }
}

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
            awaiter_high: AtomicU16::new(0),
            awaiter_low: AtomicU32::new(0),
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

    /// From now on `awaiter` is who awaits this task.
    #[inline]
    pub(crate) fn set_awaiter(&self, awaiter: Option<TaskId>, through: Through) {
        if IS_MODEL {
            // No part of any protocol, and every access is one more for a model to go through.
            return;
        }
        let key = awaiter.map_or(0, |id| AwaiterKey::from(id).0);
        let [b0, b1, b2, b3, b4, b5, ..] = key.to_le_bytes();
        let of_group = if through == Through::Group {
            OF_GROUP
        } else {
            0
        };
        let high = u16::from_le_bytes([b4, b5]) | of_group;
        // ordering: relaxed, hints for people; a mix of two numbers is that of no task, or of the wrong one for a moment.
        self.awaiter_high.store(high, Ordering::Relaxed);
        let low = u32::from_le_bytes([b0, b1, b2, b3]);
        // ordering: as above.
        self.awaiter_low.store(low, Ordering::Relaxed);
    }

    /// The handle goes away: nobody awaits the task through it any more.
    #[inline]
    pub(crate) fn forget_awaiter(&self) {
        // ordering: relaxed, as in `set_awaiter`.
        let is_of_group = self.awaiter_high.load(Ordering::Relaxed) & OF_GROUP != 0;
        if !is_of_group && self.awaiter().is_some() {
            self.set_awaiter(None, Through::Handle);
        }
    }

    /// Who awaits this task, if anybody was said to.
    pub(crate) fn awaiter(&self) -> Option<AwaiterKey> {
        // ordering: relaxed, as in `set_awaiter`.
        let high = self.awaiter_high.load(Ordering::Relaxed) & !OF_GROUP;
        // ordering: as above.
        let low = self.awaiter_low.load(Ordering::Relaxed);
        let key = u64::from(high) << 32 | u64::from(low);
        (key != 0).then_some(AwaiterKey(key))
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
