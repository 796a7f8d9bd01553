//! Who gets a turn, and when: tasks that are always ready, tasks that wake each other, polls that do not end.

#[path = "../../tests/support/mod.rs"]
mod support;

use loxley_runtime::lowlevel::{Direction, Interest, Registration};
use loxley_runtime::{Handle, Runtime, create_task, sleep, task, yield_now};
use loxley_sync::ambient::{POLL_BUDGET, poll_budget};
use loxley_sync::{Notify, oneshot};
use std::future::poll_fn;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};
use support::*;

/// A door that blocks the thread which goes through it until it is opened.
#[derive(Clone, Default)]
struct Door {
    shut: Arc<Mutex<()>>,
    waiting: Count,
}

impl Door {
    fn pass(&self) {
        self.waiting.add();
        drop(self.shut.lock().unwrap());
    }
}

#[test]
fn a_task_whose_leaves_are_always_ready_is_stopped_by_the_budget() {
    for flavour in [Flavour::OneThread, Flavour::Workers(1)] {
        each(&[flavour], |runtime| {
            let stop = Arc::new(AtomicBool::new(false));
            let (stopped, most) = (stop.clone(), Arc::new(Mutex::new(0)));
            let longest = most.clone();
            // Its leaf never waits of its own accord.
            let hog = runtime.handle().create_task(async move {
                let mut in_a_row = 0;
                while !stopped.load(Ordering::Relaxed) {
                    poll_fn(|cx| {
                        if poll_budget(cx).is_pending() {
                            let mut longest = longest.lock().unwrap();
                            *longest = in_a_row.max(*longest);
                            in_a_row = 0;
                            return Poll::Pending;
                        }
                        in_a_row += 1;
                        Poll::Ready(())
                    })
                    .await;
                }
            });
            runtime.block_on(async {
                for _ in 0..100 {
                    create_task(async {}).await.unwrap();
                }
                sleep(Duration::from_millis(1)).await;
                stop.store(true, Ordering::Relaxed);
                hog.await.unwrap();
            });
            assert_eq!(*most.lock().unwrap(), POLL_BUDGET);
        });
    }
}

#[test]
fn two_tasks_that_wake_each_other_do_not_starve_a_third() {
    for flavour in [Flavour::OneThread, Flavour::Workers(1)] {
        each(&[flavour], |runtime| {
            let stop = Arc::new(AtomicBool::new(false));
            let turns = Count::default();
            let ends = [Arc::new(Notify::new()), Arc::new(Notify::new())];
            let players: Vec<_> = (0..2)
                .map(|n| {
                    let (mine, theirs) = (ends[n].clone(), ends[1 - n].clone());
                    let (stop, turns) = (stop.clone(), turns.clone());
                    runtime.handle().create_task(async move {
                        while !stop.load(Ordering::Relaxed) {
                            turns.add();
                            theirs.notify_one();
                            mine.notified().await;
                        }
                        theirs.notify_one();
                    })
                })
                .collect();
            // Spawned inside, so that it goes to the same worker's queues.
            let counted = turns.clone();
            let third = runtime.handle().create_task(async move {
                until(|| counted.get() > 100).await;
                let mut most = 0;
                for _ in 0..200 {
                    let before = counted.get();
                    yield_now().await;
                    most = most.max(counted.get() - before);
                    let before = counted.get();
                    create_task(async {}).await.unwrap();
                    most = most.max(counted.get() - before);
                }
                most
            });
            let most = runtime.block_on(third).unwrap();
            stop.store(true, Ordering::Relaxed);
            ends[0].notify_one();
            runtime.block_on(async {
                for player in players {
                    player.await.unwrap();
                }
            });
            assert!(most <= 16, "{most} turns of the two for one of the third");
        });
    }
}

#[test]
fn a_task_from_outside_runs_while_every_worker_has_local_work_for_ever() {
    each(
        &[Flavour::OneThread, Flavour::Workers(1), Flavour::Workers(2)],
        |runtime| {
            let stop = Arc::new(AtomicBool::new(false));
            let hogs: Vec<_> = (0..64)
                .map(|_| {
                    let stop = stop.clone();
                    runtime.handle().create_task(async move {
                        while !stop.load(Ordering::Relaxed) {
                            yield_now().await;
                        }
                    })
                })
                .collect();
            let (handle, ran) = (runtime.handle(), Count::default());
            let theirs = ran.clone();
            let foreign = thread::spawn(move || {
                for round in 1..=20 {
                    let ran = theirs.clone();
                    drop(handle.create_task(async move {
                        ran.add();
                    }));
                    spin_until(|| theirs.get() == round);
                }
            });
            drive_until(&runtime, || ran.get() == 20);
            foreign.join().unwrap();
            stop.store(true, Ordering::Relaxed);
            runtime.block_on(async {
                for hog in hogs {
                    hog.await.unwrap();
                }
            });
        },
    );
}

#[test]
fn timers_and_descriptors_are_served_while_thousands_of_tasks_are_always_ready() {
    each(
        &[Flavour::OneThread, Flavour::Workers(1), Flavour::Workers(2)],
        |runtime| {
            let stop = Arc::new(AtomicBool::new(false));
            for _ in 0..2_000 {
                let stop = stop.clone();
                drop(runtime.handle().create_task(async move {
                    while !stop.load(Ordering::Relaxed) {
                        yield_now().await;
                    }
                }));
            }
            let timer = runtime.handle().create_task(async {
                for _ in 0..3 {
                    sleep(Duration::from_millis(1)).await;
                }
            });
            let io = runtime.handle().create_task(ping_over_a_socket(3));
            runtime.block_on(async {
                timer.await.unwrap();
                io.await.unwrap();
            });
            stop.store(true, Ordering::Relaxed);
        },
    );
}

/// Sends bytes to itself through the driver; every one of them has to be waited for.
async fn ping_over_a_socket(rounds: usize) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let registration = Registration::new(ours.as_fd(), Interest::Read).unwrap();
    for round in 0..rounds {
        let (go, gone) = oneshot::channel();
        thread::spawn(move || {
            theirs.write_all(&[7]).unwrap();
            let _ = go.send(theirs);
        });
        let mut byte = [0];
        let mut reader = &ours;
        let read = registration.async_io(Direction::Read, || reader.read(&mut byte));
        assert_eq!(read.await.unwrap(), 1, "round {round}");
        theirs = gone.await.unwrap();
    }
}

#[test]
fn a_storm_of_spurious_wakes_on_one_task_starves_no_other() {
    each(&ALL, |runtime| {
        let stop = Arc::new(AtomicBool::new(false));
        let waker = Arc::new(Mutex::new(None));
        let (theirs, finish) = (waker.clone(), stop.clone());
        let victim = runtime.handle().create_task(poll_fn(move |cx| {
            *theirs.lock().unwrap() = Some(cx.waker().clone());
            if finish.load(Ordering::Relaxed) {
                return Poll::Ready(());
            }
            Poll::Pending
        }));
        drive_until(&runtime, || waker.lock().unwrap().is_some());
        let waker = waker.lock().unwrap().clone().unwrap();
        let storm = {
            let (stop, waker) = (stop.clone(), waker.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    waker.wake_by_ref();
                }
            })
        };
        runtime.block_on(async {
            for _ in 0..200 {
                create_task(yield_now()).await.unwrap();
            }
            sleep(Duration::from_millis(1)).await;
        });
        stop.store(true, Ordering::Relaxed);
        storm.join().unwrap();
        waker.wake();
        runtime.block_on(victim).unwrap();
    });
}

#[test]
fn behind_a_poll_that_does_not_end_others_run_the_spawned_task_the_timers_and_the_driver() {
    each_with(
        &[Flavour::Workers(2), Flavour::Workers(8)],
        |builder| builder.slow_poll_threshold(Duration::MAX),
        |_, runtime| {
            for _ in 0..5 {
                let door = Door::default();
                let shut = door.shut.lock().unwrap();
                let (ran, slept, read) = (Count::default(), Count::default(), Count::default());
                let task = runtime.handle().create_task({
                    let (door, ran) = (door.clone(), ran.clone());
                    let (slept, read) = (slept.clone(), read.clone());
                    async move {
                        // On this worker's own timer shard, and waiting there.
                        drop(create_task(async move {
                            sleep(Duration::from_millis(5)).await;
                            slept.add();
                        }));
                        drop(create_task(async move {
                            ping_over_a_socket(2).await;
                            read.add();
                        }));
                        for _ in 0..4 {
                            yield_now().await;
                        }
                        // Next in this worker's LIFO slot, when the poll hangs.
                        drop(create_task(async move {
                            ran.add();
                        }));
                        door.pass();
                    }
                });
                spin_until(|| door.waiting.get() == 1);
                spin_until(|| ran.get() + slept.get() + read.get() == 3);
                assert!(!task.is_finished());
                drop(shut);
                runtime.block_on(task).unwrap();
            }
        },
    );
}

#[test]
fn all_but_one_worker_stuck_and_the_last_one_still_serves_everything() {
    each_with(
        &[Flavour::Workers(8)],
        |builder| builder.slow_poll_threshold(Duration::MAX),
        |_, runtime| {
            let door = Door::default();
            let shut = door.shut.lock().unwrap();
            let stuck: Vec<_> = (0..7)
                .map(|_| {
                    let door = door.clone();
                    runtime.handle().create_task(async move { door.pass() })
                })
                .collect();
            spin_until(|| door.waiting.get() == 7);
            runtime.block_on(async {
                let tasks: Vec<_> = (0..100)
                    .map(|_| create_task(async { sleep(Duration::from_millis(1)).await }))
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
                create_task(ping_over_a_socket(5)).await.unwrap();
            });
            drop(shut);
            runtime.block_on(async {
                for task in stuck {
                    task.await.unwrap();
                }
            });
        },
    );
}

#[test]
fn a_slow_poll_is_reported_once_with_name_spawn_site_and_duration() {
    for flavour in [Flavour::Workers(1), Flavour::Workers(2)] {
        bounded(move |watch| {
            let reports = Reports::default();
            let builder = reports.install(flavour.builder());
            let runtime = watch.build(builder.slow_poll_threshold(Duration::from_millis(5)));
            let door = Door::default();
            let shut = door.shut.lock().unwrap();
            let blocks = door.clone();
            let entered = runtime.enter();
            let task = task::Builder::new()
                .name("cruncher")
                .create_task(async move { blocks.pass() });
            drop(entered);
            spin_until(|| reports.len() > 0);
            drop(shut);
            runtime.block_on(task).unwrap();
            runtime
                .block_on(async { create_task(async {}).await })
                .unwrap();
            drop(runtime);
            let reports = reports.list();
            assert_eq!(reports.len(), 1, "{reports:?}");
            let report = &reports[0];
            assert!(
                report.contains("cruncher") && report.contains("fairness.rs:"),
                "{report}"
            );
            assert!(
                report.contains("ms") && report.contains("to_thread"),
                "{report}"
            );
        });
    }
}

#[test]
fn when_every_worker_is_stuck_each_of_the_polls_is_reported() {
    bounded(|watch| {
        let reports = Reports::default();
        let builder = reports.install(Runtime::builder().worker_threads(3));
        let runtime = watch.build(builder.slow_poll_threshold(Duration::from_millis(2)));
        let door = Door::default();
        let shut = door.shut.lock().unwrap();
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let door = door.clone();
                runtime.handle().create_task(async move { door.pass() })
            })
            .collect();
        spin_until(|| reports.len() >= 3);
        drop(shut);
        runtime.block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
        });
        assert_eq!(reports.len(), 3, "{:?}", reports.list());
    });
}

#[test]
fn a_slow_poll_on_the_one_thread_flavour_is_reported_in_debug_mode() {
    bounded(|watch| {
        let reports = Reports::default();
        let builder = reports.install(Runtime::builder().current_thread());
        let builder = builder.debug(true).slow_poll_threshold(Duration::ZERO);
        let runtime = watch.build(builder);
        let task = runtime.handle().create_task(async {});
        runtime.block_on(task).unwrap();
        let reports = reports.list();
        assert!(
            reports
                .iter()
                .any(|report| report.contains("blocked the thread")),
            "{reports:?}"
        );
    });
}

/// The main future has a thread of its own there, which no monitor looks at. No task: what is blocked is the thread.
#[test]
fn a_slow_poll_of_the_main_future_beside_workers_is_reported_in_debug_mode() {
    const SLOW: Duration = Duration::from_millis(20);
    for (debug, expected) in [(false, 0), (true, 1)] {
        bounded(move |watch| {
            let reports = Reports::default();
            let builder = reports.install(Runtime::builder().worker_threads(2));
            let runtime = watch.build(builder.debug(debug).slow_poll_threshold(SLOW));
            let line = line!() + 1;
            runtime.block_on(async {
                let began = Instant::now();
                spin_until(|| began.elapsed() >= SLOW);
            });
            let reports = reports.list();
            let of_main = reports.iter().filter(|report| {
                report.contains("blocked the thread") && report.contains(&format!("rs:{line}:"))
            });
            assert_eq!(of_main.count(), expected, "{reports:?}");
        });
    }
}

#[test]
fn a_runtime_that_has_slept_wakes_for_whatever_comes() {
    each(&ALL, |runtime| {
        let handle: Handle = runtime.handle();
        for round in 0..200 {
            // Everybody goes to sleep, then something comes from outside.
            let (sender, receiver) = oneshot::channel();
            let foreign = {
                let handle = handle.clone();
                thread::spawn(move || {
                    if round % 2 == 0 {
                        let _ = sender.send(());
                    } else {
                        drop(handle.create_task(async move {
                            yield_now().await;
                            let _ = sender.send(());
                        }));
                    }
                })
            };
            let inner = async {
                let task = create_task(receiver);
                task.await.unwrap().unwrap();
            };
            runtime.block_on(inner);
            foreign.join().unwrap();
        }
    });
}

#[test]
fn work_spread_by_one_task_reaches_every_worker() {
    bounded(|watch| {
        let runtime = watch.build(Runtime::builder().worker_threads(8));
        for _ in 0..20 {
            // Eight tasks spawned by one: they meet only if each has a worker of its own.
            let meeting = Arc::new(std::sync::Barrier::new(8));
            let root = runtime.handle().create_task(async move {
                let tasks: Vec<_> = (0..8)
                    .map(|_| {
                        let meeting = meeting.clone();
                        create_task(async move { _ = meeting.wait() })
                    })
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
            });
            runtime.block_on(root).unwrap();
        }
    });
}
