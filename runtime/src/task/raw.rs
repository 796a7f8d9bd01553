//! Type erasure: one pointer, one table of functions, and the two kinds of right to it.
//!
//! - [`Scheduled`] is the right to poll: it exists exactly once while the *scheduled* bit is set and a queue should hold the
//!   task. It is not counted; see *References* in `state.rs`.
//! - A counted reference is a `TaskRef`, a `Task` or a `Waker`.
#![expect(unsafe_code, reason = "type erasure by pointer and function table")]

use super::cell::{Cell, Header, Stage};
use super::memory;
use super::run;
use super::state::Wake;
use super::unhandled::{Reporter, UnhandledError};
use super::{Schedule, TaskId, TaskRef, nesting};
use loxley_sync::Context;
use loxley_sync::ambient::inherit_context;
use loxley_sync::prim::cell::UnsafeCell;
use std::alloc::Layout;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::sync::Arc;

/// The functions that know a task's future and scheduler.
pub(crate) struct Vtable {
    /// Does everything from T2 to T6, T7 or T9. The caller gives up its right to poll.
    pub(super) poll: unsafe fn(NonNull<Header>) -> Turn,
    /// Puts the task into a queue of its scheduler. The caller gives up the right to poll.
    pub(super) schedule: unsafe fn(NonNull<Header>),
    /// Moves the output, a `Result<T, Failure>`, to the pointer. The caller owns the output by `state.rs`.
    pub(super) take_output: unsafe fn(NonNull<Header>, *mut ()),
    /// Where the output is, a `Result<T, Failure>`; null if it was taken. The caller owns the output by `state.rs`.
    pub(super) peek_output: unsafe fn(NonNull<Header>) -> *const (),
    /// Drops the output if it is still there. The caller owns the output by `state.rs`.
    pub(super) drop_output: unsafe fn(NonNull<Header>),
    /// The handler of the task's runtime. The task is not complete.
    pub(super) reporter: unsafe fn(NonNull<Header>) -> Reporter,
    /// Frees the cell. The caller held the last reference.
    pub(super) dealloc: unsafe fn(NonNull<Header>),
}

/// What a poll left to do.
#[must_use]
#[derive(Debug)]
pub enum Turn {
    /// The task waits for a wake.
    Rest,
    /// The task was woken while it ran: it goes to the back of the queue.
    Requeue(Scheduled),
    /// The task is complete.
    Done,
}

/// The right, and the duty, to poll one task once.
///
/// Dropping it would lose the task, so nothing drops it: queues are emptied before they go.
#[must_use = "a scheduled task that is not run is lost"]
pub struct Scheduled(NonNull<Header>);

// SAFETY: the futures behind it are `Send`, or their scheduler hands them to one thread only (`make`'s contract);
// the header is made of atomics, constants and slots guarded by the state word.
unsafe impl Send for Scheduled {}

impl Scheduled {
    /// Polls the task once, or delivers a request to it.
    #[inline]
    pub fn run(self) -> Turn {
        let header = self.into_raw();
        // SAFETY: the right to poll is given up to `poll`, which keeps the task alive by holding *running*.
        let poll = unsafe { header.as_ref() }.vtable.poll;
        // SAFETY: `header` is the task this table belongs to, and the right to poll is ours.
        unsafe { poll(header) }
    }

    /// The task's number.
    #[must_use]
    #[inline]
    pub fn id(&self) -> TaskId {
        self.header().id
    }

    /// The task itself, to be asked and told.
    #[must_use]
    pub fn as_ref(&self) -> TaskRef {
        // SAFETY: a scheduled task is alive.
        unsafe { TaskRef::retained(self.0) }
    }

    pub(super) fn into_raw(self) -> NonNull<Header> {
        self.0
    }

    /// # Safety
    ///
    /// The pointer must come from `into_raw`, or from an edge that said *enqueue*, and be used for this once.
    pub(super) unsafe fn from_raw(header: NonNull<Header>) -> Self {
        Self(header)
    }

    pub(super) fn header(&self) -> &Header {
        // SAFETY: a task with the *scheduled* bit is not complete, so the runtime's reference keeps it alive.
        unsafe { self.0.as_ref() }
    }

    /// Writes where the registry keeps the task. Only before it is published to any other thread.
    pub(super) fn set_place(&mut self, place: super::Place) {
        // SAFETY: freshly launched (the caller is in `registry.rs`, before the first queue): the
        // handle has not been given out and nobody else has the pointer.
        unsafe { self.0.as_mut() }.place = place;
    }
}

impl fmt::Debug for Scheduled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scheduled({})", self.header().id)
    }
}

/// A task that is made but belongs to no scheduler yet. It must be launched: nothing frees it otherwise.
#[must_use = "a task that is not launched leaks"]
pub(crate) struct Fresh<S> {
    header: NonNull<Header>,
    _scheduler: PhantomData<fn(&S)>,
}

impl<S: Schedule> Fresh<S> {
    /// The task's context variables: those of `context`, or a copy of what its maker sees.
    #[inline]
    pub(crate) fn with_context(self, context: Option<Context>) -> Self {
        if let Some(context) = context.or_else(inherit_context) {
            // SAFETY: the cell was made and nothing frees it before it is launched.
            let header = unsafe { self.header.as_ref() };
            // SAFETY: it was not launched, and `self` alone has the pointer.
            unsafe { header.put_context(context) };
        }
        self
    }

    /// Gives the task its scheduler and its number; from here on it may run.
    #[inline]
    pub(crate) fn launch(mut self, scheduler: &Arc<S>, id: TaskId) -> Scheduled {
        // SAFETY: nobody but `self` has the pointer and touches the header: the handle is still in the maker's hands.
        let header = unsafe { self.header.as_mut() };
        header.scheduler = Arc::as_ptr(scheduler).cast();
        header.id = id;
        Scheduled(self.header)
    }
}

/// Makes a task: its memory, with the future in it. The handle's reference is returned as a raw pointer; it must not be
/// used before the task is launched.
///
/// Allocated at once, so that the future is moved only here; what follows knows nothing of its type.
///
/// # Safety
///
/// If `F` or its output is not `Send`, the scheduler must poll, and so drop, the task on one thread only, and the handle
/// must stay on that thread. If they are not `'static`, the task must be complete and its output taken or dropped before
/// their lifetime ends. The scheduler must outlive the task's completion.
#[inline]
pub(super) unsafe fn make<F: Future, S: Schedule>(
    future: F,
    spawned_at: &'static Location<'static>,
) -> (Fresh<S>, NonNull<Header>) {
    let cell = memory::allocate(Layout::new::<Cell<F>>()).cast::<Cell<F>>();
    // SAFETY: fresh memory of this layout.
    unsafe {
        cell.write(Cell {
            header: Header::new(vtable::<F, S>(), spawned_at),
            stage: UnsafeCell::new(Stage::Pending(future)),
        });
    }
    let header = cell.cast::<Header>();
    let fresh = Fresh {
        header,
        _scheduler: PhantomData,
    };
    (fresh, header)
}

/// The table for one future under one scheduler.
fn vtable<F: Future, S: Schedule>() -> &'static Vtable {
    struct Table<F, S>(PhantomData<(F, S)>);
    impl<F: Future, S: Schedule> Table<F, S> {
        const VTABLE: Vtable = Vtable {
            poll: run::poll::<F, S>,
            schedule: schedule::<S>,
            take_output: take_output::<F>,
            peek_output: peek_output::<F>,
            drop_output: drop_output::<F>,
            reporter: reporter::<S>,
            dealloc: dealloc::<F>,
        };
    }
    &Table::<F, S>::VTABLE
}

/// The scheduler of a task that is not complete.
///
/// # Safety
///
/// `S` must be the task's scheduler type, and the task must not complete while the returned value is used, unless the user
/// made itself an owner by cloning the `Arc`.
#[inline]
pub(super) unsafe fn scheduler<S: Schedule>(header: NonNull<Header>) -> ManuallyDrop<Arc<S>> {
    // SAFETY: a task that is not complete is alive.
    let scheduler = unsafe { header.as_ref() }.scheduler.cast::<S>();
    // SAFETY: the pointer came from `Arc::as_ptr` and that count is still held by the runtime; `ManuallyDrop` takes none.
    ManuallyDrop::new(unsafe { Arc::from_raw(scheduler) })
}

unsafe fn schedule<S: Schedule>(header: NonNull<Header>) {
    // SAFETY: the right to poll is ours, so the task is alive and not complete.
    let scheduler = unsafe { scheduler::<S>(header) };
    // SAFETY: the right is moved on, once.
    let task = unsafe { Scheduled::from_raw(header) };
    scheduler.schedule(task);
}

unsafe fn reporter<S: Schedule>(header: NonNull<Header>) -> Reporter {
    // SAFETY: the table belongs to this task, which is not complete by the contract.
    unsafe { scheduler::<S>(header) }.reporter()
}

unsafe fn take_output<F: Future>(header: NonNull<Header>, to: *mut ()) {
    // SAFETY: the table belongs to this task, so the cell is of this type.
    let cell = unsafe { header.cast::<Cell<F>>().as_ref() };
    let stage = cell.stage.with_mut(|stage| {
        // SAFETY: the caller owns the output.
        unsafe { stage.replace(Stage::Taken) }
    });
    let Stage::Done(output) = stage else {
        panic!("a task was awaited again after it had given its result");
    };
    // SAFETY: the caller passes a valid place for a `Result<F::Output, Failure>`.
    unsafe { to.cast::<Result<F::Output, super::Failure>>().write(output) };
}

unsafe fn peek_output<F: Future>(header: NonNull<Header>) -> *const () {
    // SAFETY: the table belongs to this task, so the cell is of this type.
    let cell = unsafe { header.cast::<Cell<F>>().as_ref() };
    cell.stage.with(|stage| {
        // SAFETY: the caller owns the output.
        match unsafe { &*stage } {
            Stage::Done(output) => std::ptr::from_ref(output).cast(),
            Stage::Pending(_) | Stage::Taken => std::ptr::null(),
        }
    })
}

unsafe fn drop_output<F: Future>(header: NonNull<Header>) {
    // SAFETY: the table belongs to this task, so the cell is of this type.
    let cell = unsafe { header.cast::<Cell<F>>().as_ref() };
    if !std::mem::needs_drop::<F::Output>() || !has_output(&cell.stage) {
        // SAFETY: the same contract.
        return unsafe { drop_stage::<F>(header) };
    }
    // The output may hold the handle of a finished task, whose output holds the next one, and so on.
    // SAFETY: the caller's reference keeps the task alive.
    let Some(nested) = nesting::descend(|| unsafe { TaskRef::retained(header) }) else {
        return;
    };
    // SAFETY: the same contract.
    unsafe { drop_stage::<F>(header) };
    while let Some(task) = nested.next_aside() {
        let deeper = task.as_ptr();
        // SAFETY: the vtable of a living task.
        let drop_output = unsafe { deeper.as_ref() }.vtable.drop_output;
        // SAFETY: the output passed on to the list with the task, and comes off it once.
        unsafe { drop_output(deeper) };
    }
}

/// Whether the output is still there. The caller owns it.
fn has_output<F: Future>(stage: &UnsafeCell<Stage<F>>) -> bool {
    stage.with(|stage| {
        // SAFETY: nobody else touches a complete task's stage but the owner of the output, who is the caller.
        matches!(unsafe { &*stage }, Stage::Done(Ok(_)))
    })
}

/// # Safety
///
/// As `drop_output`.
unsafe fn drop_stage<F: Future>(header: NonNull<Header>) {
    // SAFETY: the table belongs to this task, so the cell is of this type.
    let cell = unsafe { header.cast::<Cell<F>>().as_ref() };
    let stage = cell.stage.with_mut(|stage| {
        // SAFETY: the caller owns the output.
        unsafe { stage.replace(Stage::Taken) }
    });
    let reporter = match &stage {
        Stage::Done(Err(super::Failure::Panicked(panic))) => panic.reporter(),
        _ => None,
    };
    if let Some(cause) = run::drop_outcome(stage) {
        // The task's own runtime may be gone: its handler is known to a panic, else that of the task that drops it is told.
        let reporter = reporter.or_else(run::current_reporter).unwrap_or_default();
        // SAFETY: the caller's reference keeps the task alive.
        let task = unsafe { TaskRef::retained(header) };
        reporter.report(&UnhandledError::new(task, cause));
    }
}

unsafe fn dealloc<F: Future>(header: NonNull<Header>) {
    let cell = header.cast::<Cell<F>>();
    // SAFETY: the last reference is the caller's.
    unsafe { cell.drop_in_place() };
    // SAFETY: allocated with this layout in `make`, and used no more.
    unsafe { memory::free(cell.cast(), Layout::new::<Cell<F>>()) };
}

/// A counted pointer to a task's header: the base of `TaskRef` and of `Task`.
pub(super) struct Counted(NonNull<Header>);

// SAFETY: the header's parts are atomics, constants, or guarded by the state word; what the future and the output are is the
// business of the handle type built on this.
unsafe impl Send for Counted {}
// SAFETY: as above.
unsafe impl Sync for Counted {}

// A handle sees the state word and what was set once. A future that panicked is dropped before anybody sees that it ended.
impl UnwindSafe for Counted {}
impl RefUnwindSafe for Counted {}

impl Counted {
    /// # Safety
    ///
    /// One reference passes from the caller to the new value.
    pub(super) unsafe fn from_raw(header: NonNull<Header>) -> Self {
        Self(header)
    }

    pub(super) fn header(&self) -> &Header {
        // SAFETY: this reference keeps it alive.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn as_ptr(&self) -> NonNull<Header> {
        self.0
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.header().state.retain();
        Self(self.0)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // SAFETY: our reference, given up once.
        unsafe { release(self.0) };
    }
}

/// T12, and what follows from it.
///
/// # Safety
///
/// The caller gives up one reference.
pub(super) unsafe fn release(header: NonNull<Header>) {
    // SAFETY: the reference given up keeps it alive until here.
    if unsafe { header.as_ref() }.state.release() {
        // SAFETY: it was the last one.
        unsafe { free(header) };
    }
}

/// # Safety
///
/// The last reference must be gone.
pub(super) unsafe fn free(header: NonNull<Header>) {
    // SAFETY: nobody else can free it.
    let dealloc = unsafe { header.as_ref() }.vtable.dealloc;
    // SAFETY: the table belongs to this task, and the last reference is gone.
    unsafe { dealloc(header) };
}

/// Does what T3, T4 or T5 asked for.
///
/// # Safety
///
/// `duty` must come from an edge of this task that the caller has just made.
pub(super) unsafe fn follow_wake(header: NonNull<Header>, duty: Wake) {
    match duty {
        Wake::Nothing => {}
        // SAFETY: T3 gave the right to poll, which keeps the task alive.
        Wake::Enqueue => unsafe { enqueue(header) },
        // SAFETY: the edge said that the last reference is gone.
        Wake::Free => unsafe { free(header) },
    }
}

/// Hands the task to its scheduler.
///
/// # Safety
///
/// The caller must hold the right to poll, and gives it up.
pub(super) unsafe fn enqueue(header: NonNull<Header>) {
    // SAFETY: the right to poll keeps the task alive.
    let schedule = unsafe { header.as_ref() }.vtable.schedule;
    // SAFETY: the right to poll passes on.
    unsafe { schedule(header) };
}
