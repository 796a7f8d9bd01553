//! A filter of system calls on this thread and on all that it starts, for what no other means can provoke: a kernel without
//! process descriptors, a user without processes left.
//!
//! It cannot be taken off again, so each test that uses it has a thread of its own.

#![expect(unsafe_code, reason = "no crate of the tree wraps seccomp")]

use std::io;

/// Has each of the system calls fail with its errno.
pub(crate) fn deny(calls: &[(libc::c_long, i32)]) {
    let statement = |code: u32, k: u32, skip: u8| libc::sock_filter {
        code: code.try_into().expect("small"),
        jt: 0,
        jf: skip,
        k,
    };
    // The number of the call is the first field of what the filter is given.
    let mut program = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0)];
    for &(call, errno) in calls {
        let call = call.try_into().expect("a system call");
        let errno = u32::try_from(errno).expect("an errno");
        program.push(statement(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            call,
            1,
        ));
        program.push(statement(
            libc::BPF_RET | libc::BPF_K,
            libc::SECCOMP_RET_ERRNO | errno,
            0,
        ));
    }
    program.push(statement(
        libc::BPF_RET | libc::BPF_K,
        libc::SECCOMP_RET_ALLOW,
        0,
    ));
    let filter = libc::sock_fprog {
        len: program.len().try_into().expect("short"),
        filter: program.as_mut_ptr(),
    };
    // SAFETY: plain numbers; takes away what this thread could gain by starting privileged programs.
    let answer = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(answer, 0, "{}", io::Error::last_os_error());
    // SAFETY: `filter` points to a program of that length, which the kernel copies and checks.
    let answer = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const filter,
        )
    };
    assert_eq!(answer, 0, "{}", io::Error::last_os_error());
}
