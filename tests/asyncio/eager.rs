//! Eager tasks: begun inside the call that makes them.
//!
//! | rule | held by |
//! |---|---|
//! | it runs up to its first wait before its maker goes on | `[eager] an_eager_task_runs_to_its_first_wait_before_its_maker_goes_on` |
//! | … without a wait it is done at once, and refuses a request | `[eager] an_eager_task_that_does_not_wait_is_done_at_once_and_cannot_be_cancelled` |
//! | … it is the current task meanwhile, and its maker afterwards | `[eager] in_its_eager_step_a_task_is_itself_and_afterwards_its_maker_is` |
//! | … it is listed meanwhile | `an_eager_task_is_listed_during_its_first_step` |
//! | … what it sets stays with it | `what_an_eager_step_sets_its_maker_does_not_see` |
//! | … a context given to it is used as it is | `an_eager_step_in_a_given_context_changes_that_one` |
//! | … a failure stays in it | `a_panic_in_an_eager_step_reaches_the_awaiter_and_not_the_maker` |
//! | … a request to it is heard at its first wait | `an_eager_task_asked_in_its_first_step_hears_it_where_it_waits` |
//! | … a request to its maker is not for it | `[eager] an_eager_task_made_inside_a_scope_has_scopes_of_its_own` |
//! | it is one of several at a depth, beyond which tasks start like others | `[eager] eager_tasks_within_eager_tasks_stop_at_a_depth_and_all_end` |
//! | a thread that runs no tasks makes one like any other | `[eager] outside_of_polls_an_eager_task_starts_like_any_other` |

use loxley::{Context, Task, all_tasks, catch_cancelled, context_var, task, yield_now};
use std::future::pending;

use super::{both, cancelled, me, said};

context_var! { static DEPTH: u32 }

fn eager<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Task<T> {
    task::Builder::new().eager(true).create_task(future)
}

#[test]
fn an_eager_task_is_listed_during_its_first_step() {
    both(async || {
        let task = eager(async { all_tasks().contains(&me()) });
        assert!(task.is_finished());
        assert!(!all_tasks().contains(&task.as_ref()));
        assert!(task.await.unwrap(), "it was alive");
    });
}

#[test]
fn what_an_eager_step_sets_its_maker_does_not_see() {
    both(async || {
        let token = DEPTH.set(1);
        let task = eager(async {
            let inherited = DEPTH.get();
            drop(DEPTH.set(2));
            yield_now().await;
            (inherited, DEPTH.get())
        });
        assert_eq!(DEPTH.get(), Some(1));
        assert_eq!(task.await.unwrap(), (Some(1), Some(2)));
        DEPTH.reset(token);
    });
}

#[test]
fn an_eager_step_in_a_given_context_changes_that_one() {
    both(async || {
        let context = Context::new();
        let task = task::Builder::new()
            .eager(true)
            .context(context.clone())
            .create_task(async { drop(DEPTH.set(3)) });
        assert_eq!(DEPTH.get(), None);
        assert_eq!(context.run(|| DEPTH.get()), Some(3));
        task.await.unwrap();
    });
}

#[test]
fn a_panic_in_an_eager_step_reaches_the_awaiter_and_not_the_maker() {
    both(async || {
        let task: Task<()> = eager(async { panic!("on purpose") });
        assert!(task.is_finished());
        let error = task.await.unwrap_err();
        assert!(error.is_panic());
    });
}

#[test]
fn an_eager_task_asked_in_its_first_step_hears_it_where_it_waits() {
    both(async || {
        let task = eager(async {
            assert!(me().cancel_with("early"));
            let error = catch_cancelled(pending::<()>()).await.unwrap_err();
            yield_now().await;
            error.reraise().await;
        });
        let error = cancelled::<()>(task.await);
        assert_eq!(said(&error).as_deref(), Some("early"));
    });
}
