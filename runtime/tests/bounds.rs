//! What may go to another thread and what may not, both ways, for every public type of the runtime. These tests fail by
//! not compiling, or by a table that does not match.

use loxley_runtime::lowlevel::{AsyncIo, Direction, Interest, ReadyEvent, Registration};
use loxley_runtime::task::UnhandledError;
use loxley_runtime::{
    Builder, ConcurrentFuture, EnterGuard, Handle, Interval, Metrics, Runtime, ShutdownReport,
    Sleep, Task, TaskError, TaskRef, Timeout, TimeoutError, WorkerMetrics, create_task, sleep,
    task, to_thread, yield_now,
};
use std::cell::Cell;
use std::future::{Future, Pending};
use std::marker::{PhantomData, PhantomPinned};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;
use std::sync::MutexGuard;

/// Asks whether a type has a trait, by the method that wins: an inherent one exists only where the bound holds.
struct Ask<T>(PhantomData<fn() -> T>);

impl<T> Ask<T> {
    fn new() -> Self {
        Self(PhantomData)
    }
}

macro_rules! asks {
    ($($question:ident, $other:ident: $bound:path;)*) => {$(
        impl<T: $bound> Ask<T> {
            #[allow(dead_code, reason = "asked or not, by type")]
            fn $question(&self) -> bool {
                true
            }
        }

        trait $other {
            fn $question(&self) -> bool {
                false
            }
        }

        impl<T> $other for &Ask<T> {}
    )*};
}

asks! {
    is_send, NotSend: Send;
    is_sync, NotSync: Sync;
    is_unpin, NotUnpin: Unpin;
    is_clone, NotClone: Clone;
}

macro_rules! table {
    ($($type:ty: $($answer:ident)*;)*) => {$({
        let ask = &Ask::<$type>::new();
        let expected: &[&str] = &[$(stringify!($answer)),*];
        for (name, holds) in [
            ("send", ask.is_send()),
            ("sync", ask.is_sync()),
            ("unpin", ask.is_unpin()),
            ("clone", ask.is_clone()),
        ] {
            let says = stringify!($type);
            assert_eq!(holds, expected.contains(&name), "{says}: {name}");
        }
    })*};
}

#[test]
fn every_public_type_is_send_sync_unpin_and_clone_where_it_says_so() {
    table! {
        Runtime: send sync unpin;
        Handle: send sync unpin clone;
        EnterGuard<'static>: unpin;
        Builder: send sync unpin;
        ShutdownReport: send sync unpin;
        Metrics: send sync unpin clone;
        WorkerMetrics: send sync unpin clone;
        TaskRef: send sync unpin clone;
        TaskError: send sync unpin;
        task::Panic: send sync unpin;
        task::Builder: send sync unpin;
        task::TaskId: send sync unpin clone;
        UnhandledError: send sync unpin;
        TimeoutError: send sync unpin clone;
        Interval: send sync unpin;
        Registration: send sync unpin;
        ReadyEvent: send sync unpin clone;
        Direction: send sync unpin clone;
        Interest: send sync unpin clone;
    }
}

#[test]
fn a_handle_is_as_movable_as_the_output_it_may_take() {
    table! {
        Task<u8>: send sync unpin;
        Task<Cell<u8>>: send sync unpin;
        Task<Rc<u8>>: unpin;
        Task<MutexGuard<'static, u8>>: unpin;
        Task<*mut u8>: unpin;
        ConcurrentFuture<Cell<u8>>: send sync unpin;
        Timeout<Pending<()>>: send sync unpin;
        Timeout<Pending<Rc<u8>>>: send sync unpin;
        Timeout<Rc<u8>>: unpin;
        Timeout<PhantomPinned>: send sync;
        AsyncIo<'static, fn()>: send sync unpin;
        AsyncIo<'static, Rc<u8>>: unpin;
    }
}

/// So that a program which catches panics need not assert it for what it only uses.
#[test]
fn a_panic_that_is_caught_leaves_nothing_behind_in_the_handles() {
    fn unharmed<T: UnwindSafe + RefUnwindSafe>() {}
    unharmed::<(Runtime, Handle, TaskRef, Registration)>();
    unharmed::<Task<Cell<u8>>>();
}

#[test]
fn a_sleep_may_be_moved_between_its_polls() {
    table! {
        Sleep: send sync unpin;
    }
}

#[test]
fn our_own_futures_may_be_awaited_in_tasks() {
    fn sent<F: Future + Send>(_: fn() -> F) {}
    sent(yield_now);
    sent(|| sleep(std::time::Duration::ZERO));
    sent(|| to_thread(|| 1));
    sent(|| loxley_runtime::timeout(std::time::Duration::ZERO, async {}));
    sent(|| create_task(async {}));
}
