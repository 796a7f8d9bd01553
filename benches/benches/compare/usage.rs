//! What the process has used so far: CPU time, resident memory, context switches. Read from the clock and /proc.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time of all threads, dead ones included, in nanoseconds.
pub fn cpu_nanos() -> f64 {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    spent.tv_sec as f64 * 1e9 + spent.tv_nsec as f64
}

/// Resident bytes.
pub fn resident_bytes() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(f64::NAN);
    pages * rustix::param::page_size() as f64
}

/// Voluntary and forced context switches of the living threads.
pub fn context_switches() -> f64 {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return f64::NAN;
    };
    threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("status")).ok())
        .map(|status| {
            status
                .lines()
                .filter_map(|line| line.split_once("ctxt_switches:"))
                .filter_map(|(_, count)| count.trim().parse::<f64>().ok())
                .sum::<f64>()
        })
        .sum()
}

/// Nanoseconds as a number to calculate with.
pub fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}
