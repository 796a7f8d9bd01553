//! Waiting on a plain thread: one future, polled here, the thread parked in between.
//!
//! The `blocking_` form of every primitive goes through [`block_on`]. It must never wait in a task: it would hold the worker
//! that the task, or whoever it waits for, needs to go on.

use crate::ambient::scope;
use crate::prim::lock::{Condvar, Mutex};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};

/// Runs `future` to its end on this thread, which sleeps while the future waits.
///
/// # Panics
///
/// In a task of a loxley runtime, at the caller's line: it would hold the worker that runs it.
///
/// # Examples
///
/// Any future, on a thread of one's own, without a runtime:
///
/// ```
/// use loxley_sync::{Queue, wait::block_on};
///
/// let queue = Queue::new(0);
/// let answer = queue.clone();
/// let thread = std::thread::spawn(move || block_on(answer.get()));
/// queue.put_nowait("hello").unwrap();
/// assert_eq!(thread.join().unwrap(), Ok("hello"));
/// ```
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    expect_thread();
    let mut future = pin!(future);
    let sleeper = Arc::new(Sleeper::default());
    let waker = sleeper.clone().into();
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        let mut woken = sleeper.woken.lock();
        while !*woken {
            woken = sleeper.changed.wait(woken);
        }
        *woken = false;
    }
}

/// For whoever may block its thread, whether it has to this time or not.
///
/// # Panics
///
/// In a task, at the caller's line.
#[track_caller]
pub(crate) fn expect_thread() {
    assert!(
        !scope::is_in_task(),
        "this blocks the thread, which here is the worker of a task: await instead, or block in `to_thread`"
    );
}

/// A condition variable and not the thread's parking token: the token may be used by the code that `future` calls, and
/// loom forgets it when a thread does anything else before it parks.
#[derive(Default)]
struct Sleeper {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.woken.lock() = true;
        self.changed.notify_one();
    }
}
