//! How a future waits.
//!
//! Every wait in the project follows one contract: *register* a waker, *re-check* the condition, return `Pending`; the
//! other side changes the condition first and looks for wakers second. A waiter that is dropped after it was granted
//! something passes the grant on.

mod batch;

pub use batch::WakeBatch;
