//! The shared queue, `runtime/src/queue/injector.rs`: an item comes out exactly once, and the mirrored length never hides
//! one for good. Who must not miss an item has a fence between (I3, I4): that is modelled in `idle_park.rs`.

use std::collections::VecDeque;

use loxley_runtime::model::{Injector, Local};
use loxley_sync::prim::{Arc, model, thread};

/// Everything one worker gets in one grab.
fn grab(injector: &Injector<u32>) -> Vec<u32> {
    let (local, _stealer) = Local::new();
    let first = injector.grab(&local, 2);
    first
        .into_iter()
        .chain(std::iter::from_fn(|| local.pop()))
        .collect()
}

// edges: I4 (the push before it)
#[test]
fn two_workers_grab_the_same_item() {
    model(|| {
        let injector = Arc::new(Injector::new());
        for item in 1..=3 {
            injector.push(item);
        }
        let other = {
            let injector = injector.clone();
            thread::spawn(move || grab(&injector))
        };
        let mut all = grab(&injector);
        all.extend(other.join().expect("no panic"));
        all.extend(
            std::iter::from_fn(|| Some(grab(&injector)).filter(|got| !got.is_empty())).flatten(),
        );
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3]);
        assert!(injector.is_empty());
    });
}

// edges: I4 (the push before it)
#[test]
fn item_pushed_while_the_last_one_is_grabbed() {
    model(|| {
        let injector = Arc::new(Injector::new());
        injector.push(1);
        let pushers = [2, 3].map(|item| {
            let injector = injector.clone();
            thread::spawn(move || injector.push(item))
        });
        let mut all = grab(&injector);
        for pusher in pushers {
            pusher.join().expect("no panic");
        }
        // The length that the grab stored must not hide what was pushed since.
        while !injector.is_empty() {
            all.extend(grab(&injector));
        }
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3]);
    });
}

// edges: I4 (the push before it)
#[test]
fn item_pushed_while_the_strict_flavour_takes_all_and_puts_some_back() {
    model(|| {
        let injector = Arc::new(Injector::new());
        injector.push(1);
        injector.push(2);
        let pusher = {
            let injector = injector.clone();
            thread::spawn(move || injector.push(3))
        };
        let mut round = VecDeque::new();
        injector.swap(&mut round);
        let mut all: Vec<u32> = round.pop_front().into_iter().collect();
        injector.push_front(&mut round);
        pusher.join().expect("no panic");
        injector.swap(&mut round);
        all.extend(round.drain(..));
        assert_eq!(all, [1, 2, 3], "lost, doubled or overtaken");
        assert!(injector.is_empty());
    });
}
