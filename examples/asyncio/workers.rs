//! Queues: a workload spread over workers.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use loxley::lowlevel::now;
use loxley::{Queue, TaskError, gather, sleep, task};

/// Example 43. Twenty jobs of random length for three workers.
pub(crate) async fn queue_workers() {
    let queue = Queue::new(0);
    let mut total = Duration::ZERO;
    for _ in 0..20 {
        let random = RandomState::new().build_hasher().finish();
        let length = Duration::from_millis(50 + random % 950);
        total += length;
        queue.put_nowait(length).expect("the queue has no limit");
    }
    let worker = |name: String, queue: Queue<Duration>| async move {
        while let Ok(length) = queue.get().await {
            sleep(length).await;
            queue.task_done().expect("one was taken");
            println!("{name} has slept for {:.2} seconds", length.as_secs_f64());
        }
    };
    let workers: Vec<_> = (0..3)
        .map(|number| {
            let name = format!("worker-{number}");
            task::Builder::new()
                .name(name.clone())
                .create_task(worker(name, queue.clone()))
        })
        .collect();
    let started = now();
    queue.join().await;
    let slept = now() - started;
    // Cancel our worker tasks, and wait until all are cancelled.
    for worker in &workers {
        worker.cancel();
    }
    let _: Vec<Result<(), TaskError>> = gather(workers).return_errors().await;
    println!("====");
    println!(
        "3 workers slept in parallel for {:.2} seconds",
        slept.as_secs_f64()
    );
    println!(
        "total expected sleep time: {:.2} seconds",
        total.as_secs_f64()
    );
}
