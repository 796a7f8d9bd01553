//! Memory that a waiting task holds: bytes asked of the allocator, and resident bytes of the process.

use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::time::Duration;

use loxley_benches::case::{Case, Metric, Params, Unit};

use crate::alloc::{live_bytes, start_counting};
use crate::measure::Gate;
use crate::rt::{Rt, on_worker};
use crate::usage::resident_bytes;

pub fn cases<R: Rt>() -> Vec<Case> {
    vec![
        Case {
            name: "memory_pending",
            about: "100,000 tasks that wait and keep their waker; bytes per task",
            metrics: const {
                &[
                    Metric::lower("counted", Unit::Bytes),
                    Metric::lower("resident", Unit::Bytes).target(2.0),
                ]
            },
            run: pending::<R>,
        },
        Case {
            name: "memory_sleeping",
            about: "100,000 tasks in a sleep of an hour; bytes per task",
            metrics: const {
                &[
                    Metric::lower("counted", Unit::Bytes),
                    Metric::lower("resident", Unit::Bytes).target(1.9),
                ]
            },
            run: sleeping::<R>,
        },
    ]
}

/// A static, so that the futures that are weighed hold nothing of the harness.
static GATE: Gate = Gate::new();

fn pending<R: Rt>(params: &Params) -> Vec<f64> {
    per_task::<R>(params, || {
        let mut kept: Option<Waker> = None;
        R::spawn(poll_fn(move |cx| {
            kept.replace(cx.waker().clone());
            GATE.arrive();
            Poll::Pending
        }))
    })
}

fn sleeping<R: Rt>(params: &Params) -> Vec<f64> {
    per_task::<R>(params, || {
        R::spawn(async {
            // The sleep registers itself right after, before the worker turns to another task.
            GATE.arrive();
            R::sleep(Duration::from_secs(3_600)).await;
        })
    })
}

/// Spawns many tasks, waits until each was polled, and looks at what they hold beyond their handles.
fn per_task<R: Rt>(params: &Params, spawn: fn() -> R::Join<()>) -> Vec<f64> {
    let count = params.scaled(100_000);
    on_worker::<R, _>(params.workers, || async move {
        // The handles are kept until the end: without handle and waker a smol task is dropped.
        let mut tasks = Vec::with_capacity(count);
        GATE.close(count);
        start_counting();
        let resident = resident_bytes();
        for _ in 0..count {
            tasks.push(spawn());
        }
        GATE.opened().await;
        // The handles' own memory was asked for before the count began, but became resident after.
        let handles = (count * size_of::<R::Join<()>>()) as f64;
        let resident = resident_bytes() - resident - handles;
        let counted = live_bytes();
        for task in tasks {
            R::detach(task);
        }
        vec![counted as f64 / count as f64, resident / count as f64]
    })
}
