//! A server in a process without descriptors left: alone in its file, because the limit is that of the whole process.

use std::convert::Infallible;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loxley::http::{self, Incoming, Request, Response, ServeError, service_fn};
use loxley::{Event, Runtime, create_task, timeout, to_thread};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn connect(addr: SocketAddr) -> TcpStream {
    TcpStream::connect(addr).expect("listening")
}

/// One request on a connection that is kept.
fn ask(stream: &mut TcpStream) {
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .expect("connected");
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        let mut buffer = [0; 1024];
        let n = stream.read(&mut buffer).expect("connected");
        assert!(n > 0, "the connection ended");
        answer.extend_from_slice(&buffer[..n]);
    }
}

#[test]
fn a_server_without_descriptors_reports_once_serves_on_and_recovers() {
    let runtime = Runtime::builder().worker_threads(2).build();
    let test = async {
        let (shortages, short) = (Arc::new(AtomicUsize::new(0)), Arc::new(Event::new()));
        let service = service_fn(async |_: Request<Incoming>| {
            Ok::<_, Infallible>(Response::new("hello".to_owned()))
        });
        let serve = {
            let (shortages, short) = (shortages.clone(), short.clone());
            http::serve("127.0.0.1:0", service).on_error(move |error| {
                if let ServeError::Accept(_) = error {
                    shortages.fetch_add(1, Ordering::AcqRel);
                    short.set();
                }
            })
        };
        let server = serve.bind().await.expect("a free port");
        let (addr, handle) = (server.local_addr(), server.handle());
        let server = create_task(server);
        let mut served = to_thread(move || {
            let mut stream = connect(addr);
            ask(&mut stream);
            stream
        })
        .await;
        // Sockets for later, made while there are descriptors; they connect when there are none.
        let limit = getrlimit(Resource::Nofile);
        let sockets: Vec<_> = (0..3)
            .map(|_| {
                rustix::net::socket(
                    rustix::net::AddressFamily::INET,
                    rustix::net::SocketType::STREAM,
                    None,
                )
                .expect("a socket")
            })
            .collect();
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
        let waiting: Vec<_> = sockets
            .into_iter()
            .map(|socket| {
                rustix::net::connect(&socket, &addr).expect("queued");
                TcpStream::from(socket)
            })
            .collect();
        short.wait().await;
        // Who is connected is served meanwhile.
        let mut served = to_thread(move || {
            ask(&mut served);
            served
        })
        .await;
        drop(hoard);
        to_thread(move || {
            for mut stream in waiting {
                ask(&mut stream);
            }
            ask(&mut served);
            served.shutdown(Shutdown::Both).expect("connected");
        })
        .await;
        assert_eq!(shortages.load(Ordering::Acquire), 1);
        handle.shutdown();
        let drained = server.await.expect("joined").expect("a sound listener");
        assert_eq!(drained.dropped, 0);
    };
    runtime
        .expect("a runtime")
        .block_on(async { timeout(Duration::from_secs(30), test).await })
        .expect("the test hangs");
}
