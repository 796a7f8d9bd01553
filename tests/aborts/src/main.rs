//! What a program sees that is built with `panic = "abort"`: `tests/aborts.rs` builds it so, and runs one case per process.
//!
//! `works` is everything that is no panic; it ends with its status. Every other case panics in one place where with unwinding
//! somebody would catch it, and must not come to its end.

use loxley::{
    Event, Queue, Runtime, TaskError, TaskGroup, catch_cancelled, create_task, gather, sleep,
    task_group, timeout, to_thread, with_cleanup, yield_now,
};
use std::future::pending;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let case = std::env::args().nth(1).unwrap_or_default();
    let builders = [
        Runtime::builder().current_thread(),
        Runtime::builder().worker_threads(2),
    ];
    for builder in builders {
        // What would make a value of a panic, or a report: neither is reached.
        let builder = builder.unhandled_error(|_| std::process::exit(3));
        let runtime = builder.build().expect("threads and descriptors");
        match &*case {
            "works" => works(runtime),
            _ => panics(&case, &runtime),
        }
    }
    ExitCode::SUCCESS
}

/// Spawning, cancelling, timeouts, groups, threads, shutdown.
fn works(runtime: Runtime) {
    let dropped = Arc::new(AtomicUsize::new(0));
    runtime.block_on(async {
        let squares = gather((0..100u64).map(|n| create_task(async move { n * n }))).await;
        assert_eq!(squares.unwrap().iter().sum::<u64>(), 328_350);

        let task = create_task(guarded(&dropped));
        yield_now().await;
        assert!(task.cancel());
        assert!(matches!(task.await, Err(TaskError::Cancelled(_))));
        assert_eq!(dropped.load(Ordering::Acquire), 1);

        assert!(timeout(MS, guarded(&dropped)).await.is_err());
        assert_eq!(dropped.load(Ordering::Acquire), 2);
        assert_eq!(timeout(LONG, async { 7 }).await, Ok(7));

        let (begun, cleaned) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let cleaner = create_task(with_cleanup(begins(&begun), {
            let cleaned = cleaned.clone();
            move |_| async move {
                sleep(MS).await;
                cleaned.set();
            }
        }));
        begun.wait().await;
        cleaner.cancel();
        assert!(cleaner.await.unwrap_err().is_cancelled());
        assert!(cleaned.is_set());

        let begun = Arc::new(Event::new());
        let body = begins(&begun);
        let catcher = create_task(async { catch_cancelled(body).await.is_err() });
        begun.wait().await;
        catcher.cancel();
        assert!(catcher.await.unwrap());

        let failed = task_group(|tg: TaskGroup<&str>| {
            tg.create_task(guarded(&dropped));
            tg.create_task(async { Err::<(), _>("no") });
            async { Ok(()) }
        });
        assert_eq!(failed.await.unwrap_err().errors(), ["no"]);

        let queue = Arc::new(Queue::new(1));
        let feeder = create_task({
            let queue = queue.clone();
            async move {
                for n in 0..100 {
                    queue.put(n).await.unwrap();
                }
                queue.shutdown(false);
            }
        });
        let mut sum = 0;
        while let Ok(n) = queue.get().await {
            sum += n;
        }
        feeder.await.unwrap();
        assert_eq!(sum, 4_950);

        assert_eq!(to_thread(|| 6 * 7).await, 42);
        drop(create_task(guarded(&dropped)));
    });
    let before = dropped.load(Ordering::Acquire);
    let report = runtime.shutdown_timeout(LONG);
    assert!(report.is_clean(), "{report}");
    assert!(dropped.load(Ordering::Acquire) <= before + 1);
}

/// Says that it runs, and waits for ever.
fn begins(begun: &Arc<Event>) -> impl Future<Output = ()> + Send + 'static {
    let begun = begun.clone();
    async move {
        begun.set();
        pending::<()>().await;
    }
}

/// Waits for ever and counts its end.
fn guarded(count: &Arc<AtomicUsize>) -> impl Future<Output = ()> + Send + 'static {
    struct Guard(Arc<AtomicUsize>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::AcqRel);
        }
    }
    let guard = Guard(count.clone());
    async move {
        let _guard = guard;
        pending::<()>().await;
    }
}

struct Bomb;
impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the first panic");
    }
}

/// Panics where `case` says.
fn panics(case: &str, runtime: &Runtime) {
    runtime.block_on(async {
        let bomb = || -> () { panic!("the first panic") };
        match case {
            "main" => bomb(),
            "task" => drop(create_task(async move { bomb() }).await),
            "unawaited" => drop(create_task(async move { bomb() })),
            "cancelled" => {
                let task = create_task(async {
                    let _bomb = Bomb;
                    pending::<()>().await;
                });
                yield_now().await;
                task.cancel();
                drop(task.await);
            }
            "output" => drop(create_task(async { Bomb })),
            "thread" => to_thread(bomb).await,
            "callback" => {
                let task = create_task(async {});
                task.add_done_callback(move |_| bomb());
                drop(task.await);
            }
            "group" => {
                let group = task_group(|tg: TaskGroup<()>| {
                    tg.create_task(async move { bomb() });
                    async { Ok(()) }
                });
                drop(group.await);
            }
            "gather" => drop(gather((async {}, async move { bomb() })).await),
            other => panic!("unknown case '{other}'"),
        }
        // A task that nobody awaits: it has its turn.
        sleep(LONG).await;
    });
}
