//! Tokio: the multi-thread flavour with all drivers, as `#[tokio::main]` would build it but for the worker count.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::join_all;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Blocking, Children, Datagrams, Duplex, Groups, Net, Proxy, Rt, Streams};

/// The baseline of every ratio.
pub struct Tokio;

/// A `JoinHandle` whose error is a panic in the awaiter.
pub struct Join<T>(tokio::task::JoinHandle<T>);

impl<T> Future for Join<T> {
    type Output = T;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|result| result.expect("no task of a case panics"))
    }
}

impl Rt for Tokio {
    type Engine = Runtime;
    type Handle = Handle;
    type Join<T: Send + 'static> = Join<T>;

    fn start(workers: usize) -> Runtime {
        Builder::new_multi_thread()
            .worker_threads(workers)
            .enable_all()
            .build()
            .expect("the system has threads left")
    }

    fn stop(engine: Runtime) {
        drop(engine);
    }

    fn block_on<F: Future>(engine: &Runtime, future: F) -> F::Output {
        engine.block_on(future)
    }

    fn handle(engine: &Runtime) -> Handle {
        engine.handle().clone()
    }

    #[inline]
    fn spawn<F: Future<Output: Send + 'static> + Send + 'static>(future: F) -> Join<F::Output> {
        Join(tokio::spawn(future))
    }

    #[inline]
    fn spawn_on<F: Future<Output: Send + 'static> + Send + 'static>(
        handle: &Handle,
        future: F,
    ) -> Join<F::Output> {
        Join(handle.spawn(future))
    }

    #[inline]
    fn detach<T: Send + 'static>(join: Join<T>) {
        drop(join);
    }

    #[inline]
    fn cancel<T: Send + 'static>(join: Join<T>) {
        join.0.abort();
    }

    #[inline]
    fn yield_now() -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }

    #[inline]
    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        tokio::time::sleep(duration)
    }

    #[inline]
    async fn timeout<F: Future<Output: Send> + Send>(
        limit: Duration,
        future: F,
    ) -> Option<F::Output> {
        tokio::time::timeout(limit, future).await.ok()
    }
}

impl Groups for Tokio {
    async fn group(count: usize) {
        let mut set = JoinSet::new();
        for _ in 0..count {
            set.spawn(async {});
        }
        while let Some(ended) = set.join_next().await {
            ended.expect("no child fails");
        }
    }

    async fn gather(count: usize) -> Vec<usize> {
        let tasks = (0..count).map(|n| tokio::spawn(async move { n }));
        let results = join_all(tasks).await.into_iter();
        results
            .map(|result| result.expect("no task of a case panics"))
            .collect()
    }
}

impl Blocking for Tokio {
    async fn to_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        tokio::task::spawn_blocking(work)
            .await
            .expect("no closure of a case panics")
    }
}

impl Children for Tokio {
    async fn wait_for_child(program: &str) -> io::Result<Option<i32>> {
        let mut child = tokio::process::Command::new(program).spawn()?;
        child.wait().await.map(|status| status.code())
    }

    async fn hear_child(line: &str) -> io::Result<[Vec<u8>; 2]> {
        let child = tokio::process::Command::new("/bin/sh")
            .args(["-c", line])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let output = child.wait_with_output().await?;
        Ok([output.stdout, output.stderr])
    }
}

impl Net for Tokio {
    type Listener = TcpListener;
    type Stream = TcpStream;

    async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        AsyncReadExt::read(stream, buffer).await
    }

    async fn write_all(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
        AsyncWriteExt::write_all(stream, bytes).await
    }

    async fn serve_http(stream: TcpStream) {
        let service = hyper::service::service_fn(super::hello);
        let connection = hyper::server::conn::http1::Builder::new()
            .pipeline_flush(true)
            .serve_connection(hyper_util::rt::TokioIo::new(stream), service);
        // An error is a client that went away.
        let _ = connection.await;
    }
}

impl Streams for Tokio {
    /// Nothing is faster there for messages that are read whole.
    type Streams = TcpStream;
    type Tls = TlsStream<TcpStream>;
    type Acceptor = TlsAcceptor;

    fn streams(stream: TcpStream) -> TcpStream {
        stream
    }

    fn acceptor(chain: &str, key: &str) -> TlsAcceptor {
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes());
        let chain: Result<Vec<_>, _> = chain.collect();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_no_client_auth()
            .with_single_cert(chain.expect("a certificate"), key)
            .expect("they belong together");
        Arc::new(config).into()
    }

    fn secure(
        acceptor: &TlsAcceptor,
        stream: TcpStream,
    ) -> impl Future<Output = io::Result<TlsStream<TcpStream>>> + Send {
        acceptor.accept(stream)
    }
}

impl Duplex for TcpStream {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        AsyncReadExt::read(self, buffer).await
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        AsyncWriteExt::write_all(self, bytes).await
    }
}

impl Duplex for TlsStream<TcpStream> {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        AsyncReadExt::read(self, buffer).await
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        AsyncWriteExt::write_all(self, bytes).await?;
        self.flush().await
    }
}

impl Proxy for Tokio {
    async fn pass_on(mut stream: TcpStream, target: SocketAddr) {
        let Ok(mut other) = TcpStream::connect(target).await else {
            return;
        };
        // An error is a client that went away.
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut other).await;
    }
}

impl Datagrams for Tokio {
    async fn echo() -> io::Result<SocketAddr> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        drop(tokio::spawn(async move {
            let mut buffer = [0; 2_048];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                if socket.send_to(&buffer[..length], peer).await.is_err() {
                    break;
                }
            }
        }));
        Ok(address)
    }
}
