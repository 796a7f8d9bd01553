//! Loxley: the work-stealing flavour as a program would build it, but for the worker count.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use loxley_runtime::{Handle, Runtime, Task, create_task, sleep, timeout, yield_now};

use super::Rt;

/// The subject of the comparison.
pub struct Loxley;

/// A task whose error is a panic in the awaiter.
pub struct Join<T>(Task<T>);

impl<T> Future for Join<T> {
    type Output = T;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|result| result.expect("no task of a case panics"))
    }
}

impl Rt for Loxley {
    type Engine = Runtime;
    type Handle = Handle;
    type Join<T: Send + 'static> = Join<T>;

    fn start(workers: usize) -> Runtime {
        Runtime::builder()
            .worker_threads(workers)
            .build()
            .expect("the system has threads left")
    }

    fn stop(engine: Runtime) {
        drop(engine);
    }

    fn block_on<F: Future>(engine: &Runtime, future: F) -> F::Output {
        engine.block_on(future)
    }

    fn handle(engine: &Runtime) -> Handle {
        engine.handle().clone()
    }

    #[inline]
    fn spawn<F: Future<Output: Send + 'static> + Send + 'static>(future: F) -> Join<F::Output> {
        Join(create_task(future))
    }

    #[inline]
    fn spawn_on<F: Future<Output: Send + 'static> + Send + 'static>(
        handle: &Handle,
        future: F,
    ) -> Join<F::Output> {
        Join(handle.create_task(future))
    }

    #[inline]
    fn detach<T: Send + 'static>(join: Join<T>) {
        drop(join);
    }

    #[inline]
    fn cancel<T: Send + 'static>(join: Join<T>) {
        join.0.cancel();
    }

    #[inline]
    fn yield_now() -> impl Future<Output = ()> + Send {
        yield_now()
    }

    #[inline]
    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        sleep(duration)
    }

    #[inline]
    async fn timeout<F: Future<Output: Send> + Send>(
        limit: Duration,
        future: F,
    ) -> Option<F::Output> {
        timeout(limit, future).await.ok()
    }
}
