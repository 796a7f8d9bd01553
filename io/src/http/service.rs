//! Services: one shape for the two forms in use, and what the server watches of each request.
//!
//! Called by `serve.rs` (to take a service) and `connection.rs` (to watch it). Knows no sockets.
//!
//! hyper's form takes `&self` and no reservation; tower's takes `&mut self` after `poll_ready`. A type that is a service
//! in one form only, as nearly all are, is taken as it is: the marker in [`IntoService`] keeps the two implementations
//! apart, and the compiler finds the marker.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::service::TowerToHyperService;
use pin_project_lite::pin_project;

use super::connection::Watch;
use super::{BoxError, ServeError};

/// Marks hyper's form of service: `hyper::service::Service`.
///
/// # Examples
///
/// ```
/// use loxley_io::http::{HyperService, Incoming, IntoService, Request, Response, service_fn};
/// use std::convert::Infallible;
///
/// fn takes<S: IntoService<HyperService>>(_: S) {}
/// takes(service_fn(|_: Request<Incoming>| async {
///     Ok::<_, Infallible>(Response::new("hello".to_owned()))
/// }));
/// ```
#[derive(Debug)]
pub enum HyperService {}

/// Marks tower's form of service: `tower_service::Service`.
///
/// # Examples
///
/// ```
/// use loxley_io::http::{Incoming, IntoService, Request, Response, TowerService};
/// # use std::{convert::Infallible, future::{Ready, ready}, task::{Context, Poll}};
///
/// #[derive(Clone)]
/// struct Hello;
///
/// impl tower_service::Service<Request<Incoming>> for Hello {
///     type Response = Response<String>;
///     type Error = Infallible;
///     type Future = Ready<Result<Self::Response, Infallible>>;
///
///     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
///         Poll::Ready(Ok(()))
///     }
///     fn call(&mut self, _: Request<Incoming>) -> Self::Future {
///         ready(Ok(Response::new("hello".to_owned())))
///     }
/// }
///
/// fn takes<S: IntoService<TowerService>>(_: S) {}
/// takes(Hello);
/// ```
#[derive(Debug)]
pub enum TowerService {}

/// A service in hyper's form that a server can run: everything hyper calls a service, if it can be cloned and sent.
///
/// # Examples
///
/// A function that takes any service, whatever its type:
///
/// ```
/// use loxley_io::http::{HttpService, Incoming, Request, Response, Serve, serve, service_fn};
/// use std::convert::Infallible;
///
/// fn on_a_port_of_its_own<S: HttpService>(service: S) -> Serve<S> {
///     serve("127.0.0.1:0", service)
/// }
/// let hello = service_fn(|_: Request<Incoming>| async {
///     Ok::<_, Infallible>(Response::new("hello".to_owned()))
/// });
/// drop(on_a_port_of_its_own(hello));
/// ```
pub trait HttpService:
    Service<
        Request<Incoming>,
        Response = Response<Self::Body>,
        Error: Into<BoxError>,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static
{
    /// The body of its responses.
    type Body: Body<Data: Send, Error: Into<BoxError>> + Send + 'static;
}

impl<S, B> HttpService for S
where
    S: Service<
            Request<Incoming>,
            Response = Response<B>,
            Error: Into<BoxError>,
            Future: Send + 'static,
        > + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Body = B;
}

/// What [`serve`](super::serve) takes: a service from requests to responses, in hyper's or in tower's form.
///
/// Each connection gets a clone. The marker `M` is found by the compiler; a type that is a service in both forms has to be
/// wrapped so that it is one in one form.
///
/// # Examples
///
/// A function that takes services in either form, as `serve` does:
///
/// ```
/// use loxley_io::http::{Incoming, IntoService, Request, Response, Serve, serve, service_fn};
/// use std::convert::Infallible;
///
/// fn short<M, S: IntoService<M>>(service: S) -> Serve<S::Service> {
///     serve("127.0.0.1:0", service).keep_alive(false)
/// }
/// drop(short(service_fn(|_: Request<Incoming>| async {
///     Ok::<_, Infallible>(Response::new("hello".to_owned()))
/// })));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no service that can be served",
    label = "not a service from `Request<Incoming>` to `Response<B>`",
    note = "write a function `async fn(Request<Incoming>) -> Result<Response<B>, E>` and hand over `service_fn(it)`, or an \
            axum `Router`; it must be `Clone + Send + 'static` and its futures `Send`"
)]
pub trait IntoService<M> {
    /// It in hyper's form.
    type Service: HttpService;

    /// Brings it into hyper's form.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::http::{Incoming, IntoService, Request, Response, serve, service_fn};
    /// # use std::convert::Infallible;
    /// let hello = service_fn(|_: Request<Incoming>| async {
    ///     Ok::<_, Infallible>(Response::new("hello".to_owned()))
    /// });
    /// drop(serve("127.0.0.1:0", hello.into_service())); // Already in hyper's form.
    /// ```
    fn into_service(self) -> Self::Service;
}

impl<S: HttpService> IntoService<HyperService> for S {
    type Service = S;

    fn into_service(self) -> S {
        self
    }
}

impl<S, B> IntoService<TowerService> for S
where
    S: tower_service::Service<
            Request<Incoming>,
            Response = Response<B>,
            Error: Into<BoxError>,
            Future: Send + 'static,
        > + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Service = TowerToHyperService<S>;

    fn into_service(self) -> Self::Service {
        TowerToHyperService::new(self)
    }
}

/// The address at the other end of the connection, in the extensions of each request of a server that was asked for it:
/// see [`Serve::peer_in_requests`](super::Serve::peer_in_requests).
///
/// # Examples
///
/// A service that answers its own machine alone:
///
/// ```
/// use loxley_io::http::{Incoming, Peer, Request, Response, StatusCode, service_fn};
/// use std::convert::Infallible;
///
/// let local = service_fn(|request: Request<Incoming>| async move {
///     let mut response = Response::new(String::new());
///     let peer = request.extensions().get::<Peer>();
///     if !peer.is_some_and(|peer| peer.0.ip().is_loopback()) {
///         *response.status_mut() = StatusCode::FORBIDDEN;
///     }
///     Ok::<_, Infallible>(response)
/// });
/// drop(loxley_io::http::serve("127.0.0.1:0", local).peer_in_requests());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// A service whose requests and failures are seen by its connection.
pub(super) struct Watched<S> {
    pub(super) service: S,
    pub(super) watch: Arc<Watch>,
}

impl<S, B> Service<Request<Incoming>> for Watched<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>>,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Answer<S::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.watch.request();
        if let Some(peer) = self.watch.peer() {
            request.extensions_mut().insert(Peer(peer));
        }
        Answer {
            future: self.service.call(request),
            watch: self.watch.clone(),
        }
    }
}

pin_project! {
    /// The answer to one request; an error is reported before hyper cuts the connection off for it.
    pub(super) struct Answer<F> {
        #[pin]
        future: F,
        watch: Arc<Watch>,
    }
}

impl<F, B, E> Future for Answer<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<B>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let failure = match ready!(this.future.poll(cx)) {
            Ok(response) => return Poll::Ready(Ok(response)),
            Err(error) => ServeError::of_service(error.into()),
        };
        this.watch.report(&failure);
        this.watch.service_failed();
        let (ServeError::Service(error) | ServeError::Connection(error)) = failure else {
            unreachable!("made above");
        };
        Poll::Ready(Err(error))
    }
}
