//! The runtime as a whole: starting, stopping, and doing nothing.

use std::time::{Duration, Instant};

use loxley_benches::case::{Case, Metric, Params, Unit};
use loxley_benches::stats::median;

use crate::rt::Rt;
use crate::usage::{context_switches, cpu_nanos, nanos};

const STARTS: usize = 100;

pub fn cases<R: Rt>() -> Vec<Case> {
    vec![
        Case {
            name: "start_stop",
            about: "start the runtime, block on a future that spawns and awaits one empty task, stop it; p50",
            metrics: const { &[Metric::lower("p50", Unit::Nanos).target(1.3)] },
            run: start_stop::<R>,
        },
        Case {
            name: "idle_2s",
            about: "a runtime that has worked does nothing for 2 s; zero is possible",
            metrics: const {
                &[
                    Metric::lower("context switches", Unit::Count),
                    Metric::lower("CPU", Unit::Nanos),
                ]
            },
            run: idle::<R>,
        },
    ]
}

fn start_stop<R: Rt>(params: &Params) -> Vec<f64> {
    let mut samples: Vec<f64> = (0..params.scaled(STARTS))
        .map(|_| {
            let begin = Instant::now();
            let engine = R::start(params.workers);
            R::block_on(&engine, async { R::spawn(async {}).await });
            R::stop(engine);
            nanos(begin.elapsed())
        })
        .collect();
    vec![median(&mut samples)]
}

fn idle<R: Rt>(params: &Params) -> Vec<f64> {
    let engine = R::start(params.workers);
    let handle = R::handle(&engine);
    // Workers, timers and the blocking pool have all been used, as in a program that has run for a while.
    let work = R::spawn_on(&handle, async {
        for _ in 0..100 {
            R::spawn(async { R::yield_now().await }).await;
        }
        R::sleep(Duration::from_millis(5)).await;
    });
    R::block_on(&engine, work);
    std::thread::sleep(Duration::from_millis(100));
    let (switches, cpu) = (context_switches(), cpu_nanos());
    std::thread::sleep(Duration::from_secs(2));
    let (switches, cpu) = (context_switches() - switches, cpu_nanos() - cpu);
    R::stop(engine);
    vec![switches, cpu]
}
