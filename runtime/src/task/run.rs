//! One poll from start to decision: the only place that polls a user's future, and the only `catch_unwind` around it.
//!
//! Called by `Scheduled::run`, on the thread of a worker or of `block_on`. No lock of ours is held here.
#![expect(
    unsafe_code,
    reason = "reaches the future through the erased cell while *running* is ours"
)]

use super::after::Last;
use super::cancel::{self, Delivered};
use super::cell::{Cell, Header, Stage};
use super::raw::{self, Scheduled, Turn};
use super::state::{Complete, EndPoll, StartPoll};
use super::trace::Trace;
use super::unhandled::{Cause, Reporter, UnhandledError};
use super::{Failure, Panic, Schedule, TaskId, TaskRef, callbacks, panic_message, waker};
use crate::payload::{contain, drop_quietly};
use loxley_sync::ambient::grants::Watches;
use loxley_sync::ambient::{self, Asked, Left, WaitKind, WaitReason};
use loxley_sync::prim::cell::UnsafeCell;
use std::any::Any;
use std::cell::Cell as StdCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

loxley_sync::prim::thread::thread_local! {
    /// The task this thread is polling.
    static CURRENT: StdCell<Option<NonNull<Header>>> = const { StdCell::new(None) };
}

/// The header of the task that is being polled on this thread, if any.
#[inline]
fn current() -> Option<NonNull<Header>> {
    CURRENT.try_with(StdCell::get).ok().flatten()
}

/// The task that is being polled on this thread, if any.
pub(crate) fn current_task() -> Option<TaskRef> {
    let header = current()?;
    // SAFETY: `Entered` removes the pointer before the poller gives up *running*, so the task is alive.
    Some(unsafe { TaskRef::retained(header) })
}

/// The number of the task that is being polled on this thread, if any.
#[inline]
pub(crate) fn current_id() -> Option<TaskId> {
    let header = current()?;
    // SAFETY: as in `current_task`.
    Some(unsafe { header.as_ref() }.id)
}

/// The handler of the runtime whose task is being polled on this thread.
pub(super) fn current_reporter() -> Option<Reporter> {
    let header = current()?;
    // SAFETY: as in `current_task`.
    let reporter = unsafe { header.as_ref() }.vtable.reporter;
    // SAFETY: the table belongs to this task, which is being polled and so not complete.
    Some(unsafe { reporter(header) })
}

/// The ambient of one poll: the current task, its context variables and a fresh record for the leaves.
///
/// User code that runs in it is caught when it panics, so [`leave`](Self::leave) always comes.
#[must_use = "the outer ambient comes back with `leave`"]
struct Entered {
    task: Option<NonNull<Header>>,
    /// The context variables of whoever polls.
    context: Option<loxley_sync::Context>,
    outer: ambient::Outer,
}

impl Entered {
    /// # Safety
    ///
    /// The caller must hold *running* until [`leave`](Self::leave) has returned.
    #[inline]
    unsafe fn new(header: NonNull<Header>, asked: Asked) -> Self {
        // SAFETY: *running* is the caller's, which keeps the task alive.
        let task = unsafe { header.as_ref() };
        // SAFETY: as above.
        let context = unsafe { task.take_context() };
        Self {
            context: ambient::swap_context(context),
            task: CURRENT.with(|current| current.replace(Some(header))),
            // SAFETY: the task is kept alive by *running*, which is given up after `leave`.
            outer: unsafe { ambient::enter_task(header, asked) },
        }
    }

    /// Debug mode: whose grants this poll must pick up.
    #[inline]
    fn watches<'a>(&self, header: &'a Header) -> Option<&'a Watches> {
        if !self.outer.watches_grants() {
            return None;
        }
        Some(&header.cold.get()?.watches)
    }

    #[inline]
    fn leave(self, header: &Header) -> Left {
        CURRENT.with(|current| current.set(self.task));
        if let Some(context) = ambient::swap_context(self.context) {
            // The task's context, or its first, made by the poll.
            // SAFETY: *running* is still the caller's.
            unsafe { header.put_context(context) };
        }
        ambient::leave(self.outer)
    }
}

/// T2 to T6, T7 or T9.
///
/// # Safety
///
/// `header` must belong to a `Cell<F>` scheduled by an `S`, and the right to poll passes to this function.
pub(super) unsafe fn poll<F: Future, S: Schedule>(header: NonNull<Header>) -> Turn {
    // SAFETY: the right to poll, and after T2 *running*, keep the cell alive until T6, T7 or T9.
    let cell = unsafe { header.cast::<Cell<F>>().as_ref() };
    let state = &cell.header.state;
    let mut asked = match state.start_poll() {
        StartPoll::Poll => Asked::default(),
        StartPoll::Deliver => match cancel::deliver(&cell.header, cell.header.has_outsiders()) {
            Delivered::Inside(asked) => asked,
            // SAFETY: T2 made *running* ours.
            Delivered::Root => return unsafe { end_cancelled::<F, S>(header) },
        },
    };
    let mut is_early = false;
    loop {
        // SAFETY: *running* is ours since T2, and stays so beyond `leave`.
        let entered = unsafe { Entered::new(header, asked) };
        if let Some(watches) = entered.watches(&cell.header) {
            watches.before_poll();
        }
        // SAFETY: *running* keeps the task alive through this call, and the waker stays inside it.
        let waker = unsafe { waker::borrowed(header) };
        let result = catch_unwind(AssertUnwindSafe(|| {
            let _span = Trace::enter(&cell.header, size_of::<F>());
            let mut cx = Context::from_waker(&waker);
            // SAFETY: *running* is ours since T2.
            unsafe { poll_stage(&cell.stage, &mut cx) }
        }));
        match result {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(output)) => {
                // SAFETY: *running* is ours, in the ambient of the poll.
                return unsafe { end_ready::<F, S>(header, output, entered) };
            }
            // SAFETY: as above.
            Err(payload) => return unsafe { end_panicked::<F, S>(header, payload, entered) },
        }
        let watches = entered.watches(&cell.header).filter(|_| !asked.enter);
        let missed = watches.map(|watches| missed_grants(watches, &cell.header, &waker));
        let left = entered.leave(&cell.header);
        cell.header.set_left(left);
        if let Some(missed) = missed {
            // SAFETY: *running* is ours.
            unsafe { report_missed::<S>(header, missed) };
        }
        // T8: somebody asked during the poll. Without a scope, what it waits for now is given up at once, and a task that it
        // waits for is asked at once; a scope that catches or holds acts in the poll that T10 has seen to.
        if state.requested() {
            match cancel::deliver(&cell.header, left.has_outsiders) {
                // SAFETY: *running* is still ours.
                Delivered::Root => return unsafe { end_cancelled::<F, S>(header) },
                // The scopes have entered, some without having polled what is inside: this turn is theirs to act.
                Delivered::Inside(next) if asked.enter && (!is_early || next.forwards) => {
                    asked = next;
                    continue;
                }
                // Scopes enter at once. Once a turn: a future may ask its own task in each poll.
                Delivered::Inside(next) if !is_early && (next.enter || next.forwards) => {
                    is_early = true;
                    asked = next;
                    continue;
                }
                // The rest is for the next turn, which T10 has seen to unless the request is older than this poll.
                Delivered::Inside(next) if next.enter || asked.enter => {
                    let _ = state.wake_by_ref();
                }
                Delivered::Inside(_) => {}
            }
        }
        return match state.end_poll() {
            EndPoll::Rest => Turn::Rest,
            // SAFETY: T7 gave the right to poll back.
            EndPoll::Requeue => Turn::Requeue(unsafe { Scheduled::from_raw(header) }),
        };
    }
}

/// Debug mode: what the poll that has ended was granted and did not pick up. A task that was woken meanwhile is polled again
/// at once: somebody in it may be polling his futures bit by bit.
#[cold]
fn missed_grants(watches: &Watches, header: &Header, waker: &Waker) -> Vec<WaitReason> {
    let mut missed = Vec::new();
    if !header.state.load().is_scheduled() && watches.after_poll(|granted| missed.push(granted)) {
        waker.wake_by_ref();
    }
    missed
}

/// The future returned a value.
///
/// # Safety
///
/// `header` belongs to a `Cell<F>` under an `S`, and *running* is the caller's, in the ambient `entered`.
unsafe fn end_ready<F: Future, S: Schedule>(
    header: NonNull<Header>,
    output: F::Output,
    entered: Entered,
) -> Turn {
    // SAFETY: *running* keeps the cell alive.
    let cell = unsafe { header.cast::<Cell<F>>().as_ref() };
    if cell.header.state.requested() && cancel::gives_up_value(&cell.header) {
        // SAFETY: the same contract; what the future left goes with it.
        return unsafe { end_with_value::<F, S>(header, output, entered) };
    }
    // The future goes before the output is stored, in the task's context, so that what it gives back is back by the time
    // anybody sees the task complete. If its drop panics, the value still stands.
    // SAFETY: *running* is ours.
    let dropped = catch_unwind(AssertUnwindSafe(|| unsafe { drop_future(&cell.stage) }));
    if let Err(payload) = dropped {
        // SAFETY: *running* keeps the task alive, and incomplete.
        unsafe { report_drop::<S>(header, payload) };
    }
    let _ = entered.leave(&cell.header);
    // SAFETY: *running* is ours, the future is dropped.
    unsafe { finish::<F, S>(header, Ok(output)) }
}

/// The future panicked, and still stands where it did.
///
/// # Safety
///
/// As [`end_ready`].
#[cold]
unsafe fn end_panicked<F: Future, S: Schedule>(
    header: NonNull<Header>,
    payload: Box<dyn Any + Send>,
    entered: Entered,
) -> Turn {
    // SAFETY: *running* keeps the cell alive.
    let cell = unsafe { header.cast::<Cell<F>>().as_ref() };
    let failure = Failure::Panicked(Box::new(Panic::new(payload)));
    // SAFETY: *running* is ours.
    let dropped = catch_unwind(AssertUnwindSafe(|| unsafe { drop_future(&cell.stage) }));
    if let Err(second) = dropped {
        drop_quietly(second);
    }
    let _ = entered.leave(&cell.header);
    // SAFETY: *running* is ours, the future is dropped.
    unsafe { finish::<F, S>(header, Err(failure)) }
}

/// # Safety
///
/// *running* must be the caller's.
#[inline]
unsafe fn poll_stage<F: Future>(
    stage: &UnsafeCell<Stage<F>>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    stage.with_mut(|stage| {
        // SAFETY: exclusive by the contract.
        let stage = unsafe { &mut *stage };
        let Stage::Pending(future) = stage else {
            unreachable!("*running* without a future");
        };
        // SAFETY: the cell is on the heap and the future is dropped in place before anything is moved into its room.
        unsafe { Pin::new_unchecked(future) }.poll(cx)
    })
}

/// Drops the future in place, if it is still there.
///
/// # Safety
///
/// *running* must be the caller's.
unsafe fn drop_future<F: Future>(stage: &UnsafeCell<Stage<F>>) {
    // SAFETY: exclusive by the contract; the assignment drops the old stage where it stands, and leaves `Taken` even if
    // that drop panics.
    stage.with_mut(|stage| unsafe { *stage = Stage::Taken });
}

/// The root of a task answers a request: the whole future is dropped, in the task's context.
///
/// # Safety
///
/// `header` belongs to a `Cell<F>` under an `S`, and *running* is the caller's.
unsafe fn end_cancelled<F: Future, S: Schedule>(header: NonNull<Header>) -> Turn {
    // SAFETY: *running* keeps the cell alive.
    let cell = unsafe { header.cast::<Cell<F>>().as_ref() };
    // SAFETY: *running* is ours, beyond `leave`.
    let entered = unsafe { Entered::new(header, Asked::default()) };
    // SAFETY: *running* is ours.
    let dropped = catch_unwind(AssertUnwindSafe(|| unsafe { drop_future(&cell.stage) }));
    let _ = entered.leave(&cell.header);
    let failure = match dropped {
        Ok(()) => Failure::Cancelled,
        Err(payload) => {
            cancel::forget_end(&cell.header);
            Failure::Panicked(Box::new(Panic::new(payload)))
        }
    };
    // SAFETY: *running* is ours, the future is dropped.
    unsafe { finish::<F, S>(header, Err(failure)) }
}

/// A task that asked itself to stop returned before it was heard: its value is dropped, in the task's context.
///
/// # Safety
///
/// As [`end_cancelled`].
unsafe fn end_with_value<F: Future, S: Schedule>(
    header: NonNull<Header>,
    output: F::Output,
    entered: Entered,
) -> Turn {
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(output)));
    // SAFETY: *running* keeps the task alive.
    let _ = entered.leave(unsafe { header.as_ref() });
    if let Err(payload) = dropped {
        // SAFETY: *running* keeps the task alive, and incomplete.
        unsafe { report_drop::<S>(header, payload) };
    }
    // SAFETY: the same contract.
    unsafe { end_cancelled::<F, S>(header) }
}

/// Calls a waker whose panic is its owner's fault: the panic hook has spoken, the worker goes on.
pub(super) fn wake_quietly(waker: Waker) {
    contain(|| waker.wake());
}

/// Whether a task is being polled on this thread.
pub(super) fn is_polling() -> bool {
    current().is_some()
}

/// Whether `header` is the task that is being polled on this thread.
pub(super) fn is_current(header: NonNull<Header>) -> bool {
    current() == Some(header)
}

/// T9 and what follows: store the outcome, leave the registry, tell whoever waits.
///
/// # Safety
///
/// `header` belongs to a `Cell<F>` under an `S`, *running* is the caller's, and the future is dropped.
unsafe fn finish<F: Future, S: Schedule>(
    header: NonNull<Header>,
    mut outcome: Result<F::Output, Failure>,
) -> Turn {
    // Dropped last, after T9.
    let _last = Last::take();
    // SAFETY: *running* keeps the cell alive.
    let cell = unsafe { header.cast::<Cell<F>>().as_ref() };
    // SAFETY: the task is not complete, and the caller's thread keeps the scheduler alive beyond that.
    let scheduler = unsafe { raw::scheduler::<S>(header) };
    if let Err(Failure::Panicked(panic)) = &mut outcome {
        // Whoever drops it unseen may be a handle that outlives the runtime, so it takes its reporter along.
        panic.set_reporter(scheduler.reporter());
    }
    cell.stage.with_mut(|stage| {
        // SAFETY: *running* is ours until T9.
        unsafe { *stage = Stage::Done(outcome) }
    });
    // SAFETY: *running* is ours.
    drop_context(unsafe { cell.header.take_context() });
    if let Some(hook) = scheduler.end_hook() {
        // SAFETY: the task is alive until T9.
        let task = unsafe { TaskRef::retained(header) };
        contain(|| hook(&task));
    }
    cell.header.trace.end();
    // Last use of the scheduler but for reports: after T9 the runtime may go.
    scheduler.leave(cell.header.place);
    let mut output_dropped = false;
    let mut watched = None;
    loop {
        match cell.header.state.complete(output_dropped) {
            Complete::DropOutput => {
                output_dropped = true;
                let stage = cell.stage.with_mut(|stage| {
                    // SAFETY: *running* is ours until T9.
                    unsafe { stage.replace(Stage::Taken) }
                });
                if let Some(cause) = drop_outcome(stage) {
                    // SAFETY: the task is alive until T9.
                    unsafe { report::<S>(header, cause) };
                }
            }
            Complete::Watched => {
                cell.header.state.unwatch();
                // SAFETY: the task is alive until T9.
                let task = unsafe { TaskRef::retained(header) };
                watched = Some((Arc::clone(&scheduler), task));
            }
            Complete::WakeJoiner => {
                // Before the joiner, so that it finds their work done wherever one thread runs both.
                run_callbacks(watched.take());
                // SAFETY: T9 with *join waker* made the slot ours, and kept the runtime's reference for this.
                unsafe { wake_joiner(header) };
                return Turn::Done;
            }
            Complete::Done => {
                run_callbacks(watched.take());
                return Turn::Done;
            }
            Complete::Free => {
                // SAFETY: T9 said that the last reference is gone.
                unsafe { raw::free(header) };
                return Turn::Done;
            }
        }
    }
}

// What `finish` needs of no type stands apart: it is compiled once, and `finish` for every future.

/// What the variables hold goes with the task: a `TaskRef` may live long.
fn drop_context(context: Option<loxley_sync::Context>) {
    if context.is_some() {
        contain(|| drop(context));
    }
}

/// The duty of `WakeJoiner`, after T9.
///
/// # Safety
///
/// The joiner's slot is the caller's, who also gives up a reference.
unsafe fn wake_joiner(header: NonNull<Header>) {
    // SAFETY: the reference keeps the header alive.
    let header_ref = unsafe { header.as_ref() };
    // SAFETY: the slot is ours by the contract.
    let waker = unsafe { header_ref.with_joiner(Option::take) };
    if let Some(waker) = waker {
        wake_quietly(waker);
    }
    // SAFETY: ours to give up, by the contract.
    unsafe { raw::release(header) };
}

/// The duty of `Watched`, after T9.
fn run_callbacks<S: Schedule>(watched: Option<(Arc<S>, TaskRef)>) {
    if let Some((scheduler, task)) = watched {
        let reporter = scheduler.reporter();
        if let Some(steps) = callbacks::close(task, reporter) {
            scheduler.after_end(steps);
        }
    }
}

/// Drops an outcome that nobody will read, and says what there is to report: the task's panic, or that of the drop itself.
pub(super) fn drop_outcome<F: Future>(stage: Stage<F>) -> Option<Cause> {
    match stage {
        Stage::Done(Err(Failure::Panicked(panic))) => Some(cause_of_panic(*panic)),
        Stage::Done(Ok(output)) => {
            let payload = catch_unwind(AssertUnwindSafe(|| drop(output))).err()?;
            Some(cause_of_drop_panic(payload))
        }
        Stage::Done(Err(Failure::Cancelled)) | Stage::Taken | Stage::Pending(_) => None,
    }
}

#[cold]
fn cause_of_panic(panic: Panic) -> Cause {
    let cause = Cause::Panic(panic.message().to_owned());
    drop_quietly(panic.into_payload());
    cause
}

#[cold]
fn cause_of_drop_panic(payload: Box<dyn Any + Send>) -> Cause {
    let cause = Cause::DropPanic(panic_message(&*payload).to_owned());
    drop_quietly(payload);
    cause
}

/// # Safety
///
/// The task belongs to an `S` and is not complete.
#[cold]
unsafe fn report<S: Schedule>(header: NonNull<Header>, cause: Cause) {
    // SAFETY: alive by the contract.
    let task = unsafe { TaskRef::retained(header) };
    // SAFETY: not complete by the contract.
    let reporter = unsafe { raw::scheduler::<S>(header) }.reporter();
    reporter.report(&UnhandledError::new(task, cause));
}

/// Tells of the grants that the task was woken for and did not pick up.
///
/// # Safety
///
/// As [`report`].
#[cold]
unsafe fn report_missed<S: Schedule>(header: NonNull<Header>, missed: Vec<WaitReason>) {
    // SAFETY: alive by the contract.
    let now = unsafe { header.as_ref() }.wait_reason();
    for granted in missed {
        // SAFETY: the same contract.
        unsafe { report::<S>(header, Cause::Other(futurelock(granted, now))) };
    }
}

/// What the report of a grant that was not picked up says.
fn futurelock(granted: WaitReason, now: WaitReason) -> String {
    let place = |reason: WaitReason| {
        let what = match reason.kind {
            WaitKind::Lock => "a lock",
            WaitKind::Permit => "a permit",
            WaitKind::Queue => "a queue",
            WaitKind::Timer => "a deadline",
            WaitKind::Io => "a descriptor",
            WaitKind::Task => "a task",
            WaitKind::Thread => "a thread",
            WaitKind::Event => "an event",
            WaitKind::Barrier => "a barrier",
            _ => "something",
        };
        let at = reason.at.map_or_else(String::new, |at| format!(" at {at}"));
        format!("{what}{at}")
    };
    format!(
        "futurelock: the wait for {} was granted and nobody picks it up: its task was polled since, and now waits for {}. \
         Whoever wants the same thing waits behind it. Poll that future on, or drop it before waiting for anything else",
        place(granted),
        place(now)
    )
}

/// # Safety
///
/// As [`report`].
#[cold]
unsafe fn report_drop<S: Schedule>(header: NonNull<Header>, payload: Box<dyn Any + Send>) {
    // SAFETY: the same contract.
    unsafe { report::<S>(header, cause_of_drop_panic(payload)) };
}
