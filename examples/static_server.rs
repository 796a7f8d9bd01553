//! A server of static files: each goes from the file to the socket inside the system, by `sendfile`.
//!
//! ```text
//! cargo run --release --example static_server -- DIRECTORY [127.0.0.1:8004]
//! curl http://127.0.0.1:8004/index.html
//! ```
//!
//! SIGTERM stops accepting, and lets answers that are on their way end.

#![expect(clippy::print_stdout, reason = "a program that speaks to its user")]

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use loxley::{
    Runtime, TaskGroup, TcpListener, TcpStream, catch_cancelled, sendfile, signal, task_group,
    timeout, to_thread,
};

/// How long and how large the head of a request may be; how long an answer may take.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
const HEAD_MAX: usize = 8 << 10;
const ANSWER_LIMIT: Duration = Duration::from_secs(600);

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = || io::Error::other("usage: static_server DIRECTORY [ADDRESS]");
    let root = PathBuf::from(arguments.next().ok_or_else(usage)?).canonicalize()?;
    let addr = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:8004".to_owned());
    Runtime::builder()
        .shutdown_signals([signal::SIGTERM])
        .run(serve(root, addr))
}

async fn serve(root: PathBuf, addr: String) -> io::Result<()> {
    let listener = TcpListener::bind(addr).await?;
    println!("serving on {}", listener.local_addr()?);
    let root: Arc<Path> = root.into();
    // The group waits for the answers that are on their way.
    let group = task_group(|group: TaskGroup<io::Error>| async move {
        let accept = async {
            let mut incoming = listener.incoming();
            loop {
                match incoming.next().await {
                    Ok((stream, _)) => {
                        let root = root.clone();
                        // One peer's trouble is nobody else's.
                        group.create_task(async move { drop(answer(stream, &root).await) });
                    }
                    Err(error) if incoming.is_pausing() => println!("{error}"),
                    Err(error) => break error,
                }
            }
        };
        match catch_cancelled(accept).await {
            Ok(error) => Err(error),
            Err(_) => Ok(()),
        }
    });
    group.await.map_err(io::Error::other)?;
    println!("stopped");
    Ok(())
}

async fn answer(stream: TcpStream, root: &Path) -> io::Result<()> {
    let head = timeout(HEAD_LIMIT, read_head(&stream)).await??;
    let file = match wanted(&head) {
        Some(path) => open(root.join(path)).await,
        None => Err(io::ErrorKind::InvalidInput.into()),
    };
    match file {
        Ok((file, length)) => {
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            timeout(ANSWER_LIMIT, sendfile(&stream, &file, 0, Some(length))).await??;
        }
        Err(error) => {
            let status = match error.kind() {
                io::ErrorKind::NotFound => "404 Not Found",
                io::ErrorKind::InvalidInput => "400 Bad Request",
                _ => "500 Internal Server Error",
            };
            let text =
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(text.as_bytes()).await?;
        }
    }
    stream.shutdown(std::net::Shutdown::Write)
}

async fn read_head(stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD_MAX];
    let mut length = 0;
    loop {
        match stream.read(&mut head[length..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => length += n,
        }
        if head[..length].windows(4).any(|end| end == b"\r\n\r\n") {
            head.truncate(length);
            return Ok(head);
        }
    }
}

/// The path that is asked for, if it stays below the root.
fn wanted(head: &[u8]) -> Option<PathBuf> {
    let line = head.split(|&byte| byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let path = line.strip_prefix("GET /")?.split(' ').next()?;
    let path = Path::new(if path.is_empty() { "index.html" } else { path });
    let is_plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    is_plain.then(|| path.to_owned())
}

/// Opening a file may wait for a disk, so a thread does it.
async fn open(path: PathBuf) -> io::Result<(File, u64)> {
    to_thread(|| {
        let file = File::open(path)?;
        let about = file.metadata()?;
        match about.is_file() {
            true => Ok((file, about.len())),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    })
    .await
}
