//! Rounds of many connections at once, the client in a process of its own: what a round has taken, it gives back.
//!
//! Small by default; `LOXLEY_CHURN=ROUNDSxCONNECTIONS` makes it as large as one likes, and `.ci/run churn` does: 10 rounds
//! of 10,000. With five rounds or more, resident memory is compared too; then `MALLOC_ARENA_MAX=1` belongs in the
//! environment, for glibc shares its arenas out by chance, and one that fills for the first time in round nine looks like a leak.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream as StdStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use loxley_io::{TcpListener, TcpStream};
use loxley_runtime::{Handle, Runtime, create_task, timeout, to_thread, yield_now};

const HANG: Duration = Duration::from_secs(400);
const ROLE: &str = "LOXLEY_CHURN_CLIENT";
const SCALE: &str = "LOXLEY_CHURN";
const ECHOES: usize = 3;
const MESSAGE: &[u8; 64] = &[7; 64];

/// From the end of this round on, nothing new is to be taken from the system; by then buffers and pages have their size.
const SETTLED: usize = 3;

#[test]
fn what_a_round_has_taken_it_gives_back() {
    if let Ok(port) = std::env::var(ROLE) {
        be_client(port.parse().expect("a port"));
        return;
    }
    let scale = std::env::var(SCALE).unwrap_or_else(|_| "4x200".to_owned());
    let (rounds, connections) = scale.split_once('x').expect("ROUNDSxCONNECTIONS");
    let (rounds, connections) = (
        rounds.parse().expect("a number"),
        connections.parse().expect("a number"),
    );
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if limit
        .current
        .is_some_and(|most| most < connections as u64 + 100)
    {
        say(&format!(
            "not run: {connections} connections need more descriptors than {limit:?}"
        ));
        return;
    }
    let runtime = Runtime::builder()
        .worker_threads(2)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        // A client that dies leaves the listener waiting.
        let serving = timeout(HANG, create_task(serve(rounds, connections)));
        serving.await.expect("in time").expect("no panic");
    });
}

/// How much there is of what a round may take.
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("proc").count()
}

/// Page by page: the sum in `/proc/self/status` is kept per processor and may be hundreds of pages behind (proc(5), `VmRSS`).
fn resident_kib() -> usize {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").expect("proc");
    let line = rollup.lines().find(|line| line.starts_with("Rss:"));
    let word = line.and_then(|line| line.split_whitespace().nth(1));
    word.and_then(|word| word.parse().ok()).expect("a number")
}

async fn serve(rounds: usize, connections: usize) {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))
        .await
        .expect("bound");
    let port = listener.local_addr().expect("bound").port();
    let mut client = Command::new(std::env::current_exe().expect("a program"))
        .args([
            "--exact",
            "what_a_round_has_taken_it_gives_back",
            "--nocapture",
        ])
        .env(ROLE, port.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut orders = client.stdin.take().expect("a pipe");
    let mut said = BufReader::new(client.stdout.take().expect("a pipe"));
    let before = descriptors();
    let tasks = Handle::current().metrics().live_tasks;
    let mut resident = Vec::new();
    for round in 0..rounds {
        writeln!(orders, "{round} {connections}").expect("heard");
        let mut held = Vec::with_capacity(connections);
        for _ in 0..connections {
            let (stream, _) = listener.accept().await.expect("accepted");
            held.push(create_task(echo(stream)));
        }
        let peak = descriptors();
        assert!(
            peak >= before,
            "{peak} descriptors with {connections} connections"
        );
        for task in held {
            assert_eq!(task.await.expect("no panic"), ECHOES * MESSAGE.len());
        }
        said = to_thread(move || {
            let mut line = String::new();
            while !line.ends_with("[round]\n") {
                line.clear();
                assert_ne!(
                    said.read_line(&mut line).expect("text"),
                    0,
                    "the client is gone"
                );
            }
            said
        })
        .await;
        // A task that has ended may still be on its way out of the books.
        while Handle::current().metrics().live_tasks > tasks {
            yield_now().await;
        }
        let metrics = Handle::current().metrics();
        assert_eq!(descriptors(), before, "descriptors, round {round}");
        assert_eq!(metrics.registered_sources, 1, "sources, round {round}");
        resident.push(resident_kib());
        say(&format!(
            "round {}: {peak} descriptors at once, {before} now, {} KiB",
            round + 1,
            resident_kib()
        ));
    }
    drop(orders);
    assert!(client.wait().expect("ended").success());
    if rounds >= 5 {
        let settled = resident[..SETTLED].iter().max().expect("rounds");
        // The most of the first rounds and the least of the last: what leaks stays in every one of them, what a stack or a
        // buffer took for a moment does not.
        let last = resident[rounds - SETTLED..].iter().min().expect("rounds");
        assert!(
            last * 100 <= settled * 102,
            "{settled} KiB after round {SETTLED} have become {last}, round by round {resident:?}"
        );
    }
}

/// Sends back what comes until the end; how much that was.
async fn echo(stream: TcpStream) -> usize {
    let mut bytes = [0; MESSAGE.len()];
    let mut total = 0;
    loop {
        match stream.read(&mut bytes).await.expect("read") {
            0 => return total,
            n => {
                stream.write_all(&bytes[..n]).await.expect("written");
                total += n;
            }
        }
    }
}

/// All connections first, then all echoes, then all ends.
fn be_client(port: u16) {
    for order in std::io::stdin().lines() {
        let order = order.expect("text");
        let (round, connections) = order.split_once(' ').expect("two numbers");
        // Another address each round, or the ports of those that linger would run out.
        let host = Ipv4Addr::new(127, 0, 1, round.parse().expect("a small number"));
        let addr = SocketAddr::from((host, port));
        let mut streams: Vec<StdStream> = (0..connections.parse().expect("a number"))
            .map(|_| StdStream::connect(addr).expect("connected"))
            .collect();
        for _ in 0..ECHOES {
            for stream in &mut streams {
                stream.write_all(MESSAGE).expect("sent");
            }
            for stream in &mut streams {
                let mut answer = [0; MESSAGE.len()];
                stream.read_exact(&mut answer).expect("answered");
                assert_eq!(&answer, MESSAGE);
            }
        }
        drop(streams);
        say("[round]");
    }
}

/// For whoever runs this with `--nocapture`.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").expect("somebody listens");
}
