//! Models of `sync/src/wait/list.rs`: enlisting, granting and dropping in every order, with the smallest primitive there is
//! on top: a number of tokens.

use loxley_sync::ambient::WaitKind;
use loxley_sync::prim::{Arc, model, thread};
use loxley_sync::wait::{Claim, Entry, Locked, Protocol, WaitList, block_on};
use std::future::Future;
use std::panic::Location;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Tokens not taken are the state; a note is the order of arrival, set to 100 by the granting side.
struct Tokens;

impl Protocol for Tokens {
    type State = usize;
    type Note = usize;

    fn left(list: &WaitList<Self>, note: usize) {
        assert!(note < 100, "a waiter that left had not been granted");
        assert!(*list.lock() == 0 || list.lock().waiters() == 0);
    }

    fn give_back(list: &WaitList<Self>, note: usize) {
        assert!(note >= 100, "a grant that is given back had been given");
        put(list);
    }
}

type Bag = Arc<WaitList<Tokens>>;

fn bag(tokens: usize) -> Bag {
    Arc::new(WaitList::new(Tokens, tokens))
}

fn put(list: &WaitList<Tokens>) {
    let mut locked = list.lock();
    if !locked.grant_front(|note| *note += 100) {
        *locked += 1;
    }
}

/// Wants one token.
struct One;

impl Claim<Tokens> for One {
    type Output = ();
    const KIND: WaitKind = WaitKind::Unknown;

    fn enter(&mut self, locked: &mut Locked<'_, Tokens>) -> Entry<(), usize> {
        if **locked > 0 {
            **locked -= 1;
            return Entry::Done(());
        }
        Entry::Wait(locked.waiters())
    }

    fn granted(self, _: &WaitList<Tokens>, note: usize) {
        assert!(note >= 100, "the note is seen as the granting side left it");
    }
}

fn take(list: &WaitList<Tokens>) -> impl Future<Output = ()> {
    list.claim(Location::caller(), One)
}

fn tokens(list: &WaitList<Tokens>) -> usize {
    let locked = list.lock();
    assert_eq!(locked.waiters(), 0, "nobody is left in the list");
    *locked
}

/// Polls a `take` once with a waker that does nothing, then drops it; whether it got a token.
fn take_or_leave(list: &WaitList<Tokens>) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    pin!(take(list)).poll(&mut cx).is_ready()
}

// edges: L1, L2, L4
#[test]
fn grant_between_enlisting_and_sleep() {
    model(|| {
        let list = bag(0);
        let putting = {
            let list = list.clone();
            thread::spawn(move || put(&list))
        };
        block_on(take(&list));
        putting.join().unwrap();
        assert_eq!(tokens(&list), 0);
    });
}

// edges: L1, L2, L3, L5
#[test]
fn grant_to_a_waiter_that_is_being_dropped() {
    model(|| {
        let list = bag(0);
        let putting = {
            let list = list.clone();
            thread::spawn(move || put(&list))
        };
        let got = take_or_leave(&list);
        putting.join().unwrap();
        assert_eq!(tokens(&list), usize::from(!got), "the token is conserved");
    });
}

// edges: L1, L2, L3, L4, L5: one waits to the end, one leaves at any moment
#[test]
fn dropped_waiter_keeps_the_grant_of_the_next() {
    model(|| {
        let list = bag(0);
        let leaving = {
            let list = list.clone();
            thread::spawn(move || {
                if take_or_leave(&list) {
                    put(&list);
                }
            })
        };
        let putting = {
            let list = list.clone();
            thread::spawn(move || put(&list))
        };
        block_on(take(&list));
        leaving.join().unwrap();
        putting.join().unwrap();
        assert_eq!(tokens(&list), 0);
    });
}

// edges: L1, L3 from the head, the middle and the tail while the others are granted
#[test]
fn leaving_breaks_the_links() {
    model(|| {
        let list = bag(0);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let list = list.clone();
                thread::spawn(move || take_or_leave(&list))
            })
            .collect();
        let mut own = Box::pin(take(&list));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(own.as_mut().poll(&mut cx).is_pending());
        put(&list);
        let mut got = usize::from(own.as_mut().poll(&mut cx).is_ready());
        drop(own);
        for thread in threads {
            got += usize::from(thread.join().unwrap());
        }
        assert_eq!(tokens(&list) + got, 1, "the token is conserved");
    });
}

// edges: L1, L2, L4 with the waker changed in between
#[test]
fn newer_waker_misses_the_grant() {
    model(|| {
        let list = bag(0);
        let mut waiting = Box::pin(take(&list));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        let putting = {
            let list = list.clone();
            thread::spawn(move || put(&list))
        };
        block_on(waiting);
        putting.join().unwrap();
    });
}

// edges: L2, L4: what was written before the grant is seen after it
#[test]
fn grant_publishes_what_came_before() {
    model(|| {
        use loxley_sync::prim::atomic::{AtomicUsize, Ordering};
        let shared = Arc::new((WaitList::new(Tokens, 0), AtomicUsize::new(0)));
        let mut waiting = Box::pin(take(&shared.0));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        let putting = {
            let shared = shared.clone();
            thread::spawn(move || {
                // ordering: relaxed on purpose: the grant has to publish it (rows A, B).
                shared.1.store(7, Ordering::Relaxed);
                put(&shared.0);
            })
        };
        if waiting.as_mut().poll(&mut cx) == Poll::Ready(()) {
            // ordering: relaxed, as above.
            assert_eq!(shared.1.load(Ordering::Relaxed), 7);
        }
        drop(waiting);
        putting.join().unwrap();
    });
}
