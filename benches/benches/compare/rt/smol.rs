//! smol: one `async-executor` in a static, as `smol::spawn` has it, driven by as many threads as the others have
//! workers; timers and sockets by `async-io` and its one reactor.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use smol::future::FutureExt as _;
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
use smol::net::{TcpListener, TcpStream};
use smol::{Executor, Task, Timer};

use super::{Blocking, Children, Groups, Net, Rt};

static EXECUTOR: Executor<'static> = Executor::new();

/// smol with threads around its executor.
pub struct Smol;

/// The threads that drive [`EXECUTOR`]; they end once the sender is gone.
pub struct Engine {
    running: smol::channel::Sender<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Rt for Smol {
    type Engine = Engine;
    type Handle = ();
    type Join<T: Send + 'static> = Task<T>;

    fn start(workers: usize) -> Engine {
        let (running, stopped) = smol::channel::bounded(1);
        let threads = (0..workers)
            .map(|_| {
                let stopped = stopped.clone();
                std::thread::spawn(move || {
                    // The error is the message: the sender is gone.
                    let _ = smol::block_on(EXECUTOR.run(stopped.recv()));
                })
            })
            .collect();
        Engine { running, threads }
    }

    fn stop(engine: Engine) {
        drop(engine.running);
        for thread in engine.threads {
            thread.join().expect("no task of a case panics");
        }
    }

    fn block_on<F: Future>(_engine: &Engine, future: F) -> F::Output {
        smol::block_on(future)
    }

    fn handle(_engine: &Engine) {}

    #[inline]
    fn spawn<F: Future<Output: Send + 'static> + Send + 'static>(future: F) -> Task<F::Output> {
        EXECUTOR.spawn(future)
    }

    #[inline]
    fn spawn_on<F: Future<Output: Send + 'static> + Send + 'static>(
        (): &(),
        future: F,
    ) -> Task<F::Output> {
        EXECUTOR.spawn(future)
    }

    #[inline]
    fn detach<T: Send + 'static>(join: Task<T>) {
        join.detach();
    }

    #[inline]
    fn cancel<T: Send + 'static>(join: Task<T>) {
        // A dropped task is a cancelled one here.
        drop(join);
    }

    #[inline]
    fn yield_now() -> impl Future<Output = ()> + Send {
        smol::future::yield_now()
    }

    #[inline]
    async fn sleep(duration: Duration) {
        Timer::after(duration).await;
    }

    #[inline]
    async fn timeout<F: Future<Output: Send> + Send>(
        limit: Duration,
        future: F,
    ) -> Option<F::Output> {
        async { Some(future.await) }
            .or(async {
                Timer::after(limit).await;
                None
            })
            .await
    }
}

impl Groups for Smol {
    async fn group(count: usize) {
        let mut set: FuturesUnordered<_> = (0..count).map(|_| EXECUTOR.spawn(async {})).collect();
        while set.next().await.is_some() {}
    }

    async fn gather(count: usize) -> Vec<usize> {
        join_all((0..count).map(|n| EXECUTOR.spawn(async move { n }))).await
    }
}

impl Blocking for Smol {
    fn to_thread<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        smol::unblock(work)
    }
}

impl Children for Smol {
    async fn wait_for_child(program: &str) -> io::Result<Option<i32>> {
        let mut child = smol::process::Command::new(program).spawn()?;
        child.status().await.map(|status| status.code())
    }

    async fn hear_child(line: &str) -> io::Result<[Vec<u8>; 2]> {
        let child = smol::process::Command::new("/bin/sh")
            .args(["-c", line])
            .stdout(smol::process::Stdio::piped())
            .stderr(smol::process::Stdio::piped())
            .spawn()?;
        let output = child.output().await?;
        Ok([output.stdout, output.stderr])
    }
}

impl Net for Smol {
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
        stream.read(buffer).await
    }

    async fn write_all(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
        stream.write_all(bytes).await
    }

    async fn serve_http(stream: TcpStream) {
        let service = hyper::service::service_fn(super::hello);
        let connection = hyper::server::conn::http1::Builder::new()
            .pipeline_flush(true)
            .serve_connection(smol_hyper::rt::FuturesIo::new(stream), service);
        // An error is a client that went away.
        let _ = connection.await;
    }
}
