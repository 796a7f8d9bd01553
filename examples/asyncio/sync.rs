//! Synchronisation primitives: locks, events, barriers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use loxley::{
    Barrier, Condition, Event, Lock, Semaphore, TaskGroup, create_task, sleep, task_group,
    yield_now,
};

const SECOND: Duration = Duration::from_secs(1);

/// Example 36. `async with` is a guard that is dropped; acquire, try and finally are the same thing by hand.
pub(crate) async fn lock_condition_semaphore() {
    let lock = Lock::new(0);
    {
        let mut shared = lock.acquire().await;
        *shared += 1; // Access shared state.
    }
    let mut shared = lock.acquire().await;
    *shared += 1;
    drop(shared);
    println!("lock: {}", *lock.acquire().await);

    let cond = Arc::new((Lock::new(false), Condition::new()));
    let other = cond.clone();
    let waiter = create_task(async move {
        let (lock, condition) = &*other;
        // Releases the lock while it waits, and has it again afterwards.
        let guard = condition
            .wait_for(lock.acquire().await, |ready| *ready)
            .await;
        println!("condition: {}", *guard);
    });
    yield_now().await;
    *cond.0.acquire().await = true;
    cond.1.notify_all();
    waiter.await.expect("nobody cancels it");

    let sem = Semaphore::new(10);
    {
        let _permit = sem.acquire().await;
        println!("semaphore: {} left", sem.available_permits()); // Work with shared resource.
    }
    sem.acquire().await.forget();
    sem.release();
    println!("semaphore: {} left", sem.available_permits());
}

/// Example 37. One waits until another says so.
pub(crate) async fn event_waiter() {
    let event = Arc::new(Event::new());
    let seen = event.clone();
    let waiter = create_task(async move {
        println!("waiting for it ...");
        seen.wait().await;
        println!("... got it!");
    });
    sleep(SECOND).await;
    event.set();
    waiter.await.expect("nobody cancels it");
}

fn show(barrier: &Barrier) {
    println!("{barrier:?}");
}

/// Example 38. A barrier while it fills, when it has opened, and afterwards.
pub(crate) async fn barrier_states() {
    let barrier = Arc::new(Barrier::new(3));
    for _ in 0..2 {
        let other = barrier.clone();
        drop(create_task(async move { other.wait().await }));
    }
    yield_now().await;
    show(&barrier);
    // The third wait passes the barrier. It has opened at once, for everybody: there is no state "draining" to be
    // seen.
    barrier.wait().await.expect("nobody breaks it");
    show(&barrier);
    println!("barrier passed");
    yield_now().await;
    show(&barrier);
}

/// Example 39. Each gets a place, and one of them tidies up.
pub(crate) async fn barrier_position() {
    let barrier = Arc::new(Barrier::new(3));
    let group = task_group(|group: TaskGroup<Infallible>| async move {
        for _ in 0..3 {
            let barrier = barrier.clone();
            group.create_task(async move {
                let position = barrier.wait().await.expect("nobody breaks it");
                if position == 0 {
                    // Only one prints this.
                    println!("End of *draining phase*");
                }
            });
        }
        Ok(())
    });
    group.await.expect("nothing fails");
}
