//! x

mod current;
#[allow(
    dead_code,
    reason = "the scheduler that turns the driver is still to come"
)]
mod driver;
pub mod lowlevel;

/// Signals as something to wait for.
pub mod signal {
    pub use crate::driver::signals::ctrl_c;
}

/// What the models of `loom-tests` see of the rooms.
#[doc(hidden)]
pub mod model {
    pub use crate::driver::readiness::{
        Cleared, Direction, ERROR, READ_CLOSED, READABLE, ReadyEvent, ShutDown, Source, URGENT,
        WRITABLE, WRITE_CLOSED, WaiterId,
    };
    pub use crate::driver::slab::{Key, Refused, Slab};
    pub use crate::driver::{Driver, DriverHandle, Turn, Wait};
}
