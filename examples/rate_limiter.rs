//! A rate limiter: token buckets, one per client, before a service.
//!
//! ```text
//! cargo run --release --example rate_limiter [-- 127.0.0.1:8002 [PER_SECOND [BURST]]]
//! ```
//!
//! Each line is a request. It is answered with `ok`, or with how long to wait.

#![expect(clippy::print_stdout, reason = "a program that speaks to its user")]

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use loxley::lowlevel::now;
use loxley::{Runtime, StreamReader, StreamWriter, catch_cancelled, signal, start_server};

/// Past so many clients, those who have not asked for long are forgotten.
const CLIENTS_MAX: usize = 10_000;

/// A bucket that fills by so many tokens a second, and holds so many.
struct Limiter {
    per_second: f64,
    burst: f64,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Limiter {
    fn new(per_second: f64, burst: f64) -> Self {
        Self {
            per_second,
            burst,
            buckets: Mutex::default(),
        }
    }

    /// Takes a token of `client`'s.
    ///
    /// # Errors
    ///
    /// With how long it takes until there is one.
    fn admit(&self, client: IpAddr) -> Result<(), Duration> {
        let now = now();
        let filled = |bucket: Bucket| {
            let since = (now - bucket.at).as_secs_f64();
            (bucket.tokens + since * self.per_second).min(self.burst)
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= CLIENTS_MAX {
            // A full bucket is as good as none.
            buckets.retain(|_, bucket| filled(*bucket) < self.burst);
        }
        let full = Bucket {
            tokens: self.burst,
            at: now,
        };
        let bucket = buckets.entry(client).or_insert(full);
        *bucket = Bucket {
            tokens: filled(*bucket),
            at: now,
        };
        if bucket.tokens < 1.0 {
            return Err(Duration::from_secs_f64(
                (1.0 - bucket.tokens) / self.per_second,
            ));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let addr = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:8002".to_owned());
    let mut number = |otherwise| {
        arguments
            .next()
            .and_then(|text| text.parse().ok())
            .unwrap_or(otherwise)
    };
    let limiter = Arc::new(Limiter::new(number(10.0), number(20.0)));
    Runtime::builder()
        .shutdown_signals([signal::SIGTERM])
        .run(serve(addr, limiter))
}

async fn serve(addr: String, limiter: Arc<Limiter>) -> io::Result<()> {
    let handler = move |mut reader: StreamReader, writer: StreamWriter| {
        let limiter = limiter.clone();
        async move {
            let client = writer.peer_addr()?.ip();
            let mut lines = reader.lines();
            while lines.next().await?.is_some() {
                let answer = match limiter.admit(client) {
                    Ok(()) => "ok\n".to_owned(),
                    Err(wait) => format!("try again in {:.1} s\n", wait.as_secs_f64()),
                };
                writer.write(answer.as_bytes());
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
    println!("stopped");
    Ok(())
}
