//! Context variables: who sees what is set where.

use loxley_runtime::{Runtime, create_task, run, task, to_thread, yield_now};
use loxley_sync::{Context, Queue, context_var, copy_context};
use std::sync::Arc;

context_var! {
    static USER: String;
    static DEPTH: u32;
}

fn set(value: u32) {
    drop(DEPTH.set(value));
}

fn both(test: impl Fn(&Runtime)) {
    for builder in [
        Runtime::builder().worker_threads(2),
        Runtime::builder().current_thread(),
    ] {
        test(&builder.build().expect("a runtime"));
    }
}

#[test]
fn child_sees_what_its_parent_had_set_and_nothing_that_came_later() {
    both(|runtime| {
        runtime.block_on(async {
            set(1);
            let go = Queue::new(1);
            let child = create_task({
                let go = go.clone();
                async move {
                    go.get().await.expect("open");
                    DEPTH.get()
                }
            });
            set(2);
            go.put(()).await.expect("open");
            assert_eq!(child.await.expect("it ends"), Some(1));
            assert_eq!(DEPTH.get(), Some(2));
        });
    });
}

#[test]
fn what_a_child_sets_stays_with_it_across_its_polls() {
    both(|runtime| {
        runtime.block_on(async {
            let children: Vec<_> = (0..20)
                .map(|n| {
                    create_task(async move {
                        assert_eq!(DEPTH.get(), None);
                        set(n);
                        for _ in 0..5 {
                            yield_now().await;
                            assert_eq!(DEPTH.get(), Some(n));
                        }
                        let grandchild = create_task(async { DEPTH.get() });
                        assert_eq!(grandchild.await.expect("it ends"), Some(n));
                    })
                })
                .collect();
            for child in children {
                child.await.expect("it ends");
            }
            assert_eq!(DEPTH.get(), None);
        });
    });
    assert_eq!(DEPTH.get(), None, "nothing is left on the thread");
}

#[test]
fn given_context_is_shared_not_copied() {
    both(|runtime| {
        runtime.block_on(async {
            let context = Context::new();
            for n in 0..3_u32 {
                let last = n.checked_sub(1);
                let step = async move {
                    assert_eq!(DEPTH.get(), last);
                    set(n);
                };
                let builder = task::Builder::new().context(context.clone());
                builder.create_task(step).await.expect("it ends");
            }
            assert_eq!(DEPTH.get_in(&context), Some(2));
            assert_eq!(DEPTH.get(), None);
        });
    });
}

#[test]
fn closure_of_to_thread_sees_a_copy() {
    run(async {
        set(7);
        let seen = to_thread(|| {
            let seen = DEPTH.get();
            set(8);
            seen
        });
        assert_eq!(seen.await, Some(7));
        assert_eq!(DEPTH.get(), Some(7));
        to_thread(|| assert_eq!(DEPTH.get(), Some(7))).await;
    });
}

#[test]
fn future_is_dropped_in_its_context() {
    struct Sees(Arc<loxley_sync::prim::lock::Mutex<Vec<Option<u32>>>>);
    impl Drop for Sees {
        fn drop(&mut self) {
            self.0.lock().push(DEPTH.get());
        }
    }
    let seen = Arc::default();
    both(|runtime| {
        runtime.block_on(async {
            let sees = Sees(Arc::clone(&seen));
            let ready = loxley_sync::Event::new();
            let ready = Arc::new(ready);
            let waits = create_task({
                let ready = ready.clone();
                async move {
                    let _sees = sees;
                    set(3);
                    ready.set();
                    std::future::pending::<()>().await;
                }
            });
            ready.wait().await;
            waits.cancel();
            assert!(waits.await.is_err());
        });
    });
    assert_eq!(*seen.lock(), [Some(3), Some(3)]);
}

#[test]
fn values_go_with_the_task_although_a_reference_stays() {
    context_var! { static HELD: Arc<()> }
    let value = Arc::new(());
    run(async {
        let held = value.clone();
        let task = create_task(async move { drop(HELD.set(held)) });
        let stays = task.as_ref();
        task.await.expect("it ends");
        assert_eq!(Arc::strong_count(&value), 1);
        drop(stays);
    });
}

#[test]
fn token_brings_the_old_value_back() {
    let first = DEPTH.set(1);
    let second = DEPTH.set(2);
    assert_eq!(second.old_value(), Some(1));
    assert_eq!(first.old_value(), None);
    DEPTH.reset(second);
    assert_eq!(DEPTH.get(), Some(1));
    DEPTH.reset(first);
    assert_eq!(DEPTH.get(), None);
}

#[test]
#[should_panic(expected = "the token of `DEPTH` was made in another context")]
fn token_of_another_context_is_refused() {
    let token = DEPTH.set(1);
    copy_context().run(|| DEPTH.reset(token));
}

#[test]
#[should_panic(expected = "the token of `USER` cannot reset `OTHER`")]
fn token_of_another_variable_is_refused() {
    context_var! { static OTHER: String }
    let token = USER.set(String::new());
    OTHER.reset(token);
}

#[test]
fn context_is_back_after_a_panic_in_run() {
    set(1);
    let inner = Context::new();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        inner.run(|| {
            set(2);
            panic!("on purpose");
        })
    }));
    assert!(result.is_err());
    assert_eq!(DEPTH.get(), Some(1));
    assert_eq!(DEPTH.get_in(&inner), Some(2));
}

#[test]
fn values_set_on_a_plain_thread_are_dropped_when_it_ends() {
    context_var! { static HELD: Arc<()> }
    let value = Arc::new(());
    let held = value.clone();
    std::thread::spawn(move || drop(HELD.set(held)))
        .join()
        .expect("it ends");
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn within_switches_the_context_around_each_poll() {
    run(async {
        set(1);
        let inner = copy_context();
        let inside = inner.within(async {
            set(2);
            yield_now().await;
            assert_eq!(DEPTH.get(), Some(2));
        });
        inside.await;
        assert_eq!(DEPTH.get(), Some(1));
    });
}
