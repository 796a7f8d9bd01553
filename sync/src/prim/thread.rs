//! Threads, parking and thread-locals.

#[cfg(loom)]
pub use loom::thread::{JoinHandle, Thread, ThreadId, current, park, spawn, yield_now};
#[cfg(shuttle)]
pub use shuttle::thread::{JoinHandle, Thread, ThreadId, current, park, spawn, yield_now};
#[cfg(not(any(loom, shuttle)))]
pub use std::thread::{JoinHandle, Thread, ThreadId, current, park, spawn, yield_now};

use std::io;
use std::time::Duration;

/// Starts a thread with a name and a stack size in bytes. Models have neither, and never fail.
///
/// # Errors
///
/// What the operating system says when it will not give another thread.
pub fn spawn_named<F>(name: String, stack_size: Option<usize>, f: F) -> io::Result<JoinHandle<()>>
where
    F: FnOnce() + Send + 'static,
{
    #[cfg(any(loom, shuttle))]
    {
        let _ = (name, stack_size);
        Ok(spawn(f))
    }
    #[cfg(not(any(loom, shuttle)))]
    {
        let mut builder = std::thread::Builder::new().name(name);
        if let Some(bytes) = stack_size {
            builder = builder.stack_size(bytes);
        }
        builder.spawn(f)
    }
}

/// Parks for at most `limit`. Models have no time: there it is [`park`].
#[inline]
pub fn park_timeout(limit: Duration) {
    #[cfg(any(loom, shuttle))]
    {
        let _ = limit;
        park();
    }
    #[cfg(not(any(loom, shuttle)))]
    std::thread::park_timeout(limit);
}

#[cfg(loom)]
pub use loom::thread_local;
#[cfg(shuttle)]
pub use shuttle::thread_local;
#[cfg(not(any(loom, shuttle)))]
pub use std::thread_local;
