//! How a server ends when others act at the same time.

use std::time::Duration;

use loxley_io::streams::{StreamReader, StreamWriter};
use loxley_io::{Server, TcpStream, start_server};
use loxley_runtime::testing::{Config, run};
use loxley_runtime::{create_task, yield_now};

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
