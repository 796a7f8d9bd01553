//! quinn over our own `quinn::Runtime`, and HTTP/3 over that.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use h3::client::SendRequest;
use h3_quinn::OpenStreams;
use hyper::{Request, Response, StatusCode};
use loxley::{Task, create_task, gather};
use loxley_ecosystem::local::{self, Outcome};
use loxley_ecosystem::quic::Quic;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint, EndpointConfig, ServerConfig};

/// A server and a client, each with a socket of its own.
fn endpoints(alpn: &[u8]) -> Outcome<(Endpoint, Endpoint, SocketAddr)> {
    let (server, client) = local::tls(&[alpn])?;
    let server = QuicServerConfig::try_from(server)?;
    let server = ServerConfig::with_crypto(Arc::new(server));
    let open = |config| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        Endpoint::new(EndpointConfig::default(), config, socket, Arc::new(Quic))
    };
    let server = open(Some(server))?;
    let mut clients = open(None)?;
    let client = QuicClientConfig::try_from(client)?;
    clients.set_default_client_config(ClientConfig::new(Arc::new(client)));
    let addr = server.local_addr()?;
    Ok((server, clients, addr))
}

#[loxley::test(worker_threads = 2)]
async fn streams_of_a_megabyte_are_echoed_beside_each_other() -> Outcome {
    let (server, client, addr) = endpoints(b"echo")?;
    let echo = create_task(async move {
        let connection = server.accept().await.ok_or("closed")?.await?;
        while let Ok((mut sink, mut source)) = connection.accept_bi().await {
            drop(create_task(async move {
                while let Some(chunk) = source.read_chunk(usize::MAX, true).await? {
                    sink.write_chunk(chunk.bytes).await?;
                }
                sink.finish()?;
                Outcome::Ok(())
            }));
        }
        server.close(0_u32.into(), b"");
        server.wait_idle().await;
        Outcome::Ok(())
    });

    let connection = client.connect(addr, "localhost")?.await?;
    let streams = (0..4_u8).map(|number| {
        let connection = connection.clone();
        async move {
            let (mut sink, mut source) = connection.open_bi().await?;
            let bytes = vec![number; 1 << 20];
            let sent = bytes.clone();
            let writer = create_task(async move {
                sink.write_all(&sent).await?;
                sink.finish()?;
                Outcome::Ok(())
            });
            let received = source.read_to_end(1 << 20).await?;
            writer.await??;
            Outcome::Ok(received == bytes)
        }
    });
    for is_same in gather(streams).await? {
        assert!(is_same?);
    }
    connection.close(0_u32.into(), b"done");
    client.wait_idle().await;
    echo.await?
}

#[loxley::test(worker_threads = 2)]
async fn a_datagram_comes_back() -> Outcome {
    let (server, client, addr) = endpoints(b"echo")?;
    let echo = create_task(async move {
        let connection = server.accept().await.ok_or("closed")?.await?;
        connection.send_datagram(connection.read_datagram().await?)?;
        connection.closed().await;
        Outcome::Ok(())
    });
    let connection = client.connect(addr, "localhost")?.await?;
    connection.send_datagram(Bytes::from_static(b"hello"))?;
    assert_eq!(connection.read_datagram().await?, "hello");
    connection.close(0_u32.into(), b"done");
    echo.await?
}

/// Answers each request of one connection with its path.
fn serve_http3(server: Endpoint) -> Task<Outcome> {
    create_task(async move {
        let connection = server.accept().await.ok_or("closed")?.await?;
        let connection = h3_quinn::Connection::new(connection);
        let mut connection = h3::server::Connection::new(connection).await?;
        while let Ok(Some(resolver)) = connection.accept().await {
            drop(create_task(async move {
                let (request, mut stream) = resolver.resolve_request().await?;
                let body = Bytes::from(request.uri().path().to_owned());
                stream.send_response(Response::new(())).await?;
                stream.send_data(body).await?;
                stream.finish().await?;
                Outcome::Ok(())
            }));
        }
        Ok(())
    })
}

async fn get(client: &mut SendRequest<OpenStreams, Bytes>, path: &str) -> Outcome<Vec<u8>> {
    let request = Request::get(format!("https://localhost{path}")).body(())?;
    let mut stream = client.send_request(request).await?;
    stream.finish().await?;
    assert_eq!(stream.recv_response().await?.status(), StatusCode::OK);
    let mut body = Vec::new();
    while let Some(chunk) = stream.recv_data().await? {
        body.extend_from_slice(chunk.chunk());
    }
    Ok(body)
}

#[loxley::test(worker_threads = 2)]
async fn http3_requests_are_answered() -> Outcome {
    let (server, client, addr) = endpoints(b"h3")?;
    let served = serve_http3(server);
    let connection = client.connect(addr, "localhost")?.await?;
    let (mut driver, requests) = h3::client::new(h3_quinn::Connection::new(connection)).await?;
    let driver = create_task(async move { driver.wait_idle().await });
    let answers = (0..20).map(|number| {
        let mut requests = requests.clone();
        async move {
            let path = format!("/{number}");
            Outcome::Ok((get(&mut requests, &path).await?, path))
        }
    });
    for answer in gather(answers).await? {
        let (body, path) = answer?;
        assert_eq!(body, path.as_bytes());
    }
    // The last one to ask closes the connection.
    drop(requests);
    driver.await?;
    served.await?
}
