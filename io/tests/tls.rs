//! TLS on streams: the bytes of the one end are the bytes of the other or an error, however the wire cuts them.
#![cfg(feature = "tls")]

mod streams_support;
mod tls_support;
mod wire_support;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Poll;
use std::time::Duration;

use loxley_io::streams::{OpenConnection, ReadError, WaterMarks, from_tcp};
use loxley_io::tls::{TlsClient, TlsError, TlsServer};
use loxley_io::{Server, StreamReader, StreamWriter, TcpListener};
use loxley_runtime::testing::{cancel_at_every_pending, drop_at_every_pending};
use loxley_runtime::{Runtime, create_task, timeout};
use streams_support::{each, pattern, same, tcp_pair, until};
use tls_support::{ANY, Authority, both, serve};
use wire_support::{CUTS, Cut, Fate, Wire};

async fn echo(mut reader: StreamReader, writer: StreamWriter) {
    while let Ok(line @ [_, ..]) = reader.readline().await.as_deref() {
        writer.write(line);
        if writer.drain().await.is_err() {
            return;
        }
    }
}

async fn open(addr: SocketAddr, tls: &TlsClient) -> io::Result<(StreamReader, StreamWriter)> {
    OpenConnection::new(addr).tls(tls.clone()).connect().await
}

async fn ask(reader: &mut StreamReader, writer: &StreamWriter, line: &[u8]) {
    writer.write(line);
    same(&reader.readline().await.expect("answered"), line);
}

async fn end(server: Server) {
    server.close();
    server.wait_closed().await;
}

async fn closed(writer: StreamWriter) {
    writer.close();
    writer.wait_closed().await.expect("closed in good order");
}

#[test]
fn the_bytes_are_the_same_however_the_wire_cuts_them() {
    each(|| async {
        let (client, server) = both();
        let (server, addr) = serve(server.clone(), echo).await;
        for &cut in CUTS {
            let wire = Wire::to(addr, cut).await;
            let (mut reader, writer) = open(wire.addr, &client).await.expect("shaken");
            ask(&mut reader, &writer, b"\n").await;
            let mut line = vec![b'x'; 20_000];
            line.push(b'\n');
            ask(&mut reader, &writer, &line).await;
            writer.writelines(["one\n", "two\n"]);
            assert_eq!(reader.readexactly(3).await.unwrap(), b"one");
            assert_eq!(reader.readuntil("wo").await.unwrap(), b"\ntwo");
            writer.write_eof();
            assert_eq!(reader.read_to_end().await.unwrap(), b"\n");
            assert!(reader.at_eof());
            closed(writer).await;
        }
        end(server).await;
    });
}

#[test]
fn megabytes_go_both_ways_at_once() {
    each(|| async {
        let (client, server) = both();
        let all = Arc::new(pattern(1 << 20));
        let sent = all.clone();
        let (server, addr) = serve(server.clone(), move |mut reader, writer| {
            let all = sent.clone();
            async move {
                writer.write(&all);
                let got = reader.read_to_end().await.expect("whole");
                same(&got, &all);
                closed(writer).await;
            }
        })
        .await;
        let (mut reader, writer) = open(addr, &client).await.expect("shaken");
        let feeder = writer.clone();
        let feed = all.clone();
        let fed = create_task(async move {
            for piece in feed.chunks(100_000) {
                feeder.write(piece);
                feeder.drain().await.expect("drained");
            }
            feeder.write_eof();
        });
        let mut got = Vec::new();
        let mut buf = vec![0; 50_000];
        loop {
            match reader.read_into(&mut buf).await.expect("whole") {
                0 => break,
                n => got.extend_from_slice(&buf[..n]),
            }
        }
        same(&got, &all);
        fed.await.unwrap();
        closed(writer).await;
        end(server).await;
    });
}

#[test]
fn what_was_agreed_on_can_be_asked_for() {
    each(|| async {
        let (client, server) = both();
        let told = Arc::new(Mutex::new(None));
        let tell = told.clone();
        let tls = server.clone().alpn(["h2", "http/1.1"]);
        let (server, addr) = serve(tls, move |_, writer| {
            *tell.lock().unwrap() = writer.tls_info();
            async move { closed(writer).await }
        })
        .await;
        for (offered, chosen) in [
            (&["http/1.1", "h2"][..], Some(&b"h2"[..])),
            (&["spdy/1", "http/1.1"][..], Some(b"http/1.1")),
            (&[], None),
        ] {
            let tls = client.clone().alpn(offered);
            let (mut reader, writer) = open(addr, &tls).await.expect("shaken");
            let info = writer.tls_info().expect("agreed on");
            assert_eq!(info.alpn.as_deref(), chosen);
            assert_eq!(info.version, "TLSv1_3");
            assert!(info.cipher_suite.starts_with("TLS13_"), "{info:?}");
            assert_eq!(info.peer_certificates.len(), 1);
            assert_eq!(info.server_name, None);
            assert_eq!(reader.read_to_end().await.unwrap(), b"");
            let theirs = told.lock().unwrap().take().expect("agreed on");
            assert_eq!(theirs.alpn.as_deref(), chosen);
            assert_eq!(theirs.server_name.as_deref(), Some("localhost"));
            assert!(writer.peer_addr().is_ok());
            closed(writer).await;
        }
        end(server).await;
    });
}

/// The text of the error that a connection to `addr` ends with, which must hold all of `words`.
async fn refused(addr: SocketAddr, tls: &TlsClient, words: &[&str]) -> io::Error {
    let error = open(addr, tls).await.expect_err("refused");
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is missing: {text}");
    }
    let inner = error.get_ref().expect("an error of ours");
    assert!(inner.downcast_ref::<TlsError>().is_some(), "{error:?}");
    error
}

#[test]
fn a_certificate_that_does_not_fit_is_an_error_that_names_the_host_and_what_to_change() {
    let authority = Authority::shared();
    let (client, good) = both();
    let stranger = Authority::new();
    // The reports of the servers are another test's business.
    streams_support::each_reporting(|_| async {
        let never = |_, _| async { panic!("served") };
        let (server, addr) = serve(good.clone(), never).await;
        let other = client.clone().server_name("example.org");
        refused(addr, &other, &["example.org", "localhost", "server_name"]).await;
        let by_address = authority.client();
        refused(addr, &by_address, &["127.0.0.1", "server_name"]).await;
        let error = refused(
            addr,
            &stranger.client().server_name("localhost"),
            &["localhost", "trusting"],
        )
        .await;
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let source = std::error::Error::source(&error).expect("rustls' own");
        assert!(source.downcast_ref::<rustls::Error>().is_some());
        let public = TlsClient::new().server_name("localhost");
        refused(addr, &public, &["localhost", "issued by nobody"]).await;
        end(server).await;

        for (years, word) in [((2000, 2001), "expired"), ((2900, 2901), "not valid yet")] {
            let (server, addr) = serve(authority.dated_server(&["localhost"], years), never).await;
            refused(addr, &client, &["localhost", word, "clock"]).await;
            end(server).await;
        }
    });
}

#[test]
fn a_host_is_told_from_the_address_and_a_certificate_may_be_for_an_ip_address() {
    let authority = Authority::shared();
    let tls = authority.server(&["localhost", "127.0.0.1"]);
    each(|| async {
        let (server, addr) = serve(tls.clone(), echo).await;
        let client = authority.client();
        let (mut reader, writer) = open(addr, &client).await.expect("by address");
        ask(&mut reader, &writer, b"hello\n").await;
        closed(writer).await;
        let by_name = OpenConnection::new(("localhost", addr.port())).tls(client.clone());
        let (mut reader, writer) = by_name.connect().await.expect("by name");
        ask(&mut reader, &writer, b"hello\n").await;
        closed(writer).await;

        let (ours, _theirs) = tcp_pair().await;
        let error = OpenConnection::over(ours)
            .tls(client.clone())
            .connect()
            .await;
        let error = error.expect_err("whose?");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("server_name"), "{error}");
        for name in ["", "no host", "\0", &"a".repeat(300)] {
            let error = open(addr, &client.clone().server_name(name)).await;
            let error = error.expect_err("no name");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
        end(server).await;
    });
}

#[test]
fn peers_that_have_nothing_in_common_say_so() {
    streams_support::each_reporting(|reports| async move {
        let (client, server) = both();
        let never = |_, _| async { panic!("served") };
        let (server, addr) = serve(server.clone().alpn(["h2"]), never).await;
        refused(
            addr,
            &client.clone().alpn(["http/1.1"]),
            &["localhost", "alpn"],
        )
        .await;
        end(server).await;
        let reports = reports.list();
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert!(reports[0].contains("127.0.0.1"), "{reports:?}");
        assert!(reports[0].contains("alpn"), "{reports:?}");
    });
}

#[test]
fn a_failed_handshake_is_reported_before_its_connection_leaves_the_server() {
    let server: Arc<OnceLock<Server>> = Arc::default();
    let seen: Arc<Mutex<Vec<usize>>> = Arc::default();
    let (asked, noted) = (server.clone(), seen.clone());
    let runtime = Runtime::builder()
        .worker_threads(2)
        .unhandled_error(move |_| {
            let connections = asked.get().map(Server::connections);
            noted.lock().unwrap().extend(connections);
        })
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (client, tls) = both();
        let never = |_, _| async { panic!("served") };
        let (started, addr) = serve(tls.alpn(["h2"]), never).await;
        let server = server.get_or_init(|| started);
        let strange = client.alpn(["http/1.1"]);
        refused(addr, &strange, &["alpn"]).await;
        server.close();
        server.wait_closed().await;
    });
    assert_eq!(*seen.lock().unwrap(), [1], "one report, in time");
}

#[test]
fn a_peer_that_does_not_speak_tls_is_told_from_one_that_does() {
    each(|| async {
        let (client, _) = both();
        for words in [
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            b"220 mail ready\r\n",
        ] {
            let listener = TcpListener::bind(ANY).await.unwrap();
            let addr = listener.local_addr().unwrap();
            let task = create_task(async move {
                let (peer, _) = listener.accept().await.unwrap();
                peer.write_all(words).await.unwrap();
                streams_support::slurp(&peer).await
            });
            refused(addr, &client, &["localhost", "does not speak TLS", "port"]).await;
            // Our greeting, and the alert behind it.
            assert!(!task.await.unwrap().unwrap().is_empty());
        }
        let listener = TcpListener::bind(ANY).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let task = create_task(async move { drop(listener.accept().await.unwrap()) });
        let error = open(addr, &client).await.expect_err("gone");
        let text = error.to_string();
        assert!(
            text.contains("localhost") && text.contains("handshake"),
            "{text}"
        );
        task.await.unwrap();
    });
}

/// A client and a server's ends over a wire, and the wire.
async fn pair(
    cut: Cut,
) -> (
    (StreamReader, StreamWriter),
    (StreamReader, StreamWriter),
    Wire,
) {
    let (client, server) = both();
    let listener = TcpListener::bind(ANY).await.unwrap();
    let wire = Wire::to(listener.local_addr().unwrap(), cut).await;
    let accepted = create_task(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (mut reader, writer) = from_tcp(stream);
        writer
            .start_tls(&mut reader, server)
            .await
            .map(|()| (reader, writer))
    });
    let ours = open(wire.addr, &client).await.expect("shaken");
    (ours, accepted.await.unwrap().expect("shaken"), wire)
}

fn is_truncation(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof && error.to_string().contains("close_notify")
}

#[test]
fn a_connection_cut_off_anywhere_is_an_error_and_never_an_end() {
    each(|| async {
        // A record of 9 bytes is 31 on the wire, the end of the session 24.
        for cut_after in [0, 1, 4, 5, 6, 30, 31, 32, 36, 40, 54] {
            let ((mut reader, _writer), (_theirs, their_writer), wire) = pair(Cut::Whole).await;
            // Tickets are on the wire already.
            their_writer.write(b"0\n");
            assert_eq!(reader.readline().await.unwrap(), b"0\n");
            wire.to_client.set(Fate::CutAfter(cut_after));
            their_writer.write(b"nine byte");
            their_writer.write_eof();
            let got = match reader.readexactly(9).await {
                Ok(got) => got,
                Err(ReadError::Io(error)) => {
                    assert!(cut_after < 31, "{error}");
                    assert!(is_truncation(&error), "{error}");
                    Vec::new()
                }
                Err(error) => panic!("{error:?} is no truncation"),
            };
            assert_eq!(got.is_empty(), cut_after < 31);
            for _ in 0..2 {
                let error = reader.read_to_end().await.expect_err("cut off");
                assert!(is_truncation(&error), "{error}");
                let error = reader.readline().await.expect_err("cut off");
                assert!(matches!(&error, ReadError::Io(error) if is_truncation(error)));
            }
            assert!(!reader.at_eof());
        }
    });
}

#[test]
fn a_changed_byte_is_an_error_behind_the_good_bytes() {
    each(|| async {
        for &cut in CUTS {
            // A head is not sealed; what is in it decides how much is.
            for at in [4, 5, 20, 30, 31 + 4, 31 + 9] {
                let ((mut reader, writer), (_theirs, their_writer), wire) = pair(cut).await;
                their_writer.write(b"0\n");
                assert_eq!(reader.readline().await.unwrap(), b"0\n");
                wire.to_client.set(Fate::FlipAfter(at));
                for _ in 0..3 {
                    their_writer.write(b"nine byte");
                }
                for _ in 0..at / 31 {
                    assert_eq!(reader.readexactly(9).await.unwrap(), b"nine byte");
                }
                let error = reader.readexactly(9).await.expect_err("changed");
                assert!(matches!(&error, ReadError::Io(_)), "{error:?}");
                // The writer knows, too.
                assert!(writer.wait_closed().await.is_err());
            }
        }
    });
}

#[test]
fn the_end_of_one_half_leaves_the_other() {
    each(|| async {
        for &cut in CUTS {
            let ((mut reader, writer), (mut their_reader, their_writer), _wire) = pair(cut).await;
            writer.write(b"question");
            writer.write_eof();
            assert_eq!(their_reader.read_to_end().await.unwrap(), b"question");
            assert!(their_reader.at_eof());
            their_writer.write(b"answer");
            assert_eq!(reader.readexactly(6).await.unwrap(), b"answer");
            drop(their_writer);
            assert_eq!(reader.read_to_end().await.unwrap(), b"");
            closed(writer).await;
        }
    });
}

#[test]
fn close_sends_what_is_queued_and_waits_for_the_answer() {
    each(|| async {
        let ((reader, writer), (mut their_reader, their_writer), _wire) = pair(Cut::Whole).await;
        let all = pattern(8 << 20);
        writer.write(&all);
        let waiting = create_task(async move {
            let mut reader = reader;
            reader.read(1).await
        });
        writer.close();
        assert!(writer.is_closing());
        // The reader sees the end although the peer goes on.
        assert_eq!(waiting.await.unwrap().unwrap(), b"");
        their_writer.write(b"unread");
        same(&their_reader.read_to_end().await.unwrap(), &all);
        assert!(
            timeout(Duration::from_millis(5), writer.wait_closed())
                .await
                .is_err()
        );
        closed(their_writer).await;
        writer.wait_closed().await.unwrap();
        // Nothing is written any more, and whoever drains is told.
        writer.write(b"late");
        assert!(writer.drain().await.is_err());
    });
}

#[test]
fn an_end_that_is_not_answered_is_waited_for_no_longer_than_was_said() {
    each(|| async {
        // One who answers nothing, and one who does not even read.
        for queued in [0, 16 << 20] {
            let (client, server) = both();
            let (ours, theirs) = tcp_pair().await;
            let served = create_task(async move {
                let (mut reader, writer) = from_tcp(theirs);
                writer
                    .start_tls(&mut reader, server)
                    .await
                    .map(|()| (reader, writer))
            });
            let client = client.shutdown_timeout(Duration::from_millis(20));
            let opened = OpenConnection::over(ours).tls(client).connect().await;
            let (mut reader, writer) = opened.expect("shaken");
            let _held = served.await.unwrap().expect("shaken");
            writer.write(&vec![0; queued]);
            writer.close();
            let error = writer.wait_closed().await.expect_err("never answered");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            let text = error.to_string();
            assert!(
                text.contains("localhost") && text.contains("shutdown_timeout"),
                "{text}"
            );
            assert_eq!(reader.read(1).await.unwrap(), b"");
        }
    });
}

#[test]
fn a_handshake_takes_no_longer_than_was_said() {
    let short = Duration::from_millis(20);
    streams_support::each_reporting(|reports| async move {
        let (client, server) = both();
        let listener = TcpListener::bind(ANY).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let client = client.clone().handshake_timeout(short);
        let error = refused(addr, &client, &["localhost", "20ms", "handshake_timeout"]).await;
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);

        let never = |_, _| async { panic!("served") };
        let tls = server.clone().handshake_timeout(short);
        let (server, addr) = serve(tls, never).await;
        let peer = loxley_io::TcpStream::connect(addr).await.unwrap();
        // A hello that never ends.
        peer.write_all(&[0x16, 3, 1, 0, 200, 1]).await.unwrap();
        // An alert may be sent; then the end.
        let _ = streams_support::slurp(&peer).await;
        end(server).await;
        until(|| !reports.list().is_empty()).await;
        let reports = reports.list();
        assert!(
            reports.len() == 1 && reports[0].contains("20ms"),
            "{reports:?}"
        );
    });
}

#[test]
fn a_peer_that_floods_the_handshake_is_broken_off() {
    streams_support::each_reporting(|reports| async move {
        let (_, server) = both();
        let never = |_, _| async { panic!("served") };
        let (server, addr) = serve(server.clone(), never).await;
        let peer = loxley_io::TcpStream::connect(addr).await.unwrap();
        // Pieces of one hello that says it is 16 MiB long.
        let mut record = vec![0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff];
        record.resize(5 + 0x4000, 0);
        let mut sent = 0;
        while sent < 4 << 20 && peer.write_all(&record).await.is_ok() {
            sent += record.len();
            record[5..9].fill(0);
        }
        assert!(sent < 4 << 20, "it took everything");
        until(|| !reports.list().is_empty()).await;
        end(server).await;
    });
}

#[test]
fn who_only_knocks_is_not_reported_and_one_slow_handshake_delays_nobody() {
    streams_support::each_reporting(|reports| async move {
        let (client, server) = both();
        let (server, addr) = serve(server.clone(), echo).await;
        let silent = loxley_io::TcpStream::connect(addr).await.unwrap();
        let (mut reader, writer) = open(addr, &client).await.expect("shaken");
        ask(&mut reader, &writer, b"hello\n").await;
        closed(writer).await;
        until(|| server.connections() == 1).await;
        drop(silent);
        end(server).await;
        assert!(reports.list().is_empty(), "{:?}", reports.list());
    });
}

#[test]
fn a_peer_that_never_reads_costs_a_bounded_queue() {
    each(|| async {
        let ((_reader, writer), (mut their_reader, their_writer), _wire) = pair(Cut::Whole).await;
        writer.set_write_buffer_limits(WaterMarks::high_at(100_000));
        let piece = pattern(50_000);
        let mut written = 0;
        while timeout(Duration::from_millis(20), writer.drain())
            .await
            .is_ok()
        {
            writer.write(&piece);
            written += piece.len();
        }
        let queued = writer.get_write_buffer_size();
        assert!((100_000..=200_000).contains(&queued), "{queued} queued");
        writer.close();
        let got = their_reader.read_to_end().await.unwrap();
        assert_eq!(got.len(), written);
        closed(their_writer).await;
        writer.wait_closed().await.unwrap();
    });
}

#[test]
fn abort_is_a_cut_and_not_an_end() {
    each(|| async {
        let ((_reader, writer), (mut their_reader, _their_writer), _wire) = pair(Cut::Whole).await;
        writer.write(b"half");
        writer.abort();
        writer.wait_closed().await.unwrap();
        let error = their_reader.read_to_end().await.expect_err("cut off");
        assert!(is_truncation(&error) || error.kind() == io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_connection_given_up_at_any_point_leaves_nothing() {
    let (client, server) = both();
    let run = || async {
        let (server, addr) = serve(server.clone(), echo).await;
        let scenario = || {
            let client = client.clone();
            let future = async move {
                // In pieces, so that there is much to wait for.
                let wire = Wire::to(addr, Cut::Each(100)).await;
                let (mut reader, writer) = open(wire.addr, &client).await.unwrap();
                ask(&mut reader, &writer, b"hello\n").await;
                writer.drain().await.unwrap();
                closed(writer).await;
            };
            (future, ())
        };
        let points = drop_at_every_pending(scenario, |_, ()| async {}).await;
        assert!(points > 0);
        cancel_at_every_pending(scenario, |_, ()| async {}).await;
        let (mut reader, writer) = open(addr, &client).await.unwrap();
        ask(&mut reader, &writer, b"still there\n").await;
        closed(writer).await;
        server.close();
        server.abort_clients();
        server.wait_closed().await;
    };
    streams_support::each_reporting(|_| run());
}

#[test]
fn a_read_given_up_at_any_point_loses_nothing() {
    each(|| async {
        for &cut in CUTS {
            let ((mut reader, writer), (_their_reader, their_writer), _wire) = pair(cut).await;
            let lines: Vec<Vec<u8>> = (0..20)
                .map(|i| format!("line {i}\n").into_bytes())
                .collect();
            let sent = lines.clone();
            let task = create_task(async move {
                for line in sent {
                    their_writer.write(&line);
                    loxley_runtime::yield_now().await;
                }
                their_writer
            });
            for line in &lines {
                let got = loop {
                    // Given up after one poll, over and over.
                    let mut read = pin!(reader.readline());
                    let once = poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx))).await;
                    if let Poll::Ready(got) = once {
                        break got.unwrap();
                    }
                    loxley_runtime::yield_now().await;
                };
                assert_eq!(&got, line);
            }
            drop(writer);
            closed(task.await.unwrap()).await;
        }
    });
}

#[test]
fn pem_that_is_none_is_refused_where_it_is_given() {
    let authority = Authority::shared();
    let (chain, key) = authority.issue(&["localhost"], |_| {});
    let (_, other_key) = authority.issue(&["localhost"], |_| {});
    let refusals = [
        TlsClient::trusting("").map(drop).expect_err("nothing"),
        TlsClient::trusting(&key)
            .map(drop)
            .expect_err("no certificate"),
        TlsServer::new("", &key)
            .map(drop)
            .expect_err("no certificate"),
        TlsServer::new(&chain, &chain)
            .map(drop)
            .expect_err("no key"),
        TlsServer::new(&chain, &other_key)
            .map(drop)
            .expect_err("another's key"),
        TlsServer::new(
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
            &key,
        )
        .map(drop)
        .expect_err("no base64"),
    ];
    for error in refusals {
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    }
    assert!(TlsServer::new(&chain, &key).is_ok());
}
