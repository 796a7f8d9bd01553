#[loxley_macros::main]
fn main() {}
