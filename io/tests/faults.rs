//! What a network and its peers do to a connection: loss, resets, ends in the middle, silence.

#[path = "support/lossy.rs"]
mod lossy;
mod support;

use std::io;
use std::net::{Ipv4Addr, Shutdown};
use std::process::Command;
use std::time::{Duration, Instant};

use loxley_io::{TcpListener, TcpStream, UdpSocket};
use loxley_runtime::{Handle, create_task, sleep, timeout, yield_now};
use support::{pattern, run};

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("bound");
    let addr = listener.local_addr().expect("bound");
    let client = TcpStream::connect(addr).await.expect("connected");
    let (server, _) = listener.accept().await.expect("accepted");
    (client, server)
}

/// Resets the connection instead of ending it.
fn reset(stream: TcpStream) {
    stream.set_linger(Some(Duration::ZERO)).expect("set");
    drop(stream);
}

fn polls() -> u64 {
    let metrics = Handle::current().metrics();
    metrics
        .workers
        .iter()
        .map(|worker| u64::from(worker.polls))
        .sum()
}

#[expect(clippy::print_stderr, reason = "a facility that is missing is named")]
fn not_run(why: &str) {
    eprintln!("not run: {why}");
}

/// A fifth of all segments are lost on their way, in both directions.
#[test]
fn a_network_that_loses_a_fifth_of_everything_delivers_all_of_it() {
    const CONNECTIONS: usize = 10;
    const ROUND_TRIPS: usize = 3;
    run(|| async {
        let before = polls();
        let start = Instant::now();
        let mut talks = Vec::new();
        for number in 0..CONNECTIONS {
            let (client, server) = pair().await;
            for socket in [&client, &server] {
                if let Err(error) = lossy::lose(socket, 20) {
                    not_run(&format!("no filter on sockets: {error}"));
                    return;
                }
            }
            talks.push(create_task(async move {
                let mut bytes = [0; 3_000];
                while let n @ 1.. = server.read(&mut bytes).await.expect("read") {
                    server.write_all(&bytes[..n]).await.expect("written");
                }
            }));
            talks.push(create_task(async move {
                let sent = pattern(1_000 + number);
                let mut bytes = vec![0; sent.len()];
                for _ in 0..ROUND_TRIPS {
                    client.write_all(&sent).await.expect("written");
                    client.read_exact(&mut bytes).await.expect("read");
                    assert_eq!(bytes, sent);
                }
            }));
        }
        // Meanwhile, time passes as ever.
        let asked = Duration::from_millis(30);
        let slept = Instant::now();
        sleep(asked).await;
        assert!(slept.elapsed() >= asked);
        for talk in talks {
            talk.await.expect("no panic");
        }
        // Nobody looks again and again whether the network has got better; a loss costs 200 ms.
        let polled = polls() - before;
        let most = 50 * CONNECTIONS * ROUND_TRIPS;
        assert!(
            polled < most as u64,
            "{polled} polls in {:?}",
            start.elapsed()
        );
    });
}

#[test]
fn what_came_before_a_reset_is_read_or_the_reset_is_an_error() {
    run(|| async {
        for length in [1, 1_000, 100_000] {
            let (client, server) = pair().await;
            client.write_all(&pattern(length)).await.expect("written");
            reset(client);
            let mut all = Vec::new();
            let mut bytes = vec![0; 4_096];
            // Never an end in silence.
            let error = loop {
                match server.read(&mut bytes).await {
                    Ok(0) => panic!("an end after {} of {length} bytes", all.len()),
                    Ok(n) => all.extend_from_slice(&bytes[..n]),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            assert_eq!(all, pattern(length)[..all.len()]);
        }
    });
}

#[test]
fn a_reset_ends_a_read_and_a_write_that_wait() {
    run(|| async {
        let (client, server) = pair().await;
        let (mut reader, mut writer) = server.into_split();
        let reading = create_task(async move { reader.read(&mut [0; 4]).await });
        let writing = create_task(async move {
            loop {
                if let Err(error) = writer.write(&[7; 65_536]).await {
                    return error;
                }
            }
        });
        // Until the writer has filled all there is.
        let mut peeked = [0; 1];
        client.peek(&mut peeked).await.expect("bytes");
        reset(client);
        let read = reading.await.expect("no panic");
        let written = writing.await.expect("no panic").kind();
        // The kernel tells the first of the two that asks and keeps no copy: a later read finds the end, a later write a broken
        // pipe. Whoever asks first, one of them is told.
        let told = match read.as_ref().map_err(io::Error::kind) {
            Err(io::ErrorKind::ConnectionReset) => written == io::ErrorKind::BrokenPipe,
            Ok(0) => written == io::ErrorKind::ConnectionReset,
            _ => false,
        };
        assert!(told, "{read:?} and {written:?}");
    });
}

#[test]
fn a_connection_that_the_administrator_ends_is_an_error_on_both_sides() {
    run(|| async {
        let (client, server) = pair().await;
        // Both ends are named: another program's connection may have a port of that number, too.
        let ports = [client.local_addr(), client.peer_addr()];
        let [from, to] = ports.map(|addr| addr.expect("connected").port().to_string());
        let waiting = create_task(async move { server.read(&mut [0; 4]).await });
        yield_now().await;
        let killed = Command::new("ss")
            .args(["--no-header", "--kill", "--tcp"])
            .args(["src", "127.0.0.1", "sport", "=", &from, "dport", "=", &to])
            .output();
        let killed = killed.is_ok_and(|output| !output.stdout.is_empty());
        if !killed {
            not_run("ss cannot end connections here");
            waiting.cancel();
            return;
        }
        let error = waiting.await.expect("no panic").expect_err("ended");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let error = client.read(&mut [0; 4]).await.expect_err("ended");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    });
}

#[test]
fn the_end_that_comes_together_with_bytes_comes_after_them() {
    run(|| async {
        let (client, server) = pair().await;
        let sent = pattern(50_000);
        client.write_all(&sent).await.expect("written");
        drop(client);
        let mut all = Vec::new();
        let mut bytes = [0; 100];
        loop {
            match server.read(&mut bytes).await.expect("read") {
                0 => break,
                n => all.extend_from_slice(&bytes[..n]),
            }
        }
        assert_eq!(all, sent);
        assert_eq!(server.read(&mut bytes).await.expect("read"), 0, "and stays");
    });
}

/// A read that fills its buffer to the brim does not tell whether there is more: the next one must ask, and the one after
/// must still be woken.
#[test]
fn reads_that_fill_their_buffer_exactly_lose_no_edge() {
    run(|| async {
        let (client, server) = pair().await;
        // A message in two pieces is not held back.
        client.set_nodelay(true).expect("set");
        let answering = create_task(async move {
            let mut bytes = [0; 64];
            for _ in 0..500 {
                server.read_exact(&mut bytes).await.expect("read");
                server.write_all(&bytes).await.expect("written");
            }
        });
        let mut bytes = [0; 64];
        for number in 0..500_u32 {
            let messages = if number % 3 == 0 { 1 } else { 0 };
            client
                .write_all(&[7; 64][..64 - messages])
                .await
                .expect("written");
            client
                .write_all(&[7; 64][..messages])
                .await
                .expect("written");
            client.read_exact(&mut bytes).await.expect("read");
        }
        answering.await.expect("no panic");
    });
}

#[test]
fn a_descriptor_number_that_is_used_again_brings_nothing_of_its_last_owner() {
    run(|| async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("bound");
        let addr = listener.local_addr().expect("bound");
        for _ in 0..100 {
            // A reader waits while its stream has bytes on the way, and both go.
            let old = TcpStream::connect(addr).await.expect("connected");
            let (peer, _) = listener.accept().await.expect("accepted");
            let waiting = create_task(async move { old.read(&mut [0; 1]).await });
            peer.write_all(b"x").await.expect("written");
            waiting.cancel();
            let _ = waiting.await;
            drop(peer);
            // The same numbers, most likely.
            let new = TcpStream::connect(addr).await.expect("connected");
            let (peer, _) = listener.accept().await.expect("accepted");
            let early = timeout(Duration::ZERO, new.read(&mut [0; 1])).await;
            assert!(early.is_err(), "{early:?}");
            peer.write_all(b"y").await.expect("written");
            let mut byte = [0];
            assert_eq!(new.read(&mut byte).await.expect("read"), 1);
            assert_eq!(&byte, b"y");
        }
    });
}

#[test]
fn a_peer_that_never_reads_stops_its_writer_alone() {
    run(|| async {
        let (client, server) = pair().await;
        let flooding = create_task(async move {
            let mut written = 0_usize;
            let everything = async {
                loop {
                    written += client.write(&[7; 65_536]).await.expect("written");
                }
            };
            let stopped: Result<std::convert::Infallible, _> =
                timeout(Duration::from_millis(200), everything).await;
            assert!(stopped.is_err());
            written
        });
        // Others are served all the while.
        let (other, peer) = pair().await;
        for _ in 0..100 {
            other.write_all(b"ping").await.expect("written");
            peer.read_exact(&mut [0; 4]).await.expect("read");
        }
        let written = flooding.await.expect("no panic");
        // What the kernel takes for a connection that is not read: tcp_wmem and tcp_rmem, some MiB each.
        assert!(written < 64 << 20, "{written}");
        let mut read = 0;
        let mut bytes = vec![0; 65_536];
        loop {
            match server.read(&mut bytes).await.expect("read") {
                0 => break,
                n => read += n,
            }
        }
        assert_eq!(read, written);
    });
}

#[test]
fn both_ends_may_close_their_half_at_once() {
    run(|| async {
        for _ in 0..50 {
            let (client, server) = pair().await;
            let ends = [client, server].map(|stream| {
                create_task(async move {
                    stream.write_all(b"last words").await.expect("written");
                    stream.shutdown(Shutdown::Write).expect("shut down");
                    let mut words = [0; 10];
                    stream.read_exact(&mut words).await.expect("read");
                    assert_eq!(&words, b"last words");
                    assert_eq!(stream.read(&mut words).await.expect("read"), 0);
                    let error = stream.write_all(b"more").await.expect_err("shut down");
                    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
                })
            });
            for end in ends {
                end.await.expect("no panic");
            }
        }
    });
}

#[test]
fn datagrams_without_bytes_from_anybody_do_not_end_a_socket() {
    run(|| async {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("bound");
        let addr = server.local_addr().expect("bound");
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("bound");
        for payload in [&b""[..], b"", b"at last"] {
            client.send_to(payload, addr).await.expect("sent");
            let mut bytes = [0; 16];
            let (n, _) = server.recv_from(&mut bytes).await.expect("received");
            assert_eq!(&bytes[..n], payload);
        }
    });
}
