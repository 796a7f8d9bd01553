//! One connection's TLS: plain bytes in and records out, records in and plain bytes out. Never waits.
//!
//! Owned by the link, under whose mutex it is called; before that by the handshake. Holds no more of what has come than one
//! record and the bytes of it that nobody has asked for yet; of what goes out it is emptied after every call.

use std::io::{self, BufRead, IoSlice, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::Connection;

use super::error::TlsError;
use crate::streams::buffer::Buffer;
use crate::streams::errors::Lasting;
use crate::streams::socket::Socket;

/// See the module.
pub(in crate::streams) struct Session {
    connection: Connection,
    /// Who is at the other end, for errors.
    peer: Arc<str>,
    shutdown_timeout: Duration,
    /// What came is broken; told when the good bytes before it are taken.
    fault: Option<Lasting>,
    is_end_said: bool,
    is_peer_ended: bool,
}

/// What opening has brought.
pub(in crate::streams) struct Opened {
    /// How many plain bytes.
    pub(in crate::streams) count: usize,
    /// Whether more can come only from the socket. Neither bytes nor hunger: the peer has ended its half in good order.
    pub(in crate::streams) is_hungry: bool,
}

impl Session {
    pub(super) fn new(
        mut connection: Connection,
        peer: impl Into<Arc<str>>,
        shutdown_timeout: Duration,
    ) -> Box<Self> {
        // Sealed bytes are taken out at once; how many there may be is the link's business.
        connection.set_buffer_limit(None);
        Box::new(Self {
            connection,
            peer: peer.into(),
            shutdown_timeout,
            fault: None,
            is_end_said: false,
            is_peer_ended: false,
        })
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn peer(&self) -> &str {
        &self.peer
    }

    pub(in crate::streams) fn shutdown_timeout(&self) -> Duration {
        self.shutdown_timeout
    }

    /// Makes records of plain bytes.
    pub(in crate::streams) fn seal(&mut self, plain: &[u8]) -> io::Result<()> {
        self.connection.writer().write_all(plain)
    }

    /// Sends records until there are none, or [`WouldBlock`](io::ErrorKind::WouldBlock).
    pub(in crate::streams) fn send_to(&mut self, socket: &Socket) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut Wire(socket))?;
        }
        Ok(())
    }

    /// Puts the records that could not be sent behind those of `queue`.
    pub(in crate::streams) fn take_sealed(&mut self, queue: &mut Buffer) {
        while self.connection.wants_write() {
            // Memory takes everything.
            if self.connection.write_tls(&mut Queued(queue)).is_err() {
                return;
            }
        }
    }

    /// Opens as many records of `sealed` as it takes to append `room` plain bytes to `plain`, if there are so many.
    ///
    /// # Errors
    ///
    /// What came is not what the peer sent, or the peer says that something is wrong; but first the bytes before that.
    pub(in crate::streams) fn open(
        &mut self,
        sealed: &mut Buffer,
        plain: &mut Buffer,
        room: usize,
    ) -> io::Result<Opened> {
        let mut count = 0;
        loop {
            count += self.take_plain(plain, room - count)?;
            let is_dry = sealed.is_empty() || self.is_peer_ended || self.fault.is_some();
            if count == room || is_dry {
                break;
            }
            self.feed(sealed);
        }
        match &self.fault {
            Some(fault) if count == 0 => Err(fault.again()),
            fault => Ok(Opened {
                count,
                is_hungry: fault.is_none() && !self.is_peer_ended,
            }),
        }
    }

    /// Throws away what came, looking only for the end.
    pub(in crate::streams) fn discard(&mut self, sealed: &mut Buffer) {
        while !sealed.is_empty() && !self.is_peer_ended && self.fault.is_none() {
            self.feed(sealed);
            let mut reader = self.connection.reader();
            while let Ok(bytes @ 1..) = reader.fill_buf().map(<[u8]>::len) {
                reader.consume(bytes);
            }
        }
        sealed.clear();
    }

    /// Makes the record that ends our half, once: whether it had to be made.
    pub(in crate::streams) fn say_end(&mut self) -> bool {
        let is_news = !std::mem::replace(&mut self.is_end_said, true);
        if is_news {
            self.connection.send_close_notify();
        }
        is_news
    }

    /// Whether the peer has ended its half in good order.
    pub(in crate::streams) fn is_peer_ended(&self) -> bool {
        self.is_peer_ended
    }

    /// The connection has ended and the session has not.
    pub(in crate::streams) fn truncated(&self) -> io::Error {
        TlsError::truncated(&self.peer).into()
    }

    /// The peer has not answered the end of the session.
    pub(in crate::streams) fn unanswered(&self) -> io::Error {
        TlsError::unanswered(&self.peer, self.shutdown_timeout).into()
    }

    /// Reads what the socket has, as far as a handshake needs it: how much.
    pub(super) fn receive_from(&mut self, socket: &Socket) -> io::Result<usize> {
        let n = self.connection.read_tls(&mut Wire(socket))?;
        self.process()?;
        Ok(n)
    }

    fn take_plain(&mut self, plain: &mut Buffer, room: usize) -> io::Result<usize> {
        let mut reader = self.connection.reader();
        let mut count = 0;
        while count < room {
            let bytes = match reader.fill_buf() {
                Ok(bytes) => &bytes[..bytes.len().min(room - count)],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            if bytes.is_empty() {
                break;
            }
            plain.extend(bytes);
            let taken = bytes.len();
            reader.consume(taken);
            count += taken;
        }
        Ok(count)
    }

    /// Moves some of what came into rustls, and lets it look.
    fn feed(&mut self, sealed: &mut Buffer) {
        let fed = self.connection.read_tls(&mut sealed.as_slice());
        match fed {
            Ok(n @ 1..) => {
                sealed.consume(n);
                if let Err(error) = self.process() {
                    self.fault = Some(Lasting::new(error.into()));
                }
            }
            // No room for a record that is longer than any may be.
            Ok(_) => self.fault = Some(Lasting::new(io::ErrorKind::InvalidData.into())),
            Err(error) => self.fault = Some(Lasting::new(error)),
        }
    }

    fn process(&mut self) -> Result<(), TlsError> {
        let is_handshake = self.connection.is_handshaking();
        let state = self.connection.process_new_packets();
        let state = state.map_err(|error| TlsError::of(error, &self.peer, is_handshake))?;
        self.is_peer_ended |= state.peer_has_closed();
        Ok(())
    }
}

/// A socket in the form that rustls reads from and writes to.
struct Wire<'a>(&'a Socket);

impl Read for Wire<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buf)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.try_write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match bufs {
            [one] => self.0.try_write(one),
            _ => self.0.try_write_vectored(bufs),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A queue in the form that rustls writes to.
struct Queued<'a>(&'a mut Buffer);

impl Write for Queued<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.extend(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
