//! Every knob of a runtime: its unit, its default, its limits and what happens beyond them.

use crate::blocking::{Pool, PoolConfig};
use crate::rng::Rng;
use crate::runtime::Runtime;
use crate::scheduler::{self, Config};
use crate::task::{Reporter, TaskRef, UnhandledError};
use std::fmt;
use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// The environment variable that overrides the default number of workers.
const WORKERS_VARIABLE: &str = "LOXLEY_WORKER_THREADS";

/// A poll longer than this is reported; in debug mode asyncio's tenth of a second.
const SLOW_POLL: Duration = Duration::from_secs(1);
const SLOW_POLL_DEBUG: Duration = Duration::from_millis(100);

/// Settings of a [`Runtime`] to be.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let runtime = loxley_runtime::Runtime::builder()
///     .worker_threads(2)
///     .max_blocking_threads(16)
///     .slow_poll_threshold(Duration::from_millis(250))
///     .build()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "nothing is made before `build`"]
pub struct Builder {
    workers: Workers,
    thread_name: Option<Arc<dyn Fn() -> String + Send + Sync>>,
    stack_size: Option<usize>,
    blocking_threads_max: usize,
    keep_alive: Duration,
    slow_poll: Option<Duration>,
    seed: Option<u64>,
    pub(crate) config: Config,
}

enum Workers {
    Default,
    Count(usize),
    Strict,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            workers: Workers::Default,
            thread_name: None,
            stack_size: None,
            blocking_threads_max: 512,
            keep_alive: Duration::from_secs(10),
            slow_poll: None,
            seed: None,
            config: Config {
                workers: 0,
                global_queue_interval: 31,
                event_interval: 61,
                io_events_max: 1024,
                seed: 0,
                slow_poll: SLOW_POLL,
                debug: false,
                paused: false,
                tokio_context: false,
                shutdown_signals: Vec::new(),
                reporter: Reporter::default(),
                on_thread_start: None,
                on_thread_stop: None,
                on_thread_park: None,
                on_thread_unpark: None,
                on_task_spawn: None,
                on_task_terminate: None,
            },
        }
    }

    /// How many worker threads poll tasks. Default: the environment's `LOXLEY_WORKER_THREADS`, else the number of
    /// processors this process may use, container quotas included. At least 1 and at most 65,533, else `build` fails.
    pub fn worker_threads(mut self, count: usize) -> Self {
        self.workers = Workers::Count(count);
        self
    }

    /// The strict flavour: no worker threads; `block_on` runs everything on the calling thread, in one first-in, first-out
    /// queue, in asyncio's order.
    ///
    /// **Differs from asyncio** in one thing: while tasks are ready, I/O is looked at after a round by which 61 of them have
    /// run, not after every round. [`event_interval(1)`](Self::event_interval) looks after every round.
    pub fn current_thread(mut self) -> Self {
        self.workers = Workers::Strict;
        self
    }

    /// The most threads the blocking pool has at once. Default 512. At least 1, else `build` fails. Jobs beyond wait.
    pub fn max_blocking_threads(mut self, count: usize) -> Self {
        self.blocking_threads_max = count;
        self
    }

    /// The name of every worker and pool thread. Default `loxley-worker` and `loxley-blocking`.
    pub fn thread_name(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.thread_name_fn(move || name.clone())
    }

    /// Names each worker and pool thread: once per worker before the first is started, later for each thread of the pool.
    pub fn thread_name_fn(mut self, name: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.thread_name = Some(Arc::new(name));
        self
    }

    /// The stack of every worker and pool thread, in bytes. Default: the standard library's. The operating system rounds it
    /// up to its own least size.
    pub fn thread_stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// How long an idle thread of the blocking pool is kept. Default 10 seconds.
    pub fn thread_keep_alive(mut self, duration: Duration) -> Self {
        self.keep_alive = duration;
        self
    }

    /// At least every how many rounds a busy worker looks into the shared queue first; sooner, as with
    /// [`event_interval`](Self::event_interval), while its tasks take long. Default 31; 0 counts as 1.
    pub fn global_queue_interval(mut self, rounds: u32) -> Self {
        self.config.global_queue_interval = rounds.max(1);
        self
    }

    /// At least every how many rounds a busy worker looks at timers and I/O; while its tasks take long, it does so about
    /// every 100 µs. Default 61; less than 2 counts as 2, as one round in so many is spent looking. On the strict flavour:
    /// after how many tasks, at the end of a round; 1 is allowed.
    pub fn event_interval(mut self, rounds: u32) -> Self {
        self.config.event_interval = rounds.max(1);
        self
    }

    /// How many I/O events are taken from the operating system at once. Default 1024; 0 counts as 1. More stay with the
    /// system until the next look.
    pub fn max_io_events_per_tick(mut self, count: usize) -> Self {
        self.config.io_events_max = count.max(1);
        self
    }

    /// Called on every worker thread before its first task, and on every thread of the blocking pool before its first
    /// job. A panic of it is reported by the panic hook and ends nothing; the same goes for the other hooks.
    pub fn on_thread_start(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.config.on_thread_start = Some(Arc::new(f));
        self
    }

    /// Called on every worker thread after its last task, and on every thread of the blocking pool after its last job.
    pub fn on_thread_stop(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.config.on_thread_stop = Some(Arc::new(f));
        self
    }

    /// Called on a worker before it goes to sleep.
    pub fn on_thread_park(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.config.on_thread_park = Some(Arc::new(f));
        self
    }

    /// Called on a worker after it woke.
    pub fn on_thread_unpark(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.config.on_thread_unpark = Some(Arc::new(f));
        self
    }

    /// Called for every task before it can run, on the thread that spawns it; not for the future given to `block_on`.
    pub fn on_task_spawn(mut self, f: impl Fn(&TaskRef) + Send + Sync + 'static) -> Self {
        self.config.on_task_spawn = Some(Arc::new(f));
        self
    }

    /// Called for every task when its future is gone, before anybody sees it finished; not for the future given to
    /// `block_on`.
    pub fn on_task_terminate(mut self, f: impl Fn(&TaskRef) + Send + Sync + 'static) -> Self {
        self.config.on_task_terminate = Some(Arc::new(f));
        self
    }

    /// Who is told of failures that no code awaits: a task's panic whose handle is gone, a worker stuck in a poll, what did
    /// not stop when the runtime was dropped. Default: one line on standard error.
    pub fn unhandled_error(
        mut self,
        handler: impl Fn(&UnhandledError) + Send + Sync + 'static,
    ) -> Self {
        self.config.reporter = Reporter::new(handler);
        self
    }

    /// Signals that a program run by [`run`](crate::run) takes like Ctrl-C: the first cancels its main future, a second one
    /// ends the process at once. Default: none beside SIGINT. What a server in a container wants is SIGTERM. One that the
    /// program was started with ignored (`nohup`, a shell's `&`), or that it handles itself, is left as it is.
    ///
    /// [`Runtime`] itself has no signal policy and only keeps the list.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_runtime::{Runtime, signal};
    ///
    /// let runtime = Runtime::builder().shutdown_signals([signal::SIGTERM]).build()?;
    /// # drop(runtime);
    /// let refused = Runtime::builder().shutdown_signals([signal::SIGKILL]).build();
    /// assert!(refused.is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn shutdown_signals(mut self, signums: impl IntoIterator<Item = i32>) -> Self {
        self.config.shutdown_signals = signums.into_iter().collect();
        self
    }

    /// Debug mode: polls over a tenth of a second are reported, and a lock, permit or item that was granted to a future its
    /// task does not poll any more (*futurelock*), with both places. Default off.
    pub fn debug(mut self, debug: bool) -> Self {
        self.config.debug = debug;
        self
    }

    /// From which duration on a poll that does not end is reported. Default 1 second, in debug mode 100 milliseconds.
    /// `Duration::MAX` switches it off.
    ///
    /// Workers report a poll while it goes on. The one-thread flavour has nobody to notice: it measures in debug mode
    /// only, and reports a poll that has ended.
    pub fn slow_poll_threshold(mut self, threshold: Duration) -> Self {
        self.slow_poll = Some(threshold);
        self
    }

    /// Seeds the choices that are otherwise random, such as whom to steal from. Default: another seed for each runtime.
    pub fn rng_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// For tests: time stands still while anything can run, and jumps to the next deadline when nothing else can happen: no
    /// task is ready, no closure blocks, the system has no events. Default off.
    ///
    /// Beside worker threads it jumps only while a `block_on` or `run` goes on. A thread that is no part of the runtime is
    /// not waited for. An interval that nobody stops lets time pass for as long as the rest waits for something else.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let runtime = loxley_runtime::Runtime::builder().worker_threads(2).paused(true).build()?;
    /// runtime.block_on(async {
    ///     loxley_runtime::sleep(Duration::from_secs(24 * 3_600)).await; // At once.
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn paused(mut self, paused: bool) -> Self {
        self.config.paused = paused;
        self
    }

    /// Makes the runtime: its threads run when this returns.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] for a knob beyond its limits, with a text that names it; otherwise what the operating
    /// system says when it refuses a thread or a descriptor. Nothing is left running then.
    pub fn build(mut self) -> io::Result<Runtime> {
        self.config.workers = self.worker_count()?;
        if self.config.workers > 0 {
            self.config.event_interval = self.config.event_interval.max(2);
        }
        if self.blocking_threads_max == 0 {
            return Err(invalid(
                "max_blocking_threads: 0 threads could never run a job; give at least 1",
            ));
        }
        crate::signal::check_all(&self.config.shutdown_signals)?;
        let default = if self.config.debug {
            SLOW_POLL_DEBUG
        } else {
            SLOW_POLL
        };
        self.config.slow_poll = self.slow_poll.unwrap_or(default);
        self.config.seed = self.seed.unwrap_or_else(Rng::entropy);
        let handle = scheduler::PoolHandle::default();
        let pool = Pool::new(self.pool_config(&handle));
        let style = scheduler::ThreadStyle {
            name: self
                .thread_name
                .as_deref()
                .unwrap_or(&|| "loxley-worker".to_owned()),
            stack_size: self.stack_size,
        };
        let (shared, threads) = scheduler::start(self.config, pool, &style)?;
        handle.bind(&shared);
        Ok(Runtime::from_parts(shared, threads))
    }

    fn pool_config(&self, handle: &scheduler::PoolHandle) -> PoolConfig {
        let mut config = PoolConfig {
            max_threads: self.blocking_threads_max,
            keep_alive: self.keep_alive,
            stack_size: self.stack_size,
            on_thread: Some(handle.hook()),
            on_start: self.config.on_thread_start.clone(),
            on_idle: self.config.paused.then(|| handle.idle_hook()),
            on_stop: self.config.on_thread_stop.clone(),
            ..PoolConfig::default()
        };
        if let Some(name) = &self.thread_name {
            config.thread_name = name.clone();
        }
        config
    }

    fn worker_count(&self) -> io::Result<usize> {
        let count = match self.workers {
            Workers::Strict => return Ok(0),
            Workers::Count(count) => count,
            Workers::Default => match std::env::var(WORKERS_VARIABLE) {
                Ok(text) => text.trim().parse().map_err(|_| {
                    invalid(&format!(
                        "{WORKERS_VARIABLE}={text}: not a number of threads"
                    ))
                })?,
                Err(_) => thread::available_parallelism().map_or(1, NonZero::get),
            },
        };
        if count == 0 {
            return Err(invalid(
                "worker_threads: 0 threads could never run a task; give at least 1, or use current_thread",
            ));
        }
        if count > scheduler::WORKERS_MAX {
            return Err(invalid(&format!(
                "worker_threads: {count} is more than the limit of {}",
                scheduler::WORKERS_MAX
            )));
        }
        Ok(count)
    }
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}
