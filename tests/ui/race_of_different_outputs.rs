//! Futures that race have one output, and come as a tuple or a list.

#[loxley::main]
async fn main() {
    let different = loxley::race((async { 1 }, async { "a" }));
    drop(different.await);
    let one = loxley::race(async { 1 });
    drop(one.await);
}
