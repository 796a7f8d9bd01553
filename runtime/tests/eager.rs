//! Tasks whose first poll is part of `create_task`.

use loxley_runtime::{Runtime, TaskRef, all_tasks, current_task, task, timeout, yield_now};
use loxley_sync::{CancelledError, Event, catch_cancelled, context_var};
use std::future::{Future, pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

context_var! { static USER: String }

fn both<F: Future>(test: impl Fn() -> F) {
    let two = Runtime::builder().worker_threads(2).build().unwrap();
    two.block_on(test());
    let strict = Runtime::builder().current_thread().build().unwrap();
    strict.block_on(test());
}

fn eager() -> task::Builder {
    task::Builder::new().eager(true)
}

#[test]
fn an_eager_task_runs_to_its_first_wait_before_its_maker_goes_on() {
    both(|| async {
        let steps = Arc::new(AtomicUsize::new(0));
        let seen = steps.clone();
        let gate = Arc::new(Event::new());
        let opened = gate.clone();
        let task = eager().create_task(async move {
            seen.fetch_add(1, Ordering::Relaxed);
            opened.wait().await;
            seen.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(steps.load(Ordering::Relaxed), 1);
        assert!(!task.is_finished());
        gate.set();
        task.await.unwrap();
        assert_eq!(steps.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn an_eager_task_that_does_not_wait_is_done_at_once_and_cannot_be_cancelled() {
    both(|| async {
        let task = eager().create_task(async { 7 });
        assert!(task.is_finished() && !task.cancel());
        assert!(!all_tasks().contains(&task.as_ref()));
        assert_eq!(task.await.unwrap(), 7);
        let panics = eager().create_task(async { panic!("no disk") });
        assert!(panics.is_finished());
        let error: Result<(), _> = panics.await;
        assert!(error.unwrap_err().is_panic());
    });
}

#[test]
fn in_its_eager_step_a_task_is_itself_and_afterwards_its_maker_is() {
    both(|| async {
        drop(USER.set("maker".to_owned()));
        let maker = current_task().unwrap();
        let inner: TaskRef = eager()
            .name("inner")
            .create_task(async {
                let me = current_task().unwrap();
                assert!(all_tasks().contains(&me));
                assert_eq!(&*me.name(), "inner");
                assert_eq!(USER.get().as_deref(), Some("maker"));
                drop(USER.set("inner".to_owned()));
                me
            })
            .await
            .unwrap();
        assert_ne!(inner, maker);
        assert_eq!(current_task().unwrap(), maker);
        assert_eq!(USER.get().as_deref(), Some("maker"));
    });
}

#[test]
fn an_eager_step_that_wakes_itself_goes_on_later() {
    both(|| async {
        let task = eager().create_task(async {
            yield_now().await;
            7
        });
        assert_eq!(task.await.unwrap(), 7);
    });
}

#[test]
fn an_eager_task_made_inside_a_scope_has_scopes_of_its_own() {
    both(|| async {
        let caught: Result<_, CancelledError> = catch_cancelled(async {
            let task = eager().create_task(async {
                let heard = catch_cancelled(pending::<()>()).await.is_err();
                (heard, current_task().unwrap().cancelling())
            });
            yield_now().await;
            task.cancel();
            task.await.unwrap()
        })
        .await;
        assert_eq!(caught.unwrap(), (true, 1));
        assert_eq!(current_task().unwrap().cancelling(), 0);
        // The maker's own scope still hears what is meant for it.
        let late = timeout(Duration::from_millis(1), async {
            let inner = eager().create_task(timeout(Duration::from_secs(60), pending::<()>()));
            inner.await.unwrap()
        });
        late.await.unwrap_err();
    });
}

#[test]
fn eager_tasks_within_eager_tasks_stop_at_a_depth_and_all_end() {
    fn nest(depth: usize, deepest: Arc<AtomicUsize>) -> impl Future<Output = ()> + Send {
        let future: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            if depth == 0 {
                return;
            }
            let inner = eager().create_task(nest(depth - 1, deepest.clone()));
            if inner.is_finished() {
                deepest.fetch_add(1, Ordering::Relaxed);
            }
            inner.await.unwrap();
        });
        future
    }
    both(|| async {
        let deepest = Arc::new(AtomicUsize::new(0));
        nest(500, deepest.clone()).await;
        assert!(deepest.load(Ordering::Relaxed) < 500);
        let shallow = Arc::new(AtomicUsize::new(0));
        nest(20, shallow.clone()).await;
        assert_eq!(shallow.load(Ordering::Relaxed), 20);
    });
}

#[test]
fn outside_of_polls_an_eager_task_starts_like_any_other() {
    let strict = Runtime::builder().current_thread().build().unwrap();
    let guard = strict.enter();
    let polls = Arc::new(AtomicUsize::new(0));
    let seen = polls.clone();
    let task = eager().create_task(poll_fn(move |_| {
        seen.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(())
    }));
    assert_eq!(polls.load(Ordering::Relaxed), 0);
    drop(guard);
    strict.block_on(task).unwrap();
    assert_eq!(polls.load(Ordering::Relaxed), 1);
}
