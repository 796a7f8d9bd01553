//! The hidden Tokio ends with its runtime. Alone in its process: it counts threads.

use std::fs;
use std::future::pending;
use std::time::Duration;

use loxley::Runtime;
use loxley_ecosystem::local::Outcome;

fn hidden_threads() -> usize {
    let threads = fs::read_dir("/proc/self/task").expect("Linux");
    let names =
        threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "loxley-tokio").count()
}

#[test]
fn no_thread_is_left_not_even_with_tasks_of_tokios() -> Outcome {
    for _ in 0..10 {
        let runtime = Runtime::builder()
            .worker_threads(2)
            .tokio_context(true)
            .build()?;
        runtime.block_on(async {
            let seen = tokio::spawn(async { hidden_threads() }).await;
            assert_eq!(seen.expect("counting does not panic"), 1);
            drop(tokio::spawn(pending::<()>()));
            drop(tokio::spawn(tokio::time::sleep(Duration::from_secs(600))));
        });
        let report = runtime.shutdown_timeout(Duration::from_secs(5));
        assert!(report.is_clean(), "{report}");
        // Joined, it may still be in the list for a moment.
        while hidden_threads() > 0 {
            std::thread::yield_now();
        }
    }
    Ok(())
}
