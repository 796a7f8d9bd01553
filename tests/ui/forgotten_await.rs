//! A future that is made and not awaited does nothing: the compiler says so for each.
#![deny(unused_must_use)]

use std::time::Duration;

async fn greet() {}

#[loxley::main]
async fn main() {
    greet();
    loxley::sleep(Duration::from_secs(1));
    let queue = loxley::Queue::new(1);
    queue.put(1);
    loxley::timeout(Duration::from_secs(1), greet());
    loxley::create_task(greet());
    loxley::gather((greet(), greet()));
    loxley::to_thread(|| 7);
}
