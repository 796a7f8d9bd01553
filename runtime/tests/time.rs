//! Sleeping, ticking and limits as programs see them. Order and amounts are checked on the paused clock; on the real
//! one only that nothing is early, nothing is lost, and that every wait ends.

use loxley_runtime::{
    Handle, Interval, MissedTicks, Runtime, Sleep, TaskError, create_task, interval, sleep,
    sleep_until, timeout, yield_now,
};
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

fn paused() -> Runtime {
    let builder = Runtime::builder().current_thread().paused(true);
    builder.build().unwrap()
}

fn both(test: impl Fn(Runtime)) {
    test(Runtime::builder().worker_threads(2).build().unwrap());
    test(Runtime::builder().current_thread().build().unwrap());
}

/// The time of the runtime that this is called in.
fn now() -> Instant {
    sleep(Duration::ZERO).deadline()
}

/// Polls once, so that the sleep is armed with the waker of the current task.
async fn armed(mut sleep: Sleep) -> Sleep {
    poll_fn(|cx| {
        assert!(Pin::new(&mut sleep).poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    sleep
}

/// Polls `future` on this thread, without any runtime's help.
fn block_on_this_thread<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = Box::pin(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn sleeps_end_in_the_order_of_their_deadlines_and_then_of_their_start() {
    let runtime = paused();
    let order = Arc::new(Mutex::new(Vec::new()));
    runtime.block_on(async {
        let tasks: Vec<_> = [30, 10, 20, 10, 5000, 20, 0]
            .into_iter()
            .enumerate()
            .map(|(number, ms)| {
                let order = order.clone();
                create_task(async move {
                    sleep(MS * ms).await;
                    order.lock().unwrap().push(number);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(*order.lock().unwrap(), [6, 1, 3, 2, 5, 0, 4]);
}

#[test]
fn a_paused_clock_jumps_over_a_day_but_not_beyond_what_is_waited_for() {
    let runtime = paused();
    let began = Instant::now();
    let passed = runtime.block_on(async {
        let before = now();
        let day = Duration::from_secs(86_400);
        timeout(day, pending::<()>()).await.unwrap_err();
        now() - before
    });
    assert!(passed >= Duration::from_secs(86_400));
    assert!(passed < Duration::from_secs(86_400) + MS);
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "the day was waited for"
    );
}

#[test]
fn a_sleep_of_zero_lets_the_others_run_once() {
    let runtime = paused();
    let order = Arc::new(Mutex::new(Vec::new()));
    runtime.block_on(async {
        let tasks: Vec<_> = (0..3)
            .map(|number| {
                let order = order.clone();
                create_task(async move {
                    for _ in 0..2 {
                        order.lock().unwrap().push(number);
                        sleep(Duration::ZERO).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 0, 1, 2]);
}

#[test]
fn a_cancelled_task_leaves_no_timer_behind() {
    both(|runtime| {
        let handle = runtime.handle();
        runtime.block_on(async {
            let tasks: Vec<_> = (0..100)
                .map(|_| create_task(sleep(MS * 3_600_000)))
                .collect();
            while handle.metrics().armed_timers < tasks.len() {
                yield_now().await;
            }
            for task in tasks {
                task.cancel();
                assert!(matches!(task.await, Err(TaskError::Cancelled(_))));
            }
            assert_eq!(handle.metrics().armed_timers, 0);
        });
    });
}

#[test]
fn an_interval_of_a_busy_task_follows_its_rule() {
    async fn ticks(mut interval: Interval) -> Vec<u128> {
        let start = interval.tick().await;
        sleep(MS * 35).await;
        let mut ticks = Vec::new();
        for _ in 0..3 {
            interval.tick().await;
            ticks.push((now() - start).as_millis());
        }
        ticks
    }
    let runtime = paused();
    runtime.block_on(async {
        let ten = || interval(MS * 10);
        assert_eq!(ticks(ten()).await, [35, 35, 35]);
        let delayed = ticks(ten().missed_ticks(MissedTicks::Delay)).await;
        assert_eq!(delayed, [35, 45, 55]);
        let skipped = ticks(ten().missed_ticks(MissedTicks::Skip)).await;
        assert_eq!(skipped, [35, 40, 50]);
    });
}

#[test]
fn a_limit_reaches_through_tasks_and_other_limits() {
    let runtime = paused();
    runtime.block_on(async {
        let slow = create_task(async {
            sleep(MS * 50).await;
            7
        });
        let late = timeout(MS * 20, slow).await.unwrap_err();
        assert_eq!(late.limit(), Some(MS * 20));
        let fast = create_task(async {
            sleep(MS * 5).await;
            7
        });
        assert_eq!(timeout(MS * 20, fast).await.unwrap().unwrap(), 7);
    });
}

#[test]
fn nothing_is_ever_early() {
    both(|runtime| {
        runtime.block_on(async {
            let tasks: Vec<_> = (0..300_u32)
                .map(|number| {
                    create_task(async move {
                        for turn in 1..4 {
                            // Spread over the microseconds of a few milliseconds.
                            let nap = Duration::from_micros(u64::from(number * 7919 * turn % 4000));
                            let called = Instant::now();
                            sleep(nap).await;
                            let slept = called.elapsed();
                            assert!(slept >= nap, "slept {slept:?}, not {nap:?}");
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
}

#[test]
fn a_timer_armed_by_a_thread_that_entered_wakes_the_sleeping_driver() {
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    let handle = runtime.handle();
    for _ in 0..20 {
        let handle = handle.clone();
        let outside = thread::spawn(move || {
            let _entered = handle.enter();
            let called = Instant::now();
            block_on_this_thread(sleep(MS));
            assert!(called.elapsed() >= MS);
        });
        outside.join().unwrap();
    }
    assert_eq!(handle.metrics().armed_timers, 0);
}

#[test]
fn a_sleep_moved_forward_far_from_where_it_was_armed_is_not_late() {
    // Armed by a worker that then sleeps for an hour, for all it knows.
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        for _ in 0..20 {
            let hour = MS * 3_600_000;
            let mut far = create_task(armed(sleep(hour))).await.unwrap();
            // Both workers have nothing else to do and go to sleep, or are about to.
            Pin::new(&mut far).reset(Instant::now() + MS);
            far.await;
        }
    });
    // And from a thread that is in no runtime at all.
    let mut far = runtime.block_on(armed(sleep(MS * 3_600_000)));
    Pin::new(&mut far).reset(Instant::now() + MS);
    block_on_this_thread(far);
}

#[test]
fn a_sleep_that_was_reset_without_end_holds_one_timer() {
    let runtime = paused();
    let handle = runtime.handle();
    runtime.block_on(async {
        let start = now();
        let mut keep_alive = armed(sleep(MS)).await;
        for turn in 0..100_000 {
            Pin::new(&mut keep_alive).reset(start + Duration::from_micros(turn) + MS);
        }
        assert_eq!(handle.metrics().armed_timers, 1);
        keep_alive.await;
        assert_eq!((now() - start).as_millis(), 101);
    });
    assert_eq!(handle.metrics().armed_timers, 0);
}

#[test]
fn a_great_many_equal_deadlines_all_end_beside_other_work() {
    both(|runtime| {
        runtime.block_on(async {
            let at = Instant::now() + MS * 5;
            let tasks: Vec<_> = (0..5_000).map(|_| create_task(sleep_until(at))).collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert!(Instant::now() >= at);
        });
    });
}

#[test]
fn a_sleep_can_be_made_before_its_runtime() {
    let sleep = sleep(MS);
    let deadline = sleep.deadline();
    let runtime = Runtime::builder().current_thread().build().unwrap();
    runtime.block_on(sleep);
    assert!(Instant::now() >= deadline);
}

#[test]
fn a_sleep_on_a_thread_in_no_runtime_panics_with_the_line_that_made_it() {
    assert!(Handle::try_current().is_err());
    let sleeping = thread::spawn(|| block_on_this_thread(sleep(MS)));
    let panic = sleeping.join().unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("tests/time.rs"), "{text}");
}

#[test]
fn a_limit_ends_a_body_that_wakes_itself_for_ever() {
    both(|runtime| {
        runtime.block_on(async {
            let restless = create_task(timeout(MS, async {
                loop {
                    yield_now().await;
                }
            }));
            assert!(restless.await.unwrap().is_err());
        });
    });
}

#[test]
fn a_body_that_wakes_its_task_in_its_first_poll_gets_the_turn_before_a_timer_is_armed() {
    paused().block_on(async {
        let armed_timers = || Handle::current().metrics().armed_timers;
        // What wakes itself once is ready in that turn.
        let mut limited = Box::pin(timeout(MS, yield_now()));
        poll_fn(|cx| {
            assert!(limited.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        assert_eq!(armed_timers(), 0);
        assert_eq!(limited.await, Ok(()));
        // What waits on has a limit all the same.
        let mut limited = Box::pin(timeout(MS, pending::<()>()));
        for armed in [0, 1] {
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                assert!(limited.as_mut().poll(cx).is_pending());
                assert_eq!(armed_timers(), armed);
                Poll::Ready(())
            })
            .await;
        }
        assert!(limited.await.is_err());
        // One that has a waker of its own is polled only if that is called.
        let mut limited = Box::pin(timeout(MS, pending::<()>()));
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            let mut own = Context::from_waker(Waker::noop());
            assert!(limited.as_mut().poll(&mut own).is_pending());
            assert_eq!(armed_timers(), 1);
            Poll::Ready(())
        })
        .await;
    });
}
