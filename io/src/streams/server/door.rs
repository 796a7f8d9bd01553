//! The listening sockets of a server, from bound to closed.
//!
//! Called by `builder.rs`, which binds, and `mod.rs`, which listens and closes; `accept.rs` accepts. The files of Unix-domain
//! sockets are in `file.rs`.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::SocketAddr as UnixAddr;
use std::path::Path;

use super::file::SocketFile;
use crate::net::{TcpListener, UnixListener};
use crate::resolve::naming;
use crate::streams::socket::Socket;
use crate::sys;

/// One end of a connection, or where a server listens.
///
/// # Examples
///
/// ```
/// use loxley_io::{start_server, streams::Endpoint};
///
/// # loxley_runtime::run(async {
/// let server = start_server(|_, _| async {}, "127.0.0.1:0").await?;
/// let names: Vec<String> = server.sockets().iter().map(Endpoint::to_string).collect();
/// assert!(names[0].starts_with("127.0.0.1:"));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Endpoint {
    /// An internet address.
    Inet(SocketAddr),
    /// A Unix-domain address: a path, an abstract name, or none.
    Unix(UnixAddr),
}

impl Endpoint {
    /// The internet address, if it is one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::start_server;
    /// # loxley_runtime::run(async {
    /// let server = start_server(|_, _| async {}, "127.0.0.1:0").await?;
    /// let ports: Vec<_> =
    ///     server.sockets().iter().filter_map(|end| Some(end.as_inet()?.port())).collect();
    /// assert_eq!(ports, [server.local_addr().unwrap().port()]);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn as_inet(&self) -> Option<SocketAddr> {
        match self {
            Self::Inet(addr) => Some(*addr),
            Self::Unix(_) => None,
        }
    }

    /// The path, if it is one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::start_unix_server;
    /// # loxley_runtime::run(async {
    /// # let path = std::env::temp_dir().join(format!("loxley-endpoint-{}", std::process::id()));
    /// let server = start_unix_server(|_, _| async {}, &path).await?;
    /// assert_eq!(server.sockets()[0].as_pathname(), Some(&*path));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn as_pathname(&self) -> Option<&Path> {
        match self {
            Self::Inet(_) => None,
            Self::Unix(addr) => addr.as_pathname(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(addr) => addr.fmt(f),
            Self::Unix(addr) => f.write_str(&sys::unix::display(addr)),
        }
    }
}

/// A socket that is bound and does not listen yet. Its file goes with it.
pub(super) struct Bound {
    pub(super) endpoint: Endpoint,
    pub(super) socket: OwnedFd,
    pub(super) file: Option<SocketFile>,
    /// Whether others may have the same socket.
    pub(super) is_given: bool,
}

/// A socket that listens. Its file goes with it.
pub(super) struct Door {
    pub(super) endpoint: Endpoint,
    listener: Listener,
    file: Option<SocketFile>,
    is_given: bool,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Bound {
    pub(super) fn open(self, backlog: i32) -> io::Result<Door> {
        let Self {
            endpoint,
            socket,
            file,
            is_given,
        } = self;
        let listener = sys::listen(socket.as_fd(), backlog).and_then(|()| match endpoint {
            Endpoint::Inet(_) => TcpListener::from_std(socket.into()).map(Listener::Tcp),
            Endpoint::Unix(_) => UnixListener::from_std(socket.into()).map(Listener::Unix),
        });
        match listener {
            Ok(listener) => Ok(Door {
                endpoint,
                listener,
                file,
                is_given,
            }),
            Err(error) => Err(naming("listen on", &endpoint, error)),
        }
    }
}

impl Door {
    /// Waits for a connection.
    pub(super) async fn accept(&self) -> io::Result<(Socket, Endpoint)> {
        match &self.listener {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Socket::Tcp(stream), Endpoint::Inet(peer)))
            }
            Listener::Unix(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Socket::Unix(stream), Endpoint::Unix(peer)))
            }
        }
    }

    /// From now on nobody gets in. The socket itself is closed with the door.
    ///
    /// One that was given may be another process's, too, which goes on listening: stopping it would stop it for all.
    pub(super) fn shut(&self) {
        if self.is_given {
            return;
        }
        match &self.listener {
            Listener::Tcp(listener) => sys::stop_listening(listener.as_fd()),
            Listener::Unix(listener) => sys::stop_listening(listener.as_fd()),
        }
        if let Some(file) = &self.file {
            file.remove();
        }
    }
}
