//! The end of a `Runner`: what is left cleans up, all at once, and what does not stop is named.

use loxley_runtime::{
    Builder, Runner, TaskGroup, create_task, gather, sleep, task, task_group, timeout, yield_now,
};
use loxley_sync::prim::atomic::{AtomicUsize, Ordering};
use loxley_sync::{catch_cancelled, with_cleanup};
use std::convert::Infallible;
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

/// Less than the grace, of which there may be a hundred one after the other.
const CLEAN_UP: Duration = Duration::from_secs(4);

/// Runners whose clock jumps, of both flavours.
fn runners() -> [Runner; 2] {
    let several = Builder::new().worker_threads(2);
    [several, Builder::new().current_thread()]
        .map(|builder| builder.paused(true).build_runner().expect("a runner"))
}

/// How many have begun to wait, and how many have cleaned up.
#[derive(Default)]
struct Counts {
    waiting: AtomicUsize,
    clean: AtomicUsize,
}

impl Counts {
    /// Waits for ever; asked to stop, it needs its time.
    fn leftover(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let (counts, clean) = (self.clone(), self.clone());
        with_cleanup(
            async move {
                counts.waiting.fetch_add(1, Ordering::Relaxed); // ordering: a count.
                pending::<()>().await;
            },
            |_| async move {
                sleep(CLEAN_UP).await;
                clean.clean.fetch_add(1, Ordering::Relaxed); // ordering: a count.
            },
        )
    }

    /// Until so many wait.
    async fn wait(&self, count: usize) {
        // ordering: a count.
        while self.waiting.load(Ordering::Relaxed) < count {
            yield_now().await;
        }
    }

    fn clean(&self) -> usize {
        self.clean.load(Ordering::Relaxed) // ordering: a count, and all is over.
    }
}

#[test]
fn leftovers_clean_up_side_by_side() {
    for mut runner in runners() {
        let counts = Arc::new(Counts::default());
        let main = counts.clone();
        let ran = runner.run(async move {
            for _ in 0..100 {
                drop(create_task(main.leftover()));
            }
            main.wait(100).await;
        });
        ran.expect("it ends");
        let report = runner.close();
        assert!(report.is_clean(), "{report}");
        assert_eq!(counts.clean(), 100);
    }
}

#[test]
fn a_leftover_that_refuses_is_named_and_keeps_nobody_from_cleaning_up() {
    for mut runner in runners() {
        let counts = Arc::new(Counts::default());
        let main = counts.clone();
        let ran = runner.run(async move {
            let refuses = || async {
                loop {
                    let _ = catch_cancelled(sleep(Duration::from_secs(1))).await;
                }
            };
            let named = || task::Builder::new().name("refuses");
            drop(named().create_task(refuses()));
            drop(create_task(main.leftover()));
            drop(named().create_task(refuses()));
            main.wait(1).await;
        });
        ran.expect("it ends");
        let report = runner.close();
        assert_eq!(counts.clean(), 1);
        assert_eq!(report.tasks().len(), 2, "{report}");
        let text = report.to_string();
        assert!(
            text.contains("refuses") && text.contains("close.rs:"),
            "{text}"
        );
    }
}

/// Each is asked by the end, and would be once more by who waits for it.
#[test]
fn a_clean_up_is_not_interrupted_by_who_waits_for_it() {
    for mut runner in runners() {
        let counts = Arc::new(Counts::default());
        let main = counts.clone();
        let ran = runner.run(async move {
            for _ in 0..10 {
                let (child, other) = (create_task(main.leftover()), create_task(main.leftover()));
                drop(create_task(child));
                let both = [other, create_task(main.leftover())];
                drop(create_task(async move {
                    let _: Vec<()> = gather(both).await.expect("not so far");
                }));
                let counts = main.clone();
                drop(create_task(task_group(
                    |group: TaskGroup<Infallible>| async move {
                        drop(group.create_task(counts.leftover()));
                        drop(group.create_task(counts.leftover()));
                        Ok(())
                    },
                )));
            }
            main.wait(50).await;
        });
        ran.expect("it ends");
        let report = runner.close();
        assert!(report.is_clean(), "{report}");
        assert_eq!(counts.clean(), 50);
    }
}

#[test]
fn a_limit_on_the_wait_for_a_leftover_is_kept() {
    for mut runner in runners() {
        let counts = Arc::new(Counts::default());
        let main = counts.clone();
        let ran = runner.run(async move {
            let (clean, [one, other]) = (main.clone(), [main.clone(), main.clone()]);
            // A task that has not begun has nothing to clean up.
            let waits = |begins: Arc<Counts>| async move {
                begins.waiting.fetch_add(1, Ordering::Relaxed); // ordering: a count.
                pending::<()>().await;
            };
            let slow = create_task(with_cleanup(waits(one), |_| sleep(CLEAN_UP * 100)));
            drop(create_task(with_cleanup(waits(other), |_| async move {
                assert!(timeout(CLEAN_UP / 4, slow).await.is_err());
                clean.clean.fetch_add(1, Ordering::Relaxed); // ordering: a count.
            })));
            main.wait(2).await;
        });
        ran.expect("it ends");
        let report = runner.close();
        assert!(report.is_clean(), "{report}");
        assert_eq!(counts.clean(), 1);
    }
}
