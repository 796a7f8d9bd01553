//! A log shipper: runs a program, and sends what it prints, line by line, to a collector.
//!
//! ```text
//! cargo run --release --example log_shipper -- COLLECTOR:PORT PROGRAM [ARGUMENTS…]
//! ```
//!
//! Lines wait in a queue with a bound: while the collector is away, the program is slowed down by its own pipe, and
//! nothing is lost. A batch is sent again after a failure, so a line may arrive twice. SIGTERM is passed on to the
//! program; its last words are sent, and its status is ours.

#![expect(clippy::print_stderr, reason = "a program that speaks to its user")]

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use loxley::process::{Process, Stdio};
use loxley::{
    Queue, Runtime, StreamReader, StreamWriter, TaskGroup, catch_cancelled, create_subprocess_exec,
    open_connection, signal, sleep, task_group,
};

const QUEUE_MAX: usize = 10_000;
const BATCH_MAX: usize = 500;
const GRACE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(collector), Some(program)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: log_shipper COLLECTOR:PORT PROGRAM [ARGUMENTS…]");
        return ExitCode::FAILURE;
    };
    let runtime = Runtime::builder().shutdown_signals([signal::SIGTERM]);
    match runtime.run(ship_all(collector, program, arguments.collect())) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            eprintln!("log_shipper: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn ship_all(collector: String, program: String, arguments: Vec<String>) -> io::Result<i32> {
    // A group of its own, so that a Ctrl-C of the terminal comes to it through us.
    let command = create_subprocess_exec(program, arguments).process_group(0);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .await?;
    let streams = [("out", child.stdout.take()), ("err", child.stderr.take())];
    let group = task_group(|group: TaskGroup<io::Error>| async move {
        let lines = Queue::new(QUEUE_MAX);
        let shipper = group.create_task(ship(collector, lines.clone()));
        let readers: Vec<_> = streams
            .into_iter()
            .filter_map(|(name, stream)| {
                Some(group.create_task(read(name, stream?, lines.clone())))
            })
            .collect();
        let code = end(&child).await?;
        for reader in readers {
            let _ = reader.await; // The group has its error.
        }
        lines.shutdown(false);
        let _ = shipper.await;
        Ok(code)
    });
    group.await.map_err(io::Error::other)
}

/// Waits for the child, and passes on a request to stop: 128 + N if signal N ended it, as shells have it.
async fn end(child: &Process) -> io::Result<i32> {
    let code = match catch_cancelled(child.wait()).await {
        Ok(code) => code?,
        Err(_) => child.terminate_then_kill(GRACE).await?,
    };
    Ok(if code < 0 { 128 - code } else { code })
}

async fn read(name: &str, mut stream: StreamReader, lines: Queue<Vec<u8>>) -> io::Result<()> {
    let mut input = stream.lines();
    while let Some(line) = input.next().await? {
        let mut text = format!("{name} ").into_bytes();
        text.extend_from_slice(&line);
        if !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        if lines.put(text).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Sends batches until the queue is shut down and empty.
async fn ship(collector: String, lines: Queue<Vec<u8>>) -> io::Result<()> {
    let mut connection = None;
    let mut batch = Vec::new();
    while lines.get_many(&mut batch, BATCH_MAX).await.is_ok() {
        let mut pause = Duration::from_millis(50);
        while let Err(error) = send(&collector, &mut connection, &batch).await {
            connection = None;
            eprintln!("log_shipper: {error}; again in {pause:?}");
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
        batch.clear();
    }
    if let Some((_, writer)) = connection {
        writer.close();
        writer.wait_closed().await?;
    }
    Ok(())
}

async fn send(
    collector: &str,
    connection: &mut Option<(StreamReader, StreamWriter)>,
    batch: &[Vec<u8>],
) -> io::Result<()> {
    let (_, writer) = match connection {
        Some(connection) => connection,
        None => connection.insert(open_connection(collector).await?),
    };
    writer.writelines(batch);
    writer.drain().await
}
