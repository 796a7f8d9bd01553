//! Done callbacks: when they run, in which order and context, and what becomes of a panic in one.

use loxley_runtime::{Runtime, create_task, current_task};
use loxley_sync::prim::lock::Mutex;
use loxley_sync::{Event, Queue, context_var};
use std::sync::Arc;
use std::time::Duration;

context_var! { static DEPTH: u32 }

fn both(test: impl Fn(&Runtime)) {
    for builder in [
        Runtime::builder().worker_threads(2),
        Runtime::builder().current_thread(),
    ] {
        test(&builder.build().expect("a runtime"));
    }
}

#[test]
fn callbacks_run_after_the_end_in_the_order_of_their_registration() {
    both(|runtime| {
        runtime.block_on(async {
            let said = Queue::new(0);
            let gate = Arc::new(Event::new());
            let opened = gate.clone();
            let task = create_task(async move {
                opened.wait().await;
                7
            });
            for n in 0..5 {
                let said = said.clone();
                task.add_done_callback(move |task| {
                    assert!(task.is_finished());
                    assert_ne!(current_task().as_ref(), Some(task), "a step of its own");
                    said.put_nowait(n).expect("unbounded");
                });
            }
            gate.set();
            for n in 0..5 {
                assert_eq!(said.get().await.expect("open"), n);
            }
            assert_eq!(task.await.expect("it ends"), 7);
        });
    });
}

#[test]
fn callback_registered_after_the_end_runs_at_once_but_not_inline() {
    both(|runtime| {
        runtime.block_on(async {
            let task = create_task(async {});
            let ended = task.as_ref();
            task.await.expect("it ends");
            let called = Arc::new(Event::new());
            let here = std::thread::current().id();
            let inline = Arc::new(Mutex::new(true));
            ended.add_done_callback({
                let (called, inline) = (called.clone(), inline.clone());
                move |_| {
                    if std::thread::current().id() == here {
                        assert!(!*inline.lock(), "called inside the registration");
                    }
                    called.set();
                }
            });
            *inline.lock() = false;
            called.wait().await;
        });
    });
}

#[test]
fn callback_of_a_cancelled_or_panicked_task_runs_too() {
    both(|runtime| {
        runtime.block_on(async {
            let said = Queue::new(0);
            let waits = create_task(std::future::pending::<()>());
            let panics = create_task(async { panic!("on purpose") });
            for task in [waits.as_ref(), panics.as_ref()] {
                let said = said.clone();
                task.add_done_callback(move |task| said.put_nowait(task.id()).expect("unbounded"));
            }
            assert!(panics.await.expect_err("it panics").is_panic());
            waits.cancel();
            assert!(waits.await.expect_err("it is cancelled").is_cancelled());
            said.get().await.expect("open");
            said.get().await.expect("open");
        });
    });
}

#[test]
fn callback_sees_the_context_of_its_registration_and_leaks_nothing() {
    both(|runtime| {
        runtime.block_on(async {
            drop(DEPTH.set(1));
            let said = Queue::new(0);
            let task = create_task(std::future::pending::<()>());
            for n in 1..3 {
                drop(DEPTH.set(n));
                let said = said.clone();
                task.add_done_callback(move |_| {
                    said.put_nowait(DEPTH.get()).expect("unbounded");
                    drop(DEPTH.set(100));
                });
            }
            drop(DEPTH.set(3));
            task.cancel();
            assert_eq!(said.get().await.expect("open"), Some(1));
            assert_eq!(said.get().await.expect("open"), Some(2));
            assert_eq!(DEPTH.get(), Some(3));
        });
    });
}

#[test]
fn panic_in_a_callback_is_reported_and_the_others_run() {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let kept = reports.clone();
    let runtime = Runtime::builder()
        .worker_threads(2)
        .unhandled_error(move |error| kept.lock().push(error.to_string()))
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let called = Arc::new(Event::new());
        let gate = Arc::new(Event::new());
        let opened = gate.clone();
        let task = create_task(async move { opened.wait().await });
        task.add_done_callback(|_| panic!("in the callback"));
        let other = called.clone();
        task.add_done_callback(move |_| other.set());
        gate.set();
        called.wait().await;
    });
    let reports = reports.lock();
    let [report] = &reports[..] else {
        panic!("{reports:?}");
    };
    assert!(
        report.ends_with("has ended, and a done callback of it panicked: in the callback"),
        "{report}"
    );
}

#[test]
fn removed_callback_is_dropped_and_never_called() {
    both(|runtime| {
        runtime.block_on(async {
            let held = Arc::new(());
            let go = Arc::new(Event::new());
            let task = create_task({
                let go = go.clone();
                async move { go.wait().await }
            });
            let id = task.add_done_callback({
                let held = held.clone();
                move |_| unreachable!("{held:?} was removed")
            });
            assert!(task.remove_done_callback(id));
            assert_eq!(Arc::strong_count(&held), 1);
            assert!(!task.remove_done_callback(id));
            go.set();
            task.await.expect("it ends");
        });
    });
}

#[test]
fn callbacks_run_when_the_runtime_stops() {
    for builder in [
        Runtime::builder().worker_threads(2),
        Runtime::builder().current_thread(),
    ] {
        let runtime = builder.build().expect("a runtime");
        let called = Arc::new(Mutex::new(0));
        runtime.block_on(async {
            let main = current_task().expect("a task");
            for task in [
                main,
                create_task(std::future::pending::<()>()).as_ref(),
                create_task(async {}).as_ref(),
            ] {
                let called = called.clone();
                task.add_done_callback(move |_| *called.lock() += 1);
            }
        });
        let report = runtime.shutdown_timeout(Duration::from_secs(5));
        assert!(report.is_clean(), "{report}");
        assert_eq!(*called.lock(), 3);
    }
}

#[test]
fn callback_registered_outside_every_runtime_is_called_there() {
    let runtime = Runtime::new().expect("a runtime");
    let task = runtime.handle().create_task(async {}).as_ref();
    drop(runtime);
    let called = Arc::new(Mutex::new(false));
    let kept = called.clone();
    task.add_done_callback(move |_| *kept.lock() = true);
    assert!(*called.lock());
}

#[test]
fn callbacks_registered_while_tasks_end_run_exactly_once() {
    let runtime = Runtime::builder()
        .worker_threads(2)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let said = Queue::new(0);
        for n in 0..500 {
            let task = create_task(async {});
            let said = said.clone();
            task.add_done_callback(move |_| said.put_nowait(n).expect("unbounded"));
        }
        let mut seen = Vec::new();
        for _ in 0..500 {
            seen.push(said.get().await.expect("open"));
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..500));
        assert!(said.is_empty());
    });
}
