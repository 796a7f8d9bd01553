//! Children whose runtime has gone while they ran: they are reaped all the same.
//!
//! Called by `reap.rs` when a watch says that its runtime has shut down, and by `start.rs` when a child could not be
//! watched at all. The first orphan starts one thread, `loxley-reaper`, with a small runtime of its own that watches them
//! like any other; the last one ends it. This is state of the whole process, as children are.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use loxley_runtime::Runtime;
use loxley_runtime::lowlevel::report_unhandled;
use loxley_sync::Notify;
use loxley_sync::prim::lock::Mutex;
use loxley_sync::prim::thread;

use crate::reap::Child;

static HOME: Mutex<Home> = Mutex::new(Home {
    arrivals: Vec::new(),
    has_keeper: false,
});

/// Somebody has come to [`HOME`].
static ARRIVED: Notify = Notify::new();

struct Home {
    /// Those whom the keeper has not seen yet.
    arrivals: Vec<Arc<Child>>,
    has_keeper: bool,
}

/// Sees to it that `child` is reaped, whatever becomes of the runtimes of this program.
pub(crate) fn adopt(child: &Arc<Child>) {
    let needs_keeper = {
        let mut home = HOME.lock();
        home.arrivals.push(child.clone());
        !std::mem::replace(&mut home.has_keeper, true)
    };
    if !needs_keeper {
        ARRIVED.notify_one();
    } else if let Err(error) = thread::spawn_named("loxley-reaper".to_owned(), None, keep) {
        HOME.lock().has_keeper = false;
        report(&error);
    }
}

fn report(error: &std::io::Error) {
    report_unhandled(&format_args!(
        "no thread to reap a child whose runtime has gone ({error}): it stays a zombie while this process runs"
    ));
}

/// The keeper's thread: watches all orphans until there are none.
fn keep() {
    match Runtime::builder().current_thread().build() {
        Ok(runtime) => runtime.block_on(watch_all()),
        // No descriptor is left. This needs none, and takes them one after the other.
        Err(_) => {
            while let Some(children) = take_arrivals() {
                children.iter().for_each(|child| child.reap_blocking());
            }
        }
    }
}

/// Those who have come; `None` ends the keeper, in one step with the look that found nobody.
fn take_arrivals() -> Option<Vec<Arc<Child>>> {
    let mut home = HOME.lock();
    let arrivals = std::mem::take(&mut home.arrivals);
    home.has_keeper = !arrivals.is_empty();
    home.has_keeper.then_some(arrivals)
}

async fn watch_all() {
    let mut children: Vec<Arc<Child>> = Vec::new();
    loop {
        let arrivals = match children.is_empty() {
            true => match take_arrivals() {
                Some(arrivals) => arrivals,
                None => return,
            },
            false => std::mem::take(&mut HOME.lock().arrivals),
        };
        for child in arrivals {
            if child.watch(None).is_err() {
                // No descriptor is left for this one: a thread needs none.
                let theirs = child.clone();
                let body = move || theirs.reap_blocking();
                if let Err(error) = thread::spawn_named("loxley-reaper-1".to_owned(), None, body) {
                    report(&error);
                }
            }
            children.push(child);
        }
        // They are reaped by their watches; this only waits until there is something new to know.
        if let Some(child) = children.first() {
            first_of(child.ended().wait(), ARRIVED.notified()).await;
        }
        children.retain(|child| child.exit().is_none());
    }
}

/// Waits for whichever comes first.
async fn first_of(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|cx| match one.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => other.as_mut().poll(cx),
    })
    .await;
}
