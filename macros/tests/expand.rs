//! What the attributes make of a function that they accept.

use std::io;
use std::thread;
use std::time::Duration;

use loxley_runtime::{create_task, current_task, sleep, to_thread};

/// Names of the workers that ran `count` tasks, each of which waits for all others.
async fn parallel(count: usize) -> usize {
    let barrier = std::sync::Arc::new(std::sync::Barrier::new(count));
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let barrier = barrier.clone();
            create_task(async move { barrier.wait().is_leader() })
        })
        .collect();
    let mut leaders = 0;
    for task in tasks {
        leaders += usize::from(task.await.expect("it ends"));
    }
    leaders
}

#[loxley_macros::main(crate = "::loxley_runtime")]
async fn plain_main() -> Result<u32, io::Error> {
    assert!(current_task().is_some());
    let text = to_thread(|| "42").await;
    // `?` and `return` work as they do without the attribute.
    let number: u32 = text.parse().map_err(io::Error::other)?;
    if number > 0 {
        return Ok(number);
    }
    Err(io::Error::other("unreachable"))
}

#[loxley_macros::main(
    flavor = "multi_thread",
    worker_threads = 2,
    debug = false,
    crate = "::loxley_runtime"
)]
async fn two_workers() -> usize {
    parallel(2).await
}

/// Its documentation, visibility and `impl Trait` survive.
#[loxley_macros::main(flavor = "current_thread", crate = "::loxley_runtime")]
pub(crate) async fn one_thread() -> impl Iterator<Item = bool> {
    let here = thread::current().id();
    let task = create_task(async { thread::current().id() });
    std::iter::once(task.await.expect("it ends") == here)
}

#[test]
fn a_main_function_is_an_ordinary_function() {
    assert_eq!(plain_main().expect("a number"), 42);
    assert_eq!(two_workers(), 1);
    assert!(one_thread().all(|same| same));
}

#[loxley_macros::test(crate = "::loxley_runtime")]
async fn a_test_is_a_task_on_one_thread() {
    let here = thread::current().id();
    assert!(current_task().is_some());
    let task = create_task(async { thread::current().id() });
    assert_eq!(task.await.expect("it ends"), here);
}

#[loxley_macros::test(worker_threads = 2, leak_check = true, crate = "::loxley_runtime")]
async fn a_test_has_the_workers_it_asks_for() {
    assert_eq!(parallel(2).await, 1);
}

#[loxley_macros::test(paused = true, leak_check = true, crate = "::loxley_runtime")]
async fn a_paused_hour_passes_at_once() -> Result<(), io::Error> {
    sleep(Duration::from_secs(3_600)).await;
    Ok(())
}

#[loxley_macros::test(crate = "::loxley_runtime")]
#[should_panic(expected = "boom")]
async fn other_attributes_are_kept() {
    panic!("boom");
}
