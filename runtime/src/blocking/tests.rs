//! What the pool promises, one test each. Order is made by channels, never by sleeping.

use super::*;
use std::future::Future;
use std::panic::panic_any;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn wait<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

fn config(max_threads: usize) -> PoolConfig {
    PoolConfig {
        max_threads,
        ..PoolConfig::default()
    }
}

fn close(pool: &Pool) {
    pool.begin_shutdown();
    assert_eq!(pool.join(None), []);
    assert_eq!(pool.stats(), PoolStats::default());
}

/// Submits a job that says it has started and then waits to be released.
#[track_caller]
fn block(pool: &Pool) -> (Job<()>, Sender<()>) {
    let (started, has_started) = channel();
    let (release, released) = channel::<()>();
    let job = pool.submit(move || {
        started.send(()).expect("the test waits for this");
        let _: Result<(), _> = released.recv();
    });
    has_started.recv().expect("the job starts");
    (job, release)
}

/// Looks into the pool when it is dropped: a deadlock if that happens under the pool's lock.
struct Looks(Pool, Sender<Option<String>>);

impl Drop for Looks {
    fn drop(&mut self) {
        let _: PoolStats = self.0.stats();
        let name = thread::current().name().map(str::to_owned);
        self.1.send(name).expect("the test listens");
    }
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("this destructor panics");
    }
}

#[test]
fn jobs_start_in_the_order_of_their_submission() {
    let pool = Pool::new(config(1));
    let order = Arc::new(Mutex::new(Vec::new()));
    let jobs: Vec<_> = (0..100)
        .map(|i| {
            let order = order.clone();
            pool.submit(move || order.lock().expect("no job panics").push(i))
        })
        .collect();
    for job in jobs {
        wait(job).expect("the job runs");
    }
    assert!(
        order
            .lock()
            .expect("no job panics")
            .iter()
            .copied()
            .eq(0..100)
    );
    close(&pool);
}

#[test]
fn an_idle_thread_is_used_before_another_is_made() {
    let pool = Pool::new(config(8));
    for _ in 0..50 {
        wait(pool.submit(|| ())).expect("the job runs");
        // The awaiter is woken before the thread is back at the queue.
        while pool.stats().idle == 0 {
            thread::yield_now();
        }
    }
    assert_eq!(pool.stats().threads, 1);
    close(&pool);
}

#[test]
fn blocked_jobs_get_a_thread_each_up_to_the_limit() {
    let pool = Pool::new(config(4));
    let blocked: Vec<_> = (0..4).map(|_| block(&pool)).collect();
    assert_eq!(pool.stats().threads, 4);
    let extra: Vec<_> = (0..36).map(|_| pool.submit(|| ())).collect();
    assert_eq!(
        pool.stats(),
        PoolStats {
            threads: 4,
            idle: 0,
            queued: 36
        }
    );
    for (job, release) in blocked {
        drop(release);
        wait(job).expect("the job ends");
    }
    for job in extra {
        wait(job).expect("the job runs");
    }
    assert!(pool.stats().threads <= 4);
    close(&pool);
}

#[test]
fn idle_threads_retire_when_their_keep_alive_is_over() {
    let (stopped, has_stopped) = channel();
    let stopped = Mutex::new(stopped);
    let pool = Pool::new(PoolConfig {
        keep_alive: Duration::from_millis(1),
        on_stop: Some(Arc::new(move || {
            stopped
                .lock()
                .expect("no panic")
                .send(())
                .expect("the test listens");
        })),
        ..config(2)
    });
    let (first, release_first) = block(&pool);
    let (second, release_second) = block(&pool);
    drop((release_first, release_second));
    wait(first).expect("the job ends");
    wait(second).expect("the job ends");
    for _ in 0..2 {
        has_stopped.recv().expect("a thread retires");
    }
    wait(pool.submit(|| ())).expect("a new thread is made");
    close(&pool);
}

#[test]
fn a_panic_reaches_the_awaiter_and_the_thread_goes_on() {
    let pool = Pool::new(config(1));
    let outcome = wait(pool.submit(|| panic_any("boom")));
    let Err(JobError::Panicked(payload)) = outcome else {
        panic!("unexpected outcome: {outcome:?}");
    };
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"boom"));
    assert_eq!(wait(pool.submit(|| 7)).expect("the job runs"), 7);
    assert_eq!(pool.stats().threads, 1);
    close(&pool);
}

#[test]
fn a_panic_nobody_awaits_whose_payload_panics_is_contained() {
    let pool = Pool::new(config(1));
    let (release, released) = channel::<()>();
    let (started, has_started) = channel();
    let job = pool.submit(move || {
        started.send(()).expect("the test listens");
        let _: Result<(), _> = released.recv();
        panic_any(PanicsInDrop);
    });
    has_started.recv().expect("the job starts");
    drop(job);
    drop(release);
    assert_eq!(wait(pool.submit(|| 7)).expect("the thread lives"), 7);
    close(&pool);
}

#[test]
fn a_job_dropped_before_it_starts_never_runs_and_drops_its_closure_at_once() {
    let pool = Pool::new(config(1));
    let (blocked, release) = block(&pool);
    let (dropped, has_dropped) = channel();
    let looks = Looks(pool.clone(), dropped);
    let job = pool.submit(move || {
        let _ = &looks;
        unreachable!("withdrawn");
    });
    drop(job);
    let here = thread::current().name().map(str::to_owned);
    assert_eq!(has_dropped.try_recv().expect("dropped by now"), here);
    assert_eq!(pool.stats().queued, 0);
    drop(release);
    wait(blocked).expect("the job ends");
    close(&pool);
}

#[test]
fn a_started_job_runs_on_unobserved_and_its_result_is_dropped_on_its_thread() {
    let pool = Pool::new(config(1));
    let (dropped, has_dropped) = channel();
    let (started, has_started) = channel();
    let (release, released) = channel::<()>();
    let looks = Looks(pool.clone(), dropped);
    let job = pool.submit(move || {
        started.send(()).expect("the test listens");
        let _: Result<(), _> = released.recv();
        looks
    });
    has_started.recv().expect("the job starts");
    drop(job);
    drop(release);
    let name = has_dropped.recv().expect("the result is dropped");
    assert_eq!(name.as_deref(), Some("loxley-blocking"));
    close(&pool);
}

#[test]
fn withdrawn_jobs_do_not_pile_up_behind_a_blocked_thread() {
    let pool = Pool::new(config(1));
    let (blocked, release) = block(&pool);
    for _ in 0..20_000 {
        drop(pool.submit(|| ()));
    }
    assert!(pool.queue_len() < 4_096, "{} entries", pool.queue_len());
    drop(release);
    wait(blocked).expect("the job ends");
    close(&pool);
}

#[test]
fn shutdown_refuses_what_has_not_started_and_drops_it_outside_the_lock() {
    let pool = Pool::new(config(1));
    let (blocked, release) = block(&pool);
    let (dropped, has_dropped) = channel();
    let looks = Looks(pool.clone(), dropped);
    let refused = pool.submit(move || drop(looks));
    let angry = pool.submit({
        let angry = PanicsInDrop;
        move || drop(angry)
    });
    pool.begin_shutdown();
    has_dropped.try_recv().expect("dropped by now");
    assert!(matches!(wait(refused), Err(JobError::ShutDown)));
    assert!(matches!(wait(angry), Err(JobError::ShutDown)));
    assert!(matches!(wait(pool.submit(|| ())), Err(JobError::ShutDown)));
    drop(release);
    wait(blocked).expect("a started job runs to its end");
    close(&pool);
}

#[test]
fn a_stuck_thread_is_reported_and_left() {
    let pool = Pool::new(config(1));
    let line = line!() + 1;
    let (blocked, release) = block(&pool);
    pool.begin_shutdown();
    let stuck = pool.join(Some(Duration::ZERO));
    assert_eq!(stuck.len(), 1);
    assert_eq!(stuck[0].name, "loxley-blocking");
    let at = stuck[0].submitted_at.expect("it runs a job");
    assert_eq!((at.file(), at.line()), (file!(), line));
    drop(release);
    wait(blocked).expect("the job ends");
    close(&pool);
}

#[test]
fn without_any_thread_the_awaiter_gets_an_error() {
    let pool = Pool::new(PoolConfig {
        stack_size: Some(1 << 46), // More than any address space has.
        ..config(2)
    });
    let outcome = wait(pool.submit(|| ()));
    assert!(matches!(outcome, Err(JobError::NoThread(_))), "{outcome:?}");
    assert_eq!(pool.stats(), PoolStats::default());
    close(&pool);
}

#[test]
fn when_one_more_thread_cannot_be_made_the_job_waits_for_a_living_one() {
    let made = AtomicUsize::new(0);
    let pool = Pool::new(PoolConfig {
        thread_name: Arc::new(move || {
            assert_eq!(
                made.fetch_add(1, Ordering::Relaxed),
                0,
                "only one thread can be made"
            );
            "the only one".to_owned()
        }),
        ..config(2)
    });
    let (blocked, release) = block(&pool);
    let second = pool.submit(|| thread::current().name().map(str::to_owned));
    assert_eq!(pool.stats().queued, 1);
    drop(release);
    wait(blocked).expect("the job ends");
    let name = wait(second).expect("the job runs");
    assert_eq!(name.as_deref(), Some("the only one"));
    close(&pool);
}

#[test]
fn hooks_run_in_order_on_every_thread_and_may_panic() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let hook = |name: &'static str| -> Option<Hook> {
        let calls = calls.clone();
        Some(Arc::new(move || {
            calls.lock().expect("pushed without a panic").push(name);
            assert_ne!(name, "start", "this hook panics");
        }))
    };
    // What the jobs would find as current has gone, or is there.
    for is_there in [false, true] {
        let first = hook("thread");
        let pool = Pool::new(PoolConfig {
            on_thread: first.map(|hook| -> Arc<dyn Fn() -> bool + Send + Sync> {
                Arc::new(move || {
                    hook();
                    is_there
                })
            }),
            on_start: hook("start"),
            on_stop: hook("stop"),
            ..config(1)
        });
        wait(pool.submit(|| ())).expect("the job runs");
        close(&pool);
    }
    assert_eq!(
        *calls.lock().expect("no poison"),
        ["thread", "thread", "start", "stop"]
    );
}

#[test]
fn a_job_may_shut_its_own_pool_down_without_waiting_for_itself() {
    let pool = Pool::new(config(2));
    let own = pool.clone();
    let stuck = wait(pool.submit(move || {
        own.begin_shutdown();
        own.join(None)
    }));
    assert_eq!(stuck.expect("the job runs"), []);
    close(&pool);
}

#[test]
fn a_finished_job_says_so_and_needs_no_waker() {
    let pool = Pool::new(config(1));
    let mut job = pool.submit(|| 7);
    wait(pool.submit(|| ())).expect("the job behind it runs");
    assert!(job.is_finished());
    let poll = Pin::new(&mut job).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(poll, Poll::Ready(Ok(7))));
    close(&pool);
}

#[test]
fn many_threads_submit_and_every_job_runs_once() {
    let pool = Pool::new(config(3));
    let ran = Arc::new(AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let jobs: Vec<_> = (0..2_000)
                    .map(|_| {
                        let ran = ran.clone();
                        pool.submit(move || ran.fetch_add(1, Ordering::Relaxed))
                    })
                    .collect();
                for job in jobs {
                    wait(job).expect("the job runs");
                }
            });
        }
    });
    assert_eq!(ran.load(Ordering::Relaxed), 8_000);
    assert!(pool.stats().threads <= 3);
    close(&pool);
}
