//! The floor on which I/O crates build: ours stand on it, and any outsider may.

use std::future::Future;
use std::io;
use std::panic::{Location, resume_unwind};

use crate::blocking::{JobError, Pool, PoolConfig};

pub use crate::driver::async_io::AsyncIo;
pub use crate::driver::readiness::{Direction, ReadyEvent};
pub use crate::driver::registration::{Attempt, Interest, NoRuntime, Registration, RuntimeGone};

/// The time by which this thread's runtime measures its timers; outside a runtime, real time.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// loxley_runtime::run(async {
///     let start = loxley_runtime::lowlevel::now();
///     loxley_runtime::sleep(Duration::from_millis(2)).await;
///     assert!(loxley_runtime::lowlevel::now() - start >= Duration::from_millis(2));
/// });
/// ```
#[must_use]
#[doc(alias = "time")]
pub fn now() -> std::time::Instant {
    crate::time::now()
}

/// Tells the unhandled-error handler of the current runtime about a failure that no code is left to be told about. Outside
/// a runtime it goes to stderr.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{Runtime, lowlevel::report_unhandled};
/// use std::sync::{Arc, Mutex};
///
/// let heard = Arc::new(Mutex::new(String::new()));
/// let log = heard.clone();
/// let runtime = Runtime::builder()
///     .unhandled_error(move |error| *log.lock().unwrap() = error.message().to_owned())
///     .build()?;
/// runtime.block_on(async { report_unhandled(&"out of paper") });
/// assert_eq!(*heard.lock().unwrap(), "out of paper");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn report_unhandled(what: &dyn std::fmt::Display) {
    let reporter = crate::current::with_shared(|shared| shared.reporter().clone());
    let error = crate::task::UnhandledError::other(what.to_string());
    reporter.unwrap_or_default().report(&error);
}

/// [`to_thread`](crate::to_thread) for those who report errors: what keeps the closure from running is one, and no panic.
///
/// # Errors
///
/// If no runtime is running on this thread or it has shut down, or if its pool has no thread and the system gives none.
///
/// # Panics
///
/// With the closure's own panic.
///
/// # Cancel safety
///
/// As [`to_thread`](crate::to_thread): a closure that has begun goes on, and what it returns is dropped.
///
/// # Examples
///
/// ```
/// # loxley_runtime::run(async {
/// let seven = loxley_runtime::lowlevel::run_blocking(|| 7).await?;
/// assert_eq!(seven, 7);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[track_caller]
pub fn run_blocking<F, T>(f: F) -> impl Future<Output = io::Result<T>> + Send
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let at = Location::caller();
    async move {
        let pool = crate::current::with_shared(|shared| shared.pool().clone());
        let pool = pool.ok_or_else(|| io::Error::other(NoRuntime))?;
        run_in(&pool, f, at).await
    }
}

async fn run_in<F, T>(pool: &Pool, f: F, at: &'static Location<'static>) -> io::Result<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match pool.submit_at(f, at).await {
        Ok(value) => Ok(value),
        Err(JobError::Panicked(payload)) => resume_unwind(payload),
        Err(JobError::ShutDown) => Err(io::Error::other(RuntimeGone)),
        Err(JobError::NoThread(kind)) => Err(kind.into()),
    }
}

/// Threads apart from every runtime's, for calls that may block for very long and must not take the places of others: name
/// look-ups, say.
///
/// Threads come with the calls and go when they have been idle for ten seconds. No shutdown waits for them, nor the exit.
///
/// # Examples
///
/// ```
/// use loxley_runtime::lowlevel::ThreadPool;
///
/// let pool = ThreadPool::new("doctest", 2);
/// # loxley_runtime::run(async {
/// assert_eq!(pool.run(|| 7).await?, 7);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct ThreadPool(Pool);

impl ThreadPool {
    /// A pool of at most `max_threads` threads of this name. There are none yet.
    ///
    /// # Panics
    ///
    /// If `max_threads` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::lowlevel::ThreadPool;
    /// # loxley_runtime::run(async {
    /// let pool = ThreadPool::new("resolver", 1);
    /// let name = pool.run(|| std::thread::current().name().map(str::to_owned)).await?;
    /// assert_eq!(name.as_deref(), Some("resolver"));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn new(name: &'static str, max_threads: usize) -> Self {
        Self(Pool::new(PoolConfig {
            max_threads,
            thread_name: std::sync::Arc::new(move || name.to_owned()),
            // Who is asked something that takes milliseconds need not be found awake.
            spin_looks: 0,
            ..PoolConfig::default()
        }))
    }

    /// Runs `f` on one of the threads. When all are busy it waits its turn, first come first served; the waiting line is
    /// unbounded. Needs no runtime.
    ///
    /// # Errors
    ///
    /// If the pool has no thread and the system gives none.
    ///
    /// # Panics
    ///
    /// With the closure's own panic.
    ///
    /// # Cancel safety
    ///
    /// Dropped before the closure has begun, it never runs. A closure that has begun goes on, and what it returns is
    /// dropped.
    ///
    /// # Examples
    ///
    /// Under any executor, for it needs no runtime:
    ///
    /// ```
    /// # use loxley_runtime::lowlevel::ThreadPool;
    /// let pool = ThreadPool::new("sums", 2);
    /// let sum = loxley_sync::wait::block_on(pool.run(|| (1..=10).sum::<u32>()))?;
    /// assert_eq!(sum, 55);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn run<F, T>(&self, f: F) -> impl Future<Output = io::Result<T>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let at = Location::caller();
        async move { run_in(&self.0, f, at).await }
    }
}
