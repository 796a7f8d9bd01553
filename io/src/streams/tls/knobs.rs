//! Where users ask for TLS: on a connection to be made, on a server, on a connection that stands; and what came of it.

use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::Arc;

use rustls::Connection;

use super::config::{Tls, TlsClient, TlsServer};
use super::error::TlsError;
use super::handshake::{not_a_socket, secure};
use super::session::Session;
use crate::streams::errors::Lasting;
use crate::streams::transport::{ExtraInfo, Transport, sealed::Sealed};
use crate::streams::{OpenConnection, ServerBuilder, StreamReader, StreamWriter};

impl OpenConnection {
    /// Speaks TLS on the connection. The certificate must be valid for the host of the address, unless
    /// [`TlsClient::server_name`] names another; for a path or a connection that is there already it must.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use loxley_io::{streams::OpenConnection, tls::TlsClient};
    ///
    /// # async fn example() -> std::io::Result<()> {
    /// let tls = TlsClient::new().alpn(["http/1.1"]);
    /// let (mut reader, writer) = OpenConnection::new("example.org:443").tls(tls).connect().await?;
    /// writer.write(b"GET / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n");
    /// let answer = reader.read_to_end().await?;
    /// # drop(answer); Ok(())
    /// # }
    /// ```
    ///
    /// With an authority of one's own, and both ends in one program: see [`TlsClient`].
    pub fn tls(mut self, client: impl Into<TlsClient>) -> Self {
        self.tls = Some(client.into());
        self
    }
}

impl ServerBuilder {
    /// Speaks TLS on every connection. The handshake is part of the connection's task, so that a slow one delays nobody; the
    /// handler is called when it is done. One that fails is reported with its peer, unless the peer left without a word.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_io::{streams::ServerBuilder, tls::TlsServer};
    ///
    /// # loxley_runtime::run(async {
    /// # let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    /// # let (chain, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    /// let server = ServerBuilder::new()
    ///     .addr("127.0.0.1:0")
    ///     .tls(TlsServer::new(chain, key)?) // What stands in the two PEM files.
    ///     .start(|_, writer| async move { writer.write(b"hello, sealed") })
    ///     .await?;
    /// # server.close();
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn tls(mut self, server: impl Into<TlsServer>) -> Self {
        self.settings.tls = Some(server.into());
        self
    }
}

impl StreamWriter {
    /// Puts TLS on a connection that was in plain text so far (STARTTLS). What is queued is sent first; then come the
    /// handshake and, sealed, whatever is written meanwhile by clones. `reader` is the other end of the same connection.
    ///
    /// A client names whom to expect with [`TlsClient::server_name`].
    ///
    /// # Errors
    ///
    /// If bytes have come that nobody has read: they came in plain text, and whoever takes them for part of the session can
    /// be made to believe anything. If the handshake fails, or takes too long. In all these cases the connection is closed,
    /// and says why to every later read and write.
    ///
    /// If the connection has TLS already, is no socket, or if a client has not said whom to expect: then nothing has changed.
    ///
    /// # Panics
    ///
    /// If `reader` belongs to another connection.
    ///
    /// # Cancel safety
    ///
    /// Dropped before the handshake has begun it changes nothing, afterwards it closes the connection.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use loxley_io::{open_connection, tls::TlsClient};
    ///
    /// # async fn example() -> std::io::Result<()> {
    /// let (mut reader, writer) = open_connection("mail.example.org:587").await?;
    /// writer.write(b"STARTTLS\r\n");
    /// while !reader.readline().await?.starts_with(b"220 ") {}
    /// let tls = TlsClient::new().server_name("mail.example.org");
    /// writer.start_tls(&mut reader, tls).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// **Differs from asyncio**: takes the reader, too; bytes that were read ahead are refused and not moved into the session.
    #[track_caller]
    pub fn start_tls<'a>(
        &'a self,
        reader: &'a mut StreamReader,
        tls: impl Into<Tls>,
    ) -> impl Future<Output = io::Result<()>> {
        let at = Location::caller();
        assert!(
            reader
                .link()
                .is_some_and(|link| Arc::ptr_eq(link, self.link())),
            "the reader given to `start_tls` belongs to another connection"
        );
        let tls = tls.into();
        async move {
            let link = self.link();
            if link.socket().is_none() {
                return Err(not_a_socket().into());
            }
            if self.tls_info().is_some() {
                return Err(TlsError::input("this connection has TLS already").into());
            }
            let (session, limit) = match &tls {
                Tls::Client(client) => client.session(None)?,
                Tls::Server(server) => server.session(match self.peer_addr() {
                    Ok(peer) => peer.to_string(),
                    Err(_) => "the client".to_owned(),
                })?,
            };
            link.held_when_sent(at).await?;
            let early = reader.buffered();
            if early > 0 {
                let refused = TlsError::injected(early);
                let fault = Lasting::new(refused.clone().into());
                reader.breaks(fault.clone());
                link.break_off(fault, true);
                return Err(refused.into());
            }
            secure(link, reader, session, limit, |_| {}).await
        }
    }

    /// What the handshake has agreed on; `None` on a connection without TLS.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams};
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// let (_reader, writer) = streams::from_unix(ours);
    /// assert!(writer.tls_info().is_none(), "in plain text");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    #[doc(alias = "get_extra_info")]
    pub fn tls_info(&self) -> Option<TlsInfo> {
        self.get_extra_info()
    }
}

/// What the handshake of a connection has agreed on: [`StreamWriter::tls_info`].
///
/// # Examples
///
/// ```
/// use loxley_io::streams::{OpenConnection, ServerBuilder};
/// use loxley_io::tls::{TlsClient, TlsServer};
///
/// # loxley_runtime::run(async {
/// # let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
/// # let tls = TlsServer::new(own.cert.pem(), own.signing_key.serialize_pem())?;
/// # let server = ServerBuilder::new().addr("127.0.0.1:0").tls(tls);
/// # let server = server.start(|_, _writer| async move { std::future::pending::<()>().await }).await?;
/// # let addr = server.local_addr().unwrap();
/// let client = TlsClient::trusting(own.cert.pem())?.server_name("localhost");
/// let (_reader, writer) = OpenConnection::new(addr).tls(client).connect().await?;
/// let info = writer.tls_info().expect("it speaks TLS");
/// assert_eq!(info.version, "TLSv1_3");
/// assert_eq!(info.peer_certificates, [own.cert.der().to_vec()]);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The application protocol that the server has chosen of those that both speak, if they were asked.
    pub alpn: Option<Vec<u8>>,
    /// The name that the client has asked for (SNI), on the server's side.
    pub server_name: Option<String>,
    /// The version: `"TLSv1_2"`, `"TLSv1_3"`.
    pub version: String,
    /// The cipher suite, such as `"TLS13_AES_256_GCM_SHA384"`.
    pub cipher_suite: String,
    /// The certificates that the peer has shown, its own first, in DER form.
    pub peer_certificates: Vec<Vec<u8>>,
}

impl ExtraInfo for TlsInfo {}

impl Sealed for TlsInfo {
    fn of(transport: &Transport) -> Option<Self> {
        transport.link().with_session(Self::of_session)
    }
}

impl TlsInfo {
    fn of_session(session: &Session) -> Self {
        let connection = session.connection();
        let named = |what: Option<&dyn fmt::Debug>| {
            what.map_or_else(String::new, |what| format!("{what:?}"))
        };
        let suite = connection.negotiated_cipher_suite();
        Self {
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
            server_name: match connection {
                Connection::Server(server) => server.server_name().map(str::to_owned),
                Connection::Client(_) => None,
            },
            version: named(connection.protocol_version().as_ref().map(|v| v as _)),
            cipher_suite: named(suite.map(|suite| suite.suite()).as_ref().map(|s| s as _)),
            peer_certificates: connection
                .peer_certificates()
                .unwrap_or_default()
                .iter()
                .map(|certificate| certificate.to_vec())
                .collect(),
        }
    }
}

impl fmt::Debug for TlsInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsInfo")
            .field("version", &self.version)
            .field("cipher_suite", &self.cipher_suite)
            .field("alpn", &self.alpn.as_deref().map(String::from_utf8_lossy))
            .field("server_name", &self.server_name)
            .field("peer_certificates", &self.peer_certificates.len())
            .finish()
    }
}
