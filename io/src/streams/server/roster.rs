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
    is_closed: bool,
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

    /// From now on no connection gets in: those that are in are all that [`links`](Self::links) will ever give.
    pub(super) fn close(&self) {
        self.places.lock().is_closed = true;
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
    /// Says whose place it is: false if the roster was closed first.
    ///
    /// In one step with the look at that, or a connection could come in behind the back of who closes the roster and then
    /// everybody in it.
    #[must_use = "who came too late is not served"]
    pub(in crate::streams) fn is(&self, link: &Arc<Link>) -> bool {
        let link = Arc::downgrade(link);
        let mut places = self.roster.places.lock();
        let is_in_time = !places.is_closed;
        if is_in_time {
            places.links[self.place] = link;
        }
        is_in_time
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut places = self.roster.places.lock();
        let link = std::mem::take(&mut places.links[self.place]);
        places.free.push(self.place);
        drop(places);
        drop(link);
        self.roster.left.notify_waiters();
    }
}
