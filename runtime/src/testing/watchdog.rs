//! The limit of a test on the real clock: a thread that waits for the test to end, and says what hangs when it does not.
//!
//! Called by [`run`](super::run) alone. It polls no user future but the guarded one and never touches the test's clock.

use std::future::{Future, poll_fn};
use std::io::Write as _;
use std::pin::pin;
use std::process;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::task::{Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use loxley_sync::prim::lock::Mutex;

use super::describe_tasks;
use crate::runtime::Handle;

/// How long a test that has been told of its hang may take to say so, before the process is aborted.
const STUCK_GRACE: Duration = Duration::from_secs(1);

/// Why a test was stopped.
pub(super) struct Hang(pub(super) String);

/// Watches one test; dropped, it stops.
pub(super) struct Watchdog {
    bell: Arc<Mutex<Bell>>,
    /// `None` when there is no limit. Dropping the sender says that the test has ended.
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

/// How the watching thread tells the test.
struct Bell {
    hang: Option<String>,
    waker: Option<Waker>,
}

impl Watchdog {
    pub(super) fn start(limit: Option<Duration>, handle: &Handle) -> Self {
        let bell = Arc::new(Mutex::new(Bell {
            hang: None,
            waker: None,
        }));
        let thread = limit.map(|limit| {
            let (running, ended) = mpsc::channel::<()>();
            let (bell, handle) = (bell.clone(), handle.clone());
            let watch = move || {
                if ended.recv_timeout(limit) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                let text = hang_text(limit, &handle);
                let waker = {
                    let mut bell = bell.lock();
                    bell.hang = Some(text.clone());
                    bell.waker.take()
                };
                if let Some(waker) = waker {
                    waker.wake();
                }
                if ended.recv_timeout(STUCK_GRACE) == Err(RecvTimeoutError::Timeout) {
                    abort(&text);
                }
            };
            let thread = thread::Builder::new()
                .name("loxley-watchdog".to_owned())
                .spawn(watch);
            (
                running,
                thread.expect("a test needs one more thread, to watch it"),
            )
        });
        Self { bell, thread }
    }

    /// Awaits `future`, unless the limit is reached first.
    pub(super) async fn guard<F: Future>(&self, future: F) -> Result<F::Output, Hang> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let waker = cx.waker().clone();
            let (old, hang) = {
                let mut bell = self.bell.lock();
                (bell.waker.replace(waker), bell.hang.take())
            };
            drop(old);
            match hang {
                Some(text) => Poll::Ready(Err(Hang(text))),
                None => future.as_mut().poll(cx).map(Ok),
            }
        })
        .await
    }
}

impl Drop for Watchdog {
    /// The thread holds the runtime's descriptors, so it is gone before they are counted.
    fn drop(&mut self) {
        if let Some((running, thread)) = self.thread.take() {
            drop(running);
            // A panic of it has been reported by the panic hook.
            drop(thread.join());
        }
    }
}

fn hang_text(limit: Duration, handle: &Handle) -> String {
    let tasks = describe_tasks(handle, None);
    let jobs = handle.metrics();
    format!(
        "the test has not ended after {limit:?}; tasks alive: {}\n  {}\nblocking jobs running: {}, queued: {}",
        tasks.len(),
        tasks.join("\n  "),
        jobs.blocking_threads - jobs.idle_blocking_threads,
        jobs.queued_blocking_jobs,
    )
}

/// The test's thread is stuck inside a poll: nothing else can end it.
fn abort(text: &str) -> ! {
    // Nothing can be done about a standard error that is gone.
    let _ = writeln!(
        std::io::stderr(),
        "{text}\na poll does not return: the process is aborted"
    );
    process::abort()
}
