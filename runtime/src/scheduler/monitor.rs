//! Notices a worker that is stuck in one poll, and sees to it that the others can do without it.
//!
//! A thread of its own. It never runs a task and never touches a queue; it only reads counters, sets hints and unparks. It
//! has three gears, so that a program that only waits for its next event pays next to nothing for it:
//!
//! | gear | when | looks every |
//! |---|---|---|
//! | fast | a worker has lately put a task where a sleeper could take it | [`TICK`], up to [`CALM_TICK`] |
//! | slow | some worker is awake | [`SLOW_TICK`] |
//! | none | all workers sleep | – |
//!
//! In the fast gear it looks the less often the longer nobody was stuck, as Go's `sysmon` does: a server whose polls are all
//! short makes such pushes all day. The first stuck poll after that is found a little later, those that follow at once.
//!
//! The thread is started by the first push that needs the fast gear, or by whoever is left outside to notice that a poll
//! might be long: a `block_on` or a worker that has slept for [`FIRST_LOOK`], a thread outside the runtime that spawns, a
//! worker that has been busy for a while. A runtime that runs something short and stops pays for no third thread.
//!
//! For a worker whose poll has not ended since the last look, it
//! - opens the LIFO slot to thieves and wakes a sleeper if there is something to steal,
//! - wakes a sleeper if the worker's timers are late or nobody sits in the driver,
//! - reports task, spawn site and duration once the poll takes longer than the builder's threshold.
//!
//! Without it a task in the LIFO slot would wait for as long as its spawner computes, and one long poll could freeze all I/O.
//!
//! # Changing gear
//!
//! A push reads `slow` after it has made its task visible, with no fence: it may read an old "fast". So the monitor looks once
//! more, a tick after it has raised `slow`, whether anything is to be had, and goes on fast if so. By then what was pushed
//! before is visible, and later pushes see the flag.
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
use loxley_sync::prim::thread::{self, JoinHandle};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the workers are looked at: a poll is seen to be stuck after at most two ticks, so a task behind it starts on
/// an idle worker within a millisecond.
const TICK: Duration = Duration::from_micros(300);

/// How often at the least, in the fast gear. It was a fiftieth of the CPU of a busy server to look every [`TICK`].
const CALM_TICK: Duration = Duration::from_micros(2_400);

/// How often they are looked at while nothing is to be had: late timers, an unattended driver and slow polls can wait for it.
const SLOW_TICK: Duration = Duration::from_millis(10);

/// So many fast ticks without anything to do, then slow: a program that goes on pushing asks for the fast gear at most once
/// in this time. What follows then are ticks twice as long.
const FAST_TICKS: u32 = 50;

/// A `block_on` or a worker that has slept this long has the monitor started. No shorter than the kernel's own tick: a sleep
/// that ends sooner than all else on its processor has the clock set for it twice, which took 20 µs of a virtual machine.
const FIRST_LOOK: Duration = SLOW_TICK;

/// When a sleep that begins `now`, in nanoseconds of the timers' clock, has lasted that long.
#[expect(clippy::cast_possible_truncation, reason = "ten milliseconds")]
pub(super) fn first_look(now: u64) -> u64 {
    now + FIRST_LOOK.as_nanos() as u64
}

/// A backlog this long at two looks in a row is worth waking a sleeper for, even if its worker is not stuck.
const BACKLOG: usize = 4;

/// The monitor of one runtime.
#[derive(Debug)]
pub(super) struct Monitor {
    started: AtomicBool,
    slow: AtomicBool,
    doze: Doze,
    timers_late: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Whether the monitor sleeps deeply, and whether it must end: the module's last section. Models drive it as the monitor does.
#[derive(Debug)]
pub struct Doze {
    asleep: AtomicBool,
    stopping: AtomicBool,
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
            slow: AtomicBool::new(true),
            doze: Doze::new(),
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
            || shared.is_fifo()
            || shared.remotes.len() < 2 && !shared.reports_slow_polls()
        {
            return;
        }
        let watched = shared.clone();
        match thread::spawn_named("loxley-monitor".to_owned(), None, move || watch(&watched)) {
            Ok(thread) => {
                *self.thread.lock() = Some(thread);
                // `stop` may have come before the thread was there to be unparked.
                if self.doze.is_stopping() {
                    self.unpark();
                }
            }
            Err(error) => shared.report(format!(
                "no thread for the monitor, so stuck polls go unnoticed: {error}"
            )),
        }
    }

    /// A worker has put a task where only the monitor would find it, and somebody sleeps.
    #[inline]
    pub(super) fn hurry(&self, shared: &Shared) {
        // ordering: relaxed; see *Changing gear*.
        if self.slow.load(Ordering::Relaxed) && shared.idle.asleep() > 0 {
            self.hurry_slow(shared);
        }
    }

    #[cold]
    fn hurry_slow(&self, shared: &Shared) {
        // ordering: relaxed, the start or the unpark synchronises.
        self.slow.store(false, Ordering::Relaxed);
        crate::current::with_shared(|current| {
            if std::ptr::eq(&**current, shared) {
                self.ensure_started(current);
            }
        });
        self.unpark();
    }

    /// A worker has left the list of sleepers.
    #[inline]
    pub(super) fn worker_woke(&self) {
        if self.doze.must_be_told() {
            self.unpark();
        }
    }

    #[cold]
    fn unpark(&self) {
        self.doze.end();
        let thread = self.thread.lock().as_ref().map(|it| it.thread().clone());
        if let Some(thread) = thread {
            thread.unpark();
        }
    }

    /// Whether a stuck worker's timers are due.
    pub(super) fn timers_are_late(&self) -> bool {
        // ordering: relaxed, a hint.
        self.timers_late.load(Ordering::Relaxed)
    }

    /// The runtime shuts down.
    pub(super) fn stop(&self) {
        self.doze.stop();
        self.unpark();
    }

    /// Waits for the thread after [`stop`](Self::stop).
    pub(super) fn join(&self) {
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            // Its handler may have had the last reference to the runtime: it does not wait for itself.
            if thread.thread().id() != thread::current().id() {
                // It runs no user code but the handler, whose panics are caught.
                let _ = thread.join();
            }
        }
    }
}

impl Doze {
    /// Awake, and to stay.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "one is made on purpose")]
    pub fn new() -> Self {
        Self {
            asleep: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        }
    }

    /// The monitor found all workers asleep: so does it sleep, until one has woken or it is to end.
    pub fn rest(&self, all_asleep: impl Fn() -> bool) {
        // ordering: relaxed, the fence orders it.
        self.asleep.store(true, Ordering::Relaxed);
        // ordering: pairs with the fence in `must_be_told`; see the module's last section.
        fence(Ordering::SeqCst);
        // ordering: relaxed, the fence and the park's token order it.
        while self.asleep.load(Ordering::Relaxed) && !self.is_stopping() {
            if !all_asleep() {
                // ordering: relaxed, a worker that still sees it raised unparks in vain.
                self.asleep.store(false, Ordering::Relaxed);
                return;
            }
            thread::park();
        }
    }

    /// A worker has left the list of sleepers: whether it must [`end`](Self::end) the monitor's sleep and unpark it.
    #[inline]
    #[must_use]
    pub fn must_be_told(&self) -> bool {
        // ordering: pairs with the fence in `rest`; see the module's last section.
        fence(Ordering::SeqCst);
        // ordering: relaxed, the fence orders it.
        self.asleep.load(Ordering::Relaxed)
    }

    /// The sleep is over; the caller unparks the monitor.
    pub fn end(&self) {
        // ordering: relaxed, the unpark that follows synchronises.
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// The monitor is to end; the caller goes on to [`end`](Self::end) its sleep.
    pub fn stop(&self) {
        // ordering: relaxed, the unpark that follows synchronises.
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the monitor is to end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        // ordering: relaxed, the park's token orders it.
        self.stopping.load(Ordering::Relaxed)
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
    let mut pace = Pace::new();
    while !monitor.doze.is_stopping() {
        if shared.idle.all_asleep() {
            monitor.doze.rest(|| shared.idle.all_asleep());
            // The rest may have taken the token of `stop`, and nobody gives another.
            if monitor.doze.is_stopping() {
                return;
            }
        }
        // After the rest, which may have taken the token of a push as well.
        // ordering: relaxed; see *Changing gear*.
        let slow = monitor.slow.load(Ordering::Relaxed);
        thread::park_timeout(if slow { SLOW_TICK } else { pace.tick });
        if monitor.doze.is_stopping() {
            return;
        }
        let helped = look(shared, &mut seen);
        // ordering: relaxed, as above; it may have changed while this thread was parked.
        if monitor.slow.load(Ordering::Relaxed) {
            continue;
        }
        if slow {
            pace.left = FAST_TICKS;
        }
        if pace.goes_on_fast(helped) {
            continue;
        }
        // ordering: relaxed; see *Changing gear*.
        monitor.slow.store(true, Ordering::Relaxed);
        thread::park_timeout(TICK);
        if shared.has_something_to_take() {
            // ordering: as above.
            monitor.slow.store(false, Ordering::Relaxed);
            pace.left = FAST_TICKS;
        }
    }
}

/// How often the workers are looked at in the fast gear, and for how many looks more.
struct Pace {
    tick: Duration,
    left: u32,
}

impl Pace {
    fn new() -> Self {
        Self {
            tick: TICK,
            left: FAST_TICKS,
        }
    }

    /// After a fast look: whether another one follows.
    fn goes_on_fast(&mut self, helped: bool) -> bool {
        if helped {
            *self = Self::new();
            return true;
        }
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            self.tick = CALM_TICK.min(2 * self.tick);
        }
        self.left > 0
    }
}

impl Shared {
    /// Whether a task waits that a sleeper could take.
    fn has_something_to_take(&self) -> bool {
        let is_open = |remote: &Remote| !remote.lifo.is_empty() || !remote.stealer.is_empty();
        self.idle.asleep() > 0 && self.remotes.iter().any(|remote| is_open(remote))
    }
}

/// One look at every worker. True if a sleeper was woken to help one.
fn look(shared: &Shared, seen: &mut [Seen]) -> bool {
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
    if late != shared.monitor.timers_are_late() {
        // ordering: relaxed, a hint for the worker woken below, which the unpark synchronises with.
        shared.monitor.timers_late.store(late, Ordering::Relaxed);
    }
    let helper = if wanted {
        shared.idle.claim_any()
    } else {
        None
    };
    if let Some(worker) = helper {
        shared.unpark(worker);
    }
    helper.is_some()
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

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::{CALM_TICK, FAST_TICKS, Pace, TICK};

    /// Looks in vain until the gear is slow; so many looks.
    fn look_in_vain(pace: &mut Pace) -> u32 {
        pace.left = FAST_TICKS;
        let mut looks = 1;
        while pace.goes_on_fast(false) {
            looks += 1;
        }
        looks
    }

    #[test]
    fn looks_in_vain_come_less_often_and_one_that_helps_brings_them_back() {
        let mut pace = Pace::new();
        let mut ticks = vec![];
        for _ in 0..5 {
            ticks.push(pace.tick);
            assert_eq!(look_in_vain(&mut pace), FAST_TICKS);
        }
        assert_eq!(ticks, [TICK, 2 * TICK, 4 * TICK, CALM_TICK, CALM_TICK]);
        assert!(pace.goes_on_fast(true));
        assert_eq!(pace.tick, TICK);
    }
}
