//! Setting up a server: knobs, addresses, binding.
//!
//! Called by users. Everything is bound before anything listens, so that a server which cannot have all its addresses has
//! none.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use loxley_runtime::create_task;

use super::accept::{Settings, accept};
use super::door::{Bound, Endpoint};
use super::file::{self, SocketFile};
use super::handler::HandlerOutput;
use super::{Closes, SHUTDOWN_TIMEOUT, Server, Shared};
use crate::resolve::{Target, ToSocketAddrs, naming, naming_all, resolve};
use crate::streams::{DEFAULT_LIMIT, StreamReader, StreamWriter, reader};
use crate::sys;

/// Serves TCP connections on every address that `addr` stands for: `handler` is called with the two ends of each, in a task
/// of its own. Serving goes on until the server is closed or its last handle is dropped; await
/// [`serve_forever`](Server::serve_forever) to stay.
///
/// When the handler returns, the ends that it has not given away are dropped, which closes the connection behind what was
/// written. If it returns an error or panics, that goes to the runtime's unhandled-error handler with the peer's address,
/// and the connection is closed.
///
/// Where the system is short of descriptors or memory, accepting pauses, is reported once, and goes on by itself.
///
/// # Errors
///
/// If the address cannot be understood, the name not resolved, or an address not bound, naming it: then none is. Of
/// several addresses those that this machine does not have are left out, as long as there are others.
///
/// # Cancel safety
///
/// Nothing stays bound.
///
/// # Examples
///
/// ```
/// use loxley_io::{open_connection, start_server};
///
/// # loxley_runtime::run(async {
/// let server = start_server(
///     |mut reader, writer| async move {
///         while let Some(line) = reader.lines().next().await? {
///             writer.write(&line);
///             writer.drain().await?;
///         }
///         std::io::Result::Ok(())
///     },
///     "127.0.0.1:0",
/// )
/// .await?;
///
/// let (mut reader, writer) = open_connection(server.local_addr().unwrap()).await?;
/// writer.write(b"hello\n");
/// assert_eq!(reader.readline().await?, b"hello\n");
/// server.close();
/// drop(writer);
/// server.wait_closed().await;
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// **Differs from asyncio**: a handler that returns closes the connection unless its writer lives elsewhere.
#[doc(alias = "create_server")]
pub async fn start_server<H, F>(handler: H, addr: impl ToSocketAddrs) -> io::Result<Server>
where
    H: Fn(StreamReader, StreamWriter) -> F + Send + Sync + 'static,
    F: Future + Send + 'static,
    F::Output: HandlerOutput + Send,
{
    ServerBuilder::new().addr(addr).start(handler).await
}

/// [`start_server`] on a Unix-domain socket. A path that begins with a NUL byte is an abstract name (Linux).
///
/// A socket file that nobody listens on any more is removed first (finding that out is a connection that ends at once);
/// anything else at the path stays, and is an error. The file is removed when the server is closed, unless it is another one
/// by then.
///
/// # Errors
///
/// If the path is empty or has more than 107 bytes; if there is something at it that is in use, or no socket.
///
/// # Cancel safety
///
/// Nothing stays bound.
///
/// # Examples
///
/// ```
/// use loxley_io::{open_unix_connection, start_unix_server};
///
/// # loxley_runtime::run(async {
/// # let path = std::env::temp_dir().join(format!("loxley-server-doc-{}", std::process::id()));
/// let server = start_unix_server(|_, writer| async move { writer.write(b"hello") }, &path).await?;
/// let (mut reader, _writer) = open_unix_connection(&path).await?;
/// assert_eq!(reader.read_to_end().await?, b"hello");
/// server.close();
/// assert!(!path.exists());
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[doc(alias = "create_unix_server")]
pub async fn start_unix_server<H, F>(handler: H, path: impl AsRef<Path>) -> io::Result<Server>
where
    H: Fn(StreamReader, StreamWriter) -> F + Send + Sync + 'static,
    F: Future + Send + 'static,
    F::Output: HandlerOutput + Send,
{
    ServerBuilder::new().unix(path).start(handler).await
}

/// [`start_server`] with knobs: any number of addresses, paths and sockets that are there already.
///
/// # Examples
///
/// ```
/// use loxley_io::streams::ServerBuilder;
///
/// # loxley_runtime::run(async {
/// let server = ServerBuilder::new()
///     .addr("127.0.0.1:0")
///     .addr("127.0.0.2:0")
///     .max_connections(1000)
///     .limit(1 << 20)
///     .start(|mut reader, _| async move { reader.read_to_end().await.map(drop) })
///     .await?;
/// assert_eq!(server.sockets().len(), 2);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[must_use = "nothing is bound before `start`"]
#[doc(alias = "TcpSocket")]
pub struct ServerBuilder {
    places: Vec<Place>,
    pub(in crate::streams) settings: Settings,
    backlog: i32,
    shares_port: bool,
    serves_at_once: bool,
    cleans_up: bool,
}

/// Where to listen.
enum Place {
    Inet(io::Result<Target>),
    Unix(PathBuf),
    Given(TcpListener),
    GivenUnix(UnixListener),
}

impl ServerBuilder {
    /// The defaults, and nowhere to listen yet.
    pub fn new() -> Self {
        Self {
            places: Vec::new(),
            settings: Settings {
                limit: DEFAULT_LIMIT,
                nodelay: true,
                keep_alive: false,
                connections_max: usize::MAX,
                shutdown_timeout: SHUTDOWN_TIMEOUT,
                tls: None,
            },
            backlog: sys::BACKLOG,
            shares_port: false,
            serves_at_once: true,
            cleans_up: true,
        }
    }

    /// Listens on every address that `addr` stands for. On port 0 the system chooses, for each address by itself. An IPv6
    /// address takes IPv6 alone.
    pub fn addr(mut self, addr: impl ToSocketAddrs) -> Self {
        self.places.push(Place::Inet(addr.target()));
        self
    }

    /// Listens at the Unix-domain socket `path`: see [`start_unix_server`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{open_unix_connection, streams::ServerBuilder};
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-builder-unix-{}", std::process::id()));
    /// let both = ServerBuilder::new().addr("127.0.0.1:0").unix(&path);
    /// let server = both.start(|_, writer| async move { writer.write(b"hello") }).await?;
    /// let (mut reader, _writer) = open_unix_connection(&path).await?;
    /// assert_eq!(reader.read_to_end().await?, b"hello");
    /// # drop(server);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn unix(mut self, path: impl AsRef<Path>) -> Self {
        self.places.push(Place::Unix(path.as_ref().to_owned()));
        self
    }

    /// Listens on a socket that is bound already: inherited, or with options of its own.
    ///
    /// Closing the server closes this handle of the socket. Another process that has the socket, too, goes on with those who
    /// wait to be accepted.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::streams::ServerBuilder;
    /// # loxley_runtime::run(async {
    /// let bound = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let addr = bound.local_addr()?;
    /// let server = ServerBuilder::new().listener(bound).start(|_, _| async {}).await?;
    /// assert_eq!(server.local_addr(), Some(addr));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn listener(mut self, listener: TcpListener) -> Self {
        self.places.push(Place::Given(listener));
        self
    }

    /// The same for a Unix-domain socket. Its file is another's, and stays.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::streams::ServerBuilder;
    /// # use std::os::unix::net::UnixListener;
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-builder-bound-{}", std::process::id()));
    /// let bound = UnixListener::bind(&path)?;
    /// let server = ServerBuilder::new().unix_listener(bound).start(|_, _| async {}).await?;
    /// server.close();
    /// assert!(path.exists(), "it was not ours to remove");
    /// # std::fs::remove_file(&path)
    /// # }).unwrap();
    /// ```
    pub fn unix_listener(mut self, listener: UnixListener) -> Self {
        self.places.push(Place::GivenUnix(listener));
        self
    }

    /// The readers' limit in bytes, as [`StreamReader::set_limit`]. Default: 64 KiB.
    ///
    /// # Panics
    ///
    /// If it is zero.
    ///
    /// # Examples
    ///
    /// Whoever sends a longer line gets no answer:
    ///
    /// ```
    /// # use loxley_io::{StreamReader, StreamWriter, open_connection, streams::{ReadError, ServerBuilder}};
    /// # loxley_runtime::run(async {
    /// let greet = |mut reader: StreamReader, writer: StreamWriter| async move {
    ///     if let Err(ReadError::LineTooLong { .. }) = reader.readline().await {
    ///         return writer.abort();
    ///     }
    ///     writer.write(b"hello");
    /// };
    /// let server = ServerBuilder::new().addr("127.0.0.1:0").limit(16).start(greet).await?;
    /// let (mut reader, writer) = open_connection(server.local_addr().unwrap()).await?;
    /// writer.write(&[b'a'; 64]);
    /// assert_ne!(reader.read_to_end().await.unwrap_or_default(), b"hello");
    /// # server.close();
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn limit(mut self, limit: usize) -> Self {
        reader::check_limit(limit);
        self.settings.limit = limit;
        self
    }

    /// How many connections may wait to be accepted on each socket; the system caps it. Default: 4096.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::streams::ServerBuilder;
    /// # loxley_runtime::run(async {
    /// let few = ServerBuilder::new().addr("127.0.0.1:0").backlog(16);
    /// assert!(few.start(|_, _| async {}).await?.is_serving());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn backlog(mut self, count: u32) -> Self {
        self.backlog = i32::try_from(count).unwrap_or(i32::MAX);
        self
    }

    /// Whether several sockets may listen on one port and share its connections (`SO_REUSEPORT`). Default: no.
    ///
    /// # Examples
    ///
    /// The next version of a program starts before the old one has ended:
    ///
    /// ```
    /// # use loxley_io::streams::ServerBuilder;
    /// # loxley_runtime::run(async {
    /// let shared = |addr: &str| ServerBuilder::new().addr(addr).reuse_port(true);
    /// let old = shared("127.0.0.1:0").start(|_, _| async {}).await?;
    /// let addr = old.local_addr().unwrap();
    /// let new = shared(&addr.to_string()).start(|_, _| async {}).await?;
    /// assert_eq!(new.local_addr(), Some(addr));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn reuse_port(mut self, share: bool) -> Self {
        self.shares_port = share;
        self
    }

    /// How many connections are served at once; more wait in the system's queues. Default: no limit but that on descriptors.
    ///
    /// # Panics
    ///
    /// If it is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{open_connection, streams::ServerBuilder};
    /// # loxley_runtime::run(async {
    /// let one_by_one = ServerBuilder::new().addr("127.0.0.1:0").max_connections(1);
    /// let server = one_by_one.start(|_, writer| async move { writer.write(b"next") }).await?;
    /// for _ in 0..3 {
    ///     let (mut reader, _writer) = open_connection(server.local_addr().unwrap()).await?;
    ///     assert_eq!(reader.read_to_end().await?, b"next");
    /// }
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn max_connections(mut self, count: usize) -> Self {
        assert!(
            count > 0,
            "a server without connections serves nobody: give `max_connections` at least 1"
        );
        self.settings.connections_max = count;
        self
    }

    /// How long connections may go on when [`serve_forever`](Server::serve_forever) or [`serving`](Server::serving) end with
    /// them: longer ones are closed, as by [`close_clients`](Server::close_clients), and if that takes more than another
    /// second, aborted. Default: 10 seconds, less than supervisors usually grant. `Duration::MAX` lets the peers decide.
    ///
    /// # Examples
    ///
    /// Handlers that mostly wait for what a client says next need no time to finish something:
    ///
    /// ```
    /// # use loxley_io::{StreamReader, StreamWriter, open_connection, streams::ServerBuilder};
    /// # use std::time::Duration;
    /// # loxley_runtime::run(async {
    /// let echo = |mut reader: StreamReader, writer: StreamWriter| async move {
    ///     while let Some(line) = reader.lines().next().await? {
    ///         writer.write(&line);
    ///     }
    ///     std::io::Result::Ok(())
    /// };
    /// let brisk = ServerBuilder::new().addr("127.0.0.1:0").shutdown_timeout(Duration::ZERO);
    /// let server = brisk.start(echo).await?;
    /// let (mut reader, writer) = open_connection(server.local_addr().unwrap()).await?;
    /// let serving = loxley_runtime::create_task(async move { server.serve_forever().await });
    /// writer.write(b"hello\n");
    /// reader.readline().await?;
    /// serving.cancel(); // As Ctrl-C does with what `run` runs.
    /// assert_eq!(reader.read_to_end().await?, b"", "it has said goodbye");
    /// assert!(serving.await.unwrap_err().is_cancelled());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn shutdown_timeout(mut self, limit: Duration) -> Self {
        self.settings.shutdown_timeout = limit;
        self
    }

    /// Whether the system asks silent TCP peers, after a long time, if they are still there (`SO_KEEPALIVE`). Default: no.
    ///
    /// # Examples
    ///
    /// For peers that may vanish without a word:
    ///
    /// ```
    /// # use loxley_io::streams::ServerBuilder;
    /// # loxley_runtime::run(async {
    /// let server = ServerBuilder::new().addr("127.0.0.1:0").keep_alive(true).start(|_, _| async {}).await?;
    /// assert!(server.is_serving());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn keep_alive(mut self, keep: bool) -> Self {
        self.settings.keep_alive = keep;
        self
    }

    /// Whether small writes are sent at once on TCP (`TCP_NODELAY`). Default: yes.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::streams::ServerBuilder;
    /// # loxley_runtime::run(async {
    /// let bulk = ServerBuilder::new().addr("127.0.0.1:0").nodelay(false).start(|_, _| async {}).await?;
    /// assert!(bulk.is_serving());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.settings.nodelay = nodelay;
        self
    }

    /// Whether the server listens as soon as it is made, or binds only and waits for
    /// [`start_serving`](Server::start_serving). Default: at once.
    ///
    /// # Examples
    ///
    /// Bound while there are the rights to, served once everything is ready:
    ///
    /// ```
    /// # use loxley_io::streams::ServerBuilder;
    /// # loxley_runtime::run(async {
    /// let bound = ServerBuilder::new().addr("127.0.0.1:0").start_serving(false);
    /// let server = bound.start(|_, _| async {}).await?;
    /// assert!(!server.is_serving() && server.local_addr().is_some());
    /// server.start_serving().unwrap();
    /// assert!(server.is_serving());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn start_serving(mut self, at_once: bool) -> Self {
        self.serves_at_once = at_once;
        self
    }

    /// Whether the files of Unix-domain sockets are removed when the server is closed. Default: yes.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::streams::ServerBuilder;
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-builder-keep-{}", std::process::id()));
    /// let kept = ServerBuilder::new().unix(&path).cleanup_socket(false);
    /// kept.start(|_, _| async {}).await?.close();
    /// assert!(path.exists());
    /// # std::fs::remove_file(&path)
    /// # }).unwrap();
    /// ```
    pub fn cleanup_socket(mut self, clean: bool) -> Self {
        self.cleans_up = clean;
        self
    }

    /// Binds, and begins to serve.
    ///
    /// # Errors
    ///
    /// As [`start_server`] and [`start_unix_server`]; if there is nowhere to listen.
    ///
    /// # Cancel safety
    ///
    /// Nothing stays bound.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::streams::ServerBuilder;
    /// # loxley_runtime::run(async {
    /// let nowhere = ServerBuilder::new().start(|_, _| async {}).await;
    /// assert!(nowhere.is_err(), "there is nowhere to listen");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub async fn start<H, F>(self, handler: H) -> io::Result<Server>
    where
        H: Fn(StreamReader, StreamWriter) -> F + Send + Sync + 'static,
        F: Future + Send + 'static,
        F::Output: HandlerOutput + Send,
    {
        let mut bound = Vec::new();
        for place in self.places {
            match place {
                Place::Inet(target) => {
                    let addrs = resolve(target?).await?;
                    bound.extend(bind_all(addrs, self.shares_port)?);
                }
                Place::Unix(path) => bound.push(bind_path(&path, self.cleans_up)?),
                Place::Given(listener) => bound.push(take_over(listener)?),
                Place::GivenUnix(listener) => bound.push(Bound {
                    endpoint: Endpoint::Unix(listener.local_addr()?),
                    socket: listener.into(),
                    file: None,
                    is_given: true,
                }),
            }
        }
        if bound.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the server has nowhere to listen: give it an address, a path or a socket",
            ));
        }
        let handler = Arc::new(handler);
        let spawn = move |shared: &Arc<Shared>, door, place| {
            let task = accept(Closes(shared.clone()), door, handler.clone());
            drop(create_task(async move {
                let _place = place;
                task.await;
            }));
        };
        let server = Server::new(Shared::new(
            bound,
            self.backlog,
            self.settings,
            Box::new(spawn),
        ));
        if self.serves_at_once {
            server.start_serving()?;
        }
        Ok(server)
    }
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("places", &self.places.len())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Binds to every address. Those that this machine does not have (a family that is switched off, as often happens to
/// `localhost`) do not count, as long as there are others.
fn bind_all(addrs: Vec<SocketAddr>, shares_port: bool) -> io::Result<Vec<Bound>> {
    let mut bound: Vec<Bound> = Vec::new();
    let mut missing = Vec::new();
    let mut seen = Vec::new();
    for addr in addrs {
        // A resolver may name one address twice.
        if seen.contains(&addr) {
            continue;
        }
        seen.push(addr);
        match bind_one(addr, shares_port) {
            Ok(one) => bound.push(one),
            Err(error) if is_missing(&error) => missing.push(naming("bind", addr, error)),
            Err(error) => return Err(naming("bind", addr, error)),
        }
    }
    match bound.is_empty() {
        true => Err(naming_all(missing)),
        false => Ok(bound),
    }
}

fn bind_one(addr: SocketAddr, shares_port: bool) -> io::Result<Bound> {
    let ours = take_over(TcpListener::from(sys::bound(&addr, shares_port)?))?;
    Ok(Bound {
        is_given: false,
        ..ours
    })
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || sys::is_family_missing(error)
}

fn take_over(listener: TcpListener) -> io::Result<Bound> {
    Ok(Bound {
        endpoint: Endpoint::Inet(listener.local_addr()?),
        socket: listener.into(),
        file: None,
        is_given: true,
    })
}

fn bind_path(path: &Path, cleans_up: bool) -> io::Result<Bound> {
    let (socket, addr) = file::bind(path)?;
    let file = match addr.as_pathname() {
        Some(path) if cleans_up => Some(SocketFile::at(path)?),
        _ => None,
    };
    Ok(Bound {
        endpoint: Endpoint::Unix(addr),
        socket,
        file,
        is_given: false,
    })
}
