//! Bytes from one end to another, through a buffer and inside the kernel, in both flavours of the runtime.

mod support;

use std::fs::File;
use std::io::{self, Seek as _};
use std::net::{Ipv4Addr, Shutdown};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use loxley_io::net::ByteStream;
use loxley_io::{TcpListener, TcpStream, UnixStream, copy, copy_bidirectional, sendfile, splice};
use loxley_runtime::{create_task, timeout, yield_now};
use support::{Folder, pattern, run, sweep};

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("bound");
    let addr = listener.local_addr().expect("bound");
    let client = TcpStream::connect(addr).await.expect("connected");
    let (server, _) = listener.accept().await.expect("accepted");
    (client, server)
}

fn unix_pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().expect("a pair")
}

/// A stream that is none of ours, as far as copying can see, and keeps what is written to it until it is flushed.
struct Foreign<S> {
    stream: S,
    kept: Vec<u8>,
}

impl<S> Foreign<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            kept: Vec::new(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Foreign<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Foreign<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.kept.len() > 1000 {
            ready!(self.as_mut().poll_flush(cx))?;
        }
        // Never all of it.
        let n = buf.len().div_ceil(2);
        self.kept.extend_from_slice(&buf[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while !this.kept.is_empty() {
            let n = ready!(Pin::new(&mut this.stream).poll_write(cx, &this.kept))?;
            this.kept.drain(..n);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

/// Writes one pattern, ends, and reads another.
async fn talk<S>(stream: S, say: usize, hear: usize)
where
    S: ByteStream,
{
    let (mut reader, mut writer) = split(stream);
    let saying = create_task(async move {
        let said = pattern(say);
        for chunk in said.chunks(100_000) {
            writer.write_all(chunk).await.expect("written");
        }
    });
    let mut heard = vec![0; hear];
    reader.read_exact(&mut heard).await.expect("read");
    assert!(heard == pattern(hear));
    assert_eq!(reader.read(&mut [0; 1]).await.expect("the end"), 0);
    saying.await.expect("no panic");
}

fn split<S: ByteStream>(
    stream: S,
) -> (
    loxley_io::net::OwnedReadHalf<S>,
    loxley_io::net::OwnedWriteHalf<S>,
) {
    stream.into_split()
}

#[test]
fn bytes_are_copied_and_counted() {
    run(|| async {
        let data = pattern(200_000);
        let mut copied = Vec::new();
        let n = copy(&mut &data[..], &mut copied).await.expect("copied");
        assert_eq!(n, 200_000);
        assert!(copied == data);
        let nothing = copy(&mut &b""[..], &mut copied).await.expect("copied");
        assert_eq!(nothing, 0);
        let (ours, theirs) = unix_pair();
        let (mut reader, writer) = theirs.into_split();
        drop(writer);
        let copying = create_task(async move {
            let mut ours = Foreign::new(ours);
            copy(&mut &data[..], &mut ours).await.expect("copied")
        });
        let mut got = Vec::new();
        let n = copy(&mut reader, &mut got).await.expect("copied");
        assert_eq!(n, copying.await.expect("no panic"));
        assert!(got == pattern(200_000));
    });
}

#[test]
fn a_writer_that_takes_nothing_is_an_error() {
    run(|| async {
        let mut full = [0; 3];
        let mut writer = &mut full[..];
        struct Full<'a>(&'a mut &'a mut [u8]);
        impl AsyncWrite for Full<'_> {
            fn poll_write(
                mut self: Pin<&mut Self>,
                _cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                Poll::Ready(io::Write::write(&mut self.0, buf))
            }

            fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }
        }
        let error = copy(&mut &b"four"[..], &mut Full(&mut writer))
            .await
            .expect_err("full");
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    });
}

#[test]
fn a_copy_that_is_always_ready_lets_others_run() {
    struct Endless;
    impl AsyncRead for Endless {
        fn poll_read(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }
    }
    struct Void;
    impl AsyncWrite for Void {
        fn poll_write(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    run(|| async {
        let endless = timeout(Duration::from_millis(5), copy(&mut Endless, &mut Void)).await;
        assert!(endless.is_err());
    });
}

/// Between all sorts of ends, with a lot in one direction, in the other, in both and in none.
macro_rules! both_ways {
    ($($name:ident: $front:expr, $back:expr;)*) => {$(
        #[test]
        fn $name() {
            run(|| async {
                for (forth, back) in [(1 << 20, 1 << 20), (3 << 20, 10), (10, 3 << 20), (0, 0)] {
                    let (client, mut front) = $front;
                    let (mut behind, server) = $back;
                    let proxy = create_task(async move {
                        copy_bidirectional(&mut front, &mut behind).await
                    });
                    let client = create_task(talk(client, forth, back));
                    let server = create_task(talk(server, back, forth));
                    client.await.expect("no panic");
                    server.await.expect("no panic");
                    let counts = proxy.await.expect("no panic").expect("copied");
                    assert_eq!(counts, (forth as u64, back as u64));
                }
            });
        }
    )*};
}

both_ways! {
    both_directions_are_spliced_between_tcp_streams: tcp_pair().await, tcp_pair().await;
    both_directions_are_spliced_between_unix_streams: unix_pair(), unix_pair();
    both_directions_are_spliced_from_tcp_to_unix: tcp_pair().await, unix_pair();
    both_directions_go_through_a_buffer_with_a_foreign_end: {
        let (client, front) = tcp_pair().await;
        (client, Foreign::new(front))
    }, unix_pair();
    both_directions_go_through_a_buffer_between_foreign_ends: {
        let (client, front) = unix_pair();
        (client, Foreign::new(front))
    }, {
        let (back, server) = unix_pair();
        (Foreign::new(back), server)
    };
}

#[test]
fn the_end_of_one_direction_is_passed_on_while_the_other_goes_on() {
    run(|| async {
        let (client, mut front) = tcp_pair().await;
        let (mut back, server) = tcp_pair().await;
        let proxy = create_task(async move { copy_bidirectional(&mut front, &mut back).await });
        client.write_all(b"question").await.expect("written");
        client.shutdown(Shutdown::Write).expect("shut down");
        let mut bytes = [0; 16];
        server.read_exact(&mut bytes[..8]).await.expect("read");
        assert_eq!(server.read(&mut bytes).await.expect("the end"), 0);
        for _ in 0..3 {
            server.write_all(b"answer").await.expect("written");
            client.read_exact(&mut bytes[..6]).await.expect("read");
            assert_eq!(&bytes[..6], b"answer");
        }
        drop(server);
        assert_eq!(client.read(&mut bytes).await.expect("the end"), 0);
        let counts = proxy.await.expect("no panic").expect("copied");
        assert_eq!(counts, (8, 18));
    });
}

#[test]
fn a_reset_ends_both_directions_with_its_error() {
    run(|| async {
        let (client, mut front) = tcp_pair().await;
        let (mut back, server) = tcp_pair().await;
        let proxy = create_task(async move { copy_bidirectional(&mut front, &mut back).await });
        client.write_all(b"x").await.expect("written");
        assert_eq!(server.read(&mut [0; 4]).await.expect("read"), 1);
        client.set_linger(Some(Duration::ZERO)).expect("set");
        drop(client);
        let error = proxy.await.expect("no panic").expect_err("reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(server.read(&mut [0; 4]).await.expect("the end"), 0);
    });
}

#[test]
fn a_receiver_that_is_gone_ends_the_copy() {
    run(|| async {
        let (client, front) = unix_pair();
        let (back, server) = unix_pair();
        drop(server);
        client.write_all(b"x").await.expect("written");
        let error = splice(&front, &back).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn one_direction_is_spliced_and_nothing_closed() {
    run(|| async {
        let (client, front) = tcp_pair().await;
        let (back, server) = unix_pair();
        let data = pattern(500_000);
        let splicing = create_task(async move {
            let moved = splice(&front, &back).await.expect("moved");
            back.write_all(b"open").await.expect("still open");
            moved
        });
        let sent = data.clone();
        let sending = create_task(async move {
            client.write_all(&sent).await.expect("written");
        });
        let mut got = vec![0; data.len() + 4];
        server.read_exact(&mut got).await.expect("read");
        assert!(got[..data.len()] == data);
        assert_eq!(&got[data.len()..], b"open");
        assert_eq!(splicing.await.expect("no panic"), 500_000);
        sending.await.expect("no panic");
    });
}

#[test]
fn copies_dropped_or_cancelled_anywhere_leave_the_streams_alone() {
    run(|| async {
        let points = sweep(
            || {
                let ((client, front), (back, server)) = (unix_pair(), unix_pair());
                let clients = Arc::new((client, server));
                let talkers = clients.clone();
                let scenario = async move {
                    let (mut front, mut back) = (front, back);
                    let talking = create_task(async move {
                        let (client, server) = &*talkers;
                        let mut bytes = [0; 8];
                        for round in 0..3 {
                            yield_now().await;
                            let _ = client.write_all(b"ping").await;
                            let n = server.read(&mut bytes).await.unwrap_or(0);
                            if n == 0 {
                                return;
                            }
                            let _ = server.write_all(&bytes[..n]).await;
                            if round == 2 {
                                let _ = client.shutdown(Shutdown::Both);
                                let _ = server.shutdown(Shutdown::Both);
                            }
                        }
                    });
                    let _ = copy_bidirectional(&mut front, &mut back).await;
                    drop((front, back));
                    talking.await.expect("no panic");
                };
                (scenario, clients)
            },
            |clients| async move {
                // The proxy's ends are gone with the copy: both clients see that.
                let (client, server) = &*clients;
                for stream in [client, server] {
                    let mut bytes = [0; 64];
                    while !matches!(stream.read(&mut bytes).await, Ok(0) | Err(_)) {}
                }
            },
        )
        .await;
        assert!(points > 0, "nothing ever waited");
    });
}

#[test]
fn a_file_is_sent_whole_or_in_part() {
    run(|| async {
        let folder = Folder::new();
        let data = pattern(1_300_000);
        std::fs::write(folder.join("file"), &data).expect("written");
        let mut file = File::open(folder.join("file")).expect("opened");
        let parts = [
            (0, None, &data[..]),
            (0, Some(10), &data[..10]),
            (1000, Some(900_000), &data[1000..901_000]),
            (1_299_990, Some(100), &data[1_299_990..]),
            (1_300_000, None, &data[..0]),
            (1 << 40, None, &data[..0]),
        ];
        for (offset, count, part) in parts {
            let (ours, theirs) = tcp_pair().await;
            let file = file.try_clone().expect("cloned");
            let sending =
                create_task(
                    async move { sendfile(&ours, &file, offset, count).await.expect("sent") },
                );
            let mut got = vec![0; part.len()];
            theirs.read_exact(&mut got).await.expect("read");
            assert!(got == part);
            assert_eq!(theirs.read(&mut [0; 1]).await.expect("the end"), 0);
            assert_eq!(sending.await.expect("no panic"), part.len() as u64);
        }
        assert_eq!(file.stream_position().expect("asked"), 0);
    });
}

#[test]
fn what_cannot_be_sent_is_refused_with_the_reason() {
    run(|| async {
        let folder = Folder::new();
        std::fs::write(folder.join("file"), "data").expect("written");
        let file = File::open(folder.join("file")).expect("opened");
        let directory = File::open(folder.path()).expect("opened");
        let (ours, _theirs) = unix_pair();
        for (file, count, why) in [(&file, Some(0), "zero"), (&directory, None, "regular")] {
            let error = sendfile(&ours, file, 0, count).await.expect_err("refused");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert_eq!(error.sent(), 0);
            assert!(error.to_string().contains(why), "{error}");
        }
        let written = File::create(folder.join("file")).expect("opened");
        let error = sendfile(&ours, &written, 0, None)
            .await
            .expect_err("not for reading");
        let error = io::Error::from(error);
        assert!(error.to_string().contains("after 0 bytes"), "{error}");
    });
}

#[test]
fn a_file_without_pages_is_read_on_another_thread() {
    run(|| async {
        // Neither has a size, nor can the kernel send either by itself on most systems.
        for path in ["/proc/self/status", "/proc/self/maps"] {
            let Ok(file) = File::open(path) else {
                continue;
            };
            let (ours, theirs) = unix_pair();
            let sent = sendfile(&ours, &file, 0, None).await.expect("sent");
            drop(ours);
            let mut got = Vec::new();
            let (mut reader, _writer) = theirs.into_split();
            copy(&mut reader, &mut got).await.expect("read");
            assert!(sent > 0);
            assert_eq!(got.len() as u64, sent);
        }
    });
}

#[test]
fn a_receiver_that_leaves_is_an_error_that_says_how_much_was_sent() {
    run(|| async {
        let folder = Folder::new();
        let file = File::create_new(folder.join("file")).expect("created");
        file.set_len(64 << 20).expect("sparse");
        let file = File::open(folder.join("file")).expect("opened");
        let (ours, theirs) = tcp_pair().await;
        let sending = create_task(async move { sendfile(&ours, &file, 0, None).await });
        let mut bytes = vec![0; 100_000];
        theirs.read_exact(&mut bytes).await.expect("read");
        drop(theirs);
        let error = sending.await.expect("no panic").expect_err("gone");
        assert!(error.sent() >= 100_000);
        assert!(error.sent() < 64 << 20);
        assert!(
            [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe].contains(&error.kind()),
            "{error}"
        );
    });
}

#[test]
fn a_file_that_shrinks_ends_early() {
    run(|| async {
        let folder = Folder::new();
        let file = File::create_new(folder.join("file")).expect("created");
        file.set_len(64 << 20).expect("sparse");
        let shrunk = file.try_clone().expect("cloned");
        let file = File::open(folder.join("file")).expect("opened");
        let (ours, theirs) = tcp_pair().await;
        let sending = create_task(async move { sendfile(&ours, &file, 0, Some(64 << 20)).await });
        let mut bytes = vec![0; 100_000];
        theirs.read_exact(&mut bytes).await.expect("read");
        shrunk.set_len(1000).expect("shrunk");
        let (mut reader, _writer) = theirs.into_split();
        let mut rest = Vec::new();
        copy(&mut reader, &mut rest).await.expect("read");
        let sent = sending.await.expect("no panic").expect("an end");
        assert_eq!(sent, 100_000 + rest.len() as u64);
        assert!(sent < 64 << 20);
    });
}
