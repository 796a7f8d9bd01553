//! Spawning with few descriptors left; alone in its file, because the limit is the process's.

mod support;

use std::fs::File;
use std::future::Future;
use std::io;

use loxley_process::{Command, Process, SpawnError, Stdio, create_subprocess_exec};
use loxley_runtime::{Runtime, timeout};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::Duration;
use support::{Way, children, descriptors, spin_until};

const LIMIT: u64 = 200;
const EMFILE: i32 = 24;

/// More than a child with three pipes needs.
const FREE_MAX: usize = 16;

fn command(way: Way, needs_fork: bool) -> Command {
    let command = way.of(create_subprocess_exec("/bin/true", [""; 0]));
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    match needs_fork {
        true => command.by_std().umask(0o022),
        false => command,
    }
}

/// Runs `future` with just `free` descriptors to be had.
fn with_free<T>(runtime: &Runtime, free: usize, future: impl Future<Output = T>) -> T {
    let mut held: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    held.truncate(held.len() - free);
    let value = runtime.block_on(async { timeout(Duration::from_secs(60), future).await });
    drop(held);
    value.expect("it hangs")
}

async fn live(command: Command) -> io::Result<i32> {
    let child: Process = command.spawn().await?;
    child.wait().await
}

#[test]
fn with_any_number_of_descriptors_left_a_spawn_works_or_fails_and_leaves_nothing() {
    let before = getrlimit(Resource::Nofile);
    let fewer = Rlimit {
        current: Some(LIMIT),
        ..before
    };
    setrlimit(Resource::Nofile, fewer).expect("lower is always allowed");
    for way in Way::ALL {
        for needs_fork in [false, true] {
            let runtime = Runtime::builder()
                .current_thread()
                .build()
                .expect("a runtime");
            // What is made once and kept, is made now.
            assert_eq!(
                runtime
                    .block_on(live(command(way, needs_fork)))
                    .expect("plenty"),
                0
            );
            let had = descriptors();
            let mut worked = 0;
            for free in 0..FREE_MAX {
                match with_free(&runtime, free, live(command(way, needs_fork))) {
                    Ok(code) => {
                        assert_eq!(code, 0);
                        worked += 1;
                    }
                    Err(error) => {
                        let inner = error
                            .get_ref()
                            .and_then(|inner| inner.downcast_ref::<SpawnError>());
                        let inner = inner.expect("typed");
                        assert_eq!(inner.raw_os_error(), Some(EMFILE), "{error}");
                        assert!(error.to_string().contains("ulimit -n"), "{error}");
                        assert_eq!(worked, 0, "it worked with fewer");
                    }
                }
                // A child that could not be watched is killed, and reaped by a thread that has nothing either.
                spin_until(|| children().is_empty() && descriptors() == had);
            }
            assert!(worked > 0 && worked < FREE_MAX);
        }
    }
}
