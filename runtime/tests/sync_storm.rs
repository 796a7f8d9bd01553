//! Eight producers, eight consumers and up to a million items through each queue and channel, while waits are dropped, time
//! out and tasks are cancelled at random: nothing is lost, nothing is doubled, and order is kept where it is promised.

use loxley_runtime::{Runtime, Task, TaskError, create_task, timeout, yield_now};
use loxley_sync::{LifoQueue, Lock, PriorityQueue, Queue, broadcast, oneshot, watch};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::Poll;
use std::time::Duration;

const HANDS: u64 = 8;

/// The last item that one of them got of each producer.
type Last = [Option<u64>; 8];

/// How many items each producer has; a small storm by default. `LOXLEY_STORM=125000` makes it a million in all, and
/// `.ci/run storm` does.
static ITEMS: LazyLock<u64> = LazyLock::new(|| {
    let items = std::env::var("LOXLEY_STORM").unwrap_or_else(|_| "10000".to_owned());
    items.parse().expect("a number")
});

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

/// What has happened, beyond the tasks that made it happen.
struct Ledger {
    /// The next item of each producer.
    next: Vec<AtomicU64>,
    seen: Vec<AtomicBool>,
    got: AtomicU64,
    /// Per consumer: the last item of each producer.
    last: Vec<Mutex<Last>>,
    in_order: bool,
}

impl Ledger {
    fn new(in_order: bool) -> Self {
        Self {
            next: (0..HANDS)
                .map(|hand| AtomicU64::new(hand * *ITEMS))
                .collect(),
            seen: (0..HANDS * *ITEMS)
                .map(|_| AtomicBool::new(false))
                .collect(),
            got: AtomicU64::new(0),
            last: (0..HANDS).map(|_| Mutex::new(Last::default())).collect(),
            in_order,
        }
    }

    fn note(&self, consumer: usize, item: u64) {
        let before = self.seen[usize::try_from(item).unwrap()].swap(true, Ordering::Relaxed);
        assert!(!before, "item {item} came twice");
        let mut last = self.last[consumer].lock().unwrap();
        let last = &mut last[usize::try_from(item / *ITEMS).unwrap()];
        assert!(
            !self.in_order || last.is_none_or(|last| last < item),
            "item {item} is late"
        );
        *last = Some(item);
        self.got.fetch_add(1, Ordering::Relaxed);
    }
}

/// `future`, or `None`: dropped after a few polls, or timed out.
async fn impatient<F: Future>(dice: &mut Dice, future: F) -> Option<F::Output> {
    match dice.roll(32) {
        0 => timeout(Duration::from_micros(dice.roll(200)), future)
            .await
            .ok(),
        1..4 => {
            let mut left = dice.roll(3);
            let mut future = pin!(future);
            poll_fn(|cx| match future.as_mut().poll(cx) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending if left == 0 => Poll::Ready(None),
                Poll::Pending => {
                    left -= 1;
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            })
            .await
        }
        _ => Some(future.await),
    }
}

/// Eight tasks of each kind, one of which is cancelled now and then and made anew, until the producers are done; then `end`,
/// after which the consumers are to be done soon.
async fn storm(
    produce: impl Fn(u64, Dice) -> Task<()>,
    consume: impl Fn(u64, Dice) -> Task<()>,
    end: impl FnOnce(),
) {
    let mut dice = Dice(7);
    let mut producers: Vec<_> = (0..HANDS)
        .map(|hand| produce(hand, Dice(hand + 1)))
        .collect();
    let mut consumers: Vec<_> = (0..HANDS)
        .map(|hand| consume(hand, Dice(hand + 99)))
        .collect();
    while !producers.iter().all(Task::is_finished) {
        for _ in 0..dice.roll(400) {
            yield_now().await;
        }
        let hand = dice.roll(HANDS);
        let seed = Dice(1 + dice.roll(1 << 40));
        let is_producer = dice.roll(2) == 0;
        let task = match is_producer {
            true => &mut producers[usize::try_from(hand).unwrap()],
            false => &mut consumers[usize::try_from(hand).unwrap()],
        };
        task.cancel();
        match (&mut *task).await {
            Ok(()) | Err(TaskError::Cancelled(_)) => {}
            Err(error) => panic!("{error}"),
        }
        *task = match is_producer {
            true => produce(hand, seed),
            false => consume(hand, seed),
        };
    }
    for task in producers {
        task.await.unwrap();
    }
    end();
    for task in consumers {
        task.await.unwrap();
    }
}

fn two_workers() -> Runtime {
    Runtime::builder().worker_threads(2).build().unwrap()
}

macro_rules! queue {
    ($test:ident, $queue:ident, $maxsize:expr, $in_order:expr) => {
        #[test]
        fn $test() {
            two_workers().block_on(async {
                let queue = $queue::<u64>::new($maxsize);
                let ledger = Arc::new(Ledger::new($in_order));
                let produce = |hand: u64, mut dice: Dice| {
                    let (queue, ledger) = (queue.clone(), ledger.clone());
                    create_task(async move {
                        let next = &ledger.next[usize::try_from(hand).unwrap()];
                        loop {
                            let item = next.load(Ordering::Relaxed);
                            if item == (hand + 1) * *ITEMS {
                                return;
                            }
                            let put = if dice.roll(4) == 0 {
                                impatient(&mut dice, queue.reserve())
                                    .await
                                    .map(|place| place.unwrap().put(item).unwrap())
                            } else {
                                impatient(&mut dice, queue.put(item))
                                    .await
                                    .map(Result::unwrap)
                            };
                            if put.is_some() {
                                next.store(item + 1, Ordering::Relaxed);
                            }
                        }
                    })
                };
                let consume = |hand: u64, mut dice: Dice| {
                    let (queue, ledger) = (queue.clone(), ledger.clone());
                    create_task(async move {
                        loop {
                            match impatient(&mut dice, queue.get()).await {
                                Some(Ok(item)) => {
                                    ledger.note(usize::try_from(hand).unwrap(), item);
                                }
                                Some(Err(_)) => return,
                                None => {}
                            }
                        }
                    })
                };
                storm(produce, consume, || queue.shutdown(false)).await;
                assert_eq!(ledger.got.load(Ordering::Relaxed), HANDS * *ITEMS);
                assert!(ledger.seen.iter().all(|seen| seen.load(Ordering::Relaxed)));
            });
        }
    };
}

queue!(a_queue_with_bounds, Queue, 16, true);
queue!(a_queue_of_one, Queue, 1, true);
queue!(a_queue_without_bounds, Queue, 0, true);
queue!(a_lifo_queue, LifoQueue, 16, false);
queue!(a_priority_queue, PriorityQueue, 16, false);

/// A value that says when it is gone.
struct Value(Arc<AtomicU64>);

impl Value {
    fn new(alive: &Arc<AtomicU64>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self(alive.clone())
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn a_channel_for_one_value() {
    two_workers().block_on(async {
        let orders = Queue::<oneshot::Sender<Value>>::new(0);
        let alive = Arc::new(AtomicU64::new(0));
        let [asked, sent, refused, received] = [(); 4].map(|()| Arc::new(AtomicU64::new(0)));
        let ask = |_, mut dice: Dice| {
            let (orders, asked, received) = (orders.clone(), asked.clone(), received.clone());
            create_task(async move {
                while asked.fetch_add(1, Ordering::Relaxed) < HANDS * *ITEMS {
                    let (sender, receiver) = oneshot::channel();
                    orders.put(sender).await.unwrap();
                    let value = impatient(&mut dice, receiver).await.and_then(Result::ok);
                    received.fetch_add(u64::from(value.is_some()), Ordering::Relaxed);
                }
            })
        };
        let answer = |_, mut dice: Dice| {
            let (orders, alive) = (orders.clone(), alive.clone());
            let (sent, refused) = (sent.clone(), refused.clone());
            create_task(async move {
                while let Ok(sender) = orders.get().await {
                    if dice.roll(16) == 0 {
                        drop(sender);
                        continue;
                    }
                    let counter = match sender.send(Value::new(&alive)) {
                        Ok(()) => &sent,
                        Err(_) => &refused,
                    };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        storm(ask, answer, || orders.shutdown(false)).await;
        let [sent, received] = [sent, received].map(|it| it.load(Ordering::Relaxed));
        assert!(received > 0 && received <= sent, "{received} of {sent}");
        assert_eq!(alive.load(Ordering::Relaxed), 0, "values that are nowhere");
    });
}

#[test]
fn a_channel_for_all() {
    /// What one consumer has seen, and where it goes on when its task was cancelled.
    struct Reader {
        receiver: broadcast::Receiver<u64>,
        got: u64,
        lost: u64,
        last: Last,
    }

    two_workers().block_on(async {
        let (sender, receiver) = broadcast::channel::<u64>(64);
        let readers: Vec<_> = (0..HANDS)
            .map(|_| {
                Arc::new(Lock::new(Reader {
                    receiver: sender.subscribe(),
                    got: 0,
                    lost: 0,
                    last: Last::default(),
                }))
            })
            .collect();
        drop(receiver);
        let next: Arc<Vec<_>> = Arc::new(
            (0..HANDS)
                .map(|hand| AtomicU64::new(hand * *ITEMS))
                .collect(),
        );
        let open = Arc::new(Mutex::new(Some(sender)));
        let produce = |hand: u64, mut dice: Dice| {
            let (next, sender) = (next.clone(), open.lock().unwrap().clone().unwrap());
            create_task(async move {
                let next = &next[usize::try_from(hand).unwrap()];
                while next.load(Ordering::Relaxed) < (hand + 1) * *ITEMS {
                    let item = next.fetch_add(1, Ordering::Relaxed);
                    sender.send(item).unwrap();
                    if dice.roll(8) == 0 {
                        yield_now().await;
                    }
                }
            })
        };
        let consume = |hand: u64, mut dice: Dice| {
            let reader = readers[usize::try_from(hand).unwrap()].clone();
            create_task(async move {
                let mut reader = reader.acquire().await;
                loop {
                    match impatient(&mut dice, reader.receiver.recv()).await {
                        Some(Ok(item)) => {
                            reader.got += 1;
                            let last = &mut reader.last[usize::try_from(item / *ITEMS).unwrap()];
                            assert!(last.is_none_or(|last| last < item), "item {item} is late");
                            *last = Some(item);
                        }
                        Some(Err(broadcast::RecvError::Lagged(lost))) => reader.lost += lost,
                        Some(Err(broadcast::RecvError::Closed)) => return,
                        None => {}
                    }
                }
            })
        };
        storm(produce, consume, || drop(open.lock().unwrap().take())).await;
        for reader in &readers {
            let reader = reader.acquire().await;
            assert!(reader.got > 0);
            assert_eq!(
                reader.got + reader.lost,
                HANDS * *ITEMS,
                "nothing else is missing"
            );
        }
    });
}

#[test]
fn a_channel_for_the_latest() {
    two_workers().block_on(async {
        let (sender, receiver) = watch::channel(0);
        let readers: Vec<_> = (0..HANDS)
            .map(|_| Arc::new(Lock::new((receiver.clone(), 0))))
            .collect();
        drop(receiver);
        let left: Arc<Vec<_>> = Arc::new((0..HANDS).map(|_| AtomicU64::new(*ITEMS)).collect());
        let open = Arc::new(Mutex::new(Some(sender)));
        let produce = |hand: u64, mut dice: Dice| {
            let (left, sender) = (left.clone(), open.lock().unwrap().clone().unwrap());
            create_task(async move {
                let left = &left[usize::try_from(hand).unwrap()];
                while left.load(Ordering::Relaxed) > 0 {
                    left.fetch_sub(1, Ordering::Relaxed);
                    sender.send_modify(|sum| *sum += 1);
                    if dice.roll(8) == 0 {
                        yield_now().await;
                    }
                }
            })
        };
        let consume = |hand: u64, mut dice: Dice| {
            let reader = readers[usize::try_from(hand).unwrap()].clone();
            create_task(async move {
                let mut reader = reader.acquire().await;
                let (receiver, last) = &mut *reader;
                loop {
                    match impatient(&mut dice, receiver.changed()).await {
                        Some(Ok(())) => {
                            let sum = *receiver.borrow_and_update();
                            assert!(sum > *last, "{sum} after {last}");
                            *last = sum;
                        }
                        Some(Err(_)) => return,
                        None => {}
                    }
                }
            })
        };
        storm(produce, consume, || drop(open.lock().unwrap().take())).await;
        for reader in &readers {
            assert_eq!(reader.acquire().await.1, HANDS * *ITEMS, "the last is seen");
        }
    });
}
