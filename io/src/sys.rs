//! Raw calls that std lacks, through rustix: non-blocking sockets in one call, reads into memory nobody has written
//! yet, writes that never raise SIGPIPE.
//!
//! Called by `net` and `bytes`. Makes system calls and nothing else: it never waits and never retries.
//!
//! | file | holds |
//! |---|---|
//! | `sys.rs` | TCP, and what all sockets and pipes share |
//! | `sys/pipe.rs` | pipes, and descriptors from elsewhere |
//! | `sys/unix.rs` | Unix-domain sockets: addresses, names, credentials |
//! | `sys/inet.rs` | UDP, and many datagrams in one call |
//! | `sys/control.rs` | control messages as bytes |
//! | `sys/raw.rs` | the calls for which rustix has no sound wrapper; the only unsafe ones |

mod control;
pub(crate) mod inet;
pub(crate) mod pipe;
mod raw;
pub(crate) mod unix;

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendFlags,
    SocketAddrAny, SocketType, sockopt,
};

/// The kernel takes no more slices in one call.
pub(crate) const SLICES_MAX: usize = 1024;

#[cfg(not(any(target_vendor = "apple", target_os = "windows")))]
const SEND: SendFlags = SendFlags::NOSIGNAL;
// There std sets SO_NOSIGPIPE on its sockets, and `socket` below does for ours.
#[cfg(target_vendor = "apple")]
const SEND: SendFlags = SendFlags::empty();

/// A non-blocking TCP socket, not inherited by child processes.
pub(crate) fn stream_socket(addr: &SocketAddr) -> io::Result<OwnedFd> {
    socket(family(addr), SocketType::STREAM)
}

fn family(addr: &SocketAddr) -> AddressFamily {
    match addr {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    }
}

/// A non-blocking socket, not inherited by child processes.
fn socket(family: AddressFamily, kind: SocketType) -> io::Result<OwnedFd> {
    #[cfg(not(target_vendor = "apple"))]
    {
        use rustix::net::{SocketFlags, socket_with};
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        Ok(socket_with(family, kind, flags, None)?)
    }
    #[cfg(target_vendor = "apple")]
    {
        let socket = rustix::net::socket(family, kind, None)?;
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        sockopt::set_socket_nosigpipe(&socket, true)?;
        Ok(socket)
    }
}

/// How many connections the kernel may finish before they are accepted; it caps this at its own limit (`somaxconn`).
/// Past that it drops the handshakes, and clients try again after a second: the 128 of std are less than a burst.
pub(crate) const BACKLOG: i32 = 4096;

/// A non-blocking socket that listens on `addr`, even where its last connections are still closing.
pub(crate) fn listener(addr: &SocketAddr) -> io::Result<OwnedFd> {
    let socket = stream_socket(addr)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, addr)?;
    listen(socket.as_fd(), BACKLOG)?;
    Ok(socket)
}

/// A non-blocking socket for a server, bound to `addr` as by [`listener`]; on IPv6 it leaves IPv4 alone.
pub(crate) fn bound(addr: &SocketAddr, shares_port: bool) -> io::Result<OwnedFd> {
    let socket = stream_socket(addr)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if shares_port {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    if addr.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::bind(&socket, addr)?;
    Ok(socket)
}

/// Whether the system does not speak the family of an address.
pub(crate) fn is_family_missing(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::AFNOSUPPORT)
}

/// Begins to take connections, or changes how many may wait.
pub(crate) fn listen(socket: BorrowedFd<'_>, backlog: i32) -> io::Result<()> {
    Ok(rustix::net::listen(socket, backlog)?)
}

/// Takes no more connections, and resets those that wait; where the system cannot do that, closing does it.
pub(crate) fn stop_listening(socket: BorrowedFd<'_>) {
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
}

/// Has the system ask a silent peer, after a long time, whether it is still there.
pub(crate) fn set_keepalive(socket: BorrowedFd<'_>) -> io::Result<()> {
    Ok(sockopt::set_socket_keepalive(socket, true)?)
}

/// Binds to the first of `local` that is of the family of `addr` and can be bound.
pub(crate) fn bind_any(
    socket: BorrowedFd<'_>,
    addr: &SocketAddr,
    local: &[SocketAddr],
) -> io::Result<()> {
    let mut failed = None;
    for local in local.iter().filter(|local| family(local) == family(addr)) {
        match rustix::net::bind(socket, local) {
            Ok(()) => return Ok(()),
            Err(error) => {
                let error = io::Error::from(error);
                let text = format!("cannot bind {local} first: {error}");
                failed = Some(io::Error::new(error.kind(), text));
            }
        }
    }
    Err(failed.unwrap_or_else(|| {
        io::Error::new(
            io::ErrorKind::AddrNotAvailable,
            "no local address is of its family",
        )
    }))
}

/// Takes one connection from the queue; it is non-blocking and not inherited by child processes.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, SocketAddr)> {
    let (socket, addr) = accept_any(listener)?;
    let addr = addr.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted))?;
    Ok((socket, SocketAddr::try_from(addr)?))
}

fn accept_any(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    #[cfg(not(target_vendor = "apple"))]
    {
        use rustix::net::{SocketFlags, acceptfrom_with};
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        Ok(acceptfrom_with(listener, flags)?)
    }
    #[cfg(target_vendor = "apple")]
    {
        let (socket, addr) = rustix::net::acceptfrom(listener)?;
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        sockopt::set_socket_nosigpipe(&socket, true)?;
        Ok((socket, addr))
    }
}

/// Begins to connect; `Ok` also when that goes on in the background: ask [`connected`] then.
pub(crate) fn connect(socket: BorrowedFd<'_>, addr: &SocketAddr) -> io::Result<()> {
    match rustix::net::connect(socket, addr) {
        Ok(()) => Ok(()),
        // Interrupted or not, the kernel goes on with the handshake.
        Err(rustix::io::Errno::INPROGRESS | rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether the connection stands by now; would block while it does not.
pub(crate) fn connected(socket: BorrowedFd<'_>) -> io::Result<()> {
    sockopt::socket_error(socket)??;
    match rustix::net::getpeername(socket) {
        Ok(Some(peer)) if rustix::net::getsockname(socket)? == peer => {
            Err(nobody_but_itself(socket))
        }
        Ok(_) => Ok(()),
        Err(rustix::io::Errno::NOTCONN) => Err(io::ErrorKind::WouldBlock.into()),
        Err(error) => Err(error.into()),
    }
}

/// Connected to itself: the kernel chose the very port for us on which nobody listens, and took the two ends that met there for
/// a simultaneous open (RFC 9293, section 3.5). Whoever tries again and again to reach a server of this machine that is down
/// gets there in the end, talks to himself, and keeps the server from its port. Go's `net` looks for it as well.
#[cold]
fn nobody_but_itself(socket: BorrowedFd<'_>) -> io::Error {
    // So that the port is free at once. Where that is refused, it is so later.
    let _ = set_linger(socket, Some(Duration::ZERO));
    rustix::io::Errno::CONNREFUSED.into()
}

pub(crate) fn recv(socket: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    let (n, _) = rustix::net::recv(socket, buf, RecvFlags::empty())?;
    Ok(n)
}

/// As [`recv`], and whether something else came along (descriptors, credentials) for which there was no room: then the
/// kernel may have stopped before the end of what there is.
pub(crate) fn recv_alone(socket: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<(usize, bool)> {
    let mut control = RecvAncillaryBuffer::default();
    let bufs = &mut [IoSliceMut::new(buf)];
    let message = rustix::net::recvmsg(socket, bufs, &mut control, RecvFlags::empty())?;
    Ok((message.bytes, message.flags.contains(ReturnFlags::CTRUNC)))
}

/// As [`recv`]; the first bytes of `buf`, as many as it returns, are initialised then.
#[cfg_attr(
    not(any(feature = "hyper", feature = "tokio-io")),
    allow(
        dead_code,
        reason = "for the trait families that read into uninitialised memory"
    )
)]
pub(crate) fn recv_uninit(
    socket: BorrowedFd<'_>,
    buf: &mut [MaybeUninit<u8>],
) -> io::Result<usize> {
    let ((filled, _), _) = rustix::net::recv(socket, buf, RecvFlags::empty())?;
    Ok(filled.len())
}

/// The most that [`recv_fresh`] takes.
pub(crate) const FRESH_ROOM: usize = 4 << 10;

/// As [`recv`], behind what `bytes` holds, as much as it has room for without growing: how much, and of how much.
pub(crate) fn recv_behind(
    socket: BorrowedFd<'_>,
    bytes: &mut Vec<u8>,
) -> io::Result<(usize, usize)> {
    let room = bytes.capacity() - bytes.len();
    let spare = rustix::buffer::spare_capacity(bytes);
    let (n, _) = rustix::net::recv(socket, spare, RecvFlags::empty())?;
    Ok((n, room))
}

/// As [`recv_behind`] for a `room` of at most [`FRESH_ROOM`], by way of the stack: `bytes` grows by no more than comes.
pub(crate) fn recv_fresh(
    socket: BorrowedFd<'_>,
    bytes: &mut Vec<u8>,
    room: usize,
) -> io::Result<(usize, usize)> {
    let mut hand = [const { MaybeUninit::uninit() }; FRESH_ROOM];
    let ((came, _), _) = rustix::net::recv(socket, &mut hand[..room], RecvFlags::empty())?;
    bytes.extend_from_slice(came);
    Ok((came.len(), room))
}

/// [`recv_behind`] for what is no socket.
pub(crate) fn read_behind(fd: BorrowedFd<'_>, bytes: &mut Vec<u8>) -> io::Result<(usize, usize)> {
    let room = bytes.capacity() - bytes.len();
    let n = rustix::io::read(fd, rustix::buffer::spare_capacity(bytes))?;
    Ok((n, room))
}

/// Ends a connection at once; the peer sees a reset.
#[cfg(target_os = "linux")]
pub(crate) fn disconnect(socket: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::net::connect_unspec(socket)?)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn disconnect(_socket: BorrowedFd<'_>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn peek(socket: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    let (n, _) = rustix::net::recv(socket, buf, RecvFlags::PEEK)?;
    Ok(n)
}

pub(crate) fn send(socket: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(socket, buf, SEND)?)
}

pub(crate) fn send_vectored(socket: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let bufs = &bufs[..bufs.len().min(SLICES_MAX)];
    let mut control = SendAncillaryBuffer::default();
    Ok(rustix::net::sendmsg(socket, bufs, &mut control, SEND)?)
}

pub(crate) fn read(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::read(fd, buf)?)
}

/// As [`read`]; the first bytes of `buf`, as many as it returns, are initialised then.
#[cfg_attr(
    not(any(feature = "hyper", feature = "tokio-io")),
    allow(
        dead_code,
        reason = "for the trait families that read into uninitialised memory"
    )
)]
pub(crate) fn read_uninit(fd: BorrowedFd<'_>, buf: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    let (filled, _) = rustix::io::read(fd, buf)?;
    Ok(filled.len())
}

pub(crate) fn write(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
    Ok(rustix::io::write(fd, buf)?)
}

pub(crate) fn write_vectored(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    Ok(rustix::io::writev(fd, bufs)?)
}

/// Sends bytes of a file, at most `len`, without moving its position.
#[cfg(target_os = "linux")]
pub(crate) fn sendfile(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    len: usize,
) -> io::Result<usize> {
    let mut offset = offset;
    Ok(rustix::fs::sendfile(socket, file, Some(&mut offset), len)?)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn sendfile(
    _socket: BorrowedFd<'_>,
    _file: BorrowedFd<'_>,
    _offset: u64,
    _len: usize,
) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn shutdown(socket: BorrowedFd<'_>, how: Shutdown) -> io::Result<()> {
    let how = match how {
        Shutdown::Read => rustix::net::Shutdown::Read,
        Shutdown::Write => rustix::net::Shutdown::Write,
        Shutdown::Both => rustix::net::Shutdown::Both,
    };
    Ok(rustix::net::shutdown(socket, how)?)
}

pub(crate) fn linger(socket: impl AsFd) -> io::Result<Option<Duration>> {
    Ok(sockopt::socket_linger(socket)?)
}

pub(crate) fn set_linger(socket: impl AsFd, linger: Option<Duration>) -> io::Result<()> {
    Ok(sockopt::set_socket_linger(socket, linger)?)
}
