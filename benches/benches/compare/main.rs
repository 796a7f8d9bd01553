//! `cargo bench`: the same work on Loxley, Tokio and smol, interleaved round by round, every case in a fresh process.
//!
//! - `rt`: one face over the runtimes. `cases`: the work, written once. `measure`, `usage`, `alloc`: how it is counted.
//! - `compare`: rounds, children, table, files. `client`, `client_tls`: the other end of the network cases.
//! - `epoll`: the network cases without any runtime, as their ceiling.
//!
//! Never asserts anything about time. See [`USAGE`] for the options.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that reports on the terminal"
)]
#![allow(missing_docs, unreachable_pub, reason = "a program, not a library")]

use std::process::ExitCode;

use loxley_benches::case::{Case, Params};
use loxley_benches::options::{Mode, Options, USAGE};

mod alloc;
mod cases;
mod client;
mod client_tls;
mod compare;
mod epoll;
mod kit;
mod measure;
mod rt;
mod usage;

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

/// The cases of one runtime under its name.
type Column = (&'static str, fn() -> Vec<Case>);

/// In the order of the table's columns.
const RUNTIMES: &[Column] = &[
    ("loxley", loxley_cases),
    ("tokio", tokio_cases),
    ("smol", smol_cases),
    ("epoll", epoll::cases),
];

fn loxley_cases() -> Vec<Case> {
    use kit::loxley::{Broadcast, Once, Queues, Watch};
    use loxley_sync::{Event, Lock, Notify, RwLock, Semaphore};
    use rt::loxley::Loxley;
    [
        cases::runtime::<Loxley>(),
        cases::blocking::cases::<Loxley>(),
        cases::groups::cases::<Loxley>(),
        cases::network::cases::<Loxley>(),
        cases::process::cases::<Loxley>(),
        cases::streams::cases::<Loxley>(),
        cases::kv::cases::<Loxley>(),
        cases::proxy::cases::<Loxley>(),
        cases::datagrams::cases::<Loxley>(),
        cases::sync::queues::<Loxley, Queues, Queues>(),
        cases::sync::one_shots::<Loxley, Once>(),
        cases::sync::locks::<Loxley, Lock<u64>>(),
        cases::sync::shared_locks::<Loxley, RwLock<u64>>(),
        cases::sync::permits::<Loxley, Semaphore>(),
        cases::sync::signals::<Loxley, Event>(),
        cases::sync::batons::<Loxley, Notify>(),
        cases::sync::fans::<Loxley, Broadcast>(),
        cases::sync::watches::<Loxley, Watch>(),
    ]
    .concat()
}

fn tokio_cases() -> Vec<Case> {
    use ::tokio::sync::{Mutex, Notify, RwLock, Semaphore};
    use kit::tokio::{Bounded, Broadcast, Once, Unbounded, Watch};
    use rt::tokio::Tokio;
    [
        cases::runtime::<Tokio>(),
        cases::blocking::cases::<Tokio>(),
        cases::groups::cases::<Tokio>(),
        cases::network::cases::<Tokio>(),
        cases::process::cases::<Tokio>(),
        cases::streams::cases::<Tokio>(),
        cases::kv::cases::<Tokio>(),
        cases::proxy::cases::<Tokio>(),
        cases::datagrams::cases::<Tokio>(),
        cases::sync::queues::<Tokio, Bounded, Unbounded>(),
        cases::sync::one_shots::<Tokio, Once>(),
        cases::sync::locks::<Tokio, Mutex<u64>>(),
        cases::sync::shared_locks::<Tokio, RwLock<u64>>(),
        cases::sync::permits::<Tokio, Semaphore>(),
        cases::sync::signals::<Tokio, Notify>(),
        cases::sync::batons::<Tokio, Notify>(),
        cases::sync::fans::<Tokio, Broadcast>(),
        cases::sync::watches::<Tokio, Watch>(),
    ]
    .concat()
}

fn smol_cases() -> Vec<Case> {
    use ::smol::lock::{Mutex, RwLock, Semaphore};
    use event_listener::Event;
    use kit::smol::{Bounded, Once, Unbounded};
    use rt::smol::Smol;
    [
        cases::runtime::<Smol>(),
        cases::blocking::cases::<Smol>(),
        cases::groups::cases::<Smol>(),
        cases::network::cases::<Smol>(),
        cases::process::cases::<Smol>(),
        cases::kv::cases::<Smol>(),
        cases::sync::queues::<Smol, Bounded, Unbounded>(),
        cases::sync::one_shots::<Smol, Once>(),
        cases::sync::locks::<Smol, Mutex<u64>>(),
        cases::sync::shared_locks::<Smol, RwLock<u64>>(),
        cases::sync::permits::<Smol, Semaphore>(),
        cases::sync::signals::<Smol, Event>(),
    ]
    .concat()
}

/// All cases there are: the baseline has every one of them.
fn every_case() -> Vec<Case> {
    tokio_cases()
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(mistake) => {
            eprintln!("{mistake}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let done = match &options.mode {
        Mode::Compare => compare::run(&options, &every_case(), RUNTIMES),
        Mode::Child { case, runtime } => child(&options, case, runtime),
        Mode::Client(words) => client::run(words).map_err(|error| error.to_string()),
        Mode::List => {
            for case in every_case() {
                println!("{:<26} {}", case.name, case.about);
            }
            Ok(())
        }
        _ => {
            println!("{USAGE}");
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Does one case on one runtime and prints its values on one line.
fn child(options: &Options, case: &str, runtime: &str) -> Result<(), String> {
    let (_, cases) = RUNTIMES
        .iter()
        .find(|(name, _)| *name == runtime)
        .ok_or_else(|| format!("no runtime {runtime}"))?;
    let case = cases()
        .into_iter()
        .find(|known| known.name == case)
        .ok_or_else(|| format!("no case {case}"))?;
    let values = (case.run)(&Params {
        workers: options.workers,
        quick: options.quick,
    });
    let words: Vec<String> = values.iter().map(f64::to_string).collect();
    println!("{}", words.join(" "));
    Ok(())
}
