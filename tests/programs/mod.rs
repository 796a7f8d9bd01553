//! Programs under `examples/`, started as their users start them: by their binary, with arguments, their output read
//! line by line, stopped by a signal.
//!
//! Cargo builds the examples before it runs any test of the crate, but not for `cargo test --test NAME`; then
//! `cargo build --examples` comes first, with the same features.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use loxley::process::{Process, Stdio};
use loxley::testing::{self, Config};
use loxley::{StreamReader, create_subprocess_exec, gather};

/// How long a test may take where several builds share the machine; none needs a tenth of it.
const LIMIT: Duration = Duration::from_secs(100);

/// Runs a test of programs.
pub(crate) fn run<F: Future>(test: F) -> F::Output {
    testing::run(Config::new().worker_threads(2).limit(LIMIT), test)
}

/// A program that runs. Dropped, it is killed.
pub(crate) struct Program {
    name: String,
    child: Process,
    stdout: StreamReader,
}

/// What a program has left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    /// As [`Process::returncode`].
    pub(crate) code: i32,
    /// What `line` has not taken.
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    /// Starts the example `name`, with every signal at its default: whoever started the tests may have had some ignored
    /// (`nohup`, a shell's `&`), which a child inherits and a runtime respects.
    pub(crate) async fn start(name: &str, arguments: &[&str]) -> Self {
        let binary = binary(name);
        let binary = binary.to_str().expect("a path of text");
        let words = ["--default-signal", binary];
        let mut child = create_subprocess_exec("env", words.iter().chain(arguments))
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .await
            .expect("the binary is there");
        let stdout = child.stdout.take().expect("it is piped");
        let name = format!("{name} {}", arguments.join(" "));
        Self {
            name,
            child,
            stdout,
        }
    }

    /// The next line of its output, without the line break.
    pub(crate) async fn line(&mut self) -> String {
        let line = self.stdout.readline().await.expect("lines are short");
        if line.is_empty() {
            let stderr = self.child.stderr.as_mut().expect("it is piped");
            let stderr = stderr.read_to_end().await.expect("a pipe can be read");
            panic!(
                "{} has ended: {}",
                self.name,
                String::from_utf8_lossy(&stderr)
            );
        }
        String::from_utf8(line)
            .expect("it is text")
            .trim_end()
            .to_owned()
    }

    /// Reads lines until one begins with `prefix`, and gives the rest of that one.
    pub(crate) async fn line_after(&mut self, prefix: &str) -> String {
        loop {
            if let Some(rest) = self.line().await.strip_prefix(prefix) {
                return rest.to_owned();
            }
        }
    }

    pub(crate) fn signal(&self, signum: i32) {
        self.child.send_signal(signum).expect("it runs");
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> Ended {
        let mut stderr = self.child.stderr.take().expect("it is piped");
        let mut stdout = self.stdout;
        let both = gather((async move { stdout.read_to_end().await }, async move {
            stderr.read_to_end().await
        }));
        let (stdout, stderr) = both.await.expect("nothing is cancelled");
        let text = |bytes: std::io::Result<Vec<u8>>| {
            String::from_utf8(bytes.expect("a pipe can be read")).expect("it is text")
        };
        Ended {
            code: self.child.wait().await.expect("nobody else waits for it"),
            stdout: text(stdout),
            stderr: text(stderr),
        }
    }
}

/// The binary of an example, which must not be older than its source.
fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a file");
    let target = test
        .parent()
        .and_then(Path::parent)
        .expect("it lies in deps/");
    let binary = target.join("examples").join(name);
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let changed = |path: &Path| fs::metadata(path).and_then(|about| about.modified()).ok();
    let source = changed(&examples.join(format!("{name}.rs")))
        .or_else(|| changed(&examples.join(name).join("main.rs")));
    assert!(
        changed(&binary) > source && source.is_some(),
        "{} is missing or older than its source: build it first, with `cargo build --examples` and the features of this test",
        binary.display()
    );
    binary
}
