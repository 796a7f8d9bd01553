//! Who runs, when, and what wakes them: tasks, the work-stealing scheduler, the driver, timers and the blocking pool.
//!
//! # The story
//!
//! The program hands us futures. Each becomes a **task**: one heap cell with one atomic state word (`task/state.rs`). Tasks
//! that can make progress sit in **run queues**: one per worker thread plus a shared **injector**. A **worker** takes the
//! next task, polls it once, and repeats (`scheduler/worker.rs`); when its own queue is dry it steals from a neighbour; when
//! everybody is dry it sleeps (`scheduler/idle.rs`). One sleeping worker at a time sleeps inside the **driver**
//! (`driver/mod.rs`), which waits for sockets and deadlines in one system call. Whatever wakes a future ends in the same
//! place: an edge of the state word that puts its task back into a queue exactly once.
//!
//! # Words
//!
//! | word | means |
//! |---|---|
//! | *task* | a future with a state word, a name and a place in the registry |
//! | *worker* | a thread that polls tasks |
//! | *injector* | the queue that any thread may put tasks into |
//! | *driver* | what waits for the operating system |
//! | *readiness* | what the driver knows of one descriptor |
//! | *tick* | one round of a worker; for timers, the unit of the wheel |
//! | *wake* | to make a task runnable; *unpark*: to end a thread's sleep |
//! | *ambient* | what a leaf future may know about who polls it |
//! | *request* | somebody asked a task to stop; it is *delivered* to the task |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod blocking;
mod bridge;
mod builder;
mod callbacks;
mod clock;
mod current;
mod driver;
mod group;
mod id;
mod inspect;
pub mod lowlevel;
mod metrics;
mod payload;
mod queue;
mod rng;
mod runner;
mod runtime;
mod scheduler;
pub mod signal;
mod spawn;
#[cfg(feature = "stream")]
mod stream;
pub mod task;
pub mod testing;
mod threads;
mod time;
mod wheel;

pub use builder::Builder;
pub use group::*;
pub use inspect::{
    CallGraph, capture_call_graph, format_call_graph, format_task_tree, print_call_graph,
};
pub use metrics::{Metrics, WorkerMetrics};
pub use runner::{RunError, Runner};
pub use runtime::{EnterGuard, Handle, NotInRuntime, Runtime, ShutdownReport, run};
pub use spawn::{all_tasks, create_local_task, create_task, current_task, yield_now};
pub use task::{Task, TaskError, TaskRef};
pub use threads::{ConcurrentFuture, WaitError, run_coroutine_threadsafe, to_thread};
pub use time::*;

/// What the models of `loom-tests` see of the rooms.
#[doc(hidden)]
pub mod model {
    pub use crate::blocking::{Hook, Job, JobError, Pool, PoolConfig, PoolStats, StuckThread};
    pub use crate::clock::Clock;
    pub use crate::driver::readiness::{
        Cleared, Direction, ERROR, READ_CLOSED, READABLE, ReadyEvent, ShutDown, Source, URGENT,
        WRITABLE, WRITE_CLOSED, WaiterId,
    };
    pub use crate::driver::slab::{Key, Refused, Slab};
    pub use crate::driver::timers::{TICK_NS, TimerKey, Timers};
    pub use crate::driver::{Driver, DriverHandle, Turn, Wait};
    pub use crate::group::model::*;
    pub use crate::queue::{Injector, Local, Stealer};
    pub use crate::scheduler::idle::{Idle, Woken};
    pub use crate::scheduler::monitor::Doze;
    pub use crate::scheduler::park::Park;
    pub use crate::scheduler::shutdown::Shutdown;
    pub use crate::task::Turn as TaskTurn;
    pub use crate::task::model::*;
    pub use crate::time::model::*;
}
