//! A connection's handler gives `()` or a `Result` without a value.

#[loxley::main]
async fn main() -> std::io::Result<()> {
    let server = loxley::start_server(|_reader, _writer| async { 7 }, "127.0.0.1:0").await?;
    drop(server);
    Ok(())
}
