//! A process that is forked and goes on as it is: it has the memory of a runtime and none of its threads. Alone in its file,
//! because the fork has only the thread that forks.
#![cfg(unix)]
#![expect(unsafe_code, reason = "std has no fork")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use loxley_runtime::{Runtime, create_task, sleep};
use rustix::process::{Pid, WaitOptions, waitpid};

/// How the child says that all was as it should be.
const FINE: i32 = 7;

#[test]
fn a_forked_process_is_told_to_make_its_own_runtime_and_the_parent_goes_on() {
    let runtime = Runtime::builder()
        .worker_threads(2)
        .build()
        .expect("a runtime");
    let ticking = runtime.handle().create_task(async {
        for _ in 0..20 {
            sleep(Duration::from_millis(1)).await;
        }
        "ticked"
    });
    // SAFETY: the child uses what this thread owns and memory from the system's allocator, which survives a fork; the locks of
    // the runtime it inherits are what is under test.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let told = catch_unwind(AssertUnwindSafe(|| runtime.block_on(async {})));
        let text = told.expect_err("it has no threads");
        let text = text.downcast_ref::<&str>().copied().unwrap_or_default();
        let own = Runtime::builder()
            .worker_threads(2)
            .build()
            .expect("its own");
        let sum = own.block_on(async {
            let task = create_task(async { 3 });
            sleep(Duration::from_millis(1)).await;
            4 + task.await.expect("no panic")
        });
        drop(own);
        drop(runtime);
        let is_fine = text.contains("make a new `Runtime` here") && sum == 7;
        // SAFETY: ends the child at once: what libtest would do at its end is the parent's.
        unsafe { libc::_exit(if is_fine { FINE } else { 1 }) };
    }
    let (_, status) = waitpid(Pid::from_raw(pid), WaitOptions::empty())
        .expect("a child")
        .expect("it ended");
    assert_eq!(status.exit_status(), Some(FINE));
    assert_eq!(runtime.block_on(ticking).expect("no panic"), "ticked");
}
