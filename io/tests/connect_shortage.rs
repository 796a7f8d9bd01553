//! A process without descriptors left, on the side that makes connections: alone in its file, because the limit is that of
//! the whole process.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use loxley_io::{TcpStream, UdpSocket, UnixDatagram};
use loxley_runtime::{Runtime, timeout};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn whoever_gets_no_descriptor_is_told_and_may_try_again() {
    let limit = getrlimit(Resource::Nofile);
    let lowered = Rlimit {
        current: Some(64),
        ..limit
    };
    setrlimit(Resource::Nofile, lowered).expect("lowered");
    for builder in [
        Runtime::builder().worker_threads(2),
        Runtime::builder().current_thread(),
    ] {
        let runtime = builder.build().expect("a runtime");
        let test = async { timeout(Duration::from_secs(30), shortage()).await };
        runtime.block_on(test).expect("the test hangs");
    }
}

async fn shortage() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
    let addr = listener.local_addr().expect("bound");
    let open = TcpStream::connect(addr).await.expect("connected");
    let (peer, _) = listener.accept().expect("accepted");
    let mut hoard = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }
    for _ in 0..3 {
        let errors = [
            TcpStream::connect(addr).await.map(drop),
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.map(drop),
            UnixDatagram::unbound().map(drop),
            Runtime::builder().worker_threads(1).build().map(drop),
        ];
        for result in errors {
            let error = result.expect_err("no descriptors");
            let text = error.to_string();
            assert!(text.contains(&Errno::MFILE.to_string()), "{text}");
        }
        // A name is looked up with descriptors too: no hang, and what was looked up before stays.
        let _ = TcpStream::connect(("localhost", addr.port())).await;
        // Who has one keeps it.
        open.write_all(b"still here").await.expect("written");
    }
    drop(hoard);
    drop(peer);
    drop(TcpStream::connect(addr).await.expect("recovered"));
    drop(Runtime::new().expect("recovered"));
}
