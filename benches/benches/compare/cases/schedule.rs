//! Switching between tasks: yields, wakes, messages, and what a hot set of tasks does to the others.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use loxley_benches::case::{Case, Metric, Params, Unit};
use loxley_benches::stats::median;
use loxley_sync::prim::atomic::{AtomicBool, Ordering};
use tokio::sync::{Notify, oneshot};

use crate::measure::{Gate, per_op};
use crate::rt::{Rt, on_worker};
use crate::usage::nanos;

const BATCH: usize = 1_000;
/// Tasks that yield together, and how often each does.
const YIELDERS: usize = 200;
const YIELDS: usize = 100;
/// Pairs of tasks that play ping-pong without end beside a yielding task.
const HOT_PAIRS: usize = 4;

pub fn cases<R: Rt>() -> Vec<Case> {
    vec![
        Case {
            name: "yield_1",
            about: "one task alone yields; per yield",
            metrics: const { &[Metric::time("").target(6.0)] },
            run: yield_1::<R>,
        },
        Case {
            name: "yield_200",
            about: "200 tasks yield 100 times each; per yield",
            metrics: const { &[Metric::time("").target(1.7)] },
            run: yield_200::<R>,
        },
        Case {
            name: "self_wake",
            about: "one task wakes itself by reference and is pending; per wake",
            metrics: const { &[Metric::time("").target(1.7)] },
            run: self_wake::<R>,
        },
        Case {
            name: "ping_pong",
            about: "two spawns and a message each way, by tokio's oneshot on every runtime; per exchange",
            metrics: const { &[Metric::time("").target(3.0)] },
            run: ping_pong::<R>,
        },
        Case {
            name: "notify_pingpong",
            about: "two tasks notify each other by tokio's Notify on every runtime; per one way",
            metrics: const { &[Metric::time("").target(1.8)] },
            run: notify_pingpong::<R>,
        },
        Case {
            name: "fairness",
            about: "gaps between two turns of a yielding task beside 4 hot ping-pong pairs",
            metrics: const {
                &[
                    Metric::time("gap p50").target(6.0),
                    Metric::lower("gap max", Unit::Nanos),
                ]
            },
            run: fairness::<R>,
        },
    ]
}

fn yield_1<R: Rt>(params: &Params) -> Vec<f64> {
    let params = *params;
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, BATCH, || async {
            for _ in 0..BATCH {
                R::yield_now().await;
            }
        })
        .await
    });
    vec![value]
}

fn yield_200<R: Rt>(params: &Params) -> Vec<f64> {
    let params = *params;
    let gate = Gate::leak();
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, YIELDERS * YIELDS, || async {
            gate.close(YIELDERS);
            for _ in 0..YIELDERS {
                R::detach(R::spawn(async {
                    for _ in 0..YIELDS {
                        R::yield_now().await;
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

fn self_wake<R: Rt>(params: &Params) -> Vec<f64> {
    let params = *params;
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, BATCH, || wake_self(BATCH)).await
    });
    vec![value]
}

fn wake_self(mut times: usize) -> impl Future<Output = ()> + Send {
    poll_fn(move |cx| {
        if times == 0 {
            return Poll::Ready(());
        }
        times -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

fn ping_pong<R: Rt>(params: &Params) -> Vec<f64> {
    let params = *params;
    let gate = Gate::leak();
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, BATCH, || async {
            gate.close(BATCH);
            for _ in 0..BATCH {
                R::detach(R::spawn(exchange::<R>(gate)));
            }
            gate.opened().await;
        })
        .await
    });
    vec![value]
}

async fn exchange<R: Rt>(gate: &'static Gate) {
    let (ping, pinged) = oneshot::channel::<()>();
    let (pong, ponged) = oneshot::channel::<()>();
    R::detach(R::spawn(async move {
        pinged.await.expect("the sender sends");
        pong.send(()).expect("the receiver waits");
    }));
    ping.send(()).expect("the receiver waits");
    ponged.await.expect("the sender sends");
    gate.arrive();
}

fn notify_pingpong<R: Rt>(params: &Params) -> Vec<f64> {
    let params = *params;
    let value = on_worker::<R, _>(params.workers, || async move {
        let table = Arc::new((Notify::new(), Notify::new()));
        per_op(&params, 2 * BATCH, || {
            let table = Arc::clone(&table);
            async move {
                let other_side = Arc::clone(&table);
                let other = R::spawn(async move {
                    for _ in 0..BATCH {
                        other_side.0.notified().await;
                        other_side.1.notify_one();
                    }
                });
                for _ in 0..BATCH {
                    table.0.notify_one();
                    table.1.notified().await;
                }
                other.await;
            }
        })
        .await
    });
    vec![value]
}

fn fairness<R: Rt>(params: &Params) -> Vec<f64> {
    let params = *params;
    let gaps = on_worker::<R, _>(params.workers, || async move {
        let stop = Arc::new(AtomicBool::new(false));
        let hot: Vec<_> = (0..HOT_PAIRS).flat_map(|_| hot_pair::<R>(&stop)).collect();
        let length = if params.quick {
            Duration::from_millis(200)
        } else {
            Duration::from_secs(1)
        };
        let mut gaps = Vec::new();
        let begin = Instant::now();
        let mut last = begin;
        while last - begin < length {
            R::yield_now().await;
            let now = Instant::now();
            gaps.push(nanos(now - last));
            last = now;
        }
        // ordering: Relaxed; a flag alone.
        stop.store(true, Ordering::Relaxed);
        for task in hot {
            task.await;
        }
        gaps
    });
    let mut gaps = gaps;
    let max = gaps.iter().copied().fold(0.0, f64::max);
    vec![median(&mut gaps), max]
}

/// Two tasks that notify each other until `stop`.
fn hot_pair<R: Rt>(stop: &Arc<AtomicBool>) -> [R::Join<()>; 2] {
    let table = Arc::new((Notify::new(), Notify::new()));
    let (server_table, server_stop, client_stop) =
        (Arc::clone(&table), Arc::clone(stop), Arc::clone(stop));
    let server = R::spawn(async move {
        // ordering: Relaxed; a flag alone.
        while !server_stop.load(Ordering::Relaxed) {
            server_table.0.notified().await;
            server_table.1.notify_one();
        }
        // The other side may wait for one more answer.
        server_table.1.notify_one();
    });
    let client = R::spawn(async move {
        // ordering: Relaxed; a flag alone.
        while !client_stop.load(Ordering::Relaxed) {
            table.0.notify_one();
            table.1.notified().await;
        }
        table.0.notify_one();
    });
    [server, client]
}
