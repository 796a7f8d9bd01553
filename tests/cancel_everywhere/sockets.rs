//! Sockets, pipes, descriptors, names and copies.
//!
//! | file | futures | held by |
//! |---|---|---|
//! | `runtime/src/driver/async_io.rs` | `async_io, readiness, AsyncIo` | `a_registered_descriptor_given_up_is_as_before` |
//! | `io/src/async_fd.rs` | `async_io, readiness` | `a_registered_descriptor_given_up_is_as_before` |
//! | `io/src/methods.rs` | `read, read_exact, readable, peek` | `reads_given_up_leave_the_bytes`, `[io/tests/unix.rs] reads_dropped_or_cancelled_anywhere_lose_nothing` |
//! | `io/src/methods.rs` | `write, write_vectored, write_all, writable` | `writes_given_up_leave_a_stream_that_serves`, `[io/tests/unix.rs] writes_dropped_or_cancelled_anywhere_have_written_nothing_or_what_they_said`, `[io/tests/pipe.rs] reads_and_writes_dropped_or_cancelled_anywhere_lose_nothing` |
//! | `io/src/net/split.rs` | `read, read_exact, peek, write, write_vectored, write_all` | `halves_given_up_leave_the_other_half_serving` |
//! | `io/src/net/tcp_listener.rs` | `bind, accept` | `tcp_connections_given_up_leave_no_socket` |
//! | `io/src/net/incoming.rs` | `next` | `tcp_connections_given_up_leave_no_socket` |
//! | `io/src/net/tcp_stream.rs` | `connect` | `tcp_connections_given_up_leave_no_socket` |
//! | `io/src/net/unix_listener.rs` | `accept` | `[io/tests/unix.rs] accepts_and_connects_dropped_or_cancelled_anywhere_leave_a_listener_that_serves` |
//! | `io/src/net/unix_stream.rs` | `connect, connect_addr` | `unix_connects_given_up_leave_no_socket` |
//! | `io/src/net/unix_datagram.rs` | `send, recv, send_to, send_to_addr, recv_from, readable, writable` | `datagrams_between_paths_given_up_are_sent_or_not` |
//! | `io/src/net/unix_message.rs` | `send_fds, recv_fds` | `[io/tests/datagram.rs] receives_dropped_or_cancelled_anywhere_lose_no_descriptor` |
//! | `io/src/net/udp_batch.rs` | `send_batch, recv_batch` | `datagrams_given_up_leave_sockets_that_serve`, `[io/tests/udp.rs] receives_dropped_or_cancelled_anywhere_lose_nothing` |
//! | `io/src/net/udp_socket.rs` | `bind, connect, send, recv, send_to, recv_from, peek, peek_from, readable, writable` | `datagrams_given_up_leave_sockets_that_serve`, `[io/tests/udp.rs] receives_dropped_or_cancelled_anywhere_lose_nothing` |
//! | `io/src/resolve.rs` | `lookup_host` | `a_look_up_given_up_leaves_no_job` |
//! | `io/src/copy/mod.rs` | `copy, copy_bidirectional` | `[io/tests/copy.rs] copies_dropped_or_cancelled_anywhere_leave_the_streams_alone, copies_given_up_leave_no_stream` |
//! | `io/src/copy/sendfile.rs` | `sendfile` | `copies_given_up_leave_no_stream` |
//! | `io/src/copy/splice.rs` | `splice` | `copies_given_up_leave_no_stream` |

use std::fs::{self, File};
use std::io::{IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Boxed, run, soon, sweep, sweep_what_may_not_wait, turns};
use loxley::lowlevel::{Direction, Interest, Registration};
use loxley::net::{Datagram, RecvBatch};
use loxley::{
    Registered, TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream, copy,
    copy_bidirectional, create_task, lookup_host, pipe, sendfile, splice,
};

const ANY: &str = "127.0.0.1:0";

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("loxley-everywhere-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Everything up to the end.
async fn drain(stream: &UnixStream) -> Vec<u8> {
    let (mut all, mut bytes) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        match stream.read(&mut bytes).await {
            Ok(n) if n > 0 => all.extend_from_slice(&bytes[..n]),
            // Reset, if the other end went with bytes unread.
            _ => return all,
        }
    }
}

#[test]
fn a_registered_descriptor_given_up_is_as_before() {
    run(async || {
        let (theirs, ours) = Std::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let theirs = Arc::new(theirs);
        let ours = Arc::new(Registered::new(ours, Interest::Both).unwrap());
        let ways: [fn(Shared) -> Boxed; 2] = [
            |ours| {
                Box::pin(async move {
                    // What was ready for the run before may still be said to be.
                    loop {
                        let event = ours.readiness(Direction::Read).await.expect("ready");
                        ours.clear_ready(event, Direction::Read);
                        if ours.get_ref().read(&mut [0; 1]).is_ok() {
                            break;
                        }
                    }
                })
            },
            |ours| {
                Box::pin(async move {
                    let reads = ours.async_io(Direction::Read, |socket| {
                        let mut socket: &Std = socket;
                        socket.read(&mut [0; 1])
                    });
                    assert_eq!(reads.await.expect("read"), 1);
                })
            },
        ];
        for way in ways {
            sweep(
                || {
                    let theirs = theirs.clone();
                    let writes = soon(move || (&*theirs).write_all(b"x").unwrap());
                    (way(ours.clone()), writes)
                },
                async |writes| {
                    writes.await.unwrap();
                    // A byte that nobody took is there still.
                    let _ = ours.get_ref().read(&mut [0; 8]);
                },
            )
            .await;
        }
        // One level below.
        let registration =
            Arc::new(Registration::new(AsFd::as_fd(&*theirs), Interest::Read).unwrap());
        sweep(
            || {
                let (registration, socket) = (registration.clone(), theirs.clone());
                let ours = ours.clone();
                let writes = soon(move || ours.get_ref().write_all(b"x").unwrap());
                let future = async move {
                    loop {
                        let event = registration.readiness(Direction::Read).await;
                        registration.clear_ready(event.expect("ready"), Direction::Read);
                        if (&*socket).read(&mut [0; 1]).is_ok() {
                            break;
                        }
                    }
                };
                (future, writes)
            },
            async |writes| {
                writes.await.unwrap();
                let _ = (&*theirs).read(&mut [0; 8]);
            },
        )
        .await;
    });
}

type Std = std::os::unix::net::UnixStream;

type Shared = Arc<Registered<Std>>;

#[test]
fn reads_given_up_leave_the_bytes() {
    run(async || {
        let ways: [fn(Arc<UnixStream>, Arc<AtomicUsize>) -> Boxed; 3] = [
            |stream, taken| {
                Box::pin(async move {
                    let n = stream.read(&mut [0; 2]).await.expect("read");
                    taken.fetch_add(n, Ordering::AcqRel);
                })
            },
            |stream, taken| {
                Box::pin(async move {
                    // A new socket counts as ready until something was tried.
                    loop {
                        stream.readable().await.expect("readable");
                        if let Ok(n) = stream.try_read(&mut [0; 8]) {
                            taken.fetch_add(n, Ordering::AcqRel);
                            break;
                        }
                    }
                })
            },
            |stream, taken| {
                Box::pin(async move {
                    // Four bytes come in two pieces; half of them may be in a buffer that is gone.
                    let mut bytes = [0; 4];
                    let mut done = 0;
                    while done < 4 {
                        let n = stream.read(&mut bytes[done..]).await.expect("read");
                        taken.fetch_add(n, Ordering::AcqRel);
                        done += n;
                    }
                })
            },
        ];
        for way in ways {
            sweep(
                || {
                    let (ours, theirs) = UnixStream::pair().expect("a pair");
                    let (ours, taken) = (Arc::new(ours), Arc::<AtomicUsize>::default());
                    let sends = create_task(async move {
                        for piece in [b"on", b"ce"] {
                            turns().await;
                            theirs.write_all(piece).await.expect("written");
                        }
                    });
                    (way(ours.clone(), taken.clone()), (ours, taken, sends))
                },
                async |(ours, taken, sends)| {
                    sends.await.unwrap();
                    let rest = drain(&ours).await.len();
                    assert_eq!(taken.load(Ordering::Acquire) + rest, 4);
                },
            )
            .await;
        }
        reads_that_promise_less().await;
    });
}

/// `read_exact` says that it is not cancel-safe; `peek` is of TCP alone.
async fn reads_that_promise_less() {
    let listener = Arc::new(TcpListener::bind(ANY).await.expect("bound"));
    let addr = listener.local_addr().expect("bound");
    sweep(
        || {
            let client = std::net::TcpStream::connect(addr).expect("it listens");
            let server = listener.clone();
            let sends = create_task(async move {
                let (peer, _) = server.accept().await.expect("it was connected");
                for piece in [b"ab", b"cd"] {
                    turns().await;
                    // Reset, where the client was given up.
                    let _ = peer.write_all(piece).await;
                }
            });
            let client = TcpStream::from_std(client);
            let future = async move {
                let client = client.expect("registered");
                let mut bytes = [0; 4];
                assert!(client.peek(&mut bytes).await.expect("peeked") > 0);
                client.read_exact(&mut bytes).await.expect("read");
                assert_eq!(bytes, *b"abcd");
            };
            (future, sends)
        },
        async |sends| sends.await.unwrap(),
    )
    .await;
}

#[test]
fn writes_given_up_leave_a_stream_that_serves() {
    run(async || {
        let ways: [fn(Arc<UnixStream>) -> Boxed; 4] = [
            |stream| {
                Box::pin(async move {
                    let _ = stream.write(b"one").await.expect("written");
                })
            },
            |stream| Box::pin(async move { stream.write_all(b"one").await.expect("written") }),
            |stream| {
                Box::pin(async move {
                    let slices = [IoSlice::new(b"o"), IoSlice::new(b"ne")];
                    stream.write_vectored(&slices).await.expect("written");
                })
            },
            |stream| {
                Box::pin(async move {
                    stream.writable().await.expect("writable");
                    let _ = stream.try_write(b"one");
                })
            },
        ];
        for way in ways {
            sweep(
                || {
                    let (ours, theirs) = UnixStream::pair().expect("a pair");
                    while ours.try_write(&[7; 4096]).is_ok() {}
                    let (ours, reader) = (
                        Arc::new(ours),
                        create_task(async move {
                            turns().await;
                            let mut rest = drain(&theirs).await;
                            rest.retain(|&byte| byte != 7);
                            rest
                        }),
                    );
                    (way(ours.clone()), (ours, reader))
                },
                async |(ours, reader)| {
                    ours.write_all(b"!").await.expect("written");
                    ours.shutdown(Shutdown::Write).expect("shut down");
                    let rest = reader.await.unwrap();
                    assert!(rest == b"!" || rest == b"one!", "{rest:?}");
                },
            )
            .await;
        }
    });
}

#[test]
fn halves_given_up_leave_the_other_half_serving() {
    run(async || {
        sweep(
            || {
                let (ours, theirs) = UnixStream::pair().expect("a pair");
                let (mut reads, mut writes) = ours.into_split();
                let future = async move {
                    let mut bytes = [0; 4];
                    reads.read_exact(&mut bytes[..2]).await.expect("read");
                    reads.peek(&mut bytes).await.expect("peeked");
                    while reads.read(&mut bytes).await.expect("read") > 0 {}
                };
                let sends = create_task(async move {
                    for piece in [b"ab", b"cd", b"ef"] {
                        turns().await;
                        // Where the other end was given up, its half is gone.
                        let _ = theirs.write_all(piece).await;
                    }
                    let _ = theirs.shutdown(Shutdown::Write);
                    drain(&theirs).await
                });
                let other = create_task(async move {
                    let slices = [IoSlice::new(b"on"), IoSlice::new(b"e ")];
                    let n = writes.write_vectored(&slices).await.expect("written");
                    assert_eq!(n, 4);
                    writes.write_all(b"two ").await.expect("written");
                    turns().await;
                    assert_eq!(writes.write(b"three").await.expect("written"), 5);
                });
                (future, (sends, other))
            },
            async |(sends, other)| {
                other.await.unwrap();
                assert_eq!(sends.await.unwrap(), b"one two three");
            },
        )
        .await;
        // And the writing half, full.
        sweep(
            || {
                let (ours, theirs) = UnixStream::pair().expect("a pair");
                while ours.try_write(&[7; 4096]).is_ok() {}
                let (mut reads, mut writes) = ours.into_split();
                let other = create_task(async move {
                    let mut bytes = [0; 2];
                    reads.read_exact(&mut bytes).await.expect("read");
                    assert_eq!(bytes, *b"hi");
                });
                let future = async move {
                    writes.write_all(b"one").await.expect("written");
                    writes.write(b"two").await.expect("written");
                    writes
                        .write_vectored(&[IoSlice::new(b"three")])
                        .await
                        .expect("written");
                };
                let peer = create_task(async move {
                    turns().await;
                    theirs.write_all(b"hi").await.expect("written");
                    drop(drain(&theirs).await);
                });
                (future, (other, peer))
            },
            async |(other, peer)| {
                other.await.unwrap();
                peer.await.unwrap();
            },
        )
        .await;
    });
}

#[test]
fn tcp_connections_given_up_leave_no_socket() {
    run(async || {
        sweep(
            || {
                let future = async {
                    // Names, so that there is something to wait for.
                    let listener = TcpListener::bind(("localhost", 0)).await.expect("bound");
                    let port = listener.local_addr().expect("bound").port();
                    let connects = create_task(async move {
                        let stream = TcpStream::connect(("localhost", port)).await?;
                        stream.write_all(b"x").await
                    });
                    let (first, _) = listener.accept().await.expect("accepted");
                    assert_eq!(first.read(&mut [0; 2]).await.expect("read"), 1);
                    connects.await.expect("no panic").expect("connected");
                    let connects = create_task(async move {
                        turns().await;
                        TcpStream::connect(("localhost", port)).await.map(drop)
                    });
                    drop(listener.incoming().next().await.expect("accepted"));
                    connects.await.expect("no panic").expect("connected");
                };
                (future, ())
            },
            // The connecting tasks end by themselves: refused, or accepted by nobody.
            async |()| (),
        )
        .await;
    });
}

#[test]
fn unix_connects_given_up_leave_no_socket() {
    run(async || {
        let folder = Folder::new();
        let mut number = 0;
        let number = std::cell::RefCell::new(&mut number);
        for by_addr in [false, true] {
            sweep(
                || {
                    **number.borrow_mut() += 1;
                    let path = folder.0.join(format!("socket-{}", number.borrow()));
                    let (listener, queued) = full_listener(&path);
                    let future = async move {
                        let stream = if by_addr {
                            let addr = std::os::unix::net::SocketAddr::from_pathname(&path);
                            UnixStream::connect_addr(&addr.expect("a path")).await
                        } else {
                            UnixStream::connect(&path).await
                        };
                        stream
                            .expect("connected")
                            .write_all(b"x")
                            .await
                            .expect("written");
                    };
                    let accepts = create_task(async move {
                        turns().await;
                        let first = listener.accept().await.expect("accepted");
                        turns().await;
                        (listener, first, queued)
                    });
                    (future, accepts)
                },
                async |accepts| drop(accepts.await.unwrap()),
            )
            .await;
        }
    });
}

/// A listener with a queue of one that is full: connects have to wait.
fn full_listener(path: &std::path::Path) -> (UnixListener, Vec<std::os::unix::net::UnixStream>) {
    use rustix::net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
    };
    let make = || {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).expect("a socket")
    };
    let addr = SocketAddrUnix::new(path).expect("a path");
    let listener = make();
    bind(&listener, &addr).expect("bound");
    listen(&listener, 0).expect("listening");
    let mut queued = Vec::new();
    loop {
        let socket = make();
        match connect(&socket, &addr) {
            Ok(()) => queued.push(socket.into()),
            Err(_) => break,
        }
    }
    let listener = UnixListener::from_std(listener.into()).expect("registered");
    (listener, queued)
}

#[test]
fn datagrams_between_paths_given_up_are_sent_or_not() {
    run(async || {
        let folder = Folder::new();
        let path = folder.0.join("receiver");
        let receiver = Arc::new(UnixDatagram::bind(&path).expect("bound"));
        let addr = std::os::unix::net::SocketAddr::from_pathname(&path).expect("a path");
        sweep(
            || {
                let sender = UnixDatagram::unbound().expect("a socket");
                // Its queue is short, and full.
                while sender.try_send_to(b"full", &path).is_ok() {}
                let (path, addr, receiver, ours) = (
                    path.clone(),
                    addr.clone(),
                    receiver.clone(),
                    receiver.clone(),
                );
                let future = async move {
                    sender.connect(&path).expect("connected");
                    sender.writable().await.expect("writable");
                    assert_eq!(sender.send(b"three").await.expect("sent"), 5);
                    // Not connected, a full queue is an error: now there is room.
                    assert_eq!(sender.send_to(b"one", &path).await.expect("sent"), 3);
                    assert_eq!(sender.send_to_addr(b"two", &addr).await.expect("sent"), 3);
                };
                let receives = create_task(async move {
                    turns().await;
                    let mut bytes = [0; 8];
                    loop {
                        receiver.readable().await.expect("readable");
                        let Ok(n) = receiver.try_recv(&mut bytes) else {
                            continue;
                        };
                        if bytes[..n] == *b"last" {
                            break;
                        }
                    }
                });
                (future, (ours, receives))
            },
            async |(_ours, receives)| {
                let sender = UnixDatagram::unbound().expect("a socket");
                sender.connect(&path).expect("connected");
                sender.send(b"last").await.expect("sent");
                receives.await.unwrap();
            },
        )
        .await;
        for from in [false, true] {
            sweep(
                || {
                    let (ours, theirs) = UnixDatagram::pair().expect("a pair");
                    let ours = Arc::new(ours);
                    let reader = ours.clone();
                    let sends = create_task(async move {
                        turns().await;
                        theirs.send(b"one").await.expect("sent");
                        theirs
                    });
                    let future = async move {
                        let mut bytes = [0; 8];
                        match from {
                            true => reader.recv_from(&mut bytes).await.expect("received").0,
                            false => reader.recv(&mut bytes).await.expect("received"),
                        }
                    };
                    (future, (ours, sends))
                },
                async |(ours, sends)| {
                    let theirs = sends.await.unwrap();
                    theirs.send(b"!").await.expect("sent");
                    let mut bytes = [0; 8];
                    while bytes[0] != b'!' {
                        ours.recv(&mut bytes).await.expect("received");
                    }
                },
            )
            .await;
        }
    });
}

#[test]
fn datagrams_given_up_leave_sockets_that_serve() {
    run(async || {
        sweep(
            || {
                let future = async {
                    let ours = UdpSocket::bind(("localhost", 0)).await.expect("bound");
                    let theirs = UdpSocket::bind(("localhost", 0)).await.expect("bound");
                    let (here, there) = (ours.local_addr().unwrap(), theirs.local_addr().unwrap());
                    ours.connect(("localhost", there.port()))
                        .await
                        .expect("connected");
                    let sends = create_task(async move {
                        for _ in 0..8 {
                            turns().await;
                            // Refused once the other end was given up.
                            let _ = theirs.send_to(b"one", here).await;
                        }
                        theirs
                    });
                    let mut bytes = [0; 8];
                    ours.readable().await.expect("readable");
                    ours.peek(&mut bytes).await.expect("peeked");
                    ours.recv(&mut bytes).await.expect("received");
                    ours.peek_from(&mut bytes).await.expect("peeked");
                    ours.recv_from(&mut bytes).await.expect("received");
                    ours.recv_batch(&mut RecvBatch::new(1, 8))
                        .await
                        .expect("received");
                    ours.writable().await.expect("writable");
                    ours.send(b"back").await.expect("sent");
                    ours.send_batch(&[Datagram::connected(b"back")])
                        .await
                        .expect("sent");
                    ours.recv(&mut bytes).await.expect("received");
                    drop(sends.await.expect("no panic"));
                };
                (future, ())
            },
            async |()| (),
        )
        .await;
    });
}

#[test]
fn a_look_up_given_up_leaves_no_job() {
    run(async || {
        // The thread may have the answer before anybody waits for it: what waits is swept with the pool itself.
        let scenario = || (lookup_host(("localhost", 80)), ());
        sweep_what_may_not_wait(scenario, async |()| ()).await;
    });
}

#[test]
fn copies_given_up_leave_no_stream() {
    type Ends = (UnixStream, UnixStream);
    /// Waits for what comes through, and sends it back.
    async fn echoes(client: UnixStream) {
        turns().await;
        let _ = client.write_all(b"through").await;
        let _ = client.shutdown(Shutdown::Write);
        while !matches!(client.read(&mut [0; 64]).await, Ok(0) | Err(_)) {}
    }
    run(async || {
        let folder = Folder::new();
        let path = folder.0.join("file");
        // More than a socket takes at once.
        fs::write(&path, vec![b'x'; 1 << 20]).expect("written");
        let ways: [fn(Ends, File) -> Boxed; 4] = [
            |(mut a, mut b), _| Box::pin(async move { drop(copy(&mut a, &mut b).await) }),
            |(mut a, mut b), _| {
                Box::pin(async move { drop(copy_bidirectional(&mut a, &mut b).await) })
            },
            |(a, b), _| Box::pin(async move { drop(splice(&a, &b).await) }),
            |(a, _b), file| Box::pin(async move { drop(sendfile(&a, &file, 0, None).await) }),
        ];
        for way in ways {
            sweep(
                || {
                    let ((client, front), (back, server)) = (
                        UnixStream::pair().expect("a pair"),
                        UnixStream::pair().expect("a pair"),
                    );
                    let clients = [client, server].map(|client| create_task(echoes(client)));
                    (
                        way((front, back), File::open(&path).expect("open")),
                        clients,
                    )
                },
                // Both clients see the proxy's ends go.
                async |clients| {
                    for client in clients {
                        client.await.unwrap();
                    }
                },
            )
            .await;
        }
        pipes().await;
    });
}

async fn pipes() {
    sweep(
        || {
            let (reader, writer) = pipe().expect("a pipe");
            let future = async move {
                let _ = reader.read(&mut [0; 8]).await.expect("read");
            };
            let writes = create_task(async move {
                turns().await;
                // Broken where the reader was given up.
                let _ = writer.write_all(b"x").await;
            });
            (future, writes)
        },
        async |writes| writes.await.unwrap(),
    )
    .await;
}
