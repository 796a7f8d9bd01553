//! The set of live tasks, edges G1–G7 of `runtime/src/task/registry.rs`, with real tasks. Its scheduler does what the real
//! one does at the end of a task: it leaves through the roster if the thread holds that of the task's shard (G2), else from
//! outside (G2, G5).

use std::cell::RefCell;
use std::sync::Arc as StdArc;

use loxley_loom_tests::support::Drops;
use loxley_runtime::model::{
    Place, Registry, Reporter, Roster, Schedule, Scheduled, Task, TaskIds, TaskTurn, refuse, spawn,
};
use loxley_sync::prim::lock::Mutex;
use loxley_sync::prim::{model, model_bounded, thread};

thread::thread_local! {
    /// The roster that this thread holds.
    static ROSTER: RefCell<Option<Roster>> = const { RefCell::new(None) };
}

/// A scheduler that has a registry and no queue.
struct House(Registry);

impl Schedule for House {
    fn schedule(self: &StdArc<Self>, task: Scheduled) {
        unreachable!("nobody wakes {task:?}");
    }

    fn leave(&self, place: Place) {
        if place != Place::NOWHERE {
            ROSTER.with(|roster| self.0.leave(place, roster.borrow_mut().as_mut()));
        }
    }

    fn reporter(&self) -> Reporter {
        Reporter::default()
    }
}

impl House {
    /// A house of one shard, whose roster this thread holds.
    fn new() -> StdArc<Self> {
        let (house, mut rosters) = Self::with_shards(1);
        hold(rosters.pop());
        house
    }

    fn with_shards(shards: usize) -> (StdArc<Self>, Vec<Roster>) {
        let (registry, rosters) = Registry::new(shards);
        (StdArc::new(Self(registry)), rosters)
    }

    /// A detached task whose future counts its drop, not in the registry yet.
    #[track_caller]
    fn task(self: &StdArc<Self>, drops: &Drops) -> (Scheduled, Task<()>) {
        let value = drops.value();
        let at = std::panic::Location::caller();
        spawn(
            async move { drop(value) },
            self,
            TaskIds::default().next(),
            at,
        )
    }

    /// One that joined through this thread's roster.
    fn admitted(self: &StdArc<Self>, drops: &Drops) -> Scheduled {
        let (task, handle) = self.task(drops);
        drop(handle);
        with_roster(|roster| self.0.join(roster, task)).expect("open")
    }
}

fn hold(roster: Option<Roster>) {
    ROSTER.with(|held| *held.borrow_mut() = roster);
}

fn with_roster<R>(f: impl FnOnce(&mut Roster) -> R) -> R {
    ROSTER.with(|roster| f(roster.borrow_mut().as_mut().expect("held")))
}

fn run(task: Scheduled) {
    let TaskTurn::Done = task.run() else {
        panic!("it does not wait");
    };
}

// edges: G1, G2, G3, G4
#[test]
fn task_freed_under_its_visitor() {
    model(|| {
        let (house, drops) = (House::new(), Drops::new());
        let task = house.admitted(&drops);
        let visitor = {
            let house = house.clone();
            thread::spawn(move || {
                let tasks = house.0.tasks();
                // The reference is good even if the task has ended meanwhile.
                tasks.iter().filter(|task| !task.is_finished()).count()
            })
        };
        run(task);
        assert!(visitor.join().expect("no panic") <= 1);
        assert_eq!((house.0.live(), drops.count()), (0, 1));
        hold(None);
    });
}

// edges: G3, G4
#[test]
fn two_visitors_in_one_slot() {
    model(|| {
        let (house, drops) = (House::new(), Drops::new());
        let task = house.admitted(&drops);
        let visitors: [_; 2] = std::array::from_fn(|_| {
            let house = house.clone();
            thread::spawn(move || house.0.tasks())
        });
        let seen = visitors.map(|visitor| visitor.join().expect("no panic"));
        assert!(seen.iter().all(|tasks| tasks.len() == 1));
        run(task);
        assert!(seen.iter().all(|tasks| tasks[0].is_finished()));
        assert_eq!((house.0.live(), drops.count()), (0, 1));
        hold(None);
    });
}

// edges: G2, G3, G4
#[test]
fn task_freed_under_one_of_two_visitors() {
    // At bound 3 two threads that spin for a third one take turns for ever.
    model_bounded(2, || {
        let (house, drops) = (House::new(), Drops::new());
        let task = house.admitted(&drops);
        let visitors: [_; 2] = std::array::from_fn(|_| {
            let house = house.clone();
            thread::spawn(move || house.0.tasks().len())
        });
        run(task);
        for visitor in visitors {
            assert!(visitor.join().expect("no panic") <= 1);
        }
        assert_eq!((house.0.live(), drops.count()), (0, 1));
        hold(None);
    });
}

// edges: G1, G2, G3, G4
#[test]
fn visitor_meets_the_next_task_of_the_slot() {
    model(|| {
        let (house, drops) = (House::new(), Drops::new());
        let task = house.admitted(&drops);
        let visitor = {
            let house = house.clone();
            thread::spawn(move || {
                for task in house.0.tasks() {
                    let _ = task.is_finished();
                }
            })
        };
        run(task);
        let next = house.admitted(&drops);
        run(next);
        visitor.join().expect("no panic");
        assert_eq!((house.0.live(), drops.count()), (0, 2));
        hold(None);
    });
}

// edges: G1, G3
#[test]
fn visitor_sees_a_slot_before_its_task() {
    model(|| {
        let (house, drops) = (House::new(), Drops::new());
        let visitor = {
            let house = house.clone();
            thread::spawn(move || {
                let tasks = house.0.tasks();
                let found = tasks.iter().filter(|task| !task.is_finished()).count();
                (found, house.0.live())
            })
        };
        let task = house.admitted(&drops);
        let (found, live) = visitor.join().expect("no panic");
        assert!(found <= live, "{found} tasks seen, and then {live} counted");
        run(task);
        assert_eq!(house.0.live(), 0);
        hold(None);
    });
}

// edges: G2, G5, G6
#[test]
fn slot_returned_while_the_owner_takes_the_chain() {
    model(|| {
        let (house, drops) = (House::new(), Drops::new());
        let tasks = [house.admitted(&drops), house.admitted(&drops)];
        let others = tasks.map(|task| thread::spawn(move || run(task)));
        // The owner's chain is empty: it takes what has come back so far, or grows.
        let own = [house.admitted(&drops), house.admitted(&drops)];
        for other in others {
            other.join().expect("no panic");
        }
        // Every slot is in one chain now; a slot in two of them would be given out twice.
        let more = [house.admitted(&drops), house.admitted(&drops)];
        assert_eq!((house.0.live(), house.0.tasks().len()), (4, 4));
        own.into_iter().chain(more).for_each(run);
        assert_eq!((house.0.live(), drops.count()), (0, 6));
        hold(None);
    });
}

// edges: G2, G5
#[test]
fn two_slots_returned_at_once() {
    model(|| {
        let (house, drops) = (House::new(), Drops::new());
        let tasks = [house.admitted(&drops), house.admitted(&drops)];
        let others = tasks.map(|task| thread::spawn(move || run(task)));
        for other in others {
            other.join().expect("no panic");
        }
        assert_eq!(house.0.live(), 0);
        let again = [house.admitted(&drops), house.admitted(&drops)];
        assert_eq!(house.0.tasks().len(), 2, "both slots came back, each once");
        again.into_iter().for_each(run);
        assert_eq!((house.0.live(), drops.count()), (0, 4));
        hold(None);
    });
}

// edges: G2, G5, G6
#[test]
fn owner_leaves_while_a_slot_is_returned() {
    model(|| {
        let (house, drops) = (House::new(), Drops::new());
        let (own, stolen) = (house.admitted(&drops), house.admitted(&drops));
        let thief = thread::spawn(move || run(stolen));
        run(own);
        let next = [house.admitted(&drops), house.admitted(&drops)];
        thief.join().expect("no panic");
        assert_eq!(house.0.tasks().len(), 2);
        next.into_iter().for_each(run);
        assert_eq!((house.0.live(), drops.count()), (0, 4));
        hold(None);
    });
}

// edges: G1, G2, G5
#[test]
fn count_says_empty_while_a_task_lives() {
    model(|| {
        let (house, drops) = (House::new(), Drops::new());
        let first = house.admitted(&drops);
        let stays = house.admitted(&drops);
        let thief = thread::spawn(move || run(first));
        let reader = {
            let house = house.clone();
            thread::spawn(move || house.0.live())
        };
        let live = reader.join().expect("no panic");
        assert!((1..=2).contains(&live), "{live} of one or two");
        thief.join().expect("no panic");
        assert_eq!(house.0.live(), 1);
        run(stays);
        assert_eq!(house.0.live(), 0);
        hold(None);
    });
}

// edges: G1, G7
#[test]
fn foreign_spawn_slips_past_the_sweep() {
    model(|| {
        let drops = Drops::new();
        let (house, mut rosters) = House::with_shards(1);
        let foreign = StdArc::new(Mutex::new(rosters.pop().expect("one")));
        let spawner = {
            let (house, foreign, drops) = (house.clone(), foreign.clone(), drops.clone());
            thread::spawn(move || {
                let (task, handle) = house.task(&drops);
                let admitted = {
                    let mut roster = foreign.lock();
                    house.0.join(&mut roster, task)
                };
                let admitted = admitted.map_err(refuse).ok();
                (admitted, handle)
            })
        };
        let swept = {
            let mut roster = foreign.lock();
            house.0.close(&mut roster);
            house.0.tasks_of(&roster)
        };
        let (admitted, handle) = spawner.join().expect("no panic");
        assert_eq!(swept.len(), usize::from(admitted.is_some()));
        assert_eq!(
            swept.is_empty(),
            handle.is_finished(),
            "refused means ended"
        );
        if let Some(task) = admitted {
            run(task);
        }
        assert!(foreign.lock().is_closed());
        assert_eq!((house.0.live(), drops.count()), (0, 1));
    });
}
