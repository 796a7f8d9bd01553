//! The cases, each written once over the face in `rt`. Order here is order in the table.

use loxley_benches::case::Case;

use crate::rt::Net;

mod blocking;
mod memory;
pub mod network;
mod schedule;
mod spawn;
mod steal;
mod time;
mod whole;

/// All cases, compiled for `R`.
pub fn all<R: Net>() -> Vec<Case> {
    [
        spawn::cases::<R>(),
        schedule::cases::<R>(),
        steal::cases::<R>(),
        time::cases::<R>(),
        blocking::cases::<R>(),
        memory::cases::<R>(),
        whole::cases::<R>(),
        network::cases::<R>(),
    ]
    .concat()
}
