#[loxley_macros::main]
async unsafe fn main() {}
