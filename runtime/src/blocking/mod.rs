//! The blocking pool: threads for closures that wait in the kernel or compute for long, so that workers never do.
//!
//! The runtime owns one pool; `to_thread`, name lookups and files on disk submit to it. This room never names the
//! scheduler or a task: a finished job calls a [`Waker`](std::task::Waker), whoever that belongs to.
//!
//! # Promises
//!
//! - Jobs *start* in the order they were submitted.
//! - A thread is added only when no thread is idle or on its way to the queue, and never beyond
//!   [`PoolConfig::max_threads`]. The queue itself is *unbounded*: whoever submits faster than the pool works holds the
//!   closures in memory.
//! - A thread without work for [`PoolConfig::keep_alive`] ends.
//! - A panic in a job is the job's outcome ([`JobError::Panicked`]); the thread goes on to the next job.
//! - A job whose awaiter is gone before it started never runs; a job that has started always runs to its end, and a result
//!   that nobody awaits is dropped on the pool's thread.
//! - When no thread can be made: with others alive the job waits for one of them, with none the awaiter gets
//!   [`JobError::NoThread`]. Nobody hangs.
//! - Shutdown refuses what has not started ([`JobError::ShutDown`]), drops the closures outside every lock, and reports the
//!   threads that did not end in time instead of waiting for ever.
//! - A job that waits for another job of its own full pool waits for ever: the pool cannot know.
//!
//! # Files
//!
//! `job.rs`: one closure on its way to a result. `pool.rs`: who runs which job when; the only state shared by threads.

mod job;
mod pool;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

pub use job::{Job, JobError};
pub use pool::{Hook, Pool, PoolConfig, PoolStats, StuckThread};
