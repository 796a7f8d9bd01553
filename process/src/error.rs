//! What can go wrong with a child, each with what to change: it does not start, it cannot be signalled, its status is lost.
//!
//! Made by `options.rs`, `start.rs` and `reap.rs`; nothing here asks the system but to tell two causes of one error apart.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The errno of a file that is no program.
const ENOEXEC: i32 = 8;
/// The errno of arguments and environment that are too long together.
const E2BIG: i32 = 7;
/// The errnos of descriptors used up: of the process, of the machine.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

/// A program that could not be started; inside the [`io::Error`] of [`spawn`](crate::Command::spawn), whose kind is that of
/// the system's own error.
///
/// # Examples
///
/// ```
/// use loxley_process::{SpawnError, create_subprocess_exec};
///
/// # loxley_runtime::run(async {
/// let error = create_subprocess_exec("no-such-program", [""; 0]).spawn().await.unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
/// let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<SpawnError>());
/// assert_eq!(inner.unwrap().program(), "no-such-program");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct SpawnError {
    program: OsString,
    advice: String,
    source: Option<io::Error>,
}

impl SpawnError {
    /// The program as it was given.
    #[must_use]
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    /// The system's number of the error, if the system was asked.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_process::{SpawnError, create_subprocess_exec};
    /// # loxley_runtime::run(async {
    /// let error = create_subprocess_exec("/no/such/program", [""; 0]).spawn().await.unwrap_err();
    /// let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<SpawnError>()).unwrap();
    /// assert_eq!(inner.raw_os_error(), Some(2), "ENOENT");
    /// # });
    /// ```
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.source.as_ref().and_then(io::Error::raw_os_error)
    }

    /// Options that contradict each other, or no system can take.
    pub(crate) fn refused(program: &OsStr, advice: String) -> io::Error {
        let this = Self {
            program: program.to_owned(),
            advice,
            source: None,
        };
        io::Error::new(io::ErrorKind::InvalidInput, this)
    }

    /// What the system said, and what that means here.
    pub(crate) fn failed(program: &OsStr, dir: Option<&Path>, source: io::Error) -> io::Error {
        let this = Self {
            program: program.to_owned(),
            advice: advice(program, dir, &source),
            source: Some(source),
        };
        let kind = this
            .source
            .as_ref()
            .map_or(io::ErrorKind::Other, io::Error::kind);
        io::Error::new(kind, this)
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot start {:?}: {}", self.program, self.advice)?;
        match &self.source {
            Some(source) => write!(f, " ({source})"),
            None => Ok(()),
        }
    }
}

impl Error for SpawnError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

/// The system names no path in its errors, so this looks which one it may have meant.
fn advice(program: &OsStr, dir: Option<&Path>, source: &io::Error) -> String {
    let bad_dir = dir.filter(|dir| !dir.is_dir());
    let has_slash = program.as_encoded_bytes().contains(&b'/');
    let path = match dir {
        Some(dir) if has_slash => dir.join(program),
        _ => PathBuf::from(program),
    };
    match (source.kind(), source.raw_os_error()) {
        (io::ErrorKind::NotFound | io::ErrorKind::NotADirectory, _) if bad_dir.is_some() => format!(
            "the working directory {:?} is not there or no directory; make it, or give another `cwd`",
            bad_dir.unwrap_or(Path::new(""))
        ),
        (io::ErrorKind::NotFound, _) if !has_slash => {
            "no directory of PATH has it; install it, or give its path".to_owned()
        }
        (io::ErrorKind::NotFound, _) if path.exists() => {
            "the file is there, but the interpreter that its first line or its header names is not".to_owned()
        }
        (io::ErrorKind::NotFound, _) => "there is no such file; check the path".to_owned(),
        (io::ErrorKind::PermissionDenied, _) if path.is_dir() => "it is a directory; name a program in it".to_owned(),
        (io::ErrorKind::PermissionDenied, _) => "no permission: the file must be executable, every directory on the \
             way must be open to this user, and another `uid` or `gid` takes privileges"
            .to_owned(),
        (_, Some(ENOEXEC)) => "the file is neither a program of this system nor a script that begins with `#!`; start \
             it through its interpreter"
            .to_owned(),
        (_, Some(E2BIG)) => "arguments and environment are too long together; pass them through stdin or a file".to_owned(),
        (_, Some(EMFILE | ENFILE)) => {
            "no descriptor is left; close some, start fewer children at once, or raise `ulimit -n`".to_owned()
        }
        (io::ErrorKind::WouldBlock, _) => {
            "no process is left to this user; start fewer children at once, or raise `ulimit -u`".to_owned()
        }
        _ => "the system refused".to_owned(),
    }
}

/// A signal that could not be sent to a child.
///
/// # Examples
///
/// ```
/// use loxley_process::{SendSignalError, create_subprocess_exec};
///
/// # loxley_runtime::run(async {
/// let child = create_subprocess_exec("true", [""; 0]).spawn().await?;
/// child.wait().await?;
/// assert!(matches!(child.terminate(), Err(SendSignalError::Finished { .. })));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[non_exhaustive]
#[doc(alias = "ProcessLookupError")]
pub enum SendSignalError {
    /// The child has finished and was reaped; its number may be somebody else's by now.
    Finished {
        /// Its number, while it lived.
        pid: u32,
    },
    /// There is no such signal.
    NoSuchSignal {
        /// The number that was asked for.
        signum: i32,
    },
    /// [`kill_tree`](crate::Process::kill_tree) of a child that shares the process group of its parent.
    NoGroup {
        /// Its number.
        pid: u32,
    },
    /// The system refused: the child runs as another user, for one.
    Os(io::Error),
}

impl fmt::Display for SendSignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished { pid } => write!(
                f,
                "process {pid} has finished, so no signal was sent; look at `returncode` before signalling"
            ),
            Self::NoSuchSignal { signum } => write!(
                f,
                "there is no signal {signum}; use a constant of `loxley::signal`, such as SIGTERM"
            ),
            Self::NoGroup { pid } => write!(
                f,
                "process {pid} shares our process group, and killing that would kill us; spawn it with \
                 `process_group(0)` or `new_session(true)`"
            ),
            Self::Os(error) => write!(f, "the signal was not sent: {error}"),
        }
    }
}

impl Error for SendSignalError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Os(error) => Some(error),
            _ => None,
        }
    }
}

impl From<SendSignalError> for io::Error {
    fn from(error: SendSignalError) -> Self {
        let kind = match &error {
            SendSignalError::Finished { .. } => io::ErrorKind::NotFound,
            SendSignalError::NoSuchSignal { .. } | SendSignalError::NoGroup { .. } => {
                io::ErrorKind::InvalidInput
            }
            SendSignalError::Os(error) => error.kind(),
        };
        Self::new(kind, error)
    }
}

/// A child that ended, and whose status somebody else has taken; inside the [`io::Error`] of a wait.
///
/// # Examples
///
/// A wait tells it from an error of the system:
///
/// ```
/// use loxley_process::{StatusLost, create_subprocess_exec};
///
/// # loxley_runtime::run(async {
/// let child = create_subprocess_exec("true", [""; 0]).spawn().await?;
/// match child.wait().await {
///     Err(error) if error.get_ref().is_some_and(|inner| inner.is::<StatusLost>()) => {
///         // It has ended; nobody knows how.
///     }
///     status => assert_eq!(status?, 0),
/// }
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusLost {
    pub(crate) pid: u32,
}

impl StatusLost {
    /// The child's number, while it lived.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_process::{StatusLost, create_subprocess_exec};
    /// # loxley_runtime::run(async {
    /// let child = create_subprocess_exec("true", [""; 0]).spawn().await?;
    /// if let Err(error) = child.wait().await {
    ///     let lost = error.downcast::<StatusLost>()?;
    ///     assert_eq!(lost.pid(), child.pid());
    /// }
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }
}

impl fmt::Display for StatusLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "process {} has ended, but its status is lost: SIGCHLD is ignored in this program, or some code waits for \
             children that it did not start (`waitpid(-1)`); change that",
            self.pid
        )
    }
}

impl Error for StatusLost {}
