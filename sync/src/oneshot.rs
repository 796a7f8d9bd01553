//! A channel for one value: one allocation, one read-modify-write to send, one load to receive what was sent.
//!
//! Sender and receiver share a heap block without a reference count: the state word says who is done with it, and the
//! second to be done frees it. In the common order, send then receive, the one exchange that publishes the value also says
//! that the sender is done, and the receiver frees.
//!
//! # State
//!
//! The word is a set of bits that only ever rise, but for PARKED. CLOSED spares a receiver that is gone its wake-up:
//!
//! | bit | risen by | means |
//! |---|---|---|
//! | VALUE | O1 | the value is in its slot and the receiver's |
//! | GONE | O2 | no value will come |
//! | `TX_DONE` | O1, O2, O3 | the sender never touches the block again |
//! | PARKED | O4 | the receiver's waker is in its slot |
//! | CLOSED | O6 | the receiver takes no value any more |
//! | `RX_DONE` | O7 | the receiver never touches the block again |
//!
//! | edge | by | what |
//! |---|---|---|
//! | O1 | send | unless CLOSED: VALUE, and `TX_DONE` unless PARKED; if PARKED, take the waker, O3, wake |
//! | O2 | sender dropped, or send refused | GONE, and `TX_DONE` unless PARKED and not CLOSED; if so, as O1 |
//! | O3 | sender | `TX_DONE`; free the block if `RX_DONE` |
//! | O4 | poll | undecided: PARKED |
//! | O5 | poll | undecided and PARKED: lower it, so that the waker may be changed |
//! | O6 | close, drop of the receiver | CLOSED; if it was undecided wake a sender in `closed` |
//! | O7 | receiver dropped | `RX_DONE`; free the block if `TX_DONE`. Seeing `TX_DONE` already, it frees without a write |
//!
//! *Decided* is VALUE or GONE.
//!
//! # Access
//!
//! | field | whose |
//! |---|---|
//! | `value` | the sender's until O1; then the receiver's until O7; then whoever frees |
//! | `waker` | the receiver's, until a decision finds PARKED and not CLOSED; then the sender's until O3; then whoever frees |
//! | `closing` | a [`WaitCell`] |
//!
//! # Ordering
//!
//! Row A: O1, O2 release, and the receiver's loads and failed exchanges acquire: the value. Row B: O4 releases and O1,
//! O2 acquire: the waker. Row C: O3 and O7 release and acquire: whoever frees sees all that the other did.

#![expect(
    unsafe_code,
    reason = "one block shared by two owners whose ends the state word counts"
)]

use crate::ambient::{WaitKind, poll_budgeted, wait_reason};
use crate::prim::atomic::{AtomicBool, AtomicU8, Ordering};
use crate::prim::cell::{Tracked, UnsafeCell};
use crate::wait::{WaitCell, block_on};
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};

const VALUE: u8 = 1;
const GONE: u8 = 2;
const TX_DONE: u8 = 4;
const PARKED: u8 = 8;
const CLOSED: u8 = 16;
const RX_DONE: u8 = 32;
const DECIDED: u8 = VALUE | GONE;

/// Makes a channel for one value.
///
/// # Examples
///
/// ```
/// use loxley_sync::{oneshot, wait::block_on};
///
/// let (sender, receiver) = oneshot::channel();
/// std::thread::spawn(move || sender.send("hello"));
/// assert_eq!(block_on(receiver), Ok("hello"));
/// ```
#[track_caller]
#[doc(alias = "create_future")]
#[doc(alias = "Future")]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let at = Location::caller();
    let mut block = Box::new_uninit();
    let block = NonNull::from(Box::leak({
        // Written where it stays: made on the stack and moved, it costs a third of the whole channel.
        block.write(Block {
            state: AtomicU8::new(0),
            finished: AtomicBool::new(false),
            value: UnsafeCell::new(None),
            waker: UnsafeCell::new(None),
            closing: WaitCell::new(),
            at,
            _freed: Tracked::new(),
        });
        // SAFETY: every field was written above.
        unsafe { block.assume_init() }
    }));
    let sender = Sender {
        end: End(block, PhantomData),
    };
    let receiver = Receiver {
        end: End(block, PhantomData),
    };
    (sender, receiver)
}

/// The sending end: sends one value, or is dropped.
///
/// # Examples
///
/// Dropped without a word, it tells the receiver that no value will come:
///
/// ```
/// use loxley_sync::{oneshot, wait::block_on};
///
/// let (sender, receiver) = oneshot::channel::<u8>();
/// drop(sender);
/// assert_eq!(block_on(receiver), Err(oneshot::RecvError));
/// ```
pub struct Sender<T> {
    end: End<T>,
}

/// The receiving end: a future of the value.
///
/// # Cancel safety
///
/// A receiver may be polled by reference (`(&mut receiver).await`) and dropped or kept as one likes: a value that was
/// sent stays in the channel until the receiver takes it, and is dropped with the receiver. If the value is there the
/// future completes without waiting.
///
/// # Examples
///
/// ```
/// use loxley_sync::{oneshot, wait::block_on};
///
/// let (sender, mut receiver) = oneshot::channel();
/// # block_on(async {
/// sender.send(7)?;
/// // By reference it may be one branch of a race, and be awaited again later.
/// assert_eq!((&mut receiver).await, Ok(7));
/// # Ok::<_, i32>(())
/// # }).unwrap();
/// ```
#[must_use = "a receiver does nothing unless it is awaited"]
pub struct Receiver<T> {
    end: End<T>,
}

struct Block<T> {
    state: AtomicU8,
    /// The value, or the news that there is none, was handed out. The receiver's alone; it stands here so that the
    /// receiver is one pointer, and moves in a register.
    finished: AtomicBool,
    value: UnsafeCell<Option<T>>,
    waker: UnsafeCell<Option<Waker>>,
    closing: WaitCell,
    at: &'static Location<'static>,
    _freed: Tracked,
}

/// A pointer to the block from an end that is not done with it.
struct End<T>(NonNull<Block<T>>, PhantomData<Box<Block<T>>>);

// SAFETY: an end touches the block's atomics and cells, which are Send, and `value` when it is its turn: sending an end
// sends a T.
unsafe impl<T: Send> Send for End<T> {}
// SAFETY: a shared end gives access to `state` and `closing` only, which are Sync; value and waker need `&mut` or `self`.
unsafe impl<T: Send> Sync for End<T> {}

// The value is moved in and out whole: no panic leaves it half done.
impl<T> UnwindSafe for End<T> {}
impl<T> RefUnwindSafe for End<T> {}

impl<T> End<T> {
    fn block(&self) -> &Block<T> {
        // SAFETY: this end is not done (TX_DONE or RX_DONE is its last act), so the block has not been freed.
        unsafe { self.0.as_ref() }
    }

    /// Frees the block. Only for the end that saw the other one done, as its own last act.
    fn free(&self) {
        // SAFETY: the pointer came from `Box::leak`; the other end is done (the caller saw its bit, row C) and this one
        // is, too, so that nobody will look at the block again.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }

    fn state(&self) -> u8 {
        // ordering: rows A, C: what is seen is acted upon.
        self.block().state.load(Ordering::Acquire)
    }

    fn replace_value(&self, value: Option<T>) -> Option<T> {
        self.block().value.with_mut(|slot| {
            // SAFETY: the callers own `value` by the table Access: the sender before O1, the receiver after it.
            let slot = unsafe { &mut *slot };
            std::mem::replace(slot, value)
        })
    }

    fn with_waker<R>(&self, f: impl FnOnce(&mut Option<Waker>) -> R) -> R {
        self.block().waker.with_mut(|slot| {
            // SAFETY: the callers own `waker` by the table Access: the receiver while not PARKED, the sender after a
            // decision that found PARKED.
            let slot = unsafe { &mut *slot };
            f(slot)
        })
    }
}

impl<T> Sender<T> {
    /// Sends the value. It does not wait.
    ///
    /// # Errors
    ///
    /// The value, if the receiver is gone or closed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::oneshot;
    /// let (sender, receiver) = oneshot::channel();
    /// drop(receiver);
    /// assert_eq!(sender.send("answer"), Err("answer"), "nobody wants it: it comes back");
    /// ```
    #[doc(alias = "set_result")]
    #[doc(alias = "set_exception")]
    pub fn send(self, value: T) -> Result<(), T> {
        let none = self.end.replace_value(Some(value));
        debug_assert!(none.is_none(), "a channel carries one value");
        let sent = self.decide(VALUE);
        // If it was refused the value is still ours; `drop` below then tells the receiver that none will come.
        let refused = if sent {
            None
        } else {
            self.end.replace_value(None)
        };
        if sent {
            // O1 was the sender's last act (with O3): its destructor has nothing left to do.
            #[expect(
                clippy::mem_forget,
                reason = "the ends of the block are counted by hand"
            )]
            std::mem::forget(self);
        } else {
            drop(self);
        }
        refused.map_or(Ok(()), Err)
    }

    /// Whether the receiver was dropped or closed, so that a value cannot be sent any more.
    ///
    /// # Examples
    ///
    /// A long computation looks now and then whether it is still wanted:
    ///
    /// ```
    /// # use loxley_sync::oneshot;
    /// let (sender, receiver) = oneshot::channel::<u64>();
    /// let mut receiver = Some(receiver);
    /// let mut rounds = 0;
    /// while !sender.is_closed() {
    ///     rounds += 1;
    ///     if rounds == 3 {
    ///         receiver = None; // The one who asked has gone.
    ///     }
    /// }
    /// assert_eq!(rounds, 3);
    /// # drop(receiver);
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.end.state() & CLOSED != 0
    }

    /// Waits until the receiver is dropped or closed: the time to stop computing what nobody wants.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping the future. If the channel is closed the call completes without waiting.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::{oneshot, wait::block_on};
    /// let (mut sender, receiver) = oneshot::channel::<u8>();
    /// let asker = std::thread::spawn(move || drop(receiver));
    /// block_on(sender.closed()); // Until the asker has gone.
    /// assert!(sender.is_closed());
    /// # asker.join().unwrap();
    /// ```
    #[track_caller]
    pub fn closed(&mut self) -> impl Future<Output = ()> + '_ {
        let at = Location::caller();
        poll_fn(move |cx| {
            poll_budgeted(cx, |cx| {
                if self.is_closed() {
                    return Poll::Ready(());
                }
                self.end.block().closing.register(cx.waker());
                if self.is_closed() {
                    return Poll::Ready(());
                }
                wait_reason(WaitKind::Queue, Some(at));
                Poll::Pending
            })
        })
    }

    /// O1 or O2, with O3; `false` if O1 is refused. After `true` the block must not be touched.
    fn decide(&self, decision: u8) -> bool {
        let block = self.end.block();
        let mut state = 0;
        loop {
            if decision == VALUE && state & CLOSED != 0 {
                return false;
            }
            let awaited = state & (PARKED | CLOSED) == PARKED;
            let next = state | decision | if awaited { 0 } else { TX_DONE };
            // ordering: rows A, B, C (O1, O2): publishes the value, sees the waker, or all the receiver did.
            match block
                .state
                .compare_exchange(state, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) if awaited => return self.finish_and_wake(),
                Ok(_) => {
                    if state & RX_DONE != 0 {
                        self.end.free();
                    }
                    return true;
                }
                Err(now) => state = now,
            }
        }
    }

    fn finish_and_wake(&self) -> bool {
        let waker = self.end.with_waker(Option::take);
        // ordering: row C (O3).
        let before = self.end.block().state.fetch_or(TX_DONE, Ordering::AcqRel);
        if before & RX_DONE != 0 {
            self.end.free();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let done = self.decide(GONE);
        debug_assert!(done, "only a value can be refused");
    }
}

impl<T> Receiver<T> {
    /// Takes the value if it is there. It does not wait.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if there is no value yet, [`TryRecvError::Closed`] if none will come.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::oneshot::{self, TryRecvError};
    /// let (sender, mut receiver) = oneshot::channel();
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send('x').unwrap();
    /// assert_eq!(receiver.try_recv(), Ok('x'));
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed), "one value and no more");
    /// ```
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        if self.is_finished() {
            return Err(TryRecvError::Closed);
        }
        let state = self.end.state();
        match self.finish(state) {
            Some(result) => result.map_err(|RecvError| TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Takes no value any more. A value that was sent before can still be received.
    ///
    /// # Examples
    ///
    /// Closing, then looking, loses no value: after it either the sender or the receiver has it.
    ///
    /// ```
    /// # use loxley_sync::oneshot;
    /// let (sender, mut receiver) = oneshot::channel();
    /// receiver.close();
    /// assert_eq!(sender.send("late"), Err("late"));
    /// assert!(receiver.try_recv().is_err());
    /// ```
    pub fn close(&mut self) {
        // ordering: row C (O6): a sender that sees CLOSED sees what came before it.
        let before = self.end.block().state.fetch_or(CLOSED, Ordering::AcqRel);
        if before & (DECIDED | CLOSED) == 0 {
            self.end.block().closing.wake();
        }
    }

    /// Waits for the value on a plain thread, which is blocked. Not for tasks.
    ///
    /// # Panics
    ///
    /// In a task, at the caller's line: it would hold the worker that runs it.
    ///
    /// # Errors
    ///
    /// If the sender was dropped without sending.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::oneshot;
    /// let (sender, receiver) = oneshot::channel();
    /// let thread = std::thread::spawn(move || receiver.blocking_recv());
    /// sender.send("for a thread").unwrap();
    /// assert_eq!(thread.join().unwrap(), Ok("for a thread"));
    /// ```
    #[track_caller]
    pub fn blocking_recv(self) -> Result<T, RecvError> {
        block_on(self)
    }

    fn is_finished(&self) -> bool {
        // ordering: relaxed: only the receiver uses it.
        self.end.block().finished.load(Ordering::Relaxed)
    }

    /// Hands out what was decided, if anything was.
    #[inline]
    fn finish(&mut self, state: u8) -> Option<Result<T, RecvError>> {
        if state & (VALUE | GONE | CLOSED) == 0 {
            return None;
        }
        // ordering: relaxed, as in `is_finished`.
        self.end.block().finished.store(true, Ordering::Relaxed);
        if state & VALUE == 0 {
            return Some(Err(RecvError));
        }
        Some(self.end.replace_value(None).ok_or(RecvError))
    }

    /// O4, O5: leaves the waker, or returns the state if it was decided meanwhile.
    fn park(&self, mut state: u8, waker: &Waker) -> Result<(), u8> {
        let word = &self.end.block().state;
        if state & PARKED != 0 {
            // ordering: O5, relaxed: the slot holds what this end put there. A failure means decided: row A.
            word.compare_exchange(state, state & !PARKED, Ordering::Relaxed, Ordering::Acquire)?;
            state &= !PARKED;
        }
        let keep = self
            .end
            .with_waker(|slot| slot.as_ref().is_some_and(|old| old.will_wake(waker)));
        if !keep {
            let waker = waker.clone();
            let old = self.end.with_waker(|slot| slot.replace(waker));
            drop(old);
        }
        // ordering: O4, row B. A failure means decided: row A.
        word.compare_exchange(state, state | PARKED, Ordering::Release, Ordering::Acquire)?;
        Ok(())
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    /// # Panics
    ///
    /// If it is polled again after it completed.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        assert!(
            !this.is_finished(),
            "a oneshot receiver is polled after it completed"
        );
        poll_budgeted(cx, |cx| {
            let state = this.end.state();
            if let Some(result) = this.finish(state) {
                return Poll::Ready(result);
            }
            match this.park(state, cx.waker()) {
                Ok(()) => {
                    wait_reason(WaitKind::Queue, Some(this.end.block().at));
                    Poll::Pending
                }
                Err(decided) => this.finish(decided).map_or(Poll::Pending, Poll::Ready),
            }
        })
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        /// O7, also when the drop of the value or a waker panics.
        struct Done<'a, T>(&'a End<T>);
        impl<T> Drop for Done<'_, T> {
            fn drop(&mut self) {
                // ordering: row C (O7).
                let before = self.0.block().state.fetch_or(RX_DONE, Ordering::AcqRel);
                if before & TX_DONE != 0 {
                    self.0.free();
                }
            }
        }

        if self.end.state() & TX_DONE != 0 {
            // O7 without a write: nobody is left to read it. A value not received goes with the block.
            self.end.free();
            return;
        }
        if !self.is_finished() {
            self.close();
        }
        let done = Done(&self.end);
        if self.end.state() & VALUE != 0 {
            drop(self.end.replace_value(None));
        }
        drop(done);
    }
}

/// The sender was dropped without sending, or the receiver had been closed.
///
/// # Examples
///
/// ```
/// use loxley_sync::{oneshot, wait::block_on};
///
/// let (sender, receiver) = oneshot::channel::<()>();
/// let worker = std::thread::spawn(move || {
///     let _sender = sender; // Dropped when the thread gives up.
/// });
/// assert_eq!(block_on(receiver), Err(oneshot::RecvError));
/// # worker.join().unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvError;

/// Why there was nothing to take.
///
/// # Examples
///
/// ```
/// use loxley_sync::oneshot::{self, TryRecvError};
///
/// let (sender, mut receiver) = oneshot::channel::<u8>();
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty), "try again later");
/// drop(sender);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed), "do not");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// No value yet.
    Empty,
    /// No value will come: the sender is gone, the receiver closed, or the value was taken before.
    Closed,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sender of the oneshot channel was dropped without sending a value")
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing was sent to the oneshot channel yet"),
            Self::Closed => RecvError.fmt(f),
        }
    }
}

impl Error for RecvError {}
impl Error for TryRecvError {}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("is_sent", &(self.end.state() & VALUE != 0))
            .finish_non_exhaustive()
    }
}
