//! Threads, parking and thread-locals.

#[cfg(loom)]
pub use loom::thread::{JoinHandle, Thread, current, park, spawn, yield_now};
#[cfg(shuttle)]
pub use shuttle::thread::{JoinHandle, Thread, current, park, spawn, yield_now};
#[cfg(not(any(loom, shuttle)))]
pub use std::thread::{JoinHandle, Thread, current, park, spawn, yield_now};

use std::time::Duration;

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
