//! A server without descriptors left: alone in its file, because the limit is that of the whole process.

mod streams_support;

use std::fs::File;
use std::net::TcpStream;
use std::time::Duration;

use loxley_io::streams::{ServerBuilder, StreamReader, StreamWriter};
use loxley_runtime::{sleep, to_thread};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use streams_support::{each_reporting, until};

#[test]
fn a_server_without_descriptors_reports_once_serves_who_is_in_and_recovers() {
    let limit = getrlimit(Resource::Nofile);
    let lowered = Rlimit {
        current: Some(96),
        ..limit
    };
    setrlimit(Resource::Nofile, lowered).expect("lowered");
    each_reporting(|reports| async move {
        let server = ServerBuilder::new()
            .addr("127.0.0.1:0")
            .start(
                |mut reader: StreamReader, writer: StreamWriter| async move {
                    while let Ok(Some(line)) = reader.lines().next().await {
                        writer.write(&line);
                    }
                },
            )
            .await
            .expect("bound");
        let addr = server.local_addr().expect("bound");
        let talk = |stream: TcpStream| {
            to_thread(move || {
                use std::io::{BufRead, BufReader, Write};
                (&stream).write_all(b"hello\n").expect("sent");
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).expect("read");
                assert_eq!(line, "hello\n");
                stream
            })
        };
        let first = talk(TcpStream::connect(addr).expect("connected")).await;
        let waiting: Vec<_> = (0..3)
            .map(|_| TcpStream::connect(addr).expect("queued"))
            .collect();
        let mut hoard = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            hoard.push(file);
        }
        // Room for one more here; it may go to one of those who wait, of whom there are few. The next accept fails.
        let last = loop {
            drop(hoard.pop().expect("those who wait are few"));
            if let Ok(stream) = TcpStream::connect(addr) {
                break stream;
            }
        };
        until(|| !reports.list().is_empty()).await;
        // The rest of the shortage is sat out in silence, and who is in is served.
        let first = talk(first).await;
        sleep(Duration::from_millis(60)).await;
        assert_eq!(reports.list().len(), 1, "{:?}", reports.list());
        let report = reports.list().remove(0);
        assert!(report.contains(&addr.to_string()), "{report}");
        drop(hoard);
        for stream in waiting.into_iter().chain([first, last]) {
            drop(talk(stream).await);
        }
        server.close();
        server.wait_closed().await;
    });
    setrlimit(Resource::Nofile, limit).expect("raised again");
}
