//! Tasks that stay on the thread of `block_on`.

use loxley_runtime::{
    Runtime, TaskRef, all_tasks, create_local_task, create_task, current_task, sleep, timeout,
    yield_now,
};
use loxley_sync::{Event, Queue, catch_cancelled};
use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

fn both<F: Future>(test: impl Fn() -> F) {
    let two = Runtime::builder().worker_threads(2).build().unwrap();
    two.block_on(test());
    let strict = Runtime::builder().current_thread().build().unwrap();
    strict.block_on(test());
}

/// Says where it is dropped, and is not `Send`.
struct Local(Rc<RefCell<Vec<thread::ThreadId>>>);

impl Drop for Local {
    fn drop(&mut self) {
        self.0.borrow_mut().push(thread::current().id());
    }
}

#[test]
fn a_local_task_holds_what_is_not_send_across_waits() {
    both(|| async {
        let home = thread::current().id();
        let count = Rc::new(Cell::new(0));
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let count = count.clone();
                create_local_task(async move {
                    for _ in 0..20 {
                        yield_now().await;
                        assert_eq!(thread::current().id(), home);
                        count.set(count.get() + 1);
                    }
                    sleep(Duration::from_millis(1)).await;
                    count
                })
            })
            .collect();
        for task in tasks {
            // The output is not `Send` either.
            let _: Rc<Cell<i32>> = task.await.unwrap();
        }
        assert_eq!(count.get(), 1_000);
    });
}

#[test]
fn a_local_task_is_a_task_like_any_other() {
    both(|| async {
        let began = Rc::new(Cell::new(false));
        let seen = began.clone();
        let task = create_local_task(async move {
            seen.set(true);
            let me: TaskRef = current_task().unwrap();
            assert!(all_tasks().contains(&me));
            catch_cancelled(pending::<()>()).await.is_err()
        });
        assert!(!began.get(), "not within the call");
        yield_now().await;
        yield_now().await;
        assert!(began.get());
        assert!(task.cancel());
        assert!(task.await.unwrap());
        let panics = create_local_task(async { panic!("no disk") });
        let error: Result<(), _> = panics.await;
        assert!(error.unwrap_err().is_panic());
        assert_eq!(all_tasks().len(), 1);
        let late = timeout(Duration::from_millis(1), create_local_task(pending::<()>()));
        late.await.unwrap_err();
    });
}

#[test]
fn other_threads_wake_and_cancel_local_tasks() {
    both(|| async {
        let (there, back) = (Queue::new(0), Queue::new(0));
        let local = create_local_task({
            let (there, back) = (there.clone(), back.clone());
            async move {
                let kept = Rc::new(());
                while let Ok(n) = there.get().await {
                    let n: u32 = n;
                    back.put(n + 1).await.unwrap();
                }
                drop(kept);
            }
        });
        let elsewhere = create_task(async move {
            for n in 0..1_000 {
                there.put(n).await.unwrap();
                assert_eq!(back.get().await.unwrap(), n + 1);
            }
            there.shutdown(false);
        });
        elsewhere.await.unwrap();
        local.await.unwrap();
        let waits = create_local_task(pending::<()>());
        let asked = waits.as_ref();
        let asks = thread::spawn(move || asked.cancel());
        assert!(waits.await.unwrap_err().is_cancelled());
        assert!(asks.join().unwrap());
    });
}

#[test]
fn local_tasks_end_with_the_main_future_and_on_its_thread() {
    for workers in [0, 2] {
        let builder = Runtime::builder();
        let builder = match workers {
            0 => builder.current_thread(),
            workers => builder.worker_threads(workers),
        };
        let runtime = builder.build().unwrap();
        let dropped = Rc::new(RefCell::new(Vec::new()));
        let rounds = Arc::new(AtomicUsize::new(0));
        for _ in 0..20 {
            let left = runtime.block_on(async {
                let gate = Arc::new(Event::new());
                let mut local: Vec<TaskRef> = Vec::new();
                for _ in 0..10 {
                    let (held, gate) = (Local(dropped.clone()), gate.clone());
                    let task = create_local_task(async move {
                        let _held = held;
                        gate.wait().await;
                        pending::<()>().await;
                    });
                    local.push(task.as_ref());
                }
                // One makes another as it goes.
                let held = Local(dropped.clone());
                drop(create_local_task(async move {
                    struct Makes(Option<Local>);
                    impl Drop for Makes {
                        fn drop(&mut self) {
                            let held = self.0.take();
                            drop(create_local_task(async move {
                                let _held = held;
                                pending::<()>().await;
                            }));
                        }
                    }
                    let _makes = Makes(Some(held));
                    pending::<()>().await;
                }));
                yield_now().await;
                // Some are being woken from elsewhere at the very end.
                let rounds = rounds.clone();
                drop(create_task(async move {
                    gate.set();
                    rounds.fetch_add(1, Ordering::Relaxed);
                }));
                local
            });
            assert!(left.iter().all(TaskRef::is_finished));
        }
        let home = thread::current().id();
        assert_eq!(dropped.borrow().len(), 20 * 11);
        assert!(dropped.borrow().iter().all(|id| *id == home));
    }
}

#[test]
fn a_panic_of_the_main_future_ends_its_local_tasks() {
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    let dropped = Rc::new(RefCell::new(Vec::new()));
    let held = Local(dropped.clone());
    catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            drop(create_local_task(async move {
                let _held = held;
                pending::<()>().await;
            }));
            yield_now().await;
            panic!("no disk")
        })
    }))
    .unwrap_err();
    assert_eq!(dropped.borrow().len(), 1);
}

#[test]
fn a_local_task_needs_the_thread_of_block_on() {
    let text = |f: &dyn Fn()| {
        let payload = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
        (*payload.downcast_ref::<&str>().unwrap()).to_owned()
    };
    let outside = text(&|| drop(create_local_task(async {})));
    assert!(outside.contains("block_on"), "{outside}");
    let two = Runtime::builder().worker_threads(2).build().unwrap();
    let on_a_worker = two.block_on(async {
        let task = create_task(async { drop(create_local_task(async {})) });
        task.await.unwrap_err()
    });
    assert!(on_a_worker.is_panic());
    let strict = Runtime::builder().current_thread().build().unwrap();
    strict.block_on(async {
        create_task(async { create_local_task(async { 7 }).await.unwrap() })
            .await
            .unwrap();
    });
}
