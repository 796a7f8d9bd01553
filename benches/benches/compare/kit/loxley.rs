//! `loxley_sync`.

use loxley_sync::{
    Event, Lock, LockGuard, Notify, Permit, Queue, ReadGuard, RwLock, Semaphore, broadcast,
    oneshot, watch,
};

use super::{Baton, Channel, Exclusive, Fan, OneShot, Permits, Shared, Signal, Watched};

/// One type for both: a capacity of 0 is none.
pub struct Queues;
pub struct Once;
pub struct Broadcast;
pub struct Watch;

impl Channel for Queues {
    type Sender = Queue<u64>;
    type Receiver = Queue<u64>;

    fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
        let queue = Queue::new(capacity);
        (queue.clone(), queue)
    }

    async fn send(sender: &Self::Sender, value: u64) {
        sender.put(value).await.expect("the queue is open");
    }

    async fn receive(receiver: &mut Self::Receiver) -> u64 {
        receiver.get().await.expect("the queue is open")
    }
}

impl OneShot for Once {
    type Sender = oneshot::Sender<u64>;
    type Receiver = oneshot::Receiver<u64>;

    fn open() -> (Self::Sender, Self::Receiver) {
        oneshot::channel()
    }

    fn send(sender: Self::Sender, value: u64) {
        sender.send(value).expect("the receiver is there");
    }

    async fn receive(receiver: Self::Receiver) -> u64 {
        receiver.await.expect("the sender sends")
    }
}

impl Exclusive for Lock<u64> {
    type Guard<'a> = LockGuard<'a, u64>;

    fn new() -> Self {
        Self::new(0)
    }

    async fn acquire(&self) -> LockGuard<'_, u64> {
        self.acquire().await
    }
}

impl Shared for RwLock<u64> {
    type Guard<'a> = ReadGuard<'a, u64>;

    fn new() -> Self {
        Self::new(0)
    }

    async fn read(&self) -> ReadGuard<'_, u64> {
        self.read().await
    }
}

impl Permits for Semaphore {
    type Permit<'a> = Permit<'a>;

    fn new(permits: usize) -> Self {
        Self::new(permits)
    }

    async fn acquire(&self) -> Permit<'_> {
        self.acquire().await
    }
}

impl Signal for Event {
    fn new() -> Self {
        Self::new()
    }

    async fn wait(&self) {
        self.wait().await;
    }

    fn wake_all(&self) {
        self.set();
    }
}

impl Baton for Notify {
    fn new() -> Self {
        Self::new()
    }

    async fn wait(&self) {
        self.notified().await;
    }

    fn pass(&self) {
        self.notify_one();
    }
}

impl Fan for Broadcast {
    type Sender = broadcast::Sender<u64>;
    type Receiver = broadcast::Receiver<u64>;

    fn open(capacity: usize) -> Self::Sender {
        broadcast::channel(capacity).0
    }

    fn subscribe(sender: &Self::Sender) -> Self::Receiver {
        sender.subscribe()
    }

    fn send(sender: &Self::Sender, value: u64) {
        sender.send(value).expect("receivers are there");
    }

    async fn receive(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv().await.expect("nobody lags")
    }
}

impl Watched for Watch {
    type Sender = watch::Sender<u64>;
    type Receiver = watch::Receiver<u64>;

    fn open() -> Self::Sender {
        watch::channel(0).0
    }

    fn subscribe(sender: &Self::Sender) -> Self::Receiver {
        sender.subscribe()
    }

    fn send(sender: &Self::Sender, value: u64) {
        sender.send_replace(value);
    }

    async fn changed(receiver: &mut Self::Receiver) -> u64 {
        receiver.changed().await.expect("the sender is there");
        *receiver.borrow_and_update()
    }
}
