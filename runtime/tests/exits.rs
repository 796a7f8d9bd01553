//! Programs that end while a runtime works, and threads whose own clean-up goes wrong: each in a process of its own.

#[path = "../../tests/support/mod.rs"]
mod support;

use loxley_runtime::{Runtime, create_task, sleep, to_thread, yield_now};
use std::os::unix::process::ExitStatusExt;
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
                std::thread::park();
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
    if !is_child(NAME) {
        let output = in_child(NAME, &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
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
