//! A TCP proxy: every connection goes on to one other address, and its bytes stay inside the kernel where that can splice.
//!
//! ```text
//! cargo run --release --example tcp_proxy -- --to example.com:80 [--port 8081] [--limit CONNECTIONS]
//! curl --header 'Host: example.com' http://127.0.0.1:8081/
//! ```
//!
//! Each direction ends by itself, as the peers end it. The limit, 150 at first, keeps descriptors (six for each connection,
//! with the pipes that splice needs; most systems give 1,024) from running out: connections over it wait unaccepted. A port
//! of 0 lets the system choose; Ctrl-C ends it.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use loxley::{
    Semaphore, TcpListener, TcpStream, copy_bidirectional, create_task, run, signal, timeout,
};

/// How long the other side has to answer.
const CONNECT: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let served = options().and_then(|options| run(serve(options)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

struct Options {
    to: String,
    port: u16,
    limit: usize,
}

fn options() -> io::Result<Options> {
    let usage =
        || io::Error::other("usage: tcp_proxy --to HOST:PORT [--port PORT] [--limit CONNECTIONS]");
    let (mut to, mut port, mut limit) = (None, Some(8081), Some(150));
    let mut words = std::env::args().skip(1);
    while let (Some(word), value) = (words.next(), words.next()) {
        match &*word {
            "--to" => to = value,
            "--port" => port = value.and_then(|value| value.parse().ok()),
            "--limit" => limit = value.and_then(|value| value.parse().ok()),
            _ => return Err(usage()),
        }
    }
    match (to, port, limit) {
        (Some(to), Some(port), Some(limit @ 1..)) => Ok(Options { to, port, limit }),
        _ => Err(usage()),
    }
}

async fn serve(options: Options) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
    let _ = writeln!(io::stdout(), "listening on {}", listener.local_addr()?);
    let accepting = create_task(accept(listener, options.to.into(), options.limit));
    signal::ctrl_c().await?;
    accepting.cancel();
    Ok(())
}

async fn accept(listener: TcpListener, to: Arc<str>, limit: usize) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(limit));
    let mut incoming = listener.incoming();
    loop {
        let place = places.clone().acquire_owned().await;
        match incoming.next().await {
            Ok((stream, _)) => {
                let to = to.clone();
                drop(create_task(async move {
                    if let Err(error) = pass_on(stream, &to).await {
                        complain(&error);
                    }
                    drop(place);
                }));
            }
            // Short of descriptors, say: the next call waits until that has passed.
            Err(error) if incoming.is_pausing() => complain(&error),
            Err(error) => return Err(error),
        }
    }
}

async fn pass_on(mut client: TcpStream, to: &str) -> io::Result<()> {
    let connected = timeout(CONNECT, TcpStream::connect(to)).await;
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("{to} does not answer"));
    let mut server = connected.map_err(late)??;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    match copy_bidirectional(&mut client, &mut server).await {
        // Somebody has gone in the middle of it: the other one sees that too.
        Err(error) if is_parting(&error) => Ok(()),
        result => result.map(drop),
    }
}

fn is_parting(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected
    )
}

fn complain(error: &io::Error) {
    let _ = writeln!(io::stderr(), "tcp_proxy: {error}");
}
