//! A process that is forked and goes on as it is: it has the memory of a runtime and none of its threads. Alone in its file,
//! because the fork has only the thread that forks.
#![cfg(unix)]
#![expect(unsafe_code, reason = "std has no fork")]

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loxley_io::lookup_host;
use loxley_runtime::{Runtime, create_task, sleep, timeout};
use rustix::process::{Pid, WaitOptions, waitpid};

/// How the child says that all was as it should be.
const FINE: i32 = 7;

#[test]
fn a_forked_process_is_told_to_make_its_own_runtime_and_the_parent_goes_on() {
    let runtime = Runtime::builder().worker_threads(2).build();
    // What the child takes is still the parent's.
    let mut runtime = Some(runtime.expect("a runtime"));
    let of_both = runtime.as_ref().expect("not taken yet");
    let ticking = of_both.handle().create_task(async {
        for _ in 0..20 {
            sleep(Duration::from_millis(1)).await;
        }
        "ticked"
    });
    let ended = Arc::new(AtomicUsize::new(0));
    let [mut dropped, mut stopped] = [(); 2].map(|()| Some(waiting(Token(ended.clone()))));
    // Serves look-ups of this process, by threads that the child has not.
    let known = of_both.block_on(lookup_host("localhost:80"));
    drop(known.expect("every system knows it"));
    in_fork(|| {
        let inherited = runtime.as_ref().expect("not taken yet");
        let told = catch_unwind(AssertUnwindSafe(|| inherited.block_on(async {})));
        let text = told.expect_err("it has no threads");
        let text = text.downcast_ref::<&str>().copied().unwrap_or_default();
        let own = Runtime::builder()
            .worker_threads(2)
            .build()
            .expect("its own");
        let sum = own.block_on(async {
            let task = create_task(async { 3 });
            sleep(Duration::from_millis(1)).await;
            let known = timeout(Duration::from_secs(10), lookup_host("localhost:80")).await;
            drop(known.expect("it has threads of its own").expect("as above"));
            4 + task.await.expect("no panic")
        });
        drop(own);
        drop(runtime.take());
        // Where nothing may wait, no more is touched than elsewhere.
        Runtime::builder()
            .current_thread()
            .build()
            .expect("its own")
            .block_on(async { drop(dropped.take()) });
        stopped.take().expect("not taken yet").shutdown_background();
        let is_untouched = ended.load(Ordering::Relaxed) == 0;
        text.contains("make a new `Runtime` here") && sum == 7 && is_untouched
    });
    let ticked = runtime.expect("the parent's").block_on(ticking);
    assert_eq!(ticked.expect("no panic"), "ticked");
}

/// Calls `f` in a fork of this process; it must say that all was well.
#[track_caller]
fn in_fork(f: impl FnOnce() -> bool) {
    // SAFETY: the child uses what this thread owns and memory from the system's allocator, which survives a fork; the locks of
    // the runtime it inherits are what is under test.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let is_fine = catch_unwind(AssertUnwindSafe(f)).unwrap_or(false);
        // SAFETY: ends the child at once: what libtest would do at its end is the parent's.
        unsafe { libc::_exit(if is_fine { FINE } else { 1 }) };
    }
    let (_, status) = waitpid(Pid::from_raw(pid), WaitOptions::empty())
        .expect("a child")
        .expect("it ended");
    assert_eq!(status.exit_status(), Some(FINE));
}

/// A runtime whose task, which holds `token`, is touched by the end of the runtime alone.
fn waiting(token: Token) -> Runtime {
    let runtime = Runtime::builder().current_thread().build();
    let runtime = runtime.expect("a runtime");
    drop(runtime.handle().create_task(async move {
        let _token = token;
        pending::<()>().await;
    }));
    runtime
}

/// Counts its drop.
struct Token(Arc<AtomicUsize>);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
