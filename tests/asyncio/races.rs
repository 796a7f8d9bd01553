//! Races: inside one task, and one runner after the other.
//!
//! | rule | held by |
//! |---|---|
//! | the first value wins; the losers are gone before it is handed on | `[groups] the_losers_of_a_race_are_gone_before_its_value_is_there` |
//! | … futures of several types | `[several] futures_of_different_types_race_as_a_tuple` |
//! | … between nothing there is none | `[groups] a_race_between_nothing_panics_at_the_callers_line` |
//! | a cancelled race drops every runner | `a_cancelled_race_drops_every_runner` |
//! | … a runner's clean-up is heard first | `the_runners_of_a_cancelled_race_may_clean_up` |
//! | staggered: the next starts when one fails or takes too long | `[groups] a_staggered_race_starts_the_next_when_one_fails_or_takes_too_long` |
//! | … the first success ends the others | `the_success_of_a_staggered_race_ends_the_attempts_that_run` |
//! | … if all fail, every error in the order of the attempts | `a_staggered_race_that_all_lose_gives_every_error_in_order` |
//! | … without a delay one after the other | `without_a_delay_no_attempt_starts_before_the_last_has_failed` |
//! | … cancelled, it drops those that run and starts no more | `a_cancelled_staggered_race_starts_no_more` |

use loxley::{catch_cancelled, create_task, race, sleep, staggered_race, timeout, with_cleanup};
use std::future::pending;

use super::{Count, SECOND, both, cancelled, parked, paused};

#[test]
fn a_cancelled_race_drops_every_runner() {
    both(async || {
        let gone = Count::default();
        let runners = [0; 3].map(|_| {
            let token = gone.token();
            async move {
                let _token = token;
                pending::<()>().await;
            }
        });
        let task = create_task(race(runners));
        parked(&task.as_ref()).await;
        task.cancel();
        cancelled(task.await);
        assert_eq!(gone.get(), 3);
    });
}

#[test]
fn the_runners_of_a_cancelled_race_may_clean_up() {
    both(async || {
        let cleaned = Count::default();
        let runners = [0; 2].map(|_| {
            let cleaned = cleaned.clone();
            with_cleanup(pending::<()>(), |_| async move {
                cleaned.add();
                pending::<()>().await;
            })
        });
        let task = create_task(race(runners));
        parked(&task.as_ref()).await;
        task.cancel();
        parked(&task.as_ref()).await;
        assert_eq!(cleaned.get(), 2, "each branch hears it");
        task.cancel();
        cancelled(task.await);
    });
}

#[test]
fn the_success_of_a_staggered_race_ends_the_attempts_that_run() {
    paused(async {
        let gone = Count::default();
        let attempts = [Some(9), Some(2), None].map(|after| {
            let token = gone.token();
            move || async move {
                let _token = token;
                match after {
                    Some(seconds) => {
                        sleep(SECOND * seconds).await;
                        Ok::<u32, ()>(seconds)
                    }
                    None => pending().await,
                }
            }
        });
        assert_eq!(staggered_race(attempts, Some(SECOND)).await, Ok(2));
        assert_eq!(gone.get(), 3, "all are gone, started or not");
    });
}

#[test]
fn a_staggered_race_that_all_lose_gives_every_error_in_order() {
    paused(async {
        let attempts = [3, 1, 2].map(|after| {
            move || async move {
                sleep(SECOND * after).await;
                Err::<(), u32>(after)
            }
        });
        let lost = staggered_race(attempts, Some(SECOND / 2)).await;
        assert_eq!(lost, Err(vec![3, 1, 2]));
    });
}

#[test]
fn without_a_delay_no_attempt_starts_before_the_last_has_failed() {
    paused(async {
        let (running, most) = (Count::default(), Count::default());
        let attempts = [1_usize, 2, 3].map(|number| {
            let (running, most) = (running.clone(), most.clone());
            move || async move {
                if running.add() != number {
                    most.add();
                }
                sleep(SECOND * 100).await;
                if number == 3 { Ok(number) } else { Err(()) }
            }
        });
        assert_eq!(staggered_race(attempts, None).await, Ok(3));
        assert_eq!((running.get(), most.get()), (3, 0));
    });
}

#[test]
fn a_cancelled_staggered_race_starts_no_more() {
    paused(async {
        let (started, gone) = (Count::default(), Count::default());
        let attempts = [0; 4].map(|_| {
            let (started, token) = (started.clone(), gone.token());
            move || async move {
                let _token = token;
                started.add();
                pending::<Result<(), ()>>().await
            }
        });
        // Two have started when the limit passes.
        let race = catch_cancelled(staggered_race(attempts, Some(SECOND)));
        assert!(timeout(SECOND * 3 / 2, race).await.unwrap().is_err());
        assert_eq!((started.get(), gone.get()), (2, 4));
        sleep(SECOND * 10).await;
        assert_eq!(started.get(), 2);
    });
}
