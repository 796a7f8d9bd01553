//! The loxley runtime.

mod clock;
mod current;
mod driver;
mod time;
mod wheel;

pub use time::*;

#[doc(hidden)]
pub mod model {
    pub use crate::clock::Clock;
    pub use crate::driver::timers::{TICK_NS, TimerKey, Timers};
}
