//! A server: its accept loop, and its end.
//!
//! Made by `serve.rs`, which has its knobs; awaited by the user. The loop and each connection (`connection.rs`) run in tasks
//! of their own; a [`Server`] that ends, whichever way, leaves none behind. Never speaks HTTP itself.
//!
//! ```text
//!   serving ── signal, handle ──► finishing ── all gone ──────────────────────► Ok(Drained { dropped: 0 })
//!      │                            ▲   └───── shutdown_timeout ──► cutting ──► Ok(Drained { dropped: n })
//!      └── the listener is broken ──┘                                              (or the listener's error)
//! ```

use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use loxley_runtime::{Task, TaskError, create_task, timeout};
use loxley_sync::prim::Arc;

use super::connection::{self, Open, Shared};
use super::{HttpService, ServeError};
use crate::net::Incoming;
use crate::{TcpListener, TcpStream};

/// How long a server waits for connections that it has cut off: each needs one more turn to be dropped, and has it unless
/// a handler blocks its worker.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A server that listens; await it to serve. See [`serve`](super::serve).
///
/// It ends with what it left behind when its signal came or its handle said so, with an error if its listener broke, and
/// else never.
///
/// # Cancel safety
///
/// Dropping it closes the listener and cuts its connections off.
///
/// # Examples
///
/// ```
/// use loxley_io::http::{self, Incoming, Request, Response, service_fn};
/// # use std::convert::Infallible;
///
/// # loxley_runtime::run(async {
/// # let hello = service_fn(|_: Request<Incoming>| async {
/// #     Ok::<_, Infallible>(Response::new("hello".to_owned()))
/// # });
/// let server: http::Server = http::serve("127.0.0.1:0", hello).bind().await?;
/// let handle = server.handle();
/// let serving = loxley_runtime::create_task(server);
/// handle.shutdown();
/// assert_eq!(serving.await??.dropped, 0);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[must_use = "a server accepts nothing unless it is awaited"]
pub struct Server {
    addr: SocketAddr,
    shared: Arc<Shared>,
    stage: Stage,
}

/// The loop runs in a task of its own, on the workers: a server is often awaited by the program's main future, whose thread
/// would have to be woken for every connection.
enum Stage {
    /// Not polled yet.
    Bound(BoxFuture<io::Result<Drained>>),
    Serving(Task<io::Result<Drained>>),
}

impl Server {
    /// On this address, with a loop that begins when it is awaited.
    pub(super) fn bound<S: HttpService>(addr: SocketAddr, running: Running<S>) -> Self {
        Self {
            addr,
            shared: running.shared.0.clone(),
            stage: Stage::Bound(Box::pin(running.run())),
        }
    }

    /// The address that is listened on.
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
    /// let server = http::serve("127.0.0.1:0", hello).bind().await?;
    /// println!("http://{}/", server.local_addr());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// What ends the server from elsewhere.
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
    /// let server = http::serve("127.0.0.1:0", hello).bind().await?;
    /// let (for_the_signal, for_the_metrics) = (server.handle(), server.handle());
    /// assert_eq!(for_the_metrics.connections(), 0);
    /// for_the_signal.shutdown();
    /// server.await?;
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle(self.shared.clone())
    }
}

impl Future for Server {
    type Output = io::Result<Drained>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let stage = &mut self.stage;
        loop {
            match stage {
                Stage::Bound(running) => {
                    let nothing: BoxFuture<_> = Box::pin(pending());
                    let running = std::mem::replace(running, nothing);
                    *stage = Stage::Serving(create_task(running));
                }
                Stage::Serving(task) => {
                    return Pin::new(task).poll(cx).map(|ended| match ended {
                        Ok(result) => result,
                        Err(TaskError::Panicked(panic)) => panic.resume(),
                        // By the runtime's end.
                        Err(error) => Err(io::Error::other(error)),
                    });
                }
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Stage::Serving(task) = &self.stage {
            task.cancel();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addr", &self.addr)
            .field("connections", &self.shared.open())
            .finish_non_exhaustive()
    }
}

/// Ends a [`Server`] from elsewhere, and counts its connections.
///
/// # Examples
///
/// ```
/// use loxley_io::http::{self, Incoming, Request, Response, ServerHandle, service_fn};
/// # use std::convert::Infallible;
///
/// # loxley_runtime::run(async {
/// # let hello = service_fn(|_: Request<Incoming>| async {
/// #     Ok::<_, Infallible>(Response::new("hello".to_owned()))
/// # });
/// let server = http::serve("127.0.0.1:0", hello).bind().await?;
/// let handle: ServerHandle = server.handle();
/// std::thread::spawn(move || handle.shutdown()); // From any thread.
/// server.await?;
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct ServerHandle(Arc<Shared>);

impl ServerHandle {
    /// Ends the server in good order, as [`with_graceful_shutdown`](super::Serve::with_graceful_shutdown) says. Who awaits the
    /// server sees it done.
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
    /// let server = http::serve("127.0.0.1:0", hello).bind().await?;
    /// let addr = server.local_addr();
    /// server.handle().shutdown();
    /// server.await?;
    /// assert!(loxley_io::open_connection(addr).await.is_err(), "nobody listens there now");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn shutdown(&self) {
        self.0.stop.set();
    }

    /// How many connections there are. A snapshot.
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
    /// let server = http::serve("127.0.0.1:0", hello).bind().await?;
    /// let (addr, handle) = (server.local_addr(), server.handle());
    /// let serving = loxley_runtime::create_task(server);
    /// let (mut reader, writer) = loxley_io::open_connection(addr).await?;
    /// writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    /// reader.readline().await?;
    /// assert_eq!(handle.connections(), 1, "it is kept for the next request");
    /// serving.cancel();
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.open()
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle")
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

/// What a server that ended in good order left behind.
///
/// # Examples
///
/// ```
/// use loxley_io::http::{self, Drained, Incoming, Request, Response, service_fn};
/// # use std::convert::Infallible;
///
/// # loxley_runtime::run(async {
/// # let hello = service_fn(|_: Request<Incoming>| async {
/// #     Ok::<_, Infallible>(Response::new("hello".to_owned()))
/// # });
/// let server = http::serve("127.0.0.1:0", hello).bind().await?;
/// server.handle().shutdown();
/// let left: Drained = server.await?;
/// assert_eq!(left.dropped, 0, "everybody got an answer");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Connections that did not finish in time and were dropped.
    pub dropped: usize,
}

impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.dropped {
            0 => f.write_str("every connection finished"),
            1 => f.write_str("1 connection did not finish and was dropped"),
            n => write!(f, "{n} connections did not finish and were dropped"),
        }
    }
}

/// Gives the last orders when the server goes, so that no connection outlives it.
pub(super) struct LastOrder(pub(super) Arc<Shared>);

impl Drop for LastOrder {
    fn drop(&mut self) {
        self.0.finish.set();
        self.0.cut.set();
    }
}

/// Everything the loop owns. The order of its fields is that of their end: nobody is accepted who would be cut off.
pub(super) struct Running<S> {
    pub(super) listener: TcpListener,
    pub(super) service: S,
    pub(super) signal: BoxFuture<()>,
    pub(super) max_connections: usize,
    pub(super) shutdown_timeout: Duration,
    pub(super) shared: LastOrder,
}

impl<S: HttpService> Running<S> {
    async fn run(mut self) -> io::Result<Drained> {
        let ended = self.accept().await;
        let Self {
            listener,
            shutdown_timeout,
            shared: last_order,
            ..
        } = self;
        drop(listener);
        let shared = &last_order.0;
        shared.finish.set();
        let mut dropped = 0;
        if timeout(shutdown_timeout, shared.at_most(0)).await.is_err() {
            dropped = shared.open();
            shared.cut.set();
            // Whoever is left after that blocks a worker, which the runtime reports when it ends.
            let _ = timeout(CUT_TIMEOUT, shared.at_most(0)).await;
        }
        ended.map(|()| Drained { dropped })
    }

    /// Accepts until it is told to stop, or the listener breaks.
    async fn accept(&mut self) -> io::Result<()> {
        let shared = &self.shared.0;
        let mut told = pin!(shared.stop.wait());
        let mut incoming = self.listener.incoming();
        loop {
            let next = next(shared, &mut incoming, self.max_connections);
            let mut next = pin!(next);
            let accepted = poll_fn(|cx| {
                if self.signal.as_mut().poll(cx).is_ready() || told.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                next.as_mut().poll(cx).map(Some)
            });
            match accepted.await {
                None => return Ok(()),
                Some(Ok((stream, peer))) => {
                    // Refused only for a connection that is gone already.
                    let _ = stream.set_nodelay(true);
                    let open = Open::new(shared.clone());
                    let service = self.service.clone();
                    drop(create_task(connection::run(open, stream, peer, service)));
                }
                Some(Err(NotAccepted::ForNow(error))) => shared.report(&ServeError::Accept(error)),
                Some(Err(NotAccepted::Broken(error))) => return Err(error),
            }
        }
    }
}

enum NotAccepted {
    /// Of a shortage that passes.
    ForNow(io::Error),
    /// Of the listener itself.
    Broken(io::Error),
}

/// The next connection, as soon as there is room for it.
async fn next(
    shared: &Shared,
    incoming: &mut Incoming<'_>,
    max_connections: usize,
) -> Result<(TcpStream, SocketAddr), NotAccepted> {
    shared.at_most(max_connections - 1).await;
    match incoming.next().await {
        Ok(connection) => Ok(connection),
        Err(error) if incoming.is_pausing() => Err(NotAccepted::ForNow(error)),
        Err(error) => Err(NotAccepted::Broken(error)),
    }
}
