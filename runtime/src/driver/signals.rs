//! Signals as something to wait for: signal → socket pair → reactor. The only file naming signal-hook.
//!
//! Called by `signal.rs`, which is what users see, and by whoever has to end in good order on a signal. The handler
//! itself writes one byte and nothing else; everything else happens where the listener is awaited. Signals that come
//! faster than they are awaited are one: the kernel itself counts no further.
//!
//! **The way back.** signal-hook installs one handler per signal, chains the one it found, and leaves its own for ever.
//! The table below therefore remembers the disposition that the first of our listeners found, and the last one to go
//! puts it back, before it unregisters: a signal of that moment is heard by one of the two. What somebody else has
//! installed meanwhile is left alone. When a signal is listened to again, signal-hook's handler is still registered with
//! itself but not with the system: the table installs it as it was seen the first time.
//!
//! **The second Ctrl-C.** Whoever listens to a first arrival has the handler installed for one call: the system itself
//! takes it off when it calls it. So the second one kills even a program that polls nothing any more.
//!
//! **Access.** `TABLE` is the one thing that runtimes share here, because dispositions belong to the process. Its lock
//! is held across the calls that must not interleave; they never wait.

use std::fmt;
use std::future::Future;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::{Mutex as StdMutex, MutexGuard as StdMutexGuard, PoisonError};
use std::task::{Context, Poll};

use loxley_sync::prim::Arc;
use loxley_sync::prim::lock::Mutex;
use signal_hook::SigId;
use signal_hook::consts::FORBIDDEN;
use signal_hook::low_level::{emulate_default_handler, pipe, raise, signal_name, unregister};

use super::DriverHandle;
use super::disposition::{self, Disposition};
use super::readiness::Direction;
use super::registration::{Attempt, Interest, NoRuntime, Registration};

/// The numbers of the signals, as the system has them.
pub(crate) use signal_hook::consts::signal as number;

/// Every signal that was ever listened to, once.
static TABLE: StdMutex<Vec<Entry>> = StdMutex::new(Vec::new());

/// What the table knows of one signal.
struct Entry {
    signum: i32,
    /// Hooks that live and hear every arrival.
    lasting: usize,
    /// Hooks that live and hear the first one alone.
    first_only: usize,
    /// Whether the signal is the program's own for good.
    is_kept: bool,
    /// What the first of the hooks found.
    before: Disposition,
    /// What signal-hook found when it first installed its handler; it calls that one for ever.
    chained: Disposition,
    /// signal-hook's handler.
    ours: Disposition,
}

/// How long a listener listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hears {
    Every,
    First,
}

impl Entry {
    fn is_idle(&self) -> bool {
        self.lasting + self.first_only == 0
    }

    fn count(&mut self, hears: Hears) -> &mut usize {
        match hears {
            Hears::Every => &mut self.lasting,
            Hears::First => &mut self.first_only,
        }
    }

    /// One more listens.
    fn add(&mut self, hears: Hears) {
        *self.count(hears) += 1;
        self.settle();
    }

    /// What the system should do now.
    fn wanted(&self) -> Disposition {
        if self.lasting > 0 || self.is_kept {
            self.ours
        } else if self.first_only > 0 {
            self.ours.for_one_arrival()
        } else {
            self.before
        }
    }

    /// Has the system do what it should, unless it does something else by somebody else's will. What a first arrival has
    /// left behind is nobody's will.
    fn settle(&self) {
        let is_ours = |now: Disposition| now.calls_the_same(&self.ours) || now.is_default();
        if Disposition::of(self.signum).is_ok_and(is_ours) {
            // It is known to the system, and may be changed: it was before.
            let _ = self.wanted().install(self.signum);
        }
    }
}

fn table() -> StdMutexGuard<'static, Vec<Entry>> {
    // Nothing in here panics; a poisoned table would still be true.
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn entry_of(table: &mut [Entry], signum: i32) -> Option<&mut Entry> {
    table.iter_mut().find(|entry| entry.signum == signum)
}

/// Why a signal cannot be listened to; inside the [`io::Error`] of the call that asked for it.
///
/// # Examples
///
/// ```
/// use loxley_runtime::signal::{self, SignalError};
///
/// # loxley_runtime::run(async {
/// let error = signal::stream(signal::SIGKILL).unwrap_err();
/// let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<SignalError>());
/// assert!(inner.is_some(), "nobody can listen to that");
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalError {
    signum: i32,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Forbidden,
    Unknown,
    Replaced,
}

impl SignalError {
    /// The number that was asked for.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::signal::{self, SignalError};
    /// # loxley_runtime::run(async {
    /// let error = signal::stream(12_345).unwrap_err();
    /// let inner = error.downcast::<SignalError>().unwrap();
    /// assert_eq!(inner.signum(), 12_345);
    /// # });
    /// ```
    #[must_use]
    pub fn signum(&self) -> i32 {
        self.signum
    }

    fn refusal(signum: i32, why: Why) -> io::Error {
        let kind = match why {
            Why::Forbidden | Why::Unknown => io::ErrorKind::InvalidInput,
            Why::Replaced => io::ErrorKind::AlreadyExists,
        };
        io::Error::new(kind, Self { signum, why })
    }
}

impl fmt::Display for SignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signum, why } = *self;
        let name = signal_name(signum).map_or(String::new(), |name| format!(" ({name})"));
        match why {
            Why::Forbidden => write!(
                f,
                "signal {signum}{name} cannot be caught by a program; listen to another one, such as SIGTERM"
            ),
            Why::Unknown => write!(
                f,
                "there is no signal {signum} on this system; use a constant of `loxley::signal`, such as SIGTERM"
            ),
            Why::Replaced => write!(
                f,
                "the program's own handler of signal {signum}{name} was changed between two listeners, and the new one \
                 could not be called beside them; install it before the first listener, or keep one listener alive"
            ),
        }
    }
}

impl std::error::Error for SignalError {}

/// Refuses numbers that no listener can be made for.
///
/// # Errors
///
/// A [`SignalError`] that names the number.
pub(crate) fn check(signum: i32) -> io::Result<()> {
    if FORBIDDEN.contains(&signum) {
        return Err(SignalError::refusal(signum, Why::Forbidden));
    }
    match Disposition::of(signum) {
        Ok(_) => Ok(()),
        Err(_) => Err(SignalError::refusal(signum, Why::Unknown)),
    }
}

/// Ends this process by signal `signum`, as if nobody had ever handled it: whoever waits for the process sees that it
/// was killed by that signal.
///
/// No destructor runs and nothing is flushed. A signal whose default is not to end a program ends it all the same, with
/// the status 128 + `signum` that a shell would show for it.
///
/// # Examples
///
/// ```no_run
/// use loxley_runtime::signal;
///
/// // A shell that runs this program now sees that it was interrupted.
/// signal::die_by(signal::SIGINT);
/// ```
pub fn die_by(signum: i32) -> ! {
    // Returns for a signal that it does not know (real-time ones) or whose default is not to end the program.
    let _ = emulate_default_handler(signum);
    if Disposition::default_action().install(signum).is_ok() {
        disposition::unblock(signum);
        let _ = raise(signum);
    }
    process::exit(128_i32.saturating_add(signum))
}

/// Whether signal `signum` does what it does by default: nobody handles or ignores it.
pub(crate) fn is_default(signum: i32) -> bool {
    Disposition::of(signum).is_ok_and(|now| now.is_default())
}

/// Whether somebody hears every arrival of signal `signum`, or the program has taken it for good.
pub(crate) fn is_listened_to(signum: i32) -> bool {
    entry_of(&mut table(), signum).is_some_and(|entry| entry.lasting > 0 || entry.is_kept)
}

/// One listener's registration with the handler of one signal. Dropped, the last one puts the old disposition back.
#[derive(Debug)]
struct Hook {
    signum: i32,
    hears: Hears,
    id: SigId,
}

impl Hook {
    /// An arrival of `signum` writes a byte into `outbox` from now on.
    fn new(signum: i32, hears: Hears, outbox: UnixStream) -> io::Result<Self> {
        check(signum)?;
        let mut table = table();
        let now = Disposition::of(signum)?;
        if let Some(entry) = entry_of(&mut table, signum) {
            if entry.is_idle() && !entry.is_kept {
                if !now.calls_the_same(&entry.ours) && !now.calls_the_same(&entry.chained) {
                    return Err(SignalError::refusal(signum, Why::Replaced));
                }
                entry.before = now;
            }
        }
        let id = pipe::register(signum, outbox)?;
        if let Some(entry) = entry_of(&mut table, signum) {
            if entry.is_idle() {
                // signal-hook takes its handler for installed.
                let _ = entry.ours.install(signum);
            }
            entry.add(hears);
        } else {
            let mut entry = Entry {
                signum,
                lasting: 0,
                first_only: 0,
                is_kept: false,
                before: now,
                chained: now,
                ours: Disposition::of(signum)?,
            };
            entry.add(hears);
            table.push(entry);
        }
        Ok(Self { signum, hears, id })
    }

    /// Never brings the old disposition back: this signal is the program's own from now on.
    fn keep(&self) {
        if let Some(entry) = entry_of(&mut table(), self.signum) {
            entry.is_kept = true;
        }
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        let mut table = table();
        if let Some(entry) = entry_of(&mut table, self.signum) {
            *entry.count(self.hears) -= 1;
            entry.settle();
        }
        unregister(self.id);
    }
}

/// Waits for Ctrl-C (SIGINT) once.
///
/// The first poll installs a handler, so SIGINT no longer ends the process, not even after the future is dropped:
/// from then on whoever waits decides. A SIGINT from before the first poll is not seen. Use [`stream`](crate::signal::stream)
/// for a listener that leaves things as it found them.
///
/// # Errors
///
/// If no runtime is running on this thread, or the system's limits on descriptors are reached.
///
/// # Cancel safety
///
/// A SIGINT that comes between two calls is lost: keep one call pending where that matters.
///
/// # Fairness
///
/// Everybody who waits is told, in every runtime.
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
    let listener = listen(number::SIGINT)?;
    if let Some(hook) = &*listener.arrivals.hook.lock() {
        hook.keep();
    }
    listener.recv().await
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
    listen_as(driver, signum, Hears::Every)
}

/// [`listen_with`] for whoever wants the first arrival alone: the next one does at once what the signal does by default,
/// whatever the program is busy with. While others listen to every arrival, all are theirs.
///
/// # Errors
///
/// As [`listen`].
pub(crate) fn listen_to_first(driver: DriverHandle, signum: i32) -> io::Result<SignalListener> {
    listen_as(driver, signum, Hears::First)
}

fn listen_as(driver: DriverHandle, signum: i32, hears: Hears) -> io::Result<SignalListener> {
    // Before anything is opened: a wrong number is the caller's mistake, whatever the limits are.
    check(signum)?;
    let (inbox, outbox) = UnixStream::pair()?;
    inbox.set_nonblocking(true)?;
    let registration = Registration::with_driver(driver, inbox.as_fd(), Interest::Read)?;
    let hook = Hook::new(signum, hears, outbox)?;
    Ok(SignalListener {
        registration,
        arrivals: Arc::new(Arrivals {
            hook: Mutex::new(Some(hook)),
            inbox,
        }),
        signum,
    })
}

/// The arrivals of one signal. Each listener sees each signal; dropping the last one of a signal brings back what the
/// signal did before.
pub(crate) struct SignalListener {
    // Dropped before the descriptor it stands for.
    registration: Registration,
    arrivals: Arc<Arrivals>,
    signum: i32,
}

/// What a listener shares with whoever may end it.
pub(crate) struct Arrivals {
    // Gone before the inbox is closed: the handler would write to nobody, and raise SIGPIPE.
    hook: Mutex<Option<Hook>>,
    inbox: UnixStream,
}

impl Arrivals {
    /// Hears no further signal; the old disposition stands again when this returns. Whether there was something to end.
    pub(crate) fn end(&self) -> bool {
        let hook = self.hook.lock().take();
        hook.is_some()
    }

    fn is_ended(&self) -> bool {
        self.hook.lock().is_none()
    }
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
            .async_attempt(Direction::Read, || drain(&self.arrivals.inbox))
    }

    /// [`recv`](Self::recv) as a poll function; the last eight tasks are woken.
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.registration
            .poll_attempt(cx, Direction::Read, || drain(&self.arrivals.inbox))
    }

    pub(crate) fn signum(&self) -> i32 {
        self.signum
    }

    /// Whether somebody ended it: what has come before that is not to be acted on any more.
    pub(crate) fn is_ended(&self) -> bool {
        self.arrivals.is_ended()
    }
}

/// Takes every byte that is there; would block when there is none.
fn drain(mut inbox: &UnixStream) -> io::Result<Attempt<()>> {
    let mut bytes = [0; 64];
    let mut came = false;
    loop {
        match inbox.read(&mut bytes) {
            // The other end is the hook's, and it has been ended.
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
        self.arrivals.end();
    }
}

impl fmt::Debug for SignalListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalListener")
            .field("signum", &self.signum)
            .finish_non_exhaustive()
    }
}

/// The handlers that one runtime has been given, at most one per signal. A listener that was dropped has ended; its place
/// here says nothing then.
#[derive(Default)]
pub(crate) struct Handlers(Mutex<Vec<(i32, Arc<Arrivals>)>>);

impl Handlers {
    /// Takes out what stands for `signum`, and has `new` stand for it.
    fn replace(&self, signum: i32, new: Option<Arc<Arrivals>>) -> Option<Arc<Arrivals>> {
        let mut handlers = self.0.lock();
        let place = handlers.iter().position(|(other, _)| *other == signum);
        let old = place.map(|at| handlers.swap_remove(at).1);
        handlers.extend(new.map(|new| (signum, new)));
        old
    }
}

impl DriverHandle {
    /// Listens for `signum` in place of what was listened with here before; without a gap in between.
    ///
    /// # Errors
    ///
    /// As [`listen`].
    pub(crate) fn replace_signal_handler(&self, signum: i32) -> io::Result<SignalListener> {
        let listener = listen_with(self.clone(), signum)?;
        let arrivals = listener.arrivals.clone();
        let before = self.0.signal_handlers.replace(signum, Some(arrivals));
        if let Some(before) = before {
            before.end();
        }
        Ok(listener)
    }

    /// Ends what listens for `signum` here; whether something did.
    pub(crate) fn remove_signal_handler(&self, signum: i32) -> bool {
        let arrivals = self.0.signal_handlers.replace(signum, None);
        arrivals.is_some_and(|arrivals| arrivals.end())
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Copied out: what is written to is the user's, and is not to be called under the lock.
        let signums: Vec<_> = self.0.lock().iter().map(|(signum, _)| *signum).collect();
        f.debug_set().entries(signums).finish()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
