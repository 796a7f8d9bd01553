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
//! Under the mutex, which orders all of it, but for the common case: as long as nobody waits and nothing is promised, Q1
//! and Q2 of a first-in-first-out queue are V1 to V4 of `ring.rs`, and need no mutex. Whoever is about to wait *holds* both
//! ends first and looks again; a promise keeps its end held:
//!
//! | held | for as long as |
//! |---|---|
//! | both ends | anybody waits |
//! | the getting end | an item is promised |
//! | the putting end | the queue is shut down, or places were promised that no item had left (by `reserve`): until one is put, or as many are given up |
//!
//! Row A, of a waiter and an operation that would serve it: the exchanges of V1 and V3 fall before the hold, and the second
//! look sees what they did, or they fail, and the operation comes to the mutex and finds the waiter. An end is let go when
//! nobody needs it and nobody has waited for a while; that it is held too long costs time and nothing else.
//!
//! Wakers are called, and items dropped, after the mutex. The one piece of user code that runs under it is the `Ord` of a
//! priority queue's items, which must not use the queue; its panics leave the queue usable.

use super::order::Order;
use super::ring::Ends;
use crate::Notify;
use crate::ambient::WaitKind;
use crate::error::{PutError, QueueShutDown, TaskDoneError, TryGetError, TryPutError};
use crate::prim::IS_MODEL;
use crate::wait::{Claim, Entry, Lane, Locked, Protocol, WaitList};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

/// After so many operations under the mutex since somebody began to wait the ends are let go. Where putters and getters wait
/// for each other at every turn the mutex serves alone, without holding and letting go; where items come in bursts, most
/// of a burst does without it.
const CALM: u8 = if IS_MODEL { 1 } else { 8 };

const BOTH: Ends = Ends {
    put: true,
    get: true,
};
const PUT: Ends = Ends {
    put: true,
    get: false,
};
const GET: Ends = Ends {
    put: false,
    get: true,
};

/// A queue, shared by its handles.
pub(super) struct Core<O: Order> {
    waiters: WaitList<Shared<O>>,
    /// Tells those in `join` to look again.
    finished: Notify,
}

/// What is shared without the mutex.
pub(super) struct Shared<O> {
    order: O,
    /// 0: unbounded.
    maxsize: usize,
}

pub(super) struct State<O: Order> {
    pile: O::Inner,
    promised_items: usize,
    promised_places: usize,
    /// How many places were promised without an item leaving them, since the last item was put, less those given up.
    reserved: usize,
    /// How many items were dealt with, of all that were ever put.
    finished: u64,
    /// How often nothing was left unfinished.
    rounds: u64,
    /// How many operations since somebody began to wait, up to CALM.
    calm: u8,
    shut_down: bool,
}

/// What a waiter waits for, and whether Q3 or Q4 promised it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Note {
    Getter { promised: bool },
    Putter { promised: bool },
}

type Guard<'a, O> = Locked<'a, Shared<O>>;

fn len<O: Order>(locked: &Guard<'_, O>) -> usize {
    locked.shared().order.len(&locked.pile)
}

fn free_items<O: Order>(locked: &Guard<'_, O>) -> usize {
    len(locked).saturating_sub(locked.promised_items)
}

fn has_free_place<O: Order>(locked: &Guard<'_, O>) -> bool {
    let maxsize = locked.shared().maxsize;
    maxsize == 0 || len(locked) + locked.promised_places < maxsize
}

fn unfinished<O: Order>(locked: &Guard<'_, O>) -> u64 {
    locked.shared().order.total(&locked.pile) - locked.finished
}

/// Q11: `count` items less to finish, which are not more than there are; whether that was the last of them.
fn finish<O: Order>(locked: &mut Guard<'_, O>, count: usize) -> bool {
    locked.finished += count as u64;
    let ended = count > 0 && unfinished(locked) == 0;
    locked.rounds += u64::from(ended);
    ended
}

fn nothing_to_get<O: Order>(locked: &Guard<'_, O>) -> TryGetError {
    if locked.shut_down {
        TryGetError::ShutDown
    } else {
        TryGetError::Empty
    }
}

#[inline]
fn hold<O: Order>(locked: &mut Guard<'_, O>, ends: Ends) {
    locked.shared().order.hold(&mut locked.pile, ends);
}

/// Before the mutex is released: lets go what nobody needs, if it is calm.
#[inline]
fn settle<O: Order>(locked: &mut Guard<'_, O>) {
    if locked.calm < CALM {
        locked.calm += 1;
        return;
    }
    let awaited = locked.waiters() + locked.waiters_in(Lane::Side) > 0;
    let keep = Ends {
        put: awaited || locked.reserved > 0 || locked.shut_down,
        get: awaited || locked.promised_items > 0,
    };
    locked.shared().order.let_go(&mut locked.pile, keep);
}

/// Both ends are held, and it has to wait.
fn enlist<O: Order, R>(locked: &mut Guard<'_, O>, note: Note) -> Entry<R, Note> {
    locked.calm = 0;
    match note {
        Note::Getter { .. } => Entry::Wait(note),
        Note::Putter { .. } => Entry::WaitAside(note),
    }
}

/// Pushes an item for which there is a place, then Q3. The putting end is held.
///
/// The promise comes first: should comparing items panic, the item is in the pile all the same.
#[inline]
fn push<O: Order>(locked: &mut Guard<'_, O>, item: O::Item) {
    if locked.grant_front(|note| *note = Note::Getter { promised: true }) {
        locked.promised_items += 1;
    }
    locked.reserved = 0;
    locked.shared().order.push(&mut locked.pile, item);
}

/// One place more, or one less, is promised.
fn set_promised_places<O: Order>(locked: &mut Guard<'_, O>, places: usize) {
    locked.promised_places = places;
    locked.shared().order.promise(&mut locked.pile, places);
}

/// Pops the next item, then Q4. The getting end is held.
#[inline]
fn pop<O: Order>(locked: &mut Guard<'_, O>) -> Option<O::Item> {
    let item = locked.shared().order.pop(&mut locked.pile);
    promise_place(locked);
    item
}

fn push_unless_shut_down<O: Order>(
    locked: &mut Guard<'_, O>,
    item: O::Item,
) -> Result<(), PutError<O::Item>> {
    if locked.shut_down {
        return Err(PutError(item));
    }
    push(locked, item);
    Ok(())
}

/// Q3.
fn promise_item<O: Order>(locked: &mut Guard<'_, O>) {
    if free_items(locked) > 0 && locked.grant_front(|note| *note = Note::Getter { promised: true })
    {
        locked.promised_items += 1;
    }
}

/// Q4.
#[inline]
fn promise_place<O: Order>(locked: &mut Guard<'_, O>) {
    if locked.waiters_in(Lane::Side) == 0 || !has_free_place(locked) || locked.shut_down {
        return;
    }
    let places = locked.promised_places + 1;
    set_promised_places(locked, places);
    locked.grant_front_in(Lane::Side, |note| *note = Note::Putter { promised: true });
}

/// Q4 for as many putters as there are places.
fn promise_places<O: Order>(locked: Guard<'_, O>) {
    if locked.waiters_in(Lane::Side) == 0 || locked.shut_down {
        return;
    }
    locked.grant_while_in(Lane::Side, |shared, state, note| {
        let taken = shared.order.len(&state.pile) + state.promised_places;
        let free = shared.maxsize == 0 || taken < shared.maxsize;
        if free {
            state.promised_places += 1;
            shared.order.promise(&mut state.pile, state.promised_places);
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

impl End {
    pub(super) fn new(immediate: bool) -> Self {
        match immediate {
            true => Self::Immediate,
            false => Self::Drain,
        }
    }
}

impl<O: Order> Core<O> {
    pub(super) fn new(maxsize: usize) -> Self {
        let (order, pile) = O::new(maxsize);
        let state = State {
            pile,
            promised_items: 0,
            promised_places: 0,
            reserved: 0,
            finished: 0,
            rounds: 0,
            calm: CALM,
            shut_down: false,
        };
        Self {
            waiters: WaitList::new(Shared { order, maxsize }, state),
            finished: Notify::new(),
        }
    }

    /// Q1.
    #[inline]
    pub(super) fn put_nowait(&self, item: O::Item) -> Result<(), TryPutError<O::Item>> {
        match self.waiters.shared().order.try_put(item) {
            Ok(()) => Ok(()),
            Err(item) => self.put_locked(item),
        }
    }

    #[inline(never)]
    fn put_locked(&self, item: O::Item) -> Result<(), TryPutError<O::Item>> {
        let mut locked = self.waiters.lock();
        if locked.shut_down {
            return Err(TryPutError::ShutDown(item));
        }
        if !has_free_place(&locked) {
            return Err(TryPutError::Full(item));
        }
        hold(&mut locked, PUT);
        // The place may have gone before it was held.
        let put = if has_free_place(&locked) {
            push(&mut locked, item);
            Ok(())
        } else {
            Err(TryPutError::Full(item))
        };
        settle(&mut locked);
        put
    }

    /// Q2.
    #[inline]
    pub(super) fn get_nowait(&self) -> Result<O::Item, TryGetError> {
        match self.waiters.shared().order.try_get() {
            Some(item) => Ok(item),
            None => self.get_locked(),
        }
    }

    #[inline(never)]
    fn get_locked(&self) -> Result<O::Item, TryGetError> {
        let mut locked = self.waiters.lock();
        if free_items(&locked) == 0 {
            return Err(nothing_to_get(&locked));
        }
        hold(&mut locked, GET);
        // The item may have gone before it was held.
        let item = match free_items(&locked) {
            0 => None,
            _ => pop(&mut locked),
        };
        settle(&mut locked);
        item.ok_or_else(|| nothing_to_get(&locked))
    }

    /// [`get_nowait`](Self::get_nowait) of up to `max` items; how many there were.
    fn get_many_nowait(&self, items: &mut Vec<O::Item>, max: usize) -> usize {
        let order = &self.waiters.shared().order;
        let before = items.len();
        items.extend((0..max).map_while(|_| order.try_get()));
        let left = max - (items.len() - before);
        if left > 0 {
            let mut locked = self.waiters.lock();
            if free_items(&locked) > 0 {
                hold(&mut locked, GET);
                let count = free_items(&locked).min(left);
                items.extend((0..count).map_while(|_| order.pop(&mut locked.pile)));
                settle(&mut locked);
                promise_places(locked);
            }
        }
        items.len() - before
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
        hold(&mut locked, PUT);
        let places = locked.promised_places - 1;
        set_promised_places(&mut locked, places);
        let put = push_unless_shut_down(&mut locked, item);
        settle(&mut locked);
        put
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
        Ok(1 + self.get_many_nowait(items, max - 1))
    }

    /// Q7: takes an item that was promised; `immediate` shutdown breaks the promise.
    fn get_promised(&self) -> Result<O::Item, QueueShutDown> {
        let mut locked = self.waiters.lock();
        locked.promised_items -= 1;
        let item = pop(&mut locked);
        settle(&mut locked);
        item.ok_or(QueueShutDown)
    }

    /// Q11.
    pub(super) fn task_done(&self) -> Result<(), TaskDoneError> {
        let mut locked = self.waiters.lock();
        if unfinished(&locked) == 0 {
            return Err(TaskDoneError);
        }
        let ended = finish(&mut locked, 1);
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
                (unfinished(&locked), locked.rounds)
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
        hold(&mut locked, BOTH);
        let mut dropped = None;
        let mut ended = false;
        if end == End::Immediate {
            let count = len(&locked);
            dropped = Some(locked.shared().order.take_all(&mut locked.pile));
            ended = finish(&mut locked, count);
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
        len(&self.waiters.lock())
    }

    pub(super) fn len_peak(&self) -> usize {
        let locked = self.waiters.lock();
        locked.shared().order.len_peak(&locked.pile)
    }

    pub(super) fn is_full(&self) -> bool {
        self.maxsize() > 0 && self.len() >= self.maxsize()
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.waiters.lock().shut_down
    }

    pub(super) fn maxsize(&self) -> usize {
        self.waiters.shared().maxsize
    }
}

impl<O: Order> Protocol for Shared<O> {
    type State = State<O>;
    type Note = Note;

    fn left(list: &WaitList<Self>, _: Note) {
        settle(&mut list.lock());
    }

    /// Q9.
    fn give_back(list: &WaitList<Self>, note: Note) {
        let mut locked = list.lock();
        match note {
            Note::Getter { promised: true } => {
                locked.promised_items -= 1;
                promise_item(&mut locked);
            }
            Note::Putter { promised: true } => {
                locked.reserved = locked.reserved.saturating_sub(1);
                let places = locked.promised_places - 1;
                set_promised_places(&mut locked, places);
                promise_place(&mut locked);
            }
            // Shutdown promised nothing.
            Note::Getter { .. } | Note::Putter { .. } => {}
        }
        settle(&mut locked);
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
    fn attempt(&mut self, list: &WaitList<Shared<O>>) -> Option<Self::Output> {
        let order = &list.shared().order;
        let Err(back) = order.try_put(self.item.take()?) else {
            return Some(Ok(()));
        };
        if order.looks_full() {
            self.item = Some(back);
            return None;
        }
        match self.core.put_locked(back) {
            Ok(()) => Some(Ok(())),
            Err(TryPutError::ShutDown(back)) => Some(Err(PutError(back))),
            Err(TryPutError::Full(back)) => {
                self.item = Some(back);
                None
            }
        }
    }

    fn enter(&mut self, locked: &mut Guard<'_, O>) -> Entry<Self::Output, Note> {
        hold(locked, BOTH);
        let ready = locked.shut_down || has_free_place(locked);
        match self.item.take() {
            Some(item) if ready => {
                let put = push_unless_shut_down(locked, item);
                settle(locked);
                Entry::Done(put)
            }
            item => {
                self.item = item;
                enlist(locked, Note::Putter { promised: false })
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

    fn enter(&mut self, locked: &mut Guard<'_, O>) -> Entry<Self::Output, Note> {
        if locked.shut_down {
            return Entry::Done(Err(QueueShutDown));
        }
        hold(locked, BOTH);
        if !has_free_place(locked) {
            return enlist(locked, Note::Putter { promised: false });
        }
        locked.reserved += 1;
        let places = locked.promised_places + 1;
        set_promised_places(locked, places);
        settle(locked);
        Entry::Done(Ok(()))
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
    fn attempt(&mut self, list: &WaitList<Shared<O>>) -> Option<Self::Output> {
        let order = &list.shared().order;
        if let Some(item) = order.try_get() {
            return Some(Ok(item));
        }
        if order.looks_empty() {
            return None;
        }
        match self.0.get_locked() {
            Ok(item) => Some(Ok(item)),
            Err(TryGetError::ShutDown) => Some(Err(QueueShutDown)),
            Err(TryGetError::Empty) => None,
        }
    }

    fn enter(&mut self, locked: &mut Guard<'_, O>) -> Entry<Self::Output, Note> {
        hold(locked, BOTH);
        let got = match free_items(locked) {
            0 if !locked.shut_down => return enlist(locked, Note::Getter { promised: false }),
            0 => None,
            _ => pop(locked),
        };
        settle(locked);
        Entry::Done(got.ok_or(QueueShutDown))
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
        let (len, unfinished, shut_down) = (len(&locked), unfinished(&locked), locked.shut_down);
        let (getters, putters) = (locked.waiters(), locked.waiters_in(Lane::Side));
        drop(locked);
        f.debug_struct("Queue")
            .field("len", &len)
            .field("maxsize", &self.maxsize())
            .field("unfinished", &unfinished)
            .field("getters", &getters)
            .field("putters", &putters)
            .field("shut_down", &shut_down)
            .finish()
    }
}
