//! What all queues share: the pile, the promises, the waiters, the count of unfinished items, the end.
//!
//! Everything a queue knows stands under one mutex, that of its wait list, whose main lane holds getters and whose side
//! lane putters. An item or a free place that falls to a waiter is *promised*: it stays where it is, newcomers leave it
//! alone, and the waiter takes it in the poll that completes. So an item is never in the hands of a future that may be
//! dropped, and the order of the pile is kept whatever the waiters do.
//!
//! | edge | by | what, under the mutex |
//! |---|---|---|
//! | Q1 | put | a place is free and not promised: push, then Q3 |
//! | Q2 | get | an item is there and not promised: pop, then Q4 |
//! | Q3 | an item is free | the oldest getter is promised it and granted |
//! | Q4 | a place is free | the oldest putter is promised it and granted |
//! | Q5 | get | nothing free: enlist in the main lane |
//! | Q6 | put, reserve | nothing free: enlist in the side lane |
//! | Q7 | granted getter | the promise is kept: pop, then Q4 |
//! | Q8 | granted putter | the promise is kept: push, then Q3; with `reserve` the promise lives on in the `Reserved` |
//! | Q9 | granted getter or putter dropped, `Reserved` dropped | the promise is taken back: Q3 or Q4 for the next |
//! | Q10 | shutdown | every waiter is granted without a promise, and finds the queue shut; `immediate` drops the pile |
//! | Q11 | `task_done`, Q10 | one item less unfinished; at zero those in `join` are freed |
//!
//! *Legal*: promised items ≤ items, unless shut down at once; items + promised places ≤ `maxsize`; if a getter waits, all
//! items are promised; if a putter waits, all places are taken or promised.
//!
//! The mutex orders everything. Wakers are called, and items dropped, after it. The one piece of user code that runs under
//! it is the `Ord` of a priority queue's items, which must not use the queue; its panics leave the queue usable.

use super::order::Order;
use crate::Notify;
use crate::ambient::WaitKind;
use crate::error::{PutError, QueueShutDown, TaskDoneError, TryGetError, TryPutError};
use crate::wait::{Claim, Entry, Lane, Locked, Protocol, WaitList};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

/// A queue, shared by its handles.
pub(super) struct Core<O: Order> {
    waiters: WaitList<Shared<O>>,
    /// Tells those in `join` to look again.
    finished: Notify,
    /// 0: unbounded.
    maxsize: usize,
}

/// Nothing is shared without the mutex.
pub(super) struct Shared<O>(PhantomData<fn() -> O>);

pub(super) struct State<O> {
    pile: O,
    maxsize: usize,
    promised_items: usize,
    promised_places: usize,
    unfinished: usize,
    /// How often `unfinished` came down to zero.
    rounds: u64,
    len_peak: usize,
    shut_down: bool,
}

/// What a waiter waits for, and whether Q3 or Q4 promised it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Note {
    Getter { promised: bool },
    Putter { promised: bool },
}

impl<O: Order> State<O> {
    fn free_items(&self) -> usize {
        self.pile.len().saturating_sub(self.promised_items)
    }

    fn has_free_place(&self) -> bool {
        self.maxsize == 0 || self.pile.len() + self.promised_places < self.maxsize
    }

    fn nothing_to_get(&self) -> TryGetError {
        if self.shut_down {
            TryGetError::ShutDown
        } else {
            TryGetError::Empty
        }
    }

    /// Q11: `count` items less to finish; whether that was the last of them.
    fn finish(&mut self, count: usize) -> bool {
        let before = self.unfinished;
        self.unfinished = before.saturating_sub(count);
        let ended = before > 0 && self.unfinished == 0;
        self.rounds += u64::from(ended);
        ended
    }
}

/// Pushes an item for which there is a place, then Q3.
///
/// The promise and the counts come first: should comparing items panic, the item is in the pile all the same.
#[inline]
fn push<O: Order>(locked: &mut Locked<'_, Shared<O>>, item: O::Item) {
    locked.unfinished += 1;
    locked.len_peak = locked.len_peak.max(locked.pile.len() + 1);
    if locked.grant_front(|note| *note = Note::Getter { promised: true }) {
        locked.promised_items += 1;
    }
    locked.pile.push(item);
}

fn push_unless_shut_down<O: Order>(
    locked: &mut Locked<'_, Shared<O>>,
    item: O::Item,
) -> Result<(), PutError<O::Item>> {
    if locked.shut_down {
        return Err(PutError(item));
    }
    push(locked, item);
    Ok(())
}

/// Pops an item that is not promised, then Q4.
#[inline]
fn pop_free<O: Order>(locked: &mut Locked<'_, Shared<O>>) -> Result<O::Item, TryGetError> {
    if locked.free_items() == 0 {
        return Err(locked.nothing_to_get());
    }
    let item = locked.pile.pop();
    promise_place(locked);
    item.ok_or(TryGetError::Empty)
}

/// Q3.
fn promise_item<O: Order>(locked: &mut Locked<'_, Shared<O>>) {
    if locked.free_items() > 0 && locked.grant_front(|note| *note = Note::Getter { promised: true })
    {
        locked.promised_items += 1;
    }
}

/// Q4.
#[inline]
fn promise_place<O: Order>(locked: &mut Locked<'_, Shared<O>>) {
    if locked.waiters_in(Lane::Side) == 0 || !locked.has_free_place() || locked.shut_down {
        return;
    }
    locked.promised_places += 1;
    locked.grant_front_in(Lane::Side, |note| *note = Note::Putter { promised: true });
}

/// Q4 for as many putters as there are places.
fn promise_places<O: Order>(locked: Locked<'_, Shared<O>>) {
    if locked.waiters_in(Lane::Side) == 0 || locked.shut_down {
        return;
    }
    locked.grant_while_in(Lane::Side, |_, state, note| {
        let free = state.has_free_place();
        if free {
            state.promised_places += 1;
            *note = Note::Putter { promised: true };
        }
        free
    });
}

/// Whether the items of a queue that is shut down may still be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Drain,
    Immediate,
}

impl<O: Order> Core<O> {
    pub(super) fn new(maxsize: usize) -> Self {
        let state = State {
            pile: O::default(),
            maxsize,
            promised_items: 0,
            promised_places: 0,
            unfinished: 0,
            rounds: 0,
            len_peak: 0,
            shut_down: false,
        };
        Self {
            waiters: WaitList::new(Shared(PhantomData), state),
            finished: Notify::new(),
            maxsize,
        }
    }

    pub(super) fn put_nowait(&self, item: O::Item) -> Result<(), TryPutError<O::Item>> {
        let mut locked = self.waiters.lock();
        if locked.shut_down {
            return Err(TryPutError::ShutDown(item));
        }
        if !locked.has_free_place() {
            return Err(TryPutError::Full(item));
        }
        push(&mut locked, item);
        Ok(())
    }

    #[inline]
    pub(super) fn get_nowait(&self) -> Result<O::Item, TryGetError> {
        pop_free(&mut self.waiters.lock())
    }

    /// [`get_nowait`](Self::get_nowait) of up to `max` items.
    fn get_many_nowait(&self, items: &mut Vec<O::Item>, max: usize) -> Result<usize, TryGetError> {
        let mut locked = self.waiters.lock();
        let count = locked.free_items().min(max);
        if count == 0 {
            return Err(locked.nothing_to_get());
        }
        items.extend((0..count).map_while(|_| locked.pile.pop()));
        promise_places(locked);
        Ok(count)
    }

    #[inline]
    pub(super) fn put(
        &self,
        item: O::Item,
        at: &'static Location<'static>,
    ) -> impl Future<Output = Result<(), PutError<O::Item>>> {
        let put = Put {
            core: self,
            item: Some(item),
        };
        self.waiters.claim(at, put)
    }

    /// Waits until a place is promised. Whoever awaits this has it in hand as soon as it completes.
    pub(super) fn wait_for_place(
        &self,
        at: &'static Location<'static>,
    ) -> impl Future<Output = Result<(), QueueShutDown>> {
        self.waiters.claim(at, Place)
    }

    /// Q8: fills a place that was promised.
    pub(super) fn put_promised(&self, item: O::Item) -> Result<(), PutError<O::Item>> {
        let mut locked = self.waiters.lock();
        locked.promised_places -= 1;
        push_unless_shut_down(&mut locked, item)
    }

    /// Q9: gives a promised place up.
    pub(super) fn give_up_place(&self) {
        Shared::give_back(&self.waiters, Note::Putter { promised: true });
    }

    #[inline]
    pub(super) fn get(
        &self,
        at: &'static Location<'static>,
    ) -> impl Future<Output = Result<O::Item, QueueShutDown>> {
        self.waiters.claim(at, Get(self))
    }

    pub(super) async fn get_many(
        &self,
        items: &mut Vec<O::Item>,
        max: usize,
        at: &'static Location<'static>,
    ) -> Result<usize, QueueShutDown> {
        if max == 0 {
            return Ok(0);
        }
        let first = self.get(at).await?;
        items.push(first);
        let more = self.get_many_nowait(items, max - 1).unwrap_or(0);
        Ok(1 + more)
    }

    /// Q7: takes an item that was promised; `immediate` shutdown breaks the promise.
    fn get_promised(&self) -> Result<O::Item, QueueShutDown> {
        let mut locked = self.waiters.lock();
        locked.promised_items -= 1;
        let item = locked.pile.pop();
        promise_place(&mut locked);
        item.ok_or(QueueShutDown)
    }

    /// Q11.
    pub(super) fn task_done(&self) -> Result<(), TaskDoneError> {
        let mut locked = self.waiters.lock();
        if locked.unfinished == 0 {
            return Err(TaskDoneError);
        }
        let ended = locked.finish(1);
        drop(locked);
        if ended {
            self.finished.notify_waiters();
        }
        Ok(())
    }

    pub(super) async fn join(&self, at: &'static Location<'static>) {
        let mut since = None;
        loop {
            // The notification is asked for before the look, so that none falls in between.
            let notified = self.finished.notified_at(at);
            let (unfinished, rounds) = {
                let locked = self.waiters.lock();
                (locked.unfinished, locked.rounds)
            };
            match since {
                None if unfinished == 0 => return,
                None => since = Some(rounds),
                // It came down to zero since; that new items have come changes nothing.
                Some(before) if before != rounds => return,
                Some(_) => {}
            }
            notified.await;
        }
    }

    /// Q10.
    pub(super) fn shutdown(&self, end: End) {
        let mut locked = self.waiters.lock();
        locked.shut_down = true;
        let mut dropped = None;
        let mut ended = false;
        if end == End::Immediate {
            let pile = mem::take(&mut locked.pile);
            ended = locked.finish(pile.len());
            dropped = Some(pile);
        }
        // Whatever a waker or a destructor does, everybody hears of the end; the first panic goes on.
        let outcomes = [
            catch_unwind(AssertUnwindSafe(|| locked.grant_while(|_, _, _| true))),
            catch_unwind(AssertUnwindSafe(|| {
                let locked = self.waiters.lock();
                locked.grant_while_in(Lane::Side, |_, _, _| true);
            })),
            catch_unwind(AssertUnwindSafe(|| {
                if ended {
                    self.finished.notify_waiters();
                }
            })),
            catch_unwind(AssertUnwindSafe(|| drop(dropped))),
        ];
        for outcome in outcomes {
            if let Err(panic) = outcome {
                resume_unwind(panic);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiters.lock().pile.len()
    }

    pub(super) fn len_peak(&self) -> usize {
        self.waiters.lock().len_peak
    }

    pub(super) fn is_full(&self) -> bool {
        self.maxsize > 0 && self.len() >= self.maxsize
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.waiters.lock().shut_down
    }

    pub(super) fn maxsize(&self) -> usize {
        self.maxsize
    }
}

impl<O: Order> Protocol for Shared<O> {
    type State = State<O>;
    type Note = Note;

    fn left(_: &WaitList<Self>, _: Note) {}

    /// Q9.
    fn give_back(list: &WaitList<Self>, note: Note) {
        let mut locked = list.lock();
        match note {
            Note::Getter { promised: true } => {
                locked.promised_items -= 1;
                promise_item(&mut locked);
            }
            Note::Putter { promised: true } => {
                locked.promised_places -= 1;
                promise_place(&mut locked);
            }
            // Shutdown promised nothing.
            Note::Getter { .. } | Note::Putter { .. } => {}
        }
    }
}

/// What a future of `put` wants.
struct Put<'a, O: Order> {
    core: &'a Core<O>,
    item: Option<O::Item>,
}

impl<O: Order> Claim<Shared<O>> for Put<'_, O> {
    type Output = Result<(), PutError<O::Item>>;
    const KIND: WaitKind = WaitKind::Queue;

    #[inline]
    fn attempt(&mut self, _: &WaitList<Shared<O>>) -> Option<Self::Output> {
        match self.core.put_nowait(self.item.take()?) {
            Ok(()) => Some(Ok(())),
            Err(TryPutError::ShutDown(back)) => Some(Err(PutError(back))),
            Err(TryPutError::Full(back)) => {
                self.item = Some(back);
                None
            }
        }
    }

    fn enter(&mut self, locked: &mut Locked<'_, Shared<O>>) -> Entry<Self::Output, Note> {
        let ready = locked.shut_down || locked.has_free_place();
        match self.item.take() {
            Some(item) if ready => Entry::Done(push_unless_shut_down(locked, item)),
            item => {
                self.item = item;
                Entry::WaitAside(Note::Putter { promised: false })
            }
        }
    }

    #[inline]
    fn granted(mut self, _: &WaitList<Shared<O>>, note: Note) -> Self::Output {
        let item = self.item.take().expect("it waits with its item in hand");
        match note {
            Note::Putter { promised: true } => self.core.put_promised(item),
            // By shutdown.
            _ => Err(PutError(item)),
        }
    }
}

/// What a future of `reserve` wants.
struct Place;

impl<O: Order> Claim<Shared<O>> for Place {
    type Output = Result<(), QueueShutDown>;
    const KIND: WaitKind = WaitKind::Queue;

    fn enter(&mut self, locked: &mut Locked<'_, Shared<O>>) -> Entry<Self::Output, Note> {
        if locked.shut_down {
            return Entry::Done(Err(QueueShutDown));
        }
        if locked.has_free_place() {
            locked.promised_places += 1;
            return Entry::Done(Ok(()));
        }
        Entry::WaitAside(Note::Putter { promised: false })
    }

    fn granted(self, _: &WaitList<Shared<O>>, note: Note) -> Self::Output {
        match note {
            Note::Putter { promised: true } => Ok(()),
            // By shutdown.
            _ => Err(QueueShutDown),
        }
    }
}

/// What a future of `get` wants.
struct Get<'a, O: Order>(&'a Core<O>);

impl<O: Order> Claim<Shared<O>> for Get<'_, O> {
    type Output = Result<O::Item, QueueShutDown>;
    const KIND: WaitKind = WaitKind::Queue;

    #[inline]
    fn attempt(&mut self, _: &WaitList<Shared<O>>) -> Option<Self::Output> {
        match self.0.get_nowait() {
            Ok(item) => Some(Ok(item)),
            Err(TryGetError::ShutDown) => Some(Err(QueueShutDown)),
            Err(TryGetError::Empty) => None,
        }
    }

    fn enter(&mut self, locked: &mut Locked<'_, Shared<O>>) -> Entry<Self::Output, Note> {
        match pop_free(locked) {
            Ok(item) => Entry::Done(Ok(item)),
            Err(TryGetError::ShutDown) => Entry::Done(Err(QueueShutDown)),
            Err(TryGetError::Empty) => Entry::Wait(Note::Getter { promised: false }),
        }
    }

    #[inline]
    fn granted(self, _: &WaitList<Shared<O>>, note: Note) -> Self::Output {
        match note {
            Note::Getter { promised: true } => self.0.get_promised(),
            // By shutdown.
            _ => Err(QueueShutDown),
        }
    }
}

impl<O: Order> fmt::Debug for Core<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let locked = self.waiters.lock();
        let (len, unfinished, shut_down) = (locked.pile.len(), locked.unfinished, locked.shut_down);
        let (getters, putters) = (locked.waiters(), locked.waiters_in(Lane::Side));
        drop(locked);
        f.debug_struct("Queue")
            .field("len", &len)
            .field("maxsize", &self.maxsize)
            .field("unfinished", &unfinished)
            .field("getters", &getters)
            .field("putters", &putters)
            .field("shut_down", &shut_down)
            .finish()
    }
}
