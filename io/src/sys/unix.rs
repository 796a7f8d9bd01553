//! Raw calls for Unix-domain sockets: addresses, sockets, credentials.
//!
//! Called by `net/unix_*.rs`. An address that a peer has chosen is read by the standard library: rustix refuses with a
//! panic what a peer may legally bind, a path that fills the whole of `sun_path`.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, sockopt};

/// The longest path or abstract name: one byte less than `sun_path` has, for the NUL.
#[cfg(not(target_vendor = "apple"))]
pub(crate) const NAME_MAX: usize = 107;
#[cfg(target_vendor = "apple")]
pub(crate) const NAME_MAX: usize = 103;

/// The address that a path stands for; one that begins with NUL is an abstract name, as in asyncio.
pub(crate) fn address(path: &Path) -> io::Result<SocketAddr> {
    let bytes = path.as_os_str().as_bytes();
    let refuse = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
    match bytes {
        [] => Err(refuse("an empty path names no socket".into())),
        [0, name @ ..] => abstract_address(name),
        _ if bytes.contains(&0) => Err(refuse(format!(
            "{path:?} has a NUL byte inside; only an abstract name may, which begins with one"
        ))),
        _ if bytes.len() > NAME_MAX => Err(refuse(format!(
            "the socket path {path:?} has {} bytes and the system takes at most {NAME_MAX}: use a shorter one, or one \
             relative to the working directory",
            bytes.len()
        ))),
        _ => SocketAddr::from_pathname(path),
    }
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    if name.len() > NAME_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "the abstract name has {} bytes and the system takes at most {NAME_MAX}: use a shorter one",
                name.len()
            ),
        ));
    }
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_name: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this system has no abstract names: use a path",
    ))
}

/// An address for people: the path in quotes, or `@` and the abstract name.
pub(crate) fn display(addr: &SocketAddr) -> String {
    if let Some(path) = addr.as_pathname() {
        return format!("{path:?}");
    }
    match abstract_name(addr) {
        Some(name) => format!("@{:?}", OsStr::from_bytes(name)),
        None => "an unnamed socket".to_owned(),
    }
}

fn abstract_name(addr: &SocketAddr) -> Option<&[u8]> {
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt;
        addr.as_abstract_name()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = addr;
        None
    }
}

/// As rustix wants it.
fn raw(addr: &SocketAddr) -> io::Result<SocketAddrUnix> {
    if let Some(path) = addr.as_pathname() {
        return Ok(SocketAddrUnix::new(path)?);
    }
    #[cfg(target_os = "linux")]
    if let Some(name) = abstract_name(addr) {
        return Ok(SocketAddrUnix::new_abstract_name(name)?);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "an unnamed address leads nowhere: give a path or an abstract name",
    ))
}

/// A non-blocking socket, not inherited by child processes.
pub(crate) fn socket(kind: SocketType) -> io::Result<OwnedFd> {
    super::socket(AddressFamily::UNIX, kind)
}

/// A non-blocking socket that listens on `addr`.
pub(crate) fn listener(addr: &SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket(SocketType::STREAM)?;
    rustix::net::bind(&socket, &raw(addr)?)?;
    rustix::net::listen(&socket, super::BACKLOG)?;
    Ok(socket)
}

/// Connects at once, or would block: the listener's queue is full, and there is no event that says when it is not.
pub(crate) fn connect(socket: BorrowedFd<'_>, addr: &SocketAddr) -> io::Result<()> {
    let addr = raw(addr)?;
    loop {
        match rustix::net::connect(socket, &addr) {
            Err(rustix::io::Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// How long a thread that connects waits in the kernel before it looks whether anybody still wants the connection.
const CONNECT_SLICE: Duration = Duration::from_millis(100);

/// Connects and waits in the listener's queue, which blocks the thread until `is_wanted` says no.
pub(crate) fn connect_blocking(
    socket: BorrowedFd<'_>,
    addr: &SocketAddr,
    is_wanted: impl Fn() -> bool,
) -> io::Result<()> {
    rustix::io::ioctl_fionbio(socket, false)?;
    sockopt::set_socket_timeout(socket, sockopt::Timeout::Send, Some(CONNECT_SLICE))?;
    loop {
        match connect(socket, addr) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && is_wanted() => {}
            result => {
                result?;
                break;
            }
        }
    }
    sockopt::set_socket_timeout(socket, sockopt::Timeout::Send, None)?;
    Ok(rustix::io::ioctl_fionbio(socket, true)?)
}

/// A connection from the queue, and its peer's address where the kernel has said that the peer has none.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    let (socket, addr) = super::accept_any(listener)?;
    let is_unnamed = addr.is_none_or(|addr| addr.addr_len() <= UNNAMED_LEN);
    let unnamed = is_unnamed
        .then(|| SocketAddr::from_pathname(""))
        .transpose();
    Ok((socket, unnamed?))
}

/// The length of an address without a name: its family alone.
const UNNAMED_LEN: u32 = 2;

/// Who connected, or listened, at the other end: process, user, group. The process is 0 if it has no number here.
#[cfg(target_os = "linux")]
pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<(i32, u32, u32)> {
    super::raw::peer_credentials(socket)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn peer_credentials(_socket: BorrowedFd<'_>) -> io::Result<(i32, u32, u32)> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "who the peer is cannot be asked on this system",
    ))
}
