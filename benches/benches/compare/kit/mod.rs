//! One face per kind of primitive, as `rt` has one for the runtimes: queues, locks and signals of each library, used
//! the way its own users would.
//!
//! A library that has no such primitive does not implement the face and has no row in the table. Payloads are `u64`.

use std::future::Future;
use std::ops::DerefMut;

pub mod loxley;
pub mod smol;
pub mod tokio;

/// A queue from several producers to one consumer.
pub trait Channel: 'static {
    type Sender: Clone + Send + 'static;
    type Receiver: Send + 'static;
    /// `capacity` means nothing to an unbounded queue.
    fn open(capacity: usize) -> (Self::Sender, Self::Receiver);
    fn send(sender: &Self::Sender, value: u64) -> impl Future<Output = ()> + Send;
    fn receive(receiver: &mut Self::Receiver) -> impl Future<Output = u64> + Send;
}

/// A channel for one value.
pub trait OneShot: 'static {
    type Sender: Send + 'static;
    type Receiver: Send + 'static;
    fn open() -> (Self::Sender, Self::Receiver);
    fn send(sender: Self::Sender, value: u64);
    fn receive(receiver: Self::Receiver) -> impl Future<Output = u64> + Send;
}

/// A lock that may be held over an await.
pub trait Exclusive: Send + Sync + 'static {
    type Guard<'a>: DerefMut<Target = u64> + Send;
    fn new() -> Self;
    fn acquire(&self) -> impl Future<Output = Self::Guard<'_>> + Send;
}

/// A lock many may read.
pub trait Shared: Send + Sync + 'static {
    type Guard<'a>: Send;
    fn new() -> Self;
    fn read(&self) -> impl Future<Output = Self::Guard<'_>> + Send;
}

/// A number of permits.
pub trait Permits: Send + Sync + 'static {
    type Permit<'a>: Send;
    fn new(permits: usize) -> Self;
    fn acquire(&self) -> impl Future<Output = Self::Permit<'_>> + Send;
}

/// Wakes everybody who waits now.
pub trait Signal: Send + Sync + 'static {
    fn new() -> Self;
    fn wait(&self) -> impl Future<Output = ()> + Send;
    fn wake_all(&self);
}

/// Wakes one, now or the next to come.
pub trait Baton: Send + Sync + 'static {
    fn new() -> Self;
    fn wait(&self) -> impl Future<Output = ()> + Send;
    fn pass(&self);
}

/// Every receiver gets every value.
pub trait Fan: 'static {
    type Sender: Send + Sync + 'static;
    type Receiver: Send + 'static;
    fn open(capacity: usize) -> Self::Sender;
    fn subscribe(sender: &Self::Sender) -> Self::Receiver;
    fn send(sender: &Self::Sender, value: u64);
    fn receive(receiver: &mut Self::Receiver) -> impl Future<Output = u64> + Send;
}

/// Every watcher sees the newest value.
pub trait Watched: 'static {
    type Sender: Send + Sync + 'static;
    type Receiver: Send + 'static;
    fn open() -> Self::Sender;
    fn subscribe(sender: &Self::Sender) -> Self::Receiver;
    fn send(sender: &Self::Sender, value: u64);
    fn changed(receiver: &mut Self::Receiver) -> impl Future<Output = u64> + Send;
}
