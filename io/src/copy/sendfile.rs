//! A file into a socket, straight from the page cache (sendfile(2)).
//!
//! Called by users. Never moves the file's position: other handles may share it.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use loxley_runtime::lowlevel::Direction;
use loxley_runtime::{Handle, to_thread};

use crate::bytes::closed;
use crate::net::ByteStream;
use crate::sys;

/// The most bytes in one call. It blocks the worker while the disk is read, and other tasks want their turn.
const AT_ONCE: usize = 512 << 10;

/// Read at once on another thread, where the kernel cannot send the file by itself.
const CHUNK: usize = 256 << 10;

/// Sends `count` bytes of a file, or all with `None`, from `offset` on; returns how many. It is fewer if the file ends before
/// that, and none if it has nothing there.
///
/// The bytes go from the page cache to the socket without entering this process (Linux). A page that is not cached is read
/// from the disk meanwhile, which blocks the worker. Files that the kernel cannot send by itself are read on threads of the
/// runtime's pool instead. The kernel may raise SIGPIPE there, which Rust programs ignore from their start.
///
/// # Errors
///
/// If it is no regular file, or `count` is zero ([`InvalidInput`](io::ErrorKind::InvalidInput)); if the connection is broken
/// or the file cannot be read. The error says how much was sent before.
///
/// # Panics
///
/// If the file must be read on another thread after the runtime's shutdown has begun.
///
/// # Cancel safety
///
/// None: some of it may have been sent, and nobody knows how much.
///
/// **Differs from asyncio**: the file's position stays where it is, also the one that the system keeps.
///
/// # Examples
///
/// ```
/// use loxley_io::{UnixStream, sendfile};
/// # use std::fs::File;
///
/// # loxley_runtime::run(async {
/// # let path = std::env::temp_dir().join(format!("loxley-sendfile-doc-{}", std::process::id()));
/// std::fs::write(&path, "hello file")?;
/// let (ours, theirs) = UnixStream::pair()?;
/// assert_eq!(sendfile(&ours, &File::open(&path)?, 6, None).await?, 4);
/// let mut bytes = [0; 16];
/// assert_eq!(theirs.read(&mut bytes).await?, 4);
/// assert_eq!(&bytes[..4], b"file");
/// # std::fs::remove_file(&path)
/// # }).unwrap();
/// ```
#[doc(alias = "sock_sendfile")]
pub async fn sendfile<S: ByteStream>(
    stream: &S,
    file: &File,
    offset: u64,
    count: Option<u64>,
) -> Result<u64, SendfileError> {
    let mut sent = 0;
    match send(stream, file, offset, count, &mut sent).await {
        Ok(()) => Ok(sent),
        Err(error) => Err(SendfileError { sent, error }),
    }
}

async fn send<S: ByteStream>(
    stream: &S,
    file: &File,
    offset: u64,
    count: Option<u64>,
    sent: &mut u64,
) -> io::Result<()> {
    let refuse = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    if count == Some(0) {
        return refuse("a count of zero sends nothing: give `None` for all of the file");
    }
    if !file.metadata()?.is_file() {
        return refuse("only a regular file can be sent: copy from anything else");
    }
    let socket = stream.registered().ok_or_else(closed)?;
    loop {
        let left = count.map_or(u64::MAX, |count| count - *sent);
        let Some(at) = offset.checked_add(*sent).filter(|_| left > 0) else {
            return Ok(());
        };
        let most = usize::try_from(left).map_or(AT_ONCE, |left| left.min(AT_ONCE));
        let attempt = socket.async_io(Direction::Write, |socket| {
            sys::sendfile(socket.as_fd(), file.as_fd(), at, most)
        });
        match attempt.await {
            Ok(0) => return Ok(()),
            Ok(n) => *sent += n as u64,
            Err(error) if *sent == 0 && is_unknown(&error) => {
                return send_by_reading(stream, file, offset, count, sent).await;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn send_by_reading<S: ByteStream>(
    stream: &S,
    file: &File,
    offset: u64,
    count: Option<u64>,
    sent: &mut u64,
) -> io::Result<()> {
    Handle::try_current().map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    loop {
        let left = count.map_or(u64::MAX, |count| count - *sent);
        let Some(at) = offset.checked_add(*sent).filter(|_| left > 0) else {
            return Ok(());
        };
        let most = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
        let file = file.try_clone()?;
        bytes = to_thread(move || {
            bytes.resize(most, 0);
            let n = file.read_at(&mut bytes, at)?;
            bytes.truncate(n);
            io::Result::Ok(bytes)
        })
        .await?;
        if bytes.is_empty() {
            return Ok(());
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let n = crate::bytes::write(stream, rest).await?;
            rest = &rest[n..];
            *sent += n as u64;
        }
    }
}

/// Whether the kernel cannot send such a file by itself.
fn is_unknown(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
    )
}

/// Why [`sendfile`] has not sent everything, and how much it has.
///
/// # Examples
///
/// ```
/// use loxley_io::{UnixStream, sendfile};
///
/// # loxley_runtime::run(async {
/// let (ours, theirs) = UnixStream::pair()?;
/// drop(theirs);
/// let file = std::fs::File::open("Cargo.toml")?;
/// let error = sendfile(&ours, &file, 0, None).await.unwrap_err();
/// assert_eq!((error.sent(), error.kind()), (0, std::io::ErrorKind::BrokenPipe));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[doc(alias = "SendfileNotAvailableError")]
pub struct SendfileError {
    sent: u64,
    error: io::Error,
}

impl SendfileError {
    /// How many bytes were sent before.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// The sort of error.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.error.kind()
    }
}

impl fmt::Display for SendfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot send the file after {} bytes: {}",
            self.sent, self.error
        )
    }
}

impl std::error::Error for SendfileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<SendfileError> for io::Error {
    fn from(error: SendfileError) -> Self {
        Self::new(error.error.kind(), error)
    }
}
