//! A task's waker: its four functions, and the two ways to come by one.
#![expect(unsafe_code, reason = "RawWaker is made of raw pointers")]

use super::cell::Header;
use super::trace::WakerOp;
use super::{TaskRef, raw, run};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::task::{Context, RawWaker, RawWakerVTable, Waker};

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);

/// The waker for one poll: it borrows the poller's right to the task and takes no reference.
///
/// # Safety
///
/// The task must stay alive while the returned value is used; it must not be moved out of the `ManuallyDrop`.
pub(super) unsafe fn borrowed(header: NonNull<Header>) -> ManuallyDrop<Waker> {
    let raw = RawWaker::new(header.as_ptr().cast_const().cast(), &VTABLE);
    // SAFETY: the functions below keep RawWaker's contract; the missing reference is made up for by never dropping it.
    ManuallyDrop::new(unsafe { Waker::from_raw(raw) })
}

/// A waker of a task, for whoever is not polled by it.
pub(crate) fn waker_of(task: &TaskRef) -> Waker {
    // SAFETY: the caller's reference keeps the task alive; the clone takes one of its own.
    let waker = unsafe { borrowed(task.as_ptr()) };
    (*waker).clone()
}

/// Whether `cx` is that of the task polled on this thread, and the task was woken since its poll began: it has another turn
/// whatever it waits for.
pub(crate) fn has_another_turn(cx: &Context<'_>) -> bool {
    let data = NonNull::new(cx.waker().data().cast_mut().cast::<Header>());
    data.is_some_and(|header| {
        // SAFETY: the task that is being polled is alive.
        run::is_current(header) && unsafe { header.as_ref() }.state.load().is_scheduled()
    })
}

fn header(data: *const ()) -> NonNull<Header> {
    NonNull::new(data.cast_mut().cast()).expect("made from a NonNull")
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the waker being cloned keeps the task alive.
    let header = unsafe { header(data).as_ref() };
    header.state.retain();
    header.trace.waker(WakerOp::Clone);
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake(data: *const ()) {
    let header = header(data);
    // SAFETY: this waker's reference keeps the task alive until the edge.
    let task = unsafe { header.as_ref() };
    task.trace.waker(WakerOp::Wake);
    let duty = task.state.wake_by_val();
    // SAFETY: the duty of the edge just made.
    unsafe { raw::follow_wake(header, duty) };
}

unsafe fn wake_by_ref(data: *const ()) {
    let header = header(data);
    // SAFETY: the waker keeps the task alive.
    let task = unsafe { header.as_ref() };
    task.trace.waker(WakerOp::WakeByRef);
    let duty = task.state.wake_by_ref();
    // SAFETY: the duty of the edge just made.
    unsafe { raw::follow_wake(header, duty) };
}

unsafe fn drop(data: *const ()) {
    let header = header(data);
    // SAFETY: this waker's reference keeps the task alive until it is given up.
    unsafe { header.as_ref() }.trace.waker(WakerOp::Drop);
    // SAFETY: this waker's reference is given up.
    unsafe { raw::release(header) };
}
