#[loxley_macros::main]
async fn main(count: usize) {}
