//! The twin of `clone.rs` for systems without such a call, and for machines on which it was never run.

use std::io;

use super::plan::{Cloned, Plan};

#[expect(clippy::unnecessary_wraps, reason = "as its twin")]
pub(crate) fn spawn(_plan: &Plan<'_>) -> io::Result<Option<Cloned>> {
    Ok(None)
}
