//! The HTTP server of the front page: `cargo run --release --example hello_http --features hyper`.

#[loxley::main]
async fn main() -> std::io::Result<()> {
    let router = axum::Router::new().route("/", axum::routing::get(async || "Hello, world!\n"));
    loxley::http::serve("127.0.0.1:8080", router).await?;
    Ok(())
}
