//! The children of a task group: how many there are, whom to cancel, what went wrong.
//!
//! A child holds a [`Ticket`] until its task is complete, and the last one to go wakes the parent. So the end of a group
//! waits for a count, not for handles, and costs a child one atomic operation. The list of children is there to cancel
//! them; those that have ended are swept out of it when it has doubled.
//!
//! # State
//!
//! `live` counts the tickets, between the parent's first poll (E0) and the group's end. When it is zero and the body is over,
//! the parent turns it to [`ENDED`] (E1), after which nobody enters (E2 fails). *Aborting* is a flag that is set once, under
//! the lock (E3); whoever adds a child looks at it under the same lock, so a child is either in the list that E3 takes or
//! cancelled by its creator.
//!
//! | edge | by | duty |
//! |---|---|---|
//! | E0 | `scope`, UNUSED → CLAIMED; parent, CLAIMED → 0 | run the body |
//! | E1 | parent, `live` 0 → ENDED | return the outcome |
//! | E2 | creator, `live` + 1 | spawn with the ticket |
//! | E3 | abort | cancel the list, wake the parent |
//! | E4 | child, `live` − 1 | the last one wakes the parent |
//!
//! # Ordering
//!
//! E4 releases what a child did to E1's acquire. The rest is ordered by the lock.

use crate::task::{AfterEnd, TaskId, TaskRef, current_id, leave_after_end};
use loxley_sync::Semaphore;
use loxley_sync::prim::atomic::{AtomicBool, AtomicUsize, Ordering};
use loxley_sync::prim::lock::Mutex;
use loxley_sync::wait::WaitCell;
use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

/// The group is over: nobody enters any more.
const ENDED: usize = usize::MAX;

/// Nobody has given it a body.
const UNUSED: usize = usize::MAX - 1;

/// It has a body that was not polled yet.
const CLAIMED: usize = usize::MAX - 2;

/// Why somebody may not be a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Its body has not begun.
    NotYet,
    /// The group is over.
    Ended,
}

/// A list of children shorter than this is not swept.
const SWEEP_MIN: usize = 64;

/// What a panic was thrown with.
pub(super) type Payload = Box<dyn Any + Send>;

/// What the parent, its children and the handles of a group share.
pub struct Children<E> {
    live: AtomicUsize,
    aborting: AtomicBool,
    parent: WaitCell,
    /// The task the body runs in, for people to see.
    parent_id: OnceLock<TaskId>,
    pub(super) limit: Option<Arc<Semaphore>>,
    book: Mutex<Book<E>>,
}

struct Book<E> {
    list: Vec<TaskRef>,
    sweep_at: usize,
    errors: Vec<E>,
    panic: Option<Payload>,
    is_aborting: bool,
}

impl<E: Send + 'static> Children<E> {
    /// No children yet, and no body.
    #[must_use]
    pub fn new(limit: Option<usize>) -> Self {
        Self {
            live: AtomicUsize::new(UNUSED),
            aborting: AtomicBool::new(false),
            parent: WaitCell::new(),
            parent_id: OnceLock::new(),
            limit: limit.map(|limit| Arc::new(Semaphore::new(limit))),
            book: Mutex::new(Book {
                list: Vec::new(),
                sweep_at: SWEEP_MIN,
                errors: Vec::new(),
                panic: None,
                is_aborting: false,
            }),
        }
    }

    /// E0, once: the group has got a body. False if it had one.
    pub fn claim(&self) -> bool {
        // ordering: relaxed, of several that try one wins; what its body sees travels with its future.
        self.live
            .compare_exchange(UNUSED, CLAIMED, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// E0: the body is about to run.
    pub fn open(&self) {
        debug_assert_eq!(
            self.live.load(Ordering::Relaxed), // ordering: a check by the only writer.
            CLAIMED,
            "E0 open, once"
        );
        if let Some(id) = current_id() {
            // Once, as said.
            let _ = self.parent_id.set(id);
        }
        // ordering: relaxed, whoever may enter has got the handle from the body.
        self.live.store(0, Ordering::Relaxed);
    }

    /// E2: the right to be a child.
    ///
    /// # Errors
    ///
    /// If there is no body yet, or the group has ended.
    pub fn enter(self: &Arc<Self>) -> Result<Ticket<E>, Closed> {
        // ordering: relaxed, a count; what the child sees travels with the spawn (E2).
        let entered = self
            .live
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |live| {
                (live < CLAIMED).then(|| live + 1)
            });
        match entered {
            Ok(_) => Ok(Ticket(Some(self.clone()))),
            Err(ENDED) => Err(Closed::Ended),
            Err(_) => Err(Closed::NotYet),
        }
    }

    /// Notes a child that is about to run, so that it is cancelled with the others.
    pub fn adopt(&self, child: TaskRef) {
        let mut gone = Vec::new();
        if let Some(parent) = self.parent_id.get() {
            child.mark_child_of(*parent);
        }
        let refused = {
            let mut book = self.book.lock();
            if book.is_aborting {
                Some(child)
            } else {
                if book.list.len() >= book.sweep_at {
                    let list = std::mem::take(&mut book.list);
                    (gone, book.list) = list.into_iter().partition(TaskRef::is_finished);
                    book.sweep_at = SWEEP_MIN.max(2 * book.list.len());
                }
                book.list.push(child);
                None
            }
        };
        drop(gone);
        if let Some(child) = refused {
            child.cancel_child(SHUTTING_DOWN);
        }
    }

    /// E3: cancels every child, now and to come. Also called twice, and after the end.
    pub fn abort(&self) {
        let list = {
            let mut book = self.book.lock();
            if book.is_aborting {
                return;
            }
            book.is_aborting = true;
            std::mem::take(&mut book.list)
        };
        // ordering: release, so that who sees it sees the error that led to it (E3).
        self.aborting.store(true, Ordering::Release);
        // The youngest first: one that awaits another, which it must have been given, is asked before that one ends.
        for child in list.into_iter().rev() {
            child.cancel_child(SHUTTING_DOWN);
        }
        self.parent.wake();
    }

    /// Whether E3 was taken.
    pub fn is_aborting(&self) -> bool {
        // ordering: acquire pairs with E3.
        self.aborting.load(Ordering::Acquire)
    }

    /// Keeps an error and cancels the rest.
    pub fn fail(&self, error: E) {
        self.book.lock().errors.push(error);
        self.abort();
    }

    /// Keeps a panic, the first of them, and cancels the rest.
    pub(super) fn panicked(&self, payload: Payload) {
        let later = {
            let mut book = self.book.lock();
            match &book.panic {
                None => {
                    book.panic = Some(payload);
                    None
                }
                Some(_) => Some(payload),
            }
        };
        if let Some(later) = later {
            crate::payload::drop_quietly(later);
        }
        self.abort();
    }

    /// Leaves the parent's waker. What is looked at afterwards is not missed.
    pub fn register(&self, cx: &Context<'_>) {
        self.parent.register(cx.waker());
    }

    /// E1, once there are no children. The parent is registered.
    pub fn poll_end(&self) -> Poll<()> {
        // ordering: acquire pairs with E4: what the children did is seen.
        match self
            .live
            .compare_exchange(0, ENDED, Ordering::Acquire, Ordering::Relaxed)
        {
            Ok(_) | Err(ENDED) => Poll::Ready(()),
            Err(_) => Poll::Pending,
        }
    }

    /// The errors alone, for the models.
    #[doc(hidden)]
    pub fn take_errors(&self) -> Vec<E> {
        self.take_outcome().1
    }

    /// What went wrong: called once, by the parent, at the end.
    pub(super) fn take_outcome(&self) -> (Option<Payload>, Vec<E>) {
        let mut book = self.book.lock();
        (book.panic.take(), std::mem::take(&mut book.errors))
    }
}

impl<E> fmt::Debug for Children<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Children").finish_non_exhaustive()
    }
}

/// What a child hears that is cancelled with its group.
pub(super) const SHUTTING_DOWN: &str = "its task group is shutting down";

/// What the task of a child ends with that has failed, or never started.
pub(super) const FAILED: &str = "it failed, or never started; its task group has the error";

/// The right to be a child. The group does not end before the task is complete whose future held it.
pub struct Ticket<E: Send + 'static>(Option<Arc<Children<E>>>);

impl<E: Send + 'static> Ticket<E> {
    pub(super) fn group(&self) -> &Children<E> {
        self.0.as_ref().expect("it goes with the ticket")
    }
}

impl<E: Send + 'static> Drop for Ticket<E> {
    fn drop(&mut self) {
        if let Some(children) = self.0.take() {
            leave_after_end(children);
        }
    }
}

impl<E: Send + 'static> fmt::Debug for Ticket<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket")
    }
}

impl<E: Send + 'static> AfterEnd for Children<E> {
    fn after_end(self: Arc<Self>) {
        // ordering: release pairs with E1 (E4); the last one wakes, and needs to see nothing.
        if self.live.fetch_sub(1, Ordering::Release) == 1 {
            self.parent.wake();
        }
    }
}
