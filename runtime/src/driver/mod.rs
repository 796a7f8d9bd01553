//! Waiting for the world.

pub(crate) mod timers;
