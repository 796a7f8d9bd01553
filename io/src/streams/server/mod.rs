//! A server of streams: listening sockets, a task per connection, and asyncio's rules for how it all ends.
//!
//! | file | holds |
//! |---|---|
//! | `builder.rs` | [`start_server`], [`ServerBuilder`]: knobs, and binding |
//! | `door.rs`, `file.rs` | one listening socket; the file of a Unix-domain one |
//! | `accept.rs` | the task behind each door |
//! | `handler.rs` | the task of a connection |
//! | `roster.rs` | which connections there are |
//!
//! # State
//!
//! ```text
//!    BOUND ── start_serving ──► SERVING ── close, last handle dropped, a door broke ──► CLOSED
//!      └───────────────────────────────────────── close, last handle dropped ──────────►┘
//! ```
//!
//! [`Shared`] is owned by the handles and by the tasks behind the doors. The user's handler is owned by what spawns those
//! tasks until it has, and then by them: a closed server has none, so a handler that holds a handle of its own server is no
//! cycle then.

mod accept;
mod builder;
mod door;
mod file;
mod handler;
mod roster;

pub use builder::{ServerBuilder, start_server, start_unix_server};
pub use door::Endpoint;
pub use handler::HandlerOutput;
pub(super) use roster::Guest;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use loxley_runtime::timeout;
use loxley_sync::prim::atomic::{AtomicBool, AtomicUsize, Ordering};
use loxley_sync::prim::lock::Mutex;
use loxley_sync::{Event, catch_cancelled, with_cleanup};

use accept::Settings;
use door::{Bound, Door};
use roster::Roster;

/// As for HTTP: what supervisors usually grant is longer.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection that is told to go may take to send what is queued on it.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// Starts the task behind a door; the guest is its place among them.
type Spawn = Box<dyn Fn(&Arc<Shared>, Arc<Door>, Guest) + Send + Sync>;

/// What the handles and tasks of a server share.
struct Shared {
    stage: Mutex<Stage>,
    endpoints: Vec<Endpoint>,
    settings: Settings,
    backlog: i32,
    /// The connections.
    roster: Arc<Roster>,
    /// The tasks behind the doors.
    porters: Arc<Roster>,
    closed: Event,
    handles: AtomicUsize,
    is_served_forever: AtomicBool,
}

enum Stage {
    Bound(Vec<Bound>, Spawn),
    /// Somebody is about to listen.
    Starting,
    Serving(Vec<Arc<Door>>),
    /// With the reason, if a door broke, for who serves forever.
    Closed(Option<io::Error>),
}

impl Shared {
    fn new(bound: Vec<Bound>, backlog: i32, settings: Settings, spawn: Spawn) -> Self {
        Self {
            endpoints: bound.iter().map(|one| one.endpoint.clone()).collect(),
            stage: Mutex::new(Stage::Bound(bound, spawn)),
            settings,
            backlog,
            roster: Arc::default(),
            porters: Arc::default(),
            closed: Event::new(),
            handles: AtomicUsize::new(0),
            is_served_forever: AtomicBool::new(false),
        }
    }

    fn is_closed(&self) -> bool {
        matches!(*self.stage.lock(), Stage::Closed(_))
    }

    /// Listens at every door, and puts a task behind each.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::streams::{ServeError, ServerBuilder};
    /// # loxley_runtime::run(async {
    /// let bound = ServerBuilder::new().addr("127.0.0.1:0").start_serving(false);
    /// let server = bound.start(|_, _| async {}).await?;
    /// assert!(server.start_serving().is_ok());
    /// server.close();
    /// assert!(matches!(server.start_serving(), Err(ServeError::Closed)));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    fn start_serving(self: &Arc<Self>) -> Result<(), ServeError> {
        let (bound, spawn) = {
            let mut stage = self.stage.lock();
            match std::mem::replace(&mut *stage, Stage::Starting) {
                Stage::Bound(bound, spawn) => (bound, spawn),
                other => {
                    *stage = other;
                    return match *stage {
                        Stage::Closed(_) => Err(ServeError::Closed),
                        _ => Ok(()),
                    };
                }
            }
        };
        let opened: io::Result<Vec<_>> = bound
            .into_iter()
            .map(|one| one.open(self.backlog).map(Arc::new))
            .collect();
        let doors = match opened {
            Ok(doors) => doors,
            Err(error) => {
                self.close(None);
                return Err(ServeError::Io(error));
            }
        };
        for door in &doors {
            if let Some(place) = self.porters.enter(usize::MAX) {
                spawn(self, door.clone(), place);
            }
        }
        let mut stage = self.stage.lock();
        if let Stage::Starting = *stage {
            *stage = Stage::Serving(doors);
            return Ok(());
        }
        drop(stage);
        // Closed meanwhile, by who did not know of these doors.
        shut(&doors);
        Err(ServeError::Closed)
    }

    /// Nobody gets in any more; who is in may stay. Only the first call does anything.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{open_connection, start_server};
    /// # loxley_runtime::run(async {
    /// let server = start_server(|_, _| async {}, "127.0.0.1:0").await?;
    /// let addr = server.local_addr().unwrap();
    /// server.close();
    /// assert!(open_connection(addr).await.is_err(), "nobody is let in any more");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    fn close(&self, why: Option<io::Error>) {
        let before = {
            let mut stage = self.stage.lock();
            if let Stage::Closed(_) = *stage {
                return;
            }
            // Under the mutex: who finds the server closed may count on it that nobody comes in any more.
            self.roster.close();
            std::mem::replace(&mut *stage, Stage::Closed(why))
        };
        if let Stage::Serving(doors) = &before {
            shut(doors);
        }
        // Sockets that have not listened, and with them the handler.
        drop(before);
        self.closed.set();
    }
}

fn shut(doors: &[Arc<Door>]) {
    for door in doors {
        door.shut();
    }
}

/// A server: a handle, of which there may be many. When the last one is dropped, the server is closed; connections live on.
///
/// Made by [`start_server`], [`start_unix_server`] and [`ServerBuilder`].
///
/// # Examples
///
/// ```
/// use loxley_io::{StreamWriter, open_connection, start_server};
///
/// # loxley_runtime::run(async {
/// let greet = |_, writer: StreamWriter| async move { writer.write(b"hello") };
/// let server = start_server(greet, "127.0.0.1:0").await?;
/// let addr = server.local_addr().expect("it listens");
/// let (mut reader, _writer) = open_connection(addr).await?;
/// assert_eq!(reader.read_to_end().await?, b"hello");
/// server.close();
/// server.wait_closed().await;
/// assert!(open_connection(addr).await.is_err());
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub struct Server {
    shared: Arc<Shared>,
}

impl Server {
    fn new(shared: Shared) -> Self {
        Self::over(Arc::new(shared))
    }

    fn over(shared: Arc<Shared>) -> Self {
        // ordering: Relaxed. A count; who makes a handle has one, or is alone with the server.
        shared.handles.fetch_add(1, Ordering::Relaxed);
        Self { shared }
    }

    /// Where the server listens, or is bound to listen; nowhere once it is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::streams::ServerBuilder;
    /// # loxley_runtime::run(async {
    /// let two = ServerBuilder::new().addr("127.0.0.1:0").addr("127.0.0.1:0");
    /// let server = two.start(|_, _| async {}).await?;
    /// assert_eq!(server.sockets().len(), 2);
    /// server.close();
    /// assert!(server.sockets().is_empty());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn sockets(&self) -> Vec<Endpoint> {
        match self.shared.is_closed() {
            true => Vec::new(),
            false => self.shared.endpoints.clone(),
        }
    }

    /// The first internet address of [`sockets`](Self::sockets).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::start_server;
    /// # loxley_runtime::run(async {
    /// let server = start_server(|_, _| async {}, "127.0.0.1:0").await?;
    /// println!("listening on {}", server.local_addr().expect("an internet address"));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.sockets().iter().find_map(Endpoint::as_inet)
    }

    /// Whether connections are accepted.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::start_server;
    /// # loxley_runtime::run(async {
    /// let server = start_server(|_, _| async {}, "127.0.0.1:0").await?;
    /// assert!(server.is_serving());
    /// server.close();
    /// assert!(!server.is_serving());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn is_serving(&self) -> bool {
        matches!(*self.shared.stage.lock(), Stage::Serving(_))
    }

    /// How many connections there are. A snapshot.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{open_connection, start_server};
    /// # loxley_runtime::run(async {
    /// let echo = |mut reader: loxley_io::StreamReader, writer: loxley_io::StreamWriter| async move {
    ///     let line = reader.readline().await?;
    ///     writer.write(&line);
    ///     reader.read_to_end().await.map(drop)
    /// };
    /// let server = start_server(echo, "127.0.0.1:0").await?;
    /// let (mut reader, writer) = open_connection(server.local_addr().unwrap()).await?;
    /// writer.write(b"hello\n");
    /// reader.readline().await?; // Now it is being served.
    /// assert_eq!(server.connections(), 1);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.roster.count()
    }

    /// Begins to accept, on a server that was told not to at once. A second call changes nothing.
    ///
    /// # Errors
    ///
    /// [`Closed`](ServeError::Closed); [`Io`](ServeError::Io) if a socket cannot listen, and then the server is closed.
    ///
    /// # Panics
    ///
    /// After the runtime's shutdown has begun.
    ///
    /// # Examples
    ///
    /// Bound early, to know the port; open to clients once everything else stands:
    ///
    /// ```
    /// # use loxley_io::streams::ServerBuilder;
    /// # loxley_runtime::run(async {
    /// let server = ServerBuilder::new().addr("127.0.0.1:0").start_serving(false);
    /// let server = server.start(|_, _| async {}).await?;
    /// assert!(!server.is_serving());
    /// server.start_serving()?;
    /// assert!(server.is_serving());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn start_serving(&self) -> Result<(), ServeError> {
        self.shared.start_serving()
    }

    /// Serves until the server is closed by somebody else, or breaks: begins to accept if it has not begun, and waits.
    ///
    /// If the task is asked to stop meanwhile, the server is closed and [`wait_closed`](Self::wait_closed) awaited first.
    /// Connections that go on for longer than [`shutdown_timeout`](ServerBuilder::shutdown_timeout), ten seconds, are closed
    /// then. Who will not wait for that calls [`close_clients`](Self::close_clients) from elsewhere, or asks a second time.
    ///
    /// # Errors
    ///
    /// Always: [`Closed`](ServeError::Closed); [`AlreadyServing`](ServeError::AlreadyServing) if another call is waiting;
    /// [`Io`](ServeError::Io) if a socket broke.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it closes the server; connections live on.
    ///
    /// **Differs from asyncio**: a server closed by others is a value, not a `CancelledError`. There a client that stays keeps
    /// the server from ending, for ever (python/cpython#123720).
    ///
    /// # Examples
    ///
    /// Until another task closes it:
    ///
    /// ```
    /// # use loxley_io::{start_server, streams::ServeError};
    /// # loxley_runtime::run(async {
    /// let server = start_server(|_, _| async {}, "127.0.0.1:0").await?;
    /// let other = server.clone();
    /// loxley_runtime::create_task(async move { other.close() });
    /// assert!(matches!(server.serve_forever().await, Err(ServeError::Closed)));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub async fn serve_forever(&self) -> Result<Infallible, ServeError> {
        let _alone = Alone::with(&self.shared)?;
        // Whoever does not get to serve has a closed server, too.
        let closes = Closes(&*self.shared);
        match self.start_serving() {
            Err(ServeError::Closed) => return Err(closes.why()),
            started => started?,
        }
        match catch_cancelled(self.shared.closed.wait()).await {
            Ok(()) => Err(closes.why()),
            Err(request) => {
                self.close();
                self.see_off().await;
                match request.reraise().await {}
            }
        }
    }

    /// Runs `future` while the server serves, then closes it and waits until every connection is gone, also when the task is
    /// asked to stop; those that stay longer than [`shutdown_timeout`](ServerBuilder::shutdown_timeout) are closed.
    ///
    /// # Errors
    ///
    /// As [`start_serving`](Self::start_serving).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it drops `future` and closes the server; connections live on.
    ///
    /// **Differs from asyncio**: in place of `async with server`.
    ///
    /// # Examples
    ///
    /// For a test, or a tool that serves while it does something else:
    ///
    /// ```
    /// # use loxley_io::{open_connection, start_server};
    /// # loxley_runtime::run(async {
    /// let server = start_server(|_, writer| async move { writer.write(b"hello") }, "127.0.0.1:0").await?;
    /// let addr = server.local_addr().unwrap();
    /// let heard = server.serving(async {
    ///     let (mut reader, _writer) = open_connection(addr).await?;
    ///     reader.read_to_end().await
    /// });
    /// assert_eq!(heard.await??, b"hello");
    /// assert!(open_connection(addr).await.is_err(), "it is closed");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[doc(alias = "__aenter__")]
    pub async fn serving<F: Future>(&self, future: F) -> Result<F::Output, ServeError> {
        self.start_serving()?;
        let _closes = Closes(&*self.shared);
        let output = with_cleanup(future, |_| async {
            self.close();
            self.see_off().await;
        });
        Ok(output.await)
    }

    /// Waits until the connections are gone: by themselves, then told to, then broken off.
    async fn see_off(&self) {
        let patience = self.shared.settings.shutdown_timeout;
        if timeout(patience, self.wait_closed()).await.is_ok() {
            return;
        }
        self.close_clients();
        if timeout(GOODBYE_TIMEOUT, self.wait_closed()).await.is_err() {
            self.abort_clients();
            self.wait_closed().await;
        }
    }

    /// Stops to accept. Connections live on; those that wait to be accepted are reset. The files of Unix-domain sockets are
    /// removed. A second call changes nothing.
    pub fn close(&self) {
        self.shared.close(None);
    }

    /// Closes every connection behind what is queued on it, as by [`StreamWriter::close`](super::StreamWriter::close): the
    /// handlers' readers see the end.
    ///
    /// # Examples
    ///
    /// The orderly end: nobody new, those that are here are told, and waited for.
    ///
    /// ```
    /// # use loxley_io::{open_connection, start_server};
    /// # loxley_runtime::run(async {
    /// let wait_for_end = |mut reader: loxley_io::StreamReader, writer: loxley_io::StreamWriter| async move {
    ///     writer.write(b"welcome\n");
    ///     reader.read_to_end().await.map(drop)
    /// };
    /// let server = start_server(wait_for_end, "127.0.0.1:0").await?;
    /// let (mut reader, _writer) = open_connection(server.local_addr().unwrap()).await?;
    /// reader.readline().await?;
    /// server.close();
    /// server.close_clients();
    /// server.wait_closed().await;
    /// assert_eq!(reader.read_to_end().await?, b"");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn close_clients(&self) {
        for link in self.shared.roster.links() {
            link.close();
        }
    }

    /// Closes every connection at once, as by [`StreamWriter::abort`](super::StreamWriter::abort).
    ///
    /// # Examples
    ///
    /// When the time for an orderly end is over:
    ///
    /// ```
    /// # use loxley_io::{open_connection, start_server};
    /// # loxley_runtime::run(async {
    /// let stuck = |_reader, writer: loxley_io::StreamWriter| async move {
    ///     writer.write(b"welcome\n");
    ///     std::future::pending::<()>().await
    /// };
    /// let server = start_server(stuck, "127.0.0.1:0").await?;
    /// let (mut reader, _writer) = open_connection(server.local_addr().unwrap()).await?;
    /// reader.readline().await?;
    /// server.close();
    /// server.abort_clients();
    /// assert!(reader.read_to_end().await.is_err(), "broken off");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn abort_clients(&self) {
        for link in self.shared.roster.links() {
            link.abort();
        }
    }

    /// Waits until the server is closed and its connections, too, whichever comes last. Handlers may go on after that.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::start_server;
    /// # loxley_runtime::run(async {
    /// let server = start_server(|_, _| async {}, "127.0.0.1:0").await?;
    /// server.close();
    /// server.wait_closed().await;
    /// assert_eq!(server.connections(), 0);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub async fn wait_closed(&self) {
        self.shared.closed.wait().await;
        self.shared.porters.at_most(0).await;
        self.shared.roster.at_most(0).await;
    }
}

impl Clone for Server {
    fn clone(&self) -> Self {
        Self::over(self.shared.clone())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // ordering: AcqRel. The last one sees what the others did.
        if self.shared.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("sockets", &self.sockets())
            .field("is_serving", &self.is_serving())
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

/// The right to serve forever.
struct Alone<'a>(&'a Shared);

impl<'a> Alone<'a> {
    fn with(shared: &'a Shared) -> Result<Self, ServeError> {
        // ordering: Acquire pairs with the Release below, from one who serves to the next.
        match shared.is_served_forever.swap(true, Ordering::Acquire) {
            true => Err(ServeError::AlreadyServing),
            false => Ok(Self(shared)),
        }
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        // ordering: Release, as above.
        self.0.is_served_forever.store(false, Ordering::Release);
    }
}

/// Closes the server on drop.
struct Closes<S: Deref<Target = Shared>>(S);

impl<S: Deref<Target = Shared>> Closes<S> {
    /// Why the server was closed.
    fn why(&self) -> ServeError {
        match &mut *self.0.stage.lock() {
            Stage::Closed(why) => why.take().map_or(ServeError::Closed, ServeError::Io),
            _ => ServeError::Closed,
        }
    }
}

impl<S: Deref<Target = Shared>> Drop for Closes<S> {
    fn drop(&mut self) {
        self.0.close(None);
    }
}

/// Why a server does not serve.
///
/// # Examples
///
/// ```
/// use loxley_io::{start_server, streams::ServeError};
///
/// # loxley_runtime::run(async {
/// let server = start_server(|_, _| async {}, "127.0.0.1:0").await?;
/// server.close();
/// assert!(matches!(server.serve_forever().await, Err(ServeError::Closed)));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// It is closed.
    Closed,
    /// Somebody else is in [`Server::serve_forever`].
    AlreadyServing,
    /// A socket cannot listen, or broke.
    Io(io::Error),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the server is closed"),
            Self::AlreadyServing => {
                f.write_str("the server is being served forever already: one call is enough")
            }
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            Self::Closed | Self::AlreadyServing => None,
        }
    }
}

impl From<ServeError> for io::Error {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Io(error) => error,
            error => Self::other(error),
        }
    }
}
