//! asyncio's streams: a reader that knows lines and separators, a writer that never waits, and what carries them.
//!
//! ```text
//!   StreamReader ──────────────┐
//!     what has come            ├── Link ── a socket
//!   StreamWriter, its clones ──┘     what could not be sent at once, and a task that sends it
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `reader.rs` | [`StreamReader`]: pulls bytes when somebody asks for them, so that a peer who floods fills the kernel, not us |
//! | `source.rs` | where a reader's bytes come from: a socket, a pipe, somebody else's in a box |
//! | `writer.rs` | [`StreamWriter`]: sends at once what it can and queues the rest |
//! | `transport.rs` | [`Transport`]: the connection for who watches over it, and what can be asked of it |
//! | `link.rs` | what reader and writers share: the queue, its water marks, the end |
//! | `flush.rs` | the task that sends what is queued, while there is any |
//! | `socket.rs` | the kinds of socket a link goes over without a box |
//! | `connect.rs`, `race.rs` | [`open_connection`], and several addresses at once |
//! | `server/` | [`start_server`], [`Server`] |
//! | `tls/` | TLS on any of that, behind feature `tls` |
//! | `buffer.rs`, `separators.rs`, `errors.rs` | bytes, what ends a record, what a read can end with |
//!
//! Everything that is not a socket of ours goes through futures-io's traits, in a box:
//! [`StreamReader::from_reader`], [`StreamWriter::from_writer`].

mod buffer;
mod connect;
mod errors;
mod flush;
mod link;
mod marks;
mod race;
mod reader;
mod separators;
mod server;
mod socket;
mod source;
#[cfg(feature = "tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
pub mod tls;
#[cfg(not(feature = "tls"))]
#[path = "untls.rs"]
mod tls;
mod transport;
mod writer;

pub use connect::{ConnectError, OpenConnection, open_connection, open_unix_connection};
pub use errors::{IncompleteReadError, LimitOverrunError, LineTooLongError, ReadError};
pub use marks::WaterMarks;
pub use reader::{Lines, StreamReader};
pub use separators::Separators;
pub use server::{
    Endpoint, HandlerOutput, ServeError, Server, ServerBuilder, start_server, start_unix_server,
};
pub use transport::{ExtraInfo, PeerName, SockName, Transport};
pub use writer::StreamWriter;

use std::sync::Arc;

use crate::net::{TcpStream, UnixStream};
use crate::traits::{AsyncRead, AsyncWrite};
use link::Link;
use socket::Socket;

/// How many bytes a line or record may have, unless somebody says otherwise: 64 KiB, as in asyncio.
pub const DEFAULT_LIMIT: usize = 64 << 10;

/// A reader and a writer over a TCP connection, with the default limit ([`StreamReader::set_limit`] changes it). The socket's
/// options stay as they are.
///
/// # Examples
///
/// ```
/// use loxley_io::{TcpListener, TcpStream, streams};
///
/// # loxley_runtime::run(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let (mut reader, writer) = streams::from_tcp(TcpStream::connect(listener.local_addr()?).await?);
/// let (peer, _) = listener.accept().await?;
/// peer.write_all(b"one\ntwo\n").await?;
/// assert_eq!(reader.readline().await?, b"one\n");
/// writer.write(b"three");
/// writer.close();
/// writer.wait_closed().await?;
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// **Differs from asyncio**: in place of `open_connection(sock=…)`.
#[must_use = "dropping both closes the connection"]
#[doc(alias = "StreamReaderProtocol")]
#[doc(alias = "connect_accepted_socket")]
pub fn from_tcp(stream: TcpStream) -> (StreamReader, StreamWriter) {
    from_socket(Socket::Tcp(stream), DEFAULT_LIMIT)
}

/// A reader and a writer over a connection between Unix-domain sockets, as [`from_tcp`].
///
/// # Examples
///
/// ```
/// use loxley_io::{UnixStream, streams};
///
/// # loxley_runtime::run(async {
/// let (ours, theirs) = UnixStream::pair()?;
/// let (mut reader, writer) = streams::from_unix(ours);
/// theirs.write_all(b"one\n").await?;
/// assert_eq!(reader.readline().await?, b"one\n");
/// writer.write(b"two");
/// writer.drain().await?;
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[must_use = "dropping both closes the connection"]
#[doc(alias = "StreamReaderProtocol")]
pub fn from_unix(stream: UnixStream) -> (StreamReader, StreamWriter) {
    from_socket(Socket::Unix(stream), DEFAULT_LIMIT)
}

/// A reader and a writer over the two halves of one connection that is no socket of ours: TLS, a tunnel, something in
/// memory. Closing the writer ends the reader, too.
///
/// # Panics
///
/// If `limit` is zero.
///
/// # Examples
///
/// ```
/// use loxley_io::{pipe, streams};
///
/// # loxley_runtime::run(async {
/// let (from_peer, to_us) = pipe()?;
/// let (at_peer, from_us) = pipe()?;
/// let (mut reader, writer) = streams::from_halves(from_peer, from_us, 64 << 10);
/// to_us.write_all(b"hello\n").await?;
/// assert_eq!(reader.readline().await?, b"hello\n");
/// writer.write(b"you");
/// writer.drain().await?;
/// let mut answer = [0; 3];
/// at_peer.read_exact(&mut answer).await?;
/// assert_eq!(&answer, b"you");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[track_caller]
#[must_use = "dropping both closes the connection"]
#[doc(alias = "StreamReaderProtocol")]
pub fn from_halves(
    reader: impl AsyncRead + Send + 'static,
    writer: impl AsyncWrite + Send + 'static,
    limit: usize,
) -> (StreamReader, StreamWriter) {
    let link = Arc::new(Link::boxed(Box::pin(writer)));
    let reader = StreamReader::boxed(Box::pin(reader), Some(link.clone()), limit);
    (reader, StreamWriter::over(link))
}

fn from_socket(socket: Socket, limit: usize) -> (StreamReader, StreamWriter) {
    let link = Arc::new(Link::over(socket));
    (
        StreamReader::over(link.clone(), limit),
        StreamWriter::over(link),
    )
}
