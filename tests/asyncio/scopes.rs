//! The helpers that hear a request, and several of them in one task.
//!
//! | rule | held by |
//! |---|---|
//! | a catch around what is ready at once hears nothing | `a_catch_around_what_is_ready_leaves_the_request_to_the_next_wait` |
//! | a request without any catch drops the whole future | `without_a_catch_the_whole_future_is_dropped_at_its_await` |
//! | a catch gives way with its inner future dropped | `what_was_waited_for_is_gone_before_the_clean_up_begins` |
//! | of two nested catches the inner one hears the first request, the outer one the second | `nested_catches_hear_one_request_each_from_the_inside_out` |
//! | an error raised again goes to the next catch outwards | `an_error_raised_again_is_caught_by_the_next_catch_outwards` |
//! | … without touching the count | `raising_again_leaves_the_count_alone` |
//! | … outside a task it panics | `raising_again_outside_a_task_panics` |
//! | `with_cleanup` runs after a value, which it sees | `with_cleanup_runs_after_a_value_and_gives_it` |
//! | … and after a request, which goes on unwinding | `with_cleanup_runs_after_a_request_and_passes_it_on` |
//! | … whose second request drops the clean-up | `a_second_request_interrupts_with_cleanup` |
//! | … nested: from the inside out | `nested_clean_ups_run_from_the_inside_out` |
//! | `uncancellable` holds a request until its end | `[cancel] nothing_inside_uncancellable_hears_a_request_and_the_next_wait_does` |
//! | … though it hears several | `several_requests_to_an_uncancellable_are_one_error_afterwards` |
//! | … and a catch around it hears it when it is done | `a_catch_around_uncancellable_hears_it_at_the_end` |
//! | `checkpoint` without a request does nothing | `a_checkpoint_without_a_request_is_ready_at_once` |
//! | … with one it is where it is heard | `a_checkpoint_is_where_a_request_is_heard` |
//! | a marked catch that is dropped gives the request back | `[cancel] a_marked_scope_that_loses_a_race_gives_the_request_back` |
//! | every branch of a join hears the request | `every_branch_of_a_join_hears_the_request` |
//! | … one without a catch goes on | `a_branch_without_a_catch_goes_on_while_the_other_cleans_up` |
//! | … a catch around both hears it after those inside | `a_catch_around_a_join_is_left_alone_by_branches_that_took_the_request` |
//! | a race inside a task: the losers' scopes do not take a later request | `scopes_of_losers_are_gone_when_the_next_request_comes` |
//! | a scope may be polled first in another task | `[cancel] a_scope_that_moves_to_another_task_hears_that_one` |
//! | a parent that polls only what was woken reaches the scope | `a_scope_under_a_parent_that_polls_only_what_was_woken_hears_it` |

use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use super::{Count, both, cancelled, me, panic_text, parked, said, strict, turns, until};
use loxley::{
    Event, catch_cancelled, checkpoint, create_task, race, uncancellable, with_cleanup, yield_now,
};

#[test]
fn a_catch_around_what_is_ready_leaves_the_request_to_the_next_wait() {
    both(async || {
        let task = create_task(async {
            me().cancel();
            let ready = catch_cancelled(async { 7 }).await;
            assert_eq!(ready.expect("it did not wait"), 7);
            catch_cancelled(yield_now()).await.is_err()
        });
        assert!(task.await.unwrap());
    });
}

#[test]
fn without_a_catch_the_whole_future_is_dropped_at_its_await() {
    both(async || {
        let (dropped, after) = (Count::default(), Count::default());
        let (token, count) = (dropped.token(), after.clone());
        let task = create_task(async move {
            let _token = token;
            pending::<()>().await;
            count.add();
        });
        parked(&task.as_ref()).await;
        task.cancel();
        cancelled(task.await);
        assert_eq!((dropped.get(), after.get()), (1, 0));
    });
}

#[test]
fn what_was_waited_for_is_gone_before_the_clean_up_begins() {
    both(async || {
        let dropped = Count::default();
        let (token, seen) = (dropped.token(), dropped.clone());
        let task = create_task(async move {
            let inner = async move {
                let _token = token;
                pending::<()>().await;
            };
            catch_cancelled(inner).await.unwrap_err();
            seen.get()
        });
        parked(&task.as_ref()).await;
        task.cancel();
        assert_eq!(task.await.unwrap(), 1);
    });
}

#[test]
fn nested_catches_hear_one_request_each_from_the_inside_out() {
    strict(async {
        let task = create_task(async {
            let outer = catch_cancelled(async {
                let inner = catch_cancelled(pending::<()>()).await;
                let _ = said(&inner.unwrap_err()).map(|word| assert_eq!(word, "one"));
                pending::<()>().await;
            });
            said(&outer.await.unwrap_err())
        });
        turns(1).await;
        task.cancel_with("one");
        turns(1).await;
        task.cancel_with("two");
        assert_eq!(task.await.unwrap().as_deref(), Some("two"));
    });
}

#[test]
fn an_error_raised_again_is_caught_by_the_next_catch_outwards() {
    both(async || {
        let task = create_task(async {
            let outer = catch_cancelled(async {
                let inner = catch_cancelled(pending::<()>()).await;
                inner.unwrap_err().reraise().await;
            });
            said(&outer.await.unwrap_err())
        });
        parked(&task.as_ref()).await;
        task.cancel_with("once");
        assert_eq!(task.await.unwrap().as_deref(), Some("once"));
    });
}

#[test]
fn raising_again_leaves_the_count_alone() {
    both(async || {
        let task = create_task(async {
            let outer = catch_cancelled(async {
                let inner = catch_cancelled(pending::<()>()).await;
                assert_eq!(me().cancelling(), 1);
                inner.unwrap_err().reraise().await;
            });
            assert!(outer.await.is_err());
            me().cancelling()
        });
        parked(&task.as_ref()).await;
        task.cancel();
        assert_eq!(task.await.unwrap(), 1);
    });
}

#[test]
fn raising_again_outside_a_task_panics() {
    let mut error = None;
    strict(async {
        let task = create_task(pending::<()>());
        task.cancel();
        error = Some(cancelled(task.await));
    });
    let text = panic_text(|| {
        let mut raised = pin!(error.unwrap().reraise());
        let _ = raised
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
    });
    assert!(text.contains("task"), "{text}");
}

#[test]
fn with_cleanup_runs_after_a_value_and_gives_it() {
    both(async || {
        let cleaned = Count::default();
        let value = with_cleanup(async { 7 }, |outcome| {
            assert_eq!(outcome.ok(), Some(&7));
            let cleaned = cleaned.clone();
            async move {
                yield_now().await;
                cleaned.add();
            }
        });
        assert_eq!(value.await, 7);
        assert_eq!(cleaned.get(), 1);
    });
}

#[test]
fn with_cleanup_runs_after_a_request_and_passes_it_on() {
    both(async || {
        let cleaned = Count::default();
        let count = cleaned.clone();
        let task = create_task(async move {
            with_cleanup(pending::<()>(), |outcome| {
                assert_eq!(outcome.unwrap_err().message(), Some("stop"));
                async move {
                    yield_now().await;
                    count.add();
                }
            })
            .await;
        });
        parked(&task.as_ref()).await;
        task.cancel_with("stop");
        assert_eq!(cancelled(task.await).message(), Some("stop"));
        assert_eq!(cleaned.get(), 1);
    });
}

#[test]
fn a_second_request_interrupts_with_cleanup() {
    both(async || {
        let (begun, dropped) = (Arc::new(Event::new()), Count::default());
        let (begins, token) = (begun.clone(), dropped.token());
        let task = create_task(with_cleanup(pending::<()>(), |_| async move {
            let _token = token;
            begins.set();
            pending::<()>().await;
        }));
        parked(&task.as_ref()).await;
        task.cancel_with("one");
        begun.wait().await;
        parked(&task.as_ref()).await;
        task.cancel_with("two");
        assert_eq!(cancelled(task.await).message(), Some("two"));
        assert_eq!(dropped.get(), 1);
    });
}

#[test]
fn nested_clean_ups_run_from_the_inside_out() {
    both(async || {
        let order = Arc::new(Mutex::new(Vec::new()));
        let step = |word: &'static str| {
            let order = order.clone();
            async move {
                yield_now().await;
                order.lock().unwrap().push(word);
            }
        };
        let (inner, outer) = (step("inner"), step("outer"));
        let task = create_task(with_cleanup(
            with_cleanup(pending::<()>(), |_| inner),
            |_| outer,
        ));
        parked(&task.as_ref()).await;
        task.cancel();
        cancelled(task.await);
        assert_eq!(*order.lock().unwrap(), ["inner", "outer"]);
    });
}

#[test]
fn several_requests_to_an_uncancellable_are_one_error_afterwards() {
    both(async || {
        let gate = Arc::new(Event::new());
        let opened = gate.clone();
        let task = create_task(async move {
            let first = catch_cancelled(async {
                uncancellable(opened.wait()).await;
                yield_now().await;
            });
            let first = first.await.is_err();
            let second = catch_cancelled(yield_now()).await.is_err();
            (first, second, me().cancelling())
        });
        parked(&task.as_ref()).await;
        for _ in 0..3 {
            task.cancel();
            parked(&task.as_ref()).await;
        }
        gate.set();
        assert_eq!(task.await.unwrap(), (true, false, 3));
    });
}

#[test]
fn a_catch_around_uncancellable_hears_it_at_the_end() {
    both(async || {
        let (gate, done) = (Arc::new(Event::new()), Count::default());
        let (opened, count) = (gate.clone(), done.clone());
        let task = create_task(async move {
            let caught = catch_cancelled(async {
                uncancellable(async {
                    opened.wait().await;
                    count.add();
                })
                .await;
                checkpoint().await;
                unreachable!("the request was held until here");
            });
            said(&caught.await.unwrap_err())
        });
        parked(&task.as_ref()).await;
        task.cancel_with("held");
        parked(&task.as_ref()).await;
        assert!(!task.is_finished());
        gate.set();
        assert_eq!(task.await.unwrap().as_deref(), Some("held"));
        assert_eq!(done.get(), 1);
    });
}

#[test]
fn a_checkpoint_without_a_request_is_ready_at_once() {
    strict(async {
        let ran = Count::default();
        let count = ran.clone();
        let task = create_task(async move { count.add() });
        checkpoint().await;
        assert_eq!(ran.get(), 0, "nobody else had a turn");
        task.await.unwrap();
    });
}

#[test]
fn a_checkpoint_is_where_a_request_is_heard() {
    both(async || {
        let steps = Count::default();
        let count = steps.clone();
        let task = create_task(async move {
            me().cancel_with("now");
            count.add();
            checkpoint().await;
            count.add();
        });
        assert_eq!(cancelled(task.await).message(), Some("now"));
        assert_eq!(steps.get(), 1);
    });
}

/// Polls both at every poll, until both are ready.
async fn join<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut first, mut second) = (None, None);
    poll_fn(|cx| {
        if first.is_none() {
            if let Poll::Ready(value) = a.as_mut().poll(cx) {
                first = Some(value);
            }
        }
        if second.is_none() {
            if let Poll::Ready(value) = b.as_mut().poll(cx) {
                second = Some(value);
            }
        }
        match first.is_some() && second.is_some() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    (first.expect("ready"), second.expect("ready"))
}

#[test]
fn every_branch_of_a_join_hears_the_request() {
    both(async || {
        let task = create_task(async {
            let (a, b) = join(
                catch_cancelled(pending::<()>()),
                catch_cancelled(pending::<()>()),
            )
            .await;
            (
                said(&a.unwrap_err()),
                said(&b.unwrap_err()),
                me().cancelling(),
            )
        });
        parked(&task.as_ref()).await;
        task.cancel_with("both");
        let word = Some("both".to_owned());
        assert_eq!(task.await.unwrap(), (word.clone(), word, 1));
    });
}

#[test]
fn a_branch_without_a_catch_goes_on_while_the_other_cleans_up() {
    both(async || {
        let gate = Arc::new(Event::new());
        let opened = gate.clone();
        let task = create_task(async move {
            let cleans_up = async {
                catch_cancelled(pending::<()>()).await.unwrap_err();
                gate.set();
            };
            join(cleans_up, async { opened.wait().await }).await;
            7
        });
        parked(&task.as_ref()).await;
        task.cancel();
        assert_eq!(task.await.unwrap(), 7);
    });
}

#[test]
fn a_catch_around_a_join_is_left_alone_by_branches_that_took_the_request() {
    both(async || {
        let task = create_task(async {
            let around = catch_cancelled(join(
                catch_cancelled(pending::<()>()),
                catch_cancelled(pending::<()>()),
            ));
            let (a, b) = around.await.expect("those inside took it");
            a.is_err() && b.is_err()
        });
        parked(&task.as_ref()).await;
        task.cancel();
        assert!(task.await.unwrap());
    });
}

#[test]
fn scopes_of_losers_are_gone_when_the_next_request_comes() {
    both(async || {
        let heard = Count::default();
        let count = heard.clone();
        let task = create_task(async move {
            let runner = |turns: Option<usize>| {
                let count = count.clone();
                async move {
                    match turns {
                        Some(_) => yield_now().await,
                        None => {
                            let _ = catch_cancelled(pending::<()>()).await;
                            count.add();
                        }
                    }
                }
            };
            race([runner(None), runner(Some(1)), runner(None)]).await;
            catch_cancelled(pending::<()>()).await.is_err()
        });
        parked(&task.as_ref()).await;
        until(|| !task.as_ref().is_runnable()).await;
        task.cancel();
        assert!(task.await.unwrap());
        assert_eq!(heard.get(), 0);
    });
}

/// Polls what it holds only when that was woken, as sets of futures do.
struct Lazy<F> {
    inner: Pin<Box<F>>,
    bell: Arc<Bell>,
}

struct Bell {
    rung: AtomicBool,
    outer: Mutex<Option<Waker>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        let outer = self.outer.lock().unwrap().take();
        if let Some(outer) = outer {
            outer.wake();
        }
    }
}

impl<F: Future> Future for Lazy<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        *self.bell.outer.lock().unwrap() = Some(cx.waker().clone());
        if !self.bell.rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let waker = Waker::from(self.bell.clone());
        self.inner.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

#[test]
fn a_scope_under_a_parent_that_polls_only_what_was_woken_hears_it() {
    both(async || {
        let task = create_task(Lazy {
            inner: Box::pin(async {
                let error = catch_cancelled(pending::<()>()).await.unwrap_err();
                yield_now().await;
                said(&error)
            }),
            bell: Arc::new(Bell {
                rung: AtomicBool::new(true),
                outer: Mutex::new(None),
            }),
        });
        parked(&task.as_ref()).await;
        task.cancel_with("reached");
        assert_eq!(task.await.unwrap().as_deref(), Some("reached"));
    });
}
