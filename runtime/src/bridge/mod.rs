//! A hidden Tokio runtime beside ours, for crates that are bound to Tokio: feature `tokio-context`, and nothing without it.
//!
//! Made with the runtime. Every thread that polls our tasks is in its context for as long as it does, and closing the world
//! ends it. It never polls a task of ours, and nothing of ours waits for it but the end.

#[cfg(not(feature = "tokio-context"))]
mod absent;
#[cfg(feature = "tokio-context")]
mod hidden;

#[cfg(not(feature = "tokio-context"))]
pub(crate) use absent::Bridge;
#[cfg(feature = "tokio-context")]
pub(crate) use hidden::Bridge;
