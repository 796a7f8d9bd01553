//! Child processes: started and waited for, and heard out. Each runtime with what it has for that.
//!
//! Most of the time here is the kernel's and the child's own; what is compared is what a runtime adds to it, which
//! `benches/syscalls.sh` counts as well.

use loxley_benches::case::{Case, Metric, Params};

use crate::measure::per_op;
use crate::rt::{Children, on_worker};

const AT_ONCE: usize = 50;
/// Children one after the other in each of the tasks.
const IN_A_ROW: usize = 4;
const HEARD: usize = 100_000_000;

pub fn cases<R: Children>() -> Vec<Case> {
    vec![
        Case {
            name: "child_wait_50",
            about: "50 tasks, each starts /bin/true and waits for it, 4 times over; per child",
            metrics: const { &[Metric::lower("", loxley_benches::case::Unit::Nanos).target(1.0)] },
            run: wait::<R>,
        },
        Case {
            name: "child_hear_100mb",
            about: "all that a child says, 100 MB of it, in one vector; per run",
            metrics: const { &[Metric::lower("", loxley_benches::case::Unit::Nanos).target(1.0)] },
            run: hear::<R>,
        },
        Case {
            name: "child_hear_two_100mb",
            about: "as before, 100 MB on stdout and 100 MB on stderr at once; per run",
            metrics: const { &[Metric::lower("", loxley_benches::case::Unit::Nanos).target(1.0)] },
            run: hear_both::<R>,
        },
    ]
}

fn wait<R: Children>(params: &Params) -> Vec<f64> {
    let params = *params;
    let value = on_worker::<R, _>(params.workers, || async move {
        per_op(&params, AT_ONCE * IN_A_ROW, || async {
            let tasks: Vec<_> = (0..AT_ONCE).map(|_| R::spawn(in_a_row::<R>())).collect();
            for task in tasks {
                task.await;
            }
        })
        .await
    });
    vec![value]
}

async fn in_a_row<R: Children>() {
    for _ in 0..IN_A_ROW {
        let code = R::wait_for_child("/bin/true").await;
        assert_eq!(code.expect("there are processes left"), Some(0));
    }
}

fn hear<R: Children>(params: &Params) -> Vec<f64> {
    let len = params.scaled(HEARD);
    heard::<R>(params, format!("exec head -c {len} /dev/zero"), [len, 0])
}

fn hear_both<R: Children>(params: &Params) -> Vec<f64> {
    let len = params.scaled(HEARD);
    let line = format!("head -c {len} /dev/zero & head -c {len} /dev/zero >&2; wait");
    heard::<R>(params, line, [len, len])
}

fn heard<R: Children>(params: &Params, line: String, lens: [usize; 2]) -> Vec<f64> {
    let params = *params;
    let value = on_worker::<R, _>(params.workers, move || async move {
        per_op(&params, 1, || async {
            let [out, err] = R::hear_child(&line).await.expect("it ends well");
            assert_eq!([out.len(), err.len()], lens);
        })
        .await
    });
    vec![value]
}
