//! Who runs which job when: the queue, the threads and the rule for waking one.
//!
//! Called by whoever submits (any thread) and by the pool's own threads. It never runs a job, drops one, names a thread or
//! makes one while its lock is held.
//!
//! # State
//!
//! A pool thread is in one of four places:
//!
//! ```text
//!     P1 make                 P3 take a job
//!   ─────────► ┌───────────┐ ───────────────► ┌─────────┐
//!              │ searching │                  │ running │ ◄──┐ P4 take the next
//!       ┌────► └───────────┘ ◄─────────────── └─────────┘ ───┘
//!       │            │         P5 queue empty, nobody searches
//!       │ P2 claim   │ P6 found nothing            │ P6 the same, somebody searches
//!       │            ▼                             ▼
//!       │      ┌───────────────────────────────────────┐  P7 keep-alive over, shutdown   ┌──────┐
//!       └───── │                asleep                 │ ──────────────────────────────► │ gone │
//!              └───────────────────────────────────────┘                                 └──────┘
//! ```
//!
//! At most one thread is *searching*: awake and on its way to the queue, be it new (P1), just claimed (P2) or spinning for
//! the next job before it falls asleep (P5). Everything hangs on one invariant, which holds whenever the lock is free:
//!
//! > while a job is queued, a thread is searching, or no thread is asleep and no further one may be made.
//!
//! - Whoever adds a job, takes one as the searcher (P3) or ends (P7) re-establishes it by [`Inner::reinforce`].
//! - A searcher leaves only by P3, or by P6 with the queue seen empty under the lock.
//!
//! So a burst of jobs costs the submitter one wake-up; the woken thread wakes the next one only if work is left, and a
//! spinning thread costs none at all. When a thread cannot be made, the invariant is given up on purpose: with other
//! threads alive the jobs wait for them, with none they are refused.
//!
//! # Access
//!
//! All of it is under one mutex, except `queued`: a hint that lets the spinning thread look without the lock.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::Location;
use std::ptr;
use std::time::{Duration, Instant};

use loxley_sync::prim::atomic::{AtomicUsize, Ordering};
use loxley_sync::prim::lock::{Condvar, Mutex, MutexGuard};
use loxley_sync::prim::{CachePadded, spin_loop, thread};

use crate::clock::real_now as now;

use super::job::{self, Job, Refusal, Runnable};
use crate::payload::contain;

// std's in every flavour: closures are shared unsized, and nothing is published by the count itself.
use std::sync::Arc;

/// Something the pool calls on its threads.
pub type Hook = Arc<dyn Fn() + Send + Sync>;

/// How long a searching thread spins before it sleeps, in looks at the queue; each is a few nanoseconds. About the time
/// that a worker needs to be woken, to run its task and to submit the next job.
const SPIN_LOOKS: u32 = 200;

/// What a thread that has spun in vain spins next time: not nothing, or it would never learn that spinning pays again.
const SPIN_LOOKS_MIN: u32 = 20;

/// From this queue length on, entries whose awaiter has gone are swept out, each time the length has doubled.
const SWEEP_AT: usize = 1_024;

/// How a pool behaves.
#[derive(Clone)]
#[non_exhaustive]
pub struct PoolConfig {
    /// The most threads alive at once; at least 1.
    pub max_threads: usize,
    /// How long an idle thread is kept.
    pub keep_alive: Duration,
    /// Names the next thread.
    pub thread_name: Arc<dyn Fn() -> String + Send + Sync>,
    /// Stack of a thread in bytes; the standard library's default when `None`.
    pub stack_size: Option<usize>,
    /// Called first on every thread: installs what its jobs find as current. False: that has gone, and with it all jobs, so
    /// the other hooks are not called.
    pub on_thread: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
    /// Called after `on_thread`, before the first job.
    pub on_start: Option<Hook>,
    /// Called after each job, when the pool counts its thread as idle.
    pub on_idle: Option<Hook>,
    /// Called after the last job.
    pub on_stop: Option<Hook>,
    /// The longest spin before a thread sleeps, in looks at the queue; 0 switches spinning off.
    pub spin_looks: u32,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            max_threads: 512,
            keep_alive: Duration::from_secs(10),
            thread_name: Arc::new(|| "loxley-blocking".to_owned()),
            stack_size: None,
            on_thread: None,
            on_start: None,
            on_idle: None,
            on_stop: None,
            spin_looks: SPIN_LOOKS,
        }
    }
}

impl fmt::Debug for PoolConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolConfig")
            .field("max_threads", &self.max_threads)
            .field("keep_alive", &self.keep_alive)
            .field("stack_size", &self.stack_size)
            .finish_non_exhaustive()
    }
}

/// A pool of threads; clones share it.
///
/// A pool that is dropped without [`begin_shutdown`](Self::begin_shutdown) still runs what was submitted; its threads end
/// when their keep-alive is over.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

/// What a pool looks like at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Threads alive.
    pub threads: usize,
    /// Threads among them that have no job.
    pub idle: usize,
    /// Jobs that wait for a thread and whose awaiter still wants them.
    pub queued: usize,
}

/// A thread that did not end before the deadline of a shutdown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StuckThread {
    /// The thread's name.
    pub name: String,
    /// The line that submitted the job it runs; `None` when it is in a hook or on its way out.
    pub submitted_at: Option<&'static Location<'static>>,
    /// How long that job has been running.
    pub running_for: Duration,
}

thread::thread_local! {
    /// The pool this thread belongs to, as an address to compare. Never reset: the pool is there while it can be asked about.
    static HOME: Cell<*const Shared> = const { Cell::new(ptr::null()) };
}

struct Shared {
    /// Length of `Inner::queue`, for a spinning thread.
    queued: CachePadded<AtomicUsize>,
    inner: Mutex<Inner>,
    /// Notified whenever a thread is gone.
    gone: Condvar,
    config: PoolConfig,
}

struct Inner {
    queue: VecDeque<Runnable>,
    /// Length at which the queue is swept next.
    sweep_at: usize,
    /// Threads asleep, the one that fell asleep last at the end: it is claimed first, so the others can retire.
    asleep: Vec<Arc<Sleeper>>,
    /// Whether a thread is searching.
    searching: bool,
    /// Threads made or being made, and not gone.
    alive: usize,
    max_threads: usize,
    threads: Vec<Option<Record>>,
    shut_down: bool,
    /// Threads that have gone and are not joined: one, rarely a few. The next one to go joins them, a submitter never does.
    unjoined: Vec<thread::JoinHandle<()>>,
}

/// One thread's bell. Its pool's mutex goes with it.
struct Sleeper {
    seat: usize,
    bell: Condvar,
}

/// What is known about a thread, for the report at shutdown and for joining it.
struct Record {
    name: String,
    id: Option<thread::ThreadId>,
    handle: Option<thread::JoinHandle<()>>,
    job: Option<(&'static Location<'static>, Instant)>,
    /// The thread has gone before its maker could store the handle.
    gone: bool,
}

/// What must be done, after unlocking, so that the invariant holds.
#[must_use = "carry it out after unlocking, or queued jobs may wait for ever"]
enum Reinforcement {
    /// A thread is on its way, or all are busy.
    NotNeeded,
    /// P2: ring this claimed thread.
    Ring(Arc<Sleeper>),
    /// P1: make a thread for this seat.
    Make(usize),
}

/// What a pool thread does next.
enum Next {
    Run(Runnable, Reinforcement),
    End,
}

impl Pool {
    /// A pool without threads; they come with the jobs.
    ///
    /// # Panics
    ///
    /// If `config.max_threads` is 0.
    #[must_use]
    pub fn new(config: PoolConfig) -> Self {
        assert!(
            config.max_threads > 0,
            "a blocking pool needs at least one thread: set max_blocking_threads to 1 or more"
        );
        Self(Arc::new(Shared {
            queued: CachePadded::new(AtomicUsize::new(0)),
            inner: Mutex::new(Inner {
                queue: VecDeque::new(),
                sweep_at: SWEEP_AT,
                asleep: Vec::new(),
                searching: false,
                alive: 0,
                max_threads: config.max_threads,
                threads: Vec::new(),
                shut_down: false,
                unjoined: Vec::new(),
            }),
            gone: Condvar::new(),
            config,
        }))
    }

    /// Queues `f` and returns its future result. After shutdown the job is refused: its awaiter finds
    /// [`JobError::ShutDown`](super::JobError::ShutDown).
    #[track_caller]
    pub fn submit<F, T>(&self, f: F) -> Job<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.submit_at(f, Location::caller())
    }

    /// [`submit`](Self::submit) on behalf of the line `at`.
    pub(crate) fn submit_at<F, T>(&self, f: F, at: &'static Location<'static>) -> Job<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (runnable, job) = job::new(f, at);
        Shared::push(&self.0, runnable);
        job
    }

    /// Refuses every job that has not started and lets every thread end after the job it runs. Idempotent; returns at once.
    pub fn begin_shutdown(&self) {
        let mut inner = self.0.inner.lock();
        inner.shut_down = true;
        let unrun = std::mem::take(&mut inner.queue);
        self.0.note_len(&inner);
        // A sleeper that is not on the list was claimed; it finds the flag instead of a job.
        let asleep = std::mem::take(&mut inner.asleep);
        drop(inner);
        for sleeper in asleep {
            sleeper.bell.notify_one();
        }
        for runnable in unrun {
            runnable.refuse(Refusal::ShutDown);
        }
    }

    /// Waits until every thread is gone, at most `limit`, and reports those that are not. Call
    /// [`begin_shutdown`](Self::begin_shutdown) first. A pool thread that calls this does not wait for itself, be it in a job
    /// or in a thread-local that goes with it.
    #[must_use = "the report names the threads that are stuck"]
    pub fn join(&self, limit: Option<Duration>) -> Vec<StuckThread> {
        let deadline = limit.and_then(|limit| now().checked_add(limit));
        let own = thread::current().id();
        let mut inner = self.0.inner.lock();
        while inner.others(own).next().is_some() {
            let Some(deadline) = deadline else {
                inner = self.0.gone.wait(inner);
                continue;
            };
            let left = deadline.saturating_duration_since(now());
            if left.is_zero() {
                break;
            }
            inner = self.0.gone.wait_for(inner, left).0;
        }
        let now = now();
        let stuck = inner.others(own).map(|record| record.report(now)).collect();
        let unjoined = std::mem::take(&mut inner.unjoined);
        drop(inner);
        // A thread that has gone and drops its thread-locals is among them, or is being joined by one of them.
        if !self.0.is_home() {
            join_gone(unjoined);
        }
        stuck
    }

    /// What the pool looks like now. Walks the queue, so it is for reports, not for hot paths.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let inner = self.0.inner.lock();
        let busy = inner
            .threads
            .iter()
            .flatten()
            .filter(|record| record.job.is_some())
            .count();
        PoolStats {
            threads: inner.alive,
            idle: inner.alive.saturating_sub(busy),
            queued: inner.queue.iter().filter(|job| !job.is_withdrawn()).count(),
        }
    }
}

#[cfg(test)]
impl Pool {
    /// Entries in the queue, withdrawn ones too.
    pub(super) fn queue_len(&self) -> usize {
        self.0.inner.lock().queue.len()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.stats()).finish()
    }
}

impl Shared {
    fn push(this: &Arc<Self>, runnable: Runnable) {
        let mut inner = this.inner.lock();
        if inner.shut_down {
            drop(inner);
            runnable.refuse(Refusal::ShutDown);
            return;
        }
        inner.queue.push_back(runnable);
        let swept = inner.sweep();
        this.note_len(&inner);
        let duty = inner.reinforce();
        drop(inner);
        drop(swept);
        Self::carry_out(this, duty);
    }

    /// Tells a spinning thread how many jobs are queued.
    fn note_len(&self, inner: &Inner) {
        // ordering: Relaxed, a hint: the spinning thread takes the lock before it believes it.
        self.queued.store(inner.queue.len(), Ordering::Relaxed);
    }

    /// Does what [`Inner::reinforce`] asked for. Call it with no lock held.
    fn carry_out(this: &Arc<Self>, duty: Reinforcement) {
        match duty {
            Reinforcement::NotNeeded => {}
            Reinforcement::Ring(sleeper) => sleeper.bell.notify_one(),
            Reinforcement::Make(seat) => Self::make_thread(this, seat),
        }
    }

    /// P1, or the end of the attempt: the seat is given back when no thread can be made, or when naming it panics.
    fn make_thread(this: &Arc<Self>, seat: usize) {
        let mut failed = Some(io::ErrorKind::Other);
        contain(|| {
            let name = (this.config.thread_name)();
            this.inner.lock().record(seat).name.clone_from(&name);
            let pool = this.clone();
            let body = move || Self::live(&pool, seat);
            match thread::spawn_named(name, this.config.stack_size, body) {
                Ok(handle) => {
                    failed = None;
                    this.keep_handle(seat, handle);
                }
                Err(error) => failed = Some(error.kind()),
            }
        });
        if let Some(why) = failed {
            Self::give_up_seat(this, seat, why);
        }
    }

    fn keep_handle(&self, seat: usize, handle: thread::JoinHandle<()>) {
        let mut inner = self.inner.lock();
        let record = inner.threads[seat]
            .as_mut()
            .expect("a thread's record waits for its handle");
        if !record.gone {
            record.handle = Some(handle);
            return;
        }
        inner.threads[seat] = None;
        inner.unjoined.push(handle);
        drop(inner);
        self.gone.notify_all();
    }

    /// P1 failed. With other threads alive the jobs wait for them, with none they are refused.
    fn give_up_seat(this: &Arc<Self>, seat: usize, why: io::ErrorKind) {
        let mut inner = this.inner.lock();
        inner.threads[seat] = None;
        inner.alive -= 1;
        inner.searching = false;
        let unrun = if inner.alive == 0 {
            std::mem::take(&mut inner.queue)
        } else {
            VecDeque::new()
        };
        this.note_len(&inner);
        // A thread may have fallen asleep because this one was said to be searching. Another one is not tried for now.
        let duty = inner.claim();
        drop(inner);
        this.gone.notify_all();
        Self::carry_out(this, duty);
        for runnable in unrun {
            runnable.refuse(Refusal::NoThread(why));
        }
    }

    /// Whether this thread is one of this pool, or was until it began to drop its thread-locals.
    fn is_home(&self) -> bool {
        HOME.try_with(|home| ptr::eq(home.get(), self))
            .unwrap_or(false)
    }

    /// A pool thread from its first to its last step.
    fn live(this: &Arc<Self>, seat: usize) {
        let config = &this.config;
        HOME.with(|home| home.set(Arc::as_ptr(this)));
        this.inner.lock().record(seat).id = Some(thread::current().id());
        let is_wanted = config.on_thread.as_ref().is_none_or(|hook| hook());
        let call = |hook: &Option<Hook>| {
            if let Some(hook) = hook.as_ref().filter(|_| is_wanted) {
                contain(|| hook());
            }
        };
        call(&config.on_start);
        let me = Arc::new(Sleeper {
            seat,
            bell: Condvar::new(),
        });
        let mut spin = config.spin_looks;
        let mut searching = true;
        while let Next::Run(runnable, duty) = this.next(&me, searching, &mut spin) {
            Self::carry_out(this, duty);
            runnable.run();
            if let Some(hook) = &config.on_idle {
                this.inner.lock().record(seat).job = None;
                contain(|| hook());
            }
            searching = false;
        }
        call(&config.on_stop);
        Self::end(this, seat);
    }

    /// Waits for the next job: P3 to P7.
    fn next(&self, me: &Arc<Sleeper>, mut searching: bool, spin: &mut u32) -> Next {
        let mut started = Some(now());
        let mut may_spin = true;
        let mut inner = self.inner.lock();
        inner.record(me.seat).job = None;
        loop {
            if inner.shut_down {
                inner.searching &= !searching;
                return Next::End;
            }
            if let Some(runnable) = inner.queue.pop_front() {
                inner.searching &= !searching;
                let started = started.unwrap_or_else(now);
                inner.record(me.seat).job = Some((runnable.submitted_at(), started));
                self.note_len(&inner);
                let duty = inner.reinforce();
                return Next::Run(runnable, duty);
            }
            if may_spin && *spin > 0 && (searching || !inner.searching) {
                // P5. The flag keeps submitters from waking anybody; the queue is looked at again under the lock.
                (searching, inner.searching, may_spin) = (true, true, false);
                drop(inner);
                *spin = self.spin(*spin);
                started = None;
                inner = self.inner.lock();
                continue;
            }
            // P6. What comes after it starts later.
            started = None;
            inner.searching &= !searching;
            match self.sleep(inner, me) {
                Some(locked) => inner = locked,
                None => return Next::End,
            }
            (searching, may_spin) = (true, true);
        }
    }

    /// Looks for a queued job without the lock and returns how long to spin next time.
    fn spin(&self, looks: u32) -> u32 {
        for _ in 0..looks {
            // ordering: Relaxed, a hint; the caller looks again under the lock.
            if self.queued.load(Ordering::Relaxed) > 0 {
                return self.config.spin_looks;
            }
            spin_loop();
        }
        (looks / 2).max(SPIN_LOOKS_MIN.min(self.config.spin_looks))
    }

    /// P6 and what follows: P2 returns the lock with this thread searching, P7 returns none.
    fn sleep<'a>(
        &'a self,
        mut inner: MutexGuard<'a, Inner>,
        me: &Arc<Sleeper>,
    ) -> Option<MutexGuard<'a, Inner>> {
        let keep_alive = self.config.keep_alive;
        if keep_alive.is_zero() {
            return None;
        }
        inner.asleep.push(me.clone());
        loop {
            let (locked, timed_out) = me.bell.wait_for(inner, keep_alive);
            inner = locked;
            // Whoever claims a sleeper, or shuts the pool down, takes it off the list: that decides, not the bell.
            let Some(place) = inner.asleep.iter().position(|other| other.seat == me.seat) else {
                return Some(inner);
            };
            if timed_out {
                inner.asleep.remove(place);
                return None;
            }
        }
    }

    /// P7, in two steps.
    fn end(this: &Arc<Self>, seat: usize) {
        // 1. Give up the place; a job may have been waiting for it.
        let mut inner = this.inner.lock();
        inner.alive -= 1;
        let duty = inner.reinforce();
        drop(inner);
        Self::carry_out(this, duty);
        // 2. Publish the handle, as the very last act: whoever finds it may wait for this thread.
        let mut inner = this.inner.lock();
        let before = std::mem::take(&mut inner.unjoined);
        let record = inner.record(seat);
        record.gone = true;
        if let Some(handle) = record.handle.take() {
            inner.threads[seat] = None;
            inner.unjoined.push(handle);
        }
        drop(inner);
        this.gone.notify_all();
        join_gone(before);
    }
}

impl Inner {
    /// Re-establishes the invariant: claims a sleeper (P2) or reserves a seat (P1) if jobs are queued and nobody searches.
    fn reinforce(&mut self) -> Reinforcement {
        if self.alive == self.max_threads || !self.asleep.is_empty() {
            return self.claim();
        }
        if self.queue.is_empty() || self.searching || self.shut_down {
            return Reinforcement::NotNeeded;
        }
        self.searching = true;
        self.alive += 1;
        let record = Record {
            name: String::new(),
            id: None,
            handle: None,
            job: None,
            gone: false,
        };
        let seat = self
            .threads
            .iter()
            .position(Option::is_none)
            .unwrap_or_else(|| {
                self.threads.push(None);
                self.threads.len() - 1
            });
        self.threads[seat] = Some(record);
        Reinforcement::Make(seat)
    }

    /// P2, if jobs are queued and nobody searches.
    fn claim(&mut self) -> Reinforcement {
        if self.queue.is_empty() || self.searching {
            return Reinforcement::NotNeeded;
        }
        let Some(sleeper) = self.asleep.pop() else {
            return Reinforcement::NotNeeded;
        };
        self.searching = true;
        Reinforcement::Ring(sleeper)
    }

    /// Takes out the jobs whose awaiter has gone, once the queue has doubled since the last time; drop them after unlocking.
    fn sweep(&mut self) -> Vec<Runnable> {
        if self.queue.len() < self.sweep_at {
            return Vec::new();
        }
        let (withdrawn, wanted) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition::<Vec<_>, _>(|job| job.is_withdrawn());
        self.queue = wanted.into();
        self.sweep_at = SWEEP_AT.max(self.queue.len() * 2);
        withdrawn
    }

    fn record(&mut self, seat: usize) -> &mut Record {
        self.threads[seat]
            .as_mut()
            .expect("a living thread has a record")
    }

    /// The records of all threads but the one that asks.
    fn others(&self, own: thread::ThreadId) -> impl Iterator<Item = &Record> {
        self.threads
            .iter()
            .flatten()
            .filter(move |record| record.id != Some(own))
    }
}

impl Record {
    fn report(&self, now: Instant) -> StuckThread {
        StuckThread {
            name: self.name.clone(),
            submitted_at: self.job.map(|(at, _)| at),
            running_for: self.job.map_or(Duration::ZERO, |(_, since)| {
                now.saturating_duration_since(since)
            }),
        }
    }
}

/// Waits for threads that have left the pool: they have only their thread-locals left to drop.
fn join_gone(handles: Vec<thread::JoinHandle<()>>) {
    for handle in handles {
        // A panic of a thread-local's destructor has been reported by the panic hook.
        drop(handle.join());
    }
}
