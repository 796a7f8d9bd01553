//! The floor on which I/O crates build: ours stand on it, and any outsider may.

pub use crate::driver::readiness::{Direction, ReadyEvent};
pub use crate::driver::registration::{
    AsyncIo, Attempt, Interest, NoRuntime, Registration, RuntimeGone,
};

/// The time by which this thread's runtime measures its timers; outside a runtime, real time.
#[must_use]
pub fn now() -> std::time::Instant {
    crate::time::now()
}

/// Tells the unhandled-error handler of the current runtime about a failure that no code is left to be told about. Outside
/// a runtime it goes to stderr.
pub fn report_unhandled(what: &dyn std::fmt::Display) {
    let reporter = crate::current::with_shared(|shared| shared.reporter().clone());
    let error = crate::task::UnhandledError::other(what.to_string());
    reporter.unwrap_or_default().report(&error);
}
