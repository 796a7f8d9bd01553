//! How a server ends when others act at the same time, and what it says of an end that nobody asked for.

mod streams_support;

use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use loxley_io::streams::{ServeError, ServerBuilder, StreamReader, StreamWriter};
use loxley_io::{Server, TcpStream, start_server};
use loxley_runtime::testing::{Config, run};
use loxley_runtime::{all_tasks, create_task, current_task, yield_now};
use loxley_sync::Event;
use streams_support::{each, each_reporting, until};

const ANY: &str = "127.0.0.1:0";
/// How often the moment is sought at which a connection is being accepted; without the care for it, one in a hundred meets it.
const ROUNDS: usize = 200;

async fn stay(mut reader: StreamReader, _writer: StreamWriter) {
    // Whatever ends it.
    let _ = reader.read_to_end().await;
}

/// Clients that never leave come in while the server is closed and its connections are ended by `end`: all of them go.
fn everybody_goes(end: impl Fn(&Server)) {
    let config = Config::new().worker_threads(4).leak_check(true);
    run(config.limit(Duration::from_secs(60)), async {
        for round in 0..ROUNDS {
            let server = start_server(stay, ANY).await.unwrap();
            let addr = server.local_addr().expect("bound");
            let clients: Vec<_> = (0..6)
                .map(|_| create_task(TcpStream::connect(addr)))
                .collect();
            for _ in 0..round % 40 {
                yield_now().await;
            }
            server.close();
            end(&server);
            server.wait_closed().await;
            for client in clients {
                // Those that were too late are refused.
                let _ = client.await.unwrap();
            }
        }
    });
}

#[test]
fn nobody_comes_in_behind_the_back_of_who_closes_the_server_and_its_clients() {
    everybody_goes(|server| server.close_clients());
}

#[test]
fn nobody_comes_in_behind_the_back_of_who_closes_the_server_and_aborts_its_clients() {
    everybody_goes(|server| server.abort_clients());
}

#[test]
fn a_server_whose_tasks_are_all_cancelled_is_closed_and_not_deaf() {
    each(|| async {
        let server = start_server(stay, ANY).await.unwrap();
        let own = current_task();
        for task in all_tasks() {
            if Some(&task) != own.as_ref() {
                task.cancel();
            }
        }
        server.wait_closed().await;
        assert!(!server.is_serving());
        let error = server.serve_forever().await.unwrap_err();
        assert!(matches!(error, ServeError::Closed));
    });
}

#[test]
fn who_serves_forever_is_told_what_broke_the_server_before() {
    each_reporting(|reports| async move {
        let listener = StdListener::bind(ANY).unwrap();
        let other = listener.try_clone().unwrap();
        let server = ServerBuilder::new()
            .listener(listener)
            .start(stay)
            .await
            .unwrap();
        rustix::net::shutdown(&other, rustix::net::Shutdown::Both).unwrap();
        server.wait_closed().await;
        let error = server.serve_forever().await.unwrap_err();
        let ServeError::Io(error) = error else {
            panic!("{error:?}");
        };
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        until(|| reports.list().len() == 1).await;
        // Told once.
        let error = server.serve_forever().await.unwrap_err();
        assert!(matches!(error, ServeError::Closed));
    });
}

#[test]
fn a_connection_that_breaks_while_it_is_closed_leaves_though_its_handler_holds_it() {
    each(|| async {
        let release = Arc::new(Event::new());
        let released = release.clone();
        let handler = move |reader: StreamReader, writer: StreamWriter| {
            let released = released.clone();
            async move {
                writer.write(&[7; 16 << 20]);
                released.wait().await;
                drop((reader, writer));
            }
        };
        let server = start_server(handler, ANY).await.unwrap();
        let client = TcpStream::connect(server.local_addr().expect("bound"))
            .await
            .unwrap();
        client.peek(&mut [0]).await.unwrap();
        server.close();
        server.close_clients();
        // With bytes unread: a reset.
        drop(client);
        server.wait_closed().await;
        release.set();
    });
}
