//! An address is `"host:port"`, a pair, or a `SocketAddr`.

#[loxley::main]
async fn main() -> std::io::Result<()> {
    let _listener = loxley::TcpListener::bind(8080).await?;
    let _stream = loxley::open_connection(("127.0.0.1", "8080")).await?;
    Ok(())
}
