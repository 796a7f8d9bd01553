//! `#[loxley::test]` as users write it.
#![cfg(feature = "macros")]

use std::time::Duration;

#[loxley::test(paused, leak_check)]
async fn a_test_has_a_clock_of_its_own() {
    loxley::sleep(Duration::from_secs(86_400)).await;
}

#[loxley::test(paused, worker_threads = 2)]
async fn a_clock_of_its_own_beside_workers() {
    let task = loxley::create_task(loxley::sleep(Duration::from_secs(86_400)));
    task.await.expect("it ends");
}

#[loxley::test(worker_threads = 2, leak_check = true)]
async fn a_test_may_have_workers() {
    let task = loxley::create_task(loxley::yield_now());
    task.await.expect("it ends");
}
