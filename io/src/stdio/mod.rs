//! Standard input, output and error.
//!
//! Called by users. Each stream has a thread of its own, which starts when it is first needed, lives as long as the process,
//! and belongs to no runtime: so neither a shutdown nor the end of `main` ever waits for a line that nobody types or for a
//! pipe that nobody empties.
//!
//! # Why a thread
//!
//! The descriptors are shared: with the shell that started the program, with its other children, and a terminal's with each
//! other. Non-blocking mode belongs to what is shared, so switching it on would break them all (and `println!`); without it
//! no worker may read, because somebody else may take what the poller has promised. And a regular file cannot be polled at
//! all. So the thread waits in poll(2), which works for every sort, together with a bell: while nobody wants anything it has
//! nothing in hand, and a read that is given up takes nothing from whoever reads the same terminal next.
//!
//! | file | holds |
//! |---|---|
//! | `input.rs` | the thread that reads, and what it has read |
//! | `output.rs` | a thread that writes, and whose turn it is |

mod input;
mod output;

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::Location;
use std::task::{Context, Poll, Waker};

use loxley_sync::ambient::{WaitKind, poll_budget, wait_reason};
use loxley_sync::prim::atomic::{AtomicU64, Ordering};
use loxley_sync::wait::WakeBatch;

use crate::per_process::PerProcess;
use input::Input;
use output::Output;

static INPUT: PerProcess<Input> = PerProcess::new();
static OUTPUT: PerProcess<Output> = PerProcess::new();
static ERROR: PerProcess<Output> = PerProcess::new();

/// Tells handles apart: whose turn it is, and who waits.
type HandleId = u64;

fn next_id() -> HandleId {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // ordering: Relaxed. A number that nobody else has; nothing travels along.
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn wake_all(wakers: Vec<Waker>) {
    let mut batch = WakeBatch::new();
    for waker in wakers {
        if !batch.has_room() {
            batch.wake_all_contained();
        }
        batch.push(waker);
    }
    batch.wake_all_contained();
}

/// Standard input, whatever it is. Read lines from it with [`StreamReader`](crate::StreamReader), or with any crate that
/// speaks the traits.
///
/// What one handle has not read, the next one will: all share what came in. Do not mix it with [`std::io::stdin`], which has
/// a buffer of its own.
///
/// # Examples
///
/// ```no_run
/// use loxley_io::{StreamReader, stdin};
///
/// # async fn example() -> std::io::Result<()> {
/// let mut input = StreamReader::from_reader(stdin(), 64 << 10);
/// loop {
///     let line = input.readline().await?;
///     if line.is_empty() {
///         break;
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn stdin() -> Stdin {
    Stdin { id: next_id() }
}

/// Standard output, without a buffer: what is written is with the system when the call returns.
///
/// Several handles write one after the other, a piece of at most 64 KiB each time. What `println!` writes may come between
/// two of them.
///
/// # Examples
///
/// ```
/// # loxley_runtime::run(async {
/// loxley_io::stdout().write_all(b"hello\n").await?;
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[must_use]
pub fn stdout() -> Stdout {
    Stdout { id: next_id() }
}

/// Standard error, without a buffer: as [`stdout`].
///
/// # Examples
///
/// ```
/// # loxley_runtime::run(async {
/// loxley_io::stderr().write_all(b"something odd\n").await?;
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[must_use]
pub fn stderr() -> Stderr {
    Stderr { id: next_id() }
}

/// A handle to standard input: see [`stdin`].
///
/// # Examples
///
/// ```no_run
/// use loxley_io::{Stdin, stdin, stdout};
///
/// # loxley_runtime::run(async {
/// let mut input: Stdin = stdin();
/// let mut bytes = [0; 4096];
/// let n = input.read(&mut bytes).await?;
/// stdout().write_all(&bytes[..n]).await?;
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub struct Stdin {
    id: HandleId,
}

/// A handle to standard output: see [`stdout`].
///
/// # Examples
///
/// ```
/// use loxley_io::{Stdout, stdout};
///
/// # loxley_runtime::run(async {
/// let mut output: Stdout = stdout();
/// output.write_all(b"done\n").await?;
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub struct Stdout {
    id: HandleId,
}

/// A handle to standard error: see [`stderr`].
///
/// # Examples
///
/// ```
/// use loxley_io::{Stderr, stderr};
///
/// # loxley_runtime::run(async {
/// let mut log: Stderr = stderr();
/// log.write_all(b"warning: it is late\n").await?;
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub struct Stderr {
    id: HandleId,
}

impl Stdin {
    /// Reads what there is, at most as much as fits: 0 is the end, or says that `buf` is empty. A terminal may go on after
    /// its end.
    ///
    /// # Errors
    ///
    /// If the system refuses to read, or to give the thread that reads. A standard input that is closed is one at its end.
    ///
    /// # Cancel safety
    ///
    /// Bytes are either returned or still unread.
    ///
    /// # Examples
    ///
    /// Asked with a limit; what is typed later is there for the next read:
    ///
    /// ```
    /// # use loxley_runtime::timeout;
    /// # use std::time::Duration;
    /// # loxley_runtime::run(async {
    /// let mut input = loxley_io::stdin();
    /// let answer = timeout(Duration::from_millis(1), input.read(&mut [0; 64])).await;
    /// assert!(answer.is_err() || answer.is_ok_and(|read| read.is_ok()));
    /// # });
    /// ```
    #[track_caller]
    pub fn read<'a>(&'a mut self, buf: &'a mut [u8]) -> impl Future<Output = io::Result<usize>> {
        let at = Location::caller();
        let wanted = Wanted(self);
        poll_fn(move |cx| wanted.0.poll_read(cx, buf, Some(at)))
    }

    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        at: Option<&'static Location<'static>>,
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if poll_budget(cx).is_pending() {
            wait_reason(WaitKind::Turn, at);
            return Poll::Pending;
        }
        let poll = INPUT.get_or_init(Input::new).poll_read(self.id, cx, buf);
        if poll.is_pending() {
            wait_reason(WaitKind::Io, at);
        }
        poll
    }

    fn withdraw(&self) {
        if let Some(input) = INPUT.get() {
            input.withdraw(self.id);
        }
    }
}

/// A read that is going on; dropped, nobody wants it any more.
struct Wanted<'a>(&'a mut Stdin);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.withdraw();
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        self.withdraw();
    }
}

impl AsFd for Stdin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        input::descriptor()
    }
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stdin").finish_non_exhaustive()
    }
}

macro_rules! output {
    ($handle:ident, $output:ident, $new:expr, $descriptor:expr, $name:literal) => {
        impl $handle {
            /// Writes as much as the system takes, at most 64 KiB; returns how much that was.
            ///
            /// # Errors
            ///
            /// If nobody can read it any more, or the system refuses to give the thread that writes. Where the stream is
            /// closed, everything is taken and lost, as `println!` has it.
            ///
            /// # Cancel safety
            ///
            /// Dropped before its turn has come, it has written nothing; dropped later, part of it may be written.
            ///
            /// # Fairness
            ///
            /// Handles write one after the other, in no particular order.
            ///
            /// # Examples
            ///
            /// ```
            /// # loxley_runtime::run(async {
            /// let taken = loxley_io::stdout().write(b"progress: 10 %\n").await?;
            /// assert!(taken > 0);
            /// # std::io::Result::Ok(())
            /// # }).unwrap();
            /// ```
            #[track_caller]
            pub fn write<'a>(
                &'a mut self,
                buf: &'a [u8],
            ) -> impl Future<Output = io::Result<usize>> {
                struct Wanted<'a>(&'a mut $handle);

                impl Drop for Wanted<'_> {
                    fn drop(&mut self) {
                        self.0.withdraw();
                    }
                }

                let at = Location::caller();
                let wanted = Wanted(self);
                poll_fn(move |cx| wanted.0.poll_write(cx, buf, Some(at)))
            }

            /// Writes all of `buf`.
            ///
            /// # Errors
            ///
            /// As [`write`](Self::write).
            ///
            /// # Cancel safety
            ///
            /// None: some of `buf` may have been written and nobody knows how much.
            ///
            /// # Examples
            ///
            /// ```
            /// # loxley_runtime::run(async {
            /// let report = format!("{} rows\n", 3);
            /// loxley_io::stdout().write_all(report.as_bytes()).await?;
            /// # std::io::Result::Ok(())
            /// # }).unwrap();
            /// ```
            pub async fn write_all(&mut self, mut buf: &[u8]) -> io::Result<()> {
                while !buf.is_empty() {
                    let n = self.write(buf).await?;
                    if n == 0 {
                        return Err(io::ErrorKind::WriteZero.into());
                    }
                    buf = &buf[n..];
                }
                Ok(())
            }

            pub(crate) fn poll_write(
                &self,
                cx: &mut Context<'_>,
                buf: &[u8],
                at: Option<&'static Location<'static>>,
            ) -> Poll<io::Result<usize>> {
                if buf.is_empty() {
                    return Poll::Ready(Ok(0));
                }
                if poll_budget(cx).is_pending() {
                    wait_reason(WaitKind::Turn, at);
                    return Poll::Pending;
                }
                let poll = $output.get_or_init($new).poll_write(self.id, cx, buf);
                if poll.is_pending() {
                    wait_reason(WaitKind::Io, at);
                }
                poll
            }

            fn withdraw(&self) {
                if let Some(output) = $output.get() {
                    output.withdraw(self.id);
                }
            }
        }

        impl Drop for $handle {
            fn drop(&mut self) {
                self.withdraw();
            }
        }

        impl AsFd for $handle {
            fn as_fd(&self) -> BorrowedFd<'_> {
                $descriptor()
            }
        }

        impl fmt::Debug for $handle {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct($name).finish_non_exhaustive()
            }
        }
    };
}

output!(Stdout, OUTPUT, Output::stdout, output::stdout, "Stdout");
output!(Stderr, ERROR, Output::stderr, output::stderr, "Stderr");
