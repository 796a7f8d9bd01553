//! The first page: hello, and the prompt.

use std::time::Duration;

use loxley::sleep;

/// Example 1. Hello, a second, world.
pub(crate) async fn hello() {
    println!("Hello ...");
    sleep(Duration::from_secs(1)).await;
    println!("... World!");
}

/// Example 2. At asyncio's prompt: `await asyncio.sleep(10, result='hello')`. Rust has no prompt; this is the line as
/// a program.
pub(crate) async fn repl() {
    sleep(Duration::from_secs(10)).await;
    println!("{:?}", "hello");
}
