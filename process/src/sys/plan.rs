//! A child to be, laid out before it is made, and what comes of it. Filled by `options.rs`, read by `clone.rs`.

#![cfg_attr(
    not(all(target_os = "linux", target_arch = "x86_64")),
    expect(dead_code, reason = "elsewhere std makes the process")
)]

use std::ffi::CString;
use std::os::fd::OwnedFd;

use super::Setup;

/// A child to be, in the form that the kernel takes.
pub(crate) struct Plan<'a> {
    /// Where the program may be, in the order in which they are tried.
    pub(crate) programs: Vec<CString>,
    pub(crate) args: Vec<CString>,
    pub(crate) env: Vec<CString>,
    pub(crate) cwd: Option<CString>,
    /// What becomes descriptors 0, 1 and 2; none of them is one of these here. `None` is inherited.
    pub(crate) streams: [Option<&'a OwnedFd>; 3],
    pub(crate) process_group: Option<i32>,
    pub(crate) setup: &'a Setup,
    pub(crate) wants_pidfd: bool,
}

/// A process that was made.
pub(crate) struct Cloned {
    pub(crate) pid: u32,
    pub(crate) pidfd: Option<OwnedFd>,
}
