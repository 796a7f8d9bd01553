//! One face for every runtime, so that each case is written once. Static dispatch all the way: a case is compiled for
//! each runtime, and the face costs nothing at run time.
//!
//! `cases` calls this; each runtime has a file beside this one. An adapter must do what a user of that runtime would
//! write, with that runtime's own means, and nothing cleverer.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

pub mod loxley;
pub mod smol;
pub mod tokio;

/// A runtime: starting, stopping, tasks, time, blocking work.
pub trait Rt: Sized + 'static {
    /// The started runtime, held by a plain thread.
    type Engine;
    /// What a plain thread spawns with.
    type Handle: Clone + Send + Sync + 'static;
    /// The handle of a spawned task; panics in the awaiter if the task did.
    type Join<T: Send + 'static>: Future<Output = T> + Send + 'static;

    /// Starts `workers` worker threads.
    fn start(workers: usize) -> Self::Engine;
    /// Stops and joins the workers.
    fn stop(engine: Self::Engine);
    /// Polls `future` on the calling thread until it is ready.
    fn block_on<F: Future>(engine: &Self::Engine, future: F) -> F::Output;
    /// What other threads spawn with.
    fn handle(engine: &Self::Engine) -> Self::Handle;

    /// Spawns from inside the runtime.
    fn spawn<F: Future<Output: Send + 'static> + Send + 'static>(
        future: F,
    ) -> Self::Join<F::Output>;
    /// Spawns from any thread.
    fn spawn_on<F: Future<Output: Send + 'static> + Send + 'static>(
        handle: &Self::Handle,
        future: F,
    ) -> Self::Join<F::Output>;
    /// Lets the task run on without its handle.
    fn detach<T: Send + 'static>(join: Self::Join<T>);

    /// Asks the task to stop, and gives the handle up.
    fn cancel<T: Send + 'static>(join: Self::Join<T>);

    /// Lets others run first.
    fn yield_now() -> impl Future<Output = ()> + Send;
    /// Waits for a time.
    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send + 'static;
    /// Runs `future` for at most `limit`; `None` if that was too short.
    fn timeout<F: Future<Output: Send> + Send>(
        limit: Duration,
        future: F,
    ) -> impl Future<Output = Option<F::Output>> + Send;
}

/// What a runtime has for several tasks as one.
pub trait Groups: Rt {
    /// Spawns `count` empty tasks that belong together, and waits until all have ended.
    fn group(count: usize) -> impl Future<Output = ()> + Send;
    /// Spawns `count` tasks, each of which gives its number; the values in this order.
    fn gather(count: usize) -> impl Future<Output = Vec<usize>> + Send;
}

/// A runtime's threads for blocking closures.
pub trait Blocking: Rt {
    /// Runs a blocking closure on a thread for such.
    fn to_thread<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send;
}

/// A runtime's child processes.
pub trait Children: Rt {
    /// Starts a program without arguments and waits for its exit code; `None` if a signal ended it.
    fn wait_for_child(program: &str) -> impl Future<Output = io::Result<Option<i32>>> + Send;
    /// Runs a line of the shell and returns all of its stdout and stderr.
    fn hear_child(line: &str) -> impl Future<Output = io::Result<[Vec<u8>; 2]>> + Send;
}

/// A runtime's TCP, and hyper on top of it.
pub trait Net: Rt {
    /// A listening socket.
    type Listener: Send + Sync + 'static;
    /// A connected socket.
    type Stream: Send + 'static;

    /// Listens on a free port of the loopback address.
    fn listen() -> impl Future<Output = io::Result<(Self::Listener, SocketAddr)>> + Send;
    /// Waits for a connection.
    fn accept(listener: &Self::Listener) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    /// Reads what there is, up to the buffer's length; 0 at the end.
    fn read(
        stream: &mut Self::Stream,
        buffer: &mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + Send;
    /// Writes all of it.
    fn write_all(
        stream: &mut Self::Stream,
        bytes: &[u8],
    ) -> impl Future<Output = io::Result<()>> + Send;
    /// Serves one HTTP/1 connection through hyper, answering every request with [`hello`].
    fn serve_http(stream: Self::Stream) -> impl Future<Output = ()> + Send;
}

/// What a library puts on a TCP connection: streams of its own, TLS.
pub trait Streams: Net {
    /// What a user of the library reads and writes small messages through.
    type Streams: Duplex;
    /// The same behind TLS.
    type Tls: Duplex;
    /// A certificate, ready for use.
    type Acceptor: Clone + Send + Sync + 'static;

    fn streams(stream: Self::Stream) -> Self::Streams;
    /// From PEM texts.
    fn acceptor(chain: &str, key: &str) -> Self::Acceptor;
    /// The server's side of a handshake.
    fn secure(
        acceptor: &Self::Acceptor,
        stream: Self::Stream,
    ) -> impl Future<Output = io::Result<Self::Tls>> + Send;
}

/// Carries bytes both ways.
pub trait Duplex: Send + 'static {
    /// Reads what there is, up to the buffer's length; 0 at the end.
    fn read(&mut self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;
    /// Writes all of it; what cannot be sent at once may be sent later.
    fn write_all(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;
}

/// A runtime's copying from one connection to another and back.
pub trait Proxy: Net {
    /// Connects to `target` and copies both ways until both ends are through.
    fn pass_on(stream: Self::Stream, target: SocketAddr) -> impl Future<Output = ()> + Send;
}

/// A runtime's UDP.
pub trait Datagrams: Rt {
    /// Binds a free port of the loopback address and sends back, in a task, whatever comes.
    fn echo() -> impl Future<Output = io::Result<SocketAddr>> + Send;
}

/// The answer of the HTTP case.
pub async fn hello(
    _request: hyper::Request<hyper::body::Incoming>,
) -> Result<hyper::Response<http_body_util::Full<hyper::body::Bytes>>, std::convert::Infallible> {
    Ok(hyper::Response::new(http_body_util::Full::new(
        hyper::body::Bytes::from_static(b"Hello, world!\n"),
    )))
}

/// Starts `R`, runs what `make` returns as a task on a worker, stops it again.
///
/// A task and not the future of `block_on`, because only a worker has a local queue to spawn into.
pub fn on_worker<R: Rt, F>(workers: usize, make: impl FnOnce() -> F) -> F::Output
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let engine = R::start(workers);
    let task = R::spawn_on(&R::handle(&engine), make());
    let output = R::block_on(&engine, task);
    R::stop(engine);
    output
}
