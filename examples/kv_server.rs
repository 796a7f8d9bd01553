//! A key-value server that speaks the Redis protocol: `redis-cli` and `redis-benchmark` take it for a Redis.
//!
//! ```text
//! cargo run --release --example kv_server [-- [--port 6379] [--memory MIB] [--workers COUNT]]
//! redis-cli set greeting hello
//! redis-benchmark -q -t set,get -P 16
//! ```
//!
//! One task for each connection, on a `TcpStream` of its own: commands that came together are answered together, and what a
//! client may make us keep has a limit (`kv_server/`, where the protocol and the store are). A port of 0 lets the
//! system choose.

#[path = "kv_server/mod.rs"]
mod engine;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use engine::{Options, Session, Store};
use loxley::{Runtime, TcpListener, TcpStream, create_task, interval, signal};

fn main() -> ExitCode {
    let served = Options::from_args().and_then(|options| {
        let mut builder = Runtime::builder();
        if let Some(count) = options.workers {
            builder = builder.worker_threads(count);
        }
        builder.build()?.block_on(serve(options))
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "kv_server: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Until Ctrl-C; the connections end with the runtime.
async fn serve(options: Options) -> io::Result<()> {
    let store = Arc::new(Store::new(options.memory));
    let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
    let _ = writeln!(io::stdout(), "listening on {}", listener.local_addr()?);
    let sweeper = create_task(sweep(store.clone()));
    let accepting = create_task(accept(listener, store));
    signal::ctrl_c().await?;
    accepting.cancel();
    sweeper.cancel();
    Ok(())
}

async fn accept(listener: TcpListener, store: Arc<Store>) -> io::Result<()> {
    let mut incoming = listener.incoming();
    loop {
        match incoming.next().await {
            Ok((stream, _)) => drop(create_task(talk(stream, store.clone()))),
            // Short of descriptors, say: the next call waits until that has passed.
            Err(error) if incoming.is_pausing() => {
                let _ = writeln!(io::stderr(), "kv_server: {error}");
            }
            Err(error) => return Err(error),
        }
    }
}

/// A client that goes away in the middle is no error of ours.
async fn talk(stream: TcpStream, store: Arc<Store>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut session = Session::new();
    while !session.is_over {
        match stream.read(session.space()).await? {
            0 => break,
            n => session.filled(n),
        }
        while session.advance(&store) {
            stream.write_all(&session.output).await?;
        }
    }
    Ok(())
}

async fn sweep(store: Arc<Store>) {
    let mut ticks = interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        store.sweep();
    }
}
