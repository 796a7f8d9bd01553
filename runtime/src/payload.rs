//! What a panic carries: what it says, and how to be rid of it.
//!
//! For every room that runs or drops what belongs to a user. The panic hook has reported a panic by the time it is caught;
//! its payload is a user's value like any other, and its destructor may panic again. Nothing here unwinds.

use std::any::Any;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The text of a panic, if it carried one.
pub(crate) fn text(payload: &(dyn Any + Send)) -> Option<&str> {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// Runs `f`, which may run, drop or wake what belongs to a user, and ends its panic here.
pub(crate) fn contain(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        drop_quietly(payload);
    }
}

/// Drops a payload, whose own drop may panic, with a payload whose drop may panic.
pub(crate) fn drop_quietly(mut payload: Box<dyn Any + Send>) {
    const TRIES: usize = 4;
    for _ in 0..TRIES {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(next) => payload = next,
        }
    }
    // This goes on for ever, so it is left where it is.
    let _ = ManuallyDrop::new(payload);
}
