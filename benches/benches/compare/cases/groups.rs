//! Several tasks as one: a group that ends with its last child, and values gathered in order.

use loxley_benches::case::{Case, Metric, Params};

use crate::measure::per_op;
use crate::rt::{Groups, on_worker};

/// Children of a group.
const CHILDREN: usize = 1_000;
/// Tasks whose values are gathered.
const GATHERED: usize = 100;

pub fn cases<R: Groups>() -> Vec<Case> {
    vec![
        Case {
            name: "group_1000",
            about: "a group of 1,000 empty tasks, until all have ended; per task",
            metrics: const { &[Metric::time("").target(2.0)] },
            run: group::<R>,
        },
        Case {
            name: "gather_100",
            about: "the values of 100 new tasks, in order; per task",
            metrics: const { &[Metric::time("").target(2.0)] },
            run: gather::<R>,
        },
    ]
}

fn group<R: Groups>(params: &Params) -> Vec<f64> {
    let params = *params;
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, CHILDREN, || R::group(CHILDREN)).await
    });
    vec![value]
}

fn gather<R: Groups>(params: &Params) -> Vec<f64> {
    let params = *params;
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, GATHERED, || async {
            let values = R::gather(GATHERED).await;
            assert_eq!(values[GATHERED - 1], GATHERED - 1);
        })
        .await
    });
    vec![value]
}
