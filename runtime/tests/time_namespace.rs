//! Timers in a world whose monotonic clock began long ago (`time_namespaces(7)`): a machine that has run for years, or a
//! container that was moved to another one. Nothing is early there, nothing is lost.

use loxley_runtime::{Runtime, interval, sleep, timeout};
use std::future::pending;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const TEST: &str = "timers_do_not_care_how_old_the_clock_is";
const INSIDE: &str = "LOXLEY_TEST_OLD_CLOCK";
const MS: Duration = Duration::from_millis(1);

/// The time that this clock has been running for.
fn age() -> Duration {
    let uptime = std::fs::read_to_string("/proc/uptime").expect("proc");
    let seconds = uptime.split_whitespace().next().expect("a number");
    Duration::from_secs_f64(seconds.parse().expect("a number"))
}

fn started_again(offset: i64) -> std::io::Result<Output> {
    let this = std::env::current_exe()?;
    Command::new("unshare")
        .arg("--time")
        .arg(format!("--monotonic={offset}"))
        .arg("--")
        .arg(this)
        .args(["--exact", TEST])
        .env(INSIDE, "yes")
        .output()
}

fn live_with_the_clock_as_it_is() {
    for builder in [
        Runtime::builder().current_thread(),
        Runtime::builder().worker_threads(2),
    ] {
        let runtime = builder.build().expect("a runtime");
        runtime.block_on(async {
            let begin = Instant::now();
            sleep(5 * MS).await;
            assert!(begin.elapsed() >= 5 * MS, "early");
            assert!(timeout(5 * MS, pending::<()>()).await.is_err());
            let mut ticks = interval(2 * MS);
            for _ in 0..3 {
                ticks.tick().await;
            }
            // Beyond what any clock will say: it saturates, and a wait is no less given up for that.
            assert!(timeout(MS, sleep(Duration::MAX)).await.is_err());
            assert!(begin.elapsed() >= 15 * MS, "early");
        });
    }
}

#[test]
fn timers_do_not_care_how_old_the_clock_is() {
    if std::env::var_os(INSIDE).is_some() {
        return live_with_the_clock_as_it_is();
    }
    let young = 1 - i64::try_from(age().as_secs()).expect("no machine is that old");
    let years = 365 * 24 * 60 * 60;
    for offset in [young, 0, 10 * years, 140 * years] {
        match started_again(offset) {
            Ok(output) if output.status.success() => {}
            // unshare's own refusals are 1; a test that fails ends with 101, one that is killed without a code.
            Ok(output) if output.status.code() == Some(1) => return not_run(&output.stderr),
            Ok(output) => panic!(
                "offset {offset}: {}",
                String::from_utf8_lossy(&output.stdout)
            ),
            Err(error) => return not_run(error.to_string().as_bytes()),
        }
    }
}

#[expect(clippy::print_stderr, reason = "a facility that is missing is named")]
fn not_run(why: &[u8]) {
    let why = String::from_utf8_lossy(why);
    eprintln!("not run: no time namespace to be had: {}", why.trim());
}
