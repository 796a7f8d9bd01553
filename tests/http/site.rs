//! Servers, clients and raw connections for the tests of `http.rs`. Nothing here judges.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use loxley::http::{Drained, Executor, HttpService, Serve, ServerHandle};
use loxley::{Event, Runtime, Task, TcpStream, create_task, timeout};

/// No test takes a tenth of it.
const HANG: Duration = Duration::from_secs(30);

/// Runs a test in a runtime of its own.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let reports = run_reporting(test);
    assert!(reports.is_empty(), "{reports:?}");
}

/// The same; what went to the unhandled-error handler.
pub(crate) fn run_reporting(test: impl Future<Output = ()>) -> Vec<String> {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let runtime = {
        let reports = reports.clone();
        Runtime::builder()
            .worker_threads(2)
            .unhandled_error(move |error| {
                let mut reports = reports.lock().expect("no holder panics");
                reports.push(error.to_string());
            })
            .build()
            .expect("a runtime")
    };
    runtime
        .block_on(async { timeout(HANG, test).await })
        .expect("the test hangs");
    drop(runtime);
    let mut reports = reports.lock().expect("no holder panics");
    std::mem::take(&mut *reports)
}

/// A server in a task of its own.
pub(crate) struct Site {
    pub(crate) addr: SocketAddr,
    pub(crate) handle: ServerHandle,
    task: Task<io::Result<Drained>>,
}

impl Site {
    pub(crate) async fn start<S: HttpService>(serve: Serve<S>) -> Self {
        let server = serve.bind().await.expect("a free port");
        Self {
            addr: server.local_addr(),
            handle: server.handle(),
            task: create_task(server),
        }
    }

    /// Waits for its end.
    pub(crate) async fn ended(self) -> Drained {
        let ended = self.task.await.expect("the server does not panic");
        ended.expect("the listener is sound")
    }
}

pub(crate) async fn connect_http1(addr: SocketAddr) -> http1::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(addr).await.expect("listening");
    let (client, connection) = http1::handshake(stream).await.expect("a connection");
    drop(create_task(connection));
    client
}

pub(crate) async fn connect_http2(addr: SocketAddr) -> http2::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(addr).await.expect("listening");
    let (client, connection) = http2::handshake(Executor, stream)
        .await
        .expect("a connection");
    drop(create_task(connection));
    client
}

/// A connection without manners.
pub(crate) struct Raw {
    stream: TcpStream,
    received: String,
}

impl Raw {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.expect("listening");
        stream.set_nodelay(true).expect("connected");
        Self {
            stream,
            received: String::new(),
        }
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.stream.local_addr().expect("connected")
    }

    pub(crate) async fn send(&mut self, text: &str) {
        let sent = self.stream.write_all(text.as_bytes()).await;
        sent.expect("connected");
    }

    /// Ends the sending half.
    pub(crate) fn end(&self) {
        let ended = self.stream.shutdown(std::net::Shutdown::Write);
        ended.expect("connected");
    }

    /// What comes up to and with `mark`.
    pub(crate) async fn until(&mut self, mark: &str) -> String {
        loop {
            if let Some(place) = self.received.find(mark) {
                let rest = self.received.split_off(place + mark.len());
                return std::mem::replace(&mut self.received, rest);
            }
            assert!(
                self.receive().await,
                "the end came before {mark:?}: {:?}",
                self.received
            );
        }
    }

    /// What comes up to the end; a reset is one.
    pub(crate) async fn rest(&mut self) -> String {
        while self.receive().await {}
        std::mem::take(&mut self.received)
    }

    async fn receive(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer).await {
            Ok(0) => false,
            Ok(n) => {
                let text = std::str::from_utf8(&buffer[..n]).expect("text");
                self.received.push_str(text);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("reading failed: {error}"),
        }
    }
}

/// Tells that it has been dropped.
pub(crate) struct SetOnDrop(pub(crate) Arc<Event>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}
