//! A test whose poll never returns ends its process. Apart from `testing.rs`, whose leak checks count descriptors: the pipes
//! to a child process are some.

use loxley_runtime::testing::{Config, run};
use std::env;
use std::process::Command;
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
