//! From what a user writes to socket addresses.
//!
//! Called by `net` and `streams`. Numeric addresses are answered at once. Names are looked up by the system's resolver, which
//! blocks for as long as a silent name server makes it: so never on a worker, and on a small pool of its own, apart from the
//! one that `to_thread` uses. Neither can take the other's threads, and no shutdown waits for a look-up.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use loxley_runtime::lowlevel::ThreadPool;

use crate::per_process::PerProcess;

/// How many look-ups go on at once in the process. Each costs a thread that waits, and those that a dead name server holds up
/// for its five or ten seconds must leave some for the others.
const LOOK_UPS: usize = 32;

/// The longest name there can be, and the longest part between two dots (RFC 1035, 2.3.4).
const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;

/// What can be connected or bound to: socket addresses, `(host, port)`, `"host:port"`.
///
/// Sealed: the forms are those that the standard library takes.
///
/// # Examples
///
/// Whatever names an address is taken wherever one is asked for:
///
/// ```
/// use loxley_io::{ToSocketAddrs, lookup_host};
///
/// async fn first(addr: impl ToSocketAddrs) -> std::io::Result<std::net::SocketAddr> {
///     lookup_host(addr).await?.into_iter().next().ok_or_else(|| std::io::Error::other("no address"))
/// }
/// # loxley_runtime::run(async {
/// assert_eq!(first("127.0.0.1:80").await?, first(("127.0.0.1", 80)).await?);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
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
/// Numeric addresses are answered at once. Names are looked up by the system's resolver (`getaddrinfo`), at most 32 at once
/// in the process, on threads that nothing else uses; the others wait their turn.
///
/// # Errors
///
/// If the target cannot be understood, or the name cannot be resolved or stands for nothing: the error names it and says
/// what to change. If the system gives no thread.
///
/// # Cancel safety
///
/// Nothing is lost; a look-up that has begun runs to its end unobserved. Neither a runtime's shutdown nor the end of the
/// program waits for it.
///
/// # Examples
///
/// ```
/// # loxley_runtime::run(async {
/// let addrs = loxley_io::lookup_host("localhost:80").await?;
/// assert!(addrs.iter().all(|addr| addr.ip().is_loopback()));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// # Examples
///
/// ```
/// use loxley_io::lookup_host;
///
/// # loxley_runtime::run(async {
/// let addrs = lookup_host("localhost:80").await?;
/// assert!(addrs.iter().all(|addr| addr.port() == 80));
/// assert!(lookup_host("no port").await.is_err());
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// **Differs from asyncio**: in place of `loop.getaddrinfo`, for addresses to connect or bind to; look-ups have a pool of
/// their own, so that they do not wait for what is in `to_thread`.
#[doc(alias = "getaddrinfo")]
pub async fn lookup_host(target: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    resolve(target.target()?).await
}

/// [`lookup_host`] of what a builder has kept.
pub(crate) async fn resolve(target: Target) -> io::Result<Vec<SocketAddr>> {
    let (name, port) = match target {
        Target::Addrs(addrs) => return Ok(addrs),
        Target::Name(name, port) => (name, port),
    };
    if let Some(hint) = why_no_name(&name) {
        let text = format!("cannot look up {name:?}: {hint}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    pool().run(move || look_up(&name, port)).await?
}

fn pool() -> &'static ThreadPool {
    static POOL: PerProcess<ThreadPool> = PerProcess::new();
    POOL.get_or_init(|| ThreadPool::new("loxley-resolver", LOOK_UPS))
}

/// What is wrong with `name` whatever the name server says, and what to write in its place.
fn why_no_name(name: &str) -> Option<&'static str> {
    // A dot at the end says that the name is complete.
    let complete = name.strip_suffix('.').unwrap_or(name);
    let hint = if complete.is_empty() {
        "it is empty; write a host name or an address, such as 0.0.0.0 for all of this machine's"
    } else if name.contains("://") || name.contains('/') {
        "it is no host name; write only what stands between // and the next / of a URL"
    } else if name.contains([' ', '\t', '\r', '\n', '\0']) {
        "no host name has spaces or control characters; trim it"
    } else if name.contains(['[', ']', ':']) && !name.contains('%') {
        "it is no IPv6 address; write [address]:port"
    } else if !name.is_ascii() {
        "the system looks up ASCII only; write it in punycode, xn--"
    } else if complete.len() > NAME_MAX {
        "no host name has more than 253 bytes"
    } else if complete.split('.').any(|part| part.len() > LABEL_MAX) {
        "no part of a host name has more than 63 bytes"
    } else if complete.split('.').any(str::is_empty) {
        "a part between two dots is missing"
    } else {
        return None;
    };
    Some(hint)
}

/// Asks the system's resolver, which blocks.
fn look_up(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let failed = |error: &dyn fmt::Display| {
        format!(
            "cannot look up {name}: {error}; check its spelling, this machine's name servers and its hosts file, or give an address"
        )
    };
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
        // With a zone that only the system can look up, [fe80::1%eth0].
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        (bare.unwrap_or(host), port).target()
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

    /// A hundred look-ups that hang hold up neither `to_thread` nor a runtime's end, and the reverse.
    #[test]
    fn neither_pool_waits_for_the_other() {
        use std::sync::mpsc::channel;
        let (release, held) = channel::<()>();
        let held = std::sync::Arc::new(std::sync::Mutex::new(held));
        let (begins, begun) = channel();
        let runtime = loxley_runtime::Runtime::builder()
            .max_blocking_threads(1)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            for _ in 0..100 {
                let (begins, held) = (begins.clone(), held.clone());
                drop(loxley_runtime::create_task(pool().run(move || {
                    begins.send(()).expect("heard");
                    let _ = held.lock().expect("never poisoned").recv();
                })));
            }
            for _ in 0..LOOK_UPS {
                while begun.try_recv().is_err() {
                    loxley_runtime::yield_now().await;
                }
            }
            assert_eq!(loxley_runtime::to_thread(|| 7).await, 7);
        });
        drop(runtime);
        drop(release);
        let (release, held) = channel::<()>();
        let runtime = loxley_runtime::Runtime::builder()
            .max_blocking_threads(1)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let busy = loxley_runtime::create_task(loxley_runtime::to_thread(move || held.recv()));
            for _ in 0..100 {
                let queued = loxley_runtime::to_thread(|| ());
                drop(loxley_runtime::create_task(queued));
            }
            let addrs = lookup_host("localhost:80").await.expect("known");
            assert_eq!(addrs[0].port(), 80);
            drop(release);
            busy.await.expect("no panic").expect_err("released");
        });
    }

    #[test]
    fn what_can_be_no_name_is_refused_with_a_hint() {
        let long = format!("{}:80", "long.".repeat(51));
        let wide = format!("{}.com:80", "w".repeat(64));
        for (text, hint) in [
            (":80", "empty"),
            (".:80", "empty"),
            ("http://example.com:80", "URL"),
            ("no such name:80", "trim"),
            ("a\0b:80", "trim"),
            ("[fe80::1]x:80", "[address]:port"),
            ("b\u{fc}cher.example:80", "punycode"),
            (&long, "253"),
            (&wide, "63"),
            ("a..b:80", "dots"),
        ] {
            let looked_up = loxley_runtime::run(async move { lookup_host(text).await });
            let error = looked_up.expect_err(text);
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{text}");
            assert!(error.to_string().contains(hint), "{error}");
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
