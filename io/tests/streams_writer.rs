//! `StreamWriter`: what is sent at once, what is queued, and how it ends; over sinks in memory and over TCP.

mod streams_support;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loxley_io::streams::{self, DEFAULT_LIMIT, StreamReader, StreamWriter, WaterMarks};
use loxley_runtime::testing::{cancel_at_every_pending, drop_at_every_pending};
use loxley_runtime::{create_task, yield_now};
use streams_support::{Sink, Source, Step, each, pattern, same, slurp, tcp_pair, until};

#[test]
fn a_write_is_sent_before_the_call_returns_if_it_can_be() {
    each(|| async {
        let sink = Sink::default();
        let writer = StreamWriter::from_writer(sink.end());
        writer.write(b"hello ");
        writer.write(b"world");
        writer.write(b"");
        assert_eq!(sink.get(|s| s.bytes.clone()), b"hello world");
        assert_eq!(sink.get(|s| s.flushed), 11);
        assert_eq!(writer.get_write_buffer_size(), 0);
        let (ours, theirs) = tcp_pair().await;
        let (_reader, writer) = streams::from_tcp(ours);
        writer.write(b"hello");
        let mut bytes = [0; 10];
        theirs.readable().await.unwrap();
        assert_eq!(theirs.try_read(&mut bytes).unwrap(), 5);
    });
}

#[test]
fn the_peer_of_what_was_not_sent_whole_sees_no_good_end() {
    use std::io::Read;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("bound");
    let runtime = loxley_runtime::Runtime::builder().worker_threads(2);
    let runtime = runtime.build().expect("a runtime");
    let (reader, writer) = runtime.block_on(async {
        let (reader, writer) = loxley_io::open_connection(addr).await.expect("connected");
        writer.write(&pattern(64 << 20));
        assert!(writer.get_write_buffer_size() > 0, "the peer reads nothing");
        (reader, writer)
    });
    let (mut peer, _) = listener.accept().expect("accepted");
    // Whoever was to send the rest is gone with the runtime.
    drop(runtime);
    drop((reader, writer));
    let error = peer.read_to_end(&mut Vec::new()).expect_err("not whole");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
}

#[test]
fn what_cannot_be_sent_at_once_is_sent_in_the_background_though_nobody_drains() {
    each(|| async {
        for set in [
            |s: &mut streams_support::SinkState| s.most = Some(1),
            |s: &mut streams_support::SinkState| s.stutters = true,
            |s: &mut streams_support::SinkState| (s.stutters, s.most) = (true, Some(3)),
        ] {
            let sink = Sink::with(set);
            let writer = StreamWriter::from_writer(sink.end());
            let bytes = pattern(1000);
            for piece in bytes.chunks(77) {
                writer.write(piece);
            }
            until(|| sink.get(|s| s.flushed) == 1000).await;
            assert_eq!(sink.get(|s| s.bytes.clone()), bytes);
            until(|| writer.get_write_buffer_size() == 0).await;
        }
    });
}

#[test]
fn a_large_write_over_tcp_arrives_though_nobody_drains() {
    each(|| async {
        let (ours, theirs) = tcp_pair().await;
        let (reader, writer) = streams::from_tcp(ours);
        let bytes = pattern(8 << 20);
        writer.write(&bytes);
        assert!(writer.get_write_buffer_size() > 0, "the kernel holds less");
        drop((reader, writer));
        same(&slurp(&theirs).await.unwrap(), &bytes);
    });
}

#[test]
fn writelines_sends_the_pieces_in_their_order() {
    each(|| async {
        let sink = Sink::default();
        let writer = StreamWriter::from_writer(sink.end());
        writer.writelines(["one", "", "two"]);
        writer.writelines([b"3"]);
        writer.writelines(Vec::<Vec<u8>>::new());
        // An empty piece at the end is no reason to wait.
        writer.writelines(vec![b"4".to_vec(), Vec::new()]);
        writer.drain().await.unwrap();
        assert_eq!(sink.get(|s| s.bytes.clone()), b"onetwo34");
        // Flow control knows of it.
        let slow = Sink::with(|s| s.credit = Some(0));
        let writer = StreamWriter::from_writer(slow.end());
        writer.set_write_buffer_limits(WaterMarks::high_at(3));
        writer.writelines(["ab", "cd"]);
        assert_eq!(writer.get_write_buffer_size(), 4);
        let draining = writer.clone();
        let drain = create_task(async move { draining.drain().await });
        yield_now().await;
        assert!(!drain.is_finished());
        slow.set(|s| s.credit = None);
        drain.await.unwrap().unwrap();
    });
}

#[test]
fn drain_waits_from_above_the_high_mark_until_at_the_low_one() {
    each(|| async {
        let sink = Sink::with(|s| s.credit = Some(0));
        let writer = StreamWriter::from_writer(sink.end());
        writer.set_write_buffer_limits(WaterMarks::between(3, 10));
        writer.write(&[1; 10]);
        // Exactly at the mark is not above it.
        writer.drain().await.unwrap();
        writer.write(&[2]);
        let drained = Arc::new(AtomicUsize::new(0));
        let drains: Vec<_> = (0..3)
            .map(|_| {
                let (writer, drained) = (writer.clone(), drained.clone());
                create_task(async move {
                    writer.drain().await.unwrap();
                    drained.fetch_add(1, Ordering::Relaxed);
                })
            })
            .collect();
        sink.set(|s| s.credit = Some(7));
        until(|| writer.get_write_buffer_size() == 4).await;
        for _ in 0..20 {
            yield_now().await;
        }
        assert_eq!(
            drained.load(Ordering::Relaxed),
            0,
            "4 is above the low mark"
        );
        sink.set(|s| s.credit = Some(1));
        for drain in drains {
            drain.await.unwrap();
        }
        assert_eq!(writer.get_write_buffer_size(), 3);
        sink.set(|s| s.credit = None);
        writer.close();
        writer.wait_closed().await.unwrap();
    });
}

#[test]
fn water_marks_follow_each_other_and_are_checked() {
    let pair = |marks: WaterMarks| (marks.low(), marks.high());
    assert_eq!(pair(WaterMarks::default()), (16 << 10, 64 << 10));
    assert_eq!(pair(WaterMarks::high_at(100)), (25, 100));
    assert_eq!(pair(WaterMarks::low_at(100)), (100, 400));
    assert_eq!(pair(WaterMarks::high_at(0)), (0, 0));
    assert_eq!(pair(WaterMarks::between(5, 5)), (5, 5));
    assert!(catch_unwind(|| WaterMarks::between(6, 5)).is_err());
    each(|| async {
        let sink = Sink::with(|s| s.credit = Some(0));
        let writer = StreamWriter::from_writer(sink.end());
        writer.write(&[1; 100]);
        // Marks that are set anew count at once, both ways.
        writer.set_write_buffer_limits(WaterMarks::high_at(99));
        assert_eq!(writer.get_write_buffer_limits(), WaterMarks::high_at(99));
        let draining = writer.clone();
        let drain = create_task(async move { draining.drain().await });
        yield_now().await;
        assert!(!drain.is_finished());
        writer.set_write_buffer_limits(WaterMarks::low_at(100));
        drain.await.unwrap().unwrap();
        writer.abort();
    });
}

#[test]
fn a_peer_that_never_reads_suspends_the_writer_at_the_high_mark() {
    each(|| async {
        let (ours, theirs) = tcp_pair().await;
        let (reader, writer) = streams::from_tcp(ours);
        let bytes = pattern(10_000);
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = sent.clone();
        let (writing, piece) = (writer.clone(), bytes.clone());
        let task = create_task(async move {
            loop {
                writing.write(&piece);
                counted.fetch_add(1, Ordering::Relaxed);
                writing.drain().await?;
            }
            #[expect(unreachable_code, reason = "names the type")]
            io::Result::Ok(())
        });
        // Until the kernel takes no more; the count then stands still.
        until(|| writer.get_write_buffer_size() > 64 << 10).await;
        let before = sent.load(Ordering::Relaxed);
        for _ in 0..200 {
            yield_now().await;
            assert!(writer.get_write_buffer_size() <= (64 << 10) + bytes.len());
        }
        assert_eq!(sent.load(Ordering::Relaxed), before);
        // A peer that goes away ends it.
        drop(theirs);
        assert!(task.await.unwrap().is_err());
        assert!(writer.is_closing());
        assert!(writer.wait_closed().await.is_err());
        assert_eq!(writer.get_write_buffer_size(), 0);
        drop(reader);
    });
}

#[test]
fn write_eof_ends_our_half_behind_what_is_queued_and_reading_goes_on() {
    each(|| async {
        let (ours, theirs) = tcp_pair().await;
        let (mut reader, writer) = streams::from_tcp(ours);
        let bytes = pattern(3 << 20);
        writer.write(&bytes);
        writer.write_eof();
        writer.write_eof();
        assert!(!writer.is_closing());
        same(&slurp(&theirs).await.unwrap(), &bytes);
        theirs.write_all(b"answer\n").await.unwrap();
        assert_eq!(reader.readline().await.unwrap(), b"answer\n");
        writer.drain().await.unwrap();
        let panic = catch_unwind(AssertUnwindSafe(|| writer.write(b"more"))).expect_err("misuse");
        let text = panic.downcast_ref::<&str>().expect("a text");
        assert!(text.contains("write_eof"), "{text}");
        writer.close();
        writer.wait_closed().await.unwrap();
    });
}

#[test]
fn close_sends_what_is_queued_then_ends_both_ways() {
    each(|| async {
        let (ours, theirs) = tcp_pair().await;
        let (mut reader, writer) = streams::from_tcp(ours);
        let reading = create_task(async move {
            let end = reader.read(10).await;
            (reader, end)
        });
        let bytes = pattern(3 << 20);
        writer.write(&bytes);
        assert!(!writer.is_closing());
        writer.close();
        assert!(writer.is_closing());
        writer.close();
        writer.write(b"dropped in silence");
        let waiting = writer.clone();
        let closed = create_task(async move { waiting.wait_closed().await });
        // A reader that waited sees the end.
        let (mut reader, end) = reading.await.unwrap();
        assert_eq!(end.unwrap(), b"");
        assert!(reader.at_eof());
        same(&slurp(&theirs).await.unwrap(), &bytes);
        closed.await.unwrap().unwrap();
        writer.wait_closed().await.unwrap();
        let error = writer.drain().await.expect_err("closed");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(reader.readline().await.unwrap(), b"");
        // The peer of a connection that is closed cannot go on writing.
        drop((reader, writer));
        while theirs.write(b"x").await.is_ok() {}
    });
}

#[test]
fn the_end_of_the_last_writer_is_the_end_of_our_half() {
    each(|| async {
        let (ours, theirs) = tcp_pair().await;
        let (mut reader, writer) = streams::from_tcp(ours);
        let second = writer.clone();
        writer.write(b"one ");
        drop(writer);
        second.write(b"two");
        drop(second);
        assert_eq!(slurp(&theirs).await.unwrap(), b"one two");
        theirs.write_all(b"late").await.unwrap();
        assert_eq!(reader.readexactly(4).await.unwrap(), b"late");
        drop(theirs);
        assert_eq!(reader.read(1).await.unwrap(), b"");
    });
}

#[test]
fn abort_gives_up_what_is_queued_and_the_peer_sees_a_reset() {
    each(|| async {
        let (ours, theirs) = tcp_pair().await;
        let (mut reader, writer) = streams::from_tcp(ours);
        writer.write(&pattern(8 << 20));
        assert!(writer.get_write_buffer_size() > 0);
        let reading = create_task(async move { reader.read(10).await });
        let draining = writer.clone();
        let drain = create_task(async move { draining.drain().await });
        yield_now().await;
        writer.abort();
        assert!(writer.is_closing());
        assert_eq!(writer.get_write_buffer_size(), 0);
        writer.wait_closed().await.unwrap();
        assert!(drain.await.unwrap().is_err());
        assert_eq!(reading.await.unwrap().unwrap(), b"");
        let error = slurp(&theirs).await.expect_err("not whole");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_sink_that_fails_is_told_to_everybody_and_let_go() {
    each(|| async {
        let sink = Sink::with(|s| s.credit = Some(0));
        let writer = StreamWriter::from_writer(sink.end());
        writer.set_write_buffer_limits(WaterMarks::high_at(0));
        writer.write(b"hello");
        let waiting = writer.clone();
        let drain = create_task(async move { waiting.drain().await });
        let waiting = writer.clone();
        let closed = create_task(async move { waiting.wait_closed().await });
        yield_now().await;
        sink.set(|s| s.fails = Some(io::ErrorKind::StorageFull));
        for error in [drain.await.unwrap(), closed.await.unwrap()] {
            assert_eq!(error.unwrap_err().kind(), io::ErrorKind::StorageFull);
        }
        assert!(writer.is_closing());
        writer.write(b"nothing comes of it");
        let error = writer.drain().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        until(|| sink.get(|s| s.is_dropped)).await;
        assert!(!sink.get(|s| s.is_closed));
        // At once, too.
        let sink = Sink::with(|s| s.fails = Some(io::ErrorKind::BrokenPipe));
        let writer = StreamWriter::from_writer(sink.end());
        writer.write(b"hello");
        assert!(sink.get(|s| s.is_dropped));
        assert!(writer.drain().await.is_err());
    });
}

#[test]
fn a_sink_is_closed_and_let_go_behind_what_is_queued() {
    each(|| async {
        for way in 0..3 {
            let sink = Sink::with(|s| (s.stutters, s.most) = (true, Some(4)));
            let writer = StreamWriter::from_writer(sink.end());
            writer.write(b"some bytes");
            match way {
                0 => writer.write_eof(),
                1 => writer.close(),
                _ => drop(writer),
            }
            until(|| sink.get(|s| s.is_dropped)).await;
            assert!(sink.get(|s| s.is_closed));
            assert_eq!(sink.get(|s| s.bytes.clone()), b"some bytes");
        }
        // With nothing queued it happens at once.
        let sink = Sink::default();
        let writer = StreamWriter::from_writer(sink.end());
        writer.write(b"x");
        writer.write_eof();
        assert!(sink.get(|s| s.is_closed && s.is_dropped));
        writer.close();
        writer.wait_closed().await.unwrap();
    });
}

#[test]
fn abort_lets_a_stuck_sink_go() {
    each(|| async {
        let sink = Sink::with(|s| s.credit = Some(3));
        let writer = StreamWriter::from_writer(sink.end());
        writer.write(b"hello");
        writer.abort();
        until(|| sink.get(|s| s.is_dropped)).await;
        assert_eq!(sink.get(|s| s.bytes.clone()), b"hel");
        assert!(!sink.get(|s| s.is_closed));
        writer.wait_closed().await.unwrap();
    });
}

#[test]
fn an_error_of_the_reader_is_told_to_whoever_drains() {
    each(|| async {
        let sink = Sink::default();
        let reset = Step::Error(io::ErrorKind::ConnectionReset);
        let source = Source::new([Step::Bytes(b"abc".to_vec()), reset]);
        let (mut reader, writer) = streams::from_halves(source, sink.end(), DEFAULT_LIMIT);
        writer.write(b"x");
        writer.drain().await.unwrap();
        reader.readline().await.expect_err("broken");
        for _ in 0..2 {
            let error = writer.drain().await.expect_err("broken");
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
        assert!(writer.wait_closed().await.is_err());
    });
}

#[test]
fn closing_one_half_of_a_pair_ends_the_reader_that_waits() {
    each(|| async {
        let sink = Sink::default();
        let source = Source::new([Step::Bytes(b"abc".to_vec()), Step::Stuck]);
        let given = source.given.clone();
        let (mut reader, writer) = streams::from_halves(source, sink.end(), DEFAULT_LIMIT);
        let reading = create_task(async move { reader.read_to_end().await });
        until(|| *given.lock().unwrap() == 3).await;
        writer.close();
        assert_eq!(reading.await.unwrap().unwrap(), b"abc");
    });
}

#[test]
fn a_sink_that_panics_breaks_the_stream_and_nothing_else() {
    struct Panics;
    impl futures_io::AsyncWrite for Panics {
        fn poll_write(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &[u8],
        ) -> std::task::Poll<io::Result<usize>> {
            panic!("this sink is broken")
        }
        fn poll_flush(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
        fn poll_close(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
    }
    each(|| async {
        let writer = StreamWriter::from_writer(Panics);
        assert!(catch_unwind(AssertUnwindSafe(|| writer.write(b"x"))).is_err());
        assert!(writer.drain().await.is_err());
        assert!(writer.wait_closed().await.is_err());
    });
}

#[test]
fn clones_write_whole_pieces() {
    each(|| async {
        let (ours, theirs) = tcp_pair().await;
        let (reader, writer) = streams::from_tcp(ours);
        let tasks: Vec<_> = (0..4u8)
            .map(|id| {
                let writer = writer.clone();
                create_task(async move {
                    for _ in 0..200 {
                        writer.write(&[id; 5000]);
                        writer.drain().await.unwrap();
                    }
                })
            })
            .collect();
        drop((reader, writer));
        let bytes = slurp(&theirs).await.unwrap();
        assert_eq!(bytes.len(), 4 * 200 * 5000);
        for piece in bytes.chunks(5000) {
            assert!(piece.iter().all(|byte| *byte == piece[0]));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_drain_given_up_at_any_point_loses_nothing() {
    fn scenario(sink: &Sink) -> impl Future<Output = ()> + use<> {
        let writer = StreamWriter::from_writer(sink.end());
        async move {
            writer.set_write_buffer_limits(WaterMarks::high_at(0));
            for piece in ["one ", "two ", "three"] {
                writer.write(piece.as_bytes());
                writer.drain().await.unwrap();
            }
            writer.close();
            writer.wait_closed().await.unwrap();
        }
    }
    async fn check(sink: Sink) {
        until(|| sink.get(|s| s.is_dropped)).await;
        let bytes = sink.get(|s| s.bytes.clone());
        assert!(sink.get(|s| s.is_closed));
        assert!([&b"one "[..], b"one two ", b"one two three"].contains(&&bytes[..]));
    }
    let points = AtomicUsize::new(0);
    each(|| async {
        let sink = || Sink::with(|s| (s.stutters, s.most) = (true, Some(2)));
        let dropped_at = drop_at_every_pending(
            || {
                let sink = sink();
                (scenario(&sink), sink)
            },
            |_, sink| check(sink),
        )
        .await;
        // On several workers everything may be sent before anybody has to wait.
        points.fetch_add(dropped_at, Ordering::Relaxed);
        cancel_at_every_pending(
            || {
                let sink = sink();
                (scenario(&sink), sink)
            },
            |_, sink| check(sink),
        )
        .await;
    });
    assert!(points.into_inner() > 0);
}

#[test]
fn addresses_and_the_socket_can_be_asked_for() {
    each(|| async {
        let (ours, theirs) = tcp_pair().await;
        let (_reader, writer) = streams::from_tcp(ours);
        assert_eq!(writer.peer_addr().unwrap(), theirs.local_addr().unwrap());
        assert_eq!(writer.local_addr().unwrap(), theirs.peer_addr().unwrap());
        let socket = writer.socket().expect("a socket");
        rustix::net::sockopt::set_socket_keepalive(socket, true).unwrap();
        let sink = Sink::default();
        let other = StreamWriter::from_writer(sink.end());
        assert!(other.socket().is_none());
        assert_eq!(
            other.peer_addr().unwrap_err().kind(),
            io::ErrorKind::Unsupported
        );
        let _: StreamReader = StreamReader::from_reader(Source::new([]), 1);
    });
}

#[test]
fn a_writer_made_outside_every_runtime_says_so_when_it_has_to_wait() {
    let sink = Sink::with(|s| s.credit = Some(2));
    let writer = StreamWriter::from_writer(sink.end());
    writer.write(b"ok");
    writer.write(b"stuck");
    assert!(writer.is_closing());
    let error = loxley_sync::wait::block_on(writer.wait_closed()).expect_err("nobody sends it");
    assert!(error.to_string().contains("runtime"), "{error}");
}
