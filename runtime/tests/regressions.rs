//! Faults that were found and mended, each by the name of what went wrong.

#[path = "../../tests/support/mod.rs"]
mod support;

use loxley_runtime::{Handle, Runtime, Task, create_task, sleep, timeout, yield_now};
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
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
            let handle = Arc::new(Mutex::new(None::<Handle>));
            let hook = {
                let (armed, spawned, ran) = (armed.clone(), spawned.clone(), ran.clone());
                let handle = handle.clone();
                move || {
                    if armed.swap(false, Ordering::AcqRel) {
                        let ran = ran.clone();
                        let handle = handle.lock().unwrap().clone().unwrap();
                        drop(handle.create_task(async move {
                            ran.add();
                        }));
                        spawned.add();
                    }
                }
            };
            let builder = Runtime::builder().worker_threads(workers);
            let runtime = watch.build(builder.on_thread_park(hook));
            *handle.lock().unwrap() = Some(runtime.handle());
            for round in 1..=50 {
                armed.store(true, Ordering::Release);
                // One task, so that a worker wakes and goes to sleep again.
                drop(runtime.handle().create_task(async {}));
                spin_until(|| spawned.get() == round);
                spin_until(|| ran.get() == round);
            }
            // The hook belongs to the runtime that the handle keeps.
            *handle.lock().unwrap() = None;
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
fn enter_guards_that_are_dropped_out_of_order_leave_no_runtime_behind() {
    // Which of three guards goes first, second and last.
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    each(&BOTH, move |runtime| {
        let others = [(); 3].map(|()| Runtime::builder().current_thread().build().unwrap());
        let handles = others.each_ref().map(Runtime::handle);
        for order in orders {
            let mut guards = handles.each_ref().map(|handle| Some(handle.enter()));
            for gone in order {
                guards[gone] = None;
                // The newest of those that are left.
                let current = guards.iter().rposition(Option::is_some);
                let task = Handle::try_current()
                    .ok()
                    .map(|_| create_task(pending::<()>()));
                let place = task.as_ref().map(|task| {
                    let is_there = |handle: &Handle| handle.all_tasks().contains(&task.as_ref());
                    handles.iter().position(is_there)
                });
                assert_eq!(place, current.map(Some), "{order:?}, after {gone}");
            }
        }
        // One that outlives the `block_on` that it was made in.
        let guard = runtime.block_on(async { handles[0].enter() });
        assert!(Handle::try_current().is_ok());
        drop(guard);
        assert!(Handle::try_current().is_err());
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
fn a_stack_too_small_for_the_report_of_a_panic_is_refused_and_the_least_one_holds_it() {
    bounded(|watch| {
        for bytes in [0, 1, 16 << 10, (64 << 10) - 1] {
            let builder = Runtime::builder().worker_threads(1);
            let error = builder.thread_stack_size(bytes).build().unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains("thread_stack_size"), "{error}");
        }
        let builder = Runtime::builder().worker_threads(1);
        let runtime = watch.build(builder.thread_stack_size(64 << 10));
        let task = runtime.handle().create_task(async { panic!("reported") });
        let outcome: Result<(), _> = runtime.block_on(task);
        assert!(outcome.unwrap_err().is_panic());
    });
}

#[test]
fn a_long_chain_of_finished_tasks_is_dropped_without_recursion() {
    struct Link {
        _next: Option<Task<Self>>,
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

/// A task that spawns another into its worker's LIFO slot and does not return before that one ran.
async fn waits_for_its_own_child() {
    let ran = Count::default();
    let theirs = ran.clone();
    drop(create_task(async move {
        theirs.add();
    }));
    spin_until(|| ran.get() == 1);
}

#[test]
fn a_poll_that_hangs_is_noticed_while_main_waits_for_a_deadline() {
    for _ in 0..5 {
        each(&[Flavour::Workers(2)], |runtime| {
            runtime.block_on(async {
                let task = create_task(waits_for_its_own_child());
                let hour = Duration::from_secs(3600);
                timeout(hour, task).await.unwrap().unwrap();
            });
        });
    }
}

#[test]
fn a_poll_that_hangs_is_noticed_after_main_has_gone() {
    for _ in 0..5 {
        each(&[Flavour::Workers(2)], |runtime| {
            let mut spawned = None;
            runtime.block_on(async {
                spawned = Some(create_task(async {
                    sleep(Duration::from_millis(1)).await;
                    waits_for_its_own_child().await;
                }));
            });
            let task = spawned.unwrap();
            spin_until(|| task.is_finished());
        });
    }
}

#[test]
fn a_sleep_first_polled_by_main_fires_in_the_task_it_moved_to() {
    bounded(|watch| {
        let runtime = watch.build(Runtime::builder().worker_threads(2));
        let task = runtime.block_on(async {
            let mut nap = sleep(Duration::from_millis(20));
            // Armed in main's shard, which nobody watches once main has gone.
            let first = poll_fn(|cx| Poll::Ready(Pin::new(&mut nap).poll(cx))).await;
            assert!(first.is_pending());
            [create_task(nap)]
        });
        let (sender, receiver) = std::sync::mpsc::channel();
        let [task] = task;
        drop(runtime.handle().create_task(async move {
            task.await.unwrap();
            sender.send(()).unwrap();
        }));
        receiver.recv().unwrap();
    });
}

#[test]
fn a_sleep_first_polled_by_main_fires_where_another_runtime_or_none_awaits_it() {
    bounded(|watch| {
        let runtime = watch.build(Runtime::builder().worker_threads(2));
        let other = watch.build(Runtime::builder().current_thread());
        let begun = || {
            runtime.block_on(async {
                let mut nap = Box::pin(sleep(Duration::from_millis(20)));
                assert!(poll_fn(|cx| Poll::Ready(nap.as_mut().poll(cx).is_pending())).await);
                [nap]
            })
        };
        let ([with_another], [with_none]) = (begun(), begun());
        other.block_on(with_another);
        loxley_sync::wait::block_on(with_none);
    });
}

/// A waker that panics when it is woken, as often as it is.
struct Angry;

impl Wake for Angry {
    fn wake(self: Arc<Self>) {
        panic!("an angry waker");
    }
}

/// Arms far more timers with angry wakers than one batch holds, and forgets to be woken.
async fn arm_angrily(after: Duration) -> Vec<Pin<Box<loxley_runtime::Sleep>>> {
    let waker = Waker::from(Arc::new(Angry));
    let mut cx = Context::from_waker(&waker);
    let mut naps: Vec<_> = (0..100).map(|_| Box::pin(sleep(after))).collect();
    for nap in &mut naps {
        assert!(nap.as_mut().poll(&mut cx).is_pending());
    }
    naps
}

#[test]
fn more_panicking_wakers_than_one_batch_holds_end_no_worker() {
    each(&BOTH, |runtime| {
        runtime.block_on(async {
            let naps = create_task(arm_angrily(Duration::from_millis(1)));
            let naps = naps.await.unwrap();
            sleep(Duration::from_millis(2)).await;
            // They have fired, whatever became of their wakers; workers and timers go on.
            create_task(sleep(Duration::from_millis(1))).await.unwrap();
            drop(naps);
        });
        assert_eq!(runtime.block_on(async { 7 }), 7);
    });
}

#[test]
fn panicking_wakers_at_shutdown_do_not_cost_the_grace() {
    each(&BOTH, |runtime| {
        let naps = runtime.block_on(async {
            create_task(arm_angrily(Duration::from_secs(3_600)))
                .await
                .unwrap()
        });
        // A grace beyond every hang limit: it must not be needed.
        let report = runtime.shutdown_timeout(Duration::from_secs(3_600));
        assert!(report.is_clean(), "{report}");
        drop(naps);
    });
}

#[test]
fn a_main_task_that_never_rests_still_meets_its_limit() {
    each_with(
        &BOTH,
        |builder| builder,
        |_, runtime| {
            let restless = poll_fn(|cx: &mut Context<'_>| {
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            });
            let limited = timeout(Duration::from_millis(5), restless);
            runtime.block_on(limited).unwrap_err();
        },
    );
}
