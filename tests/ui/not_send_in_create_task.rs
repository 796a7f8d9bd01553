//! A task may go on on another thread after each await, so what it holds across one must be `Send`.

use std::rc::Rc;

#[loxley::main]
async fn main() {
    let task = loxley::create_task(async {
        let shared = Rc::new(1);
        loxley::yield_now().await;
        *shared
    });
    task.await.unwrap();
}
