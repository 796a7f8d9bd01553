//! A TCP socket that loses a part of what is sent to it, without privileges: a filter on the socket drops segments at random
//! before TCP sees them, as a bad network would.

#![expect(unsafe_code, reason = "no crate of the tree wraps socket filters")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// From the kernel's `linux/filter.h`: in place of the packet, a random number.
const RANDOM: u32 = 0xffff_f000 + 56;

/// From now on, of what comes to `socket`, so many percent are lost.
pub(crate) fn lose(socket: &impl AsFd, percent: u32) -> io::Result<()> {
    let statement = |code: u32, k: u32, skip: u8| libc::sock_filter {
        code: code.try_into().expect("small"),
        jt: 0,
        jf: skip,
        k,
    };
    let kept_from = u32::MAX / 100 * percent;
    let mut program = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, RANDOM, 0),
        statement(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, kept_from, 1),
        statement(libc::BPF_RET | libc::BPF_K, u32::MAX, 0),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0),
    ];
    let filter = libc::sock_fprog {
        len: program.len().try_into().expect("short"),
        filter: program.as_mut_ptr(),
    };
    // SAFETY: `filter` is what this option takes, with its size; the kernel copies and checks the program.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            size_of_val(&filter).try_into().expect("small"),
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
