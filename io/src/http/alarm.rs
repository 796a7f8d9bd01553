//! One timer per connection for hyper's many short waits.
//!
//! Called by hyper (as the timer of an HTTP/1 connection) and by `connection.rs`. hyper starts a wait with every request and
//! gives it up when the head is there, a hundred thousand times a second, and nearly always long before its end. So a wait
//! that is given up leaves the timer armed: the next one, which ends later, finds a timer that will ring early enough. When
//! it rings, whoever waits by then sets it to the true end. A connection is woken once too often per limit for that, and
//! arms a timer once per limit and not once per request.
//!
//! All waits of an alarm belong to one task, which polls all of them whenever it is woken: the timer wakes the task that
//! armed it, and each wait that is polled sees to it that the timer rings no later than itself.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use loxley_runtime::{Sleep, lowlevel, sleep_until};
use loxley_sync::ambient::{WaitKind, poll_budget, wait_reason};
use loxley_sync::prim::Arc;
use loxley_sync::prim::lock::Mutex;

/// See the file's head. Clones are the same alarm.
#[derive(Clone)]
pub(super) struct Alarm(Arc<Mutex<Bell>>);

struct Bell {
    /// Armed by the task, and not seen to have rung.
    armed: Option<Sleep>,
    /// The latest time that was asked for here.
    now: Instant,
}

impl Alarm {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Bell {
            armed: None,
            now: lowlevel::now(),
        })))
    }

    /// A wait that ends `limit` from now.
    pub(super) fn after(&self, limit: Duration) -> Wait {
        self.until(later(hyper::rt::Timer::now(self), limit))
    }

    fn until(&self, deadline: Instant) -> Wait {
        Wait {
            alarm: self.clone(),
            deadline,
            is_fresh: true,
        }
    }
}

/// A moment that lies beyond all that can be expressed is as good as never: thirty years.
fn later(at: Instant, by: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    at.checked_add(by).unwrap_or_else(|| at + NEVER)
}

impl hyper::rt::Timer for Alarm {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(self.after(duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(self.until(deadline))
    }

    fn now(&self) -> Instant {
        let now = lowlevel::now();
        self.0.lock().now = now;
        now
    }
}

/// A wait for a moment.
pub(super) struct Wait {
    alarm: Alarm,
    deadline: Instant,
    /// Not polled yet, so the alarm's time is that of this wait's beginning.
    is_fresh: bool,
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let is_fresh = std::mem::take(&mut self.is_fresh);
        let deadline = self.deadline;
        let bell = self.alarm.0.lock();
        // A timer is never early: one whose time has not come has not rung.
        let rings_in_time =
            |sleep: &Sleep| bell.now < sleep.deadline() && sleep.deadline() <= deadline;
        if is_fresh && bell.armed.as_ref().is_some_and(rings_in_time) {
            wait_reason(WaitKind::Timer, None);
            return Poll::Pending;
        }
        drop(bell);
        // By the clock and not by the timer, which another wait of this task may have set anew already.
        if lowlevel::now() >= deadline {
            return poll_budget(cx);
        }
        let armed = self.alarm.0.lock().armed.take();
        let mut sleep = armed.unwrap_or_else(|| sleep_until(deadline));
        if sleep.deadline() > deadline {
            Pin::new(&mut sleep).reset(deadline);
        }
        while Pin::new(&mut sleep).poll(cx).is_ready() {
            if sleep.deadline() == deadline {
                // It rang just now, and is no longer armed for the other waits: they are to look again.
                cx.waker().wake_by_ref();
                return Poll::Ready(());
            }
            Pin::new(&mut sleep).reset(deadline);
        }
        self.alarm.0.lock().armed = Some(sleep);
        Poll::Pending
    }
}

impl hyper::rt::Sleep for Wait {}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::rt::Timer as _;
    use loxley_runtime::{Runtime, timeout};

    const SHORT: Duration = Duration::from_millis(20);

    fn run<T>(test: impl Future<Output = T>) -> T {
        let runtime = Runtime::builder().worker_threads(1).build();
        let limited = async { timeout(Duration::from_secs(30), test).await };
        runtime
            .expect("a runtime")
            .block_on(limited)
            .expect("the test hangs")
    }

    async fn once(wait: &mut Wait) -> Poll<()> {
        std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *wait).poll(cx))).await
    }

    #[test]
    fn a_wait_that_is_given_up_leaves_its_timer_for_the_next() {
        run(async {
            let alarm = Alarm::new();
            for _ in 0..3 {
                let mut wait = alarm.after(Duration::from_secs(60));
                assert!(once(&mut wait).await.is_pending());
            }
            let first = alarm.0.lock().armed.as_ref().map(Sleep::deadline);
            let mut wait = alarm.after(Duration::from_secs(60));
            assert!(once(&mut wait).await.is_pending());
            assert!(first.is_some_and(|first| first < wait.deadline));
            assert_eq!(alarm.0.lock().armed.as_ref().map(Sleep::deadline), first);
        });
    }

    #[test]
    fn no_wait_ends_early_however_the_timer_was_left() {
        run(async {
            let alarm = Alarm::new();
            assert!(once(&mut alarm.after(SHORT)).await.is_pending());
            let wait = alarm.after(3 * SHORT);
            let deadline = wait.deadline;
            wait.await;
            assert!(lowlevel::now() >= deadline);
        });
    }

    #[test]
    fn a_shorter_wait_ends_in_time_after_a_longer_one() {
        run(async {
            let alarm = Alarm::new();
            assert!(
                once(&mut alarm.after(Duration::from_secs(3600)))
                    .await
                    .is_pending()
            );
            alarm.after(SHORT).await;
        });
    }

    #[test]
    fn a_timer_that_rang_for_nobody_is_armed_again() {
        run(async {
            let alarm = Alarm::new();
            assert!(once(&mut alarm.after(SHORT)).await.is_pending());
            loxley_runtime::sleep(2 * SHORT).await;
            alarm.after(SHORT).await;
        });
    }

    #[test]
    fn two_waits_of_one_task_end_each_in_its_time() {
        run(async {
            let alarm = Alarm::new();
            let (mut short, mut long) = (alarm.after(SHORT), alarm.after(2 * SHORT));
            assert!(once(&mut short).await.is_pending());
            assert!(once(&mut long).await.is_pending());
            let mut ends = Vec::new();
            std::future::poll_fn(|cx| {
                for (name, wait) in [("long", &mut long), ("short", &mut short)] {
                    if !ends.contains(&name) && Pin::new(wait).poll(cx).is_ready() {
                        ends.push(name);
                    }
                }
                match ends.len() {
                    2 => Poll::Ready(()),
                    _ => Poll::Pending,
                }
            })
            .await;
            assert_eq!(ends, ["short", "long"]);
            let _ = alarm.now();
        });
    }
}
