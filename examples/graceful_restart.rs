//! A restart that nobody notices: on SIGHUP a new process takes the listening socket over, and the old one ends when
//! its last connection has.
//!
//! ```text
//! cargo run --release --example graceful_restart [-- 127.0.0.1:8005]
//! kill -HUP PID
//! ```
//!
//! The new process gets the socket as its standard input, as under inetd, and a pipe into which it says that it
//! serves. Only then does the old one stop accepting: no connection is refused, none is lost. If the new one does not
//! come up, the old one goes on.

#![expect(clippy::print_stdout, reason = "a program that speaks to its user")]

use std::fs::File;
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use loxley::process::Stdio;
use loxley::{
    PipeReader, Runtime, ServerBuilder, StreamReader, StreamWriter, catch_cancelled,
    create_subprocess_exec, pipe, signal, timeout,
};

/// Where the new process says that it serves: a path. If it is set, standard input is the listening socket.
const READY: &str = "GRACEFUL_RESTART_READY";

fn main() -> io::Result<()> {
    Runtime::builder()
        .shutdown_signals([signal::SIGTERM])
        .run(serve())
}

fn listener() -> io::Result<TcpListener> {
    if std::env::var_os(READY).is_some() {
        return Ok(io::stdin().as_fd().try_clone_to_owned()?.into());
    }
    let addr = std::env::args().nth(1);
    TcpListener::bind(addr.as_deref().unwrap_or("127.0.0.1:8005"))
}

async fn serve() -> io::Result<()> {
    let listener = listener()?;
    let for_successor: OwnedFd = listener.try_clone()?.into();
    let server = ServerBuilder::new().listener(listener).start(greet).await?;
    let addr = server.local_addr().ok_or(io::ErrorKind::NotConnected)?;
    let hangups = signal::stream(signal::SIGHUP)?;
    println!("{} serves on {addr}", std::process::id());
    if let Some(path) = std::env::var_os(READY) {
        File::options()
            .write(true)
            .open(path)?
            .write_all(b"ready")?;
    }
    let replaced = async {
        loop {
            hangups.recv().await?;
            match replace(&for_successor).await {
                Ok(pid) => break io::Result::Ok(pid),
                Err(error) => println!("{} goes on: {error}", std::process::id()),
            }
        }
    };
    match catch_cancelled(replaced).await {
        Ok(pid) => println!("{} is replaced by {}", std::process::id(), pid?),
        Err(_) => server.close_clients(),
    }
    server.close();
    server.wait_closed().await;
    println!("{} ends", std::process::id());
    Ok(())
}

/// Every line is answered with who we are.
async fn greet(mut reader: StreamReader, writer: StreamWriter) -> io::Result<()> {
    let mut lines = reader.lines();
    while lines.next().await?.is_some() {
        writer.write(format!("{}\n", std::process::id()).as_bytes());
        writer.drain().await?;
    }
    Ok(())
}

/// Starts the successor, and waits until it serves.
async fn replace(listener: &OwnedFd) -> io::Result<u32> {
    let (mut ready, theirs) = pipe()?;
    let theirs = theirs.into_fd()?;
    let child = create_subprocess_exec(std::env::current_exe()?, std::env::args().skip(1))
        .env(READY, format!("/dev/fd/{}", theirs.as_raw_fd()))
        .stdin(Stdio::from(listener.try_clone()?))
        .pass_fd(theirs)
        .spawn()
        .await?;
    match timeout(Duration::from_secs(30), is_ready(&mut ready)).await? {
        Ok(()) => Ok(child.pid()),
        Err(error) => {
            let _ = child.kill();
            Err(error)
        }
    }
}

async fn is_ready(ready: &mut PipeReader) -> io::Result<()> {
    let mut word = [0; 5];
    ready.read_exact(&mut word).await
}
