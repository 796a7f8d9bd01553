//! What a child's three standard streams are connected to.
//!
//! Users choose with [`Stdio`]; `start.rs` turns the choices into descriptors, ours and the child's. Pipes are ours rather
//! than std's because stdout and stderr may share one.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::process;

use loxley_io::{PipeReader, PipeWriter};

use crate::sys;

/// Where one of a child's standard streams goes to, or comes from.
///
/// # Examples
///
/// ```
/// use loxley_process::{Stdio, create_subprocess_shell};
///
/// # loxley_runtime::run(async {
/// let mut child = create_subprocess_shell("echo out; echo err >&2")
///     .stdin(Stdio::null())
///     .stdout(Stdio::piped())
///     .stderr(Stdio::to_stdout())
///     .spawn()
///     .await?;
/// assert_eq!(child.communicate(None).await?.stdout, b"out\nerr\n");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Stdio(Kind);

#[derive(Debug)]
enum Kind {
    Inherit,
    Piped,
    Null,
    ToStdout,
    Fd(OwnedFd),
}

impl Stdio {
    /// The stream of this program. The default.
    #[must_use]
    pub fn inherit() -> Self {
        Self(Kind::Inherit)
    }

    /// A pipe between this program and the child: [`Process`](crate::Process) has our end of it.
    #[must_use]
    #[doc(alias = "PIPE")]
    pub fn piped() -> Self {
        Self(Kind::Piped)
    }

    /// Nothing to read, and what is written vanishes.
    #[must_use]
    #[doc(alias = "DEVNULL")]
    pub fn null() -> Self {
        Self(Kind::Null)
    }

    /// For stderr alone: wherever stdout goes.
    #[must_use]
    #[doc(alias = "STDOUT")]
    pub fn to_stdout() -> Self {
        Self(Kind::ToStdout)
    }
}

impl From<OwnedFd> for Stdio {
    /// An open descriptor: a socket, the end of another child's pipe.
    fn from(fd: OwnedFd) -> Self {
        Self(Kind::Fd(fd))
    }
}

impl From<File> for Stdio {
    /// A file, read or written from where it stands.
    fn from(file: File) -> Self {
        Self(Kind::Fd(file.into()))
    }
}

/// Our ends of a child's pipes, registered with the driver.
#[derive(Debug, Default)]
pub(crate) struct Ours {
    pub(crate) stdin: Option<PipeWriter>,
    pub(crate) stdout: Option<PipeReader>,
    pub(crate) stderr: Option<PipeReader>,
}

/// The choices for one child.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) stdin: Stdio,
    pub(crate) stdout: Stdio,
    pub(crate) stderr: Stdio,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            stdin: Stdio::inherit(),
            stdout: Stdio::inherit(),
            stderr: Stdio::inherit(),
        }
    }
}

impl Streams {
    /// What no stream can be connected to, in words.
    pub(crate) fn mistake(&self) -> Option<&'static str> {
        let misused = |stdio: &Stdio| matches!(stdio.0, Kind::ToStdout);
        (misused(&self.stdin) || misused(&self.stdout)).then_some(
            "`Stdio::to_stdout` is for stderr alone; choose another one for stdin and stdout",
        )
    }

    /// Gives `command` the child's ends, and returns ours. Of an attempt that fails nothing stays open.
    ///
    /// # Errors
    ///
    /// If no descriptor is left, or no runtime runs here.
    pub(crate) fn connect(self, command: &mut process::Command) -> io::Result<Ours> {
        let (theirs, stdin) = feed(self.stdin)?;
        command.stdin(theirs);
        let (theirs, stdout) = collect(self.stdout)?;
        let (their_stderr, stderr) = match self.stderr.0 {
            Kind::ToStdout => (theirs.again()?, None),
            _ => collect(self.stderr)?,
        };
        command.stdout(theirs).stderr(their_stderr);
        Ok(Ours {
            stdin,
            stdout,
            stderr,
        })
    }
}

/// The child's side of a stream.
enum Theirs {
    Inherit,
    Null,
    Fd(OwnedFd),
}

impl Theirs {
    /// The same as the child's stdout, for its stderr.
    fn again(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Inherit => Self::Fd(sys::own_stdout()?),
            Self::Null => Self::Null,
            Self::Fd(fd) => Self::Fd(fd.try_clone()?),
        })
    }
}

impl From<Theirs> for process::Stdio {
    fn from(theirs: Theirs) -> Self {
        match theirs {
            Theirs::Inherit => Self::inherit(),
            Theirs::Null => Self::null(),
            Theirs::Fd(fd) => fd.into(),
        }
    }
}

/// A stream that the child reads.
fn feed(stdio: Stdio) -> io::Result<(Theirs, Option<PipeWriter>)> {
    stdio.open(|| {
        let (theirs, ours) = sys::pipe()?;
        Ok((theirs, PipeWriter::from_fd(ours)?))
    })
}

/// A stream that the child writes.
fn collect(stdio: Stdio) -> io::Result<(Theirs, Option<PipeReader>)> {
    stdio.open(|| {
        let (ours, theirs) = sys::pipe()?;
        Ok((theirs, PipeReader::from_fd(ours)?))
    })
}

impl Stdio {
    fn open<P>(
        self,
        pipe: impl FnOnce() -> io::Result<(OwnedFd, P)>,
    ) -> io::Result<(Theirs, Option<P>)> {
        Ok(match self.0 {
            // `mistake` has refused the last one where it means nothing.
            Kind::Inherit | Kind::ToStdout => (Theirs::Inherit, None),
            Kind::Null => (Theirs::Null, None),
            Kind::Fd(fd) => (Theirs::Fd(fd), None),
            Kind::Piped => {
                let (theirs, ours) = pipe()?;
                (Theirs::Fd(theirs), Some(ours))
            }
        })
    }
}
