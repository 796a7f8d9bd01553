//! tokio-rustls over our `TcpStream`: TLS 1.3 both ways, and below `http` with ALPN.

use loxley::{TcpListener, TcpStream, create_task};
use loxley_ecosystem::local::{self, Outcome};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

#[loxley::test(worker_threads = 2)]
async fn a_megabyte_is_echoed() -> Outcome {
    let (server, client) = local::tls(&[])?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let echo = create_task(async move {
        let (stream, _) = listener.accept().await?;
        let stream = TlsAcceptor::from(server).accept(stream).await?;
        let (mut reader, mut writer) = tokio::io::split(stream);
        tokio::io::copy(&mut reader, &mut writer).await?;
        writer.shutdown().await
    });

    let stream = TcpStream::connect(addr).await?;
    let name = ServerName::try_from("localhost")?;
    let stream = TlsConnector::from(client).connect(name, stream).await?;
    let version = stream.get_ref().1.protocol_version();
    assert_eq!(version, Some(rustls::ProtocolVersion::TLSv1_3));
    let (mut reader, mut writer) = tokio::io::split(stream);
    let sent = create_task(async move {
        let bytes: Vec<u8> = (0..1 << 20).map(|at: u32| at.to_le_bytes()[1]).collect();
        writer.write_all(&bytes).await?;
        writer.shutdown().await?;
        std::io::Result::Ok(bytes)
    });
    let mut received = Vec::new();
    reader.read_to_end(&mut received).await?;
    assert!(received == sent.await??);
    echo.await??;
    Ok(())
}

#[loxley::test(worker_threads = 2)]
async fn a_certificate_for_another_name_is_refused() -> Outcome {
    let (server, client) = local::tls(&[])?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let accepted = create_task(async move {
        let (stream, _) = listener.accept().await?;
        TlsAcceptor::from(server).accept(stream).await.map(drop)
    });
    let stream = TcpStream::connect(addr).await?;
    let name = ServerName::try_from("example.org")?;
    let refused = TlsConnector::from(client).connect(name, stream).await;
    let refused = refused.expect_err("the certificate is for localhost");
    assert!(refused.to_string().contains("certificate"), "{refused}");
    assert!(accepted.await?.is_err());
    Ok(())
}
