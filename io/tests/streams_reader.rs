//! `StreamReader`: every rule with the same bytes cut in every way.

mod streams_support;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use loxley_io::streams::{ReadError, StreamReader};
use loxley_runtime::testing::{Config, drop_at_every_pending, run};
use loxley_runtime::{create_task, yield_now};
use streams_support::{Source, Step, chunkings, each, pattern, same};

const LIMIT: usize = 64 << 10;

fn reader(steps: Vec<Step>, limit: usize) -> StreamReader {
    StreamReader::from_reader(Source::new(steps), limit)
}

/// Runs `test` once per chunking of `bytes`.
fn each_chunking<F>(bytes: &'static [u8], limit: usize, test: impl Fn(StreamReader) -> F)
where
    F: Future<Output = ()>,
{
    each(|| async {
        for steps in chunkings(bytes) {
            test(reader(steps, limit)).await;
        }
    });
}

fn partial(error: ReadError) -> (Vec<u8>, Option<usize>) {
    match error {
        ReadError::Incomplete(error) => (error.partial, error.expected),
        other => panic!("{other:?}"),
    }
}

fn overrun(error: ReadError) -> (usize, bool) {
    match error {
        ReadError::LimitOverrun(error) => (error.consumed, error.is_found),
        other => panic!("{other:?}"),
    }
}

#[test]
fn read_gives_what_there_is_up_to_n_and_nothing_at_the_end() {
    each(|| async {
        let steps = [&b"abc"[..], b"defgh"].map(|bytes| Step::Bytes(bytes.to_vec()));
        let mut reader = reader(steps.to_vec(), LIMIT);
        assert_eq!(reader.read(0).await.unwrap(), b"");
        assert_eq!(reader.read(10).await.unwrap(), b"abc");
        assert_eq!(reader.read(2).await.unwrap(), b"de");
        assert_eq!(reader.read(10).await.unwrap(), b"fgh");
        assert!(!reader.at_eof(), "the end is noticed by reading");
        assert_eq!(reader.read(10).await.unwrap(), b"");
        assert!(reader.at_eof());
        assert_eq!(reader.read(10).await.unwrap(), b"");
        assert_eq!(reader.read(0).await.unwrap(), b"");
    });
}

#[test]
fn read_and_readexactly_are_not_bound_by_the_limit() {
    each(|| async {
        let bytes = pattern(300_000);
        for size in [97, 4096, 100_000, 300_000] {
            let steps: Vec<_> = bytes
                .chunks(size)
                .map(|b| Step::Bytes(b.to_vec()))
                .collect();
            let mut reader = reader(steps, 16);
            same(
                &reader.readexactly(100_000).await.unwrap(),
                &bytes[..100_000],
            );
            let mut rest = Vec::new();
            while rest.len() < 200_000 {
                rest.extend(reader.read(150_000).await.unwrap());
            }
            same(&rest, &bytes[100_000..]);
        }
    });
}

#[test]
fn read_into_fills_memory_of_the_caller() {
    each_chunking(b"hello world", LIMIT, |mut reader| async move {
        let mut all = Vec::new();
        let mut large = [0; 2000];
        let mut small = [0; 3];
        assert_eq!(reader.read_into(&mut []).await.unwrap(), 0);
        for turn in 0.. {
            let buf = if turn % 2 == 0 {
                &mut small[..]
            } else {
                &mut large[..]
            };
            match reader.read_into(buf).await.unwrap() {
                0 => break,
                n => all.extend_from_slice(&buf[..n]),
            }
        }
        assert_eq!(all, b"hello world");
        assert!(reader.at_eof());
    });
}

#[test]
fn read_to_end_gives_everything() {
    each_chunking(b"one\ntwo\nthree", 1, |mut reader| async move {
        assert_eq!(reader.read_to_end().await.unwrap(), b"one\ntwo\nthree");
        assert!(reader.at_eof());
        assert_eq!(reader.read_to_end().await.unwrap(), b"");
    });
}

#[test]
fn readexactly_gives_exactly_that_or_says_what_is_missing() {
    each_chunking(b"abcdefghij", LIMIT, |mut reader| async move {
        assert_eq!(reader.readexactly(0).await.unwrap(), b"");
        assert_eq!(reader.readexactly(4).await.unwrap(), b"abcd");
        assert_eq!(reader.readexactly(4).await.unwrap(), b"efgh");
        let error = reader.readexactly(4).await.expect_err("two are left");
        assert_eq!(partial(error), (b"ij".to_vec(), Some(4)));
        assert!(reader.at_eof(), "the partial bytes have left the reader");
        assert_eq!(reader.readexactly(0).await.unwrap(), b"");
        let error = reader.readexactly(1).await.expect_err("nothing is left");
        assert_eq!(partial(error), (Vec::new(), Some(1)));
    });
}

#[test]
fn readuntil_gives_the_separator_too() {
    each_chunking(b"a||bc|d||e", LIMIT, |mut reader| async move {
        assert_eq!(reader.readuntil(b"||").await.unwrap(), b"a||");
        assert_eq!(reader.readuntil("||").await.unwrap(), b"bc|d||");
        let error = reader.readuntil("||").await.expect_err("no more");
        assert_eq!(partial(error), (b"e".to_vec(), None));
        assert!(reader.at_eof());
    });
}

#[test]
fn of_several_separators_the_one_that_ends_first_wins() {
    each_chunking(b"ab\r\ncd\nef;gh", LIMIT, |mut reader| async move {
        let ends: [&[u8]; 3] = [b"\r\n", b"\n", b";"];
        assert_eq!(reader.readuntil(ends).await.unwrap(), b"ab\r\n");
        assert_eq!(reader.readuntil(&ends[..]).await.unwrap(), b"cd\n");
        assert_eq!(reader.readuntil(["xyz", ";"]).await.unwrap(), b"ef;");
        let error = reader.readuntil(ends).await.expect_err("no more");
        assert_eq!(partial(error), (b"gh".to_vec(), None));
    });
    // The longer one begins earlier, the shorter one ends earlier.
    each_chunking(b"abcd", LIMIT, |mut reader| async move {
        assert_eq!(reader.readuntil(["bcd", "c"]).await.unwrap(), b"abc");
    });
}

#[test]
fn separators_that_begin_alike_are_told_apart() {
    each_chunking(b"--aab--aaab", LIMIT, |mut reader| async move {
        assert_eq!(reader.readuntil("aab").await.unwrap(), b"--aab");
        assert_eq!(reader.readuntil("aab").await.unwrap(), b"--aaab");
    });
}

#[test]
fn an_empty_separator_is_refused_and_the_next_call_works() {
    each_chunking(b"a\n", LIMIT, |mut reader| async move {
        let none: [&str; 0] = [];
        for error in [
            reader.readuntil("").await,
            reader.readuntil(none).await,
            reader.readuntil(["\n", ""]).await,
        ] {
            assert!(matches!(error, Err(ReadError::EmptySeparator)));
        }
        assert_eq!(reader.readuntil("\n").await.unwrap(), b"a\n");
    });
}

#[test]
fn as_many_bytes_as_the_limit_may_stand_before_a_separator() {
    each_chunking(b"12345678;rest", 8, |mut reader| async move {
        assert_eq!(reader.readuntil(";").await.unwrap(), b"12345678;");
    });
    each_chunking(b"12345678<end>rest", 8, |mut reader| async move {
        assert_eq!(reader.readuntil("<end>").await.unwrap(), b"12345678<end>");
    });
    // A separator that is longer than twice the limit.
    each_chunking(b"1<the end>rest", 1, |mut reader| async move {
        assert_eq!(reader.readuntil("<the end>").await.unwrap(), b"1<the end>");
    });
}

#[test]
fn a_record_over_the_limit_is_an_error_and_stays_in_the_reader() {
    each_chunking(b"123456789;rest", 8, |mut reader| async move {
        for _ in 0..2 {
            let (consumed, _) = overrun(reader.readuntil(";").await.expect_err("too long"));
            assert_eq!(consumed, 9);
        }
        // One way on is to raise the limit, the other to read past it.
        reader.set_limit(9);
        assert_eq!(reader.readuntil(";").await.unwrap(), b"123456789;");
        assert_eq!(reader.read_to_end().await.unwrap(), b"rest");
    });
    each_chunking(b"123456789012", 8, |mut reader| async move {
        let (consumed, is_found) = overrun(reader.readuntil("ab").await.expect_err("too long"));
        assert!(consumed > 8 && !is_found);
        assert_eq!(reader.read_to_end().await.unwrap(), b"123456789012");
    });
}

#[test]
fn readline_gives_lines_and_at_the_end_what_is_left() {
    each_chunking(b"one\n\nthree\r\nfour", LIMIT, |mut reader| async move {
        for line in ["one\n", "\n", "three\r\n", "four", "", ""] {
            assert_eq!(reader.readline().await.unwrap(), line.as_bytes());
        }
        assert!(reader.at_eof());
    });
}

#[test]
fn lines_are_bytes() {
    each_chunking(b"\0\xff\xfe\n\xc3\n", LIMIT, |mut reader| async move {
        assert_eq!(reader.readline().await.unwrap(), b"\0\xff\xfe\n");
        assert_eq!(reader.readline().await.unwrap(), b"\xc3\n");
    });
}

#[test]
fn lines_end_with_the_stream() {
    each_chunking(b"one\n\ntwo", LIMIT, |mut reader| async move {
        let mut lines = reader.lines();
        assert_eq!(lines.next().await.unwrap().unwrap(), b"one\n");
        assert_eq!(lines.next().await.unwrap().unwrap(), b"\n");
        assert_eq!(lines.next().await.unwrap().unwrap(), b"two");
        assert!(lines.next().await.unwrap().is_none());
        assert!(lines.next().await.unwrap().is_none());
    });
}

#[test]
fn a_line_over_the_limit_leaves_the_reader_whole_if_its_end_is_there() {
    each(|| async {
        let steps = vec![Step::Bytes(b"12345\nab\n".to_vec())];
        let mut reader = reader(steps, 4);
        match reader.readline().await {
            Err(ReadError::LineTooLong(error)) => {
                assert!(error.is_whole);
                assert_eq!(error.limit, 4);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(reader.readline().await.unwrap(), b"ab\n");
    });
    each(|| async {
        let steps = [&b"1234567"[..], b"8\nab\n"].map(|bytes| Step::Bytes(bytes.to_vec()));
        let mut reader = reader(steps.to_vec(), 4);
        match reader.readline().await {
            Err(ReadError::LineTooLong(error)) => assert!(!error.is_whole),
            other => panic!("{other:?}"),
        }
        // What had come is gone; the rest of it is the next line, as in asyncio.
        assert_eq!(reader.readline().await.unwrap(), b"8\n");
        assert_eq!(reader.readline().await.unwrap(), b"ab\n");
    });
}

#[test]
fn a_line_as_long_as_the_limit_is_fine() {
    each_chunking(b"1234\nabcd", 4, |mut reader| async move {
        assert_eq!(reader.readline().await.unwrap(), b"1234\n");
        assert_eq!(reader.readline().await.unwrap(), b"abcd");
    });
}

#[test]
fn a_broken_stream_says_so_to_every_later_read() {
    each(|| async {
        let broken = || {
            let reset = Step::Error(io::ErrorKind::ConnectionReset);
            reader(vec![Step::Bytes(b"abc".to_vec()), reset], LIMIT)
        };
        let mut reader = broken();
        assert_eq!(reader.read(2).await.unwrap(), b"ab");
        let error = reader.readexactly(5).await.expect_err("broken");
        assert!(matches!(&error, ReadError::Io(e) if e.kind() == io::ErrorKind::ConnectionReset));
        // Also those that what has come before would satisfy.
        for _ in 0..2 {
            let error = reader.read(1).await.expect_err("broken");
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
        let error: io::Error = reader.readline().await.expect_err("broken").into();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(reader.read_to_end().await.is_err());
        assert!(reader.readuntil("x").await.is_err());
        assert!(reader.read_into(&mut [0; 4]).await.is_err());
        assert!(reader.read(0).await.is_err() && reader.readexactly(0).await.is_err());
        assert!(!reader.at_eof());
    });
}

#[test]
fn a_limit_of_zero_is_refused_where_it_is_given() {
    let panic = catch_unwind(|| reader(Vec::new(), 0)).expect_err("refused");
    let text = panic.downcast_ref::<&str>().expect("a text");
    assert!(text.contains("at least 1"), "{text}");
    let mut fine = reader(Vec::new(), 1);
    assert!(catch_unwind(AssertUnwindSafe(|| fine.set_limit(0))).is_err());
    assert_eq!(fine.limit(), 1);
}

#[test]
fn nothing_is_pulled_that_nobody_asks_for_and_never_more_than_twice_the_limit() {
    each(|| async {
        let source = Source::new([Step::Bytes(vec![b'x'; 10 << 20])]);
        let given = source.given.clone();
        let given = move || *given.lock().unwrap();
        let mut reader = StreamReader::from_reader(source, 1000);
        yield_now().await;
        assert_eq!(given(), 0);
        for _ in 0..50 {
            let (consumed, _) = overrun(reader.readuntil("\n").await.expect_err("too long"));
            assert!(consumed > 1000);
            assert!(given() <= 2000, "{}", given());
        }
    });
}

#[test]
fn a_read_given_up_at_any_point_loses_nothing() {
    each(|| async {
        let bytes = b"line one\nab;cdefghij";
        for steps in chunkings(bytes) {
            let steps = &steps;
            drop_at_every_pending(
                || {
                    let reader =
                        std::sync::Arc::new(loxley_sync::Lock::new(reader(steps.clone(), LIMIT)));
                    let read: std::sync::Arc<std::sync::Mutex<Vec<u8>>> = Default::default();
                    let state = (reader.clone(), read.clone());
                    let future = async move {
                        let mut reader = reader.acquire().await;
                        let keep = |bytes: Vec<u8>| read.lock().unwrap().extend(bytes);
                        keep(reader.readline().await.unwrap());
                        keep(reader.readuntil([";", "|"]).await.unwrap());
                        keep(reader.readexactly(3).await.unwrap());
                        keep(reader.read(2).await.unwrap());
                        let mut buf = [0; 2];
                        let n = reader.read_into(&mut buf).await.unwrap();
                        keep(buf[..n].to_vec());
                        keep(reader.read_to_end().await.unwrap());
                    };
                    (future, state)
                },
                |_, (reader, read)| async move {
                    let mut all = std::mem::take(&mut *read.lock().unwrap());
                    all.extend(reader.acquire().await.read_to_end().await.unwrap());
                    assert_eq!(all, bytes);
                },
            )
            .await;
        }
    });
}

#[test]
fn lines_that_are_there_already_do_not_keep_others_from_running() {
    run(Config::new().current_thread(), async {
        let steps = vec![Step::Bytes(b"a\n".repeat(10_000))];
        let mut reader = reader(steps, LIMIT);
        let other = create_task(async {
            for _ in 0..10 {
                yield_now().await;
            }
        });
        let mut lines = 0;
        while !other.is_finished() {
            assert_eq!(reader.readline().await.unwrap(), b"a\n");
            lines += 1;
            assert!(lines < 9_000, "the other task never ran");
        }
        other.await.unwrap();
    });
}
