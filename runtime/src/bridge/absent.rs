//! Without the feature: no Tokio, and nothing left of the calls.

use std::io;
use std::time::Duration;

/// Nothing.
pub(crate) struct Bridge;

/// Nothing, for a while.
pub(crate) struct Entered;

impl Bridge {
    pub(crate) fn start(_wanted: bool) -> io::Result<Self> {
        Ok(Self)
    }

    #[inline]
    pub(crate) fn enter(&self) -> Entered {
        Entered
    }

    pub(crate) fn stop(&self) {}

    pub(crate) fn join(&self, _limit: Option<Duration>) {}
}
