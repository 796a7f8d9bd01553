//! Waiting, without knowing who runs you.
//!
//! This crate holds everything a task can wait for that is not the outside world, and the small floor such waiting stands
//! on. It never names a runtime, a worker, a clock or a socket: every type here works under any executor.
//!
//! The rooms, each using only those above it:
//!
//! - `prim`: the shim over atomics, cells, locks and threads, in three flavours (real, loom, shuttle).
//! - [`ambient`]: what a leaf future may know about who runs it.
//! - [`wait`]: how a future waits: a cell for one waiter, a fair list for many.
//! - [`Event`], [`Notify`], [`oneshot`]; [`Lock`], [`Semaphore`], [`BoundedSemaphore`], [`OnceCell`].
//! - [`Condition`], [`Barrier`], [`RwLock`].
//! - [`Queue`], [`LifoQueue`], [`PriorityQueue`].
//! - [`broadcast`] and [`watch`] channels; `stream` (feature `stream`, on by default): their items as streams.
//!
//! Everything here is fair, free of poisoning, and safe to drop at any moment: a waiter that goes gives back what it had
//! been granted.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(hidden)]
pub mod prim;

mod cancelled;
pub use cancelled::CancelledError;
#[doc(hidden)]
pub use cancelled::{Never, Returns};

pub mod error;

pub mod ambient;
pub use ambient::{
    CatchCancelled, Uncancellable, catch_cancelled, checkpoint, uncancellable, with_cleanup,
};
pub use ambient::{Context, ContextVar, copy_context};
pub mod wait;

mod barrier;
mod channels;
mod condition;
mod event;
mod lock;
mod notify;
mod once;
pub mod oneshot;
pub mod queue;
mod rwlock;
mod semaphore;
#[cfg(feature = "stream")]
pub mod stream;

pub use barrier::Barrier;
pub use channels::{broadcast, watch};
pub use condition::Condition;
pub use event::Event;
pub use lock::{Lock, LockGuard, OwnedLockGuard};
pub use notify::Notify;
pub use once::OnceCell;
pub use queue::{LifoQueue, PriorityQueue, Queue};
pub use rwlock::{ReadGuard, RwLock, UpgradableGuard, WriteGuard};
pub use semaphore::{BoundedSemaphore, OwnedPermit, Permit, Semaphore};
