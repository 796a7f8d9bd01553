//! Coroutines and tasks: awaiting, tasks, sleeping, timeouts, cancelling.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loxley::lowlevel::now;
use loxley::{
    catch_cancelled, create_task, shield, sleep, timeout, timeout_at, timeout_scope, wait_for,
};

use crate::clock;

const SECOND: Duration = Duration::from_secs(1);

/// Example 3. A coroutine.
pub(crate) async fn hello_coroutine() {
    println!("hello");
    sleep(SECOND).await;
    println!("world");
}

pub(crate) async fn say_after(delay: Duration, what: &str) {
    sleep(delay).await;
    println!("{what}");
}

/// Example 4. One after the other: three seconds.
pub(crate) async fn say_after_sequential() {
    println!("started at {:#}", clock::now());
    say_after(SECOND, "hello").await;
    say_after(2 * SECOND, "world").await;
    println!("finished at {:#}", clock::now());
}

/// Example 5. Both at once: two seconds.
pub(crate) async fn say_after_with_tasks() {
    let task1 = create_task(say_after(SECOND, "hello"));
    let task2 = create_task(say_after(2 * SECOND, "world"));
    println!("started at {:#}", clock::now());
    // Wait until both tasks are completed (should take around 2 seconds).
    task1.await.expect("nobody cancels it");
    task2.await.expect("nobody cancels it");
    println!("finished at {:#}", clock::now());
}

async fn nested() -> u32 {
    42
}

/// Example 7. A future that is only made does nothing; awaited, it runs. (Merely calling `nested()` is a warning of
/// the compiler.)
pub(crate) async fn nested_awaited() {
    drop(nested()); // Nothing happens.
    println!("{}", nested().await);
}

/// Example 8. As a task it runs "in the background" and can be awaited later.
pub(crate) async fn nested_as_a_task() {
    let task = create_task(nested());
    task.await.expect("nobody cancels it");
}

/// Example 10. asyncio's programs must keep their tasks in a set, else they may vanish. Here the runtime keeps them;
/// the set is for those who want to look.
pub(crate) async fn background_tasks() {
    let background = Arc::new(Mutex::new(HashMap::new()));
    for param in 0..10 {
        let task = create_task(async move {
            sleep(SECOND / 10).await;
            param
        });
        let kept = background.clone();
        let id = task.id();
        task.add_done_callback(move |_| {
            kept.lock().expect("nothing panics with it").remove(&id);
        });
        background
            .lock()
            .expect("nothing panics with it")
            .insert(id, task);
    }
    let count = || background.lock().expect("nothing panics with it").len();
    println!("{} tasks in the background", count());
    sleep(SECOND).await;
    println!("{} tasks in the background", count());
}

/// Example 14. The date, every second, for five seconds.
pub(crate) async fn display_date() {
    let end = now() + 5 * SECOND;
    loop {
        println!("{}", clock::now());
        if now() + SECOND >= end {
            break;
        }
        sleep(SECOND).await;
    }
}

/// Example 16. What is shielded runs on when the one who waits is cancelled.
pub(crate) async fn shielded() {
    let something = create_task(async {
        sleep(SECOND).await;
        println!("something is done");
        7
    });
    let waiter = create_task(async move {
        let mut protected = shield::<i32>(something);
        // In asyncio: `except CancelledError: res = None`.
        let result = catch_cancelled(&mut protected).await.ok();
        println!(
            "result: {:?}",
            result.map(|task| task.expect("nobody cancels it"))
        );
        protected
            .into_inner()
            .expect("its result was not taken")
            .await
    });
    loxley::yield_now().await;
    waiter.cancel();
    let result = waiter.await.expect("it heard the request and went on");
    println!("behind the shield: {}", result.expect("nobody cancels it"));
}

async fn long_running_task() {
    sleep(3600 * SECOND).await;
}

/// Example 17. A limit on how long something may take.
pub(crate) async fn timeout_block() {
    if timeout(10 * SECOND, long_running_task()).await.is_err() {
        println!("The long operation timed out, but we've handled it.");
    }
    println!("This statement will run regardless.");
}

/// Example 18. The limit is not known at the start, and set from within.
pub(crate) async fn timeout_rescheduled() {
    let timed = timeout_scope(None, |limit| async move {
        let deadline = now() + 10 * SECOND;
        limit.reschedule(Some(deadline)).expect("the scope runs");
        long_running_task().await;
    });
    if timed.await.is_err() {
        println!("Looks like we haven't finished on time.");
    }
}

/// Example 19. As 17, with the moment at which it ends.
pub(crate) async fn timeout_at_deadline() {
    let deadline = now() + 20 * SECOND;
    if timeout_at(deadline, long_running_task()).await.is_err() {
        println!("The long operation timed out, but we've handled it.");
    }
    println!("This statement will run regardless.");
}

async fn eternity() {
    sleep(3600 * SECOND).await;
    println!("yay!");
}

/// Example 20. Wait for at most one second.
pub(crate) async fn wait_for_eternity() {
    if wait_for(eternity(), SECOND).await.is_err() {
        println!("timeout!");
    }
}

/// Example 28. A task that cleans up when it is cancelled, and then lets the cancellation go on.
pub(crate) async fn cancel_me() {
    let task = create_task(async {
        println!("cancel_me(): before sleep");
        let slept = catch_cancelled(sleep(3600 * SECOND)).await;
        if slept.is_err() {
            println!("cancel_me(): cancel sleep");
        }
        println!("cancel_me(): after sleep");
        match slept {
            Ok(()) => {}
            Err(request) => match request.reraise().await {},
        }
    });
    sleep(SECOND).await;
    task.cancel();
    if task.await.is_err_and(|error| error.is_cancelled()) {
        println!("main(): cancel_me is cancelled now");
    }
}

/// Example 29. A timeout uses cancellation inside, and takes its own request back: the code around it goes on.
pub(crate) async fn request_with_timeout() {
    let result = loxley::task_group(|group: loxley::TaskGroup<Infallible>| async move {
        group.create_task(async {
            if timeout(SECOND, long_running_task()).await.is_err() {
                println!("There was a timeout");
            }
            let task = loxley::current_task().expect("this is a task");
            println!("requests left: {}", task.cancelling());
            unrelated_code().await;
        });
        Ok(())
    });
    result.await.expect("nothing fails");
}

async fn unrelated_code() {
    sleep(SECOND).await;
    println!("unrelated code runs");
}
