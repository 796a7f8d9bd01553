//! The floor on which I/O crates build: ours stand on it, and any outsider may.

pub use crate::driver::readiness::{Direction, ReadyEvent};
pub use crate::driver::registration::{
    AsyncIo, Attempt, Interest, NoRuntime, Registration, RuntimeGone,
};
