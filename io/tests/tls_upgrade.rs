//! STARTTLS: a connection in plain text becomes one with TLS, and nothing that anybody put in between is believed.
#![cfg(feature = "tls")]

mod streams_support;
mod tls_support;
mod wire_support;

use std::io;

use loxley_io::streams::from_tcp;
use loxley_io::tls::TlsError;
use loxley_io::{StreamReader, StreamWriter, TcpListener, open_connection};
use loxley_runtime::create_task;
use loxley_runtime::testing::{cancel_at_every_pending, drop_at_every_pending};
use streams_support::{each, each_reporting, tcp_pair, until};
use tls_support::{ANY, both};
use wire_support::{CUTS, Cut, Wire};

type Streams = (StreamReader, StreamWriter);

/// Both ends of a connection in plain text, and the wire between.
async fn wired(cut: Cut) -> (Streams, Streams, Wire) {
    let listener = TcpListener::bind(ANY).await.unwrap();
    let wire = Wire::to(listener.local_addr().unwrap(), cut).await;
    let client = open_connection(wire.addr).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    (client, from_tcp(server), wire)
}

async fn plain(cut: Cut) -> (Streams, Streams) {
    let (client, server, _) = wired(cut).await;
    (client, server)
}

#[test]
fn a_connection_in_plain_text_becomes_one_with_tls() {
    each(|| async {
        let (client_tls, server_tls) = both();
        for &cut in CUTS {
            let ((mut reader, writer), (mut their_reader, their_writer)) = plain(cut).await;
            let tls = server_tls.clone();
            let served = create_task(async move {
                their_writer.write(b"220 ready\r\n");
                assert_eq!(their_reader.readline().await.unwrap(), b"STARTTLS\r\n");
                their_writer.write(b"220 go ahead\r\n");
                their_writer
                    .start_tls(&mut their_reader, tls)
                    .await
                    .unwrap();
                assert_eq!(their_reader.readline().await.unwrap(), b"secret\r\n");
                their_writer.write(b"250 kept\r\n");
                assert_eq!(their_reader.read_to_end().await.unwrap(), b"");
                their_writer.close();
                their_writer.wait_closed().await.unwrap();
            });
            assert_eq!(reader.readline().await.unwrap(), b"220 ready\r\n");
            assert_eq!(writer.tls_info(), None);
            writer.write(b"STARTTLS\r\n");
            assert_eq!(reader.readline().await.unwrap(), b"220 go ahead\r\n");
            writer
                .start_tls(&mut reader, client_tls.clone())
                .await
                .unwrap();
            assert!(writer.tls_info().is_some());
            writer.write(b"secret\r\n");
            assert_eq!(reader.readline().await.unwrap(), b"250 kept\r\n");
            writer.close();
            writer.wait_closed().await.unwrap();
            served.await.unwrap();
        }
    });
}

#[test]
fn what_clones_write_during_the_handshake_is_sealed() {
    let (client_tls, server_tls) = both();
    each(|| async {
        for &cut in CUTS {
            let ((mut reader, writer), (mut their_reader, their_writer), wire) = wired(cut).await;
            writer.write(b"STARTTLS\n");
            assert_eq!(their_reader.readline().await.unwrap(), b"STARTTLS\n");
            let clone = writer.clone();
            let tls = client_tls.clone();
            let upgrade = create_task(async move {
                writer.start_tls(&mut reader, tls).await.unwrap();
                reader
            });
            until(|| wire.to_server.seen() > b"STARTTLS\n".len()).await;
            clone.write(b"late");
            clone.writelines([b"r\n", b"on"]);
            assert_eq!(clone.get_write_buffer_size(), 8, "nothing may be sent yet");
            clone.write_eof();
            their_writer
                .start_tls(&mut their_reader, server_tls.clone())
                .await
                .unwrap();
            assert_eq!(their_reader.readline().await.unwrap(), b"later\n");
            assert_eq!(their_reader.read_to_end().await.unwrap(), b"on");
            let mut reader = upgrade.await.unwrap();
            their_writer.write(b"answer");
            their_writer.close();
            assert_eq!(reader.read_to_end().await.unwrap(), b"answer");
            drop(clone);
            their_writer.wait_closed().await.unwrap();
        }
    });
}

fn assert_refused(error: &io::Error, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is missing: {text}");
    }
}

#[test]
fn bytes_injected_before_the_handshake_are_refused_and_close_the_connection() {
    each(|| async {
        let (client_tls, server_tls) = both();
        for &cut in CUTS {
            // Read ahead with the command that they came with.
            let ((mut reader, writer), (mut their_reader, their_writer)) = plain(cut).await;
            writer.write(b"STARTTLS\r\nRSET\r\n");
            assert_eq!(their_reader.readline().await.unwrap(), b"STARTTLS\r\n");
            // Cut into pieces, they may not have come yet: then they are no handshake.
            let tls = server_tls.clone();
            let error = their_writer
                .start_tls(&mut their_reader, tls)
                .await
                .expect_err("injected");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            let is_ours = error.get_ref().is_some_and(|inner| inner.is::<TlsError>());
            assert!(is_ours, "{error:?}");
            for _ in 0..2 {
                assert!(their_reader.readline().await.is_err());
            }
            their_writer.write(b"never sent");
            assert!(their_writer.drain().await.is_err());
            assert!(their_writer.wait_closed().await.is_err());
            // The peer sees no word of it in plain text.
            let seen = reader.read_to_end().await.unwrap_or_default();
            assert!(!seen.windows(5).any(|bytes| bytes == b"never"));

            // The answer of an attacker, put before the server's handshake.
            let ((mut reader, writer), (_their_reader, their_writer)) = plain(cut).await;
            their_writer.write(b"220 go ahead\r\n250 trust me\r\n");
            assert_eq!(reader.readline().await.unwrap(), b"220 go ahead\r\n");
            let tls = client_tls.clone();
            let error = writer
                .start_tls(&mut reader, tls)
                .await
                .expect_err("injected");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    });
}

#[test]
fn injected_bytes_that_are_in_the_buffer_are_counted_and_named() {
    each(|| async {
        let (client_tls, _) = both();
        let ((mut reader, writer), (_their_reader, their_writer)) = plain(Cut::Whole).await;
        their_writer.write(b"go\nAB");
        assert_eq!(reader.readuntil("A").await.unwrap(), b"go\nA");
        let error = writer.start_tls(&mut reader, client_tls.clone()).await;
        assert_refused(&error.expect_err("injected"), &["1 bytes", "start_tls"]);
    });
}

#[test]
fn an_upgrade_that_makes_no_sense_is_refused_and_the_connection_goes_on() {
    each(|| async {
        let (client_tls, server_tls) = both();
        let ((mut reader, writer), (mut their_reader, their_writer)) = plain(Cut::Whole).await;
        let nameless = tls_support::Authority::shared().client();
        let error = writer
            .start_tls(&mut reader, nameless)
            .await
            .expect_err("who?");
        assert_refused(&error, &["server_name"]);
        writer.write(b"still plain\n");
        assert_eq!(their_reader.readline().await.unwrap(), b"still plain\n");

        let shaken = create_task(async move {
            their_writer
                .start_tls(&mut their_reader, server_tls)
                .await
                .unwrap();
            (their_reader, their_writer)
        });
        writer
            .start_tls(&mut reader, client_tls.clone())
            .await
            .unwrap();
        let (mut their_reader, _their_writer) = shaken.await.unwrap();
        let error = writer
            .start_tls(&mut reader, client_tls.clone())
            .await
            .expect_err("twice");
        assert_refused(&error, &["already"]);
        writer.write(b"still sealed\n");
        assert_eq!(their_reader.readline().await.unwrap(), b"still sealed\n");

        let sink = streams_support::Sink::default();
        let source = streams_support::Source::new([]);
        let (mut reader, writer) = loxley_io::streams::from_halves(source, sink.end(), 100);
        let error = writer
            .start_tls(&mut reader, client_tls.clone())
            .await
            .expect_err("no socket");
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    });
}

#[test]
#[should_panic(expected = "belongs to another connection")]
fn the_reader_of_another_connection_is_misuse() {
    let (client_tls, _) = both();
    loxley_runtime::run(async {
        let (ours, theirs) = tcp_pair().await;
        let ((_reader, writer), (mut reader, _writer)) = (from_tcp(ours), from_tcp(theirs));
        let _ = writer.start_tls(&mut reader, client_tls).await;
    });
}

#[test]
fn an_upgrade_given_up_before_it_begins_changes_nothing_and_later_closes_the_connection() {
    each_reporting(|_| async {
        let (client_tls, server_tls) = both();
        let scenario = || {
            let (client_tls, server_tls) = (client_tls.clone(), server_tls.clone());
            let future = async move {
                let ((mut reader, writer), (mut their_reader, their_writer)) =
                    plain(Cut::Each(100)).await;
                let shaken = create_task(async move {
                    let shaken = their_writer.start_tls(&mut their_reader, server_tls).await;
                    match shaken {
                        // A client that goes is seen as what it is.
                        Ok(()) => drop(their_reader.read_to_end().await),
                        Err(error) => {
                            assert!(error.kind() != io::ErrorKind::InvalidData, "{error}");
                        }
                    }
                });
                writer.start_tls(&mut reader, client_tls).await.unwrap();
                writer.close();
                writer.wait_closed().await.unwrap();
                shaken.await.unwrap();
            };
            (future, ())
        };
        let points = drop_at_every_pending(scenario, |_, ()| async {}).await;
        assert!(points > 0);
        cancel_at_every_pending(scenario, |_, ()| async {}).await;

        // Given up in the middle, with both ends held: every later call says so, and the peer gets no plain text.
        let ((mut reader, writer), (mut their_reader, _their_writer)) = plain(Cut::Whole).await;
        let upgrade = writer.start_tls(&mut reader, client_tls.clone());
        let upgrade = loxley_runtime::timeout(std::time::Duration::from_millis(10), upgrade);
        assert!(upgrade.await.is_err(), "nobody answers");
        writer.write(b"in plain text?");
        let error = writer.drain().await.expect_err("closed");
        assert_refused(&error, &["given up"]);
        let error = reader.read(1).await.expect_err("closed");
        assert_refused(&error, &["given up"]);
        let seen = their_reader.read_to_end().await.unwrap_or_default();
        assert!(!seen.windows(5).any(|bytes| bytes == b"plain"));
    });
}
