//! A child that runs, or has run: what users hold.
//!
//! Everything about its end is `reap.rs`'s; this file adds the streams, and the talks that must not deadlock. It never waits
//! for a pid and never keeps a child alive or kills it unasked.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::process::{ExitStatus, Output};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use loxley_io::streams::{StreamReader, StreamWriter};
use loxley_runtime::signal::{SIGKILL, SIGTERM};
use loxley_runtime::timeout;
use loxley_sync::ambient::{WaitKind, wait_reason};

use crate::error::{SendSignalError, StatusLost};
use crate::reap::{Child, Exit};
use crate::stdio::Ours;

/// How much of the input is handed to the child's stdin at once: what a pipe holds.
const PIECE: usize = 64 << 10;

/// A child process, made by [`Command::spawn`](crate::Command::spawn).
///
/// Dropped while the child runs, it lets the child run on, unless that was spawned with
/// [`kill_on_drop`](crate::Command::kill_on_drop); our ends of its pipes are closed. However it ends and whoever waits, the
/// child is reaped when it exits: there are no zombies, not even when the runtime goes before it.
///
/// # Examples
///
/// ```
/// use loxley_process::{Stdio, create_subprocess_exec};
///
/// # loxley_runtime::run(async {
/// let mut child = create_subprocess_exec("cat", [""; 0])
///     .stdin(Stdio::piped())
///     .stdout(Stdio::piped())
///     .spawn()
///     .await?;
/// let output = child.communicate(Some(b"meow")).await?;
/// assert_eq!(output.stdout, b"meow");
/// assert_eq!(child.returncode(), Some(0));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[doc(alias = "SubprocessTransport")]
#[doc(alias = "SubprocessProtocol")]
pub struct Process {
    /// What the child reads, if it was piped.
    pub stdin: Option<StreamWriter>,
    /// What the child writes, if it was piped.
    pub stdout: Option<StreamReader>,
    /// What the child writes as errors, if it was piped.
    pub stderr: Option<StreamReader>,
    child: Arc<Child>,
    kill_on_drop: bool,
    /// How much of the input `communicate` has handed over.
    fed: usize,
    /// Stdout and stderr, each once `communicate` has read it to its end.
    heard: [Option<Vec<u8>>; 2],
}

impl Process {
    pub(crate) fn new(child: Arc<Child>, ours: Ours, limit: usize, kill_on_drop: bool) -> Self {
        let reader = |pipe| StreamReader::from_pipe(pipe, limit);
        Self {
            stdin: ours.stdin.map(StreamWriter::from_writer),
            stdout: ours.stdout.map(reader),
            stderr: ours.stderr.map(reader),
            child,
            kill_on_drop,
            fed: 0,
            heard: [None, None],
        }
    }

    /// The child's number. Once [`returncode`](Self::returncode) says something it may be another process's.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_process::{Stdio, create_subprocess_shell};
    /// # loxley_runtime::run(async {
    /// let mut child = create_subprocess_shell("echo $$").stdout(Stdio::piped()).spawn().await?;
    /// let pid = child.pid();
    /// assert_eq!(child.communicate(None).await?.stdout, format!("{pid}\n").into_bytes());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// How the child ended: its exit status, or −N if signal N killed it. `None` while it runs, or if its status is lost (see
    /// [`wait`](Self::wait)).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_process::create_subprocess_exec;
    /// # loxley_runtime::run(async {
    /// let child = create_subprocess_exec("sleep", ["600"]).spawn().await?;
    /// assert_eq!(child.returncode(), None, "it runs");
    /// child.kill()?;
    /// child.wait().await?;
    /// assert_eq!(child.returncode(), Some(-9));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn returncode(&self) -> Option<i32> {
        match self.child.exit()? {
            Exit::Status(status) => Some(returncode(status)),
            Exit::Lost => None,
        }
    }

    /// [`returncode`](Self::returncode) in std's form, which also knows about core dumps.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_process::create_subprocess_exec;
    /// # use std::os::unix::process::ExitStatusExt;
    /// # loxley_runtime::run(async {
    /// let child = create_subprocess_exec("sleep", ["600"]).spawn().await?;
    /// child.terminate()?;
    /// child.wait().await?;
    /// let status = child.exit_status().expect("it has ended");
    /// assert_eq!((status.success(), status.signal()), (false, Some(15)));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        match self.child.exit()? {
            Exit::Status(status) => Some(status),
            Exit::Lost => None,
        }
    }

    /// Waits until the child has exited, and says how: see [`returncode`](Self::returncode). Any number of tasks may wait, and
    /// all are told.
    ///
    /// A child that writes more than its pipes hold waits for a reader, and this waits for the child: use
    /// [`communicate`](Self::communicate) with piped output.
    ///
    /// # Errors
    ///
    /// [`StatusLost`] if somebody else has reaped the child: the program ignores SIGCHLD, or waits for children that it did
    /// not start.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost, and the child runs on.
    ///
    /// # Fairness
    ///
    /// Waiters are woken in the order in which they came.
    ///
    /// **Differs from asyncio**: returns when the child exits, and does not wait until its pipes are closed as well, which a
    /// grandchild may keep open for ever.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_process::create_subprocess_shell;
    /// # loxley_runtime::run(async {
    /// let child = create_subprocess_shell("exit 3").spawn().await?;
    /// assert_eq!(child.wait().await?, 3);
    /// assert_eq!(child.wait().await?, 3, "as often as one likes");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn wait(&self) -> impl Future<Output = io::Result<i32>> + Send + '_ {
        let ended = self.ended(Location::caller());
        async move { ended.await.map(returncode) }
    }

    async fn ended(&self, at: &'static Location<'static>) -> io::Result<ExitStatus> {
        let mut ended = pin!(self.child.ended().wait());
        poll_fn(|cx| {
            let polled = ended.as_mut().poll(cx);
            if polled.is_pending() {
                wait_reason(WaitKind::Process, Some(at));
            }
            polled
        })
        .await;
        match self.child.exit() {
            Some(Exit::Status(status)) => Ok(status),
            _ => Err(io::Error::other(StatusLost { pid: self.pid() })),
        }
    }

    /// Talks to the child until it has nothing more to say: writes `input` to its stdin and closes that, reads stdout and
    /// stderr to their ends, all at once so that nobody waits for anybody else, and waits until the child has exited.
    /// Streams that were not piped stay empty in the output. A child that does not read all of its input is no error.
    ///
    /// The ends of stdout and stderr come when every process that has them has closed them: a grandchild may keep them
    /// open after the child has exited. Put a [`timeout`] around where that may happen. Output is kept in memory, which is
    /// *unbounded*.
    ///
    /// # Errors
    ///
    /// If a pipe breaks in an unexpected way, or the status is lost: see [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// If stdin was closed with `write_eof` before, and there is input.
    ///
    /// # Fairness
    ///
    /// Each turn serves all three streams.
    ///
    /// # Cancel safety
    ///
    /// The child runs on, and nothing is lost: what was read stays in the readers. A second call with the same input goes on
    /// where the first one was dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_process::{Stdio, create_subprocess_shell};
    /// use std::time::Duration;
    ///
    /// # loxley_runtime::run(async {
    /// let mut child = create_subprocess_shell("echo first; cat; echo last")
    ///     .stdin(Stdio::piped())
    ///     .stdout(Stdio::piped())
    ///     .spawn()
    ///     .await?;
    /// let output = child.communicate(Some(b"second\n")).await?;
    /// assert_eq!(output.stdout, b"first\nsecond\nlast\n");
    /// assert!(output.status.success() && output.stderr.is_empty());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    ///
    /// **Differs from asyncio**: the status comes along, and what was not piped is empty rather than `None`.
    #[track_caller]
    pub fn communicate(
        &mut self,
        input: Option<&[u8]>,
    ) -> impl Future<Output = io::Result<Output>> + Send {
        let at = Location::caller();
        async move {
            let input = input.unwrap_or_default();
            if !input.is_empty() && self.stdin.is_none() && self.fed == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "there is input, but the child's stdin is not piped, or was taken; spawn it with `Stdio::piped()`",
                ));
            }
            self.talk(input).await?;
            let status = self.ended(at).await?;
            let [stdout, stderr] = std::mem::take(&mut self.heard);
            Ok(Output {
                status,
                stdout: stdout.unwrap_or_default(),
                stderr: stderr.unwrap_or_default(),
            })
        }
    }

    /// Feeds stdin and hears stdout and stderr out.
    async fn talk(&mut self, input: &[u8]) -> io::Result<()> {
        let [out, err] = &mut self.heard;
        let mut fed = pin!(feed(&mut self.stdin, input, &mut self.fed));
        let mut out = pin!(hear(&mut self.stdout, out));
        let mut err = pin!(hear(&mut self.stderr, err));
        let (mut is_fed, mut out_end, mut err_end) = (None, None, None);
        poll_fn(|cx| {
            // Each is polled every time, so that none waits for another.
            let ended = [
                settle(fed.as_mut(), &mut is_fed, cx),
                settle(out.as_mut(), &mut out_end, cx),
                settle(err.as_mut(), &mut err_end, cx),
            ];
            match ended {
                [true, true, true] => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
        out_end.unwrap_or(Ok(())).and(err_end.unwrap_or(Ok(())))
    }

    /// Sends a signal to the child. One that has exited and is not reaped yet takes it without effect.
    ///
    /// # Errors
    ///
    /// If the child has finished, if there is no such signal, or if the child runs as another user.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_process::{SendSignalError, create_subprocess_exec};
    /// use loxley_runtime::signal;
    ///
    /// # loxley_runtime::run(async {
    /// let child = create_subprocess_exec("sleep", ["60"]).spawn().await?;
    /// child.send_signal(signal::SIGTERM)?;
    /// assert_eq!(child.wait().await?, -signal::SIGTERM);
    /// assert!(matches!(child.terminate(), Err(SendSignalError::Finished { .. })));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn send_signal(&self, signum: i32) -> Result<(), SendSignalError> {
        self.child.send_signal(signum)
    }

    /// Asks the child to end: sends it SIGTERM, which it may handle or ignore.
    ///
    /// # Errors
    ///
    /// As [`send_signal`](Self::send_signal).
    ///
    /// # Examples
    ///
    /// What a child that cleans up makes of it:
    ///
    /// ```
    /// # use loxley_process::{Stdio, create_subprocess_shell};
    /// # loxley_runtime::run(async {
    /// let mut child = create_subprocess_shell("trap 'echo saved; exit 0' TERM; echo ready; while :; do sleep 0.01; done")
    ///     .stdout(Stdio::piped())
    ///     .spawn()
    ///     .await?;
    /// let mut stdout = child.stdout.take().expect("it was piped");
    /// stdout.readline().await?;
    /// child.terminate()?;
    /// assert_eq!(stdout.readline().await?, b"saved\n");
    /// assert_eq!(child.wait().await?, 0);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn terminate(&self) -> Result<(), SendSignalError> {
        self.send_signal(SIGTERM)
    }

    /// Ends the child: sends it SIGKILL, which it cannot handle. What it has started runs on.
    ///
    /// # Errors
    ///
    /// As [`send_signal`](Self::send_signal).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_process::create_subprocess_shell;
    /// # loxley_runtime::run(async {
    /// let deaf = create_subprocess_shell("trap '' TERM; exec sleep 600").spawn().await?;
    /// deaf.kill()?; // Nobody can be deaf to that.
    /// assert_eq!(deaf.wait().await?, -9);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn kill(&self) -> Result<(), SendSignalError> {
        self.send_signal(SIGKILL)
    }

    /// Kills the child and all that it has started, but for those that have moved to another process group. Only for a child
    /// that leads a group: spawn it with [`process_group(0)`](crate::Command::process_group) or
    /// [`new_session`](crate::Command::new_session).
    ///
    /// Its number is safe to signal only until the child is reaped; whoever wants the rest gone as well calls this before
    /// the child has finished.
    ///
    /// # Errors
    ///
    /// As [`send_signal`](Self::send_signal), and if the child leads no group.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_process::{Stdio, create_subprocess_shell};
    ///
    /// # loxley_runtime::run(async {
    /// let mut child = create_subprocess_shell("sleep 60 & echo started; wait")
    ///     .stdout(Stdio::piped())
    ///     .process_group(0)
    ///     .spawn()
    ///     .await?;
    /// let mut stdout = child.stdout.take().expect("it was piped");
    /// stdout.readline().await?;
    /// child.kill_tree()?;
    /// // Nobody is left who could hold the pipe open.
    /// assert_eq!(stdout.read_to_end().await?, b"");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[doc(alias = "killpg")]
    pub fn kill_tree(&self) -> Result<(), SendSignalError> {
        self.child.kill_group()
    }

    /// Asks the child to end, gives it `grace` for that, and kills it if it has not ended by then. Says how it ended.
    ///
    /// # Errors
    ///
    /// If the child runs as another user and cannot be signalled, or as [`wait`](Self::wait).
    ///
    /// # Cancel safety
    ///
    /// Dropped during the grace, it has sent SIGTERM and sends nothing more.
    ///
    /// # Fairness
    ///
    /// As [`wait`](Self::wait); several may escalate at once, and each sends its own signals.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_process::create_subprocess_exec;
    /// use std::time::Duration;
    ///
    /// # loxley_runtime::run(async {
    /// let child = create_subprocess_exec("sleep", ["60"]).spawn().await?;
    /// assert_eq!(child.terminate_then_kill(Duration::from_secs(5)).await?, -15);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn terminate_then_kill(
        &self,
        grace: Duration,
    ) -> impl Future<Output = io::Result<i32>> + Send + '_ {
        let at = Location::caller();
        async move {
            unless_finished(self.terminate())?;
            let status = match timeout(grace, self.ended(at)).await {
                Ok(ended) => ended?,
                Err(_) => {
                    unless_finished(self.kill())?;
                    self.ended(at).await?
                }
            };
            Ok(returncode(status))
        }
    }
}

/// Polls `future` until it has ended once; whether it has.
fn settle<F: Future>(
    future: Pin<&mut F>,
    output: &mut Option<F::Output>,
    cx: &mut Context<'_>,
) -> bool {
    if output.is_none() {
        if let Poll::Ready(value) = future.poll(cx) {
            *output = Some(value);
        }
    }
    output.is_some()
}

/// Hands `input` to the child from where the last call stopped, then closes its stdin.
async fn feed(stdin: &mut Option<StreamWriter>, input: &[u8], fed: &mut usize) {
    if let Some(writer) = stdin {
        while let Some(rest) = input.get(*fed..).filter(|rest| !rest.is_empty()) {
            let piece = &rest[..rest.len().min(PIECE)];
            // Queued, it is on its way, whoever is dropped meanwhile.
            writer.write(piece);
            *fed += piece.len();
            if writer.drain().await.is_err() {
                break;
            }
        }
        writer.close();
        // A child need not read what it is told.
        let _ = writer.wait_closed().await;
    }
    *stdin = None;
}

/// Reads a stream to its end, once.
async fn hear(stream: &mut Option<StreamReader>, heard: &mut Option<Vec<u8>>) -> io::Result<()> {
    if let (Some(stream), None) = (stream, &heard) {
        *heard = Some(stream.read_to_end().await?);
    }
    Ok(())
}

fn unless_finished(sent: Result<(), SendSignalError>) -> io::Result<()> {
    match sent {
        Ok(()) | Err(SendSignalError::Finished { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn returncode(status: ExitStatus) -> i32 {
    match status.code() {
        Some(code) => code,
        // A status that came from an exit has one or the other.
        None => -status.signal().unwrap_or(0),
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.kill_on_drop {
            self.child.kill_silently();
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("pid", &self.pid())
            .field("exit", &self.child.exit())
            .finish_non_exhaustive()
    }
}
