//! UDP over the loopback device, in both flavours of the runtime.

mod support;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use loxley_io::UdpSocket;
use loxley_io::net::{Datagram, RecvBatch};
use loxley_runtime::{create_task, timeout, yield_now};
use support::{pattern, run, sweep};

const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);
const SHORT: Duration = Duration::from_millis(20);

async fn bound() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(ANY).await.expect("bound");
    let addr = socket.local_addr().expect("bound");
    (socket, addr)
}

/// Two sockets, connected to each other.
async fn pair() -> (UdpSocket, UdpSocket) {
    let ((one, one_addr), (other, other_addr)) = (bound().await, bound().await);
    one.connect(other_addr).await.expect("connected");
    other.connect(one_addr).await.expect("connected");
    (one, other)
}

#[test]
fn datagrams_go_both_ways_and_name_their_sender() {
    run(|| async {
        let ((one, one_addr), (other, other_addr)) = (bound().await, bound().await);
        let echo = create_task(async move {
            let mut bytes = [0; 100];
            let (n, from) = other.recv_from(&mut bytes).await.expect("received");
            assert_eq!(from, one_addr);
            other.send_to(&bytes[..n], from).await.expect("sent")
        });
        assert_eq!(one.send_to(b"hello", other_addr).await.expect("sent"), 5);
        let mut bytes = [0; 100];
        let (n, from) = one.recv_from(&mut bytes).await.expect("received");
        assert_eq!((&bytes[..n], from), (&b"hello"[..], other_addr));
        assert_eq!(echo.await.expect("no panic"), 5);
    });
}

#[test]
fn a_connected_socket_hears_its_peer_alone() {
    run(|| async {
        let (one, other) = pair().await;
        let (stranger, _) = bound().await;
        let addr = one.local_addr().expect("bound");
        assert_eq!(other.peer_addr().expect("connected"), addr);
        stranger.send_to(b"psst", addr).await.expect("sent");
        other.send(b"mine").await.expect("sent");
        let mut bytes = [0; 8];
        assert_eq!(one.recv(&mut bytes).await.expect("received"), 4);
        assert_eq!(&bytes[..4], b"mine");
        one.try_recv(&mut bytes).expect_err("nothing else");
    });
}

#[test]
fn a_datagram_without_bytes_is_no_end() {
    run(|| async {
        let (one, other) = pair().await;
        assert_eq!(one.send(b"").await.expect("sent"), 0);
        one.send(b"after").await.expect("sent");
        let mut bytes = [0; 8];
        assert_eq!(other.recv(&mut bytes).await.expect("received"), 0);
        assert_eq!(other.recv(&mut bytes).await.expect("received"), 5);
    });
}

#[test]
fn a_datagram_that_is_too_long_is_refused_and_one_beyond_the_buffer_cut() {
    run(|| async {
        let (one, other) = pair().await;
        let error = one.send(&vec![0; 70_000]).await.expect_err("too long");
        assert_eq!(
            error.raw_os_error(),
            Some(rustix::io::Errno::MSGSIZE.raw_os_error())
        );
        one.send(b"0123456789").await.expect("sent");
        one.send(b"next").await.expect("sent");
        let mut bytes = [0; 4];
        assert_eq!(other.recv(&mut bytes).await.expect("received"), 4);
        assert_eq!(&bytes, b"0123");
        assert_eq!(other.recv(&mut bytes).await.expect("received"), 4);
        assert_eq!(&bytes, b"next");
    });
}

#[test]
fn a_refusal_is_said_once() {
    run(|| async {
        let (one, addr) = bound().await;
        let (gone, gone_addr) = bound().await;
        drop(gone);
        one.connect(gone_addr)
            .await
            .expect("nothing is sent by that");
        one.send(b"anybody?").await.expect("sent");
        let mut bytes = [0; 8];
        let error = one.recv(&mut bytes).await.expect_err("nobody");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(timeout(SHORT, one.recv(&mut bytes)).await.is_err());
        // And then it serves again.
        let (other, other_addr) = bound().await;
        one.connect(other_addr).await.expect("connected");
        other.send_to(b"me", addr).await.expect("sent");
        assert_eq!(one.recv(&mut bytes).await.expect("received"), 2);
    });
}

#[test]
fn peeking_leaves_the_datagram_there_and_trying_does_not_wait() {
    run(|| async {
        let ((one, one_addr), (other, other_addr)) = (bound().await, bound().await);
        let mut bytes = [0; 8];
        let error = other.try_recv_from(&mut bytes).expect_err("nothing there");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(one.try_send_to(b"look", other_addr).expect("sent"), 4);
        other.readable().await.expect("readable");
        for _ in 0..2 {
            assert_eq!(other.peek(&mut bytes).await.expect("peeked"), 4);
            let peeked = other.peek_from(&mut bytes).await.expect("peeked");
            assert_eq!(peeked, (4, one_addr));
        }
        let tried = other.try_recv_from(&mut bytes).expect("received");
        assert_eq!(tried, (4, one_addr));
        other.connect(one_addr).await.expect("connected");
        other.writable().await.expect("writable");
        assert_eq!(other.try_send(b"back").expect("sent"), 4);
        one.readable().await.expect("readable");
        assert_eq!(one.try_recv(&mut bytes).expect("received"), 4);
    });
}

#[test]
fn poll_functions_do_the_same() {
    run(|| async {
        let ((one, one_addr), (other, other_addr)) = (bound().await, bound().await);
        let mut bytes = [0; 8];
        let sent = poll_fn(|cx| one.poll_send_to(cx, b"abc", other_addr)).await;
        assert_eq!(sent.expect("sent"), 3);
        let got = poll_fn(|cx| other.poll_recv_from(cx, &mut bytes)).await;
        assert_eq!(got.expect("received"), (3, one_addr));
        other.connect(one_addr).await.expect("connected");
        let sent = poll_fn(|cx| other.poll_send(cx, b"ab")).await;
        assert_eq!(sent.expect("sent"), 2);
        let got = poll_fn(|cx| one.poll_recv(cx, &mut bytes)).await;
        assert_eq!(got.expect("received"), 2);
    });
}

#[test]
fn an_address_in_use_is_named_and_a_name_is_looked_up() {
    run(|| async {
        let (_socket, addr) = bound().await;
        let error = UdpSocket::bind(addr).await.expect_err("in use");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&addr.to_string()), "{error}");
        let socket = UdpSocket::bind("localhost:0").await.expect("bound");
        assert!(socket.local_addr().expect("bound").ip().is_loopback());
    });
}

#[test]
fn sockets_of_std_are_taken_over_and_given_back() {
    run(|| async {
        let (one, addr) = bound().await;
        let other = std::net::UdpSocket::bind(ANY).expect("bound");
        let other = UdpSocket::from_std(other).expect("registered");
        let other = UdpSocket::from_std(other.into_std()).expect("registered again");
        other.send_to(b"x", addr).await.expect("sent");
        assert_eq!(one.recv(&mut [0; 4]).await.expect("received"), 1);
        assert!(one.take_error().expect("asked").is_none());
    });
}

#[test]
fn options_are_kept() {
    run(|| async {
        let (socket, _) = bound().await;
        assert!(!socket.broadcast().expect("asked"));
        socket.set_broadcast(true).expect("set");
        assert!(socket.broadcast().expect("asked"));
        socket.set_ttl(33).expect("set");
        assert_eq!(socket.ttl().expect("asked"), 33);
        assert_eq!(socket.multicast_ttl_v4().expect("asked"), 1);
        socket.set_multicast_ttl_v4(2).expect("set");
        assert_eq!(socket.multicast_ttl_v4().expect("asked"), 2);
        assert!(socket.multicast_loop_v4().expect("asked"));
        socket.set_multicast_loop_v4(false).expect("set");
        assert!(!socket.multicast_loop_v4().expect("asked"));
        let six = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).await;
        // Not every machine has IPv6.
        if let Ok(six) = six {
            assert!(six.multicast_loop_v6().expect("asked"));
            six.set_multicast_loop_v6(false).expect("set");
            assert!(!six.multicast_loop_v6().expect("asked"));
        }
    });
}

#[test]
fn a_group_is_joined_and_left() {
    run(|| async {
        let group = Ipv4Addr::new(239, 255, 42, 98);
        let listener = UdpSocket::bind((group, 0)).await.expect("bound");
        listener
            .join_multicast_v4(group, Ipv4Addr::LOCALHOST)
            .expect("joined");
        let addr = listener.local_addr().expect("bound");
        let speaker = rustix::net::sockopt::set_ip_multicast_if;
        let (sender, _) = bound().await;
        speaker(&sender, &Ipv4Addr::LOCALHOST).expect("set");
        sender.send_to(b"all", addr).await.expect("sent");
        let mut bytes = [0; 8];
        assert_eq!(listener.recv(&mut bytes).await.expect("received"), 3);
        listener
            .leave_multicast_v4(group, Ipv4Addr::LOCALHOST)
            .expect("left");
        listener
            .leave_multicast_v4(group, Ipv4Addr::LOCALHOST)
            .expect_err("left already");
        listener
            .join_multicast_v4(Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST)
            .expect_err("no group");
    });
}

/// Counts what arrives, by content and sender, until there are `count`.
async fn receive(socket: &UdpSocket, batch: &mut RecvBatch, count: usize) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while all.len() < count {
        socket.recv_batch(batch).await.expect("received");
        assert!(!batch.is_empty());
        all.extend(batch.iter().map(|datagram| {
            assert!(!datagram.is_truncated());
            datagram.payload().to_vec()
        }));
    }
    all
}

/// Sends all of them, however many calls it takes.
async fn send(socket: &UdpSocket, datagrams: &[Datagram<'_>]) {
    let mut sent = 0;
    while sent < datagrams.len() {
        let n = socket.send_batch(&datagrams[sent..]).await.expect("sent");
        assert!(n > 0);
        sent += n;
    }
}

#[test]
fn a_batch_arrives_in_order_and_whole_whatever_its_sizes() {
    run(|| async {
        let (one, other) = pair().await;
        let to = other.local_addr().expect("bound");
        let data = pattern(20_000);
        // Runs, a shorter last one, an empty one, one too long to be cut up, singles.
        let mut sizes = vec![100; 20];
        sizes.extend([60, 100, 100, 0, 0, 5000, 5000, 1232, 1232, 7]);
        sizes.extend([900; 40]);
        let pieces: Vec<_> = sizes.iter().map(|&size| &data[..size]).collect();
        let mut batch = RecvBatch::new(64, 9000);
        for round in 0..6 {
            let datagrams: Vec<_> = pieces
                .iter()
                .map(|piece| match round % 2 {
                    0 => Datagram::connected(piece),
                    _ => Datagram::to(piece, to),
                })
                .collect();
            send(&one, &datagrams).await;
            assert!(receive(&other, &mut batch, pieces.len()).await == pieces);
        }
        assert_eq!(one.send_batch(&[]).await.expect("nothing to do"), 0);
    });
}

#[test]
fn a_batch_goes_to_several_and_comes_from_several() {
    run(|| async {
        let (server, addr) = bound().await;
        let mut clients = Vec::new();
        for _ in 0..5 {
            clients.push(bound().await);
        }
        for (number, (client, _)) in clients.iter().enumerate() {
            let text = format!("client {number}");
            for _ in 0..number {
                client.send_to(text.as_bytes(), addr).await.expect("sent");
            }
        }
        let mut batch = RecvBatch::new(64, 100);
        let mut seen = BTreeMap::new();
        while seen.values().sum::<usize>() < 10 {
            server.recv_batch(&mut batch).await.expect("received");
            let echo: Vec<_> = batch.iter().collect();
            for datagram in &echo {
                *seen.entry(datagram.peer().expect("known")).or_insert(0) += 1;
            }
            send(&server, &echo).await;
        }
        for (number, (client, client_addr)) in clients.iter().enumerate() {
            assert_eq!(seen.get(client_addr).copied().unwrap_or(0), number);
            let mut bytes = [0; 100];
            for _ in 0..number {
                let n = client.recv(&mut bytes).await.expect("received");
                assert_eq!(bytes[..n], *format!("client {number}").as_bytes());
            }
            client.try_recv(&mut bytes).expect_err("no more");
        }
    });
}

#[test]
fn what_is_too_long_for_a_batch_is_cut_and_says_so() {
    run(|| async {
        let (one, other) = pair().await;
        let mut batch = RecvBatch::new(4, 4);
        let messages = [
            Datagram::connected(b"0123456789"),
            Datagram::connected(b"ok"),
        ];
        send(&one, &messages).await;
        let mut seen = Vec::new();
        while seen.len() < 2 {
            other.recv_batch(&mut batch).await.expect("received");
            seen.extend(
                batch
                    .iter()
                    .map(|d| (d.payload().to_vec(), d.is_truncated())),
            );
        }
        assert_eq!(seen, [(b"0123".to_vec(), true), (b"ok".to_vec(), false)]);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn runs_that_the_kernel_hands_over_as_one_are_taken_apart() {
    run(|| async {
        let (one, other) = pair().await;
        other.set_gro(true).expect("Linux 5.0");
        let mut batch = RecvBatch::new(8, 65_536);
        let data = pattern(64 * 500);
        let pieces: Vec<_> = data.chunks(500).collect();
        let mut datagrams: Vec<_> = pieces.iter().map(|p| Datagram::connected(p)).collect();
        datagrams.push(Datagram::connected(b""));
        datagrams.push(Datagram::connected(b"tail"));
        send(&one, &datagrams).await;
        let got = receive(&other, &mut batch, datagrams.len()).await;
        let want: Vec<_> = datagrams.iter().map(|d| d.payload().to_vec()).collect();
        assert!(got == want);
        other.set_gro(false).expect("off again");
    });
}

#[test]
fn an_error_in_a_batch_is_said_when_it_comes_first() {
    run(|| async {
        let (one, addr) = bound().await;
        let too_long = vec![0; 70_000];
        let messages = [
            Datagram::to(b"fine", addr),
            Datagram::to(&too_long, addr),
            Datagram::to(b"fine", addr),
        ];
        assert_eq!(one.send_batch(&messages).await.expect("the first"), 1);
        let error = one.try_send_batch(&messages[1..]).expect_err("too long");
        assert_eq!(
            error.raw_os_error(),
            Some(rustix::io::Errno::MSGSIZE.raw_os_error())
        );
        // And a run after that still goes as one, or as several: it arrives.
        assert_eq!(one.send_batch(&messages[2..]).await.expect("the last"), 1);
        let mut batch = RecvBatch::new(4, 100);
        assert_eq!(receive(&one, &mut batch, 2).await, [b"fine", b"fine"]);
        let error = one.try_recv_batch(&mut batch).expect_err("no more");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(batch.is_empty());
    });
}

#[test]
#[should_panic(expected = "at least one message")]
fn a_batch_without_room_is_a_mistake() {
    let _ = RecvBatch::new(0, 1500);
}

#[test]
fn receives_dropped_or_cancelled_anywhere_lose_nothing() {
    run(|| async {
        let points = sweep(
            || {
                let sockets = [0, 1].map(|_| {
                    let socket = std::net::UdpSocket::bind(ANY).expect("bound");
                    Arc::new(UdpSocket::from_std(socket).expect("registered"))
                });
                let [one, other] = sockets.clone();
                let to = other.local_addr().expect("bound");
                let scenario = async move {
                    let sending = create_task(async move {
                        for payload in [b"one", b"two"] {
                            yield_now().await;
                            one.send_to(payload, to).await.expect("sent");
                        }
                    });
                    let mut bytes = [0; 8];
                    other.recv_from(&mut bytes).await.expect("received");
                    let mut batch = RecvBatch::new(4, 8);
                    other.recv_batch(&mut batch).await.expect("received");
                    sending.await.expect("no panic");
                };
                (scenario, sockets)
            },
            |[one, other]| async move {
                let to = other.local_addr().expect("bound");
                one.send_to(b"!", to).await.expect("sent");
                let mut batch = RecvBatch::new(4, 8);
                let mut left = Vec::new();
                while !left.contains(&b"!".to_vec()) {
                    other.recv_batch(&mut batch).await.expect("received");
                    left.extend(batch.iter().map(|d| d.payload().to_vec()));
                }
            },
        )
        .await;
        assert!(points > 0, "nothing ever waited");
    });
}
