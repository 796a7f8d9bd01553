//! `task_group`: tasks that end together.
//!
//! | rule | held by |
//! |---|---|
//! | a group ends when body and children have ended | `[groups] a_group_ends_after_all_its_children` |
//! | a group without children ends with its body | `a_group_without_children_ends_with_its_body` |
//! | children add children, also while the group waits | `[groups] children_add_siblings_while_the_group_waits_for_its_end` |
//! | a child added after the end is refused | `[groups] a_child_of_a_group_that_has_ended_panics_at_the_callers_line` |
//! | … while it shuts down it never starts | `[groups] no_child_starts_in_a_group_that_shuts_down` |
//! | the first failure cancels the rest and interrupts the body | `[groups] the_first_error_cancels_body_and_siblings_and_all_errors_are_given` |
//! | … which may clean up | `[groups] a_body_may_clean_up_when_a_child_fails` |
//! | … and a body that has ended already is not interrupted | `a_child_that_fails_after_the_body_interrupts_nothing_else` |
//! | a child that is merely cancelled is ignored | `[groups] a_child_that_is_merely_cancelled_ends_alone` |
//! | errors come in the order in which the children ended | `errors_come_in_the_order_in_which_the_children_ended` |
//! | an error of the body joins them | `[groups] an_error_of_the_body_joins_those_of_the_children` |
//! | … and cancels the children | `an_error_of_the_body_cancels_the_children` |
//! | errors made in the clean-up of siblings join them | `an_error_in_the_clean_up_of_a_sibling_joins_the_first` |
//! | a panic goes before every error | `a_panic_of_one_child_goes_before_the_errors_of_the_others` |
//! | … after all have ended | `[groups] a_panic_of_a_child_goes_on_in_the_parent_after_all_have_ended` |
//! | … of two panics the first | `of_two_panics_the_first_comes_out` |
//! | a request from outside cancels all, waits, goes on | `[groups] a_cancelled_group_waits_for_the_clean_up_of_its_children_then_goes_on_unwinding` |
//! | … beside errors it is heard at the next wait | `[groups] a_request_from_outside_that_meets_errors_is_heard_at_the_next_wait` |
//! | … while it waits for its children | `a_request_that_comes_while_the_group_waits_cancels_the_children` |
//! | the count of the parent is as before | `a_group_that_failed_leaves_the_count_of_its_parent` |
//! | … also where it was not zero | `a_group_inside_a_task_that_was_asked_before_still_gives_its_errors` |
//! | `cancel` ends a group early and without an error | `[groups] a_group_that_cancels_itself_ends_without_errors` |
//! | … the body is interrupted at its next wait | `a_group_cancelled_before_its_body_waits_interrupts_the_first_wait` |
//! | … errors that come of it are given | `errors_that_come_of_a_cancelled_group_are_given` |
//! | … a child that does so before its first wait is cancelled, too | `a_child_that_cancels_its_group_before_its_first_wait_is_cancelled_itself` |
//! | … what it adds afterwards never starts | `what_a_child_adds_after_it_cancelled_its_group_never_starts` |
//! | … a request from outside meanwhile is not swallowed | `a_request_from_outside_while_a_cancelled_group_winds_down_comes_out` |
//! | … nothing of it reaches the next wait | `nothing_of_a_cancelled_group_reaches_the_wait_after_it` |
//! | … twice or after the end it does nothing | `cancelling_a_group_after_its_end_does_nothing` |
//! | nested: an inner failure stays inside | `the_failure_of_an_inner_group_leaves_the_outer_one_alone` |
//! | … and an outer one goes through it | `the_failure_of_an_outer_group_ends_the_inner_one_first` |
//! | … errors of groups nest | `[groups] groups_nest_and_pass_their_errors_outwards` |
//! | a limit cancels a group, which waits for its children | `a_limit_around_a_group_cancels_its_children_and_waits_for_them` |
//! | `limit(n)`: never more than n at once | `[groups] a_group_with_a_limit_runs_no_more_at_once_and_all_in_the_end` |
//! | … first come, first served | `children_of_a_limited_group_start_in_the_order_given` |
//! | … those that wait when it fails never start | `children_that_wait_for_their_turn_never_start_when_the_group_fails` |
//! | … zero is refused | `a_limit_of_zero_children_is_refused_at_the_callers_line` |
//! | merely dropped, it cancels and does not wait | `[groups] a_group_that_is_dropped_cancels_its_children` |
//! | the handle of a failed child says that it ended cancelled | `[groups] the_handle_of_a_child_that_failed_says_so` |
//! | errors are split by what they are | `[groups] an_error_group_is_split_by_what_its_errors_are` |

use std::future::pending;
use std::sync::{Arc, Mutex};

use super::{Count, MS, SECOND, both, cancelled, me, panic_text, parked, paused, strict, turns};
use loxley::{
    ErrorGroup, Event, TaskError, TaskGroup, catch_cancelled, create_task, sleep, task_group,
    timeout, with_cleanup, yield_now,
};

#[derive(Clone, Debug, PartialEq)]
enum Trouble {
    Own(u32),
    Task(String),
}

impl From<TaskError> for Trouble {
    fn from(error: TaskError) -> Self {
        Self::Task(error.to_string())
    }
}

type Group = TaskGroup<Trouble>;
type Outcome<T> = Result<T, ErrorGroup<Trouble>>;

fn own(n: u32) -> Result<(), Trouble> {
    Err(Trouble::Own(n))
}

#[test]
fn a_group_without_children_ends_with_its_body() {
    strict(async {
        let others = Count::default();
        let count = others.clone();
        let other = create_task(async move { count.add() });
        let value: Outcome<u32> = task_group(|_: Group| async { Ok(7) }).await;
        assert_eq!(value.unwrap(), 7);
        assert_eq!(others.get(), 0, "it did not wait");
        other.await.unwrap();
    });
}

#[test]
fn a_child_that_fails_after_the_body_interrupts_nothing_else() {
    both(async || {
        let gate = Arc::new(Event::new());
        let failed: Outcome<()> = task_group(|tg: Group| {
            let (opened, gate) = (gate.clone(), gate.clone());
            async move {
                tg.create_task(async move {
                    opened.wait().await;
                    own(1)
                });
                gate.set();
                Ok(())
            }
        })
        .await;
        assert_eq!(failed.unwrap_err().errors(), [Trouble::Own(1)]);
        assert_eq!(me().cancelling(), 0);
        assert!(catch_cancelled(yield_now()).await.is_ok());
    });
}

#[test]
fn errors_come_in_the_order_in_which_the_children_ended() {
    paused(async {
        let failed: Outcome<()> = task_group(|tg: Group| async move {
            for (n, after) in [(1, 30), (2, 10), (3, 20)] {
                tg.create_task(async move {
                    // Each refuses to be interrupted.
                    let _ = catch_cancelled(pending::<()>()).await;
                    sleep(MS * after).await;
                    own(n)
                });
            }
            yield_now().await;
            tg.cancel();
            Ok(())
        })
        .await;
        let order = [2, 3, 1].map(Trouble::Own);
        assert_eq!(failed.unwrap_err().into_errors(), order);
    });
}

#[test]
fn an_error_of_the_body_cancels_the_children() {
    both(async || {
        let cleaned = Count::default();
        let failed: Outcome<()> = task_group(|tg: Group| {
            let cleaned = cleaned.clone();
            async move {
                let begun = Arc::new(Event::new());
                let begins = begun.clone();
                tg.create_task(with_cleanup(
                    async move {
                        begins.set();
                        pending::<()>().await;
                    },
                    |_| async move {
                        yield_now().await;
                        cleaned.add();
                    },
                ));
                begun.wait().await;
                own(7)
            }
        })
        .await;
        assert_eq!(failed.unwrap_err().errors(), [Trouble::Own(7)]);
        assert_eq!(cleaned.get(), 1);
    });
}

#[test]
fn an_error_in_the_clean_up_of_a_sibling_joins_the_first() {
    both(async || {
        let failed: Outcome<()> = task_group(|tg: Group| async move {
            let begun = Arc::new(Event::new());
            let begins = begun.clone();
            tg.create_task(async move {
                begins.set();
                let _ = catch_cancelled(pending::<()>()).await;
                own(2)
            });
            begun.wait().await;
            tg.create_task(async { own(1) });
            pending().await
        })
        .await;
        assert_eq!(failed.unwrap_err().into_errors(), [1, 2].map(Trouble::Own));
    });
}

#[test]
fn a_panic_of_one_child_goes_before_the_errors_of_the_others() {
    both(async || {
        let ended = Count::default();
        let token = ended.token();
        let parent = create_task(task_group(|tg: Group| async move {
            let begun = Arc::new(Event::new());
            let begins = begun.clone();
            tg.create_task(async move {
                let _token = token;
                begins.set();
                let _ = catch_cancelled(pending::<()>()).await;
                own(1)
            });
            begun.wait().await;
            tg.create_task::<_>(async {
                match all_is_well() {
                    true => panic!("goes first"),
                    false => own(2),
                }
            });
            pending::<Result<(), Trouble>>().await
        }));
        let error = parent.await.map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("goes first"), "{error}");
        assert_eq!(ended.get(), 1);
    });
}

/// Always; so that what follows is not unreachable.
fn all_is_well() -> bool {
    !loxley::all_tasks().is_empty()
}

#[test]
fn of_two_panics_the_first_comes_out() {
    strict(async {
        let parent = create_task(task_group(|tg: Group| async move {
            for word in ["first", "second"] {
                tg.create_task(async move {
                    if word == "second" {
                        let _ = catch_cancelled(pending::<()>()).await;
                    } else {
                        yield_now().await;
                    }
                    match all_is_well() {
                        true => panic!("{word}"),
                        false => own(0),
                    }
                });
            }
            pending::<Result<(), Trouble>>().await
        }));
        let error = parent.await.map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("first"), "{error}");
    });
}

#[test]
fn a_request_that_comes_while_the_group_waits_cancels_the_children() {
    both(async || {
        let (begun, cleaned) = (Arc::new(Event::new()), Count::default());
        let (begins, count) = (begun.clone(), cleaned.clone());
        let parent = create_task(task_group(|tg: Group| {
            let waits = async move {
                begins.set();
                pending::<()>().await;
            };
            tg.create_task(with_cleanup(waits, |_| async move {
                yield_now().await;
                count.add();
            }));
            async { Ok(()) }
        }));
        begun.wait().await;
        parked(&parent.as_ref()).await;
        parent.cancel_with("outside");
        assert_eq!(cancelled(parent.await).message(), Some("outside"));
        assert_eq!(cleaned.get(), 1);
    });
}

#[test]
fn a_group_that_failed_leaves_the_count_of_its_parent() {
    both(async || {
        let failed: Outcome<()> = task_group(|tg: Group| async move {
            tg.create_task(async { own(1) });
            pending().await
        })
        .await;
        assert_eq!(failed.unwrap_err().errors(), [Trouble::Own(1)]);
        assert_eq!(me().cancelling(), 0);
        assert!(catch_cancelled(yield_now()).await.is_ok());
    });
}

#[test]
fn a_group_inside_a_task_that_was_asked_before_still_gives_its_errors() {
    both(async || {
        let task = create_task(async {
            // A clean-up that runs a group: the count is at one all the while.
            let _ = catch_cancelled(pending::<()>()).await;
            let failed: Outcome<()> = task_group(|tg: Group| async move {
                tg.create_task(async { own(1) });
                pending().await
            })
            .await;
            (failed.unwrap_err().into_errors(), me().cancelling())
        });
        parked(&task.as_ref()).await;
        task.cancel();
        assert_eq!(task.await.unwrap(), (vec![Trouble::Own(1)], 1));
    });
}

#[test]
fn a_group_cancelled_before_its_body_waits_interrupts_the_first_wait() {
    both(async || {
        let steps = Count::default();
        let ended: Outcome<()> = task_group(|tg: Group| {
            let steps = steps.clone();
            async move {
                tg.cancel();
                steps.add();
                yield_now().await;
                steps.add();
                Ok(())
            }
        })
        .await;
        assert!(ended.unwrap_err().is_cancelled());
        assert_eq!(steps.get(), 1);
    });
}

#[test]
fn errors_that_come_of_a_cancelled_group_are_given() {
    both(async || {
        let ended: Outcome<()> = task_group(|tg: Group| async move {
            let begun = Arc::new(Event::new());
            let begins = begun.clone();
            tg.create_task(async move {
                begins.set();
                let _ = catch_cancelled(pending::<()>()).await;
                own(1)
            });
            begun.wait().await;
            tg.cancel();
            pending().await
        })
        .await;
        assert_eq!(ended.unwrap_err().errors(), [Trouble::Own(1)]);
    });
}

#[test]
fn a_child_that_cancels_its_group_before_its_first_wait_is_cancelled_itself() {
    both(async || {
        let steps = Count::default();
        let ended: Outcome<()> = task_group(|tg: Group| {
            let steps = steps.clone();
            async move {
                let canceller = tg.clone();
                tg.create_task(async move {
                    canceller.cancel();
                    steps.add();
                    pending::<()>().await;
                });
                pending().await
            }
        })
        .await;
        assert!(ended.unwrap_err().is_cancelled());
        assert_eq!(steps.get(), 1);
    });
}

#[test]
fn what_a_child_adds_after_it_cancelled_its_group_never_starts() {
    both(async || {
        let (started, dropped) = (Count::default(), Count::default());
        let ended: Outcome<()> = task_group(|tg: Group| {
            let (started, token) = (started.clone(), dropped.token());
            async move {
                let canceller = tg.clone();
                tg.create_task(async move {
                    canceller.cancel();
                    canceller.create_task(async move {
                        let _token = token;
                        started.add();
                    });
                });
                pending().await
            }
        })
        .await;
        assert!(ended.unwrap_err().is_cancelled());
        assert_eq!((started.get(), dropped.get()), (0, 1));
    });
}

#[test]
fn a_request_from_outside_while_a_cancelled_group_winds_down_comes_out() {
    both(async || {
        let (winding, go) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (winds, may_go) = (winding.clone(), go.clone());
        let parent = create_task(task_group(|tg: Group| async move {
            let begun = Arc::new(Event::new());
            let begins = begun.clone();
            tg.create_task(async move {
                let _ = catch_cancelled(async {
                    begins.set();
                    pending::<()>().await;
                })
                .await;
                winds.set();
                while catch_cancelled(may_go.wait()).await.is_err() {}
            });
            begun.wait().await;
            tg.cancel();
            pending::<Result<(), Trouble>>().await
        }));
        winding.wait().await;
        parked(&parent.as_ref()).await;
        parent.cancel_with("outside");
        go.set();
        assert_eq!(cancelled(parent.await).message(), Some("outside"));
    });
}

#[test]
fn nothing_of_a_cancelled_group_reaches_the_wait_after_it() {
    both(async || {
        let kept: Outcome<u32> = task_group(|tg: Group| async move {
            tg.cancel();
            Ok(7)
        })
        .await;
        assert_eq!(kept.unwrap(), 7);
        assert!(catch_cancelled(yield_now()).await.is_ok());
        assert_eq!(me().cancelling(), 0);
    });
}

#[test]
fn cancelling_a_group_after_its_end_does_nothing() {
    both(async || {
        let tg = task_group(|tg: Group| async move { Ok(tg) }).await.unwrap();
        tg.cancel();
        tg.cancel();
        assert_eq!(me().cancelling(), 0);
        assert!(catch_cancelled(yield_now()).await.is_ok());
    });
}

#[test]
fn the_failure_of_an_inner_group_leaves_the_outer_one_alone() {
    both(async || {
        let value: Outcome<usize> = task_group(|outer: Group| async move {
            let sibling = outer.create_task(async {
                yield_now().await;
                Ok::<_, Trouble>(7)
            });
            let inner: Outcome<()> = task_group(|inner: Group| async move {
                inner.create_task(async { own(1) });
                pending().await
            })
            .await;
            let errors = inner.unwrap_err().errors().len();
            Ok(sibling.await? + errors)
        })
        .await;
        assert_eq!(value.unwrap(), 8);
    });
}

#[test]
fn the_failure_of_an_outer_group_ends_the_inner_one_first() {
    both(async || {
        let order = Arc::new(Mutex::new(Vec::new()));
        let failed: Outcome<()> = task_group(|outer: Group| {
            let order = order.clone();
            async move {
                let begun = Arc::new(Event::new());
                let (begins, in_child) = (begun.clone(), order.clone());
                outer.create_task(async move {
                    begun.wait().await;
                    own(1)
                });
                let inner = task_group(|inner: Group| async move {
                    inner.create_task(with_cleanup(
                        async move {
                            begins.set();
                            pending::<()>().await;
                        },
                        |_| async move {
                            yield_now().await;
                            in_child.lock().unwrap().push("inner child");
                        },
                    ));
                    pending::<Result<(), Trouble>>().await
                });
                let error = catch_cancelled(inner).await.map(|_| ()).unwrap_err();
                order.lock().unwrap().push("outer body");
                error.reraise().await
            }
        })
        .await;
        assert_eq!(failed.unwrap_err().errors(), [Trouble::Own(1)]);
        assert_eq!(*order.lock().unwrap(), ["inner child", "outer body"]);
    });
}

#[test]
fn a_limit_around_a_group_cancels_its_children_and_waits_for_them() {
    paused(async {
        let cleaned = Count::default();
        let count = cleaned.clone();
        let late = timeout(
            SECOND,
            task_group(|tg: Group| async move {
                tg.create_task(with_cleanup(pending::<()>(), |_| async move {
                    sleep(SECOND).await;
                    count.add();
                }));
                pending::<Result<(), Trouble>>().await
            }),
        )
        .await;
        assert!(late.is_err());
        assert_eq!(cleaned.get(), 1);
        assert_eq!(me().cancelling(), 0);
    });
}

#[test]
fn children_of_a_limited_group_start_in_the_order_given() {
    strict(async {
        let order = Arc::new(Mutex::new(Vec::new()));
        let started = order.clone();
        let ran = TaskGroup::<Trouble>::builder()
            .limit(2)
            .run(|tg| async move {
                for n in 0..6 {
                    let started = started.clone();
                    tg.create_task(async move {
                        started.lock().unwrap().push(n);
                        turns(3).await;
                    });
                }
                Ok(())
            });
        ran.await.unwrap();
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4, 5]);
    });
}

#[test]
fn children_that_wait_for_their_turn_never_start_when_the_group_fails() {
    both(async || {
        let started = Count::default();
        let count = started.clone();
        let failed: Outcome<()> = TaskGroup::builder()
            .limit(1)
            .run(|tg| async move {
                let begun = Arc::new(Event::new());
                let begins = begun.clone();
                tg.create_task(async move {
                    begins.set();
                    pending::<()>().await;
                });
                begun.wait().await;
                for _ in 0..5 {
                    let count = count.clone();
                    tg.create_task(async move {
                        count.add();
                    });
                }
                own(1)
            })
            .await;
        assert_eq!(failed.unwrap_err().errors(), [Trouble::Own(1)]);
        assert_eq!(started.get(), 0);
    });
}

#[test]
fn a_limit_of_zero_children_is_refused_at_the_callers_line() {
    let text = panic_text(|| drop(TaskGroup::<Trouble>::builder().limit(0)));
    assert!(text.contains("limit of zero"), "{text}");
}
