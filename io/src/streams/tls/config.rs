//! What users say about TLS: whom to trust, who they are, how long to wait. Checks it where it is given.
//!
//! Called by users; `handshake.rs` makes sessions of it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use super::error::TlsError;
use super::session::Session;
use super::{HANDSHAKE_TIMEOUT, SHUTDOWN_TIMEOUT};

/// The client's side of TLS: whom it trusts, whom it expects. For
/// [`OpenConnection::tls`](crate::streams::OpenConnection::tls) and
/// [`StreamWriter::start_tls`](crate::StreamWriter::start_tls).
///
/// TLS 1.2 and 1.3. The cryptography is that which the program has installed as rustls' default, else ring's. Keep one and
/// clone it: its clones resume each other's sessions. Everything else that rustls can do is reached through
/// `From<rustls::ClientConfig>`.
///
/// # Examples
///
/// ```no_run
/// use loxley_io::streams::OpenConnection;
/// use loxley_io::tls::TlsClient;
///
/// # async fn example() -> std::io::Result<()> {
/// let (mut reader, writer) = OpenConnection::new("example.org:443").tls(TlsClient::new()).connect().await?;
/// writer.write(b"GET / HTTP/1.0\r\nHost: example.org\r\n\r\n");
/// let page = reader.read_to_end().await?;
/// # drop(page); Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    server_name: Option<String>,
    waits: Waits,
}

/// The server's side of TLS: its certificate. For [`ServerBuilder::tls`](crate::streams::ServerBuilder::tls) and
/// [`StreamWriter::start_tls`](crate::StreamWriter::start_tls).
///
/// Versions and cryptography as [`TlsClient`]. Certificates by name, certificates asked of clients and everything else that
/// rustls can do is reached through `From<rustls::ServerConfig>`.
///
/// # Examples
///
/// ```no_run
/// use loxley_io::streams::ServerBuilder;
/// use loxley_io::tls::TlsServer;
///
/// # async fn example() -> std::io::Result<()> {
/// let tls = TlsServer::new(std::fs::read("chain.pem")?, std::fs::read("key.pem")?)?;
/// let server = ServerBuilder::new()
///     .addr("0.0.0.0:443")
///     .tls(tls)
///     .start(|_, writer| async move { writer.write(b"hello") })
///     .await?;
/// server.serve_forever().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TlsServer {
    config: Arc<ServerConfig>,
    waits: Waits,
}

/// Either side, for [`StreamWriter::start_tls`](crate::StreamWriter::start_tls); both convert into it.
///
/// # Examples
///
/// Which side of it one is may be decided late:
///
/// ```
/// use loxley_io::tls::{Tls, TlsClient};
///
/// let side: Tls = TlsClient::new().server_name("mail.example.org").into();
/// assert!(matches!(side, Tls::Client(_)));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Tls {
    /// We begin the handshake.
    Client(TlsClient),
    /// The peer begins it.
    Server(TlsServer),
}

#[derive(Clone, Copy, Debug)]
struct Waits {
    handshake: Duration,
    shutdown: Duration,
}

impl Waits {
    const fn new() -> Self {
        Self {
            handshake: HANDSHAKE_TIMEOUT,
            shutdown: SHUTDOWN_TIMEOUT,
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    let installed = CryptoProvider::get_default().cloned();
    installed.unwrap_or_else(|| Arc::new(ring::default_provider()))
}

impl TlsClient {
    /// Trusts the authorities that Mozilla trusts, as the crate `webpki-roots` lists them.
    ///
    /// # Panics
    ///
    /// If the cryptography that the program has installed has no cipher of TLS 1.2 or 1.3.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{streams::OpenConnection, tls::TlsClient};
    /// // Good for whatever a browser would trust.
    /// let page = OpenConnection::new("example.org:443").tls(TlsClient::new());
    /// # drop(page);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        match Self::with_roots(roots) {
            Ok(client) => client,
            Err(error) => panic!("{error}"),
        }
    }

    /// Trusts those whose certificates are in `pem`, and nobody else: an authority of one's own, or a self-signed server.
    ///
    /// # Errors
    ///
    /// If there is no certificate in it, or one cannot be understood.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::tls::TlsClient;
    /// let ours = rcgen::generate_simple_self_signed(["db.internal".to_owned()]).unwrap();
    /// assert!(TlsClient::trusting(ours.cert.pem()).is_ok());
    /// assert!(TlsClient::trusting("no certificate").is_err());
    /// ```
    pub fn trusting(pem: impl AsRef<[u8]>) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(pem.as_ref())? {
            let added = roots.add(certificate);
            added.map_err(|error| TlsError::config("a certificate to trust", error))?;
        }
        Ok(Self::with_roots(roots)?)
    }

    fn with_roots(roots: RootCertStore) -> Result<Self, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::config("the versions of TLS", error))?;
        let builder = builder.with_root_certificates(roots);
        Ok(builder.with_no_client_auth().into())
    }

    /// Whom to expect: the host name or IP address that the server's certificate must be valid for, and that it is asked for
    /// (SNI). Default: the host of the address to connect to.
    ///
    /// # Examples
    ///
    /// The address is a number, and the certificate is for a name:
    ///
    /// ```
    /// # use loxley_io::{open_connection, streams::{OpenConnection, ServerBuilder}, tls::{TlsClient, TlsServer}};
    /// # loxley_runtime::run(async {
    /// let own = rcgen::generate_simple_self_signed(["db.internal".to_owned()]).unwrap();
    /// let tls = TlsServer::new(own.cert.pem(), own.signing_key.serialize_pem())?;
    /// let server = ServerBuilder::new().addr("127.0.0.1:0").tls(tls);
    /// let server = server.start(|_, writer| async move { writer.write(b"hello") }).await?;
    ///
    /// let client = TlsClient::trusting(own.cert.pem())?.server_name("db.internal");
    /// let addr = server.local_addr().unwrap();
    /// let (mut reader, _writer) = OpenConnection::new(addr).tls(client).connect().await?;
    /// assert_eq!(reader.read_to_end().await?, b"hello");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// The application protocols to offer, best first, such as `["h2", "http/1.1"]`. The server chooses:
    /// [`TlsInfo::alpn`](super::TlsInfo::alpn). Default: none.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{streams::OpenConnection, tls::TlsClient};
    /// let both = TlsClient::new().alpn(["h2", "http/1.1"]);
    /// let page = OpenConnection::new("example.org:443").tls(both);
    /// # drop(page);
    /// ```
    #[must_use]
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        Arc::make_mut(&mut self.config).alpn_protocols = protocol_names(protocols);
        self
    }

    /// How long the handshake may take. Default: [`HANDSHAKE_TIMEOUT`].
    ///
    /// # Examples
    ///
    /// Somebody who accepts and then says nothing:
    ///
    /// ```
    /// # use loxley_io::{TcpListener, streams::OpenConnection, tls::TlsClient};
    /// # use std::{io::ErrorKind, time::Duration};
    /// # loxley_runtime::run(async {
    /// let silent = TcpListener::bind("127.0.0.1:0").await?;
    /// let hasty = TlsClient::new().handshake_timeout(Duration::from_millis(10));
    /// let late = OpenConnection::new(silent.local_addr()?).tls(hasty).connect().await;
    /// assert_eq!(late.map(drop).unwrap_err().kind(), ErrorKind::TimedOut);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.waits.handshake = limit;
        self
    }

    /// How long after [`close`](crate::StreamWriter::close) what is queued may take to be sent and the peer to answer the
    /// end. Default: [`SHUTDOWN_TIMEOUT`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::tls::TlsClient;
    /// # use std::time::Duration;
    /// let brisk = TlsClient::new().shutdown_timeout(Duration::from_secs(1));
    /// # drop(brisk);
    /// ```
    #[must_use]
    pub fn shutdown_timeout(mut self, limit: Duration) -> Self {
        self.waits.shutdown = limit;
        self
    }

    /// A session with the host that was set, or else `host`; and how long the handshake may take.
    pub(super) fn session(&self, host: Option<String>) -> io::Result<(Box<Session>, Duration)> {
        let Some(host) = self.server_name.clone().or(host) else {
            return Err(TlsError::input(
                "whose certificate to expect cannot be told from the address: say it with `TlsClient::server_name`",
            )
            .into());
        };
        let Ok(name) = ServerName::try_from(host.clone()) else {
            let text = format!(
                "{host:?} is neither a host name nor an IP address, so no certificate can be valid for it: give \
                 `TlsClient::server_name` one (names beyond ASCII in their `xn--` form)"
            );
            return Err(TlsError::input(text).into());
        };
        let connection = ClientConnection::new(self.config.clone(), name)
            .map_err(|error| TlsError::config("the client's side of TLS", error))?;
        let session = Session::new(connection.into(), host, self.waits.shutdown);
        Ok((session, self.waits.handshake))
    }
}

impl TlsServer {
    /// Shows the certificates in `chain`, its own first and then those of its issuers, and proves them with `key`; both PEM.
    ///
    /// # Errors
    ///
    /// If there is no certificate, no private key, or one cannot be understood; if they do not belong together.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::tls::TlsServer;
    /// let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    /// let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    /// assert!(TlsServer::new(own.cert.pem(), own.signing_key.serialize_pem()).is_ok());
    /// assert!(TlsServer::new(own.cert.pem(), other.signing_key.serialize_pem()).is_err(), "not its key");
    /// ```
    pub fn new(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> io::Result<Self> {
        let chain = certificates(chain.as_ref())?;
        let key = PrivateKeyDer::from_pem_slice(key.as_ref()).map_err(|error| {
            TlsError::input(format!(
                "no private key can be read from the PEM text given: {error}"
            ))
        })?;
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::config("the versions of TLS", error))?;
        let config = builder
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| TlsError::config("the certificate and its key", error))?;
        Ok(config.into())
    }

    /// The application protocols to speak, best first, such as `["h2", "http/1.1"]`; a client that offers others only is
    /// refused. Default: none, and nobody is asked.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{streams::{OpenConnection, ServerBuilder}, tls::{TlsClient, TlsServer}};
    /// # loxley_runtime::run(async {
    /// let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    /// let tls = TlsServer::new(own.cert.pem(), own.signing_key.serialize_pem())?.alpn(["h2", "http/1.1"]);
    /// let server = ServerBuilder::new().addr("127.0.0.1:0").tls(tls);
    /// let server = server.start(|_, _writer| async move { std::future::pending::<()>().await }).await?;
    ///
    /// let client = TlsClient::trusting(own.cert.pem())?.server_name("localhost").alpn(["http/1.1"]);
    /// let addr = server.local_addr().unwrap();
    /// let (_reader, writer) = OpenConnection::new(addr).tls(client).connect().await?;
    /// assert_eq!(writer.tls_info().unwrap().alpn.as_deref(), Some(&b"http/1.1"[..]));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        Arc::make_mut(&mut self.config).alpn_protocols = protocol_names(protocols);
        self
    }

    /// As [`TlsClient::handshake_timeout`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::tls::TlsServer;
    /// # use std::time::Duration;
    /// # let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    /// # let (chain, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    /// let impatient = TlsServer::new(chain, key)?.handshake_timeout(Duration::from_secs(3));
    /// # drop(impatient);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.waits.handshake = limit;
        self
    }

    /// As [`TlsClient::shutdown_timeout`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::tls::TlsServer;
    /// # use std::time::Duration;
    /// # let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    /// # let (chain, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    /// let brisk = TlsServer::new(chain, key)?.shutdown_timeout(Duration::from_secs(1));
    /// # drop(brisk);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn shutdown_timeout(mut self, limit: Duration) -> Self {
        self.waits.shutdown = limit;
        self
    }

    /// A session with `peer`, and how long the handshake may take.
    pub(super) fn session(&self, peer: String) -> io::Result<(Box<Session>, Duration)> {
        let connection = ServerConnection::new(self.config.clone())
            .map_err(|error| TlsError::config("the server's side of TLS", error))?;
        let session = Session::new(connection.into(), peer, self.waits.shutdown);
        Ok((session, self.waits.handshake))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(TlsError::input(
            "there is no certificate in the PEM text given: it begins with `-----BEGIN CERTIFICATE-----`",
        )),
        Ok(all) => Ok(all),
        Err(error) => Err(TlsError::input(format!(
            "a certificate in the PEM text given cannot be read: {error}"
        ))),
    }
}

fn protocol_names<P: AsRef<[u8]>>(protocols: impl IntoIterator<Item = P>) -> Vec<Vec<u8>> {
    let protocols = protocols.into_iter();
    protocols.map(|name| name.as_ref().to_vec()).collect()
}

impl Default for TlsClient {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Arc<ClientConfig>> for TlsClient {
    fn from(config: Arc<ClientConfig>) -> Self {
        Self {
            config,
            server_name: None,
            waits: Waits::new(),
        }
    }
}

impl From<ClientConfig> for TlsClient {
    fn from(config: ClientConfig) -> Self {
        Arc::new(config).into()
    }
}

impl From<Arc<ServerConfig>> for TlsServer {
    fn from(config: Arc<ServerConfig>) -> Self {
        Self {
            config,
            waits: Waits::new(),
        }
    }
}

impl From<ServerConfig> for TlsServer {
    fn from(config: ServerConfig) -> Self {
        Arc::new(config).into()
    }
}

impl From<TlsClient> for Tls {
    fn from(client: TlsClient) -> Self {
        Self::Client(client)
    }
}

impl From<TlsServer> for Tls {
    fn from(server: TlsServer) -> Self {
        Self::Server(server)
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient")
            .field("server_name", &self.server_name)
            .field("waits", &self.waits)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer")
            .field("waits", &self.waits)
            .finish_non_exhaustive()
    }
}
