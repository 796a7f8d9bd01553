//! The loxley runtime.
mod blocking;

#[doc(hidden)]
pub mod model {
    //! What the models in `loom-tests` need from private rooms.
    pub use crate::blocking::{Hook, Job, JobError, Pool, PoolConfig, PoolStats, StuckThread};
}
