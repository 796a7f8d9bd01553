//! What the TLS tests share: an authority with certificates for every trouble, and a wire that cuts, loses and changes bytes.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "a module of test crates")]

use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use loxley_io::streams::ServerBuilder;
use loxley_io::tls::{TlsClient, TlsServer};
use loxley_io::{Server, StreamReader, StreamWriter, TcpListener, TcpStream};
use loxley_runtime::{create_task, yield_now};
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

/// How the bytes on a wire are cut into pieces.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    Whole,
    Each(usize),
    /// In two, after so many of each piece that comes, over and over.
    After(usize),
}

/// Every cut that has ever mattered: records have a head of five bytes.
pub const CUTS: &[Cut] = &[
    Cut::Whole,
    Cut::Each(1),
    Cut::Each(3),
    Cut::After(1),
    Cut::After(4),
    Cut::After(5),
    Cut::After(6),
    Cut::After(17),
];

/// What happens to the bytes on their way, from now on.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    Pass,
    /// So many more pass, then the connection ends.
    CutAfter(usize),
    /// The one behind so many is changed.
    FlipAfter(usize),
    /// None passes, and no end.
    Swallow,
}

/// One direction of a wire, to be meddled with.
#[derive(Clone, Debug)]
pub struct Tap(Arc<Mutex<(Fate, usize)>>);

impl Tap {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((Fate::Pass, 0))))
    }

    pub fn set(&self, fate: Fate) {
        self.0.lock().unwrap().0 = fate;
    }

    /// How many bytes have come in.
    pub fn seen(&self) -> usize {
        self.0.lock().unwrap().1
    }

    /// What becomes of these bytes; `false` if the wire ends behind them.
    fn meddle(&self, bytes: &mut Vec<u8>) -> bool {
        let mut state = self.0.lock().unwrap();
        state.1 += bytes.len();
        match &mut state.0 {
            Fate::Pass => {}
            Fate::Swallow => bytes.clear(),
            Fate::CutAfter(left) => {
                bytes.truncate(*left);
                *left -= bytes.len();
                return *left > 0;
            }
            Fate::FlipAfter(left) => match bytes.get_mut(*left) {
                Some(byte) => {
                    *byte ^= 1;
                    state.0 = Fate::Pass;
                }
                None => *left -= bytes.len(),
            },
        }
        true
    }
}

/// A wire to a server for one connection.
pub struct Wire {
    pub addr: SocketAddr,
    pub to_server: Tap,
    pub to_client: Tap,
}

impl Wire {
    pub async fn to(server: SocketAddr, cut: Cut) -> Self {
        let listener = TcpListener::bind(ANY).await.expect("bound");
        let wire = Self {
            addr: listener.local_addr().expect("bound"),
            to_server: Tap::new(),
            to_client: Tap::new(),
        };
        let taps = (wire.to_server.clone(), wire.to_client.clone());
        drop(create_task(async move {
            let Ok((client, _)) = listener.accept().await else {
                return;
            };
            let server = TcpStream::connect(server).await.expect("connected");
            client.set_nodelay(true).expect("set");
            server.set_nodelay(true).expect("set");
            let (client, server) = (Arc::new(client), Arc::new(server));
            drop(create_task(pump(
                client.clone(),
                server.clone(),
                cut,
                taps.0,
            )));
            pump(server, client, cut, taps.1).await;
        }));
        wire
    }
}

/// Carries bytes from one to the other until there is an end, which is carried, too.
async fn pump(from: Arc<TcpStream>, to: Arc<TcpStream>, cut: Cut, tap: Tap) {
    let mut buf = vec![0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut buf).await {
        let mut bytes = buf[..n].to_vec();
        let goes_on = tap.meddle(&mut bytes);
        let (first, size) = match cut {
            Cut::Whole => (0, usize::MAX),
            Cut::Each(size) => (0, size),
            Cut::After(first) => (first.min(bytes.len()), usize::MAX),
        };
        let (head, rest) = bytes.split_at(first);
        let pieces = std::iter::once(head).chain(rest.chunks(size.min(n)));
        for piece in pieces.filter(|piece| !piece.is_empty()) {
            if to.write_all(piece).await.is_err() {
                return;
            }
            yield_now().await;
        }
        if !goes_on {
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
