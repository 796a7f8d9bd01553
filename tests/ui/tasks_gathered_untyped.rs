//! A list of tasks is gathered into a list whose type is named.

#[loxley::main]
async fn main() {
    let tasks: Vec<_> = (0..3).map(|n| loxley::create_task(async move { n })).collect();
    let results = loxley::gather(tasks).await;
    drop(results);
}
