//! Loxley: the work-stealing flavour as a program would build it, but for the worker count.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use loxley_io::net::RecvBatch;
use loxley_io::streams::from_tcp;
use loxley_io::tls::TlsServer;
use loxley_io::{
    StreamReader, StreamWriter, TcpListener, TcpStream, UdpSocket, copy_bidirectional,
};
use loxley_process::{Stdio, create_subprocess_exec, create_subprocess_shell};
use loxley_runtime::{
    Handle, Runtime, Task, TaskGroup, create_task, gather, sleep, task_group, timeout, to_thread,
    yield_now,
};

use super::{Blocking, Children, Datagrams, Duplex, Groups, Net, Proxy, Rt, Streams};

/// The subject of the comparison.
pub struct Loxley;

/// A task whose error is a panic in the awaiter.
pub struct Join<T>(Task<T>);

impl<T> Future for Join<T> {
    type Output = T;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|result| result.expect("no task of a case panics"))
    }
}

impl Rt for Loxley {
    type Engine = Runtime;
    type Handle = Handle;
    type Join<T: Send + 'static> = Join<T>;

    fn start(workers: usize) -> Runtime {
        Runtime::builder()
            .worker_threads(workers)
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
        Join(create_task(future))
    }

    #[inline]
    fn spawn_on<F: Future<Output: Send + 'static> + Send + 'static>(
        handle: &Handle,
        future: F,
    ) -> Join<F::Output> {
        Join(handle.create_task(future))
    }

    #[inline]
    fn detach<T: Send + 'static>(join: Join<T>) {
        drop(join);
    }

    #[inline]
    fn cancel<T: Send + 'static>(join: Join<T>) {
        join.0.cancel();
    }

    #[inline]
    fn yield_now() -> impl Future<Output = ()> + Send {
        yield_now()
    }

    #[inline]
    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        sleep(duration)
    }

    #[inline]
    async fn timeout<F: Future<Output: Send> + Send>(
        limit: Duration,
        future: F,
    ) -> Option<F::Output> {
        timeout(limit, future).await.ok()
    }
}

impl Groups for Loxley {
    async fn group(count: usize) {
        let ended = task_group(|tg: TaskGroup<Infallible>| async move {
            for _ in 0..count {
                tg.create_task(async {});
            }
            Ok(())
        });
        ended.await.expect("no child fails");
    }

    async fn gather(count: usize) -> Vec<usize> {
        let values = gather((0..count).map(|n| async move { n }));
        values.await.expect("no task of a case panics")
    }
}

impl Blocking for Loxley {
    fn to_thread<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        to_thread(work)
    }
}

impl Children for Loxley {
    async fn wait_for_child(program: &str) -> io::Result<Option<i32>> {
        let child = create_subprocess_exec(program, [""; 0]).spawn().await?;
        child.wait().await.map(|code| (code >= 0).then_some(code))
    }

    async fn hear_child(line: &str) -> io::Result<[Vec<u8>; 2]> {
        let mut child = create_subprocess_shell(line)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .await?;
        let output = child.communicate(None).await?;
        Ok([output.stdout, output.stderr])
    }
}

impl Net for Loxley {
    type Listener = TcpListener;
    type Stream = TcpStream;

    async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        stream.read(buffer).await
    }

    async fn write_all(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
        stream.write_all(bytes).await
    }

    async fn serve_http(stream: TcpStream) {
        let service = hyper::service::service_fn(super::hello);
        let connection = hyper::server::conn::http1::Builder::new()
            .pipeline_flush(true)
            .serve_connection(stream, service);
        // An error is a client that went away.
        let _ = connection.await;
    }
}

impl Streams for Loxley {
    type Streams = (StreamReader, StreamWriter);
    type Tls = (StreamReader, StreamWriter);
    type Acceptor = TlsServer;

    fn streams(stream: TcpStream) -> (StreamReader, StreamWriter) {
        from_tcp(stream)
    }

    fn acceptor(chain: &str, key: &str) -> TlsServer {
        TlsServer::new(chain, key).expect("a certificate and its key")
    }

    async fn secure(
        acceptor: &TlsServer,
        stream: TcpStream,
    ) -> io::Result<(StreamReader, StreamWriter)> {
        let (mut reader, writer) = from_tcp(stream);
        writer.start_tls(&mut reader, acceptor.clone()).await?;
        Ok((reader, writer))
    }
}

impl Duplex for (StreamReader, StreamWriter) {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_into(buffer).await
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.1.write(bytes);
        self.1.drain().await
    }
}

impl Proxy for Loxley {
    async fn pass_on(mut stream: TcpStream, target: SocketAddr) {
        let Ok(mut other) = TcpStream::connect(target).await else {
            return;
        };
        // An error is a client that went away.
        let _ = copy_bidirectional(&mut stream, &mut other).await;
    }
}

impl Datagrams for Loxley {
    async fn echo() -> io::Result<SocketAddr> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        drop(create_task(async move {
            let mut batch = RecvBatch::new(64, 2_048);
            while socket.recv_batch(&mut batch).await.is_ok() {
                let echo: Vec<_> = batch.iter().collect();
                let mut rest = &echo[..];
                while let Ok(sent @ 1..) = socket.send_batch(rest).await {
                    rest = &rest[sent..];
                }
            }
        }));
        Ok(address)
    }
}
