//! What a shielded task gives is named.

#[loxley::main]
async fn main() {
    let task = loxley::create_task(async { 1 });
    let result = loxley::shield(task).await;
    drop(result);
}
