//! Unix-domain datagrams, descriptors and credentials between processes, in both flavours of the runtime.

mod support;

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use loxley_io::{PipeReader, UnixDatagram, UnixStream, pipe};
use loxley_runtime::{create_task, timeout, yield_now};
use support::{Folder, run, sweep};

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn messages_keep_their_borders_and_name_their_sender() {
    run(|| async {
        let folder = Folder::new();
        let (ours, theirs) = (folder.join("ours"), folder.join("theirs"));
        let server = UnixDatagram::bind(&ours).expect("bound");
        let client = UnixDatagram::bind(&theirs).expect("bound");
        client.send_to(b"one", &ours).await.expect("sent");
        client.connect(&ours).expect("connected");
        client.send(b"").await.expect("sent");
        client.send(b"three").await.expect("sent");
        let mut bytes = [0; 100];
        let (n, from) = server.recv_from(&mut bytes).await.expect("received");
        assert_eq!(&bytes[..n], b"one");
        assert_eq!(from.as_pathname(), Some(&*theirs));
        assert_eq!(server.recv(&mut bytes).await.expect("received"), 0);
        let (n, _) = server.try_recv_from(&mut bytes).expect("received");
        assert_eq!(&bytes[..n], b"three");
        assert_eq!(server.send_to_addr(b"back", &from).await.expect("sent"), 4);
        assert_eq!(client.recv(&mut bytes).await.expect("received"), 4);
        let peer = client.peer_addr().expect("connected");
        assert_eq!(peer.as_pathname(), Some(&*ours));
        let unbound = UnixDatagram::unbound().expect("a socket");
        assert!(unbound.local_addr().expect("asked").is_unnamed());
        assert_eq!(unbound.try_send_to(b"!", &ours).expect("sent"), 1);
        let (_, from) = server.recv_from(&mut bytes).await.expect("received");
        assert!(from.is_unnamed());
    });
}

#[test]
fn what_cannot_be_reached_is_named() {
    run(|| async {
        let folder = Folder::new();
        let path = folder.join("nobody");
        let socket = UnixDatagram::unbound().expect("a socket");
        for error in [
            socket.send_to(b"x", &path).await.expect_err("no file"),
            socket.connect(&path).expect_err("no file"),
        ] {
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            assert!(error.to_string().contains("nobody"), "{error}");
        }
        let error = UnixDatagram::bind("x".repeat(108)).expect_err("too long");
        assert!(error.to_string().contains("at most 107"), "{error}");
        std::fs::write(&path, "data").expect("written");
        let error = UnixDatagram::bind(&path).expect_err("in the way");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read(&path).expect("still there"), b"data");
    });
}

#[test]
fn a_connected_sender_waits_for_room_and_another_is_told() {
    run(|| async {
        let folder = Folder::new();
        let path = folder.join("slow");
        let slow = UnixDatagram::bind(&path).expect("bound");
        let stranger = UnixDatagram::unbound().expect("a socket");
        let sender = UnixDatagram::unbound().expect("a socket");
        sender.connect(&path).expect("connected");
        let mut queued = 0;
        while sender.try_send(b"queued").is_ok() {
            queued += 1;
        }
        let error = stranger.send_to(b"x", &path).await.expect_err("no room");
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        assert!(error.to_string().contains("queue is full"), "{error}");
        let waiting = create_task(async move { sender.send(b"last").await });
        yield_now().await;
        let mut bytes = [0; 8];
        for _ in 0..queued {
            assert_eq!(slow.recv(&mut bytes).await.expect("received"), 6);
        }
        assert_eq!(waiting.await.expect("no panic").expect("sent"), 4);
        assert_eq!(slow.recv(&mut bytes).await.expect("received"), 4);
    });
}

#[test]
fn trying_and_polling_do_the_same() {
    run(|| async {
        let (ours, theirs) = UnixDatagram::pair().expect("a pair");
        let mut bytes = [0; 8];
        let error = theirs.try_recv(&mut bytes).expect_err("nothing there");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        ours.writable().await.expect("writable");
        let sent = poll_fn(|cx| ours.poll_send(cx, b"abc")).await;
        assert_eq!(sent.expect("sent"), 3);
        theirs.readable().await.expect("readable");
        let got = poll_fn(|cx| theirs.poll_recv(cx, &mut bytes)).await;
        assert_eq!(got.expect("received"), 3);
        assert_eq!(ours.try_send(b"ab").expect("sent"), 2);
        let got = poll_fn(|cx| theirs.poll_recv_from(cx, &mut bytes)).await;
        assert_eq!(got.expect("received").0, 2);
        assert!(ours.take_error().expect("asked").is_none());
        ours.shutdown(Shutdown::Both).expect("shut down");
        ours.send(b"x").await.expect_err("shut down");
        let ours = UnixDatagram::from_std(ours.into_std()).expect("registered again");
        drop(ours);
        let error = theirs.send(b"x").await.expect_err("gone");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    });
}

/// A file that holds `text`, to be passed.
fn file(folder: &Folder, text: &str) -> File {
    let path = folder.join(text);
    std::fs::write(&path, text).expect("written");
    File::open(path).expect("opened")
}

fn text(fd: OwnedFd) -> String {
    let mut text = String::new();
    File::from(fd).read_to_string(&mut text).expect("readable");
    text
}

#[test]
fn descriptors_go_along_with_datagrams() {
    run(|| async {
        let folder = Folder::new();
        let (ours, theirs) = UnixDatagram::pair().expect("a pair");
        let files = [file(&folder, "one"), file(&folder, "two")];
        let fds = files.each_ref().map(File::as_fd);
        assert_eq!(ours.send_fds(b"both", &fds).await.expect("sent"), 4);
        assert_eq!(ours.send_fds(b"", &fds[..1]).await.expect("sent"), 0);
        assert_eq!(ours.send_fds(b"plain", &[]).await.expect("sent"), 5);
        let mut bytes = [0; 100];
        let message = theirs.recv_fds(&mut bytes, 2).await.expect("received");
        assert_eq!(&bytes[..message.len], b"both");
        assert!(!message.is_truncated && !message.lost_fds);
        assert!(message.credentials.is_none());
        assert!(message.from.expect("known").is_unnamed());
        let texts: Vec<_> = message.fds.into_iter().map(text).collect();
        assert_eq!(texts, ["one", "two"]);
        let message = theirs.recv_fds(&mut bytes, 2).await.expect("received");
        assert_eq!((message.len, message.fds.len()), (0, 1));
        let message = theirs.recv_fds(&mut bytes, 2).await.expect("received");
        assert_eq!((message.len, message.fds.len()), (5, 0));
    });
}

#[test]
fn descriptors_beyond_the_room_are_closed_and_the_message_says_so() {
    run(|| async {
        let (ours, theirs) = UnixDatagram::pair().expect("a pair");
        let (reader, writer) = pipe().expect("a pipe");
        let writer = writer.into_fd().expect("open");
        let fds = [writer.as_fd(); 8];
        ours.send_fds(b"0123456789", &fds).await.expect("sent");
        drop(writer);
        let mut bytes = [0; 4];
        let message = theirs.recv_fds(&mut bytes, 0).await.expect("received");
        assert_eq!(message.len, 4);
        assert!(message.is_truncated && message.lost_fds);
        assert!(message.fds.is_empty());
        drop(message);
        // Nobody else has the writing end.
        assert_eq!(reader.read(&mut bytes).await.expect("the end"), 0);
    });
}

#[test]
fn more_descriptors_than_a_message_takes_are_refused() {
    run(|| async {
        let (ours, theirs) = UnixDatagram::pair().expect("a pair");
        let null = File::open("/dev/null").expect("opened");
        let fds = vec![null.as_fd(); 254];
        let error = ours.send_fds(b"x", &fds).await.expect_err("too many");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("at most 253"), "{error}");
        ours.send_fds(b"x", &fds[..253]).await.expect("sent");
        let message = theirs.recv_fds(&mut [0; 4], 1000).await.expect("received");
        assert_eq!(message.fds.len(), 253);
    });
}

#[test]
fn descriptors_go_along_with_the_first_byte_of_a_stream() {
    run(|| async {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let (reader, writer) = pipe().expect("a pipe");
        let reader = reader.into_fd();
        let error = ours
            .send_fds(b"", &[reader.as_fd()])
            .await
            .expect_err("no byte");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        ours.write_all(b"before").await.expect("written");
        ours.send_fds(b"with", &[reader.as_fd()])
            .await
            .expect("sent");
        ours.write_all(b"behind").await.expect("written");
        drop((ours, reader));
        let (mut bytes, mut passed) = ([0; 100], Vec::new());
        let mut all = Vec::new();
        loop {
            let message = theirs.recv_fds(&mut bytes, 4).await.expect("received");
            all.extend_from_slice(&bytes[..message.len]);
            passed.extend(message.fds);
            if message.len == 0 {
                break;
            }
        }
        assert_eq!(all, b"beforewithbehind");
        let [fd] = <[OwnedFd; 1]>::try_from(passed).expect("one descriptor");
        let reader = PipeReader::from_fd(fd).expect("a reading end");
        writer.write_all(b"through").await.expect("written");
        assert_eq!(reader.read(&mut bytes).await.expect("read"), 7);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn credentials_come_along_if_asked_for() {
    run(|| async {
        let us = i32::try_from(std::process::id()).ok();
        let (ours, theirs) = UnixDatagram::pair().expect("a pair");
        assert_eq!(ours.peer_cred().expect("known").pid(), us);
        theirs.set_passcred(true).expect("Linux");
        ours.send(b"who?").await.expect("sent");
        let mut bytes = [0; 8];
        let message = theirs.recv_fds(&mut bytes, 0).await.expect("received");
        let sender = message.credentials.expect("asked for");
        assert_eq!(sender.pid(), us);
        assert_eq!(sender.uid(), rustix::process::geteuid().as_raw());
        assert_eq!(sender.gid(), rustix::process::getegid().as_raw());
        assert!(!message.lost_fds);
        theirs.set_passcred(false).expect("off again");
        ours.send(b"who?").await.expect("sent");
        let message = theirs.recv_fds(&mut bytes, 0).await.expect("received");
        assert!(message.credentials.is_none());
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_stream_with_credentials_leaves_no_byte_behind_for_plain_reads() {
    run(|| async {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        theirs.set_passcred(true).expect("Linux");
        let mut bytes = [0; 100];
        assert!(timeout(SHORT, theirs.read(&mut bytes)).await.is_err());
        ours.write_all(b"first").await.expect("written");
        ours.write_all(b"second").await.expect("written");
        let mut all = Vec::new();
        while all.len() < 11 {
            let n = theirs.read(&mut bytes).await.expect("read");
            all.extend_from_slice(&bytes[..n]);
        }
        assert_eq!(all, b"firstsecond");
    });
}

#[test]
fn receives_dropped_or_cancelled_anywhere_lose_no_descriptor() {
    run(|| async {
        let points = sweep(
            || {
                let (ours, theirs) = UnixDatagram::pair().expect("a pair");
                let (reader, writer) = pipe().expect("a pipe");
                let theirs = Arc::new(theirs);
                let receiver = theirs.clone();
                let scenario = async move {
                    let sending = create_task(async move {
                        yield_now().await;
                        let writer = writer.into_fd().expect("open");
                        // `check` may have closed the other end.
                        let _ = ours.send_fds(b"x", &[writer.as_fd()]).await;
                    });
                    let mut bytes = [0; 4];
                    let message = receiver.recv_fds(&mut bytes, 1).await.expect("received");
                    let writer = File::from(message.fds.into_iter().next().expect("one"));
                    (&writer).write_all(b"through").expect("written");
                    sending.await.expect("no panic");
                };
                (scenario, (theirs, reader))
            },
            |(theirs, reader)| async move {
                // Taken or still queued: with the socket gone, the writing end is gone as well.
                drop(theirs);
                let mut bytes = [0; 16];
                let mut n = reader.read(&mut bytes).await.expect("read");
                if n == 7 {
                    n = reader.read(&mut bytes).await.expect("read");
                }
                assert_eq!(n, 0);
            },
        )
        .await;
        assert!(points > 0, "nothing ever waited");
    });
}
