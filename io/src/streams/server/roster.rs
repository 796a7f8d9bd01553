//! Which connections a server has: who comes in gets a place, and leaves it when the connection is closed.
//!
//! A [`Guest`] is the place. The link of a connection owns it and drops it when it is closed, or with itself. The roster
//! knows links weakly: it keeps no connection alive.

use std::sync::{Arc, Weak};

use loxley_sync::Notify;
use loxley_sync::prim::lock::Mutex;

use crate::streams::link::Link;

/// The connections of one server. As large as the most that there were at once.
#[derive(Default)]
pub(super) struct Roster {
    places: Mutex<Places>,
    /// Somebody has left.
    left: Notify,
}

#[derive(Default)]
struct Places {
    links: Vec<Weak<Link>>,
    free: Vec<usize>,
}

impl Places {
    fn taken(&self) -> usize {
        self.links.len() - self.free.len()
    }
}

impl Roster {
    /// A place, if fewer than `count_max` are taken.
    pub(super) fn enter(self: &Arc<Self>, count_max: usize) -> Option<Guest> {
        let mut places = self.places.lock();
        if places.taken() >= count_max {
            return None;
        }
        let place = places.free.pop().unwrap_or_else(|| {
            places.links.push(Weak::new());
            places.links.len() - 1
        });
        Some(Guest {
            roster: self.clone(),
            place,
        })
    }

    pub(super) fn count(&self) -> usize {
        self.places.lock().taken()
    }

    /// Waits until there are at most `count`.
    pub(super) async fn at_most(&self, count: usize) {
        loop {
            let left = self.left.notified();
            if self.count() <= count {
                return;
            }
            left.await;
        }
    }

    /// The connections there are now.
    pub(super) fn links(&self) -> Vec<Arc<Link>> {
        let places = self.places.lock();
        // Only counted up here: should one of them be the last owner by then, the caller drops it.
        places.links.iter().filter_map(Weak::upgrade).collect()
    }
}

/// A place in a roster, given back on drop.
pub(in crate::streams) struct Guest {
    roster: Arc<Roster>,
    place: usize,
}

impl Guest {
    /// Says whose place it is.
    pub(in crate::streams) fn is(&self, link: &Arc<Link>) {
        self.set(Arc::downgrade(link));
    }

    fn set(&self, link: Weak<Link>) -> Weak<Link> {
        let mut places = self.roster.places.lock();
        std::mem::replace(&mut places.links[self.place], link)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        drop(self.set(Weak::new()));
        self.roster.places.lock().free.push(self.place);
        self.roster.left.notify_waiters();
    }
}
