//! A process without descriptors left: alone in its file, because the limit is that of the whole process.

use std::fs::File;
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use loxley_io::TcpListener;
use loxley_runtime::{Runtime, timeout};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn a_listener_without_descriptors_reports_once_pauses_and_recovers() {
    let runtime = Runtime::builder()
        .worker_threads(2)
        .build()
        .expect("a runtime");
    let main = async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("bound");
        let addr = listener.local_addr().expect("bound");
        let clients: Vec<_> = (0..3)
            .map(|_| TcpStream::connect(addr).expect("queued"))
            .collect();
        let limit = getrlimit(Resource::Nofile);
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(64),
                ..limit
            },
        )
        .expect("lowered");
        let mut hoard = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            hoard.push(file);
        }
        let mut incoming = listener.incoming();
        incoming.next().await.expect_err("no descriptors");
        assert!(incoming.is_pausing());
        // The rest of the shortage is sat out in silence.
        let silent = timeout(Duration::from_millis(100), incoming.next()).await;
        assert!(silent.is_err());
        drop(hoard);
        let mut accepted = Vec::new();
        for _ in &clients {
            accepted.push(incoming.next().await.expect("recovered"));
        }
        assert!(!incoming.is_pausing());
    };
    runtime
        .block_on(async { timeout(Duration::from_secs(30), main).await })
        .expect("the test hangs");
}
