//! Limits: `timeout`, `timeout_at`, `wait_for`.
//!
//! | rule | held by |
//! |---|---|
//! | a body in time gives its value, and leaves no timer | `a_body_in_time_gives_its_value_and_leaves_no_timer` |
//! | a body that never waits is not interrupted, not even by a limit of zero | `a_body_that_never_waits_meets_no_limit` |
//! | a limit of zero fires on the next turn | `a_limit_of_zero_fires_on_the_next_turn` |
//! | a deadline in the past does, too | `a_deadline_in_the_past_fires_on_the_next_turn` |
//! | a deadline in the future is a point in time | `a_deadline_is_a_point_in_time` |
//! | no limit at all never fires | `the_longest_limit_never_fires` |
//! | the body is interrupted where it waits, and may clean up | `[cancel] a_limit_lets_the_body_clean_up_and_is_an_error_only_if_it_gives_way` |
//! | the count is as before | `a_limit_that_fired_leaves_the_count_as_it_was` |
//! | … also where it was not zero | `a_limit_inside_a_task_that_was_asked_before_still_makes_its_error` |
//! | another failure passes unchanged | `a_failure_of_the_body_passes_a_limit_unchanged` |
//! | … also one of its clean-up | `a_panic_in_the_clean_up_goes_before_the_error_of_the_limit` |
//! | the error cannot be seen inside | `the_body_sees_a_cancellation_and_only_the_caller_the_error` |
//! | nested: the first to pass makes the error | `of_two_limits_the_first_to_pass_makes_the_error` |
//! | … the outer one first: the inner body hears a cancellation | `[cancel] of_two_limits_the_outer_one_interrupts_the_inner_and_makes_the_error` |
//! | … both at once: the inner one (asyncio: the outer one) | `of_two_limits_that_pass_at_once_the_inner_one_makes_the_error` |
//! | a request from outside goes on outwards | `[cancel] a_catch_around_a_limit_hears_a_request_from_outside` |
//! | … also when the limit passes in the same turn | `a_request_and_a_limit_in_the_same_turn_are_a_cancellation` |
//! | … and a request that its body made before it first waited | `a_request_made_before_the_body_first_waits_goes_on_outwards` |
//! | … and a request that comes while the limit cleans up | `a_request_during_the_clean_up_of_a_limit_goes_on_outwards` |
//! | a body that swallowed a request from outside, and kept its count, is cancelled by the limit | `a_swallowed_request_whose_count_stands_turns_the_limit_into_a_cancellation` |
//! | a request taken back in a body whose limit had passed is not heard after it | `a_request_taken_back_inside_a_limit_that_has_passed_is_forgotten` |
//! | a limit touches no branch beside it | `a_limit_interrupts_its_own_body_and_nothing_beside_it` |
//! | a limit reaches through tasks that are awaited | `[time] a_limit_reaches_through_tasks_and_other_limits` |
//! | a limit can be moved, set and taken away | `[timeout_scope] the_body_moves_its_limit_later_earlier_and_away` |
//! | … by others, too | `[timeout_scope] another_task_moves_the_limit_of_a_body_that_waits` |
//! | … but only while its body runs: before and after it says why not | `[timeout_scope] the_limit_moves_only_while_the_scope_runs` |
//! | … it says whether it has passed, also while the body cleans up | `[timeout_scope] a_body_that_cleans_up_is_expiring_and_what_goes_on_gives_its_value` |
//! | a body that only yields is ended, too | `[time] a_limit_ends_a_body_that_wakes_itself_for_ever` |
//! | `wait_for` of something done gives it, even with no time | `wait_for_of_a_finished_task_gives_its_value_with_no_time_left` |
//! | … cancels the task and waits for its clean-up | `[groups] wait_for_waits_for_the_clean_up_of_the_task_it_had_to_cancel` |
//! | … a failure in the clean-up is what comes out | `wait_for_gives_the_failure_of_the_clean_up` |
//! | … cancelled, it cancels the task and waits | `a_cancelled_wait_for_cancels_its_task_and_waits_for_it` |
//! | … with no time: the task is cancelled | `wait_for_with_no_time_cancels_what_is_not_done` |
//! | … and so are those of a gathering | `wait_for_with_no_time_cancels_the_tasks_of_a_gathering` |

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::{
    Count, HOUR, MS, SECOND, both, cancelled, me, parked, paused, said, strict, turns, until,
};
use loxley::{
    Event, Handle, TaskError, TaskRef, catch_cancelled, create_task, gather, oneshot, sleep,
    timeout, timeout_at, wait_for, with_cleanup, yield_now,
};

#[test]
fn a_body_in_time_gives_its_value_and_leaves_no_timer() {
    both(async || {
        let before = Handle::current().metrics().armed_timers;
        let value = timeout(HOUR, async {
            yield_now().await;
            7
        });
        assert_eq!(value.await, Ok(7));
        assert_eq!(Handle::current().metrics().armed_timers, before);
    });
}

#[test]
fn a_body_that_never_waits_meets_no_limit() {
    both(async || {
        assert_eq!(timeout(Duration::ZERO, async { 7 }).await, Ok(7));
        let past = Instant::now();
        assert_eq!(timeout_at(past, async { 7 }).await, Ok(7));
    });
}

#[test]
fn a_limit_of_zero_fires_on_the_next_turn() {
    strict(async {
        let others = Count::default();
        let count = others.clone();
        let other = create_task(async move { count.add() });
        assert!(timeout(Duration::ZERO, pending::<()>()).await.is_err());
        assert_eq!(others.get(), 1, "it waited, so the others had their turn");
        other.await.unwrap();
    });
}

#[test]
fn a_deadline_in_the_past_fires_on_the_next_turn() {
    both(async || {
        let past = Instant::now();
        assert!(timeout_at(past, pending::<()>()).await.is_err());
    });
}

#[test]
fn a_deadline_is_a_point_in_time() {
    both(async || {
        let deadline = Instant::now() + MS;
        let first = timeout_at(deadline, pending::<()>()).await.unwrap_err();
        assert!(Instant::now() >= deadline);
        assert_eq!(first.limit(), None);
        assert!(timeout_at(deadline, pending::<()>()).await.is_err());
    });
}

#[test]
fn the_longest_limit_never_fires() {
    paused(async {
        let value = timeout(Duration::MAX, async {
            sleep(HOUR * 24 * 365).await;
            7
        });
        assert_eq!(value.await, Ok(7));
    });
}

#[test]
fn a_limit_that_fired_leaves_the_count_as_it_was() {
    paused(async {
        let task = create_task(async {
            let before = me().cancelling();
            assert!(timeout(MS, pending::<()>()).await.is_err());
            yield_now().await;
            (before, me().cancelling())
        });
        assert_eq!(task.await.unwrap(), (0, 0));
    });
}

#[test]
fn a_limit_inside_a_task_that_was_asked_before_still_makes_its_error() {
    paused(async {
        let task = create_task(async {
            // Clean-up with a limit: the count is at one when the limit begins.
            let _ = catch_cancelled(pending::<()>()).await;
            let late = timeout(SECOND, pending::<()>()).await;
            (late.is_err(), me().cancelling())
        });
        parked(&task.as_ref()).await;
        task.cancel();
        assert_eq!(task.await.unwrap(), (true, 1));
    });
}

#[test]
fn a_failure_of_the_body_passes_a_limit_unchanged() {
    both(async || {
        let failed = timeout(HOUR, async {
            yield_now().await;
            Err::<(), _>("its own")
        });
        assert_eq!(failed.await, Ok(Err("its own")));
        let panics = create_task(async {
            let _ = timeout(HOUR, async { panic!("its own") }).await;
        });
        assert!(panics.await.unwrap_err().to_string().contains("its own"));
    });
}

#[test]
fn a_panic_in_the_clean_up_goes_before_the_error_of_the_limit() {
    paused(async {
        let task = create_task(async {
            timeout(
                MS,
                with_cleanup(pending::<()>(), |_| async { panic!("cleaning") }),
            )
            .await
        });
        let error = task.await.map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("cleaning"), "{error}");
    });
}

#[test]
fn the_body_sees_a_cancellation_and_only_the_caller_the_error() {
    paused(async {
        let heard = Count::default();
        let count = heard.clone();
        let late = timeout(MS, async move {
            let error = catch_cancelled(pending::<()>()).await.unwrap_err();
            count.add();
            error.reraise().await
        });
        assert_eq!(late.await.unwrap_err().limit(), Some(MS));
        assert_eq!(heard.get(), 1);
    });
}

#[test]
fn of_two_limits_the_first_to_pass_makes_the_error() {
    paused(async {
        let outer = timeout(SECOND * 2, async {
            let inner = timeout(SECOND, pending::<()>()).await;
            assert_eq!(inner.unwrap_err().limit(), Some(SECOND));
            7
        });
        assert_eq!(outer.await, Ok(7));
    });
}

#[test]
fn of_two_limits_that_pass_at_once_the_inner_one_makes_the_error() {
    strict(async {
        // Both deadlines have passed when the task gets its next turn. The body of the outer limit is ready then, and a
        // body that is ready goes before its limit.
        let past = Instant::now();
        let outer = timeout_at(past, async {
            let inner = timeout_at(past, pending::<()>()).await;
            inner.is_err()
        });
        assert_eq!(outer.await, Ok(true));
        assert_eq!(me().cancelling(), 0);
    });
}

#[test]
fn a_request_and_a_limit_in_the_same_turn_are_a_cancellation() {
    paused(async {
        let (give, mut take) = oneshot::channel::<TaskRef>();
        // Its timer is the older one, so it has the turn before the task whose limit has passed as well.
        let asks = create_task(async move {
            sleep(SECOND).await;
            take.try_recv()
                .expect("it was given")
                .cancel_with("outside")
        });
        parked(&asks.as_ref()).await;
        let task = create_task(async {
            let _ = timeout(SECOND, pending::<()>()).await;
            unreachable!("the request goes on outwards");
        });
        give.send(task.as_ref()).unwrap();
        let ended: Result<(), _> = task.await;
        assert_eq!(cancelled(ended).message(), Some("outside"));
        assert!(asks.await.unwrap());
    });
}

#[test]
fn a_request_made_before_the_body_first_waits_goes_on_outwards() {
    paused(async {
        let task = create_task(timeout(SECOND, async {
            me().cancel();
            with_cleanup(pending::<()>(), |_| sleep(HOUR)).await;
        }));
        cancelled(task.await);
        let outer = create_task(timeout(HOUR, async {
            let inner = timeout(SECOND, async {
                me().cancel();
                with_cleanup(pending::<()>(), |_| sleep(HOUR)).await;
            });
            inner.await
        }));
        cancelled(outer.await);
    });
}

#[test]
fn a_request_during_the_clean_up_of_a_limit_goes_on_outwards() {
    paused(async {
        let (begun, go) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (begins, may_go) = (begun.clone(), go.clone());
        let task = create_task(async move {
            let around = catch_cancelled(timeout(MS, async move {
                let error = catch_cancelled(pending::<()>()).await.unwrap_err();
                begins.set();
                let _ = catch_cancelled(may_go.wait()).await;
                error.reraise().await;
            }));
            let around: Result<Result<(), _>, _> = around.await;
            (around.is_err(), me().cancelling())
        });
        begun.wait().await;
        task.cancel();
        assert_eq!(task.await.unwrap(), (true, 1));
        go.set();
    });
}

#[test]
fn a_swallowed_request_whose_count_stands_turns_the_limit_into_a_cancellation() {
    for takes_off in [false, true] {
        paused(async move {
            let task = create_task(async move {
                let limited = catch_cancelled(timeout(SECOND, async move {
                    let _ = catch_cancelled(pending::<()>()).await;
                    if takes_off {
                        me().uncancel();
                    }
                    pending::<()>().await;
                }));
                limited.await.map_err(|error| said(&error))
            });
            parked(&task.as_ref()).await;
            task.cancel();
            let limited = task.await.unwrap();
            match takes_off {
                true => assert!(limited.expect("the limit's own").is_err()),
                false => assert!(limited.is_err()),
            }
        });
    }
}

#[test]
fn a_request_taken_back_inside_a_limit_that_has_passed_is_forgotten() {
    paused(async {
        let task = create_task(async {
            let in_time = timeout(SECOND, async {
                let _ = catch_cancelled(pending::<()>()).await;
                me().cancel();
                assert_eq!(me().uncancel(), 1, "that of the limit");
            });
            in_time.await.expect("the body went on");
            assert_eq!(me().cancelling(), 0);
            sleep(SECOND).await;
        });
        task.await.expect("nobody asks it any more");
    });
}

#[test]
fn a_limit_interrupts_its_own_body_and_nothing_beside_it() {
    paused(async {
        let beside = Count::default();
        let (mut limited, mut other) = (
            pin!(timeout(SECOND, catch_cancelled(pending::<()>()))),
            pin!(async {
                let caught = catch_cancelled(sleep(SECOND * 2)).await;
                beside.add();
                caught.is_ok()
            }),
        );
        let (mut first, mut second) = (None, None);
        poll_fn(|cx| {
            if first.is_none() {
                if let Poll::Ready(end) = limited.as_mut().poll(cx) {
                    assert_eq!(beside.get(), 0);
                    first = Some(end);
                }
            }
            if second.is_none() {
                if let Poll::Ready(end) = other.as_mut().poll(cx) {
                    second = Some(end);
                }
            }
            match first.is_some() && second.is_some() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
        assert!(
            first
                .unwrap()
                .expect("it took the request and returned")
                .is_err()
        );
        assert_eq!(second, Some(true));
    });
}

#[test]
fn wait_for_of_a_finished_task_gives_its_value_with_no_time_left() {
    both(async || {
        let task = create_task(async { 7 });
        until(|| task.is_finished()).await;
        assert_eq!(wait_for(task, Duration::ZERO).await.unwrap().unwrap(), 7);
    });
}

#[test]
fn wait_for_gives_the_failure_of_the_clean_up() {
    paused(async {
        let task = create_task(async {
            let _ = catch_cancelled(pending::<()>()).await;
            yield_now().await;
            panic!("cleaning");
        });
        let ended: Result<(), TaskError> = wait_for(task, SECOND).await.expect("its failure");
        assert!(ended.unwrap_err().to_string().contains("cleaning"));
    });
}

#[test]
fn a_cancelled_wait_for_cancels_its_task_and_waits_for_it() {
    strict(async {
        let (gate, cleaned) = (Arc::new(Event::new()), Count::default());
        let (opened, count) = (gate.clone(), cleaned.clone());
        let inner = create_task(async move {
            let error = catch_cancelled(pending::<()>()).await.unwrap_err();
            opened.wait().await;
            count.add();
            error.reraise().await;
        });
        let outer = create_task(async move {
            let _ = wait_for(inner, HOUR).await;
        });
        turns(2).await;
        outer.cancel_with("outside");
        turns(3).await;
        assert!(!outer.is_finished(), "the clean-up goes on");
        gate.set();
        assert_eq!(cancelled(outer.await).message(), Some("outside"));
        assert_eq!(cleaned.get(), 1);
    });
}

#[test]
fn wait_for_with_no_time_cancels_what_is_not_done() {
    both(async || {
        let task = create_task(pending::<()>());
        let seen = task.as_ref();
        assert!(wait_for(task, Duration::ZERO).await.is_err());
        assert!(seen.is_cancelled());
    });
}

#[test]
fn wait_for_with_no_time_cancels_the_tasks_of_a_gathering() {
    both(async || {
        let tasks = [pending::<()>(), pending()].map(create_task);
        let seen = tasks.each_ref().map(|task| task.as_ref());
        let all = gather::<Vec<()>, _>(tasks).return_errors();
        assert!(wait_for(all, Duration::ZERO).await.is_err());
        assert!(seen.iter().all(TaskRef::is_cancelled));
    });
}
