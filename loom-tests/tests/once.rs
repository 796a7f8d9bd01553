//! Models of `sync/src/once.rs`: it has no word of its own, and stands on the edges of `lock.rs`.

use loxley_sync::OnceCell;
use loxley_sync::prim::atomic::{AtomicUsize, Ordering};
use loxley_sync::prim::{Arc, model, thread};
use loxley_sync::wait::block_on;
use std::future::pending;
use std::pin::pin;
use std::task::{Context, Waker};

// edges: who computes holds the lock, who waits for it looks again
#[test]
fn two_compute() {
    model(|| {
        let cell = Arc::new((OnceCell::new(), AtomicUsize::new(0)));
        let ask = |cell: &(OnceCell<usize>, AtomicUsize)| {
            // The value itself is the standard library's, and no access to the model: this one stands for it.
            // ordering: relaxed, a count.
            let _ = cell.1.load(Ordering::Relaxed);
            // ordering: relaxed, a count.
            let compute = || async { cell.1.fetch_add(1, Ordering::Relaxed) + 1 };
            *block_on(cell.0.get_or_init(compute))
        };
        let asking = {
            let cell = cell.clone();
            thread::spawn(move || ask(&cell))
        };
        assert_eq!(ask(&cell), 1);
        assert_eq!(asking.join().unwrap(), 1);
        // ordering: relaxed, a count; the join came before.
        assert_eq!(cell.1.load(Ordering::Relaxed), 1, "computed once");
    });
}

// edges: a computation that is dropped releases the lock, and the next computes
#[test]
fn dropped_computation_strands_the_next() {
    model(|| {
        let cell = Arc::new(OnceCell::new());
        let asking = {
            let cell = cell.clone();
            thread::spawn(move || *block_on(cell.get_or_init(|| async { 2 })))
        };
        {
            let mut cx = Context::from_waker(Waker::noop());
            let _ = pin!(cell.get_or_init(pending::<u8>)).poll(&mut cx);
        }
        assert_eq!(asking.join().unwrap(), 2);
        assert_eq!(cell.get(), Some(&2));
    });
}
