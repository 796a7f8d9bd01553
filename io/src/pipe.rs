//! The two ends of a pipe, and other descriptors that bytes go through in one direction.
//!
//! Called by users, and by `process` for what it shares with a child. Owns its descriptor and closes it once; never opens
//! a file.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use loxley_runtime::lowlevel::Interest;

use crate::async_fd::Registered;
use crate::bytes::{Carrier, Kind};
use crate::methods::{byte_reading, byte_writing};
use crate::sys::pipe::{self as sys, Access};

/// A new pipe: what is written to the second can be read from the first. Neither is inherited by child processes.
///
/// # Errors
///
/// If no runtime is running on this thread or it has shut down, or if the system's limits are reached.
///
/// # Examples
///
/// ```
/// # loxley_runtime::run(async {
/// let (reader, writer) = loxley_io::pipe()?;
/// writer.write_all(b"through").await?;
/// drop(writer);
/// let mut bytes = [0; 16];
/// assert_eq!(reader.read(&mut bytes).await?, 7);
/// assert_eq!(reader.read(&mut bytes).await?, 0);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = sys::pipe()?;
    Ok((
        PipeReader::new(reader, Kind::Pipe)?,
        PipeWriter::new(writer, Kind::Pipe)?,
    ))
}

/// The reading end of a pipe: see [`pipe`].
///
/// # Examples
///
/// What a child process writes:
///
/// ```
/// use loxley_io::PipeReader;
/// use std::process::{Command, Stdio};
///
/// # loxley_runtime::run(async {
/// let mut child = Command::new("echo").arg("hello").stdout(Stdio::piped()).spawn()?;
/// let reader = PipeReader::from_fd(child.stdout.take().expect("piped"))?;
/// let mut bytes = [0; 6];
/// reader.read_exact(&mut bytes).await?;
/// assert_eq!(&bytes, b"hello\n");
/// # child.wait().map(drop)
/// # }).unwrap();
/// ```
#[doc(alias = "connect_read_pipe")]
#[doc(alias = "ReadTransport")]
pub struct PipeReader {
    fd: Registered<OwnedFd>,
    kind: Kind,
}

/// The writing end of a pipe: see [`pipe`]. Dropping it ends the pipe: the reader sees the end behind what was written.
///
/// Closing it through a trait (`AsyncWrite::poll_close` and its like) does the same at once; every later write fails
/// with [`BrokenPipe`](io::ErrorKind::BrokenPipe).
///
/// # Examples
///
/// What a child process reads:
///
/// ```
/// use loxley_io::PipeWriter;
/// use std::process::{Command, Stdio};
///
/// # loxley_runtime::run(async {
/// let mut child = Command::new("grep").arg("-q").arg("needle").stdin(Stdio::piped()).spawn()?;
/// let writer = PipeWriter::from_fd(child.stdin.take().expect("piped"))?;
/// writer.write_all(b"hay needle hay").await?;
/// drop(writer);
/// assert!(child.wait()?.success());
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[doc(alias = "connect_write_pipe")]
#[doc(alias = "WriteTransport")]
pub struct PipeWriter {
    /// `None` once it was closed through a trait.
    fd: Option<Registered<OwnedFd>>,
    kind: Kind,
}

impl PipeReader {
    /// Takes over a pipe, a socket or a character device that is open for reading, and puts it into non-blocking mode:
    /// so it is for everybody who has the same open file.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for anything else, above all for a regular file, and for a descriptor
    /// that is open for writing only. Or if no runtime is running on this thread or it has shut down, if the device cannot be
    /// waited for, or if the system's limits are reached.
    ///
    /// # Examples
    ///
    /// A regular file is always ready and cannot be waited for:
    ///
    /// ```
    /// # use loxley_io::PipeReader;
    /// # loxley_runtime::run(async {
    /// let (read_end, _write_end) = std::io::pipe()?;
    /// assert!(PipeReader::from_fd(read_end).is_ok());
    /// let file = std::fs::File::open(std::env::current_exe()?)?;
    /// assert_eq!(PipeReader::from_fd(file).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn from_fd(fd: impl Into<OwnedFd>) -> io::Result<Self> {
        let (fd, kind) = sys::take_over(fd.into(), Access::Read)?;
        Self::new(fd, kind)
    }

    fn new(fd: OwnedFd, kind: Kind) -> io::Result<Self> {
        Ok(Self {
            fd: Registered::new(fd, Interest::Read)?,
            kind,
        })
    }

    /// Gives the descriptor up; it stays in non-blocking mode.
    ///
    /// # Examples
    ///
    /// For the standard input of a child process:
    ///
    /// ```
    /// # use std::process::{Command, Stdio};
    /// # loxley_runtime::run(async {
    /// let (reader, writer) = loxley_io::pipe()?;
    /// writer.write_all(b"hello").await?;
    /// drop(writer);
    /// let counted = Command::new("wc").arg("-c").stdin(Stdio::from(reader.into_fd())).output()?;
    /// assert_eq!(counted.stdout.trim_ascii(), b"5");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.fd.into_inner()
    }

    byte_reading!();
}

impl PipeWriter {
    /// Takes over a pipe, a socket or a character device that is open for writing, and puts it into non-blocking mode:
    /// so it is for everybody who has the same open file.
    ///
    /// # Errors
    ///
    /// As [`PipeReader::from_fd`], with reading and writing exchanged.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::PipeWriter;
    /// # use std::io::Read;
    /// # loxley_runtime::run(async {
    /// let (mut read_end, write_end) = std::io::pipe()?;
    /// let writer = PipeWriter::from_fd(write_end)?;
    /// writer.write_all(b"hello").await?;
    /// assert_eq!(read_end.read(&mut [0; 8])?, 5);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn from_fd(fd: impl Into<OwnedFd>) -> io::Result<Self> {
        let (fd, kind) = sys::take_over(fd.into(), Access::Write)?;
        Self::new(fd, kind)
    }

    fn new(fd: OwnedFd, kind: Kind) -> io::Result<Self> {
        Ok(Self {
            fd: Some(Registered::new(fd, Interest::Write)?),
            kind,
        })
    }

    /// Gives the descriptor up; it stays in non-blocking mode.
    ///
    /// # Errors
    ///
    /// If it was closed through a trait.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::io::Write;
    /// # loxley_runtime::run(async {
    /// let (reader, writer) = loxley_io::pipe()?;
    /// let mut plain = std::fs::File::from(writer.into_fd()?);
    /// plain.write_all(b"hello")?;
    /// assert_eq!(reader.read(&mut [0; 8]).await?, 5);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        let fd = self.fd.ok_or_else(crate::bytes::closed)?;
        Ok(fd.into_inner())
    }

    byte_writing!();
}

impl Carrier for PipeReader {
    type Fd = OwnedFd;

    fn registered(&self) -> Option<&Registered<OwnedFd>> {
        Some(&self.fd)
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Carrier for PipeWriter {
    type Fd = OwnedFd;

    fn registered(&self) -> Option<&Registered<OwnedFd>> {
        self.fd.as_ref()
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn end(&mut self) -> io::Result<()> {
        self.fd = None;
        Ok(())
    }
}

impl AsFd for PipeReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for PipeReader {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.get_ref().as_raw_fd()
    }
}

impl fmt::Debug for PipeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PipeReader")
            .field(self.fd.get_ref())
            .finish()
    }
}

impl fmt::Debug for PipeWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fd = self.fd.as_ref().map(Registered::get_ref);
        f.debug_tuple("PipeWriter").field(&fd).finish()
    }
}
