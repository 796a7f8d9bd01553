//! How a future waits.
//!
//! Every wait in the project follows one contract: *register* a waker, *re-check* the condition, return `Pending`; the
//! other side changes the condition first and looks for wakers second. A waiter that is dropped after it was granted
//! something passes the grant on.
//!
//! - [`WaitCell`]: one waiter.
//! - [`WaitList`]: many, first come, first served; [`Wait`]: the future of one of them.
//! - [`WakeBatch`] and [`WakeLater`]: wakers on their way out of a lock.
//! - [`block_on`]: a plain thread as the waiter.

mod batch;
mod block;
mod cell;
mod future;
mod list;

pub use batch::{WakeBatch, WakeLater};
pub use block::block_on;
pub(crate) use block::expect_thread;
pub use cell::WaitCell;
pub use future::{Claim, Wait};
pub use list::{Entry, Lane, Locked, Protocol, WaitList, Waiter};
