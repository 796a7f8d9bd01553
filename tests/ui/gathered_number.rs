//! Only futures and tasks can be gathered.

#[loxley::main]
async fn main() {
    let both = loxley::gather((async { 1 }, 2));
    drop(both.await);
    let all = loxley::gather(7);
    drop(all.await);
}
