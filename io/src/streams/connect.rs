//! From an address to a pair of streams: look-up, order of addresses, attempts, errors.
//!
//! Called by users. The race between attempts is in `race.rs`.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::race::race;
use super::tls::TlsClient;
use super::{DEFAULT_LIMIT, StreamReader, StreamWriter, from_socket, reader, socket::Socket};
use crate::net::{TcpStream, UnixStream};
use crate::resolve::{Target, ToSocketAddrs, resolve};

/// What RFC 8305, section 5, recommends.
const HAPPY_EYEBALLS_DELAY: Duration = Duration::from_millis(250);

/// Connects and returns the two ends of the connection. A name that stands for several addresses is tried in the way of
/// Happy Eyeballs (RFC 8305): the families take turns, and the next attempt begins when one fails or has not answered within
/// a quarter of a second; the first connection wins. Small writes are sent at once (`TCP_NODELAY`).
///
/// # Errors
///
/// If the address cannot be understood or the name not resolved, or if no address answers: then the [`ConnectError`] in it
/// names each with its error.
///
/// # Cancel safety
///
/// Connections that are not finished are given up.
///
/// # Examples
///
/// ```
/// # loxley_runtime::run(async {
/// # let listener = loxley_io::TcpListener::bind("127.0.0.1:0").await?;
/// # let address = listener.local_addr()?;
/// # let task = loxley_runtime::create_task(async move {
/// #     let (stream, _) = listener.accept().await?;
/// #     stream.write_all(b"+PONG\r\n").await
/// # });
/// use loxley_io::open_connection;
///
/// let (mut reader, writer) = open_connection(address).await?;
/// writer.write(b"PING\r\n");
/// assert_eq!(reader.readline().await?, b"+PONG\r\n");
/// # task.await.unwrap()?;
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// **Differs from asyncio**: Happy Eyeballs is on.
#[doc(alias = "create_connection")]
pub async fn open_connection(addr: impl ToSocketAddrs) -> io::Result<(StreamReader, StreamWriter)> {
    OpenConnection::new(addr).connect().await
}

/// Connects to the Unix-domain socket that listens at `path`; one that begins with a NUL byte is an abstract name (Linux).
///
/// # Errors
///
/// If the path is empty or has more than 107 bytes, or if nobody listens there; all of them naming it.
///
/// # Panics
///
/// If the listener's queue is full and the runtime's shutdown has begun.
///
/// # Cancel safety
///
/// A connection that is not finished is given up.
///
/// # Examples
///
/// ```
/// use loxley_io::{UnixListener, open_unix_connection};
///
/// # loxley_runtime::run(async {
/// # let path = std::env::temp_dir().join(format!("loxley-connect-doc-{}", std::process::id()));
/// # let _ = std::fs::remove_file(&path);
/// let listener = UnixListener::bind(&path)?;
/// let (mut reader, _writer) = open_unix_connection(&path).await?;
/// let (peer, _) = listener.accept().await?;
/// peer.write_all(b"hello").await?;
/// drop(peer);
/// assert_eq!(reader.read_to_end().await?, b"hello");
/// # std::fs::remove_file(&path)?;
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[doc(alias = "create_unix_connection")]
pub async fn open_unix_connection(
    path: impl AsRef<Path>,
) -> io::Result<(StreamReader, StreamWriter)> {
    OpenConnection::unix(path).connect().await
}

/// [`open_connection`] with knobs.
///
/// # Examples
///
/// ```no_run
/// use loxley_io::streams::OpenConnection;
/// use std::time::Duration;
///
/// # async fn example() -> std::io::Result<()> {
/// let (reader, writer) = OpenConnection::new("example.org:80")
///     .limit(1 << 20)
///     .happy_eyeballs_delay(Duration::from_millis(100))
///     .connect()
///     .await?;
/// # drop((reader, writer)); Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is connected before `connect`"]
#[doc(alias = "TcpSocket")]
pub struct OpenConnection {
    goal: Goal,
    limit: usize,
    local: Option<io::Result<Target>>,
    delay: Option<Duration>,
    interleave: usize,
    nodelay: bool,
    pub(super) tls: Option<TlsClient>,
}

#[derive(Debug)]
enum Goal {
    Tcp(io::Result<Target>),
    Unix(PathBuf),
    Given(TcpStream),
}

impl Goal {
    /// Whom a certificate must be valid for, as far as the goal says.
    fn host(&self) -> Option<String> {
        let Self::Tcp(Ok(target)) = self else {
            return None;
        };
        match target {
            Target::Name(name, _) => Some(name.clone()),
            Target::Addrs(addrs) => {
                let first = addrs.first()?.ip();
                let is_one = addrs.iter().all(|addr| addr.ip() == first);
                is_one.then(|| first.to_string())
            }
        }
    }
}

impl OpenConnection {
    fn to(goal: Goal) -> Self {
        Self {
            goal,
            limit: DEFAULT_LIMIT,
            local: None,
            delay: Some(HAPPY_EYEBALLS_DELAY),
            interleave: 1,
            nodelay: true,
            tls: None,
        }
    }

    /// To one of the addresses that `addr` stands for.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{TcpListener, streams::OpenConnection};
    /// # loxley_runtime::run(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let (_reader, writer) = OpenConnection::new(listener.local_addr()?).connect().await?;
    /// assert_eq!(writer.peer_addr()?, listener.local_addr()?);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn new(addr: impl ToSocketAddrs) -> Self {
        Self::to(Goal::Tcp(addr.target()))
    }

    /// To the Unix-domain socket at `path`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixListener, streams::OpenConnection};
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-open-unix-{}", std::process::id()));
    /// let _listener = UnixListener::bind(&path)?;
    /// let (reader, _writer) = OpenConnection::unix(&path).limit(1 << 20).connect().await?;
    /// assert_eq!(reader.limit(), 1 << 20);
    /// # std::fs::remove_file(&path)
    /// # }).unwrap();
    /// ```
    pub fn unix(path: impl AsRef<Path>) -> Self {
        Self::to(Goal::Unix(path.as_ref().to_owned()))
    }

    /// Over a connection that is there already.
    ///
    /// # Examples
    ///
    /// A connection made in a way of one's own, through a proxy, say:
    ///
    /// ```
    /// # use loxley_io::{TcpListener, TcpStream, streams::OpenConnection};
    /// # loxley_runtime::run(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let stream = TcpStream::connect(listener.local_addr()?).await?;
    /// let (_reader, writer) = OpenConnection::over(stream).connect().await?;
    /// assert_eq!(writer.peer_addr()?, listener.local_addr()?);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn over(stream: TcpStream) -> Self {
        Self::to(Goal::Given(stream))
    }

    /// The reader's limit in bytes, as [`StreamReader::set_limit`]. Default: 64 KiB.
    ///
    /// # Panics
    ///
    /// If it is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{TcpListener, streams::OpenConnection};
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let addr = listener.local_addr()?;
    /// let (reader, _writer) = OpenConnection::new(addr).limit(1024).connect().await?;
    /// assert_eq!(reader.limit(), 1024, "no line is longer");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn limit(mut self, limit: usize) -> Self {
        reader::check_limit(limit);
        self.limit = limit;
        self
    }

    /// Where to connect from: for each address the first of these that is of its family and can be bound. Default: the
    /// system chooses.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{TcpListener, streams::OpenConnection};
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let addr = listener.local_addr()?;
    /// let (_reader, writer) = OpenConnection::new(addr).local_addr("127.0.0.2:0").connect().await?;
    /// assert_eq!(writer.local_addr()?.ip().to_string(), "127.0.0.2");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn local_addr(mut self, addr: impl ToSocketAddrs) -> Self {
        self.local = Some(addr.target());
        self
    }

    /// How long to wait for an answer before the next address is tried beside; `None` tries one after the other. Default:
    /// 250 ms; RFC 8305 asks for at least 10 ms, better 100, and at most 2 s.
    ///
    /// # Examples
    ///
    /// One address after the other, as older programs do:
    ///
    /// ```
    /// # use loxley_io::{TcpListener, streams::OpenConnection};
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let addr = listener.local_addr()?;
    /// let patient = OpenConnection::new(addr).happy_eyeballs_delay(None);
    /// assert!(patient.connect().await.is_ok());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn happy_eyeballs_delay(mut self, delay: impl Into<Option<Duration>>) -> Self {
        self.delay = delay.into();
        self
    }

    /// How many addresses of the first family are tried before the families take turns; 0 keeps the resolver's order.
    /// Default: 1.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{TcpListener, streams::OpenConnection};
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let addr = listener.local_addr()?;
    /// let in_the_resolvers_order = OpenConnection::new(addr).interleave(0);
    /// assert!(in_the_resolvers_order.connect().await.is_ok());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn interleave(mut self, first_family_count: usize) -> Self {
        self.interleave = first_family_count;
        self
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`). Default: yes. On a connection given to
    /// [`over`](Self::over), too.
    ///
    /// # Examples
    ///
    /// Many small writes that nobody waits for go out together:
    ///
    /// ```
    /// # use loxley_io::{TcpListener, streams::OpenConnection};
    /// # loxley_runtime::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let addr = listener.local_addr()?;
    /// let (_reader, writer) = OpenConnection::new(addr).nodelay(false).connect().await?;
    /// writer.writelines(["one ", "two "]);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// As [`open_connection`] and [`open_unix_connection`]; if a local address is given where none can be. With TLS, if the
    /// handshake fails or takes too long.
    ///
    /// # Cancel safety
    ///
    /// Connections that are not finished are given up.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{TcpListener, streams::OpenConnection};
    /// # loxley_runtime::run(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let addr = listener.local_addr()?;
    /// drop(listener);
    /// let refused = OpenConnection::new(addr).connect().await.map(drop).unwrap_err();
    /// assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub async fn connect(mut self) -> io::Result<(StreamReader, StreamWriter)> {
        let host = self.goal.host();
        let tls = self.tls.take();
        let (mut reader, writer) = self.connect_bare().await?;
        if let Some(tls) = tls {
            tls.secure(writer.link(), &mut reader, host).await?;
        }
        Ok((reader, writer))
    }

    async fn connect_bare(self) -> io::Result<(StreamReader, StreamWriter)> {
        let Self { limit, nodelay, .. } = self;
        let stream = match self.goal {
            Goal::Unix(_) | Goal::Given(_) if self.local.is_some() => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "a local address is for TCP connections that are still to be made: leave it out",
                ));
            }
            Goal::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                return Ok(from_socket(Socket::Unix(stream), limit));
            }
            Goal::Given(stream) => stream,
            Goal::Tcp(target) => {
                let local = match self.local {
                    Some(local) => Some(resolve(local?).await?),
                    None => None,
                };
                let addrs = interleaved(resolve(target?).await?, self.interleave);
                connect_any(addrs, local, self.delay).await?
            }
        };
        if nodelay {
            stream.set_nodelay(true)?;
        }
        Ok(from_socket(Socket::Tcp(stream), limit))
    }
}

async fn connect_any(
    addrs: Vec<SocketAddr>,
    local: Option<Vec<SocketAddr>>,
    delay: Option<Duration>,
) -> io::Result<TcpStream> {
    let local = Arc::new(local);
    let attempts = addrs
        .into_iter()
        .map(|addr| connect_one(addr, local.clone()));
    let attempts: Vec<_> = attempts.collect();
    race(attempts, delay)
        .await
        .map_err(|attempts| ConnectError { attempts }.into())
}

async fn connect_one(
    addr: SocketAddr,
    local: Arc<Option<Vec<SocketAddr>>>,
) -> Result<TcpStream, (SocketAddr, io::Error)> {
    let attempt = TcpStream::connect_one(addr, (*local).as_deref()).await;
    attempt.map_err(|error| (addr, error))
}

/// The families by turns, the first one `first_count` times before the first turn of the second. RFC 8305, section 4.
fn interleaved(addrs: Vec<SocketAddr>, first_count: usize) -> Vec<SocketAddr> {
    let Some(first) = addrs.first().filter(|_| first_count > 0) else {
        return addrs;
    };
    let is_first = first.is_ipv4();
    let (first, second): (Vec<_>, Vec<_>) = addrs
        .into_iter()
        .partition(|addr| addr.is_ipv4() == is_first);
    let head = first.len().min(first_count - 1);
    let mut ordered = first[..head].to_vec();
    let (mut first, mut second) = (first[head..].iter(), second.iter());
    loop {
        let before = ordered.len();
        ordered.extend(first.next());
        ordered.extend(second.next());
        if ordered.len() == before {
            return ordered;
        }
    }
}

/// No address could be connected to; inside the [`io::Error`] of [`open_connection`], whose kind is that of the last one.
///
/// # Examples
///
/// ```
/// use loxley_io::{open_connection, streams::ConnectError};
///
/// # loxley_runtime::run(async {
/// // Bound, and closed again: nobody listens there.
/// let addr = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
/// let error = open_connection(addr).await.map(drop).unwrap_err();
/// let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ConnectError>());
/// assert_eq!(inner.unwrap().attempts[0].0, addr);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct ConnectError {
    /// Every address that was tried, with its error, in the order of the attempts.
    pub attempts: Vec<(SocketAddr, io::Error)>,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.attempts.is_empty() {
            return f.write_str("there is no address to connect to");
        }
        for (index, (addr, error)) in self.attempts.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}cannot connect to {addr}: {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.attempts.last().map(|(_, error)| error as _)
    }
}

impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> Self {
        let kind = error
            .attempts
            .last()
            .map_or(io::ErrorKind::InvalidInput, |(_, error)| error.kind());
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let order = |addrs: &[u16], first_count| -> Vec<u16> {
            // IPv6 below 10.
            let addrs = addrs.iter().map(|&port| match port < 10 {
                true => SocketAddr::from(([0; 16], port)),
                false => SocketAddr::from(([0; 4], port)),
            });
            let ordered = interleaved(addrs.collect(), first_count);
            ordered.iter().map(SocketAddr::port).collect()
        };
        let given = [1, 2, 3, 11, 12];
        assert_eq!(order(&given, 0), given);
        assert_eq!(order(&given, 1), [1, 11, 2, 12, 3]);
        assert_eq!(order(&given, 2), [1, 2, 11, 3, 12]);
        assert_eq!(order(&given, 9), given);
        assert_eq!(order(&[11, 1, 2, 12], 1), [11, 1, 12, 2]);
        assert_eq!(order(&[11, 12], 1), [11, 12]);
        assert!(order(&[], 1).is_empty());
    }

    #[test]
    fn every_attempt_is_in_the_error() {
        let attempt =
            |port, kind: io::ErrorKind| (SocketAddr::from(([127, 0, 0, 1], port)), kind.into());
        let attempts = vec![
            attempt(1, io::ErrorKind::TimedOut),
            attempt(2, io::ErrorKind::ConnectionRefused),
        ];
        let error = io::Error::from(ConnectError { attempts });
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let text = error.to_string();
        assert!(text.contains("127.0.0.1:1: timed out"), "{text}");
        assert!(text.contains("127.0.0.1:2: connection refused"), "{text}");
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<ConnectError>());
        assert_eq!(inner.expect("it is kept").attempts.len(), 2);
    }
}
