//! Panics: where they end, who hears of them, and what goes on regardless.

#[path = "../../tests/support/mod.rs"]
mod support;

use loxley_runtime::{Runtime, Task, TaskError, create_task, run, sleep, yield_now};
use loxley_sync::{Event, oneshot};
use std::future::{Future, pending, poll_fn};
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::time::Duration;
use support::*;

/// Ready at the first poll; its drop panics.
struct PanicsWhenDone(#[allow(dead_code, reason = "held for its drop")] PanicsInDrop);

impl Future for PanicsWhenDone {
    type Output = u32;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u32> {
        Poll::Ready(9)
    }
}

struct PanickingWaker;

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        panic!("in a foreign waker");
    }
}

/// A waker whose clone and drop panic on demand.
struct Nasty {
    in_clone: bool,
    in_drop: bool,
}

static NASTY: RawWakerVTable = RawWakerVTable::new(
    |data| {
        assert!(!nasty(data).in_clone, "in a foreign waker's clone");
        RawWaker::new(data, &NASTY)
    },
    |_| {},
    |_| {},
    |data| assert!(!nasty(data).in_drop, "in a foreign waker's drop"),
);

fn nasty(data: *const ()) -> &'static Nasty {
    static KINDS: [Nasty; 2] = [
        Nasty {
            in_clone: true,
            in_drop: false,
        },
        Nasty {
            in_clone: false,
            in_drop: true,
        },
    ];
    &KINDS[data.addr()]
}

#[expect(
    unsafe_code,
    reason = "std offers no other way to a waker whose clone panics"
)]
fn nasty_waker(kind: usize) -> std::mem::ManuallyDrop<Waker> {
    let data = std::ptr::without_provenance(kind);
    // SAFETY: the functions take any number as data, and are safe for every thread.
    std::mem::ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(data, &NASTY)) })
}

#[test]
fn a_panic_in_poll_ends_only_its_task() {
    #[derive(Debug, PartialEq)]
    struct Payload(u32);
    each(&ALL, |runtime| {
        let (bad, siblings) = runtime.block_on(async {
            let siblings: Vec<_> = (0..8_u32)
                .map(|n| {
                    create_task(async move {
                        for _ in 0..10 {
                            yield_now().await;
                        }
                        n
                    })
                })
                .collect();
            let bad = create_task(async { panic_any(Payload(3)) }).await;
            let mut sum = 0;
            for sibling in siblings {
                sum += sibling.await.unwrap();
            }
            (bad, sum)
        });
        let Err(TaskError::Panicked(panic)) = bad else {
            panic!("{bad:?}")
        };
        assert_eq!(
            *panic.into_payload().downcast::<Payload>().unwrap(),
            Payload(3)
        );
        assert_eq!(siblings, 28);
        assert_eq!(runtime.handle().metrics().live_tasks, 0);
    });
}

#[test]
fn a_panic_in_the_drop_of_a_finished_future_keeps_the_value_and_is_reported_once() {
    let reports = Reports::default();
    let seen = reports.clone();
    each_with(
        &BOTH,
        move |builder| reports.install(builder),
        move |flavour, runtime| {
            let before = seen.len();
            let drops = Count::default();
            let future = PanicsWhenDone(PanicsInDrop(drops.clone()));
            let task = runtime.handle().create_task(future);
            assert_eq!(runtime.block_on(task).unwrap(), 9);
            assert_eq!(drops.get(), 1);
            let reports = &seen.list()[before..];
            assert_eq!(reports.len(), 1, "{reports:?}");
            assert!(reports[0].contains("in drop") && reports[0].contains("panics.rs"));
            assert_workers_alive(&runtime, flavour.workers());
        },
    );
}

#[test]
fn a_panic_in_the_drop_of_a_cancelled_future_makes_the_outcome_a_panic_and_wakes_the_awaiter() {
    let reports = Reports::default();
    let seen = reports.clone();
    each_with(
        &BOTH,
        move |builder| reports.install(builder),
        move |_, runtime| {
            let before = seen.len();
            for polls_first in [false, true] {
                let drops = Count::default();
                let held = PanicsInDrop(drops.clone());
                let outcome = runtime.block_on(async {
                    let task = create_task(async move {
                        let _held = held;
                        pending::<()>().await;
                    });
                    if polls_first {
                        for _ in 0..3 {
                            yield_now().await;
                        }
                    }
                    let other = task.as_ref();
                    let waiter = create_task(task);
                    yield_now().await;
                    assert!(other.cancel());
                    waiter.await.unwrap()
                });
                let Err(TaskError::Panicked(panic)) = outcome else {
                    panic!("{outcome:?}")
                };
                assert_eq!(panic.message(), "in drop");
                assert_eq!(drops.get(), 1);
            }
            assert_eq!(seen.len(), before, "it was awaited");
        },
    );
}

#[test]
fn a_panic_in_the_drop_of_an_output_nobody_reads_is_reported_once_and_reaches_nobody() {
    let reports = Reports::default();
    let seen = reports.clone();
    each_with(
        &BOTH,
        move |builder| reports.install(builder),
        move |flavour, runtime| {
            for after_completion in [false, true] {
                let before = seen.len();
                let drops = Count::default();
                let output = PanicsInDrop(drops.clone());
                let task = runtime.handle().create_task(async move { output });
                runtime.block_on(async {
                    if after_completion {
                        until(|| task.is_finished()).await;
                    }
                    drop(task);
                });
                drive_until(&runtime, || seen.len() > before);
                assert_eq!(drops.get(), 1);
                assert_eq!(seen.len(), before + 1, "{:?}", seen.list());
                assert!(seen.list()[before].contains("in drop"));
            }
            // Where no runtime is at hand the line goes to standard error, and the panic still to nobody.
            let drops = Count::default();
            let output = PanicsInDrop(drops.clone());
            let task = runtime.handle().create_task(async move { output });
            drive_until(&runtime, || task.is_finished());
            drop(task);
            assert_eq!(drops.get(), 1);
            assert_workers_alive(&runtime, flavour.workers());
        },
    );
}

#[test]
fn a_second_panic_while_the_first_unwinds_aborts_the_process_with_both_messages() {
    const NAME: &str =
        "a_second_panic_while_the_first_unwinds_aborts_the_process_with_both_messages";
    struct Second;
    impl Drop for Second {
        fn drop(&mut self) {
            panic!("the second");
        }
    }
    if is_child(NAME) {
        return run(async {
            let _ = create_task(async {
                let _held = Second;
                panic!("the first");
            })
            .await;
        });
    }
    let output = in_child(NAME, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(6), "{said}");
    assert!(
        said.contains("the first") && said.contains("the second"),
        "{said}"
    );
}

#[test]
fn a_panic_in_the_future_and_then_in_its_drop_is_one_outcome() {
    /// Panics in poll, and again when it is dropped, which is not while it unwinds.
    struct Twice(Count);
    impl Future for Twice {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            panic!("in poll");
        }
    }
    impl Drop for Twice {
        fn drop(&mut self) {
            self.0.add();
            panic!("in drop");
        }
    }
    each(&BOTH, |runtime| {
        let drops = Count::default();
        let task = runtime.handle().create_task(Twice(drops.clone()));
        let Err(TaskError::Panicked(panic)) = runtime.block_on(task) else {
            panic!("no panic")
        };
        assert_eq!(panic.message(), "in poll");
        assert_eq!(drops.get(), 1);
    });
}

#[test]
fn a_foreign_waker_that_panics_in_wake_costs_no_worker_and_no_other_waiter() {
    each_with(
        &BOTH,
        |builder| builder,
        |flavour, runtime| {
            let angry = Waker::from(Arc::new(PanickingWaker));
            // The joiner of a task.
            let (go, gone) = oneshot::channel::<()>();
            let mut task = runtime.handle().create_task(async move {
                let _ = gone.await;
                5
            });
            assert!(poll_with(&mut task, &angry).is_pending());
            go.send(()).unwrap();
            drive_until(&runtime, || task.is_finished());
            assert_eq!(runtime.block_on(task).unwrap(), 5);
            // A timer, with another that is due at the same instant.
            let mut foreign = Box::pin({
                let _entered = runtime.enter();
                sleep(Duration::from_millis(1))
            });
            {
                let _entered = runtime.enter();
                assert!(poll_with(&mut foreign, &angry).is_pending());
            }
            let deadline = foreign.as_ref().deadline();
            runtime.block_on(loxley_runtime::sleep_until(deadline));
            runtime.block_on(sleep(Duration::from_millis(2)));
            assert_workers_alive(&runtime, flavour.workers());
        },
    );
}

#[test]
fn a_panicking_waker_leaves_the_other_waiters_of_an_event_woken() {
    each(&BOTH, |runtime| {
        let event = Arc::new(Event::new());
        let mut foreign = Box::pin(event.wait());
        assert!(poll_with(&mut foreign, &Waker::from(Arc::new(PanickingWaker))).is_pending());
        let others: Vec<_> = (0..5)
            .map(|_| {
                let event = event.clone();
                runtime
                    .handle()
                    .create_task(async move { event.wait().await })
            })
            .collect();
        runtime.block_on(async {
            for _ in 0..10 {
                yield_now().await;
            }
            assert_eq!(panic_text(|| event.set()), "in a foreign waker");
            for other in others {
                other.await.unwrap();
            }
        });
        assert!(event.is_set());
    });
}

#[test]
fn a_foreign_waker_that_panics_in_clone_or_drop_leaves_the_handle_usable() {
    each(&BOTH, |runtime| {
        let (go, gone) = oneshot::channel::<()>();
        let mut task = runtime
            .handle()
            .create_task(async move { gone.await.is_ok() });
        let clones = nasty_waker(0);
        assert_eq!(
            panic_text(|| poll_with(&mut task, &clones)),
            "in a foreign waker's clone"
        );
        // Stored, and replaced by a better one: the drop of the old one panics in the hands of whoever replaces it.
        let drops = nasty_waker(1);
        assert!(poll_with(&mut task, &drops).is_pending());
        let wakes = Count::default();
        let good = counting_waker(&wakes);
        assert_eq!(
            panic_text(|| poll_with(&mut task, &good)),
            "in a foreign waker's drop"
        );
        go.send(()).unwrap();
        drive_until(&runtime, || wakes.get() == 1);
        assert!(runtime.block_on(task).unwrap());
    });
}

#[test]
fn panics_in_hooks_change_nothing() {
    let calls = Count::default();
    let ended = calls.clone();
    each_with(
        &BOTH,
        move |builder| {
            let hook = |calls: &Count| {
                let calls = calls.clone();
                move || {
                    calls.add();
                    panic!("in a hook");
                }
            };
            let task_hook = |calls: &Count| {
                let calls = calls.clone();
                move |_: &loxley_runtime::TaskRef| {
                    calls.add();
                    panic!("in a task hook");
                }
            };
            builder
                .on_thread_start(hook(&calls))
                .on_thread_stop(hook(&calls))
                .on_thread_park(hook(&calls))
                .on_thread_unpark(hook(&calls))
                .on_task_spawn(task_hook(&calls))
                .on_task_terminate(task_hook(&calls))
        },
        move |flavour, runtime| {
            let before = ended.get();
            let tasks: Vec<_> = (0..10)
                .map(|n| runtime.handle().create_task(async move { n }))
                .collect();
            let sum = runtime.block_on(async {
                let mut sum = 0;
                for task in tasks {
                    sum += task.await.unwrap();
                }
                sum
            });
            assert_eq!(sum, 45);
            assert!(ended.get() >= before + 20);
            assert_workers_alive(&runtime, flavour.workers());
            let report = runtime.shutdown_timeout(Duration::from_secs(10));
            assert!(report.is_clean(), "{report}");
        },
    );
}

#[test]
fn a_panic_in_the_handler_is_no_reason_to_call_it_again() {
    let calls = Count::default();
    let seen = calls.clone();
    each_with(
        &BOTH,
        move |builder| {
            let calls = calls.clone();
            builder.unhandled_error(move |_| {
                calls.add();
                panic!("in the handler");
            })
        },
        move |flavour, runtime| {
            let before = seen.get();
            drop(runtime.handle().create_task(async { panic!("in a task") }));
            drive_until(&runtime, || seen.get() > before);
            assert_workers_alive(&runtime, flavour.workers());
            drop(runtime);
            assert_eq!(seen.get(), before + 1);
        },
    );
}

#[test]
fn a_panic_whose_payload_panics_when_dropped_is_contained() {
    struct Payload(Count);
    impl Drop for Payload {
        fn drop(&mut self) {
            self.0.add();
            panic!("in the drop of a payload");
        }
    }
    let reports = Reports::default();
    let seen = reports.clone();
    each_with(
        &BOTH,
        move |builder| reports.install(builder),
        move |flavour, runtime| {
            let drops = Count::default();
            // Detached: the runtime drops it.
            let before = seen.len();
            let payload = Payload(drops.clone());
            drop(
                runtime
                    .handle()
                    .create_task(async move { panic_any(payload) }),
            );
            drive_until(&runtime, || seen.len() > before && drops.get() == 1);
            // Awaited: the error holds it, and contains it too.
            let payload = Payload(drops.clone());
            let task: Task<()> = runtime
                .handle()
                .create_task(async move { panic_any(payload) });
            let error = runtime.block_on(task).unwrap_err();
            assert!(error.is_panic());
            drop(error);
            assert_eq!(drops.get(), 2);
            // In the drop of a future.
            let payload = Payload(drops.clone());
            struct Bomb(Option<Payload>);
            impl Drop for Bomb {
                fn drop(&mut self) {
                    panic_any(self.0.take());
                }
            }
            let bomb = Bomb(Some(payload));
            let task = runtime.handle().create_task(async move { drop(bomb) });
            drop(task);
            drive_until(&runtime, || drops.get() == 3);
            assert_workers_alive(&runtime, flavour.workers());
        },
    );
}

#[test]
fn a_panic_in_main_leaves_block_on_and_the_runtime_goes_on() {
    each(&ALL, |runtime| {
        for round in 0..3 {
            let drops = Count::default();
            let held = drops.token();
            let text = panic_text(|| {
                runtime.block_on(async move {
                    let _held = held;
                    yield_now().await;
                    panic!("main, round {round}");
                })
            });
            assert_eq!(text, format!("main, round {round}"));
            assert_eq!(drops.get(), 1);
        }
        assert_eq!(runtime.block_on(async { 4 }), 4);
        assert_eq!(runtime.handle().metrics().live_tasks, 0);
    });
}

#[test]
fn a_panic_in_the_drop_of_main_does_not_lose_its_value() {
    let reports = Reports::default();
    let seen = reports.clone();
    each_with(
        &BOTH,
        move |builder| reports.install(builder),
        move |_, runtime| {
            let before = seen.len();
            let drops = Count::default();
            let main = PanicsWhenDone(PanicsInDrop(drops.clone()));
            assert_eq!(runtime.block_on(main), 9);
            assert_eq!((drops.get(), seen.len()), (1, before + 1));
        },
    );
}

#[test]
fn a_panic_in_the_main_of_run_comes_out_after_every_task_was_dropped() {
    bounded(|_| {
        let drops = Count::default();
        let text = panic_text(|| {
            run(async {
                for _ in 0..100 {
                    let token = drops.token();
                    drop(create_task(async move {
                        let _token = token;
                        pending::<()>().await;
                    }));
                }
                yield_now().await;
                panic!("main");
            })
        });
        assert_eq!(text, "main");
        assert_eq!(drops.get(), 100);
    });
}

#[test]
fn a_main_that_is_cancelled_panics_at_the_line_of_block_on() {
    each(&BOTH, |runtime| {
        let text = panic_text(|| {
            runtime.block_on(async {
                loxley_runtime::current_task()
                    .unwrap()
                    .cancel_with("enough");
                pending::<()>().await;
            });
        });
        assert!(
            text.contains("enough") && text.contains("block_on"),
            "{text}"
        );
        assert_eq!(runtime.block_on(async { 1 }), 1);
    });
}

#[test]
fn a_detached_tasks_panic_is_reported_exactly_once_whenever_the_handle_went() {
    #[derive(Clone, Copy, Debug)]
    enum Goes {
        BeforeTheFirstPoll,
        AfterCompletion,
        AfterTheRuntime,
        Awaited,
    }
    for flavour in BOTH {
        for goes in [
            Goes::BeforeTheFirstPoll,
            Goes::AfterCompletion,
            Goes::AfterTheRuntime,
            Goes::Awaited,
        ] {
            bounded(move |watch| {
                let reports = Reports::default();
                let runtime = watch.build(reports.install(flavour.builder()));
                let task: Task<()> = runtime.handle().create_task(async { panic!("on purpose") });
                let id = task.id();
                let expected = usize::from(!matches!(goes, Goes::Awaited));
                match goes {
                    Goes::BeforeTheFirstPoll => {
                        drop(task);
                        drive_until(&runtime, || reports.len() > 0);
                    }
                    Goes::AfterCompletion => {
                        drive_until(&runtime, || task.is_finished());
                        assert_eq!(reports.len(), 0, "it may still be awaited");
                        drop(task);
                    }
                    Goes::AfterTheRuntime => {
                        drive_until(&runtime, || task.is_finished());
                        let report = runtime.shutdown_timeout(Duration::from_secs(10));
                        assert!(report.is_clean(), "{report}");
                        assert_eq!(reports.len(), 0, "it may still be awaited");
                        drop(task);
                        assert_eq!(reports.len(), 1);
                        return;
                    }
                    Goes::Awaited => drop(runtime.block_on(task)),
                }
                drop(runtime);
                let reports = reports.list();
                assert_eq!(reports.len(), expected, "{flavour:?} {goes:?}: {reports:?}");
                for report in reports {
                    assert!(report.contains("on purpose"), "{report}");
                    assert!(report.contains("panics.rs"), "{report}");
                    assert!(report.contains(&format!("Task-{id}")), "{report}");
                }
            });
        }
    }
}

#[test]
fn what_a_panicking_task_held_is_given_back_before_anybody_sees_it_end() {
    each(&ALL, |runtime| {
        let lock = Arc::new(Mutex::new(0));
        let (sender, receiver) = oneshot::channel::<()>();
        let theirs = lock.clone();
        let task: Task<()> = runtime.handle().create_task(async move {
            let _sender = sender;
            yield_now().await;
            let _held = theirs.lock();
            panic!("with a lock");
        });
        let result = runtime.block_on(async {
            let closed = receiver.await;
            (task.await, closed)
        });
        assert!(result.0.unwrap_err().is_panic());
        assert!(result.1.is_err(), "the sender is gone");
        assert!(
            lock.try_lock()
                .is_err_and(|error| matches!(error, std::sync::TryLockError::Poisoned(_)))
        );
    });
}

#[test]
fn a_panic_in_poll_inside_a_nested_poll_restores_what_the_outer_task_is() {
    each(&BOTH, |runtime| {
        runtime.block_on(async {
            let me = loxley_runtime::current_task();
            let result = poll_fn(|_| {
                let result = catch_unwind(AssertUnwindSafe(|| panic!("caught by the task itself")));
                Poll::Ready(result)
            })
            .await;
            assert!(result.is_err());
            assert_eq!(loxley_runtime::current_task(), me);
            create_task(async {}).await.unwrap();
        });
    });
}

#[test]
fn a_runtime_dropped_in_unwinding_stops_like_any_other() {
    bounded(|_| {
        let drops = Count::default();
        let text = panic_text(|| {
            let runtime = Runtime::builder().worker_threads(2).build().unwrap();
            for _ in 0..10 {
                let token = drops.token();
                drop(runtime.handle().create_task(async move {
                    let _token = token;
                    pending::<()>().await;
                }));
            }
            panic!("outside");
        });
        assert_eq!(text, "outside");
        assert_eq!(drops.get(), 10);
    });
}
