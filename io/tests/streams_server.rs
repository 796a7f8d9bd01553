//! `Server`: who is let in, what happens to handlers, and how it all ends.

mod streams_support;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loxley_io::streams::{
    ReadError, ServeError, Server, ServerBuilder, StreamReader, StreamWriter,
};
use loxley_io::{TcpStream, open_connection, start_server};
use loxley_runtime::testing::{Config, cancel_at_every_pending, drop_at_every_pending, run};
use loxley_runtime::{TaskRef, create_task, current_task, timeout, yield_now};
use loxley_sync::Event;
use streams_support::{each, each_reporting, pattern, same, slurp, until};

const ANY: &str = "127.0.0.1:0";

fn addr(server: &Server) -> SocketAddr {
    server.local_addr().expect("bound")
}

/// Gives back every line.
async fn echo(mut reader: StreamReader, writer: StreamWriter) -> Result<(), ReadError> {
    let mut lines = reader.lines();
    while let Some(line) = lines.next().await? {
        writer.write(&line);
        writer.drain().await?;
    }
    Ok(())
}

/// Sends a line and takes one.
async fn ask(reader: &mut StreamReader, writer: &StreamWriter, line: &[u8]) {
    writer.write(line);
    assert_eq!(reader.readline().await.unwrap(), line);
}

/// Whether nobody listens there.
async fn is_refused(addr: SocketAddr) -> bool {
    match TcpStream::connect(addr).await {
        Ok(_) => false,
        Err(error) => error.kind() == io::ErrorKind::ConnectionRefused,
    }
}

#[test]
fn every_connection_is_served_in_a_task_of_its_own() {
    each(|| async {
        let server = start_server(echo, ANY).await.unwrap();
        assert!(server.is_serving());
        let addr = addr(&server);
        let clients: Vec<_> = (0..50)
            .map(|id| {
                create_task(async move {
                    let (mut reader, writer) = open_connection(addr).await.unwrap();
                    for turn in 0..20 {
                        let line = format!("client {id} turn {turn}\n");
                        ask(&mut reader, &writer, line.as_bytes()).await;
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        server.close();
        server.wait_closed().await;
        assert_eq!(server.connections(), 0);
    });
}

#[test]
fn the_addresses_of_both_ends_agree_and_small_writes_are_sent_at_once() {
    each(|| async {
        let seen: Arc<Mutex<Option<(SocketAddr, SocketAddr)>>> = Arc::default();
        let told = seen.clone();
        let server = start_server(
            move |_, writer: StreamWriter| {
                let told = told.clone();
                async move {
                    let socket = writer.socket().expect("a socket");
                    assert!(rustix::net::sockopt::tcp_nodelay(socket).unwrap());
                    let ends = (writer.peer_addr().unwrap(), writer.local_addr().unwrap());
                    *told.lock().unwrap() = Some(ends);
                }
            },
            ANY,
        )
        .await
        .unwrap();
        let (mut reader, writer) = open_connection(addr(&server)).await.unwrap();
        let socket = writer.socket().expect("a socket");
        assert!(rustix::net::sockopt::tcp_nodelay(socket).unwrap());
        assert_eq!(reader.read(1).await.unwrap(), b"");
        let ends = (writer.local_addr().unwrap(), writer.peer_addr().unwrap());
        assert_eq!(*seen.lock().unwrap(), Some(ends));
    });
}

#[test]
fn a_handler_that_returns_closes_the_connection_behind_what_it_wrote() {
    each(|| async {
        let bytes = pattern(4 << 20);
        let sent = bytes.clone();
        let server = start_server(
            move |_, writer: StreamWriter| {
                let sent = sent.clone();
                async move { writer.write(&sent) }
            },
            ANY,
        )
        .await
        .unwrap();
        let peer = TcpStream::connect(addr(&server)).await.unwrap();
        same(&slurp(&peer).await.unwrap(), &bytes);
        drop(peer);
        server.close();
        server.wait_closed().await;
    });
}

#[test]
fn a_handler_that_returns_while_its_writer_lives_elsewhere_keeps_the_connection() {
    each(|| async {
        let kept: Arc<Mutex<Vec<(StreamReader, StreamWriter)>>> = Arc::default();
        let keep = kept.clone();
        let server = start_server(
            move |reader, writer| {
                keep.lock().unwrap().push((reader, writer));
                async {}
            },
            ANY,
        )
        .await
        .unwrap();
        let (mut reader, writer) = open_connection(addr(&server)).await.unwrap();
        until(|| !kept.lock().unwrap().is_empty()).await;
        assert_eq!(server.connections(), 1);
        let (mut theirs, their_writer) = kept.lock().unwrap().pop().unwrap();
        their_writer.write(b"still here\n");
        assert_eq!(reader.readline().await.unwrap(), b"still here\n");
        writer.write(b"me too\n");
        assert_eq!(theirs.readline().await.unwrap(), b"me too\n");
        server.close();
        drop((theirs, their_writer));
        server.wait_closed().await;
    });
}

#[test]
fn a_handlers_error_is_reported_with_its_peer_and_closes_the_connection() {
    each_reporting(|reports| async move {
        let kept: Arc<Mutex<Vec<StreamWriter>>> = Arc::default();
        let keep = kept.clone();
        let server = start_server(
            move |mut reader: StreamReader, writer| {
                // Somebody else holds the writer, too.
                keep.lock().unwrap().push(writer);
                async move {
                    reader.readexactly(4).await?;
                    Ok::<(), ReadError>(())
                }
            },
            ANY,
        )
        .await
        .unwrap();
        let peer = TcpStream::connect(addr(&server)).await.unwrap();
        peer.write_all(b"abc").await.unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(slurp(&peer).await.unwrap(), b"");
        until(|| !reports.list().is_empty()).await;
        let [report] = &reports.list()[..] else {
            panic!("{:?}", reports.list());
        };
        let from = peer.local_addr().unwrap().to_string();
        assert!(report.contains(&from), "{report}");
        assert!(report.contains("3 bytes read on a total of 4"), "{report}");
        assert!(kept.lock().unwrap()[0].is_closing());
        assert!(server.is_serving());
    });
}

#[test]
fn a_handlers_panic_is_reported_with_its_peer_and_closes_that_connection_alone() {
    each_reporting(|reports| async move {
        let kept: Arc<Mutex<Vec<StreamWriter>>> = Arc::default();
        let keep = kept.clone();
        let server = start_server(
            move |mut reader: StreamReader, writer: StreamWriter| {
                keep.lock().unwrap().push(writer.clone());
                let first = keep.lock().unwrap().len() == 1;
                assert!(!first, "before the first await");
                async move {
                    let line = reader.readline().await.unwrap();
                    assert_ne!(line, b"die\n", "after the first await");
                    writer.write(&line);
                }
            },
            ANY,
        )
        .await
        .unwrap();
        for line in [b"any\n", b"die\n", b"fun\n"] {
            let (mut reader, writer) = open_connection(addr(&server)).await.unwrap();
            writer.write(line);
            let answer = reader.readline().await.unwrap_or_default();
            assert_eq!(answer.is_empty(), line != b"fun\n");
            // Those that panicked are closed although somebody holds a writer; this one is closed here.
            kept.lock().unwrap().last().unwrap().close();
        }
        until(|| reports.list().len() == 2).await;
        let reports = reports.list();
        assert!(
            reports[0].contains("panicked: before the first await"),
            "{reports:?}"
        );
        assert!(reports[1].contains("after the first await"), "{reports:?}");
        assert!(reports[1].contains("127.0.0.1:"), "{reports:?}");
    });
}

#[test]
fn a_cancelled_handler_closes_its_connection_in_silence() {
    each(|| async {
        let tasks: Arc<Mutex<Vec<(TaskRef, StreamWriter)>>> = Arc::default();
        let told = tasks.clone();
        let server = start_server(
            move |mut reader: StreamReader, writer: StreamWriter| {
                let told = told.clone();
                async move {
                    let task = current_task().expect("a task");
                    told.lock().unwrap().push((task, writer));
                    let _ = reader.read_to_end().await;
                }
            },
            ANY,
        )
        .await
        .unwrap();
        let peer = TcpStream::connect(addr(&server)).await.unwrap();
        until(|| !tasks.lock().unwrap().is_empty()).await;
        let (task, writer) = tasks.lock().unwrap().pop().unwrap();
        assert!(task.cancel());
        assert_eq!(slurp(&peer).await.unwrap(), b"");
        until(|| writer.is_closing()).await;
        server.close();
        server.wait_closed().await;
    });
}

#[test]
fn a_server_told_to_wait_is_bound_and_refuses_until_it_serves() {
    each(|| async {
        let server = ServerBuilder::new()
            .addr(ANY)
            .start_serving(false)
            .start(echo)
            .await
            .unwrap();
        assert!(!server.is_serving());
        assert_eq!(server.sockets().len(), 1);
        let addr = addr(&server);
        assert!(is_refused(addr).await);
        server.start_serving().unwrap();
        server.start_serving().unwrap();
        assert!(server.is_serving());
        let (mut reader, writer) = open_connection(addr).await.unwrap();
        ask(&mut reader, &writer, b"hello\n").await;
        server.close();
        assert!(matches!(server.start_serving(), Err(ServeError::Closed)));
        // One that never served is closed, too.
        let server = ServerBuilder::new()
            .addr(ANY)
            .start_serving(false)
            .start(echo)
            .await
            .unwrap();
        server.close();
        server.wait_closed().await;
        assert!(server.sockets().is_empty());
    });
}

#[test]
fn close_stops_listening_at_once_and_leaves_connections_alone() {
    each(|| async {
        let server = start_server(echo, ANY).await.unwrap();
        let addr = addr(&server);
        let (mut reader, writer) = open_connection(addr).await.unwrap();
        ask(&mut reader, &writer, b"before\n").await;
        server.close();
        assert!(!server.is_serving());
        assert!(server.sockets().is_empty());
        assert!(is_refused(addr).await);
        server.close();
        ask(&mut reader, &writer, b"after\n").await;
        let waiting = server.clone();
        let closed = create_task(async move { waiting.wait_closed().await });
        for _ in 0..50 {
            yield_now().await;
        }
        assert!(!closed.is_finished(), "a connection is left");
        drop((reader, writer));
        closed.await.unwrap();
        server.wait_closed().await;
        // The port is free.
        let second = start_server(echo, addr).await.unwrap();
        second.close();
    });
}

#[test]
fn wait_closed_waits_for_close_when_the_connections_are_gone_before() {
    each(|| async {
        let server = start_server(echo, ANY).await.unwrap();
        drop(open_connection(addr(&server)).await.unwrap());
        let waiting = server.clone();
        let closed = create_task(async move { waiting.wait_closed().await });
        until(|| server.connections() == 0).await;
        for _ in 0..50 {
            yield_now().await;
        }
        assert!(!closed.is_finished());
        server.close();
        closed.await.unwrap();
    });
}

#[test]
fn close_clients_lets_what_is_queued_go_and_handlers_see_the_end() {
    each(|| async {
        let bytes = pattern(4 << 20);
        let sent = bytes.clone();
        let ended = Arc::new(AtomicUsize::new(0));
        let counted = ended.clone();
        let server = start_server(
            move |mut reader: StreamReader, writer: StreamWriter| {
                let (sent, counted) = (sent.clone(), counted.clone());
                async move {
                    writer.write(&sent);
                    assert_eq!(reader.readline().await.unwrap(), b"");
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            },
            ANY,
        )
        .await
        .unwrap();
        let peers = [
            TcpStream::connect(addr(&server)).await.unwrap(),
            TcpStream::connect(addr(&server)).await.unwrap(),
        ];
        for peer in &peers {
            peer.peek(&mut [0]).await.unwrap();
        }
        server.close_clients();
        for peer in peers {
            same(&slurp(&peer).await.unwrap(), &bytes);
        }
        assert!(server.is_serving());
        until(|| ended.load(Ordering::Relaxed) == 2).await;
        server.close();
        server.wait_closed().await;
    });
}

#[test]
fn abort_clients_gives_up_on_peers_that_never_read() {
    each(|| async {
        let slot: Arc<Mutex<Option<StreamWriter>>> = Arc::default();
        let told = slot.clone();
        let server = start_server(
            move |_, writer: StreamWriter| {
                *told.lock().unwrap() = Some(writer.clone());
                async move {
                    let bytes = vec![0; 100_000];
                    loop {
                        writer.write(&bytes);
                        // A handler may end in good order when its connection is aborted.
                        if writer.drain().await.is_err() {
                            break;
                        }
                    }
                }
            },
            ANY,
        )
        .await
        .unwrap();
        let peer = TcpStream::connect(addr(&server)).await.unwrap();
        until(|| slot.lock().unwrap().is_some()).await;
        let writer = slot.lock().unwrap().take().unwrap();
        // The queue of a peer that never reads is bounded: the mark, and what was written last.
        until(|| writer.get_write_buffer_size() > 64 << 10).await;
        for _ in 0..100 {
            assert!(writer.get_write_buffer_size() <= (64 << 10) + 100_000);
            yield_now().await;
        }
        server.close();
        server.close_clients();
        let stuck = timeout(Duration::from_millis(20), server.wait_closed()).await;
        assert!(stuck.is_err(), "what is queued is still to be sent");
        server.abort_clients();
        server.wait_closed().await;
        let error = slurp(&peer).await.expect_err("not whole");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn serve_forever_ends_when_somebody_else_closes_the_server() {
    each(|| async {
        let server = ServerBuilder::new()
            .addr(ANY)
            .start_serving(false)
            .start(echo)
            .await
            .unwrap();
        let forever = server.clone();
        let serving = create_task(async move { forever.serve_forever().await });
        until(|| server.is_serving()).await;
        let error = server.serve_forever().await.unwrap_err();
        assert!(matches!(error, ServeError::AlreadyServing));
        assert!(server.is_serving());
        server.close();
        assert!(matches!(serving.await.unwrap(), Err(ServeError::Closed)));
        let error = server.serve_forever().await.unwrap_err();
        assert!(matches!(error, ServeError::Closed));
    });
}

#[test]
fn serve_forever_that_is_cancelled_closes_the_server_and_waits_for_its_connections() {
    each(|| async {
        let server = start_server(echo, ANY).await.unwrap();
        let addr = addr(&server);
        let (mut reader, writer) = open_connection(addr).await.unwrap();
        ask(&mut reader, &writer, b"hello\n").await;
        let forever = server.clone();
        let begun = Arc::new(Event::new());
        let begins = begun.clone();
        let serving = create_task(async move {
            begins.set();
            forever.serve_forever().await
        });
        begun.wait().await;
        serving.cancel();
        until(|| !server.is_serving()).await;
        assert!(is_refused(addr).await);
        ask(&mut reader, &writer, b"still served\n").await;
        assert!(!serving.is_finished());
        drop((reader, writer));
        assert!(serving.await.unwrap_err().is_cancelled());
    });
}

// python/cpython#123720
#[test]
fn a_client_that_stays_does_not_keep_a_cancelled_server_from_ending() {
    each(|| async {
        let brief = ServerBuilder::new()
            .addr(ANY)
            .shutdown_timeout(Duration::from_millis(5));
        let server = brief.start(echo).await.unwrap();
        let (mut reader, writer) = open_connection(addr(&server)).await.unwrap();
        ask(&mut reader, &writer, b"hello\n").await;
        let begun = Arc::new(Event::new());
        let begins = begun.clone();
        let serving = create_task(async move {
            begins.set();
            server.serve_forever().await
        });
        begun.wait().await;
        serving.cancel();
        assert_eq!(reader.readline().await.unwrap(), b"", "told to go");
        assert!(serving.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_client_that_takes_nothing_is_broken_off_when_a_cancelled_server_ends() {
    // Only time can end it: the clock jumps over the second that such a client is given.
    run(Config::new().current_thread().paused(true), async {
        let brief = ServerBuilder::new()
            .addr(ANY)
            .shutdown_timeout(Duration::ZERO);
        let begun = Arc::new(Event::new());
        let begins = begun.clone();
        let pours = move |_, writer: StreamWriter| {
            let begins = begins.clone();
            async move {
                begins.set();
                let bytes = vec![0; 1 << 20];
                loop {
                    writer.write(&bytes);
                    if writer.drain().await.is_err() {
                        break;
                    }
                }
            }
        };
        let server = brief.start(pours).await.unwrap();
        let peer = TcpStream::connect(addr(&server)).await.unwrap();
        begun.wait().await;
        let served = server.serving(async {}).await;
        served.unwrap();
        assert_eq!(server.connections(), 0);
        let error = slurp(&peer).await.expect_err("not whole");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn serve_forever_that_is_dropped_closes_the_server() {
    each(|| async {
        let server = start_server(echo, ANY).await.unwrap();
        let dropped = timeout(Duration::from_millis(1), server.serve_forever()).await;
        assert!(dropped.is_err());
        assert!(!server.is_serving());
    });
}

#[test]
fn serving_serves_for_as_long_as_its_future_runs() {
    each(|| async {
        let server = ServerBuilder::new()
            .addr(ANY)
            .start_serving(false)
            .start(echo)
            .await
            .unwrap();
        let addr = addr(&server);
        let answer = server.serving(async {
            let (mut reader, writer) = open_connection(addr).await.unwrap();
            ask(&mut reader, &writer, b"hello\n").await;
            7
        });
        assert_eq!(answer.await.unwrap(), 7);
        assert_eq!(server.connections(), 0);
        assert!(is_refused(addr).await);
        let error = server.serving(async {}).await.unwrap_err();
        assert!(matches!(error, ServeError::Closed));
    });
}

#[test]
fn the_last_handle_closes_the_server_and_connections_live_on() {
    each(|| async {
        let server = start_server(echo, ANY).await.unwrap();
        let addr = addr(&server);
        let second = server.clone();
        drop(server);
        let (mut reader, writer) = open_connection(addr).await.unwrap();
        ask(&mut reader, &writer, b"hello\n").await;
        drop(second);
        assert!(is_refused(addr).await);
        ask(&mut reader, &writer, b"still there\n").await;
    });
}

#[test]
fn a_handler_may_close_its_own_server() {
    each(|| async {
        let slot: Arc<Mutex<Option<Server>>> = Arc::default();
        let own = slot.clone();
        let server = start_server(
            move |_, _| {
                let own = own.clone();
                async move {
                    if let Some(server) = &*own.lock().unwrap() {
                        server.close();
                    }
                }
            },
            ANY,
        )
        .await
        .unwrap();
        *slot.lock().unwrap() = Some(server.clone());
        let peer = TcpStream::connect(addr(&server)).await.unwrap();
        server.wait_closed().await;
        assert_eq!(slurp(&peer).await.unwrap(), b"");
        // The handler is gone with the server, and with it the handle it held.
        until(|| Arc::strong_count(&slot) == 1).await;
    });
}

#[test]
fn no_more_connections_are_served_at_once_than_allowed() {
    each(|| async {
        let now = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let (counted, highest) = (now.clone(), most.clone());
        let server = ServerBuilder::new()
            .addr(ANY)
            .addr(ANY)
            .max_connections(3)
            .start(move |mut reader: StreamReader, writer: StreamWriter| {
                let (counted, highest) = (counted.clone(), highest.clone());
                async move {
                    let count = counted.fetch_add(1, Ordering::AcqRel) + 1;
                    highest.fetch_max(count, Ordering::AcqRel);
                    writer.write(b"hello\n");
                    let _ = reader.read_to_end().await;
                    counted.fetch_sub(1, Ordering::AcqRel);
                }
            })
            .await
            .unwrap();
        let addrs: Vec<_> = server
            .sockets()
            .iter()
            .filter_map(|s| s.as_inet())
            .collect();
        let clients: Vec<_> = (0..20)
            .map(|id| {
                let addr = addrs[id % 2];
                create_task(async move {
                    let (mut reader, _writer) = open_connection(addr).await.unwrap();
                    assert_eq!(reader.readline().await.unwrap(), b"hello\n");
                    for _ in 0..20 {
                        yield_now().await;
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        assert!((1..=3).contains(&most.load(Ordering::Acquire)));
    });
}

#[test]
fn several_addresses_are_served_and_all_or_none_are_bound() {
    each(|| async {
        let server = ServerBuilder::new()
            .addr(ANY)
            .addr("127.0.0.2:0")
            .start(echo)
            .await
            .unwrap();
        let sockets = server.sockets();
        assert_eq!(sockets.len(), 2);
        for socket in &sockets {
            let (mut reader, writer) = open_connection(socket.as_inet().unwrap()).await.unwrap();
            ask(&mut reader, &writer, b"hello\n").await;
        }
        let taken = sockets[1].as_inet().unwrap();
        let free = std::net::TcpListener::bind(ANY)
            .unwrap()
            .local_addr()
            .unwrap();
        let error = ServerBuilder::new()
            .addr(free)
            .addr(taken)
            .start(echo)
            .await
            .expect_err("in use");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&taken.to_string()), "{error}");
        assert!(is_refused(free).await);
        let error = start_server(echo, "127.0.0.1").await.expect_err("no port");
        assert!(error.to_string().contains("host:port"), "{error}");
        let error = start_server(echo, "192.0.2.1:0")
            .await
            .expect_err("not ours");
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
        assert!(error.to_string().contains("192.0.2.1"), "{error}");
        let error = ServerBuilder::new().start(echo).await.expect_err("nowhere");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn a_name_is_served_on_every_address_that_it_has_here() {
    each(|| async {
        let server = start_server(echo, "localhost:0").await.unwrap();
        for socket in server.sockets() {
            let (mut reader, writer) = open_connection(socket.as_inet().unwrap()).await.unwrap();
            ask(&mut reader, &writer, b"hello\n").await;
        }
        // One that this machine does not have is left out beside one that it has.
        let addrs = ["192.0.2.1:0", ANY].map(|text| text.parse().unwrap());
        let server = start_server(echo, &addrs[..]).await.unwrap();
        assert_eq!(server.sockets().len(), 1);
    });
}

#[test]
#[expect(clippy::print_stderr, reason = "a facility that is missing is named")]
fn ipv6_is_served_apart_from_ipv4() {
    each(|| async {
        let Ok(server) = start_server(echo, "[::]:0").await else {
            eprintln!("not run: this machine has no IPv6");
            return;
        };
        let port = addr(&server).port();
        let second = start_server(echo, ("0.0.0.0".parse::<std::net::IpAddr>().unwrap(), port));
        assert_eq!(addr(&second.await.unwrap()).port(), port);
    });
}

#[test]
fn several_servers_may_share_a_port_if_they_say_so() {
    each(|| async {
        let share = || ServerBuilder::new().reuse_port(true);
        let first = share().addr(ANY).start(echo).await.unwrap();
        let second = share().addr(addr(&first)).start(echo).await.unwrap();
        assert_eq!(addr(&first), addr(&second));
        assert!(start_server(echo, addr(&first)).await.is_err());
    });
}

#[test]
fn a_given_socket_and_every_knob_are_taken() {
    each(|| async {
        let listener = std::net::TcpListener::bind(ANY).unwrap();
        let given = listener.local_addr().unwrap();
        let server = ServerBuilder::new()
            .listener(listener)
            .backlog(8)
            .keep_alive(true)
            .nodelay(false)
            .limit(5)
            .start(
                |mut reader: StreamReader, writer: StreamWriter| async move {
                    let socket = writer.socket().unwrap();
                    assert!(rustix::net::sockopt::socket_keepalive(socket).unwrap());
                    assert!(!rustix::net::sockopt::tcp_nodelay(socket).unwrap());
                    assert_eq!(reader.limit(), 5);
                    let error = reader.readline().await.expect_err("over the limit");
                    assert!(matches!(error, ReadError::LineTooLong(_)));
                    writer.write(b"too long\n");
                },
            )
            .await
            .unwrap();
        assert_eq!(addr(&server), given);
        let (mut reader, writer) = open_connection(given).await.unwrap();
        writer.write(b"1234567\n");
        assert_eq!(reader.readline().await.unwrap(), b"too long\n");
        assert!(std::panic::catch_unwind(|| ServerBuilder::new().limit(0)).is_err());
        assert!(std::panic::catch_unwind(|| ServerBuilder::new().max_connections(0)).is_err());
    });
}

#[test]
fn peers_that_dribble_do_not_keep_others_from_being_served() {
    each(|| async {
        let server = start_server(echo, ANY).await.unwrap();
        let addr = addr(&server);
        let mut slow = Vec::new();
        for _ in 0..200 {
            let stream = TcpStream::connect(addr).await.unwrap();
            stream.write_all(b"G").await.unwrap();
            slow.push(stream);
        }
        until(|| server.connections() == 200).await;
        for byte in [b"E", b"T"] {
            for stream in &slow {
                stream.write_all(byte).await.unwrap();
            }
            let (mut reader, writer) = open_connection(addr).await.unwrap();
            ask(&mut reader, &writer, b"and me\n").await;
        }
        slow[7].write_all(b"\n").await.unwrap();
        let mut line = [0; 4];
        slow[7].read_exact(&mut line).await.unwrap();
        assert_eq!(&line, b"GET\n");
    });
}

#[test]
fn a_peer_that_floods_without_a_line_costs_twice_the_limit_at_most() {
    each(|| async {
        let refused = Arc::new(Event::new());
        let seen = refused.clone();
        let server = ServerBuilder::new()
            .addr(ANY)
            .limit(1000)
            .start(move |mut reader: StreamReader, _writer: StreamWriter| {
                let seen = seen.clone();
                async move {
                    let error = reader.readuntil(b"\n").await.expect_err("too long");
                    assert!(matches!(error, ReadError::LimitOverrun(_)));
                    let held = format!("{reader:?}");
                    let held = held.split("buffered: ").nth(1).unwrap();
                    let held: usize = held.split(' ').next().unwrap().parse().unwrap();
                    assert!(held <= 2000, "{held}");
                    seen.set();
                    let _ = reader.readexactly(usize::MAX).await;
                }
            })
            .await
            .unwrap();
        let peer = TcpStream::connect(addr(&server)).await.unwrap();
        peer.write_all(&[b'x'; 100_000]).await.unwrap();
        refused.wait().await;
    });
}

#[test]
fn a_given_socket_goes_on_for_others_when_the_server_is_closed() {
    each(|| async {
        let ours = std::net::TcpListener::bind(ANY).unwrap();
        let theirs = ours.try_clone().unwrap();
        let start = |socket| ServerBuilder::new().listener(socket).start(echo);
        let old = start(ours).await.unwrap();
        let addr = addr(&old);
        let (mut early_reader, early_writer) = open_connection(addr).await.unwrap();
        ask(&mut early_reader, &early_writer, b"early\n").await;
        let new = start(theirs).await.unwrap();
        old.close();
        for _ in 0..20 {
            let (mut reader, writer) = open_connection(addr).await.unwrap();
            ask(&mut reader, &writer, b"late\n").await;
        }
        ask(&mut early_reader, &early_writer, b"still there\n").await;
        drop((early_reader, early_writer));
        old.wait_closed().await;
        new.close();
        new.wait_closed().await;
        assert!(is_refused(addr).await);
    });
}

#[test]
fn a_server_given_up_at_any_point_leaves_nothing_bound() {
    each(|| async {
        let port = std::net::TcpListener::bind(ANY)
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let scenario = move || {
            let future = async move {
                // A name, so that there is something to wait for.
                let server = start_server(echo, ("localhost", port)).await.unwrap();
                let (mut reader, writer) = open_connection(addr(&server)).await.unwrap();
                ask(&mut reader, &writer, b"hello\n").await;
                writer.close();
                writer.wait_closed().await.unwrap();
                server.close();
                server.wait_closed().await;
            };
            (future, ())
        };
        let check = move |_, ()| async move {
            // Bound again: nothing of the last run is in the way.
            let server = start_server(echo, ("127.0.0.1".to_owned(), port))
                .await
                .unwrap();
            server.close();
            server.wait_closed().await;
        };
        drop_at_every_pending(scenario, check).await;
        cancel_at_every_pending(scenario, check).await;
    });
}
