#[loxley_macros::test]
async fn generic<T: Default>() {}

fn main() {}
