//! From what a user writes to socket addresses.
//!
//! Called by `net`. Numeric addresses are answered at once. Names are looked up by the system's resolver, never on a
//! worker.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use loxley_runtime::{Handle, to_thread};

/// What can be connected or bound to: socket addresses, `(host, port)`, `"host:port"`.
///
/// Sealed: the forms are those that the standard library takes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an address",
    label = "this is not an address",
    note = "an address is `\"host:port\"`, `(\"host\", port)` with the port as a `u16`, or a `SocketAddr`; `\"127.0.0.1:0\"` lets the system choose a port"
)]
pub trait ToSocketAddrs: sealed::Sealed {}

pub(crate) mod sealed {
    use super::Target;

    pub trait Sealed {
        /// The addresses, or the name that stands for them.
        fn target(&self) -> std::io::Result<Target>;
    }
}

/// Addresses, or a name to be looked up.
#[derive(Clone, Debug)]
#[allow(unnameable_types, reason = "part of a sealed trait")]
pub enum Target {
    /// Known already.
    Addrs(Vec<SocketAddr>),
    /// A host name and a port.
    Name(String, u16),
}

/// The addresses that `target` stands for, in the resolver's order.
///
/// Numeric addresses are answered at once. Names are looked up by the system's resolver (`getaddrinfo`) on a thread
/// of the runtime's blocking pool.
///
/// # Errors
///
/// If the target cannot be understood, the name cannot be resolved or stands for nothing, or a name is looked up
/// outside every runtime.
///
/// # Panics
///
/// If a name is looked up after the runtime's shutdown has begun.
///
/// # Cancel safety
///
/// Nothing is lost; a look-up that has begun runs to its end unobserved.
///
/// **Differs from asyncio**: in place of `loop.getaddrinfo`, for addresses to connect or bind to.
pub async fn lookup_host(target: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    resolve(target.target()?).await
}

/// [`lookup_host`] of what a builder has kept.
pub(crate) async fn resolve(target: Target) -> io::Result<Vec<SocketAddr>> {
    let (name, port) = match target {
        Target::Addrs(addrs) => return Ok(addrs),
        Target::Name(name, port) => (name, port),
    };
    Handle::try_current().map_err(io::Error::other)?;
    to_thread(move || look_up(&name, port)).await
}

/// Asks the system's resolver, which blocks.
fn look_up(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let failed = |error: &dyn fmt::Display| format!("cannot look up {name}: {error}");
    let addrs: Vec<_> = std::net::ToSocketAddrs::to_socket_addrs(&(name, port))
        .map_err(|error| io::Error::new(error.kind(), failed(&error)))?
        .collect();
    if addrs.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            failed(&"it has no address"),
        ));
    }
    Ok(addrs)
}

/// The error of an operation on `addr`, naming it; the kind stays, and the system's own error is the source.
pub(crate) fn naming(verb: &'static str, addr: impl fmt::Display, error: io::Error) -> io::Error {
    let addr = addr.to_string();
    io::Error::new(error.kind(), AddrError { verb, addr, error })
}

/// The error of an operation on several addresses, naming each; the kind is that of the last.
pub(crate) fn naming_all(mut errors: Vec<io::Error>) -> io::Error {
    let Some(last) = errors.pop() else {
        return io::Error::new(io::ErrorKind::InvalidInput, AddrErrors(errors));
    };
    if errors.is_empty() {
        return last;
    }
    let kind = last.kind();
    errors.push(last);
    io::Error::new(kind, AddrErrors(errors))
}

#[derive(Debug)]
struct AddrError {
    verb: &'static str,
    addr: String,
    error: io::Error,
}

impl fmt::Display for AddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.verb, self.addr, self.error)
    }
}

impl std::error::Error for AddrError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

#[derive(Debug)]
struct AddrErrors(Vec<io::Error>);

impl fmt::Display for AddrErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for AddrErrors {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.last().map(|error| error as _)
    }
}

macro_rules! into_addr {
    ($($from:ty),*) => {$(
        impl ToSocketAddrs for $from {}

        impl sealed::Sealed for $from {
            fn target(&self) -> io::Result<Target> {
                Ok(Target::Addrs(vec![SocketAddr::from(*self)]))
            }
        }
    )*};
}

into_addr!(
    SocketAddr,
    SocketAddrV4,
    SocketAddrV6,
    (IpAddr, u16),
    (Ipv4Addr, u16),
    (Ipv6Addr, u16)
);

impl ToSocketAddrs for &[SocketAddr] {}

impl sealed::Sealed for &[SocketAddr] {
    fn target(&self) -> io::Result<Target> {
        Ok(Target::Addrs(self.to_vec()))
    }
}

impl ToSocketAddrs for (&str, u16) {}

impl sealed::Sealed for (&str, u16) {
    fn target(&self) -> io::Result<Target> {
        let (host, port) = *self;
        Ok(match host.parse::<IpAddr>() {
            Ok(ip) => Target::Addrs(vec![SocketAddr::new(ip, port)]),
            Err(_) => Target::Name(host.to_owned(), port),
        })
    }
}

impl ToSocketAddrs for (String, u16) {}

impl sealed::Sealed for (String, u16) {
    fn target(&self) -> io::Result<Target> {
        (self.0.as_str(), self.1).target()
    }
}

impl ToSocketAddrs for str {}

impl sealed::Sealed for str {
    fn target(&self) -> io::Result<Target> {
        if let Ok(addr) = self.parse() {
            return Ok(Target::Addrs(vec![addr]));
        }
        let parts = self.rsplit_once(':');
        let Some((host, Ok(port))) = parts.map(|(host, port)| (host, port.parse())) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{self:?} is not an address; write host:port"),
            ));
        };
        (host, port).target()
    }
}

impl ToSocketAddrs for String {}

impl sealed::Sealed for String {
    fn target(&self) -> io::Result<Target> {
        self.as_str().target()
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {}

impl<T: sealed::Sealed + ?Sized> sealed::Sealed for &T {
    fn target(&self) -> io::Result<Target> {
        (**self).target()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealed::Sealed;

    #[test]
    fn numbers_are_understood_without_a_look_up() {
        for text in ["127.0.0.1:80", "[::1]:80"] {
            assert!(matches!(text.target(), Ok(Target::Addrs(addrs)) if addrs[0].port() == 80));
        }
        assert!(matches!(("::1", 80).target(), Ok(Target::Addrs(_))));
        assert!(
            matches!("localhost:80".target(), Ok(Target::Name(name, 80)) if name == "localhost")
        );
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_hint() {
        for text in ["localhost", "localhost:http", "", ":70000"] {
            let error = text.target().expect_err(text);
            assert!(error.to_string().contains("host:port"), "{error}");
        }
    }

    #[test]
    fn an_error_names_its_address_and_keeps_its_kind() {
        let addr = SocketAddr::from(([127, 0, 0, 1], 1));
        let error = naming("connect to", addr, io::ErrorKind::ConnectionRefused.into());
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
        let both = naming_all(vec![error, io::ErrorKind::TimedOut.into()]);
        assert_eq!(both.kind(), io::ErrorKind::TimedOut);
        assert!(both.to_string().contains("127.0.0.1:1"), "{both}");
    }
}
