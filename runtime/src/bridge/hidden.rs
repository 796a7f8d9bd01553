//! With the feature: a one-thread Tokio on a thread of its own, if the builder was told to have one.

use crate::Builder;
use loxley_sync::oneshot;
use loxley_sync::prim::lock::Mutex;
use loxley_sync::prim::thread::{self, JoinHandle};
use std::convert::Infallible;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use tokio::runtime::{EnterGuard, Handle};

impl Builder {
    /// Puts every thread that polls tasks into the context of a hidden Tokio runtime, so that what is bound to Tokio works
    /// in tasks as it is: reqwest, async-nats, `tokio::net`, `tokio::time`, `tokio::spawn`. Default off.
    ///
    /// Sockets and timers of Tokio's are served by one thread, `loxley-tokio`, and what is spawned by `tokio::spawn` runs on
    /// that thread: a bridge to cross, and not the fast way. Closures of [`to_thread`](crate::to_thread) are not in the
    /// context. The hidden runtime ends with this one; it does not wait for tasks of its own.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let runtime = loxley_runtime::Runtime::builder().tokio_context(true).build()?;
    /// let late = runtime.block_on(async {
    ///     let never = std::future::pending::<()>();
    ///     tokio::time::timeout(Duration::from_millis(1), never).await
    /// });
    /// assert!(late.is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn tokio_context(mut self, enable: bool) -> Self {
        self.config.tokio_context = enable;
        self
    }
}

/// The hidden runtime, if there is one.
pub(crate) struct Bridge(Option<Hidden>);

struct Hidden {
    handle: Handle,
    /// Dropped, it ends the thread.
    stop: Mutex<Option<oneshot::Sender<Infallible>>>,
    thread: Mutex<Option<Thread>>,
}

struct Thread {
    /// Hangs up when there is nothing left to do but to be joined.
    ends: mpsc::Receiver<Infallible>,
    handle: JoinHandle<()>,
}

impl Bridge {
    pub(crate) fn start(wanted: bool) -> io::Result<Self> {
        if !wanted {
            return Ok(Self(None));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<Infallible>();
        let (alive, ends) = mpsc::channel::<Infallible>();
        let body = move || {
            let _alive = alive;
            // Ends when the sender is dropped: there is nothing to send.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        };
        let thread = thread::spawn_named("loxley-tokio".to_owned(), None, body)?;
        Ok(Self(Some(Hidden {
            handle,
            stop: Mutex::new(Some(stop)),
            thread: Mutex::new(Some(Thread {
                ends,
                handle: thread,
            })),
        })))
    }

    /// Puts this thread into the hidden runtime's context, for as long as the guard lives.
    pub(crate) fn enter(&self) -> Option<EnterGuard<'_>> {
        let hidden = self.0.as_ref()?;
        // A runtime in a thread-local may outlive Tokio's own; what its tasks drop then finds no Tokio.
        let is_gone = Handle::try_current().is_err_and(|error| error.is_thread_local_destroyed());
        (!is_gone).then(|| hidden.handle.enter())
    }

    /// Ends the hidden runtime, without waiting.
    pub(crate) fn stop(&self) {
        let sender = self.0.as_ref().and_then(|hidden| hidden.stop.lock().take());
        // Wakes its thread: not under the lock.
        drop(sender);
    }

    /// Waits for its thread, at most as long as said: a task of Tokio's may be in a poll that does not end.
    pub(crate) fn join(&self, limit: Option<Duration>) {
        let thread = self
            .0
            .as_ref()
            .and_then(|hidden| hidden.thread.lock().take());
        let Some(Thread { ends, handle }) = thread else {
            return;
        };
        // An error either way, for nothing is ever sent: of these, only the limit is not the end.
        let is_late = match limit {
            Some(limit) => ends.recv_timeout(limit) == Err(RecvTimeoutError::Timeout),
            None => ends.recv().is_ok(),
        };
        if !is_late {
            // Its panic has been reported by the panic hook.
            let _ = handle.join();
        }
    }
}
