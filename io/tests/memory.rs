//! What streams hold: nothing of a message that has gone through, and little for a connection where nothing happens.

mod streams_support;

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loxley_io::streams::{from_unix, start_server};
use loxley_io::{StreamReader, StreamWriter, UnixStream};
use loxley_runtime::testing::{Config, run};
use loxley_runtime::{create_task, to_thread};
use rustix::process::{Resource, getrlimit};
use streams_support::{each, until};

/// No test takes a tenth of it.
const LIMIT: Duration = Duration::from_secs(120);

/// One test at a time: memory is the whole process's.
static ALONE: Mutex<()> = Mutex::new(());

/// Page by page, as the sum in `/proc/self/status` is not exact (proc(5), `VmRSS`).
fn resident_kib() -> usize {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").expect("proc");
    let line = rollup.lines().find(|line| line.starts_with("Rss:"));
    let word = line.and_then(|line| line.split_whitespace().nth(1));
    word.and_then(|word| word.parse().ok()).expect("a number")
}

type Streams = (StreamReader, StreamWriter);

async fn large_message((mut reader, writer): (StreamReader, StreamWriter), len: usize) -> Streams {
    writer.write(&vec![7; len]);
    assert!(
        writer.get_write_buffer_size() > len / 2,
        "most of it is queued"
    );
    let heard = create_task(async move {
        let message = reader.readexactly(len).await.unwrap();
        assert!(message.iter().all(|&byte| byte == 7));
        reader
    });
    writer.drain().await.unwrap();
    (heard.await.unwrap(), writer)
}

#[test]
fn a_large_message_leaves_no_memory_behind() {
    const LEN: usize = 64 << 20;
    let _alone = ALONE.lock();
    each(|| async {
        let (one, other) = UnixStream::pair().unwrap();
        let ((reader, _writer), (_reader, writer)) = (from_unix(one), from_unix(other));
        let mut streams = large_message((reader, writer), 1 << 20).await;
        let before = resident_kib();
        for _ in 0..2 {
            streams = large_message(streams, LEN).await;
        }
        let after = resident_kib();
        assert!(
            after < before + (LEN >> 10) / 4,
            "{before} KiB, then {after}"
        );
        drop(streams);
    });
}

#[test]
fn five_thousand_idle_connections_fit_into_64_megabytes() {
    const COUNT: usize = 5_000;
    let _alone = ALONE.lock();
    let limit = getrlimit(Resource::Nofile);
    if limit
        .current
        .is_some_and(|most| most < 2 * COUNT as u64 + 100)
    {
        return not_run(&format!(
            "both ends of {COUNT} connections need more descriptors than {limit:?}"
        ));
    }
    run(Config::new().worker_threads(2).limit(LIMIT), async {
        let heard = Arc::new(AtomicUsize::new(0));
        let before = resident_kib();
        let ears = heard.clone();
        let server = start_server(
            move |mut reader, writer| {
                let heard = ears.clone();
                async move {
                    // It has been busy once, and holds nothing of that.
                    while !reader.readline().await.unwrap().is_empty() {
                        heard.fetch_add(1, Ordering::Relaxed);
                    }
                    drop(writer);
                }
            },
            "127.0.0.1:0",
        )
        .await
        .unwrap();
        let addr = server.local_addr().unwrap();
        let clients = to_thread(move || {
            let connect = |_| {
                let mut client = TcpStream::connect(addr).unwrap();
                client
                    .write_all(&[&[b'x'; 4_000][..], b"\n"].concat())
                    .unwrap();
                client
            };
            (0..COUNT).map(connect).collect::<Vec<_>>()
        })
        .await;
        until(|| heard.load(Ordering::Relaxed) == COUNT).await;
        assert_eq!(server.connections(), COUNT);
        let taken = resident_kib().saturating_sub(before);
        assert!(taken < 64 << 10, "{taken} KiB for {COUNT} connections");
        drop(clients);
        server.close();
        server.wait_closed().await;
    });
}

#[expect(clippy::print_stderr, reason = "a facility that is missing is named")]
fn not_run(why: &str) {
    eprintln!("not run: {why}");
}
