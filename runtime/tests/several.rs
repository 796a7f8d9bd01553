//! Waiting for several things at once: the first failure, the first of different futures, one after the other as a stream.

use loxley_runtime::{ReturnWhen, Runtime, TaskError, create_task, gather, race, wait, yield_now};
use loxley_sync::Event;
use std::future::{Future, pending};
use std::sync::Arc;

fn both<F: Future>(test: impl Fn() -> F) {
    let two = Runtime::builder().worker_threads(2).build().unwrap();
    two.block_on(test());
    let strict = Runtime::builder().current_thread().build().unwrap();
    strict.block_on(test());
}

#[test]
fn wait_for_the_first_failure_returns_for_a_panic_and_for_nothing_less() {
    both(|| async {
        let waiting = create_task(pending::<u32>());
        let cancelled = create_task(pending::<u32>());
        cancelled.cancel();
        let gate = Arc::new(Event::new());
        let fails = {
            let gate = gate.clone();
            create_task(async move {
                gate.wait().await;
                panic!("no disk")
            })
        };
        let value = create_task(async { 1 });
        while !(value.is_finished() && cancelled.is_finished()) {
            yield_now().await;
        }
        let waited = create_task(
            wait([waiting, cancelled, fails, value]).return_when(ReturnWhen::FirstException),
        );
        yield_now().await;
        assert!(!waited.is_finished());
        gate.set();
        let waited = waited.await.unwrap();
        assert_eq!((waited.done.len(), waited.pending.len()), (3, 1));
        let mut results = Vec::new();
        for task in waited.done {
            results.push(task.await);
        }
        // Looked at, not taken: each gives what it has.
        assert!(results[0].as_ref().unwrap_err().is_cancelled());
        assert!(results[1].as_ref().unwrap_err().is_panic());
        assert_eq!(results[2].as_ref().unwrap(), &1);
        waited.pending[0].cancel();
    });
}

#[test]
fn wait_for_the_first_failure_waits_for_all_if_there_is_none() {
    both(|| async {
        let tasks = (0..3).map(|n| create_task(async move { n }));
        let waited = wait(tasks).return_when(ReturnWhen::FirstException).await;
        assert_eq!((waited.done.len(), waited.pending.len()), (3, 0));
    });
}

#[test]
fn an_error_is_a_failure_only_where_it_is_said() {
    both(|| async {
        let tasks = || {
            [
                create_task(async { Err::<u8, _>("no disk") }),
                create_task(async {
                    yield_now().await;
                    Ok(1)
                }),
            ]
        };
        let waited = wait(tasks()).return_when(ReturnWhen::FirstException).await;
        assert_eq!(waited.done.len(), 2);
        let [fails, _] = tasks();
        let pends = create_task(pending::<Result<u8, &str>>());
        let waited = wait([pends, fails])
            .return_when(ReturnWhen::FirstException)
            .count_errors()
            .await;
        assert_eq!((waited.done.len(), waited.pending.len()), (1, 1));
        for task in waited.done {
            assert_eq!(task.await.unwrap(), Err("no disk"));
        }
        waited.pending[0].cancel();
    });
}

#[test]
fn many_gatherings_of_futures_and_tasks_miss_no_end() {
    both(|| async {
        for round in 0..400_usize {
            let work = move |n: usize| async move {
                for _ in 0..(n * 7 + round) % 3 {
                    yield_now().await;
                }
                assert!(n != 19 || round % 8 != 3, "on purpose");
                n
            };
            let futures = gather((0..20).map(work)).return_errors();
            let tasks = gather((0..20).map(|n| create_task(work(n))));
            let tasks: Result<Vec<usize>, TaskError> = tasks.await;
            let all = futures.await;
            let fails = round % 8 == 3;
            assert_eq!(tasks.is_err(), fails);
            assert_eq!(all[19].is_err(), fails);
            for (n, result) in all.into_iter().enumerate().take(19) {
                assert_eq!(result.unwrap(), n);
            }
            // The first failure, while others wait for ever.
            if fails {
                let asked = Arc::new(Event::new());
                let waits = asked.clone();
                let forever = async move { waits.wait().await };
                let fails = async move {
                    work(19).await;
                };
                assert!(gather((forever, fails)).await.unwrap_err().is_panic());
                asked.set();
            }
        }
    });
}

#[test]
fn futures_of_different_types_race_as_a_tuple() {
    both(|| async {
        let text = String::from("borrowed");
        let won = race((
            async {
                pending::<()>().await;
                text.len()
            },
            async {
                yield_now().await;
                1
            },
            pending(),
        ));
        assert_eq!(won.await, 1);
        assert_eq!(race((async { 7 },)).await, 7);
        assert_eq!(text, "borrowed");
    });
}
