//! System calls for which rustix has no wrapper, or none that is sound.
//!
//! Called by the other files of `sys`. What rustix lacks: receiving several messages at once, and the control messages of
//! UDP segmentation. Where it is unsound: it reads a process number, alone or in a message, as one that is never zero, and a
//! peer of another PID namespace has number zero.
//!
//! Only the calls themselves are unsafe, and taking descriptors into possession. Addresses and control messages are read
//! and written as plain bytes, by `control.rs` and `inet.rs`.
#![expect(
    unsafe_code,
    reason = "nothing else in the tree has a sound wrapper for these calls"
)]

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::control::rights;

/// `SO_PEERCRED`: process, user, group.
#[cfg(target_os = "linux")]
pub(super) fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<(i32, u32, u32)> {
    let mut peer = MaybeUninit::<libc::ucred>::zeroed();
    let mut len = length_of::<libc::ucred>();
    // SAFETY: the descriptor is open for the length of the call, because it is borrowed; the kernel writes at most `len`
    // bytes to `peer`, which has as many, and how many to `len`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            peer.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: three integers, for which all bits may be anything; they were zeroed before the kernel wrote them.
    let peer = unsafe { peer.assume_init() };
    Ok((peer.pid, peer.uid, peer.gid))
}

/// Sets an option that is an integer.
#[cfg(target_os = "linux")]
pub(super) fn set_option(
    socket: BorrowedFd<'_>,
    level: i32,
    option: i32,
    value: i32,
) -> io::Result<()> {
    // SAFETY: the descriptor is borrowed and therefore open; the kernel reads as many bytes of `value` as it has.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            length_of::<i32>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn length_of<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).expect("a few bytes")
}

/// What a message header says after the call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    /// Bytes moved.
    pub(super) len: usize,
    /// `MSG_TRUNC` and its like.
    pub(super) flags: i32,
    /// Bytes of the peer's address.
    pub(super) address_len: usize,
    /// Bytes of control messages.
    pub(super) control_len: usize,
}

/// A message to be received: where its parts go.
#[derive(Debug)]
pub(super) struct Incoming<'a, 'b> {
    pub(super) bufs: &'a mut [IoSliceMut<'b>],
    pub(super) address: &'a mut [u8],
    pub(super) control: &'a mut [u64],
}

/// A message to be sent.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing<'a, 'b> {
    pub(super) bufs: &'a [IoSlice<'b>],
    /// Empty: where the socket is connected to.
    pub(super) address: &'a [u8],
    /// Whole control messages.
    pub(super) control: &'a [u64],
}

/// `recvmsg`, and the descriptors that came along, which are not inherited by child processes.
pub(super) fn receive(
    socket: BorrowedFd<'_>,
    bufs: &mut [IoSliceMut<'_>],
    address: &mut [u8],
    control: &mut [u64],
) -> io::Result<(Outcome, Vec<OwnedFd>)> {
    let mut header = no_header();
    let mut message = Incoming {
        bufs,
        address,
        control: &mut *control,
    };
    fill_incoming(&mut header, &mut message);
    #[cfg(target_os = "linux")]
    let flags = libc::MSG_CMSG_CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = 0;
    // SAFETY: the descriptor is borrowed and therefore open; the header points at memory that our parameters borrow mutably,
    // of the lengths it says.
    let n = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) };
    let len = usize::try_from(n).map_err(|_| io::Error::last_os_error())?;
    let outcome = outcome(&header, len);
    let mut descriptors = Vec::new();
    for number in rights(control, outcome.control_len) {
        // SAFETY: the kernel has opened this descriptor for us in the call above, whose messages are read this once, so
        // nobody else owns it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
        #[cfg(not(target_os = "linux"))]
        rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC)?;
        descriptors.push(descriptor);
    }
    Ok((outcome, descriptors))
}

/// The most messages in one call.
#[cfg(target_os = "linux")]
pub(super) const MESSAGES_MAX: usize = 64;

/// `recvmmsg`: as many messages as there are, at most as many as are given. Returns at least one outcome, in order.
#[cfg(target_os = "linux")]
pub(super) fn receive_many<'a>(
    socket: BorrowedFd<'_>,
    messages: impl Iterator<Item = Incoming<'a, 'a>>,
    outcomes: &mut [Outcome],
) -> io::Result<usize> {
    let mut headers = no_headers();
    let mut count = 0;
    for (header, mut message) in headers.iter_mut().zip(messages.take(outcomes.len())) {
        fill_incoming(&mut header.msg_hdr, &mut message);
        count += 1;
    }
    // SAFETY: the descriptor is borrowed and therefore open; the first `count` headers are filled, and point at memory that
    // their messages borrow mutably for `'a`, which lasts longer than this call. No time limit is given.
    let n = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    };
    let n = usize::try_from(n).map_err(|_| io::Error::last_os_error())?;
    for (header, out) in headers[..n].iter().zip(outcomes) {
        *out = outcome(&header.msg_hdr, header.msg_len as usize);
    }
    Ok(n)
}

/// `sendmmsg`: returns how many were sent, at least one. SIGPIPE is not raised.
#[cfg(target_os = "linux")]
pub(super) fn send_many(
    socket: BorrowedFd<'_>,
    messages: &[Outgoing<'_, '_>],
) -> io::Result<usize> {
    let mut headers = no_headers();
    let mut count = 0;
    for (header, message) in headers.iter_mut().zip(messages) {
        fill_outgoing(&mut header.msg_hdr, message);
        count += 1;
    }
    // SAFETY: the descriptor is borrowed and therefore open; the first `count` headers are filled and point at memory that
    // `messages` borrows. The kernel only reads it: the pointers are mutable because receiving shares the type.
    let n = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
        )
    };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

fn no_header() -> libc::msghdr {
    let header = MaybeUninit::<libc::msghdr>::zeroed();
    // SAFETY: integers and raw pointers, for which all bits may be zero: a message without anything.
    unsafe { header.assume_init() }
}

#[cfg(target_os = "linux")]
fn no_headers() -> [libc::mmsghdr; MESSAGES_MAX] {
    let headers = MaybeUninit::<[libc::mmsghdr; MESSAGES_MAX]>::zeroed();
    // SAFETY: as in `no_header`, and a length.
    unsafe { headers.assume_init() }
}

fn fill_incoming(header: &mut libc::msghdr, message: &mut Incoming<'_, '_>) {
    header.msg_name = message.address.as_mut_ptr().cast();
    header.msg_namelen = libc::socklen_t::try_from(message.address.len()).expect("a few bytes");
    // Both standard slices have the layout of `iovec`, which std guarantees on Unix.
    header.msg_iov = message.bufs.as_mut_ptr().cast();
    header.msg_iovlen = message.bufs.len() as _;
    header.msg_control = message.control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(message.control) as _;
}

#[cfg(target_os = "linux")]
fn fill_outgoing(header: &mut libc::msghdr, message: &Outgoing<'_, '_>) {
    if !message.address.is_empty() {
        header.msg_name = message.address.as_ptr().cast_mut().cast();
        header.msg_namelen = libc::socklen_t::try_from(message.address.len()).expect("a few bytes");
    }
    header.msg_iov = message.bufs.as_ptr().cast_mut().cast();
    header.msg_iovlen = message.bufs.len() as _;
    if !message.control.is_empty() {
        header.msg_control = message.control.as_ptr().cast_mut().cast();
        header.msg_controllen = size_of_val(message.control) as _;
    }
}

#[allow(
    clippy::unnecessary_cast,
    reason = "the lengths have other types on other systems"
)]
fn outcome(header: &libc::msghdr, len: usize) -> Outcome {
    Outcome {
        len,
        flags: header.msg_flags,
        address_len: header.msg_namelen as usize,
        control_len: header.msg_controllen as usize,
    }
}
