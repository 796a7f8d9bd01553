//! Feature `tracing`: a subscriber sees of each task what tokio-console wants to know, under the names that it looks for.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use loxley_runtime::{Runtime, create_task, task, yield_now};
use loxley_sync::Event;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};

/// One task, as seen from outside.
#[derive(Clone, Debug, Default)]
struct Seen {
    fields: BTreeMap<&'static str, String>,
    entered: usize,
    left: usize,
    closed: bool,
    /// What happened to its wakers, in order.
    wakers: Vec<String>,
}

#[derive(Clone, Default)]
struct Console {
    tasks: Arc<Mutex<BTreeMap<u64, Seen>>>,
    next: Arc<AtomicU64>,
}

impl Console {
    fn with<R>(&self, id: u64, f: impl FnOnce(&mut Seen) -> R) -> R {
        f(self
            .tasks
            .lock()
            .expect("no holder panics")
            .entry(id)
            .or_default())
    }

    /// The task with this name.
    fn named(&self, name: &str) -> Seen {
        let tasks = self.tasks.lock().expect("no holder panics");
        let mut named = tasks.values().filter(|seen| {
            seen.fields
                .get("task.name")
                .is_some_and(|it| it.as_str() == name)
        });
        named.next().expect("it was polled").clone()
    }
}

impl Subscriber for Console {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let is_ours = metadata.name() == "runtime.spawn" || metadata.target() == "runtime::waker";
        if is_ours {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let mut fields = Fields::default();
        span.record(&mut fields);
        self.with(id, |seen| seen.fields = fields.0);
        Id::from_u64(id)
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let id = fields.0["task.id"].parse().expect("a number");
        self.with(id, |seen| seen.wakers.push(fields.0["op"].clone()));
    }

    fn enter(&self, id: &Id) {
        self.with(id.into_u64(), |seen| seen.entered += 1);
    }

    fn exit(&self, id: &Id) {
        self.with(id.into_u64(), |seen| seen.left += 1);
    }

    fn try_close(&self, id: Id) -> bool {
        self.with(id.into_u64(), |seen| seen.closed = true);
        true
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

/// The one-thread flavour, and a subscriber for its thread alone.
fn run(test: impl AsyncFnOnce(&Console)) {
    let console = Console::default();
    let runtime = Runtime::builder().current_thread().build();
    let runtime = runtime.expect("a runtime");
    tracing::subscriber::with_default(console.clone(), || runtime.block_on(test(&console)));
}

#[test]
fn a_task_is_a_span_from_its_first_poll_to_its_end() {
    run(async |console| {
        let options = task::Builder::new().name("worker");
        let line = line!() + 1;
        let task = options.create_task(async {
            yield_now().await;
            yield_now().await;
        });
        let id = task.id().get();
        yield_now().await;
        yield_now().await;
        let seen = console.named("worker");
        assert_eq!((seen.entered, seen.left, seen.closed), (2, 2, false));
        task.await.expect("it ends");
        let seen = console.named("worker");
        assert_eq!((seen.entered, seen.left, seen.closed), (3, 3, true));
        let field = |name: &str| seen.fields.get(name).map_or("", String::as_str);
        assert_eq!(
            (field("kind"), field("task.id")),
            ("task", &*id.to_string())
        );
        assert!(field("loc.file").ends_with("tests/trace.rs"));
        assert_eq!(field("loc.line"), line.to_string());
        assert!(field("loc.col").parse::<u32>().is_ok());
        assert!(field("size.bytes").parse::<usize>().is_ok());
        assert_eq!(seen.wakers, ["waker.wake_by_ref"; 2]);
    });
}

#[test]
fn wakers_that_are_kept_are_counted_until_they_are_gone() {
    run(async |console| {
        let event = Arc::new(Event::new());
        let opened = event.clone();
        let options = task::Builder::new().name("waiter");
        let task = options.create_task(async move { opened.wait().await });
        yield_now().await;
        assert_eq!(console.named("waiter").wakers, ["waker.clone"]);
        event.set();
        task.await.expect("it ends");
        assert_eq!(
            console.named("waiter").wakers,
            ["waker.clone", "waker.wake"]
        );
    });
}

#[test]
fn a_waker_that_outlives_its_task_says_nothing_more() {
    run(async |console| {
        let options = task::Builder::new().name("gone");
        let kept = options.create_task(poll_fn(|cx| Poll::Ready(cx.waker().clone())));
        let waker = kept.await.expect("it ends");
        assert!(console.named("gone").closed);
        waker.wake();
        assert_eq!(console.named("gone").wakers, ["waker.clone"]);
    });
}

#[test]
fn tasks_that_panic_or_are_cancelled_are_closed_too() {
    run(async |console| {
        let panics = task::Builder::new().name("panics");
        let panics = panics.create_task(async { panic!("on purpose") });
        assert!(panics.await.is_err_and(|error| error.is_panic()));
        let cancelled = task::Builder::new().name("cancelled");
        let cancelled = cancelled.create_task(std::future::pending::<()>());
        yield_now().await;
        cancelled.cancel();
        assert!(cancelled.await.is_err());
        // Never polled, it was never seen.
        let refused = create_task(async {});
        refused.cancel();
        let _ = refused.await;
        for name in ["panics", "cancelled"] {
            let seen = console.named(name);
            assert!(seen.closed && seen.entered == seen.left, "{seen:?}");
        }
    });
}

#[test]
fn without_a_subscriber_tasks_run_all_the_same() {
    let runtime = Runtime::builder().current_thread().build();
    let answer = runtime.expect("a runtime").block_on(async {
        create_task(async {
            yield_now().await;
            7
        })
        .await
    });
    assert_eq!(answer.expect("it ends"), 7);
}
