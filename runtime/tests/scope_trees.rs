//! Random trees of what can stand around a wait (limits, groups, shields, catches, races, tasks awaited), asked to stop at
//! random moments of a clock that jumps. Whatever the tree: it ends, nothing in it panics, nothing of it is left.

use loxley_runtime::{
    Runtime, Task, TaskError, TaskGroup, create_task, gather, race, shield, sleep, task_group,
    timeout, timeout_scope, yield_now,
};
use loxley_sync::{catch_cancelled, uncancellable, with_cleanup};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const ROUNDS: u64 = 300;
const TREES: u64 = 8;
const DEPTH: u32 = 5;
/// Longer than any tree takes whose waits end.
const FOR_EVER: Duration = Duration::from_secs(3_600);

type Grown = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How many parts of trees are alive.
#[derive(Clone, Default)]
struct Alive(Arc<AtomicUsize>);

struct Part(Alive);

impl Alive {
    fn part(&self) -> Part {
        self.0.fetch_add(1, Ordering::Relaxed);
        Part(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// S. Vigna's splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn micros(&mut self, most: u64) -> Duration {
        Duration::from_micros(self.below(most))
    }

    fn fork(&mut self) -> Self {
        Self(self.below(u64::MAX))
    }
}

fn tree(depth: u32, dice: &mut Dice, alive: &Alive) -> Grown {
    let (dice, alive) = (dice.fork(), alive.clone());
    if depth == 0 {
        Box::pin(leaf(dice, alive))
    } else {
        Box::pin(branch(depth - 1, dice, alive))
    }
}

async fn leaf(mut dice: Dice, alive: Alive) {
    let _part = alive.part();
    let (time, more) = (dice.micros(3_000), dice.micros(300));
    match dice.below(5) {
        0 => sleep(time).await,
        1 => yield_now().await,
        2 => {
            let _ = catch_cancelled(sleep(time)).await;
            sleep(more).await;
        }
        3 => {
            with_cleanup(sleep(time), |_| async move {
                let _part = alive.part();
                sleep(more).await;
            })
            .await;
        }
        _ => uncancellable(sleep(time)).await,
    }
}

async fn branch(depth: u32, mut dice: Dice, alive: Alive) {
    let _part = alive.part();
    let time = dice.micros(3_000);
    let inner = tree(depth, &mut dice, &alive);
    match dice.below(9) {
        0 => {
            let _ = timeout(time, inner).await;
        }
        1 => group(depth, dice, alive, inner).await,
        2 => drop(timeout(time, shield(inner)).await),
        3 => drop(gather((inner, tree(depth, &mut dice, &alive))).await),
        4 => {
            let task = create_task(inner);
            if dice.below(2) == 0 {
                task.cancel();
            }
            expect_no_panic(task.await);
        }
        5 => race((inner, tree(depth, &mut dice, &alive))).await,
        6 => {
            if let Err(error) = catch_cancelled(inner).await {
                sleep(dice.micros(100)).await;
                if dice.below(2) == 0 {
                    error.reraise().await;
                }
            }
        }
        7 => {
            let _ = uncancellable(timeout(time, inner)).await;
        }
        _ => {
            let late = dice.micros(300);
            let moved = timeout_scope(Some(time), |limit| async move {
                let _ = limit.reschedule(limit.when().map(|when| when + late));
                inner.await;
            });
            let _ = moved.await;
        }
    }
}

async fn group(depth: u32, mut dice: Dice, alive: Alive, inner: Grown) {
    let ended = task_group(|tg: TaskGroup<()>| async move {
        for _ in 0..dice.below(4) {
            let child = tree(depth, &mut dice, &alive);
            let fails = dice.below(4) == 0;
            tg.create_task(async move {
                child.await;
                if fails { Err(()) } else { Ok(()) }
            });
        }
        if dice.below(3) == 0 {
            tg.cancel();
        }
        inner.await;
        Ok(())
    });
    drop(ended.await);
}

fn expect_no_panic(outcome: Result<(), TaskError>) {
    if let Err(TaskError::Panicked(panic)) = outcome {
        panic.resume();
    }
}

/// Some trees at once, half of which are asked to stop.
async fn round(mut dice: Dice, alive: &Alive) {
    let trees: Vec<Task<()>> = (0..TREES)
        .map(|_| create_task(tree(DEPTH, &mut dice, alive)))
        .collect();
    for _ in 0..TREES / 2 {
        sleep(dice.micros(1_500)).await;
        let chosen = usize::try_from(dice.below(TREES)).expect("it is small");
        trees[chosen].cancel();
    }
    for mut tree in trees {
        let ended = timeout(FOR_EVER, &mut tree).await;
        expect_no_panic(ended.expect("a tree ends"));
    }
    // What was shielded goes on by itself.
    sleep(FOR_EVER).await;
    assert_eq!(alive.count(), 0, "parts of trees that have ended");
}

#[test]
fn whatever_stands_around_a_wait_ends_and_leaves_nothing() {
    let builders = [
        Runtime::builder().current_thread(),
        Runtime::builder().worker_threads(1),
        Runtime::builder().worker_threads(3),
    ];
    for (flavour, builder) in builders.into_iter().enumerate() {
        let runtime = builder.paused(true).build().unwrap();
        let alive = Alive::default();
        for seed in 0..ROUNDS {
            let outcome = runtime.block_on(async {
                let alive = alive.clone();
                create_task(async move { round(Dice(seed), &alive).await }).await
            });
            if let Err(error) = outcome {
                panic!("flavour {flavour}, seed {seed}: {error}");
            }
        }
    }
}
