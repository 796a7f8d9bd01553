//! Cancel scopes: the places inside a task where a request to stop can be heard.
//!
//! A scope is entered when its inner future first has to wait, so one that is ready at once costs nothing. It is told its
//! parent by the stack of scopes that are being polled on this thread. What a request does is decided in `tree.rs`; the
//! runtime brings the tree, and delivers before a poll and after one that had to wait. Without a task of the runtime around
//! it, a scope is a plain poll.

pub use super::tree::{Delivery, Kind, Settled, Tree};

use super::grants::Watch;
use super::tree::Key;
use super::{RECORD, host};
use crate::CancelledError;
use std::cell::RefCell;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

/// The task behind the current poll, as its scopes see it. Implemented by runtimes.
pub trait Host {
    /// The task's tree, made when it is first asked for.
    fn tree(&self) -> Arc<dyn Planted>;
    /// Whether `home` is this task's.
    fn is_home(&self, home: &Arc<dyn Planted>) -> bool;
    /// Whether a request waits to be delivered.
    fn is_requested(&self) -> bool;
    /// There is a request to be delivered at the end of this poll. Called on the thread that polls the task.
    fn note(&self);
    /// Keeps `watch` among the task's. Called where `grants::watch_grants` was switched on.
    fn watch(&self, watch: Weak<Watch>);
}

/// Whatever holds a tree.
pub trait Planted: Send + Sync {
    /// The tree.
    fn tree(&self) -> &Tree;
}

/// What came of a poll inside a scope.
#[derive(Debug)]
pub enum Verdict<R> {
    /// The inner future is ready.
    Done(R),
    /// The scope was given a request.
    Cancelled(CancelledError),
}

/// One scope that is being polled.
#[derive(Clone, Copy)]
struct Frame {
    kind: Kind,
    place: Option<Place>,
}

/// Where a scope stands in its tree.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    key: Key,
    parent: Key,
}

crate::prim::thread::thread_local! {
    /// The scopes being polled on this thread, innermost last; those of the current task are the last `Record::depth`.
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// A place where a request can be heard. It belongs to one future and is polled through.
pub struct Scope {
    kind: Kind,
    entered: Option<Entered>,
}

struct Entered {
    home: Arc<dyn Planted>,
    place: Place,
}

impl Scope {
    /// A scope nobody has polled yet.
    #[must_use]
    pub const fn new(kind: Kind) -> Self {
        Self {
            kind,
            entered: None,
        }
    }

    /// Polls `inner` inside this scope. A request that has come for it goes before what `inner` would give.
    #[inline]
    pub fn poll_in<R>(
        &mut self,
        cx: &mut Context<'_>,
        inner: impl FnOnce(&mut Context<'_>) -> Poll<R>,
    ) -> Poll<Verdict<R>> {
        self.follow();
        if let Some(error) = self.take_mark() {
            return Poll::Ready(Verdict::Cancelled(error));
        }
        let frame = Pushed::new(self);
        let poll = inner(cx);
        if poll.is_pending() {
            if let Some(home) = host(|host| host.tree()) {
                enter_frames(&home, cx);
            }
        }
        let was_entered = self.entered.is_some();
        self.adopt(frame.pop());
        match poll {
            Poll::Ready(value) => {
                self.leave();
                Poll::Ready(Verdict::Done(value))
            }
            Poll::Pending => {
                if let (true, Some(entered)) = (was_entered, &self.entered) {
                    drop(entered.home.tree().set_waker(entered.place.key, cx.waker()));
                }
                match self.take_mark() {
                    Some(error) => Poll::Ready(Verdict::Cancelled(error)),
                    None => Poll::Pending,
                }
            }
        }
    }

    /// A scope that was entered in one task and is polled by another leaves the first.
    fn follow(&mut self) {
        if let Some(entered) = &self.entered
            && host(|host| host.is_home(&entered.home)) != Some(true)
        {
            self.leave();
        }
    }

    /// Takes over the place that the frame got during the poll, by this scope or by one inside it.
    fn adopt(&mut self, place: Option<Place>) {
        let Some(place) = place else { return };
        match &mut self.entered {
            Some(entered) => entered.place = place,
            None => {
                let home = host(|host| host.tree());
                self.entered = home.map(|home| Entered { home, place });
            }
        }
    }

    /// The request this scope was given and has not acted on. While it has not, no task looks at it again.
    pub fn take_mark(&mut self) -> Option<CancelledError> {
        if !RECORD.with(|record| record.is_marked.get()) {
            return None;
        }
        let entered = self.entered.as_ref()?;
        entered.home.tree().take_mark(entered.place.key)
    }

    /// Asks what is inside this scope to stop, in the name of the line `origin`. True: nothing is inside that could hear it,
    /// so the scope itself acts, at once.
    ///
    /// Called during the poll of the scope's own future, after [`poll_in`](Self::poll_in) said `Pending`.
    #[must_use]
    pub fn interrupt(&mut self, message: &str, origin: &'static Location<'static>) -> bool {
        let Some(entered) = &self.entered else {
            return true;
        };
        let error = CancelledError::new(Some(message.into()), origin);
        if entered.home.tree().interrupt(entered.place.key, error) {
            return true;
        }
        host(|host| host.note());
        false
    }

    /// Takes the scope's own requests back and says whether somebody else's were made since it was entered.
    pub fn settle(&mut self) -> Settled {
        let entered = self.entered.as_ref();
        entered.map_or(Settled::Mine, |entered| {
            entered.home.tree().settle(entered.place.key)
        })
    }

    /// Hands a request to the scope around this one, or to the task; this scope ends. The future it belongs to stays pending
    /// for ever: it will be dropped.
    ///
    /// # Panics
    ///
    /// Where no task of a loxley runtime polls.
    #[track_caller]
    pub fn raise(&mut self, error: CancelledError) {
        match self.entered.as_ref().map(|entered| entered.place.parent) {
            Some(parent) => {
                self.leave();
                raise_to(parent, error);
            }
            None => raise_to(Key::ROOT, error),
        }
    }

    /// [`raise`](Self::raise) during a poll, for a scope that has ended: to the scope around the code that polls.
    pub fn raise_from(&mut self, error: CancelledError, cx: &Context<'_>) {
        self.leave();
        raise_here(error, cx);
    }

    /// Ends the scope. A request it was given and has not acted on goes back to the task.
    pub fn leave(&mut self) {
        let Some(Entered { home, place }) = self.entered.take() else {
            return;
        };
        let (waker, has_request) = home.tree().leave(place.key);
        if !has_request {
            return;
        }
        if host(|host| host.is_home(&home)) == Some(true) {
            host(|host| host.note());
        } else if let Some(waker) = waker {
            // Dropped on another thread or in another task: the owner looks again.
            waker.wake();
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("kind", &self.kind)
            .field("entered", &self.entered.is_some())
            .finish()
    }
}

/// Hands `error` to the scope whose code this is, or to the task.
#[track_caller]
pub(crate) fn raise_here(error: CancelledError, cx: &Context<'_>) {
    let inner = host(|host| host.tree()).and_then(|home| enter_frames(&home, cx));
    raise_to(inner.unwrap_or(Key::ROOT), error);
}

#[track_caller]
fn raise_to(to: Key, error: CancelledError) {
    let Some(home) = host(|host| host.tree()) else {
        panic!("a cancellation can only be raised again inside a task of a loxley runtime");
    };
    if home.tree().raise(to, error) {
        host(|host| host.note());
    } else {
        RECORD.with(|record| record.is_marked.set(true));
    }
}

/// Makes a request that was held back one for the whole task again: it is heard at the next place the task waits.
pub(crate) fn request_again(error: CancelledError) {
    if let Some(home) = host(|host| host.tree()) {
        home.tree().put_back(error);
        host(|host| host.note());
    }
}

/// Whether a request waits to be heard by the task that is being polled.
pub(crate) fn is_requested() -> bool {
    host(|host| host.is_requested()).unwrap_or(false)
}

/// Whether a task of a runtime is being polled on this thread.
#[must_use]
#[inline]
pub fn is_in_task() -> bool {
    RECORD
        .try_with(|record| record.host.get().is_some())
        .unwrap_or(false)
}

/// Enters every scope that is being polled in this task and was not entered yet, outermost first, and sees to it that each
/// hangs below the one around it. The innermost one's key.
fn enter_frames(home: &Arc<dyn Planted>, cx: &Context<'_>) -> Option<Key> {
    let depth = RECORD.with(|record| record.depth.get());
    FRAMES.with(|frames| {
        let mut frames = frames.borrow_mut();
        let first = frames.len() - depth;
        let mut inner = None;
        for frame in &mut frames[first..] {
            let parent = inner.unwrap_or(Key::ROOT);
            let place = match frame.place {
                None => Place {
                    key: home.tree().enter(parent, frame.kind, cx.waker().clone()),
                    parent,
                },
                Some(place) => {
                    if place.parent != parent {
                        home.tree().move_to(place.key, parent);
                    }
                    Place { parent, ..place }
                }
            };
            frame.place = Some(place);
            inner = Some(place.key);
        }
        inner
    })
}

/// One scope on the stack of those being polled; dropped by a panic, it comes off and out of the tree.
struct Pushed {
    was_entered: bool,
    is_popped: bool,
}

impl Pushed {
    fn new(scope: &Scope) -> Self {
        let place = scope.entered.as_ref().map(|entered| entered.place);
        let kind = scope.kind;
        FRAMES.with(|frames| frames.borrow_mut().push(Frame { kind, place }));
        RECORD.with(|record| record.depth.set(record.depth.get() + 1));
        Self {
            was_entered: place.is_some(),
            is_popped: false,
        }
    }

    fn pop(mut self) -> Option<Place> {
        self.is_popped = true;
        Self::take()
    }

    fn take() -> Option<Place> {
        RECORD.with(|record| record.depth.set(record.depth.get() - 1));
        FRAMES.with(|frames| frames.borrow_mut().pop())?.place
    }
}

impl Drop for Pushed {
    fn drop(&mut self) {
        if self.is_popped {
            return;
        }
        let place = Self::take();
        if let (Some(place), false) = (place, self.was_entered) {
            let home = host(|host| host.tree());
            drop(home.map(|home| home.tree().leave(place.key)));
        }
    }
}
