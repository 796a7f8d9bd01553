//! Every place where a task can panic × when its handle goes × when it is cancelled × flavour: what becomes of it, how
//! often that is reported, how often each part is dropped, and that the runtime is as good as before.
//!
//! Each cell of the product is computed by the rules in [`Cell::expected`], not by a table of what happened to happen.

mod support;

use loxley_runtime::{Builder, Runtime, Task, TaskError, TaskRef, create_task};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use support::*;

/// Where the panic happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Panics {
    Nowhere,
    /// In the poll that would have finished.
    InPoll,
    /// In the first poll, so that the task is never idle.
    InFirstPoll,
    InFutureDrop,
    InOutputDrop,
    /// In the waker with which the handle was polled, when the task ends.
    InJoinersWaker,
    /// In the first of two done callbacks.
    InCallback,
}

/// When the handle goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HandleGoes {
    BeforeFirstPoll,
    WhileIdle,
    AfterCompletion,
    Awaited,
}

/// When somebody asks the task to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cancel {
    Never,
    BeforeFirstPoll,
    WhileIdle,
    AfterCompletion,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    panics: Panics,
    handle: HandleGoes,
    cancel: Cancel,
}

/// How the task ends, as its awaiter sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Value,
    Cancelled,
    Panicked,
}

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// `None` if the handle went before.
    outcome: Option<Outcome>,
    reports: usize,
    polls: usize,
    future_drops: usize,
    output_drops: usize,
    /// How many of the callbacks were called.
    callbacks: usize,
}

/// Pending at its first poll, ready at the second; panics where it is told to.
struct Subject {
    panics: Panics,
    polls: Count,
    released: Arc<AtomicBool>,
    waker: Arc<Mutex<Option<Waker>>>,
    future_drops: Count,
    output_drops: Count,
}

#[derive(Debug)]
struct Output(Panics, Count);

impl Drop for Output {
    fn drop(&mut self) {
        self.1.add();
        if self.0 == Panics::InOutputDrop {
            panic!("in the drop of the output");
        }
    }
}

impl Future for Subject {
    type Output = Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        let first = self.polls.add() == 1;
        if first && self.panics == Panics::InFirstPoll {
            panic!("in the first poll");
        }
        *self.waker.lock().unwrap() = Some(cx.waker().clone());
        if !self.released.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        if self.panics == Panics::InPoll {
            panic!("in the last poll");
        }
        Poll::Ready(Output(self.panics, self.output_drops.clone()))
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.future_drops.add();
        if self.panics == Panics::InFutureDrop {
            panic!("in the drop of the future");
        }
    }
}

struct Angry;

impl std::task::Wake for Angry {
    fn wake(self: Arc<Self>) {
        panic!("in the joiner's waker");
    }
}

impl Cell {
    /// The rules.
    fn expected(self) -> Seen {
        let interrupted = match self.cancel {
            // It is asked before it can have run.
            Cancel::BeforeFirstPoll => true,
            Cancel::WhileIdle => self.panics != Panics::InFirstPoll,
            Cancel::Never | Cancel::AfterCompletion => false,
        };
        let outcome = match (interrupted, self.panics) {
            (true, Panics::InFutureDrop) => Outcome::Panicked,
            (true, _) => Outcome::Cancelled,
            (false, Panics::InPoll | Panics::InFirstPoll) => Outcome::Panicked,
            (false, _) => Outcome::Value,
        };
        let awaited = self.handle == HandleGoes::Awaited;
        // A panic as outcome is reported if nobody awaits it; that of a drop whose value stands, always.
        let unseen_panic = usize::from(outcome == Outcome::Panicked && !awaited);
        let future_drop = usize::from(!interrupted && self.panics == Panics::InFutureDrop);
        let output_made = usize::from(outcome == Outcome::Value);
        let output_drop =
            usize::from(output_made == 1 && self.panics == Panics::InOutputDrop && !awaited);
        let polls = match (self.cancel, self.panics) {
            (Cancel::BeforeFirstPoll, _) => 0,
            (Cancel::WhileIdle, _) | (_, Panics::InFirstPoll) => 1,
            _ => 2,
        };
        // Called whatever becomes of the task, and the second in spite of the first.
        let callback = usize::from(self.panics == Panics::InCallback);
        Seen {
            outcome: awaited.then_some(outcome),
            reports: unseen_panic + future_drop + output_drop + callback,
            polls,
            future_drops: 1,
            output_drops: output_made,
            callbacks: 2 * callback,
        }
    }

    /// Whether the steps can come in this order at all.
    fn is_possible(self) -> bool {
        let never_idle =
            self.panics == Panics::InFirstPoll || self.cancel == Cancel::BeforeFirstPoll;
        let idle_needed = self.handle == HandleGoes::WhileIdle;
        let waker_without_handle = self.panics == Panics::InJoinersWaker
            && matches!(
                self.handle,
                HandleGoes::BeforeFirstPoll | HandleGoes::WhileIdle
            );
        !(waker_without_handle || never_idle && idle_needed)
    }

    fn run(self, flavour: Flavour, runtime: &Runtime, reports: &Reports) -> Seen {
        let before = reports.len();
        let polls = Count::default();
        let (future_drops, output_drops) = (Count::default(), Count::default());
        let callbacks = Count::default();
        let released = Arc::new(AtomicBool::new(false));
        let waker = Arc::new(Mutex::new(None));
        let subject = Subject {
            panics: self.panics,
            polls: polls.clone(),
            released: released.clone(),
            waker: waker.clone(),
            future_drops: future_drops.clone(),
            output_drops: output_drops.clone(),
        };
        let outcome = runtime.block_on(async {
            let blocked = Blocked::workers(flavour, runtime).await;
            let task = create_task(subject);
            let told = task.as_ref();
            let mut task = Some(task);
            if self.panics == Panics::InJoinersWaker {
                let angry = Waker::from(Arc::new(Angry));
                assert!(poll_with(task.as_mut().unwrap(), &angry).is_pending());
            }
            if self.panics == Panics::InCallback {
                watch_with_panic(&told, &callbacks);
            }
            // Before the first poll.
            if self.handle == HandleGoes::BeforeFirstPoll {
                task = None;
            }
            if self.cancel == Cancel::BeforeFirstPoll {
                assert!(told.cancel());
            }
            assert_eq!(polls.get(), 0, "{self:?}");
            blocked.release();
            // Idle.
            until(|| told.is_finished() || (polls.get() == 1 && !told.is_runnable())).await;
            if self.handle == HandleGoes::WhileIdle {
                assert!(!told.is_finished());
                task = None;
            }
            if self.cancel == Cancel::WhileIdle && !told.is_finished() {
                assert!(told.cancel());
            }
            if matches!(self.cancel, Cancel::Never | Cancel::AfterCompletion) {
                released.store(true, Ordering::Release);
                let waker = waker.lock().unwrap().take();
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            // Complete.
            until(|| told.is_finished()).await;
            if self.cancel == Cancel::AfterCompletion {
                assert!(!told.cancel());
            }
            if self.handle == HandleGoes::AfterCompletion {
                task = None;
            }
            let outcome = match task {
                None => None,
                Some(task) => Some(judge(task).await),
            };
            // They run soon after the end, as a small task.
            until(|| callbacks.get() == self.expected().callbacks).await;
            outcome
        });
        // Wakers keep cells alive, never futures.
        drop(waker.lock().unwrap().take());
        Seen {
            outcome,
            reports: reports.len() - before,
            polls: polls.get(),
            future_drops: future_drops.get(),
            output_drops: output_drops.get(),
            callbacks: callbacks.get(),
        }
    }
}

/// Two callbacks, of which the first panics.
fn watch_with_panic(task: &TaskRef, called: &Count) {
    let (first, second) = (called.clone(), called.clone());
    task.add_done_callback(move |_| {
        first.add();
        panic!("in a done callback");
    });
    task.add_done_callback(move |_| {
        second.add();
    });
}

async fn judge(task: Task<Output>) -> Outcome {
    match task.await {
        Ok(output) => {
            // Its drop is the awaiter's own affair.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(output)));
            Outcome::Value
        }
        Err(TaskError::Cancelled(_)) => Outcome::Cancelled,
        Err(TaskError::Panicked(_)) => Outcome::Panicked,
        Err(error) => panic!("{error}"),
    }
}

/// All workers sit in tasks until released, so that nothing runs meanwhile.
struct Blocked(Arc<Mutex<bool>>, Arc<std::sync::Condvar>);

impl Blocked {
    async fn workers(flavour: Flavour, runtime: &Runtime) -> Self {
        let this = Self(Arc::default(), Arc::default());
        let arrived = Count::default();
        for _ in 0..flavour.workers() {
            let (open, opened) = (this.0.clone(), this.1.clone());
            let arrived = arrived.clone();
            drop(runtime.handle().create_task(async move {
                arrived.add();
                let mut is_open = open.lock().unwrap();
                while !*is_open {
                    is_open = opened.wait(is_open).unwrap();
                }
            }));
        }
        until(|| arrived.get() == flavour.workers()).await;
        this
    }

    fn release(self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

fn matrix(flavour: Flavour) {
    const PANICS: [Panics; 7] = [
        Panics::Nowhere,
        Panics::InPoll,
        Panics::InFirstPoll,
        Panics::InFutureDrop,
        Panics::InOutputDrop,
        Panics::InJoinersWaker,
        Panics::InCallback,
    ];
    const HANDLES: [HandleGoes; 4] = [
        HandleGoes::BeforeFirstPoll,
        HandleGoes::WhileIdle,
        HandleGoes::AfterCompletion,
        HandleGoes::Awaited,
    ];
    const CANCELS: [Cancel; 4] = [
        Cancel::Never,
        Cancel::BeforeFirstPoll,
        Cancel::WhileIdle,
        Cancel::AfterCompletion,
    ];
    bounded(move |watch| {
        let reports = Reports::default();
        let settings = |builder: Builder| {
            let builder = builder.slow_poll_threshold(Duration::MAX);
            reports.install(builder)
        };
        let runtime = watch.build(settings(flavour.builder()));
        let mut cells = 0;
        for panics in PANICS {
            for handle in HANDLES {
                for cancel in CANCELS {
                    let cell = Cell {
                        panics,
                        handle,
                        cancel,
                    };
                    if !cell.is_possible() {
                        continue;
                    }
                    cells += 1;
                    let seen = cell.run(flavour, &runtime, &reports);
                    assert_eq!(seen, cell.expected(), "{flavour:?} {cell:?}");
                    // A task counts as live until its last report is out, which may be a moment after it finished.
                    drive_until(&runtime, || runtime.handle().metrics().live_tasks <= 1);
                    assert!(runtime.handle().all_tasks().is_empty(), "{cell:?}");
                    assert_eq!(runtime.handle().metrics().live_tasks, 0, "{cell:?}");
                    assert_workers_alive(&runtime, flavour.workers());
                }
            }
        }
        assert_eq!(cells, 95, "the product without what cannot be");
        let total = reports.len();
        let report = runtime.shutdown_timeout(Duration::from_secs(10));
        assert!(report.is_clean(), "{report}");
        assert_eq!(reports.len(), total, "nothing is reported later");
    });
}

#[test]
fn every_cell_on_one_thread() {
    matrix(Flavour::OneThread);
}

#[test]
fn every_cell_on_two_workers() {
    matrix(Flavour::Workers(2));
}

#[test]
fn every_cell_on_eight_workers() {
    matrix(Flavour::Workers(8));
}
