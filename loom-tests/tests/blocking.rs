//! Models of the blocking pool: `runtime/src/blocking/`. The threads, the queue and the hand-over are the shipped ones;
//! time is not modelled, so an expired keep-alive is one of zero length.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use loxley_runtime::model::{Job, JobError, Pool, PoolConfig};
use loxley_sync::prim::lock::{Condvar, Mutex};
use loxley_sync::prim::{model, model_bounded, thread};

/// A plain thread that waits for a future: what a lost wake-up turns into a deadlock of the model.
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.rung.lock() = true;
        self.changed.notify_one();
    }
}

fn wait<F: Future>(future: F) -> F::Output {
    let bell = Arc::new(Bell {
        rung: Mutex::new(false),
        changed: Condvar::new(),
    });
    let waker = Waker::from(bell.clone());
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let mut rung = bell.rung.lock();
        while !*rung {
            rung = bell.changed.wait(rung);
        }
        *rung = false;
    }
}

/// Counts how often it was dropped, and nothing else.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        // ordering: Relaxed, a count that is read after every thread was joined.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counter() -> Arc<AtomicUsize> {
    Arc::new(AtomicUsize::new(0))
}

fn count(counter: &AtomicUsize) -> usize {
    // ordering: Relaxed, read after every thread was joined.
    counter.load(Ordering::Relaxed)
}

fn pool(max_threads: usize, keep_alive: Duration, spin_looks: u32) -> Pool {
    let mut config = PoolConfig::default();
    config.max_threads = max_threads;
    config.keep_alive = keep_alive;
    config.spin_looks = spin_looks;
    Pool::new(config)
}

const LONG: Duration = Duration::from_secs(3_600);

fn close(pool: &Pool) {
    pool.begin_shutdown();
    assert_eq!(pool.join(None), []);
    assert_eq!(pool.stats().threads, 0);
}

// edges: B1, B2, B3, B4, P1, P3, P6, P7
#[test]
fn result_arrives_between_look_and_registration() {
    model(|| {
        let pool = pool(1, LONG, 0);
        let value = wait(pool.submit(|| 7)).expect("the job ran");
        assert_eq!(value, 7);
        close(&pool);
    });
}

// edges: B4, with the waker changed between two polls
#[test]
fn the_newest_waker_is_the_one_that_is_called() {
    model(|| {
        let pool = pool(1, LONG, 0);
        let mut job = pool.submit(|| 7);
        let first = Pin::new(&mut job).poll(&mut Context::from_waker(Waker::noop()));
        let value = match first {
            Poll::Ready(value) => value,
            Poll::Pending => wait(job),
        };
        assert_eq!(value.expect("the job ran"), 7);
        close(&pool);
    });
}

// edges: B2, B6, B7, B8
#[test]
fn awaiter_leaves_while_the_job_starts_or_ends() {
    model(|| {
        let pool = pool(1, LONG, 0);
        let (captured, result) = (counter(), counter());
        let (in_closure, out) = (Dropped(captured.clone()), result.clone());
        let job = pool.submit(move || {
            drop(in_closure);
            Dropped(out)
        });
        drop(job);
        close(&pool);
        assert_eq!(count(&captured), 1, "the closure is dropped exactly once");
        assert!(count(&result) <= 1, "a result is dropped at most once");
    });
}

// edges: B5, B3, P7
#[test]
fn job_submitted_while_the_pool_shuts_down_runs_or_is_refused() {
    model(|| {
        let pool = pool(1, LONG, 0);
        let other = pool.clone();
        let captured = counter();
        let in_closure = Dropped(captured.clone());
        let submitter = thread::spawn(move || {
            let job: Job<u8> = other.submit(move || {
                drop(in_closure);
                7
            });
            match wait(job) {
                Ok(value) => assert_eq!(value, 7),
                Err(JobError::ShutDown) => {}
                Err(other) => panic!("unexpected outcome: {other}"),
            }
        });
        close(&pool);
        submitter.join().expect("the submitter ends");
        close(&pool);
        assert_eq!(count(&captured), 1);
    });
}

// edges: B5, B6
#[test]
fn awaiter_leaves_while_the_job_is_refused() {
    model(|| {
        let pool = pool(1, LONG, 0);
        let captured = counter();
        let in_closure = Dropped(captured.clone());
        let job = pool.submit(move || drop(in_closure));
        let other = pool.clone();
        let closer = thread::spawn(move || close(&other));
        drop(job);
        closer.join().expect("the closer ends");
        assert_eq!(count(&captured), 1);
    });
}

// edges: P1, P7 with one seat: the next thread may be made only after the last step of the one before
#[test]
fn job_submitted_while_the_only_thread_retires() {
    model(|| {
        let pool = pool(1, Duration::ZERO, 0);
        assert_eq!(wait(pool.submit(|| 1)).expect("the first job ran"), 1);
        assert_eq!(wait(pool.submit(|| 2)).expect("the second job ran"), 2);
        close(&pool);
    });
}

// edges: P2, P6
#[test]
fn job_submitted_while_the_only_thread_falls_asleep() {
    model(|| {
        let pool = pool(1, LONG, 0);
        assert_eq!(wait(pool.submit(|| 1)).expect("the first job ran"), 1);
        assert_eq!(wait(pool.submit(|| 2)).expect("the second job ran"), 2);
        close(&pool);
    });
}

// edges: P5, P6
#[test]
fn job_submitted_while_the_spinning_thread_gives_up() {
    model(|| {
        let pool = pool(1, LONG, 1);
        assert_eq!(wait(pool.submit(|| 1)).expect("the first job ran"), 1);
        assert_eq!(wait(pool.submit(|| 2)).expect("the second job ran"), 2);
        close(&pool);
    });
}

// edges: P1, P3, P4: the second job must reach a second thread although the submitter woke only one
#[test]
fn second_job_waits_for_nobody_when_the_first_one_blocks_on_it() {
    model_bounded(2, || {
        let pool = pool(2, LONG, 0);
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let (enter, open) = (gate.clone(), gate);
        let first = pool.submit(move || {
            let mut is_open = enter.0.lock();
            while !*is_open {
                is_open = enter.1.wait(is_open);
            }
        });
        let second = pool.submit(move || {
            *open.0.lock() = true;
            open.1.notify_all();
        });
        wait(first).expect("the first job ran");
        wait(second).expect("the second job ran");
        close(&pool);
    });
}
