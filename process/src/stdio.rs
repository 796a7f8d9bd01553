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
    ///
    /// # Examples
    ///
    /// A child that talks to the terminal itself:
    ///
    /// ```
    /// # use loxley_process::{Stdio, create_subprocess_exec};
    /// # loxley_runtime::run(async {
    /// let child = create_subprocess_exec("echo", ["hello"]).stdout(Stdio::inherit()).spawn().await?;
    /// assert!(child.stdout.is_none(), "we have no end of it");
    /// assert_eq!(child.wait().await?, 0);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn inherit() -> Self {
        Self(Kind::Inherit)
    }

    /// A pipe between this program and the child: [`Process`](crate::Process) has our end of it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_process::{Stdio, create_subprocess_exec};
    /// # loxley_runtime::run(async {
    /// let child = create_subprocess_exec("cat", [""; 0]).stdin(Stdio::piped()).spawn().await?;
    /// child.stdin.as_ref().expect("our end").write_eof();
    /// assert_eq!(child.wait().await?, 0);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    #[doc(alias = "PIPE")]
    pub fn piped() -> Self {
        Self(Kind::Piped)
    }

    /// Nothing to read, and what is written vanishes.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_process::{Stdio, create_subprocess_exec};
    /// # loxley_runtime::run(async {
    /// let child = create_subprocess_exec("cat", [""; 0]).stdin(Stdio::null()).spawn().await?;
    /// assert_eq!(child.wait().await?, 0, "there was nothing to read");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    #[doc(alias = "DEVNULL")]
    pub fn null() -> Self {
        Self(Kind::Null)
    }

    /// For stderr alone: wherever stdout goes.
    ///
    /// # Examples
    ///
    /// Both in one stream, in the order in which they were written:
    ///
    /// ```
    /// # use loxley_process::{Stdio, create_subprocess_shell};
    /// # loxley_runtime::run(async {
    /// let mut child = create_subprocess_shell("echo one; echo two >&2; echo three")
    ///     .stdout(Stdio::piped())
    ///     .stderr(Stdio::to_stdout())
    ///     .spawn()
    ///     .await?;
    /// assert_eq!(child.communicate(None).await?.stdout, b"one\ntwo\nthree\n");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
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

    /// Opens what is to be opened: the child's side and ours. Of an attempt that fails nothing stays open.
    ///
    /// # Errors
    ///
    /// If no descriptor is left, or no runtime runs here.
    pub(crate) fn connect(self) -> io::Result<(Theirs, Ours)> {
        let (their_stdin, stdin) = self.stdin.open(Reads, |theirs, ours| {
            Ok((theirs, PipeWriter::from_fd(ours)?))
        })?;
        let collect = |ours, theirs| Ok((theirs, PipeReader::from_fd(ours)?));
        let (their_stdout, stdout) = self.stdout.open(Writes, collect)?;
        let (their_stderr, stderr) = match (self.stderr.0, &their_stdout) {
            (Kind::ToStdout, Some(fd)) => (Some(fd.try_clone()?), None),
            (Kind::ToStdout, None) => (Some(sys::own_stdout()?), None),
            (kind, _) => Stdio(kind).open(Writes, collect)?,
        };
        let ours = Ours {
            stdin,
            stdout,
            stderr,
        };
        Ok((Theirs([their_stdin, their_stdout, their_stderr]), ours))
    }
}

/// The child's sides of its streams, none of which has the number of a standard stream here; `None` is inherited. Closed
/// here once there is a child, or nobody would ever see the end of a stream.
#[derive(Debug)]
pub(crate) struct Theirs(pub(crate) [Option<OwnedFd>; 3]);

impl Theirs {
    /// Hands them to std's `command`.
    pub(crate) fn install(self, command: &mut process::Command) {
        let [stdin, stdout, stderr] = self
            .0
            .map(|fd| fd.map_or_else(process::Stdio::inherit, Into::into));
        command.stdin(stdin).stdout(stdout).stderr(stderr);
    }
}

/// What the child does with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Reads,
    Writes,
}

use Use::{Reads, Writes};

impl Stdio {
    /// The child's side, and ours if there is one: `pipe` makes both of the two ends of a new pipe.
    fn open<P>(
        self,
        child: Use,
        pipe: impl FnOnce(OwnedFd, OwnedFd) -> io::Result<(OwnedFd, P)>,
    ) -> io::Result<(Option<OwnedFd>, Option<P>)> {
        let (theirs, ours) = match self.0 {
            // `mistake` has refused the last one where it means nothing.
            Kind::Inherit | Kind::ToStdout => return Ok((None, None)),
            Kind::Null => {
                let mut options = File::options();
                let options = options.read(child == Reads).write(child == Writes);
                (options.open("/dev/null")?.into(), None)
            }
            Kind::Fd(fd) => (fd, None),
            Kind::Piped => {
                let (reader, writer) = sys::pipe()?;
                let (theirs, ours) = pipe(reader, writer)?;
                (theirs, Some(ours))
            }
        };
        Ok((Some(sys::above_stderr(theirs)?), ours))
    }
}
