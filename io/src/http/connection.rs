//! One connection from its first byte to its end, and what all connections of a server share.
//!
//! Called by `server.rs`, which spawns [`run`] once per connection. Never accepts, never decides when the server ends.
//!
//! # Orders
//!
//! Two events tell every connection what to do, in this order: *finish* (answer what has begun, then close), *cut* (drop
//! everything). A connection enlists for the next of them at its first poll and looks at the flag, one load, at all others:
//! it is always polled by its own task, so the waker it left stays good.
//!
//! # The first request
//!
//! Whether a connection speaks HTTP/1 or 2 is known after its first bytes, and hyper's own clock starts only then. So the
//! time to the first request is measured here; from there on hyper's clock does it.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use hyper_util::server::conn::auto;
use loxley_runtime::lowlevel;
use loxley_sync::prim::Arc;
use loxley_sync::prim::atomic::{AtomicBool, AtomicUsize, Ordering};
use loxley_sync::{Event, Notify};

use super::alarm::Alarm;
use super::service::Watched;
use super::{BoxError, Executor, HttpService, ServeError};
use crate::TcpStream;

/// Called for what went wrong without ending the server.
pub(super) type OnError = Box<dyn Fn(&ServeError) + Send + Sync>;

/// What the connections of one server share with it.
pub(super) struct Shared {
    pub(super) protocol: auto::Builder<Executor>,
    pub(super) first_request: Option<Duration>,
    pub(super) peer_in_requests: bool,
    pub(super) on_error: Option<OnError>,
    /// Somebody asked the server to end.
    pub(super) stop: Event,
    /// The first order to connections.
    pub(super) finish: Event,
    /// The second.
    pub(super) cut: Event,
    open: AtomicUsize,
    /// A connection has ended. The server alone waits for it.
    gone: Notify,
}

impl Shared {
    pub(super) fn new(
        protocol: auto::Builder<Executor>,
        first_request: Option<Duration>,
        peer_in_requests: bool,
        on_error: Option<OnError>,
    ) -> Self {
        Self {
            protocol,
            first_request,
            peer_in_requests,
            on_error,
            stop: Event::new(),
            finish: Event::new(),
            cut: Event::new(),
            open: AtomicUsize::new(0),
            gone: Notify::new(),
        }
    }

    /// How many connections there are.
    pub(super) fn open(&self) -> usize {
        // ordering: Acquire pairs with the Release of `Open`'s drop: who sees a connection gone sees what it did.
        self.open.load(Ordering::Acquire)
    }

    /// Waits until there are at most `count` connections. For the server's own task.
    pub(super) async fn at_most(&self, count: usize) {
        while self.open() > count {
            self.gone.notified().await;
        }
    }

    /// Reports to the server's handler, else to the runtime's. That peers go away is no news for the latter.
    pub(super) fn report(&self, error: &ServeError) {
        match (&self.on_error, error) {
            (Some(on_error), _) => on_error(error),
            (None, ServeError::Connection(_)) => {}
            (None, ServeError::Accept(_) | ServeError::Service(_)) => {
                lowlevel::report_unhandled(error);
            }
        }
    }
}

/// Counts one connection for as long as it lives, whichever way it ends.
pub(super) struct Open(Arc<Shared>);

impl Open {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        // ordering: Relaxed. A count; the server makes it and reads it on the same task.
        shared.open.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // ordering: Release pairs with the Acquire of `Shared::open`.
        self.0.open.fetch_sub(1, Ordering::Release);
        self.0.gone.notify_one();
    }
}

/// What a connection knows of its requests. The service's side writes, the connection's reads.
pub(super) struct Watch {
    shared: Arc<Shared>,
    peer: SocketAddr,
    has_begun: AtomicBool,
    has_failed: AtomicBool,
}

impl Watch {
    /// A request has come.
    pub(super) fn request(&self) {
        if !self.has_begun() {
            // ordering: Relaxed. hyper calls services while the connection is polled: same task, nothing travels along.
            self.has_begun.store(true, Ordering::Relaxed);
        }
    }

    fn has_begun(&self) -> bool {
        // ordering: Relaxed, as above.
        self.has_begun.load(Ordering::Relaxed)
    }

    /// The service has failed, and that is reported.
    pub(super) fn service_failed(&self) {
        // ordering: Relaxed. Read by the HTTP/1 connection that polled the service: same task.
        self.has_failed.store(true, Ordering::Relaxed);
    }

    fn has_failed(&self) -> bool {
        // ordering: Relaxed, as above.
        self.has_failed.load(Ordering::Relaxed)
    }

    /// The peer's address, if requests are to carry it.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.shared.peer_in_requests.then_some(self.peer)
    }

    pub(super) fn report(&self, error: &ServeError) {
        self.shared.report(error);
    }
}

/// How a connection ended.
enum End {
    /// By itself, or with the error that hyper saw.
    Own(Result<(), BoxError>),
    /// No request came in time.
    Silent,
    /// By order.
    Cut,
}

/// Serves one connection; `open` counts it.
pub(super) async fn run<S: HttpService>(
    open: Open,
    stream: TcpStream,
    peer: SocketAddr,
    service: S,
) {
    let shared = &open.0;
    let watch = Arc::new(Watch {
        shared: shared.clone(),
        peer,
        has_begun: AtomicBool::new(false),
        has_failed: AtomicBool::new(false),
    });
    let service = Watched {
        service,
        watch: watch.clone(),
    };
    let is_finishing = || shared.finish.is_set();
    match drive(shared, &watch, stream, service).await {
        End::Own(Ok(())) | End::Cut => {}
        // Told to finish before its first byte: hyper calls that an error.
        End::Own(Err(_)) if is_finishing() && !watch.has_begun() => {}
        End::Own(Err(_)) if watch.has_failed() => {}
        End::Own(Err(error)) => {
            let is_ours = error
                .downcast_ref::<hyper::Error>()
                .is_some_and(hyper::Error::is_user);
            watch.report(&match is_ours {
                true => ServeError::of_service(error),
                false => ServeError::Connection(error),
            });
        }
        End::Silent => watch.report(&ServeError::Connection(Box::new(io::Error::new(
            io::ErrorKind::TimedOut,
            "the peer sent no request in time",
        )))),
    }
}

/// Polls hyper's connection, and obeys orders and the clock of the first request.
async fn drive<S: HttpService>(
    shared: &Shared,
    watch: &Watch,
    stream: TcpStream,
    service: Watched<S>,
) -> End {
    let alarm = Alarm::new();
    let mut protocol = shared.protocol.clone();
    protocol.http1().timer(alarm.clone());
    let mut connection = pin!(protocol.serve_connection_with_upgrades(stream, service));
    let mut order = pin!(shared.finish.wait());
    let mut next_order = &shared.finish;
    let mut is_enlisted = false;
    let mut silence = pin!(shared.first_request.map(|limit| alarm.after(limit)));
    poll_fn(|cx| {
        if !is_enlisted || next_order.is_set() {
            is_enlisted = true;
            while order.as_mut().poll(cx).is_ready() {
                if std::ptr::eq(next_order, &shared.cut) {
                    return Poll::Ready(End::Cut);
                }
                connection.as_mut().graceful_shutdown();
                next_order = &shared.cut;
                order.set(shared.cut.wait());
            }
        }
        let polled = connection.as_mut().poll(cx).map(End::Own);
        if polled.is_ready() || silence.is_none() {
            return polled;
        }
        if watch.has_begun() {
            silence.set(None);
            return Poll::Pending;
        }
        match silence.as_mut().as_pin_mut().map(|wait| wait.poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(End::Silent),
            Some(Poll::Pending) | None => Poll::Pending,
        }
    })
    .await
}
