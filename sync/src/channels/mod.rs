//! Channels in which every receiver sees what is sent: all of it ([`broadcast`]), or the latest ([`watch`]).
//!
//! Values are kept behind an `Arc`, so that they are cloned and dropped with no lock held.

pub mod broadcast;
pub mod watch;
