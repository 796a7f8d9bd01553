//! TCP over the loopback device, in both flavours of the runtime.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loxley_io::{Direction, Interest, Registered, TcpListener, TcpStream, lookup_host};
use loxley_runtime::{Handle, Runtime, create_task, timeout, yield_now};

const HANG: Duration = Duration::from_secs(30);
const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// Runs a test on several workers and on one thread; a test that hangs fails.
fn run<F: Future<Output = ()>>(test: impl Fn() -> F) {
    for builder in [
        Runtime::builder().worker_threads(2),
        Runtime::builder().current_thread(),
    ] {
        let runtime = builder.build().expect("a runtime");
        runtime
            .block_on(async { timeout(HANG, test()).await })
            .expect("the test hangs");
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(ANY).await.expect("bound");
    let addr = listener.local_addr().expect("bound");
    (listener, addr)
}

async fn pair() -> (TcpStream, TcpStream) {
    let (listener, addr) = listen().await;
    let client = TcpStream::connect(addr).await.expect("connected");
    let (server, _) = listener.accept().await.expect("accepted");
    (client, server)
}

/// Reads to the end.
async fn drain(stream: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut bytes = [0; 777];
    loop {
        match stream.read(&mut bytes).await.expect("read") {
            0 => return all,
            n => all.extend_from_slice(&bytes[..n]),
        }
    }
}

/// Bytes that show when any of them is missing, doubled or out of place.
fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| u8::try_from(i % 251).expect("small"))
        .collect()
}

#[test]
fn bytes_go_both_ways_and_addresses_agree() {
    run(|| async {
        let (listener, addr) = listen().await;
        let server = create_task(async move {
            let (stream, peer) = listener.accept().await.expect("accepted");
            assert_eq!(stream.peer_addr().expect("connected"), peer);
            let mut bytes = [0; 5];
            stream.read_exact(&mut bytes).await.expect("read");
            stream.write_all(&bytes).await.expect("written");
            peer
        });
        let client = TcpStream::connect(addr).await.expect("connected");
        assert_eq!(client.peer_addr().expect("connected"), addr);
        client.write_all(b"hello").await.expect("written");
        assert_eq!(drain(&client).await, b"hello");
        assert_eq!(
            server.await.expect("no panic"),
            client.local_addr().expect("bound")
        );
    });
}

#[test]
fn a_refused_connection_names_its_address() {
    run(|| async {
        let (listener, addr) = listen().await;
        drop(listener);
        let error = TcpStream::connect(addr).await.expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains(&addr.to_string()), "{error}");
    });
}

#[test]
fn every_address_is_tried_in_turn() {
    run(|| async {
        let (closed, first) = listen().await;
        drop(closed);
        let (_listener, second) = listen().await;
        let stream = TcpStream::connect(&[first, second][..])
            .await
            .expect("connected");
        assert_eq!(stream.peer_addr().expect("connected"), second);
        let error = TcpStream::connect(&[first, first][..])
            .await
            .expect_err("refused");
        assert_eq!(
            error.to_string().matches(&first.to_string()).count(),
            2,
            "{error}"
        );
        let error = TcpStream::connect(&[][..])
            .await
            .expect_err("nothing to try");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn a_name_is_looked_up_without_blocking_the_worker() {
    run(|| async {
        let (_listener, addr) = listen().await;
        let stream = TcpStream::connect(("localhost", addr.port()))
            .await
            .expect("connected");
        assert_eq!(stream.peer_addr().expect("connected"), addr);
        let spawned = create_task(lookup_host("localhost:80"));
        assert!(
            !spawned
                .await
                .expect("no panic")
                .expect("resolved")
                .is_empty()
        );
        let error = lookup_host("no such name:80").await.expect_err("unknown");
        assert!(error.to_string().contains("no such name"), "{error}");
    });
}

#[test]
fn an_address_in_use_is_named() {
    run(|| async {
        let (_listener, addr) = listen().await;
        let error = TcpListener::bind(addr).await.expect_err("in use");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&addr.to_string()), "{error}");
    });
}

#[test]
fn half_closing_ends_one_direction_only() {
    run(|| async {
        let (client, server) = pair().await;
        client.write_all(b"last words").await.expect("written");
        client.shutdown(Shutdown::Write).expect("shut down");
        assert_eq!(drain(&server).await, b"last words");
        server.write_all(b"answer").await.expect("written");
        drop(server);
        assert_eq!(drain(&client).await, b"answer");
        assert_eq!(client.read(&mut [0; 4]).await.expect("the end stays"), 0);
    });
}

#[test]
fn a_bulk_transfer_arrives_whole_whatever_the_chunks() {
    run(|| async {
        for (write, read) in [(1 << 20, 1000), (1000, 1 << 20), (64 << 10, 64 << 10)] {
            let (client, server) = pair().await;
            let data = Arc::new(pattern(3 << 20));
            let sent = data.clone();
            let writer = create_task(async move {
                for chunk in sent.chunks(write) {
                    client.write_all(chunk).await.expect("written");
                }
            });
            let mut got = Vec::with_capacity(data.len());
            let mut bytes = vec![0; read];
            loop {
                match server.read(&mut bytes).await.expect("read") {
                    0 => break,
                    n => got.extend_from_slice(&bytes[..n]),
                }
            }
            assert!(got == *data);
            writer.await.expect("no panic");
        }
    });
}

#[test]
fn more_slices_than_the_kernel_takes_at_once_are_all_written() {
    run(|| async {
        let (client, server) = pair().await;
        let data = pattern(3000);
        let slices: Vec<_> = data.chunks(1).map(IoSlice::new).collect();
        let mut written = 0;
        while written < slices.len() {
            written += client
                .write_vectored(&slices[written..])
                .await
                .expect("written");
        }
        drop(client);
        assert_eq!(drain(&server).await, data);
    });
}

#[test]
fn a_write_that_waits_goes_on_when_the_peer_reads() {
    run(|| async {
        let (client, server) = pair().await;
        let chunk = vec![1; 1 << 20];
        let mut sent = 0;
        while let Ok(n) = timeout(Duration::from_millis(50), client.write(&chunk)).await {
            sent += n.expect("written");
        }
        let reader = create_task(async move { drain(&server).await.len() });
        sent += client.write(&chunk).await.expect("written");
        drop(client);
        assert_eq!(reader.await.expect("no panic"), sent);
    });
}

#[test]
fn a_cancelled_read_loses_nothing() {
    run(|| async {
        let (client, server) = pair().await;
        let mut bytes = [0; 8];
        assert!(
            timeout(Duration::from_millis(5), server.read(&mut bytes))
                .await
                .is_err()
        );
        client.write_all(b"kept").await.expect("written");
        assert_eq!(server.read(&mut bytes).await.expect("read"), 4);
        assert_eq!(&bytes[..4], b"kept");
    });
}

#[test]
fn peeking_leaves_the_bytes_there() {
    run(|| async {
        let (client, server) = pair().await;
        client.write_all(b"look").await.expect("written");
        let mut bytes = [0; 8];
        for _ in 0..3 {
            assert_eq!(server.peek(&mut bytes).await.expect("peeked"), 4);
        }
        assert_eq!(server.read(&mut bytes).await.expect("read"), 4);
    });
}

#[test]
fn trying_does_not_wait_and_waiting_does_not_spin() {
    run(|| async {
        let (client, server) = pair().await;
        let mut bytes = [0; 8];
        let error = server.try_read(&mut bytes).expect_err("nothing there");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let writer = create_task(async move {
            yield_now().await;
            client.write_all(b"x").await.expect("written");
            client
        });
        let mut rounds = 0;
        let n = loop {
            rounds += 1;
            server.readable().await.expect("readable");
            match server.try_read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => break result.expect("read"),
            }
        };
        assert_eq!(n, 1);
        assert!(rounds < 5, "{rounds} rounds for one byte");
        let client = writer.await.expect("no panic");
        client.writable().await.expect("writable");
        assert_eq!(client.try_write(b"y").expect("written"), 1);
        assert_eq!(
            client
                .try_write_vectored(&[IoSlice::new(b"z")])
                .expect("written"),
            1
        );
    });
}

#[test]
fn empty_buffers_do_not_wait() {
    run(|| async {
        let (client, _server) = pair().await;
        assert_eq!(client.read(&mut []).await.expect("read"), 0);
        assert_eq!(client.peek(&mut []).await.expect("peeked"), 0);
        assert_eq!(client.write(&[]).await.expect("written"), 0);
        client.write_all(&[]).await.expect("written");
        client.read_exact(&mut []).await.expect("read");
    });
}

#[test]
fn halves_work_in_two_tasks_and_the_writing_one_ends_the_stream() {
    run(|| async {
        let (client, server) = pair().await;
        let (mut reader, mut writer) = client.into_split();
        let writing = create_task(async move {
            writer.write_all(b"from half").await.expect("written");
        });
        assert_eq!(drain(&server).await, b"from half");
        writing.await.expect("no panic");
        server.write_all(b"to half").await.expect("written");
        let mut bytes = [0; 7];
        reader.read_exact(&mut bytes).await.expect("read");
        assert_eq!(&bytes, b"to half");
    });
}

#[test]
fn halves_of_one_stream_are_reunited_and_others_refused() {
    run(|| async {
        let (client, server) = pair().await;
        let (client_reader, client_writer) = client.into_split();
        let (server_reader, server_writer) = server.into_split();
        let error = client_reader
            .reunite(server_writer)
            .expect_err("two streams");
        let mut client = error.0.reunite(client_writer).expect("one stream");
        let server = server_reader.reunite(error.1).expect("one stream");
        let (mut reader, mut writer) = client.split();
        server.write_all(b"still open").await.expect("written");
        let mut bytes = [0; 10];
        reader.read_exact(&mut bytes).await.expect("read");
        writer.shutdown().expect("shut down");
        assert_eq!(drain(&server).await, b"");
    });
}

#[test]
fn a_reset_is_an_error_for_the_reader() {
    run(|| async {
        let (client, server) = pair().await;
        client.set_linger(Some(Duration::ZERO)).expect("set");
        drop(client);
        let error = server.read(&mut [0; 4]).await.expect_err("reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let error = server
            .write_all(b"into the void")
            .await
            .expect_err("broken");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        server.shutdown(Shutdown::Both).expect("gone is no error");
    });
}

#[test]
fn options_are_kept() {
    run(|| async {
        let (client, _server) = pair().await;
        client.set_nodelay(true).expect("set");
        assert!(client.nodelay().expect("asked"));
        assert_eq!(client.linger().expect("asked"), None);
        client
            .set_linger(Some(Duration::from_secs(3)))
            .expect("set");
        assert_eq!(
            client.linger().expect("asked"),
            Some(Duration::from_secs(3))
        );
        client.set_linger(None).expect("set");
        client.set_ttl(33).expect("set");
        assert_eq!(client.ttl().expect("asked"), 33);
        assert!(client.take_error().expect("asked").is_none());
    });
}

#[test]
fn each_connection_goes_to_one_of_several_acceptors() {
    run(|| async {
        const CONNECTIONS: usize = 200;
        let (listener, addr) = listen().await;
        let listener = Arc::new(listener);
        let accepted = Arc::new(AtomicUsize::new(0));
        let acceptors: Vec<_> = (0..4)
            .map(|_| {
                let (listener, accepted) = (listener.clone(), accepted.clone());
                create_task(async move {
                    loop {
                        let (stream, _) = listener.accept().await.expect("accepted");
                        accepted.fetch_add(1, Ordering::Relaxed);
                        stream.write_all(b"!").await.expect("written");
                    }
                })
            })
            .collect();
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                create_task(async move {
                    let stream = TcpStream::connect(addr).await.expect("connected");
                    drain(&stream).await
                })
            })
            .collect();
        for client in clients {
            assert_eq!(client.await.expect("no panic"), b"!");
        }
        assert_eq!(accepted.load(Ordering::Relaxed), CONNECTIONS);
        for acceptor in acceptors {
            acceptor.cancel();
        }
    });
}

#[test]
fn many_round_trips_on_many_connections_lose_no_wake_up() {
    run(|| async {
        let (listener, addr) = listen().await;
        let server = create_task(async move {
            let mut incoming = listener.incoming();
            loop {
                let (stream, _) = incoming.next().await.expect("accepted");
                drop(create_task(async move {
                    let mut bytes = [0; 64];
                    loop {
                        match stream.read(&mut bytes).await.expect("read") {
                            0 => break,
                            n => stream.write_all(&bytes[..n]).await.expect("written"),
                        }
                    }
                }));
            }
        });
        let clients: Vec<_> = (0..32u8)
            .map(|id| {
                create_task(async move {
                    let stream = TcpStream::connect(addr).await.expect("connected");
                    for round in 0..200u8 {
                        let message = [id, round, 3];
                        let mut answer = [0; 3];
                        stream.write_all(&message).await.expect("written");
                        stream.read_exact(&mut answer).await.expect("read");
                        assert_eq!(answer, message);
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.expect("no panic");
        }
        server.cancel();
    });
}

#[test]
fn a_reader_and_a_writer_share_a_stream_by_reference() {
    run(|| async {
        let (client, server) = pair().await;
        let client = Arc::new(client);
        let reader = {
            let client = client.clone();
            create_task(async move { drain(&client).await })
        };
        client.write_all(b"ping").await.expect("written");
        let mut bytes = [0; 4];
        server.read_exact(&mut bytes).await.expect("read");
        server.write_all(b"pong").await.expect("written");
        drop(server);
        assert_eq!(reader.await.expect("no panic"), b"pong");
    });
}

#[test]
fn a_stream_that_outlives_its_runtime_reports_an_error_instead_of_hanging() {
    let runtime = Runtime::builder()
        .worker_threads(1)
        .build()
        .expect("a runtime");
    let (client, _server) = runtime.block_on(pair());
    drop(runtime);
    run(|| async {
        let error = client
            .read(&mut [0; 4])
            .await
            .expect_err("its runtime is gone");
        assert!(error.to_string().contains("has shut down"), "{error}");
    });
}

#[test]
fn a_cancelled_connect_leaves_nothing_behind() {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
    run(|| async {
        // A queue of one that nobody empties: soon a handshake is left unanswered.
        let full = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&full, &SocketAddr::from(ANY)).expect("bound");
        listen(&full, 0).expect("listening");
        let addr = SocketAddr::try_from(getsockname(&full).expect("bound")).expect("an address");
        let mut queued = Vec::new();
        let sources = || Handle::current().metrics().registered_sources;
        loop {
            let before = sources();
            match timeout(Duration::from_millis(20), TcpStream::connect(addr)).await {
                Ok(stream) => queued.push(stream.expect("queued")),
                Err(_) => {
                    assert_eq!(sources(), before);
                    break;
                }
            }
        }
        assert!(queued.len() < 20);
    });
}

#[test]
fn an_operation_that_is_always_ready_lets_others_run() {
    // On one thread: with several, the other task has a thread of its own.
    let runtime = Runtime::builder()
        .current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("non-blocking");
        let ours = Registered::new(ours, Interest::Both).expect("registered");
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = turns.clone();
        let other = create_task(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        });
        yield_now().await;
        let before = turns.load(Ordering::Relaxed);
        for _ in 0..2000 {
            ours.async_io(Direction::Write, |_| Ok(()))
                .await
                .expect("nothing to fail");
        }
        assert!(
            turns.load(Ordering::Relaxed) > before,
            "two thousand operations in one poll"
        );
        other.cancel();
    });
}

#[test]
fn outside_a_runtime_the_error_says_so() {
    let listener = std::net::TcpListener::bind(ANY).expect("bound");
    let error = TcpListener::from_std(listener).expect_err("no runtime");
    assert!(error.to_string().contains("no runtime"), "{error}");
}

#[test]
fn sockets_of_std_are_taken_over_and_given_back() {
    run(|| async {
        let listener = std::net::TcpListener::bind(ANY).expect("bound");
        let addr = listener.local_addr().expect("bound");
        let listener = TcpListener::from_std(listener).expect("registered");
        let client = std::net::TcpStream::connect(addr).expect("connected");
        let client = TcpStream::from_std(client).expect("registered");
        let (server, _) = listener.accept().await.expect("accepted");
        client.write_all(b"x").await.expect("written");
        assert_eq!(server.read(&mut [0; 4]).await.expect("read"), 1);
        let client = TcpStream::from_std(client.into_std()).expect("registered again");
        client.write_all(b"y").await.expect("written");
        assert_eq!(server.read(&mut [0; 4]).await.expect("read"), 1);
        drop(listener.into_std());
    });
}

#[test]
fn any_pollable_descriptor_can_be_waited_for() {
    run(|| async {
        use std::io::{Read, Write};
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("non-blocking");
        let ours = Registered::new(ours, Interest::Both).expect("registered");
        let reader = create_task(async move {
            let mut bytes = [0; 8];
            let n = ours
                .async_io(Direction::Read, |mut fd| fd.read(&mut bytes))
                .await
                .expect("read");
            (ours, n)
        });
        yield_now().await;
        theirs.write_all(b"abc").expect("written");
        let (ours, n) = reader.await.expect("no panic");
        assert_eq!(n, 3);
        let tried = ours.try_io(Direction::Read, |mut fd| fd.read(&mut [0; 4]));
        assert_eq!(tried.expect_err("empty").kind(), io::ErrorKind::WouldBlock);
        let polled = poll_fn(|cx| ours.poll_io(cx, Direction::Write, |mut fd| fd.write(b"back")));
        assert_eq!(polled.await.expect("written"), 4);
        assert!(ours.into_inner().write(b"!").is_ok());
    });
}

#[test]
fn a_descriptor_is_registered_once_and_its_duplicate_apart_from_it() {
    run(|| async {
        use std::io::{Read, Write};
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("non-blocking");
        let duplicate = ours.try_clone().expect("a descriptor");
        let first = Registered::new(ours, Interest::Both).expect("registered");
        let refused = Registered::new(first.get_ref(), Interest::Both).expect_err("it is already");
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert!(refused.to_string().contains("duplicate"), "{refused}");
        let second = Registered::new(duplicate, Interest::Both).expect("another descriptor");
        // The socket lives on behind the duplicate: what comes is its own.
        drop(first);
        theirs.write_all(b"abc").expect("written");
        let read = second.async_io(Direction::Read, |mut fd| fd.read(&mut [0; 8]));
        assert_eq!(read.await.expect("read"), 3);
    });
}

#[test]
fn futures_io_reads_writes_and_closes() {
    use futures_io::{AsyncRead, AsyncWrite};
    run(|| async {
        let (mut client, mut server) = pair().await;
        let slices = [IoSlice::new(b"two "), IoSlice::new(b"slices")];
        let n = poll_fn(|cx| Pin::new(&mut client).poll_write_vectored(cx, &slices)).await;
        assert_eq!(n.expect("written"), 10);
        poll_fn(|cx| Pin::new(&mut client).poll_flush(cx))
            .await
            .expect("flushed");
        poll_fn(|cx| Pin::new(&mut client).poll_close(cx))
            .await
            .expect("closed");
        let mut bytes = [0; 16];
        for want in [&b"two slices"[..], b""] {
            let n = poll_fn(|cx| Pin::new(&mut server).poll_read(cx, &mut bytes)).await;
            assert_eq!(&bytes[..n.expect("read")], want);
        }
    });
}

#[cfg(feature = "tokio-io")]
#[test]
fn tokios_traits_read_write_and_shut_down() {
    use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};
    run(|| async {
        let (mut client, server) = pair().await;
        assert!(client.is_write_vectored());
        let data = pattern(300_000);
        let sent = data.clone();
        let writer = create_task(async move {
            let client = &mut client;
            tokio::io::AsyncWriteExt::write_all(client, &sent)
                .await
                .expect("written");
            client.flush().await.expect("flushed");
            tokio::io::AsyncWriteExt::shutdown(client)
                .await
                .expect("shut down");
        });
        let (mut reader, _writer) = server.into_split();
        let mut got = Vec::new();
        reader.read_to_end(&mut got).await.expect("read");
        assert!(got == data);
        writer.await.expect("no panic");
    });
}

#[cfg(feature = "hyper")]
mod over_hyper {
    use super::*;
    use hyper::body::{Body as _, Incoming};
    use hyper::rt::{Executor as _, Timer as _};
    use hyper::service::service_fn;
    use hyper::{Request, Response};
    use loxley_io::hyper_rt::{Executor, Timer};

    async fn text(mut body: Incoming) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            if let Ok(data) = frame.expect("a frame").into_data() {
                all.extend_from_slice(&data);
            }
        }
        all
    }

    #[test]
    fn a_server_and_a_client_of_hyper_talk_over_our_streams() {
        run(|| async {
            let (client, server) = pair().await;
            Executor.execute(async move {
                let echo = service_fn(|request: Request<Incoming>| async move {
                    let body = text(request.into_body()).await;
                    Ok::<_, std::convert::Infallible>(Response::new(
                        String::from_utf8(body).expect("text"),
                    ))
                });
                hyper::server::conn::http1::Builder::new()
                    .timer(Timer)
                    .header_read_timeout(HANG)
                    .serve_connection(server, echo)
                    .await
                    .expect("served");
            });
            let (mut requests, connection) = hyper::client::conn::http1::handshake(client)
                .await
                .expect("hands shaken");
            let connection = create_task(connection);
            for len in [0, 10, 100_000] {
                requests.ready().await.expect("still connected");
                let body = "x".repeat(len);
                let request = Request::post("/").header("host", "here").body(body.clone());
                let response = requests
                    .send_request(request.expect("a request"))
                    .await
                    .expect("a response");
                assert!(text(response.into_body()).await == body.as_bytes());
            }
            drop(requests);
            connection
                .await
                .expect("no panic")
                .expect("closed in order");
        });
    }

    #[test]
    fn hypers_timer_sleeps_and_moves_a_sleep_in_place() {
        run(|| async {
            let mut sleep = Timer.sleep(HANG * 2);
            let before = std::ptr::from_ref(&*sleep).cast::<()>();
            Timer.reset(
                &mut sleep,
                std::time::Instant::now() + Duration::from_millis(2),
            );
            assert_eq!(before, std::ptr::from_ref(&*sleep).cast::<()>());
            sleep.await;
            Timer.sleep(Duration::from_millis(1)).await;
        });
    }
}
