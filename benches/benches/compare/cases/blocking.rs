//! Blocking closures: there and back, and many at once.

use loxley_benches::case::{Case, Metric, Params};
use loxley_benches::stats::median;

use crate::measure::{collect, per_op};
use crate::rt::{Blocking, on_worker};
use crate::usage::nanos;

const MANY: usize = 1_000;

pub fn cases<R: Blocking>() -> Vec<Case> {
    vec![
        Case {
            name: "blocking_round_trip",
            about: "a task awaits one empty closure on a blocking thread; p50",
            metrics: const { &[Metric::time("p50").target(1.3)] },
            run: round_trip::<R>,
        },
        Case {
            name: "blocking_many",
            about: "a task hands over 1,000 empty closures, then awaits each; per closure",
            metrics: const { &[Metric::time("").target(3.0)] },
            run: many::<R>,
        },
    ]
}

fn round_trip<R: Blocking>(params: &Params) -> Vec<f64> {
    let params = *params;
    let mut samples = on_worker::<R, _>(params.workers, || async move {
        collect(&params, || async {
            let begin = std::time::Instant::now();
            R::to_thread(|| ()).await;
            nanos(begin.elapsed())
        })
        .await
    });
    vec![median(&mut samples)]
}

fn many<R: Blocking>(params: &Params) -> Vec<f64> {
    let params = *params;
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, MANY, || async {
            let tasks: Vec<_> = (0..MANY)
                .map(|_| R::spawn(async { R::to_thread(|| ()).await }))
                .collect();
            for task in tasks {
                task.await;
            }
        })
        .await
    });
    vec![value]
}
