//! What the stream tests share: sources and sinks in memory that misbehave as real ones do, every chunking of the same bytes,
//! both flavours of the runtime.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "a module of test crates")]

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use loxley_io::net::{TcpListener, TcpStream};
use loxley_runtime::testing::{Config, run};
use loxley_runtime::{Runtime, timeout, yield_now};

/// How long a test may take before it hangs: handshakes without optimisation are slow, and the machine may be busy.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs a test on several workers and on one thread. A test that hangs fails, and so does one that leaves tasks behind.
#[track_caller]
pub fn each<F: Future<Output = ()>>(test: impl Fn() -> F) {
    for config in [
        Config::new().worker_threads(2),
        Config::new().current_thread(),
    ] {
        let config = config.leak_check(true).limit(LIMIT);
        run(config, async { test().await });
    }
}

/// Yields until `condition` holds; the test's limit ends it.
pub async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

/// A TCP connection: its two ends.
pub async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let addr = listener.local_addr().expect("bound");
    let client = TcpStream::connect(addr).await.expect("connected");
    let (server, _) = listener.accept().await.expect("accepted");
    (client, server)
}

/// Reads to the end.
pub async fn slurp(stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes).await? {
            0 => return Ok(all),
            n => all.extend_from_slice(&bytes[..n]),
        }
    }
}

/// Bytes that show when any of them is missing, doubled or out of place.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| u8::try_from((i / 251 + i) % 251).expect("small"))
        .collect()
}

/// Compares without printing megabytes.
#[track_caller]
pub fn same(got: &[u8], expected: &[u8]) {
    let differs = got.iter().zip(expected).position(|(a, b)| a != b);
    assert!(
        got == expected,
        "{} bytes, expected {}; they differ at {differs:?}",
        got.len(),
        expected.len()
    );
}

/// One answer of a source.
#[derive(Clone, Debug)]
pub enum Step {
    /// These bytes, over several calls if the caller asks for less.
    Bytes(Vec<u8>),
    /// Nothing yet; the caller is woken at once.
    Pending,
    /// Nothing, for ever.
    Stuck,
    /// An error.
    Error(io::ErrorKind),
}

/// A source that gives what it was told to, and then the end.
#[derive(Debug)]
pub struct Source {
    steps: VecDeque<Step>,
    pub given: Arc<Mutex<usize>>,
}

impl Source {
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            given: Arc::default(),
        }
    }
}

impl AsyncRead for Source {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        assert!(!buf.is_empty(), "asked for nothing");
        match self.steps.pop_front() {
            None => Poll::Ready(Ok(0)),
            Some(Step::Bytes(mut bytes)) => {
                let n = bytes.len().min(buf.len());
                buf[..n].copy_from_slice(&bytes[..n]);
                *self.given.lock().unwrap() += n;
                if n < bytes.len() {
                    bytes.drain(..n);
                    self.steps.push_front(Step::Bytes(bytes));
                }
                Poll::Ready(Ok(n))
            }
            Some(Step::Pending) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Step::Stuck) => {
                self.steps.push_front(Step::Stuck);
                Poll::Pending
            }
            Some(Step::Error(kind)) => Poll::Ready(Err(kind.into())),
        }
    }
}

/// The same bytes, cut in every way that has ever mattered: whole, byte by byte, in threes, and in two at each place; each
/// also with a wait before every piece.
pub fn chunkings(bytes: &[u8]) -> Vec<Vec<Step>> {
    let cut = |size: usize| bytes.chunks(size).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let mut all = vec![cut(bytes.len().max(1)), cut(1), cut(3)];
    for at in 1..bytes.len().min(64) {
        all.push(vec![bytes[..at].to_vec(), bytes[at..].to_vec()]);
    }
    let mut steps = Vec::new();
    for pieces in all {
        steps.push(pieces.iter().cloned().map(Step::Bytes).collect());
        let slow = pieces
            .into_iter()
            .flat_map(|piece| [Step::Pending, Step::Bytes(piece)]);
        steps.push(slow.chain([Step::Pending]).collect());
    }
    steps
}

/// What a [`Sink`] has been given and told, and how it behaves.
#[derive(Debug, Default)]
pub struct SinkState {
    pub bytes: Vec<u8>,
    pub flushed: usize,
    pub is_closed: bool,
    pub is_dropped: bool,
    /// Takes at most this much per call.
    pub most: Option<usize>,
    /// Takes nothing until this is given; every byte costs one.
    pub credit: Option<usize>,
    /// Waits, once, before each call.
    pub stutters: bool,
    pub fails: Option<io::ErrorKind>,
    stuttered: bool,
    waker: Option<Waker>,
}

/// A sink in memory.
#[derive(Debug, Clone, Default)]
pub struct Sink(pub Arc<Mutex<SinkState>>);

impl Sink {
    pub fn with(set: impl FnOnce(&mut SinkState)) -> Self {
        let sink = Self::default();
        set(&mut sink.0.lock().unwrap());
        sink
    }

    /// The end to give to a writer; it says when it is dropped.
    pub fn end(&self) -> SinkEnd {
        SinkEnd(self.clone())
    }

    pub fn get<T>(&self, look: impl FnOnce(&SinkState) -> T) -> T {
        look(&self.0.lock().unwrap())
    }

    /// Changes the sink and wakes whoever waits for it.
    pub fn set(&self, set: impl FnOnce(&mut SinkState)) {
        let waker = {
            let mut state = self.0.lock().unwrap();
            set(&mut state);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[derive(Debug)]
pub struct SinkEnd(Sink);

impl SinkState {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(kind) = self.fails {
            return Poll::Ready(Err(kind.into()));
        }
        if self.stutters && !std::mem::replace(&mut self.stuttered, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.stuttered = false;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SinkEnd {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.0.lock().unwrap();
        assert!(!state.is_closed, "written after the end");
        std::task::ready!(state.poll_ready(cx))?;
        let mut n = buf.len().min(state.most.unwrap_or(usize::MAX));
        if let Some(credit) = &mut state.credit {
            n = n.min(*credit);
            *credit -= n;
            if n == 0 && !buf.is_empty() {
                state.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        state.bytes.extend_from_slice(&buf[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.0.lock().unwrap();
        assert!(!state.is_closed, "flushed after the end");
        std::task::ready!(state.poll_ready(cx))?;
        state.flushed = state.bytes.len();
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.0.lock().unwrap();
        std::task::ready!(state.poll_ready(cx))?;
        state.is_closed = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for SinkEnd {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().is_dropped = true;
    }
}

/// Pseudo-random numbers (Marsaglia's xorshift), the same ones for the same seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).expect("64 bits") % below
    }
}

/// What went to the runtime's unhandled-error handler.
#[derive(Clone, Debug, Default)]
pub struct Reports(Arc<Mutex<Vec<String>>>);

impl Reports {
    pub fn list(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// As [`each`], for tests that expect reports.
#[track_caller]
pub fn each_reporting<F: Future<Output = ()>>(test: impl Fn(Reports) -> F) {
    for builder in [
        Runtime::builder().worker_threads(2),
        Runtime::builder().current_thread(),
    ] {
        let reports = Reports::default();
        let sink = reports.clone();
        let runtime = builder
            .unhandled_error(move |error| sink.0.lock().unwrap().push(error.to_string()))
            .build()
            .expect("a runtime");
        runtime
            .block_on(async { timeout(LIMIT, test(reports)).await })
            .expect("the test hangs");
    }
}
