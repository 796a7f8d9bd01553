//! The strict one-thread flavour, to the letter: one queue, first in, first out, asyncio's order.

#[path = "../../tests/support/mod.rs"]
mod support;

use loxley_runtime::{Runtime, create_task, current_task, sleep, task, yield_now};
use loxley_sync::{Event, oneshot};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::*;

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn say(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    #[track_caller]
    fn expect(&self, expected: &str) {
        assert_eq!(self.0.lock().unwrap().join(" "), expected);
    }
}

fn strict<F: Future>(body: impl FnOnce(Log) -> F + Send + 'static) {
    bounded(move |watch| {
        let runtime = watch.build(Runtime::builder().current_thread());
        runtime.block_on(body(Log::default()));
    });
}

#[test]
fn tasks_start_in_the_order_of_their_spawns() {
    strict(|log| async move {
        let tasks: Vec<_> = (0..10)
            .map(|n| {
                let log = log.clone();
                create_task(async move { log.say(n.to_string()) })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        log.expect("0 1 2 3 4 5 6 7 8 9");
    });
}

#[test]
fn creating_a_task_runs_none_of_it_before_the_first_await_that_waits() {
    strict(|log| async move {
        let theirs = log.clone();
        let task = create_task(async move { theirs.say("task") });
        log.say("spawned");
        std::future::ready(()).await;
        log.say("ready");
        task.await.unwrap();
        log.say("joined");
        log.expect("spawned ready task joined");
    });
}

#[test]
fn ten_tasks_that_yield_take_turns() {
    strict(|log| async move {
        let tasks: Vec<_> = (0..10)
            .map(|n| {
                let log = log.clone();
                create_task(async move {
                    for round in 0..3 {
                        log.say(format!("{round}.{n}"));
                        yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let expected: Vec<_> = (0..3)
            .flat_map(|round| (0..10).map(move |n| format!("{round}.{n}")))
            .collect();
        log.expect(&expected.join(" "));
    });
}

#[test]
fn sleeping_for_no_time_is_a_turn_like_any_other() {
    strict(|log| async move {
        let tasks: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .map(|name| {
                let log = log.clone();
                create_task(async move {
                    for _ in 0..2 {
                        log.say(name);
                        sleep(Duration::ZERO).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        log.expect("a b c a b c");
    });
}

#[test]
fn main_has_its_place_in_the_queue_like_any_task() {
    strict(|log| async move {
        for name in ["a", "b"] {
            let log = log.clone();
            drop(create_task(async move {
                for _ in 0..3 {
                    log.say(name);
                    yield_now().await;
                }
            }));
        }
        for _ in 0..3 {
            log.say("main");
            yield_now().await;
        }
        log.expect("main a b main a b main a b");
    });
}

#[test]
fn awaiting_a_coroutine_does_not_yield_but_awaiting_a_task_does() {
    // The documentation's example: "b a a a" when each is a task, "a a a b" when awaited directly.
    async fn coro_a(log: Log) {
        log.say("a");
    }
    strict(|log| async move {
        let theirs = log.clone();
        let b = create_task(async move { theirs.say("b") });
        for _ in 0..3 {
            coro_a(log.clone()).await;
        }
        b.await.unwrap();
        let theirs = log.clone();
        let b = create_task(async move { theirs.say("b") });
        for _ in 0..3 {
            create_task(coro_a(log.clone())).await.unwrap();
        }
        b.await.unwrap();
        log.expect("a a a b b a a a");
    });
}

#[test]
fn awaiting_a_finished_task_returns_without_yielding() {
    strict(|log| async move {
        let done = create_task(async {});
        yield_now().await;
        assert!(done.is_finished());
        let theirs = log.clone();
        let other = create_task(async move { theirs.say("other") });
        done.await.unwrap();
        log.say("main");
        other.await.unwrap();
        log.expect("main other");
    });
}

#[test]
fn waiters_run_in_the_order_in_which_they_came() {
    strict(|log| async move {
        let event = Arc::new(Event::new());
        let tasks: Vec<_> = (0..5)
            .map(|n| {
                let (log, event) = (log.clone(), event.clone());
                create_task(async move {
                    event.wait().await;
                    log.say(n.to_string());
                })
            })
            .collect();
        yield_now().await;
        event.set();
        log.say("set");
        for task in tasks {
            task.await.unwrap();
        }
        log.expect("set 0 1 2 3 4");
    });
}

#[test]
fn completing_a_wait_runs_nobody_inline() {
    strict(|log| async move {
        let (sender, receiver) = oneshot::channel();
        let theirs = log.clone();
        let task =
            create_task(async move { theirs.say(format!("got {}", receiver.await.unwrap())) });
        yield_now().await;
        sender.send(3).unwrap();
        log.say("sent");
        task.await.unwrap();
        log.expect("sent got 3");
    });
}

#[test]
fn what_is_woken_comes_after_what_was_ready_before() {
    strict(|log| async move {
        let event = Arc::new(Event::new());
        let waiter = {
            let (log, event) = (log.clone(), event.clone());
            create_task(async move {
                event.wait().await;
                log.say("woken");
            })
        };
        yield_now().await;
        let first = {
            let log = log.clone();
            create_task(async move { log.say("first") })
        };
        event.set();
        let last = {
            let log = log.clone();
            create_task(async move { log.say("last") })
        };
        for task in [waiter, first, last] {
            task.await.unwrap();
        }
        log.expect("first woken last");
    });
}

#[test]
fn joiners_run_in_the_order_in_which_their_tasks_end() {
    strict(|log| async move {
        let tasks: Vec<_> = [3, 1, 2]
            .into_iter()
            .map(|turns| {
                create_task(async move {
                    for _ in 0..turns {
                        yield_now().await;
                    }
                })
            })
            .collect();
        let joiners: Vec<_> = tasks
            .into_iter()
            .zip(["three", "one", "two"])
            .map(|(task, name)| {
                let log = log.clone();
                create_task(async move {
                    task.await.unwrap();
                    log.say(name);
                })
            })
            .collect();
        for joiner in joiners {
            joiner.await.unwrap();
        }
        log.expect("one two three");
    });
}

#[test]
fn a_cancelled_task_hears_of_it_in_its_turn() {
    strict(|log| async move {
        struct Says(Log);
        impl Drop for Says {
            fn drop(&mut self) {
                self.0.say("dropped");
            }
        }
        let held = Says(log.clone());
        let task = create_task(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        yield_now().await;
        let theirs = log.clone();
        let before = create_task(async move { theirs.say("before") });
        task.cancel();
        log.say("asked");
        assert!(!task.is_finished());
        assert!(task.await.is_err());
        log.say("joined");
        before.await.unwrap();
        log.expect("asked before dropped joined");
    });
}

#[test]
fn what_is_ready_when_main_ends_keeps_its_place_for_the_next_block_on() {
    bounded(|watch| {
        let runtime = watch.build(Runtime::builder().current_thread());
        let log = Log::default();
        runtime.block_on(async {
            for name in ["a", "b", "c"] {
                let log = log.clone();
                drop(create_task(async move { log.say(name) }));
            }
        });
        log.expect("");
        let theirs = log.clone();
        drop(runtime.handle().create_task(async move { theirs.say("d") }));
        runtime.block_on(async { log.say("main") });
        log.expect("a b c d main");
    });
}

#[test]
fn timers_fire_in_the_order_of_their_deadlines_and_then_of_their_making() {
    bounded(|watch| {
        let builder = Runtime::builder().current_thread().paused(true);
        let runtime = watch.build(builder);
        let log = Log::default();
        runtime.block_on(async {
            let tasks: Vec<_> = [("c", 30), ("a", 10), ("d", 30), ("b", 20), ("e", 30)]
                .into_iter()
                .map(|(name, ms)| {
                    let log = log.clone();
                    create_task(async move {
                        sleep(Duration::from_millis(ms)).await;
                        log.say(name);
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        log.expect("a b c d e");
    });
}

#[test]
fn a_thread_that_spawns_queues_behind_what_is_there() {
    strict(|log| async move {
        let handle = loxley_runtime::Handle::current();
        let theirs = log.clone();
        let first = create_task(async move { theirs.say("first") });
        let theirs = log.clone();
        let foreign =
            std::thread::spawn(move || handle.create_task(async move { theirs.say("foreign") }));
        let foreign = foreign.join().unwrap();
        let theirs = log.clone();
        let last = create_task(async move { theirs.say("last") });
        for task in [first, foreign, last] {
            task.await.unwrap();
        }
        log.expect("first foreign last");
    });
}

#[test]
fn the_current_task_is_the_one_that_runs() {
    strict(|log| async move {
        let main = current_task().unwrap();
        assert_eq!(*main.name(), format!("Task-{}", main.id()));
        for name in ["x", "y"] {
            let log = log.clone();
            drop(task::Builder::new().name(name).create_task(async move {
                log.say(&*current_task().unwrap().name());
                yield_now().await;
                log.say(&*current_task().unwrap().name());
            }));
        }
        for _ in 0..3 {
            yield_now().await;
        }
        log.expect("x y x y");
    });
}

#[cfg(unix)]
#[test]
fn what_is_ready_comes_before_descriptors_and_those_before_timers() {
    use loxley_runtime::lowlevel::{Direction, Interest, Registration};
    use loxley_runtime::sleep_until;
    use std::io::Write as _;
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;
    bounded(|watch| {
        let runtime = watch.build(Runtime::builder().current_thread().event_interval(1));
        let log = Log::default();
        runtime.block_on(async {
            let say = |what: &'static str| {
                let log = log.clone();
                move || log.say(what)
            };
            let (ours, theirs) = UnixStream::pair().expect("a pair");
            let deadline = Instant::now() + Duration::from_millis(1);
            let (io, timer, ready) = (say("io"), say("timer"), say("ready"));
            let fires = create_task(async move {
                sleep_until(deadline).await;
                timer();
            });
            let reads = create_task(async move {
                let source = Registration::new_unready(ours.as_fd(), Interest::Read);
                let source = source.expect("registered");
                let _ = source.readiness(Direction::Read).await.expect("readable");
                io();
            });
            yield_now().await;
            // Both become due in the round that this is part of.
            (&theirs).write_all(b"x").expect("there is room");
            while Instant::now() < deadline + Duration::from_millis(1) {}
            let runs = create_task(async move { ready() });
            yield_now().await;
            log.say("main");
            for task in [fires, reads, runs] {
                task.await.unwrap();
            }
        });
        log.expect("ready main io timer");
    });
}
