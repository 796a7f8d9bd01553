//! A connection pool: many clients, few connections to what is behind.
//!
//! ```text
//! cargo run --release --example connection_pool -- BACKEND:PORT [127.0.0.1:8001 [CONNECTIONS]]
//! ```
//!
//! Each line of a client goes to the backend, over whichever connection is free, and the line that comes back goes to
//! the client. A connection on which something went wrong, or a question was given up, is not used again: nobody
//! knows whose answer would come next.

#![expect(clippy::print_stdout, reason = "a program that speaks to its user")]

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use loxley::{
    Permit, Runtime, Semaphore, StreamReader, StreamWriter, catch_cancelled, open_connection,
    signal, start_server,
};

struct Pool {
    backend: String,
    permits: Semaphore,
    idle: Mutex<Vec<(StreamReader, StreamWriter)>>,
    opened: AtomicUsize,
}

impl Pool {
    fn new(backend: String, connections: usize) -> Self {
        Self {
            backend,
            permits: Semaphore::new(connections),
            idle: Mutex::default(),
            opened: AtomicUsize::new(0),
        }
    }

    /// A connection, as soon as one is free; first come, first served.
    async fn get(&self) -> io::Result<Pooled<'_>> {
        let permit = self.permits.acquire().await;
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let connection = match idle {
            Some((reader, writer)) if !reader.at_eof() && !writer.is_closing() => (reader, writer),
            _ => {
                // ordering: Relaxed. A statistic.
                self.opened.fetch_add(1, Ordering::Relaxed);
                open_connection(self.backend.as_str()).await?
            }
        };
        Ok(Pooled {
            pool: self,
            connection: Some(connection),
            _permit: permit,
        })
    }
}

/// A connection on loan. Dropped, it goes back, and then the permit does, in the order of the fields.
struct Pooled<'a> {
    pool: &'a Pool,
    /// None while a question is on its way: dropped then, the connection is closed.
    connection: Option<(StreamReader, StreamWriter)>,
    _permit: Permit<'a>,
}

impl Pooled<'_> {
    async fn ask(&mut self, question: &[u8]) -> io::Result<Vec<u8>> {
        let taken = self.connection.take();
        let (mut reader, writer) =
            taken.ok_or_else(|| io::Error::other("an earlier question was given up"))?;
        writer.write(question);
        writer.drain().await?;
        let answer = reader.readline().await?;
        if answer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.connection = Some((reader, writer));
        Ok(answer)
    }
}

impl Drop for Pooled<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
        }
    }
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = || io::Error::other("usage: connection_pool BACKEND:PORT [ADDRESS [CONNECTIONS]]");
    let backend = arguments.next().ok_or_else(usage)?;
    let addr = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:8001".to_owned());
    let connections = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(4);
    let pool = Arc::new(Pool::new(backend, connections));
    Runtime::builder()
        .shutdown_signals([signal::SIGTERM])
        .run(serve(addr, pool))
}

async fn serve(addr: String, pool: Arc<Pool>) -> io::Result<()> {
    let asked = Arc::new(AtomicUsize::new(0));
    let (counter, connections) = (asked.clone(), pool.clone());
    let handler = move |mut reader: StreamReader, writer: StreamWriter| {
        let (pool, asked) = (connections.clone(), counter.clone());
        async move {
            let mut lines = reader.lines();
            while let Some(line) = lines.next().await? {
                let answer = pool.get().await?.ask(&line).await?;
                // ordering: Relaxed. A statistic.
                asked.fetch_add(1, Ordering::Relaxed);
                writer.write(&answer);
                writer.drain().await?;
            }
            io::Result::Ok(())
        }
    };
    let server = start_server(handler, addr).await?;
    for socket in server.sockets() {
        println!("serving on {socket}");
    }
    let _ = catch_cancelled(std::future::pending::<()>()).await;
    server.close();
    server.close_clients();
    server.wait_closed().await;
    // ordering: Relaxed. Statistics.
    let (asked, opened) = (
        asked.load(Ordering::Relaxed),
        pool.opened.load(Ordering::Relaxed),
    );
    println!("{asked} questions over {opened} connections");
    Ok(())
}
