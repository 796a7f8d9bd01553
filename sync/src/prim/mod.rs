//! The shim: the only place that names loom, shuttle, parking_lot, crossbeam-utils or the standard atomics.
//!
//! Every protocol between threads is written against these names, so the code that ships is the code that is checked:
//!
//! | flavour | chosen by | what it gives |
//! |---|---|---|
//! | real | default | std atomics, parking_lot locks, std threads |
//! | loom | `--cfg loom` | every interleaving and every value a weak load may see, for a few threads |
//! | shuttle | `--cfg shuttle` | random replayable schedules, for many threads; all accesses sequentially consistent |
//!
//! Plain `SeqCst` accesses are not used anywhere: loom cannot judge them. `fence(SeqCst)` is, and loom models it.
//!
//! This is not public API: other crates of the workspace reach it through a hidden module.

#![allow(
    missing_docs,
    missing_debug_implementations,
    reason = "a hidden mirror of well-known names"
)]

pub mod cell;
pub mod lock;
pub mod thread;

/// Atomic types and fences.
pub mod atomic {
    #[cfg(loom)]
    pub use loom::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering,
        fence,
    };
    #[cfg(shuttle)]
    pub use shuttle::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering,
        fence,
    };
    #[cfg(not(any(loom, shuttle)))]
    pub use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering,
        fence,
    };
}

#[cfg(loom)]
pub use loom::sync::Arc;
#[cfg(not(loom))]
pub use std::sync::Arc;

pub use crossbeam_utils::{Backoff, CachePadded};

/// Whether this is a flavour for models. A room may make a table small for them with it, never choose another protocol.
pub const IS_MODEL: bool = cfg!(any(loom, shuttle));

/// Called when the memory of `word` is about to be freed: a loom model fails if some thread's access to it did not happen
/// before, or if one comes later. Nothing in the other flavours.
#[inline(always)]
pub fn expect_unshared(word: &mut atomic::AtomicUsize) {
    #[cfg(loom)]
    if !std::thread::panicking() {
        word.with_mut(|_| ());
    }
    let _ = word;
}

/// A counter of the whole process, in which even the executions of a model follow each other.
#[derive(Debug)]
pub struct GlobalCounter(std::sync::atomic::AtomicU64);

impl GlobalCounter {
    pub const fn new(first: u64) -> Self {
        Self(std::sync::atomic::AtomicU64::new(first))
    }

    /// The first of `n` numbers that nobody else gets.
    pub fn take(&self, n: u64) -> u64 {
        // ordering: relaxed, a number carries nothing but itself.
        self.0.fetch_add(n, std::sync::atomic::Ordering::Relaxed)
    }
}

/// Says to the processor, or to the model, that this thread is waiting for another one.
#[inline]
pub fn spin_loop() {
    #[cfg(loom)]
    loom::thread::yield_now();
    #[cfg(shuttle)]
    shuttle::thread::yield_now();
    #[cfg(not(any(loom, shuttle)))]
    std::hint::spin_loop();
}

/// Waits a moment for another thread that is about to be done, longer each time; the model runs the others.
///
/// It spins, then yields, then sleeps: a thread that the system took off its processor is given room, whatever its priority.
#[inline]
pub fn snooze(backoff: &Backoff) {
    if IS_MODEL {
        spin_loop();
    } else if backoff.is_completed() {
        thread::nap();
    } else {
        backoff.snooze();
    }
}

/// Runs `f` as a model: every interleaving under loom, many random schedules under shuttle, once otherwise.
///
/// The last form is what keeps the models compiling and honest in an ordinary `cargo test`.
pub fn model<F: Fn() + Send + Sync + 'static>(f: F) {
    model_bounded(3, f);
}

/// [`model`] with another limit on the preemptions loom explores in one execution.
///
/// Bound 1 has been seen to miss real lost wake-ups, hence the assertion.
///
/// # Panics
///
/// If `preemptions` is less than 2.
pub fn model_bounded<F: Fn() + Send + Sync + 'static>(preemptions: usize, f: F) {
    assert!(preemptions >= 2, "bound 1 misses real lost wake-ups");
    #[cfg(loom)]
    {
        let mut builder = loom::model::Builder::new();
        if builder.preemption_bound.is_none() {
            builder.preemption_bound = Some(preemptions);
        }
        builder.check(f);
    }
    #[cfg(shuttle)]
    shuttle::check_random(f, 2_000);
    #[cfg(not(any(loom, shuttle)))]
    f();
}

/// Runs `f` under so many random schedules, then under as many with at most `depth` places where the order matters (PCT).
///
/// For what is too big for loom: the threads may be many, the accesses are all sequentially consistent.
#[cfg(shuttle)]
pub fn explore<F: Fn() + Send + Sync + 'static>(schedules: usize, depth: usize, f: F) {
    use shuttle::Runner;
    use shuttle::scheduler::{PctScheduler, RandomScheduler};
    let mut config = shuttle::Config::new();
    config.stack_size = 0x4_0000;
    let f = Arc::new(f);
    let random = f.clone();
    Runner::new(RandomScheduler::new(schedules), config.clone()).run(move || random());
    Runner::new(PctScheduler::new(depth, schedules), config).run(move || f());
}

/// Declares functions that are `const` wherever the flavour's cells and locks can be made in a constant: in all but loom.
///
/// It keeps `cfg(loom)` out of the rooms that want their types in statics.
macro_rules! const_fn {
    ($($(#[$meta:meta])* $vis:vis const fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $out:ty $body:block)+) => {$(
        #[cfg(not(loom))]
        $(#[$meta])* $vis const fn $name($($arg: $ty),*) -> $out $body

        #[cfg(loom)]
        $(#[$meta])* $vis fn $name($($arg: $ty),*) -> $out $body
    )+};
}
pub(crate) use const_fn;
