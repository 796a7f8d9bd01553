//! The connection under a writer: what can be asked of it, and that who watches over it keeps nothing open.

mod streams_support;

use std::os::fd::AsRawFd as _;

use loxley_io::net::UnixCredentials;
use loxley_io::streams::{self, PeerName, SockName, WaterMarks};
use loxley_io::{StreamWriter, UnixStream, open_connection, start_server};
use loxley_sync::{Event, Queue};
use streams_support::{Sink, each, tcp_pair, until};

#[test]
fn the_type_is_the_key_of_what_a_connection_knows() {
    each(|| async {
        let (ours, theirs) = tcp_pair().await;
        let (_reader, writer) = streams::from_tcp(ours);
        let PeerName(peer) = writer.get_extra_info().expect("TCP has names");
        let SockName(sock) = writer.transport().get_extra_info().expect("TCP has names");
        assert_eq!(peer.as_inet(), theirs.local_addr().ok());
        assert_eq!(sock.as_inet(), theirs.peer_addr().ok());
        assert!(writer.get_extra_info::<UnixCredentials>().is_none());

        let (ours, _theirs) = UnixStream::pair().unwrap();
        let (_reader, writer) = streams::from_unix(ours);
        let PeerName(peer) = writer.get_extra_info().expect("one without a path");
        assert!(peer.as_inet().is_none() && peer.as_pathname().is_none());
        let credentials: UnixCredentials = writer.get_extra_info().expect("the kernel vouches");
        let us = i32::try_from(std::process::id()).unwrap();
        assert_eq!(credentials.pid(), Some(us));

        let writer = StreamWriter::from_writer(Sink::default().end());
        assert!(writer.get_extra_info::<PeerName>().is_none());
        assert!(writer.get_extra_info::<SockName>().is_none());
        assert!(writer.transport().socket().is_none());
    });
}

#[test]
fn a_transport_keeps_nothing_open() {
    each(|| async {
        let (ours, theirs) = tcp_pair().await;
        let (reader, writer) = streams::from_tcp(ours);
        let transport = writer.transport();
        writer.write(b"last words");
        drop((reader, writer));
        let (mut reader, _writer) = streams::from_tcp(theirs);
        assert_eq!(reader.read_to_end().await.unwrap(), b"last words");
        until(|| transport.is_closing()).await;
    });
}

#[test]
fn who_watches_over_a_connection_ends_it_for_all() {
    each(|| async {
        let (ours, theirs) = tcp_pair().await;
        let (_reader, writer) = streams::from_tcp(ours);
        let transport = writer.transport();
        assert!(transport.can_write_eof() && !transport.is_closing());
        assert_eq!(
            transport.socket().map(|socket| socket.as_raw_fd()),
            writer.socket().map(|socket| socket.as_raw_fd())
        );
        transport.set_write_buffer_limits(WaterMarks::high_at(1000));
        assert_eq!(writer.get_write_buffer_limits().high(), 1000);
        while transport.get_write_buffer_size() <= 1000 {
            writer.write(&[7; 1 << 20]);
        }
        transport.abort();
        let error = writer.drain().await.expect_err("it is gone");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        assert_eq!(transport.get_write_buffer_size(), 0);
        drop(theirs);
    });
}

#[test]
fn a_server_knows_its_peer_when_it_is_gone() {
    each(|| async {
        let names: Queue<Option<String>> = Queue::new(1);
        let (told, gone) = (names.clone(), std::sync::Arc::new(Event::new()));
        let left = gone.clone();
        let server = start_server(
            move |mut reader, writer| {
                let (told, left) = (told.clone(), left.clone());
                async move {
                    left.wait().await;
                    // The end, or a reset.
                    let _ = reader.read_to_end().await;
                    writer.abort();
                    let name = writer.get_extra_info::<PeerName>();
                    let name = name.map(|PeerName(name)| name.to_string());
                    told.put(name).await.expect("somebody asks");
                }
            },
            "127.0.0.1:0",
        )
        .await
        .unwrap();
        let (reader, writer) = open_connection(server.local_addr().unwrap()).await.unwrap();
        let ours = writer.local_addr().unwrap();
        writer.abort();
        drop((reader, writer));
        gone.set();
        assert_eq!(names.get().await.unwrap(), Some(ours.to_string()));
        server.close();
        server.wait_closed().await;
    });
}
