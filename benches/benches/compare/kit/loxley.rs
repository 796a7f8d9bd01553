//! `loxley_sync`.

use loxley_sync::{Event, Notify, oneshot};

use super::{Baton, OneShot, Signal};

pub struct Once;

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
