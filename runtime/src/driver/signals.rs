//! Signals as something to wait for: signal → socket pair → reactor. The only file naming signal-hook.
//!
//! Called by whoever has to end in good order on Ctrl-C. The handler itself does
//! nothing but write one byte; everything else happens where the listener is awaited. Signals that come faster than
//! they are awaited are one: the kernel itself counts no further.

use std::fmt;
use std::future::Future;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use signal_hook::SigId;
use signal_hook::consts::{FORBIDDEN, SIGINT};
use signal_hook::low_level::{pipe, unregister};

use super::DriverHandle;
use super::readiness::Direction;
use super::registration::{Attempt, Interest, NoRuntime, Registration};

/// Waits for Ctrl-C (SIGINT) once.
///
/// The first poll installs a handler, so SIGINT no longer ends the process, not even after the future is dropped:
/// from then on whoever waits decides. A SIGINT from before the first poll is not seen.
///
/// # Errors
///
/// If no runtime is running on this thread, or the system's limits on descriptors are reached.
///
/// # Cancel safety
///
/// A SIGINT that comes between two calls is lost: keep one call pending where that matters.
///
/// # Examples
///
/// ```no_run
/// # loxley_runtime::run(async {
/// loxley_runtime::signal::ctrl_c().await?;
/// println!("ending in good order");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// **Differs from asyncio**: no `KeyboardInterrupt` is raised anywhere; whoever awaits this decides.
pub async fn ctrl_c() -> io::Result<()> {
    listen(SIGINT)?.recv().await
}

/// Listens for signal `signum` in the runtime that this code runs in.
///
/// # Errors
///
/// If the signal cannot be caught, if no runtime is running on this thread, or the limits on descriptors are reached.
pub(crate) fn listen(signum: i32) -> io::Result<SignalListener> {
    let Some(driver) = crate::current::driver_handle() else {
        return Err(io::Error::other(NoRuntime));
    };
    listen_with(driver, signum)
}

/// [`listen`] with this driver.
///
/// # Errors
///
/// As [`listen`].
pub(crate) fn listen_with(driver: DriverHandle, signum: i32) -> io::Result<SignalListener> {
    if FORBIDDEN.contains(&signum) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("signal {signum} cannot be caught; wait for another one"),
        ));
    }
    let (inbox, outbox) = UnixStream::pair()?;
    inbox.set_nonblocking(true)?;
    let registration = Registration::with_driver(driver, inbox.as_fd(), Interest::Read)?;
    let id = pipe::register(signum, outbox)?;
    Ok(SignalListener {
        registration,
        inbox,
        id,
        signum,
    })
}

/// The arrivals of one signal. Each listener sees each signal; dropping it leaves the handler installed.
pub(crate) struct SignalListener {
    // Dropped before the descriptor it stands for.
    registration: Registration,
    inbox: UnixStream,
    id: SigId,
    signum: i32,
}

impl SignalListener {
    /// Waits until the signal has come at least once since the last call, or since the listener was made.
    ///
    /// # Errors
    ///
    /// If the runtime has shut down.
    ///
    /// # Cancel safety
    ///
    /// A signal that has come is either reported or kept for the next call.
    #[track_caller]
    pub(crate) fn recv(&self) -> impl Future<Output = io::Result<()>> {
        self.registration
            .async_attempt(Direction::Read, || drain(&self.inbox))
    }
}

/// Takes every byte that is there; would block when there is none.
fn drain(mut inbox: &UnixStream) -> io::Result<Attempt<()>> {
    let mut bytes = [0; 64];
    let mut came = false;
    loop {
        match inbox.read(&mut bytes) {
            // The handler owns the other end for as long as the listener lives.
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) if n < bytes.len() => return Ok(Attempt::Drained(())),
            Ok(_) => came = true,
            Err(error) if came && error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Attempt::Drained(()));
            }
            Err(error) => return Err(error),
        }
    }
}

impl Drop for SignalListener {
    fn drop(&mut self) {
        unregister(self.id);
    }
}

impl fmt::Debug for SignalListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalListener")
            .field("signum", &self.signum)
            .finish_non_exhaustive()
    }
}
