//! How a server ends: in good order, late, or all of a sudden.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use loxley::http::{self, BoxError, Incoming, Request, Response, service_fn};
use loxley::{Event, TcpStream, create_task};

use super::site::{Raw, SetOnDrop, Site, connect_http1, connect_http2, run};
use super::{get1, get2};

/// A handler that says when it is entered and gone, and that waits to be let go.
#[derive(Clone, Default)]
struct Gate {
    entered: Arc<Event>,
    leave: Arc<Event>,
    gone: Arc<Event>,
}

impl Gate {
    fn answer(&self) -> impl Future<Output = Result<Response<String>, BoxError>> + use<> {
        let gate = self.clone();
        async move {
            let _gone = SetOnDrop(gate.gone.clone());
            gate.entered.set();
            gate.leave.wait().await;
            Ok(Response::new("finished".to_owned()))
        }
    }
}

#[test]
fn a_request_in_flight_is_answered_and_idle_connections_are_closed() {
    run(async {
        let gate = Gate::default();
        let service = {
            let gate = gate.clone();
            service_fn(move |request: Request<Incoming>| {
                if request.uri().path() == "/" {
                    gate.leave.set();
                    gate.entered.clear();
                }
                gate.answer()
            })
        };
        let site = Site::start(http::serve("127.0.0.1:0", service)).await;
        let mut idle = Raw::connect(site.addr).await;
        idle.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        idle.until("finished").await;
        let silent = Raw::connect(site.addr).await;
        gate.leave.clear();
        gate.entered.clear();
        let mut one = connect_http1(site.addr).await;
        let first = create_task(async move { get1(&mut one, "/wait").await });
        gate.entered.wait().await;
        gate.entered.clear();
        let mut two = connect_http2(site.addr).await;
        let second = create_task(async move { get2(&mut two, "/wait").await });
        gate.entered.wait().await;
        site.handle.shutdown();
        // The end of the idle ones tells that the order has gone out.
        for mut raw in [idle, silent] {
            assert_eq!(raw.rest().await, "");
        }
        TcpStream::connect(site.addr)
            .await
            .expect_err("nobody listens any more");
        gate.leave.set();
        for answer in [first, second] {
            let answer = answer.await.expect("joined");
            assert_eq!(answer.expect("answered"), "finished");
        }
        assert_eq!(site.ended().await.dropped, 0);
    });
}

#[test]
fn a_signal_ends_a_server_without_connections_at_once() {
    run(async {
        let signal = Arc::new(Event::new());
        let told = signal.clone();
        let serve = http::serve("127.0.0.1:0", service_fn(super::route))
            .with_graceful_shutdown(async move { told.wait().await });
        let site = Site::start(serve).await;
        signal.set();
        assert_eq!(site.ended().await.dropped, 0);
    });
}

#[test]
fn what_does_not_finish_in_time_is_dropped_and_counted() {
    run(async {
        let gate = Gate::default();
        let service = {
            let gate = gate.clone();
            service_fn(move |_: Request<Incoming>| gate.answer())
        };
        let serve = http::serve("127.0.0.1:0", service).shutdown_timeout(Duration::from_millis(20));
        let site = Site::start(serve).await;
        let mut raw = Raw::connect(site.addr).await;
        raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        gate.entered.wait().await;
        let handle = site.handle.clone();
        handle.shutdown();
        assert_eq!(site.ended().await.dropped, 1);
        assert!(gate.gone.is_set(), "the handler is dropped by then");
        assert_eq!(handle.connections(), 0);
        assert_eq!(raw.rest().await, "");
    });
}

#[test]
fn a_stream_that_does_not_finish_in_time_is_dropped_too() {
    run(async {
        let gate = Gate::default();
        let service = {
            let gate = gate.clone();
            service_fn(move |_: Request<Incoming>| gate.answer())
        };
        let serve = http::serve("127.0.0.1:0", service).shutdown_timeout(Duration::from_millis(20));
        let site = Site::start(serve).await;
        let mut two = connect_http2(site.addr).await;
        let answer = create_task(async move { get2(&mut two, "/").await });
        gate.entered.wait().await;
        site.handle.shutdown();
        assert_eq!(site.ended().await.dropped, 1);
        answer.await.expect("joined").expect_err("cut off");
        gate.gone.wait().await;
    });
}

#[test]
fn a_server_that_is_dropped_leaves_no_connection_behind() {
    run(async {
        let gate = Gate::default();
        let service = {
            let gate = gate.clone();
            service_fn(move |_: Request<Incoming>| gate.answer())
        };
        let server = http::serve("127.0.0.1:0", service).bind().await;
        let server = server.expect("a free port");
        let (addr, handle) = (server.local_addr(), server.handle());
        let task = create_task(server);
        let mut raw = Raw::connect(addr).await;
        raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        gate.entered.wait().await;
        task.cancel();
        assert!(task.await.expect_err("cancelled").is_cancelled());
        gate.gone.wait().await;
        assert_eq!(raw.rest().await, "");
        while handle.connections() > 0 {
            loxley::yield_now().await;
        }
        TcpStream::connect(addr)
            .await
            .expect_err("nobody listens any more");
    });
}

#[test]
fn a_server_that_is_never_awaited_gives_its_port_back() {
    run(async {
        let serve =
            http::serve("127.0.0.1:0", service_fn(super::route)).with_graceful_shutdown(pending());
        let server = serve.bind().await.expect("a free port");
        let addr = server.local_addr();
        drop(server);
        TcpStream::connect(addr).await.expect_err("nobody listens");
    });
}
