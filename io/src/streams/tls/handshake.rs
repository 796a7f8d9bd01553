//! From a connection to one with TLS: the handshake, within its time, and the session put between.
//!
//! Called by `connect.rs`, `server/accept.rs` and `knobs.rs`. While it goes on the link sends nothing: what is written
//! meanwhile is queued, and sealed when the session is there. A handshake that does not come to a good end takes the
//! connection with it, so that nothing is ever sent in plain text by mistake.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use loxley_runtime::lowlevel::report_unhandled;
use loxley_runtime::timeout;
use loxley_sync::ambient::poll_budget;

use super::config::{TlsClient, TlsServer};
use super::error::TlsError;
use super::session::Session;
use crate::streams::StreamReader;
use crate::streams::errors::Lasting;
use crate::streams::link::Link;
use crate::streams::socket::Socket;

impl TlsClient {
    /// Puts TLS on `link`, whose sending is ours, expecting `host` if nobody else was named.
    pub(in crate::streams) async fn secure(
        &self,
        link: &Arc<Link>,
        reader: &mut StreamReader,
        host: Option<String>,
    ) -> io::Result<()> {
        let (session, limit) = self.session(host)?;
        link.hold();
        secure(link, reader, session, limit, |_| {}).await
    }
}

impl TlsServer {
    /// Puts TLS on a connection that has been accepted. What goes wrong is reported here: `false`.
    pub(in crate::streams) async fn secure(
        &self,
        link: &Arc<Link>,
        reader: &mut StreamReader,
        peer: String,
    ) -> bool {
        match self.session(peer) {
            Ok((session, limit)) => {
                link.hold();
                let secured = secure(link, reader, session, limit, report);
                secured.await.is_ok()
            }
            Err(error) => {
                report(&error);
                false
            }
        }
    }
}

fn report(error: &io::Error) {
    if !TlsError::is_silent(error) {
        report_unhandled(error);
    }
}

/// Shakes hands over `link`, whose sending is held. A failure is given to `report` before the connection is closed: whoever
/// waits for a server's connections to be gone has every report by then.
pub(super) async fn secure(
    link: &Arc<Link>,
    reader: &mut StreamReader,
    mut session: Box<Session>,
    limit: Duration,
    report: fn(&io::Error),
) -> io::Result<()> {
    let mut upgrade = Upgrade {
        link,
        reader,
        report,
        is_done: false,
    };
    let Some(socket) = link.socket() else {
        return Err(upgrade.fails(not_a_socket()));
    };
    match timeout(limit, shake(socket, &mut session)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(upgrade.fails(TlsError::with(&error, session.peer()))),
        Err(_) => return Err(upgrade.fails(TlsError::slow(session.peer(), limit))),
    }
    upgrade.is_done = true;
    upgrade.reader.seals();
    link.cover(session)
}

pub(super) fn not_a_socket() -> TlsError {
    TlsError::unsupported(
        "TLS goes over TCP and Unix-domain sockets; over other streams use rustls with `from_halves`",
    )
}

/// A handshake on its way. Dropped before it is done, it closes the connection.
struct Upgrade<'a> {
    link: &'a Arc<Link>,
    reader: &'a mut StreamReader,
    report: fn(&io::Error),
    is_done: bool,
}

impl Upgrade<'_> {
    /// Ends it, and the connection with it: later reads and writes say why.
    fn fails(&mut self, mut error: TlsError) -> io::Error {
        if self.link.is_closing() {
            error = error.silenced();
        }
        let fault = Lasting::new(error.clone().into());
        let error = error.into();
        (self.report)(&error);
        self.is_done = true;
        self.break_off(fault);
        error
    }

    fn break_off(&mut self, fault: Lasting) {
        self.reader.breaks(fault.clone());
        self.link.break_off(fault, true);
    }
}

impl Drop for Upgrade<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.break_off(Lasting::new(TlsError::given_up().into()));
        }
    }
}

async fn shake(socket: &Socket, session: &mut Session) -> io::Result<()> {
    let mut is_answered = false;
    loop {
        let sent = session.send_to(socket);
        let is_blocked = match sent {
            Ok(()) => false,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
            // What is left is for later sessions. That the peer is gone is told by whatever is read or written next.
            Err(_) if !session.connection().is_handshaking() => return Ok(()),
            Err(error) => return Err(error),
        };
        if is_blocked {
            socket.writable().await?;
            continue;
        }
        if !session.connection().is_handshaking() {
            return Ok(());
        }
        match session.receive_from(socket) {
            Ok(0) => return Err(TlsError::left(session.peer(), is_answered).into()),
            Ok(_) => {
                is_answered = true;
                poll_fn(poll_budget).await;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.readable().await?,
            Err(error) => {
                // Why it ends is said to the peer, too, if it can be said at once.
                let _ = session.send_to(socket);
                return Err(error);
            }
        }
    }
}
