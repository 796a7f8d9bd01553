//! Stand-in until the scheduler's `current` exists: which driver this thread's code registers with.

use std::cell::RefCell;

use crate::driver::DriverHandle;

thread_local! {
    static DRIVER: RefCell<Option<DriverHandle>> = const { RefCell::new(None) };
}

/// The driver of the runtime that this thread's code runs in.
pub(crate) fn driver_handle() -> Option<DriverHandle> {
    DRIVER.with_borrow(Clone::clone)
}
