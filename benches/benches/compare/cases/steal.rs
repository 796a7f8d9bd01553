//! Sharing work between workers: how soon an idle worker takes a task, and how well many tasks spread.

use std::time::{Duration, Instant};

use loxley_benches::case::{Case, Metric, Params, Unit};
use loxley_benches::stats::{median, quantile};

use crate::measure::{Gate, collect, compute};
use crate::rt::{Rt, on_worker};
use crate::usage::nanos;

/// How long the spawner keeps its worker to itself.
const SPAWNER_COMPUTES_NS: u64 = 5_000_000;
/// Work of one stolen task.
const TASK_COMPUTES: Duration = Duration::from_micros(20);

pub fn cases<R: Rt>() -> Vec<Case> {
    vec![
        Case {
            name: "steal_latency_1",
            about: "a task spawns one and computes 5 ms: how soon the child starts on another worker",
            metrics: const {
                &[
                    Metric::lower("p50", Unit::Nanos).target(5.0),
                    Metric::lower("p90", Unit::Nanos),
                ]
            },
            run: latency::<R, 1>,
        },
        Case {
            name: "steal_latency_2",
            about: "a task spawns two and computes 5 ms: how soon the first of them starts",
            metrics: const {
                &[
                    Metric::lower("p50", Unit::Nanos).target(1.2),
                    Metric::lower("p90", Unit::Nanos),
                ]
            },
            run: latency::<R, 2>,
        },
        Case {
            name: "steal_10k",
            about: "one task spawns 10,000 tasks that compute 20 us each: times faster than one thread",
            metrics: const { &[Metric::higher("speed-up", Unit::Times).target(1.02)] },
            run: speed_up::<R>,
        },
    ]
}

fn latency<R: Rt, const CHILDREN: usize>(params: &Params) -> Vec<f64> {
    let params = *params;
    let mut samples = on_worker::<R, _>(params.workers, || async move {
        collect(&params, || async {
            let begin = Instant::now();
            let children: [_; CHILDREN] =
                std::array::from_fn(|_| R::spawn(async { Instant::now() }));
            compute(SPAWNER_COMPUTES_NS);
            let mut first = f64::INFINITY;
            for child in children {
                first = first.min(nanos(child.await - begin));
            }
            // Other workers go to sleep again.
            R::sleep(Duration::from_millis(1)).await;
            first
        })
        .await
    });
    vec![quantile(&mut samples, 0.5), quantile(&mut samples, 0.9)]
}

fn speed_up<R: Rt>(params: &Params) -> Vec<f64> {
    let params = *params;
    let tasks = params.scaled(10_000);
    let steps = calibrate();
    let gate = Gate::leak();
    let mut samples: Vec<f64> = (0..3)
        .map(|_| {
            let begin = Instant::now();
            for _ in 0..tasks {
                work(steps);
            }
            let serial = begin.elapsed();
            let parallel = on_worker::<R, _>(params.workers, || async move {
                let begin = Instant::now();
                gate.close(tasks);
                for _ in 0..tasks {
                    R::detach(R::spawn(async move {
                        work(steps);
                        gate.arrive();
                    }));
                }
                gate.opened().await;
                begin.elapsed()
            });
            nanos(serial) / nanos(parallel)
        })
        .collect();
    vec![median(&mut samples)]
}

/// Work that does not look at the clock: the same number of steps wherever it runs.
fn work(steps: usize) {
    let mut state = std::hint::black_box(1_u64);
    for _ in 0..steps {
        state = std::hint::black_box(
            state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1),
        );
    }
}

/// Steps of [`work`] that take about [`TASK_COMPUTES`].
fn calibrate() -> usize {
    let steps = 100_000;
    let fastest = (0..10)
        .map(|_| {
            let begin = Instant::now();
            work(steps);
            begin.elapsed()
        })
        .min()
        .expect("ten tries");
    let per_nano = steps as u128 * TASK_COMPUTES.as_nanos() / fastest.as_nanos().max(1);
    usize::try_from(per_nano).expect("a few thousand")
}
