//! What this task waits for: said by the leaf that returns `Pending`, kept in the task, read by whoever asks why a
//! program does not go on.

use super::RECORD;
use std::panic::Location;

/// The kind of thing a task waits for.
///
/// # Examples
///
/// ```
/// use loxley_sync::ambient::WaitKind;
///
/// let kind = WaitKind::Timer;
/// assert_eq!(WaitKind::from_raw(kind as u8), kind);
/// assert_eq!(WaitKind::default(), WaitKind::Unknown);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u8)]
pub enum WaitKind {
    /// The leaf did not say: a future that is not one of ours.
    #[default]
    Unknown = 0,
    /// A deadline.
    Timer,
    /// A socket or another descriptor.
    Io,
    /// Another task.
    Task,
    /// A job in the blocking pool.
    Thread,
    /// A lock.
    Lock,
    /// A semaphore permit.
    Permit,
    /// An event or a notification.
    Event,
    /// An item in a queue or channel, or room for one.
    Queue,
    /// A barrier.
    Barrier,
    /// A turn: the task yielded, or had spent its budget.
    Turn,
    /// A signal or a child process.
    Process,
}

impl WaitKind {
    /// The kind whose number is `raw`, as stored in a task's header.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::ambient::WaitKind;
    /// assert_eq!(WaitKind::from_raw(0), WaitKind::Unknown);
    /// assert_eq!(WaitKind::from_raw(2), WaitKind::Io);
    /// assert_eq!(WaitKind::from_raw(200), WaitKind::Unknown, "no such kind");
    /// ```
    #[must_use]
    pub fn from_raw(raw: u8) -> Self {
        const ALL: [WaitKind; 12] = [
            WaitKind::Unknown,
            WaitKind::Timer,
            WaitKind::Io,
            WaitKind::Task,
            WaitKind::Thread,
            WaitKind::Lock,
            WaitKind::Permit,
            WaitKind::Event,
            WaitKind::Queue,
            WaitKind::Barrier,
            WaitKind::Turn,
            WaitKind::Process,
        ];
        ALL.get(usize::from(raw)).copied().unwrap_or_default()
    }
}

/// What a task waits for, and where in the program it was told to.
///
/// # Examples
///
/// What a poll has left is read by whoever polled:
///
/// ```
/// use loxley_sync::ambient::{self, WaitKind, WaitReason};
///
/// let outer = ambient::enter();
/// assert_eq!(ambient::leave(outer).reason, WaitReason::NONE);
///
/// let outer = ambient::enter();
/// ambient::wait_reason(WaitKind::Io, None);
/// assert_eq!(ambient::leave(outer).reason.kind, WaitKind::Io);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitReason {
    /// The kind of thing.
    pub kind: WaitKind,
    /// The line that made the future waited on, where the leaf knows it.
    pub at: Option<&'static Location<'static>>,
}

impl WaitReason {
    /// Nothing has been said.
    pub const NONE: Self = Self {
        kind: WaitKind::Unknown,
        at: None,
    };
}

/// Says what the current task waits for. A leaf calls it right before it returns `Pending`; the last word counts.
///
/// # Examples
///
/// A leaf of one's own says what it waits for, and where it was asked to:
///
/// ```
/// use loxley_sync::ambient::{self, WaitKind};
/// use std::{future::poll_fn, panic::Location, pin::pin, task::{Context, Poll, Waker}};
///
/// let at = Location::caller();
/// let mut leaf = pin!(poll_fn(|_| {
///     ambient::wait_reason(WaitKind::Process, Some(at));
///     Poll::<()>::Pending
/// }));
/// # use std::future::Future;
/// let outer = ambient::enter();
/// assert!(leaf.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
/// assert_eq!(ambient::leave(outer).reason.at, Some(at));
/// ```
#[inline]
pub fn wait_reason(kind: WaitKind, at: Option<&'static Location<'static>>) {
    RECORD.with(|record| record.reason.set(WaitReason { kind, at }));
}
