//! What the tests share: a server on a free port, a certificate for this machine, and where the real databases are.

use std::error::Error;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use loxley::create_task;
use loxley::http::{self, IntoService};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// What a test returns.
pub type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Serves HTTP/1.1 and HTTP/2 on a free port until the runtime ends.
///
/// # Errors
///
/// If there is no free port.
pub async fn serve<S, M>(service: S) -> io::Result<SocketAddr>
where
    S: IntoService<M>,
{
    let server = http::serve("127.0.0.1:0", service).bind().await?;
    let addr = server.local_addr();
    drop(create_task(server));
    Ok(addr)
}

/// The two ends of TLS for `localhost`, with a certificate made on the spot.
///
/// # Errors
///
/// If the machine has no randomness.
pub fn tls(alpn: &[&[u8]]) -> Outcome<(Arc<ServerConfig>, Arc<ClientConfig>)> {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let certificate = CertificateDer::from(certified.cert);
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let alpn: Vec<_> = alpn.iter().map(|protocol| protocol.to_vec()).collect();

    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)?;
    server.alpn_protocols.clone_from(&alpn);

    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = alpn;
    Ok((Arc::new(server), Arc::new(client)))
}

/// The address of a real server that a test needs, from the environment; `run` in this folder starts one and sets it.
/// Without one, says that the test was not run.
#[must_use]
pub fn server(variable: &str) -> Option<String> {
    let found = std::env::var(variable).ok();
    if found.is_none() {
        // Not by `eprintln`, whose words are kept from who sees only that the test has passed.
        let _ = writeln!(
            io::stderr(),
            "not run: {variable} is not set; `ecosystem/run` starts the server and sets it"
        );
    }
    found
}
