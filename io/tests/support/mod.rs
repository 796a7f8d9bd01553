//! What the tests of sockets share: both flavours, folders for socket files, patterns of bytes, sweeps.
#![allow(dead_code, reason = "each test file uses its part")]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loxley_runtime::testing::{self, Config, cancel_at_every_pending, drop_at_every_pending};

const HANG: Duration = Duration::from_secs(30);

/// Runs a test on several workers and on one thread; one that hangs, or leaves a task, a timer or a watched descriptor
/// behind, fails.
pub(crate) fn run<F: Future<Output = ()>>(test: impl Fn() -> F) {
    for config in [
        Config::new().worker_threads(2),
        Config::new().current_thread(),
    ] {
        testing::run(config.leak_check(true).limit(HANG), test());
    }
}

/// Drops and cancels `scenario` at every point where it waits; `check` then looks whether anything is lost. Returns how
/// often it was pending in all.
pub(crate) async fn sweep<F, S, C>(
    mut scenario: impl FnMut() -> (F, S),
    mut check: impl FnMut(S) -> C,
) -> usize
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    C: Future<Output = ()>,
{
    let dropped = drop_at_every_pending(&mut scenario, |_, state| check(state)).await;
    let cancelled = cancel_at_every_pending(&mut scenario, |_, state| check(state)).await;
    dropped + cancelled
}

/// Bytes that show when any of them is missing, doubled or out of place.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| u8::try_from(i % 251).expect("small"))
        .collect()
}

/// A folder of its own, removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("loxley-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
