//! What the tests of children share: both flavours, all ways to make and watch one, and a look at the system's own list.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeSet;
use std::fs;
use std::future::Future;
use std::time::Duration;

use loxley_process::Command;
use loxley_runtime::testing::{self, Config};
use loxley_runtime::yield_now;

/// Children take longer than anything else here.
pub(crate) const HANG: Duration = Duration::from_secs(60);

/// How children are made and watched: by us or by std, by process descriptors or by SIGCHLD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    PidFd,
    Sigchld,
    StdPidFd,
    StdSigchld,
}

impl Way {
    pub(crate) const ALL: [Self; 4] =
        [Self::PidFd, Self::Sigchld, Self::StdPidFd, Self::StdSigchld];

    pub(crate) fn of(self, command: Command) -> Command {
        match self {
            Self::PidFd => command,
            Self::Sigchld => command.without_pidfd(),
            Self::StdPidFd => command.by_std(),
            Self::StdSigchld => command.by_std().without_pidfd(),
        }
    }
}

/// Runs a test on several workers and on one thread, and in all ways; one that hangs, or leaves a task, a timer or a watched
/// descriptor behind, fails.
pub(crate) fn run<F: Future<Output = ()>>(test: impl Fn(Way) -> F) {
    for way in Way::ALL {
        for config in [
            Config::new().worker_threads(2),
            Config::new().current_thread(),
        ] {
            testing::run(config.leak_check(true).limit(HANG), test(way));
        }
    }
}

/// What the system says of a process: its state, parent, process group and session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) state: char,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    pub(crate) session: u32,
}

/// `None` if there is no such process.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may contain anything.
    let mut fields = text.rsplit(')').next()?.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let mut number = || fields.next()?.parse().ok();
    Some(Stat {
        state,
        parent: number()?,
        group: number()?,
        session: number()?,
    })
}

/// Whether the process is still in the system's list as our child, alive or as a zombie.
pub(crate) fn is_listed(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| stat.parent == std::process::id())
}

/// Our children in the system's list.
pub(crate) fn children() -> BTreeSet<u32> {
    let entries = fs::read_dir("/proc").expect("linux").flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&pid| is_listed(pid))
        .collect()
}

/// How many descriptors this process has.
pub(crate) fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("linux").count()
}

/// Whether the system calls a handler of this process on the signal.
pub(crate) fn is_caught(signum: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("linux");
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = u64::from_str_radix(caught.expect("a mask").trim(), 16).expect("hexadecimal");
    mask >> (signum - 1) & 1 == 1
}

/// Lets others run until `condition` holds.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

/// Lets other threads run until `condition` holds; this one polls nothing meanwhile.
pub(crate) fn spin_until(condition: impl Fn() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}
