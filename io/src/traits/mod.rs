//! The traits other crates speak, on our own types: futures-io always, hyper's and tokio's behind features.
//!
//! All three are thin over one primitive, `bytes.rs`; the macro below says which of our types read and which write. None of
//! them waits to flush: what is written is with the kernel.
//!
//! The poll functions of a trait cannot say that they no longer wait (`WaiterId::POLL`): a type that can be polled from several
//! tasks at once, like `&TcpStream`, wakes the last eight in each direction.

mod futures;
#[cfg(feature = "hyper")]
mod hyper;
mod stdio;
mod streams;
#[cfg(feature = "tokio-io")]
mod tokio;
#[cfg(any(feature = "hyper", feature = "tokio-io"))]
mod uninit;

pub(crate) use futures_io::{AsyncRead, AsyncWrite};

/// Calls `$reads!([generics] type)` for every type that reads and `$writes!([generics] type)` for every one that writes.
macro_rules! for_each_stream {
    ($reads:ident, $writes:ident) => {
        $reads!([] crate::TcpStream);
        $reads!([] &crate::TcpStream);
        $reads!([] crate::UnixStream);
        $reads!([] &crate::UnixStream);
        $reads!([] crate::PipeReader);
        $writes!([] crate::PipeWriter);
        $reads!([S: crate::net::ByteStream] crate::net::ReadHalf<'_, S>);
        $reads!([S: crate::net::ByteStream] crate::net::OwnedReadHalf<S>);
        $writes!([] crate::TcpStream);
        $writes!([] &crate::TcpStream);
        $writes!([] crate::UnixStream);
        $writes!([] &crate::UnixStream);
        $writes!([S: crate::net::ByteStream] crate::net::WriteHalf<'_, S>);
        $writes!([S: crate::net::ByteStream] crate::net::OwnedWriteHalf<S>);
    };
}

use for_each_stream;
