//! Signals as something to wait for, or to be called on: what users see of `driver/signals.rs`.
//!
//! Nothing of a program runs inside a signal handler. The handler writes a byte; streams are awaited where the program
//! likes, and callbacks run in a task of the runtime. A listener that goes, by its drop or with its runtime, brings
//! back what the signal did before the first one came, exactly; only [`ctrl_c`] keeps SIGINT for good.
//!
//! Two runtimes, or two listeners of one, may listen to the same signal: each hears it. Another crate that registers
//! with `signal-hook` while we listen, and goes on after our last listener went, is cut off by that way back.

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::task::{Context, Poll};

use loxley_sync::ambient::{WaitKind, wait_reason};

use crate::driver::signals::{SignalListener, check, listen};
use crate::lowlevel::report_unhandled;
use crate::runtime::Handle;
use crate::spawn::create_in;

pub use crate::driver::signals::number::*;
pub use crate::driver::signals::{SignalError, ctrl_c, die_by};

/// Listens for signal `signum`, until the stream is dropped.
///
/// From here on the signal no longer does what it did by default; dropping the last listener brings that back. A handler
/// that the program had installed before is still called, too.
///
/// # Errors
///
/// If the signal does not exist or cannot be caught (SIGKILL, SIGSTOP, and those that a broken instruction raises), with a
/// [`SignalError`] inside that names the number. If no runtime is running on this thread, or it has shut down, or the
/// system's limits on descriptors are reached: a stream takes two.
///
/// # Examples
///
/// ```
/// use loxley_runtime::signal;
///
/// # loxley_runtime::run(async {
/// let reload = signal::stream(signal::SIGHUP)?;
/// # let reader = std::process::id() as i32;
/// # assert!(reader > 0);
/// let waits = loxley_runtime::create_task(async move { reload.recv().await });
/// // … and `kill -HUP` of this process ends the wait.
/// # waits.cancel();
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub fn stream(signum: i32) -> io::Result<SignalStream> {
    Ok(SignalStream(listen(signum)?))
}

/// The arrivals of one signal; made by [`stream`].
///
/// # Examples
///
/// ```no_run
/// use loxley_runtime::signal;
///
/// # loxley_runtime::run(async {
/// let hangups = signal::stream(signal::SIGHUP)?;
/// loop {
///     hangups.recv().await?;
///     println!("reading the configuration again");
/// }
/// # #[allow(unreachable_code)] std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "dropped, it stops listening"]
pub struct SignalStream(SignalListener);

impl SignalStream {
    /// Waits until the signal has come at least once since the last call, or since the stream was made. However often it
    /// came, that is one: nothing is queued but the fact. Of several calls that wait at once one takes it; make a stream
    /// for each who should hear.
    ///
    /// # Errors
    ///
    /// If the runtime has shut down.
    ///
    /// # Cancel safety
    ///
    /// A signal that has come is either reported or kept for the next call.
    ///
    /// # Fairness
    ///
    /// Every stream is told, in every runtime; of several calls on one stream the first to run takes the arrival.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::signal;
    /// # loxley_runtime::run(async {
    /// let user = signal::stream(signal::SIGUSR2)?;
    /// # let kill = format!("kill -USR2 {}", std::process::id());
    /// # assert!(std::process::Command::new("sh").args(["-c", &kill]).status()?.success());
    /// // … `kill -USR2` of this process, from a shell …
    /// user.recv().await?;
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn recv(&self) -> impl Future<Output = io::Result<()>> + '_ {
        self.0.recv()
    }

    /// [`recv`](Self::recv) for those who write their own futures; the last eight tasks are woken.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::signal;
    /// # use std::task::{Context, Waker};
    /// # loxley_runtime::run(async {
    /// let quiet = signal::stream(signal::SIGWINCH)?;
    /// assert!(quiet.poll_recv(&mut Context::from_waker(Waker::noop())).is_pending());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.0.poll_recv(cx);
        if polled.is_pending() {
            wait_reason(WaitKind::Process, None);
        }
        polled
    }
}

impl Handle {
    /// Calls `f` in a task of this runtime whenever signal `signum` has come; signals that come faster than `f` returns
    /// are one. A handler that this runtime had for the signal before is replaced.
    ///
    /// The task lives until the handler is removed or replaced, and a panic of `f` goes to the handler of unhandled
    /// errors: the next signal calls it again. From any thread.
    ///
    /// # Errors
    ///
    /// If the signal does not exist or cannot be caught, with a [`SignalError`] inside that names the number; if the
    /// runtime has shut down or the system's limits on descriptors are reached.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_runtime::{Handle, signal};
    ///
    /// # loxley_runtime::run(async {
    /// let handle = Handle::current();
    /// handle.add_signal_handler(signal::SIGUSR1, || println!("still alive"))?;
    /// assert!(handle.remove_signal_handler(signal::SIGUSR1));
    /// assert!(!handle.remove_signal_handler(signal::SIGUSR1));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    ///
    /// **Differs from asyncio**: may be called from every thread, not only the main one.
    #[track_caller]
    #[doc(alias = "on_signal")]
    pub fn add_signal_handler(
        &self,
        signum: i32,
        f: impl FnMut() + Send + 'static,
    ) -> io::Result<()> {
        let shared = self.shared();
        let listener = shared.driver_handle().replace_signal_handler(signum)?;
        let task = create_in(shared, call_on_arrival(listener, f), Location::caller());
        task.set_name(format!("handler of signal {signum}"));
        Ok(())
    }

    /// Takes the handler of signal `signum` away; whether there was one. If nobody else listens to the signal, what it
    /// did before stands again when this returns, exactly. `f` is not called for signals that came before and were not
    /// acted on yet; a call that is going on goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{Handle, signal};
    /// # loxley_runtime::run(async {
    /// let handle = Handle::current();
    /// handle.add_signal_handler(signal::SIGWINCH, || println!("drawing anew"))?;
    /// assert!(handle.remove_signal_handler(signal::SIGWINCH));
    /// assert!(!handle.remove_signal_handler(signal::SIGWINCH), "there is none any more");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn remove_signal_handler(&self, signum: i32) -> bool {
        self.shared().driver_handle().remove_signal_handler(signum)
    }
}

/// The task of one handler.
async fn call_on_arrival(listener: SignalListener, mut f: impl FnMut()) {
    // Ends when the handler is removed or replaced, or the runtime goes.
    while listener.recv().await.is_ok() && !listener.is_ended() {
        if catch_unwind(AssertUnwindSafe(&mut f)).is_err() {
            // The panic hook has said what and where.
            report_unhandled(&HandlerPanicked(listener.signum()));
        }
    }
}

struct HandlerPanicked(i32);

impl fmt::Display for HandlerPanicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the handler of signal {} panicked; it stays installed",
            self.0
        )
    }
}

/// Refuses what no signal handler can be installed for; for knobs that only store numbers.
pub(crate) fn check_all(signums: &[i32]) -> io::Result<()> {
    signums.iter().try_for_each(|&signum| check(signum))
}
