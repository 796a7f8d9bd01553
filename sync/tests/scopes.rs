//! Cancel scopes under executors that know no requests: code behaves as if it were never cancelled.

mod support;

use futures::executor::{LocalPool, ThreadPool, block_on};
use futures::future::{Either, join, select};
use futures::stream::{FuturesUnordered, StreamExt};
use futures::task::SpawnExt;
use loxley_sync::{Event, catch_cancelled, checkpoint, uncancellable, with_cleanup};
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use support::within_limit;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Runs `future` under three executors that are not ours.
fn elsewhere<T: Send + 'static>(future: impl Fn() -> Boxed<T>) -> Vec<T> {
    let pool = ThreadPool::builder().pool_size(2).create().unwrap();
    vec![
        block_on(future()),
        smol::block_on(smol::spawn(future())),
        block_on(pool.spawn_with_handle(future()).unwrap()),
        LocalPool::new().run_until(future()),
    ]
}

/// Waits once, for somebody on another thread.
async fn waits() {
    let event = Arc::new(Event::new());
    let sets = event.clone();
    std::thread::spawn(move || sets.set());
    event.wait().await;
}

#[test]
fn a_catch_hears_nothing_and_gives_the_value() {
    within_limit(|| {
        let caught = elsewhere(|| {
            Box::pin(async {
                let inner = catch_cancelled(async {
                    waits().await;
                    7
                });
                catch_cancelled(inner).await.unwrap().unwrap()
            })
        });
        assert_eq!(caught, [7; 4]);
    });
}

#[test]
fn a_clean_up_runs_after_the_value_and_is_told_of_it() {
    within_limit(|| {
        let told = elsewhere(|| {
            Box::pin(async {
                let told = Arc::new(Mutex::new(Vec::new()));
                let notes = told.clone();
                let body = async {
                    waits().await;
                    7
                };
                let value = with_cleanup(body, |outcome| {
                    notes.lock().unwrap().push(*outcome.unwrap());
                    let notes = notes.clone();
                    async move {
                        waits().await;
                        notes.lock().unwrap().push(8);
                    }
                });
                assert_eq!(value.await, 7);
                told.lock().unwrap().clone()
            })
        });
        assert_eq!(told, vec![[7, 8]; 4]);
    });
}

#[test]
fn an_uncancellable_part_and_a_checkpoint_are_plain_waits() {
    within_limit(|| {
        let values = elsewhere(|| {
            Box::pin(async {
                checkpoint().await;
                let value = uncancellable(async {
                    waits().await;
                    checkpoint().await;
                    7
                });
                value.await
            })
        });
        assert_eq!(values, [7; 4]);
    });
}

/// Counts its drop.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

#[test]
fn scopes_in_several_branches_end_with_their_branch() {
    within_limit(|| {
        let gone = Arc::new(AtomicUsize::new(0));
        let shared = gone.clone();
        let values = elsewhere(move || {
            let gone = shared.clone();
            Box::pin(async move {
                let both = join(catch_cancelled(waits()), catch_cancelled(waits())).await;
                assert!(both.0.is_ok() && both.1.is_ok());
                let held = Counted(gone.clone());
                let loses = catch_cancelled(async move {
                    let _held = held;
                    pending::<()>().await;
                });
                let Either::Left((won, loser)) =
                    select(pin!(catch_cancelled(waits())), Box::pin(loses)).await
                else {
                    panic!("the other branch never ends");
                };
                assert!(won.is_ok());
                drop(loser);
                let set: FuturesUnordered<_> = (0..4).map(|_| catch_cancelled(waits())).collect();
                set.filter(|caught| std::future::ready(caught.is_ok()))
                    .count()
                    .await
            })
        });
        assert_eq!(values, [4; 4]);
        assert_eq!(gone.load(Ordering::Acquire), 4, "dropped with its branch");
    });
}
