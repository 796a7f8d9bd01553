//! Signals as something to wait for; alone in its file, because a signal is for the whole process.

use std::time::Duration;

use loxley_runtime::{Runtime, create_task, signal, timeout, yield_now};
use rustix::process::{Signal, getpid, kill_process};

#[test]
fn ctrl_c_wakes_everybody_who_waits_for_it() {
    let runtime = Runtime::builder()
        .current_thread()
        .build()
        .expect("a runtime");
    let main = async {
        let waiting: Vec<_> = (0..2).map(|_| create_task(signal::ctrl_c())).collect();
        // On one thread both have been polled, and listen, when the main future gets its next turn.
        yield_now().await;
        kill_process(getpid(), Signal::INT).expect("sent");
        for task in waiting {
            task.await.expect("no panic").expect("listened");
        }
    };
    runtime
        .block_on(async { timeout(Duration::from_secs(20), main).await })
        .expect("the test hangs");
}
