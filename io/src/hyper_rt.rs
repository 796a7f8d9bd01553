//! What hyper asks of a runtime besides streams: [`Executor`] and [`Timer`].
//!
//! Hand them to hyper's builders; the streams of this crate implement `hyper::rt::Read` and `Write` themselves.
//!
//! # Examples
//!
//! ```no_run
//! use hyper::server::conn::http1;
//! # use hyper::{Request, Response, body::Incoming, service::service_fn};
//! use loxley_io::hyper_rt::Timer;
//!
//! # async fn example(stream: loxley_io::TcpStream) -> hyper::Result<()> {
//! let service = service_fn(|_: Request<Incoming>| async { Ok::<_, std::io::Error>(Response::new(String::new())) });
//! http1::Builder::new().timer(Timer).serve_connection(stream, service).await
//! # }
//! ```

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use loxley_runtime::{create_task, lowlevel, sleep, sleep_until};

/// Runs hyper's background work as tasks of the runtime it is called in.
///
/// # Examples
///
/// ```
/// use loxley_io::http::Executor;
/// use hyper::rt::Executor as _;
///
/// # loxley_runtime::run(async {
/// let (tell, told) = loxley_sync::oneshot::channel();
/// Executor.execute(async move { tell.send("in a task") });
/// assert_eq!(told.await, Ok("in a task"));
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[doc(alias = "TokioExecutor")]
pub struct Executor;

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        drop(create_task(future));
    }
}

/// Measures hyper's timeouts with the runtime's timers.
///
/// # Examples
///
/// ```
/// use loxley_io::http::Timer;
/// use hyper::rt::Timer as _;
/// use std::time::{Duration, Instant};
///
/// # loxley_runtime::run(async {
/// let before = Instant::now();
/// Timer.sleep(Duration::from_millis(2)).await;
/// assert!(before.elapsed() >= Duration::from_millis(2));
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timer;

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep(sleep(duration)))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep(sleep_until(deadline)))
    }

    fn now(&self) -> Instant {
        lowlevel::now()
    }

    /// Moves a sleep of ours in place: nothing is allocated for a keep-alive that is put off with every request.
    fn reset(&self, sleep: &mut Pin<Box<dyn hyper::rt::Sleep>>, new_deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Some(ours) => Pin::new(&mut ours.get_mut().0).reset(new_deadline),
            None => *sleep = self.sleep_until(new_deadline),
        }
    }
}

/// The runtime's sleep under hyper's name for it.
#[derive(Debug)]
struct Sleep(loxley_runtime::Sleep);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl hyper::rt::Sleep for Sleep {}
