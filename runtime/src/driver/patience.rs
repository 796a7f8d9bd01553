//! Whether the thread that waits for the world looks again and again before it sleeps.
//!
//! Called by `driver/mod.rs` alone, which does the looking; here is only the judgement, without a clock of its own.
//!
//! To wake a thread whose processor has gone to rest takes from a few microseconds to some fifty. With few connections whose
//! peers wait for each answer that is most of the time, on both sides. Looking instead takes a processor, and where its peers
//! think between two requests, or wake-ups are cheap, it gains nothing. How it is here nobody can know beforehand. So looking
//! has to prove itself, by what counts: how soon the next turn with events ends.
//!
//! ```text
//!             TRIAL short sleeps in a row            as many turns took a quarter less
//!   Sleeping ─────────────────────────────► OnTrial ──────────────────────────────────► Proven
//!      ▲ ▲                                    │ they did not: longer pause               │ REVIEW turns, or too
//!      │ └────────────────────────────────────┘ before the next trial                    │ many looks in vain
//!      └─────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! What it costs at the worst: a look in vain in [`FINDS`] turns, and a trial of [`TRIAL`] looks in every [`PAUSE`] to
//! [`PAUSE_MAX`] short sleeps. Peers that pause cost a few looks in vain each time, and have to be proven anew.
//!
//! To look about as long as a wake-up takes and then to sleep is competitive spinning (Karlin, Li, Manasse and Owicki,
//! "Empirical Studies of Competitive Spinning for a Shared-Memory Multiprocessor", SOSP 1991); the trial is ours.

use std::time::{Duration, Instant};

/// How many turns are compared with as many.
const TRIAL: u32 = 32;

/// After so many turns it is seen whether sleeping does as well by now.
const REVIEW: u32 = 1 << 14;

/// So many finds make up for one look in vain; four more of these end the looking.
const FINDS: u32 = 8;
const DOUBT_MAX: u32 = 4 * FINDS;

/// So many short sleeps pass after a trial that has failed; twice as many after each further one.
const PAUSE: u32 = 256;
const PAUSE_MAX: u32 = 1 << 16;

/// A shorter sleep was none: the peer ran on this very processor meanwhile, and looking would only stand in its way.
const SLEEP_MIN: Duration = Duration::from_micros(12);

/// After a longer one the time to wake up is the smaller part of it, if this is one of the usual limits.
const SLEEP_MAX: Duration = Duration::from_micros(100);

/// What is known of the turns so far.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    mood: Mood,
    /// Turns with events in this mood, and when the first of them could have begun.
    turns: u32,
    /// Grows with a look in vain, shrinks with a find.
    doubt: u32,
    since: Option<Instant>,
    /// How long [`TRIAL`] turns took with sleeping.
    with_sleep: Duration,
    /// Short sleeps until the next trial.
    pause: u32,
    next_pause: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Sleeping,
    OnTrial,
    Proven,
}

/// One turn that was allowed to wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waited {
    pub(super) began: Instant,
    pub(super) ended: Instant,
    /// It looked, and had to sleep after all.
    pub(super) in_vain: bool,
    /// A source had an event.
    pub(super) has_events: bool,
}

impl Patience {
    /// Looks at most this long at a time; zero is never.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            mood: Mood::Sleeping,
            turns: 0,
            doubt: 0,
            since: None,
            with_sleep: Duration::ZERO,
            pause: 0,
            next_pause: PAUSE,
        }
    }

    /// One that looks already.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(super) fn proven(limit: Duration) -> Self {
        Self {
            mood: Mood::Proven,
            ..Self::new(limit)
        }
    }

    /// Whether it is worth telling this one about turns.
    pub(super) fn learns(&self) -> bool {
        !self.limit.is_zero()
    }

    /// How long to look before the next sleep.
    pub(super) fn look(&self) -> Option<Duration> {
        (self.mood != Mood::Sleeping).then_some(self.limit)
    }

    pub(super) fn learn(&mut self, turn: Waited) {
        if turn.in_vain {
            // Also if it was something else that ended the sleep: events may come no more.
            self.doubt += FINDS;
            if self.doubt > DOUBT_MAX {
                return self.despair();
            }
        } else if turn.has_events {
            self.doubt = self.doubt.saturating_sub(1);
        }
        if !turn.has_events {
            // Woken for something else, or by the alarm: says nothing about how soon events come.
            return;
        }
        let waited = turn.ended.saturating_duration_since(turn.began);
        match self.mood {
            Mood::Sleeping if waited < SLEEP_MIN || waited > SLEEP_MAX => self.go(Mood::Sleeping),
            Mood::Sleeping if self.pause > 0 => self.pause -= 1,
            Mood::Sleeping => {
                if let Some(took) = self.take_turn(turn.ended) {
                    self.with_sleep = took;
                    self.go(Mood::OnTrial);
                    self.since = Some(turn.ended);
                }
            }
            // The peers are gone, or idle: no verdict.
            Mood::OnTrial if waited > SLEEP_MAX + self.limit => self.go(Mood::Sleeping),
            Mood::OnTrial => {
                if let Some(took) = self.take_turn(turn.ended) {
                    self.judge(took);
                }
            }
            Mood::Proven => {
                self.turns += 1;
                if self.turns == REVIEW {
                    self.go(Mood::Sleeping);
                }
            }
        }
    }

    /// Counts a turn that ended `now`. After [`TRIAL`] of them: how long they took.
    fn take_turn(&mut self, now: Instant) -> Option<Duration> {
        let Some(since) = self.since else {
            self.since = Some(now);
            return None;
        };
        self.turns += 1;
        (self.turns == TRIAL).then(|| now.saturating_duration_since(since))
    }

    fn judge(&mut self, with_looks: Duration) {
        if with_looks * 4 <= self.with_sleep * 3 {
            self.next_pause = PAUSE;
            self.go(Mood::Proven);
        } else {
            self.fail();
        }
    }

    /// Too many looks were in vain.
    fn despair(&mut self) {
        match self.mood {
            Mood::OnTrial => self.fail(),
            Mood::Sleeping | Mood::Proven => self.go(Mood::Sleeping),
        }
    }

    /// The trial has failed.
    fn fail(&mut self) {
        self.pause = self.next_pause;
        self.next_pause = (self.next_pause * 2).min(PAUSE_MAX);
        self.go(Mood::Sleeping);
    }

    fn go(&mut self, mood: Mood) {
        self.mood = mood;
        self.turns = 0;
        self.doubt = 0;
        self.since = None;
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(40);

    /// Peers whose requests come a while after the turn before has ended.
    struct Peers {
        patience: Patience,
        now: Instant,
        looks: u32,
        slept: u32,
    }

    impl Peers {
        fn new() -> Self {
            Self {
                patience: Patience::new(LIMIT),
                now: Instant::now(),
                looks: 0,
                slept: 0,
            }
        }

        /// One turn: the event comes after `micros`, and one who sleeps hears of it `late` later.
        fn turn(&mut self, micros: u64, late: u64) {
            let began = self.now;
            let comes = Duration::from_micros(micros);
            let look = self.patience.look();
            let found = look.is_some_and(|limit| comes <= limit);
            self.now += comes;
            if !found {
                self.now += Duration::from_micros(late);
                self.slept += 1;
            }
            self.looks += u32::from(look.is_some());
            self.patience.learn(Waited {
                began,
                ended: self.now,
                in_vain: look.is_some() && !found,
                has_events: true,
            });
            self.now += Duration::from_micros(2);
        }

        fn turns(&mut self, count: u32, micros: u64, late: u64) {
            for _ in 0..count {
                self.turn(micros, late);
            }
        }
    }

    #[test]
    fn who_is_woken_slowly_looks_after_a_trial_and_sleeps_no_more() {
        let mut peers = Peers::new();
        peers.turns(2 * TRIAL + 1, 10, 30);
        assert_eq!(peers.patience.mood, Mood::Proven);
        peers.slept = 0;
        peers.turns(REVIEW - 1, 10, 30);
        assert_eq!(peers.slept, 0);
    }

    #[test]
    fn who_is_woken_at_once_does_not_look_but_for_ever_rarer_trials() {
        let mut peers = Peers::new();
        peers.turns(100_000, 20, 1);
        assert!(peers.looks > 0, "never tried");
        assert!(peers.looks < 100_000 / 250, "{} looks", peers.looks);
        assert_ne!(peers.patience.mood, Mood::Proven);
    }

    #[test]
    fn events_that_are_far_apart_or_come_at_once_are_never_looked_for() {
        for (micros, late) in [(0, 5), (90, 30), (5_000, 30)] {
            let mut peers = Peers::new();
            peers.turns(10_000, micros, late);
            assert_eq!(peers.looks, 0, "{micros} us apart");
        }
    }

    #[test]
    fn looks_in_vain_end_the_looking_unless_they_are_few() {
        let mut peers = Peers::new();
        peers.turns(3 * TRIAL, 10, 30);
        for _ in 0..500 {
            peers.turn(1_000, 30);
            peers.turns(FINDS, 10, 30);
        }
        assert_eq!(peers.patience.mood, Mood::Proven, "one in nine is few");
        for _ in 0..500 {
            peers.turn(1_000, 30);
            peers.turns(FINDS / 2, 10, 30);
        }
        assert_eq!(peers.patience.mood, Mood::Sleeping, "one in five is not");
    }

    #[test]
    fn peers_that_are_gone_leave_a_few_looks_in_vain_behind() {
        let mut peers = Peers::new();
        peers.turns(3 * TRIAL, 10, 30);
        assert_eq!(peers.patience.mood, Mood::Proven);
        peers.looks = 0;
        peers.turns(100, 1_000_000, 30);
        assert!((1..=10).contains(&peers.looks), "{} looks", peers.looks);
    }

    #[test]
    fn what_was_proven_is_asked_again() {
        let mut peers = Peers::new();
        peers.turns(2 * TRIAL + 1, 10, 30);
        assert_eq!(peers.patience.mood, Mood::Proven);
        // By now sleeping does as well: after the review it is found out.
        peers.turns(REVIEW, 10, 3);
        peers.looks = 0;
        peers.turns(2 * TRIAL + 1, 10, 3);
        assert_eq!(peers.looks, TRIAL);
        assert_eq!(peers.patience.look(), None);
    }

    #[test]
    fn a_trial_that_the_peers_leave_has_no_verdict() {
        let mut peers = Peers::new();
        peers.turns(TRIAL + 1, 10, 30);
        assert_eq!(peers.patience.mood, Mood::OnTrial);
        peers.turn(1_000_000, 30);
        assert_eq!(peers.patience.mood, Mood::Sleeping);
        assert_eq!(peers.patience.pause, 0);
    }

    #[test]
    fn looks_end_when_events_come_no_more_but_other_things_do() {
        for turns in [TRIAL + 1, 3 * TRIAL] {
            let mut peers = Peers::new();
            peers.turns(turns, 10, 30);
            let mut looks = 0;
            while peers.patience.look().is_some() {
                looks += 1;
                assert!(looks < 10, "it looks on and on");
                let began = peers.now;
                peers.now += Duration::from_millis(1);
                peers.patience.learn(Waited {
                    began,
                    ended: peers.now,
                    in_vain: true,
                    has_events: false,
                });
            }
            assert!(looks > 0, "it was not looking");
        }
    }

    #[test]
    fn turns_without_events_count_for_nothing() {
        let mut peers = Peers::new();
        peers.turns(3 * TRIAL, 10, 30);
        let now = peers.now;
        peers.patience.learn(Waited {
            began: now,
            ended: now + Duration::from_secs(1),
            in_vain: true,
            has_events: false,
        });
        assert_eq!(peers.patience.mood, Mood::Proven);
    }
}
