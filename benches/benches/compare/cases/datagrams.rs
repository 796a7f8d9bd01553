//! UDP echo on the loopback address: each runtime with what it has for many datagrams.
//!
//! The client keeps so many datagrams under way; both ends see that none is lost.

use loxley_benches::case::{Case, Metric, Params, Unit};

use super::network::{Client, window};
use crate::rt::Datagrams;
use crate::usage::cpu_nanos;

const METRICS: &[Metric] = &[
    Metric::higher("datagrams", Unit::PerSecond),
    Metric::lower("server CPU", Unit::Nanos).target(2.0),
];

pub fn cases<R: Datagrams>() -> Vec<Case> {
    vec![
        Case {
            name: "udp_echo_1",
            about: "64-byte datagrams, 1 under way",
            metrics: const {
                &[
                    Metric::higher("datagrams", Unit::PerSecond),
                    Metric::lower("server CPU", Unit::Nanos),
                ]
            },
            run: |params| echo::<R>(params, 1),
        },
        Case {
            name: "udp_echo_64",
            about: "64-byte datagrams, 64 under way; in batches where the runtime has them",
            metrics: METRICS,
            run: |params| echo::<R>(params, 64),
        },
    ]
}

fn echo<R: Datagrams>(params: &Params, under_way: usize) -> Vec<f64> {
    let engine = R::start(params.workers);
    let address = R::block_on(&engine, R::spawn_on(&R::handle(&engine), R::echo()));
    let address = address.expect("the loopback address has free ports");
    let millis = window(params).as_millis().to_string();
    let words = ["udp", &address.to_string(), &under_way.to_string(), &millis];
    let mut client = Client::start(&words);
    client.line();
    let cpu = cpu_nanos();
    let report = client.line();
    let cpu = cpu_nanos() - cpu;
    let numbers: Vec<f64> = report
        .split_whitespace()
        .map(|word| word.parse().expect("a number"))
        .collect();
    let [echoed, nanos] = numbers[..] else {
        panic!("the client said {report:?}")
    };
    client.finish();
    R::stop(engine);
    vec![echoed / nanos * 1e9, cpu / echoed]
}
