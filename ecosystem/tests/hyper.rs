//! hyper 1 as the client of our server: a connection of HTTP/1.1, one of HTTP/2, and hyper-util's pool of them.

use std::convert::Infallible;

use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper_util::client::legacy::Client;
use loxley::http::{Executor, Incoming, Request, Response, Timer, service_fn};
use loxley::{TcpStream, create_task, gather};
use loxley_ecosystem::connector::Connector;
use loxley_ecosystem::local::{Outcome, serve};

async fn answer(request: Request<Incoming>) -> Result<Response<String>, hyper::Error> {
    let (version, path) = (request.version(), request.uri().path().to_owned());
    let body = request.into_body().collect().await?.to_bytes();
    Ok(Response::new(format!("{version:?} {path} {}", body.len())))
}

async fn text(response: Response<Incoming>) -> Outcome<String> {
    let body = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.to_vec())?)
}

#[loxley::test(worker_threads = 2)]
async fn http1_one_request_after_the_other() -> Outcome {
    let addr = serve(service_fn(answer)).await?;
    let stream = TcpStream::connect(addr).await?;
    let (mut client, connection) = http1::handshake(stream).await?;
    drop(create_task(connection));
    for size in [0, 5, 1 << 20] {
        let request = Request::post("/up")
            .header("host", "localhost")
            .body(Full::new(Bytes::from(vec![b'x'; size])))?;
        client.ready().await?;
        let response = client.send_request(request).await?;
        assert_eq!(text(response).await?, format!("HTTP/1.1 /up {size}"));
    }
    Ok(())
}

#[loxley::test(worker_threads = 2)]
async fn http2_fifty_requests_at_once() -> Outcome {
    let addr = serve(service_fn(answer)).await?;
    let stream = TcpStream::connect(addr).await?;
    let (client, connection) = http2::Builder::new(Executor)
        .timer(Timer)
        .handshake(stream)
        .await?;
    drop(create_task(connection));
    let requests = (0..50).map(|size| {
        let mut client = client.clone();
        async move {
            let request = Request::post(format!("http://localhost/{size}"))
                .body(Full::new(Bytes::from(vec![b'x'; size * 1000])))?;
            text(client.send_request(request).await?).await
        }
    });
    for (size, answer) in gather(requests).await?.into_iter().enumerate() {
        assert_eq!(answer?, format!("HTTP/2.0 /{size} {}", size * 1000));
    }
    Ok(())
}

#[loxley::test]
async fn a_pool_keeps_connections_and_uses_them_again() -> Outcome {
    let server = loxley::http::serve("127.0.0.1:0", service_fn(answer));
    let server = server.bind().await?;
    let (addr, handle) = (server.local_addr(), server.handle());
    drop(create_task(server));

    let client = Client::builder(Executor)
        .pool_timer(Timer)
        .build::<_, Empty<Bytes>>(Connector);
    for _ in 0..20 {
        let response = client.get(format!("http://{addr}/").parse()?).await?;
        assert_eq!(text(response).await?, "HTTP/1.1 / 0");
    }
    assert_eq!(handle.connections(), 1);
    Ok(())
}

#[loxley::test(worker_threads = 2)]
async fn a_pool_speaks_http2_over_one_connection() -> Outcome {
    async fn hello(_: Request<Incoming>) -> Result<Response<String>, Infallible> {
        Ok(Response::new("hello".to_owned()))
    }
    let addr = serve(service_fn(hello)).await?;
    let client = Client::builder(Executor)
        .http2_only(true)
        .build::<_, Empty<Bytes>>(Connector);
    let requests = (0..10).map(|_| client.get(format!("http://{addr}/").parse().expect("a URI")));
    for response in gather(requests).await? {
        assert_eq!(text(response?).await?, "hello");
    }
    Ok(())
}
