//! Waiting, without knowing who runs you.
//!
//! This crate holds everything a task can wait for that is not the outside world, and the small floor such waiting stands
//! on. It never names a runtime, a worker, a clock or a socket: every type here works under any executor.
//!
//! - [`prim`]: the shim over atomics, cells, locks and threads, in three flavours (real, loom, shuttle).
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod ambient;
pub mod error;
pub mod wait;

pub use error::CancelledError;

#[doc(hidden)]
pub mod prim;
