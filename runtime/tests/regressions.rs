//! Faults that were found and mended, each by the name of what went wrong.

#[path = "../../tests/support/mod.rs"]
mod support;

use loxley_runtime::{Handle, Runtime, Task, create_task, yield_now};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use support::*;

#[test]
fn a_spawn_hook_that_panics_neither_loses_the_task_nor_reaches_the_spawner() {
    each_with(
        &BOTH,
        |builder| builder.on_task_spawn(|_| panic!("in a hook")),
        |_, runtime| {
            let drops = Count::default();
            let token = drops.token();
            let ran = runtime.block_on(async {
                create_task(async move {
                    drop(token);
                    7
                })
                .await
            });
            assert_eq!(ran.unwrap(), 7);
            assert_eq!(drops.get(), 1);
            assert_eq!(runtime.handle().metrics().live_tasks, 0);
        },
    );
}

#[test]
fn what_a_park_hook_spawns_runs_before_its_worker_sleeps() {
    for workers in [1, 2] {
        bounded(move |watch| {
            let armed = Arc::new(AtomicBool::new(false));
            let spawned = Count::default();
            let ran = Count::default();
            let handle = Arc::new(OnceLock::<Handle>::new());
            let hook = {
                let (armed, spawned, ran) = (armed.clone(), spawned.clone(), ran.clone());
                let handle = handle.clone();
                move || {
                    if armed.swap(false, Ordering::AcqRel) {
                        let ran = ran.clone();
                        let task = handle.get().unwrap().create_task(async move {
                            ran.add();
                        });
                        drop(task);
                        spawned.add();
                    }
                }
            };
            let builder = Runtime::builder().worker_threads(workers);
            let runtime = watch.build(builder.on_thread_park(hook));
            handle.set(runtime.handle()).unwrap();
            for round in 1..=50 {
                armed.store(true, Ordering::Release);
                // One task, so that a worker wakes and goes to sleep again.
                drop(runtime.handle().create_task(async {}));
                spin_until(|| spawned.get() == round);
                spin_until(|| ran.get() == round);
            }
        });
    }
}

#[test]
fn a_thread_name_that_cannot_be_given_leaves_no_thread_behind() {
    bounded(|_| {
        let (started, stopped) = (Count::default(), Count::default());
        let build = |name: fn(usize) -> String| {
            let (calls, on, off) = (Count::default(), started.clone(), stopped.clone());
            Runtime::builder()
                .worker_threads(4)
                .on_thread_start(move || {
                    on.add();
                })
                .on_thread_stop(move || {
                    off.add();
                })
                .thread_name_fn(move || name(calls.add()))
                .build()
        };
        let panic = catch_unwind(AssertUnwindSafe(|| {
            build(|call| match call {
                3 => panic!("no name"),
                _ => "named".to_owned(),
            })
        }));
        assert_eq!(text(&*panic.unwrap_err()), "no name");

        let error = build(|call| {
            if call == 2 {
                "nul\0".into()
            } else {
                "named".into()
            }
        });
        let error = error.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("thread_name"), "{error}");
        assert_eq!((started.get(), stopped.get()), (0, 0));
    });
}

#[test]
fn a_handler_that_panics_with_a_payload_that_panics_costs_no_worker() {
    struct Payload(Count);
    impl Drop for Payload {
        fn drop(&mut self) {
            self.0.add();
            panic!("in the drop of a payload");
        }
    }
    for flavour in BOTH {
        bounded(move |watch| {
            let drops = Count::default();
            let theirs = drops.clone();
            let builder = flavour
                .builder()
                .unhandled_error(move |_| panic_any(Payload(theirs.clone())));
            let runtime = watch.build(builder);
            for round in 1..=4 {
                drop(runtime.handle().create_task(async { panic!("on purpose") }));
                drive_until(&runtime, || drops.get() == round);
            }
            assert_workers_alive(&runtime, flavour.workers());
            let report = runtime.shutdown_timeout(Duration::from_secs(10));
            assert!(report.is_clean(), "{report}");
        });
    }
}

#[test]
fn an_enter_guard_that_leaves_its_block_on_does_not_bar_the_next() {
    each(&BOTH, |runtime| {
        let handle = runtime.handle();
        let guard = runtime.block_on(async { handle.enter() });
        drop(guard);
        assert_eq!(runtime.block_on(async { 1 }), 1);
    });
}

#[test]
fn a_worker_that_is_stuck_keeps_no_other_task_from_being_stopped() {
    for stuck_worker in 0..2 {
        bounded(move |watch| {
            let index = Count::default();
            let builder = Runtime::builder()
                .worker_threads(2)
                .slow_poll_threshold(Duration::MAX)
                .thread_name_fn({
                    let index = index.clone();
                    move || format!("worker-{}", index.add() - 1)
                });
            let runtime = watch.build(builder);
            let (drops, stuck) = (Count::default(), Count::default());
            let gate = Arc::new(Mutex::new(()));
            let closed = gate.lock().unwrap();
            // Tasks go from worker to worker until the wanted one has its poll that does not return.
            while stuck.get() == 0 {
                let (gate, stuck, stuck_now) = (gate.clone(), stuck.clone(), stuck.clone());
                let task = runtime.handle().create_task(async move {
                    let name = format!("worker-{stuck_worker}");
                    if std::thread::current().name() == Some(&*name) {
                        stuck.add();
                        drop(gate.lock());
                    }
                });
                spin_until(|| task.is_finished() || stuck_now.get() == 1);
            }
            let others: Vec<_> = (0..100)
                .map(|_| {
                    let token = drops.token();
                    runtime.handle().create_task(async move {
                        let _token = token;
                        pending::<()>().await;
                    })
                })
                .collect();
            let report = runtime.shutdown_timeout(Duration::from_millis(300));
            assert_eq!(drops.get(), 100, "worker {stuck_worker} is stuck: {report}");
            assert_eq!(report.tasks().len(), 1, "{report}");
            drop((closed, others));
        });
    }
}

#[test]
fn a_stack_of_every_byte_there_is_is_refused_and_not_a_panic() {
    bounded(|_| {
        for bytes in [usize::MAX, usize::MAX / 2, 1 << 62] {
            let builder = Runtime::builder().worker_threads(2);
            let error = builder.thread_stack_size(bytes).build();
            assert!(error.is_err(), "{bytes}");
        }
    });
}

#[test]
fn a_long_chain_of_finished_tasks_is_dropped_without_recursion() {
    struct Link {
        _next: Option<Task<Link>>,
        _token: Token,
    }
    each(&BOTH, |runtime| {
        let drops = Count::default();
        let head = runtime.block_on(async {
            let mut next = None;
            for _ in 0..20_000 {
                let token = drops.token();
                let task = create_task(async move {
                    Link {
                        _next: next,
                        _token: token,
                    }
                });
                until(|| task.is_finished()).await;
                next = Some(task);
            }
            yield_now().await;
            next
        });
        drop(head);
        assert_eq!(drops.get(), 20_000);
    });
}
