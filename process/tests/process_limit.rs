//! Spawning when the system gives this user no further process; alone in its file, because the limit is the process's.
//!
//! A privileged user has no such limit, so the test starts itself again as one who has.

mod support;

use std::collections::BTreeSet;
use std::io;

use loxley_process::{SpawnError, Stdio, create_subprocess_exec};
use loxley_runtime::testing::{self, Config};
use loxley_runtime::{Runtime, timeout};
use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};
use support::{HANG, Way, children, descriptors};

/// What makes this binary the one that is limited.
const LIMITED: &str = "LOXLEY_TEST_LIMITED";
const TEST: &str = "at_the_limit_of_processes_a_spawn_fails_leaves_nothing_and_works_again_later";
const NOBODY: u32 = 65534;

#[test]
fn at_the_limit_of_processes_a_spawn_fails_leaves_nothing_and_works_again_later() {
    if std::env::var_os(LIMITED).is_some() {
        return be_limited();
    }
    testing::run(Config::new().limit(HANG), async {
        let this = std::env::current_exe().expect("a test has a file");
        let command = create_subprocess_exec(this, ["--exact", TEST])
            .env(LIMITED, "yes")
            .cwd("/")
            .stdout(Stdio::piped())
            .stderr(Stdio::to_stdout());
        let command = match geteuid().is_root() {
            true => command.uid(NOBODY).gid(NOBODY),
            false => command,
        };
        match command.spawn().await {
            Ok(mut child) => {
                let output = child.communicate(None).await.expect("it ends");
                let said = String::from_utf8_lossy(&output.stdout);
                assert!(output.status.success(), "{said}");
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => not_run(&error),
            Err(error) => panic!("{error}"),
        }
    });
}

#[expect(clippy::print_stderr, reason = "a facility that is missing is named")]
fn not_run(error: &io::Error) {
    eprintln!("not run: this file cannot be started by another user: {error}");
}

fn be_limited() {
    let runtime = Runtime::builder()
        .current_thread()
        .build()
        .expect("a runtime");
    let command = |way: Way| {
        way.of(create_subprocess_exec("true", [""; 0]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
    };
    let live = |way| async move {
        let child = command(way).spawn().await?;
        child.wait().await
    };
    let within =
        |future| runtime.block_on(async { timeout(HANG, future).await.expect("it hangs") });
    for way in Way::ALL {
        assert_eq!(within(live(way)).expect("no limit yet"), 0);
        let before = getrlimit(Resource::Nproc);
        let had = descriptors();
        let none = Rlimit {
            current: Some(0),
            ..before
        };
        setrlimit(Resource::Nproc, none).expect("lower is always allowed");
        let error = within(live(way)).expect_err("no process is left");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<SpawnError>());
        assert_eq!(inner.expect("typed").program(), "true");
        assert!(error.to_string().contains("ulimit -u"), "{error}");
        assert_eq!((children(), descriptors()), (BTreeSet::new(), had));
        setrlimit(Resource::Nproc, before).expect("what it was");
        assert_eq!(within(live(way)).expect("no limit any more"), 0);
    }
}
