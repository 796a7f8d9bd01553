//! What all threads of one runtime see.
//!
//! # Lock order
//!
//! At most one lock at a time, but for these pairs: the driver's own lock (only ever tried) before the locks of sources and
//! timers that a turn takes. The foreign roster's lock is taken alone.

use super::idle::Idle;
use super::monitor::Monitor;
use super::park::Park;
use super::quiet::Quiet;
use super::shutdown::Shutdown;
use crate::blocking::Pool;
use crate::bridge::Bridge;
use crate::clock::{Clock, real_now};
use crate::driver::timers::{Site, TimerSite, Timers};
use crate::driver::{Driver, DriverHandle};
use crate::id::TaskIds;
use crate::queue::{Injector, Local, Stealer};
use crate::task::{Registry, Reporter, Roster, Scheduled, Slot, TaskRef, Turn};
use loxley_sync::prim::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use loxley_sync::prim::lock::Mutex;
use loxley_sync::prim::{Arc as ModelArc, CachePadded};
use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// A callback of the builder.
pub(crate) type Hook = Arc<dyn Fn() + Send + Sync>;

/// A callback about one task.
pub(crate) type TaskHook = Arc<dyn Fn(&TaskRef) + Send + Sync>;

/// The knobs, as the builder leaves them.
#[derive(Clone)]
pub(crate) struct Config {
    /// Worker threads; 0 is the strict one-thread flavour.
    pub(crate) workers: usize,
    pub(crate) global_queue_interval: u32,
    pub(crate) event_interval: u32,
    pub(crate) io_events_max: usize,
    /// How long the thread at the driver may look before it sleeps.
    pub(crate) io_look: Duration,
    pub(crate) seed: u64,
    pub(crate) slow_poll: Duration,
    pub(crate) debug: bool,
    pub(crate) paused: bool,
    /// Whether a hidden Tokio stands beside this runtime; without its feature, never.
    pub(crate) tokio_context: bool,
    /// What `run` takes like SIGINT; the scheduler itself never looks at it.
    pub(crate) shutdown_signals: Vec<i32>,
    pub(crate) reporter: Reporter,
    pub(crate) on_thread_start: Option<Hook>,
    pub(crate) on_thread_stop: Option<Hook>,
    pub(crate) on_thread_park: Option<Hook>,
    pub(crate) on_thread_unpark: Option<Hook>,
    pub(crate) on_task_spawn: Option<TaskHook>,
    pub(crate) on_task_terminate: Option<TaskHook>,
}

/// One worker as the others see it. What its worker writes at every poll is apart from what thieves read at every search.
pub(super) struct Remote {
    pub(super) stealer: Stealer<Scheduled>,
    /// The task to run next; put by the worker, taken by it or, while it is stuck, by a thief.
    pub(super) lifo: CachePadded<Slot>,
    pub(super) park: Park,
    /// Set by the monitor while the worker is stuck in a poll: its LIFO slot is open to thieves.
    pub(super) stuck: AtomicBool,
    pub(super) counters: CachePadded<Counters>,
}

/// Written by one worker, read by whoever is curious.
#[derive(Default)]
pub(super) struct Counters {
    /// Polls begun.
    pub(super) polls: AtomicU32,
    /// The task being polled; 0 between polls.
    pub(super) polling: AtomicU64,
    pub(super) parks: AtomicU64,
    pub(super) steals: AtomicU64,
}

/// The right to spawn for threads that are not workers.
#[derive(Debug)]
pub(super) struct Foreign {
    pub(super) roster: Roster,
    pub(super) ids: TaskIds,
}

// User code that panics does so in a task or behind `contain`, and never under a lock (N7): nothing here is left half done.
impl UnwindSafe for Shared {}
impl RefUnwindSafe for Shared {}

/// One runtime.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(super) remotes: Box<[CachePadded<Remote>]>,
    pub(super) injector: Injector<Scheduled>,
    pub(super) idle: Idle,
    pub(super) registry: Registry,
    /// On a line of its own: threads outside write it at every spawn, and all around it is read by every worker all the time.
    pub(super) foreign: CachePadded<Mutex<Foreign>>,
    /// Held by the one thread that waits for the world; only ever tried, except by `fifo.rs`, whose one thread owns it.
    pub(super) driver: CachePadded<Mutex<Driver>>,
    pub(super) driver_handle: DriverHandle,
    pub(super) timers: ModelArc<Timers>,
    /// One per shard of them.
    timer_sites: Box<[Site]>,
    pub(super) pool: Pool,
    pub(super) monitor: Monitor,
    pub(super) shutdown: Shutdown,
    /// Beside workers, if the clock stands: who is awake.
    pub(super) quiet: Option<Quiet>,
    pub(super) bridge: Bridge,
    /// Where the one thread of the strict flavour sleeps.
    pub(super) fifo_park: Park,
    /// Whether a thread waits in the driver right now: a hint for the monitor.
    driver_attended: AtomicBool,
    /// Whether some `block_on` has the timer shard for main tasks.
    pub(super) main_shard_taken: AtomicBool,
}

/// What a worker brings into its core.
pub(super) struct Seat {
    pub(super) index: usize,
    pub(super) local: Local<Scheduled>,
    pub(super) roster: Roster,
}

impl Shared {
    /// The shared part of a runtime, and a seat for each worker.
    pub(super) fn new(config: Config, pool: Pool) -> io::Result<(Arc<Self>, Vec<Seat>)> {
        let (mut driver, driver_handle) = Driver::new(config.io_events_max)?;
        driver.set_look_limit(config.io_look);
        let clock = if config.paused {
            Clock::paused()
        } else {
            Clock::new()
        };
        let poke = driver_handle.clone();
        // One shard per worker, one for `block_on`, and the foreign one.
        let timers = Timers::new(config.workers + 1, clock, Box::new(move || poke.unpark()));
        let timers = ModelArc::new(timers);
        let timer_sites = (0..=timers.foreign_shard())
            .map(|shard| TimerSite::new(timers.clone(), shard))
            .collect();
        let (registry, mut rosters) = Registry::new(config.workers + 1);
        let foreign_roster = rosters.pop().expect("one more than workers");
        let mut seats = Vec::new();
        let mut remotes = Vec::new();
        for (index, roster) in rosters.into_iter().enumerate() {
            let (local, stealer) = Local::new();
            seats.push(Seat {
                index,
                local,
                roster,
            });
            remotes.push(CachePadded::new(Remote {
                stealer,
                lifo: CachePadded::new(Slot::new()),
                park: Park::new(),
                stuck: AtomicBool::new(false),
                counters: CachePadded::default(),
            }));
        }
        let shared = Self {
            remotes: remotes.into(),
            injector: Injector::new(),
            idle: Idle::new(config.workers),
            registry,
            foreign: CachePadded::new(Mutex::new(Foreign {
                roster: foreign_roster,
                ids: TaskIds::default(),
            })),
            driver: CachePadded::new(Mutex::new(driver)),
            driver_handle,
            timers,
            timer_sites,
            pool,
            monitor: Monitor::new(),
            shutdown: Shutdown::new(config.workers),
            quiet: (config.paused && config.workers > 0).then(|| Quiet::new(config.workers)),
            bridge: Bridge::start(config.tokio_context)?,
            fifo_park: Park::new(),
            driver_attended: AtomicBool::new(false),
            main_shard_taken: AtomicBool::new(false),
            config,
        };
        Ok((Arc::new(shared), seats))
    }

    pub(crate) fn timers(&self) -> &ModelArc<Timers> {
        &self.timers
    }

    /// For the threads that arm in this shard.
    #[inline]
    pub(crate) fn timer_site(&self, shard: usize) -> &Site {
        &self.timer_sites[shard]
    }

    pub(crate) fn driver_handle(&self) -> &DriverHandle {
        &self.driver_handle
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(crate) fn reporter(&self) -> &Reporter {
        &self.config.reporter
    }

    pub(crate) fn tasks(&self) -> Vec<TaskRef> {
        self.registry.tasks()
    }

    /// The strict one-thread flavour?
    #[inline]
    pub(crate) fn is_fifo(&self) -> bool {
        self.config.workers == 0
    }

    pub(super) fn set_driver_attended(&self, attended: bool) {
        // ordering: relaxed, a hint.
        self.driver_attended.store(attended, Ordering::Relaxed);
    }

    pub(super) fn is_driver_attended(&self) -> bool {
        // ordering: relaxed, a hint.
        self.driver_attended.load(Ordering::Relaxed)
    }

    /// Whether the monitor has slow polls to report, beside helping the other workers.
    pub(super) fn reports_slow_polls(&self) -> bool {
        self.config.slow_poll < Duration::MAX
    }

    /// The task, if its polls are to be measured where no monitor looks on: on a thread in `block_on`, in debug mode.
    pub(super) fn watched(&self, task: impl FnOnce() -> TaskRef) -> Option<TaskRef> {
        self.config.debug.then(task)
    }

    /// Polls a task, if there is something to poll; if it is `watched` and was slow, says so afterwards.
    pub(super) fn watch(
        &self,
        watched: Option<&TaskRef>,
        poll: impl FnOnce() -> Option<Turn>,
    ) -> Option<Turn> {
        let Some(task) = watched else {
            return poll();
        };
        let began = real_now();
        let turn = poll();
        let took = real_now().saturating_duration_since(began);
        if turn.is_some() && took >= self.config.slow_poll {
            self.report(format!(
                "{task} has blocked the thread in one poll for {took:.1?}; give long computations and blocking calls to `to_thread`"
            ));
        }
        turn
    }

    /// The timer shard of `block_on` threads.
    pub(super) fn main_shard(&self) -> usize {
        self.config.workers
    }

    /// The registry shard of threads that are not workers.
    pub(super) fn foreign_registry_shard(&self) -> usize {
        self.config.workers
    }

    pub(crate) fn metrics(&self) -> crate::Metrics {
        let pool = self.pool.stats();
        crate::Metrics {
            live_tasks: self.registry.live(),
            injector_len: self.injector.len(),
            registered_sources: self.driver_handle.registered(),
            armed_timers: self.timers.armed(),
            blocking_threads: pool.threads,
            idle_blocking_threads: pool.idle,
            queued_blocking_jobs: pool.queued,
            workers: self.remotes.iter().map(|remote| remote.metrics()).collect(),
        }
    }
}

/// How the threads of the blocking pool find their runtime: the pool is made first.
#[derive(Clone, Default)]
pub(crate) struct PoolHandle(Arc<OnceLock<Weak<Shared>>>);

impl PoolHandle {
    /// The pool belongs to this runtime from now on; nobody has submitted a job yet.
    pub(crate) fn bind(&self, shared: &Arc<Shared>) {
        let first = self.0.set(Arc::downgrade(shared));
        debug_assert!(first.is_ok(), "a pool belongs to one runtime");
    }

    /// What each thread of the pool does after a job, if the clock stands: whoever waits for silence looks again.
    pub(crate) fn idle_hook(&self) -> Hook {
        let this = self.clone();
        Arc::new(move || {
            if let Some(shared) = this.0.get().and_then(Weak::upgrade) {
                shared.driver_handle.unpark();
            }
        })
    }

    /// What each thread of the pool does first; false if its runtime went while it was on its way.
    pub(crate) fn hook(&self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        let this = self.clone();
        Arc::new(move || {
            let shared = this.0.get().and_then(Weak::upgrade);
            shared.map(crate::current::enter_for_good).is_some()
        })
    }
}

impl Remote {
    fn metrics(&self) -> crate::WorkerMetrics {
        let counters = &self.counters;
        crate::WorkerMetrics {
            // ordering: relaxed, counters for people.
            polls: counters.polls.load(Ordering::Relaxed),
            // ordering: as above.
            parks: counters.parks.load(Ordering::Relaxed),
            // ordering: as above.
            steals: counters.steals.load(Ordering::Relaxed),
            queue_len: self.stealer.len() + usize::from(!self.lifo.is_empty()),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("workers", &self.config.workers)
            .field("tasks", &self.registry)
            .field("injector", &self.injector)
            .finish_non_exhaustive()
    }
}
