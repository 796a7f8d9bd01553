//! The twin of `clone.rs` for systems without such a call, and for machines on which it was never run.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;

use super::Setup;

#[expect(dead_code, reason = "as its twin")]
pub(crate) struct Plan<'a> {
    pub(crate) programs: Vec<CString>,
    pub(crate) args: Vec<CString>,
    pub(crate) env: Vec<CString>,
    pub(crate) cwd: Option<CString>,
    pub(crate) streams: [Option<&'a OwnedFd>; 3],
    pub(crate) process_group: Option<i32>,
    pub(crate) setup: &'a Setup,
    pub(crate) wants_pidfd: bool,
}

pub(crate) struct Cloned {
    pub(crate) pid: u32,
    pub(crate) pidfd: Option<OwnedFd>,
}

#[expect(clippy::unnecessary_wraps, reason = "as its twin")]
pub(crate) fn spawn(_plan: &Plan<'_>) -> io::Result<Option<Cloned>> {
    Ok(None)
}
