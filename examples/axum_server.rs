//! An axum `Router` on this runtime: the same door as for any other service.
//!
//! ```text
//! cargo run --release --example axum_server --features hyper
//! curl http://127.0.0.1:8080/hello/you
//! ```

use axum::Router;
use axum::extract::Path;
use axum::routing::get;

#[loxley::main]
async fn main() -> std::io::Result<()> {
    let hello = async |Path(name): Path<String>| format!("Hello, {name}!\n");
    let router = Router::new().route("/hello/{name}", get(hello));
    loxley::http::serve("127.0.0.1:8080", router).await?;
    Ok(())
}
