//! Random programs over connections of every kind, alone or with a relay between two: what is sent arrives, in order and once,
//! up to where somebody gave up; and whatever is given up, every task ends.

mod streams_support;
#[cfg(feature = "tls")]
mod tls_support;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};
use loxley_io::streams::{ReadError, WaterMarks, from_halves, from_tcp, from_unix};
use loxley_io::{StreamReader, StreamWriter, UnixStream, copy_bidirectional, pipe};
use loxley_runtime::testing::{Config, run};
use loxley_runtime::{Task, TaskError, create_task, yield_now};
use streams_support::{Dice, tcp_pair};

const PROGRAMS: u64 = 150;
const KINDS: usize = if cfg!(feature = "tls") { 5 } else { 3 };

type Streams = (StreamReader, StreamWriter);

/// The two ends of a connection.
async fn connection(kind: usize) -> (Streams, Streams) {
    match kind {
        0 | 3 => {
            let (one, other) = tcp_pair().await;
            covered(kind == 3, from_tcp(one), from_tcp(other)).await
        }
        1 | 4 => {
            let (one, other) = UnixStream::pair().unwrap();
            covered(kind == 4, from_unix(one), from_unix(other)).await
        }
        _ => {
            let ((reader, their_writer), (their_reader, writer)) =
                (pipe().unwrap(), pipe().unwrap());
            (
                from_halves(reader, writer, 1 << 16),
                from_halves(their_reader, their_writer, 1 << 16),
            )
        }
    }
}

#[cfg(feature = "tls")]
async fn covered(is_covered: bool, one: Streams, other: Streams) -> (Streams, Streams) {
    if !is_covered {
        return (one, other);
    }
    let (client, server) = tls_support::both();
    let (mut reader, writer) = one;
    let one = create_task(async move {
        writer.start_tls(&mut reader, client).await.unwrap();
        (reader, writer)
    });
    let (mut reader, writer) = other;
    writer.start_tls(&mut reader, server).await.unwrap();
    (one.await.unwrap(), (reader, writer))
}

#[cfg(not(feature = "tls"))]
async fn covered(_is_covered: bool, one: Streams, other: Streams) -> (Streams, Streams) {
    (one, other)
}

/// The byte at this place of what one side says: there are lines in it, and no place looks like its neighbours.
fn byte(salt: usize, at: usize) -> u8 {
    let mixed = (at ^ (salt << 40)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    match (at + salt) % 61 {
        7 => b'\n',
        _ => mixed.to_be_bytes()[0] | 0x80,
    }
}

fn size(dice: &mut Dice) -> usize {
    let most = [3, 40, 700, 5_000, 70_000, 300_000][dice.roll(6)];
    dice.roll(most)
}

/// Sometimes given up after some polls.
async fn perhaps<F: Future>(dice: &mut Dice, future: F) -> Option<F::Output> {
    let mut polls = match dice.roll(3) {
        0 => dice.roll(4),
        _ => usize::MAX,
    };
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if polls == 0 => Poll::Ready(None),
        Poll::Pending => {
            polls -= 1;
            Poll::Pending
        }
    })
    .await
}

/// Says something and ends, one way or another: how much it has said, if the connection held.
async fn say(mut dice: Dice, salt: usize, mut writer: StreamWriter) -> Option<usize> {
    let total = size(&mut dice) * dice.roll(4);
    if dice.roll(3) == 0 {
        writer.set_write_buffer_limits(WaterMarks::high_at(size(&mut dice)));
    }
    let mut at = 0;
    while at < total {
        let end = total.min(at + 1 + size(&mut dice));
        let piece: Vec<u8> = (at..end).map(|at| byte(salt, at)).collect();
        match dice.roll(4) {
            0 => writer.writelines(piece.chunks(1 + piece.len() / 3)),
            1 => {
                let mut rest = &piece[..];
                while !rest.is_empty() {
                    let write = poll_fn(|cx| Pin::new(&mut writer).poll_write(cx, rest));
                    if let Some(written) = perhaps(&mut dice, write).await {
                        rest = &rest[written.ok()?..];
                    }
                }
            }
            _ => writer.write(&piece),
        }
        at = end;
        match dice.roll(5) {
            0 => {}
            1 => yield_now().await,
            2 => {
                let flush = poll_fn(|cx| Pin::new(&mut writer).poll_flush(cx));
                perhaps(&mut dice, flush).await.unwrap_or(Ok(())).ok()?;
            }
            _ => perhaps(&mut dice, writer.drain())
                .await
                .unwrap_or(Ok(()))
                .ok()?,
        }
    }
    match dice.roll(4) {
        0 => writer.write_eof(),
        1 => poll_fn(|cx| Pin::new(&mut writer).poll_close(cx))
            .await
            .ok()?,
        _ => {}
    }
    Some(at)
}

/// What a reader does once: the bytes that it was given, and whether more may come; `None` if it was given up, an error if the
/// connection is broken.
async fn read_once(
    dice: &mut Dice,
    reader: &mut StreamReader,
) -> Result<Option<(Vec<u8>, bool)>, ReadError> {
    let count = 1 + size(dice);
    let whole = |read: Result<Vec<u8>, ReadError>| match read {
        Ok(bytes) => Ok((bytes, true)),
        Err(ReadError::Incomplete(error)) => Ok((error.partial, false)),
        Err(ReadError::LimitOverrun(_)) => Ok((Vec::new(), true)),
        Err(error) => Err(error),
    };
    match dice.roll(6) {
        0 => match perhaps(dice, reader.read(count)).await.transpose()? {
            Some(bytes) => Ok(Some((bytes.clone(), !bytes.is_empty()))),
            None => Ok(None),
        },
        1 => {
            let mut bytes = vec![0; count];
            let Some(n) = perhaps(dice, reader.read_into(&mut bytes))
                .await
                .transpose()?
            else {
                return Ok(None);
            };
            bytes.truncate(n);
            Ok(Some((bytes, n > 0)))
        }
        2 => perhaps(dice, reader.readexactly(count))
            .await
            .map(whole)
            .transpose(),
        3 => perhaps(dice, reader.readuntil("\n"))
            .await
            .map(whole)
            .transpose(),
        4 if dice.roll(9) == 0 => {
            let read = perhaps(dice, reader.read_to_end()).await.transpose()?;
            Ok(read.map(|bytes| (bytes, false)))
        }
        _ => {
            let some = dice.roll(100);
            let read = poll_fn(|cx| {
                let bytes = ready!(Pin::new(&mut *reader).poll_fill_buf(cx))?;
                let bytes = (
                    bytes[..bytes.len().min(1 + some)].to_vec(),
                    !bytes.is_empty(),
                );
                Pin::new(&mut *reader).consume(bytes.0.len());
                Poll::Ready(io::Result::Ok(bytes))
            });
            Ok(perhaps(dice, read).await.transpose()?)
        }
    }
}

/// Reads to the end, or until it has enough: how much it has read, and whether it has seen the end.
async fn hear(
    mut dice: Dice,
    salt: usize,
    mut reader: StreamReader,
    enough: usize,
) -> (usize, bool) {
    reader.set_limit([50, 200, 1 << 16][dice.roll(3)]);
    let mut at = 0;
    while at < enough {
        let (bytes, is_more) = match read_once(&mut dice, &mut reader).await {
            Ok(Some(read)) => read,
            Ok(None) => continue,
            Err(_) => return (at, false),
        };
        for heard in bytes {
            assert_eq!(
                heard,
                byte(salt, at),
                "byte {at} is not the one that was sent"
            );
            at += 1;
        }
        if !is_more {
            return (at, true);
        }
    }
    (at, false)
}

/// Both halves as one.
struct Whole(StreamReader, StreamWriter);

impl AsyncRead for Whole {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        AsyncRead::poll_read(Pin::new(&mut self.0), cx, buf)
    }
}

impl AsyncWrite for Whole {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.1), cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.1), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_close(Pin::new(&mut self.1), cx)
    }
}

/// Two connections whose inner ends are sockets, which the kernel can move bytes between.
async fn spliced(dice: &mut Dice) -> (Streams, Streams, Relay) {
    let (one, mut near) = tcp_pair().await;
    if dice.roll(2) == 0 {
        let (mut far, other) = UnixStream::pair().unwrap();
        let relay = create_task(async move { copy_bidirectional(&mut near, &mut far).await });
        (from_tcp(one), from_unix(other), relay)
    } else {
        let (mut far, other) = tcp_pair().await;
        let relay = create_task(async move { copy_bidirectional(&mut near, &mut far).await });
        (from_tcp(one), from_tcp(other), relay)
    }
}

type Relay = Task<io::Result<(u64, u64)>>;

fn relay(one: Streams, other: Streams) -> Relay {
    create_task(async move {
        copy_bidirectional(&mut Whole(one.0, one.1), &mut Whole(other.0, other.1)).await
    })
}

/// What a task came to, unless it was cancelled.
async fn end<T: Send + 'static>(task: Task<T>) -> Option<T> {
    match task.await {
        Ok(output) => Some(output),
        Err(TaskError::Panicked(panic)) => panic.resume(),
        Err(_) => None,
    }
}

async fn program(seed: u64) {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
    let fork = |dice: &mut Dice| Dice(1 + u64::try_from(dice.roll(usize::MAX >> 12)).unwrap());
    let (mut one, mut other) = connection(dice.roll(KINDS)).await;
    let mut relayed = None;
    match dice.roll(6) {
        0 | 1 => {
            let (near, far) = connection(dice.roll(KINDS)).await;
            relayed = Some(relay(other, near));
            other = far;
        }
        2 => {
            let relay;
            (one, other, relay) = spliced(&mut dice).await;
            relayed = Some(relay);
        }
        _ => {}
    }
    let is_calm = dice.roll(2) == 0;
    let mut enough = || match is_calm || dice.roll(4) > 0 {
        true => usize::MAX,
        false => size(&mut dice),
    };
    let enough = [enough(), enough()];
    let transports = [one.1.transport(), other.1.transport()];
    let sayers = [
        create_task(say(fork(&mut dice), 1, one.1)),
        create_task(say(fork(&mut dice), 2, other.1)),
    ];
    let hearers = [
        create_task(hear(fork(&mut dice), 2, one.0, enough[0])),
        create_task(hear(fork(&mut dice), 1, other.0, enough[1])),
    ];
    for _ in 0..if is_calm { 0 } else { 1 + dice.roll(3) } {
        for _ in 0..dice.roll(100) {
            yield_now().await;
        }
        let side = dice.roll(2);
        match dice.roll(6) {
            0 => transports[side].close(),
            1 => transports[side].abort(),
            2 => drop(sayers[side].cancel()),
            3 => drop(hearers[side].cancel()),
            4 => drop(relayed.as_ref().map(Task::cancel)),
            _ => {}
        }
    }
    let mut heard = Vec::new();
    for (hearer, transport) in hearers.into_iter().zip(&transports) {
        let ended = end(hearer).await;
        if !matches!(ended, Some((_, true))) {
            // Nobody reads here any more, so nobody may wait for that.
            transport.abort();
        }
        heard.push(ended);
    }
    let [one, other] = sayers;
    let said = [end(other).await.flatten(), end(one).await.flatten()];
    if let Some(relayed) = relayed {
        let relayed = end(relayed).await.and_then(Result::ok);
        let expected = said[1]
            .zip(said[0])
            .map(|(forth, back)| (to_u64(forth), to_u64(back)));
        assert!(
            !is_calm || relayed == expected,
            "{relayed:?}, said were {expected:?}"
        );
    }
    for (said, heard) in said.into_iter().zip(heard) {
        assert!(
            !is_calm || said.map(|said| (said, true)) == heard,
            "said {said:?}, heard {heard:?}"
        );
    }
}

fn to_u64(count: usize) -> u64 {
    count.try_into().unwrap()
}

#[test]
fn whatever_two_ends_do_bytes_come_in_order_and_every_task_ends() {
    for config in [
        Config::new().current_thread(),
        Config::new().worker_threads(1),
        Config::new().worker_threads(3),
    ] {
        run(config.leak_check(true), async {
            for seed in 1..=PROGRAMS {
                if let Err(TaskError::Panicked(panic)) = create_task(program(seed)).await {
                    panic!("program {seed}: {panic:?}");
                }
            }
        });
    }
}
