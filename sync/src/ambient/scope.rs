//! Cancel scopes: the places inside a task where a request to stop can be heard.
//!
//! What a request does is decided in `tree.rs`; the runtime brings the tree, and delivers before a poll and after one that had
//! to wait. Without a task of the runtime around it, a scope is a plain poll.
//!
//! # Entering
//!
//! A scope enters its task's tree as late as it can. One that is polled with the task's own waker is polled whenever the task
//! is, so it waits *outside*, which costs nothing, and the poll says that there are outsiders. When a request comes, the
//! runtime polls the task with word to enter: the innermost scopes enter without polling what is inside, for the request
//! interrupts that where it waits; it delivers, and polls again at once. One that is polled with another waker, such as a
//! member of a set, enters at its first wait: it may not be polled unless its own waker is called.
//!
//! - If a scope is in the tree, so are all around it; it is told its parent by the stack of scopes being polled on this thread.
//! - A scope that waits outside is inside none that is in the tree, as of the last poll of both.

#![expect(
    unsafe_code,
    reason = "the scopes being polled are a list of frames on the stack"
)]

pub use super::tree::{Delivery, Kind, Settled, Tree};

use super::grants::Watch;
use super::tree::Key;
use super::{Flags, RECORD, host};
use crate::CancelledError;
use std::cell::Cell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr::{self, NonNull};
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
    /// How often the task was asked to stop, less what was taken back.
    fn count(&self) -> usize;
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

/// One scope that is being polled, on the stack of [`Scope::poll_in`]; the record points at the innermost one of a task.
pub(super) struct Frame {
    kind: Kind,
    baseline: Option<usize>,
    place: Cell<Option<Place>>,
    /// The one around it.
    outer: Option<NonNull<Self>>,
}

/// Where a scope stands in its tree.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    key: Key,
    parent: Key,
}

/// A place where a request can be heard. It belongs to one future and is polled through.
pub struct Scope {
    kind: Kind,
    /// Whether some scope inside waits outside the tree, as of the last poll.
    has_outsiders: bool,
    /// The task's count when this began, or first had to wait if it does not [settle](Self::settle); none before it waits.
    baseline: Option<usize>,
    entered: Option<Entered>,
    /// What its owner asks of the scopes inside, until they have entered.
    asks: Option<CancelledError>,
    /// Whether the request it was given last was raised inside it.
    was_raised: bool,
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
            has_outsiders: false,
            baseline: None,
            entered: None,
            asks: None,
            was_raised: false,
        }
    }

    /// A scope that waits already, outside the tree: see [`wait_outside`].
    #[must_use]
    pub fn waiting(kind: Kind) -> Self {
        let mut scope = Self::new(kind);
        scope.baseline = host(|host| host.count());
        scope
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
        let frame = Frame::of(self);
        let baseline = frame.baseline;
        let pushed = Pushed::new(&frame, self.asks.is_some());
        let is_where_it_waits = pushed.is_entering && self.waits_outside() && !self.has_outsiders;
        if is_where_it_waits && self.asks.is_none() {
            // What woke this task may have been meant for `inner`: the poll that follows at once looks.
            self.wait(pushed, baseline, cx);
            return Poll::Pending;
        }
        match inner(cx) {
            Poll::Ready(value) => {
                self.adopt(pushed.pop(false));
                self.leave();
                Poll::Ready(Verdict::Done(value))
            }
            Poll::Pending => {
                self.wait(pushed, baseline, cx);
                match self.interrupt_inside().or_else(|| self.take_mark()) {
                    Some(error) => Poll::Ready(Verdict::Cancelled(error)),
                    None => Poll::Pending,
                }
            }
        }
    }

    /// What is inside has to wait: this scope enters the tree, or waits outside.
    #[inline]
    fn wait(&mut self, pushed: Pushed<'_>, baseline: Option<usize>, cx: &Context<'_>) {
        self.has_outsiders = has_outsiders();
        if may_wait_outside(cx) {
            if self.baseline.is_none() {
                self.baseline = baseline.or_else(|| host(|host| host.count()));
            }
            self.adopt(pushed.pop(true));
            return;
        }
        self.wait_inside(pushed, cx);
    }

    #[cold]
    fn wait_inside(&mut self, pushed: Pushed<'_>, cx: &Context<'_>) {
        let was_entered = self.entered.is_some();
        if let Some(home) = host(|host| host.tree()) {
            enter_frames(&home, cx);
        }
        self.adopt(pushed.pop(false));
        if let (true, Some(entered)) = (was_entered, &self.entered) {
            drop(entered.home.tree().set_waker(entered.place.key, cx.waker()));
        }
    }

    fn waits_outside(&self) -> bool {
        self.entered.is_none() && self.baseline.is_some()
    }

    /// A scope that was entered in one task and is polled by another leaves the first.
    #[inline]
    fn follow(&mut self) {
        if let Some(entered) = &self.entered {
            if !is_home(&entered.home) {
                self.leave_tree();
            }
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
    #[inline]
    pub fn take_mark(&mut self) -> Option<CancelledError> {
        if !RECORD.with(|record| record.has(Flags::MARKED)) {
            return None;
        }
        self.look_for_mark()
    }

    #[cold]
    fn look_for_mark(&mut self) -> Option<CancelledError> {
        let entered = self.entered.as_ref()?;
        let (error, was_raised) = entered.home.tree().take_mark(entered.place.key)?;
        self.was_raised = was_raised;
        Some(error)
    }

    /// Whether the request that this scope was given came from inside it: what is inside has given up and waits for ever.
    #[must_use]
    pub fn was_raised(&self) -> bool {
        self.was_raised
    }

    /// Asks what is inside this scope to stop, in the name of the line `origin`. True: nothing is inside that could hear it,
    /// so the scope itself acts, at once.
    ///
    /// Called during the poll of the scope's own future, after [`poll_in`](Self::poll_in) said `Pending`.
    #[must_use]
    pub fn interrupt(&mut self, message: &str, origin: &'static Location<'static>) -> bool {
        let Some(entered) = &self.entered else {
            if !self.has_outsiders {
                return true;
            }
            // Those inside enter in the next poll of this scope, which sees to the rest.
            self.asks = Some(CancelledError::new(Some(message.into()), origin));
            RECORD.with(|record| record.put(Flags::OUTSIDERS, true));
            host(|host| host.note());
            return false;
        };
        let error = CancelledError::new(Some(message.into()), origin);
        if entered.home.tree().interrupt(entered.place.key, error) {
            return true;
        }
        host(|host| host.note());
        false
    }

    /// The rest of an [`interrupt`](Self::interrupt) that found outsiders; with its error if the scope itself has to act.
    #[inline]
    fn interrupt_inside(&mut self) -> Option<CancelledError> {
        if self.asks.is_some() {
            return self.pass_on_what_it_asks();
        }
        None
    }

    #[cold]
    fn pass_on_what_it_asks(&mut self) -> Option<CancelledError> {
        let error = self.asks.take()?;
        let entered = self.entered.as_ref()?;
        if entered
            .home
            .tree()
            .interrupt(entered.place.key, error.clone())
        {
            return Some(error);
        }
        host(|host| host.note());
        None
    }

    /// Takes the scope's own requests back and says whether somebody else's were made since it began.
    pub fn settle(&mut self) -> Settled {
        if let Some(entered) = &self.entered {
            return entered.home.tree().settle(entered.place.key);
        }
        match (self.baseline, host(|host| host.count())) {
            // No scope around it has entered, so the others are for the whole task.
            (Some(baseline), Some(count)) if count > baseline && !is_held() => Settled::Outside,
            _ => Settled::Mine,
        }
    }

    /// Hands a request to the scope around this one, or to the task; this scope ends. The future it belongs to stays pending
    /// for ever: it will be dropped. Called during its poll.
    ///
    /// # Panics
    ///
    /// Where no task of a loxley runtime polls.
    #[track_caller]
    pub fn raise(&mut self, error: CancelledError, cx: &Context<'_>) {
        match self.entered.as_ref().map(|entered| entered.place.parent) {
            Some(parent) => {
                self.leave();
                raise_to(parent, error);
            }
            None => raise_here(error, cx),
        }
    }

    /// [`raise`](Self::raise) for a scope whose place may have changed in this poll: to the scope around the code that polls.
    pub fn raise_from(&mut self, error: CancelledError, cx: &Context<'_>) {
        self.leave();
        raise_here(error, cx);
    }

    /// Ends the scope. A request it was given and has not acted on goes back to the task.
    #[inline]
    pub fn leave(&mut self) {
        if self.entered.is_some() {
            self.leave_tree();
        }
    }

    #[cold]
    fn leave_tree(&mut self) {
        let Some(Entered { home, place }) = self.entered.take() else {
            return;
        };
        let (waker, has_request) = home.tree().leave(place.key);
        if !has_request {
            return;
        }
        if is_home(&home) {
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

/// Whether `home` is that of the task that is being polled.
fn is_home(home: &Arc<dyn Planted>) -> bool {
    host(|host| host.is_home(home)) == Some(true)
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
        RECORD.with(|record| record.put(Flags::MARKED, true));
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
#[must_use]
pub fn is_requested() -> bool {
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
    let mut inner = None;
    for_each_frame(|frame| {
        let parent = inner.unwrap_or(Key::ROOT);
        let tree = home.tree();
        let place = match frame.place.get() {
            None => Place {
                key: tree.enter(parent, frame.kind, cx.waker().clone(), frame.baseline),
                parent,
            },
            Some(place) => {
                if place.parent != parent {
                    tree.move_to(place.key, parent);
                }
                Place { parent, ..place }
            }
        };
        frame.place.set(Some(place));
        inner = Some(place.key);
    });
    inner
}

/// Whether some scope of the current task waits outside the tree, as far as this poll has come.
fn has_outsiders() -> bool {
    RECORD.with(|record| record.has(Flags::OUTSIDERS))
}

/// Whether the scopes of the current task are to enter its tree in this poll.
#[must_use]
#[inline]
pub fn is_entering() -> bool {
    RECORD.with(|record| record.has(Flags::ENTERING))
}

/// Whether a scope that has to wait here may do so without having entered the tree: it is polled whenever its task is, and
/// nothing around it has entered.
#[must_use]
#[inline]
pub fn may_wait_outside(cx: &Context<'_>) -> bool {
    RECORD.with(|record| {
        let is_own_waker =
            |host: NonNull<dyn Host>| ptr::eq(host.as_ptr().cast(), cx.waker().data());
        !record.has(Flags::ENTERING)
            && record.host.get().is_some_and(is_own_waker)
            && none_has_entered(record.frame.get())
    })
}

#[inline]
fn none_has_entered(mut innermost: Option<NonNull<Frame>>) -> bool {
    while let Some(frame) = innermost {
        // SAFETY: a frame of this thread's stack that is still being polled: `Pushed` takes it out of the record before it goes.
        let frame = unsafe { frame.as_ref() };
        if frame.place.get().is_some() {
            return false;
        }
        innermost = frame.outer;
    }
    true
}

/// Whether one of the scopes that are being polled in this task holds.
fn is_held() -> bool {
    let mut holds = false;
    for_each_frame(|frame| holds |= frame.kind == Kind::Hold);
    holds
}

/// Calls `f` with every scope that is being polled in this task, outermost first.
fn for_each_frame(mut f: impl FnMut(&Frame)) {
    let mut frames = Vec::new();
    let mut next = RECORD.with(|record| record.frame.get());
    while let Some(frame) = next {
        frames.push(frame);
        // SAFETY: as in `none_has_entered`.
        next = unsafe { frame.as_ref() }.outer;
    }
    for frame in frames.into_iter().rev() {
        // SAFETY: as above; `f` polls nothing, so no frame goes meanwhile.
        f(unsafe { frame.as_ref() });
    }
}

/// Says that something waits here that will be a scope if a request comes. Right before it returns `Pending`, and only where
/// [`may_wait_outside`] said so.
#[inline]
pub fn wait_outside() {
    RECORD.with(|record| record.put(Flags::OUTSIDERS, true));
}

impl Frame {
    #[inline]
    fn of(scope: &Scope) -> Self {
        Self {
            kind: scope.kind,
            // A request that is made in the scope's first poll is not older than the scope.
            baseline: scope.baseline.or_else(|| {
                let counts = scope.kind == Kind::Catch && scope.entered.is_none();
                counts.then(|| host(|host| host.count())).flatten()
            }),
            place: Cell::new(scope.entered.as_ref().map(|entered| entered.place)),
            outer: RECORD.with(|record| record.frame.get()),
        }
    }
}

/// A frame while the record points at it; dropped by a panic, it comes off and out of the tree.
struct Pushed<'a> {
    frame: &'a Frame,
    /// The record's flags before the poll came here.
    before: Flags,
    was_entered: bool,
    /// Whether scopes enter in this poll.
    is_entering: bool,
}

impl<'a> Pushed<'a> {
    /// `asks`: the scope has a request for what is inside.
    #[inline]
    fn new(frame: &'a Frame, asks: bool) -> Self {
        RECORD.with(|record| {
            record.frame.set(Some(NonNull::from(frame)));
            let before = record.flags.get();
            let is_entering = before.has(Flags::ENTERING) || asks;
            let inside = before.with(Flags::OUTSIDERS, false);
            record.flags.set(inside.with(Flags::ENTERING, is_entering));
            Self {
                frame,
                before,
                was_entered: frame.place.get().is_some(),
                is_entering,
            }
        })
    }

    /// `is_outside`: the scope waits, and has not entered.
    #[inline]
    fn pop(self, is_outside: bool) -> Option<Place> {
        ManuallyDrop::new(self).take(is_outside)
    }

    #[inline]
    fn take(&self, is_outside: bool) -> Option<Place> {
        RECORD.with(|record| {
            record.frame.set(self.frame.outer);
            let has_outsiders = self.before.has(Flags::OUTSIDERS) || is_outside;
            record.put(Flags::ENTERING, self.before.has(Flags::ENTERING));
            record.put(Flags::OUTSIDERS, has_outsiders);
        });
        self.frame.place.get()
    }
}

impl Drop for Pushed<'_> {
    #[cold]
    fn drop(&mut self) {
        let place = self.take(false);
        if let (Some(place), false) = (place, self.was_entered) {
            let home = host(|host| host.tree());
            drop(home.map(|home| home.tree().leave(place.key)));
        }
    }
}
