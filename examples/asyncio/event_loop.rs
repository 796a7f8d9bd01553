//! The event loop: what its methods are for, without a loop to hold. `call_soon` and `call_later` are tasks; `stop`
//! is the end of the main future.

use std::hint::black_box;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use loxley::lowlevel::{Direction, Interest, now};
use loxley::{
    Handle, Registered, Runner, Runtime, StreamReader, StreamWriter, create_task, current_task,
    oneshot, open_connection, signal, sleep, start_server, to_thread, with_cleanup,
};

use crate::clock;

const SECOND: Duration = Duration::from_secs(1);

/// Example 44. A callback that is called soon, and stops the loop.
pub(crate) fn hello_world_callback() {
    loxley::run(async {
        let (stop, stopped) = oneshot::channel();
        drop(create_task(async move {
            println!("Hello World");
            stop.send(())
        }));
        stopped.await.expect("the task stops us");
    });
}

/// Example 45. A callback that is called later, again and again: five dates in five seconds.
pub(crate) async fn display_date_callback() {
    fn display_date(end: std::time::Instant, stop: oneshot::Sender<()>) {
        println!("{}", clock::now());
        if now() + SECOND < end {
            drop(create_task(async move {
                sleep(SECOND).await;
                display_date(end, stop);
            }));
        } else {
            let _ = stop.send(());
        }
    }
    let (stop, stopped) = oneshot::channel();
    display_date(now() + 5 * SECOND, stop);
    stopped.await.expect("the last callback stops us");
}

/// Example 46. A descriptor that is watched until it has something to read.
pub(crate) async fn watch_descriptor() -> io::Result<()> {
    let (rsock, wsock) = UnixStream::pair()?;
    rsock.set_nonblocking(true)?;
    let rsock = Registered::new(rsock, Interest::Read)?;
    drop(create_task(async move {
        // Simulate the reception of data from the network.
        sleep(Duration::from_millis(10)).await;
        (&wsock).write_all(b"abc")
    }));
    let mut data = [0; 100];
    let read = rsock.async_io(Direction::Read, |socket| {
        let mut socket: &UnixStream = socket;
        socket.read(&mut data)
    });
    let n = read.await?;
    println!("Received: {}", String::from_utf8_lossy(&data[..n]));
    // Dropping it unregisters the descriptor.
    Ok(())
}

/// Example 47. Handlers of signals that end the program.
pub(crate) fn signal_handlers() -> io::Result<()> {
    let mut runner = Runner::new()?;
    let ended = runner.run(async {
        let main = current_task().expect("this is a task");
        for (signum, name) in [(signal::SIGINT, "SIGINT"), (signal::SIGTERM, "SIGTERM")] {
            let main = main.clone();
            Handle::current().add_signal_handler(signum, move || {
                println!("got signal {name}: exit");
                main.cancel_with("stopped");
            })?;
        }
        println!("Event loop running for 1 hour, press Ctrl+C to interrupt.");
        println!(
            "pid {}: send SIGINT or SIGTERM to exit.",
            std::process::id()
        );
        sleep(3600 * SECOND).await;
        io::Result::Ok(())
    });
    ended?
}

/// Example 48. Work for other threads: the pool of this runtime, that of another one, and a thread of its own.
/// asyncio's pools of processes and of interpreters exist because Python computes on one thread at a time; here
/// threads do.
pub(crate) async fn run_in_executor() -> io::Result<()> {
    fn blocking_io() -> usize {
        // File operations can block: run them in a pool of threads.
        std::fs::read("/proc/self/stat").map_or(0, |bytes| bytes.len().min(100))
    }
    fn cpu_bound() -> u64 {
        (0..black_box(1_000_000_u64)).map(|i| i * i).sum()
    }
    println!("default thread pool {}", to_thread(blocking_io).await);
    let pool = Runtime::builder()
        .current_thread()
        .max_blocking_threads(2)
        .build()?;
    let handle = pool.handle();
    let custom = thread::spawn(move || pool.block_on(to_thread(blocking_io)));
    println!(
        "custom thread pool {}",
        to_thread(|| custom.join().expect("nothing panics in it")).await
    );
    drop(handle);
    println!("compute pool {}", to_thread(cpu_bound).await);
    let (sender, receiver) = oneshot::channel();
    thread::spawn(move || sender.send(cpu_bound()));
    println!("own thread {}", receiver.await.map_err(io::Error::other)?);
    Ok(())
}

/// Example 49. A server for the length of a block: it is closed, and its connections awaited, when the block ends.
pub(crate) async fn server_as_a_block() -> io::Result<()> {
    async fn client_connected(mut reader: StreamReader, writer: StreamWriter) -> io::Result<()> {
        let line = reader.readline().await?;
        writer.write(&line.to_ascii_uppercase());
        writer.drain().await
    }
    let server = start_server(client_connected, "127.0.0.1:0").await?;
    let addr = server.local_addr().expect("it listens");
    let block = server.serving(async {
        let (mut reader, writer) = open_connection(addr).await?;
        writer.write(b"hello\n");
        let line = reader.readline().await?;
        println!("{}", String::from_utf8_lossy(line.trim_ascii_end()));
        io::Result::Ok(())
    });
    block.await??;
    println!("serving: {}", server.is_serving());
    Ok(())
}

/// Example 51. What `finally: loop.run_until_complete(loop.shutdown_asyncgens()); loop.close()` does: clean up, then
/// close. There are no asynchronous generators to be shut down; an asynchronous clean-up is `with_cleanup`.
pub(crate) fn run_forever_and_close() -> io::Result<()> {
    let mut runner = Runner::new()?;
    let ended = runner.run(async {
        let main = current_task().expect("this is a task");
        drop(create_task(async move {
            sleep(SECOND / 100).await;
            main.cancel()
        }));
        with_cleanup(std::future::pending::<()>(), |_| async {
            println!("generators shut down");
        })
        .await;
    });
    println!("run: {}", if ended.is_err() { "stopped" } else { "ended" });
    println!("closed: {}", runner.close().is_clean());
    Ok(())
}

/// Example 52. A callback with arguments is a closure that has them.
pub(crate) async fn call_with_partial() {
    let word = "Hello";
    let called = create_task(async move {
        println!("{word}");
        io::stdout().flush()
    });
    called
        .await
        .expect("nobody cancels it")
        .expect("there is a reader");
}
