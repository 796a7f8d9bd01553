//! The crates that servers are made of, on this runtime: what a crate asks of a runtime stands here, ready to be copied, and
//! `tests/` has one short program for each that runs against the real thing.
//!
//! What hyper, tokio-rustls and their like ask for is in `loxley` itself, because the traits are frozen and ours must be on
//! our own types. What stands here are the traits of crates that still move: they go on types of their own, and a user can
//! follow a new version of such a crate without waiting for one of ours.

pub mod connector;
pub mod dns;
pub mod grpc;
pub mod local;
pub mod nats;
pub mod quic;
