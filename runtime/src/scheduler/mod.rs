//! THE SCHEDULER: which thread polls which task next, and when a thread sleeps.
//!
//! # A worker's day
//!
//! ```text
//!            ┌───────────── next task: LIFO slot (bounded run), own queue, every Nth tick the injector first
//!            ▼                                                    │ none
//!          poll it ◄──────────────── found ─────────────── search: injector, a random neighbour's half (I1, I2)
//!            │                                                    │ none
//!            └─ every Nth tick: due timers, driver without        ▼
//!               waiting                                    sleep (I3): one worker in the driver, the others on their own
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `worker.rs` | the hot path |
//! | `core.rs` | what one worker owns alone |
//! | `steal.rs` | where to look when its own queue is dry |
//! | `schedule.rs` | from a woken task to a queue, and whom to notify |
//! | `idle.rs` | searchers and sleepers: the sleep protocol and its argument |
//! | `park.rs` | how one thread sleeps: in the driver or by itself |
//! | `shared.rs` | what all threads see |
//! | `main_task.rs` | `block_on` beside the workers |
//! | `local.rs` | where tasks live whose futures are not `Send` |
//! | `fifo.rs` | the strict one-thread flavour: the injector is its only queue |
//! | `monitor.rs` | notices a poll that does not end |
//! | `quiet.rs` | the standing clock beside workers, for tests |
//! | `shutdown.rs` | the steps to silence |
//!
//! This room names no time future, no group and no socket.

mod core;
mod fifo;
pub(crate) mod idle;
mod local;
mod main_task;
pub(crate) mod monitor;
pub(crate) mod park;
mod quiet;
mod schedule;
mod shared;
pub(crate) mod shutdown;
mod steal;
mod worker;

pub(crate) use self::core::Core;
pub(crate) use idle::WORKERS_MAX;
pub(crate) use local::create_local;
pub(crate) use main_task::block_on;
pub(crate) use shared::{Config, Hook, PoolHandle, Shared};
pub(crate) use worker::{ThreadStyle, start};
