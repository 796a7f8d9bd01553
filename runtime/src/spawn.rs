//! Making tasks in the current runtime, and asking which there are.

use crate::current;
use crate::scheduler::{self, Shared};
use crate::task::{self, Task, TaskRef, refuse};
use loxley_sync::ambient::{WaitKind, wait_reason};
use std::cell::Cell;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The text of every panic for want of a runtime.
pub(crate) const NO_RUNTIME: &str = "there is no running loxley runtime on this thread: call it inside `loxley::run`, \
    `#[loxley::main]` or `Runtime::block_on`, or after `Handle::enter`; from other threads use `Handle::create_task`";

/// Starts `future` as a task of the current runtime and returns its handle. It runs at once and by itself, whether the
/// handle is awaited or dropped.
///
/// # Panics
///
/// Outside a runtime, at the caller's line.
///
/// # Fairness
///
/// The first task that a task spawns runs next on the same worker; if the spawner goes on computing, an idle worker
/// takes it within about a millisecond. Those spawned after it go to the back of the worker's queue, of which idle
/// workers take their share. On the one-thread flavour every task goes to the back of the queue.
///
/// # Examples
///
/// ```
/// loxley_runtime::run(async {
///     let a = loxley_runtime::create_task(async { 1 });
///     let b = loxley_runtime::create_task(async { 2 });
///     assert_eq!(a.await.unwrap() + b.await.unwrap(), 3);
/// });
/// ```
///
/// **Differs from asyncio**: the runtime holds the task until it ends; a forgotten one does not vanish.
#[track_caller]
#[doc(alias = "spawn")]
#[doc(alias = "ensure_future")]
#[doc(alias = "call_soon")]
pub fn create_task<F>(future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    create(future, Location::caller(), task::Builder::new())
}

#[track_caller]
fn create<F>(future: F, at: &'static Location<'static>, options: task::Builder) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    // Asked first, because a task that is made must be launched.
    let Some(has_hook) = current::with_shared(|shared| shared.has_spawn_hook()) else {
        panic!("{NO_RUNTIME}");
    };
    let (fresh, task) = task::make(future, at);
    if options.is_awaited {
        task.mark_awaited_here();
    }
    let fresh = fresh.with_context(options.context);
    if options.is_eager {
        launch_eager(fresh, options.name);
    } else if options.name.is_some() || has_hook {
        if let Some(shared) = current::with_shared(Arc::clone) {
            shared.launch_announced(fresh, options.name);
        }
    } else if let Some(refused) = current::with_shared(|shared| shared.launch(fresh)).flatten() {
        // Its drop is user code, so it comes after the thread's runtime is no longer borrowed.
        refuse(refused);
    }
    task
}

/// [`create_task`] for who awaits the task in this one, though not by polling its handle.
#[track_caller]
pub(crate) fn create_awaited<F>(future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let options = task::Builder {
        is_awaited: true,
        ..task::Builder::new()
    };
    create(future, Location::caller(), options)
}

/// [`create_task`], with `tell` called before the task can run. Nothing of the runtime is borrowed then.
pub(crate) fn create_known<F>(
    future: F,
    at: &'static Location<'static>,
    tell: impl FnOnce(TaskRef),
) -> Option<Task<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let shared = current::with_shared(Arc::clone)?;
    let (fresh, task) = task::make(future, at);
    shared.launch_known(fresh.with_context(None), None, tell);
    Some(task)
}

/// Starts `future`, which need not be `Send`, as a task that stays on this thread: the one that runs the main future. It takes
/// its turns together with that one, and ends with it: what is left then is dropped without another poll.
///
/// For futures that hold an `Rc`, a `RefCell`'s borrow or a guard of some library across a wait. Other work is better off
/// with [`create_task`], which runs on every core.
///
/// # Panics
///
/// Where there is no such thread, at the caller's line: outside of [`run`](crate::run) and
/// [`block_on`](crate::Runtime::block_on), and on a worker thread, so in a task made by `create_task` on a runtime that has
/// workers.
///
/// # Fairness
///
/// Each poll of the main future is followed by one of every local task that can go on.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{create_local_task, yield_now};
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// loxley_runtime::run(async {
///     let count = Rc::new(Cell::new(0));
///     let seen = count.clone();
///     let task = create_local_task(async move {
///         yield_now().await;
///         seen.set(seen.get() + 1);
///     });
///     task.await.unwrap();
///     assert_eq!(count.get(), 1);
/// });
/// ```
#[track_caller]
#[doc(alias = "spawn_local")]
#[doc(alias = "LocalSet")]
pub fn create_local_task<F>(future: F) -> Task<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    match scheduler::create_local(future, Location::caller()) {
        Ok(task) => task,
        Err(_) => panic!(
            "a local task needs the thread of `run` or `block_on`: make it in the main future, in another local task, or in \
             any task of a `current_thread` runtime; from elsewhere use `create_task`, whose futures are `Send`"
        ),
    }
}

/// Eager tasks within eager tasks share the stack of their maker: deeper than this they start like others.
const EAGER_DEPTH: u32 = 64;

loxley_sync::prim::thread::thread_local! {
    /// How many eager first polls there are on this thread's stack.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// One more eager first poll on this thread's stack.
struct Deeper;

impl Deeper {
    fn go() -> Option<Self> {
        DEPTH.with(|depth| {
            let before = depth.get();
            (before < EAGER_DEPTH).then(|| {
                depth.set(before + 1);
                Self
            })
        })
    }
}

impl Drop for Deeper {
    fn drop(&mut self) {
        let _ = DEPTH.try_with(|depth| depth.set(depth.get() - 1));
    }
}

/// Polls a new task on the spot, if this thread polls tasks of its runtime and is not too deep in that already.
fn launch_eager(fresh: task::Fresh<Shared>, name: Option<Arc<str>>) {
    let Some(shared) = current::with_shared(Arc::clone) else {
        unreachable!("asked by the caller")
    };
    match Deeper::go() {
        Some(_deeper) if current::polls_for(&shared) => shared.launch_eager(fresh, name),
        _ => shared.launch_announced(fresh, name),
    }
}

/// Starts `future` in a given runtime, for [`Handle::create_task`](crate::Handle::create_task).
pub(crate) fn create_in<F>(
    shared: &Arc<Shared>,
    future: F,
    at: &'static Location<'static>,
) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (fresh, task) = task::make(future, at);
    let fresh = fresh.with_context(None);
    if shared.has_spawn_hook() {
        shared.launch_announced(fresh, None);
    } else if let Some(refused) = shared.launch(fresh) {
        refuse(refused);
    }
    task
}

impl task::Builder {
    /// Starts `future` as a task of the current runtime.
    ///
    /// # Panics
    ///
    /// Outside a runtime, at the caller's line.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{current_task, task};
    /// # loxley_runtime::run(async {
    /// let task = task::Builder::new().name("crawler").create_task(async {
    ///     current_task().unwrap().name()
    /// });
    /// assert_eq!(&*task.await.unwrap(), "crawler");
    /// # });
    /// ```
    #[track_caller]
    pub fn create_task<F>(self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        create(future, Location::caller(), self)
    }
}

/// The task that is running here, if one is. The future given to `run` or `block_on` is one.
///
/// # Examples
///
/// ```
/// assert!(loxley_runtime::current_task().is_none());
/// loxley_runtime::run(async {
///     let task = loxley_runtime::current_task().expect("a task runs this");
///     task.set_name("main");
///     assert_eq!(&*task.name(), "main");
/// });
/// ```
#[must_use]
pub fn current_task() -> Option<TaskRef> {
    task::current_task()
}

/// Every task of the current runtime that has not ended, in no particular order. Empty outside a runtime.
///
/// A snapshot: tasks come and go while it is taken, and each one returned was alive at some moment of the call.
///
/// # Examples
///
/// ```
/// loxley_runtime::run(async {
///     let waits = loxley_runtime::create_task(std::future::pending::<()>());
///     assert!(loxley_runtime::all_tasks().contains(&waits.as_ref()));
/// });
/// ```
#[must_use]
pub fn all_tasks() -> Vec<TaskRef> {
    current::with_shared(|shared| shared.tasks()).unwrap_or_default()
}

/// Lets every other task that is ready run before this one goes on.
///
/// # Cancel safety
///
/// Nothing is lost if it is dropped.
///
/// # Fairness
///
/// The task goes to the back of its worker's queue, never to the front.
///
/// # Examples
///
/// ```
/// # loxley_runtime::run(async {
/// for _ in 0..3 {
///     loxley_runtime::yield_now().await;
/// }
/// # });
/// ```
///
/// **Differs from asyncio**: there it is `sleep(0)`, which works here too.
pub fn yield_now() -> impl Future<Output = ()> + Send {
    YieldNow { yielded: false }
}

struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        // T4: the task is running, so the end of this poll (T7) sends it to the back of the queue.
        cx.waker().wake_by_ref();
        wait_reason(WaitKind::Turn, None);
        Poll::Pending
    }
}
