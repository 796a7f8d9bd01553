//! Random programs over four workers: whatever they do, every future is dropped once and every join is answered.

#[path = "../../tests/support/mod.rs"]
mod support;

use loxley_runtime::{Handle, Task, TaskError, create_task, sleep, yield_now};
use loxley_sync::{Event, oneshot};
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use support::*;

#[derive(Clone, Default)]
struct Ledger {
    made: Count,
    dropped: Count,
    joins: Count,
    answers: Count,
}

type Boxed = Pin<Box<dyn Future<Output = u64> + Send>>;

/// A random program, at most `depth` spawns deep.
fn program(mut dice: Dice, depth: u32, ledger: Ledger, go: Arc<Event>) -> Boxed {
    ledger.made.add();
    let token = ledger.dropped.token();
    Box::pin(async move {
        let _token = token;
        let mut children: Vec<Task<u64>> = Vec::new();
        let mut sum = 1;
        for _ in 0..dice.roll(6) {
            match dice.roll(12) {
                0..=3 if depth > 0 => {
                    let child = program(dice.another(), depth - 1, ledger.clone(), go.clone());
                    children.push(create_task(child));
                }
                4 => yield_now().await,
                5 => go.wait().await,
                6 => sleep(Duration::from_micros(dice.roll(300))).await,
                7 => drop(children.pop()),
                8 => {
                    if let Some(child) = children.last() {
                        child.cancel();
                    }
                }
                9 => {
                    let (sender, receiver) = oneshot::channel();
                    let wakes = create_task(async move { sender.send(1_u64) });
                    sum += receiver.await.unwrap_or(0);
                    drop(wakes);
                }
                10 => {
                    if let Some(child) = children.pop() {
                        sum += join(child, &ledger).await;
                    }
                }
                11 if dice.roll(20) == 0 => pending().await,
                _ => {}
            }
        }
        while let Some(child) = children.pop() {
            match dice.roll(4) {
                0 => drop(child),
                1 => {
                    child.cancel();
                    sum += join(child, &ledger).await;
                }
                _ if dice.roll(10) > 0 => sum += join_or_cancel(child, &ledger, &mut dice).await,
                _ => {}
            }
        }
        sum
    })
}

async fn join(child: Task<u64>, ledger: &Ledger) -> u64 {
    // A child may wait for ever, and is told not to.
    let told = child.as_ref();
    let _stop = create_task(async move {
        sleep(Duration::from_millis(2)).await;
        told.cancel();
    });
    ledger.joins.add();
    let answer = Answered(ledger);
    let result = child.await;
    drop(answer);
    match result {
        Ok(sum) => sum,
        Err(TaskError::Cancelled(_)) => 0,
        Err(error) => panic!("{error}"),
    }
}

/// A join is answered, or its future was dropped by a cancellation, which is an answer too.
struct Answered<'a>(&'a Ledger);

impl Drop for Answered<'_> {
    fn drop(&mut self) {
        self.0.answers.add();
    }
}

async fn join_or_cancel(child: Task<u64>, ledger: &Ledger, dice: &mut Dice) -> u64 {
    if dice.roll(3) == 0 {
        child.cancel();
        child.cancel();
    }
    join(child, ledger).await
}

/// A thread that lists all tasks for as long as it is to look.
fn watch_all(handle: Handle, looking: Arc<AtomicBool>) -> thread::JoinHandle<usize> {
    thread::spawn(move || {
        let mut seen = 0;
        while looking.load(Ordering::Relaxed) {
            for task in handle.all_tasks() {
                assert!(task.spawned_at().line() > 0 && !task.name().is_empty());
                let _ = (task.waiting_for(), task.is_runnable());
                seen += 1;
            }
            let _ = handle.metrics();
            thread::yield_now();
        }
        seen
    })
}

fn storm(flavour: Flavour, seeds: std::ops::Range<u64>) {
    bounded(move |watch| {
        for seed in seeds {
            let runtime = watch.build(flavour.builder().rng_seed(seed));
            let ledger = Ledger::default();
            let go = Arc::new(Event::new());
            let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
            let foreign: Vec<_> = (0..2)
                .map(|_| {
                    let (handle, ledger): (Handle, _) = (runtime.handle(), ledger.clone());
                    let (go, mut dice) = (go.clone(), dice.another());
                    thread::spawn(move || {
                        for n in 0..30 {
                            let root = program(dice.another(), 4, ledger.clone(), go.clone());
                            let task = handle.create_task(root);
                            match n % 3 {
                                0 => drop(task),
                                1 => {
                                    task.cancel();
                                }
                                _ => drop(task.as_ref()),
                            }
                            if n % 7 == 0 {
                                go.set();
                                go.clear();
                            }
                        }
                    })
                })
                .collect();
            // Somebody looks at everything all the while.
            let looking = Arc::new(AtomicBool::new(true));
            let observer = watch_all(runtime.handle(), looking.clone());
            let roots: Vec<_> = (0..30)
                .map(|_| program(dice.another(), 4, ledger.clone(), go.clone()))
                .collect();
            let whole = seed % 2 == 0;
            runtime.block_on(async {
                let roots: Vec<_> = roots.into_iter().map(create_task).collect();
                go.set();
                if whole {
                    for root in roots {
                        join(root, &ledger).await;
                    }
                } else {
                    // Half of the seeds end in the middle of it all.
                    for root in roots.into_iter().take(5) {
                        join(root, &ledger).await;
                    }
                }
            });
            for thread in foreign {
                thread.join().unwrap();
            }
            let handle = runtime.handle();
            let report = runtime.shutdown_timeout(Duration::from_secs(15));
            assert!(report.is_clean(), "seed {seed}: {report}");
            looking.store(false, Ordering::Relaxed);
            let _seen: usize = observer.join().unwrap();
            let Ledger { made, dropped, .. } = &ledger;
            assert_eq!(made.get(), dropped.get(), "seed {seed}: futures");
            assert_eq!(
                ledger.joins.get(),
                ledger.answers.get(),
                "seed {seed}: joins"
            );
            let metrics = handle.metrics();
            assert_eq!(metrics.live_tasks, 0, "seed {seed}");
            assert_eq!(metrics.injector_len, 0, "seed {seed}");
            assert!(
                metrics.workers.iter().all(|worker| worker.queue_len == 0),
                "seed {seed}"
            );
        }
    });
}

#[test]
fn random_programs_on_four_workers_lose_nothing() {
    storm(Flavour::Workers(4), 1..201);
}

#[test]
fn random_programs_on_one_thread_lose_nothing() {
    storm(Flavour::OneThread, 1..101);
}

#[test]
fn random_programs_on_more_workers_than_cores_lose_nothing() {
    storm(Flavour::Workers(8), 1..101);
}
