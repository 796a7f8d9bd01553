//! A grant that its task does not pick up is reported in debug mode, and nothing else is.

#[path = "../../tests/support/mod.rs"]
mod support;

use loxley_runtime::{Runtime, Task, create_task, yield_now};
use loxley_sync::ambient::WaitKind;
use loxley_sync::{Event, Lock, Notify, Queue, RwLock, Semaphore};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use support::*;

/// The first of two that is ready, the first one first; both stay where they are.
async fn either<A: Future, B: Future>(mut first: Pin<&mut A>, mut second: Pin<&mut B>) {
    poll_fn(|cx| match first.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => second.as_mut().poll(cx).map(|_| ()),
    })
    .await;
}

/// Both, polled in every poll.
async fn both<A: Future, B: Future>(first: A, second: B) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let mut done = (false, false);
    poll_fn(|cx| {
        done.0 = done.0 || first.as_mut().poll(cx).is_ready();
        done.1 = done.1 || second.as_mut().poll(cx).is_ready();
        if done.0 && done.1 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Until `task` rests, waiting for this kind of thing.
async fn rests<T>(task: &Task<T>, kind: WaitKind) {
    let task = task.as_ref();
    until(|| !task.is_runnable() && task.waiting_for().kind == kind).await;
}

fn each_debug(reports: &Reports, debug: bool, body: impl Fn(Runtime) + Send + Sync + 'static) {
    let reports = reports.clone();
    each_with(
        &ALL,
        move |builder| reports.install(builder).debug(debug),
        move |_, runtime| body(runtime),
    );
}

/// RFD 609: a select over a borrowed future, one arm of which goes on to wait for the lock that the future is next in line
/// for.
async fn stuck_at_a_lock(lock: Arc<Lock<()>>, go: Arc<Event>) {
    let mut first = pin!(lock.acquire());
    either(first.as_mut(), pin!(go.wait())).await;
    let _guard = lock.acquire().await;
}

/// The same; `again` has it polled, and counts.
async fn stuck_and_polled(lock: Arc<Lock<()>>, go: Arc<Event>, again: Arc<Again>) {
    let stuck = async {
        let mut first = pin!(lock.acquire());
        either(first.as_mut(), pin!(go.wait())).await;
        let _guard = lock.acquire().await;
    };
    let polled = async {
        loop {
            again.0.notified().await;
            again.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    };
    both(polled, stuck).await;
}

#[derive(Default)]
struct Again(Notify, std::sync::atomic::AtomicUsize);

#[test]
fn a_lock_whose_owner_is_not_polled_is_reported_with_both_places() {
    let reports = Reports::default();
    each_debug(&reports.clone(), true, move |runtime| {
        let before = reports.len();
        let reports = reports.clone();
        runtime.block_on(async move {
            let (lock, go) = (Arc::new(Lock::new(())), Arc::new(Event::new()));
            let held = lock.acquire().await;
            let again = Arc::new(Again::default());
            let task = create_task(stuck_and_polled(lock.clone(), go.clone(), again.clone()));
            rests(&task, WaitKind::Event).await;
            go.set();
            rests(&task, WaitKind::Lock).await;
            assert_eq!(reports.len(), before, "it only waits so far");
            drop(held);
            until(|| reports.len() > before).await;
            for polls in 1..4 {
                again.0.notify_one();
                until(|| again.1.load(std::sync::atomic::Ordering::Relaxed) == polls).await;
                rests(&task, WaitKind::Lock).await;
            }
            assert!(lock.try_acquire().is_none(), "and there it stays");
            assert_eq!(reports.len(), before + 1, "told once");
            let text = reports.list().pop().unwrap();
            assert!(text.contains("futurelock"), "{text}");
            assert_eq!(
                text.matches("a lock at runtime/tests/futurelock.rs:")
                    .count(),
                2,
                "{text}"
            );
            task.cancel();
            drop(task.await);
            assert!(
                lock.try_acquire().is_some(),
                "dropped, it gives the lock back"
            );
        });
    });
}

#[test]
fn a_permit_a_read_lock_and_an_item_that_are_not_picked_up_are_reported() {
    let reports = Reports::default();
    each_debug(&reports.clone(), true, move |runtime| {
        let before = reports.len();
        let reports = reports.clone();
        runtime.block_on(async move {
            let semaphore = Arc::new(Semaphore::new(0));
            let lock = Arc::new(RwLock::new(()));
            let queue = Queue::<u8>::new(1);
            let go = Arc::new(Event::new());
            let written = lock.write().await;
            let task = create_task({
                let (semaphore, lock, queue) = (semaphore.clone(), lock.clone(), queue.clone());
                let go = go.clone();
                async move {
                    let (mut permit, mut read, mut item) = (
                        pin!(semaphore.acquire()),
                        pin!(lock.read()),
                        pin!(queue.get()),
                    );
                    poll_fn(|cx| {
                        assert!(permit.as_mut().poll(cx).is_pending());
                        assert!(read.as_mut().poll(cx).is_pending());
                        assert!(item.as_mut().poll(cx).is_pending());
                        Poll::Ready(())
                    })
                    .await;
                    go.wait().await;
                }
            });
            rests(&task, WaitKind::Event).await;
            semaphore.release();
            drop(written);
            queue.put_nowait(1).unwrap();
            until(|| reports.len() >= before + 3).await;
            let texts = reports.list().split_off(before);
            assert_eq!(texts.len(), 3, "{texts:?}");
            for what in ["a permit", "a lock", "a queue"] {
                assert!(texts.iter().any(|text| text.contains(what)), "{texts:?}");
            }
            task.cancel();
            drop(task.await);
        });
    });
}

#[test]
fn without_debug_mode_nothing_is_looked_at() {
    let reports = Reports::default();
    each_debug(&reports.clone(), false, move |runtime| {
        let reports = reports.clone();
        runtime.block_on(async move {
            let (lock, go) = (Arc::new(Lock::new(())), Arc::new(Event::new()));
            let held = lock.acquire().await;
            let task = create_task(stuck_at_a_lock(lock.clone(), go.clone()));
            rests(&task, WaitKind::Event).await;
            go.set();
            rests(&task, WaitKind::Lock).await;
            drop(held);
            for _ in 0..100 {
                yield_now().await;
            }
            task.cancel();
            drop(task.await);
            assert_eq!(reports.len(), 0);
        });
    });
}

/// Polls only those of its futures whose own waker was called, one in each poll.
struct Bit<F> {
    future: Option<Pin<Box<F>>>,
    flag: Arc<Flag>,
}

struct Flag {
    woken: std::sync::atomic::AtomicBool,
    outer: std::sync::Mutex<Option<Waker>>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, std::sync::atomic::Ordering::Release);
        let outer = self.outer.lock().unwrap().clone();
        if let Some(outer) = outer {
            outer.wake();
        }
    }
}

impl<F: Future> Bit<F> {
    fn new(future: F) -> Self {
        let flag = Flag {
            woken: true.into(),
            outer: None.into(),
        };
        Self {
            future: Some(Box::pin(future)),
            flag: Arc::new(flag),
        }
    }

    /// Whether it was polled.
    fn poll_if_woken(&mut self, cx: &Context<'_>) -> bool {
        let Some(future) = &mut self.future else {
            return false;
        };
        *self.flag.outer.lock().unwrap() = Some(cx.waker().clone());
        if !self
            .flag
            .woken
            .swap(false, std::sync::atomic::Ordering::AcqRel)
        {
            return false;
        }
        let waker = Waker::from(self.flag.clone());
        if future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
        {
            self.future = None;
        }
        true
    }
}

async fn bit_by_bit<F: Future>(futures: impl Iterator<Item = F>) {
    let mut bits: Vec<_> = futures.map(Bit::new).collect();
    poll_fn(|cx| {
        if bits.iter_mut().any(|bit| bit.poll_if_woken(cx)) {
            cx.waker().wake_by_ref();
        }
        if bits.iter().all(|bit| bit.future.is_none()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

#[test]
fn futures_that_are_polled_on_are_never_reported() {
    let reports = Reports::default();
    each_debug(&reports.clone(), true, move |runtime| {
        let reports = reports.clone();
        runtime.block_on(async move {
            let lock = Arc::new(Lock::new(0));
            let queue = Queue::<u32>::new(2);
            let tasks: Vec<_> = (0..8)
                .map(|index| {
                    let (lock, queue) = (lock.clone(), queue.clone());
                    let step = move || {
                        let (lock, queue) = (lock.clone(), queue.clone());
                        async move {
                            let mut guard = lock.acquire().await;
                            yield_now().await;
                            *guard += 1;
                            drop(guard);
                            queue.put(1).await.unwrap();
                            queue.get().await.unwrap();
                        }
                    };
                    create_task(async move {
                        for _ in 0..20 {
                            match index % 3 {
                                0 => both(step(), step()).await,
                                1 => bit_by_bit((0..4).map(|_| step())).await,
                                // The one that loses is dropped, and gives back what it was granted.
                                _ => either(pin!(step()), pin!(yield_now())).await,
                            }
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(reports.list(), Vec::<String>::new());
        });
    });
}

#[test]
fn a_wait_that_moves_to_another_task_is_watched_there() {
    let reports = Reports::default();
    each_debug(&reports.clone(), true, move |runtime| {
        let reports = reports.clone();
        runtime.block_on(async move {
            let lock = Arc::new(Lock::new(()));
            let held = lock.acquire().await;
            let mut moving = Box::pin({
                let lock = lock.clone();
                async move { drop(lock.acquire().await) }
            });
            poll_fn(|cx| Poll::Ready(moving.as_mut().poll(cx).is_pending())).await;
            let other = create_task(moving);
            rests(&other, WaitKind::Lock).await;
            drop(held);
            other.await.unwrap();
            yield_now().await;
            assert_eq!(reports.list(), Vec::<String>::new());
        });
    });
}
