//! `open_connection`: which address wins, from where, and what is said when none does.

mod streams_support;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::AsFd;
use std::time::Duration;

use loxley_io::streams::{ConnectError, OpenConnection, ReadError};
use loxley_io::{TcpListener, TcpStream, open_connection};
use loxley_runtime::testing::{cancel_at_every_pending, drop_at_every_pending};
use loxley_runtime::timeout;
use streams_support::{each, tcp_pair};

const ANY: &str = "127.0.0.1:0";

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(ANY).await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// An address that refuses.
fn closed() -> SocketAddr {
    StdListener::bind(ANY).unwrap().local_addr().unwrap()
}

/// An address that never answers, for as long as what comes with it lives: its queue is full.
fn silent() -> (StdListener, Vec<std::net::TcpStream>, SocketAddr) {
    let listener = StdListener::bind(ANY).unwrap();
    rustix::net::listen(listener.as_fd(), 0).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&addr, Duration::from_millis(50)) {
        queued.push(stream);
    }
    (listener, queued, addr)
}

fn attempts(error: &io::Error) -> Vec<SocketAddr> {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let error: &ConnectError = inner.expect("every attempt is kept");
    error.attempts.iter().map(|(addr, _)| *addr).collect()
}

#[test]
fn a_name_is_looked_up_and_connected_to() {
    each(|| async {
        let (listener, addr) = listen().await;
        let (mut reader, writer) = open_connection(("localhost", addr.port())).await.unwrap();
        let (peer, _) = listener.accept().await.unwrap();
        assert_eq!(writer.peer_addr().unwrap(), addr);
        peer.write_all(b"hello").await.unwrap();
        drop(peer);
        assert_eq!(reader.read_to_end().await.unwrap(), b"hello");
        // Also when the connection is gone.
        drop(listener);
        assert_eq!(writer.peer_addr().unwrap(), addr);
    });
}

#[test]
fn the_next_address_is_tried_when_one_refuses() {
    each(|| async {
        let (_listener, addr) = listen().await;
        let (_reader, writer) = open_connection(&[closed(), closed(), addr][..])
            .await
            .unwrap();
        assert_eq!(writer.peer_addr().unwrap(), addr);
    });
}

#[test]
fn an_address_that_does_not_answer_is_overtaken() {
    let (_listener, _queued, silent) = silent();
    each(|| async {
        let (_listener, addr) = listen().await;
        let open = || OpenConnection::new(&[silent, addr][..]);
        let quick = open().happy_eyeballs_delay(Duration::from_millis(5));
        let (_reader, writer) = quick.connect().await.unwrap();
        assert_eq!(writer.peer_addr().unwrap(), addr);
        // Without Happy Eyeballs it is waited for.
        let patient = open().happy_eyeballs_delay(None).connect();
        assert!(timeout(Duration::from_millis(30), patient).await.is_err());
    });
}

#[test]
fn when_nobody_answers_every_address_is_in_the_error() {
    each(|| async {
        let addrs = [closed(), closed()];
        let error = open_connection(&addrs[..]).await.expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(attempts(&error), addrs);
        for addr in addrs {
            assert!(error.to_string().contains(&addr.to_string()), "{error}");
        }
        let error = open_connection(&[][..]).await.expect_err("nowhere");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let error = open_connection("localhost").await.expect_err("no port");
        assert!(error.to_string().contains("host:port"), "{error}");
        let error = open_connection("no such host:80")
            .await
            .expect_err("unknown");
        assert!(error.to_string().contains("no such host"), "{error}");
    });
}

#[test]
fn a_connection_may_come_from_a_chosen_address() {
    each(|| async {
        let (listener, addr) = listen().await;
        let open = || OpenConnection::new(addr);
        let (_reader, writer) = open().local_addr("127.0.0.9:0").connect().await.unwrap();
        let (_peer, from) = listener.accept().await.unwrap();
        assert_eq!(from.ip().to_string(), "127.0.0.9");
        assert_eq!(writer.local_addr().unwrap(), from);
        // Of several, the first that is of the family and can be bound.
        let several: [SocketAddr; 3] =
            ["[::1]:0", "192.0.2.1:0", "127.0.0.8:0"].map(|text| text.parse().unwrap());
        let (_reader, writer) = open().local_addr(&several[..]).connect().await.unwrap();
        assert_eq!(writer.local_addr().unwrap().ip().to_string(), "127.0.0.8");
        let error = open()
            .local_addr("[::1]:0")
            .connect()
            .await
            .expect_err("IPv6");
        assert!(error.to_string().contains("family"), "{error}");
        let error = open()
            .local_addr(&several[..2])
            .connect()
            .await
            .expect_err("not ours");
        assert!(error.to_string().contains("192.0.2.1"), "{error}");
    });
}

#[test]
fn knobs_reach_the_streams() {
    each(|| async {
        let (listener, addr) = listen().await;
        let open = OpenConnection::new(addr)
            .limit(4)
            .nodelay(false)
            .interleave(0);
        let (mut reader, writer) = open.connect().await.unwrap();
        let (peer, _) = listener.accept().await.unwrap();
        assert_eq!(reader.limit(), 4);
        let socket = writer.socket().unwrap();
        assert!(!rustix::net::sockopt::tcp_nodelay(socket).unwrap());
        peer.write_all(b"12345\nab\n").await.unwrap();
        let error = reader.readline().await.expect_err("too long");
        assert!(matches!(error, ReadError::LineTooLong(_)));
        assert!(std::panic::catch_unwind(|| OpenConnection::new(ANY).limit(0)).is_err());
    });
}

#[test]
fn a_connection_that_is_there_already_is_taken_over() {
    each(|| async {
        let (ours, theirs) = tcp_pair().await;
        let open = OpenConnection::over(ours).limit(10);
        let (mut reader, writer) = open.connect().await.unwrap();
        writer.write(b"ping");
        theirs.write_all(b"pong\n").await.unwrap();
        assert_eq!(reader.readline().await.unwrap(), b"pong\n");
        assert_eq!(reader.limit(), 10);
        let (ours, _theirs) = tcp_pair().await;
        let open = OpenConnection::over(ours).local_addr(ANY);
        let error = open.connect().await.expect_err("too late");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn a_connect_given_up_at_any_point_leaves_no_socket() {
    let (_listener, _queued, silent) = silent();
    each(|| async {
        let (listener, addr) = listen().await;
        let scenario = || {
            let future = async move {
                let open = OpenConnection::new(&[silent, addr][..]);
                let open = open.happy_eyeballs_delay(Duration::from_millis(1));
                let (reader, writer) = open.connect().await.unwrap();
                drop((reader, writer));
                let (_, writer) = open_connection(("localhost", addr.port())).await.unwrap();
                writer.close();
                writer.wait_closed().await.unwrap();
            };
            (future, ())
        };
        let points = drop_at_every_pending(scenario, |_, ()| async {}).await;
        assert!(points > 0);
        cancel_at_every_pending(scenario, |_, ()| async {}).await;
        // The leak check of the test counts what is registered. Connections that stood are in the queue.
        while let Ok(accepted) = timeout(Duration::from_millis(5), listener.accept()).await {
            drop::<(TcpStream, SocketAddr)>(accepted.unwrap());
        }
    });
}

#[test]
fn a_socket_that_is_connected_to_itself_found_nobody() {
    each(|| async {
        // What the system now and then does by chance is done on purpose: the port of nobody is chosen for our end.
        let addr = closed();
        let open = OpenConnection::new(addr).local_addr(addr);
        let error = open.connect().await.expect_err("nobody else");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        // And the port is free for the server that is awaited there.
        let server = StdListener::bind(addr).expect("free");
        open_connection(addr).await.expect("somebody else");
        drop(server);
    });
}
