#[loxley_macros::test]
async fn bounded()
where
    String: Clone,
{
}

fn main() {}
