//! What the tests share: a server on a free port, a certificate for this machine, and where the real databases are.

use std::error::Error;
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use loxley::http::{self, IntoService};
use loxley::process::{Process, Stdio};
use loxley::testing::{self, Config};
use loxley::{StreamReader, create_subprocess_exec, create_task};
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

/// Runs a test of programs, which may take long where several builds share the machine.
///
/// # Errors
///
/// The test's.
pub fn run(test: impl Future<Output = Outcome>) -> Outcome {
    let limit = Duration::from_secs(100);
    testing::run(Config::new().worker_threads(2).limit(limit), test)
}

/// Starts the program `name` of `examples/`, which cargo has built before the tests, and gives what it prints.
/// Dropped, the program is killed.
///
/// # Errors
///
/// If it is not there.
pub async fn example(name: &str, arguments: &[&str]) -> Outcome<(Process, StreamReader)> {
    let test = std::env::current_exe()?;
    let target = test
        .parent()
        .and_then(Path::parent)
        .ok_or("a test lies in deps/")?;
    // With every signal at its default, whatever the tests were started with.
    let binary = target.join("examples").join(name);
    let words = [OsStr::new("--default-signal"), binary.as_os_str()];
    let words = words.into_iter().chain(arguments.iter().map(OsStr::new));
    let mut child = create_subprocess_exec("env", words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .await?;
    let output = child.stdout.take().ok_or("it is piped")?;
    Ok((child, output))
}

/// Its next line, without the line break; empty at the end.
///
/// # Errors
///
/// If it is no text.
pub async fn line(output: &mut StreamReader) -> Outcome<String> {
    Ok(String::from_utf8(output.readline().await?)?
        .trim_end()
        .to_owned())
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
