//! TLS between what is written and what is sent, by rustls, which does no I/O of its own: bytes go in, records come out.
//!
//! | file | holds |
//! |---|---|
//! | `config.rs` | [`TlsClient`], [`TlsServer`]: what users say |
//! | `session.rs` | one connection's state: sealing, opening, the end |
//! | `handshake.rs` | from a socket to a session, and putting it between |
//! | `knobs.rs` | `OpenConnection::tls`, `ServerBuilder::tls`, `StreamWriter::start_tls`, [`TlsInfo`] |
//! | `error.rs` | [`TlsError`]: what went wrong with whom, and what to change |
//!
//! Called by `link.rs`, which owns the session under its mutex, and by `connect.rs` and `server/`. Without the feature
//! `untls.rs` stands in this place: the same names, and no value of their types.
//!
//! What of rustls calls back (a verifier or a store of sessions that the user has written) runs in the handshake while no
//! lock of ours is held; what comes later, such as a ticket for the next session, under the mutex of the one connection.

mod config;
mod error;
mod handshake;
mod knobs;
mod session;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

pub use config::{Tls, TlsClient, TlsServer};
pub use error::TlsError;
pub use knobs::TlsInfo;
/// The version of rustls whose configurations are taken.
pub use rustls;

pub(super) use session::{Opened, Session};

use std::time::Duration;

/// How long a handshake may take, unless [`TlsClient::handshake_timeout`] or [`TlsServer::handshake_timeout`] say otherwise: as
/// in asyncio.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the peer may take to answer the end of the session, unless [`TlsClient::shutdown_timeout`] or
/// [`TlsServer::shutdown_timeout`] say otherwise: as in asyncio.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);
