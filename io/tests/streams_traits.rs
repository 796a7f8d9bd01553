//! `StreamWriter` through the traits of futures-io, where a wait is a poll: who is woken, and what is told of a connection that
//! has gone meanwhile.

mod streams_support;

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;

use futures_io::AsyncWrite;
use loxley_io::UnixStream;
use loxley_io::streams::{self, StreamWriter, WaterMarks};
use loxley_runtime::{Task, create_task, yield_now};
use streams_support::{Sink, each, pattern, same, slurp, tcp_pair};

/// More than the kernel takes at once.
const MUCH: usize = 16 << 20;

async fn flush(writer: &mut StreamWriter) -> io::Result<()> {
    poll_fn(|cx| AsyncWrite::poll_flush(Pin::new(&mut *writer), cx)).await
}

async fn close(writer: &mut StreamWriter) -> io::Result<()> {
    poll_fn(|cx| AsyncWrite::poll_close(Pin::new(&mut *writer), cx)).await
}

async fn write(writer: &mut StreamWriter, bytes: &[u8]) -> io::Result<usize> {
    poll_fn(|cx| AsyncWrite::poll_write(Pin::new(&mut *writer), cx, bytes)).await
}

#[test]
fn a_flush_that_has_to_wait_ends_when_the_peer_has_read() {
    each(|| async {
        let (ours, theirs) = tcp_pair().await;
        let (_reader, mut writer) = streams::from_tcp(ours);
        let bytes = pattern(1 << 20).repeat(16);
        writer.write(&bytes);
        assert!(writer.get_write_buffer_size() > 0, "nothing to wait for");
        let peer = create_task(async move { slurp(&theirs).await.unwrap() });
        flush(&mut writer).await.unwrap();
        assert_eq!(writer.get_write_buffer_size(), 0);
        writer.write(b"and the rest");
        close(&mut writer).await.unwrap();
        let got = peer.await.unwrap();
        same(&got, &[&bytes[..], b"and the rest"].concat());
    });
}

#[test]
fn a_write_that_finds_the_queue_full_ends_when_there_is_room() {
    each(|| async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (_reader, mut writer) = streams::from_unix(ours);
        writer.set_write_buffer_limits(WaterMarks::between(0, 0));
        let bytes = pattern(4 << 20);
        let expected = bytes.clone();
        let sender = create_task(async move {
            let mut sent = 0;
            while sent < bytes.len() {
                sent += write(&mut writer, &bytes[sent..]).await.unwrap();
            }
        });
        let mut got = vec![0; expected.len()];
        theirs.read_exact(&mut got).await.unwrap();
        sender.await.unwrap();
        same(&got, &expected);
    });
}

#[test]
fn a_flush_of_what_is_given_up_ends_with_an_error() {
    each(|| async {
        for is_socket in [false, true] {
            let sink = Sink::with(|state| state.credit = Some(3));
            let (ours, theirs) = tcp_pair().await;
            let (_reader, mut writer) = match is_socket {
                true => streams::from_tcp(ours),
                false => streams::from_halves(&b"nothing"[..], sink.end(), 100),
            };
            writer.write(&vec![7; MUCH]);
            let transport = writer.transport();
            let mut flushed = pin!(flush(&mut writer));
            let first = poll_fn(|cx| Poll::Ready(flushed.as_mut().poll(cx))).await;
            assert!(first.is_pending(), "nothing to wait for");
            transport.abort();
            let error = flushed.await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
            drop(theirs);
        }
    });
}

#[test]
fn a_flush_after_a_close_in_good_order_has_nothing_to_complain_of() {
    each(|| async {
        let sink = Sink::default();
        let mut writer = StreamWriter::from_writer(sink.end());
        writer.write(b"all of it");
        writer.close();
        writer.wait_closed().await.unwrap();
        flush(&mut writer).await.unwrap();
        close(&mut writer).await.unwrap();
        assert_eq!(sink.get(|state| state.bytes.clone()), b"all of it");
    });
}

#[test]
fn clones_that_wait_at_once_are_all_told() {
    each(|| async {
        let (ours, theirs) = tcp_pair().await;
        let (_reader, writer) = streams::from_tcp(ours);
        writer.write(&vec![7; MUCH]);
        let flushes: Vec<_> = (0..3)
            .map(|_| {
                let mut clone = writer.clone();
                create_task(async move { flush(&mut clone).await })
            })
            .collect();
        for _ in 0..20 {
            yield_now().await;
        }
        assert!(
            !flushes.iter().any(Task::is_finished),
            "nothing to wait for"
        );
        let peer = create_task(async move { slurp(&theirs).await.unwrap().len() });
        for flush in flushes {
            flush.await.unwrap().unwrap();
        }
        drop(writer);
        assert_eq!(peer.await.unwrap(), MUCH);
    });
}
