//! The traits other crates speak, on our own types: futures-io always, hyper's and tokio's behind features.
//!
//! All three are thin over one primitive of [`TcpStream`](crate::TcpStream) (`poll_read`, `poll_write`, `poll_writev`,
//! `poll_shutdown`); the macros below say which of our types read and which write. None of them waits to flush: what is
//! written is with the kernel.
//!
//! The poll functions of a trait share one place per direction (`WaiterId::POLL`): a type that can be polled from two
//! tasks at once, like `&TcpStream`, wakes the last one in each direction.

mod futures;
#[cfg(feature = "hyper")]
mod hyper;
mod streams;
#[cfg(feature = "tokio-io")]
mod tokio;
#[cfg(any(feature = "hyper", feature = "tokio-io"))]
mod uninit;

pub(crate) use futures_io::{AsyncRead, AsyncWrite};

/// Calls `$reads!(type)` for every type that reads and `$writes!(type)` for every one that writes.
macro_rules! for_each_stream {
    ($reads:ident, $writes:ident) => {
        $reads!(crate::TcpStream);
        $reads!(&crate::TcpStream);
        $reads!(crate::net::ReadHalf<'_>);
        $reads!(crate::net::OwnedReadHalf);
        $writes!(crate::TcpStream);
        $writes!(&crate::TcpStream);
        $writes!(crate::net::WriteHalf<'_>);
        $writes!(crate::net::OwnedWriteHalf);
    };
}

use for_each_stream;

/// The stream behind any of those types.
fn stream(any: &impl AsRef<crate::TcpStream>) -> &crate::TcpStream {
    any.as_ref()
}
