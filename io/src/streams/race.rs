//! Several ways to the same end, begun one after the other and left to race: the heart of Happy Eyeballs.
//!
//! Called by `connect.rs`. Knows nothing of sockets; what it races are futures.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use loxley_runtime::{Sleep, sleep};

/// Begins the first attempt, and each further one when one has failed or `delay` has passed since the last was begun; the
/// first to succeed wins and the others are dropped. Without a delay the next begins only when one has failed.
///
/// The errors come back in the order of the attempts.
pub(super) async fn race<T, E, F>(attempts: Vec<F>, delay: Option<Duration>) -> Result<T, Vec<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut race = Race {
        waiting: attempts.into_iter().enumerate(),
        running: Vec::new(),
        failed: Vec::new(),
        delay,
        next_begins: None,
    };
    race.begin_next();
    let won = poll_fn(|cx| race.poll(cx)).await;
    won.ok_or_else(|| race.failed.into_iter().map(|(_, error)| error).collect())
}

struct Race<F, I, E> {
    waiting: I,
    running: Vec<(usize, Pin<Box<F>>)>,
    /// In the order of the attempts.
    failed: Vec<(usize, E)>,
    delay: Option<Duration>,
    next_begins: Option<Sleep>,
}

impl<T, E, F, I> Race<F, I, E>
where
    F: Future<Output = Result<T, E>>,
    I: Iterator<Item = (usize, F)>,
{
    /// Whether there was one to begin.
    fn begin_next(&mut self) -> bool {
        self.next_begins = None;
        let Some((index, attempt)) = self.waiting.next() else {
            return false;
        };
        self.running.push((index, Box::pin(attempt)));
        self.next_begins = self.delay.map(sleep);
        true
    }

    /// The winner, or `None` when all have failed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        loop {
            let mut begins = false;
            let mut at = 0;
            while let Some((index, attempt)) = self.running.get_mut(at) {
                match attempt.as_mut().poll(cx) {
                    Poll::Pending => at += 1,
                    Poll::Ready(Ok(value)) => return Poll::Ready(Some(value)),
                    Poll::Ready(Err(error)) => {
                        let place = self.failed.partition_point(|(other, _)| other < index);
                        self.failed.insert(place, (*index, error));
                        drop(self.running.swap_remove(at));
                        begins = true;
                    }
                }
            }
            if let Some(timer) = &mut self.next_begins {
                begins |= Pin::new(timer).poll(cx).is_ready();
            }
            if begins && self.begin_next() {
                continue;
            }
            return match self.running.is_empty() {
                true => Poll::Ready(None),
                false => Poll::Pending,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loxley_runtime::lowlevel::now;
    use loxley_runtime::testing::{Config, run};

    const MS: Duration = Duration::from_millis(1);

    /// Attempts as (when they end, whether they succeed), and after how many milliseconds which one won.
    fn outcome(attempts: &[(u32, bool)], delay: Option<u32>) -> (u128, Result<usize, Vec<usize>>) {
        let config = Config::new().current_thread().paused(true);
        run(config.leak_check(true), async {
            let start = now();
            let attempts = attempts
                .iter()
                .enumerate()
                .map(|(index, &(after, wins))| async move {
                    sleep(MS * after).await;
                    if wins { Ok(index) } else { Err(index) }
                });
            let outcome = race(attempts.collect(), delay.map(|delay| MS * delay)).await;
            ((now() - start).as_millis(), outcome)
        })
    }

    #[test]
    fn the_first_that_answers_within_the_delay_races_with_nobody() {
        assert_eq!(outcome(&[(200, true), (1, true)], Some(250)), (200, Ok(0)));
    }

    #[test]
    fn a_slow_first_is_overtaken_and_a_slower_second_is_not_waited_for() {
        assert_eq!(outcome(&[(900, true), (10, true)], Some(250)), (260, Ok(1)));
        assert_eq!(outcome(&[(300, true), (90, true)], Some(250)), (300, Ok(0)));
    }

    #[test]
    fn the_next_begins_at_once_when_one_fails() {
        assert_eq!(outcome(&[(10, false), (5, true)], Some(250)), (15, Ok(1)));
        assert_eq!(outcome(&[(10, false), (5, true)], None), (15, Ok(1)));
        // Its failure begins the third while the second, begun by the clock, still runs.
        let attempts = [(300, false), (900, true), (5, true)];
        assert_eq!(outcome(&attempts, Some(250)), (305, Ok(2)));
    }

    #[test]
    fn without_a_delay_one_waits_for_the_other() {
        assert_eq!(outcome(&[(900, true), (1, true)], None), (900, Ok(0)));
    }

    #[test]
    fn when_all_fail_every_error_is_kept_in_order() {
        let attempts = [(700, false), (10, false), (10, false)];
        assert_eq!(outcome(&attempts, Some(250)).1, Err(vec![0, 1, 2]));
        assert_eq!(outcome(&[], Some(250)).1, Err(vec![]));
    }
}
