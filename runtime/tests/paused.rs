//! The clock that stands: time jumps when nothing else can happen, on one thread and on several, and not before.

use loxley_runtime::{
    Handle, Runtime, create_task, gather, interval, sleep, timeout, to_thread, wait_for, yield_now,
};
use loxley_sync::{Event, Queue};
use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);

fn runtime(workers: usize) -> Runtime {
    let builder = Runtime::builder().paused(true);
    let builder = match workers {
        0 => builder.current_thread(),
        workers => builder.worker_threads(workers),
    };
    builder.build().unwrap()
}

fn everywhere<F: Future>(test: impl Fn() -> F) {
    for workers in [0, 1, 2, 4] {
        runtime(workers).block_on(test());
    }
}

/// The time of the runtime that this is called in.
fn now() -> Instant {
    sleep(Duration::ZERO).deadline()
}

#[test]
fn a_day_passes_at_once() {
    let real = Instant::now();
    everywhere(|| async {
        let began = now();
        sleep(HOUR * 24).await;
        assert_eq!((now() - began).as_secs(), 24 * 3_600);
    });
    assert!(real.elapsed() < HOUR);
}

#[test]
fn sleepers_on_all_threads_end_in_the_order_of_their_deadlines() {
    everywhere(|| async {
        let ended = Queue::new(0);
        let began = now();
        let tasks = (1..=50_u32).rev().map(|n| {
            let ended = ended.clone();
            async move {
                sleep(HOUR * n).await;
                ended.put_nowait(n).unwrap();
                now() - began
            }
        });
        let times = gather(tasks).await.unwrap();
        for (time, n) in times.into_iter().zip((1..=50_u32).rev()) {
            assert_eq!(time.as_secs(), u64::from(n) * 3_600);
        }
        for n in 1..=50 {
            assert_eq!(ended.get_nowait().unwrap(), n);
        }
    });
}

#[test]
fn time_does_not_pass_while_anything_runs() {
    everywhere(|| async {
        let began = now();
        let stop = Arc::new(AtomicBool::new(false));
        let busy = create_task({
            let stop = stop.clone();
            async move {
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(now(), began);
                    yield_now().await;
                }
            }
        });
        let waits = create_task(timeout(MS, pending::<()>()));
        for _ in 0..2_000 {
            yield_now().await;
        }
        assert!(!waits.is_finished());
        stop.store(true, Ordering::Relaxed);
        busy.await.unwrap();
        waits.await.unwrap().unwrap_err();
    });
}

#[test]
fn work_that_goes_from_hand_to_hand_takes_no_time() {
    everywhere(|| async {
        let began = now();
        let watchdog = create_task(async move {
            sleep(MS).await;
        });
        let (there, back) = (Queue::new(1), Queue::new(1));
        let echo = create_task({
            let (there, back) = (there.clone(), back.clone());
            async move {
                while let Ok(n) = there.get().await {
                    let n: u32 = n;
                    back.put(n + 1).await.unwrap();
                }
            }
        });
        for n in 0..5_000 {
            there.put(n).await.unwrap();
            assert_eq!(back.get().await.unwrap(), n + 1);
        }
        assert_eq!(now(), began, "nobody waited for time");
        there.shutdown(false);
        echo.await.unwrap();
        watchdog.await.unwrap();
    });
}

#[test]
fn a_closure_that_blocks_holds_the_clock() {
    everywhere(|| async {
        for _ in 0..20 {
            let began = now();
            let waits = create_task(timeout(HOUR, pending::<()>()));
            let (give, take) = std::sync::mpsc::channel();
            let blocks = create_task(to_thread(move || take.recv().unwrap()));
            let value = to_thread(move || {
                thread::yield_now();
                give.send(7).unwrap();
                7
            });
            assert_eq!(value.await, blocks.await.unwrap());
            assert_eq!(now(), began);
            waits.await.unwrap().unwrap_err();
        }
    });
}

#[test]
fn a_closure_whose_end_nobody_waits_for_lets_time_go_on() {
    everywhere(|| async {
        for _ in 0..20 {
            drop(create_task(to_thread(thread::yield_now)));
            sleep(HOUR).await;
        }
    });
}

#[test]
fn intervals_and_limits_agree_on_the_time() {
    everywhere(|| async {
        let began = now();
        let mut ticks = interval(MS * 10);
        for n in 0..100 {
            let at = ticks.tick().await;
            assert_eq!((at - began).as_millis(), n * 10);
        }
        wait_for(pending::<()>(), MS * 10).await.unwrap_err();
        assert_eq!((now() - began).as_millis(), 1_000);
    });
}

#[test]
fn a_task_given_from_a_plain_thread_is_heard_while_the_clock_stands() {
    everywhere(|| async {
        let handle = Handle::current();
        let done = Arc::new(Event::new());
        let count = Arc::new(AtomicUsize::new(0));
        let giver = thread::spawn({
            let (done, count) = (done.clone(), count.clone());
            move || {
                for _ in 0..100 {
                    let count = count.clone();
                    drop(handle.create_task(async move {
                        sleep(HOUR).await;
                        count.fetch_add(1, Ordering::Relaxed);
                    }));
                }
                done.set();
            }
        });
        done.wait().await;
        giver.join().unwrap();
        while count.load(Ordering::Relaxed) < 100 {
            sleep(HOUR).await;
        }
    });
}

#[test]
fn nothing_moves_the_clock_outside_of_block_on() {
    let runtime = runtime(2);
    let began = runtime.block_on(async { now() });
    let task = runtime.handle().create_task(sleep(HOUR));
    let seen = runtime.block_on(async {
        yield_now().await;
        now()
    });
    assert!(seen == began || task.is_finished());
    runtime.block_on(task).unwrap();
}

#[test]
fn two_threads_in_block_on_share_one_clock() {
    let runtime = runtime(2);
    thread::scope(|scope| {
        for hours in 1..=4 {
            let runtime = &runtime;
            scope.spawn(move || {
                runtime.block_on(async {
                    for _ in 0..50 {
                        create_task(sleep(HOUR * hours)).await.unwrap();
                        sleep(MS).await;
                    }
                });
            });
        }
    });
}
