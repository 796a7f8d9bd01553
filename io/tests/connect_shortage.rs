//! A process without descriptors left, on the side that makes connections: alone in its file, because the limit is that of
//! the whole process.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
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
    for _ in 0..3 {
        for kind in [Kind::Stream, Kind::Datagram, Kind::Local, Kind::Runtime] {
            let text = refusal(kind, addr, &mut hoard).await.to_string();
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

/// What wants a descriptor.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Stream,
    Datagram,
    Local,
    Runtime,
}

/// The error of one that gets none. A thread of the system's libraries may give a descriptor back between the hoarding and the
/// attempt, which then succeeds: so it is made again.
async fn refusal(kind: Kind, addr: SocketAddr, hoard: &mut Vec<File>) -> io::Error {
    for _ in 0..100 {
        while let Ok(file) = File::open("/dev/null") {
            hoard.push(file);
        }
        let result = match kind {
            Kind::Stream => TcpStream::connect(addr).await.map(drop),
            Kind::Datagram => UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.map(drop),
            Kind::Local => UnixDatagram::unbound().map(drop),
            Kind::Runtime => Runtime::builder().worker_threads(1).build().map(drop),
        };
        if let Err(error) = result {
            return error;
        }
    }
    panic!("a {kind:?} without descriptors");
}
