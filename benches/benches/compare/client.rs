//! The client of the network cases, the same for every runtime: plain blocking sockets for one connection, one epoll
//! loop for several. Runs in its own process and names no runtime.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use loxley_benches::stats::median;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::cases::network::MESSAGE;
use crate::client_tls;
use crate::usage::{cpu_nanos, nanos};

/// Requests before the clock counts.
pub const WARM_UP: Duration = Duration::from_millis(200);

/// Does what `words` say; see `cases/network.rs` for both ends of the conversation.
pub fn run(words: &[String]) -> io::Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["echo", address, "1", millis] => {
            echo_one(parse(address), Duration::from_millis(parse(millis)))
        }
        ["echo", address, count, millis] => echo_many(
            parse(address),
            parse(count),
            Duration::from_millis(parse(millis)),
        ),
        ["accept", address, _, millis] => {
            connect(parse(address), Duration::from_millis(parse(millis)))
        }
        ["bulk_in", address, _, millis] => {
            let piece = vec![7; 64 << 10];
            bulk(parse(address), parse(millis), |stream| stream.write(&piece))
        }
        ["bulk_out", address, _, millis] => {
            let mut buffer = vec![0; 64 << 10];
            bulk(parse(address), parse(millis), |stream| {
                stream.read(&mut buffer)
            })
        }
        ["tls_echo", address, what, millis] => {
            client_tls::echo(parse(address), what, Duration::from_millis(parse(millis)))
        }
        ["udp", address, count, millis] => datagrams(
            parse(address),
            parse(count),
            Duration::from_millis(parse(millis)),
        ),
        ["pump", address, amount] => pump(parse(address), parse(amount)),
        ["hold", address, count] => hold(parse(address), parse(count)),
        _ => Err(io::Error::other(format!("unknown client {words:?}"))),
    }
}

fn parse<T: std::str::FromStr<Err: std::fmt::Debug>>(word: &str) -> T {
    word.parse().expect("the harness writes these words itself")
}

fn echo_one(address: SocketAddr, length: Duration) -> io::Result<()> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut exchange = |until: Instant| -> io::Result<Vec<f64>> {
        let mut buffer = [7; MESSAGE];
        let mut samples = Vec::new();
        while Instant::now() < until {
            let begin = Instant::now();
            stream.write_all(&buffer)?;
            stream.read_exact(&mut buffer)?;
            samples.push(nanos(begin.elapsed()));
        }
        Ok(samples)
    };
    exchange(Instant::now() + WARM_UP)?;
    println!("warm");
    let begin = Instant::now();
    let mut samples = exchange(begin + length)?;
    println!(
        "{} {} {}",
        samples.len(),
        nanos(begin.elapsed()),
        median(&mut samples)
    );
    Ok(())
}

fn echo_many(address: SocketAddr, count: usize, length: Duration) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut streams = Vec::with_capacity(count);
    for index in 0..count {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry()
            .register(&mut stream, Token(index), Interest::READABLE)?;
        streams.push((stream, 0));
    }
    for (stream, _) in &mut streams {
        stream.write_all(&[7; MESSAGE])?;
    }
    exchange_many(&mut poll, &mut streams, Instant::now() + WARM_UP)?;
    println!("warm");
    let begin = Instant::now();
    let answers = exchange_many(&mut poll, &mut streams, begin + length)?;
    println!("{answers} {} 0", nanos(begin.elapsed()));
    Ok(())
}

/// Sends the next message on a connection as soon as its answer is complete; the number of answers until `until`.
fn exchange_many(
    poll: &mut Poll,
    streams: &mut [(TcpStream, usize)],
    until: Instant,
) -> io::Result<usize> {
    let mut events = Events::with_capacity(1_024);
    let mut buffer = [0; 4 * MESSAGE];
    let mut answers = 0;
    while Instant::now() < until {
        poll.poll(&mut events, Some(Duration::from_millis(100)))?;
        for event in &events {
            let (stream, received) = &mut streams[event.token().0];
            match stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => *received += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            // At most one message is under way, so a short read was the end of what there is.
            if *received >= MESSAGE {
                *received = 0;
                answers += 1;
                stream.write_all(&[7; MESSAGE])?;
            }
        }
    }
    Ok(answers)
}

/// Connects, sends a byte, receives a byte, closes, again and again.
fn connect(address: SocketAddr, length: Duration) -> io::Result<()> {
    let again = |until: Instant| -> io::Result<usize> {
        let mut connections = 0;
        while Instant::now() < until {
            let mut stream = std::net::TcpStream::connect(address)?;
            stream.write_all(&[7])?;
            stream.read_exact(&mut [0])?;
            connections += 1;
        }
        Ok(connections)
    };
    again(Instant::now() + WARM_UP)?;
    println!("warm");
    let begin = Instant::now();
    let connections = again(begin + length)?;
    println!("{connections} {} 0", nanos(begin.elapsed()));
    Ok(())
}

/// Moves bytes in one direction over one connection: how many, and the CPU time that it took here.
fn bulk(
    address: SocketAddr,
    millis: u64,
    mut some: impl FnMut(&mut std::net::TcpStream) -> io::Result<usize>,
) -> io::Result<()> {
    let mut stream = std::net::TcpStream::connect(address)?;
    let mut move_until = |until: Instant| -> io::Result<usize> {
        let mut moved = 0;
        while Instant::now() < until {
            moved += some(&mut stream)?;
        }
        Ok(moved)
    };
    move_until(Instant::now() + WARM_UP)?;
    println!("warm");
    let (begin, cpu) = (Instant::now(), cpu_nanos());
    let moved = move_until(begin + Duration::from_millis(millis))?;
    let cpu = cpu_nanos() - cpu;
    println!("{moved} {} {cpu}", nanos(begin.elapsed()));
    Ok(())
}

/// Connects `count` times and keeps them until the harness says a word.
fn hold(address: SocketAddr, count: usize) -> io::Result<()> {
    let streams = (0..count)
        .map(|_| std::net::TcpStream::connect(address))
        .collect::<io::Result<Vec<_>>>()?;
    io::stdin().read_line(&mut String::new())?;
    drop(streams);
    Ok(())
}

/// Keeps `count` datagrams under way.
fn datagrams(address: SocketAddr, count: usize, length: Duration) -> io::Result<()> {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(address)?;
    // Lost datagrams are missed, not waited for.
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    let mut buffer = [7; MESSAGE];
    let mut exchange = |until: Instant| -> io::Result<usize> {
        let mut echoed = 0;
        while Instant::now() < until {
            for _ in 0..count {
                socket.send(&[7; MESSAGE])?;
            }
            for _ in 0..count {
                match socket.recv(&mut buffer) {
                    Ok(_) => echoed += 1,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(echoed)
    };
    exchange(Instant::now() + WARM_UP)?;
    println!("warm");
    let begin = Instant::now();
    let echoed = exchange(begin + length)?;
    println!("{echoed} {}", nanos(begin.elapsed()));
    Ok(())
}

/// Sends `amount` MiB to `address`, which passes them on to us.
fn pump(address: SocketAddr, amount: usize) -> io::Result<()> {
    const PIECE: usize = 64 << 10;
    const PIECES_PER_MIB: usize = (1 << 20) / PIECE;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let mut source = std::net::TcpStream::connect(address)?;
    let (mut sink, _) = listener.accept()?;
    let feed = std::thread::spawn(move || -> io::Result<()> {
        let piece = vec![7; PIECE];
        for _ in 0..(amount + amount / 16) * PIECES_PER_MIB {
            source.write_all(&piece)?;
        }
        Ok(())
    });
    let mut piece = vec![0; PIECE];
    let mut drain = |amount: usize| -> io::Result<()> {
        for _ in 0..amount * PIECES_PER_MIB {
            sink.read_exact(&mut piece)?;
        }
        Ok(())
    };
    drain(amount / 16)?;
    println!("warm");
    let begin = Instant::now();
    drain(amount)?;
    println!("{}", nanos(begin.elapsed()));
    feed.join().expect("sending does not panic")
}
