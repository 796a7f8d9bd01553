//! What a million timers that never fire have taken, they give back.

use loxley_runtime::{Runtime, Sleep, sleep};
use std::fs;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

const TIMERS: usize = 1_000_000;
const ROUNDS: usize = 3;
/// What the allocator may keep, and the noise: a leak of eight bytes per timer and round is more.
const SLACK_KIB: usize = 12 << 10;

/// Page by page, as the sum in `/proc/self/status` is not exact (proc(5), `VmRSS`).
fn resident_kib() -> usize {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").expect("proc");
    let line = rollup.lines().find(|line| line.starts_with("Rss:"));
    let word = line.and_then(|line| line.split_whitespace().nth(1));
    word.and_then(|word| word.parse().ok()).expect("a number")
}

/// Arms them all and gives them up; none is due for hours.
async fn round() {
    let mut timers: Vec<Sleep> = (0..TIMERS)
        .map(|i| sleep(Duration::from_secs(3_600 + i as u64 % 86_400)))
        .collect();
    poll_fn(|cx| {
        for timer in &mut timers {
            assert!(Pin::new(timer).poll(cx).is_pending());
        }
        Poll::Ready(())
    })
    .await;
    drop(timers);
    // The runtime goes on with what is left.
    sleep(Duration::from_millis(1)).await;
}

#[test]
fn a_million_timers_given_up_leave_no_memory_behind() {
    let runtime = Runtime::builder()
        .current_thread()
        .build()
        .expect("a runtime");
    let mut after = Vec::new();
    for _ in 0..ROUNDS {
        runtime.block_on(round());
        after.push(resident_kib());
    }
    let first = after[0];
    assert!(
        after.iter().all(|&now| now <= first + SLACK_KIB),
        "KiB resident after each round: {after:?}"
    );
}
