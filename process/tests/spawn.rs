//! What a child can be given, and what is refused, by name.

mod support;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use loxley_process::{Command, SpawnError, Stdio, create_subprocess_exec, create_subprocess_shell};
use loxley_runtime::testing::{self, Config};
use support::{children, run, stat};

const NONE: [&str; 0] = [];

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("loxley-process-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a new file");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("ours");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// All ways to make a process: ours, and std's with and without a fork of this program.
fn all(command: impl Fn() -> Command) -> [Command; 3] {
    [
        command(),
        command().by_std(),
        command().by_std().umask(0o022),
    ]
}

async fn refused(command: Command) -> (io::ErrorKind, Option<i32>, String) {
    let error = command.spawn().await.expect_err("refused");
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<SpawnError>());
    let inner = inner.expect("typed");
    let text = error.to_string();
    assert!(text.contains(&format!("{:?}", inner.program())), "{text}");
    (error.kind(), inner.raw_os_error(), text)
}

async fn said(command: Command) -> String {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .await
        .expect("it starts");
    let output = child.communicate(None).await.expect("it ends");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .expect("text")
        .trim_end()
        .to_owned()
}

#[test]
fn what_the_system_cannot_start_is_an_error_that_says_what_to_change() {
    testing::run(Config::new().leak_check(true).limit(support::HANG), async {
        let folder = Folder::new();
        let plain = folder.file("plain", "#!/bin/sh\n", 0o644);
        let no_format = folder.file("no-format", "neither this nor that\n", 0o755);
        let no_interpreter = folder.file("no-interpreter", "#!/no/such/thing\n", 0o755);
        let (not_found, denied) = (io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied);
        let cases: [(&Path, io::ErrorKind, &str); 6] = [
            (Path::new("/no/such/program"), not_found, "no such file"),
            (
                Path::new("no-such-program-in-path"),
                not_found,
                "directory of PATH",
            ),
            (&plain, denied, "must be executable"),
            (&folder.0, denied, "is a directory"),
            (&no_interpreter, not_found, "interpreter"),
            (
                &plain.join("below"),
                io::ErrorKind::NotADirectory,
                "refused",
            ),
        ];
        for (program, kind, words) in cases {
            for command in all(|| create_subprocess_exec(program, NONE)) {
                // Pipes that have been opened for it are closed again: the check for leaks counts them.
                let (got, errno, text) = refused(command.stdout(Stdio::piped())).await;
                assert_eq!(got, kind, "{text}");
                assert!(errno.is_some() && text.contains(words), "{text}");
            }
        }
        // Where a fork is taken the C library hands such a file to the shell, as `execvp` is meant to.
        let (_, errno, text) = refused(create_subprocess_exec(&no_format, NONE)).await;
        assert!(
            errno == Some(8) && text.contains("through its interpreter"),
            "{text}"
        );
        for dir in [Path::new("/no/such/dir"), &plain] {
            for command in all(|| create_subprocess_exec("true", NONE).cwd(dir)) {
                let (_, _, text) = refused(command).await;
                assert!(
                    text.contains("working directory")
                        && text.contains(dir.to_str().expect("text"))
                );
            }
        }
        let long = "x".repeat(4 << 20);
        let (_, errno, text) = refused(create_subprocess_exec("true", [long])).await;
        assert!(errno == Some(7) && text.contains("too long"), "{text}");
        assert_eq!(
            children(),
            BTreeSet::new(),
            "whoever became no program is reaped"
        );
    });
}

#[test]
fn mistakes_that_need_no_system_are_all_reported_alike() {
    testing::run(Config::new().leak_check(true), async {
        let good = || create_subprocess_exec("true", NONE);
        for (command, words) in [
            (good().arg("a\0b"), "an argument contains a NUL"),
            (good().args(["x", "\0"]), "an argument contains a NUL"),
            (good().arg0("\0"), "argument 0 contains a NUL"),
            (
                create_subprocess_exec("tr\0ue", NONE),
                "the program contains a NUL",
            ),
            (
                create_subprocess_shell("a\0b"),
                "an argument contains a NUL",
            ),
            (create_subprocess_exec("", NONE), "no name"),
            (good().cwd("/\0"), "working directory contains a NUL"),
            (good().env("A\0", "b"), "name of a variable contains a NUL"),
            (good().env("A", "b\0"), "value of a variable contains a NUL"),
            (good().env("A=B", "c"), "no name for a variable"),
            (good().env("", "c"), "no name for a variable"),
            (good().limit(0), "at least 1"),
            (good().umask(0o1000), "at most 0o777"),
            (good().process_group(-5), "process_group"),
            (good().stdout(Stdio::to_stdout()), "stderr alone"),
            (good().stdin(Stdio::to_stdout()), "stderr alone"),
            (
                good().new_session(true).process_group(0),
                "exclude each other",
            ),
        ] {
            let (kind, errno, text) = refused(command).await;
            assert_eq!((kind, errno), (io::ErrorKind::InvalidInput, None), "{text}");
            assert!(text.contains(words), "{text}");
        }
    });
}

#[test]
fn a_program_is_looked_for_in_the_directories_of_the_childs_path_in_their_order() {
    testing::run(Config::new().leak_check(true).limit(support::HANG), async {
        let folder = Folder::new();
        let dir = |name: &str| {
            let path = folder.0.join(name);
            fs::create_dir(&path).expect("a new folder");
            path
        };
        let (plain, first, second) = (dir("plain"), dir("first"), dir("second"));
        folder.file("plain/tool", "#!/bin/sh\n", 0o644);
        // Links, because no program can be started while anybody has it open for writing, a child of another test for one.
        let link = |program, path: &Path| symlink(program, path.join("tool")).expect("a new link");
        link("/usr/bin/echo", &first);
        link("/usr/bin/dirname", &second);
        link("/usr/bin/seq", &folder.0);
        let tool = || create_subprocess_exec("tool", ["2"]);
        let path = |dirs: &[&Path]| {
            let dirs: Vec<_> = dirs.iter().map(|dir| dir.to_str().expect("text")).collect();
            dirs.join(":")
        };
        let nowhere = folder.0.join("nowhere");
        for (path, word) in [
            (path(&[&first, &second]), "2"),
            (path(&[&nowhere, &second, &first]), "."),
            // What must not be started is passed over, and an empty directory is the one that the child is in.
            (path(&[&plain, &first.join("tool"), &first]), "2"),
            (path(&[&nowhere, Path::new(""), &first]), "1\n2"),
        ] {
            for command in all(tool) {
                let command = command.env("PATH", &path).cwd(&folder.0);
                assert_eq!(said(command).await, word, "{path}");
            }
        }
        for command in all(tool) {
            let command = command.env("PATH", path(&[&nowhere, &plain]));
            let (kind, _, text) = refused(command).await;
            assert_eq!(kind, io::ErrorKind::PermissionDenied, "{text}");
        }
        // Without any PATH, where everybody looks.
        for command in all(|| create_subprocess_exec("pwd", NONE)) {
            assert_eq!(said(command.env_clear().cwd("/")).await, "/");
        }
    });
}

#[test]
fn arguments_reach_the_child_byte_by_byte() {
    run(|way| async move {
        let odd = OsStr::from_bytes(b"\xff $HOME \"'\\\n*");
        let command = way.of(create_subprocess_exec(
            "printf",
            [OsStr::new("%s|"), odd, OsStr::new("")],
        ));
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .await
            .expect("it starts");
        let output = child.communicate(None).await.expect("it ends");
        assert_eq!(output.stdout, [odd.as_bytes(), b"||"].concat());
        let line = create_subprocess_shell("echo $0 $1 \"$2\"").args(["one", "t  wo"]);
        assert_eq!(said(line).await, "sh one t  wo");
        assert_eq!(
            said(create_subprocess_shell("echo $0").arg0("other")).await,
            "sh"
        );
        let command = create_subprocess_exec("/bin/sh", ["-c", "echo $0"]).arg0("other");
        assert_eq!(said(command).await, "other");
    });
}

#[test]
fn the_environment_and_the_directory_are_what_was_asked_for() {
    testing::run(Config::new().leak_check(true), async {
        let echo = || create_subprocess_shell("echo ${A-none} ${B-none} ${HOME+home}");
        let command = echo().env("A", "1").envs([("B", "2"), ("A", "3")]);
        assert_eq!(said(command).await, "3 2 home");
        let command = echo().env("A", "1").env_remove("A").env_remove("HOME");
        assert_eq!(said(command).await, "none none");
        let command = echo().env_clear().env("B", "2");
        assert_eq!(said(command).await, "none 2");

        let folder = Folder::new();
        folder.file("tool", "#!/bin/sh\npwd -P\n", 0o755);
        let dir = fs::canonicalize(&folder.0).expect("it is there");
        for command in all(|| create_subprocess_exec("./tool", NONE).cwd(&dir)) {
            assert_eq!(said(command).await, dir.to_str().expect("text"));
        }
        // The child's own PATH is where it is looked for.
        let command = create_subprocess_exec("tool", NONE)
            .env("PATH", format!("{}:/bin:/usr/bin", dir.display()));
        assert_eq!(said(command.cwd("/")).await, "/");
    });
}

#[test]
fn streams_go_to_files_to_nowhere_and_to_each_other() {
    testing::run(Config::new().leak_check(true), async {
        let talk = || create_subprocess_shell("cat; echo out; echo err >&2");
        let folder = Folder::new();
        let path = folder.file("log", "", 0o644);
        let log = || {
            File::options()
                .read(true)
                .append(true)
                .open(&path)
                .expect("ours")
        };
        let input = folder.file("input", "skip this\nin\n", 0o644);
        let input = || {
            let mut input = File::open(&input).expect("ours");
            input.seek(io::SeekFrom::Start(10)).expect("a file");
            input
        };

        let child = talk()
            .stdin(input())
            .stdout(log())
            .stderr(Stdio::to_stdout());
        let child = child.spawn().await.expect("it starts");
        assert!(child.stdin.is_none() && child.stdout.is_none() && child.stderr.is_none());
        assert_eq!(child.wait().await.expect("its status"), 0);
        let mut text = String::new();
        log().read_to_string(&mut text).expect("text");
        assert_eq!(text, "in\nout\nerr\n");

        let child = talk()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::to_stdout());
        let mut child = child.spawn().await.expect("it starts");
        let output = child.communicate(None).await.expect("it ends");
        assert!(output.stdout.is_empty() && output.stderr.is_empty());

        let child = talk()
            .stdin(input())
            .stdout(Stdio::piped())
            .stderr(Stdio::to_stdout());
        let output = child
            .spawn()
            .await
            .expect("it starts")
            .communicate(None)
            .await;
        assert_eq!(output.expect("it ends").stdout, b"in\nout\nerr\n");

        // Where stdout is inherited, so is what goes to it: the child says nothing, and it must start.
        let child = create_subprocess_exec("true", NONE).stderr(Stdio::to_stdout());
        assert_eq!(
            child
                .spawn()
                .await
                .expect("it starts")
                .wait()
                .await
                .expect("0"),
            0
        );
    });
}

/// Descriptors that this program was itself given to pass on, by whoever started the tests.
fn heirlooms() -> Vec<i32> {
    let entries = fs::read_dir("/proc/self/fdinfo").expect("linux").flatten();
    let numbers = entries.filter_map(|entry| {
        let text = fs::read_to_string(entry.path()).ok()?;
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
        let flags = i32::from_str_radix(flags.trim(), 8).ok()?;
        const O_CLOEXEC: i32 = 0o2_000_000;
        let number: i32 = entry.file_name().to_str()?.parse().ok()?;
        (flags & O_CLOEXEC == 0 && number > 2).then_some(number)
    });
    numbers.collect()
}

#[test]
fn only_the_streams_and_what_is_passed_on_are_inherited() {
    run(|way| async move {
        let given = heirlooms();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("descriptors");
        let mut held: Vec<_> = (0..20)
            .map(|_| File::open("/dev/null").expect("it"))
            .collect();
        let list = || {
            way.of(create_subprocess_exec("ls", ["/proc/self/fd"]))
                .stdin(Stdio::null())
        };
        let expected = |further: &[i32]| {
            let mut numbers = [&[0, 1, 2], &*given, further].concat();
            // `ls` itself has one more, to read the list.
            numbers.extend((3..).find(|number| !numbers.contains(number)));
            let mut lines: Vec<_> = numbers.iter().map(ToString::to_string).collect();
            lines.sort();
            lines.join("\n")
        };
        assert_eq!(said(list().stderr(Stdio::piped())).await, expected(&[]));
        let numbers = [held[7].as_raw_fd(), theirs.as_raw_fd()];
        let command = list().pass_fd(held.swap_remove(7)).pass_fd(theirs);
        assert_eq!(said(command).await, expected(&numbers));
        // It was closed here: the other side sees the end.
        assert_eq!((&ours).read(&mut [0; 1]).expect("the end"), 0);
    });
}

#[test]
fn groups_sessions_and_masks_are_the_childs_own_when_asked_for() {
    run(|way| async move {
        let me = stat(std::process::id()).expect("it is me");
        let cat = || {
            way.of(create_subprocess_exec("cat", NONE))
                .stdin(Stdio::piped())
        };
        let shared = cat().spawn().await.expect("it starts");
        let leads = cat().process_group(0).spawn().await.expect("it starts");
        let joins = i32::try_from(leads.pid()).expect("a pid");
        let joins = cat().process_group(joins).spawn().await.expect("it starts");
        let session = cat().new_session(true).spawn().await.expect("it starts");
        let [s, l, j, own] =
            [&shared, &leads, &joins, &session].map(|c| stat(c.pid()).expect("it runs"));
        assert_eq!((s.group, s.session), (me.group, me.session));
        assert_eq!((l.group, l.session), (leads.pid(), me.session));
        assert_eq!((j.group, j.session), (leads.pid(), me.session));
        assert_eq!((own.group, own.session), (session.pid(), session.pid()));
        for mut child in [shared, leads, joins, session] {
            drop(child.stdin.take());
            assert_eq!(child.wait().await.expect("its status"), 0);
        }
        assert_eq!(
            said(create_subprocess_shell("umask").umask(0o027)).await,
            "0027"
        );
    });
}

#[test]
fn another_user_is_taken_on_or_refused() {
    testing::run(Config::new().leak_check(true), async {
        let command = create_subprocess_shell("id -u; id -g; id -G")
            .uid(65534)
            .gid(65533);
        if rustix::process::geteuid().is_root() {
            assert_eq!(said(command.cwd("/")).await, "65534\n65533\n65533");
        } else {
            let (kind, _, text) = refused(command).await;
            assert_eq!(kind, io::ErrorKind::PermissionDenied);
            assert!(text.contains("takes privileges"), "{text}");
        }
    });
}

#[test]
fn a_child_starts_with_no_signal_blocked_and_dies_of_a_broken_pipe() {
    testing::run(Config::new().leak_check(true), async {
        let ours = fs::read_to_string("/proc/self/status").expect("linux");
        let mask = |text: &str| u64::from_str_radix(text.trim(), 16).expect("hexadecimal");
        for command in all(|| create_subprocess_exec("grep", ["Sig[BI]", "/proc/self/status"])) {
            let text = said(command).await;
            let masks: Vec<_> = text
                .lines()
                .filter_map(|line| line.split_once(':'))
                .collect();
            let [("SigBlk", blocked), ("SigIgn", ignored)] = masks[..] else {
                panic!("{text}");
            };
            // Rust programs ignore SIGPIPE; their children must not, and they themselves go on.
            assert_eq!((mask(blocked), mask(ignored) >> 12 & 1), (0, 0), "{text}");
        }
        let now = fs::read_to_string("/proc/self/status").expect("linux");
        let ignores = |status: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
            mask(line.expect("a mask")) >> 12 & 1
        };
        assert_eq!(
            (ignores(&ours), ignores(&now)),
            (1, 1),
            "our own choice stays"
        );
    });
}
