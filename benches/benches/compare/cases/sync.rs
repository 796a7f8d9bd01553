//! Queues, locks and signals: each library's own, on its own runtime.
//!
//! One function per kind, so that a library without the kind leaves the rows out.

use std::sync::Arc;
use std::time::Instant;

use loxley_benches::case::{Case, Metric, Params};
use loxley_benches::stats::median;

use crate::kit::{Baton, Channel, Exclusive, Fan, OneShot, Permits, Shared, Signal, Watched};
use crate::measure::{Gate, collect, on_first_poll, per_op};
use crate::rt::{Rt, on_worker};
use crate::usage::nanos;

const MESSAGES: usize = 10_000;
const CAPACITY: usize = 128;
const BATCH: usize = 1_000;
/// Who waits for one event, or watches one value.
const WAITERS: usize = 1_000;
/// Who listens to one broadcast, and how many values go out before all have to catch up.
const LISTENERS: usize = 8;
const BURST: usize = 64;

macro_rules! case {
    ($name:literal, $about:literal, $target:literal, $run:expr) => {
        Case {
            name: $name,
            about: $about,
            metrics: const { &[Metric::time("").target($target)] },
            run: $run,
        }
    };
}

pub fn queues<R: Rt, Bounded: Channel, Unbounded: Channel>() -> Vec<Case> {
    vec![
        case!(
            "queue_1p1c",
            "bounded queue of 128, 1 producer; per message",
            1.8,
            |params| { queue::<R, Bounded>(params, 1, CAPACITY) }
        ),
        case!(
            "queue_4p1c",
            "bounded queue of 128, 4 producers; per message",
            2.5,
            |params| { queue::<R, Bounded>(params, 4, CAPACITY) }
        ),
        case!(
            "queue_capacity_1",
            "bounded queue of 1, 1 producer; per message",
            2.0,
            |params| { queue::<R, Bounded>(params, 1, 1) }
        ),
        case!(
            "queue_unbounded_1p",
            "unbounded queue, 1 producer; per message",
            1.7,
            |params| { queue::<R, Unbounded>(params, 1, 0) }
        ),
        case!(
            "queue_unbounded_4p",
            "unbounded queue, 4 producers; per message",
            1.7,
            |params| { queue::<R, Unbounded>(params, 4, 0) }
        ),
    ]
}

fn queue<R: Rt, C: Channel>(params: &Params, producers: usize, capacity: usize) -> Vec<f64> {
    let params = *params;
    let messages = if capacity == 1 { BATCH } else { MESSAGES };
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, messages, || async {
            let (sender, mut receiver) = C::open(capacity);
            for _ in 0..producers {
                let sender = sender.clone();
                R::detach(R::spawn(async move {
                    for index in 0..messages / producers {
                        C::send(&sender, index as u64).await;
                    }
                }));
            }
            for _ in 0..messages {
                std::hint::black_box(C::receive(&mut receiver).await);
            }
        })
        .await
    });
    vec![value]
}

pub fn one_shots<R: Rt, O: OneShot>() -> Vec<Case> {
    vec![
        case!(
            "oneshot_ready",
            "open, send, await in one task; per value",
            2.5,
            one_shot_ready::<R, O>
        ),
        case!(
            "oneshot_ping_pong",
            "ping_pong by the library's own one-shot channel",
            3.0,
            one_shot_ping_pong::<R, O>
        ),
    ]
}

fn one_shot_ready<R: Rt, O: OneShot>(params: &Params) -> Vec<f64> {
    let params = *params;
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, BATCH, || async {
            for index in 0..BATCH {
                let (sender, receiver) = O::open();
                O::send(sender, index as u64);
                std::hint::black_box(O::receive(receiver).await);
            }
        })
        .await
    });
    vec![value]
}

fn one_shot_ping_pong<R: Rt, O: OneShot>(params: &Params) -> Vec<f64> {
    let params = *params;
    let gate = Gate::leak();
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, BATCH, || async {
            gate.close(BATCH);
            for _ in 0..BATCH {
                R::detach(R::spawn(async {
                    let (ping, pinged) = O::open();
                    let (pong, ponged) = O::open();
                    R::detach(R::spawn(
                        async move { O::send(pong, O::receive(pinged).await) },
                    ));
                    O::send(ping, 1);
                    O::receive(ponged).await;
                    gate.arrive();
                }));
            }
            gate.opened().await;
        })
        .await
    });
    vec![value]
}

pub fn locks<R: Rt, L: Exclusive>() -> Vec<Case> {
    vec![
        case!(
            "lock_uncontended",
            "one task locks and unlocks; per time",
            3.0,
            |params| { lock::<R, L>(params, 1, false) }
        ),
        case!(
            "lock_contended",
            "4 tasks lock and unlock, no await inside; per time",
            3.0,
            |params| { lock::<R, L>(params, 4, false) }
        ),
        case!(
            "lock_over_yield",
            "8 tasks hold the lock over a yield; per time",
            2.0,
            |params| { lock::<R, L>(params, 8, true) }
        ),
    ]
}

fn lock<R: Rt, L: Exclusive>(params: &Params, tasks: usize, yields: bool) -> Vec<f64> {
    let params = *params;
    let lock = Arc::new(L::new());
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, tasks * BATCH, || {
            all::<R, _>(tasks, || {
                let lock = Arc::clone(&lock);
                async move {
                    for _ in 0..BATCH {
                        let mut guard = lock.acquire().await;
                        *guard += 1;
                        if yields {
                            R::yield_now().await;
                        }
                    }
                }
            })
        })
        .await
    });
    vec![value]
}

/// Runs as many tasks of one kind and waits for them.
async fn all<R: Rt, F: Future<Output = ()> + Send + 'static>(tasks: usize, make: impl Fn() -> F) {
    let joins: Vec<_> = (0..tasks).map(|_| R::spawn(make())).collect();
    for join in joins {
        join.await;
    }
}

pub fn permits<R: Rt, P: Permits>() -> Vec<Case> {
    vec![case!(
        "semaphore_4_of_16",
        "16 tasks take one of 4 permits over a yield; per permit",
        1.7,
        semaphore::<R, P>
    )]
}

fn semaphore<R: Rt, P: Permits>(params: &Params) -> Vec<f64> {
    let params = *params;
    let semaphore = Arc::new(P::new(4));
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, 16 * BATCH, || {
            all::<R, _>(16, || {
                let semaphore = Arc::clone(&semaphore);
                async move {
                    for _ in 0..BATCH {
                        let permit = semaphore.acquire().await;
                        R::yield_now().await;
                        drop(permit);
                    }
                }
            })
        })
        .await
    });
    vec![value]
}

pub fn shared_locks<R: Rt, L: Shared>() -> Vec<Case> {
    vec![case!(
        "rwlock_read",
        "as many tasks as workers lock for reading; per time",
        2.0,
        read::<R, L>
    )]
}

fn read<R: Rt, L: Shared>(params: &Params) -> Vec<f64> {
    let params = *params;
    let lock = Arc::new(L::new());
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, params.workers * MESSAGES, || {
            all::<R, _>(params.workers, || {
                let lock = Arc::clone(&lock);
                async move {
                    for _ in 0..MESSAGES {
                        drop(lock.read().await);
                    }
                }
            })
        })
        .await
    });
    vec![value]
}

pub fn signals<R: Rt, S: Signal>() -> Vec<Case> {
    vec![case!(
        "event_1000",
        "1,000 tasks wait for one event; from its setting until all ran, per task",
        1.5,
        event::<R, S>
    )]
}

fn event<R: Rt, S: Signal>(params: &Params) -> Vec<f64> {
    let params = *params;
    let mut samples = on_worker::<R, _>(params.workers, || async move {
        let (waiting, woken) = (Gate::leak(), Gate::leak());
        collect(&params, || async {
            let signal = Arc::new(S::new());
            waiting.close(WAITERS);
            woken.close(WAITERS);
            for _ in 0..WAITERS {
                let signal = Arc::clone(&signal);
                R::detach(R::spawn(async {
                    on_first_poll(async move { signal.wait().await }, || waiting.arrive()).await;
                    woken.arrive();
                }));
            }
            waiting.opened().await;
            let begin = Instant::now();
            signal.wake_all();
            woken.opened().await;
            nanos(begin.elapsed()) / WAITERS as f64
        })
        .await
    });
    vec![median(&mut samples)]
}

pub fn batons<R: Rt, B: Baton>() -> Vec<Case> {
    vec![case!(
        "notify_own",
        "notify_pingpong by the library's own notify; per one way",
        1.8,
        notify::<R, B>
    )]
}

fn notify<R: Rt, B: Baton>(params: &Params) -> Vec<f64> {
    let params = *params;
    let value = on_worker::<R, _>(params.workers, || async move {
        let table = Arc::new((B::new(), B::new()));
        per_op(&params, 2 * BATCH, || {
            let (table, other_side) = (Arc::clone(&table), Arc::clone(&table));
            async move {
                let other = R::spawn(async move {
                    for _ in 0..BATCH {
                        other_side.0.wait().await;
                        other_side.1.pass();
                    }
                });
                for _ in 0..BATCH {
                    table.0.pass();
                    table.1.wait().await;
                }
                other.await;
            }
        })
        .await
    });
    vec![value]
}

pub fn fans<R: Rt, F: Fan>() -> Vec<Case> {
    vec![case!(
        "broadcast_8",
        "bursts of 64 values to 8 receivers; per value received",
        1.5,
        broadcast::<R, F>
    )]
}

fn broadcast<R: Rt, F: Fan>(params: &Params) -> Vec<f64> {
    let params = *params;
    let gate = Gate::leak();
    let value = on_worker::<R, _>(params.workers, || async move {
        let sender = F::open(BURST);
        for _ in 0..LISTENERS {
            let mut receiver = F::subscribe(&sender);
            R::detach(R::spawn(async move {
                let mut received = 0;
                // The last burst is marked: the receiver ends by itself.
                while F::receive(&mut receiver).await != u64::MAX {
                    received += 1;
                    if received % BURST == 0 {
                        gate.arrive();
                    }
                }
            }));
        }
        let value = per_op(&params, LISTENERS * BURST, || async {
            gate.close(LISTENERS);
            for index in 0..BURST {
                F::send(&sender, index as u64);
            }
            gate.opened().await;
        })
        .await;
        F::send(&sender, u64::MAX);
        value
    });
    vec![value]
}

pub fn watches<R: Rt, W: Watched>() -> Vec<Case> {
    vec![case!(
        "watch_1000",
        "1,000 tasks watch one value; from its change until all ran, per task",
        1.5,
        watch::<R, W>
    )]
}

fn watch<R: Rt, W: Watched>(params: &Params) -> Vec<f64> {
    let params = *params;
    let value = on_worker::<R, _>(params.workers, || async move {
        let (ready, seen) = (Gate::leak(), Gate::leak());
        let sender = W::open();
        ready.close(WAITERS);
        for _ in 0..WAITERS {
            let mut receiver = W::subscribe(&sender);
            R::detach(R::spawn(async move {
                let mut value = on_first_poll(W::changed(&mut receiver), || ready.arrive()).await;
                while value != u64::MAX {
                    seen.arrive();
                    value = W::changed(&mut receiver).await;
                }
            }));
        }
        ready.opened().await;
        let value = per_op(&params, WAITERS, || async {
            seen.close(WAITERS);
            W::send(&sender, 1);
            seen.opened().await;
        })
        .await;
        W::send(&sender, u64::MAX);
        value
    });
    vec![value]
}
