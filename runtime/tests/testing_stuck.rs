//! What only a process of its own can show of the test harness: a poll that never returns ends it, and its descriptors are
//! counted.

use loxley_runtime::testing::{Config, run};
use std::env;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

/// Set in the child process that hangs on purpose.
const STUCK: &str = "LOXLEY_TEST_IS_STUCK";

#[test]
fn a_poll_that_never_returns_ends_the_process_with_the_list() {
    if env::var_os(STUCK).is_some() {
        let config = Config::new()
            .current_thread()
            .limit(Duration::from_millis(50));
        run(config, async {
            loop {
                thread::park();
            }
        });
    }
    let name = "a_poll_that_never_returns_ends_the_process_with_the_list";
    let child = Command::new(env::current_exe().expect("this test"))
        .args(["--exact", name, "--nocapture"])
        .env(STUCK, "1")
        .output()
        .expect("the child starts");
    assert!(!child.status.success());
    let text = String::from_utf8_lossy(&child.stderr);
    assert!(text.contains("has not ended after 50ms"), "{text}");
    assert!(text.contains("a poll does not return"), "{text}");
    assert!(text.contains("running or about to"), "{text}");
}

/// Set in the child process that has one test to run.
const ALONE: &str = "LOXLEY_TEST_IS_ALONE";

#[test]
fn a_descriptor_left_open_is_named() {
    if env::var_os(ALONE).is_some() {
        for config in [
            Config::new().current_thread(),
            Config::new().worker_threads(2),
        ] {
            let kept = Mutex::new(None);
            let panic = catch_unwind(AssertUnwindSafe(|| {
                run(config.leak_check(true), async {
                    *kept.lock().expect("no panic") =
                        Some(File::open("/dev/null").expect("it exists"));
                });
            }));
            let panic = panic.expect_err("the test fails");
            let text = panic.downcast_ref::<String>().expect("a text");
            assert!(text.contains("/dev/null"), "{text}");
        }
        return;
    }
    let child = Command::new(env::current_exe().expect("this test"))
        .args(["--exact", "a_descriptor_left_open_is_named", "--nocapture"])
        .env(ALONE, "1")
        .env("RUST_TEST_THREADS", "1")
        .output()
        .expect("the child starts");
    let text = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{text}");
}
