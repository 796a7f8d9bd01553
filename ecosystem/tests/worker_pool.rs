//! `examples/worker_pool.rs` as its users run it: processes that know only the address of a real NATS server.

use loxley::signal;
use loxley_ecosystem::local::{Outcome, example, line, run, server};

const NUMBERS: [&str; 12] = [
    "10", "20", "30", "40", "50", "60", "70", "80", "90", "100", "110", "120",
];
const PRIMES: [usize; 12] = [4, 8, 10, 12, 15, 17, 19, 22, 24, 25, 29, 30];

/// What is printed of job `index`, but for who did it.
fn answer(index: usize) -> String {
    format!("primes below {}: {}, by ", NUMBERS[index], PRIMES[index])
}

#[test]
fn jobs_are_done_by_whichever_process_lives() -> Outcome {
    run(pool())
}

async fn pool() -> Outcome {
    let Some(nats) = server("LOXLEY_NATS") else {
        return Ok(());
    };
    let arguments = [&["ask", &nats][..], &NUMBERS].concat();

    // Two processes: every answer is right and comes in the order of the questions, whoever gave it.
    let (first, mut first_says) = example("worker_pool", &["work", &nats, "first"]).await?;
    let (second, mut second_says) = example("worker_pool", &["work", &nats, "second"]).await?;
    assert_eq!(line(&mut first_says).await?, "first works");
    assert_eq!(line(&mut second_says).await?, "second works");
    let (asker, mut answers) = example("worker_pool", &arguments).await?;
    for index in 0..NUMBERS.len() {
        let said = line(&mut answers).await?;
        let by = said
            .strip_prefix(&answer(index))
            .ok_or_else(|| said.clone())?;
        assert!(["first", "second"].contains(&by), "{said}");
    }
    assert_eq!(asker.wait().await?, 0);

    // One is asked to stop and does so in good order.
    first.send_signal(signal::SIGTERM)?;
    assert_eq!(line(&mut first_says).await?, "stopped");
    assert_eq!(first.wait().await?, 0);

    // The other takes jobs, does nothing and dies without a word: they are not lost, the next worker gets them.
    second.send_signal(signal::SIGSTOP)?;
    let (asker, mut answers) = example("worker_pool", &arguments).await?;
    let (_third, mut third_says) = example("worker_pool", &["work", &nats, "third"]).await?;
    assert_eq!(line(&mut third_says).await?, "third works");
    second.kill()?;
    second.wait().await?;
    for index in 0..NUMBERS.len() {
        assert_eq!(line(&mut answers).await?, answer(index) + "third");
    }
    assert_eq!(asker.wait().await?, 0);
    Ok(())
}
