//! Unix-domain streams and listeners, in both flavours of the runtime.

mod support;

use std::fs;
use std::future::poll_fn;
use std::io::{self, IoSlice, Write as _};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net as std_unix;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loxley_io::{UnixListener, UnixStream};
use loxley_runtime::{Handle, create_task, timeout, yield_now};
use support::{Folder, pattern, run, sweep};

const SHORT: Duration = Duration::from_millis(20);

/// Reads to the end.
async fn drain(stream: &UnixStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut bytes = [0; 777];
    loop {
        match stream.read(&mut bytes).await.expect("read") {
            0 => return all,
            n => all.extend_from_slice(&bytes[..n]),
        }
    }
}

#[test]
fn bytes_go_both_ways_and_the_path_is_the_servers_address() {
    run(|| async {
        let folder = Folder::new();
        let path = folder.join("socket");
        let listener = UnixListener::bind(&path).expect("bound");
        let addr = listener.local_addr().expect("bound");
        assert_eq!(addr.as_pathname(), Some(&*path));
        let server = create_task(async move {
            let (stream, peer) = listener.accept().await.expect("accepted");
            assert!(peer.is_unnamed());
            let mut bytes = [0; 5];
            stream.read_exact(&mut bytes).await.expect("read");
            stream.write_all(&bytes).await.expect("written");
        });
        let client = UnixStream::connect_addr(&addr).await.expect("connected");
        let peer = client.peer_addr().expect("connected");
        assert_eq!(peer.as_pathname(), Some(&*path));
        assert!(client.local_addr().expect("bound").is_unnamed());
        client.write_all(b"hello").await.expect("written");
        assert_eq!(drain(&client).await, b"hello");
        server.await.expect("no panic");
    });
}

#[test]
fn a_client_that_is_bound_shows_its_path() {
    run(|| async {
        use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, connect, socket};
        let folder = Folder::new();
        let (ours, theirs) = (folder.join("server"), folder.join("client"));
        let listener = UnixListener::bind(&ours).expect("bound");
        let client = socket(AddressFamily::UNIX, SocketType::STREAM, None).expect("a socket");
        bind(&client, &SocketAddrUnix::new(&theirs).expect("short")).expect("bound");
        connect(&client, &SocketAddrUnix::new(&ours).expect("short")).expect("connected");
        let (_stream, peer) = listener.accept().await.expect("accepted");
        assert_eq!(peer.as_pathname(), Some(&*theirs));
    });
}

#[test]
fn a_client_whose_path_fills_its_address_to_the_brim_is_accepted() {
    run(|| async {
        use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, connect, socket};
        let folder = Folder::new();
        let ours = folder.join("server");
        let listener = UnixListener::bind(&ours).expect("bound");
        let mut theirs = folder.join("x").into_os_string();
        while theirs.len() < 108 {
            theirs.push("x");
        }
        let client = socket(AddressFamily::UNIX, SocketType::STREAM, None).expect("a socket");
        bind(&client, &SocketAddrUnix::new(&theirs).expect("fits")).expect("bound");
        connect(&client, &SocketAddrUnix::new(&ours).expect("short")).expect("connected");
        let (_stream, peer) = listener.accept().await.expect("accepted");
        assert!(!peer.is_unnamed());
    });
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_needs_no_file() {
    run(|| async {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("\0loxley-test-{}", std::process::id());
        let listener = UnixListener::bind(&name).expect("bound");
        let addr = listener.local_addr().expect("bound");
        assert_eq!(addr.as_abstract_name(), Some(&name.as_bytes()[1..]));
        let client = UnixStream::connect(&name).await.expect("connected");
        let (server, _) = listener.accept().await.expect("accepted");
        client.write_all(b"x").await.expect("written");
        assert_eq!(server.read(&mut [0; 4]).await.expect("read"), 1);
        let error = UnixListener::bind(&name).expect_err("in use");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains("@\"loxley-test"), "{error}");
        let long = format!("\0{}", "x".repeat(108));
        let error = UnixListener::bind(&long).expect_err("too long");
        assert!(error.to_string().contains("at most 107"), "{error}");
    });
}

#[test]
fn a_path_that_cannot_be_an_address_is_refused_with_the_reason() {
    run(|| async {
        let long = "x".repeat(108);
        for (path, why) in [(&*long, "at most 107"), ("", "empty"), ("a\0b", "NUL")] {
            for error in [
                UnixListener::bind(path).expect_err("refused"),
                UnixStream::connect(path).await.expect_err("refused"),
            ] {
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
                assert!(error.to_string().contains(why), "{error}");
            }
        }
    });
}

#[test]
fn the_longest_path_works() {
    run(|| async {
        let folder = Folder::new();
        let mut path = folder.join("x").into_os_string();
        while path.len() < 107 {
            path.push("x");
        }
        let listener = UnixListener::bind(&path).expect("bound");
        UnixStream::connect(&path).await.expect("connected");
        let addr = listener.local_addr().expect("bound");
        assert_eq!(
            addr.as_pathname().map(|path| path.as_os_str().as_bytes()),
            Some(path.as_bytes())
        );
    });
}

#[test]
fn a_refused_connection_names_the_path() {
    run(|| async {
        let folder = Folder::new();
        let path = folder.join("stale");
        let error = UnixStream::connect(&path).await.expect_err("no file");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("stale"), "{error}");
        drop(UnixListener::bind(&path).expect("bound"));
        let error = UnixStream::connect(&path).await.expect_err("stale");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains("stale"), "{error}");
    });
}

#[test]
fn a_file_in_the_way_is_named_and_left_alone() {
    run(|| async {
        let folder = Folder::new();
        let path = folder.join("precious");
        fs::write(&path, "data").expect("written");
        let error = UnixListener::bind(&path).expect_err("in the way");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains("precious"), "{error}");
        assert_eq!(fs::read(&path).expect("still there"), b"data");
    });
}

#[test]
fn the_peer_is_this_process() {
    run(|| async {
        let folder = Folder::new();
        let path = folder.join("socket");
        let listener = UnixListener::bind(&path).expect("bound");
        let client = UnixStream::connect(&path).await.expect("connected");
        let (server, _) = listener.accept().await.expect("accepted");
        for stream in [client, server] {
            let peer = stream.peer_cred().expect("known");
            assert_eq!(peer.pid(), i32::try_from(std::process::id()).ok());
            assert_eq!(peer.uid(), rustix::process::geteuid().as_raw());
            assert_eq!(peer.gid(), rustix::process::getegid().as_raw());
        }
    });
}

#[test]
fn half_closing_ends_one_direction_only() {
    run(|| async {
        let (client, server) = UnixStream::pair().expect("a pair");
        client.write_all(b"last words").await.expect("written");
        client.shutdown(Shutdown::Write).expect("shut down");
        assert_eq!(drain(&server).await, b"last words");
        server.write_all(b"answer").await.expect("written");
        drop(server);
        assert_eq!(drain(&client).await, b"answer");
        assert_eq!(client.read(&mut [0; 4]).await.expect("the end stays"), 0);
        client.shutdown(Shutdown::Both).expect("gone is no error");
    });
}

#[test]
fn a_peer_that_leaves_bytes_unread_resets_the_connection() {
    run(|| async {
        let (client, server) = UnixStream::pair().expect("a pair");
        client.write_all(b"unread").await.expect("written");
        drop(server);
        let error = client.read(&mut [0; 4]).await.expect_err("reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let error = client.write_all(b"x").await.expect_err("broken");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_bulk_transfer_arrives_whole_whatever_the_chunks() {
    run(|| async {
        for (write, read) in [(1 << 20, 1000), (1000, 1 << 20), (64 << 10, 64 << 10)] {
            let (client, server) = UnixStream::pair().expect("a pair");
            let data = Arc::new(pattern(2 << 20));
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

/// The kernel ends a read behind a message that brought descriptors: what follows must not be left to the next event.
#[test]
fn bytes_behind_a_descriptor_that_nobody_asked_for_are_read_at_once() {
    run(|| async {
        use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
        let (ours, theirs) = std_unix::UnixStream::pair().expect("a pair");
        let ours = UnixStream::from_std(ours).expect("registered");
        let mut bytes = [0; 100];
        assert!(timeout(SHORT, ours.read(&mut bytes)).await.is_err());
        let descriptor = [theirs.as_fd()];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptor)));
        let bufs = [IoSlice::new(b"with")];
        sendmsg(&theirs, &bufs, &mut control, SendFlags::empty()).expect("sent");
        (&theirs).write_all(b"behind").expect("written");
        let mut got = Vec::new();
        while got.len() < 10 {
            let n = timeout(Duration::from_secs(5), ours.read(&mut bytes))
                .await
                .expect("no event is needed")
                .expect("read");
            got.extend_from_slice(&bytes[..n]);
        }
        assert_eq!(got, b"withbehind");
    });
}

#[test]
fn peeking_leaves_the_bytes_there_and_trying_does_not_wait() {
    run(|| async {
        let (client, server) = UnixStream::pair().expect("a pair");
        let mut bytes = [0; 8];
        let error = server.try_read(&mut bytes).expect_err("nothing there");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(client.try_write(b"lo").expect("written"), 2);
        let slices = [IoSlice::new(b"o"), IoSlice::new(b"k")];
        assert_eq!(client.try_write_vectored(&slices).expect("written"), 2);
        server.readable().await.expect("readable");
        for _ in 0..3 {
            assert_eq!(server.peek(&mut bytes).await.expect("peeked"), 4);
        }
        assert_eq!(server.try_read(&mut bytes).expect("read"), 4);
        client.writable().await.expect("writable");
        assert_eq!(client.read(&mut []).await.expect("nothing asked"), 0);
        assert_eq!(client.write(&[]).await.expect("nothing to do"), 0);
    });
}

#[test]
fn halves_work_in_two_tasks_and_are_reunited() {
    run(|| async {
        let (client, server) = UnixStream::pair().expect("a pair");
        let (mut reader, mut writer) = client.into_split();
        let writing = create_task(async move {
            writer.write_all(b"from half").await.expect("written");
            writer
        });
        let mut bytes = [0; 9];
        server.read_exact(&mut bytes).await.expect("read");
        assert_eq!(&bytes, b"from half");
        server.write_all(b"to half").await.expect("written");
        assert_eq!(reader.peek(&mut bytes).await.expect("peeked"), 7);
        assert_eq!(reader.try_read(&mut bytes).expect("read"), 7);
        assert!(reader.local_addr().expect("known").is_unnamed());
        let writer = writing.await.expect("no panic");
        let (other, _other_writer) = server.into_split();
        let error = other.reunite(writer).expect_err("two streams");
        let mut client = reader.reunite(error.1).expect("one stream");
        let (mut reader, mut writer) = client.split();
        writer.shutdown().expect("shut down");
        let mut server = error.0;
        assert_eq!(server.read(&mut bytes).await.expect("the end"), 0);
        drop((server, _other_writer));
        assert_eq!(reader.read(&mut bytes).await.expect("the end"), 0);
    });
}

/// A listener whose queue is full, and the connections in it.
async fn full_queue(path: &Path) -> (UnixListener, Vec<UnixStream>) {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
    let listener = socket(AddressFamily::UNIX, SocketType::STREAM, None).expect("a socket");
    bind(&listener, &SocketAddrUnix::new(path).expect("short")).expect("bound");
    listen(&listener, 0).expect("listening");
    let listener = UnixListener::from_std(listener.into()).expect("registered");
    let mut queued = Vec::new();
    while let Ok(stream) = timeout(SHORT, UnixStream::connect(path)).await {
        queued.push(stream.expect("queued"));
        assert!(queued.len() < 20, "the queue is never full");
    }
    (listener, queued)
}

#[test]
fn a_connect_waits_in_a_full_queue_until_there_is_room() {
    run(|| async {
        let folder = Folder::new();
        let path = folder.join("socket");
        let (listener, queued) = full_queue(&path).await;
        let late = create_task(async move {
            let stream = UnixStream::connect(&path).await.expect("connected at last");
            stream.write_all(b"late").await.expect("written");
        });
        drop(queued);
        // Beside those that were queued, the connects that `full_queue` gave up may have got through.
        let mut incoming = listener.incoming();
        loop {
            let (stream, _) = incoming.next().await.expect("accepted");
            if drain(&stream).await == b"late" {
                break;
            }
        }
        late.await.expect("no panic");
    });
}

#[test]
fn a_connect_given_up_in_a_full_queue_leaves_no_registration() {
    run(|| async {
        let folder = Folder::new();
        let path = folder.join("socket");
        let (_listener, _queued) = full_queue(&path).await;
        let before = Handle::current().metrics().registered_sources;
        let gave_up = timeout(SHORT, UnixStream::connect(&path)).await;
        assert!(gave_up.is_err());
        assert_eq!(Handle::current().metrics().registered_sources, before);
    });
}

#[test]
fn each_connection_goes_to_one_of_several_acceptors() {
    run(|| async {
        const CONNECTIONS: usize = 100;
        let folder = Folder::new();
        let path = folder.join("socket");
        let listener = Arc::new(UnixListener::bind(&path).expect("bound"));
        let acceptors: Vec<_> = (0..4)
            .map(|_| {
                let listener = listener.clone();
                create_task(async move {
                    loop {
                        let (stream, _) = listener.accept().await.expect("accepted");
                        stream.write_all(b"!").await.expect("written");
                    }
                })
            })
            .collect();
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let path = path.clone();
                create_task(async move {
                    let stream = UnixStream::connect(path).await.expect("connected");
                    drain(&stream).await
                })
            })
            .collect();
        for client in clients {
            assert_eq!(client.await.expect("no panic"), b"!");
        }
        for acceptor in acceptors {
            acceptor.cancel();
            acceptor.await.expect_err("cancelled");
        }
    });
}

#[test]
fn reads_dropped_or_cancelled_anywhere_lose_nothing() {
    run(|| async {
        let points = sweep(
            || {
                let (ours, theirs) = UnixStream::pair().expect("a pair");
                let ours = Arc::new(ours);
                let reader = ours.clone();
                let theirs = Arc::new(theirs);
                let sender = theirs.clone();
                let reading = async move {
                    // Sent only once the read waits.
                    let send = create_task(async move {
                        yield_now().await;
                        // Where the read was given up, the connection may be gone by now.
                        let _ = sender.write_all(b"abc").await;
                    });
                    let n = reader.read(&mut [0; 8]).await.expect("read");
                    send.await.expect("no panic");
                    n
                };
                (reading, (ours, theirs))
            },
            |(ours, theirs)| async move {
                // Whatever became of the read, the connection serves.
                theirs.write_all(b"!").await.expect("written");
                let mut bytes = [0; 8];
                loop {
                    let n = ours.read(&mut bytes).await.expect("read");
                    assert_ne!(n, 0);
                    if bytes[..n].contains(&b'!') {
                        break;
                    }
                }
            },
        )
        .await;
        assert!(points > 0, "the read never waited");
    });
}

#[test]
fn writes_dropped_or_cancelled_anywhere_have_written_nothing_or_what_they_said() {
    run(|| async {
        let points = sweep(
            || {
                let (ours, theirs) = UnixStream::pair().expect("a pair");
                let chunk = [7; 4096];
                while ours.try_write(&chunk).is_ok() {}
                let (ours, theirs) = (Arc::new(ours), Arc::new(theirs));
                let (writer, reader) = (ours.clone(), theirs.clone());
                let said = Arc::new(AtomicUsize::new(0));
                let says = said.clone();
                let writing = async move {
                    let room = create_task(async move {
                        yield_now().await;
                        // The kernel tells of room only once most of it is free.
                        let mut bytes = vec![0; 1 << 20];
                        reader.read(&mut bytes).await.expect("read")
                    });
                    let n = writer.write(b"one").await.expect("written");
                    says.store(n, Ordering::Relaxed);
                    room.await.expect("no panic");
                };
                (writing, (ours, theirs, said))
            },
            |(ours, theirs, said)| async move {
                ours.shutdown(Shutdown::Write).expect("shut down");
                let rest = drain(&theirs).await;
                let written = rest.iter().filter(|&&byte| byte != 7).count();
                assert_eq!(written, said.load(Ordering::Relaxed));
            },
        )
        .await;
        assert!(points > 0, "the write never waited");
    });
}

#[test]
fn accepts_and_connects_dropped_or_cancelled_anywhere_leave_a_listener_that_serves() {
    run(|| async {
        let folder = Folder::new();
        let path = folder.join("socket");
        let listener = Arc::new(UnixListener::bind(&path).expect("bound"));
        let points = sweep(
            || {
                let (listener, path) = (listener.clone(), path.clone());
                let scenario = async move {
                    let connecting = create_task(async move {
                        yield_now().await;
                        UnixStream::connect(path).await
                    });
                    let (server, _) = listener.accept().await.expect("accepted");
                    let client = connecting.await.expect("no panic").expect("connected");
                    client.write_all(b"x").await.expect("written");
                    server.read(&mut [0; 2]).await.expect("read")
                };
                (scenario, ())
            },
            |()| async {},
        )
        .await;
        assert!(points > 0, "the accept never waited");
        // Those that were left in the queue, then ours.
        let client = UnixStream::connect(&path).await.expect("connected");
        client.write_all(b"mine").await.expect("written");
        drop(client);
        loop {
            let (server, _) = listener.accept().await.expect("accepted");
            if drain(&server).await == b"mine" {
                break;
            }
        }
    });
}

#[test]
fn sockets_of_std_are_taken_over_and_given_back() {
    run(|| async {
        let folder = Folder::new();
        let path = folder.join("socket");
        let listener = std_unix::UnixListener::bind(&path).expect("bound");
        let listener = UnixListener::from_std(listener).expect("registered");
        let client = std_unix::UnixStream::connect(&path).expect("connected");
        let client = UnixStream::from_std(client).expect("registered");
        let (server, _) = listener.accept().await.expect("accepted");
        let client = UnixStream::from_std(client.into_std()).expect("registered again");
        client.write_all(b"y").await.expect("written");
        assert_eq!(server.read(&mut [0; 4]).await.expect("read"), 1);
        assert!(client.take_error().expect("asked").is_none());
        assert!(listener.take_error().expect("asked").is_none());
        drop(listener.into_std());
    });
}

#[test]
fn futures_io_reads_writes_and_closes() {
    use futures_io::{AsyncRead, AsyncWrite};
    run(|| async {
        let (mut client, server) = UnixStream::pair().expect("a pair");
        let slices = [IoSlice::new(b"two "), IoSlice::new(b"slices")];
        let n = poll_fn(|cx| Pin::new(&mut client).poll_write_vectored(cx, &slices)).await;
        assert_eq!(n.expect("written"), 10);
        poll_fn(|cx| Pin::new(&mut &client).poll_close(cx))
            .await
            .expect("closed");
        let (mut server, _writer) = server.into_split();
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    run(|| async {
        let (client, server) = UnixStream::pair().expect("a pair");
        let (mut reader, _writer) = server.into_split();
        let (_reader, mut writer) = client.into_split();
        let data = pattern(300_000);
        let sent = data.clone();
        let writing = create_task(async move {
            tokio::io::AsyncWriteExt::write_all(&mut writer, &sent)
                .await
                .expect("written");
            writer.flush().await.expect("flushed");
            tokio::io::AsyncWriteExt::shutdown(&mut writer)
                .await
                .expect("shut down");
            writer
        });
        let mut got = Vec::new();
        reader.read_to_end(&mut got).await.expect("read");
        assert!(got == data);
        writing.await.expect("no panic");
    });
}
