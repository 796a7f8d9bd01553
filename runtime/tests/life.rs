//! A runtime's life: starting, nesting, shutting down under every kind of load, and what is left afterwards.

#[path = "../../tests/support/mod.rs"]
mod support;

use loxley_runtime::{
    Handle, Runtime, Task, TaskError, all_tasks, create_task, current_task, run, sleep, task,
    to_thread, yield_now,
};
use loxley_sync::oneshot;
use std::cell::RefCell;
use std::future::pending;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;
use support::*;

const LONG: Duration = Duration::from_secs(10);

/// Spawns another future when it is dropped, which does so too, `generations` deep.
struct SpawnsInDrop {
    handle: Handle,
    generations: usize,
    drops: Count,
    ran: Count,
}

impl Drop for SpawnsInDrop {
    fn drop(&mut self) {
        self.drops.add();
        if self.generations == 0 {
            return;
        }
        let next = Self {
            handle: self.handle.clone(),
            generations: self.generations - 1,
            drops: self.drops.clone(),
            ran: self.ran.clone(),
        };
        drop(self.handle.create_task(async move {
            next.ran.add();
            pending::<()>().await;
        }));
    }
}

#[test]
fn a_runtime_dropped_by_its_own_task_stops_without_a_deadlock() {
    bounded(|watch| {
        for _ in 0..50 {
            let runtime = Arc::new(watch.build(Runtime::builder().worker_threads(2)));
            let drops = Count::default();
            let token = drops.token();
            drop(runtime.handle().create_task(async move {
                let _token = token;
                pending::<()>().await;
            }));
            let theirs = runtime.clone();
            let (go, gone) = oneshot::channel::<()>();
            let task = runtime.handle().create_task(async move {
                let _ = gone.await;
                drop(theirs);
            });
            drop(runtime);
            go.send(()).unwrap();
            spin_until(|| task.is_finished() && drops.get() == 1);
        }
    });
}

#[test]
fn a_runtime_dropped_inside_another_does_not_block_the_poll() {
    for inner in BOTH {
        each(&ALL, move |outer| {
            let drops = Count::default();
            outer.block_on(async {
                let runtime = inner.builder().build().unwrap();
                for _ in 0..10 {
                    let token = drops.token();
                    drop(runtime.handle().create_task(async move {
                        let _token = token;
                        pending::<()>().await;
                    }));
                }
                drop(runtime);
                until(|| drops.get() == 10).await;
            });
        });
    }
}

#[test]
fn blocking_calls_inside_a_task_panic_at_the_callers_line_and_say_what_to_do() {
    const NAME: &str = "blocking_calls_inside_a_task_panic_at_the_callers_line_and_say_what_to_do";
    // The panic hook belongs to the whole process.
    if !is_alone(NAME, &[]) {
        return;
    }
    let site = Arc::new(Mutex::new(None));
    let seen = site.clone();
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        *seen.lock().unwrap() = info.location().map(|at| (at.file().to_owned(), at.line()));
        usual(info);
    }));
    each(&BOTH, move |runtime| {
        let expect = |text: String, line: u32, words: [&str; 2]| {
            let (file, at) = site.lock().unwrap().take().unwrap();
            assert!(
                file.ends_with("life.rs") && at == line,
                "{file}:{at}, not {line}"
            );
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
        };
        let other = Arc::new(Runtime::builder().current_thread().build().unwrap());
        runtime.block_on(async {
            let text = panic_text(|| run(async {}));
            expect(text, line!() - 1, ["`run` would block", "await the future"]);
            let inner = other.clone();
            let task = create_task(async move {
                let text = panic_text(|| inner.block_on(async {}));
                (text, line!() - 1)
            });
            let (text, line) = task.await.unwrap();
            expect(text, line, ["`block_on` would block", "to_thread"]);
            let inner = Runtime::builder().current_thread().build().unwrap();
            let text = panic_text(move || inner.shutdown_timeout(LONG));
            let words = ["`shutdown_timeout` would block", "shutdown_background"];
            expect(text, line!() - 2, words);
        });
        assert_eq!(runtime.block_on(async { 1 }), 1);
    });
}

#[test]
fn create_task_outside_a_runtime_panics_and_says_where_it_would_work() {
    bounded(|_| {
        let text = panic_text(|| create_task(async {}));
        assert!(
            text.contains("no running loxley runtime") && text.contains("Handle"),
            "{text}"
        );
        assert!(Handle::try_current().is_err());
        assert!(current_task().is_none() && all_tasks().is_empty());
    });
}

#[test]
fn block_on_from_several_plain_threads_at_once_serves_them_all() {
    each(&ALL, |runtime| {
        let runtime = Arc::new(runtime);
        let start = Arc::new(Barrier::new(4));
        let threads: Vec<_> = (0..4_u64)
            .map(|n| {
                let (runtime, start) = (runtime.clone(), start.clone());
                thread::spawn(move || {
                    start.wait();
                    let mut sum = 0;
                    for round in 0..20 {
                        sum += runtime.block_on(async move {
                            yield_now().await;
                            sleep(Duration::from_micros(100)).await;
                            create_task(async move { n + round }).await.unwrap()
                        });
                    }
                    sum
                })
            })
            .collect();
        let sums: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        assert_eq!(sums, [190, 210, 230, 250]);
        assert_eq!(runtime.handle().metrics().live_tasks, 0);
    });
}

#[test]
fn block_on_in_a_blocking_job_is_allowed() {
    each(&[Flavour::Workers(2), Flavour::Workers(8)], |runtime| {
        let runtime = Arc::new(runtime);
        let theirs = runtime.clone();
        let sum = runtime.block_on(async move {
            let job = to_thread(move || theirs.block_on(async { create_task(async { 6 }).await }));
            job.await.unwrap()
        });
        assert_eq!(sum, 6);
    });
    // On the one-thread flavour it must be another runtime: its own is busy with the main future.
    each(&[Flavour::OneThread], |runtime| {
        let job = to_thread(|| {
            let inner = Runtime::builder().current_thread().build().unwrap();
            inner.block_on(async { create_task(async { 6 }).await })
        });
        assert_eq!(runtime.block_on(job).unwrap(), 6);
    });
}

#[test]
fn ten_thousand_tasks_that_spawn_in_their_drops_are_all_dropped_at_shutdown() {
    each(&ALL, |runtime| {
        let (drops, ran) = (Count::default(), Count::default());
        for _ in 0..10_000 {
            let bomb = SpawnsInDrop {
                handle: runtime.handle(),
                generations: 3,
                drops: drops.clone(),
                ran: ran.clone(),
            };
            drop(runtime.handle().create_task(async move {
                let _bomb = bomb;
                pending::<()>().await;
            }));
        }
        runtime.block_on(yield_now());
        let report = runtime.shutdown_timeout(LONG);
        assert!(report.is_clean(), "{report}");
        // A worker whose roster is open yet may still take a spawn of another's drop; every one of them is dropped.
        assert_eq!(drops.get(), 40_000);
    });
}

#[test]
fn a_spawn_from_drop_code_at_shutdown_ends_at_once_as_cancelled() {
    each(&ALL, |runtime| {
        let (handle, outcome) = (runtime.handle(), Arc::new(Mutex::new(None)));
        struct Spawns(Handle, Arc<Mutex<Option<Task<()>>>>);
        impl Drop for Spawns {
            fn drop(&mut self) {
                *self.1.lock().unwrap() = Some(self.0.create_task(pending()));
            }
        }
        let held = Spawns(handle, outcome.clone());
        drop(runtime.handle().create_task(async move {
            let _held = held;
            pending::<()>().await;
        }));
        let report = runtime.shutdown_timeout(LONG);
        assert!(report.is_clean(), "{report}");
        let mut task = outcome.lock().unwrap().take().expect("it was dropped");
        assert!(task.is_finished());
        let waker = counting_waker(&Count::default());
        let std::task::Poll::Ready(Err(TaskError::Cancelled(error))) = poll_with(&mut task, &waker)
        else {
            panic!("not cancelled")
        };
        assert!(error.message().unwrap().contains("shut down"), "{error}");
    });
}

#[test]
fn a_spawn_from_a_thread_local_destructor_of_a_worker_is_refused_or_run_but_not_lost() {
    struct SpawnsLast(RefCell<Option<(Handle, Count)>>);
    impl Drop for SpawnsLast {
        fn drop(&mut self) {
            if let Some((handle, drops)) = self.0.take() {
                let token = drops.token();
                drop(handle.create_task(async move { drop(token) }));
            }
        }
    }
    thread_local!(static LAST: SpawnsLast = const { SpawnsLast(RefCell::new(None)) });
    bounded(|watch| {
        for _ in 0..20 {
            let runtime = watch.build(Runtime::builder().worker_threads(2));
            let drops = Count::default();
            let set = Count::default();
            let meeting = Arc::new(Barrier::new(2));
            for _ in 0..2 {
                let (handle, drops) = (runtime.handle(), drops.clone());
                let (meeting, set) = (meeting.clone(), set.clone());
                drop(runtime.handle().create_task(async move {
                    meeting.wait();
                    LAST.with(|last| last.0.replace(Some((handle, drops))));
                    set.add();
                }));
            }
            spin_until(|| set.get() == 2);
            drop(runtime);
            assert_eq!(drops.get(), 2);
        }
    });
}

#[test]
fn spawns_that_race_with_shutdown_run_or_are_cancelled_and_every_future_is_dropped_once() {
    for flavour in ALL {
        bounded(move |_| {
            for _ in 0..150 {
                let runtime = flavour.builder().build().unwrap();
                let (spawned, dropped) = (Count::default(), Count::default());
                let stop = Arc::new(AtomicBool::new(false));
                let threads: Vec<_> = (0..2)
                    .map(|_| {
                        let (handle, stop) = (runtime.handle(), stop.clone());
                        let (spawned, dropped) = (spawned.clone(), dropped.clone());
                        thread::spawn(move || {
                            let mut tasks = Vec::new();
                            while !stop.load(Ordering::Relaxed) && tasks.len() < 2_000 {
                                let token = dropped.token();
                                spawned.add();
                                tasks.push(handle.create_task(async move {
                                    let _token = token;
                                    yield_now().await;
                                }));
                            }
                            tasks
                        })
                    })
                    .collect();
                spin_until(|| spawned.get() > 20);
                runtime.block_on(yield_now());
                let report = runtime.shutdown_timeout(LONG);
                assert!(report.is_clean(), "{report}");
                stop.store(true, Ordering::Relaxed);
                for thread in threads {
                    let tasks = thread.join().unwrap();
                    assert!(tasks.iter().all(Task::is_finished));
                }
                assert_eq!(dropped.get(), spawned.get());
            }
        });
    }
}

#[test]
fn tasks_that_hold_each_other_are_dropped_at_shutdown() {
    each(&ALL, |runtime| {
        let drops = Count::default();
        let mut senders = Vec::new();
        for _ in 0..3 {
            let token = drops.token();
            let (sender, receiver) = oneshot::channel::<Task<()>>();
            let task = runtime.handle().create_task(async move {
                let _token = token;
                let other = receiver.await.unwrap();
                let _ = other.await;
            });
            senders.push((sender, task));
        }
        let (tasks, mut senders): (Vec<_>, Vec<_>) = senders
            .into_iter()
            .map(|(sender, task)| (task, sender))
            .unzip();
        // Each awaits the next one, in a circle.
        senders.rotate_left(1);
        for (sender, task) in senders.into_iter().zip(tasks) {
            sender.send(task).unwrap();
        }
        runtime.block_on(async {
            for _ in 0..10 {
                yield_now().await;
            }
        });
        assert_eq!(runtime.handle().metrics().live_tasks, 3);
        let report = runtime.shutdown_timeout(LONG);
        assert!(report.is_clean(), "{report}");
        assert_eq!(drops.get(), 3);
    });
}

#[test]
fn three_hundred_runtimes_in_turn_leave_no_thread_and_no_descriptor() {
    const NAME: &str = "three_hundred_runtimes_in_turn_leave_no_thread_and_no_descriptor";
    // Other tests of this file would change the counts.
    if !is_alone(NAME, &[]) {
        return;
    }
    bounded(|_| {
        let drops = Count::default();
        // The first one may open what stays open for the process.
        let mut before = None;
        for round in 0..300 {
            let flavour = ALL[round % 2];
            let runtime = flavour.builder().build().unwrap();
            let token = drops.token();
            drop(runtime.handle().create_task(async move {
                let _token = token;
                pending::<()>().await;
            }));
            assert_eq!(
                runtime
                    .block_on(async { create_task(async { 1 }).await })
                    .unwrap(),
                1
            );
            drop(runtime);
            assert_eq!(drops.get(), round + 1);
            if round == 1 {
                before = Some((thread_count(), descriptor_count()));
            }
        }
        // A joined thread may be listed for a moment longer.
        let (threads, descriptors) = before.unwrap();
        spin_until(|| thread_count() <= threads);
        assert_eq!(descriptor_count(), descriptors);
    });
}

#[test]
fn when_a_worker_thread_cannot_be_made_build_fails_and_the_others_are_joined() {
    bounded(|_| {
        let (started, stopped) = (Count::default(), Count::default());
        let (on, off) = (started.clone(), stopped.clone());
        // Three of these fit into the address space.
        let error = Runtime::builder()
            .worker_threads(8)
            .thread_stack_size(1 << 45)
            .on_thread_start(move || {
                on.add();
            })
            .on_thread_stop(move || {
                off.add();
            })
            .build()
            .map(|_| ())
            .unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::OutOfMemory),
            "{error:?}"
        );
        assert!(started.get() < 8);
        assert_eq!(started.get(), stopped.get());
    });
}

#[test]
fn a_number_of_workers_beyond_the_limits_is_an_error_that_names_the_knob() {
    bounded(|_| {
        for (count, says) in [(0, "at least 1"), (65_534, "65533"), (usize::MAX, "65533")] {
            let error = Runtime::builder().worker_threads(count).build();
            let error = error.map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let text = error.to_string();
            assert!(
                text.contains("worker_threads") && text.contains(says),
                "{text}"
            );
        }
        let error = Runtime::builder().max_blocking_threads(0).build();
        assert!(
            error
                .map(|_| ())
                .unwrap_err()
                .to_string()
                .contains("max_blocking_threads")
        );
    });
}

#[test]
fn the_environment_gives_the_number_of_workers_and_garbage_in_it_is_an_error() {
    const NAME: &str = "the_environment_gives_the_number_of_workers_and_garbage_in_it_is_an_error";
    if is_child(NAME) {
        let text = match Runtime::new() {
            Ok(runtime) => format!("workers={}.", runtime.handle().metrics().workers.len()),
            Err(error) => format!("error={error}."),
        };
        // Through a panic, because a test prints nothing.
        panic!("{text}");
    }
    for (value, expected) in [
        ("3", "workers=3."),
        (" 5 ", "workers=5."),
        ("0", "error=worker_threads: 0 threads"),
        ("-1", "error=LOXLEY_WORKER_THREADS=-1"),
        ("many", "error=LOXLEY_WORKER_THREADS=many"),
        ("", "error=LOXLEY_WORKER_THREADS="),
        ("99999999999999999999", "error=LOXLEY_WORKER_THREADS=9999"),
    ] {
        let output = in_child(NAME, &[("LOXLEY_WORKER_THREADS", value)]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(expected), "{value:?}: {said}");
    }
}

#[test]
fn sleeps_that_never_end_hinder_no_shutdown() {
    each(&ALL, |runtime| {
        let drops = Count::default();
        for duration in [Duration::MAX, Duration::from_secs(u64::MAX / 2)] {
            let token = drops.token();
            drop(runtime.handle().create_task(async move {
                let _token = token;
                sleep(duration).await;
            }));
        }
        runtime.block_on(async {
            for _ in 0..10 {
                yield_now().await;
            }
        });
        let report = runtime.shutdown_timeout(Duration::MAX);
        assert!(report.is_clean(), "{report}");
        assert_eq!(drops.get(), 2);
    });
}

#[test]
fn the_report_of_a_shutdown_names_the_task_that_does_not_stop() {
    bounded(|watch| {
        let runtime = watch.build(Runtime::builder().worker_threads(2));
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().unwrap();
        let (sender, stuck) = channel();
        let theirs = gate.clone();
        let _guard = runtime.enter();
        let task = task::Builder::new()
            .name("cruncher")
            .create_task(async move {
                sender.send(()).unwrap();
                drop(theirs.lock());
            });
        let line = line!() - 4;
        drop(_guard);
        stuck.recv().unwrap();
        let report = runtime.shutdown_timeout(Duration::from_millis(50));
        assert!(!report.is_clean());
        assert_eq!(report.tasks(), [task.as_ref()]);
        let text = report.to_string();
        assert!(
            text.contains("cruncher") && text.contains("running"),
            "{text}"
        );
        assert!(text.contains(&format!("life.rs:{line}")), "{text}");
        drop(closed);
        spin_until(|| task.is_finished());
    });
}

#[test]
fn shutdown_in_the_background_drops_every_task_soon() {
    each(&ALL, |runtime| {
        let drops = Count::default();
        for _ in 0..100 {
            let token = drops.token();
            drop(runtime.handle().create_task(async move {
                let _token = token;
                pending::<()>().await;
            }));
        }
        runtime.shutdown_background();
        spin_until(|| drops.get() == 100);
    });
}

#[test]
fn two_runtimes_share_nothing() {
    for (first, second) in [(0, 0), (0, 1), (1, 1)] {
        bounded(move |watch| {
            let one = watch.build(BOTH[first].builder().thread_name("one"));
            let two = watch.build(BOTH[second].builder().thread_name("two"));
            let here = thread::current().id();
            let mine = one.handle().create_task(pending::<()>());
            let theirs = two.handle().create_task(async {
                sleep(Duration::from_secs(1_000)).await;
            });
            assert_eq!(one.handle().all_tasks(), [mine.as_ref()]);
            assert_eq!(two.handle().all_tasks(), [theirs.as_ref()]);
            // A task of the one, spawned from within the other, runs in its own.
            let handle = two.handle();
            let named = async { thread::current().name().map(str::to_owned) };
            let mut spawned = None;
            one.block_on(async { spawned = Some(handle.create_task(named)) });
            let name = two.block_on(async move {
                until(|| handle_has_timer(&theirs)).await;
                (spawned.unwrap().await.unwrap(), theirs)
            });
            if two.handle().metrics().workers.is_empty() {
                assert_eq!(thread::current().id(), here);
            } else {
                assert_eq!(name.0.as_deref(), Some("two"));
            }
            assert_eq!(one.handle().metrics().armed_timers, 0);
            assert_eq!(two.handle().metrics().armed_timers, 1);
            drop(two);
            assert!(!mine.is_finished(), "the other one lives on");
            assert_eq!(
                one.block_on(async { create_task(async { 3 }).await })
                    .unwrap(),
                3
            );
        });
    }
}

/// Whether the task waits for its timer.
fn handle_has_timer(task: &Task<()>) -> bool {
    task.as_ref().waiting_for().kind == loxley_sync::ambient::WaitKind::Timer
}

#[test]
fn enter_guards_nest_and_give_back_what_stood_before() {
    bounded(|watch| {
        let one = watch.build(Runtime::builder().current_thread());
        let two = watch.build(Runtime::builder().worker_threads(1));
        let (handle_one, handle_two) = (one.handle(), two.handle());
        assert!(Handle::try_current().is_err());
        {
            let _one = handle_one.enter();
            let first = create_task(async {});
            {
                let _two = handle_two.enter();
                let second = create_task(async {});
                {
                    let _again = handle_one.enter();
                    drop(create_task(pending::<()>()));
                }
                two.block_on(second).unwrap();
                assert!(Handle::try_current().is_ok());
            }
            assert_eq!(one.handle().metrics().live_tasks, 2);
            one.block_on(first).unwrap();
            drop(create_task(pending::<()>()));
        }
        assert!(Handle::try_current().is_err());
        assert_eq!(one.handle().metrics().live_tasks, 2);
        // Inside a task too: the guard wins over the runtime that polls, for as long as it lives.
        one.block_on(async {
            let before = all_tasks().len();
            {
                let _two = handle_two.enter();
                drop(create_task(pending::<()>()));
            }
            assert_eq!(all_tasks().len(), before);
        });
        assert_eq!(two.handle().metrics().live_tasks, 1);
    });
}

#[test]
fn a_handle_outlives_its_runtime_and_answers() {
    each(&ALL, |runtime| {
        let handle = runtime.handle();
        drop(runtime);
        assert_eq!(handle.metrics().live_tasks, 0);
        assert!(handle.all_tasks().is_empty());
        let ran = Count::default();
        for _ in 0..100 {
            let ran = ran.clone();
            let mut task = handle.create_task(async move {
                ran.add();
            });
            let waker = counting_waker(&Count::default());
            assert!(
                poll_with(&mut task, &waker).map(|result| result.is_err())
                    == std::task::Poll::Ready(true)
            );
        }
        assert_eq!(ran.get(), 0);
        let _guard = handle.enter();
        assert!(create_task(async {}).is_finished());
    });
}

#[test]
fn futures_and_outputs_are_dropped_where_the_current_task_is_theirs() {
    struct Asks(Arc<Mutex<Option<loxley_runtime::TaskRef>>>);
    impl Drop for Asks {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = current_task();
        }
    }
    each(&ALL, |runtime| {
        for cancel in [false, true] {
            let seen = Arc::new(Mutex::new(None));
            let held = Asks(seen.clone());
            let task = runtime.handle().create_task(async move {
                let _held = held;
                if cancel {
                    pending::<()>().await;
                }
            });
            let expected = task.as_ref();
            runtime.block_on(async {
                if cancel {
                    task.cancel();
                }
                let _ = task.await;
            });
            assert_eq!(seen.lock().unwrap().take(), Some(expected));
        }
    });
}

#[test]
fn a_finished_main_leaves_the_others_running_until_the_runtime_goes() {
    each(&ALL, |runtime| {
        let turns = Count::default();
        let seen = turns.clone();
        let task: Task<()> = runtime.handle().create_task(async move {
            loop {
                seen.add();
                yield_now().await;
            }
        });
        for _ in 0..5 {
            let before = turns.get();
            drive_until(&runtime, || turns.get() > before + 10);
        }
        drop(runtime);
        assert!(task.is_finished());
        let after = turns.get();
        thread::yield_now();
        assert_eq!(turns.get(), after);
    });
}

#[test]
fn when_descriptors_run_out_build_fails_and_gives_back_what_it_had() {
    const NAME: &str = "when_descriptors_run_out_build_fails_and_gives_back_what_it_had";
    // The limit belongs to the whole process.
    if !is_alone(NAME, &[]) {
        return;
    }
    let open = || std::fs::File::open("/dev/null");
    bounded(move |_| {
        for flavour in BOTH {
            let mut all: Vec<_> = std::iter::from_fn(|| open().ok()).collect();
            let mut refused = 0;
            for free in 0.. {
                let (started, stopped) = (Count::default(), Count::default());
                let (on, off) = (started.clone(), stopped.clone());
                let built = flavour
                    .builder()
                    .on_thread_start(move || {
                        on.add();
                    })
                    .on_thread_stop(move || {
                        off.add();
                    })
                    .build();
                let Err(error) = built else {
                    break;
                };
                assert_eq!(error.raw_os_error(), Some(24), "EMFILE, not {error}");
                assert_eq!(started.get(), stopped.get());
                // As many are free as before.
                let again: Vec<_> = std::iter::from_fn(|| open().ok()).collect();
                assert_eq!(again.len(), free);
                drop(again);
                all.pop();
                refused += 1;
            }
            assert!(refused >= 2, "{refused} descriptors do for a runtime");
        }
    });
}

#[test]
fn a_runtime_dropped_by_its_own_blocking_job_does_not_wait_for_itself() {
    for flavour in BOTH {
        bounded(move |watch| {
            let reports = Reports::default();
            let runtime = Arc::new(watch.build(reports.install(flavour.builder())));
            let drops = Count::default();
            let token = drops.token();
            drop(runtime.handle().create_task(async move {
                let _token = token;
                pending::<()>().await;
            }));
            let (last, ended) = (runtime.clone(), Count::default());
            let (door, done) = (Arc::new(AtomicBool::new(false)), ended.clone());
            let (opened, begun) = (door.clone(), Count::default());
            let begins = begun.clone();
            runtime.block_on(async {
                let job = to_thread(move || {
                    begins.add();
                    spin_until(|| opened.load(Ordering::Acquire));
                    drop(last);
                    done.add();
                });
                // Started, and left to itself.
                let job = create_task(job);
                until(|| begun.get() == 1).await;
                job.cancel();
                let _ = job.await;
            });
            drop(runtime);
            door.store(true, Ordering::Release);
            spin_until(|| ended.get() == 1 && drops.get() == 1);
            assert!(reports.list().is_empty(), "{:?}", reports.list());
        });
    }
}
