//! Servers behind TLS: every rule of a server holds, and a handshake is part of its connection.
#![cfg(feature = "tls")]

mod streams_support;
mod tls_support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loxley_io::streams::{OpenConnection, ServerBuilder};
use loxley_io::{StreamReader, StreamWriter, TcpStream};
use loxley_runtime::create_task;
use loxley_sync::Event;
use streams_support::{each, each_reporting, slurp, until};
use tls_support::{ANY, both, serve};

async fn open(addr: SocketAddr) -> (StreamReader, StreamWriter) {
    let opened = OpenConnection::new(addr).tls(both().0).connect().await;
    opened.expect("shaken")
}

/// Serves until the peer ends.
async fn stay(mut reader: StreamReader, writer: StreamWriter) {
    writer.write(b"hello\n");
    let _ = reader.read_to_end().await;
}

#[test]
fn a_handlers_failure_is_reported_with_its_peer_and_ends_the_session_in_good_order() {
    each_reporting(|reports| async move {
        let server = ServerBuilder::new().addr(ANY).tls(both().1);
        let server = server.start(
            |mut reader: StreamReader, writer: StreamWriter| async move {
                writer.write(b"last words\n");
                match reader.readline().await.expect("a line").as_slice() {
                    b"panic\n" => panic!("at the disco"),
                    _ => Err("no such command"),
                }
            },
        );
        let server = server.await.unwrap();
        for (line, word) in [("panic\n", "at the disco"), ("dance\n", "no such command")] {
            let (mut reader, writer) = open(server.local_addr().unwrap()).await;
            let peer = writer.local_addr().unwrap().to_string();
            writer.write(line.as_bytes());
            assert_eq!(reader.read_to_end().await.unwrap(), b"last words\n");
            until(|| !reports.list().is_empty()).await;
            let report = reports.list().pop().unwrap();
            assert!(report.contains(&peer) || !report.contains(word), "{report}");
            until(|| reports.list().iter().any(|report| report.contains(word))).await;
        }
        assert_eq!(reports.list().len(), 2, "{:?}", reports.list());
        server.close();
        server.wait_closed().await;
    });
}

#[test]
fn a_handler_that_returns_ends_the_session_behind_what_it_wrote() {
    each(|| async {
        let (server, addr) = serve(both().1, |_, writer| async move {
            writer.write(&vec![b'x'; 1 << 20]);
        })
        .await;
        let (mut reader, _writer) = open(addr).await;
        assert_eq!(reader.read_to_end().await.expect("whole").len(), 1 << 20);
        server.close();
        server.wait_closed().await;
    });
}

#[test]
fn close_clients_ends_sessions_and_drops_who_has_not_shaken_hands() {
    each_reporting(|reports| async move {
        let (server, addr) = serve(both().1, stay).await;
        let (mut reader, writer) = open(addr).await;
        assert_eq!(reader.readline().await.unwrap(), b"hello\n");
        let silent = TcpStream::connect(addr).await.unwrap();
        // It has begun, at least.
        silent.write_all(&[0x16, 3, 1, 0, 200, 1]).await.unwrap();
        until(|| server.connections() == 2).await;
        server.close();
        server.close_clients();
        assert_eq!(reader.read_to_end().await.unwrap(), b"");
        writer.close();
        writer.wait_closed().await.unwrap();
        assert_eq!(slurp(&silent).await.unwrap_or_default(), b"");
        server.wait_closed().await;
        assert!(reports.list().is_empty(), "{:?}", reports.list());
    });
}

#[test]
fn abort_clients_cuts_sessions_off() {
    each(|| async {
        let (server, addr) = serve(both().1, stay).await;
        let (mut reader, _writer) = open(addr).await;
        assert_eq!(reader.readline().await.unwrap(), b"hello\n");
        server.close();
        server.abort_clients();
        assert!(reader.read_to_end().await.is_err());
        server.wait_closed().await;
    });
}

#[test]
fn a_handshake_counts_as_a_connection() {
    each(|| async {
        let now = Arc::new(AtomicUsize::new(0));
        let counted = now.clone();
        let server = ServerBuilder::new()
            .addr(ANY)
            .tls(both().1)
            .max_connections(2);
        let server = server.start(move |reader, writer| {
            let counted = counted.clone();
            async move {
                assert!(counted.fetch_add(1, Ordering::AcqRel) < 2);
                stay(reader, writer).await;
                counted.fetch_sub(1, Ordering::AcqRel);
            }
        });
        let server = server.await.unwrap();
        let addr = server.local_addr().unwrap();
        let silent = TcpStream::connect(addr).await.unwrap();
        until(|| server.connections() == 1).await;
        let clients: Vec<_> = (0..4)
            .map(|_| {
                create_task(async move {
                    let (mut reader, writer) = open(addr).await;
                    assert_eq!(reader.readline().await.unwrap(), b"hello\n");
                    writer.close();
                    writer.wait_closed().await.unwrap();
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        drop(silent);
        server.close();
        server.wait_closed().await;
    });
}

#[test]
fn a_unix_domain_socket_carries_tls_too() {
    each(|| async {
        let path = std::env::temp_dir().join(format!("loxley-tls-{}", std::process::id()));
        let server = ServerBuilder::new().unix(&path).tls(both().1).start(stay);
        let server = server.await.unwrap();
        let opened = OpenConnection::unix(&path).tls(both().0).connect().await;
        let (mut reader, writer) = opened.unwrap();
        assert_eq!(reader.readline().await.unwrap(), b"hello\n");
        writer.close();
        writer.wait_closed().await.unwrap();
        server.close();
        server.wait_closed().await;
        // Without a name in the address the certificate's must be given.
        let nameless = tls_support::Authority::shared().client();
        let error = OpenConnection::unix(&path).tls(nameless).connect().await;
        assert!(error.is_err());
    });
}

#[test]
fn a_session_whose_peer_broke_off_leaves_when_it_is_closed_though_its_handler_holds_it() {
    each(|| async {
        let (release, begun) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (released, begins) = (release.clone(), begun.clone());
        let handler = move |reader: StreamReader, writer: StreamWriter| {
            let (released, begins) = (released.clone(), begins.clone());
            async move {
                begins.set();
                released.wait().await;
                drop((reader, writer));
            }
        };
        let (server, addr) = serve(both().1, handler).await;
        let (_reader, writer) = open(addr).await;
        begun.wait().await;
        writer.abort();
        server.close();
        server.close_clients();
        server.wait_closed().await;
        release.set();
    });
}
