//! What several models share: a scheduler of the barest kind, a thread that waits for a future, values that count their drops.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use loxley_runtime::model::{Place, Reporter, Schedule, Scheduled, Task, TaskIds, TaskTurn};
use loxley_sync::prim::lock::{Condvar, Mutex};

/// Counts how many of its values are gone. A plain count, outside of the model: it adds no interleavings.
#[derive(Clone, Debug, Default)]
pub struct Drops(Arc<AtomicUsize>);

/// A value that counts its drop.
#[derive(Debug)]
pub struct Counted(Drops);

impl Drops {
    /// None so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A value to be counted.
    #[must_use]
    pub fn value(&self) -> Counted {
        Counted(self.clone())
    }

    /// How many are gone.
    #[must_use]
    pub fn count(&self) -> usize {
        // ordering: relaxed, the threads of a model run one at a time.
        self.0.load(Ordering::Relaxed)
    }

    /// One more, by hand.
    pub fn add(&self) {
        // ordering: relaxed, as above.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.add();
    }
}

/// A thread that waits for its waker: what a lost wake-up turns into a deadlock, which loom reports.
#[derive(Debug)]
pub struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.rung.lock() = true;
        self.changed.notify_one();
    }
}

impl Bell {
    /// Not rung yet.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "one is made on purpose")]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            rung: Mutex::new(false),
            changed: Condvar::new(),
        })
    }

    /// Waits for a ring, and takes it.
    pub fn wait(&self) {
        let mut rung = self.rung.lock();
        while !*rung {
            rung = self.changed.wait(rung);
        }
        *rung = false;
    }

    /// Whether it was rung since the last wait.
    #[must_use]
    pub fn is_rung(&self) -> bool {
        *self.rung.lock()
    }
}

/// Waits for a future on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let bell = Bell::new();
    let waker = Waker::from(bell.clone());
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        bell.wait();
    }
}

/// A scheduler that is a queue and nothing more: whoever asks runs what is in it.
#[derive(Debug)]
pub struct Board {
    queue: Mutex<VecDeque<Scheduled>>,
    filled: Condvar,
    left: Drops,
}

impl Schedule for Board {
    fn schedule(self: &Arc<Self>, task: Scheduled) {
        // The task may run and end at once, and this thread is not the one that runs it.
        let this = self.clone();
        this.put(task);
    }

    fn leave(&self, _: Place) {
        self.left.add();
    }

    fn reporter(&self) -> Reporter {
        Reporter::default()
    }
}

impl Board {
    /// Nothing to do.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "one is made on purpose")]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::new(VecDeque::new()),
            filled: Condvar::new(),
            left: Drops::new(),
        })
    }

    /// A task for `future`, not yet in the queue.
    #[track_caller]
    pub fn task<F>(self: &Arc<Self>, future: F) -> (Scheduled, Task<F::Output>)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let id = TaskIds::default().next();
        loxley_runtime::model::spawn(future, self, id, Location::caller())
    }

    /// Puts a task into the queue.
    pub fn put(&self, task: Scheduled) {
        self.queue.lock().push_back(task);
        self.filled.notify_one();
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.queue.lock().is_empty()
    }

    /// Runs the first task of the queue once, if there is one; false if there is none.
    pub fn turn(&self) -> bool {
        self.take().map(|task| self.run(task)).is_some()
    }

    /// Runs a task once; true if it is complete.
    pub fn run(&self, task: Scheduled) -> bool {
        match task.run() {
            TaskTurn::Rest => false,
            TaskTurn::Requeue(task) => {
                self.put(task);
                false
            }
            TaskTurn::Done => true,
        }
    }

    /// Takes the first task of the queue.
    pub fn take(&self) -> Option<Scheduled> {
        self.queue.lock().pop_front()
    }

    /// Runs `task` and whatever comes into the queue, until so many tasks are complete.
    pub fn work(&self, task: Scheduled, tasks: usize) {
        let done = usize::from(self.run(task));
        self.work_on(tasks - done);
    }

    /// Runs whatever comes into the queue, until so many tasks are complete.
    pub fn work_on(&self, tasks: usize) {
        let mut done = 0;
        while done < tasks {
            let task = {
                let mut queue = self.queue.lock();
                loop {
                    match queue.pop_front() {
                        Some(task) => break task,
                        None => queue = self.filled.wait(queue),
                    }
                }
            };
            done += usize::from(self.run(task));
        }
    }

    /// How many tasks have left the registry, which here is nothing but this count.
    pub fn left(&self) -> usize {
        self.left.count()
    }
}

/// Completes when its condition holds; shows its waker to whoever holds the other end.
#[derive(Debug)]
pub struct Until<C> {
    condition: C,
    waker: Arc<Shown>,
    _kept: Option<Counted>,
}

/// Where [`Until`] shows its waker, and how often it was polled.
#[derive(Debug)]
pub struct Shown {
    waker: Mutex<Option<Waker>>,
    polls: Drops,
}

impl<C: Fn() -> bool + Unpin> Until<C> {
    /// A future that polls `condition`.
    pub fn new(condition: C) -> (Self, Arc<Shown>) {
        let waker = Arc::new(Shown {
            waker: Mutex::new(None),
            polls: Drops::new(),
        });
        let this = Self {
            condition,
            waker: waker.clone(),
            _kept: None,
        };
        (this, waker)
    }

    /// The same, counting its drop.
    #[must_use]
    pub fn counted(mut self, drops: &Drops) -> Self {
        self._kept = Some(drops.value());
        self
    }
}

impl Shown {
    /// A clone of the waker of the first poll, which is over.
    ///
    /// # Panics
    ///
    /// If there was no poll yet.
    pub fn waker(&self) -> Waker {
        self.waker.lock().clone().expect("polled once")
    }

    /// The waker itself: nobody else has it then.
    ///
    /// # Panics
    ///
    /// If there was no poll yet.
    pub fn take(&self) -> Waker {
        self.waker.lock().take().expect("polled once")
    }

    /// How often the future was polled.
    pub fn polls(&self) -> usize {
        self.polls.count()
    }
}

impl<C: Fn() -> bool + Unpin> Future for Until<C> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Shown in the first poll only: a model would explore the lock of every later one.
        if self.waker.polls.count() == 0 {
            let before = self.waker.waker.lock().replace(cx.waker().clone());
            assert!(before.is_none(), "shown once");
        }
        self.waker.polls.add();
        if (self.condition)() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}
