//! What users get wrong: each is an error, or a panic at the line, that names the thing and says what to change. Nothing leaks,
//! and the next call works.
//!
//! One test, because it counts the descriptors of the process.

mod streams_support;
#[cfg(feature = "tls")]
mod tls_support;

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use loxley_io::streams::{OpenConnection, ServerBuilder, StreamReader, StreamWriter};
use loxley_io::{
    TcpListener, UdpSocket, UnixDatagram, UnixListener, UnixStream, lookup_host, open_connection,
    open_unix_connection, start_server, start_unix_server,
};
use loxley_runtime::Runtime;
use streams_support::{Source, Step, each_reporting, until};

async fn echo(mut reader: StreamReader, writer: StreamWriter) {
    while let Ok(bytes @ [_, ..]) = reader.readline().await.as_deref() {
        writer.write(bytes);
    }
}

/// A message must say all of it.
#[track_caller]
fn says(error: &impl std::fmt::Display, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text:?}");
    }
}

/// What the caller is told who misuses something.
#[track_caller]
fn panics(words: &[&str], misuse: impl FnOnce()) {
    let payload = catch_unwind(AssertUnwindSafe(misuse)).expect_err("misuse");
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    says(&text.expect("a text"), words);
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// A server can be started and talked to, whatever was wrong before.
async fn works() {
    let server = start_server(echo, "127.0.0.1:0").await.expect("a server");
    let addr = server.local_addr().expect("bound");
    let (mut reader, writer) = open_connection(addr).await.expect("a connection");
    writer.write(b"hello\n");
    assert_eq!(reader.readline().await.expect("an echo"), b"hello\n");
    writer.close();
    writer.wait_closed().await.expect("closed");
    server.close();
    server.wait_closed().await;
}

async fn addresses() {
    for text in ["localhost", "localhost:http", "", "1.2.3.4"] {
        says(
            &open_connection(text).await.expect_err(text),
            &[text, "host:port"],
        );
        says(
            &start_server(echo, text).await.expect_err(text),
            &[text, "host:port"],
        );
        says(&TcpListener::bind(text).await.expect_err(text), &[text]);
        says(&UdpSocket::bind(text).await.expect_err(text), &[text]);
    }
    let url = "http://example.org:80";
    says(
        &open_connection(url).await.expect_err("a URL"),
        &["http://example.org", "URL"],
    );
    // Names below `.invalid` exist nowhere (RFC 2606).
    let unknown = "loxley.invalid:80";
    for error in [
        lookup_host(unknown).await.expect_err("unknown"),
        open_connection(unknown).await.expect_err("unknown"),
        start_server(echo, unknown).await.expect_err("unknown"),
    ] {
        says(&error, &["loxley.invalid"]);
    }
    says(
        &ServerBuilder::new().start(echo).await.expect_err("nowhere"),
        &["nowhere to listen", "address"],
    );
}

async fn ports() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let addr = taken.local_addr().expect("bound");
    for error in [
        start_server(echo, addr).await.expect_err("in use"),
        TcpListener::bind(addr).await.expect_err("in use"),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        says(&error, &[&addr.to_string()]);
    }
    drop(taken);
    // Free again, and nobody there.
    let error = open_connection(addr).await.expect_err("nobody listens");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    says(&error, &[&addr.to_string()]);
    let server = start_server(echo, addr).await.expect("free again");
    server.close();
    server.wait_closed().await;
}

async fn paths() {
    let folder = std::env::temp_dir().join(format!("loxley-bad-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let long = folder.join("x".repeat(108));
    for error in [
        start_unix_server(echo, &long).await.expect_err("too long"),
        open_unix_connection(&long).await.expect_err("too long"),
        UnixListener::bind(&long).expect_err("too long"),
        UnixStream::connect(&long).await.expect_err("too long"),
        UnixDatagram::bind(&long).expect_err("too long"),
    ] {
        says(&error, &["xxx", "107"]);
    }
    let file = folder.join("file");
    fs::write(&file, "precious").expect("written");
    let name = file.display().to_string();
    for error in [
        start_unix_server(echo, &file).await.expect_err("a file"),
        UnixListener::bind(&file).expect_err("a file"),
        open_unix_connection(&file).await.expect_err("a file"),
    ] {
        says(&error, &[&name]);
    }
    assert_eq!(fs::read_to_string(&file).expect("still there"), "precious");
    let missing = folder.join("missing");
    let error = open_unix_connection(&missing).await.expect_err("missing");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    says(&error, &[&missing.display().to_string()]);
    // In its place a server works.
    fs::remove_file(&file).expect("removed");
    let server = start_unix_server(echo, &file).await.expect("free");
    let (_, writer) = open_unix_connection(&file).await.expect("served");
    drop(writer);
    server.close();
    server.wait_closed().await;
    fs::remove_dir(&folder).expect("nothing is left in it");
}

async fn records() {
    let reader = |text: &[u8], limit| {
        StreamReader::from_reader(Source::new([Step::Bytes(text.to_vec())]), limit)
    };
    let mut one = reader(b"a;b\n", 100);
    for error in [
        one.readuntil("").await.expect_err("empty"),
        one.readuntil(["\n", ""]).await.expect_err("empty"),
    ] {
        says(&error, &["separator is empty", "at least one byte"]);
    }
    assert_eq!(one.readline().await.expect("still there"), b"a;b\n");

    let mut long = reader(b"123456\nab\n", 4);
    let error = long.readline().await.expect_err("too long");
    says(&error, &["limit of 4 bytes", "set_limit"]);
    assert_eq!(long.readline().await.expect("the next"), b"ab\n");
    let mut long = reader(b"123456;ab\n", 4);
    let error = long.readuntil(";").await.expect_err("too long");
    says(&error, &["6 bytes", "limit is 4", "set_limit"]);
    long.set_limit(6);
    assert_eq!(long.readuntil(";").await.expect("it fits"), b"123456;");

    let zero = &["limit", "at least 1"];
    panics(zero, || drop(reader(b"", 0)));
    panics(zero, || long.set_limit(0));
    panics(zero, || drop(OpenConnection::new("127.0.0.1:1").limit(0)));
    panics(zero, || drop(ServerBuilder::new().limit(0)));
    panics(&["max_connections", "at least 1"], || {
        drop(ServerBuilder::new().max_connections(0));
    });
    assert_eq!(long.readline().await.expect("still there"), b"ab\n");
}

#[cfg(feature = "tls")]
async fn certificates() {
    use loxley_io::tls::{TlsClient, TlsServer};
    use tls_support::{Authority, both, serve};

    let (client, tls) = both();
    let (server, addr) = serve(tls, |_, _| async {}).await;
    let wrong = client.clone().server_name("example.org");
    let connection = OpenConnection::new(addr).tls(wrong).connect().await;
    says(
        &connection.expect_err("another host"),
        &["example.org", "localhost", "server_name"],
    );
    let stranger = Authority::new().client().server_name("localhost");
    let connection = OpenConnection::new(addr).tls(stranger).connect().await;
    says(
        &connection.expect_err("issued by somebody else"),
        &["localhost", "trusting"],
    );
    let connection = OpenConnection::new(addr).tls(client).connect().await;
    drop(connection.expect("the right one"));
    server.close();
    server.wait_closed().await;
    says(
        &TlsClient::trusting("no certificate").expect_err("no PEM"),
        &["PEM"],
    );
    says(
        &TlsServer::new("no certificate", "no key").expect_err("no PEM"),
        &["PEM"],
    );
}

#[test]
fn what_is_wrong_is_named_with_what_to_change_and_nothing_leaks() {
    each_reporting(|reports| async move {
        works().await;
        #[cfg(feature = "tls")]
        certificates().await;
        let before = descriptors();
        addresses().await;
        ports().await;
        paths().await;
        records().await;
        #[cfg(feature = "tls")]
        certificates().await;
        works().await;
        // Handles that are dropped are closed soon, by the tasks that had them.
        until(|| descriptors() <= before).await;
        // A client that is not satisfied with our certificate is all that a server has to tell.
        for report in reports.list() {
            says(&report, &["127.0.0.1:", "does not accept our certificate"]);
        }
    });
}

#[test]
fn outside_a_runtime_it_is_said_so() {
    let addr = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    let error = loxley_sync::wait::block_on(loxley_io::TcpStream::connect(addr));
    says(&error.expect_err("no runtime"), &["runtime"]);
    Runtime::builder()
        .current_thread()
        .build()
        .expect("a runtime")
        .block_on(works());
}
