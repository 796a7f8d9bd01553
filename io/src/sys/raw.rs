//! System calls for which rustix has no wrapper, or none that is sound.
//!
//! Called by the other files of `sys`. Who the peer is: rustix reads the process number as one that is never zero, and a
//! peer of another PID namespace has number zero.
#![expect(
    unsafe_code,
    reason = "nothing else in the tree has a sound wrapper for these calls"
)]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd};

/// `SO_PEERCRED`: process, user, group.
#[cfg(target_os = "linux")]
pub(super) fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<(i32, u32, u32)> {
    let mut peer = MaybeUninit::<libc::ucred>::zeroed();
    let mut len = libc::socklen_t::try_from(size_of::<libc::ucred>()).expect("a few bytes");
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
