//! Futures around futures: scopes, budget, context.
//!
//! | file | futures | held by |
//! |---|---|---|
//! | `sync/src/ambient/catch.rs` | `CatchCancelled` | `a_catch_that_takes_the_request_goes_on` |
//! | `sync/src/ambient/catch.rs` | `with_cleanup` | `a_clean_up_runs_when_cancelled_and_not_when_dropped` |
//! | `sync/src/ambient/catch.rs` | `Uncancellable` | `what_is_uncancellable_comes_to_its_end_unless_dropped` |
//! | `sync/src/ambient/catch.rs` | `checkpoint` | `a_checkpoint_waits_for_nothing` |
//! | `sync/src/cancelled.rs` | `reraise` | `a_clean_up_runs_when_cancelled_and_not_when_dropped` |
//! | `sync/src/ambient/budget.rs` | `unconstrained, Unconstrained` | `a_wrapped_future_is_dropped_where_it_is_wrapped` |
//! | `sync/src/ambient/context.rs` | `within, Within` | `a_wrapped_future_is_dropped_where_it_is_wrapped` |

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Boxed, run, soon, sweep};
use loxley::ambient::unconstrained;
use loxley::testing::{cancel_at_every_pending, drop_at_every_pending};
use loxley::{
    Context, Event, catch_cancelled, checkpoint, context_var, uncancellable, with_cleanup,
    yield_now,
};

fn count(steps: &Arc<AtomicUsize>) {
    steps.fetch_add(1, Ordering::AcqRel);
}

#[test]
fn a_catch_that_takes_the_request_goes_on() {
    run(async || {
        sweep(
            || {
                let event = Arc::new(Event::new());
                let [ours, setter] = [0; 2].map(|_| event.clone());
                let future = async move {
                    let caught = catch_cancelled(ours.wait()).await;
                    // Whoever took a request may go on waiting.
                    ours.wait().await;
                    caught.is_err()
                };
                (future, soon(move || setter.set()))
            },
            async |sets| sets.await.unwrap(),
        )
        .await;
    });
}

#[test]
fn a_clean_up_runs_when_cancelled_and_not_when_dropped() {
    run(async || {
        let scenario = || {
            let steps = Arc::<AtomicUsize>::default();
            let (begun, cleaned) = (steps.clone(), steps.clone());
            let future = with_cleanup(
                async move {
                    count(&begun);
                    yield_now().await;
                    yield_now().await;
                },
                |_| async move {
                    yield_now().await;
                    count(&cleaned);
                },
            );
            (future, steps)
        };
        let dropped = drop_at_every_pending(scenario, async |point, steps: Arc<AtomicUsize>| {
            // Two waits of the body, one of the clean-up.
            assert_eq!(
                steps.load(Ordering::Acquire),
                if point <= 3 { 1 } else { 2 }
            );
        });
        assert_eq!(dropped.await, 3);
        let cancelled =
            cancel_at_every_pending(scenario, async |point, steps: Arc<AtomicUsize>| {
                // A request in the body is cleaned up after; one in the clean-up interrupts that.
                assert_eq!(
                    steps.load(Ordering::Acquire),
                    if point == 3 { 1 } else { 2 }
                );
            });
        assert_eq!(cancelled.await, 3);
        sweep(scenario, async |_| ()).await;
    });
}

#[test]
fn what_is_uncancellable_comes_to_its_end_unless_dropped() {
    run(async || {
        let scenario = || {
            let steps = Arc::<AtomicUsize>::default();
            let done = steps.clone();
            let future = async move {
                uncancellable(async {
                    yield_now().await;
                    yield_now().await;
                    count(&done);
                })
                .await;
                yield_now().await;
                count(&done);
            };
            (future, steps)
        };
        let cancelled =
            cancel_at_every_pending(scenario, async |point, steps: Arc<AtomicUsize>| {
                // Heard at the first wait after it, at the latest.
                assert_eq!(
                    steps.load(Ordering::Acquire),
                    if point <= 3 { 1 } else { 2 }
                );
            });
        assert_eq!(cancelled.await, 3);
        let dropped = drop_at_every_pending(scenario, async |point, steps: Arc<AtomicUsize>| {
            let expected = [0, 0, 1, 2][point - 1];
            assert_eq!(steps.load(Ordering::Acquire), expected);
        });
        assert_eq!(dropped.await, 3);
        sweep(scenario, async |_| ()).await;
    });
}

#[test]
fn a_checkpoint_waits_for_nothing() {
    run(async || {
        let points = drop_at_every_pending(|| (checkpoint(), ()), async |_, ()| ()).await;
        assert_eq!(points, 0);
    });
}

context_var! { static DEPTH: u32 }

/// Notes the value that it is dropped under.
struct Sees(Arc<AtomicUsize>);

impl Drop for Sees {
    fn drop(&mut self) {
        let seen = DEPTH.get().map_or(0, |depth| depth as usize);
        self.0.store(seen, Ordering::Release);
    }
}

#[test]
fn a_wrapped_future_is_dropped_where_it_is_wrapped() {
    run(async || {
        let ways: [fn(Sees) -> Boxed; 2] = [
            |sees| {
                Box::pin(unconstrained(async move {
                    drop(DEPTH.set(7));
                    yield_now().await;
                    drop(sees);
                    DEPTH.set(0);
                }))
            },
            |sees| {
                Box::pin(Context::new().within(async move {
                    drop(DEPTH.set(7));
                    yield_now().await;
                    drop(sees);
                }))
            },
        ];
        for way in ways {
            sweep(
                || {
                    let seen = Arc::<AtomicUsize>::default();
                    (way(Sees(seen.clone())), seen)
                },
                async |seen| assert_eq!(seen.load(Ordering::Acquire), 7),
            )
            .await;
        }
    });
}
