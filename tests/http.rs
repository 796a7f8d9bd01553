//! HTTP over real sockets: hyper's own client on our streams for what clients usually do, plain bytes for what they should
//! not. Ports are 0, the order of things is that of what has been observed, and every test ends by itself.

#[path = "http/shutdown.rs"]
mod shutdown;
#[path = "http/site.rs"]
mod site;

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use loxley::http::{self, BoxError, Incoming, Peer, Request, Response, ServeError, service_fn};
use loxley::{Event, create_task};
use site::{Raw, SetOnDrop, Site, connect_http1, connect_http2, run, run_reporting};

type Body = Either<Full<Bytes>, Incoming>;

/// `/` says hello, `/echo` streams the request's body back, `/whole` reads it to its end first, `/panic` panics, `/fail`
/// fails.
async fn route(request: Request<Incoming>) -> Result<Response<Body>, BoxError> {
    match request.uri().path() {
        "/echo" => Ok(Response::new(Either::Right(request.into_body()))),
        "/whole" => {
            let body = request.into_body().collect().await?;
            Ok(Response::new(Either::Left(body.to_bytes().into())))
        }
        "/panic" => panic!("the handler of this test panics"),
        "/fail" => Err("the handler of this test fails".into()),
        _ => Ok(Response::new(Either::Left("hello".into()))),
    }
}

fn request(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::builder()
        .uri(path)
        .header("host", "test")
        .body(Full::new(body.into()))
        .expect("a request")
}

async fn text(response: Response<Incoming>) -> String {
    let body = response.into_body().collect().await.expect("a whole body");
    String::from_utf8(body.to_bytes().to_vec()).expect("text")
}

async fn get1(client: &mut http1::SendRequest<Full<Bytes>>, path: &str) -> hyper::Result<String> {
    client.ready().await?;
    Ok(text(client.send_request(request(path, "")).await?).await)
}

async fn get2(client: &mut http2::SendRequest<Full<Bytes>>, path: &str) -> hyper::Result<String> {
    client.ready().await?;
    Ok(text(client.send_request(request(path, "")).await?).await)
}

#[test]
fn one_server_speaks_http1_and_http2() {
    run(async {
        let site = Site::start(http::serve("127.0.0.1:0", service_fn(route))).await;
        let mut one = connect_http1(site.addr).await;
        let mut two = connect_http2(site.addr).await;
        assert_eq!(get1(&mut one, "/").await.expect("served"), "hello");
        assert_eq!(get2(&mut two, "/").await.expect("served"), "hello");
        let large = vec![b'x'; 1 << 20];
        one.ready().await.expect("open");
        let echo = one.send_request(request("/echo", large.clone())).await;
        assert_eq!(text(echo.expect("served")).await.len(), large.len());
        let echo = two.send_request(request("/echo", large.clone())).await;
        assert_eq!(text(echo.expect("served")).await.len(), large.len());
    });
}

#[test]
fn an_axum_router_comes_through_the_same_door() {
    run(async {
        let hello = async |Path(name): Path<String>| format!("hello {name}");
        let router = Router::new().route("/hello/{name}", get(hello));
        let site = Site::start(http::serve("127.0.0.1:0", router)).await;
        let mut one = connect_http1(site.addr).await;
        assert_eq!(
            get1(&mut one, "/hello/you").await.expect("served"),
            "hello you"
        );
        let mut two = connect_http2(site.addr).await;
        assert_eq!(
            get2(&mut two, "/hello/you").await.expect("served"),
            "hello you"
        );
    });
}

#[test]
fn a_connection_is_used_again() {
    run(async {
        let site = Site::start(http::serve("127.0.0.1:0", service_fn(route))).await;
        let mut client = connect_http1(site.addr).await;
        for _ in 0..100 {
            assert_eq!(get1(&mut client, "/").await.expect("served"), "hello");
            assert_eq!(site.handle.connections(), 1);
        }
    });
}

#[test]
fn fifty_connections_of_a_hundred_requests_are_all_answered() {
    run(async {
        let site = Site::start(http::serve("127.0.0.1:0", service_fn(route))).await;
        let addr = site.addr;
        let clients = (0..50).map(|client| {
            create_task(async move {
                let mut connection = connect_http1(addr).await;
                for round in 0..100 {
                    let body = format!("{client} {round}");
                    connection.ready().await.expect("open");
                    let echo = connection.send_request(request("/echo", body.clone()));
                    assert_eq!(text(echo.await.expect("served")).await, body);
                }
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await.expect("every answer was right");
        }
    });
}

#[test]
fn streams_of_one_connection_run_beside_each_other() {
    run(async {
        let gate = Arc::new(Event::new());
        let waiting = gate.clone();
        // `/open` is answered only if it runs beside the requests that wait for it.
        let service = service_fn(move |request: Request<Incoming>| {
            let gate = waiting.clone();
            async move {
                match request.uri().path() {
                    "/open" => gate.set(),
                    _ => gate.wait().await,
                }
                Ok::<_, Infallible>(Response::new("done".to_owned()))
            }
        });
        let site = Site::start(http::serve("127.0.0.1:0", service)).await;
        let client = connect_http2(site.addr).await;
        let send = |path: &'static str| {
            let mut client = client.clone();
            create_task(async move { get2(&mut client, path).await })
        };
        let mut answers: Vec<_> = (0..20).map(|_| send("/wait")).collect();
        answers.push(send("/open"));
        for answer in answers {
            assert_eq!(answer.await.expect("joined").expect("served"), "done");
        }
    });
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    run(async {
        let service = service_fn(async |request: Request<Incoming>| {
            Ok::<_, Infallible>(Response::new(request.uri().path().to_owned()))
        });
        let site = Site::start(http::serve("127.0.0.1:0", service)).await;
        let mut raw = Raw::connect(site.addr).await;
        raw.send("GET /1 HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\n")
            .await;
        raw.send("GET /3 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await;
        let all = raw.rest().await;
        let places: Vec<_> = ["/1", "/2", "/3"].map(|path| all.find(path)).to_vec();
        assert!(
            places.is_sorted() && places.iter().all(Option::is_some),
            "{all}"
        );
        assert_eq!(all.matches("HTTP/1.1 200 OK").count(), 3, "{all}");
    });
}

#[test]
fn an_upload_in_tiny_chunks_is_streamed_back() {
    run(async {
        let site = Site::start(http::serve("127.0.0.1:0", service_fn(route))).await;
        let mut raw = Raw::connect(site.addr).await;
        raw.send("POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        for byte in "streamed".chars() {
            raw.send(&format!("1\r\n{byte}\r\n")).await;
            // It comes back before the next one is sent: nothing waits for the end.
            let so_far = raw.until(&format!("1\r\n{byte}\r\n")).await;
            assert!(!so_far.contains("0\r\n\r\n"), "{so_far}");
        }
        raw.send("0\r\n\r\n").await;
        raw.until("0\r\n\r\n").await;
    });
}

#[test]
fn a_body_is_asked_for_only_when_it_is_wanted() {
    run(async {
        let site = Site::start(http::serve("127.0.0.1:0", service_fn(route))).await;
        let mut raw = Raw::connect(site.addr).await;
        raw.send(
            "POST /whole HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n",
        )
        .await;
        raw.until("HTTP/1.1 100 Continue\r\n\r\n").await;
        raw.send("body").await;
        let answer = raw.until("body").await;
        assert!(answer.contains("HTTP/1.1 200 OK"), "{answer}");
        // One that is not wanted is not asked for.
        let mut raw = Raw::connect(site.addr).await;
        raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n")
            .await;
        let answer = raw.until("hello").await;
        assert!(!answer.contains("100 Continue"), "{answer}");
    });
}

#[test]
fn a_peer_that_ends_its_half_gets_its_answer_if_the_server_allows_it() {
    run(async {
        for allow in [true, false] {
            let (entered, leave) = (Arc::new(Event::new()), Arc::new(Event::new()));
            let service = {
                let (entered, leave) = (entered.clone(), leave.clone());
                service_fn(move |_: Request<Incoming>| {
                    let (entered, leave) = (entered.clone(), leave.clone());
                    async move {
                        entered.set();
                        leave.wait().await;
                        Ok::<_, Infallible>(Response::new("late".to_owned()))
                    }
                })
            };
            let serve = http::serve("127.0.0.1:0", service).half_close(allow);
            let site = Site::start(serve).await;
            let mut raw = Raw::connect(site.addr).await;
            raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            entered.wait().await;
            raw.end();
            if allow {
                leave.set();
                let answer = raw.rest().await;
                assert!(answer.ends_with("late"), "{answer}");
            } else {
                // The handler is dropped where it waits.
                assert_eq!(raw.rest().await, "");
            }
        }
    });
}

#[test]
fn a_peer_that_leaves_takes_its_handler_along() {
    run(async {
        let entered = Arc::new(Event::new());
        let dropped = Arc::new(Event::new());
        let service = {
            let (entered, dropped) = (entered.clone(), dropped.clone());
            service_fn(move |_: Request<Incoming>| {
                let guard = SetOnDrop(dropped.clone());
                let entered = entered.clone();
                async move {
                    let _guard = guard;
                    entered.set();
                    pending::<Result<Response<String>, Infallible>>().await
                }
            })
        };
        let site = Site::start(http::serve("127.0.0.1:0", service)).await;
        let mut raw = Raw::connect(site.addr).await;
        raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        entered.wait().await;
        drop(raw);
        dropped.wait().await;
    });
}

#[test]
fn peers_without_a_request_are_closed_in_time() {
    run(async {
        let (failures, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(Event::new()));
        let serve = {
            let (failures, failed) = (failures.clone(), failed.clone());
            http::serve("127.0.0.1:0", service_fn(route))
                .header_read_timeout(Duration::from_millis(500))
                .on_error(move |error| {
                    assert!(matches!(error, ServeError::Connection(_)), "{error}");
                    if failures.fetch_add(1, Ordering::AcqRel) == 3 {
                        failed.set();
                    }
                })
        };
        let site = Site::start(serve).await;
        // Nothing, a piece of HTTP/2's preface, a piece of a head, a connection that idles after its request.
        let peers = [
            ("", ""),
            ("PRI * HT", ""),
            ("GET / HTTP/1.1\r\nhost", ""),
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", "hello"),
        ];
        let mut open = Vec::new();
        for (sent, answer) in peers {
            let mut raw = Raw::connect(site.addr).await;
            raw.send(sent).await;
            open.push((raw, sent, answer));
        }
        for (mut raw, sent, answer) in open {
            let all = raw.rest().await;
            assert!(all.ends_with(answer), "{sent:?} was answered by {all:?}");
        }
        failed.wait().await;
    });
}

#[test]
fn a_handler_may_take_longer_than_a_head() {
    run(async {
        let limit = Duration::from_millis(500);
        let service = service_fn(move |_: Request<Incoming>| async move {
            loxley::sleep(limit * 3 / 2).await;
            Ok::<_, Infallible>(Response::new("slow".to_owned()))
        });
        let serve = http::serve("127.0.0.1:0", service).header_read_timeout(limit);
        let site = Site::start(serve).await;
        let mut one = connect_http1(site.addr).await;
        let one = create_task(async move { get1(&mut one, "/").await });
        let mut two = connect_http2(site.addr).await;
        assert_eq!(get2(&mut two, "/").await.expect("served"), "slow");
        assert_eq!(one.await.expect("joined").expect("served"), "slow");
    });
}

#[test]
fn what_is_not_http_is_refused_and_reported() {
    run(async {
        let reported = Arc::new(Event::new());
        let serve = {
            let reported = reported.clone();
            http::serve("127.0.0.1:0", service_fn(route)).on_error(move |_| reported.set())
        };
        let site = Site::start(serve).await;
        let mut raw = Raw::connect(site.addr).await;
        raw.send("hello, are you a mail server?\r\n\r\n").await;
        let answer = raw.rest().await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request"), "{answer:?}");
        reported.wait().await;
    });
}

#[test]
fn a_panic_costs_its_connection_only() {
    let reports = run_reporting(async {
        let site = Site::start(http::serve("127.0.0.1:0", service_fn(route))).await;
        let mut bystander = connect_http1(site.addr).await;
        assert_eq!(get1(&mut bystander, "/").await.expect("served"), "hello");
        let mut unlucky = connect_http1(site.addr).await;
        get1(&mut unlucky, "/panic").await.expect_err("cut off");
        // On HTTP/2 it costs the stream.
        let mut two = connect_http2(site.addr).await;
        get2(&mut two, "/panic").await.expect_err("reset");
        assert_eq!(get2(&mut two, "/").await.expect("served"), "hello");
        assert_eq!(get1(&mut bystander, "/").await.expect("served"), "hello");
        let mut next = connect_http1(site.addr).await;
        assert_eq!(get1(&mut next, "/").await.expect("served"), "hello");
    });
    let panics = reports
        .iter()
        .filter(|report| report.contains("the handler of this test panics"));
    assert_eq!(panics.count(), 2, "{reports:?}");
}

#[test]
fn a_failed_service_is_reported_once() {
    let reports = run_reporting(async {
        let site = Site::start(http::serve("127.0.0.1:0", service_fn(route))).await;
        let mut one = connect_http1(site.addr).await;
        get1(&mut one, "/fail").await.expect_err("cut off");
        let mut two = connect_http2(site.addr).await;
        get2(&mut two, "/fail").await.expect_err("reset");
        assert_eq!(get2(&mut two, "/").await.expect("served"), "hello");
    });
    let failures = reports
        .iter()
        .filter(|report| report.contains("the handler of this test fails"));
    assert_eq!(failures.count(), 2, "{reports:?}");
}

#[test]
fn a_peer_that_leaves_while_it_sends_is_no_failure_of_the_service() {
    run(async {
        let (failures, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(Event::new()));
        let serve = {
            let (failures, failed) = (failures.clone(), failed.clone());
            http::serve("127.0.0.1:0", service_fn(route)).on_error(move |error| {
                assert!(matches!(error, ServeError::Connection(_)), "{error}");
                if failures.fetch_add(1, Ordering::AcqRel) == 1 {
                    failed.set();
                }
            })
        };
        let site = Site::start(serve).await;
        let head = "HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n";
        // Once handed on as the error of the answer's body, once as the service's.
        let mut raw = Raw::connect(site.addr).await;
        raw.send(&format!("POST /echo {head}")).await;
        raw.until("1\r\nx\r\n").await;
        drop(raw);
        let mut raw = Raw::connect(site.addr).await;
        raw.send(&format!("POST /whole {head}")).await;
        raw.end();
        raw.rest().await;
        failed.wait().await;
    });
}

#[test]
fn requests_carry_the_peer_if_asked_to() {
    run(async {
        let service = service_fn(async |request: Request<Incoming>| {
            let peer = request.extensions().get::<Peer>();
            let text = peer.map_or("nobody".to_owned(), |Peer(addr)| addr.to_string());
            Ok::<_, Infallible>(Response::new(text))
        });
        let site = Site::start(http::serve("127.0.0.1:0", service).peer_in_requests()).await;
        let mut raw = Raw::connect(site.addr).await;
        raw.send("GET / HTTP/1.0\r\n\r\n").await;
        let all = raw.rest().await;
        assert!(all.ends_with(&raw.local_addr().to_string()), "{all}");
        let site = Site::start(http::serve("127.0.0.1:0", service)).await;
        let mut client = connect_http1(site.addr).await;
        assert_eq!(get1(&mut client, "/").await.expect("served"), "nobody");
    });
}

#[test]
fn no_more_connections_are_taken_than_allowed() {
    run(async {
        let service = service_fn(route);
        let serve = http::serve("127.0.0.1:0", service).max_connections(2);
        let site = Site::start(serve).await;
        let clients = (0..20).map(|_| {
            let (addr, handle) = (site.addr, site.handle.clone());
            create_task(async move {
                let mut client = connect_http1(addr).await;
                assert_eq!(get1(&mut client, "/").await.expect("served"), "hello");
                assert!(handle.connections() <= 2);
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await.expect("served in its turn");
        }
    });
}
