//! Futures, and the overview of how asyncio works inside.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use loxley::lowlevel::now;
use loxley::{create_task, gather, oneshot, sleep};

use crate::clock;

const SECOND: Duration = Duration::from_secs(1);

/// Example 53. A future that is given its value by somebody else.
pub(crate) async fn set_after() {
    let (fut, value) = oneshot::channel();
    drop(create_task(async move {
        sleep(SECOND).await;
        fut.send("... world")
    }));
    println!("hello ...");
    println!("{}", value.await.expect("the task sends it"));
}

/// Example 54. A callback for when a task is done. What asyncio passes by `functools.partial` a closure has with it.
pub(crate) async fn done_callback() {
    let (printed, is_printed) = oneshot::channel();
    let label = "Future:";
    let fut = create_task(async { 7 });
    fut.add_done_callback(move |fut| {
        println!("{label} {fut:?}");
        let _ = printed.send(());
    });
    is_printed.await.expect("it is called");
}

async fn coro_a() {
    println!("I am coro_a(). Hi!");
}

async fn coro_b() {
    println!("I am coro_b(). I sure hope no one hogs the event loop...");
}

/// Example 70. Who awaits a coroutine does not give control away; who awaits a task does.
pub(crate) async fn coroutine_order() {
    let task_b = create_task(coro_b());
    for _ in 0..3 {
        coro_a().await;
    }
    task_b.await.expect("nobody cancels it");
    println!();
    let task_b = create_task(coro_b());
    for _ in 0..3 {
        create_task(coro_a()).await.expect("nobody cancels it");
    }
    task_b.await.expect("nobody cancels it");
}

async fn other_work() {
    println!("I like work. Work work.");
}

/// A sleep made of a future and a task that watches the clock.
async fn async_sleep(duration: Duration) {
    let (future, woken) = oneshot::channel();
    let time_to_wake = now() + duration;
    let watcher = create_task(async move {
        while now() < time_to_wake {
            // The documentation's watcher only yields, which keeps a processor busy.
            sleep(SECOND / 100).await;
        }
        future.send(())
    });
    woken.await.expect("the watcher sends it");
    drop(watcher);
}

/// Example 71. Three others work while we sleep.
pub(crate) async fn sleep_with_a_watcher() {
    let work: Vec<_> = (0..3).map(|_| create_task(other_work())).collect();
    println!("Beginning asynchronous sleep at time: {:#}.", clock::now());
    create_task(async_sleep(3 * SECOND))
        .await
        .expect("nobody cancels it");
    println!("Done asynchronous sleep at time: {:#}.", clock::now());
    let _: Vec<()> = gather(work).await.expect("nothing is cancelled");
}

/// What passes between a hand-written future and who polls it: Python's `yield` and `send`.
struct Rock<'a> {
    yielded: &'a Cell<Option<u32>>,
    sent: &'a Cell<Option<u32>>,
}

impl Future for Rock<'_> {
    type Output = u32;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<u32> {
        match self.sent.take() {
            None => {
                self.yielded.set(Some(7));
                // Whoever polls by hand needs no waker; any other future would keep `cx.waker()` and have it called.
                Poll::Pending
            }
            Some(value) => {
                println!("Rock.__await__ resuming with value: {value}.");
                Poll::Ready(value)
            }
        }
    }
}

/// Example 72. A coroutine driven by hand: it stops at the rock, and goes on with what it is sent.
pub(crate) fn rock() {
    let (yielded, sent) = (Cell::new(None), Cell::new(None));
    let rock = Rock {
        yielded: &yielded,
        sent: &sent,
    };
    let mut coroutine = pin!(async {
        println!("Beginning coroutine main().");
        println!("Awaiting rock...");
        let value = rock.await;
        println!("Coroutine received value: {value} from rock.");
        23
    });
    let mut cx = Context::from_waker(Waker::noop());
    assert!(coroutine.as_mut().poll(&mut cx).is_pending());
    let intermediate = yielded.take().expect("the rock has yielded");
    println!("Coroutine paused and returned intermediate value: {intermediate}.");
    println!("Resuming coroutine and sending in value: 42.");
    sent.set(Some(42));
    if let Poll::Ready(value) = coroutine.as_mut().poll(&mut cx) {
        println!("Coroutine main() finished and provided value: {value}.");
    }
}
