//! Programs: `run`, `Runner`, and how they end.
//!
//! | rule | held by |
//! |---|---|
//! | `run` gives what main gives | `run_gives_what_main_gives_and_main_may_borrow` |
//! | main is a task | `main_is_a_task_like_any_other` |
//! | a `run` inside a runtime is refused | `a_run_inside_a_runtime_is_refused_at_the_callers_line` |
//! | a failure of main comes out after the clean-up of all others | `a_panic_of_main_comes_out_after_the_others_cleaned_up` |
//! | leftovers are asked once, and awaited | `leftovers_are_asked_once_and_may_clean_up` |
//! | … their failures are reported | `a_leftover_that_fails_at_the_end_is_reported` |
//! | Ctrl-C cancels main, then its leftovers; the process ends by the signal | `[interrupt] first_interrupt_cancels_main_and_its_leftovers_and_ends_the_process_by_the_signal` |
//! | … a main that goes on ends as it likes | `[interrupt] main_that_goes_on_after_an_interrupt_ends_as_it_likes` |
//! | … a second one kills | `[interrupt] second_interrupt_kills_during_the_clean_up` |
//! | … nobody who listens himself is disturbed | `[interrupt] program_that_listens_itself_is_not_cancelled` |
//! | main cancelled by somebody else is that, no interrupt | `[interrupt] main_cancelled_by_somebody_else_is_no_interrupt` |
//! | a runner runs several times, in one context | `[interrupt] runs_of_one_runner_share_a_context` |
//! | … on one runtime, whose tasks go on in the next run | `tasks_left_by_one_run_go_on_in_the_next` |
//! | … after a run that failed | `a_runner_goes_on_after_a_run_that_panicked` |
//! | … closes once, finally | `[interrupt] close_lets_leftovers_clean_up_and_a_second_close_does_nothing` |
//! | … also when dropped | `a_runner_that_is_dropped_lets_its_leftovers_clean_up` |
//! | … has a handle, which answers when it is closed too | `a_runner_has_a_handle_even_when_it_is_closed` |
//! | a job on the pool is awaited at the end | `a_job_on_the_pool_is_waited_for_at_the_end` |

use std::cell::Cell;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};

use super::{Count, cancelled, me, panic_text};
use loxley::{
    Event, Runner, all_tasks, catch_cancelled, create_task, oneshot, run, to_thread, with_cleanup,
    yield_now,
};

#[test]
fn run_gives_what_main_gives_and_main_may_borrow() {
    let words = [String::from("borrowed")];
    let not_send = Rc::new(Cell::new(0));
    let result: Result<usize, ()> = run(async {
        not_send.set(1);
        yield_now().await;
        Ok(words[0].len())
    });
    assert_eq!((result, not_send.get()), (Ok(8), 1));
}

#[test]
fn main_is_a_task_like_any_other() {
    run(async {
        assert!(all_tasks().contains(&me()));
        me().cancel_with("heard");
        let error = catch_cancelled(pending::<()>()).await.unwrap_err();
        assert_eq!(error.message(), Some("heard"));
        assert_eq!(me().uncancel(), 0);
    });
}

#[test]
fn a_run_inside_a_runtime_is_refused_at_the_callers_line() {
    run(async {
        let text = panic_text(|| run(async {}));
        assert!(text.contains("polls tasks"), "{text}");
        let text = panic_text(|| Runner::new().unwrap().run(async {}));
        assert!(text.contains("polls tasks"), "{text}");
        let task = create_task(async { panic_text(|| run(async {})) });
        assert!(task.await.unwrap().contains("polls tasks"));
    });
}

/// A task that, asked to stop, takes a few turns to clean up.
async fn leftover(cleaned: &Count) {
    let (begun, begins) = oneshot::channel();
    let cleaned = cleaned.clone();
    drop(create_task(with_cleanup(
        async move {
            begun.send(()).unwrap();
            pending::<()>().await;
        },
        |_| async move {
            for _ in 0..3 {
                yield_now().await;
            }
            cleaned.add();
        },
    )));
    begins.await.expect("it starts");
}

#[test]
fn a_panic_of_main_comes_out_after_the_others_cleaned_up() {
    let cleaned = Count::default();
    let text = panic_text(|| {
        run(async {
            leftover(&cleaned).await;
            panic!("main's own");
        })
    });
    assert_eq!((&*text, cleaned.get()), ("main's own", 1));
}

#[test]
fn leftovers_are_asked_once_and_may_clean_up() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let mut runner = Runner::new().unwrap();
    let told = asked.clone();
    let ran = runner.run(async {
        let begun = Arc::new(Event::new());
        let begins = begun.clone();
        drop(create_task(async move {
            let _ = catch_cancelled(async {
                begins.set();
                pending::<()>().await;
            })
            .await;
            for _ in 0..10 {
                yield_now().await;
            }
            told.lock().unwrap().push(me().cancelling());
        }));
        begun.wait().await;
    });
    ran.unwrap();
    assert!(runner.close().is_clean());
    assert_eq!(*asked.lock().unwrap(), [1]);
}

#[test]
fn a_leftover_that_fails_at_the_end_is_reported() {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let told = reports.clone();
    let builder = Runner::builder()
        .unhandled_error(move |error| told.lock().unwrap().push(error.to_string()));
    let mut runner = builder.build_runner().unwrap();
    let ran = runner.run(async {
        let begun = Arc::new(Event::new());
        let begins = begun.clone();
        drop(create_task(async move {
            let _ = catch_cancelled(async {
                begins.set();
                pending::<()>().await;
            })
            .await;
            panic!("at the end");
        }));
        begun.wait().await;
    });
    ran.unwrap();
    assert!(runner.close().is_clean());
    let reports = reports.lock().unwrap();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].contains("at the end"), "{reports:?}");
}

#[test]
fn tasks_left_by_one_run_go_on_in_the_next() {
    for strict in [false, true] {
        let mut builder = Runner::builder();
        if strict {
            builder = builder.current_thread();
        }
        let mut runner = builder.build_runner().unwrap();
        let gate = Arc::new(Event::new());
        let opened = gate.clone();
        let mut left = None;
        let ran = runner.run(async {
            left = Some(create_task(async move {
                opened.wait().await;
                7
            }));
        });
        ran.unwrap();
        let task = left.unwrap();
        assert!(!task.is_finished());
        let value = runner.run(async {
            gate.set();
            task.await.unwrap()
        });
        assert_eq!(value.unwrap(), 7);
    }
}

#[test]
fn a_runner_goes_on_after_a_run_that_panicked() {
    let mut runner = Runner::new().unwrap();
    let result = catch_unwind(AssertUnwindSafe(|| runner.run(async { panic!("once") })));
    assert!(result.map(|ran| ran.map(|(): ()| ())).is_err());
    assert_eq!(runner.run(async { 7 }).unwrap(), 7);
}

#[test]
fn a_runner_that_is_dropped_lets_its_leftovers_clean_up() {
    let cleaned = Count::default();
    let mut runner = Runner::new().unwrap();
    runner.run(leftover(&cleaned)).unwrap();
    drop(runner);
    assert_eq!(cleaned.get(), 1);
}

#[test]
fn a_runner_has_a_handle_even_when_it_is_closed() {
    let mut runner = Runner::new().unwrap();
    let handle = runner.handle();
    let task = handle.create_task(async { 7 });
    assert_eq!(runner.run(task).unwrap().unwrap(), 7);
    assert!(runner.close().is_clean());
    // It answers still: what is made through it ends cancelled.
    let task = runner.handle().create_task(async { 7 });
    cancelled(run(task));
}

#[test]
fn a_job_on_the_pool_is_waited_for_at_the_end() {
    let (begun, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let ended = Count::default();
    let count = ended.clone();
    let mut runner = Runner::new().unwrap();
    let ran = runner.run(async {
        let job = create_task(to_thread(move || {
            begun.send(()).unwrap();
            released.recv().unwrap();
            count.add();
        }));
        to_thread(move || has_begun.recv().unwrap()).await;
        job.cancel();
        cancelled(job.await);
    });
    ran.unwrap();
    assert_eq!(ended.get(), 0);
    release.send(()).unwrap();
    assert!(runner.close().is_clean());
    assert_eq!(ended.get(), 1);
}
