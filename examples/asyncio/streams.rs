//! Streams: connections as readers and writers, their servers.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use loxley::{StreamReader, StreamWriter, create_task, open_connection, sleep, start_server};

use crate::argument;

fn address() -> String {
    argument(1).unwrap_or_else(|| "127.0.0.1:8888".to_owned())
}

/// Example 32. Sends a message and prints the answer.
pub(crate) async fn echo_client() -> io::Result<()> {
    let message = "Hello World!";
    let (mut reader, writer) = open_connection(address()).await?;
    println!("Send: '{message}'");
    writer.write(message.as_bytes());
    writer.drain().await?;
    let data = reader.read(100).await?;
    println!("Received: '{}'", String::from_utf8_lossy(&data));
    println!("Close the connection");
    writer.close();
    writer.wait_closed().await
}

/// Example 33. Answers with what it is told, until Ctrl-C.
pub(crate) async fn echo_server() -> io::Result<()> {
    async fn handle_echo(mut reader: StreamReader, writer: StreamWriter) -> io::Result<()> {
        let data = reader.read(100).await?;
        let message = String::from_utf8_lossy(&data);
        println!("Received '{message}' from {}", writer.peer_addr()?);
        println!("Send: '{message}'");
        writer.write(&data);
        writer.drain().await?;
        println!("Close the connection");
        writer.close();
        writer.wait_closed().await
    }
    let server = start_server(handle_echo, address()).await?;
    for socket in server.sockets() {
        println!("Serving on {socket}");
    }
    match server.serve_forever().await? {}
}

/// Example 34. The headers of a page, by hand: `http_headers http://127.0.0.1:8080/path`, or `https://` with the feature
/// `tls`; then a file of certificates to trust may follow.
pub(crate) async fn http_headers() -> io::Result<()> {
    let url = argument(1).ok_or_else(|| io::Error::other("say which URL"))?;
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", &url));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let addr = match (authority.contains(':'), scheme) {
        (true, _) => authority.to_owned(),
        (false, "https") => format!("{authority}:443"),
        (false, _) => format!("{authority}:80"),
    };
    let (mut reader, writer) = match scheme {
        "http" => open_connection(addr).await?,
        "https" => open_secured(addr).await?,
        _ => return Err(io::Error::other("http:// or https://")),
    };
    let query = format!("HEAD /{path} HTTP/1.0\r\nHost: {authority}\r\n\r\n");
    writer.write(query.as_bytes());
    loop {
        let line = reader.readline().await?;
        if line.trim_ascii().is_empty() {
            break;
        }
        println!(
            "HTTP header> {}",
            String::from_utf8_lossy(line.trim_ascii_end())
        );
    }
    // Ignore the body, close the socket.
    writer.close();
    Ok(())
}

#[cfg(feature = "tls")]
async fn open_secured(addr: String) -> io::Result<(StreamReader, StreamWriter)> {
    let tls = match argument(2) {
        Some(trusted) => loxley::tls::TlsClient::trusting(std::fs::read(trusted)?)?,
        None => loxley::tls::TlsClient::new(),
    };
    let connection = loxley::streams::OpenConnection::new(addr).tls(tls);
    connection.connect().await
}

#[cfg(not(feature = "tls"))]
async fn open_secured(_addr: String) -> io::Result<(StreamReader, StreamWriter)> {
    Err(io::Error::other("https:// wants the feature `tls`"))
}

/// Example 35. Streams over a socket that is there already.
pub(crate) async fn register_socket() -> io::Result<()> {
    let (rsock, wsock) = UnixStream::pair()?;
    let rsock = loxley::UnixStream::from_std(rsock)?;
    let (mut reader, writer) = loxley::streams::from_unix(rsock);
    // Somebody writes to the other end.
    drop(create_task(async move {
        sleep(Duration::from_millis(10)).await;
        io::Write::write_all(&mut &wsock, b"abc")
    }));
    let data = reader.read(100).await?;
    println!("Received: {}", String::from_utf8_lossy(&data));
    writer.close();
    Ok(())
}
