//! What the TLS tests share: an authority with certificates for every trouble.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "a module of test crates")]

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use loxley_io::streams::ServerBuilder;
use loxley_io::tls::{TlsClient, TlsServer};
use loxley_io::{Server, StreamReader, StreamWriter};
use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair, date_time_ymd};

pub const ANY: &str = "127.0.0.1:0";

/// An authority that nobody trusts unless told to.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        // Two authorities of one name would be taken for one another.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("authority {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("signed"))
    }

    /// The one of all tests.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Authority> = OnceLock::new();
        SHARED.get_or_init(Self::new)
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A client that trusts this authority.
    pub fn client(&self) -> TlsClient {
        TlsClient::trusting(self.pem()).expect("a certificate")
    }

    /// Chain and key for `names`.
    pub fn issue(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (String, String) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("signed");
        (certificate.pem(), key.serialize_pem())
    }

    /// A server that is `names`.
    pub fn server(&self, names: &[&str]) -> TlsServer {
        let (chain, key) = self.issue(names, |_| {});
        TlsServer::new(chain, key).expect("a chain and its key")
    }

    /// A server whose certificate was good from one year to another.
    pub fn dated_server(&self, names: &[&str], years: (i32, i32)) -> TlsServer {
        let (chain, key) = self.issue(names, |params| {
            params.not_before = date_time_ymd(years.0, 1, 1);
            params.not_after = date_time_ymd(years.1, 1, 1);
        });
        TlsServer::new(chain, key).expect("a chain and its key")
    }
}

/// The client and the server of most tests; the server is `localhost`.
pub fn both() -> (TlsClient, TlsServer) {
    static SERVER: OnceLock<TlsServer> = OnceLock::new();
    let authority = Authority::shared();
    let server = SERVER.get_or_init(|| authority.server(&["localhost"]));
    (authority.client().server_name("localhost"), server.clone())
}

/// A TLS server.
pub async fn serve<H, F>(tls: TlsServer, handler: H) -> (Server, SocketAddr)
where
    H: Fn(StreamReader, StreamWriter) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let server = ServerBuilder::new().addr(ANY).tls(tls).start(handler);
    let server = server.await.expect("bound");
    let addr = server.local_addr().expect("bound");
    (server, addr)
}
