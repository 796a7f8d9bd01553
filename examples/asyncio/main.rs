//! Every example of asyncio's documentation, ported: one function each, by the number and name that `-- --list`
//! prints.
//!
//! ```text
//! cargo run --example asyncio -- say_after_with_tasks
//! cargo run --example asyncio -- --paused queue_workers
//! cargo run --example asyncio -- echo_server 127.0.0.1:8888
//! ```
//!
//! With `--paused` the program runs on a clock that jumps to the next deadline when nothing else can happen, on one
//! thread and in asyncio's order: a minute of sleeping takes no time. When a program ends it says on standard error
//! how long it took by its own clock. `tests/asyncio_examples.rs` runs every one, compares what it prints, and names
//! those that have no counterpart.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that speaks to its user"
)]

mod clock;
mod event_loop;
mod futures;
mod graph;
mod groups;
mod intro;
mod protocols;
mod runner;
mod streams;
mod subprocess;
mod sync;
mod tasks;
mod threads;
mod workers;

use std::io;
use std::pin::Pin;
use std::process::ExitCode;

/// A main future: it stays on its thread, so it need not be `Send`.
type Main = Pin<Box<dyn Future<Output = io::Result<()>>>>;

enum Program {
    /// To be run by [`loxley::run`], or on a paused clock.
    Future(fn() -> Main),
    /// One that is about running programs, and does so itself.
    Function(fn() -> io::Result<()>),
}

/// What an example returns.
trait Outcome {
    fn into_result(self) -> io::Result<()>;
}

impl Outcome for () {
    fn into_result(self) -> io::Result<()> {
        Ok(self)
    }
}

impl Outcome for io::Result<()> {
    fn into_result(self) -> io::Result<()> {
        self
    }
}

/// `number kind module::function` for each example.
macro_rules! table {
    ($($number:literal $kind:ident $module:ident::$name:ident)*) => {
        &[$(($number, stringify!($name), table!($kind $module::$name))),*]
    };
    (future $module:ident::$name:ident) => {
        Program::Future(|| Box::pin(async { $module::$name().await.into_result() }))
    };
    (function $module:ident::$name:ident) => {
        Program::Function(|| $module::$name().into_result())
    };
}

const EXAMPLES: &[(u8, &str, Program)] = table! {
    1 future intro::hello
    2 future intro::repl
    3 future tasks::hello_coroutine
    4 future tasks::say_after_sequential
    5 future tasks::say_after_with_tasks
    6 future groups::say_after_with_group
    7 future tasks::nested_awaited
    8 future tasks::nested_as_a_task
    9 future groups::awaiting_futures
    10 future tasks::background_tasks
    11 future groups::group_results
    12 future groups::terminate_group_by_error
    13 future groups::terminate_group_by_cancel
    14 future tasks::display_date
    15 future groups::gather_factorial
    16 future tasks::shielded
    17 future tasks::timeout_block
    18 future tasks::timeout_rescheduled
    19 future tasks::timeout_at_deadline
    20 future tasks::wait_for_eternity
    21 future groups::wait_for_all
    22 future groups::as_completed_by_identity
    23 future groups::as_completed_plain
    24 future threads::blocking_io
    25 function threads::threadsafe_from_a_thread
    26 function threads::loop_in_thread
    27 function threads::threadsafe_result
    28 future tasks::cancel_me
    29 future tasks::request_with_timeout
    30 function runner::run_hello
    31 function runner::runner_hello
    32 future streams::echo_client
    33 future streams::echo_server
    34 future streams::http_headers
    35 future streams::register_socket
    36 future sync::lock_condition_semaphore
    37 future sync::event_waiter
    38 future sync::barrier_states
    39 future sync::barrier_position
    40 future subprocess::run_ls
    41 future subprocess::run_two
    42 future subprocess::get_date
    43 future workers::queue_workers
    44 function event_loop::hello_world_callback
    45 future event_loop::display_date_callback
    46 future event_loop::watch_descriptor
    47 function event_loop::signal_handlers
    48 future event_loop::run_in_executor
    49 future event_loop::server_as_a_block
    50 function runner::loop_factory
    51 function event_loop::run_forever_and_close
    52 future event_loop::call_with_partial
    53 future futures::set_after
    54 future futures::done_callback
    55 future protocols::tcp_echo_server
    56 future protocols::tcp_echo_client
    57 future protocols::udp_echo_server
    58 future protocols::udp_echo_client
    59 future protocols::existing_socket
    60 future protocols::subprocess_date
    61 future protocols::extra_info_socket
    64 function threads::cancel_from_a_thread
    66 future runner::never_retrieved
    67 future graph::awaited_by
    68 future graph::music_player
    69 function runner::without_a_loop_of_its_own
    70 future futures::coroutine_order
    71 future futures::sleep_with_a_watcher
    72 function futures::rock
};

fn main() -> ExitCode {
    let name = argument(0).unwrap_or_default();
    if name == "--list" {
        for (number, name, _) in EXAMPLES {
            println!("{number} {name}");
        }
        return ExitCode::SUCCESS;
    }
    let Some((_, _, program)) = EXAMPLES.iter().find(|(_, known, _)| *known == name) else {
        eprintln!("no example '{name}': see `cargo run --example asyncio -- --list`");
        return ExitCode::FAILURE;
    };
    let result = match program {
        Program::Function(main) => main(),
        Program::Future(main) if is_paused() => {
            clock::paused().and_then(|rt| rt.block_on(timed(main())))
        }
        Program::Future(main) => loxley::run(timed(main())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Says how long `main` took by the clock of its runtime.
async fn timed(main: Main) -> io::Result<()> {
    let start = clock::start();
    let result = main.await;
    eprintln!("took {} ms", (loxley::lowlevel::now() - start).as_millis());
    result
}

/// The arguments, flags apart.
fn argument(index: usize) -> Option<String> {
    let is_ours = |text: &String| text != "--paused";
    std::env::args().skip(1).filter(is_ours).nth(index)
}

fn is_paused() -> bool {
    std::env::args().any(|text| text == "--paused")
}
