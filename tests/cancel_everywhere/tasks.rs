//! Time, tasks, threads and groups.
//!
//! | file | futures | held by |
//! |---|---|---|
//! | `runtime/src/time/sleep.rs` | `Sleep` | `sleeps_and_intervals_leave_no_timer` |
//! | `runtime/src/time/interval.rs` | `tick` | `sleeps_and_intervals_leave_no_timer` |
//! | `runtime/src/time/timeout.rs` | `Timeout` | `limits_leave_neither_timer_nor_body` |
//! | `runtime/src/time/timeout.rs` | `limited` | `[loom-tests/tests/limit.rs] limit_is_reached_while_its_body_ends` |
//! | `runtime/src/time/timeout_scope.rs` | `timeout_scope` | `limits_leave_neither_timer_nor_body` |
//! | `runtime/src/spawn.rs` | `yield_now, YieldNow` | `sleeps_and_intervals_leave_no_timer` |
//! | `runtime/src/threads.rs` | `to_thread` | `jobs_given_up_are_withdrawn_or_end_unobserved` |
//! | `runtime/src/lowlevel.rs` | `run_blocking, run` | `jobs_given_up_are_withdrawn_or_end_unobserved` |
//! | `runtime/src/blocking/job.rs` | `Job` | `jobs_given_up_are_withdrawn_or_end_unobserved` |
//! | `runtime/src/task/join.rs` | `Task` | `a_task_whose_await_is_given_up_ends_all_the_same` |
//! | `runtime/src/task/local.rs` | `WithLocals` | `[runtime/tests/local.rs] local_tasks_end_with_the_main_future_and_on_its_thread` |
//! | `runtime/src/task/callbacks.rs` | `Steps` | `callbacks_come_once_whatever_is_given_up` |
//! | `runtime/src/group/arrivals.rs` | `announce_for_model` | `[loom-tests/tests/arrivals.rs] failure_is_heard_while_another_runs_on` |
//! | `runtime/src/group/gather.rs` | `Gather, GatherResults, TryGather` | `every_way_to_wait_for_several_tasks` |
//! | `runtime/src/group/shield.rs` | `Shield` | `every_way_to_wait_for_several_tasks` |
//! | `runtime/src/group/wait.rs` | `Wait` | `every_way_to_wait_for_several_tasks` |
//! | `runtime/src/group/as_completed.rs` | `next` | `every_way_to_wait_for_several_tasks` |
//! | `runtime/src/group/race.rs` | `Race` | `races_drop_every_runner` |
//! | `runtime/src/group/staggered.rs` | `staggered_race, Staggered` | `races_drop_every_runner` |
//! | `runtime/src/group/wait_for.rs` | `wait_for` | `limits_leave_neither_timer_nor_body` |
//! | `runtime/src/group/task_group.rs` | `task_group, scope, run` | `a_group_given_up_leaves_no_child` |
//! | `runtime/src/group/child.rs` | `Child` | `a_group_given_up_leaves_no_child` |
//! | `runtime/src/signal.rs` | `recv` | `waits_for_signals_leave_the_stream_as_it_was` |
//! | `runtime/src/driver/signals.rs` | `ctrl_c` | `waits_for_signals_leave_the_stream_as_it_was` |
//! | `runtime/src/testing/sweep.rs` | `drop_at_every_pending, cancel_at_every_pending` | `a_sweep_given_up_drops_what_it_sweeps` |

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::{Boxed, run, soon, sweep, turns};
use loxley::lowlevel::{ThreadPool, run_blocking};
use loxley::testing::{cancel_at_every_pending, drop_at_every_pending};
use loxley::{
    ReturnWhen, Task, TaskError, TaskGroup, TimeoutHandle, as_completed, catch_cancelled,
    create_task, gather, interval, race, shield, signal, sleep, sleep_until, staggered_race,
    task_group, timeout, timeout_at, timeout_scope, to_thread, try_gather, wait, wait_for,
    with_cleanup, yield_now,
};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// Counts those that are there.
#[derive(Clone, Default)]
struct Crowd(Arc<AtomicUsize>);

struct Present(Crowd);

impl Crowd {
    fn enter(&self) -> Present {
        self.0.fetch_add(1, Ordering::AcqRel);
        Present(self.clone())
    }

    /// All have gone, or go by themselves.
    async fn is_gone(&self) {
        while self.0.load(Ordering::Acquire) > 0 {
            yield_now().await;
        }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[test]
fn sleeps_and_intervals_leave_no_timer() {
    run(async || {
        let ways: [fn() -> Boxed; 3] = [
            || Box::pin(sleep(MS)),
            || Box::pin(sleep_until(Instant::now() + MS)),
            || {
                Box::pin(async {
                    let mut ticks = interval(MS);
                    for _ in 0..3 {
                        ticks.tick().await;
                    }
                    yield_now().await;
                })
            },
        ];
        for way in ways {
            // `sweep` looks at the timers after every point.
            sweep(|| (way(), ()), async |()| ()).await;
        }
    });
}

#[test]
fn limits_leave_neither_timer_nor_body() {
    run(async || {
        let ways: [fn(Present) -> Boxed; 6] = [
            |present| {
                Box::pin(async move {
                    let body = async {
                        turns().await;
                        drop(present);
                    };
                    timeout(HOUR, body).await.expect("in time");
                })
            },
            |present| {
                Box::pin(async move {
                    let body = async {
                        let _present = present;
                        pending::<()>().await;
                    };
                    assert!(timeout(MS, body).await.is_err());
                })
            },
            |present| {
                Box::pin(async move {
                    let body = with_cleanup(pending::<()>(), |_| async move {
                        turns().await;
                        drop(present);
                    });
                    let deadline = Instant::now() + MS;
                    assert!(timeout_at(deadline, body).await.is_err());
                })
            },
            |present| {
                Box::pin(async move {
                    let body = |limit: TimeoutHandle| async move {
                        let _present = present;
                        turns().await;
                        limit
                            .reschedule(Some(Instant::now() + MS))
                            .expect("in its body");
                        pending::<()>().await;
                    };
                    assert!(timeout_scope(Some(HOUR), body).await.is_err());
                })
            },
            |present| {
                Box::pin(async move {
                    let outer = timeout(HOUR, async {
                        let _present = present;
                        timeout(MS, pending::<()>()).await.is_err()
                    });
                    assert!(outer.await.expect("the inner one fires"));
                })
            },
            |present| {
                Box::pin(async move {
                    let task = create_task(async move {
                        let _present = present;
                        // It refuses the first request, and ends all the same.
                        let _ = catch_cancelled(sleep(HOUR)).await;
                        turns().await;
                    });
                    // Merely dropped, the wait detaches its task; somebody has to ask it.
                    let asks = Asks(task.as_ref());
                    let _ = wait_for(task, MS).await;
                    drop(asks);
                })
            },
        ];
        for way in ways {
            sweep(
                || {
                    let crowd = Crowd::default();
                    (way(crowd.enter()), crowd)
                },
                async |crowd| crowd.is_gone().await,
            )
            .await;
        }
    });
}

/// Cancels the task when dropped.
struct Asks(loxley::TaskRef);

impl Drop for Asks {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[test]
fn jobs_given_up_are_withdrawn_or_end_unobserved() {
    run(async || {
        let ways: [fn(Present, mpsc::Receiver<()>) -> Boxed; 3] = [
            |present, released| {
                Box::pin(to_thread(move || {
                    let _ = released.recv();
                    drop(present);
                }))
            },
            |present, released| {
                Box::pin(async move {
                    let job = run_blocking(move || {
                        let _ = released.recv();
                        drop(present);
                    });
                    job.await.expect("the runtime is there");
                })
            },
            |present, released| {
                Box::pin(async move {
                    let pool = ThreadPool::new("sweep", 1);
                    let job = pool.run(move || {
                        let _ = released.recv();
                        drop(present);
                    });
                    job.await.expect("there are threads");
                })
            },
        ];
        for way in ways {
            sweep(
                || {
                    let (crowd, (release, released)) = (Crowd::default(), mpsc::channel());
                    let releases = soon(move || drop(release));
                    (way(crowd.enter(), released), (crowd, releases))
                },
                async |(crowd, releases)| {
                    releases.await.unwrap();
                    crowd.is_gone().await;
                },
            )
            .await;
        }
    });
}

/// A task that is there for a few turns.
fn stays(crowd: &Crowd, value: u32) -> Task<u32> {
    let present = crowd.enter();
    create_task(async move {
        let _present = present;
        turns().await;
        value
    })
}

#[test]
fn a_task_whose_await_is_given_up_ends_all_the_same() {
    run(async || {
        sweep(
            || {
                let crowd = Crowd::default();
                let inner = stays(&crowd, 7);
                let outer = create_task(async move { inner.await.unwrap_or(0) });
                (async move { outer.await.unwrap_or(0) }, crowd)
            },
            async |crowd| crowd.is_gone().await,
        )
        .await;
        // The await of a reference is taken up again.
        sweep(
            || {
                let crowd = Crowd::default();
                let mut task = stays(&crowd, 7);
                let future = async move {
                    // The first wait goes with the limit, or passes a request on.
                    let _ = timeout(Duration::ZERO, catch_cancelled(pending::<()>())).await;
                    (&mut task).await.unwrap_or(0)
                };
                (future, crowd)
            },
            async |crowd| crowd.is_gone().await,
        )
        .await;
    });
}

#[test]
fn callbacks_come_once_whatever_is_given_up() {
    run(async || {
        sweep(
            || {
                let (crowd, called) = (Crowd::default(), Arc::<AtomicUsize>::default());
                let task = stays(&crowd, 7);
                let calls = called.clone();
                task.add_done_callback(move |_| {
                    calls.fetch_add(1, Ordering::AcqRel);
                });
                (async move { task.await.unwrap_or(0) }, (crowd, called))
            },
            async |(crowd, called)| {
                crowd.is_gone().await;
                while called.load(Ordering::Acquire) == 0 {
                    yield_now().await;
                }
                turns().await;
                assert_eq!(called.load(Ordering::Acquire), 1);
            },
        )
        .await;
    });
}

#[derive(Debug)]
struct Failure;

impl From<TaskError> for Failure {
    fn from(_: TaskError) -> Self {
        Self
    }
}

#[test]
fn every_way_to_wait_for_several_tasks() {
    run(async || {
        let ways: [fn([Task<u32>; 2], Crowd) -> Boxed; 8] = [
            |tasks, _| Box::pin(async move { drop(gather::<Vec<u32>, _>(tasks).await) }),
            |[a, b], _| Box::pin(async move { drop(gather::<(u32, u32), _>((a, b)).await) }),
            |tasks, _| {
                Box::pin(async move {
                    let all: Vec<Result<u32, _>> = gather(tasks).return_errors().await;
                    assert_eq!(all.len(), 2);
                })
            },
            |tasks, _| {
                Box::pin(async move {
                    let tasks = tasks.map(|task| async move { Ok::<u32, Failure>(task.await?) });
                    let _: Result<Vec<u32>, _> = try_gather(tasks).await;
                })
            },
            |[a, b], _| {
                Box::pin(async move {
                    let _ = shield::<u32>(a).await;
                    let _ = b.await;
                })
            },
            |tasks, _| {
                Box::pin(async move {
                    let first = wait(tasks).return_when(ReturnWhen::FirstCompleted).await;
                    drop(
                        wait(first.done.into_iter().chain(first.pending))
                            .timeout(HOUR)
                            .await,
                    );
                })
            },
            |tasks, _| {
                Box::pin(async move {
                    let mut ended = as_completed(tasks).timeout(HOUR);
                    while let Some(task) = ended.next().await {
                        let _ = task.await;
                    }
                })
            },
            |[a, b], crowd| {
                Box::pin(async move {
                    let inner = gather::<Vec<u32>, _>([stays(&crowd, 3)]);
                    let pair = async move { gather::<(u32, u32), _>((a, b)).await.is_ok() };
                    let _: Result<(bool, _), _> = gather((pair, inner)).await;
                })
            },
        ];
        for way in ways {
            sweep(
                || {
                    let crowd = Crowd::default();
                    let tasks = [1, 2].map(|value| stays(&crowd, value));
                    (way(tasks, crowd.clone()), crowd)
                },
                // Dropped, they detach their tasks, which end by themselves; cancelled or not, all end.
                async |crowd| crowd.is_gone().await,
            )
            .await;
        }
    });
}

#[test]
fn races_drop_every_runner() {
    run(async || {
        let runner = |present: Present, delay: Duration, wins: bool| async move {
            let _present = present;
            turns().await;
            sleep(delay).await;
            if wins { Ok(7) } else { Err(()) }
        };
        sweep(
            || {
                let crowd = Crowd::default();
                let runners = [HOUR, MS, HOUR].map(|delay| runner(crowd.enter(), delay, true));
                (race(runners), crowd)
            },
            async |crowd| assert_eq!(crowd.0.load(Ordering::Acquire), 0, "gone at once"),
        )
        .await;
        sweep(
            || {
                let crowd = Crowd::default();
                let inside = crowd.clone();
                let attempts = [(MS, false), (HOUR, true), (MS, true)];
                let future = async move {
                    let attempts = attempts.map(|(delay, wins)| {
                        let present = inside.enter();
                        move || runner(present, delay, wins)
                    });
                    staggered_race(attempts, Some(MS * 2)).await
                };
                (future, crowd)
            },
            async |crowd| assert_eq!(crowd.0.load(Ordering::Acquire), 0, "gone at once"),
        )
        .await;
    });
}

#[test]
fn a_group_given_up_leaves_no_child() {
    run(async || {
        for way in 0..3 {
            sweep(
                || {
                    let crowd = Crowd::default();
                    let inside = crowd.clone();
                    let body = move |tg: TaskGroup<TaskError>| async move {
                        let present = inside.enter();
                        let cleans = tg.create_task(async move {
                            with_cleanup(turns(), |_| async move {
                                turns().await;
                                drop(present);
                            })
                            .await;
                        });
                        let (maker, present) = (tg.clone(), inside.enter());
                        tg.create_task(async move {
                            let _present = present;
                            let present = inside.enter();
                            maker.create_task(async move {
                                let _present = present;
                                turns().await;
                            });
                            turns().await;
                        });
                        cleans.await?;
                        Ok(7)
                    };
                    let future: Boxed<bool> = match way {
                        0 => Box::pin(async move { task_group(body).await.is_ok() }),
                        1 => Box::pin(async move { TaskGroup::new().scope(body).await.is_ok() }),
                        _ => Box::pin(async move {
                            TaskGroup::builder().limit(1).run(body).await.is_ok()
                        }),
                    };
                    (future, crowd)
                },
                async |crowd| crowd.is_gone().await,
            )
            .await;
        }
    });
}

#[cfg(unix)]
#[test]
fn waits_for_signals_leave_the_stream_as_it_was() {
    use rustix::process::{Signal, getpid, kill_process};
    fn send(signal: Signal) {
        kill_process(getpid(), signal).expect("sent");
    }
    run(async || {
        let other = signal::stream(signal::SIGURG).expect("it listens");
        sweep(
            || {
                let stream = signal::stream(signal::SIGURG).expect("it listens");
                (
                    async move { stream.recv().await },
                    soon(|| send(Signal::URG)),
                )
            },
            async |sends| {
                sends.await.unwrap();
                other.recv().await.expect("it hears all of them");
            },
        )
        .await;
        // Where nobody listens it would end this process.
        let other = signal::stream(signal::SIGINT).expect("it listens");
        sweep(
            || (signal::ctrl_c(), soon(|| send(Signal::INT))),
            async |sends| {
                sends.await.unwrap();
                other.recv().await.expect("it hears all of them");
            },
        )
        .await;
    });
}

#[test]
fn a_sweep_given_up_drops_what_it_sweeps() {
    run(async || {
        sweep(
            || {
                let crowd = Crowd::default();
                let inside = crowd.clone();
                let future = async move {
                    let scenario = || {
                        let present = inside.enter();
                        let future = async move {
                            let _present = present;
                            turns().await;
                        };
                        (future, ())
                    };
                    drop_at_every_pending(scenario, |_, ()| async {}).await;
                    cancel_at_every_pending(scenario, |_, ()| async {}).await;
                };
                (future, crowd)
            },
            async |crowd| crowd.is_gone().await,
        )
        .await;
    });
}
