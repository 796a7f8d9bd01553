//! The rules of style that a program can judge, as tests: who may name which crate, where `unsafe` may stand, what stands
//! beside an atomic ordering.
//!
//! Each rule is a function from one file to its findings and carries samples that it must refuse and samples that it must
//! pass, so that a rule which has stopped looking is noticed. Rules read code without comments and text without code
//! (`tidy/source.rs`); they know nothing else of the language.

#[path = "tidy/source.rs"]
mod source;

use source::{File, Line, root};
use std::fs;

/// A sample is a path, which decides where a rule applies, and a text.
type Sample<'a> = (&'a str, &'a str);

struct Rule<'a> {
    check: fn(&File) -> Vec<String>,
    refuses: &'a [Sample<'a>],
    passes: &'a [Sample<'a>],
}

/// Where the engine is: what the doors and the orderings are about.
const ENGINE: &[&str] = &[
    "sync/src/",
    "runtime/src/",
    "io/src/",
    "process/src/",
    "src/",
];

/// Who may name what: needles in the code, and the files that may hold them.
const DOORS: &[(&[&str], &[&str])] = &[
    (
        &[
            "std::sync::atomic",
            "core::sync::atomic",
            "loom::",
            "shuttle::",
            "parking_lot::",
            "parking_lot as",
            "crossbeam_utils::",
        ],
        &["sync/src/prim/"],
    ),
    (&["crossbeam_deque::"], &["runtime/src/queue/deque.rs"]),
    (
        &["mio::"],
        &[
            "runtime/src/driver/reactor.rs",
            "runtime/src/driver/linux.rs",
            "runtime/src/driver/portable.rs",
        ],
    ),
    (&["signal_hook::"], &["runtime/src/driver/signals.rs"]),
    (
        &["libc::"],
        &[
            "runtime/src/driver/disposition.rs",
            "io/src/sys/",
            "process/src/sys.rs",
            "process/src/sys/",
        ],
    ),
    (
        &["rustix::"],
        &[
            "runtime/src/driver/",
            "runtime/src/scheduler/main_task.rs",
            "runtime/src/scheduler/worker.rs",
            "io/src/sys.rs",
            "io/src/sys/",
            "io/src/net/",
            "process/src/sys.rs",
            "process/src/sys/",
        ],
    ),
    (&["futures_io::"], &["io/src/traits/"]),
    (
        &["tokio::"],
        &["io/src/traits/", "runtime/src/bridge/hidden.rs"],
    ),
    (
        &["hyper::"],
        &["io/src/traits/", "io/src/http", "io/src/hyper_rt.rs"],
    ),
    (&["rustls::", "webpki_roots::"], &["io/src/streams/tls/"]),
    (&["memchr::"], &["io/src/streams/separators.rs"]),
    (&["tracing::"], &["runtime/src/task/trace/spans.rs"]),
    (&["num_cpus::"], &["runtime/src/builder.rs"]),
    (&["Instant::now"], &["runtime/src/clock.rs"]),
    // For a moment, and after spinning and yielding: who waits for a thread that lost its processor gives way to it.
    (&["thread::sleep"], &["sync/src/prim/thread.rs"]),
    (&["RandomState", "getrandom"], &["runtime/src/rng.rs"]),
];

/// Which room may not know which: the files under a path, and what their code may not name.
const ROOMS: &[(&str, &[&str])] = &[
    ("sync/src/", &["loxley_runtime", "loxley_io", "SystemTime"]),
    (
        "runtime/src/wheel/",
        &["Atomic", "Waker", "Instant", "crate::clock"],
    ),
    ("runtime/src/queue/", &["crate::task"]),
    (
        "runtime/src/task/",
        &[
            "crate::scheduler",
            "crate::queue",
            "crate::driver",
            "crate::time",
            "crate::current",
        ],
    ),
    ("runtime/src/driver/", &["crate::task", "crate::scheduler"]),
    (
        "runtime/src/blocking/",
        &["crate::task", "crate::scheduler", "crate::current"],
    ),
    (
        "runtime/src/scheduler/",
        &[
            "crate::time",
            "crate::group",
            "crate::lane",
            "crate::event_loop",
        ],
    ),
];

/// The only files with `unsafe`. Each lifts the lint with a reason; a new one is argued in the commit that adds it.
const UNSAFE: &[&str] = &[
    "benches/benches/compare/alloc.rs",
    "io/src/sys/raw.rs",
    "io/src/traits/uninit.rs",
    "io/tests/support/lossy.rs",
    "process/src/sys.rs",
    "process/src/sys/clone.rs",
    "process/tests/forked.rs",
    "process/tests/support/seccomp.rs",
    "runtime/src/driver/disposition.rs",
    "runtime/src/task/cancel.rs",
    "runtime/src/task/cell.rs",
    "runtime/src/task/cold.rs",
    "runtime/src/task/join.rs",
    "runtime/src/task/local.rs",
    "runtime/src/task/main.rs",
    "runtime/src/task/memory.rs",
    "runtime/src/task/raw.rs",
    "runtime/src/task/registry.rs",
    "runtime/src/task/run.rs",
    "runtime/src/task/slot.rs",
    "runtime/src/task/waker.rs",
    "runtime/src/time/timeout.rs",
    "runtime/tests/panics.rs",
    "sync/src/ambient/catch.rs",
    "sync/src/ambient/mod.rs",
    "sync/src/ambient/scope.rs",
    "sync/src/lock.rs",
    "sync/src/oneshot.rs",
    "sync/src/queue/ring.rs",
    "sync/src/rwlock.rs",
    "sync/src/wait/cell.rs",
    "sync/src/wait/future.rs",
    "sync/src/wait/list.rs",
];

/// Past this many lines a file surely holds two ideas.
const LINES_MAX: usize = 900;

/// Room for a sentence beside an indented item; code is kept narrower by rustfmt.
const COLUMNS_MAX: usize = 130;

/// How far above an ordering, or an unsafe act, its reason may begin.
const ORDERING_REACH: usize = 6;
const SAFETY_REACH: usize = 12;

const ORDERINGS: &[&str] = &[
    "Ordering::Relaxed",
    "Ordering::Acquire",
    "Ordering::Release",
    "Ordering::AcqRel",
    "Ordering::SeqCst",
];

#[test]
fn every_dependency_has_one_door() {
    enforce(&Rule {
        check: |file| {
            let closed = DOORS
                .iter()
                .filter(|(_, doors)| file.is_under(ENGINE) && !file.is_under(doors));
            closed
                .flat_map(|(needles, _)| file.naming(needles))
                .collect()
        },
        refuses: &[
            (
                "io/src/streams/reader.rs",
                "use std::sync::atomic::AtomicBool;",
            ),
            ("sync/src/event.rs", "let m = parking_lot::Mutex::new(());"),
            ("runtime/src/scheduler/worker.rs", "use mio::Poll;"),
            ("io/src/net/tcp.rs", "use mio::net::TcpStream;"),
            ("runtime/src/time/sleep.rs", "let now = Instant::now();"),
            (
                "io/src/streams/writer.rs",
                "impl tokio::io::AsyncWrite for StreamWriter {}",
            ),
        ],
        passes: &[
            (
                "sync/src/prim/mod.rs",
                "pub use std::sync::atomic::AtomicBool;",
            ),
            ("runtime/src/clock.rs", "Instant::now()"),
            ("runtime/src/time/sleep.rs", "// Never Instant::now() here."),
            (
                "runtime/src/time/sleep.rs",
                "#[cfg(test)]\nmod tests { fn t() { Instant::now(); } }",
            ),
            ("runtime/src/driver/linux.rs", "use mio::unix::SourceFd;"),
            ("io/src/streams/reader.rs", "let text = \"mio::Poll\";"),
        ],
    });
}

#[test]
fn no_room_names_one_above_it() {
    enforce(&Rule {
        check: |file| {
            let rules = ROOMS.iter().filter(|(room, _)| file.path.starts_with(room));
            rules
                .flat_map(|(_, needles)| file.naming(needles))
                .collect()
        },
        refuses: &[
            ("sync/src/lock.rs", "use loxley_runtime::Handle;"),
            ("runtime/src/wheel/mod.rs", "use std::task::Waker;"),
            ("runtime/src/blocking/pool.rs", "crate::current::enter();"),
            ("runtime/src/task/run.rs", "use crate::scheduler::Shared;"),
            ("runtime/src/driver/mod.rs", "use crate::task::Task;"),
        ],
        passes: &[
            ("runtime/src/spawn.rs", "use crate::scheduler::Shared;"),
            ("runtime/src/driver/mod.rs", "use std::task::Waker;"),
        ],
    });
}

#[test]
fn every_file_says_what_it_is_for() {
    enforce(&Rule {
        check: |file| {
            let first = file.lines.first().map_or("", |line| line.raw.as_str());
            // The facade's text is the README.
            let says = first
                .strip_prefix("//! ")
                .is_some_and(|text| text.trim().len() > 10)
                || first.starts_with("#![doc = include_str!");
            file.finding_if(
                !says,
                0,
                "the file does not open with `//!` and what it is for",
            )
        },
        refuses: &[
            ("io/src/a.rs", "use std::fmt;\n"),
            ("io/src/a.rs", "//! x\n"),
            ("io/src/a.rs", ""),
        ],
        passes: &[("io/src/a.rs", "//! Sockets that listen.\n")],
    });
}

#[test]
fn no_access_is_sequentially_consistent() {
    enforce(&Rule {
        check: |file| {
            let is_access =
                |line: &Line| line.code.contains("SeqCst") && !line.code.contains("fence(");
            file.where_line(
                is_access,
                "loom cannot judge a SeqCst access: use acquire/release, or a fence",
            )
        },
        refuses: &[
            ("sync/src/a.rs", "word.load(Ordering::SeqCst);"),
            ("io/tests/a.rs", "word.store(1, SeqCst);"),
        ],
        passes: &[
            ("sync/src/a.rs", "fence(Ordering::SeqCst);"),
            ("sync/src/a.rs", "// SeqCst is not needed: see I3."),
        ],
    });
}

#[test]
fn every_ordering_says_what_it_pairs_with() {
    enforce(&Rule {
        check: |file| {
            let is_named = |line: &Line| {
                !line.in_test && ORDERINGS.iter().any(|name| line.code.contains(name))
            };
            let bare = |at: &usize| !file.is_explained(*at, ORDERING_REACH, &["ordering:"]);
            (0..file.lines.len())
                .filter(|&at| file.is_under(ENGINE) && is_named(&file.lines[at]))
                .filter(bare)
                .flat_map(|at| {
                    file.finding_if(true, at, "no `// ordering:` within six lines above")
                })
                .collect()
        },
        refuses: &[
            ("sync/src/a.rs", "word.load(Ordering::Acquire);"),
            (
                "sync/src/a.rs",
                "// ordering: far\n\n\n\n\n\n\nword.load(Ordering::Acquire);",
            ),
        ],
        passes: &[
            (
                "sync/src/a.rs",
                "// ordering: pairs with R2.\nword.load(Ordering::Acquire);",
            ),
            ("sync/src/a.rs", "match a.cmp(&b) { Ordering::Less => 1 }"),
            ("sync/tests/a.rs", "word.load(Ordering::Acquire);"),
        ],
    });
}

#[test]
fn unsafe_stands_only_in_its_rooms_and_is_argued() {
    enforce(&Rule {
        check: |file| {
            let mut findings = Vec::new();
            for (at, line) in file
                .lines
                .iter()
                .enumerate()
                .filter(|(_, line)| line.has_word("unsafe"))
            {
                let stranger = !UNSAFE.contains(&file.path.as_str());
                findings.extend(file.finding_if(
                    stranger,
                    at,
                    "this file is not on the list of unsafe rooms",
                ));
                // The type of an unsafe function is a contract, not an act.
                let acts = ["unsafe {", "unsafe impl", "unsafe fn "]
                    .iter()
                    .any(|act| line.code.contains(act));
                let bare = !file.is_explained(at, SAFETY_REACH, &["SAFETY:", "# Safety"]);
                findings.extend(file.finding_if(acts && bare, at, "no `// SAFETY:` above"));
            }
            findings
        },
        refuses: &[
            ("io/src/a.rs", "// SAFETY: none.\nunsafe { f() };"),
            ("runtime/src/task/cell.rs", "unsafe { f() };"),
        ],
        passes: &[
            (
                "runtime/src/task/cell.rs",
                "// SAFETY: running is ours since T2.\nunsafe { f() };",
            ),
            (
                "runtime/src/task/cell.rs",
                "drop: unsafe fn(*const Header),",
            ),
            (
                "io/src/a.rs",
                "#![forbid(unsafe_code)] // nothing unsafe here",
            ),
        ],
    });
    for path in UNSAFE {
        let text = fs::read_to_string(root().join(path)).unwrap_or_default();
        let file = File::new((*path).to_owned(), &text);
        let uses_it = file.lines.iter().any(|line| line.has_word("unsafe"));
        assert!(
            uses_it,
            "{path} has no unsafe any more: take it off the list"
        );
    }
}

#[test]
fn what_needs_no_unsafe_forbids_it() {
    for path in ["src/lib.rs", "macros/src/lib.rs"] {
        let text = fs::read_to_string(root().join(path)).expect("the crate exists");
        assert!(
            text.contains("#![forbid(unsafe_code)]"),
            "{path} does not forbid unsafe code"
        );
    }
}

#[test]
fn nothing_is_left_undone_in_the_code() {
    enforce(&Rule {
        check: |file| {
            let is_undone = |line: &Line| {
                ["todo!(", "unimplemented!(", "dbg!("]
                    .iter()
                    .any(|call| line.names(call))
            };
            file.where_line(is_undone, "finish it, or leave it out")
        },
        refuses: &[
            ("io/src/a.rs", "fn f() { todo!() }"),
            ("tests/a.rs", "unimplemented!()"),
        ],
        passes: &[("io/src/a.rs", "// todo!() would be refused.")],
    });
}

#[test]
fn no_file_holds_two_ideas() {
    enforce(&Rule {
        check: |file| {
            let length = file.lines.len();
            // A literal and a row of a table cannot be broken.
            let width = |line: &Line| line.code.chars().count() + line.comment.chars().count();
            let is_wide = |line: &Line| width(line) > COLUMNS_MAX && !line.comment.contains(" | ");
            let mut findings = file.where_line(is_wide, "too wide to read");
            findings.extend(file.finding_if(
                length > LINES_MAX,
                0,
                "too long: find the second idea",
            ));
            findings
        },
        refuses: &[
            ("io/src/a.rs", &"\n".repeat(LINES_MAX + 1)),
            ("io/src/a.rs", &"-".repeat(COLUMNS_MAX + 1)),
        ],
        passes: &[("io/src/a.rs", "//! Short.\n")],
    });
}

#[test]
fn tests_neither_sleep_nor_hide() {
    enforce(&Rule {
        check: |file| {
            let is_bad = |line: &Line| {
                line.in_test
                    && ["thread::sleep(", "#[ignore"]
                        .iter()
                        .any(|s| line.code.contains(s))
            };
            file.where_line(
                is_bad,
                "time is the paused clock, order is a channel, and no test is ignored",
            )
        },
        refuses: &[
            ("io/tests/a.rs", "std::thread::sleep(ms(5));"),
            (
                "io/src/a.rs",
                "#[cfg(test)]\nmod tests {\n#[ignore]\nfn t() {}\n}",
            ),
        ],
        passes: &[("io/tests/a.rs", "loxley::sleep(ms(5)).await;")],
    });
}

/// The samples first, then the repository.
fn enforce(rule: &Rule<'_>) {
    let findings = |(path, text): &Sample<'_>| (rule.check)(&File::new((*path).to_owned(), text));
    for sample in rule.refuses {
        assert!(
            !findings(sample).is_empty(),
            "the rule does not see what is wrong in {sample:?}"
        );
    }
    for sample in rule.passes {
        assert_eq!(
            findings(sample),
            [""; 0],
            "the rule sees too much in {sample:?}"
        );
    }
    let files = source::files();
    assert!(
        files.len() > 50,
        "only {} files: the walk has lost its way",
        files.len()
    );
    let found: Vec<String> = files.iter().flat_map(rule.check).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}
