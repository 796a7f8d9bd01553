//! A chat in the browser: one page, and one WebSocket for each who has it open.
//!
//! ```text
//! cargo run --example websocket_chat [-- 127.0.0.1:8000]
//! ```
//!
//! Then open the address that it prints, in two windows. The first message of a client is its name; each later one goes to
//! everybody. Who reads so slowly that a hundred lines wait for them misses the oldest and is told so. Ctrl-C, or SIGTERM,
//! ends it.

use std::io::{self, Write as _};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response, StatusCode, header};
use axum::response::Html;
use axum::routing::get;
use futures_util::stream::SplitStream;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use loxley::broadcast::{self, Receiver, RecvError, Sender};
use loxley::{Runtime, create_task, http, race, signal};
use loxley_ecosystem::local::Outcome;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

const PAGE: &str = include_str!("websocket_chat.html");

/// How many lines may wait for a client.
const BACKLOG: usize = 100;

/// How long a line may be, in bytes.
const LINE_MAX: usize = 4 << 10;

type Messages = SplitStream<WebSocketStream<TokioIo<Upgraded>>>;

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1);
    let addr = addr.unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    Runtime::builder()
        .shutdown_signals([signal::SIGTERM])
        .run(serve(addr))
}

async fn serve(addr: String) -> io::Result<()> {
    let (room, _) = broadcast::channel(BACKLOG);
    let router = Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/chat", get(async move |request| join(request, room)));
    let server = http::serve(addr, router).bind().await?;
    writeln!(io::stdout(), "serving on http://{}/", server.local_addr())?;
    server.await?;
    Ok(())
}

/// Answers the request for a WebSocket; what is said through it belongs to a task of its own.
fn join(mut request: Request, room: Sender<String>) -> Response<Body> {
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else {
        let mut refusal = Response::new(Body::from("a WebSocket is spoken here\n"));
        *refusal.status_mut() = StatusCode::UPGRADE_REQUIRED;
        return refusal;
    };
    let accept = derive_accept_key(key.as_bytes());
    let upgrade = hyper::upgrade::on(&mut request);
    drop(create_task(async move {
        // Whoever breaks off has gone, whatever the reason.
        let _ = talk(upgrade, room).await;
    }));
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .body(Body::empty())
        .expect("the headers are text")
}

async fn talk(upgrade: OnUpgrade, room: Sender<String>) -> Outcome {
    let stream = TokioIo::new(upgrade.await?);
    let config = WebSocketConfig::default().max_message_size(Some(LINE_MAX));
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    let (mut sink, mut messages) = socket.split();
    let Some(name) = next_line(&mut messages).await? else {
        return Ok(());
    };
    let mut lines = room.subscribe();
    say(&room, format!("* {name} has come"));
    let says = async {
        while let Some(line) = next_line(&mut messages).await? {
            say(&room, format!("{name}: {line}"));
        }
        Ok(())
    };
    let hears = async {
        while let Some(line) = hear(&mut lines).await {
            sink.send(line.into()).await?;
        }
        Ok(())
    };
    let ended = race((says, hears)).await;
    say(&room, format!("* {name} has gone"));
    ended
}

/// To everybody; nobody there is no error.
fn say(room: &Sender<String>, line: String) {
    let _ = room.send(line);
}

async fn hear(lines: &mut Receiver<String>) -> Option<String> {
    match lines.recv().await {
        Ok(line) => Some(line),
        Err(RecvError::Lagged(lost)) => Some(format!("* you missed {lost} lines")),
        Err(_) => None,
    }
}

/// The next that is text and not empty; none at the end.
async fn next_line(messages: &mut Messages) -> Outcome<Option<String>> {
    while let Some(message) = messages.next().await {
        let message = message?;
        match message.to_text() {
            Ok(text) if message.is_text() && !text.trim().is_empty() => {
                return Ok(Some(text.trim().to_owned()));
            }
            _ => {} // A ping or a goodbye, which the protocol answers itself, or something odd.
        }
    }
    Ok(None)
}
