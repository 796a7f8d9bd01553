//! An HTTP/1.1 and HTTP/2 server in one file: routes by hand, bodies streamed back, an end in good order on Ctrl-C.
//!
//! ```text
//! cargo run --release --example http_server --features hyper [-- --port 8080]
//! ```
//!
//! It prints its address and what to try. The port is that of `--port`, else of the variable `PORT`, else 8080; 0
//! lets the system choose.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use http_body_util::Either;
use loxley::http::{self, Incoming, Request, Response, StatusCode, service_fn};
use loxley::{Handle, Runtime, signal, sleep};

/// Text of ours, or the request's own body on its way back.
type Body = Either<String, Incoming>;

fn main() -> ExitCode {
    let served = port().and_then(|port| {
        let runtime = Runtime::new()?;
        runtime.block_on(serve(port))
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "http_server: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(port: u16) -> io::Result<()> {
    let server = http::serve(("127.0.0.1", port), service_fn(route))
        .with_graceful_shutdown(async {
            // If Ctrl-C cannot be caught, it ends the process as ever.
            if signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
        .bind()
        .await?;
    say(&instructions(&format!("http://{}", server.local_addr())));
    let drained = server.await?;
    say(&format!("stopped: {drained}\n"));
    Ok(())
}

async fn route(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path();
    let text = match path {
        "/" => "Hello, world!\n".to_owned(),
        "/echo" => return Ok(Response::new(Body::Right(request.into_body()))),
        "/stats" => stats(),
        _ => match path.strip_prefix("/sleep/").map(str::parse) {
            Some(Ok(millis)) => {
                sleep(Duration::from_millis(millis)).await;
                format!("slept {millis} ms\n")
            }
            Some(Err(_)) => return Ok(refusal(StatusCode::BAD_REQUEST, "milliseconds, please\n")),
            None => return Ok(refusal(StatusCode::NOT_FOUND, "no such page\n")),
        },
    };
    Ok(Response::new(Body::Left(text)))
}

fn refusal(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::Left(text.to_owned()));
    *response.status_mut() = status;
    response
}

/// What the runtime knows of itself, as JSON.
fn stats() -> String {
    let metrics = Handle::current().metrics();
    let mut json = format!(
        "{{\"live_tasks\":{},\"armed_timers\":{},\"registered_sources\":{},\"workers\":[",
        metrics.live_tasks, metrics.armed_timers, metrics.registered_sources
    );
    for (index, worker) in metrics.workers.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(
            json,
            "{comma}{{\"polls\":{},\"parks\":{},\"steals\":{}}}",
            worker.polls, worker.parks, worker.steals
        );
    }
    json.push_str("]}\n");
    json
}

fn port() -> io::Result<u16> {
    let mut words = std::env::args().skip(1);
    let given = match (words.next().as_deref(), words.next()) {
        (Some("--port"), Some(port)) => Some(port),
        (None, _) => std::env::var("PORT").ok(),
        _ => return Err(io::Error::other("usage: http_server [--port PORT]")),
    };
    let port = given.map_or(Ok(8080), |text| text.parse());
    port.map_err(|_| io::Error::other("a port is a number from 0 to 65535"))
}

fn instructions(url: &str) -> String {
    format!(
        "listening on {url}

Try:
  curl {url}/
  curl --http2-prior-knowledge {url}/stats
  curl {url}/sleep/500
  curl -T README.md {url}/echo
  yes | head -c 100000000 | curl -sS -T - {url}/echo | wc -c
  wrk -t1 -c50 -d5s {url}/
Ctrl-C ends it once open requests are answered.
"
    )
}

/// Prints; a closed stdout is no reason to end.
fn say(text: &str) {
    let mut stdout = io::stdout();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}
