//! A chat server: whoever connects says a name, and then everybody hears what everybody says.
//!
//! ```text
//! cargo run --release --example chat_server [-- 127.0.0.1:8000]
//! nc 127.0.0.1 8000
//! ```
//!
//! Ctrl-C, or SIGTERM, ends it in good order: everybody is told, what is queued for them is sent, and they are let
//! go.

#![expect(clippy::print_stdout, reason = "a program that speaks to its user")]

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use loxley::{
    Runtime, StreamReader, StreamWriter, catch_cancelled, signal, start_server, timeout,
    with_cleanup,
};

/// How much may be queued for somebody who does not read; then they are thrown out.
const QUEUED_MAX: usize = 1 << 20;

/// Everybody who has said a name.
#[derive(Default)]
struct Room {
    members: Mutex<HashMap<SocketAddr, StreamWriter>>,
}

impl Room {
    fn with<R>(&self, f: impl FnOnce(&mut HashMap<SocketAddr, StreamWriter>) -> R) -> R {
        f(&mut self.members.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells everybody but `except`. Writing only queues, so the lock is held for no time worth mentioning.
    fn say(&self, line: &str, except: Option<SocketAddr>) {
        self.with(|members| {
            members.retain(|&addr, writer| {
                if writer.get_write_buffer_size() > QUEUED_MAX {
                    writer.abort();
                    return false;
                }
                if Some(addr) != except {
                    writer.write(line.as_bytes());
                }
                true
            });
        });
    }
}

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1);
    let addr = addr.unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    Runtime::builder()
        .shutdown_signals([signal::SIGTERM])
        .run(serve(addr))
}

async fn serve(addr: String) -> io::Result<()> {
    let room = Arc::new(Room::default());
    let for_clients = room.clone();
    let handler = move |reader, writer| client(reader, writer, for_clients.clone());
    let server = start_server(handler, addr).await?;
    for socket in server.sockets() {
        println!("serving on {socket}");
    }
    // A signal cancels the main task; until then there is nothing to do here.
    let _ = catch_cancelled(std::future::pending::<()>()).await;
    server.close();
    room.say("* the server stops\n", None);
    server.close_clients();
    if timeout(Duration::from_secs(5), server.wait_closed())
        .await
        .is_err()
    {
        server.abort_clients();
    }
    println!("stopped");
    Ok(())
}

async fn client(mut reader: StreamReader, writer: StreamWriter, room: Arc<Room>) -> io::Result<()> {
    let addr = writer.peer_addr()?;
    writer.write(b"Your name?\n");
    let name = timeout(Duration::from_secs(60), reader.readline()).await??;
    let name = String::from_utf8_lossy(name.trim_ascii()).into_owned();
    if name.is_empty() {
        return Ok(());
    }
    room.say(&format!("* {name} has come\n"), None);
    room.with(|members| members.insert(addr, writer.clone()));
    writer.write(format!("* welcome, {name}\n").as_bytes());
    let talk = async {
        let mut lines = reader.lines();
        while let Some(line) = lines.next().await? {
            let line = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
            room.say(&format!("{name}: {line}\n"), Some(addr));
        }
        io::Result::Ok(())
    };
    with_cleanup(talk, |_| async {
        room.with(|members| members.remove(&addr));
        room.say(&format!("* {name} has gone\n"), None);
    })
    .await
}
