//! Context variables.
//!
//! | rule | held by |
//! |---|---|
//! | a child sees what its parent had set when it was made | `[context] child_sees_what_its_parent_had_set_and_nothing_that_came_later` |
//! | what a child sets, its parent does not see | `[context] what_a_child_sets_stays_with_it_across_its_polls` |
//! | a context given to a task is shared, not copied | `[context] given_context_is_shared_not_copied` |
//! | a token brings the old value back | `[context] token_brings_the_old_value_back` |
//! | … in its own context, for its own variable | `[context] token_of_another_context_is_refused, [context] token_of_another_variable_is_refused` |
//! | `to_thread` takes a copy along | `[context] closure_of_to_thread_sees_a_copy` |
//! | a callback runs in the context of its registration | `[callbacks] callback_sees_the_context_of_its_registration_and_leaks_nothing` |
//! | a future is dropped in its task's context | `[context] future_is_dropped_in_its_context` |
//! | a runner keeps one context over its runs | `[interrupt] runs_of_one_runner_share_a_context` |
//! | children of a group inherit | `children_of_a_group_inherit_and_share_nothing` |
//! | futures given to `gather`, `try_gather` and `shield` inherit | `futures_spawned_by_gather_and_shield_inherit` |
//! | … and the bodies of limits and catches are the caller's own | `the_body_of_a_limit_or_a_catch_is_in_its_callers_context` |
//! | a clean-up sees what the task had set | `a_clean_up_sees_what_its_task_had_set` |
//! | a future sent from a thread takes that thread's values along | `a_future_given_by_a_thread_sees_what_the_thread_had_set` |
//! | a panicking task leaves no value behind on its worker | `a_task_that_panics_leaves_no_value_on_its_worker` |

use std::future::pending;

use super::{HOUR, both, cancelled, parked};
use loxley::{
    Handle, TaskGroup, catch_cancelled, context_var, copy_context, create_task, gather,
    run_coroutine_threadsafe, shield, task_group, timeout, to_thread, with_cleanup, yield_now,
};

context_var! { static DEPTH: u32 }

/// Runs `case` in a context of its own, for both flavours' mains run on one thread.
fn fresh(case: impl AsyncFn()) {
    both(async || copy_context().within(case()).await);
}

#[test]
fn children_of_a_group_inherit_and_share_nothing() {
    fresh(async || {
        drop(DEPTH.set(1));
        let seen: Result<_, loxley::ErrorGroup<loxley::TaskError>> =
            task_group(|tg: TaskGroup<loxley::TaskError>| async move {
                let child = || async {
                    let inherited = DEPTH.get();
                    drop(DEPTH.set(9));
                    yield_now().await;
                    Ok::<_, loxley::TaskError>(inherited)
                };
                let (a, b) = (tg.create_task(child()), tg.create_task(child()));
                Ok([a.await?, b.await?])
            })
            .await;
        assert_eq!(seen.unwrap(), [Some(1), Some(1)]);
        assert_eq!(DEPTH.get(), Some(1));
    });
}

#[test]
fn futures_spawned_by_gather_and_shield_inherit() {
    fresh(async || {
        drop(DEPTH.set(2));
        let all = gather((async { DEPTH.get() }, async { DEPTH.get() }));
        drop(DEPTH.set(3));
        assert_eq!(all.await.unwrap(), (Some(2), Some(2)));
        assert_eq!(shield(async { DEPTH.get() }).await.unwrap(), Some(3));
    });
}

#[test]
fn the_body_of_a_limit_or_a_catch_is_in_its_callers_context() {
    fresh(async || {
        timeout(HOUR, async { drop(DEPTH.set(4)) }).await.unwrap();
        assert_eq!(DEPTH.get(), Some(4));
        catch_cancelled(async { drop(DEPTH.set(5)) }).await.unwrap();
        assert_eq!(DEPTH.get(), Some(5));
    });
}

#[test]
fn a_clean_up_sees_what_its_task_had_set() {
    fresh(async || {
        let (give, take) = loxley::oneshot::channel();
        let task = create_task(async move {
            drop(DEPTH.set(6));
            with_cleanup(pending::<()>(), |_| async move {
                yield_now().await;
                give.send(DEPTH.get()).unwrap();
            })
            .await;
        });
        parked(&task.as_ref()).await;
        task.cancel();
        cancelled(task.await);
        assert_eq!(take.await.unwrap(), Some(6));
    });
}

#[test]
fn a_future_given_by_a_thread_sees_what_the_thread_had_set() {
    fresh(async || {
        let handle = Handle::current();
        let seen = to_thread(move || {
            drop(DEPTH.set(7));
            run_coroutine_threadsafe(async { DEPTH.get() }, &handle).result(None)
        });
        assert_eq!(seen.await.unwrap(), Some(7));
        assert_eq!(DEPTH.get(), None);
    });
}

#[test]
fn a_task_that_panics_leaves_no_value_on_its_worker() {
    fresh(async || {
        for _ in 0..8 {
            let task = create_task(async {
                drop(DEPTH.set(8));
                panic!("with a value set");
            });
            assert!(task.await.map(|(): ()| ()).unwrap_err().is_panic());
            assert_eq!(create_task(async { DEPTH.get() }).await.unwrap(), None);
        }
    });
}
