//! The cases, each written once over the face in `rt`. Order here is order in the table.

use loxley_benches::case::Case;

use crate::rt::Rt;

pub mod blocking;
pub mod datagrams;
pub mod groups;
pub mod kv;
mod memory;
pub mod network;
pub mod process;
pub mod proxy;
mod schedule;
mod spawn;
mod steal;
pub mod streams;
pub mod sync;
mod time;
mod whole;

/// The cases of the runtime itself, compiled for `R`; `blocking`, `groups`, `network`, `process`, `streams` and `sync` stand
/// beside.
pub fn runtime<R: Rt>() -> Vec<Case> {
    [
        spawn::cases::<R>(),
        schedule::cases::<R>(),
        steal::cases::<R>(),
        time::cases::<R>(),
        memory::cases::<R>(),
        whole::cases::<R>(),
    ]
    .concat()
}
