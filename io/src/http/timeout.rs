//! A limit on how long a service takes to answer, as a layer of tower's kind.
//!
//! Called by the user, between [`serve`](super::serve) and a service. Knows no server: the layer works wherever this
//! runtime's timers do. (tower's own timeouts count on Tokio's and panic without them.)

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::{Request, Response, StatusCode};
use loxley_runtime::{Timeout, timeout};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// Answers in the service's place if it takes longer than a limit: with [`status`](Self::status) and an empty body.
///
/// The limit is on the answer's head. It begins when the service first has to wait; what the service was doing then is
/// cancelled as by [`timeout`], so that it can clean up. A body that is being sent already is not cut off.
///
/// The default answer is *503 Service Unavailable*, as in Go's `TimeoutHandler`; *408* would tell the client that it was
/// slow itself, and that it may send the request again.
///
/// # Examples
///
/// ```no_run
/// # #[cfg(any())]
/// # fn example() {
/// let router = axum::Router::new()
///     .route("/report", axum::routing::get(report))
///     .layer(loxley::http::TimeoutLayer::new(Duration::from_secs(5)));
/// # }
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a layer does nothing unless it is put around a service"]
pub struct TimeoutLayer {
    limit: Duration,
    status: StatusCode,
}

impl TimeoutLayer {
    /// Services may take `limit` for an answer.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::http::TimeoutLayer;
    /// # use std::time::Duration;
    /// const LIMIT: TimeoutLayer = TimeoutLayer::new(Duration::from_secs(5));
    /// # let _ = LIMIT;
    /// ```
    pub const fn new(limit: Duration) -> Self {
        Self {
            limit,
            status: StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What is answered when the limit is reached. Default: 503.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::http::{StatusCode, TimeoutLayer};
    /// # use std::time::Duration;
    /// let behind_a_proxy = TimeoutLayer::new(Duration::from_secs(5)).status(StatusCode::GATEWAY_TIMEOUT);
    /// # let _ = behind_a_proxy;
    /// ```
    pub const fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = TimeoutService<S>;

    fn layer(&self, service: S) -> TimeoutService<S> {
        TimeoutService {
            service,
            layer: *self,
        }
    }
}

/// A service whose answers have a limit: see [`TimeoutLayer`].
///
/// # Examples
///
/// ```
/// use loxley_io::http::{Request, Response, StatusCode, TimeoutLayer};
/// use std::{future::pending, time::Duration};
/// use tower_layer::Layer;
/// use tower_service::Service;
///
/// # struct Stuck;
/// # type Answer = std::pin::Pin<Box<dyn Future<Output = Result<Response<String>, std::io::Error>> + Send>>;
/// # impl Service<Request<()>> for Stuck {
/// #     type Response = Response<String>;
/// #     type Error = std::io::Error;
/// #     type Future = Answer;
/// #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
/// #         std::task::Poll::Ready(Ok(()))
/// #     }
/// #     fn call(&mut self, _: Request<()>) -> Answer {
/// #         Box::pin(pending())
/// #     }
/// # }
/// # loxley_runtime::run(async {
/// let mut limited = TimeoutLayer::new(Duration::from_millis(1)).layer(Stuck);
/// let answer = limited.call(Request::new(())).await?;
/// assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TimeoutService<S> {
    service: S,
    layer: TimeoutLayer,
}

impl<S, B, R> Service<Request<B>> for TimeoutService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = TimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        TimeoutFuture {
            answer: timeout(self.layer.limit, self.service.call(request)),
            status: self.layer.status,
        }
    }
}

pin_project! {
    /// The answer of a [`TimeoutService`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops what the service was doing.
    ///
    /// # Examples
    ///
    /// For a service that wraps one with a limit, it has a name:
    ///
    /// ```
    /// use loxley_io::http::{Request, Response, TimeoutFuture, TimeoutService};
    /// use std::task::{Context, Poll};
    /// use tower_service::Service;
    ///
    /// struct Counted<S>(TimeoutService<S>, u64);
    ///
    /// impl<S, B, R> Service<Request<B>> for Counted<S>
    /// where
    ///     S: Service<Request<B>, Response = Response<R>>,
    ///     R: Default,
    /// {
    ///     type Response = Response<R>;
    ///     type Error = S::Error;
    ///     type Future = TimeoutFuture<S::Future>;
    ///
    ///     fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
    ///         self.0.poll_ready(cx)
    ///     }
    ///     fn call(&mut self, request: Request<B>) -> Self::Future {
    ///         self.1 += 1;
    ///         self.0.call(request)
    ///     }
    /// }
    /// ```
    #[derive(Debug)]
    pub struct TimeoutFuture<F> {
        #[pin]
        answer: Timeout<F>,
        status: StatusCode,
    }
}

impl<F, R, E> Future for TimeoutFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Default,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(ready!(this.answer.poll(cx)).unwrap_or_else(|_| {
            let mut late = Response::new(R::default());
            *late.status_mut() = *this.status;
            Ok(late)
        }))
    }
}
