//! Lines that come back, behind TLS: a server, and a client for it or for anybody else's.
//!
//! ```text
//! openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost \
//!     -addext basicConstraints=critical,CA:FALSE -keyout key.pem -out cert.pem
//! cargo run --release --example tls_echo --features tls -- serve 127.0.0.1:8443 cert.pem key.pem
//! cargo run --release --example tls_echo --features tls -- ask localhost:8443 cert.pem hello
//! openssl s_client -quiet -connect localhost:8443 -CAfile cert.pem
//! ```
//!
//! The server prints its address. The line `quit` ends a connection, Ctrl-C the server, in good order.

use std::fs;
use std::io::{self, Write as _};
use std::process::ExitCode;

use loxley::streams::{OpenConnection, ReadError};
use loxley::tls::{TlsClient, TlsServer};
use loxley::{ServerBuilder, StreamReader, StreamWriter, run, signal};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["serve", addr, chain, key] => run(serve(addr, chain, key)),
        ["ask", addr, trusted, line] => run(ask(addr, trusted, line)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "usage: tls_echo serve ADDRESS CHAIN.pem KEY.pem | tls_echo ask HOST:PORT TRUSTED.pem LINE",
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "tls_echo: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(addr: &str, chain: &str, key: &str) -> io::Result<()> {
    let tls = TlsServer::new(fs::read(chain)?, fs::read(key)?)?.alpn(["echo"]);
    let server = ServerBuilder::new().addr(addr).tls(tls).start(echo).await?;
    for socket in server.sockets() {
        writeln!(io::stdout(), "listening on {socket}")?;
    }
    signal::ctrl_c().await?;
    server.close();
    server.close_clients();
    server.wait_closed().await;
    writeln!(io::stdout(), "stopped")
}

async fn echo(mut reader: StreamReader, writer: StreamWriter) -> Result<(), ReadError> {
    let mut lines = reader.lines();
    while let Some(line) = lines.next().await? {
        if line == b"quit\n" {
            break;
        }
        writer.write(&line);
        writer.drain().await?;
    }
    writer.close();
    writer.wait_closed().await?;
    Ok(())
}

async fn ask(addr: &str, trusted: &str, line: &str) -> io::Result<()> {
    let tls = TlsClient::trusting(fs::read(trusted)?)?.alpn(["echo"]);
    let (mut reader, writer) = OpenConnection::new(addr).tls(tls).connect().await?;
    writer.write(format!("{line}\n").as_bytes());
    io::stdout().write_all(&reader.readline().await?)?;
    writer.close();
    writer.wait_closed().await
}
