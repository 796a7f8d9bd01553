//! Timers: what they cost when they are not needed, when there are many, and how exact they are.

use std::future::{pending, poll_fn, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use loxley_benches::case::{Case, Metric, Params, Unit};
use loxley_benches::stats::quantile;
use loxley_sync::prim::atomic::{AtomicBool, Ordering};

use crate::measure::{Gate, compute, per_op, poll_once};
use crate::rt::{Rt, on_worker};
use crate::usage::{cpu_nanos, nanos};

const BATCH: usize = 1_000;
/// Far enough not to expire, as the timeouts of a server are.
const FAR: Duration = Duration::from_secs(30);

pub fn cases<R: Rt>() -> Vec<Case> {
    vec![
        Case {
            name: "timer_create_drop",
            about: "a task makes a 30 s sleep, polls it once, drops it; per timer",
            metrics: const { &[Metric::time("").target(6.0)] },
            run: create_drop::<R>,
        },
        Case {
            name: "timer_create_drop_workers",
            about: "the same by as many tasks as workers at once; elapsed time over all timers",
            metrics: const { &[Metric::time("").target(6.0)] },
            run: create_drop_workers::<R>,
        },
        Case {
            name: "timer_hold_100k",
            about: "100,000 sleeps polled once, held together, then dropped; per timer",
            metrics: const { &[Metric::time("").target(2.0)] },
            run: hold::<R>,
        },
        Case {
            name: "timer_expire_100k",
            about: "100,000 tasks sleep 0.5 to 1.5 s, evenly spread: how late, and CPU with the spawning",
            metrics: const {
                &[
                    Metric::lower("late p50", Unit::Nanos).target(5.0),
                    Metric::lower("late p99", Unit::Nanos).target(1.5),
                    Metric::lower("CPU", Unit::Nanos).target(2.0),
                ]
            },
            run: expire::<R>,
        },
        Case {
            name: "sleep_1ms",
            about: "one task sleeps 1 ms again and again: overshoot, and CPU per sleep",
            metrics: const {
                &[
                    Metric::lower("overshoot p50", Unit::Nanos).target(10.0),
                    Metric::lower("overshoot p99", Unit::Nanos),
                    Metric::lower("CPU", Unit::Nanos).target(1.0),
                ]
            },
            run: overshoot::<R>,
        },
        Case {
            name: "sleep_1ms_busy",
            about: "the same beside 8 tasks that compute 5 us and yield",
            metrics: const {
                &[
                    Metric::lower("overshoot p50", Unit::Nanos).target(6.0),
                    Metric::lower("overshoot p99", Unit::Nanos).target(2.0),
                ]
            },
            run: overshoot_busy::<R>,
        },
        Case {
            name: "timeout_ready",
            about: "timeout of a ready future",
            metrics: const { &[Metric::time("").target(2.0)] },
            run: timeout_ready::<R>,
        },
        Case {
            name: "timeout_pending",
            about: "timeout of a future that is pending once and wakes itself",
            metrics: const { &[Metric::time("").target(4.0)] },
            run: timeout_pending::<R>,
        },
    ]
}

fn create_drop<R: Rt>(params: &Params) -> Vec<f64> {
    let params = *params;
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, BATCH, || async {
            for _ in 0..BATCH {
                poll_once(R::sleep(FAR)).await;
            }
        })
        .await
    });
    vec![value]
}

fn create_drop_workers<R: Rt>(params: &Params) -> Vec<f64> {
    let params = *params;
    let each = 20 * BATCH;
    let gate = Gate::leak();
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, each * params.workers, || async {
            gate.close(params.workers);
            for _ in 0..params.workers {
                R::detach(R::spawn(async move {
                    for _ in 0..each {
                        poll_once(R::sleep(FAR)).await;
                    }
                    gate.arrive();
                }));
            }
            gate.opened().await;
        })
        .await
    });
    vec![value]
}

fn hold<R: Rt>(params: &Params) -> Vec<f64> {
    let params = *params;
    let count = params.scaled(100_000);
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, count, || async {
            let mut sleeps: Vec<Pin<Box<_>>> = Vec::with_capacity(count);
            for index in 0..count {
                sleeps.push(Box::pin(R::sleep(
                    FAR + Duration::from_micros(100) * index_u32(index),
                )));
            }
            poll_fn(|cx| {
                for sleep in &mut sleeps {
                    let _ = Future::poll(sleep.as_mut(), cx);
                }
                Poll::Ready(())
            })
            .await;
        })
        .await
    });
    vec![value]
}

fn index_u32(index: usize) -> u32 {
    u32::try_from(index).expect("cases have fewer than 2^32 parts")
}

fn expire<R: Rt>(params: &Params) -> Vec<f64> {
    let params = *params;
    let count = params.scaled(100_000);
    let (mut late, cpu) = on_worker::<R, _>(params.workers, || async move {
        let late: Arc<Vec<Mutex<f64>>> = Arc::new((0..count).map(|_| Mutex::new(0.0)).collect());
        let gate = Gate::leak();
        gate.close(count);
        let cpu = cpu_nanos();
        let begin = Instant::now();
        for index in 0..count {
            let late = Arc::clone(&late);
            R::detach(R::spawn(async move {
                // Spread over the second without order, as real deadlines are.
                let place = (index * 7_919) % count;
                let due = begin
                    + Duration::from_millis(500)
                    + Duration::from_secs(1) * index_u32(place) / index_u32(count);
                R::sleep(due.saturating_duration_since(Instant::now())).await;
                *late[index].lock().expect("nothing panics under it") = nanos(due.elapsed());
                gate.arrive();
            }));
        }
        gate.opened().await;
        let cpu = cpu_nanos() - cpu;
        let late: Vec<f64> = late
            .iter()
            .map(|late| *late.lock().expect("nothing panics under it"))
            .collect();
        (late, cpu)
    });
    vec![quantile(&mut late, 0.5), quantile(&mut late, 0.99), cpu]
}

/// Overshoots of `count` sleeps of 1 ms, one after the other.
async fn overshoots<R: Rt>(count: usize) -> Vec<f64> {
    let length = Duration::from_millis(1);
    let mut samples = Vec::with_capacity(count);
    for _ in 0..count {
        let begin = Instant::now();
        R::sleep(length).await;
        samples.push(nanos(begin.elapsed().saturating_sub(length)));
    }
    samples
}

fn overshoot<R: Rt>(params: &Params) -> Vec<f64> {
    let params = *params;
    let count = params.scaled(400);
    let (mut samples, cpu) = on_worker::<R, _>(params.workers, || async move {
        overshoots::<R>(20).await;
        let cpu = cpu_nanos();
        let samples = overshoots::<R>(count).await;
        (samples, (cpu_nanos() - cpu) / count as f64)
    });
    vec![
        quantile(&mut samples, 0.5),
        quantile(&mut samples, 0.99),
        cpu,
    ]
}

fn overshoot_busy<R: Rt>(params: &Params) -> Vec<f64> {
    let params = *params;
    let mut samples = on_worker::<R, _>(params.workers, || async move {
        let stop = Arc::new(AtomicBool::new(false));
        let busy: Vec<_> = (0..8)
            .map(|_| {
                let stop = Arc::clone(&stop);
                R::spawn(async move {
                    // ordering: Relaxed; a flag alone.
                    while !stop.load(Ordering::Relaxed) {
                        compute(5_000);
                        R::yield_now().await;
                    }
                })
            })
            .collect();
        let samples = overshoots::<R>(params.scaled(300)).await;
        // ordering: Relaxed; a flag alone.
        stop.store(true, Ordering::Relaxed);
        for task in busy {
            task.await;
        }
        samples
    });
    vec![quantile(&mut samples, 0.5), quantile(&mut samples, 0.99)]
}

fn timeout_ready<R: Rt>(params: &Params) -> Vec<f64> {
    let params = *params;
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, BATCH, || async {
            for _ in 0..BATCH {
                let done = R::timeout(FAR, ready(())).await;
                assert!(
                    std::hint::black_box(done).is_some(),
                    "a ready future is in time"
                );
            }
        })
        .await
    });
    vec![value]
}

fn timeout_pending<R: Rt>(params: &Params) -> Vec<f64> {
    let params = *params;
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, BATCH, || async {
            for _ in 0..BATCH {
                let mut polled = false;
                let once = poll_fn(move |cx| {
                    if std::mem::replace(&mut polled, true) {
                        return Poll::Ready(());
                    }
                    cx.waker().wake_by_ref();
                    Poll::Pending
                });
                let done = R::timeout(FAR, once).await;
                assert!(done.is_some(), "a future that wakes itself is in time");
            }
        })
        .await
    });
    // Kept so that the time-out arm is known to work on every runtime.
    let expired = on_worker::<R, _>(params.workers, || {
        R::timeout(Duration::from_millis(1), pending::<()>())
    });
    assert!(expired.is_none(), "a pending future runs out of time");
    vec![value]
}
