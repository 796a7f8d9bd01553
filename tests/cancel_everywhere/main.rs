//! Every public future, given up at every point where it waits: dropped and cancelled, when it is pending and when it was
//! woken but not polled. Afterwards locks are free, permits are back, queues are whole, no timer is armed, no task, no
//! watched descriptor and no blocking job is left, and those who waited behind it come through.
//!
//! Each module begins with a table: source file, futures, the test that sweeps them. [`every_public_future_is_swept`] reads
//! the sources, so that a new future that nobody sweeps fails it. A name in brackets is a test of that file.
//!
//! | a sweep gives up | by |
//! |---|---|
//! | at the first, second, … pending poll | dropping the future; cancelling its task |
//! | at the first, second, … wake-up, before the poll that it asks for | dropping the future; cancelling its task |

#![expect(
    clippy::type_complexity,
    reason = "the ways of a case are a list of closures"
)]

mod ambient;
mod channels;
#[cfg(feature = "hyper")]
mod http;
mod locks;
#[cfg(all(unix, feature = "net"))]
mod sockets;
#[cfg(all(unix, feature = "net"))]
mod streams;
#[path = "../support/tables.rs"]
mod tables;
mod tasks;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use loxley::testing::{self, Config, cancel_at_every_pending, drop_at_every_pending};
use loxley::{Handle, Task, TaskError, TaskRef, create_task, yield_now};

/// Descriptors belong to the whole process, so the cases run one at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs `case` on the strict flavour and on two workers; nothing may be left behind.
#[track_caller]
fn run(case: impl AsyncFn()) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    warm_up();
    let limit = Duration::from_secs(60);
    for config in [
        Config::new().current_thread(),
        Config::new().worker_threads(2),
    ] {
        let before = descriptors();
        testing::run(config.leak_check(true).limit(limit), case());
        // A look-up that nobody waits for any more keeps the runtime it was asked from, until it has its answer.
        let patience = Instant::now() + limit;
        loop {
            let mut left = descriptors();
            left.retain(|number, what| before.get(number) != Some(what));
            if left.is_empty() {
                break;
            }
            assert!(Instant::now() < patience, "descriptors left: {left:?}");
            std::thread::yield_now();
        }
    }
}

/// Opens what a process opens once and keeps.
fn warm_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        testing::run(Config::new().current_thread(), async {
            let _ = loxley::signal::stream(loxley::signal::SIGURG);
            #[cfg(feature = "net")]
            let _ = loxley::lookup_host(("localhost", 1)).await;
        });
    });
}

/// The open descriptors of this process, where the system tells.
fn descriptors() -> BTreeMap<String, String> {
    let entries = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten();
    let described = entries.filter_map(|entry| {
        let number = entry.file_name().into_string().ok()?;
        let target = fs::read_link(entry.path()).ok()?;
        let target = target.to_string_lossy().into_owned();
        // The descriptor of this very listing is gone by now.
        (!target.starts_with("/proc/")).then_some((number, target))
    });
    described.collect()
}

/// Gives up the future of `scenario` at every point in all four ways. After each, `check` looks at the state that
/// `scenario` made beside it; then nothing may be left in the runtime.
async fn sweep<F, S>(scenario: impl Fn() -> (F, S), check: impl AsyncFn(S))
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let points = sweep_what_may_not_wait(scenario, check).await;
    // Beside workers, what it waits for may come first.
    let is_strict = Handle::current().metrics().workers.is_empty();
    assert!(
        !is_strict || !points.contains(&0),
        "it never waited: {points:?}"
    );
}

/// [`sweep`], without looking whether there was anything to give up. The points of each way.
async fn sweep_what_may_not_wait<F, S>(
    scenario: impl Fn() -> (F, S),
    check: impl AsyncFn(S),
) -> [usize; 4]
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    // Without the types of the case, so that the sweeps are compiled once.
    let check = &check;
    let erased = || {
        WAITS.store(false, Ordering::Release);
        let (future, state) = scenario();
        let future = Box::pin(async move { drop(future.await) });
        (Swept(future), later(check(state)))
    };
    sweep_any(&erased).await
}

fn later<'a>(check: impl Future<Output = ()> + 'a) -> Check<'a> {
    Box::pin(check)
}

/// The check after a run, begun when that is over.
type Check<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

async fn sweep_any<'a>(scenario: &dyn Fn() -> (Swept, Check<'a>)) -> [usize; 4] {
    let before = Held::now();
    let check = async |_: usize, check: Check<'a>| {
        check.await;
        before.is_back().await;
    };
    [
        drop_at_every_pending(scenario, &check).await,
        cancel_at_every_pending(scenario, &check).await,
        drop_at_every_wake(scenario, &check).await,
        cancel_at_every_wake(scenario, &check).await,
    ]
}

/// What a runtime holds for those who wait.
#[derive(Debug, PartialEq, Eq, PartialOrd)]
struct Held {
    tasks: usize,
    timers: usize,
    sources: usize,
    jobs: usize,
}

impl Held {
    fn now() -> Self {
        let metrics = Handle::current().metrics();
        let running = metrics
            .blocking_threads
            .saturating_sub(metrics.idle_blocking_threads);
        Self {
            tasks: metrics.live_tasks,
            timers: metrics.armed_timers,
            sources: metrics.registered_sources,
            jobs: metrics.queued_blocking_jobs + running,
        }
    }

    /// A worker may still be clearing away; what never goes ends in the limit of the test.
    async fn is_back(&self) {
        let is_more = |now: &Self| {
            now.tasks > self.tasks
                || now.timers > self.timers
                || now.sources > self.sources
                || now.jobs > self.jobs
        };
        while is_more(&Self::now()) {
            yield_now().await;
        }
    }
}

/// Drops the future at its first, second, … wake-up, instead of polling it, until it ends before.
async fn drop_at_every_wake<'a>(
    scenario: &dyn Fn() -> (Swept, Check<'a>),
    check: &impl AsyncFn(usize, Check<'a>),
) -> usize {
    for point in 1.. {
        let (future, state) = scenario();
        let bell = Arc::new(Bell::at(point));
        let waker = Waker::from(bell.clone());
        let given_up = {
            let mut future = std::pin::pin!(future);
            poll_fn(|cx| {
                bell.listen(cx.waker());
                if bell.is_reached() {
                    return Poll::Ready(true);
                }
                let poll = future.as_mut().poll(&mut Context::from_waker(&waker));
                poll.map(|_| false)
            })
            .await
        };
        check(point, state).await;
        if !given_up {
            return point - 1;
        }
    }
    unreachable!("a future that is woken for ever")
}

/// Cancels the future's task at its first, second, … wake-up, before it is polled for it, until it ends before.
async fn cancel_at_every_wake<'a>(
    scenario: &dyn Fn() -> (Swept, Check<'a>),
    check: &impl AsyncFn(usize, Check<'a>),
) -> usize {
    for point in 1.. {
        let (future, state) = scenario();
        let bell = Arc::new(Bell::at(point));
        let theirs = bell.clone();
        let task = create_task(async move {
            let mut future = std::pin::pin!(future);
            let waker = Waker::from(theirs.clone());
            let me = loxley::current_task().expect("a task runs this");
            assert!(theirs.cancels.set(me).is_ok(), "a bell for one task");
            poll_fn(|cx| {
                theirs.listen(cx.waker());
                future.as_mut().poll(&mut Context::from_waker(&waker))
            })
            .await;
        });
        if let Err(TaskError::Panicked(panic)) = task.await {
            panic.resume();
        }
        check(point, state).await;
        if !bell.is_reached() {
            return point - 1;
        }
    }
    unreachable!("a future that is woken for ever")
}

/// The waker between a future and its task: counts, and does something at one of its wakes.
struct Bell {
    at: usize,
    rings: AtomicUsize,
    outer: Mutex<Option<Waker>>,
    cancels: OnceLock<TaskRef>,
}

impl Bell {
    fn at(at: usize) -> Self {
        Self {
            at,
            rings: AtomicUsize::new(0),
            outer: Mutex::default(),
            cancels: OnceLock::new(),
        }
    }

    fn listen(&self, waker: &Waker) {
        let old = self.outer.lock().unwrap().replace(waker.clone());
        drop(old);
    }

    fn is_reached(&self) -> bool {
        self.rings.load(Ordering::Acquire) >= self.at
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let rings = self.rings.fetch_add(1, Ordering::AcqRel) + 1;
        if let (true, Some(task)) = (rings == self.at, self.cancels.get()) {
            // Refused if the task has ended meanwhile: then this wake was one too many.
            let _ = task.cancel();
        }
        let outer = self.outer.lock().unwrap().clone();
        if let Some(outer) = outer {
            outer.wake();
        }
    }
}

/// Whether the future being swept has waited, or is gone. One sweep runs at a time.
static WAITS: AtomicBool = AtomicBool::new(false);

/// The future of a scenario: says that it waits.
struct Swept(Boxed);

impl Future for Swept {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let poll = self.0.as_mut().poll(cx);
        WAITS.store(true, Ordering::Release);
        poll
    }
}

impl Drop for Swept {
    fn drop(&mut self) {
        WAITS.store(true, Ordering::Release);
    }
}

/// Does `work` when the future that is swept waits for it.
fn soon(work: impl FnOnce() + Send + 'static) -> Task<()> {
    create_task(async move {
        turns().await;
        work();
    })
}

/// Yields until the future that is swept has waited, and a few turns more.
async fn turns() {
    while !WAITS.load(Ordering::Acquire) {
        yield_now().await;
    }
    for _ in 0..3 {
        yield_now().await;
    }
}

/// A future whose type nobody wants to write.
type Boxed<T = ()> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The public futures of a source file: functions that are async or return one, and types that are one.
fn futures_of(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n");
    let mut found = BTreeSet::new();
    let name = |rest: &str| -> String {
        let is_part = |c: &char| c.is_alphanumeric() || *c == '_';
        rest.chars().take_while(is_part).collect()
    };
    for (at, _) in code.match_indices("pub ") {
        let rest = &code[at + 4..];
        let rest = rest.strip_prefix("const ").unwrap_or(rest);
        if let Some(rest) = rest.strip_prefix("async fn ") {
            found.insert(name(rest));
        } else if let Some(rest) = rest.strip_prefix("fn ") {
            let signature = rest.split(['{', ';']).next().unwrap_or_default();
            let returned = signature.rsplit("->").next().unwrap_or_default();
            if signature.contains("->") && is_a_future(signature, returned) {
                found.insert(name(rest));
            }
        }
    }
    for (at, word) in code.match_indices(" Future for ") {
        found.insert(name(&code[at + word.len()..]));
    }
    found
}

fn is_a_future(signature: &str, returned: &str) -> bool {
    let in_return = |words: &str| signature.contains(&format!("-> {words}"));
    returned.trim_start().starts_with("impl Future")
        || in_return("impl Future")
        || returned
            .trim_start()
            .starts_with("impl std::future::Future")
        || in_return("impl ::std::future::Future")
}

#[test]
fn every_public_future_is_swept() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut swept: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for module in tables::sources("tests/cancel_everywhere") {
        if module.ends_with("main.rs") {
            continue;
        }
        wrong.extend(tables::wrong_names(&module, "tests/cancel_everywhere"));
        for row in tables::rows(&tables::read(&module)) {
            let [file, futures] = &row.cells[..] else {
                continue;
            };
            let futures = futures
                .split(", ")
                .map(|name| name.trim_matches('`').to_owned());
            swept
                .entry(file.trim_matches('`').to_owned())
                .or_default()
                .extend(futures);
        }
    }
    for folder in ["sync/src", "runtime/src", "io/src", "process/src"] {
        for path in tables::sources(folder) {
            let file = path.to_string_lossy().into_owned();
            let is_test = Path::new(&file).ends_with("tests.rs") || file.contains("/tests/");
            let futures = match is_test {
                true => BTreeSet::new(),
                false => futures_of(&tables::read(&path)),
            };
            let rows = swept.remove(&file).unwrap_or_default();
            for future in futures.difference(&rows) {
                wrong.push(format!(
                    "{file}: `{future}` is a public future that nobody sweeps"
                ));
            }
            for row in rows.difference(&futures) {
                wrong.push(format!(
                    "{file}: `{row}` is in a table, but no future any more"
                ));
            }
        }
    }
    wrong.extend(
        swept
            .keys()
            .map(|file| format!("{file}: is in a table, but no such file")),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_new_future_is_seen() {
    let text = "
        pub async fn one() {}
        pub fn two<T>(&self) -> impl Future<Output = T> + '_ {}
        fn not_public() -> impl Future<Output = ()> {}
        pub(crate) async fn not_public_either() {}
        // pub async fn in_words() {}
        pub fn takes<F: Future>(f: F) -> Three<F> {}
        impl<F: Future> Future for Three<F> {}
    ";
    let found: Vec<_> = futures_of(text).into_iter().collect();
    assert_eq!(found, ["Three", "one", "two"]);
}
