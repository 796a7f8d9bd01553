//! Bytes: sockets of a program that runs on the loxley runtime.
//!
//! Every operation tries its system call first and waits in the runtime's driver only when it would block. There are no
//! buffers in this crate's sockets and no background tasks: what is written is with the kernel when the call returns.
//!
//! | operation | dropped before it is ready |
//! |---|---|
//! | `read`, `peek`, `try_read` | nothing is lost |
//! | `write`, `write_vectored`, `try_write` | nothing was written |
//! | `read_exact`, `write_all` | part of it may be done, and nobody knows how much |
//! | `accept`, `Incoming::next` | the connection stays queued |
//! | `connect` | the connection is given up |
//! | `readable`, `writable` | nothing is lost |
//!
//! Sockets implement the traits of `futures-io`; with feature `tokio-io` those of tokio (without its runtime), with
//! feature `hyper` those of hyper. Feature `tls` puts TLS on streams and servers. [`Registered`] makes any other pollable
//! descriptor awaitable.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod async_fd;
mod bytes;
mod copy;
#[cfg(feature = "hyper")]
#[cfg_attr(docsrs, doc(cfg(feature = "hyper")))]
pub mod http;
#[cfg(feature = "hyper")]
#[cfg_attr(docsrs, doc(cfg(feature = "hyper")))]
pub mod hyper_rt;
mod methods;
pub mod net;
mod per_process;
mod pipe;
mod resolve;
mod stdio;
pub mod streams;
mod sys;
mod traits;

pub use async_fd::Registered;
pub use copy::{SendfileError, copy, copy_bidirectional, sendfile, splice};
pub use loxley_runtime::lowlevel::{Direction, Interest, ReadyEvent};
pub use net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};
pub use pipe::{PipeReader, PipeWriter, pipe};
pub use resolve::{ToSocketAddrs, lookup_host};
pub use stdio::{Stderr, Stdin, Stdout, stderr, stdin, stdout};
#[cfg(feature = "tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
pub use streams::tls;
pub use streams::{
    Server, StreamReader, StreamWriter, open_connection, open_unix_connection, start_server,
    start_unix_server,
};
