//! Runners, developing, and what is new: who runs the main future.

use std::io;
use std::time::Duration;

use loxley::{Event, Runner, Runtime, create_task, current_task, sleep, timeout, yield_now};

const SECOND: Duration = Duration::from_secs(1);

async fn main() {
    sleep(SECOND).await;
    println!("hello");
}

/// Example 30. One future, from outside.
pub(crate) fn run_hello() {
    loxley::run(main());
}

/// Example 31. Several on one runtime.
pub(crate) fn runner_hello() -> io::Result<()> {
    let mut runner = Runner::new()?;
    Ok(runner.run(main())?)
}

/// Example 50. A runtime of one's own making. asyncio chooses the selector here; the poller of the system is the only
/// one there is, so this chooses one thread and a size of its batches.
pub(crate) fn loop_factory() -> io::Result<()> {
    let runtime = Runtime::builder()
        .current_thread()
        .max_io_events_per_tick(64);
    runtime
        .build_runner()?
        .run(main())
        .map_err(io::Error::other)
}

/// Example 66. A task that fails, and nobody who asks: it is reported, with the place where it was created.
pub(crate) async fn never_retrieved() {
    drop(create_task(async { panic!("not consumed") }));
    yield_now().await;
    sleep(SECOND).await;
    println!("the program goes on");
}

/// Example 69. Code that asked for "the" event loop outside one has two ways: to be a coroutine, or to own a runner.
pub(crate) fn without_a_loop_of_its_own() -> io::Result<()> {
    // loop = asyncio.get_event_loop(); loop.create_task(...); loop.run_forever()
    loxley::run(async {
        drop(create_task(async { println!("a task runs") }));
        let forever = Event::new();
        let ended = timeout(SECOND / 10, forever.wait()).await;
        println!("waited until told to stop: {}", ended.is_err());
    });
    // Blocking code between runs on one loop.
    let mut runner = Runner::new()?;
    let first = runner.run(async { 1 })?;
    let second = runner.run(async { current_task().is_some() });
    println!("{first} {}", second?);
    Ok(())
}
