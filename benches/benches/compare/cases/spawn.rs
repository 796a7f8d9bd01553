//! Spawning: from inside, in a chain, and from a plain thread into an idle or a busy runtime.

use std::time::Instant;

use loxley_benches::case::{Case, Metric, Params};
use loxley_benches::stats::median;
use loxley_sync::prim::atomic::{AtomicBool, Ordering};

use crate::measure::{Gate, collect, per_op};
use crate::rt::{Rt, on_worker};
use crate::usage::nanos;

/// Tasks per batch from inside; many more than any fixed local queue holds.
const MANY: usize = 10_000;
/// Tasks that are joined one after the other, and links of a chain.
const BATCH: usize = 1_000;

pub fn cases<R: Rt>() -> Vec<Case> {
    vec![
        Case {
            name: "spawn_many_local",
            about: "a task spawns 10,000 empty tasks, waits until all have run; per task",
            metrics: const { &[Metric::time("").target(3.5)] },
            run: many_local::<R>,
        },
        Case {
            name: "spawn_join_many",
            about: "a task spawns 1,000 empty tasks, then awaits each; per task",
            metrics: const { &[Metric::time("").target(3.5)] },
            run: join_many::<R>,
        },
        Case {
            name: "spawn_join_one",
            about: "a task spawns one empty task and awaits it",
            metrics: const { &[Metric::time("").target(3.0)] },
            run: join_one::<R>,
        },
        Case {
            name: "chained_spawn",
            about: "each of 1,000 tasks spawns the next; per task",
            metrics: const { &[Metric::time("").target(4.0)] },
            run: chained::<R>,
        },
        Case {
            name: "spawn_remote_idle",
            about: "a plain thread spawns 1,000 tasks into an idle runtime, until all have run; per task",
            metrics: const { &[Metric::time("").target(2.5)] },
            run: remote_idle::<R>,
        },
        Case {
            name: "spawn_remote_busy",
            about: "the same while two yielding tasks per worker keep the workers busy",
            metrics: const { &[Metric::time("").target(3.0)] },
            run: remote_busy::<R>,
        },
        Case {
            name: "spawn_join_outside",
            about: "a plain thread spawns one empty task and blocks on it; p50",
            metrics: const { &[Metric::time("p50").target(1.3)] },
            run: join_outside::<R>,
        },
        Case {
            name: "spawn_remote_threads",
            about: "4 plain threads spawn 1,000 tasks each, until all have run; per task",
            metrics: const { &[Metric::time("")] },
            run: remote_threads::<R>,
        },
        Case {
            name: "cancel_1000",
            about: "a task cancels 1,000 waiting tasks; until their futures are dropped, per task",
            metrics: const { &[Metric::time("")] },
            run: cancel::<R>,
        },
    ]
}

fn many_local<R: Rt>(params: &Params) -> Vec<f64> {
    let params = *params;
    let gate = Gate::leak();
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, MANY, || async {
            gate.close(MANY);
            for _ in 0..MANY {
                R::detach(R::spawn(async { gate.arrive() }));
            }
            gate.opened().await;
        })
        .await
    });
    vec![value]
}

fn join_many<R: Rt>(params: &Params) -> Vec<f64> {
    let params = *params;
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, BATCH, || async {
            let mut tasks = Vec::with_capacity(BATCH);
            for _ in 0..BATCH {
                tasks.push(R::spawn(async {}));
            }
            for task in tasks {
                task.await;
            }
        })
        .await
    });
    vec![value]
}

fn join_one<R: Rt>(params: &Params) -> Vec<f64> {
    let params = *params;
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, BATCH, || async {
            for _ in 0..BATCH {
                R::spawn(async {}).await;
            }
        })
        .await
    });
    vec![value]
}

fn chained<R: Rt>(params: &Params) -> Vec<f64> {
    let params = *params;
    let gate = Gate::leak();
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, BATCH, || async {
            gate.close(1);
            link::<R>(BATCH, gate);
            gate.opened().await;
        })
        .await
    });
    vec![value]
}

fn link<R: Rt>(left: usize, gate: &'static Gate) {
    if left == 0 {
        gate.arrive();
        return;
    }
    R::detach(R::spawn(async move { link::<R>(left - 1, gate) }));
}

fn remote_idle<R: Rt>(params: &Params) -> Vec<f64> {
    let engine = R::start(params.workers);
    let value = remote::<R>(params, &engine);
    R::stop(engine);
    vec![value]
}

fn remote_busy<R: Rt>(params: &Params) -> Vec<f64> {
    let engine = R::start(params.workers);
    let stop: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    let hogs: Vec<_> = (0..2 * params.workers)
        .map(|_| {
            R::spawn_on(&R::handle(&engine), async {
                // ordering: Relaxed; a flag alone.
                while !stop.load(Ordering::Relaxed) {
                    R::yield_now().await;
                }
            })
        })
        .collect();
    let value = remote::<R>(params, &engine);
    // ordering: Relaxed; a flag alone.
    stop.store(true, Ordering::Relaxed);
    for hog in hogs {
        R::block_on(&engine, hog);
    }
    R::stop(engine);
    vec![value]
}

/// Spawns from this plain thread and blocks on the gate.
fn remote<R: Rt>(params: &Params, engine: &R::Engine) -> f64 {
    let gate = Gate::leak();
    let handle = R::handle(engine);
    R::block_on(
        engine,
        per_op(params, BATCH, || async {
            gate.close(BATCH);
            for _ in 0..BATCH {
                R::detach(R::spawn_on(&handle, async { gate.arrive() }));
            }
            gate.opened().await;
        }),
    )
}

fn join_outside<R: Rt>(params: &Params) -> Vec<f64> {
    let engine = R::start(params.workers);
    let handle = R::handle(&engine);
    let samples = collect(params, || {
        let begin = Instant::now();
        R::block_on(&engine, R::spawn_on(&handle, async {}));
        std::future::ready(nanos(begin.elapsed()))
    });
    // Nothing in it waits: every sample blocks by itself, as a plain thread does.
    let mut samples = smol::future::block_on(samples);
    R::stop(engine);
    vec![median(&mut samples)]
}

fn remote_threads<R: Rt>(params: &Params) -> Vec<f64> {
    const THREADS: usize = 4;
    let engine = R::start(params.workers);
    let handle = R::handle(&engine);
    let gate = Gate::leak();
    let batch = || {
        gate.close(THREADS * BATCH);
        let begin = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..BATCH {
                        R::detach(R::spawn_on(&handle, async { gate.arrive() }));
                    }
                });
            }
        });
        R::block_on(&engine, gate.opened());
        std::future::ready(nanos(begin.elapsed()) / (THREADS * BATCH) as f64)
    };
    let mut samples = smol::future::block_on(collect(params, batch));
    R::stop(engine);
    vec![median(&mut samples)]
}

/// Arrives when it is dropped.
struct Farewell(&'static Gate);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.arrive();
    }
}

fn cancel<R: Rt>(params: &Params) -> Vec<f64> {
    let params = *params;
    let (waiting, gone) = (Gate::leak(), Gate::leak());
    let mut samples = on_worker::<R, _>(params.workers, || async move {
        collect(&params, || async {
            waiting.close(BATCH);
            gone.close(BATCH);
            let tasks: Vec<_> = (0..BATCH)
                .map(|_| {
                    R::spawn(async {
                        let _farewell = Farewell(gone);
                        waiting.arrive();
                        std::future::pending::<()>().await;
                    })
                })
                .collect();
            waiting.opened().await;
            let begin = Instant::now();
            tasks.into_iter().for_each(R::cancel);
            gone.opened().await;
            nanos(begin.elapsed()) / BATCH as f64
        })
        .await
    });
    vec![median(&mut samples)]
}
