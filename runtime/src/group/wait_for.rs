//! Waiting for something with a limit, and for its end when the limit is reached.

use super::{Child, Gather, GatherResults, Shield, TryGather};
use crate::task::Task;
use crate::time::{TimeoutError, timeout};
use std::any::type_name;
use std::future::{Future, IntoFuture};
use std::time::Duration;

/// Waits for a future or a task, at most for `limit`; what was not ready by then is cancelled *and waited for*.
///
/// A task is asked to stop and may take its time to clean up, so this may last longer than `limit`. A task that refuses to be
/// cancelled and gives a value has it returned. A future is dropped, after scopes inside it had their say. But for a limit of
/// zero it is [`timeout`] under asyncio's name: awaiting a task passes cancellation on, so the two are the same here.
///
/// With a limit of zero nothing is begun: a task that has ended gives its result, another one is cancelled and waited for,
/// and so are those of a gathering; a future is dropped without ever being polled.
///
/// # Errors
///
/// [`TimeoutError`](crate::TimeoutError) if the limit was reached first.
///
/// # Panics
///
/// The future returned panics if it has to wait on a thread that is in no runtime.
///
/// # Cancel safety
///
/// If its task is asked to stop, so is the task waited for, which is waited for. Merely dropped, it detaches that task.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{create_task, wait_for};
/// use std::time::Duration;
///
/// loxley_runtime::run(async {
///     let task = create_task(std::future::pending::<()>());
///     let seen = task.as_ref();
///     assert!(wait_for(task, Duration::from_millis(1)).await.is_err());
///     assert!(seen.is_cancelled()); // It has ended: nothing of it is left.
/// });
/// ```
#[track_caller]
pub fn wait_for<F: IntoFuture>(
    future: F,
    limit: Duration,
) -> impl Future<Output = Result<F::Output, TimeoutError>> {
    let may_poll = !limit.is_zero() || runs_by_itself::<F::IntoFuture>();
    let limited = timeout(limit, future);
    async move {
        if may_poll {
            return limited.await;
        }
        drop(limited);
        Err(TimeoutError::of(Some(limit)))
    }
}

/// Whether a future of this type is a handle of work that goes on by itself, so that polling it begins nothing.
///
/// A task's handle is a future among futures, and stable Rust has no other way to tell the types of a generic function
/// apart unless they are `'static`. Were the answer wrong, a limit of zero would poll once what it should not begin, or
/// detach a task in place of cancelling it.
fn runs_by_itself<F>() -> bool {
    let name = type_name::<F>();
    let name = name.trim_start_matches("&mut ");
    let handles = [
        type_name::<Task<()>>(),
        type_name::<Child<()>>(),
        type_name::<Shield<()>>(),
        type_name::<Gather<()>>(),
        type_name::<GatherResults<()>>(),
        type_name::<TryGather<(), ()>>(),
    ];
    // The name of a generic type, with the bracket in which its parameters begin.
    let generic = |name: &'static str| name.split_inclusive('<').next();
    handles
        .into_iter()
        .any(|handle| generic(handle) == generic(name))
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::future::Ready;

    #[test]
    fn handles_of_running_work_are_told_from_futures_that_have_yet_to_begin() {
        assert!(runs_by_itself::<Task<Vec<Task<u8>>>>());
        assert!(runs_by_itself::<&mut Task<u8>>());
        assert!(runs_by_itself::<Child<u8>>());
        assert!(runs_by_itself::<Shield<&str>>());
        assert!(runs_by_itself::<Gather<Vec<u8>>>());
        assert!(runs_by_itself::<&mut GatherResults<Vec<u8>>>());
        assert!(runs_by_itself::<TryGather<(u8, u8), Vec<u8>>>());
        assert!(!runs_by_itself::<Ready<Task<u8>>>());
        assert!(!runs_by_itself::<Option<&mut Task<u8>>>());
    }
}
