//! Done callbacks against the end of their task: T14 and T15 against T9.

use loxley_loom_tests::support::Board;
use loxley_sync::prim::atomic::{AtomicUsize, Ordering};
use loxley_sync::prim::{Arc, model, thread};

/// Registers one callback that counts its calls.
fn count_end(task: &loxley_runtime::model::TaskRef, calls: &Arc<AtomicUsize>) {
    let calls = calls.clone();
    task.add_done_callback(move |task| {
        assert!(task.is_finished());
        // ordering: relaxed, read after the threads were joined.
        calls.fetch_add(1, Ordering::Relaxed);
    });
}

// edges: T9, T14, T15
#[test]
fn callback_registered_while_the_task_ends() {
    model(|| {
        let board = Board::new();
        let (scheduled, handle) = board.task(async {});
        let task = handle.as_ref();
        drop(handle);
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let other = thread::spawn(move || count_end(&task, &counted));
        board.put(scheduled);
        assert!(board.turn());
        other.join().expect("no panic");
        // ordering: relaxed, both threads are through.
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    });
}

// edges: T9, T14, T15
#[test]
fn two_callbacks_registered_while_the_task_ends() {
    model(|| {
        let board = Board::new();
        let (scheduled, handle) = board.task(async {});
        let calls = Arc::new(AtomicUsize::new(0));
        count_end(&handle.as_ref(), &calls);
        let task = handle.as_ref();
        let counted = calls.clone();
        let other = thread::spawn(move || count_end(&task, &counted));
        board.put(scheduled);
        assert!(board.turn());
        drop(handle);
        other.join().expect("no panic");
        // ordering: relaxed, both threads are through.
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    });
}
