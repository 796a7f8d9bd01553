//! `#[loxley::main]` and `#[loxley::test]` as users write them.
#![cfg(feature = "macros")]

use std::time::Duration;

#[loxley::main]
async fn program() -> Result<u32, std::num::ParseIntError> {
    let text = loxley::to_thread(|| "42").await;
    text.parse()
}

#[loxley::main(worker_threads = 2, debug = true)]
async fn program_with_knobs() -> bool {
    loxley::current_task().is_some()
}

#[test]
fn a_program_runs_and_returns() {
    assert_eq!(program(), Ok(42));
    assert!(program_with_knobs());
}

#[loxley::test(start_paused = true, leak_check = true)]
async fn a_test_has_a_clock_of_its_own() {
    loxley::sleep(Duration::from_secs(86_400)).await;
}

#[loxley::test(worker_threads = 2, leak_check = true)]
async fn a_test_may_have_workers() {
    let task = loxley::create_task(loxley::yield_now());
    task.await.expect("it ends");
}
