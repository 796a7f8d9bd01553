//! Wakers: kept too long, called too often, from everywhere, or never.

#[path = "../../tests/support/mod.rs"]
mod support;

use loxley_runtime::{Runtime, Task, TaskError, all_tasks, create_task, yield_now};
use loxley_sync::ambient::WaitKind;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;
use support::*;

/// Counts its polls, hands its waker out at each, and is ready when told.
#[derive(Clone, Default)]
struct Probe {
    polls: Count,
    waker: Arc<Mutex<Option<Waker>>>,
    ready: Arc<AtomicBool>,
}

impl Probe {
    fn waker(&self) -> Waker {
        self.waker.lock().unwrap().clone().expect("polled before")
    }

    fn finish(&self) {
        self.ready.store(true, Ordering::Release);
    }
}

impl Future for Probe {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let old = self.waker.lock().unwrap().replace(cx.waker().clone());
        drop(old);
        self.polls.add();
        match self.ready.load(Ordering::Acquire) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

fn spawn_probe(runtime: &Runtime) -> (Probe, Task<()>) {
    let probe = Probe::default();
    let task = runtime.handle().create_task(probe.clone());
    drive_until(runtime, || probe.polls.get() == 1);
    (probe, task)
}

/// Gives every wake-up that is under way the time to turn into a poll.
fn settle(runtime: &Runtime) {
    runtime.block_on(async {
        for _ in 0..50 {
            create_task(yield_now()).await.unwrap();
        }
    });
}

#[test]
fn waking_a_finished_task_polls_nothing() {
    each(&ALL, |runtime| {
        let (probe, task) = spawn_probe(&runtime);
        probe.finish();
        probe.waker().wake();
        drive_until(&runtime, || task.is_finished());
        for _ in 0..100_000 {
            probe.waker().wake();
            probe.waker().wake_by_ref();
        }
        runtime.block_on(task).unwrap();
        for _ in 0..1_000 {
            probe.waker().wake();
        }
        settle(&runtime);
        assert_eq!(probe.polls.get(), 2);
        let report = runtime.shutdown_timeout(Duration::from_secs(10));
        assert!(report.is_clean(), "{report}");
        probe.waker().wake();
    });
}

#[test]
fn wakes_during_a_poll_give_exactly_one_more_poll() {
    each(&ALL, |runtime| {
        let polls = Count::default();
        let counted = polls.clone();
        let task: Task<()> = runtime.handle().create_task(poll_fn(move |cx| {
            if counted.add() == 1 {
                for _ in 0..10 {
                    cx.waker().wake_by_ref();
                    let used_up = cx.waker().clone();
                    used_up.wake();
                }
            }
            Poll::Pending
        }));
        drive_until(&runtime, || polls.get() == 2);
        settle(&runtime);
        assert_eq!(polls.get(), 2);
        drop(task);
    });
}

#[test]
fn many_wakes_before_the_next_poll_give_one_poll() {
    bounded(|watch| {
        let runtime = watch.build(Flavour::OneThread.builder());
        let (probe, _task) = spawn_probe(&runtime);
        for _ in 0..1_000 {
            probe.waker().wake();
        }
        settle(&runtime);
        assert_eq!(probe.polls.get(), 2);
    });
}

#[test]
fn a_storm_of_clones_drops_and_wakes_ends_with_one_outcome() {
    each(&ALL, |runtime| {
        let drops = Count::default();
        let token = drops.token();
        let probe = Probe::default();
        let task = runtime.handle().create_task({
            let probe = probe.clone();
            async move {
                let _token = token;
                probe.await;
                8
            }
        });
        drive_until(&runtime, || probe.polls.get() > 0);
        let storm = Count::default();
        for n in 0..8 {
            let waker = probe.waker();
            let storm = storm.clone();
            thread::spawn(move || {
                let mut kept = Vec::new();
                for round in 0..20_000 {
                    kept.push(waker.clone());
                    if kept.len() == 16 {
                        kept.clear();
                    }
                    if round % (97 + n) == 0 {
                        waker.wake_by_ref();
                    }
                }
                storm.add();
            });
        }
        drive_until(&runtime, || storm.get() == 8);
        probe.finish();
        probe.waker().wake();
        assert_eq!(runtime.block_on(task).unwrap(), 8);
        assert_eq!(drops.get(), 1);
    });
}

#[test]
fn a_task_woken_by_a_foreign_worker_runs_in_its_own_runtime() {
    for flavour in ALL {
        bounded(move |watch| {
            let theirs = watch.build(Runtime::builder().worker_threads(2).thread_name("theirs"));
            let ours = watch.build(flavour.builder().thread_name("ours"));
            let here = thread::current().id();
            let rounds = 200;
            let (ping, pong) = (Probe::default(), Count::default());
            let seen = pong.clone();
            let waker = ping.waker.clone();
            let task = ours.handle().create_task({
                let inner = ping.clone();
                async move {
                    let mut inner = inner;
                    poll_fn(move |cx| {
                        let thread = thread::current();
                        assert!(thread.name() == Some("ours") || thread.id() == here);
                        if seen.get() == rounds {
                            return Poll::Ready(());
                        }
                        Pin::new(&mut inner).poll(cx)
                    })
                    .await;
                }
            });
            let waking = theirs.handle().create_task(async move {
                while pong.get() < rounds {
                    let waker = waker.lock().unwrap().take();
                    match waker {
                        Some(waker) => {
                            assert_eq!(thread::current().name(), Some("theirs"));
                            pong.add();
                            waker.wake();
                        }
                        None => yield_now().await,
                    }
                }
            });
            ours.block_on(task).unwrap();
            theirs.block_on(waking).unwrap();
        });
    }
}

#[test]
fn a_waker_outlives_its_runtime_and_dies_on_a_foreign_thread() {
    each(&ALL, |runtime| {
        let drops = Count::default();
        let probe = Probe::default();
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let probe = Probe {
                    waker: Arc::default(),
                    ..probe.clone()
                };
                let mine = probe.clone();
                let token = drops.token();
                let task = runtime.handle().create_task(async move {
                    let _token = token;
                    mine.await;
                });
                (probe, task)
            })
            .collect();
        drive_until(&runtime, || probe.polls.get() == 50);
        drop(runtime);
        assert_eq!(drops.get(), 50, "the futures went with the runtime");
        let thread = thread::spawn(move || {
            for (probe, task) in tasks {
                let waker = probe.waker();
                waker.wake_by_ref();
                assert!(task.is_finished());
                drop(task);
                waker.wake();
                drop(probe);
            }
        });
        thread.join().unwrap();
        assert_eq!(probe.polls.get(), 50);
    });
}

#[test]
fn a_waker_that_is_never_dropped_keeps_only_the_cell() {
    /// What `mem::forget` would do, but so that a leak checker sees who holds it.
    static KEPT: Mutex<Vec<Waker>> = Mutex::new(Vec::new());
    each(&BOTH, |runtime| {
        let drops = Count::default();
        let token = drops.token();
        let polls = Count::default();
        let seen = polls.clone();
        let task: Task<()> = runtime.handle().create_task(async move {
            let _token = token;
            poll_fn(move |cx| {
                KEPT.lock().unwrap().push(cx.waker().clone());
                seen.add();
                Poll::<()>::Pending
            })
            .await;
        });
        drive_until(&runtime, || polls.get() == 1);
        let report = runtime.shutdown_timeout(Duration::from_secs(10));
        assert!(report.is_clean(), "{report}");
        assert_eq!(drops.get(), 1);
        assert!(task.is_finished());
    });
}

#[test]
fn a_tasks_wakers_wake_the_same_task_and_only_that() {
    each(&BOTH, |runtime| {
        let (one, _task) = spawn_probe(&runtime);
        let (two, _other) = spawn_probe(&runtime);
        let first = one.waker();
        one.waker().wake();
        drive_until(&runtime, || one.polls.get() == 2);
        assert!(first.will_wake(&one.waker()));
        assert!(first.will_wake(&first.clone()));
        assert!(!first.will_wake(&two.waker()));
    });
}

#[test]
fn of_two_tasks_that_poll_one_handle_the_last_is_woken() {
    each(&ALL, |runtime| {
        let (probe, task) = spawn_probe(&runtime);
        let shared = Arc::new(Mutex::new(Some(task)));
        let polls = [Count::default(), Count::default()];
        let waiting: Vec<_> = (0..2)
            .map(|n| {
                let (shared, polls) = (shared.clone(), polls[n].clone());
                runtime.handle().create_task(poll_fn(move |cx| {
                    polls.add();
                    let mut slot = shared.lock().unwrap();
                    match slot.as_mut() {
                        None => Poll::Ready(None),
                        Some(task) => match Pin::new(task).poll(cx) {
                            Poll::Pending => Poll::Pending,
                            Poll::Ready(result) => {
                                *slot = None;
                                Poll::Ready(Some(result))
                            }
                        },
                    }
                }))
            })
            .collect();
        drive_until(&runtime, || polls.iter().all(|polls| polls.get() > 0));
        probe.finish();
        probe.waker().wake();
        let results = runtime.block_on(async {
            until(|| waiting.iter().any(Task::is_finished)).await;
            let mut taken = 0;
            for task in waiting {
                if task.is_finished() {
                    taken += usize::from(task.await.unwrap().is_some());
                } else {
                    task.cancel();
                }
            }
            taken
        });
        assert_eq!(results, 1);
    });
}

#[test]
fn a_future_that_wakes_itself_and_others_while_it_is_dropped_harms_nobody() {
    struct WakesInDrop(Arc<Mutex<Vec<Waker>>>);
    impl Drop for WakesInDrop {
        fn drop(&mut self) {
            let wakers = std::mem::take(&mut *self.0.lock().unwrap());
            for waker in wakers {
                waker.wake_by_ref();
                waker.wake();
            }
        }
    }
    each(&ALL, |runtime| {
        let wakers = Arc::new(Mutex::new(Vec::new()));
        let polled = Count::default();
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let held = WakesInDrop(wakers.clone());
                let polled = polled.clone();
                runtime.handle().create_task(async move {
                    poll_fn(|cx| {
                        held.0.lock().unwrap().push(cx.waker().clone());
                        polled.add();
                        Poll::<()>::Pending
                    })
                    .await;
                })
            })
            .collect();
        drive_until(&runtime, || polled.get() >= 100);
        tasks[0].cancel();
        drive_until(&runtime, || tasks[0].is_finished());
        for task in &tasks {
            task.cancel();
        }
        runtime.block_on(async {
            for task in tasks {
                assert!(task.await.unwrap_err().is_cancelled());
            }
        });
    });
}

#[test]
fn a_chain_of_wakes_a_hundred_thousand_long_needs_no_stack() {
    each(&BOTH, |runtime| {
        let end = runtime.block_on(async {
            let mut last = create_task(async { 0_u32 });
            for _ in 0..100_000 {
                let before = last;
                last = create_task(async move { before.await.unwrap() + 1 });
            }
            last.await.unwrap()
        });
        assert_eq!(end, 100_000);
    });
}

#[test]
fn a_task_whose_waker_was_thrown_away_is_pending_and_shutdown_still_ends_it() {
    each(&ALL, |runtime| {
        let drops = Count::default();
        let token = drops.token();
        let task = runtime.handle().create_task(async move {
            let _token = token;
            pending::<()>().await;
        });
        settle(&runtime);
        let live = runtime.handle().all_tasks();
        assert_eq!(live, [task.as_ref()]);
        assert_eq!(live[0].waiting_for().kind, WaitKind::Unknown);
        assert!(!live[0].is_runnable());
        let report = runtime.shutdown_timeout(Duration::from_secs(10));
        assert!(report.is_clean(), "{report}");
        assert_eq!(drops.get(), 1);
    });
}

#[test]
fn wake_cancel_and_completion_at_once_give_one_outcome() {
    each(&ALL, |runtime| {
        for _ in 0..300 {
            let drops = Count::default();
            let token = drops.token();
            let probe = Probe::default();
            let mine = probe.clone();
            let task = runtime.handle().create_task(async move {
                let _token = token;
                mine.await;
            });
            drive_until(&runtime, || probe.polls.get() > 0);
            let told = task.as_ref();
            let racer = {
                let probe = probe.clone();
                thread::spawn(move || {
                    probe.finish();
                    probe.waker().wake();
                })
            };
            let canceller = thread::spawn(move || told.cancel());
            let result = runtime.block_on(task);
            racer.join().unwrap();
            let accepted = canceller.join().unwrap();
            match result {
                Ok(()) => {}
                Err(TaskError::Cancelled(_)) => assert!(accepted),
                Err(error) => panic!("{error}"),
            }
            assert_eq!(drops.get(), 1);
        }
        assert_eq!(runtime.handle().metrics().live_tasks, 0);
    });
}

#[test]
fn a_waker_kept_by_its_own_future_is_no_cycle() {
    each(&BOTH, |runtime| {
        let drops = Count::default();
        let token = drops.token();
        let task: Task<()> = runtime.handle().create_task(async move {
            let _token = token;
            let mut kept = Vec::new();
            poll_fn(move |cx| {
                kept.push(cx.waker().clone());
                Poll::<()>::Pending
            })
            .await;
        });
        settle(&runtime);
        task.cancel();
        assert!(runtime.block_on(task).is_err());
        assert_eq!(drops.get(), 1);
        assert!(runtime.block_on(async { all_tasks().len() }) == 1);
    });
}
