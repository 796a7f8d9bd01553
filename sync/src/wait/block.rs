//! Waiting on a plain thread: one future, polled here, the thread parked in between.
//!
//! The `blocking_` form of every primitive goes through [`block_on`]. It must never be called from a task: it would hold
//! the worker that the task needs to go on.

use crate::prim::lock::{Condvar, Mutex};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};

/// Runs `future` to its end on this thread, which sleeps while the future waits.
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
pub fn block_on<F: Future>(future: F) -> F::Output {
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
