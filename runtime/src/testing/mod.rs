//! What tests stand on: a runtime per test that may not hang and may not leak, and sweeps that drop or cancel a future at
//! every point where it waits.
//!
//! `#[loxley::test]` expands to [`run`]. Everything here goes through the public API and reads the real clock only to bound
//! how long a test may take.
//!
//! | file | holds |
//! |---|---|
//! | `watchdog.rs` | the limit of a test, and the list of tasks when it is reached |
//! | `leaks.rs` | what must be gone when a test ends |
//! | `sweep.rs` | [`drop_at_every_pending`], [`cancel_at_every_pending`] |

mod leaks;
mod sweep;
mod watchdog;

pub use sweep::{cancel_at_every_pending, drop_at_every_pending};

use leaks::Baseline;
use std::env;
use std::fmt::Write as _;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use watchdog::Watchdog;

use loxley_sync::prim::lock::Mutex;

use crate::current;
use crate::runtime::{Handle, Runtime};
use crate::task::TaskRef;

/// How long a test may take on the real clock, when nobody says otherwise.
const LIMIT: Duration = Duration::from_secs(10);

/// Overrides [`LIMIT`], in milliseconds; 0 switches the limit off, for a debugger.
const LIMIT_VARIABLE: &str = "LOXLEY_TEST_LIMIT_MS";

/// How long the runtime of a test may take to stop. A thread that is still busy then fails the test.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// Descriptors belong to the whole process, so a test that counts them runs alone among those that come through [`run`]:
/// the one piece of state that runtimes share here.
static DESCRIPTORS: RwLock<()> = RwLock::new(());

/// How a test runs.
///
/// # Examples
///
/// ```
/// use loxley_runtime::testing::{Config, run};
/// use std::time::Duration;
///
/// let config = Config::new().current_thread().paused(true).leak_check(true);
/// run(config, loxley_runtime::sleep(Duration::from_secs(3_600)));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "pass it to `run`"]
pub struct Config {
    is_current_thread: bool,
    worker_threads: Option<usize>,
    debug: bool,
    leak_check: bool,
    paused: bool,
    limit: Option<Duration>,
}

impl Config {
    /// The defaults: as many workers as [`Runtime::new`] has, no leak check, ten seconds.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::testing::{Config, run};
    /// assert_eq!(run(Config::new(), async { 7 }), 7);
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// One queue, and strict asyncio order.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::testing::{Config, run};
    /// let workers = run(Config::new().current_thread(), async {
    ///     loxley_runtime::Handle::current().metrics().workers.len()
    /// });
    /// assert_eq!(workers, 0, "everything runs on the test's own thread");
    /// ```
    pub fn current_thread(mut self) -> Self {
        self.is_current_thread = true;
        self
    }

    /// So many workers. Default: one per processor.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::testing::{Config, run};
    /// let workers = run(Config::new().worker_threads(4), async {
    ///     loxley_runtime::Handle::current().metrics().workers.len()
    /// });
    /// assert_eq!(workers, 4);
    /// ```
    pub fn worker_threads(mut self, count: usize) -> Self {
        self.worker_threads = Some(count);
        self
    }

    /// Debug mode. Default off.
    ///
    /// # Examples
    ///
    /// To hear of polls that take long and of grants that nobody takes:
    ///
    /// ```
    /// # use loxley_runtime::testing::{Config, run};
    /// assert_eq!(run(Config::new().debug(true), async { 7 }), 7);
    /// ```
    pub fn debug(mut self, debug: bool) -> Self {
        self.debug = debug;
        self
    }

    /// Whether the test fails for what it leaves behind: tasks, timers, watched descriptors, blocking jobs, open
    /// descriptors, and failures that nobody awaited. Default off.
    ///
    /// Open descriptors (on Linux) are those of the whole process, so they are counted only where no other test runs beside:
    /// with `--test-threads=1`, `RUST_TEST_THREADS=1` or under cargo-nextest. In any case a test with this check runs alone
    /// among those that come through [`run`].
    ///
    /// # Examples
    ///
    /// A task that outlives its test fails it:
    ///
    /// ```
    /// # use loxley_runtime::testing::{Config, run};
    /// let test = || run(Config::new().leak_check(true), async {
    ///     loxley_runtime::create_task(std::future::pending::<()>());
    /// });
    /// assert!(std::panic::catch_unwind(test).is_err());
    /// ```
    pub fn leak_check(mut self, leak_check: bool) -> Self {
        self.leak_check = leak_check;
        self
    }

    /// Whether the clock stands, and jumps to the next deadline when nothing can run. Default off.
    ///
    /// # Examples
    ///
    /// A day passes in no time:
    ///
    /// ```
    /// # use loxley_runtime::{lowlevel::now, sleep, testing::{Config, run}};
    /// # use std::time::Duration;
    /// const DAY: Duration = Duration::from_secs(86_400);
    /// run(Config::new().paused(true), async {
    ///     let morning = now();
    ///     sleep(DAY).await;
    ///     assert_eq!((now() - morning).as_secs(), DAY.as_secs());
    /// });
    /// ```
    #[doc(alias = "start_paused")]
    pub fn paused(mut self, paused: bool) -> Self {
        self.paused = paused;
        self
    }

    /// How long the test may take on the real clock. Default 10 seconds, or `LOXLEY_TEST_LIMIT_MS`; zero switches the
    /// limit off.
    ///
    /// # Examples
    ///
    /// A test that hangs fails, instead of the whole run:
    ///
    /// ```
    /// # use loxley_runtime::testing::{Config, run};
    /// # use std::time::Duration;
    /// let config = Config::new().limit(Duration::from_millis(20));
    /// let test = || run(config, std::future::pending::<()>());
    /// assert!(std::panic::catch_unwind(test).is_err());
    /// ```
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    fn effective_limit(&self) -> Option<Duration> {
        let from_environment = || {
            let text = env::var(LIMIT_VARIABLE).ok()?;
            Some(Duration::from_millis(text.trim().parse().ok()?))
        };
        let limit = self.limit.or_else(from_environment).unwrap_or(LIMIT);
        (!limit.is_zero()).then_some(limit)
    }

    fn build(&self, unhandled: &Arc<Mutex<Vec<String>>>) -> Runtime {
        let mut builder = Runtime::builder().debug(self.debug).paused(self.paused);
        if self.is_current_thread {
            builder = builder.current_thread();
        }
        if let Some(count) = self.worker_threads {
            builder = builder.worker_threads(count);
        }
        if self.leak_check {
            let unhandled = unhandled.clone();
            builder =
                builder.unhandled_error(move |error| unhandled.lock().push(error.to_string()));
        }
        match builder.build() {
            Ok(runtime) => runtime,
            Err(error) => panic!("the runtime of this test cannot start: {error}"),
        }
    }
}

/// Runs `future` on a runtime of its own, as a test.
///
/// # Panics
///
/// With the future's own panic; when it takes longer than its limit, with a list of the live tasks, where each was spawned
/// and what it waits for; when the runtime does not stop within a second after it; with
/// [`leak_check`](Config::leak_check), for what was left behind. Also inside a runtime, and when none can be built.
///
/// A test whose thread is stuck inside one poll cannot be failed from outside: then the list goes to standard error and the
/// process is aborted, a second after the limit.
///
/// # Examples
///
/// ```
/// use loxley_runtime::testing::{Config, run};
///
/// let seven = run(Config::new().current_thread().leak_check(true), async {
///     loxley_runtime::create_task(async { 7 }).await.expect("it ends")
/// });
/// assert_eq!(seven, 7);
/// ```
#[track_caller]
#[expect(
    clippy::needless_pass_by_value,
    reason = "a configuration is made for one test"
)]
pub fn run<F: Future>(config: Config, future: F) -> F::Output {
    assert!(
        !current::polls(),
        "a test cannot run inside a runtime: await the future instead"
    );
    // Whoever panicked with one of these held has said why.
    let (_alone, _shared);
    if config.leak_check {
        _alone = DESCRIPTORS.write().unwrap_or_else(PoisonError::into_inner);
    } else {
        _shared = DESCRIPTORS.read().unwrap_or_else(PoisonError::into_inner);
    }
    let counts = config.leak_check && leaks::is_alone();
    let descriptors = counts.then(leaks::descriptors);
    let unhandled = Arc::new(Mutex::new(Vec::new()));
    let runtime = config.build(&unhandled);
    let handle = runtime.handle();
    let limit = config.effective_limit();
    let ended = runtime.block_on(async {
        let watchdog = Watchdog::start(limit, &handle);
        let baseline = config.leak_check.then(|| Baseline::take(&handle));
        let output = watchdog.guard(future).await?;
        let leaks = match baseline {
            Some(baseline) => baseline.leaks(&handle).await,
            None => Vec::new(),
        };
        Ok((output, leaks))
    });
    drop(handle);
    let report = runtime.shutdown_timeout(SHUTDOWN_GRACE);
    let (output, mut left) = match ended {
        Ok(ended) => ended,
        Err(watchdog::Hang(text)) => panic!("{text}"),
    };
    if !report.is_clean() {
        left.push(report.to_string());
    }
    if let Some(before) = descriptors {
        left.extend(leaks::descriptors_since(&before));
    }
    if config.leak_check {
        left.extend(
            unhandled
                .lock()
                .drain(..)
                .map(|text| format!("nobody handled: {text}")),
        );
    }
    assert!(
        left.is_empty(),
        "the test left something behind:{}",
        indented(&left)
    );
    output
}

/// One line about a task: its name, where it was spawned, what it waits for.
fn describe(task: &TaskRef) -> String {
    let mut text = task.to_string();
    if task.is_runnable() {
        text.push_str(", running or about to");
        return text;
    }
    let reason = task.waiting_for();
    // Writing to a string cannot fail.
    let _ = write!(text, ", waiting for {:?}", reason.kind);
    if let Some(at) = reason.at {
        let _ = write!(text, " of {at}");
    }
    text
}

/// The tasks of `handle`'s runtime, a line each, without `own`.
fn describe_tasks(handle: &Handle, own: Option<&TaskRef>) -> Vec<String> {
    let mut tasks = handle.all_tasks();
    tasks.retain(|task| Some(task) != own && !task.is_finished());
    tasks.sort_by_key(TaskRef::id);
    tasks.iter().map(describe).collect()
}

/// Each on a line of its own, under the text before.
fn indented(lines: &[String]) -> String {
    lines.iter().flat_map(|line| ["\n  ", line]).collect()
}
