//! A future that waits stands in a list: once polled it must not move, so only what is pinned can be polled.

use loxley::Lock;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};

fn main() {
    let lock = Lock::new(0);
    let mut waiting = lock.acquire();
    let _ = Pin::new(&mut waiting).poll(&mut Context::from_waker(Waker::noop()));
    let moved = waiting;
    drop(moved);
}
