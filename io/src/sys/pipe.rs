//! Raw calls for pipes and for descriptors that come from elsewhere.
//!
//! Called by `pipe.rs`, `stdio.rs` and `copy/`.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;

use rustix::fs::OFlags;

use crate::bytes::Kind;

/// What a descriptor is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// A pipe whose ends are non-blocking and not inherited by child processes: the reading one, the writing one.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    #[cfg(not(target_vendor = "apple"))]
    {
        use rustix::pipe::{PipeFlags, pipe_with};
        Ok(pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?)
    }
    #[cfg(target_vendor = "apple")]
    {
        let (reader, writer) = rustix::pipe::pipe()?;
        for end in [&reader, &writer] {
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
            rustix::io::ioctl_fionbio(end, true)?;
        }
        Ok((reader, writer))
    }
}

/// Moves bytes between a pipe and a socket, at most `len`, inside the kernel. Would block if the socket would, but also if
/// the pipe is full or empty.
#[cfg(target_os = "linux")]
pub(crate) fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, len: usize) -> io::Result<usize> {
    use rustix::pipe::SpliceFlags;
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    Ok(rustix::pipe::splice(from, None, to, None, len, flags)?)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn splice(_from: BorrowedFd<'_>, _to: BorrowedFd<'_>, _len: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Gives a pipe room for `size` bytes, or as it was: what one user may have in pipes is limited.
#[cfg(target_os = "linux")]
pub(crate) fn enlarge(pipe: BorrowedFd<'_>, size: usize) {
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, size);
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn enlarge(_pipe: BorrowedFd<'_>, _size: usize) {}

/// Looks whether bytes can go through `fd` without blocking a thread, and puts it into non-blocking mode.
pub(crate) fn take_over(fd: OwnedFd, access: Access) -> io::Result<(OwnedFd, Kind)> {
    let refuse = |why: Unfit| io::Error::new(io::ErrorKind::InvalidInput, why);
    let mode = rustix::fs::fcntl_getfl(&fd)? & OFlags::ACCMODE;
    let (unfit, direction) = match access {
        Access::Read => (OFlags::WRONLY, "reading"),
        Access::Write => (OFlags::RDONLY, "writing"),
    };
    if mode == unfit {
        return Err(refuse(Unfit::ClosedFor(direction)));
    }
    let file = File::from(fd);
    let sort = file.metadata()?.file_type();
    let kind = if sort.is_fifo() {
        Kind::Pipe
    } else if sort.is_socket() {
        Kind::Socket
    } else if sort.is_char_device() {
        Kind::Device
    } else if sort.is_file() {
        return Err(refuse(Unfit::RegularFile));
    } else {
        return Err(refuse(Unfit::Other));
    };
    let fd = OwnedFd::from(file);
    rustix::io::ioctl_fionbio(&fd, true)?;
    Ok((fd, kind))
}

/// Why a descriptor cannot be taken over.
#[derive(Clone, Copy, Debug)]
enum Unfit {
    ClosedFor(&'static str),
    RegularFile,
    Other,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClosedFor(direction) => write!(f, "this descriptor is not open for {direction}"),
            Self::RegularFile => f.write_str(
                "a regular file is always ready and yet may block: read and write it inside `to_thread`",
            ),
            Self::Other => f.write_str("only pipes, sockets and character devices can be waited for"),
        }
    }
}

impl std::error::Error for Unfit {}

/// Whether the descriptor is closed, as a program may be started.
pub(crate) fn is_closed(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::BADF)
}

/// Ends a thread's wait for a descriptor from outside.
#[derive(Debug)]
pub(crate) struct Bell {
    outlet: OwnedFd,
    inlet: OwnedFd,
}

/// Why a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    Rung,
    /// The descriptor is ready, or broken, which trying will show.
    Ready,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        let (outlet, inlet) = pipe()?;
        Ok(Self { outlet, inlet })
    }

    /// Ends the wait that is going on, or the next one.
    pub(crate) fn ring(&self) {
        // Refused only if it has been rung very often and not been heard yet.
        let _ = rustix::io::write(&self.inlet, &[1]);
    }

    /// Blocks until `fd` is ready or the bell is rung.
    pub(crate) fn wait(&self, fd: BorrowedFd<'_>, access: Access) -> io::Result<Woken> {
        use rustix::event::{PollFd, PollFlags, poll};
        let wanted = match access {
            Access::Read => PollFlags::IN,
            Access::Write => PollFlags::OUT,
        };
        let mut polled = [
            PollFd::new(&self.outlet, PollFlags::IN),
            PollFd::from_borrowed_fd(fd, wanted),
        ];
        loop {
            match poll(&mut polled, None) {
                Err(rustix::io::Errno::INTR) => {}
                result => {
                    result?;
                    break;
                }
            }
        }
        if polled[0].revents().is_empty() {
            return Ok(Woken::Ready);
        }
        let mut rings = [0; 64];
        while rustix::io::read(&self.outlet, &mut rings[..]).is_ok_and(|n| n == rings.len()) {}
        Ok(Woken::Rung)
    }
}
