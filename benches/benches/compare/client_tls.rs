//! The client of the TLS cases, the same for every runtime: rustls over one epoll loop, in a process of its own.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::cases::network::MESSAGE;
use crate::client::WARM_UP;
use crate::usage::nanos;

/// A connection behind TLS, with at most one message under way.
struct Talk {
    stream: TcpStream,
    session: ClientConnection,
    received: usize,
}

/// Echoes for `length`. `what` is the number of connections and the server's certificate: `50:3082…`, hexadecimal.
pub fn echo(address: SocketAddr, what: &str, length: Duration) -> io::Result<()> {
    let (count, certificate) = what.split_once(':').expect("the harness writes it");
    let config = trusting(certificate);
    let mut poll = Poll::new()?;
    let mut talks = Vec::new();
    for index in 0..count.parse().expect("the harness writes it") {
        let mut talk = Talk::open(address, config.clone())?;
        poll.registry()
            .register(&mut talk.stream, Token(index), Interest::READABLE)?;
        talk.send()?;
        talks.push(talk);
    }
    exchange(&mut poll, &mut talks, Instant::now() + WARM_UP)?;
    println!("warm");
    let begin = Instant::now();
    let answers = exchange(&mut poll, &mut talks, begin + length)?;
    println!("{answers} {} 0", nanos(begin.elapsed()));
    Ok(())
}

fn trusting(certificate: &str) -> Arc<ClientConfig> {
    let byte = |at| u8::from_str_radix(&certificate[at..at + 2], 16).expect("hexadecimal");
    let der: Vec<u8> = (0..certificate.len()).step_by(2).map(byte).collect();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(der)).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

impl Talk {
    fn open(address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Self> {
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").expect("a name");
        let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            session,
            received: 0,
        })
    }

    fn send(&mut self) -> io::Result<()> {
        self.session.writer().write_all(&[7; MESSAGE])?;
        while self.session.wants_write() {
            self.session.write_tls(&mut self.stream)?;
        }
        Ok(())
    }

    /// Reads what has come; whether an answer is complete by now.
    fn receive(&mut self) -> io::Result<bool> {
        loop {
            match self.session.read_tls(&mut self.stream) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            let state = self.session.process_new_packets();
            let count = state.map_err(io::Error::other)?.plaintext_bytes_to_read();
            let mut buffer = [0; 4 * MESSAGE];
            self.session.reader().read_exact(&mut buffer[..count])?;
            self.received += count;
        }
        let is_complete = self.received >= MESSAGE;
        if is_complete {
            self.received = 0;
        }
        Ok(is_complete)
    }
}

/// Sends the next message on a connection as soon as its answer is complete; the number of answers until `until`.
fn exchange(poll: &mut Poll, talks: &mut [Talk], until: Instant) -> io::Result<usize> {
    let mut events = Events::with_capacity(1_024);
    let mut answers = 0;
    while Instant::now() < until {
        poll.poll(&mut events, Some(Duration::from_millis(100)))?;
        for event in &events {
            let talk = &mut talks[event.token().0];
            if talk.receive()? {
                answers += 1;
                talk.send()?;
            }
        }
    }
    Ok(answers)
}
