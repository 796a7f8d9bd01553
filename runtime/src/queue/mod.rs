//! RUN QUEUES, generic over what they hold: a worker's own, which others steal from, and the injector, into which anybody
//! puts.
//!
//! This room never names a task. Its queues have no limit of their own: a task is in at most one of them at a time, so
//! together they hold at most as many items as there are live tasks.

#[cfg(not(any(loom, shuttle, miri)))]
mod deque;
#[cfg(any(loom, shuttle, miri))]
#[path = "modeled.rs"]
mod deque;
mod injector;

pub use deque::{Local, Stealer};
pub use injector::Injector;
