//! TCP and HTTP on the loopback address; the client is another process (`client.rs`, or `wrk` for HTTP).
//!
//! Read the CPU of the server per request first: requests per second also depend on where the kernel puts the client.

use std::future::Future;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use loxley_benches::case::{Case, Metric, Params, Unit};

use crate::alloc::{live_bytes, start_counting};
use crate::measure::Gate;
use crate::rt::{Net, on_worker};
use crate::usage::{cpu_nanos, resident_bytes};

/// Length of an echoed message.
pub const MESSAGE: usize = 64;
/// Connections of the memory case; below the usual limit of 1,024 descriptors.
const HELD: usize = 400;

pub fn cases<R: Net>() -> Vec<Case> {
    vec![
        Case {
            name: "echo_1",
            about: "64-byte echo, 1 connection, closed loop",
            metrics: const {
                &[
                    Metric::lower("round trip p50", Unit::Nanos).target(1.1),
                    Metric::lower("server CPU", Unit::Nanos),
                ]
            },
            run: |params| echo::<R>(params, 1),
        },
        Case {
            name: "echo_2",
            about: "64-byte echo, 2 connections, closed loop",
            metrics: ECHO_2,
            run: |params| echo::<R>(params, 2),
        },
        Case {
            name: "echo_50",
            about: "64-byte echo, 50 connections, closed loop",
            metrics: ECHO_50,
            run: |params| echo::<R>(params, 50),
        },
        Case {
            name: "echo_500",
            about: "64-byte echo, 500 connections, closed loop",
            metrics: ECHO_500,
            run: |params| echo::<R>(params, 500),
        },
        Case {
            name: "accept",
            about: "a connection, one byte each way, closed; one after the other",
            metrics: const {
                &[
                    Metric::higher("connections", Unit::PerSecond),
                    Metric::lower("server CPU", Unit::Nanos).target(1.07),
                ]
            },
            run: accept::<R>,
        },
        Case {
            name: "http_hello",
            about: "hyper behind wrk with 50 connections; needs wrk",
            metrics: const {
                &[
                    Metric::higher("requests", Unit::PerSecond).target(1.07),
                    Metric::lower("server CPU", Unit::Nanos).target(1.1),
                ]
            },
            run: http::<R>,
        },
        Case {
            name: "memory_connection",
            about: "400 idle connections, each in a task that reads; bytes per connection",
            metrics: const {
                &[
                    Metric::lower("counted", Unit::Bytes),
                    Metric::lower("resident", Unit::Bytes).target(2.0),
                ]
            },
            run: held::<R>,
        },
    ]
}

const ECHO_2: &[Metric] = &[
    Metric::higher("requests", Unit::PerSecond).target(1.5),
    Metric::lower("server CPU", Unit::Nanos),
];
const ECHO_50: &[Metric] = &[
    Metric::higher("requests", Unit::PerSecond).target(1.1),
    Metric::lower("server CPU", Unit::Nanos).target(1.1),
];
const ECHO_500: &[Metric] = &[
    Metric::higher("requests", Unit::PerSecond).target(1.05),
    Metric::lower("server CPU", Unit::Nanos).target(1.05),
];

/// How long the client counts.
pub(super) fn window(params: &Params) -> Duration {
    Duration::from_millis(if params.quick { 300 } else { 1_500 })
}

fn echo<R: Net>(params: &Params, connections: usize) -> Vec<f64> {
    let report = beside_client::<R>(params, serve_echo::<R>(), "echo", &connections.to_string());
    echo_values(connections, &report)
}

/// The values of an echo case.
pub fn echo_values(connections: usize, report: &Report) -> Vec<f64> {
    let first = if connections == 1 {
        report.round_trip
    } else {
        report.per_second
    };
    vec![first, report.server_cpu]
}

fn accept<R: Net>(params: &Params) -> Vec<f64> {
    accept_values(&beside_client::<R>(
        params,
        serve_echo::<R>(),
        "accept",
        "1",
    ))
}

/// The values of the accept case.
pub fn accept_values(report: &Report) -> Vec<f64> {
    vec![report.per_second, report.server_cpu]
}

/// Those cases that `run` knows without a runtime.
pub fn bare(run: impl Fn(&str) -> Option<fn(&Params) -> Vec<f64>>) -> Vec<Case> {
    let cases = cases::<crate::rt::tokio::Tokio>().into_iter();
    cases
        .filter_map(|case| {
            let run = run(case.name)?;
            Some(Case { run, ..case })
        })
        .collect()
}

/// What was seen from both ends while the client counted.
pub struct Report {
    pub(super) per_second: f64,
    round_trip: f64,
    /// Nanoseconds per request.
    pub(super) server_cpu: f64,
    /// The same of the client, where it counts it: in place of the time of a round trip.
    pub(super) client_cpu: f64,
}

/// Runs `serve`, which says where it serves, on `R` while the client does its `work`. `what` is the third of its words.
pub(super) fn beside_client<R: Net>(
    params: &Params,
    serve: impl Future<Output = String> + Send + 'static,
    work: &str,
    what: &str,
) -> Report {
    let engine = R::start(params.workers);
    let address = R::block_on(&engine, R::spawn_on(&R::handle(&engine), serve));
    let report = ask(params, &address, work, what);
    R::stop(engine);
    report
}

/// What is seen from both ends while the client does its `work` with the server at `address`, which is in this process.
pub fn ask(params: &Params, address: &str, work: &str, what: &str) -> Report {
    let millis = window(params).as_millis().to_string();
    let mut client = Client::start(&[work, address, what, &millis]);
    client.line();
    let cpu = cpu_nanos();
    let report = client.line();
    let cpu = cpu_nanos() - cpu;
    let numbers: Vec<f64> = report
        .split_whitespace()
        .map(|word| word.parse().expect("a number"))
        .collect();
    let [requests, nanos, round_trip] = numbers[..] else {
        panic!("the client said {report:?}")
    };
    client.finish();
    Report {
        per_second: requests / nanos * 1e9,
        round_trip,
        server_cpu: cpu / requests,
        client_cpu: round_trip / requests,
    }
}

/// Accepts in a task of its own; the address to connect to.
async fn serve_echo<R: Net>() -> String {
    let (listener, address) = R::listen()
        .await
        .expect("the loopback address has free ports");
    R::detach(R::spawn(async move {
        while let Ok(mut stream) = R::accept(&listener).await {
            R::detach(R::spawn(async move {
                let mut buffer = [0; 4 * MESSAGE];
                while let Ok(length @ 1..) = R::read(&mut stream, &mut buffer).await {
                    if R::write_all(&mut stream, &buffer[..length]).await.is_err() {
                        break;
                    }
                }
            }));
        }
    }));
    address.to_string()
}

fn http<R: Net>(params: &Params) -> Vec<f64> {
    let engine = R::start(params.workers);
    let serve = async {
        let (listener, address) = R::listen()
            .await
            .expect("the loopback address has free ports");
        R::detach(R::spawn(async move {
            while let Ok(stream) = R::accept(&listener).await {
                R::detach(R::spawn(R::serve_http(stream)));
            }
        }));
        address
    };
    let address = R::block_on(&engine, R::spawn_on(&R::handle(&engine), serve));
    let length = if params.quick { "1s" } else { "2s" };
    let cpu = cpu_nanos();
    let wrk = Command::new("wrk")
        .args(["-t1", "-c50", "-d", length, &format!("http://{address}/")])
        .output();
    let cpu = cpu_nanos() - cpu;
    R::stop(engine);
    let Ok(output) = wrk else {
        return vec![f64::NAN; 2];
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let number = |line: Option<&str>, word: usize| -> f64 {
        line.and_then(|line| line.split_whitespace().nth(word)?.parse().ok())
            .unwrap_or(f64::NAN)
    };
    let rate = number(
        text.lines().find(|line| line.starts_with("Requests/sec:")),
        1,
    );
    let requests = number(text.lines().find(|line| line.contains(" requests in ")), 0);
    vec![rate, cpu / requests]
}

fn held<R: Net>(params: &Params) -> Vec<f64> {
    let gate = Gate::leak();
    on_worker::<R, _>(params.workers, || async move {
        let (listener, address) = R::listen()
            .await
            .expect("the loopback address has free ports");
        let accept = |count: usize| {
            gate.close(count);
            let client = Client::start(&["hold", &address.to_string(), &count.to_string()]);
            (client, count)
        };
        // A few first, so that what is made once is not counted.
        let (warm_client, count) = accept(10);
        receive::<R>(&listener, gate, count).await;
        start_counting();
        let resident = resident_bytes();
        let (client, count) = accept(HELD);
        receive::<R>(&listener, gate, count).await;
        let values = vec![
            live_bytes() as f64 / HELD as f64,
            (resident_bytes() - resident) / HELD as f64,
        ];
        client.finish();
        warm_client.finish();
        values
    })
}

/// Accepts `count` connections and gives each a task that waits for bytes.
async fn receive<R: Net>(listener: &R::Listener, gate: &'static Gate, count: usize) {
    for _ in 0..count {
        let mut stream = R::accept(listener).await.expect("the client connects");
        R::detach(R::spawn(async move {
            let mut buffer = [0; 1];
            // Nothing around the read: it would weigh in every task. The last one may be about to wait still.
            gate.arrive();
            // An end or an error is the client going away.
            let _ = R::read(&mut stream, &mut buffer).await;
        }));
    }
    gate.opened().await;
}

/// This program as a client, in a process of its own.
pub(super) struct Client {
    process: Child,
    said: BufReader<ChildStdout>,
}

impl Client {
    pub(super) fn start(words: &[&str]) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut process = Command::new(program)
            .arg("--client")
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be started again");
        let said = BufReader::new(process.stdout.take().expect("asked for a pipe"));
        Self { process, said }
    }

    /// The next line it prints.
    pub(super) fn line(&mut self) -> String {
        let mut line = String::new();
        self.said
            .read_line(&mut line)
            .expect("the client prints text");
        line
    }

    /// Lets it end and waits for that.
    pub(super) fn finish(mut self) {
        if let Some(mut input) = self.process.stdin.take() {
            // An error is a client that has ended.
            let _ = input.write_all(b"\n");
        }
        self.process.wait().expect("the client ends");
    }
}
