//! What the operating system does when a signal comes, read and put back exactly: one `sigaction` per function.
//!
//! Called by `signals.rs` alone, which decides when. signal-hook installs handlers and never takes them away again, and
//! no crate of this tree wraps the call that does. Nothing here keeps state, and no handler is written here.

#![expect(unsafe_code, reason = "std and rustix have no wrapper of sigaction")]

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// The action of one signal, as the system had it: a value of this type was read from the system, or is the default.
///
/// That is what makes [`install`](Self::install) safe: whatever handler is named here was installed by somebody who
/// vouched for it, and code is never unloaded from a Rust program.
#[derive(Clone, Copy)]
pub(super) struct Disposition(libc::sigaction);

impl Disposition {
    /// The default action of every signal.
    pub(super) fn default_action() -> Self {
        // SAFETY: plain data, for which all bits zero are a value: the default action, no flag, an empty mask.
        let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        action.sa_sigaction = libc::SIG_DFL;
        Self(action)
    }

    /// The action of `signum` as it stands.
    ///
    /// # Errors
    ///
    /// If there is no such signal.
    pub(super) fn of(signum: i32) -> io::Result<Self> {
        let mut now = MaybeUninit::uninit();
        // SAFETY: asks only, and writes one action behind a pointer that is good for it.
        let failed = unsafe { libc::sigaction(signum, ptr::null(), now.as_mut_ptr()) };
        if failed != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so it has written the action.
        Ok(Self(unsafe { now.assume_init() }))
    }

    /// Makes this the action of `signum`, and returns the one before, in one step.
    ///
    /// # Errors
    ///
    /// If there is no such signal or its action cannot be changed.
    pub(super) fn install(&self, signum: i32) -> io::Result<Self> {
        let mut before = MaybeUninit::uninit();
        // SAFETY: the handler, if there is one, is good for a signal (see the type); both pointers are good for the call.
        let failed = unsafe { libc::sigaction(signum, &raw const self.0, before.as_mut_ptr()) };
        if failed != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so it has written the action.
        Ok(Self(unsafe { before.assume_init() }))
    }

    /// This for one arrival: the system takes it off as it calls it, and the next one finds the default.
    pub(super) fn for_one_arrival(&self) -> Self {
        let mut this = *self;
        this.0.sa_flags |= libc::SA_RESETHAND;
        this
    }

    /// Whether the signal does what it does in a program that says nothing about it.
    pub(super) fn is_default(&self) -> bool {
        self.0.sa_sigaction == libc::SIG_DFL
    }

    /// Whether both run the same code, or both none of the program's.
    pub(super) fn calls_the_same(&self, other: &Self) -> bool {
        self.handler() == other.handler()
    }

    /// The program's handler, as an address to compare.
    fn handler(&self) -> Option<usize> {
        let address = self.0.sa_sigaction;
        let is_code = address != libc::SIG_DFL && address != libc::SIG_IGN;
        is_code.then_some(address)
    }
}

impl fmt::Debug for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.sa_sigaction {
            libc::SIG_DFL => f.write_str("default"),
            libc::SIG_IGN => f.write_str("ignored"),
            _ => f.write_str("handled"),
        }
    }
}

/// Lets `signum` through to this thread, which may have inherited a mask that holds it back.
pub(super) fn unblock(signum: i32) {
    let mut set = MaybeUninit::uninit();
    // SAFETY: writes an empty set behind a pointer that is good for it.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: `set` was written by the line above.
    unsafe { libc::sigaddset(set.as_mut_ptr(), signum) };
    // SAFETY: `set` is a set; the old mask is not asked for. It cannot fail with these arguments.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), ptr::null_mut()) };
}

#[cfg(all(test, not(any(loom, shuttle))))]
impl Disposition {
    /// A handler of the program's own, with a flag and a mask that nobody would guess.
    pub(super) fn calling(handler: extern "C" fn(i32), masked: i32) -> Self {
        let mut this = Self::default_action();
        this.0.sa_sigaction = handler as *const () as usize;
        this.0.sa_flags = libc::SA_NODEFER;
        // SAFETY: the mask is a set already, an empty one.
        unsafe { libc::sigaddset(&raw mut this.0.sa_mask, masked) };
        this
    }

    /// The signal is dropped by the system.
    pub(super) fn ignored() -> Self {
        let mut this = Self::default_action();
        this.0.sa_sigaction = libc::SIG_IGN;
        this
    }

    /// Everything a program can set, to compare. The C library marks every action that went through it.
    pub(super) fn parts(&self, masked: i32) -> (usize, i32, bool) {
        // SAFETY: the mask is a set.
        let holds = unsafe { libc::sigismember(&raw const self.0.sa_mask, masked) };
        const OF_THE_C_LIBRARY: i32 = 0x0400_0000;
        let flags = self.0.sa_flags & !OF_THE_C_LIBRARY;
        (self.0.sa_sigaction, flags, holds == 1)
    }
}
