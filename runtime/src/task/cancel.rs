//! Asking a task to stop, and delivering what was asked.
//!
//! A request is kept in the task's tree (`loxley_sync::ambient::scope`) before T10 makes it visible, so whoever hears of it
//! finds it. The poller takes the request bit (T13) and then the requests, in this order: one that comes in between sets the
//! bit again. What no scope takes is the root's: the whole future is dropped.
//!
//! # The completion rule
//!
//! A future that returns ready in the poll during which it was asked: if it asked itself, it ends cancelled; if somebody else
//! did, from another thread or before a scope that lost the race, its value stands. So no value vanishes that the task did
//! not itself give up.
#![expect(
    unsafe_code,
    reason = "hands a task that T10 made runnable to its scheduler"
)]

use super::cell::Header;
use super::cold::Cold;
use super::join::TaskRef;
use super::state::Request;
use super::{raw, run};
use loxley_sync::CancelledError;
use loxley_sync::ambient::Asked;
use loxley_sync::ambient::grants::Watch;
use loxley_sync::ambient::scope::{Host, Planted};
use loxley_sync::prim::atomic::Ordering;
use std::panic::Location;
use std::sync::{Arc, Weak};

/// What every task hears that is left when the main future has ended.
const AT_THE_END: &str = "the main future has ended";
/// What a task hears that its runtime ends.
const SHUT_DOWN: &str = "the runtime shut down";

impl TaskRef {
    /// Asks the task to stop: the innermost scope around the place where it waits hears it, such as a
    /// [`catch_cancelled`](loxley_sync::catch_cancelled); without any, its future is dropped and awaiting it gives
    /// [`TaskError::Cancelled`](super::TaskError::Cancelled). False if it had ended already.
    ///
    /// True does not promise that it ends cancelled: it may catch the request, or be about to return. A task that waits for
    /// another task passes the request on to that one; tasks that wait for each other in a ring, which would never end, all end
    /// with it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::create_task;
    /// # loxley_runtime::run(async {
    /// let task = create_task(std::future::pending::<()>());
    /// let seen = task.as_ref(); // Given to whoever may stop it.
    /// assert!(seen.cancel());
    /// assert!(task.await.unwrap_err().is_cancelled());
    /// assert!(!seen.cancel(), "it has ended");
    /// # });
    /// ```
    #[track_caller]
    #[doc(alias = "abort")]
    pub fn cancel(&self) -> bool {
        self.request(None, Location::caller())
    }

    /// [`cancel`](Self::cancel) with a message for whoever awaits the task.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{TaskError, create_task};
    /// # loxley_runtime::run(async {
    /// let task = create_task(std::future::pending::<()>());
    /// task.as_ref().cancel_with("the client has gone");
    /// let Err(TaskError::Cancelled(error)) = task.await else { unreachable!() };
    /// assert_eq!(error.message(), Some("the client has gone"));
    /// # });
    /// ```
    #[track_caller]
    pub fn cancel_with(&self, message: impl Into<Arc<str>>) -> bool {
        self.request(Some(message.into()), Location::caller())
    }

    /// How often the task was asked to stop, less what [`uncancel`](Self::uncancel) and the owners of scopes took back.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{create_task, current_task};
    /// # loxley_runtime::run(async {
    /// # let (tell, told) = loxley_sync::oneshot::channel();
    /// let task = create_task(async {
    ///     # let _ = tell.send(());
    ///     let stopped = loxley_sync::catch_cancelled(std::future::pending::<()>()).await;
    ///     assert!(stopped.is_err());
    ///     current_task().unwrap().cancelling()
    /// });
    /// # told.await.unwrap();
    /// task.cancel();
    /// assert_eq!(task.await.unwrap(), 1, "caught, and not taken back");
    /// # });
    /// ```
    #[must_use]
    pub fn cancelling(&self) -> usize {
        self.header().cold.count()
    }

    /// Takes one request back, and says how many are left: for code that caught a cancellation and goes on. When none is left,
    /// a request that has not interrupted anything yet is forgotten.
    ///
    /// # Examples
    ///
    /// Code that heard the request and goes on says so:
    ///
    /// ```
    /// # use loxley_runtime::{create_task, current_task, yield_now};
    /// # loxley_runtime::run(async {
    /// # let (tell, told) = loxley_sync::oneshot::channel();
    /// let task = create_task(async {
    ///     # let _ = tell.send(());
    ///     if loxley_sync::catch_cancelled(std::future::pending::<()>()).await.is_err() {
    ///         assert_eq!(current_task().unwrap().uncancel(), 0);
    ///     }
    ///     yield_now().await; // Waits as if nothing had been asked.
    ///     "finished all the same"
    /// });
    /// # told.await.unwrap();
    /// task.cancel();
    /// assert_eq!(task.await.unwrap(), "finished all the same");
    /// # });
    /// ```
    pub fn uncancel(&self) -> usize {
        if self.cancelling() == 0 {
            return 0;
        }
        self.header().cold.made().tree.uncancel()
    }

    /// Whether the task has ended because it was asked to.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::create_task;
    /// # loxley_runtime::run(async {
    /// let done = create_task(async {});
    /// let seen = done.as_ref();
    /// done.await.unwrap();
    /// assert!(seen.is_finished() && !seen.is_cancelled());
    /// # });
    /// ```
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.is_finished() && self.header().cold.ended_by().is_some()
    }

    /// Passes a request that was heard by an awaiter on to this task. False if it had ended already.
    pub(crate) fn forward(&self, error: &CancelledError) -> bool {
        let is_of_the_end = error.message() == Some(AT_THE_END);
        match is_of_the_end && self.was_asked_at_the_end() {
            true => !self.is_finished(),
            false => self.ask(error.clone()),
        }
    }

    /// As [`cancel_with`](Self::cancel_with), by a group that ends.
    #[track_caller]
    pub(crate) fn cancel_child(&self, message: &'static str) {
        if !self.was_asked_at_the_end() {
            self.cancel_with(message);
        }
    }

    /// Asks the task because its runtime ends, and all tasks are asked: the same request, passed on by one of them that waits
    /// for this one, would interrupt its clean-up. Others, as that of a limit on the waiting, still do.
    #[track_caller]
    pub(crate) fn cancel_at_the_end(&self) {
        let cold = self.header().cold.made();
        // ordering: relaxed; who passes a request on too early to see it does what it did before.
        cold.asked_at_the_end.store(true, Ordering::Relaxed);
        self.cancel_with(AT_THE_END);
    }

    fn was_asked_at_the_end(&self) -> bool {
        let cold = self.header().cold.get();
        // ordering: relaxed, as above.
        cold.is_some_and(|cold| cold.asked_at_the_end.load(Ordering::Relaxed))
    }

    /// The runtime shuts down: the task's next turn drops its future, whatever scopes it is in.
    pub(crate) fn stop(&self) {
        match self.header().state.stop() {
            Request::TooLate | Request::Noted => {}
            // SAFETY: T10 gave the right to poll.
            Request::Enqueue => unsafe { raw::enqueue(self.as_ptr()) },
        }
    }

    fn request(&self, message: Option<Arc<str>>, origin: &'static Location<'static>) -> bool {
        if self.header().state.load().is_complete() {
            return false;
        }
        if message.is_none()
            && !run::is_current(self.as_ptr())
            && self.header().cold.ask_plainly(origin)
        {
            return self.note_plain_request(origin);
        }
        self.ask(CancelledError::new(message, origin))
    }

    /// C1 was made: what is all there is to most requests, a bit and a turn.
    fn note_plain_request(&self, origin: &'static Location<'static>) -> bool {
        let header = self.header();
        match header.state.request() {
            Request::TooLate => return false,
            Request::Noted => {}
            Request::Enqueue => {
                // The right to poll is here, so nobody has delivered it yet.
                if !header.cold.commit_plainly(origin) {
                    header.cold.made().tree.commit();
                }
                // SAFETY: T10 gave the right to poll.
                unsafe { raw::enqueue(self.as_ptr()) }
            }
        }
        true
    }

    fn ask(&self, error: CancelledError) -> bool {
        let header = self.header();
        if header.state.load().is_complete() {
            return false;
        }
        let cold = header.cold.made();
        cold.tree.request(error, run::is_current(self.as_ptr()));
        match header.state.request() {
            Request::TooLate => return false,
            Request::Noted => {}
            Request::Enqueue => {
                // The right to poll is here, so nobody has delivered it yet.
                cold.tree.commit();
                // SAFETY: T10 gave the right to poll.
                unsafe { raw::enqueue(self.as_ptr()) }
            }
        }
        true
    }

    /// The error an awaiter gets after this task ended cancelled.
    pub(super) fn cancelled_error(&self) -> CancelledError {
        let ended_by = self.header().cold.ended_by();
        ended_by.unwrap_or_else(|| CancelledError::new(Some(SHUT_DOWN.into()), self.spawned_at()))
    }
}

/// The requests that one await has heard and passed on to what it waits for.
///
/// Tasks that await each other in a ring never end by themselves, and a request to one of them would go round for ever. An
/// await that hears one again which it has passed on takes it for its own: so the ring ends.
#[derive(Default)]
pub(crate) struct PassedOn {
    first: Option<CancelledError>,
    /// Later ones that somebody else has still: no others can come back.
    later: Vec<CancelledError>,
}

impl PassedOn {
    /// The first one, if there was any.
    pub(crate) fn first(&self) -> Option<&CancelledError> {
        self.first.as_ref()
    }

    /// Hears `error`. `Ok`: it is to be passed on; `Err`: it has come round.
    pub(crate) fn hear(&mut self, error: CancelledError) -> Result<CancelledError, CancelledError> {
        let error = error.named();
        self.later.retain(CancelledError::is_elsewhere);
        let mut heard = self.first.iter().chain(&self.later);
        if heard.any(|earlier| earlier.is_same_request(&error)) {
            return Err(error);
        }
        match &mut self.first {
            None => self.first = Some(error.clone()),
            Some(_) => self.later.push(error.clone()),
        }
        Ok(error)
    }
}

/// What a poller does after T2 or T8 found the request bit.
#[must_use]
pub(super) enum Delivered {
    /// The root took the request, or the runtime stops: the whole future is dropped.
    Root,
    /// Poll the future; its scopes are to know this.
    Inside(Asked),
}

/// T13 and what it found. The caller holds *running*. `has_outsiders`: the last poll has left scopes outside the tree that
/// the next one can make enter.
#[cold]
pub(super) fn deliver(header: &Header, has_outsiders: bool) -> Delivered {
    if header.state.take_request() {
        let error = CancelledError::new(Some(SHUT_DOWN.into()), header.spawned_at);
        end(header.cold.made(), error);
        return Delivered::Root;
    }
    if !has_outsiders && header.cold.end_plainly() {
        return Delivered::Root;
    }
    if header.cold.is_empty() {
        return Delivered::Inside(Asked::default());
    }
    let cold = header.cold.made();
    let delivery = cold.tree.deliver(has_outsiders);
    if let Some(error) = delivery.root {
        end(cold, error);
        return Delivered::Root;
    }
    for waker in delivery.wakers {
        run::wake_quietly(waker);
    }
    if delivery.marked || delivery.enter {
        // The bit stays until every marked scope has acted, and until everybody has heard of the request.
        header.state.keep_request();
    }
    Delivered::Inside(Asked {
        marked: delivery.marked,
        forwards: delivery.forwards,
        enter: delivery.enter,
    })
}

/// The completion rule for a future that returned ready while the request bit was set: whether the value is given up.
#[cold]
pub(super) fn gives_up_value(header: &Header) -> bool {
    let Some(cold) = header.cold.get() else {
        return false;
    };
    match cold.tree.take_own_request() {
        Some(error) => {
            end(cold, error);
            true
        }
        None => false,
    }
}

fn end(cold: &Cold, error: CancelledError) {
    *cold.ended_by.lock() = Some(error);
}

/// The task was to end cancelled, but the drop of its future panicked: it ends with that.
#[cold]
pub(super) fn forget_end(header: &Header) {
    header.cold.forget_end();
}

impl Host for Header {
    fn tree(&self) -> Arc<dyn Planted> {
        self.cold.shared()
    }

    fn is_home(&self, home: &Arc<dyn Planted>) -> bool {
        self.cold.is(Arc::as_ptr(home).cast())
    }

    fn is_requested(&self) -> bool {
        self.state.requested()
    }

    fn count(&self) -> usize {
        self.cold.count()
    }

    fn note(&self) {
        // The caller's thread polls the task, so T10 has nothing to enqueue.
        let noted = self.state.request();
        debug_assert!(
            !matches!(noted, Request::Enqueue),
            "noted from outside a poll"
        );
    }

    fn watch(&self, watch: Weak<Watch>) {
        self.cold.made().watches.add(watch);
    }
}
