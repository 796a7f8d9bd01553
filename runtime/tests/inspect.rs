//! Who awaits whom, as people are shown it: chains, trees, rings.

use loxley_runtime::{
    Runtime, Task, TaskGroup, TaskRef, as_completed, capture_call_graph, create_task, current_task,
    format_call_graph, format_task_tree, gather, run, shield, task_group, wait, yield_now,
};
use loxley_sync::oneshot;
use std::convert::Infallible;
use std::future::{Future, pending};

/// Runs the test on both flavours.
fn on_both<F: Future<Output = ()>>(test: impl Fn() -> F) {
    run(test());
    let strict = Runtime::builder().current_thread().build().unwrap();
    strict.block_on(test());
}

/// Who awaits the task.
fn awaiter(task: &TaskRef) -> Option<TaskRef> {
    capture_call_graph(Some(task))
        .unwrap()
        .awaited_by()
        .first()
        .cloned()
}

async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        yield_now().await;
    }
}

fn me() -> TaskRef {
    current_task().expect("a task runs this")
}

/// Makes a task of `wait`, which is to await `seen`, sees that it does until it ends, and ends it.
async fn is_awaited_in<F>(seen: TaskRef, waits: F)
where
    F: Future<Output: Send> + Send + 'static,
{
    let waits = create_task(waits);
    until(|| awaiter(&seen) == Some(waits.as_ref())).await;
    waits.cancel();
    drop(waits.await);
}

#[test]
fn whoever_awaits_a_task_in_whichever_way_is_said_to_await_it() {
    on_both(|| async {
        let task = || {
            let task = create_task(pending::<()>());
            (task.as_ref(), task)
        };
        let (seen, inner) = task();
        is_awaited_in(seen, inner).await;
        let (seen, inner) = task();
        is_awaited_in(seen, async { shield::<()>(inner).await }).await;
        let (seen, inner) = task();
        is_awaited_in(seen, async {
            gather::<((), ()), _>((inner, async {})).await
        })
        .await;
        let (seen, inner) = task();
        is_awaited_in(seen, async {
            drop(wait([inner, create_task(async {})]).await);
        })
        .await;
        let (seen, inner) = task();
        is_awaited_in(seen, async {
            let mut ended = as_completed::<()>([inner]);
            drop(ended.next().await);
        })
        .await;
    });
}

#[test]
fn futures_that_are_gathered_are_awaited_by_the_task_that_gathers() {
    on_both(|| async {
        let (tell, told) = oneshot::channel();
        let asks = async move {
            let _ = tell.send((me(), awaiter(&me())));
            pending::<()>().await;
        };
        let mut gathering = gather((asks, async {}));
        let (asking, awaited_by) = told.await.unwrap();
        assert_eq!(awaited_by, Some(me()), "from its first step on");
        let polled = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut gathering).poll(cx).is_ready())
        });
        assert!(!polled.await);
        drop(gathering);
        assert_eq!(awaiter(&asking), None, "it runs by itself");
        asking.cancel();
    });
}

#[test]
fn a_child_is_awaited_by_its_group_and_while_its_handle_is_awaited_by_that_task() {
    on_both(|| async {
        let group = task_group(|tg: TaskGroup<Infallible>| async move {
            let child = tg.create_task(pending::<()>());
            let seen = child.as_ref();
            assert_eq!(awaiter(&seen), Some(me()));
            let sibling = tg.create_task(async { drop(child.await) });
            until(|| awaiter(&seen) == Some(sibling.as_ref())).await;
            let graph = capture_call_graph(Some(&seen)).unwrap();
            assert_eq!(graph.awaited_by(), [sibling.as_ref(), me()]);
            tg.cancel();
            Ok(())
        });
        group.await.unwrap();
    });
}

#[test]
fn nobody_awaits_a_task_that_was_let_go_or_whose_awaiter_has_ended() {
    on_both(|| async {
        let inner = create_task(pending::<()>());
        let seen = inner.as_ref();
        let (give, given) = oneshot::channel();
        let outer = create_task(async move {
            let mut inner = inner;
            let once = std::future::poll_fn(|cx| {
                std::task::Poll::Ready(std::pin::Pin::new(&mut inner).poll(cx).is_pending())
            });
            assert!(once.await);
            let _ = give.send(inner);
        });
        let inner = given.await.unwrap();
        outer.await.unwrap();
        assert_eq!(awaiter(&seen), None, "the one who did has ended");
        drop(inner);
        assert_eq!(awaiter(&seen), None);
        seen.cancel();
        until(|| seen.is_finished()).await;
        assert!(format_call_graph(Some(&seen)).contains("|   ended\n"));
    });
}

/// Two tasks that await each other, and one that awaits the first of them through a third.
async fn ring() -> Vec<TaskRef> {
    let waits_for_what_it_is_given = || {
        let (give, given) = oneshot::channel::<Task<()>>();
        let task = create_task(async move { given.await.unwrap().await.unwrap() });
        (give, task)
    };
    let (give_one, one) = waits_for_what_it_is_given();
    let (give_two, two) = waits_for_what_it_is_given();
    let seen = vec![one.as_ref(), two.as_ref()];
    one.set_name("one");
    two.set_name("two");
    give_one.send(two).unwrap();
    give_two.send(one).unwrap();
    until(|| seen.iter().all(|task| awaiter(task).is_some())).await;
    seen
}

#[test]
fn a_ring_is_named_and_not_followed_for_ever() {
    on_both(|| async {
        let ring = ring().await;
        let graph = capture_call_graph(Some(&ring[0])).unwrap();
        assert!(graph.is_ring());
        assert_eq!(graph.task(), &ring[0]);
        assert_eq!(graph.awaited_by(), [ring[1].clone()]);
        assert!(
            graph
                .to_string()
                .ends_with("+ Awaited by one of these: a ring\n")
        );
        let tree = format_task_tree();
        assert!(
            tree.contains("a ring, each awaited by the next: one, two\n"),
            "{tree}"
        );
        ring[0].cancel();
        until(|| ring.iter().all(TaskRef::is_finished)).await;
    });
}

#[test]
fn the_tree_shows_each_task_once_under_the_one_that_awaits_it() {
    let strict = Runtime::builder().current_thread().build().unwrap();
    strict.block_on(async {
        me().set_name("main");
        let group = task_group(|tg: TaskGroup<Infallible>| async move {
            let inner = create_task(pending::<()>());
            inner.set_name("inner");
            tg.create_task(async { drop(inner.await) })
                .set_name("outer");
            tg.create_task(pending::<()>()).set_name("other");
            create_task(pending::<()>()).set_name("alone");
            yield_now().await;
            let text = format_task_tree();
            let shape: Vec<_> = text
                .lines()
                .map(|line| line.split(':').next().unwrap())
                .collect();
            assert_eq!(
                shape,
                [
                    "├── (T) main",
                    "│   ├── (T) outer",
                    "│   │   └── (T) inner",
                    "│   └── (T) other",
                    "└── (T) alone",
                ],
                "{text}"
            );
            tg.cancel();
            Ok(())
        });
        group.await.unwrap();
    });
}

#[test]
fn a_chain_of_thousands_is_written_in_a_line_or_a_few_for_each() {
    let strict = Runtime::builder().current_thread().build().unwrap();
    strict.block_on(async {
        const LENGTH: usize = 5_000;
        let mut last = create_task(pending::<()>());
        let innermost = last.as_ref();
        for _ in 1..LENGTH {
            last = create_task(async { drop(last.await) });
        }
        until(|| awaiter(&innermost).is_some()).await;
        let graph = capture_call_graph(Some(&innermost)).unwrap();
        assert_eq!(graph.awaited_by().len(), LENGTH - 1);
        let text = graph.to_string();
        assert_eq!(text.lines().count(), 5 * LENGTH - 1);
        assert!(text.len() < 400 * 5 * LENGTH);
        let tree = format_task_tree();
        assert_eq!(tree.lines().count(), LENGTH + 1);
        assert!(tree.len() < 400 * LENGTH);
        innermost.cancel();
        drop(last.await);
    });
}

#[test]
fn outside_a_runtime_there_is_nothing_to_show() {
    assert!(capture_call_graph(None).is_none());
    assert_eq!(format_call_graph(None), "");
    assert_eq!(format_task_tree(), "");
}
