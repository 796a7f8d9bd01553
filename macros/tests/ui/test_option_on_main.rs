#[loxley_macros::main(leak_check = true)]
async fn main() {}
