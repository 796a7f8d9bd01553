//! `tokio::sync`.

use tokio::sync::{
    Mutex, MutexGuard, Notify, RwLock, RwLockReadGuard, Semaphore, SemaphorePermit, broadcast,
    mpsc, oneshot, watch,
};

use super::{Baton, Channel, Exclusive, Fan, OneShot, Permits, Shared, Signal, Watched};

pub struct Bounded;
pub struct Unbounded;
pub struct Once;
pub struct Broadcast;
pub struct Watch;

impl Channel for Bounded {
    type Sender = mpsc::Sender<u64>;
    type Receiver = mpsc::Receiver<u64>;

    fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
        mpsc::channel(capacity)
    }

    async fn send(sender: &Self::Sender, value: u64) {
        sender.send(value).await.expect("the receiver is there");
    }

    async fn receive(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv().await.expect("a sender is there")
    }
}

impl Channel for Unbounded {
    type Sender = mpsc::UnboundedSender<u64>;
    type Receiver = mpsc::UnboundedReceiver<u64>;

    fn open(_capacity: usize) -> (Self::Sender, Self::Receiver) {
        mpsc::unbounded_channel()
    }

    async fn send(sender: &Self::Sender, value: u64) {
        sender.send(value).expect("the receiver is there");
    }

    async fn receive(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv().await.expect("a sender is there")
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

impl Exclusive for Mutex<u64> {
    type Guard<'a> = MutexGuard<'a, u64>;

    fn new() -> Self {
        Self::new(0)
    }

    async fn acquire(&self) -> MutexGuard<'_, u64> {
        self.lock().await
    }
}

impl Shared for RwLock<u64> {
    type Guard<'a> = RwLockReadGuard<'a, u64>;

    fn new() -> Self {
        Self::new(0)
    }

    async fn read(&self) -> RwLockReadGuard<'_, u64> {
        self.read().await
    }
}

impl Permits for Semaphore {
    type Permit<'a> = SemaphorePermit<'a>;

    fn new(permits: usize) -> Self {
        Self::new(permits)
    }

    async fn acquire(&self) -> SemaphorePermit<'_> {
        self.acquire().await.expect("never closed")
    }
}

impl Signal for Notify {
    fn new() -> Self {
        Self::new()
    }

    async fn wait(&self) {
        self.notified().await;
    }

    fn wake_all(&self) {
        self.notify_waiters();
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
        broadcast::Sender::new(capacity)
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
        watch::Sender::new(0)
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
