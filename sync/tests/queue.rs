//! The queues: asyncio's `test_queues` restated, what dropping gives back, and a storm.

mod support;

use loxley_sync::error::{PutError, QueueShutDown, TaskDoneError, TryGetError, TryPutError};
use loxley_sync::wait::block_on;
use loxley_sync::{LifoQueue, PriorityQueue, Queue, oneshot};
use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use support::{Rng, give_up_after, hand, within_limit};

#[test]
fn items_come_in_order_and_counts_are_right() {
    let queue = Queue::new(2);
    assert_eq!(
        (queue.maxsize(), queue.len(), queue.is_empty()),
        (2, 0, true)
    );
    queue.put_nowait(1).unwrap();
    hand(queue.put(2)).ready().unwrap();
    assert!(queue.is_full());
    assert_eq!(queue.put_nowait(3), Err(TryPutError::Full(3)));
    assert_eq!(queue.get_nowait(), Ok(1));
    assert_eq!(hand(queue.get()).ready(), Ok(2));
    assert_eq!(queue.get_nowait(), Err(TryGetError::Empty));
    assert_eq!((queue.len(), queue.len_peak()), (0, 2));
}

#[test]
fn zero_means_unbounded() {
    let queue = Queue::new(0);
    for i in 0..1_000 {
        queue.put_nowait(i).unwrap();
    }
    assert!(!queue.is_full());
    assert_eq!(queue.len(), 1_000);
}

// asyncio's test_order of the three kinds
#[test]
fn the_three_orders() {
    let (fifo, lifo, smallest) = (Queue::new(0), LifoQueue::new(0), PriorityQueue::new(0));
    for i in [1, 3, 2] {
        fifo.put_nowait(i).unwrap();
        lifo.put_nowait(i).unwrap();
        smallest.put_nowait(i).unwrap();
    }
    let take = |get: &dyn Fn() -> Result<i32, TryGetError>| [(); 3].map(|()| get().unwrap());
    assert_eq!(take(&|| fifo.get_nowait()), [1, 3, 2]);
    assert_eq!(take(&|| lifo.get_nowait()), [2, 3, 1]);
    assert_eq!(take(&|| smallest.get_nowait()), [1, 2, 3]);
}

// asyncio's test_blocking_get_wait
#[test]
fn put_wakes_the_oldest_getter() {
    let queue = Queue::new(0);
    let mut first = hand(queue.get()).pending();
    let mut second = hand(queue.get()).pending();
    queue.put_nowait('a').unwrap();
    assert_eq!((first.woken(), second.woken()), (1, 0));
    second.still_pending();
    assert_eq!(
        queue.get_nowait(),
        Err(TryGetError::Empty),
        "it is promised"
    );
    assert_eq!(queue.len(), 1);
    assert_eq!(first.ready(), Ok('a'));
    queue.put_nowait('b').unwrap();
    assert_eq!(second.ready(), Ok('b'));
}

// asyncio's test_blocking_put_wait
#[test]
fn get_wakes_the_oldest_putter() {
    let queue = Queue::new(1);
    queue.put_nowait(0).unwrap();
    let mut first = hand(queue.put(1)).pending();
    let mut second = hand(queue.put(2)).pending();
    assert_eq!(queue.get_nowait(), Ok(0));
    assert_eq!((first.woken(), second.woken()), (1, 0));
    assert_eq!(
        queue.put_nowait(9),
        Err(TryPutError::Full(9)),
        "the place is promised"
    );
    first.ready().unwrap();
    second.still_pending();
    assert_eq!(queue.get_nowait(), Ok(1));
    second.ready().unwrap();
    assert_eq!(queue.get_nowait(), Ok(2));
}

// asyncio's test_get_cancelled_race, test_cancelled_getters_not_being_held_in_self_getters
#[test]
fn a_dropped_getter_that_was_promised_an_item_leaves_it_to_the_next() {
    let queue = Queue::new(1);
    let first = hand(queue.get()).pending();
    let mut second = hand(queue.get()).pending();
    queue.put_nowait(1).unwrap();
    drop(first);
    assert_eq!(second.woken(), 1);
    assert_eq!(second.ready(), Ok(1));
    let only = hand(queue.get()).pending();
    queue.put_nowait(2).unwrap();
    drop(only);
    assert_eq!(queue.get_nowait(), Ok(2));
}

// asyncio's test_cancelled_put_silence_value_error_exception, test_putters_cleaned_up_correctly_on_cancellation
#[test]
fn a_dropped_putter_puts_nothing_and_leaves_its_place_to_the_next() {
    let queue = Queue::new(1);
    queue.put_nowait(0).unwrap();
    let first = hand(queue.put(1)).pending();
    let mut second = hand(queue.put(2)).pending();
    assert_eq!(queue.get_nowait(), Ok(0));
    drop(first);
    assert_eq!(second.woken(), 1);
    second.ready().unwrap();
    assert_eq!(queue.get_nowait(), Ok(2));
    assert_eq!(queue.get_nowait(), Err(TryGetError::Empty));
}

#[test]
fn items_keep_their_order_when_promised_getters_are_dropped() {
    let queue = Queue::new(0);
    let first = hand(queue.get()).pending();
    let second = hand(queue.get()).pending();
    for i in 1..=3 {
        queue.put_nowait(i).unwrap();
    }
    drop(first);
    drop(second);
    let rest: Vec<_> = std::iter::from_fn(|| queue.get_nowait().ok()).collect();
    assert_eq!(rest, [1, 2, 3]);
}

#[test]
fn a_getter_and_a_putter_may_wait_at_once() {
    let queue = Queue::new(1);
    let mut promised = hand(queue.get()).pending();
    queue.put_nowait(1).unwrap();
    let mut getter = hand(queue.get()).pending();
    let mut putter = hand(queue.put(2)).pending();
    assert_eq!(promised.ready(), Ok(1));
    putter.ready().unwrap();
    assert_eq!(getter.ready(), Ok(2));
}

#[test]
fn a_reserved_place_is_kept_filled_or_given_up() {
    let queue = Queue::new(1);
    let place = hand(queue.reserve()).ready().unwrap();
    assert_eq!(queue.put_nowait(1), Err(TryPutError::Full(1)));
    assert_eq!(queue.len(), 0);
    place.put(2).unwrap();
    assert_eq!(queue.get_nowait(), Ok(2));
    let place = hand(queue.reserve()).ready().unwrap();
    let mut putter = hand(queue.put(3)).pending();
    drop(place);
    putter.ready().unwrap();
    let waiting = hand(queue.reserve()).pending();
    assert_eq!(queue.get_nowait(), Ok(3));
    drop(waiting);
    let place = hand(queue.reserve()).ready().unwrap();
    queue.shutdown(false);
    assert_eq!(place.put(4), Err(PutError(4)));
}

#[test]
fn get_many_takes_what_is_there_and_frees_as_many_putters() {
    let queue = Queue::new(3);
    for i in 0..3 {
        queue.put_nowait(i).unwrap();
    }
    let mut putters: Vec<_> = (3..5).map(|i| hand(queue.put(i)).pending()).collect();
    let mut items = vec![];
    assert_eq!(hand(queue.get_many(&mut items, 10)).ready(), Ok(3));
    for putter in &mut putters {
        putter.ready().unwrap();
    }
    assert_eq!(hand(queue.get_many(&mut items, 1)).ready(), Ok(1));
    assert_eq!(hand(queue.get_many(&mut items, 0)).ready(), Ok(0));
    assert_eq!(items, [0, 1, 2, 3]);
    assert_eq!(queue.get_nowait(), Ok(4));
    let mut more = vec![];
    let mut getter = hand(queue.get_many(&mut more, 2)).pending();
    queue.put_nowait(5).unwrap();
    queue.put_nowait(6).unwrap();
    assert_eq!(getter.ready(), Ok(2));
    drop(getter);
    assert_eq!(more, [5, 6]);
}

// asyncio's test_task_done_underflow
#[test]
fn task_done_too_often_is_an_error_and_changes_nothing() {
    let queue = Queue::new(0);
    assert_eq!(queue.task_done(), Err(TaskDoneError));
    queue.put_nowait(1).unwrap();
    assert_eq!(queue.task_done(), Ok(()));
    assert_eq!(queue.task_done(), Err(TaskDoneError));
    assert_eq!(queue.get_nowait(), Ok(1));
}

// asyncio's test_task_done, test_join_empty_queue
#[test]
fn join_waits_for_the_last_task_done() {
    let queue = Queue::new(0);
    hand(queue.join()).ready();
    queue.put_nowait(1).unwrap();
    queue.put_nowait(2).unwrap();
    let mut joining: Vec<_> = (0..3).map(|_| hand(queue.join()).pending()).collect();
    queue.get_nowait().unwrap();
    queue.task_done().unwrap();
    for joiner in &mut joining {
        joiner.still_pending();
    }
    queue.get_nowait().unwrap();
    queue.task_done().unwrap();
    for joiner in &mut joining {
        joiner.ready();
    }
}

#[test]
fn a_join_already_released_stays_released() {
    let queue = Queue::new(0);
    queue.put_nowait(1).unwrap();
    let mut joining = hand(queue.join()).pending();
    queue.task_done().unwrap();
    queue.put_nowait(2).unwrap();
    joining.ready();
    hand(queue.join()).pending();
}

// asyncio's _QueueShutdownTestMixin
#[test]
fn shutdown_lets_getters_drain_and_refuses_putters() {
    let queue = Queue::new(2);
    queue.put_nowait(1).unwrap();
    queue.put_nowait(2).unwrap();
    let mut putter = hand(queue.put(3)).pending();
    queue.shutdown(false);
    queue.shutdown(false);
    assert!(queue.is_shut_down());
    assert_eq!(putter.ready(), Err(PutError(3)));
    assert_eq!(queue.put_nowait(4), Err(TryPutError::ShutDown(4)));
    assert_eq!(hand(queue.put(5)).ready(), Err(PutError(5)));
    assert!(hand(queue.reserve()).ready().is_err());
    assert_eq!(queue.get_nowait(), Ok(1));
    assert_eq!(hand(queue.get()).ready(), Ok(2));
    assert_eq!(queue.get_nowait(), Err(TryGetError::ShutDown));
    assert_eq!(hand(queue.get()).ready(), Err(QueueShutDown));
    let mut joining = hand(queue.join()).pending();
    queue.task_done().unwrap();
    queue.task_done().unwrap();
    joining.ready();
    assert_eq!(queue.task_done(), Err(TaskDoneError));
}

#[test]
fn shutdown_wakes_everybody_who_waits() {
    let queue = Queue::<u8>::new(0);
    let mut getters: Vec<_> = (0..50).map(|_| hand(queue.get()).pending()).collect();
    queue.shutdown(false);
    for getter in &mut getters {
        assert_eq!(getter.ready(), Err(QueueShutDown));
    }
}

#[test]
fn immediate_shutdown_drops_the_items_and_releases_join() {
    let item = Arc::new(());
    let queue = Queue::new(0);
    for _ in 0..3 {
        queue.put_nowait(item.clone()).unwrap();
    }
    let mut joining = hand(queue.join()).pending();
    queue.get_nowait().unwrap();
    queue.shutdown(true);
    assert_eq!(Arc::strong_count(&item), 1);
    joining.still_pending();
    queue.task_done().unwrap();
    joining.ready();
    assert!(hand(queue.get()).ready().is_err());
}

#[test]
fn immediate_shutdown_breaks_promises() {
    let queue = Queue::new(1);
    let mut getter = hand(queue.get()).pending();
    let other = hand(queue.get()).pending();
    queue.put_nowait(1).unwrap();
    queue.shutdown(true);
    assert_eq!(getter.ready(), Err(QueueShutDown));
    drop(other);
    hand(queue.join()).ready();
    assert_eq!(queue.get_nowait(), Err(TryGetError::ShutDown));
}

/// Compares until it meets a 13.
#[derive(PartialEq, Eq, Debug)]
struct Moody(u8);

impl PartialOrd for Moody {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Moody {
    fn cmp(&self, other: &Self) -> Ordering {
        assert!(self.0 != 13 && other.0 != 13, "I do not compare");
        self.0.cmp(&other.0)
    }
}

#[test]
fn a_panicking_ord_leaves_the_queue_usable() {
    let queue = PriorityQueue::new(3);
    queue.put_nowait(Moody(1)).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| queue.put_nowait(Moody(13)))).is_err());
    assert_eq!(queue.len(), 2);
    while !queue.is_empty() {
        let _ = catch_unwind(AssertUnwindSafe(|| queue.get_nowait()));
    }
    let mut getter = hand(queue.get()).pending();
    queue.put_nowait(Moody(2)).unwrap();
    assert_eq!(getter.ready(), Ok(Moody(2)));
}

/// A destructor that uses the queue in which its value was.
struct Nosy(Option<Queue<Self>>);

impl Drop for Nosy {
    fn drop(&mut self) {
        if let Some(queue) = &self.0 {
            assert_eq!(queue.len(), 0);
        }
    }
}

#[test]
fn destructors_run_outside_the_mutex() {
    within_limit(|| {
        let queue = Queue::new(0);
        queue.put_nowait(Nosy(Some(queue.clone()))).unwrap();
        queue.shutdown(true);
    });
}

/// What Tokio's users know of a receiver that is gone.
#[test]
fn a_consumer_that_panics_leaves_nobody_waiting_for_its_answer() {
    let inbox = Queue::new(1);
    let (reply, mut answer) = oneshot::channel::<()>();
    inbox.put_nowait(reply).unwrap();
    let mut putter = hand(inbox.put(oneshot::channel().0)).pending();
    let guard = inbox.shutdown_on_drop(true);
    let panicked = catch_unwind(AssertUnwindSafe(move || {
        let _guard = guard;
        std::panic::resume_unwind(Box::new("while it works"));
    }));
    assert!(panicked.is_err());
    assert!(putter.ready().is_err());
    assert!(answer.try_recv().is_err());
    assert_eq!(hand(inbox.get()).ready().map(drop), Err(QueueShutDown));
    hand(inbox.join()).ready();
}

/// What Tokio's users know of a last sender that is gone.
#[test]
fn a_queue_ends_with_the_last_of_its_producers_and_gives_what_is_in_it() {
    let queue = PriorityQueue::new(0);
    let ending = Arc::new(queue.shutdown_on_drop(false));
    let (first, second) = (ending.clone(), ending);
    queue.put_nowait(2).unwrap();
    drop(first);
    queue.put_nowait(1).unwrap();
    drop(second);
    assert_eq!(queue.put_nowait(3), Err(TryPutError::ShutDown(3)));
    assert_eq!((queue.get_nowait(), queue.get_nowait()), (Ok(1), Ok(2)));
    assert_eq!(queue.get_nowait(), Err(TryGetError::ShutDown));
}

#[test]
fn a_guard_of_a_queue_that_was_shut_down_by_hand_changes_nothing_more_than_it_would() {
    let queue = LifoQueue::new(0);
    let (mild, stern) = (queue.shutdown_on_drop(false), queue.shutdown_on_drop(true));
    queue.put_nowait(1).unwrap();
    queue.shutdown(false);
    drop(mild);
    assert_eq!(queue.len(), 1);
    drop(stern);
    assert_eq!(queue.get_nowait(), Err(TryGetError::ShutDown));
}

fn storm(queue: &Queue<u64>) {
    const PRODUCERS: u64 = 8;
    const ITEMS: u64 = 400;
    std::thread::scope(|scope| {
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|seed| {
                scope.spawn(move || {
                    let mut rng = Rng(seed + 1);
                    for i in 0..ITEMS {
                        let item = seed * ITEMS + i;
                        loop {
                            let polls = support::patience(&mut rng);
                            if block_on(give_up_after(polls, queue.reserve()))
                                .is_some_and(|place| place.unwrap().put(item).is_ok())
                            {
                                break;
                            }
                        }
                    }
                })
            })
            .collect();
        let consumers: Vec<_> = (0..8)
            .map(|seed| {
                scope.spawn(move || {
                    let mut rng = Rng(seed + 100);
                    let mut got = vec![];
                    loop {
                        let polls = support::patience(&mut rng);
                        match block_on(give_up_after(polls, queue.get())) {
                            Some(Ok(item)) => got.push(item),
                            Some(Err(QueueShutDown)) => return got,
                            None => {}
                        }
                    }
                })
            })
            .collect();
        for producer in producers {
            producer.join().unwrap();
        }
        queue.shutdown(false);
        let mut all: Vec<u64> = consumers
            .into_iter()
            .flat_map(|c| c.join().unwrap())
            .collect();
        all.sort_unstable();
        assert_eq!(all, (0..PRODUCERS * ITEMS).collect::<Vec<_>>());
    });
    assert_eq!(queue.len(), 0);
}

#[test]
fn eight_producers_and_eight_consumers_who_give_up_at_random_lose_and_double_nothing() {
    within_limit(|| {
        storm(&Queue::new(1));
        storm(&Queue::new(3));
        storm(&Queue::new(0));
    });
}
