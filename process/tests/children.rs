//! Children: how they end, what they say, and that nothing of them stays.

use loxley_process::{Stdio, create_subprocess_exec, create_subprocess_shell};
use loxley_runtime::create_task;
use std::collections::HashSet;

/// The zombies among this process's children.
fn zombies() -> HashSet<u32> {
    let me = std::process::id().to_string();
    let mut found = HashSet::new();
    for entry in std::fs::read_dir("/proc").expect("procfs").flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        // After the name, which may contain anything: state and parent.
        let rest = stat.rsplit(')').next().unwrap_or_default();
        let mut fields = rest.split_whitespace();
        if fields.next() == Some("Z") && fields.next() == Some(me.as_str()) {
            found.insert(pid);
        }
    }
    found
}

#[test]
fn a_hundred_children_twenty_at_a_time_leave_no_zombie() {
    loxley_runtime::run(async {
        for _ in 0..5 {
            let children: Vec<_> = (0..20)
                .map(|n| {
                    create_task(async move {
                        let command = create_subprocess_shell(format!("exit {n}"));
                        let child = command.spawn().await.expect("it starts");
                        let pid = child.pid();
                        (child.wait().await.expect("its status"), n, pid)
                    })
                })
                .collect();
            for child in children {
                let (code, expected, pid) = child.await.expect("no panic");
                assert_eq!(code, expected);
                assert!(!zombies().contains(&pid), "{pid} was waited for");
            }
        }
    });
}

#[test]
fn communicate_moves_more_than_the_pipes_hold_both_ways() {
    const SIZE: usize = 1 << 20;
    loxley_runtime::run(async {
        let mut child = create_subprocess_shell("tee /dev/stderr")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .await
            .expect("it starts");
        let input: Vec<u8> = (0..=250_u8).cycle().take(SIZE).collect();
        let output = child.communicate(Some(&input)).await.expect("it ends");
        assert!(output.stdout == input, "stdout is not what was put in");
        assert!(output.stderr == input, "stderr is not what was put in");
    });
}

#[test]
fn a_killed_child_has_the_signal_as_its_code_and_cannot_be_signalled_again() {
    loxley_runtime::run(async {
        let child = create_subprocess_exec("sleep", ["600"]).spawn().await;
        let child = child.expect("it starts");
        assert_eq!(child.returncode(), None);
        child.kill().expect("it runs");
        assert_eq!(child.wait().await.expect("its status"), -9);
        assert_eq!(child.returncode(), Some(-9));
        let late = child.terminate().expect_err("it has finished");
        assert!(
            late.to_string().contains(&child.pid().to_string()),
            "{late}"
        );
    });
}

#[test]
fn a_missing_program_is_an_error_that_names_it() {
    loxley_runtime::run(async {
        let error = create_subprocess_exec("/no/such/program", [""; 0])
            .spawn()
            .await;
        let error = error.expect_err("there is none");
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        assert!(error.to_string().contains("/no/such/program"), "{error}");
    });
}

#[test]
fn children_that_were_not_started_here_are_left_alone() {
    loxley_runtime::run(async {
        let mut foreign = std::process::Command::new("sh")
            .args(["-c", "exit 7"])
            .spawn()
            .expect("it starts");
        let ours = create_subprocess_shell("exit 3")
            .spawn()
            .await
            .expect("it starts");
        assert_eq!(ours.wait().await.expect("its status"), 3);
        let status = loxley_runtime::to_thread(move || foreign.wait()).await;
        assert_eq!(status.expect("its status is still there").code(), Some(7));
    });
}

#[test]
fn any_number_may_wait_for_one_child() {
    loxley_runtime::run(async {
        let child = create_subprocess_shell("read line; exit 5")
            .stdin(Stdio::piped())
            .spawn()
            .await;
        let mut child = child.expect("it starts");
        let stdin = child.stdin.take().expect("it was piped");
        let child = std::sync::Arc::new(child);
        let waiters: Vec<_> = (0..10)
            .map(|_| {
                let child = child.clone();
                create_task(async move { child.wait().await })
            })
            .collect();
        stdin.write(b"go\n");
        for waiter in waiters {
            assert_eq!(waiter.await.expect("no panic").expect("its status"), 5);
        }
    });
}
