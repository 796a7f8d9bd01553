//! What must be gone when a test ends, and the names of what is not.
//!
//! Called by [`run`](super::run) alone: a baseline of the runtime before the test's future is polled, and of the process's
//! descriptors before the runtime is built.

use std::env;
use std::fs;
use std::time::Duration;

use super::describe_tasks;
use crate::clock::real_now;
use crate::runtime::Handle;
use crate::spawn::{current_task, yield_now};

/// How long what has ended may take to be gone: a worker may still be clearing away after it woke the test.
const SETTLE_GRACE: Duration = Duration::from_millis(200);

/// What the runtime held before the test began.
pub(super) struct Baseline {
    timers: usize,
    sources: usize,
}

impl Baseline {
    pub(super) fn take(handle: &Handle) -> Self {
        let metrics = handle.metrics();
        Self {
            timers: metrics.armed_timers,
            sources: metrics.registered_sources,
        }
    }

    /// What is left; looks again until nothing is, or [`SETTLE_GRACE`] is over.
    pub(super) async fn leaks(&self, handle: &Handle) -> Vec<String> {
        let deadline = real_now() + SETTLE_GRACE;
        loop {
            let leaks = self.look(handle);
            if leaks.is_empty() || real_now() > deadline {
                return leaks;
            }
            yield_now().await;
        }
    }

    fn look(&self, handle: &Handle) -> Vec<String> {
        let metrics = handle.metrics();
        let mut leaks = describe_tasks(handle, current_task().as_ref());
        for (what, count) in [
            (
                "timers that nobody dropped",
                metrics.armed_timers.saturating_sub(self.timers),
            ),
            (
                "registrations that nobody dropped",
                metrics.registered_sources.saturating_sub(self.sources),
            ),
            (
                "blocking jobs that have not ended",
                metrics
                    .blocking_threads
                    .saturating_sub(metrics.idle_blocking_threads),
            ),
            (
                "blocking jobs that have not begun",
                metrics.queued_blocking_jobs,
            ),
        ] {
            if count > 0 {
                leaks.push(format!("{count} {what}"));
            }
        }
        leaks
    }
}

/// Whether no other test runs in this process meanwhile: its descriptors would be counted, too.
pub(super) fn is_alone() -> bool {
    let one = |text: &str| text == "1";
    let by_variable = env::var("RUST_TEST_THREADS").is_ok_and(|threads| one(&threads));
    let args: Vec<String> = env::args().collect();
    let by_argument = args.iter().any(|arg| arg == "--test-threads=1")
        || args
            .windows(2)
            .any(|pair| pair[0] == "--test-threads" && one(&pair[1]));
    // cargo-nextest gives each test a process and says so.
    by_variable || by_argument || env::var_os("NEXTEST").is_some()
}

/// The process's open descriptors, each with what it leads to. Empty where the system does not tell.
pub(super) fn descriptors() -> Vec<(u32, String)> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    let described = entries.flatten().filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        // The descriptor of this very listing is gone by now.
        let target = fs::read_link(entry.path()).ok()?;
        let target = target.to_string_lossy().into_owned();
        (!target.starts_with("/proc/")).then_some((number, target))
    });
    described.collect()
}

/// The descriptors that `before` does not have.
pub(super) fn descriptors_since(before: &[(u32, String)]) -> Vec<String> {
    let mut new = descriptors();
    new.retain(|descriptor| !before.contains(descriptor));
    new.iter()
        .map(|(number, target)| format!("descriptor {number}, {target}"))
        .collect()
}
