//! The server of HTTP.
//!
//! | file | futures | held by |
//! |---|---|---|
//! | `io/src/http/serve.rs` | `bind` | `a_server_given_up_lets_go_of_its_connections` |
//! | `io/src/http/server.rs` | `Server` | `a_server_given_up_lets_go_of_its_connections` |
//! | `io/src/http/timeout.rs` | `TimeoutFuture` | `[tests/http_timeout.rs] an_answer_can_be_dropped_and_cancelled_at_every_wait` |
//! | `io/src/http/alarm.rs` | `Wait` | `a_server_given_up_lets_go_of_its_connections` |
//! | `io/src/http/service.rs` | `Answer` | `a_server_given_up_lets_go_of_its_connections` |
//! | `io/src/hyper_rt.rs` | `Sleep` | `a_server_given_up_lets_go_of_its_connections` |

use std::convert::Infallible;

use super::{run, sweep, turns};
use http_body_util::Full;
use hyper::body::Bytes;
use loxley::http::{self, Incoming, Request, Response, service_fn};
use loxley::{TcpStream, create_task, yield_now};

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    yield_now().await;
    Ok(Response::new(Full::from("hello")))
}

#[test]
fn a_server_given_up_lets_go_of_its_connections() {
    run(async || {
        sweep(
            || {
                let future = async {
                    let server = http::serve("127.0.0.1:0", service_fn(answer));
                    let server = server.bind().await.expect("bound");
                    let (addr, handle) = (server.local_addr(), server.handle());
                    let client = create_task(async move {
                        turns().await;
                        // Refused, or cut off, where the server was given up.
                        let client = TcpStream::connect(addr).await?;
                        client
                            .write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n")
                            .await?;
                        let n = client.read(&mut [0; 512]).await?;
                        handle.shutdown();
                        Ok::<usize, std::io::Error>(n)
                    });
                    server.await.expect("it served");
                    let answered = client.await.expect("no panic").expect("answered");
                    assert!(answered > 0);
                };
                (future, ())
            },
            async |()| (),
        )
        .await;
    });
}
