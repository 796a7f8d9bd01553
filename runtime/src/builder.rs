//! Every knob of a runtime: its unit, its default, its limits and what happens beyond them.

use crate::blocking::{Pool, PoolConfig};
use crate::rng::Rng;
use crate::runtime::Runtime;
use crate::scheduler::{self, Config};
use crate::task::{Reporter, TaskRef, UnhandledError};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The environment variable that overrides the default number of workers.
const WORKERS_VARIABLE: &str = "LOXLEY_WORKER_THREADS";

/// About what a wake-up takes, in processor time and until it is done, where the processor has gone to rest.
const IO_LOOK: Duration = Duration::from_micros(30);
const IO_LOOK_MAX: Duration = Duration::from_millis(1);

/// A poll longer than this is reported; in debug mode asyncio's tenth of a second.
const SLOW_POLL: Duration = Duration::from_secs(1);
const SLOW_POLL_DEBUG: Duration = Duration::from_millis(100);

/// Less does not hold what the standard library needs to print where a panic came from.
const STACK_MIN: usize = 64 << 10;

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
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::Builder;
    /// let settings = Builder::new(); // As `Runtime::builder()`.
    /// let runtime = settings.build()?;
    /// assert_eq!(runtime.block_on(async { 7 }), 7);
    /// # Ok::<(), std::io::Error>(())
    /// ```
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
                io_look: IO_LOOK,
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
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::Runtime;
    /// let runtime = Runtime::builder().worker_threads(3).build()?;
    /// assert_eq!(runtime.handle().metrics().workers.len(), 3);
    /// assert!(Runtime::builder().worker_threads(0).build().is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn worker_threads(mut self, count: usize) -> Self {
        self.workers = Workers::Count(count);
        self
    }

    /// The strict flavour: no worker threads; `block_on` runs everything on the calling thread, in one first-in, first-out
    /// queue, in asyncio's order.
    ///
    /// **Differs from asyncio**: while tasks are ready, I/O is looked at after a round by which 61 of them have run, not after
    /// every round; [`event_interval(1)`](Self::event_interval) looks after every round. In turns: a [`wait`](crate::wait()) for
    /// what has ended takes none; who awaits a [`gather`](crate::gather()) goes on, and a task that asked itself to stop and
    /// catches nothing ends, one turn earlier; a request to a task that waits for another reaches that one a turn later, where
    /// asyncio passes it on before `cancel` returns.
    ///
    /// # Examples
    ///
    /// Everything runs here, in the order in which it was made:
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, create_task, gather};
    /// # use std::sync::{Arc, Mutex};
    /// let runtime = Runtime::builder().current_thread().build()?;
    /// let order = Arc::new(Mutex::new(vec![]));
    /// runtime.block_on(async {
    ///     let tasks = ["a", "b", "c"].map(|name| {
    ///         let order = order.clone();
    ///         create_task(async move { order.lock().unwrap().push(name) })
    ///     });
    ///     let _: Vec<()> = gather(tasks).await.unwrap();
    /// });
    /// assert_eq!(*order.lock().unwrap(), ["a", "b", "c"]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn current_thread(mut self) -> Self {
        self.workers = Workers::Strict;
        self
    }

    /// The most threads the blocking pool has at once. Default 512. At least 1, else `build` fails. Jobs beyond wait.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{Handle, Runtime, gather, to_thread};
    /// let runtime = Runtime::builder().max_blocking_threads(1).build()?;
    /// runtime.block_on(async {
    ///     let jobs = (0..3).map(|n| to_thread(move || n)); // One after the other.
    ///     assert_eq!(gather(jobs).await.unwrap(), [0, 1, 2]);
    ///     assert!(Handle::current().metrics().blocking_threads <= 1);
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "set_default_executor")]
    #[doc(alias = "ThreadPoolExecutor")]
    pub fn max_blocking_threads(mut self, count: usize) -> Self {
        self.blocking_threads_max = count;
        self
    }

    /// The name of every worker and pool thread. Default `loxley-worker` and `loxley-blocking`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, create_task};
    /// let runtime = Runtime::builder().worker_threads(1).thread_name("crawler").build()?;
    /// let name = runtime.block_on(async {
    ///     create_task(async { std::thread::current().name().map(str::to_owned) }).await.unwrap()
    /// });
    /// assert_eq!(name.as_deref(), Some("crawler"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn thread_name(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.thread_name_fn(move || name.clone())
    }

    /// Names each worker and pool thread: once per worker before the first is started, later for each thread of the pool.
    ///
    /// # Examples
    ///
    /// Numbered threads are told apart in `top` and in a debugger:
    ///
    /// ```
    /// # use loxley_runtime::Runtime;
    /// # use std::sync::atomic::{AtomicUsize, Ordering};
    /// # use std::sync::Arc;
    /// let count = Arc::new(AtomicUsize::new(0));
    /// let names = count.clone();
    /// let _runtime = Runtime::builder()
    ///     .worker_threads(2)
    ///     .thread_name_fn(move || format!("worker-{}", names.fetch_add(1, Ordering::Relaxed)))
    ///     .build()?;
    /// assert_eq!(count.load(Ordering::Relaxed), 2);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn thread_name_fn(mut self, name: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.thread_name = Some(Arc::new(name));
        self
    }

    /// The stack of every worker and pool thread, in bytes; at least 64 KiB, as less would not hold the report of a panic.
    /// Default: the standard library's.
    ///
    /// # Examples
    ///
    /// For tasks that recurse deeply within one poll:
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, create_task};
    /// fn depth(n: u32) -> u32 {
    ///     let frame = std::hint::black_box([0_u8; 1024]);
    ///     if n == 0 { u32::from(frame[0]) } else { 1 + depth(n - 1) }
    /// }
    /// let runtime = Runtime::builder().worker_threads(1).thread_stack_size(32 << 20).build()?;
    /// let deep = runtime.block_on(async { create_task(async { depth(5_000) }).await.unwrap() });
    /// assert_eq!(deep, 5_000);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn thread_stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// How long an idle thread of the blocking pool is kept. Default 10 seconds.
    ///
    /// # Examples
    ///
    /// A program that blocks in bursts keeps its threads from one to the next:
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, to_thread};
    /// # use std::time::Duration;
    /// let runtime = Runtime::builder().thread_keep_alive(Duration::from_secs(60)).build()?;
    /// assert_eq!(runtime.block_on(to_thread(|| 7)), 7);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn thread_keep_alive(mut self, duration: Duration) -> Self {
        self.keep_alive = duration;
        self
    }

    /// At least every how many rounds a busy worker looks into the shared queue first; sooner, as with
    /// [`event_interval`](Self::event_interval), while its tasks take long. Default 31; 0 counts as 1.
    ///
    /// # Examples
    ///
    /// Where most work comes in from other threads, it is looked for more often:
    ///
    /// ```
    /// # use loxley_runtime::Runtime;
    /// let runtime = Runtime::builder().global_queue_interval(7).build()?;
    /// let handle = runtime.handle();
    /// let task = std::thread::spawn(move || handle.create_task(async { 7 })).join().unwrap();
    /// assert_eq!(runtime.block_on(task).unwrap(), 7);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn global_queue_interval(mut self, rounds: u32) -> Self {
        self.config.global_queue_interval = rounds.max(1);
        self
    }

    /// At least every how many rounds a busy worker looks at timers and I/O; while its tasks take long, it does so about
    /// every 100 µs. Default 61; less than 2 counts as 2, as one round in so many is spent looking. On the strict flavour:
    /// after how many tasks, at the end of a round; 1 is allowed.
    ///
    /// # Examples
    ///
    /// asyncio's order, and I/O after every round:
    ///
    /// ```
    /// # use loxley_runtime::Runtime;
    /// let runtime = Runtime::builder().current_thread().event_interval(1).build()?;
    /// runtime.block_on(loxley_runtime::yield_now());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn event_interval(mut self, rounds: u32) -> Self {
        self.config.event_interval = rounds.max(1);
        self
    }

    /// How many I/O events are taken from the operating system at once. Default 1024; 0 counts as 1. More stay with the
    /// system until the next look.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::Runtime;
    /// let few_connections = Runtime::builder().max_io_events_per_tick(64).build()?;
    /// # drop(few_connections);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn max_io_events_per_tick(mut self, count: usize) -> Self {
        self.config.io_events_max = count.max(1);
        self
    }

    /// How long the thread that waits for I/O may look again and again before it sleeps. Default: 30 µs; zero is never, and
    /// more than a millisecond counts as one.
    ///
    /// Where a processor has gone to rest, it takes longer to wake a thread than to answer most requests. So with few
    /// connections, whose events come less than 100 µs apart, looking is tried, and goes on only while turns come at least a
    /// quarter faster than with sleeping. It costs up to this much processor time per event; at most one thread of a runtime
    /// looks, and a runtime with nothing to do never. Zero is for where processor time is dearer than any latency.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::Runtime;
    /// # use std::time::Duration;
    /// let frugal = Runtime::builder().io_look(Duration::ZERO).build()?;
    /// # drop(frugal);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn io_look(mut self, limit: Duration) -> Self {
        self.config.io_look = limit.min(IO_LOOK_MAX);
        self
    }

    /// Called on every worker thread before its first task, and on every thread of the blocking pool before its first
    /// job. A panic of it is reported by the panic hook and ends nothing; the same goes for the other hooks.
    ///
    /// # Examples
    ///
    /// What a library wants done once per thread:
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, create_task};
    /// # use std::cell::Cell;
    /// thread_local! { static SCRATCH: Cell<usize> = const { Cell::new(0) } }
    ///
    /// let runtime = Runtime::builder().worker_threads(1).on_thread_start(|| SCRATCH.set(4096)).build()?;
    /// let size = runtime.block_on(async { create_task(async { SCRATCH.get() }).await.unwrap() });
    /// assert_eq!(size, 4096);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn on_thread_start(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.config.on_thread_start = Some(Arc::new(f));
        self
    }

    /// Called on every worker thread after its last task, and on every thread of the blocking pool after its last job.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::Runtime;
    /// # use std::sync::mpsc::channel;
    /// # use std::time::Duration;
    /// let (tell, told) = channel();
    /// let runtime = Runtime::builder()
    ///     .worker_threads(2)
    ///     .on_thread_stop(move || {
    ///         let _ = tell.send("flushed");
    ///     })
    ///     .build()?;
    /// assert!(runtime.shutdown_timeout(Duration::from_secs(5)).is_clean());
    /// assert_eq!(told.iter().count(), 2, "one per worker");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn on_thread_stop(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.config.on_thread_stop = Some(Arc::new(f));
        self
    }

    /// Called on a worker before it goes to sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::Runtime;
    /// # use std::sync::mpsc::channel;
    /// let (tell, told) = channel();
    /// let runtime = Runtime::builder()
    ///     .worker_threads(1)
    ///     .on_thread_park(move || {
    ///         let _ = tell.send(());
    ///     })
    ///     .build()?;
    /// told.recv().unwrap(); // There is nothing to do, so it goes to sleep.
    /// # drop(runtime);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn on_thread_park(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.config.on_thread_park = Some(Arc::new(f));
        self
    }

    /// Called on a worker after it woke.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, sleep};
    /// # use std::sync::mpsc::channel;
    /// # use std::time::Duration;
    /// let (tell, told) = channel();
    /// let runtime = Runtime::builder()
    ///     .worker_threads(1)
    ///     .on_thread_unpark(move || {
    ///         let _ = tell.send(());
    ///     })
    ///     .build()?;
    /// runtime.handle().create_task(sleep(Duration::from_millis(1)));
    /// told.recv().unwrap(); // Woken by the task, or by its timer.
    /// # drop(runtime);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn on_thread_unpark(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.config.on_thread_unpark = Some(Arc::new(f));
        self
    }

    /// Called for every task before it can run, on the thread that spawns it; not for the future given to `block_on`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, create_task};
    /// # use std::sync::atomic::{AtomicUsize, Ordering};
    /// # use std::sync::Arc;
    /// let spawned = Arc::new(AtomicUsize::new(0));
    /// let count = spawned.clone();
    /// let runtime = Runtime::builder()
    ///     .on_task_spawn(move |_task| {
    ///         count.fetch_add(1, Ordering::Relaxed);
    ///     })
    ///     .build()?;
    /// runtime.block_on(async { create_task(async {}).await.unwrap() });
    /// assert_eq!(spawned.load(Ordering::Relaxed), 1, "the task, not what `block_on` runs");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn on_task_spawn(mut self, f: impl Fn(&TaskRef) + Send + Sync + 'static) -> Self {
        self.config.on_task_spawn = Some(Arc::new(f));
        self
    }

    /// Called for every task when its future is gone, before anybody sees it finished; not for the future given to
    /// `block_on`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, task};
    /// # use std::sync::{Arc, Mutex};
    /// let ended = Arc::new(Mutex::new(vec![]));
    /// let log = ended.clone();
    /// let runtime = Runtime::builder()
    ///     .on_task_terminate(move |task| log.lock().unwrap().push(task.name().to_string()))
    ///     .build()?;
    /// runtime.block_on(async {
    ///     task::Builder::new().name("importer").create_task(async {}).await.unwrap();
    /// });
    /// assert_eq!(*ended.lock().unwrap(), ["importer"]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn on_task_terminate(mut self, f: impl Fn(&TaskRef) + Send + Sync + 'static) -> Self {
        self.config.on_task_terminate = Some(Arc::new(f));
        self
    }

    /// Who is told of failures that no code awaits: a task's panic whose handle is gone, a worker stuck in a poll, what did
    /// not stop when the runtime was dropped. Default: one line on standard error.
    ///
    /// # Examples
    ///
    /// To a log of one's own instead of standard error:
    ///
    /// ```
    /// # use loxley_runtime::{Runtime, create_task};
    /// # use std::sync::mpsc::channel;
    /// let (log, lines) = channel();
    /// let runtime = Runtime::builder()
    ///     .unhandled_error(move |error| {
    ///         let _ = log.send(error.to_string());
    ///     })
    ///     .build()?;
    /// runtime.block_on(async { drop(create_task(async { if true { panic!("no paper") } })) });
    /// assert!(lines.recv().unwrap().contains("no paper"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "set_exception_handler")]
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
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::Runtime;
    /// let runtime = Runtime::builder().debug(cfg!(debug_assertions)).build()?;
    /// assert_eq!(runtime.block_on(async { 7 }), 7);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "set_debug")]
    pub fn debug(mut self, debug: bool) -> Self {
        self.config.debug = debug;
        self
    }

    /// From which duration on a poll that does not end is reported. Default 1 second, in debug mode 100 milliseconds.
    /// `Duration::MAX` switches it off.
    ///
    /// Workers report a poll while it goes on. A thread in `block_on` has nobody to notice, where it polls the main future and
    /// local tasks, and in the one-thread flavour all tasks: it measures in debug mode only, and reports a poll that has
    /// ended.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::Runtime;
    /// # use std::time::Duration;
    /// let strict = Runtime::builder().slow_poll_threshold(Duration::from_millis(20)).build()?;
    /// let silent = Runtime::builder().slow_poll_threshold(Duration::MAX).build()?;
    /// # drop((strict, silent));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "slow_callback_duration")]
    pub fn slow_poll_threshold(mut self, threshold: Duration) -> Self {
        self.slow_poll = Some(threshold);
        self
    }

    /// Seeds the choices that are otherwise random, such as whom to steal from. Default: another seed for each runtime.
    ///
    /// # Examples
    ///
    /// A test that found something by chance is run with the same choices again:
    ///
    /// ```
    /// # use loxley_runtime::Runtime;
    /// let runtime = Runtime::builder().rng_seed(42).build()?;
    /// assert_eq!(runtime.block_on(async { 7 }), 7);
    /// # Ok::<(), std::io::Error>(())
    /// ```
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
    ///
    /// # Examples
    ///
    /// A knob beyond its limits is named:
    ///
    /// ```
    /// # use loxley_runtime::Runtime;
    /// let refused = Runtime::builder().max_blocking_threads(0).build().unwrap_err();
    /// assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
    /// assert!(refused.to_string().contains("max_blocking_threads"), "{refused}");
    /// ```
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
        if let Some(bytes) = self.stack_size.filter(|&bytes| bytes < STACK_MIN) {
            return Err(invalid(&format!(
                "thread_stack_size: {bytes} bytes would overflow at the first panic; give at least {STACK_MIN}"
            )));
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
                Err(_) => num_cpus::get(),
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
