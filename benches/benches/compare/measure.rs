//! How a case repeats itself and how it waits for many tasks without any runtime's help.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Poll, Waker};
use std::time::Instant;

use loxley_benches::case::Params;
use loxley_benches::stats::median;
use loxley_sync::prim::atomic::{AtomicUsize, Ordering};

use crate::usage::nanos;

/// Batches that are thrown away before the clock counts.
const WARM_UP_BATCHES: usize = 3;

/// Batches at least, however long they take.
const BATCHES_MIN: usize = 5;

/// Repeats `batch`, which does `ops` operations, for the time of the case; the median time per operation.
pub async fn per_op<F: Future<Output = ()>>(
    params: &Params,
    ops: usize,
    mut batch: impl FnMut() -> F,
) -> f64 {
    for _ in 0..WARM_UP_BATCHES {
        batch().await;
    }
    let mut samples = Vec::new();
    let start = Instant::now();
    while samples.len() < BATCHES_MIN || start.elapsed() < params.budget() {
        let begin = Instant::now();
        batch().await;
        samples.push(nanos(begin.elapsed()) / ops as f64);
    }
    median(&mut samples)
}

/// Repeats `sample`, which returns its own measurement, for the time of the case.
pub async fn collect<F: Future<Output = f64>>(
    params: &Params,
    mut sample: impl FnMut() -> F,
) -> Vec<f64> {
    for _ in 0..WARM_UP_BATCHES {
        sample().await;
    }
    let mut samples = Vec::new();
    let start = Instant::now();
    while samples.len() < BATCHES_MIN || start.elapsed() < params.budget() {
        samples.push(sample().await);
    }
    samples
}

/// Waits until a number of tasks have arrived. The same for all runtimes: a counter and a waker.
pub struct Gate {
    missing: AtomicUsize,
    waiter: Mutex<Option<Waker>>,
}

impl Gate {
    /// An open gate.
    pub const fn new() -> Self {
        Self {
            missing: AtomicUsize::new(0),
            waiter: Mutex::new(None),
        }
    }

    /// A gate that lives as long as the process, so that tasks hold it without a reference count.
    pub fn leak() -> &'static Self {
        Box::leak(Box::new(Self::new()))
    }

    /// Closes the gate until `count` arrivals.
    pub fn close(&self, count: usize) {
        // ordering: Relaxed; the tasks that arrive are spawned after this by the same thread.
        self.missing.store(count, Ordering::Relaxed);
    }

    /// One task is done.
    #[inline]
    pub fn arrive(&self) {
        // ordering: AcqRel; what every arrival did before is seen by the one that opens, and through it by the waiter.
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            let waiter = self.waiter.lock().expect("nothing panics under it").take();
            if let Some(waiter) = waiter {
                waiter.wake();
            }
        }
    }

    /// Ready once all have arrived; one waiter at a time.
    pub async fn opened(&self) {
        poll_fn(|cx| {
            if self.is_open() {
                return Poll::Ready(());
            }
            *self.waiter.lock().expect("nothing panics under it") = Some(cx.waker().clone());
            // Looked at again after the waker was left: the last arrival takes the lock after its subtraction.
            if self.is_open() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    fn is_open(&self) -> bool {
        // ordering: Acquire; pairs with the arrival that opened.
        self.missing.load(Ordering::Acquire) == 0
    }
}

/// Polls `future` once and drops it.
pub async fn poll_once(future: impl Future<Output = ()>) {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let _ = future.as_mut().poll(cx);
        Poll::Ready(())
    })
    .await;
}

/// `future`, with `then` called after its first poll: what it waits for is registered then.
pub async fn on_first_poll<F: Future>(future: F, then: impl FnOnce()) -> F::Output {
    let mut future = pin!(future);
    let mut then = Some(then);
    poll_fn(|cx| {
        let poll = future.as_mut().poll(cx);
        if let Some(then) = then.take() {
            then();
        }
        poll
    })
    .await
}

/// Computes for about `nanos` nanoseconds by the clock.
pub fn compute(nanos: u64) {
    let start = Instant::now();
    while start.elapsed().as_nanos() < u128::from(nanos) {
        std::hint::spin_loop();
    }
}
