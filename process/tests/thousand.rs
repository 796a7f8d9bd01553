//! A thousand children, and not a trace of them; alone in its file, because it counts what the whole process has.

mod support;

use std::collections::BTreeSet;

use loxley_process::{Stdio, create_subprocess_exec};
use loxley_runtime::create_task;
use support::{Way, children, descriptors, run};

const AT_ONCE: usize = 50;

/// A thousand children as they are made and watched in most programs, fewer in the other ways.
fn rounds(way: Way) -> usize {
    match way {
        Way::PidFd => 20,
        Way::Sigchld | Way::StdPidFd | Way::StdSigchld => 5,
    }
}

/// One task of fifty: a child after the other, with and without pipes.
async fn spawn_in_a_row(way: Way) {
    for round in 0..rounds(way) {
        let mut command = way.of(create_subprocess_exec("/bin/true", [""; 0]));
        if round % 2 == 0 {
            command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        }
        let child = command.spawn().await.expect("it starts");
        assert_eq!(child.wait().await.expect("its status"), 0);
    }
}

#[test]
fn a_thousand_children_fifty_at_a_time_leave_no_zombie_and_no_descriptor() {
    let before = descriptors();
    // Eight runs: two flavours, four ways to make and watch them.
    run(|way| async move {
        let tasks: Vec<_> = (0..AT_ONCE)
            .map(|_| create_task(spawn_in_a_row(way)))
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        assert_eq!(children(), BTreeSet::new());
    });
    assert_eq!(descriptors(), before);
    assert!(!support::is_caught(loxley_runtime::signal::SIGCHLD));
}
