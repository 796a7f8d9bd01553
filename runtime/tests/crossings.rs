//! Random programs that cross threads and runtimes: whatever they do, each job runs at most once, each value is dropped once,
//! each who waits is answered, and no thread or descriptor is left.
//!
//! A program is a few plain threads over a few runtimes of any flavour. The threads block on them, hand tasks and closures
//! over, wait for them with and without a limit, cancel them, end runtimes in every way there is, also from tasks, from jobs
//! and from thread-locals, and start new ones. `LOXLEY_CROSSINGS=first..end` runs other seeds than the few of every day.

#[path = "../../tests/support/mod.rs"]
mod support;

use loxley_runtime::{
    ConcurrentFuture, Handle, Runtime, Sleep, Task, TaskError, TaskGroup, WaitError,
    create_local_task, create_task, current_task, gather, race, run_coroutine_threadsafe, shield,
    sleep, task_group, timeout, to_thread, wait, yield_now,
};
use loxley_sync::context_var;
use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};
use support::*;

const LONG: Duration = Duration::from_secs(10);

/// What was made and what became of it.
#[derive(Clone, Default)]
struct Ledger {
    made: Count,
    dropped: Count,
    /// Callbacks that were added, and those that ran.
    added: Count,
    called: Count,
    /// Closures that were to run on the blocking pool, that ran there, and their ends.
    jobs: Count,
    runs: Count,
    ends: Count,
}

/// A value that is counted when it is made and when it goes.
struct Value {
    _token: Token,
    /// Whether its drop panics.
    is_bomb: bool,
}

impl Drop for Value {
    fn drop(&mut self) {
        if self.is_bomb && !thread::panicking() {
            panic_any(OnPurpose);
        }
    }
}

/// What panics on purpose carry, so that the hook keeps quiet about them.
struct OnPurpose;

impl Ledger {
    fn value(&self) -> Value {
        self.made.add();
        Value {
            _token: self.dropped.token(),
            is_bomb: false,
        }
    }

    fn perhaps_a_bomb(&self, dice: &mut Dice) -> Value {
        let mut value = self.value();
        value.is_bomb = dice.roll(24) == 0;
        value
    }
}

/// Drops what may be a bomb.
fn let_go<T>(what: T) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(what)));
}

/// One runtime of a program after the other.
struct Place {
    kind: Kind,
    runtime: Mutex<Option<Arc<Runtime>>>,
    /// Of the newest one; may be longer there than that is.
    handle: Mutex<Handle>,
}

#[derive(Clone, Copy)]
struct Kind {
    flavour: Flavour,
    paused: bool,
    keep_alive: Duration,
    seed: u64,
}

impl Kind {
    fn new(dice: &mut Dice) -> Self {
        let workers = 1 + dice.index(3);
        Self {
            flavour: [Flavour::OneThread, Flavour::Workers(workers)][usize::from(dice.roll(3) > 0)],
            paused: dice.roll(4) == 0,
            keep_alive: [
                Duration::ZERO,
                Duration::from_nanos(1),
                Duration::from_micros(100),
                LONG,
                Duration::MAX,
            ][dice.index(5)],
            seed: dice.roll(1 << 40),
        }
    }

    fn build(self, watch: &Watch) -> Arc<Runtime> {
        let mut dice = Dice(self.seed | 1);
        let _ = dice.another();
        let intervals = [1, 2, 61, u32::MAX];
        let mut builder = self.flavour.builder();
        if dice.roll(3) == 0 {
            // Threads for closures are refused, every time or now and then. Those of the workers are named first.
            let (always, rolls) = (dice.roll(2) == 0, Mutex::new(dice.another()));
            let (named, workers) = (Count::default(), self.flavour.workers());
            builder = builder.thread_name_fn(move || {
                if named.add() > workers && (always || rolls.lock().unwrap().roll(2) == 0) {
                    panic_any(OnPurpose);
                }
                "named".to_owned()
            });
        }
        if dice.roll(3) == 0 {
            let rolls = Arc::new(Mutex::new(dice.another()));
            let hook = move || {
                let roll = rolls.lock().unwrap().roll(4);
                match roll {
                    0 => panic_any(OnPurpose),
                    1 => drop(create_task(yield_now())),
                    _ => {}
                }
            };
            builder = builder.on_thread_start(hook.clone()).on_thread_stop(hook);
        }
        let builder = builder
            .paused(self.paused)
            .max_blocking_threads([1, 1, 2, 3, usize::MAX][dice.index(5)])
            .thread_keep_alive(self.keep_alive)
            .event_interval(intervals[dice.index(intervals.len())])
            .global_queue_interval(intervals[dice.index(intervals.len())])
            .debug(dice.roll(4) == 0)
            .slow_poll_threshold(Duration::MAX)
            .unhandled_error(|_| {});
        Arc::new(watch.build(builder))
    }
}

/// A task that anybody may find.
struct Kept {
    place: usize,
    /// Its number among all: the later ones are awaited by the earlier ones alone, so never in a circle.
    age: usize,
    task: Task<Value>,
}

/// What all threads of a program see.
struct World {
    ages: Count,
    watch: Watch,
    places: Vec<Place>,
    tasks: Mutex<Vec<Kept>>,
    waits: Mutex<Vec<ConcurrentFuture<Value>>>,
    wakers: Mutex<Vec<Waker>>,
    /// Polled once, on runtimes whose time passes by itself.
    sleeps: Mutex<Vec<Pin<Box<Sleep>>>>,
    ledger: Ledger,
}

type Shared = Arc<World>;
type Program = Pin<Box<dyn Future<Output = Value> + Send>>;

impl World {
    fn handle(&self, place: usize) -> Handle {
        self.places[place].handle.lock().unwrap().clone()
    }

    fn any(&self, dice: &mut Dice) -> usize {
        dice.index(self.places.len())
    }

    /// The runtime of `place`, to be given to [`end`] when it is no longer needed.
    fn borrow(&self, place: usize) -> Option<Arc<Runtime>> {
        self.places[place].runtime.lock().unwrap().clone()
    }

    fn take(&self, place: usize) -> Option<Arc<Runtime>> {
        self.places[place].runtime.lock().unwrap().take()
    }

    fn start(&self, place: usize) {
        let place = &self.places[place];
        if place.runtime.lock().unwrap().is_some() {
            return;
        }
        let runtime = place.kind.build(&self.watch);
        *place.handle.lock().unwrap() = runtime.handle();
        let before = place.runtime.lock().unwrap().replace(runtime);
        if let Some(runtime) = before {
            end(runtime, 0);
        }
    }

    fn keep(&self, place: usize, age: usize, task: Task<Value>) {
        let kept = Kept { place, age, task };
        self.tasks.lock().unwrap().push(kept);
    }

    /// Whether tasks of `place` run whoever waits: a limit asks the task that is awaited to stop, and waits until it has.
    fn runs_by_itself(&self, place: usize) -> bool {
        self.places[place].kind.flavour != Flavour::OneThread
    }

    fn lets_time_pass(&self, place: usize) -> bool {
        self.runs_by_itself(place) && !self.places[place].kind.paused
    }

    fn task(&self, dice: &mut Dice) -> Option<Kept> {
        let mut tasks = self.tasks.lock().unwrap();
        let count = tasks.len();
        (count > 0).then(|| tasks.swap_remove(dice.index(count)))
    }

    fn wait(&self, dice: &mut Dice) -> Option<ConcurrentFuture<Value>> {
        let mut waits = self.waits.lock().unwrap();
        let count = waits.len();
        (count > 0).then(|| waits.swap_remove(dice.index(count)))
    }
}

/// Lets go of a runtime; whoever has the last reference ends it.
fn end(runtime: Arc<Runtime>, how: u64) {
    let Some(runtime) = Arc::into_inner(runtime) else {
        return;
    };
    match how {
        0 => runtime.shutdown_background(),
        1 => drop(runtime.shutdown_timeout(Duration::ZERO)),
        2 => drop(runtime),
        _ => {
            let report = runtime.shutdown_timeout(LONG);
            assert!(report.is_clean(), "{report}");
        }
    }
}

/// A task: a few random steps, then a value.
fn program(world: &Shared, dice: Dice, depth: u32, here: usize) -> Program {
    numbered(world, dice, depth, here).1
}

fn numbered(world: &Shared, mut dice: Dice, depth: u32, here: usize) -> (usize, Program) {
    let age = world.ages.add();
    let (world, held) = (world.clone(), world.ledger.perhaps_a_bomb(&mut dice));
    let value = world.ledger.value();
    let program = async move {
        let held = held;
        for _ in 0..dice.roll(5) {
            step(&world, &mut dice, depth, (here, age)).await;
        }
        if dice.roll(16) == 0 {
            panic_any(OnPurpose);
        }
        // Here, because a value that is on its way out is forgotten when something else panics in its drop (rust#47949).
        drop(held);
        value
    };
    (age, Box::pin(program))
}

async fn step(world: &Shared, dice: &mut Dice, depth: u32, (here, age): (usize, usize)) {
    let there = world.any(dice);
    drop(AGE.set(age));
    match dice.roll(20) {
        0 => yield_now().await,
        1 => sleep(dice.short()).await,
        2 | 3 => let_go(to_thread(own_job(world, dice.another(), depth, (here, age))).await),
        4 => {
            let work = to_thread(own_job(world, dice.another(), depth, (here, age)));
            let_go(timeout(dice.short(), work).await);
        }
        5 => {
            // Handed over, and left.
            let work = own_job(world, dice.another(), depth, (here, age));
            let mut work = pin!(to_thread(work));
            let_go(poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await);
        }
        6 | 7 if depth > 0 => {
            let (age, child) = numbered(world, dice.another(), depth - 1, here);
            let child = create_task(child);
            match dice.roll(4) {
                0 => end_with(child.await).await,
                1 => {
                    child.cancel();
                    end_with(child.await).await;
                }
                2 => await_for(dice.short(), child).await,
                _ => world.keep(here, age, child),
            }
        }
        8 if depth > 0 => {
            let (age, theirs) = numbered(world, dice.another(), depth - 1, there);
            let task = match dice.roll(2) {
                0 => world.handle(there).create_task(theirs),
                _ => {
                    let handle = world.handle(there);
                    let _current = handle.enter();
                    create_task(theirs)
                }
            };
            match dice.roll(3) {
                0 if world.runs_by_itself(there) => await_for(dice.short(), task).await,
                1 => let_go(task),
                _ => world.keep(there, age, task),
            }
        }
        9 => {
            if let Some(kept) = world.task(dice) {
                if kept.age > age && world.runs_by_itself(kept.place) {
                    await_for(dice.short(), kept.task).await;
                } else {
                    world.keep(kept.place, kept.age, kept.task);
                }
            }
        }
        10 => touch(world, dice),
        11 if dice.roll(3) == 0 => {
            if let Some(runtime) = world.take(there) {
                end(runtime, [0, 2][dice.index(2)]);
            }
        }
        12 => let_go(timeout(dice.short(), pending::<()>()).await),
        13..18 => pass_on(world, dice, here).await,
        18.. if depth > 0 => together(world, dice, depth, here).await,
        _ => {}
    }
}

/// Leaves what others find, or takes what others left: wakers, clean-ups, sleeps that have begun.
async fn pass_on(world: &Shared, dice: &mut Dice, here: usize) {
    match dice.roll(5) {
        0 => {
            let keep = |cx: &mut Context<'_>| {
                world.wakers.lock().unwrap().push(cx.waker().clone());
                Poll::Ready(())
            };
            poll_fn(keep).await;
        }
        1 => wake(world, dice),
        3 if world.lets_time_pass(here) => {
            let mut sleep = Box::pin(sleep(dice.short()));
            let _ = poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx))).await;
            world.sleeps.lock().unwrap().push(sleep);
        }
        4 => {
            let found = world.sleeps.lock().unwrap().pop();
            if let Some(mut sleep) = found {
                sleep.as_mut().await;
                assert!(sleep.deadline() <= Instant::now() || !world.lets_time_pass(here));
            }
        }
        2 => Late::leave(world, dice, here, None),
        _ => {}
    }
}

/// Several tasks as one, some of another runtime's.
async fn together(world: &Shared, dice: &mut Dice, depth: u32, here: usize) {
    let there = world.any(dice);
    let child = |dice: &mut Dice| {
        let goes = world.lets_time_pass(there) && dice.roll(2) == 0;
        let place = if goes { there } else { here };
        let program = program(world, dice.another(), depth - 1, place);
        (goes, program)
    };
    let start = |dice: &mut Dice| match child(dice) {
        (true, program) => world.handle(there).create_task(program),
        (false, program) => create_task(program),
    };
    match dice.roll(4) {
        0 => {
            let group = task_group(|group: TaskGroup<()>| async move {
                for _ in 0..dice.roll(4) {
                    let (goes, program) = child(dice);
                    let handle = world.handle(there);
                    let _current = goes.then(|| handle.enter());
                    let child = async move { Ok::<_, ()>(program.await) };
                    drop(group.create_task(child));
                }
                if dice.roll(4) == 0 {
                    group.cancel();
                }
                Ok(())
            });
            let_go(group.await);
        }
        1 => {
            let tasks = gather([start(dice), start(dice)]).return_errors();
            let all: Vec<Result<Value, TaskError>> = tasks.await;
            let_go(all);
        }
        2 => {
            let tasks = [start(dice), start(dice)];
            let waited = wait(tasks).timeout(dice.short()).await;
            let_go((waited.done, waited.pending));
        }
        _ => {
            let task = start(dice);
            let_go(timeout(dice.short(), shield::<Value>(task)).await);
        }
    }
}

/// Wakes a task of somebody's, which may be long gone.
fn wake(world: &Shared, dice: &mut Dice) {
    let mut wakers = world.wakers.lock().unwrap();
    let count = wakers.len();
    if count == 0 {
        return;
    }
    let waker = wakers.swap_remove(dice.index(count));
    drop(wakers);
    match dice.roll(3) {
        0 => drop(waker),
        1 => waker.wake(),
        _ => {
            waker.wake_by_ref();
            world.wakers.lock().unwrap().push(waker);
        }
    }
}

/// Ends with a task that was awaited and ended cancelled: the request may have been this one's, passed on to it.
async fn end_with<T>(result: Result<T, TaskError>) {
    match result {
        Err(TaskError::Cancelled(error)) => {
            error.reraise().await;
        }
        other => let_go(other),
    }
}

async fn await_for(limit: Duration, task: Task<Value>) {
    if let Ok(result) = timeout(limit, task).await {
        end_with(result).await;
    }
}

/// Cancels, drops or watches a task of somebody's.
fn touch(world: &Shared, dice: &mut Dice) {
    let Some(Kept { place, age, task }) = world.task(dice) else {
        return;
    };
    match dice.roll(4) {
        0 => return let_go(task),
        1 => {
            task.cancel();
        }
        2 => {
            let held = world.ledger.value();
            let called = world.ledger.called.clone();
            world.ledger.added.add();
            let _ = task.add_done_callback(move |_| {
                called.add();
                drop(held);
            });
        }
        // No task awaits itself.
        _ if current_task() != Some(task.as_ref()) => {
            let mut task = task;
            let waker = counting_waker(&Count::default());
            if poll_with(&mut task, &waker).is_pending() {
                world.keep(place, age, task);
            }
            return;
        }
        _ => {}
    }
    world.keep(place, age, task);
}

context_var! {
    /// Of the task that runs, or that handed over what runs.
    static AGE: usize;
}

thread_local! {
    static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
}

/// What a thread still does when it goes.
struct Late {
    world: Shared,
    dice: Dice,
    place: usize,
    runtime: Option<Arc<Runtime>>,
}

impl Late {
    fn leave(world: &Shared, dice: &mut Dice, place: usize, runtime: Option<Arc<Runtime>>) {
        let late = Self {
            world: world.clone(),
            dice: dice.another(),
            place,
            runtime,
        };
        let_go(LATE.replace(Some(late)));
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        let (world, dice) = (&self.world, &mut self.dice);
        let (age, task) = numbered(world, dice.another(), 0, self.place);
        let task = world.handle(self.place).create_task(task);
        if dice.roll(2) == 0 {
            let_go(task);
        } else {
            world.keep(self.place, age, task);
        }
        if let Some(runtime) = self.runtime.take() {
            end(runtime, [0, 2][dice.index(2)]);
        }
    }
}

/// A [`job`] of the task that is that old.
fn own_job(
    world: &Shared,
    dice: Dice,
    depth: u32,
    (here, age): (usize, usize),
) -> impl FnOnce() -> Value + Send + 'static {
    let job = job(world, dice, depth, here);
    move || {
        assert_eq!(AGE.get(), Some(age), "a closure sees its task's variables");
        job()
    }
}

/// A closure for the blocking pool of place `here`.
fn job(
    world: &Shared,
    mut dice: Dice,
    depth: u32,
    here: usize,
) -> impl FnOnce() -> Value + Send + 'static {
    let (world, held) = (world.clone(), world.ledger.perhaps_a_bomb(&mut dice));
    world.ledger.jobs.add();
    move || {
        world.ledger.runs.add();
        let _ended = world.ledger.ends.token();
        for _ in 0..dice.roll(3) {
            act_in_job(&world, &mut dice, depth, here);
        }
        if dice.roll(12) == 0 {
            panic_any(OnPurpose);
        }
        drop(held);
        world.ledger.perhaps_a_bomb(&mut dice)
    }
}

fn act_in_job(world: &Shared, dice: &mut Dice, depth: u32, here: usize) {
    let there = world.any(dice);
    match dice.roll(10) {
        0 => thread::park_timeout(dice.short()),
        1 if depth > 0 => {
            let (age, task) = numbered(world, dice.another(), depth - 1, here);
            world.keep(here, age, create_task(task));
        }
        2 if depth > 0 => {
            let theirs = program(world, dice.another(), depth - 1, there);
            hand_over(world, dice, theirs, there, false);
        }
        3 if depth > 0 => {
            let work = to_thread(job(world, dice.another(), depth - 1, there));
            hand_over(world, dice, work, there, false);
        }
        // A clock that stands goes on when no job is left, this one neither.
        4 if depth > 0 && world.runs_by_itself(there) && !world.places[there].kind.paused => {
            if let Some(runtime) = world.borrow(there) {
                // Not for long: this thread may be the one that the program waits for. A limit would only ask it.
                let (theirs, limit) = (
                    program(world, dice.another(), depth - 1, there),
                    dice.short(),
                );
                let main = race((theirs, async {
                    sleep(limit).await;
                    world.ledger.value()
                }));
                let_go(catch_unwind(AssertUnwindSafe(|| runtime.block_on(main))));
                end(runtime, 0);
            }
        }
        5 if dice.roll(3) == 0 => {
            if let Some(runtime) = world.take(there) {
                // Two jobs that wait for each other's runtimes would wait for the whole grace.
                let ways: &[u64] = if there == here { &[0, 1, 2] } else { &[0, 1] };
                end(runtime, ways[dice.index(ways.len())]);
            }
        }
        6 => {
            // A thread that stays would keep it for ever.
            let may_keep = world.places[here].kind.keep_alive < LONG && dice.roll(3) == 0;
            let runtime = may_keep.then(|| world.borrow(here)).flatten();
            Late::leave(world, dice, here, runtime);
        }
        7 => touch(world, dice),
        8 => wake(world, dice),
        _ => thread::yield_now(),
    }
}

/// A thread that runs no tasks has `future` run as a task, and waits for it or does not.
fn hand_over(
    world: &Shared,
    dice: &mut Dice,
    future: impl Future<Output = Value> + Send + 'static,
    there: usize,
    may_wait: bool,
) {
    let mut wait = run_coroutine_threadsafe(future, &world.handle(there));
    if dice.roll(3) == 0 {
        let held = world.ledger.value();
        let called = world.ledger.called.clone();
        world.ledger.added.add();
        wait.add_done_callback(move |_| {
            called.add();
            drop(held);
        });
    }
    if dice.roll(4) == 0 {
        wait.cancel();
    }
    match dice.roll(4) {
        0 => let_go(wait),
        1 if may_wait => let_go(wait.result(None)),
        _ => match wait.result(Some(dice.short())) {
            Err(WaitError::TimedOut) => world.waits.lock().unwrap().push(wait),
            outcome => let_go(outcome),
        },
    }
}

/// A plain thread of a program.
fn thread_body(world: &Shared, mut dice: Dice) {
    for _ in 0..3 + dice.roll(6) {
        let there = world.any(&mut dice);
        let kind = world.places[there].kind;
        let depth = 2;
        match dice.roll(13) {
            0..=2 => {
                if let Some(runtime) = world.borrow(there) {
                    let main = block_on_program(world, dice.another(), depth, there);
                    let_go(catch_unwind(AssertUnwindSafe(|| runtime.block_on(main))));
                    end(runtime, dice.roll(4));
                }
            }
            3 => {
                let (age, theirs) = numbered(world, dice.another(), depth, there);
                world.keep(there, age, world.handle(there).create_task(theirs));
            }
            4 | 5 => {
                let theirs = program(world, dice.another(), depth, there);
                // Elsewhere somebody must run it, or let time pass.
                let runs = kind.flavour != Flavour::OneThread && !kind.paused;
                hand_over(world, &mut dice, theirs, there, runs);
            }
            6 => {
                let handle = world.handle(there);
                let _current = handle.enter();
                let work = to_thread(job(world, dice.another(), depth, there));
                let_go(catch_unwind(AssertUnwindSafe(|| {
                    loxley_sync::wait::block_on(work)
                })));
            }
            7 | 8 => {
                if let Some(runtime) = world.take(there) {
                    end(runtime, dice.roll(4));
                }
            }
            9 => world.start(there),
            12 => run_runner(world, &mut dice, there),
            10 => touch(world, &mut dice),
            _ => {
                if let Some(mut wait) = world.wait(&mut dice) {
                    match wait.result(Some(dice.short())) {
                        Err(WaitError::TimedOut) => world.waits.lock().unwrap().push(wait),
                        outcome => let_go(outcome),
                    }
                }
            }
        }
    }
    if dice.roll(4) == 0 {
        let place = world.any(&mut dice);
        Late::leave(world, &mut dice, place, world.borrow(place));
    }
}

/// Main futures one after the other, on a runtime that is nobody else's.
fn run_runner(world: &Shared, dice: &mut Dice, there: usize) {
    // Of the kind that its tasks take it for.
    let kind = world.places[there].kind;
    let builder = kind.flavour.builder().paused(kind.paused);
    let builder = builder.thread_keep_alive(kind.keep_alive);
    let mut runner = builder.unhandled_error(|_| {}).build_runner().unwrap();
    for _ in 0..dice.roll(3) {
        let main = block_on_program(world, dice.another(), 2, there);
        let_go(catch_unwind(AssertUnwindSafe(|| runner.run(main))));
    }
    if dice.roll(2) == 0 {
        let report = runner.close();
        assert!(report.is_clean(), "{report}");
    }
}

/// A main future with local tasks beside it.
async fn block_on_program(world: &Shared, mut dice: Dice, depth: u32, here: usize) -> Value {
    let local = (dice.roll(2) == 0).then(|| {
        let held = std::rc::Rc::new(world.ledger.value());
        let mut dice = dice.another();
        let world = world.clone();
        let age = world.ages.add();
        let task = create_local_task(async move {
            for _ in 0..dice.roll(3) {
                step(&world, &mut dice, 1, (here, age)).await;
            }
            drop(held);
            world.ledger.value()
        });
        (age, task)
    });
    let value = program(world, dice.another(), depth, here).await;
    if let Some((age, local)) = local {
        match dice.roll(4) {
            0 => end_with(local.await).await,
            1 => {
                local.cancel();
            }
            2 => world.keep(here, age, local),
            _ => {}
        }
    }
    value
}

/// One program from its start to silence.
fn run_program(watch: &Watch, seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut dice = dice.another();
    let ledger = Ledger::default();
    let places = (0..1 + dice.roll(3)).map(|_| {
        let kind = Kind::new(&mut dice);
        let runtime = kind.build(watch);
        Place {
            kind,
            handle: Mutex::new(runtime.handle()),
            runtime: Mutex::new(Some(runtime)),
        }
    });
    let world = Arc::new(World {
        watch: watch.clone(),
        places: places.collect(),
        ages: Count::default(),
        tasks: Mutex::default(),
        waits: Mutex::default(),
        wakers: Mutex::default(),
        sleeps: Mutex::default(),
        ledger: ledger.clone(),
    });
    let threads: Vec<_> = (0..1 + dice.roll(4))
        .map(|_| {
            let (world, dice) = (world.clone(), dice.another());
            thread::spawn(move || thread_body(&world, dice))
        })
        .collect();
    for thread in threads {
        thread.join().expect("no assertion failed");
    }
    settle(&world);
    drop(world);
    spin_until(|| ledger.dropped.get() == ledger.made.get());
    assert_eq!(ledger.called.get(), ledger.added.get(), "callbacks");
    assert_eq!(ledger.ends.get(), ledger.runs.get());
    assert!(ledger.runs.get() <= ledger.jobs.get());
}

/// Ends what has not ended yet, and waits for all that was asked for.
fn settle(world: &Shared) {
    // A job or a thread-local that is still at work may bring back what was taken away here.
    loop {
        for place in 0..world.places.len() {
            if let Some(runtime) = world.take(place) {
                end(runtime, 3);
            }
        }
        let waits = std::mem::take(&mut *world.waits.lock().unwrap());
        for mut wait in waits {
            let_go(wait.result(None));
        }
        let tasks = std::mem::take(&mut *world.tasks.lock().unwrap());
        for kept in tasks {
            spin_until(|| kept.task.is_finished());
            let_go(kept);
        }
        let is_alone = Arc::strong_count(world) == 1;
        let is_empty = world.tasks.lock().unwrap().is_empty()
            && world.waits.lock().unwrap().is_empty()
            && world
                .places
                .iter()
                .all(|place| place.runtime.lock().unwrap().is_none());
        if is_alone && is_empty {
            let wakers = std::mem::take(&mut *world.wakers.lock().unwrap());
            wakers.into_iter().for_each(Waker::wake);
            return;
        }
        thread::yield_now();
    }
}

#[test]
fn whatever_crosses_threads_and_runtimes_is_run_once_dropped_once_and_answered() {
    static UNEXPECTED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let said = text(info.payload());
        let is_expected = info.payload().is::<OnPurpose>()
            || said.contains("came too late")
            || said.contains("got no thread")
            || said.contains("given to `block_on` was");
        if !is_expected {
            UNEXPECTED.lock().unwrap().push(info.to_string());
            usual(info);
        }
    }));
    let seeds = std::env::var("LOXLEY_CROSSINGS").unwrap_or_else(|_| "0..150".to_owned());
    let (first, end) = seeds.split_once("..").expect("first..end");
    let (threads, descriptors) = (thread_count(), descriptor_count());
    for seed in first.parse().unwrap()..end.parse().unwrap() {
        let told = catch_unwind(|| bounded(move |watch| run_program(watch, seed)));
        let unexpected = std::mem::take(&mut *UNEXPECTED.lock().unwrap());
        assert!(told.is_ok() && unexpected.is_empty(), "seed {seed}");
        let began = Instant::now();
        while thread_count() > threads || descriptor_count() > descriptors {
            let left = (thread_count(), descriptor_count());
            assert!(began.elapsed() < LONG, "seed {seed} leaves {left:?}");
            thread::yield_now();
        }
    }
}
