//! A [`Channel`] for tonic's generated clients: one HTTP/2 connection, without tonic's Tokio-bound `transport`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::rt::{Read, Write};
use hyper::{Request, Response};
use loxley::http::{BoxError, Executor, Timer};
use loxley::{TcpStream, create_task};
use tonic::body::Body;

/// A connection for any number of calls at once; clones share it.
///
/// Hand it to a client together with its origin: `GreeterClient::with_origin(channel, "http://host:port".parse()?)`.
#[derive(Clone, Debug)]
pub struct Channel(http2::SendRequest<Body>);

impl Channel {
    /// Connects to `"host:port"`.
    ///
    /// # Errors
    ///
    /// If nobody listens there, or what listens does not speak HTTP/2.
    pub async fn connect(addr: &str) -> Result<Self, BoxError> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream).await?)
    }

    /// Speaks HTTP/2 over a stream that is there: of TLS, of a Unix-domain socket.
    ///
    /// # Errors
    ///
    /// If the other end does not speak HTTP/2.
    pub async fn over<S>(stream: S) -> hyper::Result<Self>
    where
        S: Read + Write + Unpin + Send + 'static,
    {
        let protocol = http2::Builder::new(Executor).timer(Timer).clone();
        let (requests, connection) = protocol.handshake(stream).await?;
        drop(create_task(connection));
        Ok(Self(requests))
    }
}

impl tower_service::Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
