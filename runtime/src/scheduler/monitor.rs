//! Notices a worker that is stuck in one poll, and sees to it that the others can do without it.
//!
//! A thread of its own. It is started by whoever is left outside to notice that a poll might be long: a `block_on` or a
//! worker that has slept for [`FIRST_LOOK`], a thread outside the runtime that spawns, a worker that has been busy for a
//! while. So a runtime that runs something short and stops pays for no third thread, and whoever sleeps while another is
//! stuck has first seen to it that somebody watches. While any worker is awake it looks at each of
//! them every [`TICK`]; when all sleep it sleeps too, until a worker wakes it. It never runs a task and never touches a
//! queue; it only reads counters, sets hints and unparks.
//!
//! For a worker whose poll has not ended since the last look, it
//! - opens the LIFO slot to thieves and wakes a sleeper if there is something to steal,
//! - wakes a sleeper if the worker's timers are late or nobody sits in the driver,
//! - reports task, spawn site and duration once the poll takes longer than the builder's threshold.
//!
//! Without it a task in the LIFO slot would wait for as long as its spawner computes, and one long poll could freeze all I/O.
//!
//! # The deep sleep
//!
//! The monitor raises `asleep`, then a fence, then looks whether all workers sleep. A worker that woke has left the list of
//! sleepers (I4 or I5), then a fence, then looks at `asleep`. One of the two sees the other.

use super::shared::{Counters, Remote, Shared};
use crate::clock::real_now;
use crate::task::Scheduled;
use loxley_sync::prim::atomic::{AtomicBool, Ordering, fence};
use loxley_sync::prim::lock::Mutex;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the workers are looked at: a poll is seen to be stuck after at most two ticks, so a task behind it starts on
/// an idle worker within a millisecond.
const TICK: Duration = Duration::from_micros(400);

/// A `block_on` or a worker that has slept this long has the monitor started.
const FIRST_LOOK: Duration = Duration::from_micros(500);

/// When a sleep that begins `now`, in nanoseconds of the timers' clock, has lasted that long.
#[expect(clippy::cast_possible_truncation, reason = "half a millisecond")]
pub(super) fn first_look(now: u64) -> u64 {
    now + FIRST_LOOK.as_nanos() as u64
}

/// So many looks find all workers asleep before the monitor sleeps too: the first poll after that has to wake it.
const QUIET_TICKS: u32 = 4;

/// A backlog this long at two looks in a row is worth waking a sleeper for, even if its worker is not stuck.
const BACKLOG: usize = 4;

/// The monitor of one runtime.
#[derive(Debug)]
pub(super) struct Monitor {
    started: AtomicBool,
    asleep: AtomicBool,
    stopping: AtomicBool,
    timers_late: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What was seen of one worker.
#[derive(Clone, Copy)]
struct Seen {
    polls: u32,
    since: Instant,
    backlog: bool,
    reported: bool,
}

impl Monitor {
    pub(super) fn new() -> Self {
        Self {
            started: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            timers_late: AtomicBool::new(false),
            thread: Mutex::new(None),
        }
    }

    /// A worker is about to poll `task`.
    #[inline]
    pub(super) fn begin_poll(counters: &Counters, task: &Scheduled) {
        // ordering: relaxed, all three: hints, each written by one worker only.
        let polls = counters.polls.load(Ordering::Relaxed);
        // ordering: as above.
        counters
            .polls
            .store(polls.wrapping_add(1), Ordering::Relaxed);
        // ordering: as above.
        counters.polling.store(task.id().get(), Ordering::Relaxed);
    }

    /// Whether the thread has been started, or tried.
    #[inline]
    pub(super) fn is_started(&self) -> bool {
        // ordering: relaxed, `start` decides.
        self.started.load(Ordering::Relaxed)
    }

    /// Starts the thread if nobody has.
    #[inline]
    pub(super) fn ensure_started(&self, shared: &Arc<Shared>) {
        if !self.is_started() {
            self.start(shared);
        }
    }

    #[cold]
    fn start(&self, shared: &Arc<Shared>) {
        // ordering: relaxed, only one caller may go on, and it publishes nothing but the thread, which has its lock.
        if self.started.swap(true, Ordering::Relaxed)
            || shared.remotes.len() < 2 && !shared.reports_slow_polls()
        {
            return;
        }
        let watched = shared.clone();
        let thread = std::thread::Builder::new()
            .name("loxley-monitor".to_owned())
            .spawn(move || watch(&watched));
        match thread {
            Ok(thread) => {
                *self.thread.lock() = Some(thread);
                // ordering: relaxed; `stop` may have come before the thread was there to be unparked.
                if self.stopping.load(Ordering::Relaxed) {
                    self.unpark();
                }
            }
            Err(error) => shared.report(format!(
                "no thread for the monitor, so stuck polls go unnoticed: {error}"
            )),
        }
    }

    /// A worker has left the list of sleepers.
    #[inline]
    pub(super) fn worker_woke(&self) {
        // ordering: pairs with the fence in `rest`; see the module's last section.
        fence(Ordering::SeqCst);
        // ordering: relaxed, the fence orders it.
        if self.asleep.load(Ordering::Relaxed) {
            self.unpark();
        }
    }

    #[cold]
    fn unpark(&self) {
        // ordering: relaxed, the unpark that follows synchronises.
        self.asleep.store(false, Ordering::Relaxed);
        if let Some(thread) = &*self.thread.lock() {
            thread.thread().unpark();
        }
    }

    /// Whether a stuck worker's timers are due.
    pub(super) fn timers_are_late(&self) -> bool {
        // ordering: relaxed, a hint.
        self.timers_late.load(Ordering::Relaxed)
    }

    /// The runtime shuts down.
    pub(super) fn stop(&self) {
        // ordering: relaxed, the unpark that follows synchronises.
        self.stopping.store(true, Ordering::Relaxed);
        self.unpark();
    }

    /// Waits for the thread after [`stop`](Self::stop).
    pub(super) fn join(&self) {
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            // It runs no user code but the handler, whose panics are caught.
            let _ = thread.join();
        }
    }

    /// All workers sleep: so does the monitor.
    fn rest(&self, shared: &Shared) {
        // ordering: relaxed, the fence orders it.
        self.asleep.store(true, Ordering::Relaxed);
        // ordering: pairs with the fence in `worker_woke`; see the module's last section.
        fence(Ordering::SeqCst);
        // ordering: relaxed, both: the fence and the park's token order them.
        while self.asleep.load(Ordering::Relaxed) && !self.stopping.load(Ordering::Relaxed) {
            if !shared.idle.all_asleep() {
                // ordering: relaxed, a worker that still sees it raised unparks in vain.
                self.asleep.store(false, Ordering::Relaxed);
                return;
            }
            std::thread::park();
        }
    }
}

fn watch(shared: &Shared) {
    let monitor = &shared.monitor;
    let mut seen = vec![
        Seen {
            polls: 0,
            since: real_now(),
            backlog: false,
            reported: false,
        };
        shared.remotes.len()
    ];
    let mut quiet = 0;
    // ordering: relaxed, the park's token orders it.
    while !monitor.stopping.load(Ordering::Relaxed) {
        if shared.idle.all_asleep() {
            quiet += 1;
            if quiet >= QUIET_TICKS {
                monitor.rest(shared);
                quiet = 0;
            }
        } else {
            quiet = 0;
        }
        std::thread::park_timeout(TICK);
        look(shared, &mut seen);
    }
}

/// One look at every worker.
fn look(shared: &Shared, seen: &mut [Seen]) {
    let now = real_now();
    let mut late = false;
    let mut wanted = false;
    for (index, (remote, seen)) in shared.remotes.iter().zip(seen).enumerate() {
        let backlog = remote.stealer.len() >= BACKLOG;
        wanted |= backlog && seen.backlog;
        seen.backlog = backlog;
        let stuck = is_stuck(remote, seen, now);
        // ordering: relaxed, a hint for thieves.
        if stuck != remote.stuck.load(Ordering::Relaxed) {
            // ordering: as above.
            remote.stuck.store(stuck, Ordering::Relaxed);
        }
        if !stuck {
            continue;
        }
        let deadline = shared.timers.next_deadline_of(index);
        let overdue = deadline.is_some_and(|at| at <= shared.timers.clock().now_ns());
        late |= overdue;
        wanted |= overdue
            || !remote.lifo.is_empty()
            || !remote.stealer.is_empty()
            || !shared.is_driver_attended();
        report_if_slow(shared, remote, seen, now);
    }
    // ordering: relaxed, a hint for the worker woken below, which the unpark synchronises with.
    shared.monitor.timers_late.store(late, Ordering::Relaxed);
    if wanted {
        if let Some(worker) = shared.idle.claim_any() {
            shared.unpark(worker);
        }
    }
}

/// Whether the worker is still in the poll it was in at the last look.
fn is_stuck(remote: &Remote, seen: &mut Seen, now: Instant) -> bool {
    // ordering: relaxed, hints.
    let polls = remote.counters.polls.load(Ordering::Relaxed);
    // ordering: as above.
    let polling = remote.counters.polling.load(Ordering::Relaxed) != 0;
    if polling && polls == seen.polls {
        return true;
    }
    *seen = Seen {
        polls,
        since: now,
        reported: false,
        ..*seen
    };
    false
}

fn report_if_slow(shared: &Shared, remote: &Remote, seen: &mut Seen, now: Instant) {
    let stuck_for = now.saturating_duration_since(seen.since);
    if seen.reported || stuck_for < shared.config.slow_poll {
        return;
    }
    seen.reported = true;
    // ordering: relaxed, a hint.
    let id = remote.counters.polling.load(Ordering::Relaxed);
    let tasks = shared.registry.tasks();
    if let Some(task) = tasks.iter().find(|task| task.id().get() == id) {
        shared.report(format!(
            "{task} has blocked its worker in one poll for {stuck_for:.1?}; give long computations and blocking calls to `to_thread`"
        ));
    }
}
