//! Much through a proxy, with the runtime's own `copy_bidirectional`; both peers are one other process.

use std::net::SocketAddr;

use loxley_benches::case::{Case, Metric, Params, Unit};

use super::network::Client;
use crate::rt::Proxy;
use crate::usage::cpu_nanos;

/// Through the proxy, in MiB.
const AMOUNT: usize = 1_024;

pub fn cases<R: Proxy>() -> Vec<Case> {
    vec![Case {
        name: "proxy_bulk",
        about: "1 GiB through copy_bidirectional, in pieces of 64 KiB; per MiB",
        metrics: const {
            &[
                Metric::higher("MiB", Unit::PerSecond),
                Metric::lower("proxy CPU", Unit::Nanos).target(1.5),
            ]
        },
        run: bulk::<R>,
    }]
}

fn bulk<R: Proxy>(params: &Params) -> Vec<f64> {
    let engine = R::start(params.workers);
    let handle = R::handle(&engine);
    let (listener, address) = R::block_on(&engine, R::spawn_on(&handle, R::listen()))
        .expect("the loopback address has free ports");
    let amount = params.scaled(AMOUNT);
    let mut client = Client::start(&["pump", &address.to_string(), &amount.to_string()]);
    let target: SocketAddr = client.line().trim().parse().expect("an address");
    R::detach(R::spawn_on(&handle, async move {
        while let Ok(stream) = R::accept(&listener).await {
            R::detach(R::spawn(R::pass_on(stream, target)));
        }
    }));
    client.line();
    let cpu = cpu_nanos();
    let nanos: f64 = client.line().trim().parse().expect("a number");
    let cpu = cpu_nanos() - cpu;
    client.finish();
    R::stop(engine);
    let amount = amount as f64;
    vec![amount / nanos * 1e9, cpu / amount]
}
