//! Coroutines and tasks, and developing: threads.

use std::io;
use std::thread;
use std::time::Duration;

use loxley::{
    Handle, Runtime, WaitError, create_task, gather, oneshot, run_coroutine_threadsafe, sleep,
    to_thread,
};

use crate::clock;

const SECOND: Duration = Duration::from_secs(1);

/// Example 24. A function that blocks its thread, beside a future that waits.
pub(crate) async fn blocking_io() {
    fn blocking_io() {
        println!("start blocking_io at {:#}", clock::now());
        // In place of any call that waits: a file, a computation.
        thread::sleep(SECOND);
        println!("blocking_io complete at {:#}", clock::now());
    }
    println!("started main at {:#}", clock::now());
    gather((to_thread(blocking_io), sleep(SECOND)))
        .await
        .expect("nothing is cancelled");
    println!("finished main at {:#}", clock::now());
}

/// Example 25. From a plain thread: a coroutine for the runtime, its result for the thread.
pub(crate) fn threadsafe_from_a_thread() {
    fn in_thread(handle: &Handle) -> u32 {
        let path = std::env::temp_dir().join(format!("loxley-in-thread-{}", std::process::id()));
        // A call that blocks, which is fine here.
        std::fs::write(&path, "data").expect("the directory can be written");
        std::fs::remove_file(&path).expect("it was just made");
        let coroutine = async {
            sleep(SECOND).await;
            3
        };
        let mut future = run_coroutine_threadsafe(coroutine, handle);
        future.result(Some(20 * SECOND)).expect("it takes a second")
    }
    loxley::run(async {
        let handle = Handle::current();
        let result = to_thread(move || in_thread(&handle)).await;
        assert_eq!(result, 3);
        println!("{result}");
    });
}

/// Example 26. The runtime in a thread of its own; the main thread gives it work and stops it.
pub(crate) fn loop_in_thread() {
    let (handle_out, handle_in) = std::sync::mpsc::channel();
    let (stop, is_stopped) = oneshot::channel::<()>();
    let thread = thread::spawn(move || {
        let runtime = Runtime::new().expect("the system has threads to give");
        handle_out
            .send(runtime.handle())
            .expect("the main thread waits");
        // asyncio: `loop.run_forever()`, ended by `loop.call_soon_threadsafe(loop.stop)`.
        let _ = runtime.block_on(is_stopped);
    });
    let handle = handle_in.recv().expect("the thread sends it");
    let coroutine = async {
        sleep(SECOND / 10).await;
        3
    };
    let result = run_coroutine_threadsafe(coroutine, &handle).result(Some(20 * SECOND));
    println!("{}", result.expect("nobody cancels it"));
    let _ = stop.send(());
    thread.join().expect("nothing panics in it");
    println!("the loop has stopped");
}

/// Example 27. What the thread may find: too late, a failure, a result.
pub(crate) fn threadsafe_result() -> io::Result<()> {
    fn report(
        handle: &Handle,
        limit: Duration,
        future: impl Future<Output = u32> + Send + 'static,
    ) {
        let mut future = run_coroutine_threadsafe(future, handle);
        match future.result(Some(limit)) {
            Ok(result) => println!("The coroutine returned: {result:?}"),
            Err(WaitError::TimedOut) => {
                println!("The coroutine took too long, cancelling the task...");
                future.cancel();
            }
            Err(error) => println!("The coroutine raised an exception: {error}"),
        }
    }
    std::panic::set_hook(Box::new(|_| {})); // The panic below is printed once, by us.
    let runtime = Runtime::new()?;
    let handle = runtime.handle();
    report(&handle, SECOND / 100, async {
        sleep(3600 * SECOND).await;
        0
    });
    report(&handle, 20 * SECOND, async { panic!("out of paper") });
    report(&handle, 20 * SECOND, async { 42 });
    Ok(())
}

/// Example 64. Everything that touches a task may be called from any thread: no `call_soon_threadsafe` is needed.
pub(crate) fn cancel_from_a_thread() {
    loxley::run(async {
        let task = create_task(sleep(3600 * SECOND));
        let other = task.as_ref();
        let thread = thread::spawn(move || other.cancel());
        let error = task.await.expect_err("it is cancelled");
        println!("is cancelled: {}", error.is_cancelled());
        thread.join().expect("nothing panics in it");
        let handle = Handle::current();
        let thread =
            thread::spawn(move || run_coroutine_threadsafe(async { 42 }, &handle).result(None));
        let result = to_thread(|| thread.join().expect("nothing panics in it")).await;
        println!("{}", result.expect("nobody cancels it"));
    });
}
