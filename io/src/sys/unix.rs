//! Raw calls for Unix-domain sockets: addresses, sockets, credentials.
//!
//! Called by `net/unix_*.rs`. An address that a peer has chosen is read by the standard library: rustix refuses with a
//! panic what a peer may legally bind, a path that fills the whole of `sun_path`.

use std::ffi::OsStr;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SocketAddrUnix, SocketType, sendmsg,
    sendmsg_addr, sockopt,
};

use super::{control, raw};

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
fn wire(addr: &SocketAddr) -> io::Result<SocketAddrUnix> {
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
    rustix::net::bind(&socket, &wire(addr)?)?;
    rustix::net::listen(&socket, super::BACKLOG)?;
    Ok(socket)
}

/// A non-blocking socket for a server, bound to `addr`.
pub(crate) fn bound(addr: &SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket(SocketType::STREAM)?;
    rustix::net::bind(&socket, &wire(addr)?)?;
    Ok(socket)
}

/// Whether a socket is behind the file at `addr`, and not only what a process has left.
pub(crate) fn is_alive(addr: &SocketAddr) -> io::Result<bool> {
    use rustix::io::Errno;
    let probe = socket(SocketType::STREAM)?;
    match rustix::net::connect(&probe, &wire(addr)?) {
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(false),
        // Its queue is full, or it is of another type.
        Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// A non-blocking datagram socket, bound to `addr` if there is one.
pub(crate) fn datagram(addr: Option<&SocketAddr>) -> io::Result<OwnedFd> {
    let socket = socket(SocketType::DGRAM)?;
    if let Some(addr) = addr {
        rustix::net::bind(&socket, &wire(addr)?)?;
    }
    Ok(socket)
}

/// Connects at once, or would block: the listener's queue is full, and there is no event that says when it is not.
pub(crate) fn connect(socket: BorrowedFd<'_>, addr: &SocketAddr) -> io::Result<()> {
    let addr = wire(addr)?;
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
    raw::peer_credentials(socket)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn peer_credentials(_socket: BorrowedFd<'_>) -> io::Result<(i32, u32, u32)> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "who the peer is cannot be asked on this system",
    ))
}

/// The most descriptors in one message (`SCM_MAX_FD`).
pub(crate) const DESCRIPTORS_MAX: usize = 253;

/// Sends bytes, and descriptors along with the first of them.
pub(crate) fn send_with(
    socket: BorrowedFd<'_>,
    payload: &[u8],
    descriptors: &[BorrowedFd<'_>],
    to: Option<&SocketAddr>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fits = descriptors.is_empty() || control.push(SendAncillaryMessage::ScmRights(descriptors));
    if !fits || descriptors.len() > DESCRIPTORS_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "{} descriptors in one message; the system takes at most {DESCRIPTORS_MAX}: send several",
                descriptors.len()
            ),
        ));
    }
    let bufs = [IoSlice::new(payload)];
    Ok(match to {
        Some(to) => sendmsg_addr(socket, &wire(to)?, &bufs, &mut control, super::SEND)?,
        None => sendmsg(socket, &bufs, &mut control, super::SEND)?,
    })
}

/// A message and what came along with it.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) len: usize,
    pub(crate) descriptors: Vec<OwnedFd>,
    pub(crate) credentials: Option<(i32, u32, u32)>,
    /// `None` also for an address that nobody can send to.
    pub(crate) from: Option<SocketAddr>,
    pub(crate) is_truncated: bool,
    pub(crate) lost_control: bool,
}

/// Words of buffer for so many descriptors, and for credentials.
pub(crate) fn control_words(descriptors: usize) -> usize {
    let descriptors = descriptors.min(DESCRIPTORS_MAX) * size_of::<RawFd>();
    control::words(descriptors) + control::words(CREDENTIALS_LEN)
}

/// Process, user, group.
const CREDENTIALS_LEN: usize = 12;

/// Receives bytes, and what came along with them.
pub(crate) fn receive_with(
    socket: BorrowedFd<'_>,
    buf: &mut [u8],
    control: &mut [u64],
) -> io::Result<Received> {
    let mut name = [0; FAMILY_LEN + NAME_MAX + 1];
    let bufs = &mut [IoSliceMut::new(buf)];
    let (outcome, descriptors) = raw::receive(socket, bufs, &mut name, control)?;
    Ok(Received {
        len: outcome.len,
        descriptors,
        credentials: credentials(control, outcome.control_len),
        from: sender(&name, outcome.address_len),
        is_truncated: outcome.flags & libc::MSG_TRUNC != 0,
        lost_control: outcome.flags & libc::MSG_CTRUNC != 0,
    })
}

#[cfg(target_os = "linux")]
fn credentials(words: &[u64], len: usize) -> Option<(i32, u32, u32)> {
    let (_, _, data) = control::messages(words, len).find(|(level, sort, data)| {
        (*level, *sort) == (libc::SOL_SOCKET, libc::SCM_CREDENTIALS)
            && data.len() >= CREDENTIALS_LEN
    })?;
    let part = |at| control::integer(words, data.start + at);
    let unsigned = |at| u32::from_ne_bytes(part(at).to_ne_bytes());
    Some((part(0), unsigned(4), unsigned(8)))
}

#[cfg(not(target_os = "linux"))]
fn credentials(_words: &[u64], _len: usize) -> Option<(i32, u32, u32)> {
    None
}

fn sender(name: &[u8], len: usize) -> Option<SocketAddr> {
    let bytes = name.get(FAMILY_LEN..len).unwrap_or_default();
    match bytes {
        // The kernel counts the NUL of a path, and a name that was never given has nothing.
        [] => SocketAddr::from_pathname("").ok(),
        [0, name @ ..] => abstract_address(name).ok(),
        path => {
            let end = path.iter().position(|&byte| byte == 0);
            let path = OsStr::from_bytes(&path[..end.unwrap_or(path.len())]);
            SocketAddr::from_pathname(path).ok()
        }
    }
}

/// What stands before the name in `sockaddr_un`.
const FAMILY_LEN: usize = 2;

/// Whether the kernel adds the sender's credentials to every message.
#[cfg(target_os = "linux")]
pub(crate) fn set_passcred(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    Ok(sockopt::set_socket_passcred(socket, on)?)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn set_passcred(_socket: BorrowedFd<'_>, _on: bool) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "credentials do not come along with messages on this system",
    ))
}

/// Whether the socket itself has room for a message; where sending would block all the same, it is the receiver that has
/// none.
pub(crate) fn has_room(socket: BorrowedFd<'_>) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut polled = [PollFd::new(&socket, PollFlags::OUT)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut polled, Some(&now))?;
    Ok(polled[0].revents().contains(PollFlags::OUT))
}
