//! The streams of each library over the loopback address: echo, much in one direction, echo behind TLS.
//!
//! The client is another process, as in `network.rs`, and the CPU of the server is again what to read first. A library
//! without streams of its own serves with its plain socket: the rows ask what the comfort costs.

use std::future::Future;
use std::io;

use loxley_benches::case::{Case, Metric, Params, Unit};

use super::network::{MESSAGE, beside_client};
use crate::rt::{Duplex, Streams};

/// What one call reads or writes where much goes in one direction.
const PIECE: usize = 64 << 10;

const ECHO: &[Metric] = &[
    Metric::higher("requests", Unit::PerSecond),
    Metric::lower("server CPU", Unit::Nanos).target(1.0),
];
const BULK: &[Metric] = &[
    Metric::higher("bytes", Unit::PerSecond).target(1.0),
    Metric::lower("CPU of both per MiB", Unit::Nanos).target(1.0),
];

pub fn cases<R: Streams>() -> Vec<Case> {
    vec![
        Case {
            name: "streams_echo_2",
            about: "64-byte echo through streams, 2 connections",
            metrics: ECHO,
            run: |params| echo::<R>(params, 2),
        },
        Case {
            name: "streams_echo_50",
            about: "64-byte echo through streams, 50 connections",
            metrics: ECHO,
            run: |params| echo::<R>(params, 50),
        },
        Case {
            name: "streams_echo_500",
            about: "64-byte echo through streams, 500 connections",
            metrics: ECHO,
            run: |params| echo::<R>(params, 500),
        },
        Case {
            name: "streams_bulk_in",
            about: "one connection sends as fast as it can",
            metrics: BULK,
            run: |params| {
                bulk::<R, _>(params, "bulk_in", |stream| async {
                    drain(R::streams(stream)).await
                })
            },
        },
        Case {
            name: "streams_bulk_out",
            about: "one connection is sent to as fast as it reads",
            metrics: BULK,
            run: |params| {
                bulk::<R, _>(params, "bulk_out", |stream| async {
                    flood(R::streams(stream)).await
                })
            },
        },
        Case {
            name: "tls_echo_2",
            about: "64-byte echo behind TLS 1.3, 2 connections",
            metrics: ECHO,
            run: |params| tls_echo::<R>(params, 2),
        },
        Case {
            name: "tls_echo_50",
            about: "64-byte echo behind TLS 1.3, 50 connections",
            metrics: ECHO,
            run: |params| tls_echo::<R>(params, 50),
        },
    ]
}

/// Accepts in a task of its own and gives each connection one that runs `handle`; the address to connect to.
async fn serve<R: Streams, F>(handle: impl Fn(R::Stream) -> F + Send + Sync + 'static) -> String
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let (listener, address) = R::listen()
        .await
        .expect("the loopback address has free ports");
    R::detach(R::spawn(async move {
        while let Ok(stream) = R::accept(&listener).await {
            let handled = handle(stream);
            // An error is a client that went away.
            R::detach(R::spawn(async move { drop(handled.await) }));
        }
    }));
    address.to_string()
}

fn echo<R: Streams>(params: &Params, connections: usize) -> Vec<f64> {
    let serve = serve::<R, _>(|stream| async { reply(R::streams(stream)).await });
    let report = beside_client::<R>(params, serve, "echo", &connections.to_string());
    vec![report.per_second, report.server_cpu]
}

fn bulk<R: Streams, F>(params: &Params, work: &str, handle: fn(R::Stream) -> F) -> Vec<f64>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let report = beside_client::<R>(params, serve::<R, _>(handle), work, "1");
    // Of both: the kernel does the work of one end in the time of the other, as it likes.
    let cpu = report.server_cpu + report.client_cpu;
    vec![report.per_second, cpu * f64::from(1 << 20)]
}

fn tls_echo<R: Streams>(params: &Params, connections: usize) -> Vec<f64> {
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::new(["localhost".to_owned()])
        .and_then(|params| params.self_signed(&key))
        .expect("a certificate");
    let acceptor = R::acceptor(&certificate.pem(), &key.serialize_pem());
    let serve = serve::<R, _>(move |stream| {
        let acceptor = acceptor.clone();
        async move { reply(R::secure(&acceptor, stream).await?).await }
    });
    let hex = certificate.der().iter().map(|byte| format!("{byte:02x}"));
    let what = format!("{connections}:{}", hex.collect::<String>());
    let report = beside_client::<R>(params, serve, "tls_echo", &what);
    vec![report.per_second, report.server_cpu]
}

async fn reply(mut stream: impl Duplex) -> io::Result<()> {
    let mut buffer = [0; 4 * MESSAGE];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            length => stream.write_all(&buffer[..length]).await?,
        }
    }
}

async fn drain(mut stream: impl Duplex) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn flood(mut stream: impl Duplex) -> io::Result<()> {
    let piece = vec![7; PIECE];
    loop {
        stream.write_all(&piece).await?;
    }
}
