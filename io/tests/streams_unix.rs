//! Streams and servers over Unix-domain sockets, and the care for their files.

mod streams_support;

use std::fs;
use std::io;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use loxley_io::streams::{OpenConnection, ServerBuilder, StreamReader, StreamWriter};
use loxley_io::{open_unix_connection, start_unix_server};
use streams_support::{each, pattern, same, until};

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("loxley-streams-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn echo(mut reader: StreamReader, writer: StreamWriter) {
    while let Ok(bytes) = reader.read(10_000).await {
        if bytes.is_empty() {
            return;
        }
        writer.write(&bytes);
        let _ = writer.drain().await;
    }
}

#[test]
fn bytes_go_both_ways_and_both_ends_end() {
    each(|| async {
        let folder = Folder::new();
        let path = folder.path("socket");
        let server = start_unix_server(echo, &path).await.unwrap();
        assert_eq!(server.sockets()[0].as_pathname(), Some(&*path));
        assert!(server.local_addr().is_none());
        let open = OpenConnection::unix(&path).limit(100);
        let (mut reader, writer) = open.connect().await.unwrap();
        assert_eq!(reader.limit(), 100);
        assert_eq!(
            writer.peer_addr().unwrap_err().kind(),
            io::ErrorKind::Unsupported
        );
        let bytes = pattern(2 << 20);
        writer.write(&bytes);
        writer.write_eof();
        same(&reader.read_to_end().await.unwrap(), &bytes);
        drop(writer);
        server.close();
        server.wait_closed().await;
    });
}

#[test]
fn a_peer_that_is_closed_or_aborted_is_seen() {
    each(|| async {
        let folder = Folder::new();
        let path = folder.path("socket");
        let server = start_unix_server(echo, &path).await.unwrap();
        let (mut first, writer) = open_unix_connection(&path).await.unwrap();
        let (mut second, second_writer) = open_unix_connection(&path).await.unwrap();
        writer.write(b"a");
        assert_eq!(first.read(1).await.unwrap(), b"a");
        until(|| server.connections() == 2).await;
        server.close_clients();
        assert_eq!(first.read(1).await.unwrap(), b"");
        assert_eq!(second.read(1).await.unwrap_or_default(), b"");
        second_writer.abort();
        server.close();
        server.wait_closed().await;
    });
}

#[test]
fn the_file_is_removed_when_the_server_is_closed() {
    each(|| async {
        let folder = Folder::new();
        let path = folder.path("socket");
        let server = start_unix_server(echo, &path).await.unwrap();
        assert!(path.exists());
        server.close();
        assert!(!path.exists());
        let error = open_unix_connection(&path).await.expect_err("nobody there");
        assert!(error.to_string().contains("socket"), "{error}");
        // By the last handle, and by a server that never served, too.
        let server = start_unix_server(echo, &path).await.unwrap();
        drop(server);
        assert!(!path.exists());
        let builder = ServerBuilder::new().unix(&path).start_serving(false);
        let server = builder.start(echo).await.unwrap();
        assert!(path.exists());
        server.close();
        assert!(!path.exists());
    });
}

#[test]
fn a_file_that_is_another_one_by_then_stays() {
    each(|| async {
        let folder = Folder::new();
        let path = folder.path("socket");
        let server = start_unix_server(echo, &path).await.unwrap();
        // So that its number is not given to the next one.
        fs::rename(&path, folder.path("moved")).unwrap();
        fs::write(&path, "precious").unwrap();
        server.close();
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    });
}

#[test]
fn a_server_may_leave_its_file() {
    each(|| async {
        let folder = Folder::new();
        let path = folder.path("socket");
        let builder = ServerBuilder::new().unix(&path).cleanup_socket(false);
        let server = builder.start(echo).await.unwrap();
        server.close();
        server.wait_closed().await;
        assert!(path.exists());
        // Which is no obstacle for the next one.
        let server = start_unix_server(echo, &path).await.unwrap();
        let (mut reader, writer) = open_unix_connection(&path).await.unwrap();
        writer.write(b"hello");
        assert_eq!(reader.readexactly(5).await.unwrap(), b"hello");
        drop((reader, writer));
        server.close();
    });
}

#[test]
fn a_given_socket_is_served_and_its_file_stays() {
    each(|| async {
        let folder = Folder::new();
        let path = folder.path("socket");
        let given = UnixListener::bind(&path).unwrap();
        let server = ServerBuilder::new().unix_listener(given).start(echo);
        let server = server.await.unwrap();
        assert_eq!(server.sockets()[0].as_pathname(), Some(&*path));
        let (mut reader, writer) = open_unix_connection(&path).await.unwrap();
        writer.write(b"hello");
        assert_eq!(reader.readexactly(5).await.unwrap(), b"hello");
        drop((reader, writer));
        server.close();
        server.wait_closed().await;
        assert!(path.exists(), "it belongs to whoever made it");
    });
}

#[test]
fn a_socket_that_somebody_listens_on_is_in_use() {
    each(|| async {
        let folder = Folder::new();
        let path = folder.path("socket");
        let live = UnixListener::bind(&path).unwrap();
        let error = start_unix_server(echo, &path).await.expect_err("in use");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains("listens"), "{error}");
        assert!(error.to_string().contains("socket"), "{error}");
        assert!(path.exists());
        drop(live);
        // What it has left is stale now.
        let server = start_unix_server(echo, &path).await.unwrap();
        server.close();
        let datagrams = folder.path("datagrams");
        let _live = UnixDatagram::bind(&datagrams).unwrap();
        assert!(start_unix_server(echo, &datagrams).await.is_err());
        assert!(datagrams.exists());
    });
}

#[test]
fn what_is_no_socket_is_never_removed() {
    each(|| async {
        let folder = Folder::new();
        let path = folder.path("file");
        fs::write(&path, "precious").unwrap();
        let error = start_unix_server(echo, &path).await.expect_err("a file");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains("no socket"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let link = folder.path("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(start_unix_server(echo, &link).await.is_err());
        assert!(fs::symlink_metadata(&link).is_ok());
        assert!(start_unix_server(echo, folder.path("")).await.is_err());
    });
}

#[test]
fn a_path_that_is_too_long_is_named() {
    each(|| async {
        let folder = Folder::new();
        let path = folder.path(&"x".repeat(108));
        for error in [
            start_unix_server(echo, &path).await.expect_err("too long"),
            open_unix_connection(&path).await.expect_err("too long"),
        ] {
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains("107"), "{error}");
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_has_no_file() {
    each(|| async {
        let name = format!("\0loxley-streams-{}", std::process::id());
        let server = start_unix_server(echo, &name).await.unwrap();
        assert!(server.sockets()[0].to_string().starts_with('@'));
        let (mut reader, writer) = open_unix_connection(&name).await.unwrap();
        writer.write(b"hello");
        assert_eq!(reader.readexactly(5).await.unwrap(), b"hello");
        let error = start_unix_server(echo, &name).await.expect_err("in use");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop((reader, writer));
        server.close();
        server.wait_closed().await;
        let again = start_unix_server(echo, &name).await.unwrap();
        again.close();
    });
}

#[test]
fn one_server_may_have_both_kinds() {
    each(|| async {
        let folder = Folder::new();
        let path = folder.path("socket");
        let server = ServerBuilder::new()
            .addr("127.0.0.1:0")
            .unix(&path)
            .start(echo)
            .await
            .unwrap();
        assert_eq!(server.sockets().len(), 2);
        for _ in 0..2 {
            let (mut reader, writer) = open_unix_connection(&path).await.unwrap();
            writer.write(b"x");
            assert_eq!(reader.readexactly(1).await.unwrap(), b"x");
        }
        let addr = server.local_addr().unwrap();
        let (mut reader, writer) = loxley_io::open_connection(addr).await.unwrap();
        writer.write(b"y");
        assert_eq!(reader.readexactly(1).await.unwrap(), b"y");
        // Nothing of what was bound before stays when one place cannot be had.
        server.close();
        let file = folder.path("file");
        fs::write(&file, "").unwrap();
        let failed = ServerBuilder::new()
            .unix(&path)
            .unix(&file)
            .start(echo)
            .await;
        assert!(failed.is_err());
        assert!(!path.exists());
    });
}
