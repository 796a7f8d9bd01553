//! What a read can end with, as values; and one error told to many.
//!
//! Made by `reader.rs` and `link.rs`. Nothing here reads or writes.

use std::fmt;
use std::io;
use std::sync::Arc;

/// Why a read of [`StreamReader`](super::StreamReader) gave nothing.
///
/// Converts into [`io::Error`], so that `?` works in functions that return one.
///
/// # Examples
///
/// ```
/// use loxley_io::{UnixStream, streams, streams::ReadError};
///
/// # loxley_runtime::run(async {
/// let (ours, theirs) = UnixStream::pair()?;
/// let (mut reader, _writer) = streams::from_unix(ours);
/// theirs.write_all(b"half").await?;
/// drop(theirs);
/// match reader.readexactly(8).await {
///     Err(ReadError::Incomplete(error)) => assert_eq!(error.partial, b"half"),
///     other => panic!("{other:?}"),
/// }
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The end came before what was asked for. The bytes up to it are in the error and no longer in the reader.
    Incomplete(IncompleteReadError),
    /// There is no separator within the limit. Nothing has left the reader.
    LimitOverrun(LimitOverrunError),
    /// The line is longer than the limit. It, or what had come of it, has left the reader.
    LineTooLong(LineTooLongError),
    /// An empty separator, or none at all: it would be found everywhere, or nowhere.
    EmptySeparator,
    /// The stream is broken; every later read says the same.
    Io(io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete(error) => error.fmt(f),
            Self::LimitOverrun(error) => error.fmt(f),
            Self::LineTooLong(error) => error.fmt(f),
            Self::EmptySeparator => {
                f.write_str("the separator is empty; give at least one, of at least one byte")
            }
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            _ => None,
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        let kind = match &error {
            ReadError::Incomplete(_) => io::ErrorKind::UnexpectedEof,
            ReadError::LimitOverrun(_) | ReadError::LineTooLong(_) => io::ErrorKind::InvalidData,
            ReadError::EmptySeparator => io::ErrorKind::InvalidInput,
            ReadError::Io(_) => io::ErrorKind::Other,
        };
        match error {
            ReadError::Io(error) => error,
            error => Self::new(kind, error),
        }
    }
}

/// The end came before what was asked for.
///
/// # Examples
///
/// ```
/// use loxley_io::{UnixStream, streams, streams::ReadError};
///
/// # loxley_runtime::run(async {
/// let (ours, theirs) = UnixStream::pair()?;
/// let (mut reader, _writer) = streams::from_unix(ours);
/// theirs.write_all(b"no end").await?;
/// drop(theirs);
/// let Err(ReadError::Incomplete(error)) = reader.readuntil(";").await else { unreachable!() };
/// assert_eq!((error.partial, error.expected), (b"no end".to_vec(), None));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IncompleteReadError {
    /// What there was up to the end.
    pub partial: Vec<u8>,
    /// How many bytes were asked for; `None` if it was a separator.
    pub expected: Option<usize>,
}

impl fmt::Display for IncompleteReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let read = self.partial.len();
        match self.expected {
            Some(expected) => write!(
                f,
                "{read} bytes read on a total of {expected} expected bytes"
            ),
            None => write!(f, "{read} bytes read and the end came before a separator"),
        }
    }
}

impl std::error::Error for IncompleteReadError {}

/// There is no separator within the limit. Nothing has left the reader: read `consumed` bytes to get past it, or raise the
/// limit.
///
/// # Examples
///
/// ```
/// use loxley_io::{UnixStream, streams, streams::ReadError};
///
/// # loxley_runtime::run(async {
/// let (ours, theirs) = UnixStream::pair()?;
/// let (mut reader, _writer) = streams::from_unix(ours);
/// reader.set_limit(4);
/// theirs.write_all(b"too long;").await?;
/// drop(theirs);
/// if let Err(ReadError::LimitOverrun(error)) = reader.readuntil(";").await {
///     assert_eq!(error.limit, 4);
///     reader.readexactly(error.consumed).await?; // Past it.
/// }
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitOverrunError {
    /// How many bytes stand before the separator, or are known to hold none.
    pub consumed: usize,
    /// The limit.
    pub limit: usize,
    /// Whether the separator is there, behind too much.
    pub is_found: bool,
}

impl fmt::Display for LimitOverrunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            consumed, limit, ..
        } = self;
        match self.is_found {
            true => write!(
                f,
                "the separator is found after {consumed} bytes and the limit is {limit}: raise it with `set_limit`"
            ),
            false => write!(
                f,
                "no separator in {consumed} bytes and the limit is {limit}: raise it with `set_limit`"
            ),
        }
    }
}

impl std::error::Error for LimitOverrunError {}

/// The line is longer than the limit; it has left the reader as far as it had come.
///
/// # Examples
///
/// One long line need not be the end of the connection:
///
/// ```
/// use loxley_io::{UnixStream, streams, streams::ReadError};
///
/// # loxley_runtime::run(async {
/// let (ours, theirs) = UnixStream::pair()?;
/// let (mut reader, _writer) = streams::from_unix(ours);
/// reader.set_limit(4);
/// theirs.write_all(b"longer\nok\n").await?;
/// drop(theirs);
/// let Err(ReadError::LineTooLong(error)) = reader.readline().await else { unreachable!() };
/// assert_eq!((error.limit, error.is_whole), (4, true));
/// assert_eq!(reader.readline().await?, b"ok\n");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LineTooLongError {
    /// The limit.
    pub limit: usize,
    /// Whether the whole line is gone, and the next read begins at the next line. If not, the rest of it is still to come.
    pub is_whole: bool,
}

impl fmt::Display for LineTooLongError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the line is longer than the limit of {} bytes: raise it with `set_limit`",
            self.limit
        )
    }
}

impl std::error::Error for LineTooLongError {}

/// An error that is told to everybody who asks, again and again.
#[derive(Clone, Debug)]
pub(super) struct Lasting(Arc<io::Error>);

impl Lasting {
    pub(super) fn new(error: io::Error) -> Self {
        Self(Arc::new(error))
    }

    /// The error once more: the system's own number where it has one, else the same kind with the first one inside.
    pub(super) fn again(&self) -> io::Error {
        match self.0.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(self.0.kind(), self.clone()),
        }
    }
}

impl fmt::Display for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Lasting {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lasting_error_keeps_number_or_kind_and_text() {
        let os = Lasting::new(io::Error::from_raw_os_error(32)).again();
        assert_eq!(os.raw_os_error(), Some(32));
        let own = Lasting::new(io::Error::new(io::ErrorKind::InvalidData, "bad frame"));
        for _ in 0..2 {
            let again = own.again();
            assert_eq!(again.kind(), io::ErrorKind::InvalidData);
            assert_eq!(again.to_string(), "bad frame");
        }
    }

    #[test]
    fn read_errors_become_io_errors_of_a_fitting_kind() {
        let incomplete = ReadError::Incomplete(IncompleteReadError {
            partial: b"ab".to_vec(),
            expected: Some(4),
        });
        assert_eq!(
            incomplete.to_string(),
            "2 bytes read on a total of 4 expected bytes"
        );
        assert_eq!(
            io::Error::from(incomplete).kind(),
            io::ErrorKind::UnexpectedEof
        );
        let plain = ReadError::from(io::Error::from_raw_os_error(104));
        assert_eq!(io::Error::from(plain).raw_os_error(), Some(104));
        assert_eq!(
            io::Error::from(ReadError::EmptySeparator).kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
