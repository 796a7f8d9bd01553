//! In the place of `tls/` without feature `tls`: its names, with types that have no value. So nothing else has to ask.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::StreamReader;
use super::buffer::Buffer;
use super::link::Link;
use super::socket::Socket;

/// See `tls/session.rs`.
pub(super) struct Session(Infallible);

/// See `tls/session.rs`.
pub(super) struct Opened {
    pub(super) count: usize,
    pub(super) is_hungry: bool,
}

/// See `tls/config.rs`.
#[derive(Clone, Debug)]
pub(super) struct TlsClient(Infallible);

/// See `tls/config.rs`.
#[derive(Clone, Debug)]
pub(super) struct TlsServer(Infallible);

impl Session {
    pub(super) fn seal(&mut self, _plain: &[u8]) -> io::Result<()> {
        match self.0 {}
    }

    pub(super) fn send_to(&mut self, _socket: &Socket) -> io::Result<()> {
        match self.0 {}
    }

    pub(super) fn take_sealed(&mut self, _queue: &mut Buffer) {
        match self.0 {}
    }

    pub(super) fn open(
        &mut self,
        _sealed: &mut Buffer,
        _plain: &mut Buffer,
        _room: usize,
    ) -> io::Result<Opened> {
        match self.0 {}
    }

    pub(super) fn discard(&mut self, _sealed: &mut Buffer) {
        match self.0 {}
    }

    pub(super) fn say_end(&mut self) -> bool {
        match self.0 {}
    }

    pub(super) fn is_peer_ended(&self) -> bool {
        match self.0 {}
    }

    pub(super) fn shutdown_timeout(&self) -> Duration {
        match self.0 {}
    }

    pub(super) fn unanswered(&self) -> io::Error {
        match self.0 {}
    }

    pub(super) fn truncated(&self) -> io::Error {
        match self.0 {}
    }
}

impl TlsClient {
    pub(super) async fn secure(
        &self,
        _link: &Arc<Link>,
        _reader: &mut StreamReader,
        _host: Option<String>,
    ) -> io::Result<()> {
        match self.0 {}
    }
}

impl TlsServer {
    pub(super) async fn secure(
        &self,
        _link: &Arc<Link>,
        _reader: &mut StreamReader,
        _peer: String,
    ) -> bool {
        match self.0 {}
    }
}
