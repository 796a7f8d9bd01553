//! Programs that end while a runtime works, and threads whose own clean-up goes wrong: each in a process of its own.

#[path = "../../tests/support/mod.rs"]
mod support;

use loxley_runtime::{
    Runner, Runtime, create_local_task, create_task, current_task, sleep, to_thread, yield_now,
};
use loxley_sync::{Event, oneshot};
use std::cell::RefCell;
use std::future::pending;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;
use support::*;

#[test]
fn a_process_that_exits_while_workers_run_ends_with_its_status() {
    const NAME: &str = "a_process_that_exits_while_workers_run_ends_with_its_status";
    const STATUS: i32 = 7;
    if !is_child(NAME) {
        for _ in 0..10 {
            assert_eq!(in_child(NAME, &[]).status.code(), Some(STATUS));
        }
        return;
    }
    let runtime = Runtime::builder().worker_threads(4).build().unwrap();
    runtime.block_on(async {
        for _ in 0..100 {
            drop(create_task(async {
                loop {
                    yield_now().await;
                }
            }));
            drop(create_task(async {
                loop {
                    sleep(Duration::from_micros(50)).await;
                }
            }));
        }
        drop(create_task(to_thread(|| {
            loop {
                thread::park();
            }
        })));
        sleep(Duration::from_millis(1)).await;
        std::process::exit(STATUS);
    });
}

/// As std has it for every thread: there is nobody left to whom the panic could be reported.
#[test]
fn a_thread_local_that_panics_when_a_worker_ends_aborts_the_process() {
    const NAME: &str = "a_thread_local_that_panics_when_a_worker_ends_aborts_the_process";
    const SIGABRT: i32 = 6;
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a thread-local");
        }
    }
    thread_local! {
        static BOMB: Bomb = const { Bomb };
    }
    if !is_child(NAME) {
        let output = in_child(NAME, &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(SIGABRT), "{said}");
        assert!(said.contains("thread local panicked on drop"), "{said}");
        return;
    }
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let armed = runtime.handle().create_task(async { BOMB.with(|_| ()) });
    runtime.block_on(armed).unwrap();
    drop(runtime);
}

#[test]
fn a_thread_local_of_a_worker_may_still_use_the_runtime_when_it_goes() {
    const NAME: &str = "a_thread_local_of_a_worker_may_still_use_the_runtime_when_it_goes";
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            // Refused, or panics as outside of every runtime: it does not hang, and it breaks nothing.
            let tried = std::panic::catch_unwind(|| drop(create_task(async {})));
            drop(tried);
        }
    }
    thread_local! {
        static LATE: Late = const { Late };
    }
    if !is_alone(NAME, &[]) {
        return;
    }
    for flavour in ALL {
        let runtime = flavour.builder().build().unwrap();
        let armed = runtime.handle().create_task(async { LATE.with(|_| ()) });
        runtime.block_on(armed).unwrap();
        runtime.block_on(to_thread(|| LATE.with(|_| ())));
        let report = runtime.shutdown_timeout(Duration::from_secs(10));
        assert!(report.is_clean(), "{report}");
    }
}

fn use_and_leave_in_a_thread_local(flavour: Flavour, in_runner: bool, drops: &Count) {
    thread_local! {
        static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
        static RUNNER: RefCell<Option<Runner>> = const { RefCell::new(None) };
    }
    // Registered before all that the runtime keeps for a thread, and so dropped after it.
    RUNTIME.with(|_| ());
    RUNNER.with(|_| ());
    let token = drops.token();
    let main = async {
        let waits = async move {
            let _token = token;
            pending::<()>().await;
        };
        drop(create_task(waits));
        to_thread(|| ()).await;
    };
    let builder = flavour.builder();
    // Whose own thread-local has gone by then.
    #[cfg(feature = "tokio-context")]
    let builder = builder.tokio_context(true);
    if in_runner {
        let mut runner = builder.build_runner().unwrap();
        runner.run(main).unwrap();
        RUNNER.set(Some(runner));
    } else {
        let runtime = builder.build().unwrap();
        runtime.block_on(main);
        RUNTIME.set(Some(runtime));
    }
}

#[test]
fn a_runtime_in_a_thread_local_ends_with_its_thread_and_drops_its_tasks() {
    const NAME: &str = "a_runtime_in_a_thread_local_ends_with_its_thread_and_drops_its_tasks";
    if !is_alone(NAME, &[]) {
        return;
    }
    for (flavour, in_runner) in BOTH.into_iter().flat_map(|it| [(it, false), (it, true)]) {
        let drops = Count::default();
        let theirs = drops.clone();
        let body = move || use_and_leave_in_a_thread_local(flavour, in_runner, &theirs);
        thread::spawn(body).join().unwrap();
        assert_eq!(drops.get(), 1, "{flavour:?}, in a runner: {in_runner}");
    }
}

#[test]
fn a_thread_local_that_goes_may_block_on_a_runtime() {
    const NAME: &str = "a_thread_local_that_goes_may_block_on_a_runtime";
    struct Late(Arc<Runtime>, Count);
    impl Drop for Late {
        fn drop(&mut self) {
            let answer = self.0.block_on(async {
                let local = create_local_task(async { 1 }).await.unwrap();
                local + to_thread(|| 2).await
            });
            assert_eq!(answer, 3);
            self.1.add();
        }
    }
    thread_local! {
        static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
    }
    if !is_alone(NAME, &[]) {
        return;
    }
    for flavour in BOTH {
        let (runtime, count) = (
            Arc::new(flavour.builder().build().unwrap()),
            Count::default(),
        );
        let late = Late(runtime.clone(), count.clone());
        let body = move || {
            LATE.set(Some(late));
            runtime.block_on(async { create_local_task(yield_now()).await.unwrap() });
        };
        thread::spawn(body).join().unwrap();
        assert_eq!(count.get(), 1);
    }
}

/// It would wait for itself, and for the thread that retires after it and waits for it.
#[test]
fn a_pool_thread_whose_thread_local_has_the_last_runtime_waits_for_no_thread() {
    const NAME: &str = "a_pool_thread_whose_thread_local_has_the_last_runtime_waits_for_no_thread";
    struct Last {
        runtime: Option<Arc<Runtime>>,
        goes: Option<Sender<()>>,
        ends: Count,
    }
    impl Drop for Last {
        fn drop(&mut self) {
            // This thread has retired. So does the other one now, and then waits for this one to be gone.
            self.goes = None;
            let runtime = self.runtime.take().unwrap();
            let threads = || runtime.handle().metrics().blocking_threads;
            spin_until(|| threads() == 0 && Arc::strong_count(&runtime) == 1);
            drop(runtime);
            self.ends.add();
        }
    }
    thread_local! {
        static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
    }
    if !is_alone(NAME, &[]) {
        return;
    }
    for flavour in BOTH {
        bounded(move |_| {
            let builder = flavour.builder();
            let builder = builder.thread_keep_alive(Duration::from_millis(1));
            let (runtime, drops) = (Arc::new(builder.build().unwrap()), Count::default());
            let token = drops.token();
            drop(runtime.handle().create_task(async move {
                let _token = token;
                pending::<()>().await;
            }));
            let ends = Count::default();
            let (begins, begun) = oneshot::channel::<()>();
            let (goes, gone) = channel::<()>();
            let last = Last {
                runtime: Some(runtime.clone()),
                goes: Some(goes),
                ends: ends.clone(),
            };
            runtime.block_on(async {
                drop(create_task(to_thread(move || {
                    drop(begins);
                    gone.recv().unwrap_err();
                })));
                begun.await.unwrap_err();
                // On a second thread: the first one is busy.
                to_thread(move || LAST.set(Some(last))).await;
            });
            drop(runtime);
            spin_until(|| ends.get() == 1);
            assert_eq!(drops.get(), 1);
        });
    }
}

#[test]
fn without_a_thread_for_it_a_runtime_dropped_in_a_task_drops_its_tasks_there() {
    const NAME: &str = "without_a_thread_for_it_a_runtime_dropped_in_a_task_drops_its_tasks_there";
    // A thread whose stack is as large as that is refused.
    if !is_alone(NAME, &[("RUST_MIN_STACK", "35184372088832")]) {
        return;
    }
    assert!(thread::Builder::new().spawn(|| ()).is_err());
    let outer = Runtime::builder().current_thread().build().unwrap();
    let drops = Count::default();
    let waker = Arc::new(Event::new());
    outer.block_on(async {
        for end in [drop::<Runtime>, Runtime::shutdown_background] {
            let inner = Runtime::builder().current_thread().build().unwrap();
            let (token, event) = (drops.token(), waker.clone());
            let task = inner.handle().create_task(async move {
                let _token = token;
                event.wait().await;
            });
            end(inner);
            assert!(task.is_cancelled());
        }
        assert!(current_task().is_some(), "this task goes on");
    });
    assert_eq!(drops.get(), 2);
    waker.set();
}
