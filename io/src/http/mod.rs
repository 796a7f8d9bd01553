//! HTTP/1.1 and HTTP/2 servers: hyper's protocol code on this runtime's sockets, tasks and timers.
//!
//! The door is [`serve`]. It takes what the ecosystem calls a service, in either of its two forms: hyper's, as made by
//! [`service_fn`], and tower's, such as an axum `Router`. Everything that speaks of the network (accepting, limits, the
//! end in good order) is here; everything that speaks HTTP is hyper's.
//!
//! | file | holds |
//! |---|---|
//! | `service.rs` | one shape for both forms of service, and what is watched of each request |
//! | `connection.rs` | the life of one connection, and what all connections of a server share |
//! | `alarm.rs` | one timer per connection in place of one per request |
//! | `serve.rs` | the builder: every knob, and a socket that listens |
//! | `server.rs` | the accept loop, the end |
//! | `timeout.rs` | a limit on a service's answers, as a tower layer |
//!
//! # Limits
//!
//! | what | default | knob |
//! |---|---|---|
//! | from connecting to the first complete request head, and from one response to the next head | 30 s | [`header_read_timeout`](Serve::header_read_timeout) |
//! | connections at once | as many as there are descriptors | [`max_connections`](Serve::max_connections) |
//! | end in good order | 10 s | [`shutdown_timeout`](Serve::shutdown_timeout) |
//! | HTTP/1 buffer of a connection, a request head included | 408 KiB and 100 headers (hyper's) | – |
//! | HTTP/2 streams at once on a connection | 200 (hyper's) | – |
//! | HTTP/2 window of a stream, and of a connection | 1 MiB each (hyper's) | – |
//! | HTTP/2 bytes kept for sending, of a stream | 400 KiB (hyper's) | – |
//!
//! A body that is not read is not taken from the socket, and one that is not sent is not asked for: both ends feel the
//! other's pace. How long a service may take to answer is up to a [`TimeoutLayer`]. How long a body may take is not limited:
//! put a [`timeout`](loxley_runtime::timeout) around what awaits it.
//!
//! # Examples
//!
//! ```no_run
//! use loxley_io::http::{self, Incoming, Request, Response, service_fn};
//!
//! # async fn example() -> std::io::Result<()> {
//! let hello = service_fn(|_: Request<Incoming>| async {
//!     Ok::<_, std::convert::Infallible>(Response::new("hello".to_owned()))
//! });
//! http::serve("127.0.0.1:8080", hello).await?;
//! # Ok(())
//! # }
//! ```

mod alarm;
mod connection;
mod serve;
mod server;
mod service;
mod timeout;

use std::error::Error;
use std::fmt;
use std::io;

pub use hyper::body::Incoming;
pub use hyper::service::service_fn;
pub use hyper::{Request, Response, StatusCode};

pub use crate::hyper_rt::{Executor, Timer};
pub use serve::{Serve, serve, serve_on};
pub use server::{Drained, Server, ServerHandle};
pub use service::{HttpService, HyperService, IntoService, Peer, TowerService};
pub use timeout::{TimeoutFuture, TimeoutLayer, TimeoutService};

/// Any error, as hyper and tower pass them on.
///
/// # Examples
///
/// Whatever a handler's `?` meets:
///
/// ```
/// use loxley_io::http::BoxError;
///
/// fn parse(text: &str) -> Result<u16, BoxError> {
///     Ok(text.parse()?)
/// }
/// assert!(parse("eighty").is_err());
/// ```
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What went wrong in a server without ending it; see [`Serve::on_error`].
///
/// # Examples
///
/// ```
/// use loxley_io::http::ServeError;
///
/// let error = ServeError::Service("out of paper".into());
/// assert_eq!(error.to_string(), "a service failed: out of paper");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// The system is short of descriptors or memory: accepting pauses and goes on by itself. Once per shortage.
    Accept(io::Error),
    /// The service answered a request with an error, or a response's body ended in one. HTTP has no words for it: the
    /// connection (on HTTP/2 the stream) is cut off.
    Service(BoxError),
    /// A connection ended before its time: the peer went away, was too slow, or does not speak HTTP. So is a service's
    /// error that comes from there.
    Connection(BoxError),
}

impl ServeError {
    /// Sorts what a service or a body of its has returned: a request's body that breaks off is often handed on as the
    /// service's own error, and is still the peer's doing.
    fn of_service(error: BoxError) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&*error);
        while let Some(this) = cause {
            let hyper = this.downcast_ref::<hyper::Error>();
            if hyper.is_some_and(|hyper| !hyper.is_user()) {
                return Self::Connection(error);
            }
            cause = this.source();
        }
        Self::Service(error)
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept(error) => write!(f, "accepting connections pauses: {error}"),
            Self::Service(error) => write!(f, "a service failed: {error}"),
            Self::Connection(error) => write!(f, "a connection failed: {error}"),
        }
    }
}

impl Error for ServeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(match self {
            Self::Accept(error) => error,
            Self::Service(error) | Self::Connection(error) => &**error,
        })
    }
}
