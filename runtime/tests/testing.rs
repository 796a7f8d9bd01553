//! What a test of `#[loxley::test]`'s kind is failed for, and what the sweeps reach.

use loxley_runtime::testing::{Config, cancel_at_every_pending, drop_at_every_pending, run};
use loxley_runtime::{create_task, sleep, to_thread, yield_now};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

fn flavours() -> [Config; 2] {
    [
        Config::new().current_thread().leak_check(true),
        Config::new().worker_threads(2).leak_check(true),
    ]
}

/// What the test would have printed.
fn failure(test: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(test)).expect_err("the test fails");
    match panic.downcast_ref::<&str>() {
        Some(text) => (*text).to_owned(),
        None => panic.downcast_ref::<String>().cloned().unwrap_or_default(),
    }
}

#[test]
fn a_clean_test_passes_and_gives_its_value() {
    for config in flavours() {
        let value = run(config, async {
            let task = create_task(async {
                sleep(Duration::from_millis(1)).await;
                to_thread(|| 40).await
            });
            task.await.expect("it ends") + 2
        });
        assert_eq!(value, 42);
    }
}

#[test]
fn the_tests_own_panic_is_the_one_that_shows() {
    for config in flavours() {
        let text = failure(|| run(config, async { panic!("its own") }));
        assert_eq!(text, "its own");
    }
}

#[test]
fn a_task_left_over_is_named_with_its_line_and_what_it_waits_for() {
    for config in flavours() {
        let line = line!() + 3;
        let text = failure(|| {
            run(config, async {
                let task = create_task(sleep(HOUR));
                task.set_name("left over");
                yield_now().await;
                drop(task);
            });
        });
        assert!(text.contains("left over"), "{text}");
        assert!(text.contains(&format!("{}:{line}", file!())), "{text}");
        assert!(text.contains("Timer"), "{text}");
    }
}

#[test]
fn a_blocking_job_left_running_is_reported() {
    // One flavour: each run waits for the whole grace of a shutdown.
    let [config, _] = flavours();
    let (release, released) = channel::<()>();
    let (started, has_started) = channel();
    let text = failure(|| {
        run(config, async {
            let task = create_task(to_thread(move || {
                started.send(()).expect("the test listens");
                let _ = released.recv();
            }));
            to_thread(move || has_started.recv().expect("the job starts")).await;
            task.cancel();
        });
    });
    drop(release);
    assert!(
        text.contains("1 blocking jobs that have not ended"),
        "{text}"
    );
    assert!(text.contains("in a job submitted at"), "{text}");
}

#[test]
fn a_panic_that_nobody_awaits_fails_the_test() {
    for config in flavours() {
        let text = failure(|| {
            run(config, async {
                let task = create_task(async { panic!("unheard") }).as_ref();
                while !task.is_finished() {
                    yield_now().await;
                }
            });
        });
        assert!(text.contains("unheard"), "{text}");
    }
}

#[test]
fn a_test_that_hangs_fails_with_every_task_and_what_it_waits_for() {
    for config in flavours() {
        let line = line!() + 3;
        let text = failure(|| {
            run(config.limit(Duration::from_millis(50)), async {
                let task = create_task(sleep(HOUR));
                task.set_name("the sleeper");
                let _ = task.await;
            });
        });
        assert!(text.contains("has not ended after 50ms"), "{text}");
        assert!(text.contains("the sleeper"), "{text}");
        assert!(text.contains(&format!("{}:{line}", file!())), "{text}");
        assert!(text.contains("waiting for Timer"), "{text}");
        assert!(text.contains("waiting for Task"), "{text}");
    }
}

#[test]
fn the_limit_reads_the_real_clock_and_the_test_may_stop_its_own() {
    let config = Config::new().current_thread().paused(true).leak_check(true);
    run(config, sleep(1_000 * HOUR));
}

#[test]
fn a_test_inside_a_runtime_is_refused() {
    let text = failure(|| {
        run(Config::new().current_thread(), async {
            run(Config::new(), pending::<()>());
        });
    });
    assert!(text.contains("await the future instead"), "{text}");
}

/// Waits `points` times while it holds its state.
async fn waiting(points: usize, held: Arc<()>) {
    for _ in 0..points {
        yield_now().await;
    }
    drop(held);
}

#[test]
fn sweeps_end_a_future_at_each_point_where_it_waits() {
    for config in flavours() {
        run(config, async {
            let scenario = || {
                let state = Arc::new(());
                (waiting(5, state.clone()), state)
            };
            let mut dropped = Vec::new();
            let points = drop_at_every_pending(scenario, |point, state| {
                dropped.push((point, Arc::strong_count(&state)));
                async {}
            })
            .await;
            assert_eq!(points, 5);
            assert!(dropped.into_iter().eq((1..=6).map(|point| (point, 1))));

            let mut cancelled = Vec::new();
            let points = cancel_at_every_pending(scenario, |point, state| {
                cancelled.push((point, Arc::strong_count(&state)));
                async {}
            })
            .await;
            assert_eq!(points, 5);
            assert!(cancelled.into_iter().eq((1..=6).map(|point| (point, 1))));
        });
    }
}

#[test]
fn to_thread_may_be_dropped_and_cancelled_wherever_it_waits() {
    for config in flavours() {
        run(config, async {
            let scenario = || {
                let state = Arc::new(());
                let held = state.clone();
                // The closure may be quick enough for the first poll; there is a point to sweep all the same.
                let future = async move {
                    yield_now().await;
                    to_thread(move || drop(held)).await;
                };
                (future, state)
            };
            // Whether the closure ran or was dropped unrun, it is gone once its thread has come to the next job.
            let check = |_, state: Arc<()>| async move {
                while Arc::strong_count(&state) > 1 {
                    to_thread(|| ()).await;
                }
            };
            assert!(drop_at_every_pending(scenario, check).await >= 1);
            assert!(cancel_at_every_pending(scenario, check).await >= 1);
        });
    }
}
