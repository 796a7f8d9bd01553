//! What a runtime can say about itself in numbers: snapshots, cheap to take, exact only when nothing moves.

/// Numbers of one runtime, as [`Handle::metrics`](crate::Handle::metrics) found them.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{Handle, create_task};
///
/// loxley_runtime::run(async {
///     let task = create_task(std::future::pending::<()>());
///     assert!(Handle::current().metrics().live_tasks >= 1);
///     task.cancel();
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "RuntimeMetrics")]
pub struct Metrics {
    /// Tasks that have been spawned and have not ended.
    pub live_tasks: usize,
    /// Tasks in the shared queue.
    pub injector_len: usize,
    /// Descriptors the driver watches.
    pub registered_sources: usize,
    /// Timers that have neither fired nor been dropped.
    pub armed_timers: usize,
    /// Threads of the blocking pool.
    pub blocking_threads: usize,
    /// Those of them that wait for a job.
    pub idle_blocking_threads: usize,
    /// Jobs no thread has taken yet.
    pub queued_blocking_jobs: usize,
    /// One entry per worker thread; empty in the one-thread flavour.
    pub workers: Vec<WorkerMetrics>,
}

/// Numbers of one worker thread.
///
/// # Examples
///
/// Whether the work is spread well:
///
/// ```
/// use loxley_runtime::{Handle, create_task};
///
/// loxley_runtime::run(async {
///     create_task(async {}).await.unwrap();
///     let workers = Handle::current().metrics().workers;
///     let polls: u32 = workers.iter().map(|worker| worker.polls).sum();
///     assert!(polls >= 1, "somebody ran the task");
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerMetrics {
    /// Polls begun, modulo 2^32.
    pub polls: u32,
    /// How often it went to sleep.
    pub parks: u64,
    /// How often it took tasks from another worker.
    pub steals: u64,
    /// Tasks in its own queue, the one to run next included.
    pub queue_len: usize,
}
