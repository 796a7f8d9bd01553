//! A server with TLS, and a client who says anything at all in place of a handshake, or behind a true one that is cut off: no
//! plain byte comes through, and the connection ends.
#![no_main]

use std::io::Write as _;
use std::net::Shutdown;
use std::os::unix::net;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use loxley_io::tls::{TlsClient, TlsServer};
use loxley_io::{UnixStream, streams};
use loxley_runtime::{Runtime, create_task};

struct World {
    runtime: Runtime,
    client: TlsClient,
    server: TlsServer,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = rcgen::CertificateParams::new(["localhost".to_owned()])
            .and_then(|params| params.self_signed(&key))
            .expect("a certificate");
        World {
            runtime: Runtime::builder()
                .current_thread()
                .build()
                .expect("a runtime"),
            client: TlsClient::trusting(certificate.pem())
                .expect("a certificate")
                .server_name("localhost"),
            server: TlsServer::new(certificate.pem(), key.serialize_pem()).expect("both fit"),
        }
    })
}

/// The first byte says whether there is a true handshake before the others.
async fn talk(world: &World, bytes: &[u8]) -> std::io::Result<()> {
    let Some((mode, bytes)) = bytes.split_first() else {
        return Ok(());
    };
    let (ours, theirs) = UnixStream::pair()?;
    let server = world.server.clone();
    let serve = create_task(async move {
        let (mut reader, writer) = streams::from_unix(theirs);
        writer.start_tls(&mut reader, server).await?;
        reader.read_to_end().await
    });
    let (mut reader, writer) = streams::from_unix(ours);
    if mode % 2 == 1 {
        writer.start_tls(&mut reader, world.client.clone()).await?;
    }
    // Past the session. The socket has room for what a fuzzer says.
    let socket = writer.socket().expect("it is one").try_clone_to_owned()?;
    let mut wire = net::UnixStream::from(socket);
    wire.write_all(bytes)?;
    wire.shutdown(Shutdown::Write)?;
    let heard = serve.await.expect("the server does not panic");
    assert!(heard.is_err(), "{heard:?} was never said");
    Ok(())
}

fuzz_target!(|bytes: &[u8]| {
    let world = world();
    world
        .runtime
        .block_on(talk(world, bytes))
        .expect("nothing fails on our side");
});
