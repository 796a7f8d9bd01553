//! The crates around smol: `async-channel`, `async-lock`, `event-listener`, and `oneshot`, which its users take.

use event_listener::Event;
use smol::channel;
use smol::lock::{Mutex, MutexGuard, RwLock, RwLockReadGuard, Semaphore, SemaphoreGuard};

use super::{Channel, Exclusive, OneShot, Permits, Shared, Signal};

pub struct Bounded;
pub struct Unbounded;
pub struct Once;

impl Channel for Bounded {
    type Sender = channel::Sender<u64>;
    type Receiver = channel::Receiver<u64>;

    fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
        channel::bounded(capacity)
    }

    async fn send(sender: &Self::Sender, value: u64) {
        sender.send(value).await.expect("the receiver is there");
    }

    async fn receive(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv().await.expect("a sender is there")
    }
}

impl Channel for Unbounded {
    type Sender = channel::Sender<u64>;
    type Receiver = channel::Receiver<u64>;

    fn open(_capacity: usize) -> (Self::Sender, Self::Receiver) {
        channel::unbounded()
    }

    async fn send(sender: &Self::Sender, value: u64) {
        sender.send(value).await.expect("the receiver is there");
    }

    async fn receive(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv().await.expect("a sender is there")
    }
}

impl OneShot for Once {
    type Sender = oneshot::Sender<u64>;
    type Receiver = oneshot::AsyncReceiver<u64>;

    fn open() -> (Self::Sender, Self::Receiver) {
        oneshot::async_channel()
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
    type Permit<'a> = SemaphoreGuard<'a>;

    fn new(permits: usize) -> Self {
        Self::new(permits)
    }

    async fn acquire(&self) -> SemaphoreGuard<'_> {
        self.acquire().await
    }
}

impl Signal for Event {
    fn new() -> Self {
        Self::new()
    }

    async fn wait(&self) {
        self.listen().await;
    }

    fn wake_all(&self) {
        self.notify(usize::MAX);
    }
}
