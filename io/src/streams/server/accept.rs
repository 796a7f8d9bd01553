//! The task behind each door of a server: it accepts, and spawns a task per connection.
//!
//! Spawned by `mod.rs` when the server begins to serve. Ends when the server is closed, or when its door is broken, and
//! closes the server if it ends any other way; a shortage of descriptors or memory is reported once and sat out.

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use loxley_runtime::lowlevel::report_unhandled;
use loxley_runtime::{create_task, sleep};

use super::door::{Door, Endpoint};
use super::handler::{self, HandlerOutput};
use super::{Closes, Guest, Shared};
use crate::net::{AcceptPause, AcceptVerdict};
use crate::streams::link::Link;
use crate::streams::socket::Socket;
use crate::streams::tls::TlsServer;
use crate::streams::{StreamReader, StreamWriter};
use crate::sys;

/// How the sockets of connections are set up, and how long they may stay when the server ends.
#[derive(Clone, Debug)]
pub(in crate::streams) struct Settings {
    pub(super) limit: usize,
    pub(super) nodelay: bool,
    pub(super) keep_alive: bool,
    pub(super) connections_max: usize,
    pub(super) shutdown_timeout: Duration,
    pub(in crate::streams) tls: Option<TlsServer>,
}

/// Accepts until the server is closed.
///
/// However this ends, even before it has begun, it closes the server: one that still called itself serving after all tasks
/// were cancelled would be deaf.
pub(super) async fn accept<H, F>(server: Closes<Arc<Shared>>, door: Arc<Door>, handler: Arc<H>)
where
    H: Fn(StreamReader, StreamWriter) -> F + Send + Sync + 'static,
    F: Future + Send + 'static,
    F::Output: HandlerOutput + Send,
{
    let shared = &server.0;
    let mut closed = pin!(shared.closed.wait());
    let mut pause = AcceptPause::new();
    loop {
        let mut next = pin!(next(shared, &door, &mut pause));
        let accepted = poll_fn(|cx| match closed.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => next.as_mut().poll(cx).map(Some),
        });
        let (socket, peer, guest) = match accepted.await {
            None => return,
            Some(Ok(accepted)) => accepted,
            // A door that was shut says so with an error.
            Some(Err(_)) if shared.is_closed() => return,
            Some(Err(error)) => {
                let error = naming_door(&door, error);
                report_unhandled(&error);
                return shared.close(Some(error));
            }
        };
        let settings = &shared.settings;
        set_up(&socket, settings);
        let Some(link) = Link::served(socket, peer.as_inet(), guest) else {
            return;
        };
        let mut reader = StreamReader::over(link.clone(), settings.limit);
        let writer = StreamWriter::over(link);
        let (handler, tls) = (handler.clone(), settings.tls.clone());
        drop(create_task(async move {
            if let Some(tls) = tls {
                let secured = tls.secure(writer.link(), &mut reader, peer.to_string());
                if !secured.await {
                    return;
                }
            }
            let link = Arc::downgrade(writer.link());
            handler::serve(&*handler, (reader, writer), link, peer).await;
        }));
    }
}

/// The next connection, as soon as there is room for it.
async fn next(
    shared: &Shared,
    door: &Door,
    pause: &mut AcceptPause,
) -> io::Result<(Socket, Endpoint, Guest)> {
    let roster = &shared.roster;
    let count_max = shared.settings.connections_max;
    if count_max < usize::MAX {
        roster.at_most(count_max - 1).await;
    }
    let (socket, peer) = loop {
        match door.accept().await {
            Ok(connection) => {
                pause.accepted();
                break connection;
            }
            Err(error) => match pause.judge(&error) {
                AcceptVerdict::Next => {}
                AcceptVerdict::Pause { delay, first } => {
                    if first {
                        report_unhandled(&naming_door(door, error));
                    }
                    sleep(delay).await;
                }
                AcceptVerdict::Fail => return Err(error),
            },
        }
    };
    loop {
        if let Some(guest) = roster.enter(count_max) {
            return Ok((socket, peer, guest));
        }
        // Another door was faster.
        roster.at_most(count_max - 1).await;
    }
}

fn naming_door(door: &Door, error: io::Error) -> io::Error {
    crate::resolve::naming("accept on", &door.endpoint, error)
}

/// Refused only for a connection that is gone already.
fn set_up(socket: &Socket, settings: &Settings) {
    if let Socket::Tcp(stream) = socket {
        if settings.nodelay {
            let _ = stream.set_nodelay(true);
        }
        if settings.keep_alive {
            let _ = sys::set_keepalive(stream.as_fd());
        }
    }
}
