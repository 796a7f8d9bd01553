//! Models of `sync/src/queue/core.rs`.

use loxley_sync::prim::{model, thread};
use loxley_sync::wait::block_on;
use loxley_sync::{LifoQueue, PriorityQueue, Queue};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// A future that was polled once and stands in the queue's list.
fn waiting<F: Future<Output = ()>>(
    queue: Queue<u8>,
    wait: impl FnOnce(Queue<u8>) -> F,
) -> Pin<Box<F>> {
    let mut future = Box::pin(wait(queue));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut cx).is_pending());
    future
}

fn drain(queue: &Queue<u8>) -> Vec<u8> {
    std::iter::from_fn(|| queue.get_nowait().ok()).collect()
}

// edges: Q1, Q2, Q3, Q4, Q5, Q6, Q7, Q8 with one place
#[test]
fn putter_and_getter_sleep_for_ever() {
    model(|| {
        let queue = Queue::new(1);
        let putting = {
            let queue = queue.clone();
            thread::spawn(move || {
                block_on(queue.put(1)).unwrap();
                block_on(queue.put(2)).unwrap();
            })
        };
        assert_eq!(block_on(queue.get()), Ok(1));
        assert_eq!(block_on(queue.get()), Ok(2));
        putting.join().unwrap();
        assert!(queue.is_empty());
    });
}

// edges: Q1 to Q8 of a pile that stands under the mutex alone
#[test]
fn putter_and_getter_of_a_lifo_queue_sleep_for_ever() {
    model(|| {
        let queue = LifoQueue::new(1);
        let putting = {
            let queue = queue.clone();
            thread::spawn(move || {
                block_on(queue.put(1)).unwrap();
                block_on(queue.put(2)).unwrap();
            })
        };
        assert_eq!(block_on(queue.get()), Ok(1));
        assert_eq!(block_on(queue.get()), Ok(2));
        putting.join().unwrap();
    });
}

// edges: Q1, Q3, Q5, Q7, Q9 of a pile that stands under the mutex alone
#[test]
fn dropped_getter_of_a_priority_queue_takes_the_item_along() {
    model(|| {
        let queue = PriorityQueue::new(0);
        let mut leaving = Box::pin({
            let queue = queue.clone();
            async move {
                let _ = queue.get().await;
            }
        });
        let mut cx = Context::from_waker(Waker::noop());
        assert!(leaving.as_mut().poll(&mut cx).is_pending());
        let putting = {
            let queue = queue.clone();
            thread::spawn(move || queue.put_nowait(1).unwrap())
        };
        let getting = {
            let queue = queue.clone();
            thread::spawn(move || assert_eq!(block_on(queue.get()), Ok(1)))
        };
        drop(leaving);
        putting.join().unwrap();
        getting.join().unwrap();
    });
}

// edges: Q3, Q5, Q7, Q9
#[test]
fn dropped_getter_takes_the_item_along() {
    model(|| {
        let queue = Queue::new(1);
        let leaving = waiting(queue.clone(), |queue| async move {
            let _ = queue.get().await;
        });
        let putting = {
            let queue = queue.clone();
            thread::spawn(move || queue.put_nowait(1).unwrap())
        };
        let getting = {
            let queue = queue.clone();
            thread::spawn(move || assert_eq!(block_on(queue.get()), Ok(1)))
        };
        drop(leaving);
        putting.join().unwrap();
        getting.join().unwrap();
        assert!(queue.is_empty());
    });
}

// edges: Q4, Q6, Q8, Q9
#[test]
fn dropped_putter_takes_the_place_along() {
    model(|| {
        let queue = Queue::new(1);
        queue.put_nowait(0).unwrap();
        let leaving = waiting(queue.clone(), |queue| async move {
            let _ = queue.put(1).await;
        });
        let getting = {
            let queue = queue.clone();
            thread::spawn(move || assert_eq!(queue.get_nowait(), Ok(0)))
        };
        let putting = {
            let queue = queue.clone();
            thread::spawn(move || block_on(queue.put(2)).unwrap())
        };
        drop(leaving);
        getting.join().unwrap();
        putting.join().unwrap();
        assert_eq!(drain(&queue), [2]);
    });
}

// edges: Q5, Q7, Q10: an item put before the end is fetched or left, nobody sleeps on
#[test]
fn shutdown_between_look_and_sleep() {
    model(|| {
        let queue = Queue::new(1);
        let ending = {
            let queue = queue.clone();
            thread::spawn(move || {
                queue.put_nowait(1).unwrap();
                queue.shutdown(false);
            })
        };
        assert_eq!(block_on(queue.get()), Ok(1));
        assert!(block_on(queue.get()).is_err());
        ending.join().unwrap();
    });
}

// edges: Q6, Q8, Q10: a putter is refused or its item is in the queue
#[test]
fn shutdown_swallows_an_item() {
    model(|| {
        let queue = Queue::new(1);
        queue.put_nowait(1).unwrap();
        let putting = {
            let queue = queue.clone();
            thread::spawn(move || block_on(queue.put(2)).is_ok())
        };
        let first = queue.get_nowait();
        queue.shutdown(false);
        let put = putting.join().unwrap();
        assert_eq!(first, Ok(1));
        assert_eq!(drain(&queue), if put { vec![2] } else { vec![] });
    });
}

// edges: Q11 against a join that is about to sleep
#[test]
fn last_task_done_between_look_and_sleep() {
    model(|| {
        let queue = Queue::new(0);
        queue.put_nowait(1).unwrap();
        let working = {
            let queue = queue.clone();
            thread::spawn(move || {
                queue.get_nowait().unwrap();
                queue.task_done().unwrap();
                queue.put_nowait(2).unwrap();
                queue.get_nowait().unwrap();
                queue.task_done().unwrap();
            })
        };
        block_on(queue.join());
        working.join().unwrap();
    });
}

// edges: Q6, Q10
#[test]
fn shutdown_leaves_a_putter_asleep() {
    model(|| {
        let queue = Queue::new(1);
        queue.put_nowait(1).unwrap();
        let putting = {
            let queue = queue.clone();
            thread::spawn(move || block_on(queue.put(2)).is_err())
        };
        queue.shutdown(false);
        assert!(putting.join().unwrap());
    });
}

// edges: Q11: one notification only
#[test]
fn join_misses_the_only_notification() {
    model(|| {
        let queue = Queue::new(0);
        queue.put_nowait(1).unwrap();
        let working = {
            let queue = queue.clone();
            thread::spawn(move || queue.task_done().unwrap())
        };
        block_on(queue.join());
        working.join().unwrap();
    });
}

/// An unbounded queue with cells, whose ends nobody holds, with one item in it.
fn let_go() -> Queue<u8> {
    let queue = Queue::new(0);
    queue.put_nowait(0).unwrap();
    queue
}

// edges: V1, V2, V3, V4: putters beside each other, and a getter that meets them cell by cell
#[test]
fn two_putters_fill_the_same_cell() {
    model(|| {
        let queue = let_go();
        assert_eq!(queue.get_nowait(), Ok(0));
        let putting = {
            let queue = queue.clone();
            thread::spawn(move || queue.put_nowait(1).unwrap())
        };
        queue.put_nowait(2).unwrap();
        let mut got: Vec<_> = queue.get_nowait().into_iter().collect();
        putting.join().unwrap();
        got.extend(drain(&queue));
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

// edges: V1, V2, V5, V6, V7: the ring grows while somebody claims, and while a getter is still at a cell
#[test]
fn growth_loses_a_claim() {
    model(|| {
        let queue = let_go();
        let putting = {
            let queue = queue.clone();
            thread::spawn(move || {
                queue.put_nowait(1).unwrap();
                queue.put_nowait(2).unwrap();
            })
        };
        let mut got: Vec<_> = queue.get_nowait().into_iter().collect();
        got.extend(queue.get_nowait());
        putting.join().unwrap();
        got.extend(drain(&queue));
        assert_eq!(got, [0, 1, 2], "in order");
    });
}

// edges: V3, V4, V7: the array that a getter has loaded is replaced before it claims
#[test]
fn getter_reads_a_retired_cell() {
    model(|| {
        let queue = let_go();
        let getting = {
            let queue = queue.clone();
            thread::spawn(move || queue.get_nowait().unwrap())
        };
        queue.put_nowait(1).unwrap();
        queue.put_nowait(2).unwrap();
        assert_eq!(getting.join().unwrap(), 0);
        assert_eq!(drain(&queue), [1, 2]);
    });
}

// edges: V5, Q5 against V1: row A of `core.rs`
#[test]
fn putter_overlooks_who_is_about_to_wait() {
    model(|| {
        let queue = let_go();
        assert_eq!(queue.get_nowait(), Ok(0));
        let putting = {
            let queue = queue.clone();
            thread::spawn(move || queue.put_nowait(1).unwrap())
        };
        assert_eq!(block_on(queue.get()), Ok(1));
        putting.join().unwrap();
    });
}

// edges: V5, Q6 against V3: row A of `core.rs`
#[test]
fn getter_overlooks_who_is_about_to_wait() {
    model(|| {
        let queue = Queue::new(1);
        queue.put_nowait(0).unwrap();
        let getting = {
            let queue = queue.clone();
            thread::spawn(move || queue.get_nowait().unwrap())
        };
        block_on(queue.put(1)).unwrap();
        assert_eq!(getting.join().unwrap(), 0);
        assert_eq!(drain(&queue), [1]);
    });
}

// edges: V1, V5, Q8, Q9: row E of `ring.rs`
#[test]
fn reserved_place_goes_to_somebody_else() {
    model(|| {
        let queue = Queue::new(1);
        queue.put_nowait(0).unwrap();
        assert_eq!(queue.get_nowait(), Ok(0));
        let putting = {
            let queue = queue.clone();
            thread::spawn(move || queue.put_nowait(1).is_ok())
        };
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(place) = pin!(queue.reserve()).poll(&mut cx) {
            place.unwrap().put(2).unwrap();
        }
        let put = putting.join().unwrap();
        assert_eq!(drain(&queue), if put { vec![1] } else { vec![2] });
    });
}
