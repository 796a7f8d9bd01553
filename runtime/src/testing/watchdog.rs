//! The limit of a test on the real clock: a thread that waits for the test to end, and says what hangs when it does not.
//!
//! Called by [`run`](super::run) alone. It polls no user future but the guarded one and never touches the test's clock.

use std::future::{Future, poll_fn};
use std::io::Write as _;
use std::pin::pin;
use std::process;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use loxley_sync::prim::lock::{Condvar, Mutex};
use loxley_sync::prim::thread::{self, JoinHandle};

use super::{describe_tasks, indented};
use crate::runtime::Handle;

/// How long a test that has been told of its hang may take to say so, before the process is aborted.
const STUCK_GRACE: Duration = Duration::from_secs(1);

/// Why a test was stopped.
pub(super) struct Hang(pub(super) String);

/// Watches one test; dropped, it stops.
pub(super) struct Watchdog {
    bell: Arc<Bell>,
    /// `None` when there is no limit.
    thread: Option<JoinHandle<()>>,
}

/// What the test and the watching thread tell each other.
#[derive(Default)]
struct Bell {
    state: Mutex<State>,
    /// The test has ended.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    has_ended: bool,
    hang: Option<String>,
    waker: Option<Waker>,
}

impl Bell {
    /// Whether the test ends before the limit is over.
    fn ends_within(&self, limit: Duration) -> bool {
        let mut state = self.state.lock();
        let mut is_late = false;
        while !state.has_ended && !is_late {
            (state, is_late) = self.ended.wait_for(state, limit);
        }
        state.has_ended
    }
}

impl Watchdog {
    pub(super) fn start(limit: Option<Duration>, handle: &Handle) -> Self {
        let bell = Arc::new(Bell::default());
        let thread = limit.map(|limit| {
            let (bell, handle) = (bell.clone(), handle.clone());
            let watch = move || {
                if bell.ends_within(limit) {
                    return;
                }
                let text = hang_text(limit, &handle);
                let waker = {
                    let mut state = bell.state.lock();
                    state.hang = Some(text.clone());
                    state.waker.take()
                };
                if let Some(waker) = waker {
                    waker.wake();
                }
                if !bell.ends_within(STUCK_GRACE) {
                    abort(&text);
                }
            };
            let thread = thread::spawn_named("loxley-watchdog".to_owned(), None, watch);
            thread.expect("a test needs one more thread, to watch it")
        });
        Self { bell, thread }
    }

    /// Awaits `future`, unless the limit is reached first.
    pub(super) async fn guard<F: Future>(&self, future: F) -> Result<F::Output, Hang> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let waker = cx.waker().clone();
            let (old, hang) = {
                let mut state = self.bell.state.lock();
                (state.waker.replace(waker), state.hang.take())
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
        if let Some(thread) = self.thread.take() {
            self.bell.state.lock().has_ended = true;
            self.bell.ended.notify_one();
            // A panic of it has been reported by the panic hook.
            drop(thread.join());
        }
    }
}

fn hang_text(limit: Duration, handle: &Handle) -> String {
    let tasks = describe_tasks(handle, None);
    let jobs = handle.metrics();
    format!(
        "the test has not ended after {limit:?}; tasks alive: {}{}\nblocking jobs running: {}, queued: {}",
        tasks.len(),
        indented(&tasks),
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
