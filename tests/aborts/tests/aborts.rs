//! With `panic = "abort"` the first panic ends the process by SIGABRT, with its message and wherever it happens; whatever is no
//! panic works as ever.
//!
//! The program is built by cargo in the profile `abort`, the library along with it, beside what the tests were built with.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const SIGABRT: i32 = 6;

/// The program, built.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        // `target/debug/deps/aborts-…`: other profiles have their folders beside `debug`.
        let test = std::env::current_exe().expect("a test has a file");
        let target = test
            .ancestors()
            .nth(3)
            .expect("it lies in a profile's deps/");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--locked", "--quiet", "--profile", "abort"])
            .args(["-p", env!("CARGO_PKG_NAME"), "--bin", "aborts"])
            .arg("--target-dir")
            .arg(target)
            .output()
            .expect("cargo runs");
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{said}");
        target.join("abort").join("aborts")
    })
}

fn run(case: &str) -> Output {
    let mut command = Command::new(program());
    command.arg(case).env("RUST_BACKTRACE", "0");
    command.output().expect("it was built")
}

#[test]
fn whatever_is_no_panic_works() {
    let output = run("works");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    assert!(said.is_empty(), "{said}");
}

#[test]
fn the_first_panic_ends_the_process_with_its_message_wherever_it_happens() {
    for case in [
        "main",
        "task",
        "unawaited",
        "cancelled",
        "output",
        "thread",
        "callback",
        "group",
        "gather",
    ] {
        let output = run(case);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(SIGABRT), "{case}: {said}");
        assert_eq!(said.matches("panicked at").count(), 1, "{case}: {said}");
        assert!(
            said.contains("src/main.rs") && said.contains("the first panic"),
            "{case}: {said}"
        );
    }
}
