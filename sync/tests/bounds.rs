//! What may cross threads and what may not, as the compiler sees it; what stands in statics; the budget.

mod support;

use loxley_sync::ambient::{self, POLL_BUDGET};
use loxley_sync::queue::ShutdownOnDrop;
use loxley_sync::wait::{WaitCell, block_on};
use loxley_sync::{
    Barrier, BoundedSemaphore, Condition, Event, LifoQueue, Lock, LockGuard, Notify, OnceCell,
    OwnedLockGuard, Permit, PriorityQueue, Queue, ReadGuard, RwLock, Semaphore, UpgradableGuard,
    WriteGuard, broadcast, oneshot, watch,
};
use std::cell::Cell;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

fn both<T: Send + Sync>() {}
fn send<T: Send>() {}

/// `assert_not!(Type: Trait)` compiles only if the type lacks the trait: else the method is ambiguous.
macro_rules! assert_not {
    ($($type:ty: $bound:path),+ $(,)?) => {$({
        trait Ambiguous<A> {
            fn check() {}
        }
        impl<T: ?Sized> Ambiguous<()> for T {}
        impl<T: ?Sized + $bound> Ambiguous<u8> for T {}
        <$type as Ambiguous<_>>::check();
    })+};
}

type Shy = Cell<u8>; // Send, not Sync
type Bound = Rc<u8>; // neither

#[test]
fn what_needs_no_memory_stands_in_a_static() {
    static LOCK: Lock<Vec<u8>> = Lock::new(Vec::new());
    static RWLOCK: RwLock<u8> = RwLock::new(1);
    static SIGNALS: (Event, Notify, Condition) = (Event::new(), Notify::new(), Condition::new());
    static PERMITS: (Semaphore, BoundedSemaphore) = (Semaphore::new(1), BoundedSemaphore::new(1));
    static MEETING: (Barrier, OnceCell<u8>) = (Barrier::new(1), OnceCell::new());
    SIGNALS.0.set();
    SIGNALS.1.notify_one();
    block_on(async {
        SIGNALS.0.wait().await;
        SIGNALS.1.notified().await;
        let guard = LOCK.acquire().await;
        drop(SIGNALS.2.wait_for(guard, |list| list.is_empty()).await);
        let permits = (PERMITS.0.acquire().await, PERMITS.1.acquire().await);
        assert_eq!(MEETING.0.wait().await, Ok(0));
        assert_eq!(MEETING.1.get_or_init(|| async { 2 }).await, &2);
        assert_eq!(*RWLOCK.read().await, 1);
        drop(permits);
    });
}

#[test]
fn sendable_content_makes_sendable_primitives() {
    both::<(
        Event,
        Notify,
        Condition,
        Barrier,
        Semaphore,
        BoundedSemaphore,
        WaitCell,
    )>();
    both::<(Lock<Shy>, Queue<Shy>, LifoQueue<Shy>, PriorityQueue<Shy>)>();
    both::<(RwLock<u8>, OnceCell<u8>, Permit<'_>)>();
    both::<(oneshot::Sender<Shy>, oneshot::Receiver<Shy>)>();
    both::<(broadcast::Sender<u8>, broadcast::Receiver<u8>)>();
    both::<(watch::Sender<u8>, watch::Receiver<u8>)>();
    both::<(LockGuard<'_, u8>, OwnedLockGuard<u8>)>();
    both::<(
        ReadGuard<'_, u8>,
        WriteGuard<'_, u8>,
        UpgradableGuard<'_, u8>,
    )>();
    send::<(
        LockGuard<'_, Shy>,
        OwnedLockGuard<Shy>,
        RwLock<Shy>,
        OnceCell<Shy>,
    )>();
}

/// So that a program which catches panics need not assert it for what it only uses.
#[test]
fn a_panic_that_is_caught_leaves_nothing_behind_in_what_waits_and_wakes() {
    fn unharmed<T: UnwindSafe + RefUnwindSafe>() {}
    unharmed::<(Event, Notify, Condition, Barrier)>();
    unharmed::<(Semaphore, BoundedSemaphore, WaitCell)>();
    unharmed::<(Queue<Shy>, LifoQueue<Shy>, PriorityQueue<Shy>)>();
    unharmed::<ShutdownOnDrop>();
    unharmed::<(oneshot::Sender<Shy>, oneshot::Receiver<Shy>)>();
    unharmed::<(broadcast::Sender<u8>, broadcast::Receiver<u8>)>();
    unharmed::<(watch::Sender<u8>, watch::Receiver<u8>)>();
}

#[test]
fn content_that_may_not_cross_threads_is_kept_from_it() {
    assert_not!(
        Lock<Bound>: Sync,
        Lock<Bound>: Send,
        LockGuard<'static, Shy>: Sync,
        LockGuard<'static, Bound>: Send,
        OwnedLockGuard<Shy>: Sync,
        RwLock<Shy>: Sync,
        RwLock<Bound>: Send,
        ReadGuard<'static, Shy>: Sync,
        ReadGuard<'static, Shy>: Send,
        WriteGuard<'static, Shy>: Sync,
        OnceCell<Shy>: Sync,
        Queue<Bound>: Send,
        oneshot::Sender<Bound>: Send,
        oneshot::Receiver<Bound>: Sync,
        broadcast::Sender<Shy>: Send,
        broadcast::Receiver<Shy>: Sync,
        watch::Sender<Shy>: Send,
        watch::Receiver<Shy>: Sync,
        watch::Ref<Shy>: Send,
    );
}

#[test]
fn futures_of_sendable_content_are_sendable() {
    let (lock, queue, event) = (Lock::new(0), Queue::new(1), Event::new());
    let (semaphore, rwlock, condition) = (Semaphore::new(1), RwLock::new(0), Condition::new());
    let (notify, barrier, once) = (Notify::new(), Barrier::new(1), OnceCell::new());
    let future = support::assert_send(async {
        let guard = lock.acquire().await;
        let guard = condition.wait_for(guard, |n| *n == 0).await;
        queue.put(*guard).await.unwrap();
        queue.get().await.unwrap();
        event.set();
        event.wait().await;
        notify.notify_one();
        notify.notified().await;
        drop(semaphore.acquire().await);
        drop(rwlock.upgradable_read().await.upgrade().await);
        barrier.wait().await.unwrap();
        *once.get_or_init(|| async { 1 }).await
    });
    assert_eq!(block_on(future), 1);
}

#[test]
fn a_leaf_that_is_always_ready_spends_the_budget_and_lets_others_run() {
    let semaphore = Semaphore::new(1);
    let rounds = Cell::new(0);
    let mut future = Box::pin(async {
        loop {
            drop(semaphore.acquire().await);
            rounds.set(rounds.get() + 1);
        }
    });
    let waker = std::task::Waker::noop();
    for poll in 1..=3 {
        let outer = ambient::enter();
        let outcome = future
            .as_mut()
            .poll(&mut std::task::Context::from_waker(waker));
        ambient::leave(outer);
        assert!(outcome.is_pending());
        assert_eq!(rounds.get(), poll * POLL_BUDGET);
    }
}

#[test]
fn leaves_that_wait_cost_no_budget() {
    let event = Event::new();
    let outer = ambient::enter();
    let waiting: Vec<_> = (0..2 * POLL_BUDGET)
        .map(|_| support::hand(event.wait()).pending())
        .collect();
    assert!(ambient::has_budget_remaining());
    assert!(waiting.iter().all(|waiter| waiter.woken() == 0));
    let reason = ambient::leave(outer).reason;
    assert_eq!(reason.kind, ambient::WaitKind::Event);
    assert_eq!(reason.at.map(std::panic::Location::file), Some(file!()));
}

/// A protocol whose every hook panics: the list must stay whole.
mod angry_protocol {
    use loxley_sync::ambient::WaitKind;
    use loxley_sync::wait::{Claim, Entry, Locked, Protocol, WaitList};
    use std::panic::{AssertUnwindSafe, Location, catch_unwind};

    struct Angry;

    /// Always waits, with this note.
    struct Patient(u8);

    impl Claim<Angry> for Patient {
        type Output = ();
        const KIND: WaitKind = WaitKind::Lock;

        fn enter(&mut self, _: &mut Locked<'_, Angry>) -> Entry<(), u8> {
            Entry::Wait(self.0)
        }

        fn granted(self, _: &WaitList<Angry>, _: u8) {}
    }

    impl Protocol for Angry {
        type State = ();
        type Note = u8;

        fn emptied(&self) {
            panic!("emptied");
        }

        fn leaving((): &mut (), note: &mut u8) {
            assert!(*note != 2, "leaving");
        }

        fn left(_: &WaitList<Self>, _: u8) {
            panic!("left");
        }

        fn give_back(_: &WaitList<Self>, _: u8) {
            panic!("give_back");
        }
    }

    #[test]
    fn a_protocol_that_panics_everywhere_does_not_break_the_links() {
        let list = &WaitList::new(Angry, ());
        let enlist =
            |note| super::support::hand(list.claim(Location::caller(), Patient(note))).pending();
        let quietly = |f: &mut dyn FnMut()| catch_unwind(AssertUnwindSafe(f)).is_err();
        let mut waiters: Vec<_> = (0..5).map(|note| Some(enlist(note))).collect();
        assert!(quietly(&mut || drop(waiters[2].take())));
        assert!(quietly(&mut || drop(waiters[0].take())));
        assert_eq!(list.lock().waiters(), 3);
        assert!(quietly(&mut || {
            list.lock().grant_front(|_| panic!("edit"));
        }));
        assert!(quietly(&mut || list
            .lock()
            .grant_while(|_, (), _| panic!("pick"))));
        assert_eq!(list.lock().waiters(), 3);
        assert!(list.lock().grant_front(|_| {}));
        assert!(quietly(&mut || drop(waiters[1].take())));
        assert!(quietly(&mut || drop(waiters[4].take())));
        assert!(quietly(&mut || {
            list.lock().grant_front(|_| {});
        }));
        waiters[3].as_mut().unwrap().ready();
        assert_eq!(list.lock().waiters(), 0);
    }
}
