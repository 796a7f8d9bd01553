//! Pipes and descriptors from elsewhere, in both flavours of the runtime.

mod support;

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, IoSlice, Write as _};
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_io::AsyncWrite as _;
use loxley_io::{PipeReader, PipeWriter, pipe};
use loxley_runtime::{create_task, timeout, yield_now};
use support::{Folder, pattern, run, sweep};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(5);

async fn drain(reader: &PipeReader) -> Vec<u8> {
    let mut all = Vec::new();
    let mut bytes = [0; 777];
    loop {
        match reader.read(&mut bytes).await.expect("read") {
            0 => return all,
            n => all.extend_from_slice(&bytes[..n]),
        }
    }
}

#[test]
fn bytes_come_through_and_a_dropped_writer_is_the_end() {
    run(|| async {
        let (reader, writer) = pipe().expect("a pipe");
        let reading = create_task(async move { drain(&reader).await });
        yield_now().await;
        writer.write_all(b"one ").await.expect("written");
        let slices = [IoSlice::new(b"two "), IoSlice::new(b"three")];
        assert_eq!(writer.write_vectored(&slices).await.expect("written"), 9);
        drop(writer);
        assert_eq!(reading.await.expect("no panic"), b"one two three");
    });
}

#[test]
fn a_bulk_transfer_arrives_whole_whatever_the_chunks() {
    run(|| async {
        for (write, read) in [(1 << 20, 1000), (1000, 1 << 20), (64 << 10, 64 << 10)] {
            let (reader, writer) = pipe().expect("a pipe");
            let data = Arc::new(pattern(2 << 20));
            let sent = data.clone();
            let writing = create_task(async move {
                for chunk in sent.chunks(write) {
                    writer.write_all(chunk).await.expect("written");
                }
            });
            let mut got = Vec::with_capacity(data.len());
            let mut bytes = vec![0; read];
            loop {
                match reader.read(&mut bytes).await.expect("read") {
                    0 => break,
                    n => got.extend_from_slice(&bytes[..n]),
                }
            }
            assert!(got == *data);
            writing.await.expect("no panic");
        }
    });
}

#[test]
fn without_a_reader_a_write_fails_even_one_that_waits() {
    run(|| async {
        let (reader, writer) = pipe().expect("a pipe");
        while writer.try_write(&[0; 4096]).is_ok() {}
        let writing = create_task(async move { writer.write(b"x").await });
        yield_now().await;
        drop(reader);
        let error = writing.await.expect("no panic").expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

/// In packet mode a read ends with its packet: what is behind it must not be left to the next event.
#[cfg(target_os = "linux")]
#[test]
fn packets_behind_the_first_are_read_at_once() {
    run(|| async {
        use rustix::pipe::{PipeFlags, pipe_with};
        let (ours, theirs) = pipe_with(PipeFlags::DIRECT).expect("a pipe");
        let reader = PipeReader::from_fd(ours).expect("registered");
        let mut bytes = [0; 100];
        assert!(timeout(SHORT, reader.read(&mut bytes)).await.is_err());
        let mut theirs = File::from(theirs);
        for packet in ["first", "second"] {
            theirs.write_all(packet.as_bytes()).expect("written");
        }
        for packet in ["first", "second"] {
            let n = timeout(LONG, reader.read(&mut bytes))
                .await
                .expect("no event is needed")
                .expect("read");
            assert_eq!(&bytes[..n], packet.as_bytes());
        }
    });
}

#[test]
fn a_terminal_gives_one_line_at_a_time_and_no_line_is_left() {
    run(|| async {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("a terminal");
        grantpt(&master).expect("granted");
        unlockpt(&master).expect("unlocked");
        let name = ptsname(&master, Vec::new()).expect("named");
        let name = name.to_str().expect("ASCII").to_owned();
        let terminal = File::options().read(true).write(true).open(name);
        let terminal = OwnedFd::from(terminal.expect("opened"));
        let writer = PipeWriter::from_fd(terminal.try_clone().expect("a clone"));
        let reader = PipeReader::from_fd(terminal).expect("registered");
        let mut bytes = [0; 100];
        assert!(timeout(SHORT, reader.read(&mut bytes)).await.is_err());
        let mut typist = File::from(master);
        typist.write_all(b"one\ntwo\n").expect("typed");
        for line in ["one\n", "two\n"] {
            let n = timeout(LONG, reader.read(&mut bytes))
                .await
                .expect("no event is needed")
                .expect("read");
            assert_eq!(&bytes[..n], line.as_bytes());
        }
        writer
            .expect("registered")
            .write_all(b"shown")
            .await
            .expect("written");
    });
}

#[test]
fn what_cannot_be_waited_for_is_refused_with_the_reason() {
    run(|| async {
        let folder = Folder::new();
        let path = folder.join("file");
        std::fs::write(&path, "data").expect("written");
        let refused = [
            (path.as_path(), "regular file"),
            (folder.path(), "only pipes"),
            (std::path::Path::new("/dev/null"), "to_thread"),
        ];
        for (path, why) in refused {
            let file = File::open(path).expect("opened");
            let error = PipeReader::from_fd(file).expect_err("refused");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path:?}");
            assert!(error.to_string().contains(why), "{error}");
        }
        let file = File::options().append(true).open(&path).expect("opened");
        let error = PipeWriter::from_fd(file).expect_err("refused");
        assert!(error.to_string().contains("regular file"), "{error}");
    });
}

#[test]
fn the_wrong_end_is_refused() {
    run(|| async {
        let (reader, writer) = pipe().expect("a pipe");
        let error = PipeWriter::from_fd(reader.into_fd()).expect_err("a reading end");
        assert!(
            error.to_string().contains("not open for writing"),
            "{error}"
        );
        let error =
            PipeReader::from_fd(writer.into_fd().expect("open")).expect_err("a writing end");
        assert!(
            error.to_string().contains("not open for reading"),
            "{error}"
        );
    });
}

#[test]
fn sockets_serve_as_either_end() {
    run(|| async {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let writer = PipeWriter::from_fd(ours).expect("registered");
        let reader = PipeReader::from_fd(theirs).expect("registered");
        writer
            .write_all(b"through a socket")
            .await
            .expect("written");
        let slices = [IoSlice::new(b"!")];
        assert_eq!(writer.try_write_vectored(&slices).expect("written"), 1);
        drop(writer);
        assert_eq!(drain(&reader).await, b"through a socket!");
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
        drop(theirs);
        let writer = PipeWriter::from_fd(ours).expect("registered");
        let error = writer.write(b"x").await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn closing_through_a_trait_ends_the_pipe_and_refuses_what_follows() {
    run(|| async {
        let (reader, mut writer) = pipe().expect("a pipe");
        writer.write_all(b"last").await.expect("written");
        for _ in 0..2 {
            poll_fn(|cx| Pin::new(&mut writer).poll_close(cx))
                .await
                .expect("closed");
        }
        assert_eq!(drain(&reader).await, b"last");
        let refused = [
            writer.write(b"x").await,
            writer.write_vectored(&[IoSlice::new(b"x")]).await,
            writer.try_write(b"x"),
            poll_fn(|cx| Pin::new(&mut writer).poll_write(cx, b"x")).await,
            writer.writable().await.map(|()| 0),
        ];
        for result in refused {
            let error = result.expect_err("closed");
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            assert!(error.to_string().contains("was closed"), "{error}");
        }
        assert_eq!(writer.write(b"").await.expect("nothing to do"), 0);
        writer.into_fd().expect_err("closed");
    });
}

#[test]
fn a_descriptor_number_that_is_used_again_brings_no_old_event() {
    run(|| async {
        let (first, _writer) = pipe().expect("a pipe");
        let number = first.as_raw_fd();
        first.try_read(&mut [0; 1]).expect_err("empty");
        let waiting = timeout(SHORT, first.readable()).await;
        assert!(waiting.is_err());
        drop(first);
        let (second, writer) = pipe().expect("a pipe");
        // The lowest free number: the first one's, unless another test was quicker.
        if second.as_raw_fd() == number {
            drop(_writer);
        }
        second.try_read(&mut [0; 1]).expect_err("empty");
        assert!(timeout(SHORT, second.readable()).await.is_err());
        writer.write_all(b"x").await.expect("written");
        assert_eq!(second.read(&mut [0; 4]).await.expect("read"), 1);
    });
}

#[test]
fn reads_and_writes_dropped_or_cancelled_anywhere_lose_nothing() {
    run(|| async {
        let points = sweep(
            || {
                let (reader, writer) = pipe().expect("a pipe");
                while writer.try_write(&[7; 4096]).is_ok() {}
                let ends = (Arc::new(reader), Arc::new(writer));
                let (reader, writer) = ends.clone();
                let scenario = async move {
                    let emptied = reader.clone();
                    let emptying = create_task(async move {
                        yield_now().await;
                        let mut bytes = vec![0; 1 << 20];
                        emptied.read(&mut bytes).await.expect("read");
                    });
                    writer.write_all(b"one").await.expect("written");
                    emptying.await.expect("no panic");
                    let mut bytes = [0; 3];
                    reader.read_exact(&mut bytes).await.expect("read");
                    assert_eq!(bytes, *b"one");
                };
                (scenario, ends)
            },
            |(reader, writer)| async move {
                drop(writer);
                let mut rest = drain(&reader).await;
                rest.retain(|&byte| byte != 7);
                assert!(rest.is_empty() || rest == b"one", "{rest:?}");
            },
        )
        .await;
        assert!(points > 0, "nothing ever waited");
    });
}
