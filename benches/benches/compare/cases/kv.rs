//! The key-value server of the examples, the same files for every runtime, behind `redis-benchmark`.
//!
//! Read the CPU of the server per request first: requests per second also depend on where the kernel puts the client.

use std::process::Command;
use std::sync::Arc;

use loxley_benches::case::{Case, Metric, Params, Unit};

use crate::rt::Net;
use crate::usage::cpu_nanos;

#[path = "../../../../examples/kv_server/mod.rs"]
#[allow(dead_code, reason = "the command line is the example's")]
mod engine;

use engine::{Session, Store};

const METRICS: &[Metric] = &[
    Metric::higher("requests", Unit::PerSecond).target(1.05),
    Metric::lower("server CPU", Unit::Nanos).target(1.05),
];

pub fn cases<R: Net>() -> Vec<Case> {
    vec![
        Case {
            name: "kv_set",
            about: "redis-benchmark SET, 50 connections; needs redis-tools",
            metrics: METRICS,
            run: |params| kv::<R>(params, "set", 1),
        },
        Case {
            name: "kv_get",
            about: "redis-benchmark GET, 50 connections; needs redis-tools",
            metrics: METRICS,
            run: |params| kv::<R>(params, "get", 1),
        },
        Case {
            name: "kv_pipeline",
            about: "redis-benchmark GET, 50 connections, 16 in a pipeline; needs redis-tools",
            metrics: METRICS,
            run: |params| kv::<R>(params, "get", 16),
        },
    ]
}

fn kv<R: Net>(params: &Params, test: &str, pipeline: usize) -> Vec<f64> {
    let engine = R::start(params.workers);
    let address = R::block_on(&engine, R::spawn_on(&R::handle(&engine), serve::<R>()));
    let (_, port) = address.rsplit_once(':').expect("an address has a port");
    let benchmark = |requests: usize| {
        Command::new("redis-benchmark")
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                port,
                "--csv",
                "-t",
                test,
                "-c",
                "50",
            ])
            .args(["-P", &pipeline.to_string(), "-n", &requests.to_string()])
            .output()
    };
    let requests = params.scaled(200_000) * pipeline.min(8);
    let warm = benchmark(requests / 10);
    let cpu = cpu_nanos();
    let output = benchmark(requests);
    let cpu = cpu_nanos() - cpu;
    R::stop(engine);
    let (Ok(_), Ok(output)) = (warm, output) else {
        return vec![f64::NAN; 2];
    };
    // "test","rps",… and then "GET","123456.78",…
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    let rate = line
        .split(',')
        .nth(1)
        .map(|word| word.trim_matches('"').parse());
    vec![
        rate.and_then(Result::ok).unwrap_or(f64::NAN),
        cpu / requests as f64,
    ]
}

/// As the example has it: a task for each connection.
async fn serve<R: Net>() -> String {
    let (listener, address) = R::listen()
        .await
        .expect("the loopback address has free ports");
    let store = Arc::new(Store::new(256 << 20));
    R::detach(R::spawn(async move {
        while let Ok(stream) = R::accept(&listener).await {
            R::detach(R::spawn(talk::<R>(stream, store.clone())));
        }
    }));
    address.to_string()
}

async fn talk<R: Net>(mut stream: R::Stream, store: Arc<Store>) {
    let mut session = Session::new();
    while !session.is_over {
        match R::read(&mut stream, session.space()).await {
            Ok(n @ 1..) => session.filled(n),
            _ => break,
        }
        while session.advance(&store) {
            if R::write_all(&mut stream, &session.output).await.is_err() {
                return;
            }
        }
    }
}
