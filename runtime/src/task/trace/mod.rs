//! What tokio-console sees of a task: feature `tracing`, and nothing without it.
//!
//! Called by `run.rs` around each poll and at the end, and by `waker.rs`. The names of spans and fields are the console's.
//!
//! A subscriber is user code, and is called with none of our locks held, with one exception: a source clones wakers under
//! its waiters' lock, and says so. Such a subscriber must not use what it observes.

#[cfg(not(feature = "tracing"))]
mod absent;
#[cfg(feature = "tracing")]
mod spans;

#[cfg(not(feature = "tracing"))]
pub(super) use absent::Trace;
#[cfg(feature = "tracing")]
pub(super) use spans::Trace;

/// What happens to a waker.
#[derive(Clone, Copy, Debug)]
pub(super) enum WakerOp {
    Clone,
    Wake,
    WakeByRef,
    Drop,
}
