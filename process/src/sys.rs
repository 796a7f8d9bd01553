//! Raw calls about children that std lacks, mostly through rustix: process descriptors, reaping, signals, pipes, and what a
//! child does to itself before it becomes another program.
//!
//! Called by `reap.rs`, `start.rs` and `stdio.rs`. Makes system calls and nothing else: it keeps no state and decides
//! nothing. Only [`wait_until_exit`] waits, and [`clone::spawn`] until a child is its program.

#![expect(
    unsafe_code,
    reason = "std runs our steps between fork and exec only as unsafe code, and rustix sends no real-time signals"
)]

/// Only where it has been run: elsewhere std makes the process.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) mod clone;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
#[path = "sys/no_clone.rs"]
pub(crate) mod clone;
pub(crate) mod plan;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

use rustix::fs::Mode;
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus};

/// What came of the wish for a process descriptor.
#[derive(Debug)]
pub(crate) enum PidFd {
    Open(OwnedFd),
    /// This system has none, or a filter of system calls refuses them.
    Missing,
    /// There is no such child any more: somebody else has reaped it.
    Gone,
}

/// A descriptor that becomes readable when child `pid` exits; not inherited by other children.
#[cfg(target_os = "linux")]
pub(crate) fn open_pidfd(pid: u32) -> io::Result<PidFd> {
    use rustix::process::{PidfdFlags, pidfd_open};
    match pidfd_open(as_pid(pid), PidfdFlags::empty()) {
        Ok(fd) => Ok(PidFd::Open(fd)),
        // Too old a kernel, and the two answers that filters give.
        Err(Errno::NOSYS | Errno::PERM | Errno::ACCESS) => Ok(PidFd::Missing),
        Err(Errno::SRCH) => Ok(PidFd::Gone),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "as its twin")]
pub(crate) fn open_pidfd(_pid: u32) -> io::Result<PidFd> {
    Ok(PidFd::Missing)
}

/// Reaps child `pid` if it has exited. By its descriptor if there is one, so that a child reaped by somebody else is never
/// taken for another one with its number.
///
/// # Errors
///
/// `ECHILD` if there is no such child: somebody else has reaped it.
pub(crate) fn reap(pid: u32, pidfd: Option<BorrowedFd<'_>>) -> io::Result<Option<ExitStatus>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let by_pid = || rustix::process::waitid(WaitId::Pid(as_pid(pid)), options);
    let status = match pidfd {
        #[cfg(target_os = "linux")]
        Some(fd) => match rustix::process::waitid(WaitId::PidFd(fd), options) {
            // Linux 5.3 opens such descriptors, but does not wait for them yet.
            Err(Errno::INVAL) => by_pid(),
            answer => answer,
        },
        _ => by_pid(),
    };
    Ok(status?.as_ref().map(exit_status))
}

/// Blocks until child `pid` has exited, and leaves it to be reaped.
///
/// # Errors
///
/// As [`reap`].
pub(crate) fn wait_until_exit(pid: u32) -> io::Result<()> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    loop {
        match rustix::process::waitid(WaitId::Pid(as_pid(pid)), options) {
            Err(Errno::INTR) => {}
            answer => return answer.map(drop).map_err(Into::into),
        }
    }
}

/// Reaps a child of which only the failure to become a program is known; it exits at once, if it has not yet.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn reap_failed(pid: Pid) {
    // Refused where SIGCHLD is ignored: then the system has done it.
    let reap = || rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED);
    while matches!(reap(), Err(Errno::INTR)) {}
}

/// std's form of a status, which is that of `wait`.
fn exit_status(status: &WaitIdStatus) -> ExitStatus {
    const DUMPED: i32 = 0x80;
    let raw = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => (code & 0xff) << 8,
        (None, Some(signum)) if status.dumped() => signum | DUMPED,
        (None, signum) => signum.unwrap_or(0),
    };
    ExitStatus::from_raw(raw)
}

/// Sends signal `signum` to child `pid`, which has not been reaped: the caller's lock sees to that.
///
/// # Errors
///
/// `EINVAL` if there is no such signal, `ESRCH` if somebody else has reaped the child, `EPERM` if it runs as another user.
pub(crate) fn kill(pid: u32, pidfd: Option<BorrowedFd<'_>>, signum: i32) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if let (Some(fd), Some(signal)) = (pidfd, Signal::from_named_raw(signum)) {
        match rustix::process::pidfd_send_signal(fd, signal) {
            // A filter of system calls, perhaps.
            Err(Errno::NOSYS | Errno::PERM) => {}
            answer => return answer.map_err(Into::into),
        }
    }
    let _ = pidfd;
    send(as_pid(pid).as_raw_nonzero().get(), signum)
}

/// Sends SIGKILL to the process group that child `pid` leads; the child has not been reaped, so the number is its own.
///
/// # Errors
///
/// As [`kill`].
pub(crate) fn kill_group(pid: u32) -> io::Result<()> {
    Ok(rustix::process::kill_process_group(
        as_pid(pid),
        Signal::KILL,
    )?)
}

fn send(pid: i32, signum: i32) -> io::Result<()> {
    if signum == 0 {
        return Err(Errno::INVAL.into());
    }
    // SAFETY: plain numbers; the kernel refuses those that it does not know.
    match unsafe { libc::kill(pid, signum) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn as_pid(pid: u32) -> Pid {
    let raw = i32::try_from(pid).expect("std made the number from a positive i32");
    Pid::from_raw(raw).expect("no child has number 0")
}

/// A pipe, neither end inherited by children: first what is read from.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    #[cfg(not(target_vendor = "apple"))]
    return Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?);
    #[cfg(target_vendor = "apple")]
    {
        let (reader, writer) = rustix::pipe::pipe()?;
        fcntl_setfd(&reader, FdFlags::CLOEXEC)?;
        fcntl_setfd(&writer, FdFlags::CLOEXEC)?;
        Ok((reader, writer))
    }
}

/// A second descriptor for what this process writes its output to.
pub(crate) fn own_stdout() -> io::Result<OwnedFd> {
    let stdout = rustix::stdio::stdout();
    Ok(rustix::io::fcntl_dupfd_cloexec(stdout, ABOVE_STDERR)?)
}

/// The descriptor, or, if it has the number of a standard stream, another one for the same: a child's streams are put into
/// their places one after the other, and none must be in the way of the next.
pub(crate) fn above_stderr(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() >= ABOVE_STDERR {
        return Ok(fd);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, ABOVE_STDERR)?)
}

/// The first number that is no standard stream's.
const ABOVE_STDERR: i32 = 3;

/// What a child does to itself before it becomes another program, beyond what std knows.
#[derive(Debug, Default)]
pub(crate) struct Setup {
    /// Becomes the leader of a session of its own, without a terminal.
    pub(crate) new_session: bool,
    /// Takes these rights away from the files it makes.
    pub(crate) umask: Option<u16>,
    /// Keeps these descriptors, under the numbers that they have here.
    pub(crate) keep: Vec<OwnedFd>,
}

impl Setup {
    pub(crate) fn is_empty(&self) -> bool {
        !self.new_session && self.umask.is_none() && self.keep.is_empty()
    }

    /// Has std's `command` take these steps in the child.
    pub(crate) fn install(self, command: &mut Command) {
        if self.is_empty() {
            return;
        }
        let steps = move || {
            if self.new_session {
                rustix::process::setsid()?;
            }
            if let Some(mask) = self.umask {
                rustix::process::umask(Mode::from_raw_mode(mask.into()));
            }
            for fd in &self.keep {
                fcntl_setfd(fd.as_fd(), FdFlags::empty())?;
            }
            Ok(())
        };
        // SAFETY: in the child of a process with threads, other threads' locks may be held for ever, so only what is
        // async-signal-safe may run. `steps` makes system calls through rustix and reads memory that was written
        // before; it allocates nothing, takes no lock and drops nothing. An errno becomes an `io::Error` without
        // an allocation.
        unsafe { command.pre_exec(steps) };
    }
}
