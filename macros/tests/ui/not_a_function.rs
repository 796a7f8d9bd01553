#[loxley_macros::test]
struct Nothing;

fn main() {}
