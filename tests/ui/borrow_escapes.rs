//! A task may outlive who made it, so it owns what it uses: `async move`, or an `Arc`.

#[loxley::main]
async fn main() {
    let text = String::from("hello");
    let task = loxley::create_task(async { println!("{text}") });
    task.await.unwrap();

    let shared = String::from("hello");
    let borrowed = &shared;
    let task = loxley::create_task(async move { println!("{borrowed}") });
    task.await.unwrap();
}
