//! Something to look at: run this with `cargo run -p loxley-ecosystem-console`, and beside it `tokio-console`.
//!
//! Some tasks that pass a token around, one that computes for too long at a time, and one that wakes itself.

use std::time::{Duration, Instant};

use loxley::{Queue, sleep, task, yield_now};

#[loxley::main]
async fn main() {
    console_subscriber::init();
    let rings: Vec<Queue<u64>> = (0..4).map(|_| Queue::new(1)).collect();
    for (index, ring) in rings.iter().enumerate() {
        let (from, to) = (ring.clone(), rings[(index + 1) % rings.len()].clone());
        let runner = async move {
            while let Ok(token) = from.get().await {
                sleep(Duration::from_millis(100)).await;
                if to.put(token + 1).await.is_err() {
                    break;
                }
            }
        };
        let name = format!("runner {index}");
        drop(task::Builder::new().name(name).create_task(runner));
    }
    let hog = task::Builder::new().name("hog").create_task(async {
        loop {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_millis(50) {
                std::hint::spin_loop();
            }
            sleep(Duration::from_millis(450)).await;
        }
    });
    drop(hog);
    let fidget = task::Builder::new().name("fidget").create_task(async {
        loop {
            yield_now().await;
            sleep(Duration::from_millis(20)).await;
        }
    });
    rings[0].put(0).await.expect("nobody shuts it down");
    // Until Ctrl-C.
    let _ = fidget.await;
}
