//! A server that is being set up: its knobs, from an address and a service to a socket that listens.
//!
//! Called by the user. What comes of it is a [`Server`] (`server.rs`). Never accepts, and starts no task.

use std::fmt;
use std::future::{Future, IntoFuture, pending};
use std::io;
use std::time::Duration;

use hyper_util::server::conn::auto;
use loxley_sync::prim::Arc;

use super::connection::{OnError, Shared};
use super::server::{BoxFuture, Drained, LastOrder, Running, Server};
use super::{Executor, HttpService, IntoService, ServeError, Timer};
use crate::TcpListener;
use crate::resolve::ToSocketAddrs;

/// As in nginx and Go's examples: longer than any honest peer needs, short enough to give the descriptor back.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// What supervisors usually grant is longer.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a silent HTTP/2 peer is asked whether it is still there, and how long it has to answer.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves HTTP/1.1 and HTTP/2 on `addr`, with one task per connection.
///
/// `service` is hyper's ([`service_fn`](super::service_fn)) or tower's (an axum `Router`). Awaiting the result binds and
/// serves for ever; set it up before with the methods of [`Serve`], or [`bind`](Serve::bind) first to learn the address. A
/// listener that is there already goes to [`serve_on`]. In a task of its own: `create_task(serve(addr, service).into_future())`,
/// or the server that `bind` gives.
///
/// HTTP/2 is spoken with peers that begin with its preface ("prior knowledge"): there is no TLS here to negotiate it.
///
/// # Panics
///
/// Awaiting it outside a runtime.
///
/// # Cancel safety
///
/// Dropping the future closes the listener and cuts the connections off.
///
/// # Examples
///
/// ```no_run
/// # #[cfg(any())]
/// #[loxley::main]
/// async fn main() -> std::io::Result<()> {
///     let router = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
///     loxley::http::serve("127.0.0.1:8080", router).await?;
///     Ok(())
/// }
/// # fn main() {}
/// ```
#[doc(alias = "TokioIo")]
pub fn serve<A, S, M>(addr: A, service: S) -> Serve<S::Service>
where
    A: ToSocketAddrs + Send + 'static,
    S: IntoService<M>,
{
    Serve::new(
        Box::pin(async move { TcpListener::bind(addr).await }),
        service.into_service(),
    )
}

/// [`serve`] on a listener that is there already: inherited, or bound with options of its own.
///
/// # Examples
///
/// ```
/// # use loxley_io::{TcpListener, http::{self, Incoming, Request, Response, service_fn}};
/// # use std::convert::Infallible;
/// # loxley_runtime::run(async {
/// # let hello = service_fn(|_: Request<Incoming>| async {
/// #     Ok::<_, Infallible>(Response::new("hello".to_owned()))
/// # });
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let addr = listener.local_addr()?;
/// let server = http::serve_on(listener, hello).bind().await?;
/// assert_eq!(server.local_addr(), addr);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub fn serve_on<S, M>(listener: TcpListener, service: S) -> Serve<S::Service>
where
    S: IntoService<M>,
{
    Serve::new(
        Box::pin(async move { Ok(listener) }),
        service.into_service(),
    )
}

/// A server that is being set up: see [`serve`].
///
/// # Examples
///
/// ```
/// use loxley_io::http::{self, Incoming, Request, Response, service_fn};
/// use std::{convert::Infallible, time::Duration};
///
/// # loxley_runtime::run(async {
/// let hello = service_fn(|_: Request<Incoming>| async {
///     Ok::<_, Infallible>(Response::new("hello".to_owned()))
/// });
/// let server = http::serve("127.0.0.1:0", hello)
///     .max_connections(10_000)
///     .header_read_timeout(Duration::from_secs(5))
///     .bind()
///     .await?;
/// let addr = server.local_addr();
/// let serving = loxley_runtime::create_task(server);
///
/// let (mut reader, writer) = loxley_io::open_connection(addr).await?;
/// writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
/// assert!(reader.read_to_end().await?.ends_with(b"hello"));
/// serving.cancel();
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[must_use = "a server does nothing unless it is awaited"]
pub struct Serve<S> {
    listener: BoxFuture<io::Result<TcpListener>>,
    service: S,
    signal: BoxFuture<()>,
    header_read_timeout: Option<Duration>,
    shutdown_timeout: Duration,
    max_connections: usize,
    keep_alive: bool,
    half_close: bool,
    peer_in_requests: bool,
    on_error: Option<OnError>,
}

impl<S> Serve<S> {
    fn new(listener: BoxFuture<io::Result<TcpListener>>, service: S) -> Self {
        Self {
            listener,
            service,
            signal: Box::pin(pending()),
            header_read_timeout: Some(HEADER_READ_TIMEOUT),
            shutdown_timeout: SHUTDOWN_TIMEOUT,
            max_connections: usize::MAX,
            keep_alive: true,
            half_close: false,
            peer_in_requests: false,
            on_error: None,
        }
    }

    /// Ends the server in good order once `signal` is ready: it stops accepting, answers the requests that have begun,
    /// closes what idles, and waits for all connections, at most [`shutdown_timeout`](Self::shutdown_timeout).
    ///
    /// Connections that the system has completed and nobody has accepted yet are reset.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::http::{self, Incoming, Request, Response, service_fn};
    /// # use std::{convert::Infallible, sync::Arc};
    /// # loxley_runtime::run(async {
    /// # let hello = service_fn(|_: Request<Incoming>| async {
    /// #     Ok::<_, Infallible>(Response::new("hello".to_owned()))
    /// # });
    /// let stop = Arc::new(loxley_sync::Event::new());
    /// let told = stop.clone();
    /// let server = http::serve("127.0.0.1:0", hello)
    ///     .with_graceful_shutdown(async move { told.wait().await }) // Or a signal.
    ///     .bind()
    ///     .await?;
    /// stop.set();
    /// assert_eq!(server.await?.dropped, 0);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn with_graceful_shutdown(
        mut self,
        signal: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        self.signal = Box::pin(signal);
        self
    }

    /// How long connections may take to finish once the server ends; what is left then is dropped and counted in
    /// [`Drained`]. Default: 10 seconds.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::http::{self, Incoming, Request, Response, service_fn};
    /// # use std::{convert::Infallible, time::Duration};
    /// # loxley_runtime::run(async {
    /// # let hello = service_fn(|_: Request<Incoming>| async {
    /// #     Ok::<_, Infallible>(Response::new("hello".to_owned()))
    /// # });
    /// let server = http::serve("127.0.0.1:0", hello)
    ///     .shutdown_timeout(Duration::from_secs(2)) // Less than what sends SIGTERM waits.
    ///     .bind()
    ///     .await?;
    /// server.handle().shutdown();
    /// assert_eq!(server.await?.dropped, 0);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn shutdown_timeout(mut self, limit: Duration) -> Self {
        self.shutdown_timeout = limit;
        self
    }

    /// How long a peer may take to send the head of a request, counted from connecting, and on HTTP/1 also from the answer
    /// to its last request: idle connections are closed after it too. `None` waits for ever, and lets anybody keep as
    /// many connections as there are descriptors ("slow loris"). Default: 30 seconds.
    ///
    /// # Examples
    ///
    /// Who connects and says nothing is sent away:
    ///
    /// ```
    /// # use loxley_io::http::{self, Incoming, Request, Response, service_fn};
    /// # use std::{convert::Infallible, time::Duration};
    /// # loxley_runtime::run(async {
    /// # let hello = service_fn(|_: Request<Incoming>| async {
    /// #     Ok::<_, Infallible>(Response::new("hello".to_owned()))
    /// # });
    /// let server = http::serve("127.0.0.1:0", hello)
    ///     .header_read_timeout(Duration::from_millis(20))
    ///     .bind()
    ///     .await?;
    /// let addr = server.local_addr();
    /// let _serving = loxley_runtime::create_task(server);
    /// let (mut reader, _writer) = loxley_io::open_connection(addr).await?;
    /// let _ended = reader.read_to_end().await;
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn header_read_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.header_read_timeout = limit.into();
        self
    }

    /// How many connections are open at once; more wait in the system's queue. Default: no limit but that on descriptors,
    /// at which accepting pauses and recovers by itself.
    ///
    /// # Panics
    ///
    /// If `count` is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::http::{self, Incoming, Request, Response, service_fn};
    /// # use std::convert::Infallible;
    /// # let hello = service_fn(|_: Request<Incoming>| async {
    /// #     Ok::<_, Infallible>(Response::new("hello".to_owned()))
    /// # });
    /// let small = http::serve("127.0.0.1:0", hello).max_connections(64);
    /// # drop(small);
    /// ```
    #[track_caller]
    pub fn max_connections(mut self, count: usize) -> Self {
        assert!(
            count > 0,
            "a server without connections serves nobody: give `max_connections` at least 1"
        );
        self.max_connections = count;
        self
    }

    /// Whether HTTP/1 connections serve more than one request. Default: yes.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::http::{self, Incoming, Request, Response, service_fn};
    /// # use std::convert::Infallible;
    /// # loxley_runtime::run(async {
    /// # let hello = service_fn(|_: Request<Incoming>| async {
    /// #     Ok::<_, Infallible>(Response::new("hello".to_owned()))
    /// # });
    /// let server = http::serve("127.0.0.1:0", hello).keep_alive(false).bind().await?;
    /// let addr = server.local_addr();
    /// let serving = loxley_runtime::create_task(server);
    /// let (mut reader, writer) = loxley_io::open_connection(addr).await?;
    /// writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    /// assert!(reader.read_to_end().await?.ends_with(b"hello"), "and then the end");
    /// serving.cancel();
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn keep_alive(mut self, keep: bool) -> Self {
        self.keep_alive = keep;
        self
    }

    /// Whether an HTTP/1 peer that has ended its sending half still gets its answer. If not, the end of the peer's half is
    /// taken for its leaving, and a handler that still waits is dropped. Default: no.
    ///
    /// # Examples
    ///
    /// For clients that end their half behind the request:
    ///
    /// ```
    /// # use loxley_io::http::{self, Incoming, Request, Response, service_fn};
    /// # use std::convert::Infallible;
    /// # loxley_runtime::run(async {
    /// # let slow = service_fn(|_: Request<Incoming>| async {
    /// #     loxley_runtime::yield_now().await;
    /// #     Ok::<_, Infallible>(Response::new("hello".to_owned()))
    /// # });
    /// let server = http::serve("127.0.0.1:0", slow).half_close(true).bind().await?;
    /// let addr = server.local_addr();
    /// let serving = loxley_runtime::create_task(server);
    /// let (mut reader, writer) = loxley_io::open_connection(addr).await?;
    /// writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    /// writer.write_eof();
    /// assert!(reader.read_to_end().await?.ends_with(b"hello"));
    /// serving.cancel();
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn half_close(mut self, allow: bool) -> Self {
        self.half_close = allow;
        self
    }

    /// Gives each request the peer's address, as [`Peer`](super::Peer) in its extensions. Costs an allocation per request.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::http::{self, Incoming, Peer, Request, Response, service_fn};
    /// # use std::convert::Infallible;
    /// # loxley_runtime::run(async {
    /// let whoami = service_fn(|request: Request<Incoming>| async move {
    ///     let peer = request.extensions().get::<Peer>().map(|peer| peer.0.to_string());
    ///     Ok::<_, Infallible>(Response::new(peer.unwrap_or_default()))
    /// });
    /// let server = http::serve("127.0.0.1:0", whoami).peer_in_requests().bind().await?;
    /// let addr = server.local_addr();
    /// let serving = loxley_runtime::create_task(server);
    /// let (mut reader, writer) = loxley_io::open_connection(addr).await?;
    /// writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    /// let answer = String::from_utf8(reader.read_to_end().await?).unwrap();
    /// assert!(answer.ends_with(&writer.local_addr()?.to_string()), "{answer}");
    /// serving.cancel();
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn peer_in_requests(mut self) -> Self {
        self.peer_in_requests = true;
        self
    }

    /// Calls `handler` for what goes wrong without ending the server. Without one, failures of the service and shortages
    /// of descriptors go to the runtime's unhandled-error handler, and peers that go away to nobody.
    ///
    /// A panic in the service is not among these: it ends its connection (on HTTP/2 its stream) and goes to the runtime's
    /// handler like that of any task.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::http::{self, Incoming, Request, Response, ServeError, service_fn};
    /// # use std::sync::mpsc::channel;
    /// # loxley_runtime::run(async {
    /// let broken = service_fn(|_: Request<Incoming>| async {
    ///     Err::<Response<String>, _>(std::io::Error::other("out of paper"))
    /// });
    /// let (log, logged) = channel();
    /// let server = http::serve("127.0.0.1:0", broken)
    ///     .on_error(move |error| {
    ///         let _ = log.send(matches!(error, ServeError::Service(_)));
    ///     })
    ///     .bind()
    ///     .await?;
    /// let addr = server.local_addr();
    /// let serving = loxley_runtime::create_task(server);
    /// let (mut reader, writer) = loxley_io::open_connection(addr).await?;
    /// writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    /// assert_eq!(reader.read_to_end().await?, b"", "HTTP has no words for it");
    /// serving.cancel();
    /// assert!(logged.recv().unwrap());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn on_error(mut self, handler: impl Fn(&ServeError) + Send + Sync + 'static) -> Self {
        self.on_error = Some(Box::new(handler));
        self
    }

    fn protocol(&self) -> auto::Builder<Executor> {
        let mut protocol = auto::Builder::new(Executor);
        // Not `pipeline_flush`: with bytes left that are no request, the 400 that says so would stay in its buffer.
        protocol
            .http1()
            .header_read_timeout(self.header_read_timeout)
            .keep_alive(self.keep_alive)
            .half_close(self.half_close);
        protocol
            .http2()
            .timer(Timer)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        protocol
    }
}

impl<S: HttpService> Serve<S> {
    /// Binds and listens, so that the address is known. Connections are accepted once the [`Server`] is awaited.
    ///
    /// # Errors
    ///
    /// If no address can be bound, naming each.
    ///
    /// # Cancel safety
    ///
    /// Nothing stays bound.
    ///
    /// # Examples
    ///
    /// The address is known before the first connection is served:
    ///
    /// ```
    /// # use loxley_io::http::{self, Incoming, Request, Response, service_fn};
    /// # use std::convert::Infallible;
    /// # loxley_runtime::run(async {
    /// # let hello = service_fn(|_: Request<Incoming>| async {
    /// #     Ok::<_, Infallible>(Response::new("hello".to_owned()))
    /// # });
    /// let server = http::serve("127.0.0.1:0", hello).bind().await?;
    /// assert_ne!(server.local_addr().port(), 0);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub async fn bind(self) -> io::Result<Server> {
        let protocol = self.protocol();
        let listener = self.listener.await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared::new(
            protocol,
            self.header_read_timeout,
            self.peer_in_requests,
            self.on_error,
        ));
        let running = Running {
            listener,
            service: self.service,
            signal: self.signal,
            max_connections: self.max_connections,
            shutdown_timeout: self.shutdown_timeout,
            shared: LastOrder(shared),
        };
        Ok(Server::bound(addr, running))
    }
}

impl<S: HttpService> IntoFuture for Serve<S> {
    type Output = io::Result<Drained>;
    type IntoFuture = BoxFuture<io::Result<Drained>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.bind().await?.await })
    }
}

impl<S> fmt::Debug for Serve<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("header_read_timeout", &self.header_read_timeout)
            .field("shutdown_timeout", &self.shutdown_timeout)
            .field("max_connections", &self.max_connections)
            .field("keep_alive", &self.keep_alive)
            .finish_non_exhaustive()
    }
}
