//! `#[loxley::main]` as users write it. Apart from the attribute tests, whose leak check counts the process's descriptors.
#![cfg(feature = "macros")]

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
