//! What every test of a waiting type needs: wakers that count, futures polled by hand, and a hang limit.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "shared by test crates, none of which uses all of it"
)]

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// A waker that counts how often it was called.
#[derive(Default)]
pub struct Count(AtomicUsize);

impl Count {
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// A waker that panics when it is called.
pub struct Angry;

impl Wake for Angry {
    fn wake(self: Arc<Self>) {
        panic!("this waker panics");
    }
}

/// A future polled by hand.
pub struct Hand<'a, T> {
    future: Option<Pin<Box<dyn Future<Output = T> + Send + 'a>>>,
    count: Arc<Count>,
}

pub fn hand<'a, T>(future: impl Future<Output = T> + Send + 'a) -> Hand<'a, T> {
    Hand {
        future: Some(Box::pin(future)),
        count: Arc::default(),
    }
}

impl<T> Hand<'_, T> {
    pub fn poll(&mut self) -> Poll<T> {
        let waker: Waker = self.count.clone().into();
        self.poll_with(&waker)
    }

    pub fn poll_with(&mut self, waker: &Waker) -> Poll<T> {
        let future = self.future.as_mut().expect("the future is still there");
        let outcome = future.as_mut().poll(&mut Context::from_waker(waker));
        if outcome.is_ready() {
            self.future = None;
        }
        outcome
    }

    /// Polls once and expects no result.
    #[track_caller]
    pub fn pending(mut self) -> Self {
        assert!(self.poll().is_pending(), "expected to wait");
        self
    }

    /// Polls once and expects a result.
    #[track_caller]
    pub fn ready(&mut self) -> T {
        match self.poll() {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("expected a result"),
        }
    }

    #[track_caller]
    pub fn still_pending(&mut self) {
        assert!(self.poll().is_pending(), "expected to wait on");
    }

    pub fn woken(&self) -> usize {
        self.count.get()
    }
}

/// Runs `test` on a thread of its own and fails if it does not end.
#[track_caller]
pub fn within_limit(test: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        test();
        done.send(()).ok();
    });
    match ended.recv_timeout(Duration::from_secs(60)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the test hangs"),
        _ => thread.join().expect("the test's thread"),
    }
}

/// A small random generator, seeded: xorshift* of Vigna.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below 4.
    pub fn quarter(&mut self) -> usize {
        usize::from(self.next().to_le_bytes()[7] >> 6)
    }
}

/// How often a future is polled before it is given up: often not at all, often for ever.
pub fn patience(rng: &mut Rng) -> u64 {
    [0, 1, u64::MAX, u64::MAX][rng.quarter()]
}

/// Polls a future up to `polls` times more than once, then drops it unless it is done.
pub async fn give_up_after<T>(polls: u64, future: impl Future<Output = T>) -> Option<T> {
    if polls == u64::MAX {
        return Some(future.await);
    }
    let mut future = std::pin::pin!(future);
    let mut left = polls;
    std::future::poll_fn(move |cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        // Whoever is to grant may need this processor.
        std::thread::yield_now();
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

pub fn assert_send<T: Send>(value: T) -> T {
    value
}
